/* test_splice.c - what flows from socket to socket inside the kernel: held when the far one is
 * full, whole when it ends, lost once when it breaks. That nothing is lost or mixed up is
 * test_pipe.c's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_ways.h"

#include "net/splice.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	LITTLE = 200000, /* no more than sockets and a pipe hold */
	MUCH = 900000
};

static struct {
	struct world world;
	int from, to;  /* the peers' ends */
	int others[2]; /* of a second pair */
	uint64_t ids[4];
	unsigned opens;
	char *data, *heard;
} t;

static void on_open(crew_conn *c)
{
	t.ids[t.opens++] = crew_id(c);
	if (t.opens % 2 == 0)
		assert_int_equal(crew_pipe(crew_find(t.ids[t.opens - 2]), c), 0);
}

static const crew_service service = {
	.name = "pipes",
	.listen = "tcp://127.0.0.1:1",
	.on_open = on_open,
	.on_message = tell_message,
	.on_full = tell_full,
	.on_drain = tell_drain,
	.on_error = tell_error,
	.on_close = tell_close,
};

static void small_queue(struct crew__service_settings *s)
{
	s->max_send_buffer = 1; /* whatever is held is more */
}

static void open_with(void **state, void (*adjust)(struct crew__service_settings *s))
{
	told_anew();
	t.opens = 0;
	assert_true(world_open(&t.world, &service, engine_of(state), adjust));
	t.from = world_connect(&t.world);
	t.to = world_connect(&t.world);
	t.data = malloc(MUCH);
	t.heard = malloc(MUCH * 2);
	assert_true(t.from >= 0 && t.to >= 0 && t.data && t.heard);
	for (size_t i = 0; i < MUCH; i++)
		t.data[i] = (char)(i * 7 + (i >> 8));
}

static void open_world(void **state)
{
	open_with(state, NULL);
}

static int clean_up(void **state)
{
	(void)state;
	world_clean_up(&t.world);
	if (t.from > 0)
		close(t.from);
	if (t.to > 0)
		close(t.to);
	for (int i = 0; i < 2; i++)
		if (t.others[i] > 0)
			close(t.others[i]);
	free(t.data);
	free(t.heard);
	memset(&t, 0, sizeof(t));
	return 0;
}

/* Into `peer`, until nothing of it goes any further; how much that was. */
static size_t stuff_into(int peer, size_t most)
{
	size_t said = 0;
	for (unsigned quiet = 0; quiet < 20 && said < most; quiet++) {
		ssize_t n = send(peer, t.data + said, most - said, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n > 0) {
			said += (size_t)n;
			quiet = 0;
		}
		world_turn(&t.world, 0);
	}
	return said;
}

static size_t stuff(void)
{
	return stuff_into(t.from, LITTLE);
}

static crew_conn *near(void)
{
	return crew_find(t.ids[0]);
}

static crew_conn *far(void)
{
	return crew_find(t.ids[1]);
}

static unsigned open_descriptors(void)
{
	unsigned count = 0;
	DIR *all = opendir("/proc/self/fd");
	assert_non_null(all);
	while (readdir(all))
		count++;
	closedir(all);
	return count;
}

/* A byte out of band stops splice(2), which says that nothing is there, and epoll, which says that
 * something is, each time: whoever believes both never sleeps again, and nothing flows. */
static void a_byte_out_of_band(void **state)
{
	open_world(state);
	close(t.from);
	close(t.to);
	world_until(&t.world, counter(&t.world, "connections") == 0);
	t.opens = 0;
	t.from = world_connect_tcp(&t.world, NULL);
	t.to = world_connect_tcp(&t.world, NULL);
	assert_true(t.from >= 0 && t.to >= 0);
	assert_int_equal(send(t.from, "!", 1, MSG_OOB), 1);
	assert_int_equal(send(t.from, "behind", 6, 0), 6);
	world_until(&t.world, peer_hears(t.to, t.heard, MUCH) == 6);
	assert_memory_equal(t.heard, "behind", 6);
	assert_int_equal(send(t.from, "before", 6, 0), 6);
	assert_int_equal(send(t.from, "!", 1, MSG_OOB), 1);
	assert_int_equal(send(t.from, "behind", 6, 0), 6);
	assert_int_equal(peer_hears_all(&t.world, t.to, t.heard, MUCH), 12);
	assert_memory_equal(t.heard, "beforebehind", 12);
	/* Nor is it the end, though one stands behind it. */
	assert_int_equal(send(t.from, "!", 1, MSG_OOB), 1);
	assert_int_equal(send(t.from, "last", 4, 0), 4);
	shutdown(t.from, SHUT_WR);
	assert_int_equal(peer_hears_all(&t.world, t.to, t.heard, MUCH), 4);
	assert_memory_equal(t.heard, "last", 4);
}

