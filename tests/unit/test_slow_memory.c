/* test_slow_memory.c - connections that never had a backlog give their slow records no memory: not
 * when they open, talk and end, and not when somebody looks at them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_ways.h"

#include "stats/rings.h"

#include <stdlib.h>
#include <unistd.h>

enum {
	PEERS = 60 /* their slow records are several pages */
};
_Static_assert(PEERS * sizeof(struct crew__record_slow) > 2 * 4096, "more than a page");

static struct {
	struct world world;
	int peers[PEERS];
} t;

static void echo(crew_conn *c, crew_msg msg)
{
	crew_send(c, msg.body);
}

static const crew_service echoing = {
	.name = "echoing", .listen = "text://127.0.0.1:1", .on_message = echo
};

static int clean_up(void **state)
{
	(void)state;
	for (size_t i = 0; i < PEERS; i++)
		if (t.peers[i] > 0)
			close(t.peers[i]);
	world_clean_up(&t.world);
	return 0;
}

static bool slow_records_have_memory(void)
{
	const struct crew__segment *segment = &t.world.segment;
	off_t begin = (off_t)segment->header->slow_offset;
	off_t data = lseek(segment->fd, begin, SEEK_DATA);
	assert_true(data >= begin || errno == ENXIO);
	return data >= begin;
}

static void talk(size_t i)
{
	char heard[16];
	peer_says(t.peers[i], CREW_BYTES("hello\n"));
	assert_int_equal(peer_hears_all(&t.world, t.peers[i], heard, sizeof(heard)), 6);
}

static void look(size_t expected)
{
	size_t count;
	struct crew__conn_snapshot *rows = crew__segment_connections(&t.world.segment, &count);
	assert_int_equal(count, expected);
	for (size_t i = 0; i < count; i++)
		assert_false(rows[i].has_slow);
	free(rows);
}

static void those_that_keep_up_have_none(void **state)
{
	memset(&t, 0, sizeof(t));
	told_anew();
	assert_true(world_open(&t.world, &echoing, engine_of(state), NULL));
	for (size_t i = 0; i < PEERS; i++) {
		t.peers[i] = world_connect(&t.world);
		assert_true(t.peers[i] >= 0);
		talk(i);
	}
	look(PEERS);
	assert_false(slow_records_have_memory());
	for (size_t i = 0; i < PEERS; i++) {
		close(t.peers[i]);
		t.peers[i] = -1;
	}
	world_until(&t.world, counter(&t.world, "connections") == 0);
	assert_int_equal(atomic_load(&crew__segment_closed(&t.world.segment)->written), PEERS);
	look(0);
	assert_false(slow_records_have_memory());
	/* The way of asking is a good one. */
	atomic_store(&t.world.worker->net.stats.slow[PEERS - 1].id, 1);
	assert_true(slow_records_have_memory());
}

int main(void)
{
	const struct CMUnitTest tests[] = { ON_BOTH(those_that_keep_up_have_none) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
