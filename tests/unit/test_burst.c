/* test_burst.c - broadcasts that are kept once: order beside everything else, limits, endings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	PEERS = 3,
	ROOM = 1 << 20
};

static const crew_service service = { .name = "text", .listen = "text://127.0.0.1:1" };

static struct {
	struct world world;
	int peers[PEERS];
	char *got; /* what read_all() read last */
	size_t length;
} t;

static void small_limit(struct crew__service_settings *s)
{
	s->max_send_buffer = 1000;
}

static void open_with(void (*adjust)(struct crew__service_settings *settings))
{
	memset(&t, 0, sizeof(t));
	t.got = malloc(ROOM);
	assert_true(world_open(&t.world, &service, CREW__ENGINE_AUTO, adjust));
	for (int i = 0; i < PEERS; i++)
		assert_true((t.peers[i] = world_connect(&t.world)) >= 0);
}

static void close_all(void)
{
	for (int i = 0; i < PEERS; i++)
		if (t.peers[i] >= 0)
			close(t.peers[i]);
	world_settle(&t.world);
	world_close(&t.world);
	free(t.got);
}

static int64_t broadcast(const char *text)
{
	crew_shared *s = crew_shared_new(crew_str(text));
	int64_t accepted = crew_broadcast(&service, s);
	crew_shared_unref(s);
	return accepted;
}

static int64_t broadcast_long(size_t len, char byte)
{
	char *text = malloc(len);
	memset(text, byte, len);
	crew_shared *s = crew_shared_new((crew_bytes){ text, len });
	int64_t accepted = crew_broadcast(&service, s);
	crew_shared_unref(s);
	free(text);
	return accepted;
}

/* All that comes, with turns between the reads so that what waits can follow. */
static const char *read_all(int peer)
{
	t.length = 0;
	for (int quiet = 0; quiet < 20;) {
		ssize_t n = read(t.peers[peer], t.got + t.length, ROOM - 1 - t.length);
		quiet = n > 0 ? 0 : quiet + 1;
		t.length += n > 0 ? (size_t)n : 0;
		world_turn(&t.world, 0);
	}
	t.got[t.length] = '\0';
	return t.got;
}

static const struct crew__slab *slab(void)
{
	return t.world.worker->net.stats.slab;
}

static void all_get_all_in_order(void **state)
{
	(void)state;
	open_with(NULL);
	assert_int_equal(broadcast("one"), PEERS);
	assert_int_equal(broadcast("two"), PEERS);
	assert_int_equal(slab()->messages_queued, 2 * PEERS);
	crew__net_check(&t.world.worker->net);
	world_turn(&t.world, 0);
	assert_int_equal(slab()->messages_sent, 2 * PEERS);
	assert_int_equal(t.world.worker->net.bursts[CREW__VARIANT_PLAIN].len, 0);
	for (int i = 0; i < PEERS; i++)
		assert_string_equal(read_all(i), "one\ntwo\n");
	close_all();
}

static void other_sends_keep_their_place(void **state)
{
	(void)state;
	open_with(NULL);
	broadcast("a");
	crew_send(world_conn(&t.world, 1), CREW_BYTES("own"));
	broadcast("b");
	broadcast_long(CREW__BURST_MESSAGE + 1, 'x');
	broadcast("c");
	crew__net_check(&t.world.worker->net);
	world_turn(&t.world, 0);
	const char *end = read_all(1);
	assert_memory_equal(end, "a\nown\nb\nx", 8);
	assert_string_equal(end + t.length - 4, "x\nc\n");
	assert_memory_equal(read_all(0), "a\nb\nx", 5);
	close_all();
}

static void what_the_kernel_refuses_is_kept(void **state)
{
	(void)state;
	open_with(NULL);
	char text[16];
	enum {
		COUNT = 9000
	};
	for (int i = 0; i < COUNT; i++) {
		snprintf(text, sizeof(text), "%08d", i);
		broadcast(text);
		if (i % 500 == 0)
			world_turn(&t.world, 0);
	}
	world_settle(&t.world);
	assert_true(slab()->messages_queued > 0);
	for (int peer = 0; peer < PEERS; peer++) {
		const char *got = read_all(peer);
		assert_int_equal(t.length, COUNT * 9);
		for (int i = 0; i < COUNT; i++) {
			snprintf(text, sizeof(text), "%08d\n", i);
			assert_memory_equal(got + i * 9, text, 9);
		}
	}
	assert_int_equal(slab()->messages_sent, COUNT * PEERS);
	assert_int_equal(slab()->send_fail, 0);
	close_all();
}

static void more_than_it_holds_in_one_turn(void **state)
{
	(void)state;
	open_with(NULL);
	enum {
		COUNT = 2 * CREW__BURST_MOST / 1000
	};
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(broadcast_long(999, (char)('a' + i % 26)), PEERS);
	crew__net_check(&t.world.worker->net);
	for (int peer = 0; peer < PEERS; peer++) {
		const char *got = read_all(peer);
		assert_int_equal(t.length, COUNT * 1000);
		for (int i = 0; i < COUNT; i++)
			assert_int_equal(got[i * 1000], 'a' + i % 26);
	}
	close_all();
}

/* The limit is each receiver's own: one that does not read is refused, the others are not. */
static void the_limit_holds(void **state)
{
	(void)state;
	open_with(small_limit);
	crew_conn *slow = world_conn(&t.world, 0);
	while (crew_send(slow, CREW_BYTES("fill the kernel's buffer, then the queue")) >= 0)
		world_turn(&t.world, 0);
	uint64_t failed = slow->record->send_fail;
	for (int i = 0; i < 10; i++)
		assert_int_equal(broadcast("news"), PEERS - 1);
	assert_int_equal(slow->record->send_fail, failed + 10);
	assert_int_equal(slab()->fail_full, failed + 10);
	world_turn(&t.world, 0);
	for (int i = 1; i < PEERS; i++)
		assert_int_equal(strlen(read_all(i)), 10 * strlen("news\n"));
	close_all();
}

static void more_than_the_limit_in_one_turn(void **state)
{
	(void)state;
	open_with(small_limit);
	for (int i = 0; i < 30; i++)
		assert_int_equal(broadcast_long(100, (char)('a' + i % 26)), PEERS);
	crew__net_check(&t.world.worker->net);
	world_turn(&t.world, 0);
	for (int i = 0; i < PEERS; i++)
		assert_int_equal(strlen(read_all(i)), 30 * 101);
	close_all();
}

static void endings_take_their_part_along(void **state)
{
	(void)state;
	open_with(NULL);
	broadcast("last words");
	crew_close(world_conn(&t.world, 0));
	crew_abort(world_conn(&t.world, 1));
	crew_finish(world_conn(&t.world, 2));
	crew__net_check(&t.world.worker->net);
	assert_int_equal(broadcast("nobody is left"), 0);
	world_turn(&t.world, 0);
	assert_string_equal(read_all(0), "last words\n");
	assert_string_equal(read_all(1), "");
	assert_string_equal(read_all(2), "last words\n");
	assert_int_equal(slab()->fail_aborted, 1);
	assert_int_equal(slab()->messages_sent, 2);
	close_all();
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_get_all_in_order),
		cmocka_unit_test(other_sends_keep_their_place),
		cmocka_unit_test(what_the_kernel_refuses_is_kept),
		cmocka_unit_test(more_than_it_holds_in_one_turn),
		cmocka_unit_test(the_limit_holds),
		cmocka_unit_test(more_than_the_limit_in_one_turn),
		cmocka_unit_test(endings_take_their_part_along),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
