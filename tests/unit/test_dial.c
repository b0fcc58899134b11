/* test_dial.c - from names to sockets: families, failures, time, Unix sockets; on both engines.
 * What goes through proxies is in test_dial_proxy.c. */
#include "dial_ways.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

/* 192.0.2.0/24 and 2001:db8::/32 are nobody's: what is sent there is dropped, or refused at once by
 * a machine without a way there. 240.0.0.1 never has one. */
static const struct dns_rule rules[] = {
	{ .name = "both.test", .data = "127.0.0.1 ::1" },
	{ .name = "four.test", .type = DNS_A, .data = "127.0.0.1" },
	{ .name = "four.test", .type = DNS_AAAA },
	{ .name = "late6.test", .type = DNS_A, .data = "127.0.0.1" },
	{ .name = "late6.test", .type = DNS_AAAA, .data = "::1", .delay_ms = 20 },
	{ .name = "later6.test", .type = DNS_A, .data = "127.0.0.1" },
	{ .name = "later6.test", .type = DNS_AAAA, .data = "::1", .delay_ms = 300 },
	{ .name = "dead6.test", .type = DNS_A, .data = "127.0.0.1" },
	{ .name = "dead6.test", .type = DNS_AAAA, .how = DNS_SILENT },
	{ .name = "nobody.test", .data = "127.0.0.1 127.0.0.2 ::1" },
	{ .name = "second.test", .type = DNS_A, .data = "127.0.0.9 127.0.0.8 127.0.0.1" },
	{ .name = "second.test", .type = DNS_AAAA },
	{ .name = "deaf.test", .how = DNS_SILENT },
	{ .name = NULL },
};

static int set_up_epoll(void **state)
{
	return dial_set_up(state, CREW__ENGINE_EPOLL, rules);
}

static int set_up_poll(void **state)
{
	return dial_set_up(state, CREW__ENGINE_POLL, rules);
}

/* ---- what stands --------------------------------------------------------------------------- */

