/* test_policy.c - what becomes of the surplus of a reader that has stalled: each policy, however it
 * is chosen; keys, times to live, priorities. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy_ways.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	LIMIT = 10000,
	LINE = 100
};

static struct world world;
static struct {
	crew_policy policy;
	int64_t soft_limit, soft_limit_ms;
} wanted;
static int peer = -1;

static int clean_up(void **state)
{
	(void)state;
	if (peer >= 0)
		close(peer);
	peer = -1;
	world_clean_up(&world);
	memset(&wanted, 0, sizeof(wanted));
	return 0;
}

static const crew_service lines = {
	.name = "lines",
	.listen = "text://127.0.0.1:1",
	.on_error = tell_error,
	.on_full = tell_full,
	.on_drain = tell_drain,
	.on_close = tell_close,
};

static void adjust(struct crew__service_settings *s)
{
	s->max_send_buffer = LIMIT;
	s->policy = wanted.policy;
	s->soft_limit = wanted.soft_limit;
	s->soft_limit_ms = wanted.soft_limit_ms;
}

static crew_conn *begin(void **state, crew_policy policy)
{
	wanted.policy = policy;
	told_anew();
	assert_true(world_open(&world, &lines, engine_of(state), adjust));
	peer = world_connect(&world);
	assert_true(peer >= 0);
	return world_conn(&world, 0);
}

/* A reader that has stalled, of a service with that policy. */
static crew_conn *begin_stalled(void **state, crew_policy policy)
{
	crew_conn *c = begin(state, policy);
	stall(&world, c);
	told_anew();
	return c;
}

static unsigned send_many(
	crew_conn *c, const char *prefix, unsigned count, const crew_send_options *options)
{
	unsigned accepted = 0;
	for (unsigned i = 1; i <= count; i++) {
		accepted += send_line(c, prefix, i, LINE, options) >= 0;
		crew__net_check(&world.worker->net);
		assert_true(crew_queued(c) < LIMIT + LINE);
	}
	return accepted;
}

/* ---- the four policies --------------------------------------------------------------------- */

static void drop_newest_refuses(void **state)
{
	crew_conn *c = begin_stalled(state, CREW_POLICY_DEFAULT);
	unsigned accepted = send_many(c, "a", 200, NULL);
	assert_in_range(accepted, 90, 105);
	assert_int_equal(send_line(c, "b", 1, LINE, NULL), -ENOBUFS);
	assert_int_equal(counter(&world, "fail_full"), 201 - accepted);
	world_settle(&world);
	char expected[100];
	snprintf(expected, sizeof(expected), "error:full:%u full", 201 - accepted);
	assert_string_equal(told(), expected);
	const char *heard = hear_lines(&world, peer);
	assert_int_equal(lines_of(heard, "a-"), accepted);
	assert_int_equal(lines_of(heard, "b-"), 0);
	snprintf(expected, sizeof(expected), "a-%u", accepted);
	assert_string_equal(heard + strlen(heard) - strlen(expected), expected);
}

static void expect_last(const char *heard, unsigned first, unsigned last)
{
	char expected[40000] = "";
	size_t len = 0;
	for (unsigned i = first; i <= last; i++)
		len += (size_t)snprintf(
			expected + len, sizeof(expected) - len, "%sa-%u", len > 0 ? " " : "", i);
	assert_string_equal(heard, expected);
}

static void drop_oldest_lets_the_oldest_go(void **state)
{
	crew_conn *c = begin_stalled(state, CREW_DROP_OLDEST);
	assert_int_equal(send_many(c, "a", 500, NULL), 500);
	unsigned evicted = (unsigned)counter(&world, "fail_evicted");
	assert_in_range(evicted, 390, 410);
	assert_int_equal(counter(&world, "send_fail"), evicted);
	world_settle(&world);
	const char *heard = hear_lines(&world, peer);
	unsigned got = lines_of(heard, "a-");
	assert_true(evicted - (500 - got) <= 1); /* the filling that waited may be among them */
	expect_last(heard, 501 - got, 500);
}

