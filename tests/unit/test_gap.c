/* test_gap.c - on_gap: exactly what the policy lost of a connection that lives, told when what
 * waits has moved and there is room to answer; and nothing of it from inside a send. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy_ways.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	LIMIT = 10000,
	LINE = 100
};

static struct world world;
static int peer = -1;
static crew_policy wanted;
static struct {
	unsigned calls;
	uint64_t messages, bytes; /* over all calls */
	crew_gap last;
	char first_key[64], last_key[64];
	size_t queued; /* when it was told */
	bool sending;  /* a send is under way */
	void (*then)(crew_conn *c, const crew_gap *gap);
} gaps;

static int clean_up(void **state)
{
	(void)state;
	if (peer >= 0)
		close(peer);
	peer = -1;
	memset(&gaps, 0, sizeof(gaps));
	world_clean_up(&world);
	return 0;
}

static void copy_key(char room[64], crew_bytes key)
{
	assert_true(key.len < 64);
	crew__copy(room, key.data, key.len);
	room[key.len] = '\0';
}

static void on_gap(crew_conn *c, const crew_gap *gap)
{
	assert_false(gaps.sending);
	assert_true(gap->messages > 0);
	assert_true(crew_queued(c) * 2 <= crew__conn_limit(c));
	gaps.calls++;
	gaps.messages += gap->messages;
	gaps.bytes += gap->bytes;
	gaps.queued = crew_queued(c);
	copy_key(gaps.first_key, gap->first_key);
	copy_key(gaps.last_key, gap->last_key);
	gaps.last = *gap;
	tell("gap:%llu", (unsigned long long)gap->messages);
	if (gaps.then)
		gaps.then(c, gap);
}

static const crew_service lines = {
	.name = "lines",
	.listen = "text://127.0.0.1:1",
	.on_gap = on_gap,
	.on_error = tell_error,
	.on_close = tell_close,
};

static void adjust(struct crew__service_settings *s)
{
	s->max_send_buffer = LIMIT;
	s->policy = wanted;
}

static crew_conn *begin(void **state, crew_policy policy)
{
	wanted = policy;
	told_anew();
	assert_true(world_open(&world, &lines, engine_of(state), adjust));
	peer = world_connect(&world);
	assert_true(peer >= 0);
	return world_conn(&world, 0);
}

static crew_conn *begin_stalled(void **state, crew_policy policy)
{
	crew_conn *c = begin(state, policy);
	stall(&world, c);
	told_anew();
	return c;
}

static int64_t offer(crew_conn *c, unsigned number, const crew_send_options *more)
{
	crew_send_options options = more ? *more : (crew_send_options){ 0 };
	options.sequence = number;
	gaps.sending = true;
	int64_t queued = send_line(c, "a", number, LINE, &options);
	gaps.sending = false;
	return queued;
}

/* ---- what is told -------------------------------------------------------------------------- */

static void refused_messages_are_told(void **state)
{
	crew_conn *c = begin_stalled(state, CREW_DROP_NEWEST);
	unsigned accepted = 0;
	for (unsigned i = 1; i <= 200; i++)
		accepted += offer(c, i, NULL) >= 0;
	world_settle(&world);
	assert_int_equal(gaps.calls, 0); /* nothing has moved */
	assert_int_equal(counter(&world, "gaps"), 0);
	const char *heard = hear_lines(&world, peer);
	assert_int_equal(lines_of(heard, "a-"), accepted);
	assert_int_equal(gaps.calls, 1);
	assert_int_equal(gaps.last.messages, 200 - accepted);
	assert_int_equal(gaps.last.bytes, (200 - accepted) * LINE);
	assert_int_equal(gaps.last.first, accepted + 1);
	assert_int_equal(gaps.last.last, 200);
	assert_int_equal(gaps.last.first_key.len + gaps.last.last_key.len, 0);
	assert_int_equal(counter(&world, "gaps"), 1);
}

static void evicted_messages_are_told(void **state)
{
	crew_conn *c = begin_stalled(state, CREW_DROP_OLDEST);
	for (unsigned i = 1; i <= 300; i++)
		assert_true(offer(c, i, NULL) >= 0);
	unsigned got = lines_of(hear_lines(&world, peer), "a-");
	assert_int_equal(gaps.calls, 1);
	assert_in_range(gaps.last.messages, 300 - got, 301 - got); /* and perhaps the filling */
	assert_int_equal(gaps.last.first, 1);
	assert_int_equal(gaps.last.last, 300 - got);
}

