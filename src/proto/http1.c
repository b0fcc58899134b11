/* http1.c - from bytes to a request: when to parse the head, what frames the body, when it is done.
 *
 * A head that came whole is parsed at once and looked at once. One that came in pieces is only
 * searched for its end, from where the last search stopped, and parsed when something is decided:
 * the end, a bare LF, a limit, or the first line's end (so that nonsense is refused before its
 * sender thinks of an empty line). That is at most four parses however many pieces there are.
 *
 *   scanned == 0 ─▸ searching (head == 0) ─▸ head > 0, waiting for the body ─▸ request, all zero
 *
 * The views of a request are good for one call, so a head whose body came later is parsed again.
 * Not here: the grammar of the head (http1_head.c) and of chunks (http1_chunked.c). */
#include "proto/http1.h"

#include "base/check.h"
#include "proto/http1_parts.h"

#include <string.h>

enum {
	CHUNKED = 1,  /* the body's framing */
	SEARCHED = 2, /* the head in pieces has been parsed once since its first line ended */
};

/* So that offsets and lengths fit 32 bits, with room for the coding of chunks. */
#define BODY_MAX ((size_t)INT32_MAX)

/* What has come is at most the empty line that is forgiven before a request. */
static bool nothing_yet(const char *data, size_t len)
{
	return len == 0 || (len <= 2 && memcmp(data, "\r\n", len) == 0);
}

/* Look through what is new for a reason to parse. */
static bool is_decided(struct crew__http1 *p, const char *data, size_t len, size_t most)
{
	bool searched = (p->flags & SEARCHED) != 0;
	const char *end = data + len;
	const char *lf = data + p->scanned;
	while (lf < end && (lf = memchr(lf, '\n', (size_t)(end - lf))) != NULL) {
		size_t at = (size_t)(lf - data);
		bool bare = at == 0 || lf[-1] != '\r';
		if (bare || !searched || (at >= 2 && lf[-2] == '\n')) {
			p->flags |= SEARCHED;
			return true;
		}
		lf++;
	}
	p->scanned = (uint32_t)len;
	if (!searched && len > CREW__HTTP_LINE_MAX) {
		p->flags |= SEARCHED;
		return true;
	}
	return len > most;
}

/* The head is whole: what will its body be? */
static void frame_body(struct crew__http1 *p, size_t head, const struct crew__http1_request *r,
	const struct crew__http1_framing *framing)
{
	*p = (struct crew__http1){
		.length = framing->length,
		.head = (uint32_t)head,
		.flags = framing->has_coding ? CHUNKED : 0,
		.fields = (uint8_t)r->public.header_count,
	};
}

/* 1: the head is whole; 0: not yet; or a status, negative. */
static int take_head(
	struct crew__http1 *p, const char *data, size_t len, struct crew__http1_request *r)
{
	if (p->scanned != 0) {
		if (!is_decided(p, data, len, crew__http1_head_most(r)))
			return 0;
	} else if (nothing_yet(data, len)) {
		return 0;
	}
	struct crew__http1_framing framing;
	int head = crew__http1_head(data, len, r, &framing);
	if (head < 0)
		return head;
	if (head == 0) {
		p->scanned = (uint32_t)len;
		return 0;
	}
	frame_body(p, (size_t)head, r, &framing);
	return 1;
}

/* As take_head, of the body. */
static int take_body(
	struct crew__http1 *p, char *data, size_t len, size_t max, crew_bytes *ret_trailers)
{
	size_t there = len - p->head;
	if (crew__likely(!(p->flags & CHUNKED)))
		return p->length > max ? -413 : there >= p->length;
	if (there > BODY_MAX)
		return -413;
	return crew__http1_chunked(p, data + p->head, there, max, ret_trailers);
}

/* The views of a request whose head was parsed in an earlier call. */
static void parse_again(
	const struct crew__http1 *p, const char *data, struct crew__http1_request *r)
{
	struct crew__http1_framing framing;
	int head = crew__http1_head(data, p->head, r, &framing);
	crew__must(head == (int)p->head);
}

/* They take what the head has left of the table. */
static void tell_trailers(struct crew__http1_request *r, crew_bytes section)
{
	size_t used = r->public.header_count;
	crew_header *rest = r->table + used;
	r->public.trailers = rest;
	r->public.trailer_count = crew__http1_trailers(
		section, rest, CREW__HTTP_HEADERS_MAX - used);
}