static void disconnect_ends_the_connection(void **state)
{
	crew_conn *c = begin_stalled(state, CREW_DISCONNECT);
	unsigned accepted = 0;
	int64_t queued;
	while ((queued = send_line(c, "a", accepted + 1, LINE, NULL)) >= 0)
		accepted++;
	assert_int_equal(queued, -ENOBUFS);
	assert_in_range(accepted, 90, 105);
	assert_int_equal(send_line(c, "a", 1, LINE, NULL), -ENOTCONN);
	world_settle(&world);
	assert_non_null(strstr(told(), "close:full"));
	assert_non_null(strstr(told(), "error:closed:1"));
	assert_int_equal(counter(&world, "close_full"), 1);
	assert_in_range(counter(&world, "fail_full"), accepted + 1, accepted + 2);
	assert_int_equal(counter(&world, "messages_queued"), 0);
}

static void replace_keeps_the_latest(void **state)
{
	crew_conn *c = begin_stalled(state, CREW_REPLACE);
	static const char *const keys[] = { "x", "yy", "a key that is too long to be kept inside" };
	for (unsigned i = 1; i <= 1000; i++) {
		crew_send_options options = { .key = crew_str(keys[i % 3]) };
		assert_true(send_line(c, &"abc"[i % 3], i, LINE + i % 50, &options) > 0);
		crew__net_check(&world.worker->net);
		assert_true(crew_queued(c) < 1000);
	}
	assert_int_equal(counter(&world, "messages_replaced"), 997);
	assert_int_equal(counter(&world, "send_fail"), 0);
	/* The places of the first three: 1, 2, 3, whose keys are 1, 2, 0. */
	assert_string_equal(hear_lines(&world, peer), "bc-1000 c-998 abc-999");
}

static void replace_without_a_key_is_drop_oldest(void **state)
{
	crew_conn *c = begin_stalled(state, CREW_REPLACE);
	assert_int_equal(send_many(c, "a", 300, NULL), 300);
	crew_send_options options = { .key = CREW_BYTES("k") };
	assert_true(send_line(c, "k", 1, LINE, &options) > 0);
	assert_true(counter(&world, "fail_evicted") > 150);
	assert_int_equal(counter(&world, "messages_replaced"), 0);
	assert_true(send_line(c, "k", 2, LINE, &options) > 0);
	assert_int_equal(counter(&world, "messages_replaced"), 1);
	const char *heard = hear_lines(&world, peer);
	assert_int_equal(lines_of(heard, "k-"), 1);
	assert_string_equal(heard + strlen(heard) - 3, "k-2");
}

/* A key says nothing where the policy is another. */
static void a_key_alone_replaces_nothing(void **state)
{
	crew_conn *c = begin_stalled(state, CREW_DROP_OLDEST);
	crew_send_options options = { .key = CREW_BYTES("k") };
	send_line(c, "k", 1, LINE, &options);
	send_line(c, "k", 2, LINE, &options);
	assert_int_equal(counter(&world, "messages_replaced"), 0);
	assert_string_equal(hear_lines(&world, peer), "k-1 k-2");
}

static void one_that_has_begun_is_not_replaced(void **state)
{
	crew_conn *c = begin_stalled(state, CREW_REPLACE);
	crew_send_options options = { .key = CREW_BYTES("k") };
	char sink[4000];
	assert_true(send_line(c, "k", 1, 60000, &options) > 0); /* more than a kernel's buffer */
	while (crew__queue_begun_extent(&c->queue) == 0 || crew_queued(c) > 60000) {
		peer_hears(peer, sink, sizeof(sink));
		world_turn(&world, 0);
	}
	assert_true(crew_queued(c) > 1000);
	c->net->limits.max_send_buffer = 100000;
	assert_true(send_line(c, "k", 2, LINE, &options) > 0);
	assert_int_equal(counter(&world, "messages_replaced"), 0);
	peer_drinks(&world, peer);
	assert_int_equal(counter(&world, "messages_queued"), 0);
	assert_int_equal(counter(&world, "send_fail"), 0);
}

