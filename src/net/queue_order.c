/* queue_order.c - what departs from the order of arrival: priorities, messages that give up their
 * place, messages that are taken out.
 *
 * All of it works at the boundaries of messages. One of which a part has left is set apart first:
 * what is left of it keeps the head. */
#include "net/queue_parts.h"

#include "base/check.h"

#include <string.h>

/* ---- boundaries ---------------------------------------------------------------------------- */

/* The piece in which the message ends that begins with `p`; NULL: it goes on in parts to come. */
static struct crew__piece *last_of_message(struct crew__piece *p)
{
	while (p && p->open && p->ends == 0)
		p = p->next;
	return p;
}

/* Cut a copying piece behind its first end: what is before it gets a piece of its own, in front. */
static struct crew__piece *cut(
	struct crew__queue *q, struct crew__piece_pool *pool, struct crew__piece *p)
{
	uint32_t len = crew__piece_first_end(p) - crew__piece_left_at(p);
	struct crew__piece *front = crew__piece_copying(pool, len, 0);
	if (!front)
		return NULL;
	crew__piece_fill(front, p->data, len, true);
	front->lane = p->lane;
	front->sealed = true;
	front->begun = p->begun;
	p->begun = false;
	p->data += len;
	p->len -= len;
	p->ends--;
	crew__queue_link(q, p->prev, front);
	return front;
}

/* The last piece of the message that has begun, NULL when none has: from the next piece on messages
 * may be moved. -ENOMEM. */
static int set_begun_apart(
	struct crew__queue *q, struct crew__piece_pool *pool, struct crew__piece **ret_last)
{
	*ret_last = NULL;
	if (!q->head || !q->head->begun)
		return 0;
	struct crew__piece *last = last_of_message(q->head);
	if (!last)
		last = q->tail;
	else if (last->kind == CREW__COPIED && last->ends > 0 &&
		 crew__piece_first_end(last) != last->copy.filled)
		last = cut(q, pool, last);
	*ret_last = last;
	return last ? 0 : -ENOMEM;
}

/* The first piece of the queue that is not of a message that has begun. */
static struct crew__piece *behind(const struct crew__queue *q, struct crew__piece *last)
{
	return last ? last->next : q->head;
}

/* The first piece behind what has begun whose lane is lower than that; NULL. Sought from both ends:
 * mostly one of them is near, and a queue may have a hundred thousand pieces. */
static struct crew__piece *first_below(
	const struct crew__queue *q, struct crew__piece *begun, unsigned lane)
{
	struct crew__piece *front = behind(q, begun), *back = q->tail;
	while (front && front->lane >= lane && back->lane < lane) {
		front = front->next;
		back = back->prev;
	}
	return front && front->lane >= lane ? back->next : front;
}

/* Behind which piece one of that lane belongs; NULL: at the head. */
static int find_place(struct crew__queue *q, struct crew__piece_pool *pool, enum crew__lane lane,
	struct crew__piece **ret_after)
{
	struct crew__piece *begun;
	if (lane == CREW__LANE_NORMAL) {
		*ret_after = q->tail;
		return 0;
	}
	int error = set_begun_apart(q, pool, &begun);
	if (error)
		return error;
	struct crew__piece *next = first_below(q, begun, lane);
	*ret_after = next ? next->prev : q->tail;
	return 0;
}

/* ---- in ------------------------------------------------------------------------------------ */

/* The pieces of one message, as a queue of their own. */
static int make_pieces(
	struct crew__queue *run, struct crew__piece_pool *pool, const struct crew__framed *m)
{
	bool refer = m->refer && m->body.len > 0;
	size_t copied = m->head.len + (refer ? 0 : m->body.len + m->tail.len);
	if (copied > 0) {
		struct crew__piece *p = crew__piece_copying(pool, copied, 0);
		if (!p)
			return -ENOMEM;
		crew__queue_link(run, NULL, p);
		const crew_bytes parts[] = { m->head, m->body, m->tail };
		size_t left = copied;
		for (size_t i = 0; i < 3 && left > 0; i++) {
			if (parts[i].len == 0)
				continue;
			left -= parts[i].len;
			crew__piece_fill(p, parts[i].data, parts[i].len, left == 0 && !refer);
		}
		p->sealed = true;
	}
	if (!refer)
		return 0;
	int error = crew__queue_refer(run, pool, m->body.data, m->body.len, 0, m->tail.len == 0,
		m->owned, m->release, m->arg);
	if (!error && m->tail.len > 0) {
		error = crew__queue_copy(run, pool, m->tail.data, m->tail.len, true);
		run->tail->sealed = true;
	}
	return error;
}

