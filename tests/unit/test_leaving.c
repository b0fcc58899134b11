/* test_leaving.c - how a worker leaves: what each connection hears, when, and that the end comes.
 */
#include "net_ways.h"

#include "base/clock.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	PEERS = 400,
	ROOM = 4096,
	SPREAD_OVER = 24
};

static struct {
	struct world world;
	int peers[PEERS];
	unsigned peer_count;
	bool stays; /* on_farewell closes nothing */
	char room[ROOM];
} t;

/* ---- the program --------------------------------------------------------------------------- */

static void on_farewell(crew_conn *c)
{
	tell("farewell");
	crew_send(c, CREW_BYTES("goodbye\n"));
	if (!t.stays)
		crew_close(c);
}

static int on_start(crew_worker *w)
{
	(void)w;
	return 0;
}

static void on_worker_stop(crew_worker *w)
{
	(void)w;
	tell("stop");
}

static void on_request(crew_conn *c, const crew_request *request)
{
	if (request->target.len == 1)
		crew_reply(c, &(crew_response){ .body = CREW_BYTES("now") });
}

static const crew_service plain = { .name = "plain",
	.listen = "tcp://127.0.0.1:1",
	.on_worker_start = on_start,
	.on_worker_stop = on_worker_stop,
	.on_message = tell_message,
	.on_close = tell_close };
static const crew_service polite = { .name = "polite",
	.listen = "tcp://127.0.0.1:1",
	.on_close = tell_close,
	.on_worker_stop = on_worker_stop,
	.on_farewell = on_farewell };
static const crew_service web = { .name = "web",
	.listen = "http://127.0.0.1:1",
	.on_request = on_request,
	.on_worker_stop = on_worker_stop };
static const crew_service chat = { .name = "chat", .listen = "ws://127.0.0.1:1" };

/* ---- ways ---------------------------------------------------------------------------------- */

static void many(struct crew__service_settings *s)
{
	s->max_connections = PEERS;
}

static void open_it(void **state, const crew_service *service)
{
	memset(&t, 0, sizeof(t));
	told_anew();
	assert_true(world_open(&t.world, service, engine_of(state), many));
	told_anew();
}

static int clean_up(void **state)
{
	(void)state;
	for (unsigned i = 0; i < t.peer_count; i++)
		close(t.peers[i]);
	world_clean_up(&t.world);
	return 0;
}

static int join(void)
{
	int fd = world_connect(&t.world);
	assert_true(fd >= 0);
	t.peers[t.peer_count++] = fd;
	return fd;
}

static int join_chat(void)
{
	int fd = join();
	peer_says(fd, crew_str("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
			       "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
			       "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n\r\n"));
	peer_hears_all(&t.world, fd, t.room, ROOM);
	assert_memory_equal(t.room, "HTTP/1.1 101", 12);
	return fd;
}

static void note_done(crew_worker *w, void *arg)
{
	(void)w;
	(void)arg;
	tell("done");
	t.world.done = true;
}

static void stop(bool graceful, uint64_t window_ms, int code)
{
	crew__worker_stop(t.world.worker, &(struct crew__worker_stop){ .graceful = graceful,
						  .window_ms = window_ms,
						  .close_code = code,
						  .done = note_done });
}

static uint64_t ms_since(uint64_t began_ns)
{
	return (crew__clock_ns() - began_ns) / CREW__NS_PER_MS;
}

static uint64_t has(const char *name)
{
	return counter(&t.world, name);
}

/* ---- WebSockets ---------------------------------------------------------------------------- */

/* A close frame with its hint; answered, so that the connection can end. */
static bool hears_farewell(int fd)
{
	static const char begin[] = "reload; retry-after-ms=";
	if (peer_hears(fd, t.room, ROOM) <= 0)
		return false;
	assert_int_equal((unsigned char)t.room[0], 0x88);
	assert_memory_equal(t.room + 2, "\x03\xf4", 2);
	assert_memory_equal(t.room + 4, begin, sizeof(begin) - 1);
	assert_in_range(strtoul(t.room + 4 + sizeof(begin) - 1, NULL, 10), 100, 999);
	peer_says(fd, (crew_bytes){ "\x88\x82\0\0\0\0\x03\xf4", 8 });
	return true;
}

