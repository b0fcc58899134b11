/* router.c - see router.h.
 *
 * Invariants of the tree:
 *  - the texts of a node's children begin with different bytes, and none is empty;
 *  - `param` and `rest` are at nodes whose way from the root ends in a slash, so that both begin a
 *    segment;
 *  - in texts a NUL stands for an escaped slash; a NUL itself cannot be in a path or a pattern. */
#include "web/router.h"

#include "base/arena.h"
#include "web/percent.h"

#include <stdlib.h>
#include <string.h>

enum {
	TREE_MOST = 256 * 1024 * 1024
};

struct node {
	const char *text; /* between the parent and here */
	size_t len;
	char *firsts; /* the first byte of each child's text */
	struct node **children;
	size_t count, capacity;
	struct node *param;           /* behind a `:name` that begins here */
	struct crew__resource *exact; /* of patterns that end here */
	struct crew__resource *rest;  /* of those that end in a `*name` that begins here */
};

struct crew__router {
	struct crew__arena arena; /* all of the below */
	struct node root;         /* its one child begins with the first slash */
	const struct node *quick; /* that child; NULL where a text has a `%`, for which an escape in
				   * a path could be taken */
	bool percent;             /* one has */
};

struct crew__router *crew__router_new(void)
{
	struct crew__router *r = calloc(1, sizeof(*r));
	if (r) {
		r->arena.max = TREE_MOST;
		r->root.text = "";
	}
	return r;
}

void crew__router_free(struct crew__router *r)
{
	if (!r)
		return;
	crew__arena_release(&r->arena);
	free(r);
}

/* ---- the tree grows ------------------------------------------------------------------------ */

static void *take_zeroed(struct crew__router *r, size_t size)
{
	void *piece = crew__arena_take(&r->arena, size);
	return piece ? memset(piece, 0, size) : NULL;
}

static struct node *new_node(struct crew__router *r, crew_bytes text)
{
	struct node *n = take_zeroed(r, sizeof(*n));
	if (n) {
		n->text = text.data;
		n->len = text.len;
	}
	return n;
}

static struct node *add_child(struct crew__router *r, struct node *parent, crew_bytes text)
{
	size_t capacity = parent->capacity;
	crew_bytes own = crew__arena_copy(&r->arena, text);
	struct node *n = new_node(r, own);
	char *firsts = crew__arena_grow(
		&r->arena, parent->firsts, &capacity, parent->count + 1, sizeof(*firsts));
	if (!own.data || !n || !firsts)
		return NULL;
	capacity = parent->capacity;
	struct node **children = crew__arena_grow(
		&r->arena, parent->children, &capacity, parent->count + 1, sizeof(struct node *));
	if (!children)
		return NULL;
	firsts[parent->count] = *own.data;
	children[parent->count] = n;
	parent->firsts = firsts;
	parent->children = children;
	parent->capacity = capacity;
	parent->count++;
	return n;
}

/* The first `len` bytes of the text at `place` get a node of their own, above the rest. */
static struct node *split(struct crew__router *r, struct node **place, size_t len)
{
	struct node *lower = *place;
	struct node *upper = new_node(r, (crew_bytes){ lower->text, len });
	if (!upper)
		return NULL;
	upper->firsts = crew__arena_take(&r->arena, 1);
	upper->children = crew__arena_take(&r->arena, sizeof(struct node *));
	if (!upper->firsts || !upper->children)
		return NULL;
	lower->text += len;
	lower->len -= len;
	upper->firsts[0] = *lower->text;
	upper->children[0] = lower;
	upper->count = upper->capacity = 1;
	*place = upper;
	return upper;
}

static size_t common(crew_bytes a, const char *text, size_t len)
{
	size_t n = 0;
	while (n < a.len && n < len && a.data[n] == text[n])
		n++;
	return n;
}

