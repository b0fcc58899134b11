/* test_fault_policy.c - one scene with every policy, keys, times to live, priorities, caps, a
 * budget and broadcasts, in which the n-th call fails, for every n: the laws hold after every step,
 * all memory comes back, and on_close comes for every connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fault_scenes.h"
#include "service_world.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	PEERS = 3
};

static struct {
	struct world world;
	unsigned opens, closes;
	uint64_t lost, gaps;
} scene;

static void on_open(crew_conn *c)
{
	scene.opens++;
	crew_set_rate(c, scene.opens == 3 ? 50000 : 0, scene.opens == 3 ? 100 : 0);
}

static void on_close(crew_conn *c)
{
	(void)c;
	scene.closes++;
}

static void on_error(crew_conn *c, const crew_loss *loss)
{
	(void)c;
	scene.lost += loss->messages;
}

static void on_gap(crew_conn *c, const crew_gap *gap)
{
	scene.gaps += gap->messages;
	crew_send_with(c, CREW_BYTES("missed"), &(crew_send_options){ .priority = CREW_HIGH });
}

#define CALLBACKS .on_open = on_open, .on_close = on_close, .on_error = on_error, .on_gap = on_gap

static const crew_service services[] = {
	{ .name = "frames", .listen = "frame://127.0.0.1:1", CALLBACKS },
	{ .name = "sockets", .listen = "ws://127.0.0.1:1", CALLBACKS },
};

static void adjust(struct crew__service_settings *s)
{
	s->max_send_buffer = 20000;
	s->soft_limit = 15000;
	s->soft_limit_ms = 50000;
	s->linger_ms = 0;
	s->policy = CREW_REPLACE;
	s->auth_timeout_ms = 10000;
	s->unauthenticated_limit = 1000;
}

static char bytes[30000];

static void check(void)
{
	crew__net_check(&scene.world.worker->net);
}

static void settle(void)
{
	for (int i = 0; i < 4; i++)
		world_turn(&scene.world, 0);
}

static void send_each(crew_conn *c, size_t len)
{
	static const char *const keys[] = { "", "k",
		"a key that is too long to lie inside a unit" };
	for (unsigned i = 0; i < 6; i++) {
		const crew_send_options options = {
			.policy = (crew_policy)(1 + i % 3),
			.priority = i % 4 == 0 ? CREW_HIGH : CREW_NORMAL,
			.key = crew_str(keys[i % 3]),
			.ttl_ms = i % 5 == 2 ? 1 : 0,
			.sequence = i + 1,
		};
		crew_send_with(c, (crew_bytes){ bytes, len }, &options);
		check();
	}
}

static void broadcast(size_t len)
{
	const crew_send_options options = {
		.key = CREW_BYTES("all"), .sequence = 99, .ttl_ms = 1000
	};
	crew_shared *s = crew_shared_new_with((crew_bytes){ bytes, len }, &options);
	if (!s)
		return;
	for (int i = 0; i < 3; i++)
		crew_broadcast(crew_worker_service(scene.world.worker), s);
	crew_shared_unref(s);
	check();
}

static void read_all(int fd)
{
	char sink[65536];
	while (read(fd, sink, sizeof(sink)) > 0)
		settle();
}

static void say_something(int fd, const crew_service *service)
{
	static const char handshake[] = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
					"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
					"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
					"\x89\x80\0\0\0\0";
	bool ws = strcmp(service->name, "sockets") == 0;
	ssize_t n = write(fd, ws ? handshake : "\0\0\0\5x", ws ? sizeof(handshake) - 1 : 5);
	(void)n;
}

static crew_conn *member(uint32_t slot)
{
	crew_conn *c = scene.world.worker->net.slots[slot];
	return c && crew__conn_is_member(c) ? c : NULL;
}

static void set_budget(uint64_t budget)
{
	struct crew__limits limits = scene.world.worker->net.limits;
	limits.budget = budget;
	crew__net_set_limits(&scene.world.worker->net, &limits);
	check();
}

static void play_scene(const crew_service *service, int peers[PEERS])
{
	for (int i = 0; i < PEERS; i++) {
		peers[i] = world_connect(&scene.world);
		if (peers[i] >= 0)
			say_something(peers[i], service);
		settle();
		if (i != 1)
			crew_authenticated(member((uint32_t)i));
	}
	for (uint32_t i = 0; i < PEERS; i++) {
		send_each(member(i), 500);
		send_each(member(i), 3000);
	}
	broadcast(300);
	settle();
	broadcast(5000);
	if (peers[0] >= 0)
		read_all(peers[0]);
	set_budget(40000);
	send_each(member(0), 6000);
	usleep(11000); /* something expires */
	settle();
	set_budget(0);
	if (member(1))
		crew_set_policy(member(1), CREW_DISCONNECT);
	if (member(0))
		crew__conn_abort(member(0), CREW_END_KICKED);
	settle();
}

/* False when the scene made fewer than n such calls. */
static bool run(const crew_service *service, enum fault_kind kind, unsigned n, bool lasting)
{
	int peers[PEERS] = { -1, -1, -1 };
	memset(&scene, 0, sizeof(scene));
	fault_set(kind, n, lasting);
	bool opened = world_open(&scene.world, service, CREW__ENGINE_EPOLL, adjust);
	if (opened)
		play_scene(service, peers);
	bool hit = fault_hit();
	fault_set(FAULT_NONE, 0, false);
	for (int i = 0; i < PEERS; i++)
		if (peers[i] >= 0)
			close(peers[i]);
	if (opened) {
		settle();
		assert_int_equal(crew__net_held(&scene.world.worker->net), 0);
		world_close(&scene.world);
	}
	assert_int_equal(scene.opens, scene.closes);
	assert_int_equal(crew__here.shared_held, 0);
	return hit;
}

static bool run_scene(size_t index, enum fault_kind kind, unsigned n, bool lasting)
{
	return run(&services[index], kind, n, lasting);
}

int main(void)
{
	const struct fault_scenes scenes = {
		.count = crew__lengthof(services),
		.run = run_scene,
		.kinds = { FAULT_MEMORY, FAULT_SHORT, FAULT_SEND_AGAIN, FAULT_SEND_RESET,
			FAULT_LOOP },
	};
	return fault_scenes_main(&scenes);
}
