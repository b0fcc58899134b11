/* test_fault_service.c - one scene of every kind of send and ending, in which the n-th call fails,
 * for every n: the laws hold after every turn, what was handed over is freed exactly once, on_close
 * comes for every connection that was opened, and nothing leaks (under AddressSanitizer). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fault_scenes.h"
#include "service_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	PEERS = 3
};

static struct {
	struct world world;
	unsigned opens, closes, handed, freed;
	uint64_t lost;
} scene;

static void count_free(void *data, void *arg)
{
	(void)data;
	(void)arg;
	scene.freed++;
}

static void on_open(crew_conn *c)
{
	scene.opens++;
	crew_send(c, CREW_BYTES("hello"));
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

static void broadcast(size_t len)
{
	static char bytes[100000];
	crew_shared *s = crew_shared_new((crew_bytes){ bytes, len });
	crew_broadcast(crew_worker_service(scene.world.worker), s);
	crew_shared_unref(s);
}

static void send_all_kinds(crew_conn *c)
{
	static char bytes[50000];
	static const size_t sizes[] = { 1, 100, 5000, 50000 };
	for (size_t i = 0; i < crew__lengthof(sizes); i++) {
		crew_send(c, (crew_bytes){ bytes, sizes[i] });
		crew_send_static(c, (crew_bytes){ bytes, sizes[i] });
		scene.handed++;
		crew_send_owned(c, (crew_bytes){ bytes, sizes[i] }, count_free, NULL);
	}
}

static void on_message(crew_conn *c, crew_msg msg)
{
	crew_send(c, msg.body);
	send_all_kinds(c);
	broadcast(20);
	broadcast(30000);
}

static void on_request(crew_conn *c, const crew_request *request)
{
	crew_reply(c, &(crew_response){ .body = request->path });
}

static const crew_service services[] = {
	{ .name = "text",
		.listen = "text://127.0.0.1:1",
		.on_open = on_open,
		.on_message = on_message,
		.on_close = on_close,
		.on_error = on_error },
	{ .name = "frame",
		.listen = "frame://127.0.0.1:1",
		.on_open = on_open,
		.on_message = on_message,
		.on_close = on_close,
		.on_error = on_error },
	{ .name = "ws",
		.listen = "ws://127.0.0.1:1",
		.on_open = on_open,
		.on_message = on_message,
		.on_request = on_request,
		.on_close = on_close,
		.on_error = on_error },
	{ .name = "web", .listen = "http://127.0.0.1:1", .on_request = on_request },
};

static void adjust(struct crew__service_settings *s)
{
	s->max_send_buffer = 100000;
	s->linger_ms = 0;
}

static void write_to(int fd, const char *bytes, size_t len)
{
	ssize_t n = write(fd, bytes, len); /* not among the calls that fail */
	(void)n;
}

static void say_something(int fd, const crew_service *service)
{
	static const char handshake[] = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
					"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
					"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
					"\x01\x82\0\0\0\0ab\x89\x80\0\0\0\0\x80\x82\0\0\0\0cd";
	static const char request[] = "GET /path HTTP/1.1\r\nHost: a\r\n\r\n";
	static const char post[] = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab";
	if (strcmp(service->name, "text") == 0)
		write_to(fd, "line\npart", 9);
	else if (strcmp(service->name, "frame") == 0)
		write_to(fd, "\0\0\0\5x\0\0\0\6", 9);
	else if (strcmp(service->name, "ws") == 0)
		write_to(fd, handshake, sizeof(handshake) - 1);
	if (strcmp(service->name, "web") != 0)
		return;
	write_to(fd, request, sizeof(request) - 1);
	write_to(fd, post, sizeof(post) - 1);
}

static void read_all(int fd)
{
	char sink[65536];
	while (read(fd, sink, sizeof(sink)) > 0)
		continue;
}

static void settle(void)
{
	for (int i = 0; i < 4; i++)
		world_turn(&scene.world, 0);
}

static void play_scene(const crew_service *service, int peers[PEERS])
{
	for (int i = 0; i < PEERS; i++)
		peers[i] = world_connect(&scene.world);
	settle();
	for (int i = 0; i < PEERS; i++)
		if (peers[i] >= 0)
			say_something(peers[i], service);
	settle();
	if (peers[0] >= 0)
		read_all(peers[0]);
	settle();
	if (peers[1] >= 0)
		shutdown(peers[1], SHUT_WR);
	crew_conn *last = scene.world.worker->net.slots[2];
	crew_close(last);
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
		world_close(&scene.world);
	}
	assert_int_equal(scene.opens, scene.closes);
	assert_int_equal(scene.handed, scene.freed);
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
			FAULT_RECV_AGAIN, FAULT_RECV_RESET, FAULT_LOOP },
	};
	return fault_scenes_main(&scenes);
}
