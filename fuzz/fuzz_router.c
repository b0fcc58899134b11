/* fuzz_router.c - a table of patterns and one request: what the tree finds is what a matcher finds
 * that knows no tree. It compares each pattern with the path segment by segment, and of those that
 * match takes the one that is the more particular in the first segment where two differ.
 *
 * Input: a line for each route, "METHOD,METHOD /pattern" or "/pattern" (any method), and at last
 * "METHOD /path". */
#include "fuzz.h"

#include "web/percent.h"
#include "web/router.h"

#include <stdio.h>

enum {
	ROUTES_MOST = 48
};

struct route {
	char *methods; /* NULL: any */
	crew_bytes pattern;
	bool bad; /* the router refused it */
};

struct table {
	struct route routes[ROUTES_MOST];
	size_t count;
	char *method; /* of the request */
	crew_bytes path;
};

/* How particular a match is: one letter for each segment, the smaller the better. */
struct match {
	bool found;
	char rank[CREW__ROUTER_PATTERN_MOST + 1];
	crew_bytes names[CREW__ROUTER_PARAMS_MOST], values[CREW__ROUTER_PARAMS_MOST];
	unsigned count;
};

/* ---- the input ----------------------------------------------------------------------------- */

static char *text_of(const char *data, size_t len)
{
	char *text = malloc(len + 1);
	crew__must(text);
	memcpy(text, data, len);
	text[len] = '\0';
	for (char *comma = text; (comma = strchr(comma, ','));)
		*comma = ' ';
	return text;
}

static crew_bytes bytes_of(const char *data, size_t len)
{
	return (crew_bytes){ copy_of(data, len), len };
}

/* "WORD rest", or the rest alone when it begins with a slash. */
static void cut_line(const char *line, size_t len, char **ret_word, crew_bytes *ret_rest)
{
	const char *space = len > 0 && *line != '/' ? memchr(line, ' ', len) : NULL;
	size_t word = space ? (size_t)(space - line) : 0;
	*ret_word = space ? text_of(line, word) : NULL;
	*ret_rest = bytes_of(line + word + (space != NULL), len - word - (space != NULL));
}

/* No request's path has a NUL. */
static void strip(crew_bytes *path)
{
	char *text = (char *)(uintptr_t)path->data;
	for (size_t i = 0; i < path->len; i++)
		if (text[i] == '\0')
			text[i] = '0';
}

static void read_table(struct table *t, const char *at, size_t size)
{
	const char *line;
	while (t->count < ROUTES_MOST && size > 0 && (line = memchr(at, '\n', size))) {
		struct route *r = &t->routes[t->count++];
		cut_line(at, (size_t)(line - at), &r->methods, &r->pattern);
		size -= (size_t)(line + 1 - at);
		at = line + 1;
	}
	cut_line(at, size, &t->method, &t->path);
	strip(&t->path);
}

static void free_table(struct table *t)
{
	for (size_t i = 0; i < t->count; i++) {
		free(t->routes[i].methods);
		free((void *)(uintptr_t)t->routes[i].pattern.data);
	}
	free(t->method);
	free((void *)(uintptr_t)t->path.data);
}

/* After an error a router is of no use: then all is done again without the one that is bad. */
static struct crew__router *build(struct table *t)
{
	struct crew__router *router = crew__router_new();
	crew__must(router);
	for (size_t i = 0; i < t->count; i++) {
		struct route *r = &t->routes[i];
		const char *why = NULL;
		if (r->bad)
			continue;
		int error = crew__router_add(router, r->methods, r->pattern, r, true, &why);
		if (error == 0)
			continue;
		crew__must(error == -EINVAL && why);
		r->bad = true;
		crew__router_free(router);
		return build(t);
	}
	return router;
}

/* ---- the plain matcher --------------------------------------------------------------------- */

/* The next byte of a segment, decoded. */
static unsigned char byte_of(crew_bytes text, size_t *at)
{
	char digits[3] = "";
	if (text.data[*at] != '%')
		return (unsigned char)text.data[(*at)++];
	memcpy(digits, text.data + *at + 1, 2);
	*at += 3;
	return (unsigned char)strtoul(digits, NULL, 16);
}

static bool says_the_same(crew_bytes a, crew_bytes b)
{
	size_t i = 0, j = 0;
	while (i < a.len && j < b.len)
		if (byte_of(a, &i) != byte_of(b, &j))
			return false;
	return i == a.len && j == b.len;
}