/* The node behind `text` below `n`, made where there is none. NULL without memory. */
static struct node *grow_text(struct crew__router *r, struct node *n, crew_bytes text)
{
	while (n && text.len > 0) {
		char *first = n->count ? memchr(n->firsts, *text.data, n->count) : NULL;
		if (!first)
			return add_child(r, n, text);
		struct node **place = &n->children[first - n->firsts];
		size_t same = common(text, (*place)->text, (*place)->len);
		n = same < (*place)->len ? split(r, place, same) : *place;
		text.data += same;
		text.len -= same;
	}
	return n;
}

/* ---- a pattern is read --------------------------------------------------------------------- */

struct reader {
	struct crew__router *router;
	struct node *at;
	char text[CREW__ROUTER_PATTERN_MOST]; /* decoded, behind `at`, not yet in the tree */
	size_t len;
	crew_bytes names[CREW__ROUTER_PARAMS_MOST];
	unsigned name_count;
	struct crew__resource **place; /* where the pattern leads; NULL until that is known */
	const char *why;
};

static int wrong(struct reader *in, const char *why)
{
	in->why = why;
	return -EINVAL;
}

static bool is_name(crew_bytes text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i], lower = (char)(c | 0x20);
		bool letter = (lower >= 'a' && lower <= 'z') || c == '_';
		bool later = (c >= '0' && c <= '9') || c == '-';
		if (!letter && (i == 0 || !later))
			return false;
	}
	return true;
}

static int note_name(struct reader *in, crew_bytes name)
{
	if (!is_name(name))
		return wrong(in, "a parameter's name is made of letters, digits, `_` and `-`");
	if (in->name_count == CREW__ROUTER_PARAMS_MOST)
		return wrong(in, "it has more than 16 parameters");
	for (unsigned i = 0; i < in->name_count; i++)
		if (name.len > 0 && in->names[i].len == name.len &&
			memcmp(in->names[i].data, name.data, name.len) == 0)
			return wrong(in, "two of its parameters have the same name");
	in->names[in->name_count++] = name;
	return 0;
}

static int flush_text(struct reader *in)
{
	in->at = grow_text(in->router, in->at, (crew_bytes){ in->text, in->len });
	in->len = 0;
	return in->at ? 0 : -ENOMEM;
}

/* The segment is `:name`. */
static int read_param(struct reader *in, crew_bytes name)
{
	if (name.len == 0)
		return wrong(
			in, "a `:` needs a name behind it (for the character itself write %3A)");
	int error = note_name(in, name);
	if (!error)
		error = flush_text(in);
	if (error)
		return error;
	if (!in->at->param)
		in->at->param = new_node(in->router, (crew_bytes){ "", 0 });
	in->at = in->at->param;
	return in->at ? 0 : -ENOMEM;
}

/* The segment is `*name`. */
static int read_rest(struct reader *in, crew_bytes name, bool last)
{
	if (!last)
		return wrong(in, "`*` stands for all the rest, so nothing can follow it");
	int error = note_name(in, name);
	if (!error)
		error = flush_text(in);
	if (!error)
		in->place = &in->at->rest;
	return error;
}

static int read_text(struct reader *in, crew_bytes segment)
{
	if (memchr(segment.data, '*', segment.len))
		return wrong(
			in, "`*` can only begin a segment (for the character itself write %2A)");
	if (memchr(segment.data, '?', segment.len) || memchr(segment.data, '#', segment.len) ||
		memchr(segment.data, '\0', segment.len))
		return wrong(
			in, "no path has a `?`, a `#` or a NUL (for the first two write %3F, %23)");
	if (!crew__percent_good(segment))
		return wrong(in, "a `%` needs two hex digits behind it, other than 00");
	char *to = in->text + in->len;
	for (size_t i = 0; i < segment.len; i++) {
		int byte = (unsigned char)segment.data[i];
		if (byte == '%') {
			byte = crew__percent_byte(segment.data + i + 1);
			i += 2;
		}
		*to++ = (char)(byte == '/' ? '\0' : byte);
		in->router->percent |= byte == '%';
	}
	in->len = (size_t)(to - in->text);
	return 0;
}

