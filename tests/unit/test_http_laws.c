/* test_http_laws.c - any call is legal in any callback, over HTTP: answers whole, in parts, pulled,
 * from files, as events, given later or by others' callbacks, requests kept and freed at any time,
 * upgrades, a stop in the midst of it; random, with peers that behave at random, and the laws of
 * the counters checked after every turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http_peers.h"
#include "service_world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	PEERS = 6,
	STEPS = 150,
	KEPT = 16,
	FILE_SIZE = 300 * 1000
};

static struct {
	struct world world;
	uint64_t ids[1024];
	unsigned id_count;
	unsigned closes, seen;
	unsigned pulls, dones;
	crew_request *kept[KEPT];
	uint32_t seed;
	unsigned depth;
	bool stopping, over;
} play;

static char root[64];

struct data {
	bool seen, closed;
	bool last; /* the body of the request in hand has been told to be complete */
};

static uint32_t roll(uint32_t below)
{
	play.seed = play.seed * 1664525u + 1013904223u;
	return (uint32_t)(((uint64_t)(play.seed >> 8) * below) >> 24);
}

static char text[70000];

static crew_bytes some_bytes(void)
{
	return (crew_bytes){ text, roll(6) == 0 ? roll(sizeof(text)) : roll(80) };
}

static crew_conn *someone(crew_conn *self)
{
	if (roll(4) > 0 || play.id_count == 0)
		return self;
	return crew_find(play.ids[roll(play.id_count)]);
}

static void some_calls(crew_conn *c);
static void timer(crew_worker *w, void *arg)
{
	(void)w;
	(void)arg;
	some_calls(NULL);
}

/* ---- what a program may call ---------------------------------------------------------------- */

static void pull(crew_conn *c, void *arg)
{
	assert_ptr_equal(arg, &play);
	some_calls(c);
	if (roll(3) > 0)
		crew_reply_write(c, some_bytes());
	if (roll(6) == 0)
		crew_reply_end(c, NULL, 0);
}

static void done(void *arg)
{
	assert_ptr_equal(arg, &play);
	play.dones++;
	some_calls(NULL);
}

static const crew_header no_store = { CREW_BYTES("Cache-Control"), CREW_BYTES("no-store") };
static const crew_header trailer = { CREW_BYTES("X-Sum"), CREW_BYTES("1") };

static crew_response some_response(void)
{
	static const int statuses[] = { 0, 200, 204, 304, 205, 404, 500, 199 };
	crew_response r = { .body = some_bytes(), .close = roll(10) == 0 };
	if (roll(4) == 0)
		r.status = statuses[roll(crew__lengthof(statuses))];
	if (roll(4) == 0) {
		r.headers = &no_store;
		r.header_count = 1;
	}
	return r;
}

static void begin_some(crew_conn *c)
{
	crew_response r = some_response();
	int64_t length = roll(2) ? -1 : (int64_t)(r.body.len + roll(200));
	if (roll(2)) {
		play.pulls++;
		crew_reply_pull(c, &r, length, roll(20) ? pull : NULL, done, &play);
	} else {
		crew_reply_begin(c, &r, length);
	}
}

static void send_some_event(crew_conn *c)
{
	crew_event event = { .data = some_bytes(), .name = roll(2) ? "tick" : NULL };
	if (roll(3) == 0) {
		crew_shared *s = crew_shared_event(&event);
		crew_broadcast(crew_worker_service(play.world.worker), s);
		crew_shared_unref(s);
	} else if (roll(2)) {
		crew_send_event(c, &event);
	} else {
		crew_send(c, some_bytes());
	}
}

static void look_at(const crew_request *r)
{
	volatile size_t sum = crew_request_path(r).len + crew_request_query(r, "a").len;
	for (size_t i = 0; i < r->header_count; i++)
		sum += r->headers[i].name.len + (unsigned char)r->headers[i].name.data[0];
	for (size_t i = 0; i < r->trailer_count; i++)
		sum += (unsigned char)r->trailers[i].name.data[0];
	for (size_t i = 0; i < r->body.len; i++)
		sum += (unsigned char)r->body.data[i];
	size_t files, forms;
	sum += crew_request_files(r, &files) != NULL;
	sum += crew_request_forms(r, &forms) != NULL;
	sum += strlen(crew_request_id(r));
	(void)sum;
}

