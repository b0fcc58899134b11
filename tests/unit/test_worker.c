/* test_worker.c - the life of a worker: how it starts or fails to, what it accepts from, and the
 * windows in which it stops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_ways.h"

#include "base/clock.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	ROOM = 1 << 20,
	MUCH = 600 * 1000 /* more than the world's sockets take */
};

static struct {
	struct world world;
	struct sockaddr_in address;
	int peers[4];
	unsigned peer_count;
	int start_result;
	crew_worker *recycled;
	char *room;
} t;

/* ---- the program --------------------------------------------------------------------------- */

static int on_start(crew_worker *w)
{
	tell("start:%u:%u", crew_worker_id(w), crew_worker_generation(w));
	return t.start_result;
}

static void on_stop(crew_worker *w)
{
	assert_int_equal(crew_worker_connections(w), 0);
	tell("stop");
}

static void on_reload(crew_worker *w)
{
	assert_non_null(w);
	tell("reload");
}

/* "/later" is not answered at once. */
static void on_request(crew_conn *c, const crew_request *request)
{
	tell("%.*s", (int)request->path.len, request->path.data);
	if (request->path.len == 1)
		assert_true(crew_reply(c, &(crew_response){ .body = CREW_BYTES("now") }) > 0);
}

#define LIFE .on_worker_start = on_start, .on_worker_stop = on_stop, .on_reload = on_reload
static const crew_service raw = {
	.name = "raw",
	.listen = "tcp://127.0.0.1:1",
	.on_open = tell_open,
	.on_message = tell_message,
	.on_error = tell_error,
	.on_close = tell_close,
	LIFE,
};
static const crew_service web = {
	.name = "web",
	.listen = "http://127.0.0.1:1",
	.on_request = on_request,
	.on_close = tell_close,
	LIFE,
};
static const crew_service silent = { .name = "silent", .listen = "tcp://127.0.0.1:1" };

/* ---- ways ---------------------------------------------------------------------------------- */

static void short_windows(struct crew__service_settings *s)
{
	s->stop_timeout_ms = 60;
}

static void begin(void)
{
	memset(&t, 0, sizeof(t));
	told_anew();
}

static void open_it(void **state, const crew_service *service)
{
	begin();
	t.room = malloc(ROOM);
	assert_true(world_open(&t.world, service, engine_of(state), short_windows));
	told_anew();
}

static int clean_up(void **state)
{
	(void)state;
	for (unsigned i = 0; i < t.peer_count; i++)
		close(t.peers[i]);
	world_clean_up(&t.world);
	free(t.room);
	return 0;
}

static int join(void)
{
	int fd = world_connect(&t.world);
	assert_true(fd >= 0);
	t.peers[t.peer_count++] = fd;
	world_settle(&t.world);
	return fd;
}

static int listen_somewhere(void)
{
	socklen_t size = sizeof(t.address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	t.address = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	assert_int_equal(bind(fd, (struct sockaddr *)&t.address, size), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&t.address, &size), 0);
	return fd;
}

/* To the address last listened on. */
static int knock(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	t.peers[t.peer_count++] = fd;
	return connect(fd, (struct sockaddr *)&t.address, sizeof(t.address)) == 0 ? fd : -1;
}

static bool is_open(int fd)
{
	int value;
	socklen_t size = sizeof(value);
	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &size) == 0;
}

static enum crew__worker_state state_now(void)
{
	return (enum crew__worker_state)t.world.worker->net.stats.slab->state;
}

static void note_done(crew_worker *w, void *arg)
{
	assert_ptr_equal(w, t.world.worker);
	assert_ptr_equal(arg, &t);
	assert_int_equal(state_now(), CREW__EXITED);
	tell("done");
	t.world.done = true;
}

static void stop(bool graceful, uint64_t window_ms)
{
	crew__worker_stop(t.world.worker, &(struct crew__worker_stop){
						  .graceful = graceful,
						  .window_ms = window_ms,
						  .close_code = 1001,
						  .done = note_done,
						  .arg = &t,
					  });
}

static void send_much(void)
{
	static char much[MUCH];
	assert_true(
		crew_send_static(world_conn(&t.world, 0), (crew_bytes){ much, sizeof(much) }) > 0);
	world_settle(&t.world);
	assert_int_equal(counter(&t.world, "messages_queued"), 1);
}

