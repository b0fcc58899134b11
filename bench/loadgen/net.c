/* net.c - the generator's sockets and its loop.
 *
 * Connections are made one after the other and blocking: that is simple, takes 50 us each, and is
 * over before anything is measured. Then they are non-blocking. */
#include "gen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define EVENTS_MAX       1024
#define PATIENCE_SECONDS 30

void fail(const char *format, ...)
{
	va_list args;

	fputs("loadgen: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

void *must_alloc(size_t size)
{
	void *p = calloc(1, size);

	if (!p)
		fail("no memory for %zu bytes", size);
	return p;
}

int dial(uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct timeval limit = { .tv_sec = 10 };
	/* Reset on close: thousands of connections a run would fill the port range in TIME_WAIT. */
	struct linger reset = { .l_onoff = 1 };
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0)
		fail("socket: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)))
		fail("connect to port %u: %s", port, strerror(errno));
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) ||
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ||
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) ||
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)))
		fail("setsockopt: %s", strerror(errno));
	return fd;
}

ssize_t receive_some(struct conn *c, void *room, size_t size, int flags)
{
	return c->tls ? tls_receive(c, room, size, flags & MSG_PEEK)
		      : recv(c->fd, room, size, flags);
}

ssize_t send_some(struct conn *c, const void *bytes, size_t len, int flags)
{
	return c->tls ? tls_send(c, bytes, len) : send(c->fd, bytes, len, flags | MSG_NOSIGNAL);
}

void write_all(struct conn *c, const void *bytes, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = send_some(c, (const char *)bytes + at, len - at, 0);

		if (n < 0)
			fail("send: %s", strerror(errno));
		at += (size_t)n;
	}
}

static void set_events(struct gen *g, struct conn *c, int op, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = c };

	if (epoll_ctl(g->epoll_fd, op, c->fd, &e))
		fail("epoll_ctl: %s", strerror(errno));
}

void watch(struct gen *g, struct conn *c)
{
	/* OpenSSL has no MSG_DONTWAIT. */
	if (g->o.tls && fcntl(c->fd, F_SETFL, O_NONBLOCK))
		fail("fcntl: %s", strerror(errno));
	set_events(g, c, EPOLL_CTL_ADD, EPOLLIN);
}

/* How many bytes the kernel took. */
static size_t offer(struct conn *c, const void *bytes, size_t len)
{
	ssize_t n = send_some(c, bytes, len, MSG_DONTWAIT);

	if (n >= 0)
		return (size_t)n;
	if (errno != EAGAIN)
		fail("connection %u: send: %s", c->index, strerror(errno));
	return 0;
}

static void keep_rest(struct gen *g, struct conn *c, const char *bytes, size_t len)
{
	size_t old = c->rest_len - c->rest_at;
	char *rest = must_alloc(old + len);

	if (old)
		memcpy(rest, c->rest + c->rest_at, old);
	else
		set_events(g, c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
	memcpy(rest + old, bytes, len);
	free(c->rest);
	c->rest = rest;
	c->rest_at = 0;
	c->rest_len = old + len;
}

void send_bytes(struct gen *g, struct conn *c, const void *bytes, size_t len)
{
	size_t taken = c->rest ? 0 : offer(c, bytes, len);

	if (taken < len)
		keep_rest(g, c, (const char *)bytes + taken, len - taken);
}

static void send_rest(struct gen *g, struct conn *c)
{
	c->rest_at += offer(c, c->rest + c->rest_at, c->rest_len - c->rest_at);
	if (c->rest_at < c->rest_len)
		return;
	free(c->rest);
	c->rest = NULL;
	c->rest_len = c->rest_at = 0;
	set_events(g, c, EPOLL_CTL_MOD, EPOLLIN);
}

static void receive(struct gen *g, struct conn *c)
{
	ssize_t n = receive_some(c, g->in, IN_SIZE, MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n < 0)
		fail("connection %u: receive: %s", c->index, strerror(errno));
	if (n == 0)
		fail("connection %u: the server closed it", c->index);
	g->now = now_ns();
	g->mode->on_bytes(g, c, g->in, (size_t)n);
}

static void shake(struct gen *g, struct conn *c)
{
	if (!tls_shake(c))
		return;
	c->shaking = false;
	g->mode->on_ready(g, c);
}

void redial(struct gen *g, struct conn *c)
{
	if (c->tls)
		tls_end(c);
	if (c->fd >= 0)
		close(c->fd);
	c->fd = dial(g->o.port);
	watch(g, c);
	if (!g->o.tls) {
		g->mode->on_ready(g, c);
		return;
	}
	tls_begin(c);
	c->shaking = true;
	shake(g, c);
}

/* A line or the end: the caller says go on. */
static void receive_stdin(struct gen *g)
{
	char line[256];

	if (read(STDIN_FILENO, line, sizeof(line)) < 0)
		fail("stdin: %s", strerror(errno));
	g->told = true;
	epoll_ctl(g->epoll_fd, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
}

static void turn(struct gen *g, int timeout_ms)
{
	struct epoll_event events[EVENTS_MAX];
	int count = epoll_wait(g->epoll_fd, events, EVENTS_MAX, timeout_ms);

	if (count < 0 && errno != EINTR)
		fail("epoll_wait: %s", strerror(errno));
	for (int i = 0; i < count; i++) {
		struct conn *c = events[i].data.ptr;

		if (!c) {
			receive_stdin(g);
			continue;
		}
		if (c->rest && (events[i].events & EPOLLOUT))
			send_rest(g, c);
		if (c->shaking)
			shake(g, c);
		else if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
			receive(g, c);
	}
	g->now = now_ns();
}

void loop_run(struct gen *g)
{
	int timeout_ms = g->o.rate > 0 ? 1 : 10;

	while (g->run.phase != PHASE_DONE || (g->mode->settled && !g->mode->settled(g))) {
		turn(g, timeout_ms);
		if (g->mode->on_turn)
			g->mode->on_turn(g);
		run_tick(&g->run, &g->o, g->now);
		if (g->now > g->run.last_ns + PATIENCE_SECONDS * NS_PER_SECOND)
			fail("no answer for %d seconds", PATIENCE_SECONDS);
	}
}

void loop_hold(struct gen *g)
{
	struct epoll_event e = { .events = EPOLLIN };

	if (epoll_ctl(g->epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &e))
		fail("to wait, stdin must be a pipe or a terminal: %s", strerror(errno));
	g->told = false;
	while (!g->told)
		turn(g, -1);
}