static void expired_messages_are_told(void **state)
{
	crew_conn *c = begin_stalled(state, CREW_DROP_NEWEST);
	crew_send_options brief = { .ttl_ms = 20 };
	for (unsigned i = 11; i <= 20; i++)
		assert_true(offer(c, i, &brief) >= 0);
	assert_true(offer(c, 21, NULL) >= 0);
	world_until(&world, counter(&world, "fail_expired") == 10);
	assert_int_equal(gaps.calls, 0);
	assert_string_equal(hear_lines(&world, peer), "a-21");
	assert_int_equal(gaps.calls, 1);
	assert_int_equal(gaps.last.messages, 10);
	assert_int_equal(gaps.last.first, 11);
	assert_int_equal(gaps.last.last, 20);
}

/* All that waited has expired, and the reader takes what comes next without a wait: it must hear of
 * what it has missed all the same. */
static void it_is_told_after_all_has_expired(void **state)
{
	crew_conn *c = begin(state, CREW_DROP_NEWEST);
	crew_send_options brief = { .ttl_ms = 20 };
	char sink[POLICY_FILL];
	memset(sink, 'F', sizeof(sink));
	while (!(c->flags & CREW__C_WRITING)) {
		crew_send_with(c, (crew_bytes){ sink, sizeof(sink) - 1 }, &brief);
		world_turn(&world, 0);
	}
	for (unsigned i = 1; i <= 5; i++)
		assert_true(offer(c, i, &brief) >= 0);
	world_until(&world, counter(&world, "fail_expired") >= 5);
	world_settle(&world);
	if (crew_queued(c) > 0) /* the rest of a line that has begun */
		assert_int_equal(gaps.calls, 0);
	peer_drinks(&world, peer);
	assert_int_equal(crew_queued(c), 0);
	offer(c, 6, NULL);
	hear_lines(&world, peer);
	assert_int_equal(gaps.calls, 1);
	assert_int_equal(gaps.last.messages, counter(&world, "fail_expired"));
	assert_int_equal(gaps.last.last, 5);
}

/* The same, where the next to come is a broadcast or leaves from its own event. */
static void a_broadcast_moves_it_as_well(void **state)
{
	crew_conn *c = begin_stalled(state, CREW_DROP_NEWEST);
	crew_send_options brief = { .ttl_ms = 20 };
	assert_true(offer(c, 1, &brief) >= 0);
	assert_true(offer(c, 2, &brief) >= 0);
	world_until(&world, counter(&world, "fail_expired") == 2);
	peer_drinks(&world, peer);
	crew_shared *s = crew_shared_new(CREW_BYTES("b-1"));
	if (gaps.calls == 0)
		assert_int_equal(crew_broadcast(&lines, s), 1);
	crew_shared_unref(s);
	hear_lines(&world, peer);
	assert_int_equal(gaps.calls, 1);
	assert_int_equal(gaps.last.messages, 2);
}

static void keys_are_told_cut(void **state)
{
	crew_conn *c = begin_stalled(state, CREW_DROP_NEWEST);
	char key[CREW_KEY_MOST];
	memset(key, 'k', sizeof(key));
	while (offer(c, 1, NULL) >= 0)
		continue;
	offer(c, 2, NULL);
	offer(c, 3, &(crew_send_options){ .key = CREW_BYTES("first") });
	offer(c, 4, &(crew_send_options){ .key = CREW_BYTES("middle") });
	offer(c, 5, &(crew_send_options){ .key = { key, sizeof(key) } });
	offer(c, 6, NULL);
	peer_drinks(&world, peer);
	assert_int_equal(gaps.calls, 1);
	assert_string_equal(gaps.first_key, "first");
	assert_int_equal(strlen(gaps.last_key), 63);
	assert_int_equal(strspn(gaps.last_key, "k"), 63);
	assert_int_equal(gaps.last.last, 6);
}

static void without_numbers_there_are_none(void **state)
{
	crew_conn *c = begin_stalled(state, CREW_DROP_NEWEST);
	while (crew_send(c, CREW_BYTES("a-1")) >= 0)
		continue;
	peer_drinks(&world, peer);
	assert_int_equal(gaps.calls, 1);
	assert_int_equal(gaps.last.messages, 1);
	assert_int_equal(gaps.last.first, 0);
	assert_int_equal(gaps.last.last, 0);
}

static void what_was_replaced_is_no_gap(void **state)
{
	crew_conn *c = begin_stalled(state, CREW_REPLACE);
	for (unsigned i = 1; i <= 50; i++)
		assert_true(offer(c, i, &(crew_send_options){ .key = CREW_BYTES("k") }) >= 0);
	assert_string_equal(hear_lines(&world, peer), "a-50");
	assert_int_equal(gaps.calls, 0);
}

static void what_ends_with_the_connection_is_no_gap(void **state)
{
	crew_conn *c = begin_stalled(state, CREW_DROP_NEWEST);
	while (offer(c, 1, NULL) >= 0)
		continue;
	crew_abort(c);
	world_settle(&world);
	assert_int_equal(gaps.calls, 0);
	assert_non_null(strstr(told(), "error:full:1"));
}