static uint64_t has(const char *name)
{
	return counter(&t.world, name);
}

static uint64_t ms_since(uint64_t began_ns)
{
	return (crew__clock_ns() - began_ns) / CREW__NS_PER_MS;
}

/* ---- the start ----------------------------------------------------------------------------- */

/* A worker with a listening socket, made but not started. */
static int make_unstarted(void **state, int *ret_fd)
{
	static const struct crew__service_settings settings = {
		.service = &raw,
		.workers = 1,
		.max_connections = 8,
		.max_message = 1 << 20,
		.max_send_buffer = 1 << 20,
	};
	const struct crew__segment_plan plan = {
		.service = "raw", .listen = "test", .life = 3, .generation = 5, .slots = 8
	};
	begin();
	t.world.settings = settings;
	t.world.segment.fd = -1;
	assert_int_equal(crew__loop_new(engine_of(state), &t.world.loop), 0);
	assert_int_equal(crew__segment_new(&plan, &t.world.segment), 0);
	*ret_fd = listen_somewhere();
	struct crew__worker_plan worker = {
		.loop = t.world.loop,
		.settings = &t.world.settings,
		.id = 4,
		.generation = 5,
		.listen_fds = ret_fd,
		.listen_count = 1,
	};
	assert_int_equal(crew__segment_stats(&t.world.segment, &worker.stats), 0);
	return crew__worker_new(&worker, &t.world.worker);
}

static void nobody_is_accepted_before_the_start(void **state)
{
	int fd;
	assert_int_equal(make_unstarted(state, &fd), 0);
	assert_int_equal(state_now(), CREW__STARTING);
	assert_true(knock() >= 0);
	world_settle(&t.world);
	assert_string_equal(told(), "");
	assert_int_equal(crew__worker_start(t.world.worker), 0);
	assert_int_equal(state_now(), CREW__READY);
	world_until(&t.world, has("connections") == 1);
	assert_string_equal(told(), "start:4:5 open");
}

static void a_start_that_fails_accepts_nobody(void **state)
{
	int fd;
	assert_int_equal(make_unstarted(state, &fd), 0);
	t.start_result = -ENOLINK;
	assert_true(knock() >= 0);
	assert_int_equal(crew__worker_start(t.world.worker), -ENOLINK);
	assert_int_equal(state_now(), CREW__STARTING);
	world_settle(&t.world);
	assert_int_equal(has("connections_total"), 0);
	assert_string_equal(told(), "start:4:5");
	assert_true(is_open(fd));
	world_close(&t.world);
	assert_false(is_open(fd));
	assert_string_equal(told(), "start:4:5"); /* what never ran is not stopped */
}

static void a_start_that_says_more_than_nothing_is_good(void **state)
{
	int fd;
	assert_int_equal(make_unstarted(state, &fd), 0);
	t.start_result = 1;
	assert_int_equal(crew__worker_start(t.world.worker), 0);
	assert_int_equal(state_now(), CREW__READY);
}

/* ---- what it accepts from ------------------------------------------------------------------ */

static void a_siblings_socket_is_taken_over_and_given_back(void **state)
{
	open_it(state, &raw);
	int fd = listen_somewhere();
	assert_int_equal(crew__worker_adopt(t.world.worker, fd), 0);
	assert_true(knock() >= 0);
	world_until(&t.world, has("connections") == 1);
	assert_int_equal(t.world.worker->listener_count, 1);

	crew__worker_disown(t.world.worker, fd + 1000); /* none of ours */
	assert_true(is_open(fd));
	crew__worker_disown(t.world.worker, fd);
	assert_false(is_open(fd));
	assert_int_equal(knock(), -1);
	world_settle(&t.world);
	assert_int_equal(has("connections"), 1); /* who is in stays in */

	for (unsigned i = 0; i < 5; i++) {
		fd = listen_somewhere();
		assert_int_equal(crew__worker_adopt(t.world.worker, fd), 0);
		crew__worker_disown(t.world.worker, fd);
		assert_false(is_open(fd));
	}
	assert_int_equal(
		t.world.worker->listener_count, 1); /* memory of one that ended serves again */
}

