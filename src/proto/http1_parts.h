/* http1_parts.h - what the files of the HTTP/1 parser share, and nobody else includes.
 *
 * http1.c          when to parse, what frames the body, what is done with
 * http1_head.c     request line and fields
 * http1_target.c   forms of the target, the host
 * http1_fields.c   the fields that the parser itself obeys
 * http1_chunked.c  the chunked coding
 * http1_trailers.c which fields behind it are told
 * http1_chars.c    the table of character classes
 * http1_reply.c    the other direction */
#ifndef CREW_PROTO_HTTP1_PARTS_H
#define CREW_PROTO_HTTP1_PARTS_H

#include "proto/http1.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum {
	CREW__HTTP_CHUNK_LINE_MAX = 1024, /* a longer chunk-size line: 400 */
};

/* Classes of characters. */
enum {
	CREW__HTTP_TOKEN = 1,  /* RFC 9110 5.6.2 */
	CREW__HTTP_TARGET = 2, /* visible ASCII but `?` and `#` */
	CREW__HTTP_VALUE = 4,  /* within a field's value: no control character but tab */
	CREW__HTTP_HOST = 8,   /* RFC 3986 reg-name, without the comma and the percent sign */
};

extern const uint8_t crew__http_class[256];

static inline bool crew__http_is(char c, unsigned class)
{
	return (crew__http_class[(unsigned char)c] & class) != 0;
}

static inline const char *crew__http_skip(const char *at, const char *end, unsigned class)
{
	while (at < end && crew__http_is(*at, class))
		at++;
	return at;
}

/* As crew__http_skip, of a class that letters, digits, `-` and `.` belong to, which is what names
 * and hosts are made of but for a few. */
static inline const char *crew__http_skip_plain(const char *at, const char *end, unsigned class)
{
#ifdef __SSE2__
	while (end - at >= 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)at);
		__m128i letter = _mm_sub_epi8(
			_mm_or_si128(v, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
		__m128i other = _mm_sub_epi8(v, _mm_set1_epi8('-')); /* to `9`, with the slash */
		__m128i slash = _mm_cmpeq_epi8(v, _mm_set1_epi8('/'));
		letter = _mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(25)), letter);
		other = _mm_cmpeq_epi8(_mm_min_epu8(other, _mm_set1_epi8('9' - '-')), other);
		__m128i plain = _mm_or_si128(letter, _mm_andnot_si128(slash, other));
		unsigned mask = (unsigned)_mm_movemask_epi8(plain) ^ 0xFFFF;
		if (mask) {
			at += __builtin_ctz(mask);
			break;
		}
		at += 16;
	}
#endif
	return crew__http_skip(at, end, class);
}

/* The first byte that is not of CREW__HTTP_TARGET, or `end`. */
static inline const char *crew__http_skip_target(const char *at, const char *end)
{
#ifdef __SSE2__
	while (end - at >= 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)at);
		/* Signed: bytes of 80 and above are below the space too. */
		__m128i good = _mm_cmpgt_epi8(v, _mm_set1_epi8(' '));
		__m128i stop = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8(0x7F)),
			_mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('?')),
				_mm_cmpeq_epi8(v, _mm_set1_epi8('#'))));
		unsigned mask = (unsigned)_mm_movemask_epi8(_mm_andnot_si128(stop, good)) ^ 0xFFFF;
		if (mask)
			return at + __builtin_ctz(mask);
		at += 16;
	}
#endif
	return crew__http_skip(at, end, CREW__HTTP_TARGET);
}

/* The first byte that is not of CREW__HTTP_VALUE, or `end`. */
static inline const char *crew__http_skip_value(const char *at, const char *end)
{
#ifdef __SSE2__
	while (end - at >= 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)at);
		__m128i low = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1F)), v);
		__m128i tab = _mm_cmpeq_epi8(v, _mm_set1_epi8('\t'));
		__m128i stop = _mm_or_si128(
			_mm_andnot_si128(tab, low), _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7F)));
		unsigned mask = (unsigned)_mm_movemask_epi8(stop);
		if (mask)
			return at + __builtin_ctz(mask);
		at += 16;
	}
#endif
	return crew__http_skip(at, end, CREW__HTTP_VALUE);
}

