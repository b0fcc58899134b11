/* test_rate.c - the caps of one connection: what may leave now, how it fills again, and how long it
 * is worth waiting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/rate.h"

static size_t room_bytes(struct crew__rate *rate, uint32_t now)
{
	size_t bytes;
	uint32_t messages;
	crew__rate_room(rate, now, &bytes, &messages);
	return bytes;
}

static uint32_t room_messages(struct crew__rate *rate, uint32_t now)
{
	size_t bytes;
	uint32_t messages;
	crew__rate_room(rate, now, &bytes, &messages);
	return messages;
}

static void without_a_cap_anything_may_leave(void **state)
{
	(void)state;
	struct crew__rate rate;
	crew__rate_set(&rate, 0, 0, 5);
	assert_false(crew__rate_is_capped(&rate));
	assert_true(room_bytes(&rate, 5) == SIZE_MAX);
	assert_true(room_messages(&rate, 5) == UINT32_MAX);
	crew__rate_spend(&rate, 1000, 1000);
	assert_true(room_bytes(&rate, 5) == SIZE_MAX);
}

static void a_second_may_leave_at_once_and_then_by_time(void **state)
{
	(void)state;
	struct crew__rate rate;
	crew__rate_set(&rate, 1000, 0, 100);
	assert_true(crew__rate_is_capped(&rate));
	assert_int_equal(room_bytes(&rate, 100), 1000);
	crew__rate_spend(&rate, 1000, 3);
	assert_int_equal(room_bytes(&rate, 100), 0);
	assert_int_equal(room_bytes(&rate, 101), 10);
	assert_int_equal(room_bytes(&rate, 125), 250);
	assert_int_equal(room_bytes(&rate, 200), 1000);
	assert_int_equal(room_bytes(&rate, 100000), 1000); /* never more than a second's worth */
	assert_true(room_messages(&rate, 100000) == UINT32_MAX);
}

static void messages_are_counted_apart(void **state)
{
	(void)state;
	struct crew__rate rate;
	crew__rate_set(&rate, 0, 4, 0);
	assert_int_equal(room_messages(&rate, 0), 4);
	crew__rate_spend(&rate, 100000, 3);
	assert_int_equal(room_messages(&rate, 0), 1);
	crew__rate_spend(&rate, 0, 1);
	assert_int_equal(room_messages(&rate, 24), 0);
	assert_int_equal(room_messages(&rate, 25), 1);
	assert_true(room_bytes(&rate, 25) == SIZE_MAX);
}

/* A message that has begun goes on although its bytes are spent: the debt is not kept. */
static void spending_more_than_there_is_leaves_nothing(void **state)
{
	(void)state;
	struct crew__rate rate;
	crew__rate_set(&rate, 10, 1, 0);
	crew__rate_spend(&rate, 1000000, 50);
	assert_int_equal(room_bytes(&rate, 0), 0);
	assert_int_equal(room_messages(&rate, 0), 0);
	assert_int_equal(room_bytes(&rate, 100), 10);
	assert_int_equal(room_messages(&rate, 100), 1);
}

/* After the wait there is something to write, and not more than a segment or a tenth is waited for.
 */
static void the_wait_is_long_enough_and_no_longer(void **state)
{
	(void)state;
	static const uint64_t caps[] = { 1, 7, 100, 1459, 1460, 20000, 1 << 30 };
	for (size_t i = 0; i < crew__lengthof(caps); i++) {
		struct crew__rate rate;
		crew__rate_set(&rate, caps[i], 0, 77);
		crew__rate_spend(&rate, caps[i], 0);
		uint32_t wait = crew__rate_wait(&rate, 1 << 20);
		assert_true(wait >= 1 && wait <= 100);
		assert_true(room_bytes(&rate, 77 + wait) >= 1);
	}
	struct crew__rate slow;
	crew__rate_set(&slow, 0, 2, 0);
	crew__rate_spend(&slow, 0, 2);
	assert_int_equal(crew__rate_wait(&slow, 1), 50);
	assert_int_equal(room_messages(&slow, 49), 0);
	assert_int_equal(room_messages(&slow, 50), 1);
}

/* A short queue is not made to wait for a whole segment's worth. */
static void a_few_bytes_wait_for_a_few_bytes(void **state)
{
	(void)state;
	struct crew__rate rate;
	crew__rate_set(&rate, 1000, 0, 0);
	crew__rate_spend(&rate, 1000, 0);
	assert_int_equal(crew__rate_wait(&rate, 20), 2);
	assert_int_equal(crew__rate_wait(&rate, 500), 50);
	assert_int_equal(crew__rate_wait(&rate, 1 << 20), 100);
}

static void both_caps_hold(void **state)
{
	(void)state;
	struct crew__rate rate;
	crew__rate_set(&rate, 1000, 1, 0);
	crew__rate_spend(&rate, 100, 1);
	assert_int_equal(crew__rate_wait(&rate, 10), 100); /* for the message, not for the bytes */
	assert_int_equal(room_bytes(&rate, 0), 900);
	assert_int_equal(room_messages(&rate, 0), 0);
}

static void the_clock_may_come_round(void **state)
{
	(void)state;
	struct crew__rate rate;
	crew__rate_set(&rate, 1000, 10, UINT32_MAX - 4);
	crew__rate_spend(&rate, 1000, 10);
	assert_int_equal(room_bytes(&rate, 5), 100);
	assert_int_equal(room_messages(&rate, 5), 1);
}

/* Over a long time no more leaves than the cap and one second's worth, however it is asked. */
static void the_sum_keeps_to_the_cap(void **state)
{
	(void)state;
	struct crew__rate rate;
	uint64_t sum = 0;
	uint32_t now = 0, seed = 3;
	crew__rate_set(&rate, 3333, 0, now);
	while (now < 100000) {
		size_t bytes = room_bytes(&rate, now);
		crew__rate_spend(&rate, bytes, 1);
		sum += bytes;
		seed = seed * 1664525u + 1013904223u;
		now += 1 + (seed >> 24) % 50;
	}
	assert_true(sum <= 3333ull * (now + 100) / 100);
	assert_true(sum >= 3333ull * (now - 100) / 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_cap_anything_may_leave),
		cmocka_unit_test(a_second_may_leave_at_once_and_then_by_time),
		cmocka_unit_test(messages_are_counted_apart),
		cmocka_unit_test(spending_more_than_there_is_leaves_nothing),
		cmocka_unit_test(the_wait_is_long_enough_and_no_longer),
		cmocka_unit_test(a_few_bytes_wait_for_a_few_bytes),
		cmocka_unit_test(both_caps_hold),
		cmocka_unit_test(the_clock_may_come_round),
		cmocka_unit_test(the_sum_keeps_to_the_cap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
