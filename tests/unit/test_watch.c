/* test_watch.c - descriptors of the program's own in the loop: one watch each, which any callback
 * may change, end or outlive. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_ways.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
	struct world world;
	int pipes[2][2]; /* read end, write end */
	int pair[2];
	void (*act)(int fd);
} t;

static int starts;
static int watch_at_start(crew_worker *w);
static const crew_service quiet = { .name = "quiet", .listen = "tcp://127.0.0.1:1" };
static const crew_service watcher = { .name = "watcher", .on_worker_start = watch_at_start };

static void open_with(void **state, const crew_service *service)
{
	memset(&t, 0, sizeof(t));
	told_anew();
	for (int i = 0; i < 2; i++)
		assert_int_equal(pipe2(t.pipes[i], O_NONBLOCK | O_CLOEXEC), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, t.pair), 0);
	assert_true(world_open(&t.world, service, engine_of(state), NULL));
}

static void open_it(void **state)
{
	open_with(state, &quiet);
}

static int clean_up(void **state)
{
	(void)state;
	world_clean_up(&t.world);
	for (int i = 0; i < 2; i++) {
		close(t.pipes[i][0]);
		close(t.pipes[i][1]);
		close(t.pair[i]);
	}
	return 0;
}

static void on_ready(int fd, unsigned events, void *arg)
{
	assert_int_equal(atomic_load(&t.world.worker->net.stats.slab->callback), CREW__CB_WATCH);
	assert_ptr_equal(crew__here.current, t.world.worker);
	tell("%s%s%s", (const char *)arg, events & CREW_READ ? ":r" : "",
		events & CREW_WRITE ? ":w" : "");
	assert_int_equal(events & ~(CREW_READ | CREW_WRITE), 0);
	if (t.act)
		t.act(fd);
}

static int watch(int fd, unsigned events, const char *name)
{
	return crew_watch(fd, events, on_ready, (void *)(uintptr_t)name);
}

static int watch_at_start(crew_worker *w)
{
	assert_non_null(w);
	starts++;
	return watch(t.pipes[0][0], CREW_READ, "p");
}

static void put(int fd)
{
	assert_int_equal(write(fd, "x", 1), 1);
}

static void take(int fd)
{
	char byte;
	assert_int_equal(read(fd, &byte, 1), 1);
}

/* ---- readiness ----------------------------------------------------------------------------- */

static void it_is_called_while_it_is_ready(void **state)
{
	open_it(state);
	assert_int_equal(watch(t.pipes[0][0], CREW_READ, "p"), 0);
	world_settle(&t.world);
	assert_string_equal(told(), "");
	put(t.pipes[0][1]);
	world_turn(&t.world, 0);
	world_turn(&t.world, 0);
	assert_string_equal(told(), "p:r p:r"); /* nobody has read it */
	take(t.pipes[0][0]);
	world_settle(&t.world);
	assert_string_equal(told(), "p:r p:r");
	put(t.pipes[0][1]);
	world_turn(&t.world, 0);
	assert_string_equal(told(), "p:r p:r p:r");
}

static void both_directions(void **state)
{
	open_it(state);
	assert_int_equal(watch(t.pair[0], CREW_READ | CREW_WRITE, "s"), 0);
	world_turn(&t.world, 0);
	assert_string_equal(told(), "s:w");
	put(t.pair[1]);
	world_turn(&t.world, 0);
	assert_string_equal(told(), "s:w s:r:w");
	assert_int_equal(watch(t.pair[0], CREW_READ, "t"), 0); /* changed, name and all */
	world_turn(&t.world, 0);
	assert_string_equal(told(), "s:w s:r:w t:r");
	take(t.pair[0]);
	world_settle(&t.world);
	assert_int_equal(watch(t.pair[0], CREW_WRITE, "u"), 0);
	world_turn(&t.world, 0);
	assert_string_equal(told(), "s:w s:r:w t:r u:w");
}

/* A hang-up is told as what was asked for: the read or write then says more. */
static void a_hang_up_is_told_as_readiness(void **state)
{
	open_it(state);
	assert_int_equal(watch(t.pipes[0][0], CREW_READ, "reader"), 0);
	close(t.pipes[0][1]);
	world_turn(&t.world, 0);
	assert_string_equal(told(), "reader:r");
	crew_watch(t.pipes[0][0], 0, NULL, NULL);
	while (write(t.pipes[1][1], "full", 4) > 0)
		continue;
	assert_int_equal(watch(t.pipes[1][1], CREW_WRITE, "writer"), 0);
	world_settle(&t.world);
	assert_string_equal(told(), "reader:r");
	close(t.pipes[1][0]);
	world_turn(&t.world, 0);
	assert_string_equal(told(), "reader:r writer:w");
	t.pipes[0][1] = t.pipes[1][0] = -1;
}

/* ---- ending -------------------------------------------------------------------------------- */

static void an_ended_watch_is_over(void **state)
{
	open_it(state);
	put(t.pipes[0][1]);
	assert_int_equal(watch(t.pipes[0][0], CREW_READ, "p"), 0);
	assert_int_equal(crew_watch(t.pipes[0][0], 0, NULL, NULL), 0);
	world_settle(&t.world);
	assert_string_equal(told(), "");
	assert_int_equal(crew_watch(t.pipes[0][0], 0, NULL, NULL), 0); /* there is none */
	assert_int_equal(watch(t.pipes[0][0], CREW_READ, "again"), 0);
	world_turn(&t.world, 0);
	assert_string_equal(told(), "again:r");
}

