/* udp.c - mode `udp`: numbered datagrams that must come back as they went, each of the window once,
 * in any order. One that is lost ends the run as failed: so few are under way that the kernel can
 * hold them all. */
#include "gen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define LONGEST   65507
#define IN_FLIGHT 128

int dial_udp(uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)))
		fail("UDP port %u: %s", port, strerror(errno));
	return fd;
}

static void send_one(struct gen *g, struct conn *c)
{
	char *out = (char *)g->pattern;
	char digits[HEAD_DIGITS + 1];

	snprintf(digits, sizeof(digits), "%016llx%04x", (unsigned long long)c->next_out++,
		c->index & 0xffff);
	memcpy(out, digits, HEAD_DIGITS);
	if (send(c->fd, out, g->o.payload, MSG_NOSIGNAL) != (ssize_t)g->o.payload)
		fail("connection %u: send: %s", c->index, strerror(errno));
}

static void send_window(struct gen *g, struct conn *c)
{
	unsigned count = run_take(&g->run, &g->o, g->o.depth);

	c->waiting = count;
	c->sent_ns = g->now;
	c->next_in = c->next_out;
	c->answered = 0;
	for (unsigned i = 0; i < count; i++)
		send_one(g, c);
}

static void start(struct gen *g)
{
	if (g->o.payload > LONGEST || g->o.depth > 64 || g->o.connections * g->o.depth > IN_FLIGHT)
		fail("udp: a payload of at most %d, a depth of at most 64, and at most %d in all",
			LONGEST, IN_FLIGHT);
	g->pattern = must_alloc(g->o.payload);
	for (size_t i = 0; i < g->o.payload; i++)
		g->pattern[i] = (uint8_t)('a' + i % 26);
	g->now = now_ns();
	for (unsigned i = 0; i < g->o.connections; i++)
		send_window(g, &g->conns[i]);
}

static void check(struct gen *g, struct conn *c, const char *bytes, size_t len)
{
	char digits[HEAD_DIGITS + 1] = "";
	unsigned long long place;

	if (len == g->o.payload)
		memcpy(digits, bytes, HEAD_DIGITS);
	if (len != g->o.payload || strtoul(digits + 16, NULL, 16) != (c->index & 0xffff) ||
		memcmp(bytes + HEAD_DIGITS, g->pattern + HEAD_DIGITS, len - HEAD_DIGITS) != 0)
		fail("connection %u: an echo of something else", c->index);
	digits[16] = '\0';
	place = strtoull(digits, NULL, 16) - c->next_in;
	if (place >= g->o.depth || (c->answered & UINT64_C(1) << place))
		fail("connection %u: an echo of something else, or twice", c->index);
	c->answered |= UINT64_C(1) << place;
}

static void on_bytes(struct gen *g, struct conn *c, const char *bytes, size_t len)
{
	check(g, c, bytes, len);
	if (!c->waiting)
		fail("connection %u: an echo that nobody asked for", c->index);
	c->waiting--;
	run_answered(&g->run, &g->o, c->sent_ns, g->now);
	if (!c->waiting)
		send_window(g, c);
}

const struct mode mode_udp = {
	.name = "udp",
	.datagrams = true,
	.start = start,
	.on_bytes = on_bytes,
};
