/* file.c - mode `file`: one request at a time on each connection for a large answer, whose body
 * must be, byte for byte, the file that --expect-file names.
 *
 * The head is gathered in `stash`; from its end on `next_in` counts the body, which is compared
 * where it arrives. */
#include "gen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEAD_MAX 4096

static char request[512];
static size_t request_len;
static char *body;
static size_t body_len;

static void read_expected(const char *path)
{
	FILE *file = fopen(path, "rb");
	long size;

	if (!file || fseek(file, 0, SEEK_END) < 0 || (size = ftell(file)) <= 0)
		fail("cannot read %s", path);
	rewind(file);
	body_len = (size_t)size;
	body = must_alloc(body_len);
	if (fread(body, 1, body_len, file) != body_len)
		fail("cannot read %s", path);
	fclose(file);
}

static void send_request(struct gen *g, struct conn *c)
{
	c->waiting = run_take(&g->run, &g->o, 1);
	if (!c->waiting)
		return;
	c->sent_ns = g->now;
	send_bytes(g, c, request, request_len);
}

static void start(struct gen *g)
{
	int len = snprintf(request, sizeof(request),
		"GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUser-Agent: crew-bench\r\n"
		"Accept: */*\r\n\r\n",
		g->o.path, g->o.port);

	if (len < 0 || (size_t)len >= sizeof(request))
		fail("the path is too long");
	request_len = (size_t)len;
	if (!g->o.expect_file)
		fail("the mode file needs --expect-file");
	read_expected(g->o.expect_file);
	g->now = now_ns();
	for (unsigned i = 0; i < g->o.connections; i++) {
		g->conns[i].stash = must_alloc(HEAD_MAX + 1);
		send_request(g, &g->conns[i]);
	}
}

static void check_head(const struct conn *c, const char *end)
{
	static const char name[] = "\r\ncontent-length:";
	const size_t name_len = sizeof(name) - 1;

	if (strncmp(c->stash, "HTTP/1.1 200 ", 13) != 0)
		fail("not status 200: %.40s", c->stash);
	for (const char *at = c->stash; at + name_len < end; at++)
		if (*at == '\r' && strncasecmp(at, name, name_len) == 0) {
			if (strtoul(at + name_len, NULL, 10) != body_len)
				fail("the body has the wrong length");
			return;
		}
	fail("a response without Content-Length");
}

/* How many of the bytes belong to the head. What follows it is the body's. */
static size_t take_head(struct conn *c, const char *bytes, size_t len)
{
	size_t before = c->stash_len;
	size_t n = len < HEAD_MAX - before ? len : HEAD_MAX - before;
	const char *end;

	memcpy(c->stash + before, bytes, n);
	c->stash_len += n;
	end = memmem(c->stash, c->stash_len, "\r\n\r\n", 4);
	if (!end) {
		if (c->stash_len == HEAD_MAX)
			fail("connection %u: a head without end", c->index);
		return n;
	}
	check_head(c, end);
	c->at = 1;
	return (size_t)(end + 4 - c->stash) - before;
}

static size_t take_body(struct gen *g, struct conn *c, const char *bytes, size_t len)
{
	size_t left = body_len - (size_t)c->next_in, n = len < left ? len : left;

	if (memcmp(body + c->next_in, bytes, n) != 0)
		fail("the body is wrong");
	c->next_in += n;
	if (c->next_in < body_len)
		return n;
	run_answered(&g->run, &g->o, c->sent_ns, g->now);
	c->at = c->stash_len = 0;
	c->next_in = 0;
	c->waiting = 0;
	return n;
}

static void on_bytes(struct gen *g, struct conn *c, const char *bytes, size_t len)
{
	if (!c->waiting)
		fail("connection %u: more responses than requests", c->index);
	while (len > 0 && c->waiting) {
		size_t n = c->at ? take_body(g, c, bytes, len) : take_head(c, bytes, len);

		bytes += n;
		len -= n;
	}
	if (len > 0)
		fail("connection %u: bytes behind a response", c->index);
	if (!c->waiting)
		send_request(g, c);
}

const struct mode mode_file = { .name = "file", .start = start, .on_bytes = on_bytes };
