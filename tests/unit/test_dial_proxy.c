/* test_dial_proxy.c - through proxies: their URLs, whole talks over real sockets, answers in
 * pieces, and every way in which they end badly; on both engines. */
#include "dial_ways.h"

#include "base/clock.h"
#include "proto/http_connect.h"
#include "proto/socks5.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#define V4_REPLY "\x05\x00\x00\x01\x7f\x00\x00\x01\x1f\x90"

static const struct crew__preamble *const kinds[] = { &crew__socks5, &crew__http_connect, NULL };
static const struct dns_rule rules[] = { { .name = "proxy.test", .data = "127.0.0.1" },
	{ .name = NULL } };

static int set_up(void **state, enum crew__engine_kind kind)
{
	int error = dial_set_up(state, kind, rules);
	if (!error)
		((struct dial_world *)*state)->preambles = kinds;
	return error;
}

static int set_up_epoll(void **state)
{
	return set_up(state, CREW__ENGINE_EPOLL);
}

static int set_up_poll(void **state)
{
	return set_up(state, CREW__ENGINE_POLL);
}

/* ---- a proxy by hand ----------------------------------------------------------------------- */

struct proxy {
	struct dial_world *world;
	unsigned port;
	int fd; /* of the one that came */
};

static void begin(struct dial_world *world, struct proxy *p, struct dialled *d, const char *format)
{
	char url[128];
	p->world = world;
	p->port = dial_listen(world, "127.0.0.1", 0);
	int listener = world->fds[world->fd_count - 1];
	snprintf(url, sizeof(url), format, p->port);
	dial(world, d, "feed.example", 443, &(struct crew__dial_plan){ .proxy = url });
	memset(url, 'x', sizeof(url)); /* it was copied */
	struct pollfd ready = { .fd = listener, .events = POLLIN };
	for (int i = 0; i < 500 && poll(&ready, 1, 0) == 0; i++)
		crew__loop_turn(world->loop, 10);
	p->fd = dial_keep(world, accept(listener, NULL, NULL));
}

static void expect(struct proxy *p, const char *bytes, size_t len)
{
	char room[2048];
	size_t here = 0;
	uint64_t give_up = crew__clock_ns() + 10 * CREW__NS_PER_S;
	while (here < len && crew__clock_ns() < give_up) {
		crew__loop_turn(p->world->loop, 1);
		ssize_t n = recv(p->fd, room + here, sizeof(room) - here, MSG_DONTWAIT);
		here += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(here, len);
	assert_memory_equal(room, bytes, len);
}

static void say(struct proxy *p, const char *bytes, size_t len)
{
	assert_int_equal(send(p->fd, bytes, len, MSG_NOSIGNAL), len);
}

/* One byte for each turn of the loop, or two. */
static void say_slowly(struct proxy *p, const struct dialled *d, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len && d->count == 0; i++) {
		say(p, bytes + i, 1);
		dial_pass(p->world, 1);
	}
}

#define EXPECT(p, text) expect(p, text, sizeof(text) - 1)
#define SAY(p, text)    say(p, text, sizeof(text) - 1)

/* ---- through it ---------------------------------------------------------------------------- */

static void goes_through_socks(void **state)
{
	struct dialled d = { 0 };
	struct proxy p;
	begin(*state, &p, &d, "socks5://me:s%%40crew%%3a@proxy.test:%u");
	EXPECT(&p, "\x05\x02\x00\x02");
	SAY(&p, "\x05\x02");
	EXPECT(&p, "\x01\x02me\x07s@crew:");
	SAY(&p, "\x01\x00");
	EXPECT(&p, "\x05\x01\x00\x03\x0c"
		   "feed.example\x01\xbb");
	SAY(&p, V4_REPLY);
	dial_until(*state, &d);
	assert_true(d.fd >= 0);
	assert_int_equal(d.rest_len, 0);
	assert_int_equal(send(d.fd, "hi", 2, MSG_NOSIGNAL), 2);
	EXPECT(&p, "hi");
}