static void a_reload_sends_websockets_away_one_by_one(void **state)
{
	open_it(state, &chat);
	for (int i = 0; i < SPREAD_OVER; i++)
		join_chat();
	uint64_t began = crew__clock_ns(), first = 0, last = 0;
	unsigned gone = 0, moments = 0;
	bool was_told[SPREAD_OVER] = { false };
	stop(false, 1600, 1012);
	while (gone < SPREAD_OVER) {
		unsigned before = gone;
		for (int i = 0; i < SPREAD_OVER; i++)
			if (!was_told[i] && hears_farewell(t.peers[i])) {
				was_told[i] = true;
				gone++;
			}
		if (gone > before) {
			last = ms_since(began);
			first = moments++ == 0 ? last : first;
		}
		assert_true(ms_since(began) < 20000);
		world_turn(&t.world, 5);
	}
	/* However slow the machine, not all at once. */
	assert_true(moments > 3);
	assert_true(last - first > 200);
	world_until(&t.world, t.world.done);
	assert_int_equal(has("close_drain"), SPREAD_OVER);
	assert_int_equal(has("send_fail"), 0);
}

static void a_stop_sends_them_away_at_once_and_without_a_hint(void **state)
{
	open_it(state, &chat);
	int fd = join_chat();
	stop(false, 60000, 1001);
	peer_hears_all(&t.world, fd, t.room, ROOM);
	assert_memory_equal(t.room, "\x88\x02\x03\xe9", 4);
	peer_says(fd, (crew_bytes){ "\x88\x82\0\0\0\0\x03\xe9", 8 });
	world_until(&t.world, t.world.done);
}

static void a_graceful_stop_lets_them_stay(void **state)
{
	open_it(state, &chat);
	int fd = join_chat();
	stop(true, 400, 1001);
	world_pass(&t.world, 50);
	assert_true(peer_hears(fd, t.room, ROOM) <= 0);
	world_until(&t.world, peer_hears(fd, t.room, ROOM) > 0);
	assert_memory_equal(t.room, "\x88\x02\x03\xe9", 4);
	world_until(&t.world, t.world.done);
}

/* Who asked before the reload is let in, and told to come back like the others. */
static void a_handshake_under_way_is_not_refused_by_a_reload(void **state)
{
	open_it(state, &chat);
	int fd = join();
	world_settle(&t.world);
	stop(true, 800, 1012);
	if (t.world.worker->net.stats.slab->connections == 0)
		return;
	peer_says(fd, crew_str("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
			       "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
			       "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n\r\n"));
	world_until(&t.world, peer_hears(fd, t.room, ROOM) > 0);
	assert_memory_equal(t.room, "HTTP/1.1 101", 12);
	world_until(&t.world, hears_farewell(fd));
	world_until(&t.world, t.world.done);
}

static void a_stop_makes_a_reload_hurry(void **state)
{
	open_it(state, &chat);
	for (int i = 0; i < 6; i++)
		join_chat();
	stop(true, 60000, 1012);
	stop(false, 60000, 1001);
	for (int i = 0; i < 6; i++) {
		world_until(&t.world, peer_hears(t.peers[i], t.room, ROOM) > 0);
		peer_says(t.peers[i], (crew_bytes){ "\x88\x82\0\0\0\0\x03\xe9", 8 });
	}
	world_until(&t.world, t.world.done);
}

/* ---- HTTP ---------------------------------------------------------------------------------- */

static void ask(int fd, const char *path)
{
	char text[80];
	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path);
	peer_says(fd, crew_str(text));
}

static void the_answer_in_hand_says_that_it_is_the_last(void **state)
{
	open_it(state, &web);
	int fd = join();
	ask(fd, "/later");
	world_settle(&t.world);
	stop(true, 60000, 1012);
	assert_true(crew_reply(world_conn(&t.world, 0),
			    &(crew_response){ .body = CREW_BYTES("late") }) > 0);
	peer_hears_all(&t.world, fd, t.room, ROOM);
	assert_non_null(strstr(t.room, "\r\nConnection: close\r\n"));
	world_until(&t.world, t.world.done);
	assert_true(peer_sees_end(fd));
}

/* It lies in the kernel when the order comes. */
static void a_request_that_has_come_is_answered(void **state)
{
	open_it(state, &web);
	int fd = join();
	ask(fd, "/");
	peer_hears_all(&t.world, fd, t.room, ROOM);
	assert_null(strstr(t.room, "\r\nConnection: close\r\n"));
	ask(fd, "/");
	stop(false, 60000, 1001);
	peer_hears_all(&t.world, fd, t.room, ROOM);
	assert_memory_equal(t.room, "HTTP/1.1 200", 12);
	assert_non_null(strstr(t.room, "\r\nConnection: close\r\n"));
	world_until(&t.world, t.world.done);
}

