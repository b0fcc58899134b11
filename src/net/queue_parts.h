/* queue_parts.h - what a piece is. For queue.c, queue_order.c and queue_move.c alone. */
#ifndef CREW_NET_QUEUE_PARTS_H
#define CREW_NET_QUEUE_PARTS_H

#include "net/queue.h"

enum crew__piece_kind {
	CREW__COPIED,
	CREW__REFERRED,
	CREW__FILED
};

/* A copying piece has its bytes behind the struct and the ends of its messages behind those, as
 * offsets from the first byte, growing downward from `cap`. There is always room for one more end,
 * for crew__queue_end. */
struct crew__piece {
	struct crew__piece *next, *prev;
	const char *data; /* the first byte that has not left; NULL of a file */
	uint32_t len;     /* bytes that have not left, > 0 */
	uint32_t ends;    /* message ends that have not left */
	uint8_t kind;
	uint8_t lane;    /* enum crew__lane */
	bool open;       /* its last byte ends no message: the next piece goes on with it */
	bool sealed;     /* nothing is appended to it */
	bool control;    /* bytes of no message, which are never dropped */
	bool begun;      /* of the head: a part of the message it begins with has left */
	uint32_t charge; /* what it adds to pool->held */
	struct crew__unit
		*unit; /* of the message that begins here, before anything of it has left */
	union {
		struct {
			uint32_t
				filled; /* bytes written into room, whether they have left or not */
			uint32_t noted; /* ends noted, whether they have left or not */
			uint32_t cap;   /* of room, ends included; a multiple of 4 */
		} copy;
		struct {
			crew__release_fn *release;
			void *arg;
			union {
				void *whole;
				uint64_t offset; /* in the file, of what has not left */
			};
			int fd; /* of the file */
		} reference;
	};
	_Alignas(uint32_t) char room[];
};

static inline uint32_t *crew__piece_end_at(struct crew__piece *p, uint32_t index)
{
	return (uint32_t *)(void *)(p->room + p->copy.cap) - 1 - index;
}

/* Where in its room the bytes begin that have not left. */
static inline uint32_t crew__piece_left_at(const struct crew__piece *p)
{
	return (uint32_t)(p->data - p->room);
}

/* Where in its room the first message ends that has not left. */
static inline uint32_t crew__piece_first_end(struct crew__piece *p)
{
	return *crew__piece_end_at(p, p->copy.noted - p->ends);
}

static inline void crew__pool_hold(struct crew__piece_pool *pool, int64_t bytes)
{
	pool->held += (uint64_t)bytes;
	pool->changed = true;
}

/* Empty, with room for `len` bytes and their ends in at least `least` bytes; it belongs to no
 * queue. NULL without memory. */
struct crew__piece *crew__piece_copying(struct crew__piece_pool *pool, size_t len, size_t least);
/* The piece, which belongs to no queue any more, is done with: released, given back. */
void crew__piece_free(struct crew__piece_pool *pool, struct crew__piece *p);
void crew__piece_fill(struct crew__piece *p, const void *data, size_t len, bool ends_message);
/* It is the first of the message of that unit, of which nothing has left. */
void crew__piece_join(
	struct crew__piece_pool *pool, struct crew__piece *first, struct crew__unit *unit);

/* Into the list behind `after`; NULL: at the head. */
void crew__queue_link(struct crew__queue *q, struct crew__piece *after, struct crew__piece *p);
/* Out of the list, and freed. */
void crew__queue_remove(
	struct crew__queue *q, struct crew__piece_pool *pool, struct crew__piece *p);

#endif
