/* http_gzip.c - whole answers, compressed: when both sides deserve it.
 *
 * The client: it accepts gzip. The answer: text or what is like it, at least `gzip` bytes, and at
 * most 1 MiB, as nothing else runs in the worker meanwhile (measured at level 6: 10 ms for a
 * mebibyte of JSON, 20 for prose); and the program says nothing against it: `plain`, a coding of
 * its own, `Cache-Control: no-transform`, a part of a whole, or a strong ETag, which promises these
 * very bytes (RFC 9110 section 8.8.1). What is not made shorter stays as it is.
 *
 * A page over TLS that shows what a stranger sent beside a secret (a token in a form) should be
 * `plain`, as its compressed length tells of the secret when the two are alike (BREACH). */
#include "service/http.h"

#include "web/accept.h"

#include <libdeflate.h>
#include <stdlib.h>

enum {
	LEVEL = 6,
	LONGEST = 1024 * 1024,
	SAVED_LEAST = 16, /* one byte of so many */
};

static size_t least(const crew_worker *w)
{
	return w->settings->gzip > 0 ? (size_t)w->settings->gzip : SIZE_MAX;
}

/* ---- the client ---------------------------------------------------------------------------- */

void crew__gzip_note(struct crew__exchange *e)
{
	crew_worker *w = crew__worker_of(e->conn);
	const struct crew__request_side *side = e->side;
	if (e->codings_known || !side || w->settings->gzip <= 0 || e->answer != CREW__ANSWER_DUE)
		return;
	const crew_request *r = &w->request.public;
	if (side != &w->http->side)
		r = &crew__container_of(side, const struct crew__kept, side)->request.public;
	e->accepts_gzip = crew__accept_coding(r->headers, r->header_count, "gzip") > 0;
	e->codings_known = true;
}

/* ---- the answer ---------------------------------------------------------------------------- */

static bool begins_with(crew_bytes text, const char *prefix)
{
	size_t len = strlen(prefix);
	return text.len >= len && crew__http_same((crew_bytes){ text.data, len }, crew_str(prefix));
}

static bool says_no_transform(crew_bytes value)
{
	static const char word[] = "no-transform";
	for (size_t i = 0; i + sizeof(word) - 1 <= value.len; i++)
		if (begins_with((crew_bytes){ value.data + i, value.len - i }, word))
			return true;
	return false;
}

bool crew__gzip_forbidden(crew_bytes name, crew_bytes value)
{
	if (crew__http_same_word(name, "Content-Encoding") ||
		crew__http_same_word(name, "Content-Range"))
		return true;
	if (crew__http_same_word(name, "Cache-Control"))
		return says_no_transform(value);
	return crew__http_same_word(name, "ETag") && !begins_with(value, "W/");
}

/* Is a type worth it? Its parameters do not matter. */
static bool is_text(crew_bytes type)
{
	static const char *const types[] = { "application/json", "application/javascript",
		"application/xml", "application/x-javascript", "application/wasm",
		"application/x-ndjson", "application/manifest", "application/graphql",
		"application/vnd.ms-fontobject", "font/ttf", "font/otf", "image/svg", "image/bmp",
		"image/x-icon", "text/" };
	for (size_t i = 0; i < crew__lengthof(types); i++)
		if (begins_with(type, types[i]))
			return true;
	const char *end = type.len > 0 ? memchr(type.data, ';', type.len) : NULL;
	size_t len = end ? (size_t)(end - type.data) : type.len;
	while (len > 0 && type.data[len - 1] == ' ')
		len--;
	for (const char *suffix = "+json\0+xml\0"; *suffix; suffix += strlen(suffix) + 1) {
		size_t n = strlen(suffix);
		if (len > n && begins_with((crew_bytes){ type.data + len - n, n }, suffix))
			return true;
	}
	return false;
}

/* Its type and its fields, nothing else. Without a type it is text/plain. */
static bool deserves(const struct crew__exchange *e, const crew_response *r)
{
	crew_bytes type = r->type ? crew_str(r->type) : CREW_BYTES("text/plain");
	if (e->as_it_is)
		return false;
	for (size_t i = 0; i < r->header_count; i++) {
		if (crew__gzip_forbidden(r->headers[i].name, r->headers[i].value))
			return false;
		if (crew__http_same_word(r->headers[i].name, "Content-Type"))
			type = r->headers[i].value;
	}
	return is_text(type);
}

static bool may_be_changed(const crew_worker *w, const crew_response *r)
{
	int status = r->status;
	bool whole = status != 204 && status != 205 && status != 206 && status != 304;
	return !r->plain && whole && r->body.len >= least(w) && r->body.len <= LONGEST;
}

/* The body in the worker's memory, or false: it is not worth it, or there is no memory. */
static bool compress(crew_worker *w, crew_bytes *body)
{
	size_t room = body->len - body->len / SAVED_LEAST;
	char *text = crew__answer_text(w, room);
	if (!w->http->gzip)
		w->http->gzip = libdeflate_alloc_compressor(LEVEL);
	if (!text || !w->http->gzip)
		return false;
	size_t len = libdeflate_gzip_compress(w->http->gzip, body->data, body->len, text, room);
	if (len > 0)
		*body = (crew_bytes){ text, len };
	return len > 0;
}

/* A cache must know that other clients get something else, whoever asked first. */
bool crew__gzip(struct crew__exchange *e, crew_response *response)
{
	crew_worker *w = crew__worker_of(e->conn);
	if (!may_be_changed(w, response) || !deserves(e, response))
		return false;
	if (crew_reply_header(e->conn, "Vary", CREW_BYTES("Accept-Encoding")) < 0)
		return false;
	crew_bytes body = response->body;
	crew__gzip_note(e);
	if (e->accepts_gzip && compress(w, &body) &&
		crew_reply_header(e->conn, "Content-Encoding", CREW_BYTES("gzip")) == 0)
		response->body = body;
	return true;
}

void crew__gzip_free(crew_worker *w)
{
	libdeflate_free_compressor(w->http->gzip);
	w->http->gzip = NULL;
}