static void connects_to_a_number(void **state)
{
	struct dial_world *world = *state;
	struct dialled d = { 0 };
	int one = 0;
	socklen_t size = sizeof(one);
	unsigned port = dial_listen(world, "127.0.0.1", 0);
	dial(world, &d, "127.0.0.1", port, NULL);
	assert_int_equal(d.count, 0); /* never from inside */
	dial_until(world, &d);
	assert_true(d.fd >= 0);
	assert_int_equal(fcntl(d.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(fcntl(d.fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	assert_int_equal(getsockopt(d.fd, IPPROTO_TCP, TCP_NODELAY, &one, &size), 0);
	assert_int_not_equal(one, 0);
	assert_int_equal(d.rest_len, 0);
	dial_say_hello(world, d.fd);
}

static void prefers_ipv6(void **state)
{
	struct dial_world *world = *state;
	struct dialled d = { 0 };
	unsigned port = dial_listen(world, "127.0.0.1", 0);
	dial_listen(world, "::1", port);
	dial(world, &d, "both.test", port, NULL);
	dial_until(world, &d);
	assert_string_equal(dial_peer(d.fd), "::1");
}

static void falls_back_to_ipv4(void **state)
{
	struct dial_world *world = *state;
	struct dialled d = { 0 };
	unsigned port = dial_listen(world, "127.0.0.1", 0);
	dial(world, &d, "both.test", port, NULL);
	dial_until(world, &d);
	assert_string_equal(dial_peer(d.fd), "127.0.0.1");
	assert_true(d.took_ms < 200); /* a refusal is no reason to wait */
}

static void waits_a_little_for_ipv6(void **state)
{
	struct dial_world *world = *state;
	struct dialled d = { 0 }, later = { 0 };
	unsigned port = dial_listen(world, "127.0.0.1", 0);
	dial_listen(world, "::1", port);
	dial(world, &d, "late6.test", port, NULL);
	dial_until(world, &d);
	assert_string_equal(dial_peer(d.fd), "::1");
	dial(world, &later, "later6.test", port, NULL);
	dial_until(world, &later);
	assert_string_equal(dial_peer(later.fd), "127.0.0.1");
	assert_in_range(later.took_ms, 40, 250);
}

/* What becomes known later is tried when all else has failed, and not before it is known. */
static void tries_what_comes_late(void **state)
{
	struct dial_world *world = *state;
	struct dialled d = { 0 };
	unsigned port = dial_listen(world, "::1", 0);
	dial(world, &d, "later6.test", port, NULL);
	dial_until(world, &d);
	assert_string_equal(dial_peer(d.fd), "::1");
	assert_true(d.took_ms >= 250);
}

static void does_not_wait_for_a_silent_server(void **state)
{
	struct dial_world *world = *state;
	struct dialled d = { 0 };
	unsigned port = dial_listen(world, "127.0.0.1", 0);
	dial(world, &d, "dead6.test", port, NULL);
	dial_until(world, &d);
	assert_string_equal(dial_peer(d.fd), "127.0.0.1");
	assert_true(d.took_ms < 400);
}

static void tries_every_address(void **state)
{
	struct dial_world *world = *state;
	struct dialled d = { 0 };
	unsigned port = dial_listen(world, "127.0.0.1", 0);
	dial(world, &d, "second.test", port, NULL);
	dial_until(world, &d);
	assert_string_equal(dial_peer(d.fd), "127.0.0.1");
}

/* An address that swallows everything: the next one is tried after 250 ms. A full backlog drops
 * what comes to it. */
static void does_not_wait_for_a_black_hole(void **state)
{
	struct dial_world *world = *state;
	struct dialled d = { 0 };
	unsigned port = dial_black_hole(world, "::1", 0);
	dial_listen(world, "127.0.0.1", port);
	dial(world, &d, "both.test", port, NULL);
	dial_until(world, &d);
	assert_string_equal(dial_peer(d.fd), "127.0.0.1");
	assert_in_range(d.took_ms, 230, 600);
}

static void binds_to_a_local_address(void **state)
{
	struct dial_world *world = *state;
	struct dialled d = { 0 }, other = { 0 }, none = { 0 };
	unsigned port = dial_listen(world, "127.0.0.1", 0);
	dial(world, &d, "both.test", port, &(struct crew__dial_plan){ .local = "127.0.0.7" });
	dial_until(world, &d);
	assert_string_equal(dial_own(d.fd), "127.0.0.7");
	dial(world, &other, "127.0.0.1", port, &(struct crew__dial_plan){ .local = "::1" });
	dial_until(world, &other);
	assert_int_equal(other.fd, -EADDRNOTAVAIL);
	assert_non_null(strstr(other.why, "of the same family"));
	dial(world, &none, "127.0.0.1", port, &(struct crew__dial_plan){ .local = "192.0.2.1" });
	dial_until(world, &none);
	assert_int_equal(none.fd, -EADDRNOTAVAIL);
	assert_non_null(strstr(none.why, "must be one of this machine"));
}

/* ---- datagrams ----------------------------------------------------------------------------- */

static void connects_datagrams(void **state)
{
	struct dial_world *world = *state;
	struct dialled d = { 0 }, bound = { 0 };
	dial(world, &d, "both.test", 9, &(struct crew__dial_plan){ .type = SOCK_DGRAM });
	dial_until(world, &d);
	assert_true(d.fd >= 0);
	assert_string_equal(dial_peer(d.fd), "::1");
	dial(world, &bound, "127.0.0.1", 9,
		&(struct crew__dial_plan){ .type = SOCK_DGRAM, .local = "127.0.0.5" });
	dial_until(world, &bound);
	assert_string_equal(dial_own(bound.fd), "127.0.0.5");
}

/* ---- Unix sockets -------------------------------------------------------------------------- */

static void connects_to_a_path(void **state)
{
	struct dial_world *world = *state;
	struct dialled d = { 0 }, abstract = { 0 }, missing = { 0 }, refused = { 0 };
	char path[64], name[64];
	snprintf(path, sizeof(path), "/tmp/crew-test-dial-%d", getpid());
	snprintf(name, sizeof(name), "@crew-test-dial-%d", getpid());
	int fd = dial_listen_unix(world, path, 8);
	dial_listen_unix(world, name, 8);
	dial_unix(world, &d, path);
	dial_until(world, &d);
	assert_true(d.fd >= 0);
	dial_unix(world, &abstract, name);
	dial_until(world, &abstract);
	assert_true(abstract.fd >= 0);
	dial_forget(world, fd);
	dial_unix(world, &refused, path);
	dial_until(world, &refused);
	assert_int_equal(refused.fd, -ECONNREFUSED);
	unlink(path);
	dial_unix(world, &missing, path);
	dial_until(world, &missing);
	assert_int_equal(missing.fd, -ENOENT);
	assert_non_null(strstr(missing.why, path));
	assert_non_null(strstr(missing.why, "is the program that serves it running?"));
}

/* The kernel does not tell when there is room again. */
static void waits_for_a_full_backlog(void **state)
{
	struct dial_world *world = *state;
	struct dialled d = { 0 }, late = { 0 };
	char name[64];
	snprintf(name, sizeof(name), "@crew-test-full-%d", getpid());
	int fd = dial_listen_unix(world, name, 0), first = dial_raw_unix(world, name);
	assert_true(first >= 0);
	dial_unix(world, &d, name);
	dial_pass(world, 100);
	assert_int_equal(d.count, 0);
	dial_keep(world, accept(fd, NULL, NULL));
	dial_until(world, &d);
	assert_true(d.fd >= 0);
	late.timeout_ms = 100;
	dial_unix(world, &late, name);
	dial_until(world, &late);
	assert_int_equal(late.fd, -ETIMEDOUT);
	assert_non_null(strstr(late.why, "too many wait to be accepted there"));
}

/* ---- failures ------------------------------------------------------------------------------ */

static void tells_who_refused(void **state)
{
	struct dial_world *world = *state;
	struct dialled d = { 0 };
	unsigned port = dial_free_port(world);
	char expected[256];
	dial(world, &d, "127.0.0.1", port, NULL);
	dial_until(world, &d);
	assert_int_equal(d.fd, -ECONNREFUSED);
	snprintf(expected, sizeof(expected),
		"cannot connect to 127.0.0.1:%u: Connection refused; nobody listens there, or a "
		"firewall refuses",
		port);
	assert_string_equal(d.why, expected);
}

static void tells_the_most_telling(void **state)
{
	struct dial_world *world = *state;
	struct dialled d = { 0 };
	dial(world, &d, "nobody.test", dial_free_port(world), NULL);
	dial_until(world, &d);
	assert_int_equal(d.fd, -ECONNREFUSED);
	assert_non_null(strstr(d.why, "cannot connect to nobody.test:"));
	assert_non_null(strstr(d.why, " refused ("));
}

static void tells_what_cannot_be_resolved(void **state)
{
	struct dial_world *world = *state;
	struct dialled unknown = { 0 }, bad = { 0 }, deaf = { .timeout_ms = 300 };
	dial(world, &unknown, "unknown.test", 80, NULL);
	dial_until(world, &unknown);
	assert_int_equal(unknown.fd, -ENOENT);
	assert_string_equal(unknown.why, "cannot resolve unknown.test: no such name");
	dial(world, &bad, "a b", 80, NULL);
	dial_until(world, &bad);
	assert_int_equal(bad.fd, -EINVAL);
	dial(world, &deaf, "deaf.test", 80, NULL);
	dial_until(world, &deaf);
	assert_int_equal(deaf.fd, -ETIMEDOUT);
	assert_string_equal(deaf.why, "cannot resolve deaf.test: the name servers do not answer");
	assert_in_range(deaf.took_ms, 290, 800);
}

static void gives_up_in_time(void **state)
{
	struct dial_world *world = *state;
	struct dialled d = { .timeout_ms = 300 };
	char expected[256];
	unsigned port = dial_black_hole(world, "127.0.0.1", 0);
	dial(world, &d, "four.test", port, NULL);
	dial_until(world, &d);
	assert_int_equal(d.fd, -ETIMEDOUT);
	assert_in_range(d.took_ms, 290, 800);
	snprintf(expected, sizeof(expected),
		"cannot connect to four.test:%u within 300 ms: no answer (127.0.0.1:%u); is the "
		"address right, and does a firewall drop it?",
		port, port);
	assert_string_equal(d.why, expected);
}

/* One timeout is for all of it, and 0 is at once. */
static void times_out_at_once(void **state)
{
	struct dial_world *world = *state;
	struct dialled d = { .timeout_ms = 0, .at_once = true },
		       never = { .timeout_ms = UINT64_MAX };
	unsigned port = dial_listen(world, "127.0.0.1", 0);
	dial(world, &d, "four.test", port, NULL);
	dial_until(world, &d);
	assert_int_equal(d.fd, -ETIMEDOUT);
	dial(world, &never, "four.test", port, NULL);
	dial_until(world, &never);
	assert_true(never.fd >= 0);
}

static void refuses_what_is_not_sound(void **state)
{
	static char long_path[200];
	static const struct crew__dial_plan plans[] = {
		{ .type = SOCK_STREAM },
		{ .type = SOCK_STREAM, .host = "h", .port = 1, .unix_path = "/x" },
		{ .type = SOCK_RAW, .host = "h", .port = 1 },
		{ .host = "h", .port = 1 },
		{ .type = SOCK_STREAM, .host = "h" },
		{ .type = SOCK_STREAM, .unix_path = "" },
		{ .type = SOCK_STREAM, .unix_path = "@" },
		{ .type = SOCK_STREAM, .unix_path = long_path },
		{ .type = SOCK_STREAM, .unix_path = "/x", .local = "127.0.0.1" },
		{ .type = SOCK_STREAM, .unix_path = "/x", .proxy = "socks5://p:1" },
		{ .type = SOCK_DGRAM, .host = "h", .port = 1, .proxy = "socks5://p:1" },
		{ .type = SOCK_STREAM, .host = "h", .port = 1, .local = "localhost" },
		{ .type = SOCK_STREAM, .host = "h", .port = 1, .local = "" },
	};
	struct dial_world *world = *state;
	memset(long_path, 'x', sizeof(long_path) - 1);
	for (size_t i = 0; i < crew__lengthof(plans); i++) {
		struct crew__dial_plan plan = plans[i];
		char error[256] = "";
		plan.loop = world->loop;
		plan.resolver = world->resolver;
		assert_null(crew__dial_start(&plan, error, sizeof(error)));
		assert_true(strlen(error) > 10);
		assert_string_not_equal(error, "out of memory");
	}
}

/* ---- stopping ------------------------------------------------------------------------------ */

static void stops_at_every_moment(void **state)
{
	static const char *const hosts[] = { "127.0.0.1", "both.test", "later6.test",
		"dead6.test" };
	struct dial_world *world = *state;
	unsigned port = dial_black_hole(world, "::1", 0);
	dial_listen(world, "127.0.0.1", port);
	for (size_t h = 0; h < crew__lengthof(hosts); h++)
		for (unsigned turns = 0; turns < 8; turns++) {
			struct dialled d = { 0 };
			dial(world, &d, hosts[h], port, NULL);
			for (unsigned i = 0; i < turns && d.dial; i++)
				crew__loop_turn(world->loop, 10);
			unsigned count = d.count;
			if (d.dial)
				crew__dial_stop(d.dial);
			dial_pass(world, 5);
			assert_int_equal(d.count, count);
		}
}

/* Others are under way when one ends, and its callback dials again. */
static void dial_again(struct dialled *d)
{
	if (d->next)
		dial(d->world, d->next, "127.0.0.1", d->port, NULL);
}

static void dials_from_a_callback(void **state)
{
	struct dial_world *world = *state;
	struct dialled second = { 0 }, first = { .then = dial_again, .next = &second };
	unsigned port = dial_listen(world, "127.0.0.1", 0);
	dial(world, &first, "four.test", port, NULL);
	dial_until(world, &first);
	dial_until(world, &second);
	assert_true(first.fd >= 0 && second.fd >= 0);
}

static void stop_next(struct dialled *d)
{
	if (d->next->dial)
		crew__dial_stop(d->next->dial);
	d->next->dial = NULL;
}

/* The other's events may have been fetched in the same turn. */
static void stops_another_from_a_callback(void **state)
{
	struct dial_world *world = *state;
	unsigned port = dial_listen(world, "127.0.0.1", 0);
	for (int i = 0; i < 10; i++) {
		struct dialled one = { .then = stop_next }, two = { .then = stop_next };
		one.next = &two;
		two.next = &one;
		dial(world, &one, "127.0.0.1", port, NULL);
		dial(world, &two, "127.0.0.1", port, NULL);
		dial_pass(world, 20);
		assert_int_equal(one.count + two.count, 1);
	}
}

static void ends_with_its_resolver(void **state)
{
	struct dial_world *world = *state;
	struct dialled d = { 0 };
	dial(world, &d, "deaf.test", 80, NULL);
	dial_pass(world, 20);
	crew__resolver_free(world->resolver);
	world->resolver = NULL;
	assert_int_equal(d.count, 1);
	assert_int_equal(d.fd, -ECANCELED);
}

#define BOTH(test)                                                       \
	{ #test " (epoll)", test, set_up_epoll, dial_tear_down, NULL },  \
	{                                                                \
#test " (poll)", test, set_up_poll, dial_tear_down, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(connects_to_a_number),
		BOTH(prefers_ipv6),
		BOTH(falls_back_to_ipv4),
		BOTH(waits_a_little_for_ipv6),
		BOTH(tries_what_comes_late),
		BOTH(does_not_wait_for_a_silent_server),
		BOTH(tries_every_address),
		BOTH(does_not_wait_for_a_black_hole),
		BOTH(binds_to_a_local_address),
		BOTH(connects_datagrams),
		BOTH(connects_to_a_path),
		BOTH(waits_for_a_full_backlog),
		BOTH(tells_who_refused),
		BOTH(tells_the_most_telling),
		BOTH(tells_what_cannot_be_resolved),
		BOTH(gives_up_in_time),
		BOTH(times_out_at_once),
		BOTH(refuses_what_is_not_sound),
		BOTH(stops_at_every_moment),
		BOTH(dials_from_a_callback),
		BOTH(stops_another_from_a_callback),
		BOTH(ends_with_its_resolver),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