/* ---- how a policy is chosen ---------------------------------------------------------------- */

static void of_the_connection(void **state)
{
	crew_conn *c = begin_stalled(state, CREW_DROP_NEWEST);
	assert_int_equal(crew_set_policy(c, CREW_DROP_OLDEST), 0);
	assert_int_equal(send_many(c, "a", 200, NULL), 200);
	assert_int_equal(crew_set_policy(c, CREW_POLICY_DEFAULT), 0);
	assert_int_equal(send_line(c, "a", 1, LINE, NULL), -ENOBUFS);
	assert_int_equal(crew_set_policy(c, CREW_POLICIES), -EINVAL);
	assert_int_equal(crew_set_policy(c, (crew_policy)-1), -EINVAL);
	assert_int_equal(crew_set_policy(NULL, CREW_REPLACE), -ENOTCONN);
}

static void a_policy_does_not_outlive_its_connection(void **state)
{
	crew_conn *c = begin(state, CREW_DROP_NEWEST);
	assert_int_equal(crew_set_policy(c, CREW_DISCONNECT), 0);
	assert_int_equal(crew_set_rate(c, 1000, 1000), 0);
	assert_int_equal(crew_abort(c), 0);
	world_settle(&world);
	close(peer);
	peer = world_connect(&world);
	c = world_conn(&world, 0);
	assert_false(c->flags & CREW__C_CAPPED);
	stall(&world, c);
	send_many(c, "a", 200, NULL);
	assert_int_equal(counter(&world, "close_full"), 0);
	assert_true(counter(&world, "fail_full") > 0);
}

static void of_one_send(void **state)
{
	crew_conn *c = begin_stalled(state, CREW_DROP_NEWEST);
	crew_send_options oldest = { .policy = CREW_DROP_OLDEST };
	send_many(c, "a", 200, NULL);
	uint64_t refused = counter(&world, "fail_full");
	assert_int_equal(send_many(c, "b", 50, &oldest), 50);
	assert_int_equal(counter(&world, "fail_full"), refused);
	assert_in_range(counter(&world, "fail_evicted"), 44, 52);
	const char *heard = hear_lines(&world, peer);
	assert_int_equal(lines_of(heard, "b-"), 50);
}

static void of_a_broadcast(void **state)
{
	crew_conn *c = begin_stalled(state, CREW_DROP_NEWEST);
	int other = world_connect(&world);
	unsigned heard = 0;
	crew_send_options latest = { .policy = CREW_REPLACE, .key = CREW_BYTES("price") };
	for (int i = 0; i < 50; i++) {
		char text[20];
		int n = snprintf(text, sizeof(text), "p-%d", i);
		crew_shared *s = crew_shared_new_with((crew_bytes){ text, (size_t)n }, &latest);
		assert_int_equal(crew_broadcast(&lines, s), 2);
		crew_shared_unref(s);
		heard += lines_of(hear_lines(&world, other), "p-");
	}
	assert_int_equal(counter(&world, "messages_replaced"), 49);
	assert_int_equal(heard, 50);
	assert_true(crew_queued(c) < 1000);
	assert_string_equal(hear_lines(&world, peer), "p-49");
	assert_int_equal(crew__here.shared_held, 0);
	close(other);
}

