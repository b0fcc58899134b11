/* Totals: names, sums, laws, deaths. */
#include "segment_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- names --------------------------------------------------------------------------------- */

static void numbers_have_names(void **state)
{
	(void)state;
	assert_string_equal(crew_reason_name(CREW_LOST_CLOSED), "closed");
	assert_string_equal(crew_reason_name(CREW_LOST_FULL), "full");
	assert_string_equal(crew_reason_name(CREW_LOST_CRASH), "crash");
	assert_string_equal(crew_end_name(CREW_END_PEER), "peer");
	assert_string_equal(crew_end_name(CREW_END_CRASH), "crash");
	assert_string_equal(crew__callback_name(CREW__CB_MESSAGE), "on_message");
	assert_string_equal(crew__callback_name(CREW__CB_WORKER_START), "on_worker_start");
	assert_string_equal(crew__conn_state_name(CREW__CONN_LINGER), "linger");
	assert_string_equal(crew__transport_name(CREW__UNIX), "unix");
	assert_string_equal(crew__protocol_name(CREW__CUSTOM), "custom");
}

static void numbers_that_are_none(void **state)
{
	(void)state;
	assert_string_equal(crew_reason_name(CREW_LOST_REASONS), "?");
	assert_string_equal(crew_reason_name((crew_reason)-1), "?");
	assert_string_equal(crew_end_name(CREW_END_REASONS), "?");
	assert_string_equal(crew__callback_name(CREW__CALLBACKS), "?");
	assert_string_equal(crew__conn_state_name(200), "?");
	assert_string_equal(crew__transport_name(UINT32_MAX), "?");
	assert_string_equal(crew__protocol_name(CREW__SSE), "sse");
	assert_string_equal(crew__protocol_name(CREW__SSE_END), "sse");
	assert_string_equal(crew__protocol_name(8), "?");
}

/* The names of reasons are those of the table, in its order. */
static void reasons_are_named_as_in_the_table(void **state)
{
	(void)state;
	struct crew__slab slab = { 0 };
	for (int i = 0; i < CREW_LOST_REASONS; i++)
		*crew__slab_fail(&slab, (crew_reason)i) = (uint64_t)i + 1;
	for (int i = 0; i < CREW_END_REASONS; i++)
		*crew__slab_close(&slab, (crew_end_reason)i) = (uint64_t)i + 1;
	for (int i = 0; i < CREW_LOST_REASONS + CREW_END_REASONS; i++) {
		bool lost = i < CREW_LOST_REASONS;
		int reason = lost ? i : i - CREW_LOST_REASONS;
		char name[64];
		uint64_t value = 0;
		snprintf(name, sizeof(name), "%s_%s", lost ? "fail" : "close",
			lost ? crew_reason_name((crew_reason)reason)
			     : crew_end_name((crew_end_reason)reason));
		assert_true(crew__slab_value(&slab, NULL, name, &value));
		assert_int_equal(value, reason + 1);
	}
}

/* ---- by name, in sum --------------------------------------------------------------------------
 */

static void values_by_name(void **state)
{
	struct fixture *f = *state;
	struct crew__slab *slab = f->stats.slab;
	uint64_t value;
	slab->send_fail = 3;
	slab->fail_full = 4;
	slab->close_peer = 5;
	slab->app[1] = 6;
	assert_true(crew__slab_value(slab, segment_counters, "send_fail", &value));
	assert_int_equal(value, 3);
	assert_true(crew__slab_value(slab, segment_counters, "fail_full", &value));
	assert_int_equal(value, 4);
	assert_true(crew__slab_value(slab, segment_counters, "close_peer", &value));
	assert_int_equal(value, 5);
	assert_true(crew__slab_value(slab, segment_counters, "refunds", &value));
	assert_int_equal(value, 6);
	assert_false(crew__slab_value(slab, segment_counters, "full", &value));
	assert_false(crew__slab_value(slab, segment_counters, "", &value));
	assert_false(crew__slab_value(slab, NULL, "refunds", &value));
	assert_true(crew__slab_value(slab, NULL, "connections", &value));
}

static void sums(void **state)
{
	(void)state;
	struct crew__slab a = {
		.connections = 2, .messages_sent = 10, .send_fail = UINT64_MAX - 1
	};
	struct crew__slab b = { .connections = 3, .messages_sent = 5, .send_fail = 7 };
	b.app[0] = (uint64_t)-4;
	a.app[0] = 10;
	crew__slab_add(&a, &b, false);
	assert_int_equal(a.connections, 2);
	assert_int_equal(a.messages_sent, 15);
	assert_true(a.send_fail == UINT64_MAX);
	assert_int_equal(a.app[0], 6);
	crew__slab_add(&a, &b, true);
	assert_int_equal(a.connections, 5);
	assert_int_equal(a.messages_sent, 20);
}

