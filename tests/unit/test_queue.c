/* test_queue.c - the send queue: bytes leave in order, whatever their cutting, message ends are
 * counted exactly, and what is referred to is given back exactly once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/queue.h"
#include "pieces.h"

#include <stdlib.h>
#include <string.h>

enum {
	ROOM = 1 << 20,
	ENDS = 4096
};

/* What a queue must hold: a flat stream, and where in it messages end. */
struct model {
	char *bytes;
	size_t len;
	size_t ends[ENDS];
	size_t end_count;
};

static struct {
	struct crew__queue q;
	struct crew__piece_pool pool;
	struct model model;
	unsigned referred, released;
} t;

static int set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	t.model.bytes = malloc(ROOM);
	return t.model.bytes ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	crew__queue_drop(&t.q, &t.pool);
	crew__piece_pool_fini(&t.pool);
	free(t.model.bytes);
	return t.referred == t.released ? 0 : -1;
}

/* Bytes that differ from place to place, so that one out of order is seen. */
static const char *sample(size_t at)
{
	static char bytes[1 << 17];
	if (!bytes[1])
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (char)(i * 7 + (i >> 8) * 13 + 1);
	return bytes + at % 251;
}

static void model_add(const char *bytes, size_t len, bool ends)
{
	struct model *m = &t.model;
	assert_true(m->len + len <= ROOM && m->end_count < ENDS);
	memcpy(m->bytes + m->len, bytes, len);
	m->len += len;
	if (ends)
		m->ends[m->end_count++] = m->len;
}

/* How many ends lie within the first n bytes; they and the bytes leave the model. */
static uint32_t model_take(size_t n)
{
	struct model *m = &t.model;
	size_t count = 0;
	while (count < m->end_count && m->ends[count] <= n)
		count++;
	memmove(m->bytes, m->bytes + n, m->len - n);
	m->len -= n;
	m->end_count -= count;
	for (size_t i = 0; i < m->end_count; i++)
		m->ends[i] = m->ends[i + count] - n;
	return (uint32_t)count;
}

static void copy(size_t at, size_t len, bool ends)
{
	assert_int_equal(crew__queue_copy(&t.q, &t.pool, sample(at), len, ends), 0);
	model_add(sample(at), len, ends);
}

static void note_release(void *data, void *arg)
{
	assert_ptr_equal(data, arg); /* as it was given, not advanced */
	t.released++;
}

static void refer(size_t at, size_t len, size_t skip, bool ends)
{
	const char *data = sample(at);
	void *same = (void *)(uintptr_t)data;
	assert_int_equal(
		crew__queue_refer(&t.q, &t.pool, data, len, skip, ends, false, note_release, same),
		0);
	t.referred++;
	model_add(data + skip, len - skip, ends);
}

static void check_sums(void)
{
	uint64_t bytes, messages;
	crew__queue_sums(&t.q, &bytes, &messages);
	assert_int_equal(bytes, t.model.len);
	assert_int_equal(messages, t.model.end_count);
	assert_int_equal(crew__queue_empty(&t.q), t.model.len == 0);
}

/* What leaves first is what the model says: all that `most` vectors reach. */
static void check_bytes(size_t most)
{
	static struct iovec vectors[2048];
	size_t bytes, sum = 0;
	size_t count = crew__queue_gather(&t.q, vectors, most, &bytes);
	assert_true(count <= most && bytes <= t.model.len);
	for (size_t i = 0; i < count; i++) {
		assert_true(vectors[i].iov_len > 0);
		assert_memory_equal(vectors[i].iov_base, t.model.bytes + sum, vectors[i].iov_len);
		sum += vectors[i].iov_len;
	}
	assert_int_equal(sum, bytes);
	if (count < most)
		assert_int_equal(bytes, t.model.len);
}

static void check(void)
{
	check_sums();
	check_bytes(2048);
}

static void consume(size_t n)
{
	uint32_t expected = model_take(n);
	assert_int_equal(crew__queue_consume(&t.q, &t.pool, n), expected);
	check_sums();
	check_bytes(4);
}

/* ---- pieces -------------------------------------------------------------------------------- */

static void an_empty_queue_has_nothing(void **state)
{
	(void)state;
	struct iovec vector;
	size_t bytes = 1;
	assert_true(crew__queue_empty(&t.q));
	assert_int_equal(crew__queue_gather(&t.q, &vector, 1, &bytes), 0);
	assert_int_equal(bytes, 0);
	assert_int_equal(crew__queue_consume(&t.q, &t.pool, 0), 0);
	assert_int_equal(crew__queue_copy(&t.q, &t.pool, NULL, 0, false), 0);
	assert_true(crew__queue_empty(&t.q));
	crew__queue_drop(&t.q, &t.pool);
}

