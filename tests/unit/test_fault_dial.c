/* test_fault_dial.c - names and dialling where calls fail: each allocation (those of c-ares too),
 * each socket, connect, getsockopt, epoll_ctl, send and recv in turn. It ends in time, once, with a
 * sentence or a socket; nothing leaks. */
#include "dial_ways.h"

#include "fault.h"

#include "base/clock.h"
#include "proto/http_connect.h"
#include "proto/socks5.h"

#include <ares.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

static const struct crew__preamble *const kinds[] = { &crew__socks5, &crew__http_connect, NULL };
static const struct dns_rule rules[] = {
	{ .name = "both.test", .data = "127.0.0.1 ::1" },
	{ .name = "late6.test", .type = DNS_A, .data = "127.0.0.1" },
	{ .name = "late6.test", .type = DNS_AAAA, .data = "::1", .delay_ms = 5 },
	{ .name = "long.test", .how = DNS_TRUNCATED, .data = "127.0.0.1" },
	{ .name = NULL },
};

/* ---- what is dialled ----------------------------------------------------------------------- */

struct scene {
	const char *name, *host, *proxy, *answer;
	size_t answer_len;
	bool local;
};

#define SOCKS "\x05\x02\x01\x00\x05\x00\x00\x01\x7f\x00\x00\x01\x1f\x90"
#define HTTP  "HTTP/1.1 200 OK\r\n\r\n"

static const struct scene scenes[] = {
	{ .name = "a number", .host = "127.0.0.1" },
	{ .name = "both families", .host = "both.test" },
	{ .name = "IPv6 a little later", .host = "late6.test" },
	{ .name = "names by TCP", .host = "long.test" },
	{ .name = "a local address", .host = "both.test", .local = true },
	{ .name = "SOCKS",
		.host = "feed.example",
		.proxy = "socks5://me:secret@both.test:%u",
		.answer = SOCKS,
		.answer_len = sizeof(SOCKS) - 1 },
	{ .name = "HTTP",
		.host = "feed.example",
		.proxy = "http://me:secret@127.0.0.1:%u",
		.answer = HTTP,
		.answer_len = sizeof(HTTP) - 1 },
};

static void on_done(int fd, const char *why, crew_bytes rest, void *arg)
{
	struct dialled *d = arg;
	(void)rest;
	assert_true(fd >= 0 ? why == NULL : strlen(why) > 5);
	snprintf(d->why, sizeof(d->why), "%s", why ? why : "");
	d->count++;
	d->fd = fd;
}

/* What the proxy says comes all at once: our side must not care what was asked. */
static void answer(int listener, int *link, const struct scene *scene)
{
	if (*link >= 0 || !scene->answer)
		return;
	*link = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (*link >= 0)
		(void)!write(*link, scene->answer, scene->answer_len);
}