static enum crew__http1_result complete(struct crew__http1 *p, const char *data,
	struct crew__http1_request *r, size_t *ret_consumed)
{
	bool chunked = p->flags & CHUNKED;
	r->public.body = (crew_bytes){ data + p->head, chunked ? p->body : (size_t)p->length };
	*ret_consumed = p->head + (chunked ? p->chunk_in : (size_t)p->length);
	*p = (struct crew__http1){ 0 };
	return CREW__HTTP_REQUEST;
}

static enum crew__http1_result refuse(int status, int *ret_status)
{
	*ret_status = -status;
	return CREW__HTTP_BAD;
}

enum crew__http1_result crew__http1_feed(struct crew__http1 *p, char *data, size_t len,
	size_t max_message, struct crew__http1_request *request, size_t *ret_consumed,
	int *ret_status)
{
	size_t max = crew__min(max_message, BODY_MAX);
	bool fresh = p->head == 0;
	if (fresh) {
		int head = take_head(p, data, len, request);
		if (head < 0)
			return refuse(head, ret_status);
		if (head == 0)
			return CREW__HTTP_MORE;
	}
	crew_bytes trailers = { NULL, 0 };
	int body = take_body(p, data, len, max, &trailers);
	if (body < 0)
		return refuse(body, ret_status);
	if (body == 0)
		return fresh ? CREW__HTTP_HEAD : CREW__HTTP_MORE;
	if (!fresh)
		parse_again(p, data, request);
	if (trailers.len > 0)
		tell_trailers(request, trailers);
	return complete(p, data, request, ret_consumed);
}

enum crew__http1_result crew__http1_begin(struct crew__http1 *p, char *data, size_t len,
	struct crew__http1_request *request, size_t *ret_consumed, int *ret_status)
{
	crew__must(p->head == 0);
	int head = take_head(p, data, len, request);
	if (crew__unlikely(head < 0))
		return refuse(head, ret_status);
	if (head == 0)
		return CREW__HTTP_MORE;
	if (crew__likely(p->length == 0 && !(p->flags & CHUNKED)))
		return complete(p, data, request, ret_consumed);
	request->public.body = (crew_bytes){ data + p->head, 0 };
	*ret_consumed = p->head;
	return CREW__HTTP_HEAD;
}

/* As crew__http1_chunked_part, of a body whose length is known. */
static int part_of_length(struct crew__http1 *p, char *data, size_t len, uint64_t room,
	crew_bytes *ret_part, size_t *ret_consumed)
{
	if (p->length > room)
		return -413;
	if (p->length == 0)
		return 1;
	size_t n = len < p->length ? len : (size_t)p->length;
	p->length -= n;
	*ret_part = (crew_bytes){ data, n };
	*ret_consumed = n;
	return 0;
}

enum crew__http1_result crew__http1_part(struct crew__http1 *p, char *data, size_t len,
	uint64_t max, crew_bytes *ret_part, size_t *ret_consumed, int *ret_status)
{
	*ret_consumed = 0;
	*ret_part = (crew_bytes){ data, 0 };
	if (p->taken > max)
		return refuse(-413, ret_status);
	uint64_t room = max - p->taken;
	int result = p->flags & CHUNKED
			     ? crew__http1_chunked_part(p, data, len, room, ret_part, ret_consumed)
			     : part_of_length(p, data, len, room, ret_part, ret_consumed);
	if (result < 0)
		return refuse(result, ret_status);
	if (result > 0) {
		*p = (struct crew__http1){ 0 };
		return CREW__HTTP_REQUEST;
	}
	p->taken += ret_part->len;
	return ret_part->len > 0 ? CREW__HTTP_PART : CREW__HTTP_MORE;
}

bool crew__http1_ended(struct crew__http1 *p)
{
	if ((p->flags & CHUNKED) || p->length > 0)
		return false;
	*p = (struct crew__http1){ 0 };
	return true;
}

/* All behind what was decoded has been looked at already. Moving the rest only when the
 * gap is as large makes the gap's bytes pay for it: each byte that came pays once. */
size_t crew__http1_squeeze(struct crew__http1 *p, char *data, size_t len)
{
	if (!(p->flags & CHUNKED))
		return 0;
	size_t kept = (size_t)p->head + crew__http1_decoded(p);
	size_t gap = len - kept;
	if (gap < kept)
		return 0;
	memmove(data + gap, data, kept);
	p->chunk_in = (uint32_t)(kept - p->head);
	return gap;
}

bool crew__http1_idle(const struct crew__http1 *p)
{
	return p->scanned == 0 && p->head == 0;
}