static void what_is_held_arrives(void **state)
{
	open_world(state);
	size_t said = stuff();
	assert_true(said > 16 * 1024);
	assert_int_equal(far()->io, CREW__IO_SPLICE);
	assert_int_equal(counter(&t.world, "messages_queued"), 1);
	assert_int_equal(counter(&t.world, "bytes_queued"), crew_queued(far()));
	assert_true(crew_queued(far()) > 0);
	size_t got = peer_hears_all(&t.world, t.to, t.heard, (size_t)MUCH * 2);
	assert_int_equal(got, said);
	assert_memory_equal(t.heard, t.data, got);
	assert_int_equal(far()->io, CREW__IO_SOCKET);
	assert_int_equal(counter(&t.world, "bytes_queued"), 0);
	assert_int_equal(counter(&t.world, "messages_sent"), counter(&t.world, "messages_offered"));
	assert_int_equal(counter(&t.world, "bytes_out"), said);
	assert_int_equal(counter(&t.world, "bytes_in"), said);
}

/* What the program sends meanwhile comes behind it. */
static void a_message_behind_it(void **state)
{
	open_world(state);
	size_t said = stuff();
	assert_int_equal(far()->io, CREW__IO_SPLICE);
	assert_true(crew_send(far(), CREW_BYTES("behind")) > 0);
	size_t got = peer_hears_all(&t.world, t.to, t.heard, (size_t)MUCH * 2);
	assert_int_equal(got, said + 6);
	assert_memory_equal(t.heard, t.data, said);
	assert_memory_equal(t.heard + said, "behind", 6);
}

static void an_end_behind_it(void **state)
{
	open_world(state);
	size_t said = stuff();
	close(t.from);
	t.from = -1;
	world_settle(&t.world);
	assert_int_equal(far()->io, CREW__IO_SPLICE);
	size_t got = peer_hears_all(&t.world, t.to, t.heard, (size_t)MUCH * 2);
	assert_int_equal(got, said);
	assert_memory_equal(t.heard, t.data, got);
	assert_true(peer_sees_end(t.to));
	close(t.to);
	t.to = -1;
	world_until(&t.world, counter(&t.world, "connections") == 0);
	assert_int_equal(counter(&t.world, "send_fail"), 0);
}

/* The chunk is lost once, and so are the descriptors it was in. */
static void a_far_one_that_leaves(void **state)
{
	open_world(state);
	unsigned before = open_descriptors();
	stuff();
	assert_int_equal(far()->io, CREW__IO_SPLICE);
	assert_true(open_descriptors() > before);
	close(t.to);
	t.to = -1;
	close(t.from);
	t.from = -1;
	world_until(&t.world, counter(&t.world, "connections") == 0);
	assert_int_equal(counter(&t.world, "fail_reset"), 1);
	assert_int_equal(counter(&t.world, "bytes_queued"), 0);
	assert_true(open_descriptors() <= before);
}

static void aborted_while_it_is_held(void **state)
{
	open_world(state);
	stuff();
	assert_int_equal(far()->io, CREW__IO_SPLICE);
	crew_abort(far());
	world_until(&t.world, counter(&t.world, "connections") == 0);
	assert_int_equal(counter(&t.world, "fail_aborted"), 1);
}

/* What the one that is piped says is told as what it is: recv(2) would know nothing of it any more.
 */
static void a_reset_of_the_source(void **state)
{
	open_world(state);
	peer_says(t.from, CREW_BYTES("before it"));
	world_settle(&t.world);
	assert_true(crew_send(near(), CREW_BYTES("what it does not read")) >= 0);
	world_settle(&t.world);
	close(t.from);
	t.from = -1;
	world_until(&t.world, crew_find(t.ids[0]) == NULL);
	assert_int_equal(counter(&t.world, "close_reset"), 1);
	peer_hears_all(&t.world, t.to, t.heard, MUCH);
	assert_string_equal(t.heard, "before it");
	assert_true(peer_sees_end(t.to));
}

/* One direction that is full does not keep the other from flowing, in the kernel too. */
static void the_other_direction_flows(void **state)
{
	open_world(state);
	assert_int_equal(crew_pipe(far(), near()), 0);
	size_t said = stuff();
	assert_int_equal(far()->io, CREW__IO_SPLICE);
	size_t back = stuff_into(t.to, LITTLE);
	assert_int_equal(far()->io, CREW__IO_SPLICE);
	assert_int_equal(near()->io, CREW__IO_SPLICE);
	assert_int_equal(counter(&t.world, "messages_queued"), 2);
	assert_int_equal(peer_hears_all(&t.world, t.from, t.heard, (size_t)MUCH * 2), back);
	assert_memory_equal(t.heard, t.data, back);
	assert_int_equal(far()->io, CREW__IO_SPLICE);
	assert_int_equal(peer_hears_all(&t.world, t.to, t.heard, (size_t)MUCH * 2), said);
	assert_memory_equal(t.heard, t.data, said);
	assert_int_equal(counter(&t.world, "send_fail"), 0);
}

