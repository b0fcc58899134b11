/* test_fault_edge.c - what the edges of an HTTP server do when a call fails: every one of them in
 * turn, while PROXY headers come, clients are worked out, lines go to the access log, and
 * connections become WebSockets. Nothing crashes or leaks, nobody is told twice, and the laws hold
 * after each turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fault_scenes.h"
#include "service_world.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	PEERS = 2
};

struct guest {
	unsigned opened, closed;
};

static struct {
	struct world world;
	crew_request *kept;
} scene;

static void on_open(crew_conn *c)
{
	struct guest *guest = crew_data(c);
	assert_int_equal(guest->opened++, 0);
	crew_send(c, crew_str(crew_websocket_protocol(c)));
}

static void on_message(crew_conn *c, crew_msg msg)
{
	crew_send(c, msg.body);
}

static void on_close(crew_conn *c)
{
	struct guest *guest = crew_data(c);
	assert_int_equal(guest->closed++, 0);
}

static int on_upgrade(crew_conn *c, const crew_request *r)
{
	crew_reply_header(c, "Set-Cookie", CREW_BYTES("a=b"));
	return crew_request_header(r, "Refuse").data ? 403 : 0;
}

static void who(crew_conn *c, const crew_request *r)
{
	char client[100];
	crew_request_client(r, client, sizeof(client));
	crew_request_free(scene.kept);
	scene.kept = crew_request_keep(r);
	crew_reply(c, &(crew_response){ .body = crew_str(client) });
}

static const crew_websocket chat = {
	.origins = "*", .protocols = "chat.v2 chat.v1", .on_upgrade = on_upgrade
};
static const crew_route routes[] = {
	{ .path = "/who", .on_request = who },
	{ .path = "/chat", .websocket = &chat },
	{ 0 },
};
static const crew_service web = {
	.name = "web",
	.listen = "http://127.0.0.1:1",
	.conn_size = sizeof(struct guest),
	.routes = routes,
	.on_open = on_open,
	.on_message = on_message,
	.on_close = on_close,
};

static void adjust(struct crew__service_settings *s)
{
	s->linger_ms = 0;
	s->proxy_protocol = true;
	s->trusted_proxies = (char *)(uintptr_t) "unix 192.0.2.0/24";
	s->max_connections_per_ip = 5;
	s->access_log = (char *)(uintptr_t) "/dev/null";
	s->access_log_json = true;
}

#define HEADER "PROXY TCP4 192.0.2.7 192.0.2.8 4711 80\r\n"
#define UPGRADE(more)                                                                    \
	"GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" more "\r\n"

/* The frames are one masked with zeros, and a close. */
static const char *const scripts[] = {
	HEADER "GET /who HTTP/1.1\r\nHost: a\r\nUser-Agent: x\r\n"
	       "X-Forwarded-For: 198.51.100.1\r\n\r\n"
	       "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n",
	HEADER "nonsense\r\n\r\n",
	HEADER UPGRADE("Sec-WebSocket-Protocol: chat.v1\r\n") "\x81\x81zzzz\x1b\x88\x80zzzz",
	HEADER UPGRADE("Sec-WebSocket-Protocol: chat.v1, chat.v2\r\n") "\x81\x81zzzz\x1b",
	HEADER UPGRADE("Refuse: it\r\n") UPGRADE(""),
	"no header at all",
};

static int connect_local(void)
{
	static const struct crew__record_address local = { .family = AF_UNIX };
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	if (crew__net_adopt(&scene.world.worker->net, pair[0], &local, &local) == 0)
		return pair[1];
	close(pair[1]);
	return -1;
}

static void settle(void)
{
	for (int i = 0; i < 6; i++)
		world_turn(&scene.world, 0);
}

static void play(const char *script, int peers[PEERS])
{
	char sink[4096];
	for (int i = 0; i < PEERS; i++)
		peers[i] = connect_local();
	settle();
	for (int i = 0; i < PEERS; i++) {
		size_t half = strlen(script) / 3 * (size_t)(i + 1);
		ssize_t n = write(peers[i], script, half);
		settle();
		n += write(peers[i], script + half, strlen(script) - half);
		(void)n;
		settle();
		while (read(peers[i], sink, sizeof(sink)) > 0)
			continue;
	}
	crew__worker_reopen_logs(scene.world.worker);
	settle();
}

/* False when the scene made fewer than n such calls. */
static bool run(const char *script, enum fault_kind kind, unsigned n, bool lasting)
{
	int peers[PEERS] = { -1, -1 };
	memset(&scene, 0, sizeof(scene));
	fault_set(kind, n, lasting);
	bool opened = world_open(&scene.world, &web, CREW__ENGINE_EPOLL, adjust);
	if (opened)
		play(script, peers);
	bool hit = fault_hit();
	fault_set(FAULT_NONE, 0, false);
	for (int i = 0; i < PEERS; i++)
		if (peers[i] >= 0)
			close(peers[i]);
	if (opened) {
		settle();
		world_close(&scene.world);
	}
	crew_request_free(scene.kept);
	return hit;
}

static bool run_scene(size_t index, enum fault_kind kind, unsigned n, bool lasting)
{
	return run(scripts[index], kind, n, lasting);
}

int main(void)
{
	const struct fault_scenes scenes = {
		.count = crew__lengthof(scripts),
		.run = run_scene,
		.kinds = { FAULT_MEMORY, FAULT_RECV_AGAIN, FAULT_RECV_RESET, FAULT_LOOP },
	};
	return fault_scenes_main(&scenes);
}
