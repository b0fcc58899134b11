/* queue_move.c - what waits, written down for another process, and made a queue again there.
 *
 * Piece by piece, so that every boundary, lane and unit is as it was; what was referred to is
 * copied. A piece is said in any number of items and ends with its bytes. */
#include "net/queue_move.h"

#include "net/queue_parts.h"

#include <stdlib.h>
#include <string.h>

enum {
	TAG_SHAPE = 1, /* the bits below */
	TAG_ENDS,      /* uint32_t for each message that ends in it: how many bytes lie before */
	TAG_KEY,
	TAG_SEQUENCE,
	TAG_TTL,  /* hundredths that are left */
	TAG_BORN, /* of what has a key: which came first is no matter of their order */
	TAG_BYTES,
};

enum {
	LANE = 3,
	OPEN = 4,
	CONTROL = 8,
	BEGUN = 16,
	SHAPES = 31,
};

/* ---- down ---------------------------------------------------------------------------------- */

static void put_ends(struct crew__parcel *parcel, struct crew__piece *p)
{
	uint32_t *ends = malloc(p->ends * sizeof(*ends));
	if (!ends) {
		parcel->error = parcel->error ? parcel->error : -ENOMEM;
		return;
	}
	for (uint32_t i = 0; i < p->ends; i++)
		ends[i] = p->kind == CREW__COPIED
				  ? *crew__piece_end_at(p, p->copy.noted - p->ends + i) -
					    crew__piece_left_at(p)
				  : p->len;
	crew__parcel_put(
		parcel, TAG_ENDS, (crew_bytes){ (const char *)ends, p->ends * sizeof(*ends) });
	free(ends);
}

static void put_unit(struct crew__parcel *parcel, const struct crew__unit *unit, uint32_t now)
{
	if (unit->key_len > 0) {
		crew__parcel_put(parcel, TAG_KEY, crew__unit_key(unit));
		crew__parcel_number(parcel, TAG_BORN, unit->born);
	}
	if (unit->sequence > 0)
		crew__parcel_number(parcel, TAG_SEQUENCE, unit->sequence);
	if (unit->place == 0)
		return;
	int32_t left = (int32_t)(unit->expires - now);
	crew__parcel_number(parcel, TAG_TTL, left > 0 ? (uint64_t)left : 1);
}

int crew__queue_pack(const struct crew__queue *q, uint32_t now, struct crew__parcel *parcel)
{
	for (struct crew__piece *p = q->head; p; p = p->next) {
		if (p->kind == CREW__FILED)
			return -ENOTSUP;
		uint64_t shape = (p->lane & LANE) | (p->open ? OPEN : 0u) |
				 (p->control ? CONTROL : 0u) | (p->begun ? BEGUN : 0u);
		crew__parcel_number(parcel, TAG_SHAPE, shape);
		if (p->ends > 0)
			put_ends(parcel, p);
		if (p->unit)
			put_unit(parcel, p->unit, now);
		crew__parcel_put(parcel, TAG_BYTES, (crew_bytes){ p->data, p->len });
	}
	return parcel->error;
}

/* ---- up ------------------------------------------------------------------------------------ */

/* A piece as far as it has been read. */
struct draft {
	uint64_t shape;
	crew_bytes ends;
	struct crew__about about;
	uint64_t born;
};

/* What is to get a unit once all pieces are there: the newest of a key is the last to get its own.
 */
struct child {
	struct crew__piece *piece;
	struct crew__about about;
	uint64_t born;
};

struct nursery {
	struct child *children;
	size_t count, room;
};

static bool take_detail(struct draft *draft, const struct crew__parcel_item *item)
{
	uint64_t number;
	switch (item->tag) {
	case TAG_SHAPE:
		return crew__parcel_is_number(item, SHAPES, &draft->shape);
	case TAG_ENDS:
		draft->ends = item->value;
		return item->value.len % sizeof(uint32_t) == 0;
	case TAG_KEY:
		draft->about.key = item->value;
		return item->value.len <= CREW_KEY_MOST;
	case TAG_SEQUENCE:
		return crew__parcel_is_number(item, UINT64_MAX, &draft->about.sequence);
	case TAG_TTL:
		if (!crew__parcel_is_number(item, INT32_MAX, &number))
			return false;
		draft->about.ttl = (uint32_t)number;
		return true;
	case TAG_BORN:
		return crew__parcel_is_number(item, UINT64_MAX, &draft->born);
	default:
		return true; /* what another version says beside */
	}
}

/* Ends rise, lie within the bytes, and say whether the last byte is one. */
static bool ends_fit(const struct draft *draft, size_t len)
{
	size_t count = draft->ends.len / sizeof(uint32_t);
	uint32_t before = 0;
	for (size_t i = 0; i < count; i++) {
		uint32_t end;
		memcpy(&end, draft->ends.data + i * sizeof(end), sizeof(end));
		if (end <= before || end > len)
			return false;
		before = end;
	}
	if (draft->shape & CONTROL)
		return count == 0;
	return (before == len) == !(draft->shape & OPEN);
}