/* Several broadcasts of a turn, of which the kernel takes the first part only. */
static void of_broadcasts_that_came_together(void **state)
{
	crew_conn *c = begin(state, CREW_REPLACE);
	crew_send_options latest = { .key = CREW_BYTES("price") };
	static char filling[900];
	memset(filling, 'F', sizeof(filling));
	filling[0] = 'f';
	crew_shared *fill = crew_shared_new((crew_bytes){ filling, POLICY_FILL - 1 });
	world.worker->net.limits.max_send_buffer = 60000;
	for (int i = 0; i < 100; i++) /* more than the kernel's buffer holds */
		assert_int_equal(crew_broadcast(&lines, fill), 1);
	crew_shared_unref(fill);
	for (unsigned i = 1; i <= 3; i++) {
		char text[20];
		int n = snprintf(text, sizeof(text), "p-%u", i);
		crew_shared *s = crew_shared_new_with((crew_bytes){ text, (size_t)n }, &latest);
		assert_int_equal(crew_broadcast(&lines, s), 1);
		crew_shared_unref(s);
	}
	assert_true(c->flags & CREW__C_IN_BURST);
	world_turn(&world, 0);
	assert_true(crew_queued(c) > 0);
	assert_int_equal(counter(&world, "messages_replaced"), 2);
	char room[100000];
	peer_hears_all(&world, peer, room, sizeof(room));
	assert_null(strstr(room, "p-1\n"));
	assert_null(strstr(room, "p-2\n"));
	assert_non_null(strstr(room, "p-3\n"));
	assert_int_equal(counter(&world, "messages_queued"), 0);
}

static void options_that_say_nothing_sound(void **state)
{
	crew_conn *c = begin(state, CREW_DROP_NEWEST);
	static const char key[CREW_KEY_MOST + 1];
	const crew_send_options bad[] = {
		{ .ttl_ms = -1 },
		{ .ttl_ms = INT64_MAX },
		{ .key = { key, sizeof(key) } },
		{ .key = { NULL, 1 } },
		{ .policy = CREW_POLICIES },
		{ .policy = (crew_policy)-1 },
		{ .priority = CREW_HIGH + 1 },
		{ .kind = CREW_BINARY + 1 },
	};
	const crew_send_options all = {
		.kind = CREW_BINARY,
		.policy = CREW_DISCONNECT,
		.priority = CREW_HIGH,
		.ttl_ms = INT64_C(100) * 86400 * 1000,
		.key = { key, CREW_KEY_MOST },
		.sequence = UINT64_MAX,
	};
	for (size_t i = 0; i < crew__lengthof(bad); i++) {
		assert_int_equal(crew_send_with(c, CREW_BYTES("x"), &bad[i]), -EINVAL);
		assert_null(crew_shared_new_with(CREW_BYTES("x"), &bad[i]));
	}
	assert_int_equal(counter(&world, "send_invalid"), crew__lengthof(bad));
	assert_int_equal(counter(&world, "messages_offered"), 0);
	assert_true(crew_send_with(c, CREW_BYTES("good-1"), &all) > 0);
	crew_shared *s = crew_shared_new_with(CREW_BYTES("good-2"), &all);
	assert_non_null(s);
	assert_true(crew_send_shared(c, s) > 0);
	crew_shared_unref(s);
	assert_string_equal(hear_lines(&world, peer), "good-1 good-2");
}

/* ---- times to live ------------------------------------------------------------------------- */

static uint64_t ms_since(uint64_t ns)
{
	return (crew__clock_ns() - ns) / CREW__NS_PER_MS;
}

static void its_time_is_kept_to_the_hundredth(void **state)
{
	crew_conn *c = begin_stalled(state, CREW_DROP_NEWEST);
	crew_send_options brief = { .ttl_ms = 60 };
	world_turn(&world, 0); /* a turn's time is its beginning's */
	uint64_t before = crew__clock_ns();
	assert_true(send_line(c, "t", 1, LINE, &brief) > 0);
	assert_true(send_line(c, "u", 1, LINE, NULL) > 0);
	world_until(&world, counter(&world, "fail_expired") == 1);
	assert_in_range(ms_since(before), 49, 300); /* the machine may be late, never early */
	assert_string_equal(hear_lines(&world, peer), "u-1");
	assert_non_null(strstr(told(), "error:expired:1"));
}

