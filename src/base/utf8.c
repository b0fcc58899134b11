/* utf8.c - UTF-8 validation in pieces.
 *
 * The state between two pieces is 0 between characters; inside one it says how many bytes are
 * still to come (bits 0-7) and from which (8-15) to which value (16-23) the next one may go. Only
 * the second byte of a character has narrower bounds than 80..BF: there RFC 3629 forbids what would
 * be too long a form (E0, F0), a surrogate (ED) or beyond U+10FFFF (F4). So a wrong byte is refused
 * when it comes and not a byte later. Not here: decoding; nobody in crew needs the characters. */
#include "base/utf8.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define HIGH_BITS UINT64_C(0x8080808080808080)

static inline bool is_tail(unsigned byte)
{
	return (byte & 0xC0) == 0x80;
}

static inline uint32_t expect(unsigned count, unsigned from, unsigned to)
{
	return count | from << 8 | to << 16;
}

/* The state after a first byte of 80 and above; 0 when no character begins with it. */
static uint32_t begin(unsigned byte)
{
	switch (byte) {
	case 0xE0:
		return expect(2, 0xA0, 0xBF);
	case 0xED:
		return expect(2, 0x80, 0x9F);
	case 0xF0:
		return expect(3, 0x90, 0xBF);
	case 0xF4:
		return expect(3, 0x80, 0x8F);
	default:
		break;
	}
	if (byte < 0xC2 || byte > 0xF4)
		return 0;
	return expect(byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3, 0x80, 0xBF);
}

/* Byte by byte through one character, as far as there are bytes. NULL at a wrong one. */
static const unsigned char *go_on(
	uint32_t *state, const unsigned char *at, const unsigned char *end)
{
	uint32_t now = *state;
	for (; now != 0 && at < end; at++) {
		if (*at < (now >> 8 & 0xFF) || *at > now >> 16)
			return NULL;
		unsigned count = (now & 0xFF) - 1;
		now = count ? expect(count, 0x80, 0xBF) : CREW__UTF8_START;
	}
	*state = now;
	return at;
}

/* The length of the character at `at`, of which four bytes can be read; 0 when it is none. */
static inline size_t character(const unsigned char *at)
{
	unsigned a = at[0], b = at[1], c = at[2];
	if (!is_tail(b))
		return 0;
	if (a < 0xE0)
		return a >= 0xC2 ? 2 : 0;
	if (!is_tail(c))
		return 0;
	if (a < 0xF0)
		return (a == 0xE0 && b < 0xA0) || (a == 0xED && b > 0x9F) ? 0 : 3;
	if (a > 0xF4 || (a == 0xF0 && b < 0x90) || (a == 0xF4 && b > 0x8F))
		return 0;
	return is_tail(at[3]) ? 4 : 0;
}

/* Over characters of three bytes, which most of Asia writes. Stops where it cannot tell. */
static inline const unsigned char *skip_threes(const unsigned char *at, const unsigned char *end)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	while (end - at >= 4) {
		uint32_t word;
		memcpy(&word, at, sizeof(word));
		/* 1110xxxx 10yxxxxx 10xxxxxx; xxxx 0 with y 0 is too long a form, xxxx D with y 1 a
		 * surrogate. */
		uint32_t lead = word & 0x200F;
		if ((word & 0xC0C0F0) != 0x8080E0 || lead == 0 || lead == 0x200D)
			break;
		at += 3;
	}
#else
	(void)end;
#endif
	return at;
}

/* The first byte of 80 and above, or `end`. */
static inline const unsigned char *skip_ascii(const unsigned char *at, const unsigned char *end)
{
#ifdef __SSE2__
	while (end - at >= 16) {
		__m128i block = _mm_loadu_si128((const __m128i *)(const void *)at);
		unsigned high = (unsigned)_mm_movemask_epi8(block);
		if (high)
			return at + __builtin_ctz(high);
		at += 16;
	}
#endif
	while (end - at >= 8) {
		uint64_t word;
		memcpy(&word, at, sizeof(word));
		if (word & HIGH_BITS)
			break;
		at += 8;
	}
	while (at < end && *at < 0x80)
		at++;
	return at;
}

bool crew__utf8_feed(uint32_t *state, const char *data, size_t len)
{
	if (len == 0)
		return true;
	const unsigned char *at = (const unsigned char *)data;
	const unsigned char *end = at + len;

	if (*state != CREW__UTF8_START) {
		at = go_on(state, at, end);
		if (!at)
			return false;
	}
	while ((at = skip_ascii(at, end)) < end) {
		while (end - at >= 4 && *at >= 0x80) {
			size_t length = character(at);
			if (length == 0)
				return false;
			at += length;
			if (length == 3)
				at = skip_threes(at, end);
		}
		if (end - at >= 4)
			continue;
		/* Too near the end to look ahead: the character may go on in the next piece. */
		if (at < end && *at >= 0x80) {
			*state = begin(*at);
			if (*state == 0)
				return false;
			at = go_on(state, at + 1, end);
			if (!at)
				return false;
		}
	}
	return true;
}

bool crew__utf8_valid(crew_bytes bytes)
{
	uint32_t state = CREW__UTF8_START;
	return crew__utf8_feed(&state, bytes.data, bytes.len) && state == CREW__UTF8_START;
}
