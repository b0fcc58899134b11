/* pieces.h - cutting a stream for tests: whole, byte by byte, or at random places that are the same
 * in every run. A parser that is fed so must come to the same end each time. */
#ifndef CREW_TESTS_PIECES_H
#define CREW_TESTS_PIECES_H

#include <stddef.h>
#include <stdint.h>

enum {
	PIECES_WHOLE,
	PIECES_BYTES,
	PIECES_RANDOM, /* from here on: a different cutting for each number */
	PIECES_WAYS = 24,
};

struct pieces {
	unsigned way;
	uint64_t state;
};

static inline struct pieces pieces_of(unsigned way)
{
	return (struct pieces){ way, UINT64_C(0x9E3779B97F4A7C15) * (way + 1) };
}

/* xorshift: nothing about it matters but that it is the same everywhere. */
static inline uint64_t pieces_random(struct pieces *p)
{
	p->state ^= p->state << 13;
	p->state ^= p->state >> 7;
	p->state ^= p->state << 17;
	return p->state;
}

/* How many of the `left` bytes come next: at least one. */
static inline size_t pieces_next(struct pieces *p, size_t left)
{
	if (p->way == PIECES_WHOLE || left == 0)
		return left;
	if (p->way == PIECES_BYTES)
		return 1;
	/* Odd ways cut finely, even ones coarsely. */
	size_t span = p->way % 2 ? 7 : left;
	size_t n = 1 + (size_t)(pieces_random(p) % span);
	return n < left ? n : left;
}

#endif
