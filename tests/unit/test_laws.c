/* test_laws.c - the laws of the counters, and that any call is legal in any callback: random calls
 * from inside random callbacks on all protocols, checked after every turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	PEERS = 6,
	STEPS = 120
};

static struct {
	struct world world;
	uint64_t ids[PEERS * 64];
	unsigned id_count;
	unsigned opens, closes, frees, owned;
	uint32_t seed;
	unsigned depth;
} play;

static uint32_t roll(uint32_t below)
{
	play.seed = play.seed * 1664525u + 1013904223u;
	return (uint32_t)(((uint64_t)(play.seed >> 8) * below) >> 24);
}

static void count_free(void *data, void *arg)
{
	(void)arg;
	play.frees++;
	free(data);
}

static crew_conn *someone(crew_conn *self)
{
	if (roll(3) > 0 || play.id_count == 0)
		return self;
	return crew_find(play.ids[roll(play.id_count)]);
}

static void random_send(crew_conn *c)
{
	static char text[20000];
	memset(text, 'x', sizeof(text));
	size_t len = roll(4) == 0 ? roll(sizeof(text)) : roll(60);
	crew_bytes bytes = { text, len };
	switch (roll(5)) {
	case 0: {
		char *own = malloc(len + 1);
		memset(own, 'o', len + 1);
		play.owned++;
		crew_send_owned(c, (crew_bytes){ own, len }, count_free, NULL);
		break;
	}
	case 1:
		crew_send_static(c, bytes);
		break;
	case 2: {
		crew_shared *s = crew_shared_new(bytes);
		crew_send_shared(c, s);
		crew_broadcast(crew_worker_service(play.world.worker), s);
		crew_shared_unref(s);
		break;
	}
	case 3:
		crew_send_with(c, bytes, &(crew_send_options){ .kind = CREW_BINARY });
		break;
	default:
		crew_send(c, bytes);
	}
}

static void random_timer(crew_worker *w, void *arg);

static void random_call(crew_conn *self)
{
	crew_conn *c = someone(self);
	switch (roll(16)) {
	case 0:
		crew_close(c);
		break;
	case 1:
		if (roll(3) == 0)
			crew_abort(c);
		break;
	case 2:
		crew_pause(c);
		break;
	case 3:
	case 4:
		crew_resume(c);
		break;
	case 5:
		if (roll(3) == 0)
			crew_finish(c);
		break;
	case 6:
		crew_pipe(c, someone(self));
		break;
	case 7:
		crew_pipe(c, NULL);
		break;
	case 8:
		crew_timer_after(play.world.worker, roll(3), random_timer, NULL);
		break;
	case 9:
		crew_reply(
			c, &(crew_response){ .body = CREW_BYTES("reply"), .close = roll(8) == 0 });
		break;
	case 10:
		crew_close_with(c, 4000, CREW_BYTES("bye"));
		break;
	default:
		random_send(c);
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

static void random_timer(crew_worker *w, void *arg)
{
	(void)w;
	(void)arg;
	some_calls(NULL);
}

/* The program has seen it: by on_open, or by a plain request on a WebSocket port. */
static void see(crew_conn *c)
{
	bool *seen = crew_data(c);
	play.opens += !*seen;
	*seen = true;
}

static void on_open(crew_conn *c)
{
	see(c);
	if (play.id_count < crew__lengthof(play.ids))
		play.ids[play.id_count++] = crew_id(c);
	some_calls(c);
}

static void on_message(crew_conn *c, crew_msg msg)
{
	crew_send(c, msg.body);
	some_calls(c);
}

static void on_request(crew_conn *c, const crew_request *request)
{
	see(c);
	if (roll(4) > 0)
		crew_reply(c, &(crew_response){ .body = request->path });
	some_calls(c);
}

static void on_close(crew_conn *c)
{
	play.closes++;
	assert_true(crew_close_reason(c) < CREW_END_REASONS);
	assert_int_equal(crew_send(c, CREW_BYTES("too late")), -ENOTCONN);
	some_calls(c);
}

static void on_error(crew_conn *c, const crew_loss *loss)
{
	assert_true(loss->messages > 0);
	some_calls(c);
}

#define CALLBACKS                                                                                 \
	.on_open = on_open, .on_message = on_message, .on_close = on_close, .on_error = on_error, \
	.on_full = some_calls, .on_drain = some_calls, .on_end = some_calls, .conn_size = 24

