/* test_conn_parts.c - a message in parts: one in the accounting however it comes, in order with
 * what is before and behind it, bounded, and lost whole when its connection ends too soon. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_ways.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	LIMIT = 100 * 1000,
	ROOM = 8 << 20
};

static struct {
	struct world world;
	const char *script;
	int peer, file;
	unsigned releases;
	int64_t result; /* of the last step */
	char *room;
} t;

static void release(void *data, void *arg)
{
	assert_ptr_equal(arg, &t);
	assert_null(data);
	t.releases++;
}

static int64_t part(crew_conn *c, const char *text, size_t len, bool last)
{
	struct crew__out out = { .body = { text, len } };
	return crew__conn_part(c, &out, last);
}

static int64_t file_part(crew_conn *c, uint64_t offset, uint32_t len, bool last)
{
	const struct crew__file_part p = { t.file, offset, len, release, &t };
	return crew__conn_part_file(c, &p, last);
}

/* One letter a step: b begins, p adds a part, e ends, l adds the last part, m sends a whole
 * message, f adds 1000 bytes of the file, F so many as the last part, c closes, a aborts. */
static void play(crew_conn *c, const char *script)
{
	for (; *script; script++) {
		switch (*script) {
		case 'b':
			t.result = crew__conn_begin_parts(c);
			break;
		case 'p':
			t.result = part(c, "part ", 5, false);
			break;
		case 'e':
			t.result = part(c, NULL, 0, true);
			break;
		case 'l':
			t.result = part(c, "last\n", 5, true);
			break;
		case 'm':
			t.result = crew_send(c, CREW_BYTES("whole\n"));
			break;
		case 'f':
			t.result = file_part(c, 10, 1000, false);
			break;
		case 'F':
			t.result = file_part(c, 10, 1000, true);
			break;
		case 'c':
			crew_close(c);
			break;
		default:
			crew_abort(c);
			break;
		}
	}
}

static void on_message(crew_conn *c, crew_msg msg)
{
	(void)msg;
	play(c, t.script);
}

static const crew_service raw = {
	.name = "raw",
	.listen = "tcp://127.0.0.1:1",
	.on_message = on_message,
	.on_close = tell_close,
	.on_error = tell_error,
	.on_full = tell_full,
	.on_drain = tell_drain,
};

static void limit(struct crew__service_settings *s)
{
	s->max_send_buffer = LIMIT;
	s->linger_ms = 0;
}

static void open_it(void **state)
{
	memset(&t, 0, sizeof(t));
	t.room = malloc(ROOM);
	t.file = fileno(tmpfile());
	for (unsigned i = 0; i < 400 * 1000; i++) {
		char byte = (char)('a' + i % 26);
		t.room[i] = byte;
	}
	assert_int_equal(write(t.file, t.room, 400 * 1000), 400 * 1000);
	told_anew();
	assert_true(world_open(&t.world, &raw, engine_of(state), limit));
	t.peer = world_connect(&t.world);
	assert_true(t.peer >= 0);
}

static int clean_up(void **state)
{
	(void)state;
	if (t.peer >= 0)
		close(t.peer);
	if (t.file > 0)
		close(t.file);
	world_clean_up(&t.world);
	free(t.room);
	return 0;
}

static crew_conn *conn(void)
{
	return world_conn(&t.world, 0);
}

static const char *hear(void)
{
	peer_hears_all(&t.world, t.peer, t.room, ROOM);
	return t.room;
}

/* In the connection's own event, and outside of it. */
static void inside(const char *script)
{
	t.script = script;
	peer_says(t.peer, CREW_BYTES("!"));
	world_settle(&t.world);
}

static void outside(const char *script)
{
	play(conn(), script);
	world_settle(&t.world);
}

static void expect_counts(uint64_t offered, uint64_t sent, uint64_t queued, uint64_t failed)
{
	assert_int_equal(counter(&t.world, "messages_offered"), offered);
	assert_int_equal(counter(&t.world, "messages_sent"), sent);
	assert_int_equal(counter(&t.world, "messages_queued"), queued);
	assert_int_equal(counter(&t.world, "send_fail"), failed);
}

static void parts_are_one_message(void **state)
{
	open_it(state);
	inside("bpp");
	assert_string_equal(hear(), "part part ");
	expect_counts(1, 0, 1, 0);
	outside("p");
	assert_string_equal(hear(), "part ");
	expect_counts(1, 0, 1, 0);
	outside("l");
	assert_string_equal(hear(), "last\n");
	expect_counts(1, 1, 0, 0);
	inside("bplmbpem");
	assert_string_equal(hear(), "part last\nwhole\npart whole\n");
	expect_counts(5, 5, 0, 0);
	outside("bpemm");
	assert_string_equal(hear(), "part whole\nwhole\n");
	expect_counts(8, 8, 0, 0);
}

static void an_end_alone_is_an_end(void **state)
{
	open_it(state);
	inside("bp");
	assert_string_equal(hear(), "part ");
	outside("e");
	expect_counts(1, 1, 0, 0);
	inside("bp");
	assert_string_equal(hear(), "part ");
	inside("e");
	expect_counts(2, 2, 0, 0);
	assert_string_equal(told(), "");
}

