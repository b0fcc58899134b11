/* queue.h - what a connection still has to send: a list of pieces cut at message ends.
 *
 *   the rest of a message that has begun │ control │ high priority │ all others
 *
 * A piece is up to 16 KiB of consecutive small messages, copied, with their ends noted; or a
 * reference to bytes that somebody else owns (shared, static, handed over); or to a part of a file,
 * which the kernel sends from where it lies. Message boundaries are kept, so that bytes that leave
 * can be turned into messages that were sent, exactly.
 *
 * Invariants:
 *  - no piece is empty: a piece whose last byte has left is freed;
 *  - lanes never rise from the head to the tail, but for the rest of a message that has begun;
 *  - a message that has a unit (unit.h) has pieces of its own; the unit goes when its first byte
 * does;
 *  - bytes that belong to no message (a pong, a goodbye) have pieces of their own, without ends;
 *  - pool->held is the sum of what the pieces cost: the memory of pieces, of units and of bytes
 *    handed over; what is shared or static is not in it.
 *
 * queue.c has the order of arrival, queue_order.c all that departs from it. No sockets and no
 * counters here; connections do both (conn.c). */
#ifndef CREW_NET_QUEUE_H
#define CREW_NET_QUEUE_H

#include "net/unit.h"

#include <sys/uio.h>

struct crew__piece;

struct crew__queue {
	struct crew__piece *head;
	struct crew__piece *tail;
};

/* Gives referenced bytes back; runs exactly once for each piece that has one. */
typedef void crew__release_fn(void *data, void *arg);

/* Pieces that refer are all alike and come and go by the thousand in a broadcast: one list of spare
 * ones serves all connections of a worker. Zeroed is ready. */
struct crew__piece_pool {
	struct crew__piece *spare;
	uint32_t count;
	struct crew__units units;
	uint64_t held; /* bytes of memory that all queues cost */
	bool changed;  /* `held` is another than when this was last set to false */
};
void crew__piece_pool_fini(struct crew__piece_pool *pool);

static inline bool crew__queue_empty(const struct crew__queue *q)
{
	return !q->head;
}

/* Append a copy of `len` bytes; `ends_message` when the last of them ends a message. 0, -ENOMEM
 * (then nothing was appended). `len` may be 0 only without an end. */
int crew__queue_copy(struct crew__queue *q, struct crew__piece_pool *pool, const void *data,
	size_t len, bool ends_message);

/* Append a reference to `len > 0` bytes; `release(data, arg)` when they have left or are dropped
 * (`data` is given back as it was got, not advanced). NULL: nothing to give back. 0, -ENOMEM (then
 * release has not run). What was handed over (`owned`) counts in pool->held. */
int crew__queue_refer(struct crew__queue *q, struct crew__piece_pool *pool, const void *data,
	size_t len, size_t skip, bool ends_message, bool owned, crew__release_fn *release,
	void *arg);

/* A message framed: head and tail are copied; the body too, or referred to. */
struct crew__framed {
	crew_bytes head, body, tail;
	bool refer, owned;
	crew__release_fn *release;
	void *arg;
};

/* Append a whole message in its lane, with its unit if it needs one; `before` a message of the same
 * lane that waits, if that is not NULL. 0, -ENOMEM (nothing was appended, nothing released). */
int crew__queue_insert(struct crew__queue *q, struct crew__piece_pool *pool,
	const struct crew__framed *message, const struct crew__about *about, uint32_t now,
	const struct crew__unit *before);

/* Append bytes of no message: behind all that waits, which nothing passes from then on; or,
 * `at_once`, before all messages that have not begun. They are never dropped. 0, -ENOMEM. */
int crew__queue_control(struct crew__queue *q, struct crew__piece_pool *pool, const void *data,
	size_t len, bool at_once);

/* Nothing passes what waits now, and nothing of it gives way: among it are bytes of no message. */
void crew__queue_fix_order(struct crew__queue *q);

/* A message that was taken out of a queue. */
struct crew__taken_out {
	uint64_t bytes;
	uint64_t sequence; /* 0: it had none */
	uint8_t key_len;
	char key[CREW_KEY_MOST];
};

/* Take out the oldest message of a lane up to `most`, of the lowest such lane, that has not begun.
 * False: there is none (or no memory to set apart what has begun). */
bool crew__queue_evict(struct crew__queue *q, struct crew__piece_pool *pool, enum crew__lane most,
	struct crew__taken_out *ret_message);
/* Bytes of the message of a unit. */
uint64_t crew__queue_bytes_of(const struct crew__unit *unit);
/* Take out the message of a unit of this queue. */
void crew__queue_take_out(struct crew__queue *q, struct crew__piece_pool *pool,
	struct crew__unit *unit, struct crew__taken_out *ret_message);

/* A part of the first message left before it came to the queue; if control bytes come first, of the
 * message that goes on behind them. */
void crew__queue_begun(struct crew__queue *q);

/* What may leave though no message may begin: what is left of one that has begun, as far as it is
 * here, or the control bytes that come first. */
uint64_t crew__queue_begun_extent(const struct crew__queue *q);
/* The bytes up to the end of the `count`th message; all when there are fewer. */
uint64_t crew__queue_extent(const struct crew__queue *q, uint32_t count);

/* Append `len > 0` bytes at `offset` of a file. As crew__queue_refer; release(NULL, arg). */
int crew__queue_file(struct crew__queue *q, struct crew__piece_pool *pool, int fd, uint64_t offset,
	uint32_t len, bool ends_message, crew__release_fn *release, void *arg);

/* The last byte of the queue, which is not empty, ends a message; it ended none before. */
void crew__queue_end(struct crew__queue *q);

/* Does a part of a file come first? What of it has not left. */
bool crew__queue_file_first(
	const struct crew__queue *q, int *ret_fd, uint64_t *ret_offset, size_t *ret_len);

/* Fill at most `most` vectors with what is to leave first, up to the first part of a file;
 * returns how many, and their sum. */
size_t crew__queue_gather(
	const struct crew__queue *q, struct iovec *vectors, size_t most, size_t *ret_bytes);

/* `n` bytes have left: returns how many messages ended with them. n is at most what is queued. */
uint32_t crew__queue_consume(struct crew__queue *q, struct crew__piece_pool *pool, size_t n);

/* Throw all away. */
void crew__queue_drop(struct crew__queue *q, struct crew__piece_pool *pool);

/* Take back what was appended since the mark; releases do not run. Nothing may have left between.
 */
struct crew__queue_mark {
	struct crew__piece *tail;
	uint32_t len, filled, noted, ends;
	bool open;
};
struct crew__queue_mark crew__queue_mark(const struct crew__queue *q);
void crew__queue_rollback(
	struct crew__queue *q, struct crew__piece_pool *pool, const struct crew__queue_mark *mark);

/* The sums, by walking; for checks and tests. */
void crew__queue_sums(const struct crew__queue *q, uint64_t *ret_bytes, uint64_t *ret_messages);

#endif
