/* http1_head.c - the request line and the fields, in one pass over the head.
 *
 * Every function moves `at` over what it has accepted and returns 0, MORE when the bytes end before
 * it can tell, or the status that the request deserves. A byte that cannot stand where it stands is
 * refused as soon as it is there, and always before anything behind it: so the answer does not
 * depend on how the bytes were cut. Not here: what a field means (http1_fields.c). */
#include "proto/http1_parts.h"

#include <string.h>

enum {
	MORE = -1,
	VERSION_SIZE = 10, /* with CR LF */
};

struct cursor {
	const char *at;
	const char *end; /* of the bytes that are there, or of what a limit lets us look at */
};

/* "HTTP/1.1 CR LF", of which the first `n` bytes are there. */
static int check_version(const char *at, size_t n)
{
	static const char form[] = "HTTP/d.d\r\n";
	for (size_t i = 0; i < crew__min(n, sizeof(form) - 1); i++) {
		bool good = form[i] == 'd' ? at[i] >= '0' && at[i] <= '9' : at[i] == form[i];
		if (!good)
			return 400;
	}
	return 0;
}

static int read_version(struct cursor *c, int *ret_version)
{
	size_t n = (size_t)(c->end - c->at);
	if (crew__likely(n >= VERSION_SIZE && memcmp(c->at, "HTTP/1.1", 8) == 0 &&
			 memcmp(c->at + 8, "\r\n", 2) == 0)) {
		*ret_version = 11;
	} else {
		int status = check_version(c->at, n);
		if (status != 0)
			return status;
		if (n < VERSION_SIZE)
			return MORE;
		if (memcmp(c->at, "HTTP/1.0", 8) != 0)
			return 505;
		*ret_version = 10;
	}
	c->at += VERSION_SIZE;
	return 0;
}

static int read_method(struct cursor *c, crew_bytes *ret_method)
{
	const char *start = c->at;
	if (crew__likely(c->end - start > 4 && memcmp(start, "GET ", 4) == 0)) {
		*ret_method = (crew_bytes){ start, 3 };
		c->at = start + 4;
		return 0;
	}
	c->at = crew__http_skip(start, c->end, CREW__HTTP_TOKEN);
	if (c->at == c->end)
		return MORE;
	if (*c->at != ' ' || c->at == start)
		return 400;
	*ret_method = (crew_bytes){ start, (size_t)(c->at - start) };
	c->at++;
	return 0;
}

/* The target, and where its first `?` is. A fragment never comes over the wire. */
static int read_target(struct cursor *c, crew_request *r)
{
	const char *start = c->at;
	const char *stop = crew__http_skip_target(start, c->end);
	const char *mark = stop;
	while (stop < c->end && *stop == '?')
		stop = crew__http_skip_target(stop + 1, c->end);
	if (stop == c->end)
		return MORE;
	if (*stop != ' ' || stop == start)
		return 400;
	r->target = (crew_bytes){ start, (size_t)(stop - start) };
	r->path = (crew_bytes){ start, (size_t)(mark - start) };
	r->query = mark < stop ? (crew_bytes){ mark + 1, (size_t)(stop - mark) - 1 }
			       : (crew_bytes){ 0 };
	c->at = stop + 1;
	return 0;
}

/* CONNECT alone has a target of its own form. */
static bool is_connect(crew_bytes method)
{
	return *method.data == 'C' && method.len == 7 && memcmp(method.data, "CONNECT", 7) == 0;
}

static int read_line(struct cursor *c, crew_request *r)
{
	int status = read_method(c, &r->method);
	if (status == 0)
		status = read_target(c, r);
	if (status == 0)
		status = read_version(c, &r->version);
	if (status != 0)
		return status;
	if (crew__likely(r->target.data[0] == '/' && !is_connect(r->method)))
		return 0;
	return crew__http1_target(r);
}

static int read_request_line(struct cursor *c, crew_request *r)
{
	struct cursor line = *c;
	bool cut = line.end - line.at > CREW__HTTP_LINE_MAX;
	if (crew__unlikely(cut))
		line.end = line.at + CREW__HTTP_LINE_MAX;
	int status = read_line(&line, r);
	if (crew__unlikely(status == MORE && cut))
		return 414;
	c->at = line.at;
	return status;
}

/* One field. A line that begins with a space (obs-fold) has an empty name, and a space before the
 * colon is no token character: both are refused without being looked for. */
static int read_field(struct cursor *c, crew_header *ret_field)
{
	const char *name = c->at;
	const char *colon = crew__http_skip_plain(name, c->end, CREW__HTTP_TOKEN);
	if (crew__unlikely(colon == c->end))
		return MORE;
	if (crew__unlikely(*colon != ':' || colon == name))
		return 400;

	const char *value = colon + 1;
	while (value < c->end && (*value == ' ' || *value == '\t'))
		value++;
	const char *stop = crew__http_skip_value(value, c->end);
	if (crew__unlikely(stop == c->end))
		return MORE;
	if (crew__unlikely(*stop != '\r'))
		return 400;
	if (crew__unlikely(c->end - stop < 2))
		return MORE;
	if (crew__unlikely(stop[1] != '\n'))
		return 400;
	c->at = stop + 2;
	while (stop > value && (stop[-1] == ' ' || stop[-1] == '\t'))
		stop--;
	ret_field->name = (crew_bytes){ name, (size_t)(colon - name) };
	ret_field->value = (crew_bytes){ value, (size_t)(stop - value) };
	return 0;
}

