/* test_http_pull.c - bodies that are pulled: when, how much at once, what a reader who does not
 * read costs, what a pull may do, and that whoever gives is told once that it is over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "answer_ways.h"

#include <unistd.h>

enum {
	LIMIT = 100 * 1000
};

static int clean_up(void **state)
{
	(void)state;
	ways_close();
	return 0;
}

static const crew_response plain = { .type = "a/b" };

static void small(struct crew__service_settings *s)
{
	s->max_send_buffer = LIMIT;
}

static int64_t begin(crew_conn *c, int64_t length)
{
	return crew_reply_begin(c, &plain, length);
}

static int64_t put(crew_conn *c, const char *text)
{
	return crew_reply_write(c, crew_str(text));
}

static int64_t end(crew_conn *c)
{
	return crew_reply_end(c, NULL, 0);
}

static void one_message_each(unsigned sent, unsigned failed)
{
	assert_int_equal(counter(&ways.world, "messages_offered"), sent + failed);
	assert_int_equal(counter(&ways.world, "messages_sent"), sent);
	assert_int_equal(counter(&ways.world, "send_fail"), failed);
}

#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n"

static struct {
	char byte;
	size_t part, left; /* bytes a call, and in all */
	unsigned calls, done;
	size_t most_queued;
	void (*instead)(crew_conn *c); /* what the next call does */
	bool in_pull;
} source;

static void pull(crew_conn *c, void *arg)
{
	static char room[1 << 17];
	assert_ptr_equal(arg, &source);
	assert_int_equal(source.done, 0);
	assert_false(source.in_pull); /* never recursive */
	assert_true(crew_queued(c) * 2 <= (size_t)ways.world.settings.max_send_buffer);
	source.in_pull = true;
	source.calls++;
	if (source.instead) {
		source.instead(c);
		source.in_pull = false;
		return;
	}
	size_t n = crew__min(source.part, source.left);
	memset(room, source.byte, n);
	if (n > 0)
		assert_true(crew_reply_write(c, (crew_bytes){ room, n }) >= 0);
	source.left -= n;
	source.most_queued = crew__max(source.most_queued, crew_queued(c));
	if (source.left == 0)
		assert_true(end(c) >= 0);
	assert_int_equal(source.done, 0); /* not from inside, where arg is in use */
	source.in_pull = false;
}

static void done(void *arg)
{
	assert_ptr_equal(arg, &source);
	assert_false(source.in_pull);
	source.done++;
}

static void fill_source(size_t part, size_t all)
{
	memset(&source, 0, sizeof(source));
	source.byte = 's';
	source.part = part;
	source.left = all;
}

static int64_t start(crew_conn *c, int64_t length)
{
	return crew_reply_pull(c, &plain, length, pull, done, &source);
}

static void pulled_to_its_end(void **state)
{
	static const size_t parts[] = { 1, 100, 5000, 65536 };
	ways_open(state, small);
	for (size_t i = 0; i < crew__lengthof(parts); i++) {
		size_t all = parts[i] * 50;
		fill_source(parts[i], all);
		crew_conn *c = ways_ask(WAYS_GET("/"));
		assert_true(start(c, -1) > 0);
		assert_int_equal(source.calls, 0); /* not from inside the call */
		ways_hear();
		assert_int_equal(strlen(ways_unchunk(NULL)), all);
		assert_int_equal(source.calls, 50);
		assert_int_equal(source.done, 1);
		assert_true(source.most_queued <= LIMIT / 2 + parts[i] + 20);
		one_message_each((unsigned)i + 1, 0);
	}
	fill_source(10, 30);
	crew_conn *c = ways_ask(WAYS_GET("/"));
	assert_true(start(c, 30) > 0);
	ways_hear();
	assert_string_equal(
		ways.room, HEAD "Content-Length: 30\r\n\r\nssssssssssssssssssssssssssssss");
	assert_int_equal(source.done, 1);
}

