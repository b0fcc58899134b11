/* queue.h - what a connection still has to send: a list of pieces cut at message ends.
 *
 * A piece is up to 16 KiB of consecutive small messages, copied, with their ends noted; or a
 * reference to bytes that somebody else owns (shared, static, handed over); or to a part of a file,
 * which the kernel sends from where it lies. Message boundaries are kept, so that bytes that leave
 * can be turned into messages that were sent, exactly.
 *
 * Invariants:
 *  - no piece is empty: a piece whose last byte has left is freed;
 *  - bytes that belong to no message (a pong, a refusal) are in pieces, with no end of their own.
 *
 * No sockets and no counters here; connections do both (conn.c). */
#ifndef CREW_NET_QUEUE_H
#define CREW_NET_QUEUE_H

#include "base/base.h"

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
};
void crew__piece_pool_fini(struct crew__piece_pool *pool);

static inline bool crew__queue_empty(const struct crew__queue *q)
{
	return !q->head;
}

/* Append a copy of `len` bytes; `ends_message` when the last of them ends a message. 0, -ENOMEM
 * (then nothing was appended). `len` may be 0 only without an end. */
int crew__queue_copy(struct crew__queue *q, const void *data, size_t len, bool ends_message);

/* Append a reference to `len > 0` bytes; `release(data, arg)` when they have left or are dropped
 * (`data` is given back as it was got, not advanced). NULL: nothing to give back. 0, -ENOMEM (then
 * release has not run). */
int crew__queue_refer(struct crew__queue *q, struct crew__piece_pool *pool, const void *data,
	size_t len, size_t skip, bool ends_message, crew__release_fn *release, void *arg);

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
};
struct crew__queue_mark crew__queue_mark(const struct crew__queue *q);
void crew__queue_rollback(
	struct crew__queue *q, struct crew__piece_pool *pool, const struct crew__queue_mark *mark);

/* The sums, by walking; for checks and tests. */
void crew__queue_sums(const struct crew__queue *q, uint64_t *ret_bytes, uint64_t *ret_messages);

#endif