static void each_has_its_own_time(void **state)
{
	crew_conn *c = begin_stalled(state, CREW_DROP_NEWEST);
	for (unsigned i = 1; i <= 20; i++) {
		crew_send_options brief = { .ttl_ms = (i * 7) % 20 * 20 + 20 };
		assert_true(send_line(c, "t", i, LINE, &brief) > 0);
	}
	world_pass(&world, 210);
	assert_in_range(counter(&world, "fail_expired"), 9, 12);
	world_until(&world, counter(&world, "fail_expired") == 20);
	assert_int_equal(world.worker->net.expiry.place, 0);
}

static void nothing_waits_nothing_expires(void **state)
{
	crew_conn *c = begin(state, CREW_DROP_NEWEST);
	crew_send_options brief = { .ttl_ms = 1 };
	assert_true(send_line(c, "t", 1, LINE, &brief) > 0);
	assert_string_equal(hear_lines(&world, peer), "t-1");
	assert_int_equal(counter(&world, "send_fail"), 0);
}

static void one_that_has_begun_does_not_expire(void **state)
{
	crew_conn *c = begin(state, CREW_DROP_NEWEST);
	crew_send_options brief = { .ttl_ms = 20 };
	assert_true(send_line(c, "t", 1, 300000, &brief) > 0);
	world_pass(&world, 60);
	assert_int_equal(counter(&world, "fail_expired"), 0);
	assert_string_equal(hear_lines(&world, peer), "t-1");
}

/* A kernel that is full takes no byte of it: nothing of what was said of it may be lost. */
static void a_long_one_that_finds_the_kernel_full(void **state)
{
	crew_conn *c = begin(state, CREW_DROP_NEWEST);
	crew_send_options brief = { .ttl_ms = 30, .sequence = 5, .key = CREW_BYTES("k") };
	char filling[POLICY_FILL];
	memset(filling, 'F', sizeof(filling));
	filling[POLICY_FILL - 1] = '\n';
	while (send(c->fd, filling, sizeof(filling), MSG_DONTWAIT) == sizeof(filling))
		continue;
	assert_true(send_line(c, "t", 1, 5000, &brief) > 0);
	world_until(&world, counter(&world, "fail_expired") == 1);
	assert_int_equal(crew__conn_rare(c)->gap.first, 5);
	assert_int_equal(crew_queued(c), 0);
}

/* The replacing message has a time, the one in whose place it comes had none. */
static void a_replacement_has_its_own_time(void **state)
{
	crew_conn *c = begin_stalled(state, CREW_REPLACE);
	crew_send_options for_ever = { .key = CREW_BYTES("k") };
	crew_send_options brief = { .key = CREW_BYTES("k"), .ttl_ms = 30 };
	assert_true(send_line(c, "k", 1, LINE, &for_ever) > 0);
	assert_true(send_line(c, "k", 2, LINE, &brief) > 0);
	uint64_t before = crew__clock_ns();
	world_until(&world, counter(&world, "fail_expired") == 1 || ms_since(before) > 200);
	assert_int_equal(counter(&world, "fail_expired"), 1);
	assert_string_equal(hear_lines(&world, peer), "");
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		ON_BOTH(drop_newest_refuses),
		ON_BOTH(drop_oldest_lets_the_oldest_go),
		ON_BOTH(disconnect_ends_the_connection),
		ON_BOTH(replace_keeps_the_latest),
		ON_BOTH(replace_without_a_key_is_drop_oldest),
		ON_BOTH(a_key_alone_replaces_nothing),
		ON_BOTH(one_that_has_begun_is_not_replaced),
		ON_BOTH(of_the_connection),
		ON_BOTH(a_policy_does_not_outlive_its_connection),
		ON_BOTH(of_one_send),
		ON_BOTH(of_a_broadcast),
		ON_BOTH(of_broadcasts_that_came_together),
		ON_BOTH(options_that_say_nothing_sound),
		ON_BOTH(its_time_is_kept_to_the_hundredth),
		ON_BOTH(each_has_its_own_time),
		ON_BOTH(nothing_waits_nothing_expires),
		ON_BOTH(one_that_has_begun_does_not_expire),
		ON_BOTH(a_long_one_that_finds_the_kernel_full),
		ON_BOTH(a_replacement_has_its_own_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