static int read_segment(struct reader *in, crew_bytes segment, bool last)
{
	const crew_bytes name = { segment.data + 1, segment.len - 1 };
	if (segment.len > 0 && *segment.data == ':')
		return read_param(in, name);
	if (segment.len > 0 && *segment.data == '*')
		return read_rest(in, name, last);
	return segment.len > 0 ? read_text(in, segment) : 0;
}

static int read_pattern(struct reader *in, crew_bytes pattern)
{
	if (pattern.len == 0 || *pattern.data != '/')
		return wrong(in, "it does not begin with a slash");
	if (pattern.len > CREW__ROUTER_PATTERN_MOST)
		return wrong(in, "it is longer than 1024 bytes");
	const char *at = pattern.data, *end = at + pattern.len;
	int error = 0;
	while (!error && at < end) {
		in->text[in->len++] = *at++; /* the slash */
		const char *slash = at < end ? memchr(at, '/', (size_t)(end - at)) : NULL;
		const char *stop = slash ? slash : end;
		error = read_segment(in, (crew_bytes){ at, (size_t)(stop - at) }, stop == end);
		at = stop;
	}
	if (error || in->place)
		return error;
	error = flush_text(in);
	if (!error)
		in->place = &in->at->exact;
	return error;
}

static int copy_names(struct reader *in, struct crew__action *action)
{
	if (in->name_count == 0)
		return 0;
	crew_bytes *names = crew__arena_take(&in->router->arena, in->name_count * sizeof(*names));
	for (unsigned i = 0; names && i < in->name_count; i++) {
		names[i] = crew__arena_copy(&in->router->arena, in->names[i]);
		if (!names[i].data)
			return -ENOMEM;
	}
	action->names = names;
	action->name_count = in->name_count;
	return names ? 0 : -ENOMEM;
}

int crew__router_add(struct crew__router *r, const char *methods, crew_bytes pattern,
	const void *target, bool unless_taken, const char **ret_why)
{
	struct reader in = { .router = r, .at = &r->root };
	struct crew__action action = { .target = target };
	int error = read_pattern(&in, pattern);
	r->quick = r->root.count > 0 && !r->percent ? r->root.children[0] : NULL;
	if (!error)
		error = copy_names(&in, &action);
	if (error) {
		*ret_why = in.why;
		return error;
	}
	if (!*in.place)
		*in.place = take_zeroed(r, sizeof(**in.place));
	if (!*in.place)
		return -ENOMEM;
	return crew__resource_add(&r->arena, *in.place, methods, &action, unless_taken, ret_why);
}

/* ---- a path is looked up ------------------------------------------------------------------- */

/* No call, as texts are short: a call would cost more than all the rest of the short way. */
static inline bool same(const char *a, const char *b, size_t len)
{
	uint64_t x, y;
	for (; len >= 8; a += 8, b += 8, len -= 8) {
		memcpy(&x, a, 8);
		memcpy(&y, b, 8);
		if (x != y)
			return false;
	}
	for (; len > 0; a++, b++, len--)
		if (*a != *b)
			return false;
	return true;
}

static inline const struct node *child_for(const struct node *n, char first)
{
	for (size_t i = 0; i < n->count; i++)
		if (n->firsts[i] == first)
			return n->children[i];
	return NULL;
}

/* The short way, for a path that is a pattern byte for byte: nothing is more particular, and no
 * escape can be in it. */
static inline const struct crew__resource *by_texts(const struct crew__router *r, crew_bytes path)
{
	const char *at = path.data, *end = path.data + path.len;
	const struct node *n = r->quick;
	while (n && n->len <= (size_t)(end - at) && same(at, n->text, n->len)) {
		at += n->len;
		if (at == end)
			return n->exact;
		n = child_for(n, *at);
	}
	return NULL;
}

