/* arena.h - many small pieces of memory that go together, as what is worked out of one request.
 *
 * A chain of blocks, the newest first; a piece never moves. What an arena may take in all is bounded
 * from birth. Zeroed with a `max` is ready; crew__arena_reset keeps one block, so that an arena in
 * steady use allocates nothing. */
#ifndef CREW_BASE_ARENA_H
#define CREW_BASE_ARENA_H

#include "base/base.h"

struct crew__arena_block;

struct crew__arena {
	struct crew__arena_block *block; /* the newest */
	size_t used;                     /* of the newest */
	size_t taken;                    /* by all blocks */
	size_t max;
};

/* `size` bytes, aligned for any type, not zeroed; 0 gives a valid pointer. NULL: no memory, or more
 * than `max`. */
void *crew__arena_take(struct crew__arena *a, size_t size);

/* A copy with a NUL behind it, which `len` does not count. Data NULL as above. */
crew_bytes crew__arena_copy(struct crew__arena *a, crew_bytes bytes);

/* Room for at least `count` elements in an array that has `*capacity` of them: the same, or a copy of
 * it twice as large. NULL as above. */
void *crew__arena_grow(
	struct crew__arena *a, void *array, size_t *capacity, size_t count, size_t element);

/* All pieces are void. */
void crew__arena_reset(struct crew__arena *a);
void crew__arena_release(struct crew__arena *a); /* and owns nothing */

#endif
