/* http.c - mode `http`: keep-alive requests, `depth` of them pipelined in one write; and mode
 * `handshake`: a connection for each request, which is closed (by a reset) when it is answered.
 * With TLS that is a full handshake each time: no session is resumed.
 *
 * Every response must have status 200, a Content-Length and the expected body. Most responses are
 * the same bytes as the one before: those are known to be right by one comparison. */
#include "gen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define RESPONSE_MAX 4096

/* One generator runs one mode, so its state may live here. */
static char *requests;
static size_t request_len;
static char known[RESPONSE_MAX];
static size_t known_len;

static void send_window(struct gen *g, struct conn *c)
{
	unsigned count = run_take(&g->run, &g->o, g->o.depth);

	if (!count)
		return;
	c->waiting = count;
	c->sent_ns = g->now;
	if (g->mode->fresh)
		redial(g, c);
	else
		send_bytes(g, c, requests, count * request_len);
}

static void on_ready(struct gen *g, struct conn *c)
{
	send_bytes(g, c, requests, request_len);
}

static void start(struct gen *g)
{
	char request[512];
	int len = snprintf(request, sizeof(request),
		"GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUser-Agent: crew-bench\r\n"
		"Accept: */*\r\n\r\n",
		g->o.path, g->o.port);

	if (len < 0 || (size_t)len >= sizeof(request))
		fail("the path is too long");
	request_len = (size_t)len;
	requests = must_alloc(request_len * g->o.depth);
	for (unsigned i = 0; i < g->o.depth; i++)
		memcpy(requests + i * request_len, request, request_len);
	g->now = now_ns();
	for (unsigned i = 0; i < g->o.connections; i++)
		send_window(g, &g->conns[i]);
}

/* The value of Content-Length in the head of `len` bytes; there must be one. */
static size_t content_length(const char *head, size_t len)
{
	static const char name[] = "\r\ncontent-length:";
	const size_t name_len = sizeof(name) - 1;

	for (size_t at = 0; at + name_len < len; at++)
		if (head[at] == '\r' && strncasecmp(head + at, name, name_len) == 0)
			return strtoul(head + at + name_len, NULL, 10);
	fail("a response without Content-Length");
}

/* The length of the response at `bytes`, checked; 0 when its end has not come. */
static size_t parse(const struct gen *g, const char *bytes, size_t len)
{
	size_t expect = strlen(g->o.expect), head;
	const char *end;

	end = memmem(bytes, len, "\r\n\r\n", 4);
	if (!end)
		return 0;
	head = (size_t)(end + 4 - bytes);
	if (strncmp(bytes, "HTTP/1.1 200 ", 13) != 0)
		fail("not status 200: %.40s", bytes);
	if (content_length(bytes, head) != expect)
		fail("the body has the wrong length");
	if (len < head + expect)
		return 0;
	if (memcmp(bytes + head, g->o.expect, expect) != 0)
		fail("the body is wrong");
	return head + expect;
}

static size_t take_response(const struct gen *g, const char *bytes, size_t len)
{
	size_t n;

	if (known_len && len >= known_len && memcmp(bytes, known, known_len) == 0)
		return known_len;
	n = parse(g, bytes, len);
	if (n && n <= sizeof(known)) {
		memcpy(known, bytes, n);
		known_len = n;
	}
	return n;
}

static void keep(struct conn *c, const char *bytes, size_t len)
{
	if (len > RESPONSE_MAX)
		fail("connection %u: a response without end", c->index);
	if (!c->stash)
		c->stash = must_alloc(IN_SIZE + RESPONSE_MAX + 1);
	memmove(c->stash, bytes, len);
	c->stash_len = len;
}

static void on_bytes(struct gen *g, struct conn *c, const char *bytes, size_t len)
{
	size_t n;

	if (c->stash_len) {
		memcpy(c->stash + c->stash_len, bytes, len);
		bytes = c->stash;
		len += c->stash_len;
		c->stash_len = 0;
	}
	while (len && (n = take_response(g, bytes, len))) {
		bytes += n;
		len -= n;
		if (!c->waiting)
			fail("connection %u: more responses than requests", c->index);
		c->waiting--;
		run_answered(&g->run, &g->o, c->sent_ns, g->now);
	}
	if (len)
		keep(c, bytes, len);
	else if (!c->waiting)
		send_window(g, c);
}

const struct mode mode_http = { .name = "http", .start = start, .on_bytes = on_bytes };

const struct mode mode_handshake = {
	.name = "handshake",
	.fresh = true,
	.start = start,
	.on_bytes = on_bytes,
	.on_ready = on_ready,
};