static void who_stops_adopts_nothing(void **state)
{
	open_it(state, &raw);
	join();
	stop(true, 60000);
	int fd = listen_somewhere();
	assert_int_equal(crew__worker_adopt(t.world.worker, fd), 0);
	assert_false(is_open(fd));
	assert_int_equal(t.world.worker->listener_count, 0);
}

static void what_cannot_be_watched_is_not_adopted(void **state)
{
	char path[] = "/tmp/crew-worker-XXXXXX";
	open_it(state, &raw);
	int before = dup(STDIN_FILENO);
	close(before);
	int fd = mkstemp(path);
	unlink(path);
	assert_int_equal(crew__worker_adopt(t.world.worker, fd), -EPERM); /* a plain file */
	int after = dup(STDIN_FILENO);
	close(after);
	assert_int_equal(after, before); /* nor is it kept open */
}

/* ---- the stop ------------------------------------------------------------------------------ */

static void with_nobody_there_it_stops_at_once_but_from_the_loop(void **state)
{
	open_it(state, &raw);
	int fd = listen_somewhere();
	assert_int_equal(crew__worker_adopt(t.world.worker, fd), 0);
	stop(false, 60000);
	assert_false(is_open(fd)); /* a newcomer is refused from now on */
	assert_int_equal(state_now(), CREW__DRAINING);
	assert_string_equal(told(), "");
	world_until(&t.world, t.world.done);
	assert_string_equal(told(), "stop done");
	stop(false, 0); /* there is nothing more to stop */
	world_settle(&t.world);
	assert_string_equal(told(), "stop done");
}

static void queues_leave_in_the_window(void **state)
{
	open_it(state, &raw);
	int fd = join();
	send_much();
	stop(false, 60000);
	world_pass(&t.world, 50);
	assert_false(t.world.done);
	assert_int_equal(peer_drinks(&t.world, fd), MUCH);
	assert_true(peer_sees_end(fd));
	close(fd);
	t.peer_count = 0;
	world_until(&t.world, t.world.done);
	assert_string_equal(told(), "open close:drain stop done");
	assert_int_equal(has("messages_sent"), 1);
	assert_int_equal(has("close_drain"), 1);
	assert_int_equal(has("send_fail"), 0);
}

static void what_the_window_leaves_is_lost_and_told(void **state)
{
	open_it(state, &raw);
	int fd = join();
	send_much();
	uint64_t began = crew__clock_ns();
	stop(false, 100);
	world_until(&t.world, t.world.done);
	assert_in_range(ms_since(began), 100, 5000);
	assert_string_equal(told(), "open error:aborted:1 close:drain stop done");
	assert_int_equal(has("fail_aborted"), 1);
	assert_int_equal(has("messages_queued"), 0);
	peer_drinks(&t.world, fd);
}

static void gracefully_it_waits_for_who_is_there(void **state)
{
	open_it(state, &raw);
	int fd = join();
	stop(true, 60000);
	assert_int_equal(state_now(), CREW__DRAINING);
	world_pass(&t.world, 100); /* longer than stop_timeout_ms */
	peer_says(fd, CREW_BYTES("still here"));
	world_settle(&t.world);
	assert_string_equal(told(), "open message:still here");
	close(fd);
	t.peer_count = 0;
	world_until(&t.world, t.world.done);
	assert_string_equal(told(), "open message:still here close:peer stop done");
}

static void grace_ends_too(void **state)
{
	open_it(state, &raw);
	join();
	send_much();
	uint64_t began = crew__clock_ns();
	stop(true, 80);
	world_until(&t.world, has("messages_queued") == 0);
	assert_in_range(ms_since(began), 80, 5000);
	world_until(&t.world, t.world.done);
	assert_string_equal(told(), "open error:aborted:1 close:drain stop done");
}

static void a_plain_stop_ends_a_graceful_one(void **state)
{
	open_it(state, &raw);
	int fd = join();
	stop(true, 60000);
	world_settle(&t.world);
	stop(false, 60000);
	world_until(&t.world, peer_sees_end(fd));
	close(fd);
	t.peer_count = 0;
	world_until(&t.world, t.world.done);
	assert_string_equal(told(), "open close:drain stop done");
}

static void a_graceful_stop_does_not_slow_a_plain_one(void **state)
{
	open_it(state, &raw);
	join();
	send_much();
	stop(false, 80);
	stop(true, 60000);
	world_until(&t.world, t.world.done);
	assert_string_equal(told(), "open error:aborted:1 close:drain stop done");
}