static const crew_service services[] = {
	{ .name = "raw", .listen = "tcp://127.0.0.1:1", CALLBACKS },
	{ .name = "text", .listen = "text://127.0.0.1:1", CALLBACKS },
	{ .name = "frame", .listen = "frame://127.0.0.1:1", CALLBACKS },
	{ .name = "ws", .listen = "ws://127.0.0.1:1", .on_request = on_request, CALLBACKS },
	{ .name = "web", .listen = "http://127.0.0.1:1", .on_request = on_request, CALLBACKS },
};

static void make_small(struct crew__service_settings *s)
{
	s->max_send_buffer = 1 + roll(60000);
	s->linger_ms = roll(3);
	s->handshake_timeout_ms = roll(2) ? 20 : 0;
	s->send_timeout_ms = roll(2) ? 0 : 30;
	s->idle_timeout_ms = roll(2) ? 0 : 40;
	s->heartbeat_ms = roll(2) ? 0 : 20;
	s->drain_timeout_ms = 30;
}

static const char handshake[] = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
				"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
				"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
static const char request[] = "GET /path HTTP/1.1\r\nHost: a\r\n\r\n";

/* Something that the protocol understands, mostly. */
static void peer_writes(int fd, const crew_service *service, bool first)
{
	char bytes[600] = "";
	size_t len = 1 + roll(80);
	bool ws = strcmp(service->name, "ws") == 0;
	if (strcmp(service->name, "web") == 0 || (ws && first && roll(4) == 0)) {
		len = (size_t)snprintf(bytes, sizeof(bytes), "%s", request);
	} else if (ws && first) {
		len = (size_t)snprintf(bytes, sizeof(bytes), "%s", handshake);
	} else if (ws) {
		const unsigned char opcodes[] = { 0x81, 0x82, 0x89, 0x8a, 0x88, 0x01, 0x80 };
		memset(bytes, 'a', sizeof(bytes));
		bytes[0] = (char)opcodes[roll(roll(5) ? 3 : 7)];
		bytes[1] = (char)(0x80 | len);
		memset(bytes + 2, 0, 4);
		len += 6;
	} else if (strcmp(service->name, "frame") == 0) {
		bytes[3] = (char)(len + 4);
		len += 4;
	} else {
		memset(bytes, 'b', len);
		bytes[len - 1] = '\n';
	}
	if (roll(40) == 0)
		bytes[roll((uint32_t)len)] ^= 0x40;
	ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
	(void)n;
}

static void peer_reads(int fd)
{
	char sink[8192];
	ssize_t n = recv(fd, sink, sizeof(sink), 0);
	(void)n;
}

static void one_step(int peers[PEERS], bool fresh[PEERS], const crew_service *service)
{
	unsigned i = roll(PEERS);
	if (peers[i] < 0) {
		peers[i] = world_connect(&play.world);
		fresh[i] = true;
	}
	if (peers[i] < 0)
		return;
	switch (roll(12)) {
	case 0:
		close(peers[i]);
		peers[i] = -1;
		break;
	case 1:
		shutdown(peers[i], SHUT_WR);
		break;
	case 2:
	case 3:
	case 4:
		peer_reads(peers[i]);
		break;
	default:
		peer_writes(peers[i], service, fresh[i]);
		fresh[i] = false;
	}
}

static void play_once(const crew_service *service, uint32_t seed, enum crew__engine_kind engine)
{
	int peers[PEERS];
	bool fresh[PEERS] = { false };
	memset(&play, 0, sizeof(play));
	memset(peers, -1, sizeof(peers));
	play.seed = seed * 2654435761u;
	assert_true(world_open(&play.world, service, engine, make_small));
	for (int step = 0; step < STEPS; step++) {
		one_step(peers, fresh, service);
		world_turn(&play.world, roll(60) == 0 ? 3 : 0);
	}
	for (int i = 0; i < PEERS; i++)
		if (peers[i] >= 0)
			close(peers[i]);
	world_settle(&play.world);
	world_close(&play.world);
	assert_int_equal(play.opens, play.closes);
	assert_int_equal(play.owned, play.frees);
}

static void play_all(enum crew__engine_kind engine, uint32_t seeds)
{
	for (size_t i = 0; i < crew__lengthof(services); i++)
		for (uint32_t seed = 1; seed <= seeds; seed++)
			play_once(&services[i], seed, engine);
}

static void any_call_in_any_callback_epoll(void **state)
{
	(void)state;
	play_all(CREW__ENGINE_EPOLL, 150);
}

static void any_call_in_any_callback_poll(void **state)
{
	(void)state;
	play_all(CREW__ENGINE_POLL, 50);
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_call_in_any_callback_epoll),
		cmocka_unit_test(any_call_in_any_callback_poll),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