/* As much waits as may, however much there would be. */
static void a_reader_who_does_not_read_costs_no_more(void **state)
{
	ways_open(state, small);
	fill_source(8192, SIZE_MAX);
	crew_conn *c = ways_ask(WAYS_GET("/"));
	assert_true(start(c, -1) > 0);
	world_settle(&ways.world);
	unsigned calls = source.calls;
	assert_true(crew_queued(c) > 0 && crew_queued(c) <= LIMIT / 2 + 8192 + 20);
	world_settle(&ways.world);
	assert_int_equal(source.calls, calls); /* and nobody turns in circles */
	for (int i = 0; i < 100; i++) {
		char sink[4096];
		assert_true(peer_hears(ways.peer, sink, sizeof(sink)) > 0);
		world_settle(&ways.world);
		assert_true(crew_queued(c) <= LIMIT / 2 + 8192 + 20);
	}
	assert_true(source.calls > calls);
	crew_abort(c);
	world_settle(&ways.world);
	assert_int_equal(source.done, 1);
	one_message_each(0, 1);
}

/* Bounded work in a turn: others get theirs between. */
static void a_fast_reader_does_not_hold_the_turn(void **state)
{
	ways_open(state, NULL);
	fill_source(1, 10000);
	crew_conn *c = ways_ask("");
	(void)c;
	peer_says(ways.peer, CREW_BYTES(WAYS_GET("/")));
	world_until(&ways.world, ways_conn());
	assert_true(start(ways_conn(), -1) > 0);
	for (unsigned calls = 0; source.done == 0; calls = source.calls) {
		world_turn(&ways.world, 0);
		assert_true(source.calls - calls <= 16);
	}
	ways_hear();
	assert_int_equal(strlen(ways_unchunk(NULL)), 10000);
}

static void say_nothing(crew_conn *c)
{
	(void)c;
}

/* One that has nothing is not asked again until what it writes later has left. */
static void a_source_that_runs_dry(void **state)
{
	ways_open(state, NULL);
	fill_source(3, 9);
	source.instead = say_nothing;
	crew_conn *c = ways_ask(WAYS_GET("/"));
	assert_true(start(c, -1) > 0);
	world_settle(&ways.world);
	assert_int_equal(source.calls, 1);
	assert_true(put(c, "abc") > 0);
	assert_int_equal(source.calls, 1);
	world_settle(&ways.world);
	assert_int_equal(source.calls, 2);
	source.instead = NULL;
	assert_true(put(c, "def") > 0);
	ways_hear();
	assert_string_equal(ways_unchunk(NULL), "abcdefsssssssss");
	assert_int_equal(source.done, 1);
}

static void end_it(crew_conn *c)
{
	assert_true(end(c) >= 0);
	assert_int_equal(put(c, "x"), -EINVAL);
	assert_int_equal(end(c), -EINVAL);
}

static void abort_it(crew_conn *c)
{
	assert_int_equal(crew_abort(c), 0);
	assert_int_equal(put(c, "x"), -ENOTCONN);
}

static void close_it(crew_conn *c)
{
	assert_true(put(c, "x") >= 0);
	assert_int_equal(crew_close(c), 0);
}

static void too_much(crew_conn *c)
{
	assert_int_equal(put(c, "0123456789"), -EMSGSIZE);
	assert_true(put(c, "012345678") >= 0);
	assert_true(end(c) >= 0);
}

/* Whatever happens inside, done comes once, and after it. */
static void what_a_pull_may_do(void **state)
{
	static const struct {
		void (*instead)(crew_conn *c);
		bool good;
	} cases[] = { { end_it, true }, { abort_it, false }, { close_it, false } };
	for (size_t i = 0; i < crew__lengthof(cases); i++) {
		ways_open(state, NULL);
		fill_source(1, 1);
		source.instead = cases[i].instead;
		crew_conn *c = ways_ask(WAYS_GET("/"));
		assert_true(start(c, -1) > 0);
		world_settle(&ways.world);
		assert_int_equal(source.calls, 1);
		peer_drinks(&ways.world, ways.peer);
		if (cases[i].instead == close_it)
			close(ways.peer), ways.peer = -1;
		world_until(&ways.world, source.done == 1);
		one_message_each(cases[i].good, !cases[i].good);
		ways_close();
		assert_int_equal(source.done, 1);
	}
	ways_open(state, NULL);
	fill_source(1, 1);
	source.instead = too_much;
	assert_true(start(ways_ask(WAYS_GET("/")), 9) > 0);
	ways_hear();
	assert_string_equal(ways.room + ways.len - 9, "012345678");
	assert_int_equal(source.done, 1);
}