static void keep_some(const crew_request *request)
{
	crew_request **place = &play.kept[roll(KEPT)];
	if (play.over)
		return;
	if (request && roll(2) == 0) {
		crew_request *copy = crew_request_keep(request);
		crew_request_free(*place);
		*place = copy;
	} else if (*place && roll(3) == 0) {
		crew_request *copy = crew_request_keep(*place);
		crew_request_free(*place);
		*place = copy;
	} else if (*place && roll(2)) {
		look_at(*place);
	} else {
		crew_request_free(*place);
		*place = NULL;
	}
}

static const crew_files files = { .root = root };

static void end_some(crew_conn *c)
{
	switch (roll(5)) {
	case 0:
		crew_close(c);
		break;
	case 1:
		crew_abort(c);
		break;
	case 2:
		crew_finish(c);
		break;
	case 3:
		crew_pipe(c, someone(c));
		break;
	default:
		crew_close_with(c, 4000, CREW_BYTES("bye"));
	}
}

static void answer_some(crew_conn *c)
{
	crew_response r = some_response();
	switch (roll(8)) {
	case 0:
	case 1:
		begin_some(c);
		break;
	case 2:
		crew_events_begin(c, roll(2) ? NULL : &(crew_response){ .close = roll(2) });
		break;
	case 3:
		crew_reply_error(c, NULL, 400 + (int)roll(200), "detail");
		break;
	case 4:
		crew_reply_redirect(c, 0, "/elsewhere");
		break;
	default:
		crew_reply(c, &r);
	}
}

static void random_call(crew_conn *self)
{
	crew_conn *c = someone(self);
	switch (roll(16)) {
	case 0:
		if (roll(4) == 0)
			end_some(c);
		break;
	case 1:
		crew_pause(c);
		break;
	case 2:
	case 3:
		crew_resume(c);
		break;
	case 4:
		crew_timer_after(play.world.worker, roll(3), timer, NULL);
		break;
	case 5:
	case 6:
		answer_some(c);
		break;
	case 7:
	case 8:
		crew_reply_write(c, some_bytes());
		break;
	case 9:
		crew_reply_end(c, &trailer, roll(2));
		break;
	case 10:
		crew_reply_header(c, "X-More", CREW_BYTES("more"));
		break;
	case 11:
		crew_reply_cookie(
			c, &(crew_cookie){ .name = "taste", .value = CREW_BYTES("sweet") });
		break;
	case 12:
		keep_some(NULL);
		break;
	default:
		send_some_event(c);
	}
}

static void some_calls(crew_conn *c)
{
	if (play.depth > 3)
		return;
	play.depth++;
	for (uint32_t n = roll(4); n > 0; n--)
		random_call(c);
	play.depth--;
}

/* ---- callbacks ------------------------------------------------------------------------------ */

static void see(crew_conn *c)
{
	struct data *data = crew_data(c);
	assert_false(data->closed);
	play.seen += !data->seen;
	if (!data->seen && play.id_count < crew__lengthof(play.ids))
		play.ids[play.id_count++] = crew_id(c);
	data->seen = true;
}

static void on_request(crew_conn *c, const crew_request *request)
{
	struct data *data = crew_data(c);
	see(c);
	data->last = false;
	look_at(request);
	if (roll(3) == 0)
		keep_some(request);
	if (roll(3) > 0)
		answer_some(c);
	some_calls(c);
	look_at(request);
	if (roll(3) == 0)
		keep_some(request);
}

static void on_file(crew_conn *c, const crew_request *request)
{
	see(c);
	if (roll(4) == 0)
		some_calls(c);
	crew_reply_file(c, request, &files, CREW_BYTES("big"));
	some_calls(c);
}

