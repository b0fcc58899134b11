/* test_fetch_ends.c - how requests end otherwise: redirects on the wire, bad answers, time, stops
 * from everywhere, the worker's end, and the bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fetch_ways.h"

#include "base/clock.h"
#include "service/fetch_parts.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The end of fields. */
#define END                     \
	{                       \
		{ NULL, 0 },    \
		{               \
			NULL, 0 \
		}               \
	}

/* ---- redirects ------------------------------------------------------------------------------- */

static int count_part(int64_t id, int status, crew_bytes part, void *arg)
{
	(void)id;
	((struct told *)arg)->body_status = (unsigned)status;
	((struct told *)arg)->part_bytes += part.len;
	return 0;
}

static void a_redirect_is_followed(void **state)
{
	static const crew_header headers[] = { { { "Cookie", 6 }, { "s=1", 3 } }, END };
	(void)state;
	web_answer(&stage.web, "HTTP/1.1 302 Found\r\nLocation: /b?c\r\nX-Test: first\r\n"
			       "Content-Length: 4\r\n\r\ngone");
	web_answer(&stage.web, OK);
	crew_fetch_options options = {
		.headers = headers, .body = CREW_BYTES("body"), .on_body = count_part
	};
	assert_int_equal(go("/a", options), 0);
	assert_int_equal(stage.told.redirects, 1);
	assert_int_equal(stage.told.part_bytes, 2); /* nothing of the first one's */
	assert_string_equal(stage.told.header, "");
	assert_non_null(strstr(stage.told.url, "/b?c"));
	assert_true(asked(0, "POST /a "));
	assert_true(asked(1, "GET /b?c HTTP/1.1\r\n"));
	assert_true(asked(1, "\r\nCookie: s=1\r\n"));
	assert_false(asked(1, "Content-Length"));
	assert_int_equal(stage.web.connections, 1);
}

static void one_to_another_host_asks_for_its_name(void **state)
{
	static const crew_header headers[] = { { { "Cookie", 6 }, { "s=1", 3 } }, END };
	char answer[256];
	(void)state;
	snprintf(answer, sizeof(answer),
		"HTTP/1.1 307 Go\r\nLocation: http://localhost:%d/there\r\n"
		"Content-Length: 0\r\n\r\n",
		stage.web.port);
	web_answer(&stage.web, answer);
	web_answer(&stage.web, OK);
	unsigned before = tasks();
	assert_int_equal(
		go("/", (crew_fetch_options){ .headers = headers, .body = CREW_BYTES("body") }), 0);
	assert_int_equal(tasks(), before);
	assert_true(asked(0, "\r\nCookie: s=1\r\n"));
	assert_true(asked(1, "POST /there HTTP/1.1\r\nHost: localhost:"));
	assert_true(asked(1, "\r\n\r\nbody"));
	assert_false(asked(1, "Cookie"));
}

