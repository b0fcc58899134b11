/* line.c - cutting lines and length-prefixed frames.
 *
 * Not here: what is put around a body on its way out; that is a constant (LF) and four bytes, and
 * lives where messages are framed. */
#include "proto/line.h"

#include <string.h>

enum {
	FRAME_HEADER = 4
};

/* The body of a line of `len` bytes before its LF, of which `len` may be all that has come. */
static size_t line_body(const char *line, size_t len)
{
	return len > 0 && line[len - 1] == '\r' ? len - 1 : len;
}

int64_t crew__text_cut(crew_bytes in, size_t max_message, uint32_t *scanned, crew_bytes *ret_body)
{
	if (in.len <= *scanned)
		return 0;
	const char *end = memchr(in.data + *scanned, '\n', in.len - *scanned);
	size_t line = end ? (size_t)(end - in.data) : in.len;
	/* A CR at the end of what has come may yet be part of the line's end: the body is bound to
	 * be too long only without it. */
	size_t body = line_body(in.data, line);
	if (body > max_message)
		return -EMSGSIZE;
	if (!end) {
		*scanned = (uint32_t)crew__min(in.len, UINT32_MAX);
		return 0;
	}
	*scanned = 0;
	*ret_body = (crew_bytes){ in.data, body };
	return (int64_t)line + 1;
}

int64_t crew__frame_cut(crew_bytes in, size_t max_message, crew_bytes *ret_body)
{
	if (in.len < FRAME_HEADER)
		return 0;
	const unsigned char *head = (const unsigned char *)in.data;
	size_t total = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 |
		       head[3];
	if (total < FRAME_HEADER)
		return -EPROTO;
	if (total - FRAME_HEADER > max_message)
		return -EMSGSIZE;
	if (in.len < total)
		return 0;
	*ret_body = (crew_bytes){ in.data + FRAME_HEADER, total - FRAME_HEADER };
	return (int64_t)total;
}