static void on_body(crew_conn *c, crew_bytes part, bool last)
{
	struct data *data = crew_data(c);
	volatile unsigned sum = 0;
	assert_false(data->last);
	data->last = last;
	for (size_t i = 0; i < part.len; i++)
		sum += (unsigned char)part.data[i];
	(void)sum;
	if (last && roll(2))
		answer_some(c);
	some_calls(c);
}

static bool before(crew_conn *c, const crew_request *request)
{
	see(c);
	if (roll(4) == 0)
		some_calls(c);
	if (roll(4) == 0)
		keep_some(request);
	look_at(request);
	return roll(8) > 0;
}

static void after(crew_conn *c, crew_response *response)
{
	if (roll(8) == 0)
		response->body = some_bytes();
	if (roll(3) == 0)
		some_calls(c);
}

static int on_upgrade(crew_conn *c, const crew_request *request)
{
	see(c);
	some_calls(c);
	keep_some(request);
	look_at(request);
	return roll(3) ? 0 : (int)roll(600);
}

static void on_open(crew_conn *c)
{
	see(c);
	some_calls(c);
}

static void on_message(crew_conn *c, crew_msg msg)
{
	crew_send(c, msg.body);
	some_calls(c);
}

static void on_close(crew_conn *c)
{
	struct data *data = crew_data(c);
	assert_false(data->closed);
	data->closed = true;
	play.closes += data->seen; /* a request for a file may have been all */
	assert_int_equal(crew_reply(c, &(crew_response){ .status = 200 }), -ENOTCONN);
	some_calls(c);
}

static void on_error(crew_conn *c, const crew_loss *loss)
{
	assert_true(loss->messages > 0);
	some_calls(c);
}

static const crew_websocket websocket = { .origins = "*", .on_upgrade = on_upgrade };

static const crew_route inner[] = {
	{ .path = "/plain", .on_request = on_request },
	{ .path = "/up", .on_request = on_request, .on_body = on_body, .max_body = CREW_OFF },
	{ .path = "/ws", .websocket = &websocket, .on_request = on_request },
	{ .path = "/wsup", .on_request = on_request, .on_body = on_body },
	{ .path = "/file", .on_request = on_file },
	{ 0 },
};

static const crew_route routes[] = {
	{ .path = "/plain", .on_request = on_request },
	{ .path = "/up", .on_request = on_request, .on_body = on_body },
	{ .path = "/files/*path", .files = &files },
	{ .path = "/in", .group = inner, .before = { before }, .after = { after } },
	{ 0 },
};

#define CALLBACKS                                                                                  \
	.on_open = on_open, .on_message = on_message, .on_close = on_close, .on_error = on_error,  \
	.on_full = some_calls, .on_drain = some_calls, .routes = routes, .on_request = on_request, \
	.conn_size = sizeof(struct data)

static const crew_service services[] = {
	{ .name = "web", .listen = "http://127.0.0.1:1", CALLBACKS },
	{ .name = "ws", .listen = "ws://127.0.0.1:1", .websocket = &websocket, CALLBACKS },
};

static void make_small(struct crew__service_settings *s)
{
	s->max_send_buffer = roll(6) == 0 ? 1 : 1 + roll(60000);
	s->max_message = roll(4) == 0 ? 2000 : 100000;
	s->linger_ms = roll(3);
	s->handshake_timeout_ms = roll(2) ? 20 : 0;
	s->send_timeout_ms = roll(2) ? 0 : 30;
	s->idle_timeout_ms = roll(2) ? 0 : 40;
	s->heartbeat_ms = roll(2) ? 0 : 20;
	s->drain_timeout_ms = 30;
	s->stop_timeout_ms = 20;
	s->gzip = roll(2) ? 0 : 64;
}

/* ---- peers ---------------------------------------------------------------------------------- */

