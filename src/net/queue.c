#include "net/queue.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

enum {
	COPY_MOST = 16 * 1024, /* small messages are gathered in pieces of up to this size */
	COPY_FIRST = 1024,     /* the first piece of a queue: most backlogs are short */
	SPARE_MOST = 4096,
};

enum kind {
	COPIED,
	REFERRED,
	FILED
};

/* A copying piece has its bytes behind the struct and the ends of its messages behind those, as
 * offsets from the first byte, growing downward from `cap`. There is always room for one more end,
 * for crew__queue_end. */
struct crew__piece {
	struct crew__piece *next;
	const char *data; /* the first byte that has not left; NULL of a file */
	uint32_t len;     /* bytes that have not left, > 0 */
	uint32_t ends;    /* message ends that have not left */
	uint8_t kind;
	int fd; /* of a file */
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
		} reference;
	};
	_Alignas(uint32_t) char room[];
};

static uint32_t *end_at(struct crew__piece *p, uint32_t index)
{
	return (uint32_t *)(void *)(p->room + p->copy.cap) - 1 - index;
}

static void append(struct crew__queue *q, struct crew__piece *p)
{
	p->next = NULL;
	if (q->tail)
		q->tail->next = p;
	else
		q->head = p;
	q->tail = p;
}

/* Room in the last piece for `len` bytes and an end? */
static bool fits(const struct crew__piece *p, size_t len)
{
	if (!p || p->kind != COPIED)
		return false;
	size_t used = p->copy.filled + (size_t)p->copy.noted * sizeof(uint32_t);
	return p->copy.cap - used >= len + 2 * sizeof(uint32_t);
}

static struct crew__piece *new_copying(const struct crew__queue *q, size_t len)
{
	size_t least = len + 2 * sizeof(uint32_t);
	size_t cap = crew__max(least, q->tail ? COPY_MOST : COPY_FIRST);
	cap = (cap + 3) & ~(size_t)3;
	if (cap > UINT32_MAX)
		return NULL;
	struct crew__piece *p = malloc(sizeof(*p) + cap);
	if (!p)
		return NULL;
	p->data = p->room;
	p->len = 0;
	p->ends = 0;
	p->kind = COPIED;
	p->copy.filled = 0;
	p->copy.noted = 0;
	p->copy.cap = (uint32_t)cap;
	return p;
}

int crew__queue_copy(struct crew__queue *q, const void *data, size_t len, bool ends_message)
{
	crew__must(len > 0 || !ends_message);
	if (len == 0)
		return 0;
	struct crew__piece *p = q->tail;
	if (!fits(p, len)) {
		p = new_copying(q, len);
		if (!p)
			return -ENOMEM;
		append(q, p);
	}
	memcpy(p->room + p->copy.filled, data, len);
	p->copy.filled += (uint32_t)len;
	p->len += (uint32_t)len;
	if (ends_message) {
		*end_at(p, p->copy.noted) = p->copy.filled;
		p->copy.noted++;
		p->ends++;
	}
	return 0;
}

static struct crew__piece *new_referring(struct crew__piece_pool *pool)
{
	struct crew__piece *p = pool->spare;
	if (!p)
		return malloc(sizeof(*p));
	pool->spare = p->next;
	pool->count--;
	return p;
}

int crew__queue_refer(struct crew__queue *q, struct crew__piece_pool *pool, const void *data,
	size_t len, size_t skip, bool ends_message, crew__release_fn *release, void *arg)
{
	crew__must(skip < len && len <= UINT32_MAX);
	struct crew__piece *p = new_referring(pool);
	if (!p)
		return -ENOMEM;
	p->data = (const char *)data + skip;
	p->len = (uint32_t)(len - skip);
	p->ends = ends_message;
	p->kind = REFERRED;
	p->reference.release = release;
	p->reference.arg = arg;
	p->reference.whole = (void *)(uintptr_t)data; /* handed over: the owner may write again */
	append(q, p);
	return 0;
}

int crew__queue_file(struct crew__queue *q, struct crew__piece_pool *pool, int fd, uint64_t offset,
	uint32_t len, bool ends_message, crew__release_fn *release, void *arg)
{
	crew__must(len > 0);
	struct crew__piece *p = new_referring(pool);
	if (!p)
		return -ENOMEM;
	p->data = NULL;
	p->len = len;
	p->ends = ends_message;
	p->kind = FILED;
	p->fd = fd;
	p->reference.release = release;
	p->reference.arg = arg;
	p->reference.offset = offset;
	append(q, p);
	return 0;
}