/* What the fields say of the message that they stand before. */
struct crew__http1_framing {
	const char *readable; /* the end of the bytes that are there */
	uint64_t length;      /* Content-Length */
	bool has_length;
	bool has_coding;     /* a Transfer-Encoding was there */
	bool unknown_coding; /* ... with another coding before chunked */
	bool has_expectation;
	bool unknown_expectation;
	bool has_host;
	bool option_close, option_keep_alive, option_upgrade; /* of Connection */
	bool upgrade_websocket;                               /* in Upgrade */
};

/* Parse the head at the start of `data`, which is not empty: its length, 0 when it goes on behind
 * `len`, or the status that it deserves, negative. The same answer comes for the same bytes however
 * many follow: a wrong byte is found when it is there, and only what the head as a whole lacks is
 * found at its end. */
int crew__http1_head(const char *data, size_t len, struct crew__http1_request *request,
	struct crew__http1_framing *ret_framing);

static inline size_t crew__http1_head_most(const struct crew__http1_request *request)
{
	return request->max_head ? request->max_head : CREW__HTTP_HEAD_MAX;
}

/* The lengths of the names of the fields that crew__http1_field knows, a bit for each. */
#define CREW__HTTP_KNOWN_LENGTHS \
	(1u << 6 | 1u << 7 | 1u << 10 | 1u << 14 | 1u << 17 | 1u << 21 | 1u << 22 | 1u << 24)

/* Take note of a field other than Host that matters to the parser. 0 or the status that it
 * deserves. */
int crew__http1_field(struct crew__http1_request *request, struct crew__http1_framing *framing,
	const crew_header *field);

/* Split a target that is not in origin form (that is, does not begin with a slash) into path, query
 * and host. 0; 400 when it is of no form that goes with the method; 501: a good one of CONNECT, as
 * this is no proxy, and whoever answered 2xx would have made a tunnel (RFC 9110 9.3.6). */
int crew__http1_target(crew_request *request);

/* HOST or HOST:PORT as in RFC 9110 7.2, not empty. Behind it a byte that no host has, or nothing;
 * up to `readable` it may be looked at, which a wide load likes. */
bool crew__http1_host(crew_bytes host, const char *readable);

/* Decode what has come of a chunked body, in place: `body` is where it begins, `len` how much is
 * there. Trailers are left right behind the decoded bytes. 1: complete, `ret_trailers` has them; 0:
 * not yet; or the status, negative. */
int crew__http1_chunked(struct crew__http1 *p, char *body, size_t len, size_t max_message,
	crew_bytes *ret_trailers);

/* How many bytes that leaves of what it has seen: body, and trailers so far. */
size_t crew__http1_decoded(const struct crew__http1 *p);

/* Take what has come of the coding up to the next bytes of data, of which `ret_part` is a view,
 * empty when there are none yet; `room` is how many may still come. 1: complete, `ret_part` has the
 * trailers; 0: not yet; or the status, negative. */
int crew__http1_chunked_part(struct crew__http1 *p, char *data, size_t len, uint64_t room,
	crew_bytes *ret_part, size_t *ret_consumed);

static inline uint64_t crew__http_word8(const char *at)
{
	uint64_t word;
	memcpy(&word, at, sizeof(word));
	return word | UINT64_C(0x2020202020202020);
}

static inline uint32_t crew__http_word4(const char *at)
{
	uint32_t word;
	memcpy(&word, at, sizeof(word));
	return word | UINT32_C(0x20202020);
}

/* `text`, of what may stand in a field's name or value, is `lower` (in lower case: letters, digits,
 * hyphens; at least four). Among these characters, 20 set or not tells only the case of letters;
 * the others have it, and what would come to look like them are control characters. */
static inline bool crew__http_is_word(crew_bytes text, const char *lower, size_t len)
{
	if (text.len != len)
		return false;
	if (len < 8)
		return crew__http_word4(text.data) == crew__http_word4(lower) &&
		       crew__http_word4(text.data + len - 4) == crew__http_word4(lower + len - 4);
	for (size_t i = 0; i + 8 < len; i += 8)
		if (crew__http_word8(text.data + i) != crew__http_word8(lower + i))
			return false;
	return crew__http_word8(text.data + len - 8) == crew__http_word8(lower + len - 8);
}

#endif
