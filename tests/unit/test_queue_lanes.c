/* test_queue_lanes.c - who passes whom in a queue, and who gives way: one case after the other. All
 * orders of steps, against a model, are in test_queue_order.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/queue_parts.h"

#include <string.h>

static struct {
	struct crew__queue q;
	struct crew__piece_pool pool;
} t;

static int set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	crew__queue_drop(&t.q, &t.pool);
	bool clean = t.pool.held == 0 && t.pool.units.keyed == 0 && t.pool.units.timed == 0;
	crew__piece_pool_fini(&t.pool);
	return clean ? 0 : -1;
}

static void expect(const char *text)
{
	char room[4096];
	size_t len = 0;
	for (const struct crew__piece *p = t.q.head; p; p = p->next) {
		memcpy(room + len, p->data, p->len);
		len += p->len;
	}
	room[len] = '\0';
	assert_string_equal(room, text);
}

static void say(const char *text, uint8_t lane, const char *key)
{
	const struct crew__framed m = { .body = crew_str(text) };
	const struct crew__about about = { .key = crew_str(key), .lane = lane };
	assert_int_equal(crew__queue_insert(&t.q, &t.pool, &m, &about, 0, NULL), 0);
}

static void a_higher_priority_passes(void **state)
{
	(void)state;
	assert_int_equal(crew__queue_copy(&t.q, &t.pool, "[one]", 5, true), 0);
	assert_int_equal(crew__queue_copy(&t.q, &t.pool, "[two]", 5, true), 0);
	say("<HIGH>", CREW__LANE_HIGH, NULL);
	say("<NEXT>", CREW__LANE_HIGH, NULL);
	say("[three]", CREW__LANE_NORMAL, NULL);
	expect("<HIGH><NEXT>[one][two][three]");
	assert_int_equal(crew__queue_control(&t.q, &t.pool, "pong", 4, true), 0);
	expect("pong<HIGH><NEXT>[one][two][three]");
}

static void never_in_the_middle_of_a_message(void **state)
{
	(void)state;
	assert_int_equal(crew__queue_copy(&t.q, &t.pool, "[one][two]", 5, true), 0);
	assert_int_equal(crew__queue_copy(&t.q, &t.pool, "[two]", 5, true), 0);
	assert_int_equal(crew__queue_consume(&t.q, &t.pool, 2), 0);
	assert_int_equal(crew__queue_control(&t.q, &t.pool, "ping", 4, true), 0);
	say("<HIGH>", CREW__LANE_HIGH, NULL);
	assert_int_equal(crew__queue_control(&t.q, &t.pool, "pong", 4, true), 0);
	expect("ne]pingpong<HIGH>[two]");
	assert_int_equal(crew__queue_begun_extent(&t.q), 3);
}

/* The rest of a message comes to the queue when its first bytes have left already. */
static void nor_of_one_that_began_before_it_came(void **state)
{
	(void)state;
	assert_int_equal(crew__queue_copy(&t.q, &t.pool, "st]", 3, true), 0);
	crew__queue_begun(&t.q);
	assert_int_equal(crew__queue_copy(&t.q, &t.pool, "[next]", 6, true), 0);
	say("<HIGH>", CREW__LANE_HIGH, NULL);
	expect("st]<HIGH>[next]");
}

/* A message in parts, of which some are still to come, is not broken into. */
static void nor_of_one_that_goes_on_later(void **state)
{
	(void)state;
	assert_int_equal(crew__queue_copy(&t.q, &t.pool, "[part", 5, false), 0);
	assert_int_equal(crew__queue_consume(&t.q, &t.pool, 1), 0);
	assert_int_equal(crew__queue_control(&t.q, &t.pool, "pong", 4, true), 0);
	struct crew__taken_out taken;
	assert_false(crew__queue_evict(&t.q, &t.pool, CREW__LANE_HIGH, &taken));
	expect("partpong");
}