static void one_step(struct http_peer peers[PEERS])
{
	struct http_peer *p = &peers[roll(PEERS)];
	if (p->fd < 0 && !play.stopping) {
		p->fd = world_connect(&play.world);
		p->at = p->len = 0;
	}
	if (p->fd < 0)
		return;
	switch (roll(16)) {
	case 0:
		close(p->fd);
		p->fd = -1;
		break;
	case 1:
		if (roll(3) == 0)
			shutdown(p->fd, SHUT_WR);
		break;
	case 2:
	case 3:
	case 4:
	case 5:
		http_peer_reads(p, roll);
		break;
	case 6:
		timer(play.world.worker, NULL);
		break;
	default:
		http_peer_writes(p, roll);
	}
}

/* ---- the play ------------------------------------------------------------------------------- */

static void stopped(crew_worker *w, void *arg)
{
	(void)w;
	(void)arg;
	play.world.done = true;
}

static void stop_some(void)
{
	play.stopping = true;
	crew__worker_stop(play.world.worker, &(struct crew__worker_stop){ .graceful = roll(2),
						     .window_ms = roll(20),
						     .close_code = 1001,
						     .done = stopped });
}

static void free_kept(void)
{
	for (int i = 0; i < KEPT; i++) {
		crew_request_free(play.kept[i]);
		play.kept[i] = NULL;
	}
}

static void play_once(const crew_service *service, uint32_t seed, enum crew__engine_kind engine)
{
	static struct http_peer peers[PEERS];
	memset(&play, 0, sizeof(play));
	play.seed = seed * 2654435761u;
	for (int i = 0; i < PEERS; i++)
		peers[i].fd = -1;
	assert_true(world_open(&play.world, service, engine, make_small));
	int stop_at = roll(3) ? STEPS : (int)roll(STEPS);
	for (int step = 0; step < STEPS && !play.world.done; step++) {
		one_step(peers);
		if (step == stop_at)
			stop_some();
		world_turn(&play.world, roll(60) == 0 ? 3 : 0);
	}
	for (int i = 0; i < PEERS; i++)
		if (peers[i].fd >= 0)
			close(peers[i].fd);
	world_settle(&play.world);
	free_kept();
	play.over = true; /* no request is kept longer than the worker */
	world_close(&play.world);
	assert_int_equal(play.seen, play.closes);
	assert_int_equal(play.pulls, play.dones);
}

/* CREW_SEED=n plays that one alone. */
static void play_all(enum crew__engine_kind engine, uint32_t seeds)
{
	const char *only = getenv("CREW_SEED");
	uint32_t first = only ? (uint32_t)strtoul(only, NULL, 10) : 1;
	uint32_t last = only ? first : seeds;
	for (size_t i = 0; i < crew__lengthof(services); i++)
		for (uint32_t seed = first; seed <= last; seed++) {
			print_message("%s %u\r", services[i].name, seed);
			play_once(&services[i], seed, engine);
		}
}

static void any_call_in_any_callback_epoll(void **state)
{
	(void)state;
	play_all(CREW__ENGINE_EPOLL, 200);
}

static void any_call_in_any_callback_poll(void **state)
{
	(void)state;
	play_all(CREW__ENGINE_POLL, 80);
}

static int make_root(void **state)
{
	char path[80];
	(void)state;
	memset(text, 'x', sizeof(text));
	snprintf(root, sizeof(root), "/tmp/crew-http-laws-XXXXXX");
	if (!mkdtemp(root))
		return -1;
	snprintf(path, sizeof(path), "%s/big", root);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	bool good = fd >= 0 && ftruncate(fd, FILE_SIZE) == 0;
	close(fd);
	return good ? 0 : -1;
}

static int remove_root(void **state)
{
	char path[80];
	(void)state;
	snprintf(path, sizeof(path), "%s/big", root);
	unlink(path);
	return rmdir(root);
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_call_in_any_callback_epoll),
		cmocka_unit_test(any_call_in_any_callback_poll),
	};
	return cmocka_run_group_tests(tests, make_root, remove_root);
}