static void what_is_out_of_order_is_refused(void **state)
{
	open_it(state);
	outside("p");
	assert_int_equal(t.result, -EINVAL);
	outside("e");
	assert_int_equal(t.result, -EINVAL);
	outside("F");
	assert_int_equal(t.result, -EINVAL);
	assert_int_equal(t.releases, 1);
	outside("bb");
	assert_int_equal(t.result, -EBUSY);
	expect_counts(1, 0, 1, 0);
	outside("l");
	expect_counts(1, 1, 0, 0);
}

static void files_go_between(void **state)
{
	open_it(state);
	inside("bpfpFm");
	const char *all = hear();
	assert_int_equal(strlen(all), 5 + 1000 + 5 + 1000 + 6);
	assert_memory_equal(all, "part klmnop", 11);
	assert_memory_equal(all + 1005, "part klm", 8);
	assert_string_equal(all + 2010, "whole\n");
	assert_int_equal(t.releases, 2);
	expect_counts(2, 2, 0, 0);
	outside("bpFm");
	assert_int_equal(strlen(hear()), 5 + 1000 + 6);
	expect_counts(4, 4, 0, 0);
}

/* A reader that does not read: parts wait up to the limit, then are refused without a loss, and all
 * comes in order once it reads. */
static void it_is_bounded(void **state)
{
	open_it(state);
	char *block = malloc(30000);
	size_t bytes = 0;
	memset(block, 'x', 30000);
	assert_int_equal(crew__conn_begin_parts(conn()), 0);
	while (part(conn(), block, 30000, false) >= 0) {
		bytes += 30000;
		world_turn(&t.world, 0);
	}
	assert_int_equal(part(conn(), block, 30000, false), -ENOBUFS);
	assert_int_equal(file_part(conn(), 0, 20, false), -ENOBUFS);
	assert_int_equal(t.releases, 1);
	assert_true(conn()->record->bytes_queued < LIMIT + 30000);
	world_settle(&t.world);
	assert_string_equal(told(), "full");
	assert_true(part(conn(), "!", 1, true) > 0); /* the last is never refused */
	expect_counts(1, 0, 1, 0);
	assert_int_equal(peer_hears_all(&t.world, t.peer, t.room, ROOM), bytes + 1);
	assert_int_equal(t.room[bytes], '!');
	assert_string_equal(told(), "full drain");
	expect_counts(1, 1, 0, 0);
	free(block);
}

static void a_file_waits_for_a_slow_reader(void **state)
{
	open_it(state);
	size_t most = 0;
	assert_int_equal(crew__conn_begin_parts(conn()), 0);
	while (file_part(conn(), most % 300000, 50000, false) >= 0) {
		most += 50000;
		world_turn(&t.world, 0);
	}
	assert_true(file_part(conn(), 26, 52, true) > 0);
	size_t len = peer_hears_all(&t.world, t.peer, t.room, ROOM);
	assert_int_equal(len, most + 52);
	for (size_t at = 0; at < most; at++)
		assert_int_equal(t.room[at], 'a' + (at / 50000 * 50000 % 300000 + at % 50000) % 26);
	assert_memory_equal(t.room + most, "abcdefghijklmnopqrstuvwxyzabc", 29);
	expect_counts(1, 1, 0, 0);
	assert_int_equal(t.releases, most / 50000 + 2);
}

static void a_file_cut_short_breaks_the_connection(void **state)
{
	open_it(state);
	assert_int_equal(ftruncate(t.file, 500), 0);
	inside("bpF");
	assert_true(peer_sees_reset(t.peer) || peer_sees_end(t.peer));
	assert_string_equal(told(), "error:aborted:1 close:app");
	expect_counts(1, 0, 0, 1);
	assert_int_equal(t.releases, 1);
}

static void unfinished_is_lost_whole(void **state)
{
	open_it(state);
	inside("bpc");
	assert_string_equal(told(), "error:aborted:1 close:app");
	assert_string_equal(hear(), "part ");
	expect_counts(1, 0, 0, 1);
	clean_up(state);
	open_it(state);
	outside("bpa");
	assert_string_equal(told(), "error:aborted:1 close:app");
	expect_counts(1, 0, 0, 1);
	clean_up(state);
	open_it(state);
	outside("bp");
	assert_string_equal(hear(), "part ");
	close(t.peer);
	t.peer = -1;
	world_settle(&t.world);
	assert_string_equal(told(), "error:reset:1 close:peer");
	expect_counts(1, 0, 0, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(parts_are_one_message),
		ON_BOTH(an_end_alone_is_an_end),
		ON_BOTH(what_is_out_of_order_is_refused),
		ON_BOTH(files_go_between),
		ON_BOTH(it_is_bounded),
		ON_BOTH(a_file_waits_for_a_slow_reader),
		ON_BOTH(a_file_cut_short_breaks_the_connection),
		ON_BOTH(unfinished_is_lost_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