static void without_callbacks_it_stops_as_well(void **state)
{
	open_it(state, &silent);
	crew__worker_reloading(t.world.worker);
	int fd = join();
	stop(false, 1000);
	world_until(&t.world, peer_sees_end(fd));
	world_until(&t.world, t.world.done);
	assert_string_equal(told(), "done");
}

/* ---- the stop of HTTP ---------------------------------------------------------------------- */

static void ask(int fd, const char *path)
{
	char text[80];
	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path);
	peer_says(fd, crew_str(text));
	world_settle(&t.world);
}

static void an_answer_in_hand_is_waited_for(void **state)
{
	open_it(state, &web);
	int idle = join(), busy = join();
	ask(idle, "/");
	ask(busy, "/later");
	assert_true(peer_hears_all(&t.world, idle, t.room, ROOM) > 0);
	stop(true, 60000); /* who only keeps a connection alive is not waited for */
	world_until(&t.world, peer_sees_end(idle));
	world_pass(&t.world, 100);
	assert_false(t.world.done);
	crew_conn *c = world_conn(&t.world, 1);
	assert_true(crew_reply(c, &(crew_response){ .body = CREW_BYTES("late") }) > 0);
	peer_hears_all(&t.world, busy, t.room, ROOM);
	assert_non_null(strstr(t.room, "\r\nConnection: close\r\n"));
	assert_non_null(strstr(t.room, "\r\n\r\nlate"));
	assert_true(peer_sees_end(busy));
	world_until(&t.world, t.world.done);
	assert_int_equal(has("close_drain"), 2);
	assert_int_equal(has("send_fail"), 0);
}

static void an_answer_that_never_comes_is_not(void **state)
{
	open_it(state, &web);
	ask(join(), "/later");
	uint64_t began = crew__clock_ns();
	stop(false, 100);
	world_until(&t.world, t.world.done);
	assert_in_range(ms_since(began), 100, 5000);
	assert_string_equal(told(), "/later close:drain stop done");
}

/* ---- reload and recycling ------------------------------------------------------------------ */

static void a_reload_is_told(void **state)
{
	open_it(state, &raw);
	crew__worker_reloading(t.world.worker);
	assert_string_equal(told(), "reload");
	assert_int_equal(state_now(), CREW__READY);
}

static void note_recycle(void *arg, crew_worker *w)
{
	assert_ptr_equal(arg, &t);
	t.recycled = w;
}

static void recycling_asks_the_process_around(void **state)
{
	open_it(state, &raw);
	crew_worker_recycle(t.world.worker); /* nobody to ask: nothing */
	assert_null(t.recycled);
	t.world.worker->plan.recycle = note_recycle;
	t.world.worker->plan.arg = &t;
	crew_worker_recycle(t.world.worker);
	assert_ptr_equal(t.recycled, t.world.worker);
	assert_int_equal(state_now(), CREW__READY); /* it is to be told to stop */
	t.recycled = NULL;
	crew_worker_recycle(NULL);
	assert_null(t.recycled);
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		ON_BOTH(nobody_is_accepted_before_the_start),
		ON_BOTH(a_start_that_fails_accepts_nobody),
		ON_BOTH(a_start_that_says_more_than_nothing_is_good),
		ON_BOTH(a_siblings_socket_is_taken_over_and_given_back),
		ON_BOTH(who_stops_adopts_nothing),
		ON_BOTH(what_cannot_be_watched_is_not_adopted),
		ON_BOTH(with_nobody_there_it_stops_at_once_but_from_the_loop),
		ON_BOTH(queues_leave_in_the_window),
		ON_BOTH(what_the_window_leaves_is_lost_and_told),
		ON_BOTH(gracefully_it_waits_for_who_is_there),
		ON_BOTH(grace_ends_too),
		ON_BOTH(a_plain_stop_ends_a_graceful_one),
		ON_BOTH(a_graceful_stop_does_not_slow_a_plain_one),
		ON_BOTH(without_callbacks_it_stops_as_well),
		ON_BOTH(an_answer_in_hand_is_waited_for),
		ON_BOTH(an_answer_that_never_comes_is_not),
		ON_BOTH(a_reload_is_told),
		ON_BOTH(recycling_asks_the_process_around),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
