/* ws_mask.c - unmasking by 64, 16, 8 and 4 bytes, then what is left.
 *
 * The mask has four bytes and every step before the last is a multiple of four, so the key stays
 * the same all the way. Loads and stores are unaligned: the payload begins where the header ends.
 */
#include "proto/ws_mask.h"

#define HIGH_BITS UINT64_C(0x8080808080808080)

static inline uint64_t load64(const char *from)
{
	uint64_t word;
	memcpy(&word, from, sizeof(word));
	return word;
}

static inline void store64(char *to, uint64_t word)
{
	memcpy(to, &word, sizeof(word));
}

static inline uint32_t load32(const char *from)
{
	uint32_t word;
	memcpy(&word, from, sizeof(word));
	return word;
}

static inline void store32(char *to, uint32_t word)
{
	memcpy(to, &word, sizeof(word));
}

/* The last bytes, fewer than four. */
static inline void unmask_rest(char *data, size_t len, uint32_t key)
{
	uint8_t mask[4];
	memcpy(mask, &key, sizeof(mask));
	for (size_t i = 0; i < len; i++)
		data[i] = (char)((uint8_t)data[i] ^ mask[i]);
}

#ifdef __SSE2__
static inline __m128i load128(const char *from)
{
	return _mm_loadu_si128((const __m128i *)(const void *)from);
}

static inline void store128(char *to, __m128i block)
{
	_mm_storeu_si128((__m128i *)(void *)to, block);
}

/* Blocks of 64 bytes; returns how many bytes. With `ascii` it stops before a block that is not. */
static inline size_t unmask_wide(char *data, size_t len, __m128i key, bool ascii)
{
	size_t at = 0;
	for (; len - at >= 64; at += 64) {
		char *p = data + at;
		__m128i a = _mm_xor_si128(load128(p), key);
		__m128i b = _mm_xor_si128(load128(p + 16), key);
		__m128i c = _mm_xor_si128(load128(p + 32), key);
		__m128i d = _mm_xor_si128(load128(p + 48), key);
		__m128i any = _mm_or_si128(_mm_or_si128(a, b), _mm_or_si128(c, d));
		if (ascii && _mm_movemask_epi8(any))
			break;
		store128(p, a);
		store128(p + 16, b);
		store128(p + 32, c);
		store128(p + 48, d);
	}
	return at;
}

static inline size_t unmask_blocks(char *data, size_t len, uint32_t key, bool ascii)
{
	if (len < 16)
		return 0;
	__m128i wide = _mm_set1_epi32((int)key);
	size_t at = unmask_wide(data, len, wide, ascii);
	for (; len - at >= 16; at += 16) {
		__m128i block = _mm_xor_si128(load128(data + at), wide);
		if (ascii && _mm_movemask_epi8(block))
			break;
		store128(data + at, block);
	}
	return at;
}
#else
static inline size_t unmask_blocks(char *data, size_t len, uint32_t key, bool ascii)
{
	(void)data;
	(void)len;
	(void)key;
	(void)ascii;
	return 0;
}
#endif

/* By 8 and by 4; as unmask_wide. */
static inline size_t unmask_words(char *data, size_t len, uint32_t key, bool ascii)
{
	uint64_t key64 = (uint64_t)key << 32 | key;
	size_t at = 0;
	for (; len - at >= 8; at += 8) {
		uint64_t word = load64(data + at) ^ key64;
		if (ascii && (word & HIGH_BITS))
			return at;
		store64(data + at, word);
	}
	if (len - at >= 4) {
		uint32_t word = load32(data + at) ^ key;
		if (ascii && (word & (uint32_t)HIGH_BITS))
			return at;
		store32(data + at, word);
		at += 4;
	}
	return at;
}

void crew__ws_unmask(char *data, size_t len, uint32_t key)
{
	size_t at = unmask_blocks(data, len, key, false);
	at += unmask_words(data + at, len - at, key, false);
	unmask_rest(data + at, len - at, key);
}

void crew__ws_mask_copy(char *to, const char *from, size_t len, uint32_t key)
{
	size_t at = 0;
#ifdef __SSE2__
	__m128i wide = _mm_set1_epi32((int)key);
	for (; len - at >= 16; at += 16)
		store128(to + at, _mm_xor_si128(load128(from + at), wide));
#endif
	uint64_t key64 = (uint64_t)key << 32 | key;
	for (; len - at >= 8; at += 8)
		store64(to + at, load64(from + at) ^ key64);
	uint8_t mask[4];
	memcpy(mask, &key, sizeof(mask));
	for (size_t i = 0; at < len; at++, i++)
		to[at] = (char)((uint8_t)from[at] ^ mask[i & 3]);
}

size_t crew__ws_unmask_ascii(char *data, size_t len, uint32_t key)
{
	size_t at = unmask_blocks(data, len, key, true);
	at += unmask_words(data + at, len - at, key, true);
	if (len - at >= 4)
		return at;

	uint8_t mask[4], any = 0;
	memcpy(mask, &key, sizeof(mask));
	for (size_t i = at; i < len; i++)
		any |= (uint8_t)data[i] ^ mask[i - at];
	if (any & 0x80)
		return at;
	unmask_rest(data + at, len - at, key);
	return len;
}
