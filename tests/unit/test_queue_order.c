/* test_queue_order.c - what departs from the order of arrival, against a plain model of a queue:
 * lanes, messages that give up their place or are taken out, control bytes, all cut at random. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/queue_move.h"
#include "net/queue_parts.h"

#include <stdlib.h>
#include <string.h>

enum {
	MOST = 400,      /* messages in a queue */
	LONGEST = 40000, /* of one */
	KEYS = 6,
};

/* A message, or bytes of none. */
struct entry {
	uint32_t number;    /* what its bytes are made of; also its age */
	uint32_t len, left; /* `left` bytes at its end have not left */
	uint8_t lane;
	bool control;
	uint8_t key; /* 0: none */
	uint64_t sequence;
};

static struct {
	struct crew__queue q;
	struct crew__piece_pool pool;
	struct entry entries[MOST];
	size_t count;
	uint32_t numbers, seed;
	unsigned referred, released;
} t;

static uint32_t roll(uint32_t below)
{
	t.seed = t.seed * 1664525u + 1013904223u;
	return (uint32_t)(((uint64_t)(t.seed >> 8) * below) >> 24);
}

static int set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	t.seed = 1;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	crew__queue_drop(&t.q, &t.pool);
	bool clean = t.pool.held == 0 && t.pool.units.keyed == 0 && t.pool.units.timed == 0;
	crew__piece_pool_fini(&t.pool);
	return clean && t.referred == t.released ? 0 : -1;
}

/* Bytes that tell of whom they are and where in it. */
static char byte_of(uint32_t number, uint32_t at)
{
	return (char)(number * 31 + at * 7 + (at >> 8) + 1);
}

static void fill(char *room, uint32_t number, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		room[i] = byte_of(number, i);
}

/* ---- the model ----------------------------------------------------------------------------- */

static bool begun(void)
{
	return t.count > 0 && t.entries[0].left < t.entries[0].len;
}

static void put_at(size_t at, struct entry entry)
{
	assert_true(t.count < MOST);
	memmove(&t.entries[at + 1], &t.entries[at], (t.count - at) * sizeof(entry));
	t.entries[at] = entry;
	t.count++;
}

static void take_at(size_t at)
{
	t.count--;
	memmove(&t.entries[at], &t.entries[at + 1], (t.count - at) * sizeof(t.entries[0]));
}

static size_t place_for(uint8_t lane)
{
	size_t at = begun();
	if (lane == CREW__LANE_NORMAL)
		return t.count;
	while (at < t.count && t.entries[at].lane >= lane)
		at++;
	return at;
}

/* The newest with that key of which nothing has left; MOST: there is none. */
static size_t keyed(uint8_t key)
{
	size_t found = MOST;
	for (size_t i = begun(); i < t.count; i++)
		if (t.entries[i].key == key &&
			(found == MOST || t.entries[i].number > t.entries[found].number))
			found = i;
	return found;
}

static size_t oldest(uint8_t most)
{
	for (uint8_t lane = 0; lane <= most; lane++)
		for (size_t i = begun(); i < t.count; i++)
			if (!t.entries[i].control && t.entries[i].lane == lane)
				return i;
	return MOST;
}

/* ---- what must hold ------------------------------------------------------------------------ */

/* All bytes of the queue, in its order. */
static size_t bytes_of_queue(char *room)
{
	size_t len = 0;
	for (const struct crew__piece *p = t.q.head; p; p = p->next) {
		memcpy(room + len, p->data, p->len);
		len += p->len;
		assert_true(p->len > 0);
		assert_ptr_equal(p->next ? p->next->prev : t.q.tail, p);
	}
	return len;
}

static void check_bytes(void)
{
	static char room[MOST * LONGEST];
	size_t len = bytes_of_queue(room), at = 0;
	for (size_t i = 0; i < t.count; i++) {
		const struct entry *e = &t.entries[i];
		for (uint32_t k = e->len - e->left; k < e->len; k++)
			if (at >= len || room[at++] != byte_of(e->number, k))
				fail_msg("seed %u: entry %zu of %zu breaks at %u", t.seed, i,
					t.count, k);
	}
	assert_int_equal(at, len);
}

static void check_counts(void)
{
	uint64_t bytes, messages, expected = 0, keys = 0, left = 0, held = 0;
	for (size_t i = 0; i < t.count; i++) {
		expected += !t.entries[i].control;
		left += t.entries[i].left;
		keys += t.entries[i].key > 0 && t.entries[i].left == t.entries[i].len;
	}
	crew__queue_sums(&t.q, &bytes, &messages);
	assert_int_equal(bytes, left);
	assert_int_equal(messages, expected);
	assert_int_equal(t.pool.units.keyed, keys);
	for (const struct crew__piece *p = t.q.head; p; p = p->next)
		held += p->charge;
	assert_int_equal(t.pool.held, held);
}