/* Up to the next slash, which is taken away. False: nothing is left. */
static bool next_segment(crew_bytes *rest, crew_bytes *ret_segment)
{
	if (!rest->data)
		return false;
	const char *slash = rest->len > 0 ? memchr(rest->data, '/', rest->len) : NULL;
	size_t len = slash ? (size_t)(slash - rest->data) : rest->len;
	*ret_segment = (crew_bytes){ rest->data, len };
	*rest = slash ? (crew_bytes){ slash + 1, rest->len - len - 1 } : (crew_bytes){ NULL, 0 };
	return true;
}

static void note_param(struct match *m, crew_bytes segment, crew_bytes value)
{
	m->names[m->count] = (crew_bytes){ segment.data + 1, segment.len - 1 };
	m->values[m->count++] = value;
}

static bool match_segments(crew_bytes pattern, crew_bytes path, struct match *m)
{
	crew_bytes p, s, before = path;
	size_t n = 0;
	for (; next_segment(&pattern, &p); before = path) {
		char first = p.len > 0 ? *p.data : '/';
		m->rank[n++] = first == ':' ? 'b' : first == '*' ? 'c' : 'a';
		if (first == '*' && before.data) {
			note_param(m, p, before);
			return true;
		}
		if (!next_segment(&path, &s) || (first == ':' && s.len == 0))
			return false;
		if (first == ':')
			note_param(m, p, s);
		else if (!says_the_same(p, s))
			return false;
	}
	return !path.data;
}

static void try_pattern(crew_bytes pattern, crew_bytes path, struct match *best)
{
	struct match m = { .found = true };
	bool good = path.len > 0 && *path.data == '/' && crew__percent_good(path);
	if (!good || !match_segments(pattern, path, &m))
		return;
	if (!best->found || strcmp(m.rank, best->rank) < 0)
		*best = m;
}

static bool has_method(const char *methods, const char *method)
{
	while (methods) {
		size_t len = strcspn(methods, " ");
		if (len == strlen(method) && memcmp(methods, method, len) == 0)
			return true;
		methods = methods[len] ? methods + len + 1 : NULL;
	}
	return false;
}

/* Of the routes with the winner's pattern the first that has the method; NULL: any. */
static const struct route *find_route(
	const struct table *t, const struct match *best, const char *method, struct match *ret_own)
{
	for (size_t i = 0; i < t->count; i++) {
		const struct route *r = &t->routes[i];
		struct match own = { .found = false };
		if (r->bad)
			continue;
		try_pattern(r->pattern, t->path, &own);
		if (!own.found || strcmp(own.rank, best->rank) != 0)
			continue;
		if (method ? has_method(r->methods, method) : !r->methods) {
			*ret_own = own;
			return r;
		}
	}
	return NULL;
}

static const struct route *plain_answer(
	const struct table *t, const struct match *best, struct match *ret_own)
{
	const char *method = t->method ? t->method : "GET";
	const struct route *r = *method ? find_route(t, best, method, ret_own) : NULL;
	if (!r && strcmp(method, "HEAD") == 0)
		r = find_route(t, best, "GET", ret_own);
	return r ? r : find_route(t, best, NULL, ret_own);
}

/* ---- both ---------------------------------------------------------------------------------- */

static bool equal(crew_bytes a, crew_bytes b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static void compare(const struct table *t, const struct match *best,
	const struct crew__resource *found, const crew_header *params)
{
	struct match own;
	const struct route *wanted = plain_answer(t, best, &own);
	const struct crew__action *action = crew__resource_action(
		found, crew_str(t->method ? t->method : "GET"));
	for (unsigned i = 0; i < best->count; i++)
		crew__must(params[i].value.data == best->values[i].data &&
			   params[i].value.len == best->values[i].len);
	crew__must(found->count > 0 && found->allow.len > 0);
	crew__must((action ? action->target : NULL) == wanted);
	if (!action)
		return;
	crew__must(action->name_count == best->count);
	for (unsigned i = 0; i < best->count; i++)
		crew__must(equal(action->names[i], own.names[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct table t;
	struct match best = { .found = false };
	crew_header params[CREW__ROUTER_PARAMS_MOST];
	memset(&t, 0, sizeof(t));
	read_table(&t, (const char *)data, size);
	struct crew__router *router = build(&t);
	for (size_t i = 0; i < t.count; i++)
		if (!t.routes[i].bad)
			try_pattern(t.routes[i].pattern, t.path, &best);
	const struct crew__resource *found = crew__router_match(router, t.path, params);
	crew__must(best.found == (found != NULL));
	if (found)
		compare(&t, &best, found, params);
	crew__router_free(router);
	free_table(&t);
	return 0;
}