static void half_a_request_is_waited_for(void **state)
{
	open_it(state, &web);
	int fd = join();
	peer_says(fd, CREW_BYTES("GET / HTTP/1.1\r\nHo"));
	world_settle(&t.world);
	stop(false, 60000, 1001);
	world_pass(&t.world, 30);
	assert_false(t.world.done);
	peer_says(fd, CREW_BYTES("st: a\r\n\r\n"));
	peer_hears_all(&t.world, fd, t.room, ROOM);
	assert_memory_equal(t.room, "HTTP/1.1 200", 12);
	assert_non_null(strstr(t.room, "\r\nConnection: close\r\n"));
	world_until(&t.world, t.world.done);
}

/* As if it had come, and said its last, so many hundredths earlier. */
static void age(uint32_t hundredths)
{
	for (uint32_t slot = 0; slot < crew__net_high(&t.world.worker->net); slot++) {
		crew_conn *c = t.world.worker->net.slots[slot];
		if (!c)
			continue;
		c->record->last_in -= hundredths;
		c->record->last_out -= hundredths;
	}
}

static void who_was_busy_may_ask_once_more(void **state)
{
	open_it(state, &web);
	for (int i = 0; i < SPREAD_OVER; i++)
		join();
	world_settle(&t.world);
	stop(false, 2000, 1012);
	/* Most of their moments pass; a second may have passed as well on a slow machine, then they
	 * are no longer busy. */
	uint64_t began = crew__clock_ns();
	while (ms_since(began) < 700)
		world_turn(&t.world, 5);
	bool in_time = ms_since(began) < 950;
	for (int i = 0; i < SPREAD_OVER && in_time; i++) {
		peer_says(t.peers[i], CREW_BYTES("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
		peer_hears_all(&t.world, t.peers[i], t.room, ROOM);
		assert_memory_equal(t.room, "HTTP/1.1 200", 12);
		assert_non_null(strstr(t.room, "\r\nConnection: close\r\n"));
	}
	world_until(&t.world, t.world.done);
}

static void idle_ones_are_closed_one_by_one(void **state)
{
	open_it(state, &web);
	for (int i = 0; i < SPREAD_OVER; i++)
		join();
	world_settle(&t.world);
	age(1000);
	stop(false, 800, 1012);
	world_settle(&t.world);
	assert_true(has("connections") > 0);
	world_until(&t.world, t.world.done);
	for (int i = 0; i < SPREAD_OVER; i++)
		assert_true(peer_sees_end(t.peers[i]));
	assert_int_equal(has("close_drain"), SPREAD_OVER);
}

/* ---- other protocols ----------------------------------------------------------------------- */

static void a_farewell_is_said_once(void **state)
{
	open_it(state, &polite);
	int fd = join();
	world_settle(&t.world);
	stop(false, 60000, 1001);
	world_until(&t.world, peer_hears(fd, t.room, ROOM) > 0);
	assert_string_equal(t.room, "goodbye\n");
	world_until(&t.world, peer_sees_end(fd));
	close(t.peers[--t.peer_count]);
	world_until(&t.world, t.world.done);
	assert_string_equal(told(), "farewell close:app stop done");
}

static void who_stays_after_it_is_closed_before_the_end(void **state)
{
	for (int graceful = 0; graceful < 2; graceful++) {
		open_it(state, &polite);
		t.stays = true;
		int fd = join();
		world_settle(&t.world);
		uint64_t began = crew__clock_ns();
		stop(graceful, 400, graceful ? 1001 : 1012);
		world_until(&t.world, peer_hears(fd, t.room, ROOM) > 0);
		assert_string_equal(t.room, "goodbye\n");
		world_until(&t.world, peer_sees_end(fd));
		assert_in_range(ms_since(began), 290, 20000);
		close(t.peers[--t.peer_count]);
		world_until(&t.world, t.world.done);
		assert_string_equal(told(), "farewell close:drain stop done");
		if (graceful == 0)
			clean_up(state);
	}
}

static void without_it_a_reload_closes_them(void **state)
{
	open_it(state, &plain);
	int fd = join();
	world_settle(&t.world);
	stop(false, 300, 1012);
	world_until(&t.world, peer_sees_end(fd));
	world_until(&t.world, t.world.done);
	assert_string_equal(told(), "close:drain stop done");
}

static void gently_not_before_the_end_of_the_window(void **state)
{
	open_it(state, &plain);
	int fd = join();
	world_settle(&t.world);
	uint64_t began = crew__clock_ns();
	stop(true, 400, 1012);
	world_until(&t.world, peer_sees_end(fd));
	assert_in_range(ms_since(began), 290, 20000);
	world_until(&t.world, t.world.done);
}

/* ---- many, and what else is alive ---------------------------------------------------------- */

static unsigned closing(void)
{
	unsigned count = 0;
	for (uint32_t slot = 0; slot < crew__net_high(&t.world.worker->net); slot++) {
		const crew_conn *c = t.world.worker->net.slots[slot];
		count += c && c->record->state > CREW__CONN_OPEN;
	}
	return count;
}

static void not_all_in_one_turn(void **state)
{
	open_it(state, &plain);
	for (int i = 0; i < PEERS; i++)
		join();
	world_settle(&t.world);
	stop(false, 60000, 1001);
	assert_int_equal(closing(), 256);
	for (int i = 0; i < PEERS; i++)
		world_until(&t.world, peer_sees_end(t.peers[i]));
	for (int i = 0; i < PEERS; i++)
		close(t.peers[i]);
	t.peer_count = 0;
	world_until(&t.world, t.world.done);
	assert_int_equal(has("close_drain"), PEERS);
}

static void tick(crew_worker *w, void *arg)
{
	(void)w;
	++*(unsigned *)arg;
}

static unsigned woken;

static void nothing_to_do(int fd, unsigned events, void *arg)
{
	(void)fd;
	(void)events;
	(void)arg;
	woken++;
}

/* Timers and watches of the program's hold nobody. */
static void what_lives_on_does_not_hold_the_worker(void **state)
{
	static unsigned ticks;
	open_it(state, &plain);
	int pipe_fds[2];
	assert_int_equal(pipe(pipe_fds), 0);
	assert_true(crew_timer_every(t.world.worker, 1, tick, &ticks) > 0);
	assert_int_equal(crew_watch(pipe_fds[0], CREW_READ, nothing_to_do, NULL), 0);
	stop(true, 60000, 1001);
	world_until(&t.world, t.world.done);
	assert_string_equal(told(), "stop done");
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

/* One that never reads is cut off at the end of the window, and the loop sleeps until then. */
static void a_drained_worker_does_not_spin(void **state)
{
	static char much[4 << 20];
	open_it(state, &plain);
	join();
	world_settle(&t.world);
	assert_true(
		crew_send_static(world_conn(&t.world, 0), (crew_bytes){ much, sizeof(much) }) > 0);
	world_settle(&t.world);
	uint64_t began = crew__clock_ns();
	unsigned turns = 0;
	stop(false, 400, 1012);
	while (!t.world.done) {
		world_turn(&t.world, 1000);
		turns++;
		assert_true(ms_since(began) < 20000);
	}
	assert_true(turns < 60);
	assert_in_range(ms_since(began), 400, 20000);
	assert_string_equal(told(), "close:drain stop done");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_ENGINE(a_reload_sends_websockets_away_one_by_one, "epoll", CREW__ENGINE_EPOLL),
		ON_BOTH(a_stop_sends_them_away_at_once_and_without_a_hint),
		ON_BOTH(a_graceful_stop_lets_them_stay),
		ON_BOTH(a_handshake_under_way_is_not_refused_by_a_reload),
		ON_BOTH(a_stop_makes_a_reload_hurry),
		ON_BOTH(the_answer_in_hand_says_that_it_is_the_last),
		ON_BOTH(a_request_that_has_come_is_answered),
		ON_BOTH(half_a_request_is_waited_for),
		ON_ENGINE(who_was_busy_may_ask_once_more, "epoll", CREW__ENGINE_EPOLL),
		ON_BOTH(idle_ones_are_closed_one_by_one),
		ON_BOTH(a_farewell_is_said_once),
		ON_BOTH(who_stays_after_it_is_closed_before_the_end),
		ON_BOTH(without_it_a_reload_closes_them),
		ON_BOTH(gently_not_before_the_end_of_the_window),
		ON_BOTH(not_all_in_one_turn),
		ON_BOTH(what_lives_on_does_not_hold_the_worker),
		ON_BOTH(a_drained_worker_does_not_spin),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