static void small_messages_share_a_piece(void **state)
{
	(void)state;
	struct iovec vectors[8];
	size_t bytes;
	for (size_t i = 0; i < 20; i++)
		copy(i, 10 + i, true);
	assert_int_equal(crew__queue_gather(&t.q, vectors, 8, &bytes), 1);
	check();
	for (size_t i = 0; i < 800; i++)
		copy(i, 20, true);
	/* 20 bytes and an end each: one short first piece, then one of 16 KiB and a bit. */
	assert_true(crew__queue_gather(&t.q, vectors, 8, &bytes) <= 3);
	check();
	consume(t.model.len);
}

static void gather_stops_at_the_last_vector(void **state)
{
	(void)state;
	struct iovec vectors[3];
	size_t bytes;
	for (size_t i = 0; i < 5; i++)
		refer(i, 100, 0, true);
	assert_int_equal(crew__queue_gather(&t.q, vectors, 3, &bytes), 3);
	assert_int_equal(bytes, 300);
	for (size_t most = 0; most < 7; most++)
		check_bytes(most);
}

static void a_copy_that_cannot_be_had_changes_nothing(void **state)
{
	(void)state;
	copy(0, 100, true);
	copy(3, 7, false);
	assert_int_equal(crew__queue_copy(&t.q, &t.pool, sample(0), UINT32_MAX, true), -ENOMEM);
	check();
	copy(9, 50, true);
	check();
}

/* ---- leaving ------------------------------------------------------------------------------- */

/* One of everything: short and long copies around the sizes of pieces, references whole and begun,
 * messages of several parts, bytes of no message between. */
static void fill(void)
{
	static const size_t sizes[] = { 1, 2, 5, 300, 1019, 1020, 1021, 1500, 16379, 16380, 16381,
		30000 };
	for (size_t i = 0; i < crew__lengthof(sizes); i++) {
		copy(i, sizes[i], true);
		if (i % 3 == 0)
			copy(i + 1, 4, false);
		if (i % 4 == 0)
			refer(i + 2, 700 + i, i * 10, true);
		copy(i + 3, 10, false); /* head, body by reference, tail: one message */
		refer(i + 4, 60, 0, false);
		copy(i + 5, 1, true);
	}
	copy(5, 9, false);
	check();
}

static void leaves_right_in_every_cutting(void **state)
{
	(void)state;
	for (unsigned way = 0; way < PIECES_WAYS; way++) {
		struct pieces pieces = pieces_of(way);
		if (way == PIECES_BYTES)
			continue; /* the shorter queue below */
		fill();
		while (t.model.len > 0) {
			size_t n = pieces_next(&pieces, t.model.len);
			consume(way % 2 ? crew__min(n * 50, t.model.len) : n);
		}
		assert_true(crew__queue_empty(&t.q));
		assert_int_equal(t.referred, t.released);
	}
}

static void fill_a_little(void)
{
	copy(0, 3, true);
	copy(1, 2, false);
	copy(2, 1, true);
	refer(3, 6, 2, true);
	copy(4, 2, false);
	refer(5, 3, 0, false);
	refer(6, 1, 0, true);
	copy(7, 4, true);
	copy(8, 1, true);
}

/* Each pair of cuts: every byte is once the first and once the last of a write. */
static void leaves_right_at_every_cut(void **state)
{
	(void)state;
	fill_a_little();
	size_t whole = t.model.len;
	crew__queue_drop(&t.q, &t.pool);
	model_take(whole);
	for (size_t a = 0; a <= whole; a++) {
		for (size_t b = a; b <= whole; b++) {
			fill_a_little();
			consume(a);
			consume(b - a);
			consume(whole - b);
			assert_true(crew__queue_empty(&t.q));
		}
	}
}

static void what_leaves_makes_no_room_for_what_comes(void **state)
{
	(void)state;
	copy(0, 500, true);
	for (size_t i = 0; i < 3000; i++) {
		copy(i, 1 + i % 40, i % 5 != 0);
		consume(i % 41 < t.model.len ? i % 41 : t.model.len);
		check();
	}
}

/* ---- references ---------------------------------------------------------------------------- */

static void given_back_with_the_last_byte_and_not_before(void **state)
{
	(void)state;
	refer(0, 10, 0, true);
	refer(1, 10, 9, true);
	consume(9);
	assert_int_equal(t.released, 0);
	consume(1);
	assert_int_equal(t.released, 1);
	consume(1);
	assert_int_equal(t.released, 2);
}

static void dropping_gives_all_back_once(void **state)
{
	(void)state;
	refer(0, 10, 0, true);
	copy(1, 10, true);
	refer(2, 10, 3, false);
	refer(3, 10, 3, true);
	consume(4);
	crew__queue_drop(&t.q, &t.pool);
	assert_true(crew__queue_empty(&t.q));
	assert_int_equal(t.released, 3);
	crew__queue_drop(&t.q, &t.pool);
	assert_int_equal(t.released, 3);
}