static void redirects_end(void **state)
{
	(void)state;
	web_answer(&stage.web, "HTTP/1.1 301 Moved\r\nLocation: /\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(go("/", (crew_fetch_options){ 0 }), -EPROTO);
	assert_int_equal(stage.told.redirects, 10);
	assert_int_equal(stage.web.request_count, 11);
	assert_non_null(strstr(stage.told.why, "redirected"));
	assert_int_equal(go("/", (crew_fetch_options){ .redirects = CREW_OFF }), 0);
	assert_int_equal(stage.told.status, 301);
	assert_int_equal(stage.web.request_count, 12);
	web_forget(&stage.web);
	web_answer(&stage.web, "HTTP/1.1 302 F\r\nLocation: ftp://a/\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(go("/", (crew_fetch_options){ 0 }), -EPROTO);
	web_forget(&stage.web);
	web_answer(&stage.web, "HTTP/1.1 302 No place\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(go("/", (crew_fetch_options){ 0 }), 0);
	assert_int_equal(stage.told.status, 302);
}

/* The body of a redirect is not read to its end when that is far. */
static void a_redirect_with_a_long_body(void **state)
{
	static const char head[] =
		"HTTP/1.1 302 F\r\nLocation: /b\r\nContent-Length: 9000000\r\n\r\n";
	char *answer = calloc(1, 9000100);
	(void)state;
	memcpy(answer, head, sizeof(head) - 1);
	web_answer_bytes(&stage.web, answer, 9000000 + sizeof(head) - 1);
	web_answer(&stage.web, OK);
	assert_int_equal(go("/", (crew_fetch_options){ .max_body = 10 }), 0);
	assert_string_equal(stage.told.body, "ok");
	assert_int_equal(stage.web.connections, 2);
	free(answer);
}

/* ---- bad answers ----------------------------------------------------------------------------- */

static void answers_that_are_none(void **state)
{
	static const struct {
		const char *answer;
		int error;
	} rows[] = {
		{ "", -EPROTO },
		{ "hello", -EPROTO },
		{ "HTTP/1.1 abc\r\n\r\n", -EPROTO },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", -EPROTO },
		{ "HTTP/1.1 200 OK\r\nContent-Le", -EPROTO },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", -EPROTO },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab", -EPROTO },
		{ "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nno gzip", -EPROTO },
		{ "HTTP/1.1 200 OK\r\nContent-Encoding: gzip, gzip, gzip, gzip, gzip, gzip, gzip\r\n\r\n",
			-EPROTO },
		{ "HTTP/1.1 200 OK\r\nno colon\r\n\r\n", -EPROTO },
		{ "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", -EPROTO },
		{ "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", -EPROTO },
	};
	(void)state;
	for (size_t i = 0; i < crew__lengthof(rows); i++) {
		web_forget(&stage.web);
		web_answer_close(&stage.web, rows[i].answer);
		int error = go("/", (crew_fetch_options){ 0 });
		if (error != rows[i].error)
			print_message("row %zu: %d (%s)\n", i, error, stage.told.why);
		assert_int_equal(error, rows[i].error);
		assert_true(strlen(stage.told.why) > 5);
		assert_int_equal(stage.told.len, 0);
	}
}

/* Many fields, long ones, and interim answers without end. */
static void heads_without_end(void **state)
{
	static const struct {
		const char *head, *line;
		size_t count;
	} rows[] = {
		{ "HTTP/1.1 200 OK\r\n", "X-Filler: 0123456789012345678901234567890123456789\r\n",
			900 },
		{ "HTTP/1.1 200 OK\r\n", "a:\r\n", 1001 },
		{ "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n", 100000 },
		{ "HTTP/1.1 200 OK\r\nX: ", "0123456789", 200000 },
		{ "HTTP/1.1 200 OK\r\n", "X-Filler: 0123456789012345678901234567890123456789\r\n",
			100000 },
	};
	(void)state;
	for (size_t i = 0; i < crew__lengthof(rows); i++) {
		size_t head = strlen(rows[i].head), line = strlen(rows[i].line);
		char *answer = malloc(head + line * rows[i].count + 10);
		memcpy(answer, rows[i].head, head);
		for (size_t j = 0; j < rows[i].count; j++)
			memcpy(answer + head + j * line, rows[i].line, line);
		size_t len = head + line * rows[i].count;
		memcpy(answer + len, "\r\n", 2);
		web_forget(&stage.web);
		web_answer_bytes(&stage.web, answer, len + 2);
		stage.web.answers[0].close = true;
		int error = go("/", (crew_fetch_options){ 0 });
		if (i == 0)
			assert_int_equal(error, 0);
		else
			assert_true(error == -EMSGSIZE || error == -ENOMEM || error == -EIO);
		assert_int_equal(stage.told.header_count, i == 0 ? 900 : 0);
		free(answer);
	}
}

/* ---- nobody there, and time ------------------------------------------------------------------ */

static void nobody_listens(void **state)
{
	(void)state;
	assert_int_equal(go("http://127.0.0.1:1/", (crew_fetch_options){ 0 }), -ECONNREFUSED);
	assert_int_equal(stage.told.status, 0);
	assert_int_equal(stage.told.header_count, 0);
	assert_int_equal(go("http://localhost:1/", (crew_fetch_options){ 0 }), -ECONNREFUSED);
	assert_int_equal(
		go("/", (crew_fetch_options){ .proxy = "http://127.0.0.1:1" }), -ECONNREFUSED);
	assert_int_equal(
		go("/", (crew_fetch_options){ .proxy = "socks5://localhost:1" }), -ECONNREFUSED);
	assert_int_equal(stage.world.worker->net.stats.slab->fetch_failed, 4);
}

static void nothing_comes_in_time(void **state)
{
	(void)state;
	uint64_t before = crew__clock_ns();
	assert_int_equal(go("/", (crew_fetch_options){ .timeout_ms = 80 }), -ETIMEDOUT);
	uint64_t ms = (crew__clock_ns() - before) / CREW__NS_PER_MS;
	assert_true(ms >= 75 && ms < 5000);
	assert_true(stage.told.elapsed_ms >= 75);
	assert_non_null(strstr(stage.told.why, "80 ms"));
	/* The time is for all of it, redirects included. */
	web_answer(&stage.web, "HTTP/1.1 302 F\r\nLocation: /\r\nContent-Length: 0\r\n\r\n");
	before = crew__clock_ns();
	crew_fetch_options slow = { .timeout_ms = 120, .redirects = 1000 };
	assert_true(fetch_start(&stage.told, &stage.web, "/", slow) > 0);
	while (stage.told.calls == 0) {
		world_turn(&stage.world, 1);
		usleep(3000);
	}
	assert_int_equal(stage.told.error, -ETIMEDOUT);
	assert_true((crew__clock_ns() - before) / CREW__NS_PER_MS < 5000);
}

/* A listener whose queue is full answers no SYN. */
static void connecting_takes_too_long(void **state)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0), fill[8];
	char url[64];
	(void)state;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(fd, 0), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	for (size_t i = 0; i < 8; i++) {
		fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(fill[i], (struct sockaddr *)&address, size);
	}
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/", ntohs(address.sin_port));
	assert_int_equal(go(url, (crew_fetch_options){ .connect_timeout_ms = 100 }), -ETIMEDOUT);
	assert_true(stage.told.elapsed_ms < 5000);
	for (size_t i = 0; i < 8; i++)
		close(fill[i]);
	close(fd);
}

