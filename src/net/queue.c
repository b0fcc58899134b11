/* queue.c - the order of arrival: appended at the tail, leaving at the head. */
#include "net/queue.h"

#include "base/check.h"
#include "net/queue_parts.h"

#include <stdlib.h>
#include <string.h>

enum {
	COPY_MOST = 16 * 1024, /* small messages are gathered in pieces of up to this size */
	COPY_FIRST = 1024,     /* the first piece of a queue: most backlogs are short */
	SPARE_MOST = 4096,
};

void crew__queue_link(struct crew__queue *q, struct crew__piece *after, struct crew__piece *p)
{
	p->prev = after;
	p->next = after ? after->next : q->head;
	if (p->next)
		p->next->prev = p;
	else
		q->tail = p;
	if (after)
		after->next = p;
	else
		q->head = p;
}

static void append(struct crew__queue *q, struct crew__piece *p)
{
	crew__queue_link(q, q->tail, p);
}

/* Room in the last piece for `len` bytes and an end? */
static bool fits(const struct crew__piece *p, size_t len)
{
	if (!p || p->sealed)
		return false;
	size_t used = p->copy.filled + (size_t)p->copy.noted * sizeof(uint32_t);
	return p->copy.cap - used >= len + 2 * sizeof(uint32_t);
}

struct crew__piece *crew__piece_copying(struct crew__piece_pool *pool, size_t len, size_t least)
{
	size_t cap = crew__max(len + 2 * sizeof(uint32_t), least);
	cap = (cap + 3) & ~(size_t)3;
	if (cap > UINT32_MAX / 2)
		return NULL;
	struct crew__piece *p = malloc(sizeof(*p) + cap);
	if (!p)
		return NULL;
	*p = (struct crew__piece){ .data = p->room, .kind = CREW__COPIED };
	p->copy.cap = (uint32_t)cap;
	p->charge = (uint32_t)(sizeof(*p) + cap);
	crew__pool_hold(pool, p->charge);
	return p;
}

void crew__piece_fill(struct crew__piece *p, const void *data, size_t len, bool ends_message)
{
	memcpy(p->room + p->copy.filled, data, len);
	p->copy.filled += (uint32_t)len;
	p->len += (uint32_t)len;
	p->open = !ends_message;
	if (ends_message) {
		*crew__piece_end_at(p, p->copy.noted) = p->copy.filled;
		p->copy.noted++;
		p->ends++;
	}
}

/* What goes on with a message stands as firmly as its beginning. */
static void go_on(struct crew__queue *q, struct crew__piece *p)
{
	if (q->tail && q->tail->open)
		p->lane = q->tail->lane;
	append(q, p);
}

int crew__queue_copy(struct crew__queue *q, struct crew__piece_pool *pool, const void *data,
	size_t len, bool ends_message)
{
	crew__must(len > 0 || !ends_message);
	if (len == 0)
		return 0;
	struct crew__piece *p = q->tail;
	if (!fits(p, len)) {
		p = crew__piece_copying(pool, len, q->tail ? COPY_MOST : COPY_FIRST);
		if (!p)
			return -ENOMEM;
		go_on(q, p);
	}
	crew__piece_fill(p, data, len, ends_message);
	return 0;
}

static struct crew__piece *new_referring(struct crew__piece_pool *pool, uint32_t owned)
{
	struct crew__piece *p = pool->spare;
	if (p) {
		pool->spare = p->next;
		pool->count--;
	} else {
		p = malloc(sizeof(*p));
	}
	if (!p)
		return NULL;
	*p = (struct crew__piece){ .sealed = true, .charge = (uint32_t)sizeof(*p) + owned };
	crew__pool_hold(pool, p->charge);
	return p;
}

int crew__queue_refer(struct crew__queue *q, struct crew__piece_pool *pool, const void *data,
	size_t len, size_t skip, bool ends_message, bool owned, crew__release_fn *release,
	void *arg)
{
	crew__must(skip < len && len <= UINT32_MAX / 2);
	struct crew__piece *p = new_referring(pool, owned ? (uint32_t)len : 0);
	if (!p)
		return -ENOMEM;
	p->data = (const char *)data + skip;
	p->len = (uint32_t)(len - skip);
	p->ends = ends_message;
	p->open = !ends_message;
	p->kind = CREW__REFERRED;
	p->reference.release = release;
	p->reference.arg = arg;
	p->reference.whole = (void *)(uintptr_t)data; /* handed over: the owner may write again */
	go_on(q, p);
	return 0;
}