static void splice(struct crew__queue *q, struct crew__piece *after, struct crew__queue *run)
{
	struct crew__piece *next = after ? after->next : q->head;
	run->head->prev = after;
	run->tail->next = next;
	if (after)
		after->next = run->head;
	else
		q->head = run->head;
	if (next)
		next->prev = run->tail;
	else
		q->tail = run->tail;
}

/* What is known of the message costs memory as long as its first piece does. */
void crew__piece_join(
	struct crew__piece_pool *pool, struct crew__piece *first, struct crew__unit *unit)
{
	uint32_t outside = unit->key_len > CREW__KEY_INLINE ? unit->key_len : 0;
	uint32_t cost = (uint32_t)sizeof(*unit) + outside;
	first->unit = unit;
	unit->piece = first;
	first->charge += cost;
	crew__pool_hold(pool, cost);
}

static void undo(struct crew__queue *run, struct crew__piece_pool *pool)
{
	const struct crew__queue_mark empty = { 0 };
	crew__queue_rollback(run, pool, &empty);
}

int crew__queue_insert(struct crew__queue *q, struct crew__piece_pool *pool,
	const struct crew__framed *message, const struct crew__about *about, uint32_t now,
	const struct crew__unit *before)
{
	struct crew__queue run = { 0 };
	struct crew__piece *after;
	struct crew__unit *unit = NULL;
	int error = make_pieces(&run, pool, message);
	crew__must(error || run.head);
	if (!error && crew__about_needs_unit(about)) {
		unit = crew__unit_new(&pool->units, q, about, now);
		error = unit ? 0 : -ENOMEM;
	}
	if (!error && before)
		after = before->piece->prev;
	else if (!error)
		error = find_place(q, pool, (enum crew__lane)about->lane, &after);
	if (error) {
		if (unit)
			crew__unit_free(&pool->units, unit);
		undo(&run, pool);
		return error;
	}
	/* In another's place it is as that one is: nothing may pass what is ordered behind it. */
	for (struct crew__piece *p = run.head; p; p = p->next)
		p->lane = before ? before->piece->lane : about->lane;
	if (unit)
		crew__piece_join(pool, run.head, unit);
	splice(q, after, &run);
	return 0;
}

/* Pongs are short, and a peer may ask for many of them. */
enum {
	CONTROL_ROOM = 256
};
static bool takes_control(const struct crew__piece *p, size_t len)
{
	return p && p->control && p->copy.cap - p->copy.filled >= len + 2 * sizeof(uint32_t);
}

void crew__queue_fix_order(struct crew__queue *q)
{
	for (struct crew__piece *p = q->head; p; p = p->next) {
		p->lane = CREW__LANE_CONTROL;
		p->sealed = true;
	}
}

int crew__queue_control(struct crew__queue *q, struct crew__piece_pool *pool, const void *data,
	size_t len, bool at_once)
{
	struct crew__piece *after = q->tail;
	if (len == 0)
		return 0;
	int error = at_once ? find_place(q, pool, CREW__LANE_CONTROL, &after) : 0;
	if (!error && !at_once)
		crew__queue_fix_order(q);
	/* Amid a message that is offered in parts: it goes on behind these bytes. */
	bool open = after && after->open;
	if (!error && takes_control(after, len)) {
		crew__piece_fill(after, data, len, false);
		after->open = open;
		return 0;
	}
	struct crew__piece *p = error ? NULL : crew__piece_copying(pool, len, CONTROL_ROOM);
	if (!p)
		return -ENOMEM;
	crew__piece_fill(p, data, len, false);
	p->open = open;
	p->sealed = true;
	p->control = true;
	p->lane = CREW__LANE_CONTROL;
	crew__queue_link(q, after, p);
	return 0;
}