/* The empty line that ends the head, or what else begins with a CR: 0, MORE or a status. */
static int read_end(struct cursor *c)
{
	if (c->end - c->at < 2)
		return MORE;
	if (c->at[1] != '\n')
		return 400;
	c->at += 2;
	return 0;
}

static int take_host(struct crew__http1_request *r, struct crew__http1_framing *f, crew_bytes value)
{
	if (crew__unlikely(f->has_host || !crew__http1_host(value, f->readable)))
		return 400;
	f->has_host = true;
	/* RFC 9112 3.2.2: the authority of an absolute target takes the place of this one. */
	if (crew__likely(r->public.host.len == 0))
		r->public.host = value;
	return 0;
}

static inline int take_field(
	struct crew__http1_request *r, struct crew__http1_framing *f, const crew_header *field)
{
	size_t len = field->name.len;
	if (len == 4 && crew__http_is_word(field->name, "host", 4))
		return take_host(r, f, field->value);
	if (len < 32 && (CREW__HTTP_KNOWN_LENGTHS >> len & 1) != 0)
		return crew__http1_field(r, f, field);
	return 0;
}

static int read_fields(
	struct cursor *c, struct crew__http1_request *r, struct crew__http1_framing *framing)
{
	size_t count = 0;
	for (;; count++) {
		if (crew__unlikely(c->at == c->end))
			return MORE;
		if (*c->at == '\r')
			break;
		if (crew__unlikely(count == CREW__HTTP_HEADERS_MAX))
			return 431;
		crew_header *field = &r->table[count];
		int status = read_field(c, field);
		if (crew__likely(status == 0))
			status = take_field(r, framing, field);
		if (crew__unlikely(status != 0))
			return status;
	}
	r->public.headers = r->table;
	r->public.header_count = count;
	return read_end(c);
}

/* What only the whole head can tell. RFC 9112 3.2 (Host), 6.1 and 6.3 (framing); RFC 9110 7.8 has
 * HTTP/1.0 never upgrade, and 10.1.1 has it never expect. */
static int judge(struct crew__http1_request *r, const struct crew__http1_framing *framing)
{
	bool modern = r->public.version == 11;
	if (modern && !framing->has_host)
		return 400;
	if (crew__unlikely(framing->has_coding)) {
		if (!modern || framing->has_length)
			return 400;
		if (framing->unknown_coding)
			return 501;
	}
	r->chunked = framing->has_coding;
	r->public.keep_alive = !framing->option_close && (modern || framing->option_keep_alive);
	if (crew__unlikely(framing->has_expectation)) {
		if (modern && framing->unknown_expectation)
			return 417;
		r->expect_continue = modern;
	}
	if (crew__unlikely(framing->upgrade_websocket && framing->option_upgrade && modern)) {
		/* Its body would be read as the new protocol's first bytes by whoever overlooks it.
		 */
		if (r->chunked || framing->length > 0)
			return 400;
		r->upgrade_websocket = true;
	}
	return 0;
}

/* All but what a whole head is bound to set. */
static void clear(struct crew__http1_request *r)
{
	r->public.host = (crew_bytes){ 0 };
	r->public.body = (crew_bytes){ 0 };
	r->public.trailers = NULL;
	r->public.trailer_count = 0;
	r->upgrade_websocket = false;
	r->expect_continue = false;
	r->ws_key = (crew_bytes){ 0 };
	r->ws_version = (crew_bytes){ 0 };
	r->ws_protocol = (crew_bytes){ 0 };
	r->ws_extensions = (crew_bytes){ 0 };
	r->ws_repeated = false;
}

int crew__http1_head(const char *data, size_t len, struct crew__http1_request *r,
	struct crew__http1_framing *ret_framing)
{
	size_t most = crew__http1_head_most(r);
	struct cursor c = { data, data + crew__min(len, most) };
	*ret_framing = (struct crew__http1_framing){ .readable = c.end };
	clear(r);
	/* RFC 9112 2.2: one empty line before the request line is forgiven. */
	if (crew__unlikely(data[0] == '\r' && len >= 2 && data[1] == '\n'))
		c.at += 2;
	int status = read_request_line(&c, &r->public);
	if (crew__unlikely(status == MORE && len > most))
		return -414;
	if (status == 0)
		status = read_fields(&c, r, ret_framing);
	if (status == 0)
		status = judge(r, ret_framing);
	if (status == MORE)
		return len > most ? -431 : 0;
	if (status != 0)
		return -status;
	r->head_only = r->public.method.len == 4 && memcmp(r->public.method.data, "HEAD", 4) == 0;
	return (int)(c.at - data);
}
