/* test_review_stop.c - several workers in one loop, as with --single, and how a worker ends: what
 * is one's is not another's, and nothing comes after the last call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service_world.h"

#include "loop/parts.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
	struct world world;
	struct world other;
	uint64_t ids[4];
	unsigned opens, closes, calls;
	int watched;
	crew_end_reason end;
} play;

static void note_open(crew_conn *c)
{
	if (play.opens < crew__lengthof(play.ids))
		play.ids[play.opens] = crew_id(c);
	play.opens++;
}

static void note_close(crew_conn *c)
{
	play.closes++;
	play.end = crew_close_reason(c);
}

static void do_nothing(crew_worker *w, void *arg)
{
	(void)w;
	(void)arg;
	play.calls++;
}

static void pass_ms(struct world *world, uint64_t ms)
{
	uint64_t until = crew__loop_ns(world->loop) + ms * 1000000;
	while (crew__loop_ns(world->loop) < until)
		world_turn(world, 5);
}

/* Another worker in the loop of `world`, as with --single. */
static void open_beside(struct world *other, struct world *world, const crew_service *service)
{
	const struct crew__segment_plan plan = {
		.service = service->name,
		.listen = "test",
		.life = 8,
		.generation = 1,
		.slots = 64,
	};
	*other = *world;
	other->settings.service = service;
	struct crew__worker_plan worker = {
		.loop = world->loop,
		.settings = &other->settings,
		.generation = 1,
	};
	assert_int_equal(crew__segment_new(&plan, &other->segment), 0);
	assert_int_equal(crew__segment_stats(&other->segment, &worker.stats), 0);
	assert_int_equal(crew__worker_new(&worker, &other->worker), 0);
	assert_int_equal(crew__worker_start(other->worker), 0);
}

static void close_beside(struct world *other)
{
	crew__worker_free(other->worker);
	crew__segment_fini(&other->segment);
}

static const crew_service raw = {
	.name = "raw",
	.listen = "tcp://127.0.0.1:1",
	.on_open = note_open,
	.on_close = note_close,
};
static const crew_service other_raw = {
	.name = "other",
	.listen = "tcp://127.0.0.1:1",
	.on_open = note_open,
};

/* ---- several workers in one loop ----------------------------------------------------------- */

static void a_timer_of_one_service_is_not_stopped_by_the_id_of_another(void **state)
{
	(void)state;
	memset(&play, 0, sizeof(play));
	assert_true(world_open(&play.world, &raw, CREW__ENGINE_EPOLL, NULL));
	open_beside(&play.other, &play.world, &other_raw);
	int64_t first = crew_timer_after(play.world.worker, 1000, do_nothing, NULL);
	int64_t second = crew_timer_after(play.other.worker, 1000, do_nothing, NULL);
	assert_true(first > 0 && second > 0 && first != second);
	assert_int_equal(crew_timer_stop(second), 0);
	assert_int_equal(crew_timer_stop(second), -ENOENT);
	assert_int_equal(crew_timer_stop(first), 0);
	close_beside(&play.other);
	world_close(&play.world);
}

static void send_to_first(crew_conn *c)
{
	note_close(c);
	assert_true(crew_send(crew_find(play.ids[0]), CREW_BYTES("late")) > 0);
}
static const crew_service tells_another = {
	.name = "teller",
	.listen = "tcp://127.0.0.1:1",
	.on_open = note_open,
	.on_close = send_to_first,
};

static void what_a_turns_end_sends_to_another_service_leaves(void **state)
{
	(void)state;
	memset(&play, 0, sizeof(play));
	assert_true(world_open(&play.world, &raw, CREW__ENGINE_EPOLL, NULL));
	open_beside(&play.other, &play.world, &tells_another);
	int fd = world_connect(&play.world);
	int teller = world_connect(&play.other);
	world_settle(&play.world);
	assert_int_equal(crew_abort(crew_find(play.ids[1])), 0);
	world_turn(&play.world, 0);
	assert_int_equal(play.closes, 1);
	assert_int_equal(play.world.worker->net.stats.slab->messages_queued, 1);
	assert_true(play.world.loop->again); /* or the message waits for the next event, if any */
	world_turn(&play.world, 0);
	assert_int_equal(play.world.worker->net.stats.slab->messages_queued, 0);
	close(teller);
	close(fd);
	close_beside(&play.other);
	world_close(&play.world);
}

/* ---- the end of a worker ------------------------------------------------------------------- */

static void note_done(crew_worker *w, void *arg)
{
	(void)w;
	((struct world *)arg)->done = true;
}

static void stop(struct world *world, bool graceful, uint64_t window_ms)
{
	crew__worker_stop(world->worker, &(struct crew__worker_stop){ .graceful = graceful,
						 .window_ms = window_ms,
						 .close_code = 1001,
						 .done = note_done,
						 .arg = world });
}

static void a_worker_can_be_freed_while_it_stops(void **state)
{
	(void)state;
	memset(&play, 0, sizeof(play));
	assert_true(world_open(&play.world, &raw, CREW__ENGINE_EPOLL, NULL));
	int fd = world_connect(&play.world);
	world_settle(&play.world);
	stop(&play.world, false, 1000);
	world_close(&play.world); /* a timer left behind is written to when the loop is freed */
	close(fd);
	assert_int_equal(play.closes, 1);
}

static void on_ready(int fd, unsigned events, void *arg)
{
	(void)fd;
	(void)events;
	(void)arg;
	play.calls++;
}

static int watch_pipe(crew_worker *w)
{
	(void)w;
	return crew_watch(play.watched, CREW_READ, on_ready, NULL);
}
static const crew_service with_watch = { .name = "watcher", .on_worker_start = watch_pipe };

static void nothing_is_called_after_on_worker_stop(void **state)
{
	(void)state;
	int pipe_fds[2];
	memset(&play, 0, sizeof(play));
	assert_int_equal(pipe(pipe_fds), 0);
	play.watched = pipe_fds[0];
	assert_true(world_open(&play.world, &with_watch, CREW__ENGINE_EPOLL, NULL));
	crew_timer_every(play.world.worker, 5, do_nothing, NULL);
	stop(&play.world, false, 1000);
	world_settle(&play.world);
	assert_true(play.world.done);
	play.calls = 0;
	assert_int_equal(write(pipe_fds[1], "x", 1), 1);
	pass_ms(&play.world, 30); /* the loop goes on: there are other services */
	assert_int_equal(play.calls, 0);
	assert_int_equal(play.world.worker->net.stats.slab->timers, 0);
	world_close(&play.world);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void a_second_stop_does_not_make_the_window_longer(void **state)
{
	(void)state;
	memset(&play, 0, sizeof(play));
	assert_true(world_open(&play.world, &raw, CREW__ENGINE_EPOLL, NULL));
	int fd = world_connect(&play.world);
	world_settle(&play.world);
	static char much[600000];
	crew_send(crew_find(play.ids[0]), (crew_bytes){ much, sizeof(much) });
	stop(&play.world, false, 40);
	stop(&play.world, false, 60000);
	pass_ms(&play.world, 80);
	assert_true(play.world.done);
	assert_int_equal(play.end, CREW_END_DRAIN);
	world_close(&play.world);
	close(fd);
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_timer_of_one_service_is_not_stopped_by_the_id_of_another),
		cmocka_unit_test(what_a_turns_end_sends_to_another_service_leaves),
		cmocka_unit_test(nothing_is_called_after_on_worker_stop),
		cmocka_unit_test(a_second_stop_does_not_make_the_window_longer),
		cmocka_unit_test(a_worker_can_be_freed_while_it_stops),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