static void goes_through_http(void **state)
{
	struct dialled d = { 0 };
	struct proxy p;
	begin(*state, &p, &d, "http://me:secret@127.0.0.1:%u/");
	EXPECT(&p, "CONNECT feed.example:443 HTTP/1.1\r\nHost: feed.example:443\r\n"
		   "Proxy-Authorization: Basic bWU6c2VjcmV0\r\n\r\n");
	SAY(&p, "HTTP/1.1 200 Connection established\r\n\r\n");
	dial_until(*state, &d);
	assert_true(d.fd >= 0);
	assert_int_equal(fcntl(d.fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
}

/* The peer spoke first, and its bytes came with the proxy's. */
static void hands_on_what_came_behind(void **state)
{
	struct dialled http = { 0 }, socks = { 0 };
	struct proxy p;
	begin(*state, &p, &http, "http://127.0.0.1:%u");
	SAY(&p, "HTTP/1.1 200 OK\r\n\r\n220 mail.example ready\r\n");
	dial_until(*state, &http);
	assert_string_equal(http.rest, "220 mail.example ready\r\n");
	begin(*state, &p, &socks, "socks5://127.0.0.1:%u");
	SAY(&p, "\x05\x00" V4_REPLY "SSH");
	dial_until(*state, &socks);
	assert_true(socks.fd >= 0);
	assert_int_equal(socks.rest_len, 3);
	assert_memory_equal(socks.rest, "SSH", 3);
}

static void takes_answers_byte_by_byte(void **state)
{
	static const char ok[] = "HTTP/1.1 200 OK\r\nVia: x\r\n\r\n", socks[] = "\x05\x00" V4_REPLY;
	struct dialled d = { 0 }, other = { 0 };
	struct proxy p;
	begin(*state, &p, &d, "http://127.0.0.1:%u");
	say_slowly(&p, &d, ok, sizeof(ok) - 2);
	assert_int_equal(d.count, 0);
	SAY(&p, "\n");
	dial_until(*state, &d);
	assert_true(d.fd >= 0);
	assert_int_equal(d.rest_len, 0);
	begin(*state, &p, &other, "socks5://127.0.0.1:%u");
	say_slowly(&p, &other, socks, sizeof(socks) - 1);
	dial_until(*state, &other);
	assert_true(other.fd >= 0);
}

/* ---- bad ends ------------------------------------------------------------------------------ */

static void check_fails(void **state, const char *url, const char *answer, size_t len, bool end,
	int error, const char *why)
{
	struct dialled d = { .timeout_ms = 10000 };
	struct proxy p;
	char expected[256];
	begin(*state, &p, &d, url);
	say(&p, answer, len);
	if (end)
		shutdown(p.fd, SHUT_WR);
	dial_until(*state, &d);
	assert_int_equal(d.fd, error);
	snprintf(expected, sizeof(expected), why, p.port);
	assert_string_equal(d.why, expected);
}

static void tells_what_the_proxy_said(void **state)
{
	static const char denied[] = "HTTP/1.1 407 Who?\r\n";
	check_fails(state, "http://127.0.0.1:%u", denied, sizeof(denied) - 1, false, -EACCES,
		"the proxy 127.0.0.1:%u answers 407 Who?: write USER:PASSWORD@ before its name");
	check_fails(state, "socks5://proxy.test:%u", "\x05\x00\x05\x05", 4, false, -ECONNREFUSED,
		"the proxy proxy.test:%u was refused by the host (SOCKS reply 5)");
	check_fails(state, "socks5://me:secret@127.0.0.1:%u", "\x05\x02\x01\x01", 4, false, -EACCES,
		"the proxy 127.0.0.1:%u does not take this user and password");
	check_fails(state, "http://127.0.0.1:%u", "HTTP/1.1 200", 12, true, -ECONNRESET,
		"the proxy 127.0.0.1:%u closed the connection without letting us through");
	check_fails(state, "socks5://127.0.0.1:%u", "", 0, true, -ECONNRESET,
		"the proxy 127.0.0.1:%u closed the connection without letting us through");
}

static void tells_of_a_reset(void **state)
{
	struct dialled d = { 0 };
	struct proxy p;
	struct linger now = { 1, 0 };
	begin(*state, &p, &d, "http://127.0.0.1:%u");
	dial_pass(*state, 5);
	assert_int_equal(setsockopt(p.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	dial_forget(*state, p.fd);
	dial_until(*state, &d);
	assert_int_equal(d.fd, -ECONNRESET);
	assert_non_null(strstr(d.why, "broke the connection: Connection reset by peer"));
}

static void bounds_what_the_proxy_says(void **state)
{
	static char flood[64 * 1024];
	struct dialled d = { 0 };
	struct proxy p;
	memset(flood, 'x', sizeof(flood));
	memcpy(flood, "HTTP/1.1 200 ", 13);
	begin(*state, &p, &d, "http://127.0.0.1:%u");
	say(&p, flood, sizeof(flood));
	dial_until(*state, &d);
	assert_int_equal(d.fd, -EPROTO);
	assert_non_null(strstr(d.why, "answers with more than 16384 bytes of fields"));
}

/* It took the connection, and then nothing: the time is for all of it. */
static void gives_up_in_time(void **state)
{
	struct dialled d = { .timeout_ms = 200 };
	struct proxy p;
	char expected[128];
	begin(*state, &p, &d, "socks5://127.0.0.1:%u");
	say_slowly(&p, &d, "\x05\x00\x05", 3);
	dial_until(*state, &d);
	assert_int_equal(d.fd, -ETIMEDOUT);
	assert_in_range(d.took_ms, 190, 700);
	snprintf(expected, sizeof(expected), "the proxy 127.0.0.1:%u did not answer within 200 ms",
		p.port);
	assert_string_equal(d.why, expected);
}

static void tells_of_a_proxy_that_is_not_there(void **state)
{
	struct dialled d = { 0 }, unknown = { 0 };
	char url[64];
	snprintf(url, sizeof(url), "http://me:secret@127.0.0.1:%u", dial_free_port(*state));
	dial(*state, &d, "feed.example", 443, &(struct crew__dial_plan){ .proxy = url });
	dial_until(*state, &d);
	assert_int_equal(d.fd, -ECONNREFUSED);
	assert_non_null(strstr(d.why, "cannot connect to the proxy 127.0.0.1:"));
	assert_null(strstr(d.why, "secret"));
	dial(*state, &unknown, "feed.example", 443,
		&(struct crew__dial_plan){ .proxy = "socks5://unknown.test:1080" });
	dial_until(*state, &unknown);
	assert_int_equal(unknown.fd, -ENOENT);
	assert_string_equal(unknown.why, "cannot resolve the proxy unknown.test: no such name");
}

static void stops_while_it_talks(void **state)
{
	static const char ok[] = "HTTP/1.1 200 OK\r\n\r\n";
	for (size_t len = 0; len < sizeof(ok) - 1; len++) {
		struct dialled d = { 0 };
		struct proxy p;
		begin(*state, &p, &d, "http://127.0.0.1:%u");
		say(&p, ok, len);
		dial_pass(*state, 2);
		crew__dial_stop(d.dial);
		dial_pass(*state, 2);
		assert_int_equal(d.count, 0);
		dial_forget(*state, p.fd);
	}
}

/* ---- URLs ---------------------------------------------------------------------------------- */

static struct crew__dial *try_url(
	struct dial_world *world, const char *url, const char *host, char *error, size_t size)
{
	return crew__dial_start(&(struct crew__dial_plan){ .loop = world->loop,
					.resolver = world->resolver,
					.preambles = world->preambles,
					.host = host,
					.port = 443,
					.proxy = url,
					.type = SOCK_STREAM,
					.timeout_ms = 1000 },
		error, size);
}

static void reads_urls(void **state)
{
	static const char *const good[] = { "socks5://127.0.0.1:1080", "http://proxy.example:3128/",
		"socks5://[::1]:1080", "http://u:p@h:1", "http://u@h:1", "http://u:@h:65535",
		"http://u%20v:p%2f%40@h:1", "http://u:p@p@h:1" };
	static const char *const bad[] = { "", "127.0.0.1:1080", "socks5:127.0.0.1:1",
		"socks4://h:1", "https://h:1", "SOCKS5://h:1", "socks5://", "socks5://h",
		"socks5://:1", "socks5://h:", "socks5://h:0", "socks5://h:65536",
		"socks5://h:123456", "socks5://h:1x", "socks5://h:1/path", "socks5://[::1",
		"socks5://[::1]", "socks5://[::1]1", "socks5://[]:1", "socks5://@h:1",
		"socks5://:secret@h:1", "socks5://u:secret%@h:1", "socks5://u:secret%4@h:1",
		"socks5://u:secret%zz@h:1", "socks5://u:secret%00@h:1", "http://a%3ab:secret@h:1",
		"socks5://secret@" };
	struct dial_world *world = *state;
	char error[512];
	for (size_t i = 0; i < crew__lengthof(good); i++) {
		struct crew__dial *dial = try_url(world, good[i], "h", error, sizeof(error));
		if (!dial)
			fail_msg("%s: %s", good[i], error);
		crew__dial_stop(dial);
		dial_pass(world, 1);
	}
	for (size_t i = 0; i < crew__lengthof(bad); i++) {
		error[0] = '\0';
		if (try_url(world, bad[i], "h", error, sizeof(error)))
			fail_msg("%s was taken", bad[i]);
		assert_true(strlen(error) > 20);
		assert_null(strstr(error, "secret"));
	}
	/* What this kind of proxy cannot be asked for; and none is known at all. */
	assert_null(try_url(world, good[1], "a b", error, sizeof(error)));
	assert_string_equal(error, "a proxy of http:// can be asked only for a name or an address");
	world->preambles = NULL;
	assert_null(try_url(world, good[0], "h", error, sizeof(error)));
}

#define BOTH(test)                                                       \
	{ #test " (epoll)", test, set_up_epoll, dial_tear_down, NULL },  \
	{                                                                \
#test " (poll)", test, set_up_poll, dial_tear_down, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(goes_through_socks),
		BOTH(goes_through_http),
		BOTH(hands_on_what_came_behind),
		BOTH(takes_answers_byte_by_byte),
		BOTH(tells_what_the_proxy_said),
		BOTH(tells_of_a_reset),
		BOTH(bounds_what_the_proxy_says),
		BOTH(gives_up_in_time),
		BOTH(tells_of_a_proxy_that_is_not_there),
		BOTH(stops_while_it_talks),
		BOTH(reads_urls),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
