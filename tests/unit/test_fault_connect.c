/* test_fault_connect.c - outgoing connections where a call fails: every one of them in turn, from
 * the first crew_connect() of a worker to the end of a WebSocket and the attempts that follow it.
 * Nothing crashes or leaks, each connection is told of its end exactly once, and the laws hold
 * after each turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fault_scenes.h"
#include "service_world.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	TURNS = 120,
	PEERS = 4
};

struct guest {
	unsigned opened, closed;
};

static struct {
	struct world world;
	unsigned begun, closed, told_open;
} scene;

static void on_open(crew_conn *c)
{
	struct guest *guest = crew_data(c);
	assert_int_equal(guest->opened++, 0);
	scene.told_open++;
	crew_send(c, CREW_BYTES("opened"));
}

static void on_message(crew_conn *c, crew_msg msg)
{
	crew_send(c, msg.body);
	if (msg.body.len > 2)
		crew_close(c);
}

static void on_close(crew_conn *c)
{
	struct guest *guest = crew_data(c);
	assert_int_equal(guest->closed++, 0);
	assert_true(guest->opened || crew_connect_error(c));
	scene.closed++;
}

/* Three attempts are enough of each. */
static void on_retry(crew_conn *c)
{
	crew_send(c, CREW_BYTES("again"));
	if (++scene.begun > 2)
		crew_abort(c);
}

static const crew_service service = {
	.name = "out",
	.conn_size = sizeof(struct guest),
	.handshake_timeout_ms = 30,
	.linger_ms = 10,
	.on_open = on_open,
	.on_message = on_message,
	.on_close = on_close,
};
static const crew_service worker_service = { .name = "worker", .listen = "tcp://:1" };

static const crew_header headers[] = { { CREW_BYTES("X-A"), CREW_BYTES("b") },
	{ { NULL, 0 }, { NULL, 0 } } };

/* What is connected to: a peer that answers in that protocol and closes. */
static const struct {
	const char *scheme;
	crew_connect_options options;
	bool late; /* nobody listens before the second attempt */
} scenes[] = {
	{ "tcp", { .service = &service }, false },
	{ "text", { .service = &service, .retry_ms = 1, .retry_most_ms = 2, .on_retry = on_retry },
		false },
	{ "ws", { .service = &service, .headers = headers, .protocols = "a b" }, false },
	{ "ws", { .service = &service, .retry_ms = 1, .retry_most_ms = 2, .on_retry = on_retry },
		false },
	{ "tcp", { .service = &service, .retry_ms = 1, .retry_most_ms = 2, .on_retry = on_retry },
		true },
};

/* ---- the peer, by calls that do not fail ----------------------------------------------------- */

struct peer {
	int fd;
	bool answered;
	size_t len;
	char text[2048];
};

static void put(int fd, const char *text)
{
	(void)!write(fd, text, strlen(text));
}

static void answer_ws(struct peer *p)
{
	const char *key = strstr(p->text, "Sec-WebSocket-Key: ");
	char accept[29], answer[256];
	if (!key || !strstr(p->text, "\r\n\r\n") ||
		!crew__ws_accept((crew_bytes){ key + 19, 24 }, accept))
		return;
	snprintf(answer, sizeof(answer),
		"HTTP/1.1 101 Up\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Accept: %s\r\n\r\n\x81\x02hi\x81\x05hello",
		accept);
	put(p->fd, answer);
	p->answered = true;
}

static void serve(struct peer *p, const char *scheme)
{
	if (p->fd < 0)
		return;
	ssize_t n = read(p->fd, p->text + p->len, sizeof(p->text) - 1 - p->len);
	if (n > 0)
		p->len = (p->len + (size_t)n) % (sizeof(p->text) - 1);
	p->text[p->len] = '\0';
	if (!p->answered && strcmp(scheme, "ws") == 0) {
		answer_ws(p);
	} else if (!p->answered && p->len > 0) {
		put(p->fd, "hi\nhello\n");
		p->answered = true;
	} else if (n == 0 || strlen(p->text) > 1500) {
		close(p->fd);
		p->fd = -1;
	}
}

static int listen_here(unsigned *ret_port)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t size = sizeof(address);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	*ret_port = ntohs(address.sin_port);
	return fd;
}

/* ---- a scene --------------------------------------------------------------------------------- */

static void turns(size_t index, int listener)
{
	struct peer peers[PEERS];
	unsigned count = 0;
	for (int i = 0; i < TURNS && scene.world.worker->net.stats.slab->connections > 0; i++) {
		world_turn(&scene.world, 1);
		if (scenes[index].late && scene.begun == 2)
			listen(listener, 16);
		int fd = accept(listener, NULL, NULL);
		if (fd >= 0 && count < PEERS) {
			fcntl(fd, F_SETFL, O_NONBLOCK);
			peers[count++] = (struct peer){ .fd = fd };
		} else if (fd >= 0) {
			close(fd);
		}
		for (unsigned k = 0; k < count; k++)
			serve(&peers[k], scenes[index].scheme);
	}
	for (unsigned k = 0; k < count; k++)
		if (peers[k].fd >= 0)
			close(peers[k].fd);
}

static bool run(size_t index, enum fault_kind kind, unsigned n, bool lasting)
{
	char url[64];
	unsigned port;
	int listener = listen_here(&port);
	if (!scenes[index].late)
		assert_int_equal(listen(listener, 16), 0);
	snprintf(url, sizeof(url), "%s://127.0.0.1:%u", scenes[index].scheme, port);
	memset(&scene, 0, sizeof(scene));
	assert_true(world_open(&scene.world, &worker_service, CREW__ENGINE_EPOLL, NULL));
	fault_set(kind, n, lasting);
	errno = 0;
	crew_conn *c = crew_connect(url, &scenes[index].options);
	assert_true(c || errno == ENOMEM || errno == EINVAL);
	scene.begun = c ? 1 : 0;
	if (c)
		crew_send(c, CREW_BYTES("early"));
	turns(index, listener);
	bool hit = fault_hit();
	fault_set(FAULT_NONE, 0, false);
	if (kind == FAULT_NONE)
		assert_true(scene.told_open > 0);
	unsigned most = scene.begun;
	world_close(&scene.world);
	assert_in_range(scene.closed, most, most + 1); /* the last may not have been told of yet */
	close(listener);
	return hit;
}

static bool run_and_check(size_t index, enum fault_kind kind, unsigned n, bool lasting)
{
	if (n == 1) /* it plays as it should when nothing fails */
		run(index, FAULT_NONE, 0, false);
	return run(index, kind, n, lasting);
}

int main(void)
{
	static const struct fault_scenes all = {
		.count = crew__lengthof(scenes),
		.run = run_and_check,
		.kinds = { FAULT_MEMORY, FAULT_LOOP, FAULT_SHORT, FAULT_SEND_AGAIN,
			FAULT_SEND_RESET, FAULT_RECV_AGAIN, FAULT_RECV_RESET, FAULT_SOCKET,
			FAULT_CONNECT, FAULT_OPTION },
	};
	return fault_scenes_main(&all);
}
