/* ws_mask.h - taking the client's mask off a payload, or putting it on (RFC 6455 5.3), by wide
 * words.
 *
 * Not here: frames. The key is the four bytes as they stand in memory for the payload's first byte:
 * whoever goes on inside a frame rotates them (crew__ws_key). */
#ifndef CREW_PROTO_WS_MASK_H
#define CREW_PROTO_WS_MASK_H

#include "base/base.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* The key for a payload that goes on `at` (0..3) bytes into the mask. */
static inline uint32_t crew__ws_key(const uint8_t mask[4], unsigned at)
{
	uint8_t turned[4];
	for (unsigned i = 0; i < 4; i++)
		turned[i] = mask[(at + i) & 3];
	uint32_t key;
	memcpy(&key, turned, sizeof(key));
	return key;
}

/* Unmask (or mask, which is the same) `len` bytes in place. */
void crew__ws_unmask(char *data, size_t len, uint32_t key);

/* Likewise from one place to another, in one pass. They do not overlap. */
void crew__ws_mask_copy(char *to, const char *from, size_t len, uint32_t key);

/* Unmask in place as long as what comes out is ASCII: one pass instead of two over most text.
 * Returns how far it came, a multiple of 4 unless that is `len`; what is behind is still masked. */
size_t crew__ws_unmask_ascii(char *data, size_t len, uint32_t key);

#endif