void crew__queue_begun(struct crew__queue *q)
{
	crew__must(q->head && !q->head->unit);
	q->head->begun = true;
	if (q->head->control)
		q->head->open = true;
}

/* ---- out ----------------------------------------------------------------------------------- */

static void note_unit(const struct crew__unit *unit, struct crew__taken_out *ret_message)
{
	*ret_message = (struct crew__taken_out){ 0 };
	if (!unit)
		return;
	crew_bytes key = crew__unit_key(unit);
	ret_message->sequence = unit->sequence;
	ret_message->key_len = (uint8_t)key.len;
	if (key.len > 0)
		memcpy(ret_message->key, key.data, key.len);
}

/* The message whose first byte is the first of `p`; it is whole. */
static void take_out(struct crew__queue *q, struct crew__piece_pool *pool, struct crew__piece *p,
	struct crew__taken_out *ret_message)
{
	note_unit(p->unit, ret_message);
	for (;;) {
		struct crew__piece *next = p->next;
		bool last = !p->open || p->ends > 0;
		uint32_t len = p->len;
		if (p->kind == CREW__COPIED && p->ends > 0)
			len = crew__piece_first_end(p) - crew__piece_left_at(p);
		ret_message->bytes += len;
		if (len == p->len) {
			crew__queue_remove(q, pool, p);
		} else {
			p->data += len;
			p->len -= len;
			p->ends--;
		}
		if (last)
			return;
		crew__must(next);
		p = next;
	}
}

/* The oldest message of that lane behind what has begun; NULL. */
static struct crew__piece *oldest_of(
	const struct crew__queue *q, struct crew__piece *begun, enum crew__lane lane)
{
	struct crew__piece *p = first_below(q, begun, lane + 1u);
	crew__must(!p || !p->control);
	return p && p->lane == lane && last_of_message(p) ? p : NULL;
}

bool crew__queue_evict(struct crew__queue *q, struct crew__piece_pool *pool, enum crew__lane most,
	struct crew__taken_out *ret_message)
{
	struct crew__piece *begun, *oldest = NULL;
	if (set_begun_apart(q, pool, &begun) < 0)
		return false;
	for (int lane = CREW__LANE_NORMAL; lane <= (int)most && !oldest; lane++)
		oldest = oldest_of(q, begun, (enum crew__lane)lane);
	if (!oldest)
		return false;
	take_out(q, pool, oldest, ret_message);
	return true;
}

uint64_t crew__queue_bytes_of(const struct crew__unit *unit)
{
	uint64_t bytes = 0;
	for (const struct crew__piece *p = unit->piece; p; p = p->open ? p->next : NULL)
		bytes += p->len;
	return bytes;
}

void crew__queue_take_out(struct crew__queue *q, struct crew__piece_pool *pool,
	struct crew__unit *unit, struct crew__taken_out *ret_message)
{
	crew__must(unit->owner == q && unit->piece->unit == unit);
	take_out(q, pool, unit->piece, ret_message);
}

uint64_t crew__queue_extent(const struct crew__queue *q, uint32_t count)
{
	uint64_t bytes = 0;
	for (struct crew__piece *p = q->head; p && count > 0; p = p->next) {
		if (p->ends >= count && p->kind == CREW__COPIED) {
			uint32_t index = p->copy.noted - p->ends + count - 1;
			return bytes + *crew__piece_end_at(p, index) - crew__piece_left_at(p);
		}
		count -= p->ends < count ? p->ends : count;
		bytes += p->len;
	}
	return bytes;
}

uint64_t crew__queue_begun_extent(const struct crew__queue *q)
{
	const struct crew__piece *p = q->head;
	if (p && p->control)
		return p->len;
	return p && p->begun ? crew__queue_extent(q, 1) : 0;
}