/* What is ordered so (a handshake's answer, a goodbye) nothing passes, nor what was before it. */
static void nothing_passes_what_is_in_order(void **state)
{
	(void)state;
	assert_int_equal(crew__queue_copy(&t.q, &t.pool, "[old]", 5, true), 0);
	assert_int_equal(crew__queue_control(&t.q, &t.pool, "101", 3, false), 0);
	say("[n]", CREW__LANE_NORMAL, NULL);
	say("<H>", CREW__LANE_HIGH, NULL);
	assert_int_equal(crew__queue_control(&t.q, &t.pool, "ping", 4, true), 0);
	expect("[old]101ping<H>[n]");
	struct crew__taken_out taken;
	assert_true(crew__queue_evict(&t.q, &t.pool, CREW__LANE_HIGH, &taken));
	assert_true(crew__queue_evict(&t.q, &t.pool, CREW__LANE_HIGH, &taken));
	assert_false(crew__queue_evict(&t.q, &t.pool, CREW__LANE_HIGH, &taken));
	expect("[old]101ping");
}

static void the_lower_lane_gives_way_first(void **state)
{
	(void)state;
	struct crew__taken_out taken;
	say("<1>", CREW__LANE_HIGH, "h");
	say("[1]", CREW__LANE_NORMAL, "n");
	say("[2]", CREW__LANE_NORMAL, NULL);
	assert_true(crew__queue_evict(&t.q, &t.pool, CREW__LANE_HIGH, &taken));
	assert_int_equal(taken.key_len, 1);
	assert_int_equal(taken.key[0], 'n');
	assert_true(crew__queue_evict(&t.q, &t.pool, CREW__LANE_NORMAL, &taken));
	assert_false(crew__queue_evict(&t.q, &t.pool, CREW__LANE_NORMAL, &taken));
	expect("<1>");
	assert_true(crew__queue_evict(&t.q, &t.pool, CREW__LANE_HIGH, &taken));
	assert_true(crew__queue_empty(&t.q));
}

/* A place among those that nothing passes stays one of them. */
static void a_replacement_does_not_change_the_order(void **state)
{
	(void)state;
	struct crew__taken_out taken;
	const struct crew__framed m = { .body = CREW_BYTES("[new]") };
	const struct crew__about about = { .key = CREW_BYTES("k") };
	say("[old]", CREW__LANE_NORMAL, "k");
	assert_int_equal(crew__queue_control(&t.q, &t.pool, "last", 4, false), 0);
	struct crew__unit *unit = crew__unit_find(&t.pool.units, &t.q, about.key);
	assert_non_null(unit);
	assert_int_equal(crew__queue_insert(&t.q, &t.pool, &m, &about, 0, unit), 0);
	crew__queue_take_out(&t.q, &t.pool, unit, &taken);
	say("<H>", CREW__LANE_HIGH, NULL);
	expect("[new]last<H>");
}

/* Bytes of control that have begun to leave are no message: no other may follow on their account.
 */
static void control_that_has_begun_is_all_there_is(void **state)
{
	(void)state;
	assert_int_equal(crew__queue_control(&t.q, &t.pool, "pong", 4, true), 0);
	say("[one]", CREW__LANE_NORMAL, NULL);
	assert_int_equal(crew__queue_consume(&t.q, &t.pool, 1), 0);
	assert_int_equal(crew__queue_begun_extent(&t.q), 3);
}

/* A waiting message costs what is known of it as well: a thousand tiny ones with keys are to be
 * seen by the budget. */
static void what_is_known_of_a_message_costs_memory_too(void **state)
{
	(void)state;
	char key[100];
	memset(key, 'k', sizeof(key));
	say("x", CREW__LANE_NORMAL, NULL);
	uint64_t plain = t.pool.held;
	say("x", CREW__LANE_NORMAL, "k");
	assert_true(t.pool.held >= 2 * plain + sizeof(struct crew__unit));
	uint64_t before = t.pool.held;
	const struct crew__framed m = { .body = CREW_BYTES("x") };
	const struct crew__about about = { .key = { key, sizeof(key) } };
	assert_int_equal(crew__queue_insert(&t.q, &t.pool, &m, &about, 0, NULL), 0);
	assert_true(t.pool.held - before >= plain + sizeof(struct crew__unit) + sizeof(key));
}

#define ORDER_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ORDER_TEST(a_higher_priority_passes),
		ORDER_TEST(never_in_the_middle_of_a_message),
		ORDER_TEST(nor_of_one_that_began_before_it_came),
		ORDER_TEST(nor_of_one_that_goes_on_later),
		ORDER_TEST(nothing_passes_what_is_in_order),
		ORDER_TEST(the_lower_lane_gives_way_first),
		ORDER_TEST(a_replacement_does_not_change_the_order),
		ORDER_TEST(control_that_has_begun_is_all_there_is),
		ORDER_TEST(what_is_known_of_a_message_costs_memory_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
