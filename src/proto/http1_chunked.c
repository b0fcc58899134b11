/* http1_chunked.c - the chunked coding (RFC 9112 7.1), decoded where it lies.
 *
 * Each byte is looked at once, however they come: the state says what the next one may be.
 *
 *   SIZE ─▸ [BLANK ─▸] [EXTENSION ─▸] SIZE_LF ─▸ DATA ─▸ DATA_CR ─▸ DATA_LF ─▸ SIZE ...
 *                                        └─ size 0 ─▸ LINE ─▸ NAME ─▸ VALUE ─▸ VALUE_LF ─▸ LINE ...
 *                                                       └─▸ LAST_LF ─▸ done
 *
 * Extensions are checked for their characters, bounded and dropped: nothing of them reaches a
 * program. Trailers are checked and bounded here, and stay together for http1_trailers.c. The limit
 * of a body is applied where a size is announced; `room` is how much of it may still come. */
#include "base/check.h"
#include "proto/http1_parts.h"

#include <string.h>

enum state {
	SIZE,      /* hexadecimal digits; chunk_line counts them */
	BLANK,     /* space before a semicolon */
	EXTENSION, /* from a semicolon to the line's end */
	SIZE_LF,
	DATA,
	DATA_CR,
	DATA_LF,
	LINE, /* at the start of a trailer, or of the empty line at the end */
	NAME,
	VALUE,
	VALUE_LF,
	LAST_LF,
};

static int go(struct crew__http1 *p, enum state next)
{
	p->chunk_state = (uint8_t)next;
	return 0;
}

static int expect(struct crew__http1 *p, char c, char wanted, enum state next)
{
	return c == wanted ? go(p, next) : 400;
}

static int end_size(struct crew__http1 *p, char c)
{
	if (p->chunk_line == 0)
		return 400;
	switch (c) {
	case '\r':
		return go(p, SIZE_LF);
	case ';':
		return go(p, EXTENSION);
	case ' ':
	case '\t':
		return go(p, BLANK);
	default:
		return 400;
	}
}

/* A size is refused with the digit that makes it too large, before any of its bytes is taken. */
static int on_size(struct crew__http1 *p, char c, uint64_t room)
{
	int value = crew__http_hex(c);
	if (value < 0)
		return end_size(p, c);
	if (p->length > UINT64_MAX >> 4)
		return 413;
	p->length = p->length << 4 | (uint64_t)value;
	return p->length > room ? 413 : 0;
}

static int on_blank(struct crew__http1 *p, char c)
{
	if (c == ';')
		return go(p, EXTENSION);
	return c == ' ' || c == '\t' ? 0 : 400;
}

static int on_extension(struct crew__http1 *p, char c)
{
	if (c == '\r')
		return go(p, SIZE_LF);
	return crew__http_is(c, CREW__HTTP_VALUE) ? 0 : 400;
}

static int on_size_lf(struct crew__http1 *p, char c)
{
	p->chunk_line = 0;
	return expect(p, c, '\n', p->length > 0 ? DATA : LINE);
}

static int on_line(struct crew__http1 *p, char c)
{
	if (c == '\r')
		return go(p, LAST_LF);
	if (!crew__http_is(c, CREW__HTTP_TOKEN))
		return 400;
	if (p->fields == CREW__HTTP_HEADERS_MAX)
		return 431;
	p->fields++;
	return go(p, NAME);
}

static int on_name(struct crew__http1 *p, char c)
{
	if (c == ':')
		return go(p, VALUE);
	return crew__http_is(c, CREW__HTTP_TOKEN) ? 0 : 400;
}

static int on_value(struct crew__http1 *p, char c)
{
	if (c == '\r')
		return go(p, VALUE_LF);
	return crew__http_is(c, CREW__HTTP_VALUE) ? 0 : 400;
}

/* One byte of a size line. */
static int on_size_byte(struct crew__http1 *p, char c, uint64_t room)
{
	if (p->chunk_line == CREW__HTTP_CHUNK_LINE_MAX)
		return 400;
	int status = 0;
	switch ((enum state)p->chunk_state) {
	case SIZE:
		status = on_size(p, c, room);
		break;
	case BLANK:
		status = on_blank(p, c);
		break;
	default:
		status = on_extension(p, c);
		break;
	}
	p->chunk_line++;
	return status;
}