/* True when a socket came of it. */
static bool play(struct dial_world *world, const struct scene *scene, unsigned port, int listener,
	enum fault_kind kind, unsigned n, bool lasting, bool *ret_hit)
{
	struct dialled d = { .fd = -1 };
	struct crew__resolver *resolver = NULL;
	char url[64], error[256] = "";
	int link = -1;
	snprintf(url, sizeof(url), scene->proxy ? scene->proxy : "%u", port);
	struct crew__dial_plan plan = { .loop = world->loop,
		.preambles = kinds,
		.host = scene->host,
		.port = (uint16_t)port,
		.proxy = scene->proxy ? url : NULL,
		.local = scene->local ? "127.0.0.3" : NULL,
		.type = SOCK_STREAM,
		.timeout_ms = 250,
		.done = on_done,
		.arg = &d };
	uint64_t give_up = crew__clock_ns() + 20 * CREW__NS_PER_S;
	fault_set(kind, n, lasting);
	int status = crew__resolver_new_from(
		world->loop, world->dns.servers, "/dev/null", &resolver);
	assert_true(status == 0 || status == -ENOMEM || status == -EIO);
	plan.resolver = resolver;
	struct crew__dial *dial = resolver ? crew__dial_start(&plan, error, sizeof(error)) : NULL;
	assert_true(dial || !resolver || strlen(error) > 5);
	while (dial && d.count == 0) {
		crew__loop_turn(world->loop, 50);
		answer(listener, &link, scene);
		assert_true(crew__clock_ns() < give_up);
	}
	crew__loop_turn(world->loop, 0);
	crew__resolver_free(resolver);
	for (int i = 0; i < 3; i++) /* the name server sees who has gone */
		crew__loop_turn(world->loop, 0);
	*ret_hit = fault_hit();
	fault_set(FAULT_NONE, 0, false);
	assert_true(d.count == (dial ? 1u : 0u));
	if (d.fd >= 0)
		close(d.fd);
	if (link >= 0)
		close(link);
	/* Whoever else came and was not accepted goes here. */
	while ((link = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
		close(link);
	return d.fd >= 0;
}

static int listen_both(unsigned *ret_port)
{
	struct sockaddr_in6 address = { .sin6_family = AF_INET6 };
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), off = 0;
	assert_true(fd >= 0);
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	*ret_port = ntohs(address.sin6_port);
	return fd;
}

/* The n-th call fails, for every n that is reached. */
static void fail_each(void **state, enum fault_kind kind, bool lasting)
{
	struct dial_world *world = *state;
	unsigned port;
	int listener = listen_both(&port);
	unsigned hits = 0;
	for (size_t i = 0; i < crew__lengthof(scenes); i++) {
		bool hit;
		assert_true(play(world, &scenes[i], port, listener, FAULT_NONE, 0, false, &hit));
		hit = true;
		for (unsigned n = 1; hit; n++) {
			unsigned fds = dial_count_fds();
			play(world, &scenes[i], port, listener, kind, n, lasting, &hit);
			if (dial_count_fds() != fds)
				fail_msg("%s, %s %u: a descriptor was left", scenes[i].name,
					fault_name(kind), n);
			assert_true(n < 1000);
			hits += hit;
		}
	}
	assert_true(hits > 0);
	close(listener);
}

static void without_memory(void **state)
{
	fail_each(state, FAULT_MEMORY, false);
	fail_each(state, FAULT_MEMORY, true);
}

static void without_sockets(void **state)
{
	fail_each(state, FAULT_SOCKET, false);
	fail_each(state, FAULT_SOCKET, true);
}

static void without_ways(void **state)
{
	fail_each(state, FAULT_CONNECT, false);
	fail_each(state, FAULT_CONNECT, true);
}

static void without_options(void **state)
{
	fail_each(state, FAULT_OPTION, false);
}

static void without_being_watched(void **state)
{
	fail_each(state, FAULT_LOOP, false);
	fail_each(state, FAULT_LOOP, true);
}

static void with_broken_connections(void **state)
{
	fail_each(state, FAULT_SEND_RESET, false);
	fail_each(state, FAULT_RECV_RESET, false);
	fail_each(state, FAULT_SEND_AGAIN, false);
	fail_each(state, FAULT_RECV_AGAIN, false);
	fail_each(state, FAULT_SHORT, true);
}

static int set_up(void **state)
{
	return dial_set_up(state, CREW__ENGINE_EPOLL, rules);
}

/* fault.c stands before malloc of our own files only; by these c-ares asks there too. */
static void *allocate(size_t size)
{
	return malloc(size);
}

static void *reallocate(void *old, size_t size)
{
	return realloc(old, size);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(without_memory, set_up, dial_tear_down),
		cmocka_unit_test_setup_teardown(without_sockets, set_up, dial_tear_down),
		cmocka_unit_test_setup_teardown(without_ways, set_up, dial_tear_down),
		cmocka_unit_test_setup_teardown(without_options, set_up, dial_tear_down),
		cmocka_unit_test_setup_teardown(without_being_watched, set_up, dial_tear_down),
		cmocka_unit_test_setup_teardown(with_broken_connections, set_up, dial_tear_down),
	};
	ares_library_init_mem(ARES_LIB_INIT_ALL, allocate, free, reallocate);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	ares_library_cleanup();
	return failed;
}