static void the_program_hears_that_it_is_full(void **state)
{
	open_with(state, small_queue);
	size_t said = stuff_into(t.from, MUCH);
	assert_int_equal(far()->io, CREW__IO_SPLICE);
	assert_string_equal(told(), "full");
	assert_int_equal(peer_hears_all(&t.world, t.to, t.heard, (size_t)MUCH * 2), said);
	assert_non_null(strstr(told(), "full drain"));
	assert_int_equal(counter(&t.world, "send_fail"), 0);
}

static void taken_away_while_it_is_held(void **state)
{
	open_world(state);
	size_t said = stuff_into(t.from, MUCH);
	assert_int_equal(far()->io, CREW__IO_SPLICE);
	uint64_t before = near()->record->bytes_in;
	assert_int_equal(crew_pipe(near(), NULL), 0);
	world_settle(&t.world);
	assert_true(near()->record->bytes_in > before); /* it goes to on_message from here on */
	assert_non_null(strstr(told(), "message"));
	assert_int_equal(peer_hears_all(&t.world, t.to, t.heard, (size_t)MUCH * 2), before);
	assert_memory_equal(t.heard, t.data, before);
	assert_true(before < said);
}

static void the_source_is_closed_while_it_is_held(void **state)
{
	open_world(state);
	stuff();
	uint64_t moved = near()->record->bytes_in;
	assert_int_equal(far()->io, CREW__IO_SPLICE);
	assert_int_equal(crew_close(near()), 0);
	world_settle(&t.world);
	assert_int_equal(peer_hears_all(&t.world, t.to, t.heard, (size_t)MUCH * 2), moved);
	assert_memory_equal(t.heard, t.data, moved);
	assert_true(peer_sees_end(t.to));
	assert_int_equal(counter(&t.world, "send_fail"), 0);
}

/* A cap is kept by the queue, so all goes through it. */
static void with_a_rate_nothing_is_spliced(void **state)
{
	open_world(state);
	assert_int_equal(crew_set_rate(far(), 1 << 20, 0), 0);
	unsigned before = open_descriptors();
	stuff();
	assert_int_equal(far()->io, CREW__IO_SOCKET);
	assert_true(crew_queued(far()) > 0);
	assert_int_equal(open_descriptors(), before);
}

/* Pipes take no more than a part of the descriptors; without one the bytes come all the same. */
static void pipes_are_few_where_descriptors_are(void **state)
{
	struct rlimit limit, low = { 64, 64 };
	open_world(state);
	t.others[0] = world_connect(&t.world);
	t.others[1] = world_connect(&t.world);
	world_settle(&t.world);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	low.rlim_max = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	unsigned before = open_descriptors();
	size_t said = stuff(), also = stuff_into(t.others[0], LITTLE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(far()->io, CREW__IO_SPLICE);
	assert_int_equal(crew_find(t.ids[3])->io, CREW__IO_SOCKET);
	assert_int_equal(open_descriptors(), before + 2);
	assert_int_equal(peer_hears_all(&t.world, t.to, t.heard, (size_t)MUCH * 2), said);
	assert_int_equal(peer_hears_all(&t.world, t.others[1], t.heard, (size_t)MUCH * 2), also);
	assert_memory_equal(t.heard, t.data, also);
}

/* The worker's end with a pipe that holds something. */
static void the_worker_ends(void **state)
{
	open_world(state);
	unsigned before = open_descriptors();
	stuff();
	world_close(&t.world);
	assert_true(open_descriptors() < before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(a_byte_out_of_band),
		ON_BOTH(what_is_held_arrives),
		ON_BOTH(a_message_behind_it),
		ON_BOTH(an_end_behind_it),
		ON_BOTH(a_far_one_that_leaves),
		ON_BOTH(aborted_while_it_is_held),
		ON_BOTH(a_reset_of_the_source),
		ON_BOTH(the_other_direction_flows),
		ON_BOTH(the_program_hears_that_it_is_full),
		ON_BOTH(taken_away_while_it_is_held),
		ON_BOTH(the_source_is_closed_while_it_is_held),
		ON_BOTH(with_a_rate_nothing_is_spliced),
		ON_BOTH(pipes_are_few_where_descriptors_are),
		ON_BOTH(the_worker_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