/* One byte of the trailers. */
static int on_trailer_byte(struct crew__http1 *p, char c)
{
	if (p->chunk_line == CREW__HTTP_TRAILER_MAX)
		return 431;
	p->chunk_line++;
	switch ((enum state)p->chunk_state) {
	case LINE:
		return on_line(p, c);
	case NAME:
		return on_name(p, c);
	case VALUE:
		return on_value(p, c);
	default:
		return expect(p, c, '\n', LINE);
	}
}

/* One byte of the coding. 0 or a status. */
static int on_byte(struct crew__http1 *p, char c, uint64_t room)
{
	switch ((enum state)p->chunk_state) {
	case SIZE:
	case BLANK:
	case EXTENSION:
		return on_size_byte(p, c, room);
	case SIZE_LF:
		return on_size_lf(p, c);
	case DATA_CR:
		return expect(p, c, '\r', DATA_LF);
	case DATA_LF:
		return expect(p, c, '\n', SIZE);
	default:
		return on_trailer_byte(p, c);
	}
}

static void take(struct crew__http1 *p, size_t n)
{
	p->length -= n;
	if (p->length == 0)
		p->chunk_state = DATA_CR;
}

static bool in_trailers(const struct crew__http1 *p)
{
	return p->chunk_state >= LINE;
}

/* Close the gap that the coding before these bytes left. Returns how many were taken. */
static size_t take_data(struct crew__http1 *p, char *body, const char *from, size_t there)
{
	size_t n = there < p->length ? there : (size_t)p->length;
	if (from != body + p->body)
		memmove(body + p->body, from, n);
	p->body += (uint32_t)n;
	take(p, n);
	return n;
}

size_t crew__http1_decoded(const struct crew__http1 *p)
{
	return (size_t)p->body + (in_trailers(p) ? p->chunk_line : 0);
}

/* Without the CR of the empty line behind them. */
static crew_bytes trailers_at(const struct crew__http1 *p, const char *at)
{
	return (crew_bytes){ at, (size_t)p->chunk_line - 1 };
}

int crew__http1_chunked(
	struct crew__http1 *p, char *body, size_t len, size_t max_message, crew_bytes *ret_trailers)
{
	size_t at = p->chunk_in;
	while (at < len) {
		if (p->chunk_state == DATA) {
			at += take_data(p, body, body + at, len - at);
			continue;
		}
		char c = body[at++];
		if (p->chunk_state == LAST_LF) {
			p->chunk_in = (uint32_t)at;
			*ret_trailers = trailers_at(p, body + p->body);
			return c == '\n' ? 1 : -400;
		}
		if (in_trailers(p))
			body[crew__http1_decoded(p)] = c;
		int status = on_byte(p, c, max_message - p->body);
		if (status != 0)
			return -status;
	}
	p->chunk_in = (uint32_t)at;
	return 0;
}

/* Trailers are only consumed when they are complete, so `data` begins with them, and what has been
 * looked through of them is not looked at again. */
int crew__http1_chunked_part(struct crew__http1 *p, char *data, size_t len, uint64_t room,
	crew_bytes *ret_part, size_t *ret_consumed)
{
	size_t at = in_trailers(p) ? p->chunk_line : 0;
	crew__must(at <= len);
	while (at < len) {
		if (p->chunk_state == DATA) {
			size_t n = len - at < p->length ? len - at : (size_t)p->length;
			*ret_part = (crew_bytes){ data + at, n };
			*ret_consumed = at + n;
			take(p, n);
			return 0;
		}
		char c = data[at++];
		if (p->chunk_state == LAST_LF) {
			*ret_part = trailers_at(p, data + *ret_consumed);
			*ret_consumed = at;
			return c == '\n' ? 1 : -400;
		}
		int status = on_byte(p, c, room);
		if (status != 0)
			return -status;
		if (!in_trailers(p) || p->chunk_line == 0)
			*ret_consumed = at;
	}
	return 0;
}