static void done_comes_at_once_when_it_cannot_begin(void **state)
{
	ways_open(state, NULL);
	fill_source(1, 1);
	assert_int_equal(start(NULL, -1), -ENOTCONN);
	assert_int_equal(source.done, 1);
	crew_conn *c = ways_ask(WAYS_GET("/"));
	assert_int_equal(start(c, -2), -EINVAL);
	assert_int_equal(source.done, 2);
	uint64_t invalid = counter(&ways.world, "send_invalid");
	assert_int_equal(crew_reply_pull(c, &plain, -1, NULL, done, &source), -EINVAL);
	assert_int_equal(counter(&ways.world, "send_invalid"), invalid + 1);
	assert_int_equal(source.done, 3);
	assert_int_equal(crew_reply_pull(c, &plain, -2, pull, NULL, NULL), -EINVAL);
	assert_true(crew_reply(c, &plain) > 0);
	assert_int_equal(start(c, -1), -EINVAL);
	assert_int_equal(source.done, 4);
	assert_int_equal(source.calls, 0);
}

/* Nobody wants the body: it is not even asked for. */
static void nothing_is_pulled_for_head(void **state)
{
	ways_open(state, NULL);
	fill_source(1, 1);
	crew_conn *c = ways_ask("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" WAYS_GET("/"));
	assert_true(start(c, 1000) >= 0);
	assert_int_equal(source.calls, 0);
	assert_int_equal(source.done, 1);
	assert_string_equal(ways_hear(), HEAD "Content-Length: 1000\r\n\r\n");
	one_message_each(1, 0);
	assert_true(crew_reply(ways_conn(), &plain) > 0);
}

static void the_peer_leaves(void **state)
{
	ways_open(state, small);
	fill_source(8192, SIZE_MAX);
	crew_conn *c = ways_ask(WAYS_GET("/"));
	assert_true(start(c, -1) > 0);
	world_settle(&ways.world);
	close(ways.peer);
	ways.peer = -1;
	world_until(&ways.world, source.done == 1);
	world_settle(&ways.world);
	assert_null(ways_conn());
	one_message_each(0, 1);
	assert_int_equal(counter(&ways.world, "fail_reset"), 1);
}

/* Without a function to be told, and without one to pull after the end. */
static void nobody_needs_to_be_told(void **state)
{
	ways_open(state, NULL);
	fill_source(1, 5);
	crew_conn *c = ways_ask(WAYS_GET("/"));
	assert_true(crew_reply_pull(c, &plain, -1, pull, NULL, &source) > 0);
	ways_hear();
	assert_string_equal(ways_unchunk(NULL), "sssss");
	c = ways_ask(WAYS_GET("/"));
	fill_source(1, 5);
	source.instead = say_nothing;
	assert_true(crew_reply_pull(c, &plain, -1, pull, NULL, &source) > 0);
	assert_true(end(c) >= 0); /* before it was called at all */
	ways_hear();
	assert_string_equal(ways_unchunk(NULL), "");
	assert_int_equal(source.calls, 0);
	one_message_each(2, 0);
}

static void of_two_at_once_neither_starves(void **state)
{
	ways_open(state, small);
	int other = world_connect(&ways.world);
	fill_source(4096, SIZE_MAX);
	assert_true(start(ways_ask(WAYS_GET("/")), -1) > 0);
	ways.id = 0;
	peer_says(other, CREW_BYTES(WAYS_GET("/")));
	world_until(&ways.world, ways_conn());
	assert_true(begin(ways_conn(), -1) > 0 && put(ways_conn(), "quick") > 0);
	assert_true(end(ways_conn()) >= 0);
	for (int i = 0; i < 3; i++)
		world_turn(&ways.world, 0);
	assert_true(peer_hears(other, ways.room, 1000) > 0);
	assert_string_equal(ways.room + strlen(ways.room) - 5, "0\r\n\r\n");
	close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(pulled_to_its_end),
		ON_BOTH(a_reader_who_does_not_read_costs_no_more),
		ON_BOTH(a_fast_reader_does_not_hold_the_turn),
		ON_BOTH(a_source_that_runs_dry),
		ON_BOTH(what_a_pull_may_do),
		ON_BOTH(done_comes_at_once_when_it_cannot_begin),
		ON_BOTH(nothing_is_pulled_for_head),
		ON_BOTH(the_peer_leaves),
		ON_BOTH(nobody_needs_to_be_told),
		ON_BOTH(of_two_at_once_neither_starves),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