/* What has begun may go on to its end; short bytes of control lie together and leave together. */
static void check_begun_extent(void)
{
	uint64_t extent = crew__queue_begun_extent(&t.q), controls = 0;
	if (!begun() && (t.count == 0 || !t.entries[0].control)) {
		assert_int_equal(extent, 0);
		return;
	}
	assert_true(!begun() || extent >= t.entries[0].left);
	for (size_t i = 0; i < t.count && t.entries[i].control; i++)
		controls += t.entries[i].left;
	assert_true(extent <= crew__max(controls, (uint64_t)t.entries[0].left));
}

/* Where the n-th message ends; and what has begun. */
static void check_extents(void)
{
	uint64_t at = 0;
	uint32_t n = 0;
	for (size_t i = 0; i < t.count; i++) {
		at += t.entries[i].left;
		if (!t.entries[i].control)
			assert_int_equal(crew__queue_extent(&t.q, ++n), at);
	}
	assert_int_equal(crew__queue_extent(&t.q, n + 1), at);
	assert_int_equal(crew__queue_extent(&t.q, 0), 0);
	check_begun_extent();
}

static void check_all(void)
{
	check_bytes();
	check_counts();
	check_extents();
}

/* ---- steps --------------------------------------------------------------------------------- */

static void release(void *data, void *arg)
{
	assert_ptr_equal(data, arg);
	t.released++;
	free(data);
}

static uint32_t random_len(void)
{
	static const uint32_t most[] = { 4, 60, 60, 700, 5000, LONGEST - 1 };
	return 1 + roll(most[roll(6)]);
}

static struct entry new_entry(uint32_t len)
{
	return (struct entry){ .number = ++t.numbers, .len = len, .left = len };
}

/* Head, body and tail of an entry, cut anywhere; `room` is its bytes. */
static struct crew__framed cut_up(const struct entry *e, char *room)
{
	uint32_t head = roll(2) ? roll(e->len) : 0;
	uint32_t tail = roll(2) ? roll(e->len - head) : 0;
	struct crew__framed m = {
		.head = { room, head },
		.body = { room + head, e->len - head - tail },
		.tail = { room + e->len - tail, tail },
	};
	if (roll(2) == 0 || m.body.len == 0)
		return m;
	char *own = malloc(m.body.len);
	assert_non_null(own);
	memcpy(own, m.body.data, m.body.len);
	m.body.data = own;
	m.refer = true;
	m.owned = roll(2);
	m.release = release;
	m.arg = own;
	return m;
}

static void insert(uint8_t lane, uint8_t key, size_t before)
{
	static char room[LONGEST];
	char name = (char)('a' + key);
	struct entry e = new_entry(random_len());
	fill(room, e.number, e.len);
	e.lane = lane;
	e.key = key;
	e.sequence = roll(2) ? e.number : 0;
	struct crew__framed m = cut_up(&e, room);
	const struct crew__about about = {
		.key = { &name, key > 0 }, .lane = lane, .sequence = e.sequence
	};
	const struct crew__unit *unit = before < MOST
						? crew__unit_find(&t.pool.units, &t.q, about.key)
						: NULL;
	t.referred += m.refer;
	assert_int_equal(crew__queue_insert(&t.q, &t.pool, &m, &about, 0, unit), 0);
	if (unit)
		e.lane = t.entries[before].lane;
	put_at(before < MOST ? before : place_for(lane), e);
}

static void append(void)
{
	static char room[LONGEST];
	struct entry e = new_entry(random_len());
	fill(room, e.number, e.len);
	if (roll(2)) {
		assert_int_equal(crew__queue_copy(&t.q, &t.pool, room, e.len, true), 0);
	} else {
		char *own = malloc(e.len);
		assert_non_null(own);
		memcpy(own, room, e.len);
		t.referred++;
		assert_int_equal(crew__queue_refer(
					 &t.q, &t.pool, own, e.len, 0, true, roll(2), release, own),
			0);
	}
	put_at(t.count, e);
}

static void control(bool at_once)
{
	char room[64];
	struct entry e = new_entry(1 + roll(sizeof(room)));
	fill(room, e.number, e.len);
	e.control = true;
	assert_int_equal(crew__queue_control(&t.q, &t.pool, room, e.len, at_once), 0);
	if (!at_once)
		for (size_t i = 0; i < t.count; i++)
			t.entries[i].lane = CREW__LANE_CONTROL;
	e.lane = CREW__LANE_CONTROL;
	put_at(at_once ? place_for(CREW__LANE_CONTROL) : t.count, e);
}

static void expect_taken(size_t at, const struct crew__taken_out *taken)
{
	const struct entry *e = &t.entries[at];
	assert_int_equal(taken->bytes, e->len);
	assert_int_equal(taken->sequence, e->sequence);
	assert_int_equal(taken->key_len, e->key > 0);
	if (e->key > 0)
		assert_int_equal(taken->key[0], 'a' + e->key);
	take_at(at);
}

