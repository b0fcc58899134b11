/* main.c - crew_bench_floor MODE PORT: the loop of the modes with connections. One epoll_wait, one
 * read for each ready connection, and what the mode writes. */
#include "floor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX 256

static const struct mode *mode;
static int epoll_fd;
/* What is ready and is no connection; known by its address. */
static struct conn listener, terminator;
static bool stopped;
/* A stashed beginning is put before what is read. */
static char buffer[STASH_MAX + READ_SIZE];

static void set_events(struct conn *c, int op, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = c };

	epoll_ctl(epoll_fd, op, c->fd, &e);
}

bool floor_write(struct conn *c, const char *bytes, size_t len)
{
	ssize_t n = 0;
	char *rest;

	if (!c->rest) {
		n = send(c->fd, bytes, len, MSG_NOSIGNAL);
		if (n == (ssize_t)len)
			return true;
		if (n < 0 && errno != EAGAIN)
			return false;
		if (n < 0)
			n = 0;
		set_events(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
	}
	len -= (size_t)n;
	if (c->rest_len + len > REST_MAX)
		return false;
	rest = realloc(c->rest, c->rest_len + len);
	if (!rest)
		return false;
	memcpy(rest + c->rest_len, bytes + n, len);
	c->rest = rest;
	c->rest_len += len;
	return true;
}

static bool write_rest(struct conn *c)
{
	ssize_t n = send(c->fd, c->rest, c->rest_len, MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN;
	c->rest_len -= (size_t)n;
	memmove(c->rest, c->rest + n, c->rest_len);
	if (c->rest_len)
		return true;
	free(c->rest);
	c->rest = NULL;
	set_events(c, EPOLL_CTL_MOD, EPOLLIN);
	return true;
}

static void close_conn(struct conn *c)
{
	if (mode->on_close)
		mode->on_close(c);
	close(c->fd);
	free(c->stash);
	free(c->rest);
	free(c);
}

static bool keep(struct conn *c, const char *bytes, size_t len)
{
	char *stash;

	if (!len) {
		free(c->stash);
		c->stash = NULL;
		c->stash_len = 0;
		return true;
	}
	if (len > STASH_MAX)
		return false;
	stash = realloc(c->stash, len);
	if (!stash)
		return false;
	memcpy(stash, bytes, len);
	c->stash = stash;
	c->stash_len = (uint32_t)len;
	return true;
}

static bool on_readable(struct conn *c)
{
	size_t len = c->stash_len;
	int64_t used;
	ssize_t n;

	if (len)
		memcpy(buffer, c->stash, len);
	n = recv(c->fd, buffer + len, READ_SIZE, 0);
	if (n <= 0)
		return n < 0 && errno == EAGAIN;
	len += (size_t)n;
	used = mode->on_bytes(c, buffer, len);
	if (used < 0)
		return false;
	return ((size_t)used == len && !c->stash) || keep(c, buffer + used, len - (size_t)used);
}

static void on_acceptable(void)
{
	int fd = accept4(listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
	struct conn *c;

	if (fd < 0)
		return;
	c = calloc(1, sizeof(*c));
	if (!c) {
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c->fd = fd;
	set_events(c, EPOLL_CTL_ADD, EPOLLIN);
}

static void on_event(struct conn *c, uint32_t events)
{
	bool good = true;

	if (c == &listener) {
		on_acceptable();
		return;
	}
	if (c == &terminator) {
		stopped = true;
		return;
	}
	if (c->rest && (events & EPOLLOUT))
		good = write_rest(c);
	if (good && (events & ~(uint32_t)EPOLLOUT))
		good = on_readable(c);
	if (!good)
		close_conn(c);
}

static bool listen_on(uint16_t port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
	int on = 1;

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (listener.fd < 0 || setsockopt(listener.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
		bind(listener.fd, (struct sockaddr *)&at, sizeof(at)) ||
		listen(listener.fd, 1024)) {
		fprintf(stderr, "floor: port %u: %s\n", port, strerror(errno));
		return false;
	}
	set_events(&listener, EPOLL_CTL_ADD, EPOLLIN);
	return true;
}

/* A descriptor, for a handler could run just before the wait; and a clean exit, for callgrind
 * writes its counts then. */
static void listen_for_term(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	terminator.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	set_events(&terminator, EPOLL_CTL_ADD, EPOLLIN);
}

static const struct mode *mode_named(const char *name)
{
	static const struct mode *const modes[] = { &floor_http, &floor_ws, &floor_fanout };

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp(modes[i]->name, name) == 0)
			return modes[i];
	return NULL;
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS_MAX];

	bool udp = argc == 3 && strcmp(argv[1], "udp") == 0;

	mode = argc == 3 ? mode_named(argv[1]) : NULL;
	if (!mode && !udp) {
		fputs("usage: crew_bench_floor http|ws|fanout|udp PORT\n", stderr);
		return 2;
	}
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	listen_for_term();
	if (udp)
		return floor_udp(
			epoll_fd, terminator.fd, (uint16_t)strtoul(argv[2], NULL, 10));
	if (!listen_on((uint16_t)strtoul(argv[2], NULL, 10)))
		return 1;
	while (!stopped) {
		int count = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);

		for (int i = 0; i < count; i++)
			on_event(events[i].data.ptr, events[i].events);
		if (mode->on_turn)
			mode->on_turn();
	}
	/* What is still open is the kernel's to close. */
	_exit(0);
}