/* Of the one that comes to its slot nothing was lost. */
static void nor_of_the_next_in_its_slot(void **state)
{
	crew_conn *c = begin_stalled(state, CREW_DROP_NEWEST);
	while (offer(c, 1, NULL) >= 0)
		continue;
	crew_abort(c);
	world_settle(&world);
	close(peer);
	peer = world_connect(&world);
	stall(&world, world_conn(&world, 0));
	peer_drinks(&world, peer);
	assert_int_equal(gaps.calls, 0);
}

/* ---- what may be done in it ---------------------------------------------------------------- */

static void say_what_was_missed(crew_conn *c, const crew_gap *gap)
{
	char text[60];
	int n = snprintf(text, sizeof(text), "missed-%llu", (unsigned long long)gap->messages);
	assert_true(crew_send(c, (crew_bytes){ text, (size_t)n }) >= 0);
}

static void the_client_can_be_told(void **state)
{
	gaps.then = say_what_was_missed;
	crew_conn *c = begin_stalled(state, CREW_DROP_OLDEST);
	for (int round = 1; round <= 3; round++) {
		stall(&world, c);
		for (unsigned i = 1; i <= 300; i++)
			assert_true(offer(c, i, NULL) >= 0);
		const char *heard = hear_lines(&world, peer);
		unsigned got = lines_of(heard, "a-");
		assert_int_equal(lines_of(heard, "missed-"), 1);
		assert_int_equal(gaps.calls, round);
		assert_in_range(gaps.last.messages, 300 - got, 301 - got);
	}
	assert_int_equal(gaps.messages, counter(&world, "fail_evicted"));
}

/* It sends more than there is room for, again: it is told of that, but the loop is not kept busy.
 */
static void fill_again(crew_conn *c, const crew_gap *gap)
{
	(void)gap;
	while (send_line(c, "g", 1, LINE, NULL) >= 0)
		continue;
}

static void filling_it_again_is_told_later(void **state)
{
	gaps.then = fill_again;
	crew_conn *c = begin_stalled(state, CREW_DROP_NEWEST);
	while (offer(c, 1, NULL) >= 0)
		continue;
	char sink[2000];
	while (gaps.calls == 0) {
		peer_hears(peer, sink, sizeof(sink));
		world_turn(&world, 0);
	}
	world_settle(&world);
	assert_int_equal(gaps.calls, 1);
	gaps.then = NULL;
	peer_drinks(&world, peer);
	assert_int_equal(gaps.calls, 2);
	assert_int_equal(gaps.last.messages, 1);
}

static void close_it(crew_conn *c, const crew_gap *gap)
{
	(void)gap;
	crew_close(c);
}

static void abort_it(crew_conn *c, const crew_gap *gap)
{
	(void)gap;
	crew_abort(c);
}

static void send_one(crew_conn *c, void *arg)
{
	(void)arg;
	crew_send(c, CREW_BYTES("to each"));
}

static void change_it(crew_conn *c, const crew_gap *gap)
{
	(void)gap;
	crew_shared *s = crew_shared_new(CREW_BYTES("to all"));
	crew_set_policy(c, CREW_DISCONNECT);
	crew_set_rate(c, 100000, 0);
	crew_pause(c);
	crew_broadcast(&lines, s);
	crew_each(&lines, send_one, NULL);
	crew_shared_unref(s);
}

static void any_call_is_legal_in_it(void **state)
{
	void (*const all[])(crew_conn *, const crew_gap *) = { close_it, abort_it, change_it };
	for (size_t i = 0; i < crew__lengthof(all); i++) {
		gaps.then = all[i];
		crew_conn *c = begin_stalled(state, CREW_DROP_NEWEST);
		while (offer(c, 1, NULL) >= 0)
			continue;
		peer_drinks(&world, peer);
		assert_int_equal(gaps.calls, 1);
		world_until(&world, counter(&world, "connections") == 0 || crew_queued(c) == 0);
		clean_up(NULL);
	}
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		ON_BOTH(refused_messages_are_told),
		ON_BOTH(evicted_messages_are_told),
		ON_BOTH(expired_messages_are_told),
		ON_BOTH(it_is_told_after_all_has_expired),
		ON_BOTH(a_broadcast_moves_it_as_well),
		ON_BOTH(keys_are_told_cut),
		ON_BOTH(without_numbers_there_are_none),
		ON_BOTH(what_was_replaced_is_no_gap),
		ON_BOTH(what_ends_with_the_connection_is_no_gap),
		ON_BOTH(nor_of_the_next_in_its_slot),
		ON_BOTH(the_client_can_be_told),
		ON_BOTH(filling_it_again_is_told_later),
		ON_BOTH(any_call_is_legal_in_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