static void evict(uint8_t most)
{
	struct crew__taken_out taken;
	size_t at = oldest(most);
	assert_int_equal(
		crew__queue_evict(&t.q, &t.pool, (enum crew__lane)most, &taken), at < MOST);
	if (at < MOST)
		expect_taken(at, &taken);
}

/* A newer one takes the place of the newest with its key; or that one is taken out. */
static void replace(uint8_t lane, uint8_t key, bool by_a_newer)
{
	char name = (char)('a' + key);
	struct crew__taken_out taken;
	size_t at = keyed(key);
	struct crew__unit *unit = crew__unit_find(&t.pool.units, &t.q, (crew_bytes){ &name, 1 });
	assert_int_equal(unit != NULL, at < MOST);
	if (!unit)
		return;
	assert_int_equal(crew__queue_bytes_of(unit), t.entries[at].len);
	uint32_t number = t.entries[at].number;
	if (by_a_newer)
		insert(lane, key, unit->lane == lane ? at : MOST);
	crew__queue_take_out(&t.q, &t.pool, unit, &taken);
	for (at = 0; t.entries[at].number != number; at++)
		continue;
	expect_taken(at, &taken);
}

static void leave(size_t n)
{
	uint32_t ended = 0;
	size_t left = n;
	while (left > 0) {
		struct entry *e = &t.entries[0];
		uint32_t part = (uint32_t)crew__min(left, e->left);
		e->left -= part;
		left -= part;
		if (e->left > 0)
			continue;
		ended += !e->control;
		take_at(0);
	}
	assert_int_equal(crew__queue_consume(&t.q, &t.pool, n), ended);
}

static void some_leave(void)
{
	uint64_t bytes, messages;
	crew__queue_sums(&t.q, &bytes, &messages);
	if (bytes == 0)
		return;
	uint32_t how = roll(4);
	if (how == 0) /* just to the end of a message */
		bytes = crew__queue_extent(&t.q, 1 + roll(4));
	else if (how < 3)
		bytes = crew__min(bytes, (uint64_t)1 + roll(300));
	else
		bytes = 1 + roll((uint32_t)crew__min(bytes, UINT64_C(1000000)));
	leave(bytes);
}

/* What was appended and is taken back. */
static void take_back(void)
{
	static char room[5000];
	uint32_t len = 1 + roll(sizeof(room));
	struct crew__queue_mark mark = crew__queue_mark(&t.q);
	assert_int_equal(crew__queue_copy(&t.q, &t.pool, room, len, true), 0);
	if (roll(2))
		assert_int_equal(
			crew__queue_refer(&t.q, &t.pool, room, len, 0, true, false, release, room),
			0);
	crew__queue_rollback(&t.q, &t.pool, &mark);
}

/* To another process, as it were. */
static void move(void)
{
	struct crew__parcel parcel;
	crew__parcel_init(&parcel, INT32_MAX);
	assert_int_equal(crew__queue_pack(&t.q, 0, &parcel), 0);
	crew__queue_drop(&t.q, &t.pool);
	crew_bytes packed = { parcel.bytes.data, parcel.bytes.len };
	assert_int_equal(crew__queue_unpack(&t.q, &t.pool, packed, 0), 0);
	crew__parcel_fini(&parcel);
}

static void one_step(void)
{
	uint8_t key = (uint8_t)(1 + roll(KEYS)), lane = (uint8_t)roll(2);
	if (t.count > MOST - 8)
		leave(t.entries[0].left);
	switch (roll(15)) {
	case 0:
	case 1:
		append();
		break;
	case 2:
	case 3:
		insert(lane, key, MOST);
		break;
	case 4:
		insert(CREW__LANE_HIGH, 0, MOST);
		break;
	case 5:
		control(true);
		break;
	case 6:
		if (roll(20) == 0)
			control(false);
		break;
	case 7:
	case 8:
		evict(lane);
		break;
	case 9:
		replace(lane, key, true);
		break;
	case 10:
		replace(lane, key, false);
		break;
	case 11:
		take_back();
		break;
	case 12:
		move();
		break;
	default:
		some_leave();
	}
}

static void any_order_of_steps(void **state)
{
	(void)state;
	const char *more = getenv("CREW_LAWS_SEEDS");
	uint32_t seeds = more ? (uint32_t)atoi(more) : 25;
	for (uint32_t seed = 1; seed <= seeds; seed++) {
		set_up(NULL);
		t.seed = seed * 2654435761u;
		for (int step = 0; step < 250; step++) {
			one_step();
			check_all();
		}
		while (t.count > 0)
			leave(t.entries[0].left);
		assert_int_equal(tear_down(NULL), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_order_of_steps),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