void crew__queue_end(struct crew__queue *q)
{
	struct crew__piece *p = q->tail;
	crew__must(p);
	if (p->kind == COPIED) {
		*end_at(p, p->copy.noted) = p->copy.filled;
		p->copy.noted++;
	}
	p->ends++;
}

bool crew__queue_file_first(
	const struct crew__queue *q, int *ret_fd, uint64_t *ret_offset, size_t *ret_len)
{
	const struct crew__piece *p = q->head;
	if (!p || p->kind != FILED)
		return false;
	*ret_fd = p->fd;
	*ret_offset = p->reference.offset;
	*ret_len = p->len;
	return true;
}

static void free_piece(struct crew__piece_pool *pool, struct crew__piece *p)
{
	if (p->kind == COPIED) {
		free(p);
		return;
	}
	if (p->reference.release)
		p->reference.release(
			p->kind == FILED ? NULL : p->reference.whole, p->reference.arg);
	if (pool->count >= SPARE_MOST) {
		free(p);
		return;
	}
	p->next = pool->spare;
	pool->spare = p;
	pool->count++;
}

void crew__piece_pool_fini(struct crew__piece_pool *pool)
{
	while (pool->spare) {
		struct crew__piece *p = pool->spare;
		pool->spare = p->next;
		free(p);
	}
	pool->count = 0;
}

static void pop(struct crew__queue *q, struct crew__piece_pool *pool)
{
	struct crew__piece *p = q->head;
	q->head = p->next;
	if (!q->head)
		q->tail = NULL;
	free_piece(pool, p);
}

size_t crew__queue_gather(
	const struct crew__queue *q, struct iovec *vectors, size_t most, size_t *ret_bytes)
{
	size_t count = 0;
	size_t bytes = 0;
	for (struct crew__piece *p = q->head; p && count < most && p->kind != FILED; p = p->next) {
		vectors[count].iov_base = (void *)(uintptr_t)p->data; /* iovec has no const form */
		vectors[count].iov_len = p->len;
		bytes += p->len;
		count++;
	}
	*ret_bytes = bytes;
	return count;
}

/* How many of the piece's messages have ended before its present first byte. */
static uint32_t ended(struct crew__piece *p)
{
	if (p->kind != COPIED) {
		uint32_t count = p->len == 0 ? p->ends : 0;
		p->ends -= count;
		return count;
	}
	uint32_t left_at = (uint32_t)(p->data - p->room);
	uint32_t count = 0;
	while (p->ends > 0 && *end_at(p, p->copy.noted - p->ends) <= left_at) {
		p->ends--;
		count++;
	}
	return count;
}

uint32_t crew__queue_consume(struct crew__queue *q, struct crew__piece_pool *pool, size_t n)
{
	uint32_t messages = 0;
	while (n > 0) {
		struct crew__piece *p = q->head;
		crew__must(p);
		size_t take = crew__min(n, p->len);
		if (p->kind == FILED)
			p->reference.offset += take;
		else
			p->data += take;
		p->len -= (uint32_t)take;
		n -= take;
		messages += ended(p);
		if (p->len == 0)
			pop(q, pool);
	}
	return messages;
}

void crew__queue_drop(struct crew__queue *q, struct crew__piece_pool *pool)
{
	while (q->head)
		pop(q, pool);
}

struct crew__queue_mark crew__queue_mark(const struct crew__queue *q)
{
	const struct crew__piece *p = q->tail;
	struct crew__queue_mark mark = { .tail = q->tail };
	if (p && p->kind == COPIED) {
		mark.len = p->len;
		mark.ends = p->ends;
		mark.filled = p->copy.filled;
		mark.noted = p->copy.noted;
	}
	return mark;
}

void crew__queue_rollback(
	struct crew__queue *q, struct crew__piece_pool *pool, const struct crew__queue_mark *mark)
{
	struct crew__piece *p = mark->tail ? mark->tail->next : q->head;
	while (p) {
		struct crew__piece *next = p->next;
		if (p->kind != COPIED)
			p->reference.release = NULL;
		free_piece(pool, p);
		p = next;
	}
	q->tail = mark->tail;
	if (!q->tail) {
		q->head = NULL;
		return;
	}
	q->tail->next = NULL;
	if (q->tail->kind == COPIED) {
		q->tail->len = mark->len;
		q->tail->ends = mark->ends;
		q->tail->copy.filled = mark->filled;
		q->tail->copy.noted = mark->noted;
	}
}

void crew__queue_sums(const struct crew__queue *q, uint64_t *ret_bytes, uint64_t *ret_messages)
{
	*ret_bytes = 0;
	*ret_messages = 0;
	for (const struct crew__piece *p = q->head; p; p = p->next) {
		*ret_bytes += p->len;
		*ret_messages += p->ends;
	}
}