int crew__queue_file(struct crew__queue *q, struct crew__piece_pool *pool, int fd, uint64_t offset,
	uint32_t len, bool ends_message, crew__release_fn *release, void *arg)
{
	crew__must(len > 0);
	struct crew__piece *p = new_referring(pool, 0);
	if (!p)
		return -ENOMEM;
	p->len = len;
	p->ends = ends_message;
	p->open = !ends_message;
	p->kind = CREW__FILED;
	p->reference.fd = fd;
	p->reference.release = release;
	p->reference.arg = arg;
	p->reference.offset = offset;
	go_on(q, p);
	return 0;
}

void crew__queue_end(struct crew__queue *q)
{
	struct crew__piece *p = q->tail;
	crew__must(p);
	if (p->kind == CREW__COPIED) {
		*crew__piece_end_at(p, p->copy.noted) = p->copy.filled;
		p->copy.noted++;
	}
	p->ends++;
	p->open = false;
}

bool crew__queue_file_first(
	const struct crew__queue *q, int *ret_fd, uint64_t *ret_offset, size_t *ret_len)
{
	const struct crew__piece *p = q->head;
	if (!p || p->kind != CREW__FILED)
		return false;
	*ret_fd = p->reference.fd;
	*ret_offset = p->reference.offset;
	*ret_len = p->len;
	return true;
}

void crew__piece_free(struct crew__piece_pool *pool, struct crew__piece *p)
{
	crew__pool_hold(pool, -(int64_t)p->charge);
	if (p->unit)
		crew__unit_free(&pool->units, p->unit);
	if (p->kind == CREW__COPIED) {
		free(p);
		return;
	}
	if (p->reference.release)
		p->reference.release(
			p->kind == CREW__FILED ? NULL : p->reference.whole, p->reference.arg);
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
	crew__units_fini(&pool->units);
}

void crew__queue_remove(struct crew__queue *q, struct crew__piece_pool *pool, struct crew__piece *p)
{
	if (p->prev)
		p->prev->next = p->next;
	else
		q->head = p->next;
	if (p->next)
		p->next->prev = p->prev;
	else
		q->tail = p->prev;
	crew__piece_free(pool, p);
}

size_t crew__queue_gather(
	const struct crew__queue *q, struct iovec *vectors, size_t most, size_t *ret_bytes)
{
	size_t count = 0;
	size_t bytes = 0;
	for (struct crew__piece *p = q->head; p && count < most && p->kind != CREW__FILED;
		p = p->next) {
		vectors[count].iov_base = (void *)(uintptr_t)p->data; /* iovec has no const form */
		vectors[count].iov_len = p->len;
		bytes += p->len;
		count++;
	}
	*ret_bytes = bytes;
	return count;
}

/* How many of the piece's messages have ended before its present first byte, which is moved there.
 */
static uint32_t ended(struct crew__piece *p)
{
	if (p->kind != CREW__COPIED) {
		uint32_t count = p->len == 0 ? p->ends : 0;
		p->ends -= count;
		p->begun = true;
		return count;
	}
	uint32_t left_at = crew__piece_left_at(p), last = 0;
	uint32_t count = 0;
	while (p->ends > 0 && crew__piece_first_end(p) <= left_at) {
		last = crew__piece_first_end(p);
		p->ends--;
		count++;
	}
	p->begun = last != left_at;
	return count;
}

uint32_t crew__queue_consume(struct crew__queue *q, struct crew__piece_pool *pool, size_t n)
{
	uint32_t messages = 0;
	while (n > 0) {
		struct crew__piece *p = q->head;
		crew__must(p);
		size_t take = crew__min(n, p->len);
		if (p->kind == CREW__FILED)
			p->reference.offset += take;
		else
			p->data += take;
		p->len -= (uint32_t)take;
		n -= take;
		messages += ended(p);
		if (crew__unlikely(p->unit)) {
			crew__unit_free(&pool->units, p->unit);
			p->unit = NULL;
		}
		if (p->len == 0) {
			bool open = p->open;
			crew__queue_remove(q, pool, p);
			if (q->head)
				q->head->begun = open;
		}
	}
	return messages;
}

void crew__queue_drop(struct crew__queue *q, struct crew__piece_pool *pool)
{
	while (q->head)
		crew__queue_remove(q, pool, q->head);
}

struct crew__queue_mark crew__queue_mark(const struct crew__queue *q)
{
	const struct crew__piece *p = q->tail;
	struct crew__queue_mark mark = { .tail = q->tail };
	if (p && p->kind == CREW__COPIED) {
		mark.open = p->open;
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
	struct crew__piece *p;
	while ((p = q->tail) != mark->tail) {
		crew__must(!p->next);
		if (p->kind != CREW__COPIED)
			p->reference.release = NULL;
		crew__queue_remove(q, pool, p);
	}
	if (!p || p->kind != CREW__COPIED)
		return;
	p->open = mark->open;
	p->len = mark->len;
	p->ends = mark->ends;
	p->copy.filled = mark->filled;
	p->copy.noted = mark->noted;
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