struct look {
	const char *end;
	crew_header *params;
	unsigned count;
	bool escaped; /* the path has a `%` */
};

/* The byte at `at`, as texts have it, and how many bytes of the path it is. */
static inline unsigned char byte_at(const char *at, const struct look *l, size_t *ret_size)
{
	*ret_size = 1;
	if (crew__likely(!l->escaped || *at != '%'))
		return (unsigned char)*at;
	int byte = crew__percent_byte(at + 1);
	*ret_size = 3;
	return (unsigned char)(byte == '/' ? '\0' : byte);
}

/* Behind the text of the node, or NULL. */
static inline const char *skip_text(const struct node *n, const char *at, const struct look *l)
{
	if (crew__likely(!l->escaped)) {
		bool is_there = n->len <= (size_t)(l->end - at) && same(at, n->text, n->len);
		return is_there ? at + n->len : NULL;
	}
	size_t size;
	for (size_t i = 0; i < n->len; i++, at += size)
		if (at == l->end || byte_at(at, l, &size) != (unsigned char)n->text[i])
			return NULL;
	return at;
}

static inline const struct node *child_at(
	const struct node *n, const char *at, const struct look *l)
{
	size_t size;
	return child_for(n, (char)byte_at(at, l, &size));
}

static const struct crew__resource *walk(const struct node *n, const char *at, struct look *l);

/* A segment is the param's. What it leads to may come to nothing: then it is none. */
static const struct crew__resource *take_segment(
	const struct node *n, const char *at, struct look *l)
{
	const char *slash = memchr(at, '/', (size_t)(l->end - at));
	const char *stop = slash ? slash : l->end;
	if (stop == at)
		return NULL;
	unsigned mine = l->count++;
	l->params[mine].value = (crew_bytes){ at, (size_t)(stop - at) };
	const struct crew__resource *found = walk(n, stop, l);
	if (!found)
		l->count = mine;
	return found;
}

static const struct crew__resource *take_rest(const struct node *n, const char *at, struct look *l)
{
	if (n->rest)
		l->params[l->count++].value = (crew_bytes){ at, (size_t)(l->end - at) };
	return n->rest;
}

/* Texts first, then `:name`, then `*name`. */
static const struct crew__resource *compete(
	const struct node *n, const struct node *child, const char *at, struct look *l)
{
	const struct crew__resource *found = child ? walk(child, at, l) : NULL;
	if (!found && n->param)
		found = take_segment(n->param, at, l);
	return found ? found : take_rest(n, at, l);
}

/* From the start of the node's text. */
static const struct crew__resource *walk(const struct node *n, const char *at, struct look *l)
{
	for (;;) {
		at = skip_text(n, at, l);
		if (!at)
			return NULL;
		if (at == l->end)
			return n->exact ? n->exact : take_rest(n, at, l);
		const struct node *child = child_at(n, at, l);
		if (crew__unlikely(n->param || n->rest))
			return compete(n, child, at, l);
		if (!child)
			return NULL;
		n = child;
	}
}

static __attribute__((noinline)) const struct crew__resource *by_all_means(
	const struct crew__router *r, crew_bytes path, crew_header *params)
{
	if (path.len == 0)
		return NULL;
	struct look l = {
		.end = path.data + path.len,
		.params = params,
		.escaped = memchr(path.data, '%', path.len) != NULL,
	};
	if (crew__unlikely(l.escaped) && !crew__percent_good(path))
		return NULL;
	return walk(&r->root, path.data, &l);
}

const struct crew__resource *crew__router_match(
	const struct crew__router *r, crew_bytes path, crew_header params[CREW__ROUTER_PARAMS_MOST])
{
	const struct crew__resource *found = by_texts(r, path);
	return crew__likely(found) ? found : by_all_means(r, path, params);
}