static void bytes_that_live_for_ever_need_no_release(void **state)
{
	(void)state;
	assert_int_equal(
		crew__queue_refer(&t.q, &t.pool, sample(0), 5, 0, true, false, NULL, NULL), 0);
	model_add(sample(0), 5, true);
	struct iovec vector;
	size_t bytes;
	crew__queue_gather(&t.q, &vector, 1, &bytes);
	assert_ptr_equal(vector.iov_base, sample(0)); /* not copied */
	consume(5);
}

static void spare_pieces_serve_again_within_a_bound(void **state)
{
	(void)state;
	struct crew__queue other = { 0 };
	refer(0, 10, 0, true);
	consume(10);
	assert_int_equal(t.pool.count, 1);
	struct crew__piece *spare = t.pool.spare;
	assert_int_equal(
		crew__queue_refer(&other, &t.pool, sample(0), 4, 0, true, false, NULL, NULL), 0);
	assert_ptr_equal(other.head, spare);
	assert_int_equal(t.pool.count, 0);
	for (int i = 0; i < 10000; i++)
		assert_int_equal(crew__queue_refer(
					 &other, &t.pool, sample(0), 4, 0, true, false, NULL, NULL),
			0);
	crew__queue_drop(&other, &t.pool);
	assert_int_equal(t.pool.count, 4096);
	crew__piece_pool_fini(&t.pool);
	assert_int_equal(t.pool.count, 0);
	assert_null(t.pool.spare);
}

/* ---- taking back --------------------------------------------------------------------------- */

static void roll_back(const struct crew__queue_mark *mark, const struct model *before)
{
	crew__queue_rollback(&t.q, &t.pool, mark);
	t.model.len = before->len;
	t.model.end_count = before->end_count;
	check();
}

/* Append what `what` says, bit by bit, take it back, and append again: as if it had never been. */
static void take_back(unsigned what)
{
	struct crew__queue_mark mark = crew__queue_mark(&t.q);
	struct model before = t.model;
	unsigned referred = t.referred, released = t.released;
	if (what & 1)
		copy(11, 30, true);
	if (what & 2)
		refer(12, 30, 1, true);
	if (what & 4)
		copy(13, 20000, true);
	if (what & 8)
		copy(14, 5, false);
	check();
	roll_back(&mark, &before);
	assert_int_equal(t.released, released); /* still the caller's */
	t.referred = referred;
	copy(15, 12, true);
	check();
}

static void what_is_taken_back_never_was(void **state)
{
	(void)state;
	for (unsigned what = 0; what < 16; what++) {
		take_back(what); /* behind a copy, but for the first */
		refer(0, 20, 0, true);
		take_back(what); /* behind a reference */
		if (what % 3 == 0)
			consume(t.model.len / 2); /* behind a piece of which a part has left */
		if (what % 5 == 0)
			consume(t.model.len); /* on an empty queue */
	}
	while (t.model.len > 0)
		consume(crew__min(17, t.model.len));
	assert_true(crew__queue_empty(&t.q));
}

/* ---- all together -------------------------------------------------------------------------- */

static void random_step(struct pieces *dice)
{
	size_t at = (size_t)(pieces_random(dice) % 1000);
	size_t len = 1 + (size_t)(pieces_random(dice) % (pieces_random(dice) % 4 ? 100 : 20000));
	switch (pieces_random(dice) % 8) {
	case 0:
	case 1:
		copy(at, len, true);
		break;
	case 2:
		copy(at, crew__min(len, 130), false);
		break;
	case 3:
		refer(at, len, (size_t)(pieces_random(dice) % len), at % 2);
		break;
	case 4:
		take_back((unsigned)at & 15);
		break;
	case 5:
		consume(t.model.len);
		break;
	default:
		consume((size_t)(pieces_random(dice) % (t.model.len + 1)));
	}
}

static void agrees_with_a_flat_model(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 20; round++) {
		struct pieces dice = pieces_of(round);
		for (int step = 0; step < 300; step++) {
			if (t.model.len > ROOM / 2)
				consume(t.model.len / 3);
			random_step(&dice);
			check();
		}
		crew__queue_drop(&t.q, &t.pool);
		model_take(t.model.len);
		assert_int_equal(t.referred, t.released);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_empty_queue_has_nothing),
		TEST(small_messages_share_a_piece),
		TEST(gather_stops_at_the_last_vector),
		TEST(a_copy_that_cannot_be_had_changes_nothing),
		TEST(leaves_right_in_every_cutting),
		TEST(leaves_right_at_every_cut),
		TEST(what_leaves_makes_no_room_for_what_comes),
		TEST(given_back_with_the_last_byte_and_not_before),
		TEST(dropping_gives_all_back_once),
		TEST(bytes_that_live_for_ever_need_no_release),
		TEST(spare_pieces_serve_again_within_a_bound),
		TEST(what_is_taken_back_never_was),
		TEST(agrees_with_a_flat_model),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