/* All that is there is of a message that has begun, so that any lane may follow it. */
static bool is_all_begun(const struct crew__queue *q)
{
	const struct crew__piece *p = q->head;
	if (!p->begun)
		return false;
	while (p->open && p->ends == 0 && p->next)
		p = p->next;
	return p == q->tail;
}

/* What must hold between it and the piece before (queue.h). */
static bool follows(const struct crew__queue *q, const struct draft *draft)
{
	const struct crew__piece *last = q->tail;
	unsigned lane = draft->shape & LANE;
	bool control = draft->shape & CONTROL;
	if (lane > CREW__LANE_CONTROL || (control && lane != CREW__LANE_CONTROL))
		return false;
	if (!last)
		return true;
	if (draft->shape & BEGUN)
		return false; /* only the head can have begun */
	return lane <= last->lane || is_all_begun(q);
}

static bool unit_fits(const struct draft *draft)
{
	if (!crew__about_needs_unit(&draft->about))
		return true;
	return !(draft->shape & (CONTROL | BEGUN)) && draft->ends.len <= sizeof(uint32_t);
}

static struct crew__piece *make(
	struct crew__piece_pool *pool, const struct draft *draft, crew_bytes bytes)
{
	size_t count = draft->ends.len / sizeof(uint32_t);
	struct crew__piece *p = crew__piece_copying(pool, bytes.len + count * sizeof(uint32_t), 0);
	if (!p)
		return NULL;
	memcpy(p->room, bytes.data, bytes.len);
	p->len = (uint32_t)bytes.len;
	p->copy.filled = (uint32_t)bytes.len;
	for (size_t i = 0; i < count; i++)
		memcpy(crew__piece_end_at(p, (uint32_t)i), draft->ends.data + i * sizeof(uint32_t),
			sizeof(uint32_t));
	p->copy.noted = (uint32_t)count;
	p->ends = (uint32_t)count;
	p->lane = draft->shape & LANE;
	p->open = draft->shape & OPEN;
	p->control = draft->shape & CONTROL;
	p->begun = draft->shape & BEGUN;
	p->sealed = true;
	return p;
}

static int remember(struct nursery *nursery, struct crew__piece *p, const struct draft *draft)
{
	if (!crew__about_needs_unit(&draft->about))
		return 0;
	if (nursery->count == nursery->room) {
		size_t room = nursery->room ? nursery->room * 2 : 16;
		struct child *more = reallocarray(nursery->children, room, sizeof(*more));
		if (!more)
			return -ENOMEM;
		nursery->children = more;
		nursery->room = room;
	}
	struct child *child = &nursery->children[nursery->count++];
	*child = (struct child){ p, draft->about, draft->born };
	child->about.lane = p->lane;
	return 0;
}

static int add(struct crew__queue *q, struct crew__piece_pool *pool, struct nursery *nursery,
	const struct draft *draft, crew_bytes bytes)
{
	if (bytes.len == 0 || bytes.len > UINT32_MAX / 4 || !ends_fit(draft, bytes.len) ||
		!follows(q, draft) || !unit_fits(draft))
		return -EPROTO;
	struct crew__piece *p = make(pool, draft, bytes);
	if (!p)
		return -ENOMEM;
	crew__queue_link(q, q->tail, p);
	return remember(nursery, p, draft);
}

static int by_birth(const void *a, const void *b)
{
	uint64_t first = ((const struct child *)a)->born, second = ((const struct child *)b)->born;
	return (first > second) - (first < second);
}

static int bear(
	struct crew__queue *q, struct crew__piece_pool *pool, struct nursery *nursery, uint32_t now)
{
	if (nursery->count > 1)
		qsort(nursery->children, nursery->count, sizeof(struct child), by_birth);
	for (size_t i = 0; i < nursery->count; i++) {
		const struct child *child = &nursery->children[i];
		struct crew__unit *unit = crew__unit_new(&pool->units, q, &child->about, now);
		if (!unit)
			return -ENOMEM;
		crew__piece_join(pool, child->piece, unit);
	}
	return 0;
}

static int read_pieces(struct crew__queue *q, struct crew__piece_pool *pool,
	struct nursery *nursery, crew_bytes packed)
{
	struct draft draft = { 0 };
	struct crew__parcel_item item;
	int got;
	while ((got = crew__parcel_next(&packed, &item)) == 1) {
		int error;
		if (item.tag == TAG_BYTES) {
			error = add(q, pool, nursery, &draft, item.value);
			draft = (struct draft){ 0 };
		} else {
			error = take_detail(&draft, &item) ? 0 : -EPROTO;
		}
		if (error)
			return error;
	}
	/* A message that goes on has to end: its sender has no more of it. */
	bool cut_off = q->tail && q->tail->open && !q->tail->control;
	return got < 0 || cut_off ? -EPROTO : 0;
}

int crew__queue_unpack(
	struct crew__queue *q, struct crew__piece_pool *pool, crew_bytes packed, uint32_t now)
{
	struct nursery nursery = { NULL, 0, 0 };
	int error = read_pieces(q, pool, &nursery, packed);
	if (!error)
		error = bear(q, pool, &nursery, now);
	free(nursery.children);
	return error;
}