static void end_both(int fd)
{
	assert_true(fd == t.pipes[0][0] || fd == t.pipes[1][0]);
	for (int i = 0; i < 2; i++)
		assert_int_equal(crew_watch(t.pipes[i][0], 0, NULL, NULL), 0);
}

/* Two are ready in one turn, and the first that is called ends both. */
static void one_whose_event_was_fetched_can_be_ended(void **state)
{
	open_it(state);
	t.act = end_both;
	for (int i = 0; i < 2; i++) {
		put(t.pipes[i][1]);
		assert_int_equal(watch(t.pipes[i][0], CREW_READ, "p"), 0);
	}
	world_settle(&t.world);
	assert_string_equal(told(), "p:r");
}

/* The same, and the other's number is at once another pipe's. */
static void reuse_the_number(int fd)
{
	int other = fd == t.pipes[0][0] ? 1 : 0;
	assert_int_equal(crew_watch(t.pipes[other][0], 0, NULL, NULL), 0);
	int silent[2];
	assert_int_equal(pipe2(silent, O_NONBLOCK | O_CLOEXEC), 0);
	assert_int_equal(dup2(silent[0], t.pipes[other][0]), t.pipes[other][0]);
	close(silent[0]);
	assert_int_equal(watch(t.pipes[other][0], CREW_READ, "silent"), 0);
	close(t.pipes[other][1]);
	t.pipes[other][1] = silent[1];
	take(fd);
	t.act = NULL;
}

static void an_event_is_not_told_to_the_next_of_that_number(void **state)
{
	open_it(state);
	t.act = reuse_the_number;
	for (int i = 0; i < 2; i++) {
		put(t.pipes[i][1]);
		assert_int_equal(watch(t.pipes[i][0], CREW_READ, "p"), 0);
	}
	world_settle(&t.world);
	assert_string_equal(told(), "p:r");
	put(t.pipes[0][1]);
	put(t.pipes[1][1]);
	world_turn(&t.world, 0);
	assert_true(strstr(told(), "silent:r") && strstr(told(), "p:r"));
}

/* ---- what cannot be watched ---------------------------------------------------------------- */

static void wrong_ones_are_refused(void **state)
{
	char path[] = "/tmp/crew-watch-XXXXXX";
	open_it(state);
	int file = mkstemp(path);
	assert_true(file >= 0);
	unlink(path);
	assert_int_equal(watch(-1, CREW_READ, ""), -EBADF);
	assert_int_equal(watch(1000000, CREW_READ, ""), -EBADF);
	assert_int_equal(watch(file, CREW_READ, ""), -EPERM);
	assert_int_equal(watch(t.pair[0], 4, ""), -EINVAL);
	assert_int_equal(watch(t.pair[0], CREW_READ | 16, ""), -EINVAL);
	assert_int_equal(crew_watch(t.pair[0], CREW_READ, NULL, NULL), -EINVAL);
	world_settle(&t.world);
	assert_string_equal(told(), "");
	close(file);
}

static void without_a_worker_there_is_no_watch(void **state)
{
	open_it(state);
	world_close(&t.world);
	assert_int_equal(watch(t.pair[0], CREW_READ, ""), -EINVAL);
}

/* ---- the worker ---------------------------------------------------------------------------- */

static void one_begun_at_the_start_belongs_to_that_worker(void **state)
{
	starts = 0;
	open_with(state, &watcher);
	assert_int_equal(starts, 1);
	put(t.pipes[0][1]);
	world_turn(&t.world, 0);
	assert_string_equal(told(), "p:r");
	world_close(&t.world); /* with it the watch: or its memory is lost */
}

static void send_word(int fd)
{
	take(fd);
	assert_true(crew_send(world_conn(&t.world, 0), CREW_BYTES("word")) > 0);
}

static void what_a_watch_sends_leaves_in_its_turn(void **state)
{
	char room[16];
	open_it(state);
	int peer = world_connect(&t.world);
	world_settle(&t.world);
	t.act = send_word;
	assert_int_equal(watch(t.pipes[0][0], CREW_READ, "p"), 0);
	put(t.pipes[0][1]);
	world_turn(&t.world, 0);
	assert_int_equal(peer_hears(peer, room, sizeof(room)), 4);
	close(peer);
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		ON_BOTH(it_is_called_while_it_is_ready),
		ON_BOTH(both_directions),
		ON_BOTH(a_hang_up_is_told_as_readiness),
		ON_BOTH(an_ended_watch_is_over),
		ON_BOTH(one_whose_event_was_fetched_can_be_ended),
		ON_BOTH(an_event_is_not_told_to_the_next_of_that_number),
		ON_BOTH(wrong_ones_are_refused),
		ON_BOTH(without_a_worker_there_is_no_watch),
		ON_BOTH(one_begun_at_the_start_belongs_to_that_worker),
		ON_BOTH(what_a_watch_sends_leaves_in_its_turn),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