/* ---- bounds ---------------------------------------------------------------------------------- */

static void not_too_many_at_once(void **state)
{
	static int64_t ids[1000];
	(void)state;
	for (size_t i = 0; i < 1000; i++) {
		ids[i] = fetch_start(&stage.told, &stage.web, "/", (crew_fetch_options){ 0 });
		assert_true(ids[i] > 0);
	}
	assert_int_equal(
		fetch_start(&stage.told, &stage.web, "/", (crew_fetch_options){ 0 }), -EBUSY);
	assert_int_equal(stage.world.worker->net.stats.slab->fetching, 1000);
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(crew_fetch_stop(ids[i]), 0);
	fetch_turns(&stage.world, 20);
	assert_int_equal(stage.told.calls, 1000);
	assert_int_equal(stage.world.worker->net.stats.slab->fetching, 0);
	assert_true(fetch_start(&stage.told, &stage.web, "/", (crew_fetch_options){ 0 }) > 0);
}

static void what_is_refused_leaves_nothing(void **state)
{
	(void)state;
	assert_int_equal(crew_fetch("ftp://a/", NULL), -EINVAL);
	assert_int_equal(crew_fetch(NULL, NULL), -EINVAL);
	assert_int_equal(stage.world.worker->net.stats.slab->fetches, 0);
	unsigned before = open_descriptors();
	const crew_fetch_options bad = { .body_file = "/etc/passwd", .method = "A B" };
	assert_int_equal(crew_fetch("http://a/", &bad), -EINVAL);
	assert_int_equal(open_descriptors(), before);
}

static void idle_connections_are_closed_at_last(void **state)
{
	(void)state;
	web_answer(&stage.web, OK);
	assert_int_equal(go("/", (crew_fetch_options){ 0 }), 0);
	struct crew__fetches *f = stage.world.worker->fetches;
	assert_non_null(f->multi);
	assert_int_equal(stage.web.open, 1);
	assert_true(f->idle_due_ns > crew__loop_ns(f->loop) + 80 * CREW__NS_PER_S);
	f->idle_due_ns = crew__loop_ns(f->loop);
	crew__fetch_nudge(f);
	fetch_turns(&stage.world, 10);
	assert_null(f->multi);
	assert_int_equal(stage.web.open, 0);
	assert_int_equal(go("/", (crew_fetch_options){ 0 }), 0);
}

/* A handle that libcurl gave up: what it carried ends, and the next request works. */
static void a_broken_handle_is_replaced(void **state)
{
	(void)state;
	assert_true(fetch_start(&stage.told, &stage.web, "/", (crew_fetch_options){ 0 }) > 0);
	fetch_turns(&stage.world, 10);
	stage.world.worker->fetches->broken = true;
	crew__fetch_nudge(stage.world.worker->fetches);
	assert_true(fetch_wait(&stage.world, &stage.told));
	assert_int_equal(stage.told.error, -ENOMEM);
	web_answer(&stage.web, OK);
	assert_int_equal(go("/", (crew_fetch_options){ 0 }), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fetch_set_up, fetch_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_redirect_is_followed),
		TEST(one_to_another_host_asks_for_its_name),
		TEST(redirects_end),
		TEST(a_redirect_with_a_long_body),
		TEST(answers_that_are_none),
		TEST(heads_without_end),
		TEST(nobody_listens),
		TEST(nothing_comes_in_time),
		TEST(connecting_takes_too_long),
		TEST(not_too_many_at_once),
		TEST(what_is_refused_leaves_nothing),
		TEST(idle_connections_are_closed_at_last),
		TEST(a_broken_handle_is_replaced),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
