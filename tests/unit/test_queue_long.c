/* test_queue_long.c - queues of a hundred thousand short messages: what is done for one of them
 * must not look at all others. One peer that does not read would otherwise make every send slow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/queue.h"

#include <time.h>

enum {
	LONG = 100000,
	/* A walk over all for each takes a minute or more; without, a fraction of a second. */
	PATIENCE_S = 10,
};

static struct {
	struct crew__queue q;
	struct crew__piece_pool pool;
	clock_t began;
} t;

static int set_up(void **state)
{
	(void)state;
	t.began = clock();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	crew__queue_drop(&t.q, &t.pool);
	crew__piece_pool_fini(&t.pool);
	return 0;
}

static void assert_soon(void)
{
	assert_true(clock() - t.began < (clock_t)PATIENCE_S * CLOCKS_PER_SEC);
}

static void put(enum crew__lane lane, const char *key)
{
	const struct crew__framed message = { .body = CREW_BYTES("x") };
	const struct crew__about about = { .key = crew_str(key), .lane = (uint8_t)lane };
	assert_int_equal(crew__queue_insert(&t.q, &t.pool, &message, &about, 1, NULL), 0);
	assert_soon();
}

static void many_of_one_key_leave_one_by_one(void **state)
{
	(void)state;
	for (int i = 0; i < LONG; i++)
		put(CREW__LANE_NORMAL, "EURUSD");
	for (int i = 0; i < LONG; i++) {
		assert_int_equal(crew__queue_consume(&t.q, &t.pool, 1), 1);
		assert_soon();
	}
	assert_true(crew__queue_empty(&t.q));
}

static void many_of_high_priority_wait(void **state)
{
	(void)state;
	struct crew__taken_out taken;
	for (int i = 0; i < LONG; i++)
		put(CREW__LANE_HIGH, "");
	for (int i = 0; i < LONG; i++) {
		assert_false(crew__queue_evict(&t.q, &t.pool, CREW__LANE_NORMAL, &taken));
		assert_soon();
	}
}

/* A peer that sends pings and does not read. */
static void many_pongs_wait(void **state)
{
	(void)state;
	static const char pong[125];
	for (int i = 0; i < LONG; i++) {
		assert_int_equal(crew__queue_control(&t.q, &t.pool, pong, sizeof(pong), true), 0);
		assert_soon();
	}
}

#define LONG_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LONG_TEST(many_of_one_key_leave_one_by_one),
		LONG_TEST(many_of_high_priority_wait),
		LONG_TEST(many_pongs_wait),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