/* ---- laws, deaths -----------------------------------------------------------------------------
 */

static struct crew__slab lawful_slab(void)
{
	return (struct crew__slab){
		.connections = 2,
		.connections_total = 9,
		.close_peer = 4,
		.close_drain = 3,
		.messages_offered = 100,
		.messages_sent = 70,
		.messages_queued = 8,
		.messages_replaced = 2,
		.send_fail = 20,
		.fail_full = 15,
		.fail_closed = 5,
		.bytes_queued = 800,
		.timers = 3,
	};
}

static void each_law_is_checked(void **state)
{
	(void)state;
	const char *law = NULL;
	struct crew__slab slab = lawful_slab();
	assert_true(crew__slab_lawful(&slab, &law));
	assert_null(law);
	slab.messages_sent++;
	assert_false(crew__slab_lawful(&slab, &law));
	assert_non_null(strstr(law, "messages_offered"));
	slab = lawful_slab();
	slab.fail_crash++;
	assert_false(crew__slab_lawful(&slab, &law));
	assert_non_null(strstr(law, "send_fail ="));
	slab = lawful_slab();
	slab.close_crash++;
	assert_false(crew__slab_lawful(&slab, &law));
	assert_non_null(strstr(law, "connections_total"));
	/* A sum that wraps to the right number is no sum. */
	slab = lawful_slab();
	slab.messages_sent += UINT64_C(1) << 63;
	slab.messages_queued += UINT64_C(1) << 63;
	assert_false(crew__slab_lawful(&slab, &law));
}

static void what_was_queued_becomes_crash(void **state)
{
	(void)state;
	struct crew__slab slab = lawful_slab();
	crew__slab_bury(&slab);
	assert_int_equal(slab.fail_crash, 8);
	assert_int_equal(slab.send_fail, 28);
	assert_int_equal(slab.close_crash, 2);
	assert_int_equal(slab.messages_queued, 0);
	assert_int_equal(slab.bytes_queued, 0);
	assert_int_equal(slab.connections, 0);
	assert_int_equal(slab.timers, 0);
	assert_int_equal(slab.messages_offered, 100);
	assert_int_equal(slab.messages_sent, 70);
	segment_assert_lawful(&slab);
}

/* Any few terms of an update missing, the rest is lawful afterwards, and nothing went down. */
static void a_torn_update_is_settled(void **state)
{
	(void)state;
	srandom(4);
	for (int round = 0; round < 20000; round++) {
		struct crew__slab slab = lawful_slab();
		uint64_t *terms[] = { &slab.messages_offered, &slab.messages_sent,
			&slab.messages_queued, &slab.messages_replaced, &slab.send_fail,
			&slab.fail_full, &slab.fail_closed, &slab.connections,
			&slab.connections_total, &slab.close_peer };
		for (int i = 0; i < 3; i++)
			*terms[(size_t)random() % crew__lengthof(terms)] += (uint64_t)random() % 7;
		struct crew__slab before = slab;
		crew__slab_bury(&slab);
		segment_assert_lawful(&slab);
		assert_int_equal(slab.messages_queued + slab.connections, 0);
		assert_true(slab.messages_offered >= before.messages_offered);
		assert_true(slab.messages_sent == before.messages_sent);
		assert_true(slab.send_fail >= before.send_fail);
		assert_true(slab.connections_total >= before.connections_total);
		assert_true(slab.close_peer == before.close_peer);
	}
}

static void a_garbled_slab_is_buried_without_harm(void **state)
{
	(void)state;
	struct crew__slab slab;
	memset(&slab, 0xff, sizeof(slab));
	crew__slab_bury(&slab);
	assert_int_equal(slab.connections, 0);
	assert_true(slab.send_fail == UINT64_MAX);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, segment_set_up, segment_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(numbers_have_names),
		TEST(numbers_that_are_none),
		TEST(reasons_are_named_as_in_the_table),
		TEST(values_by_name),
		TEST(sums),
		TEST(each_law_is_checked),
		TEST(what_was_queued_becomes_crash),
		TEST(a_torn_update_is_settled),
		TEST(a_garbled_slab_is_buried_without_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
