/* test_fetch.c - requests of the program's own: what is sent, what is told, connections that are
 * used again, bodies both ways. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fetch_ways.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static int tear_down(void **state)
{
	assert_int_equal(stage.world.worker->net.stats.slab->fetching, 0);
	return fetch_tear_down(state);
}

/* ---- what is sent and told ------------------------------------------------------------------- */

static void a_get(void **state)
{
	(void)state;
	web_answer(
		&stage.web, "HTTP/1.1 201 Made\r\nX-TEST:  a b \r\nContent-Length: 5\r\n\r\nhello");
	assert_int_equal(go("/a?b=c#d", (crew_fetch_options){ 0 }), 0);
	assert_int_equal(stage.told.status, 201);
	assert_string_equal(stage.told.body, "hello");
	assert_string_equal(stage.told.header, "a b");
	assert_int_equal(stage.told.header_count, 2);
	assert_int_equal(stage.told.redirects, 0);
	assert_true(asked(0, "GET /a?b=c HTTP/1.1\r\n"));
	assert_true(asked(0, "\r\nAccept-Encoding: gzip, deflate\r\n"));
	assert_true(asked(0, "\r\nUser-Agent: crew/"));
	assert_false(asked(0, "Expect"));
	assert_non_null(strstr(stage.told.url, "/a?b=c"));
	assert_null(strstr(stage.told.url, "#"));
	assert_int_equal(stage.world.worker->net.stats.slab->fetches, 1);
	assert_int_equal(stage.world.worker->net.stats.slab->fetch_failed, 0);
}

static void methods_and_bodies(void **state)
{
	static const struct {
		const char *method, *body, *line, *length;
	} rows[] = {
		{ NULL, "x=1", "POST / HTTP/1.1\r\n", "Content-Length: 3\r\n" },
		{ "PUT", "abcd", "PUT / HTTP/1.1\r\n", "Content-Length: 4\r\n" },
		{ "PATCH", "", "PATCH / HTTP/1.1\r\n", "Content-Length: 0\r\n" },
		{ "POST", NULL, "POST / HTTP/1.1\r\n", "Content-Length: 0\r\n" },
		{ "DELETE", NULL, "DELETE / HTTP/1.1\r\n", NULL },
		{ "DELETE", "why", "DELETE / HTTP/1.1\r\n", "Content-Length: 3\r\n" },
		{ "OPTIONS", NULL, "OPTIONS / HTTP/1.1\r\n", NULL },
		{ "PURGE", NULL, "PURGE / HTTP/1.1\r\n", NULL },
		{ "GET", "odd", "GET / HTTP/1.1\r\n", "Content-Length: 3\r\n" },
	};
	(void)state;
	web_answer(&stage.web, OK);
	for (unsigned i = 0; i < crew__lengthof(rows); i++) {
		crew_bytes body = crew_str(rows[i].body);
		assert_int_equal(
			go("/", (crew_fetch_options){ .method = rows[i].method, .body = body }), 0);
		assert_true(asked(i, rows[i].line));
		assert_int_equal(asked(i, "Content-Length:"), rows[i].length != NULL);
		assert_true(!rows[i].length || asked(i, rows[i].length));
		assert_false(asked(i, "Content-Type"));
		const char *behind = strstr(stage.web.requests[i], "\r\n\r\n") + 4;
		assert_string_equal(behind, rows[i].body ? rows[i].body : "");
	}
	assert_int_equal(stage.web.connections, 1);
}

static void a_head_has_no_body(void **state)
{
	(void)state;
	web_answer(&stage.web, "HTTP/1.1 200 OK\r\nContent-Length: 900000000\r\nX-Test: h\r\n\r\n");
	assert_int_equal(go("/", (crew_fetch_options){ .method = "HEAD" }), 0);
	assert_int_equal(stage.told.len, 0);
	assert_string_equal(stage.told.header, "h");
	assert_true(asked(0, "HEAD / HTTP/1.1\r\n"));
}

static void fields_are_sent(void **state)
{
	static const crew_header headers[] = {
		{ { "X-One", 5 }, { "1", 1 } },
		{ { "X-Empty", 7 }, { NULL, 0 } },
		{ { "Content-Type", 12 }, { " text/plain ", 12 } },
		{ { "Accept", 6 }, { "a/b", 3 } },
		{ { NULL, 0 }, { NULL, 0 } },
	};
	(void)state;
	web_answer(&stage.web, OK);
	assert_int_equal(go("/", (crew_fetch_options){ .headers = headers,
					 .body = CREW_BYTES("x"),
					 .compressed_as_is = true }),
		0);
	assert_true(asked(0, "\r\nX-One: 1\r\n"));
	assert_true(asked(0, "\r\nX-Empty:\r\n"));
	assert_true(asked(0, "\r\nContent-Type: text/plain\r\n"));
	assert_true(asked(0, "\r\nAccept: a/b\r\n"));
	assert_false(asked(0, "Accept-Encoding"));
}

static void user_and_password_of_the_url(void **state)
{
	(void)state;
	web_answer(&stage.web, OK);
	assert_int_equal(go("http://us%%65r:p%%40ss@127.0.0.1:%d/", (crew_fetch_options){ 0 }), 0);
	assert_true(asked(0, "\r\nAuthorization: Basic dXNlcjpwQHNz\r\n"));
	assert_null(strstr(stage.told.url, "p%40ss"));
}

static void nobody_wants_to_know(void **state)
{
	char url[64];
	(void)state;
	web_answer(&stage.web, OK);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/", stage.web.port);
	assert_true(crew_fetch(url, NULL) > 0);
	fetch_turns(&stage.world, 100);
	assert_int_equal(stage.web.request_count, 1);
	assert_int_equal(stage.world.worker->net.stats.slab->fetching, 0);
}

static void a_name_is_resolved_without_a_thread(void **state)
{
	(void)state;
	web_answer(&stage.web, OK);
	unsigned before = tasks();
	int64_t id = fetch_start(
		&stage.told, &stage.web, "http://localhost:%d/", (crew_fetch_options){ 0 });
	assert_true(id > 0);
	while (stage.told.calls == 0) {
		world_turn(&stage.world, 20);
		assert_int_equal(tasks(), before);
	}
	assert_int_equal(stage.told.error, 0);
	assert_true(asked(0, "\r\nHost: localhost:"));
	assert_int_equal(go("http://LOCALHOST:%d/", (crew_fetch_options){ 0 }), 0);
	assert_int_equal(go("http://localhost.:%d/", (crew_fetch_options){ 0 }), 0);
	assert_int_equal(go("http://[::1]:%d/", (crew_fetch_options){ 0 }), -ECONNREFUSED);
	assert_int_equal(tasks(), before);
}

/* ---- connections ----------------------------------------------------------------------------- */

static void a_connection_is_used_again(void **state)
{
	(void)state;
	web_answer(&stage.web, OK);
	for (int i = 0; i < 20; i++)
		assert_int_equal(go("/", (crew_fetch_options){ 0 }), 0);
	assert_int_equal(stage.web.connections, 1);
	/* One that the server has closed meanwhile is not. */
	web_hang_up(&stage.web);
	fetch_turns(&stage.world, 5);
	assert_int_equal(go("/", (crew_fetch_options){ .body = CREW_BYTES("post") }), 0);
	assert_int_equal(stage.web.connections, 2);
	assert_int_equal(stage.web.request_count, 21);
}

static void to_one_host_go_eight(void **state)
{
	struct told told[30] = { 0 };
	(void)state;
	web_answer(&stage.web, OK);
	for (size_t i = 0; i < 30; i++)
		assert_true(fetch_start(&told[i], &stage.web, "/", (crew_fetch_options){ 0 }) > 0);
	assert_int_equal(stage.world.worker->net.stats.slab->fetching, 30);
	for (size_t i = 0; i < 30; i++) {
		assert_true(fetch_wait(&stage.world, &told[i]));
		assert_int_equal(told[i].error, 0);
		told_free(&told[i]);
	}
	assert_true(stage.web.connections <= 8);
	assert_int_equal(stage.web.request_count, 30);
}

/* Waiting for a connection is not connecting. */
static void who_waits_for_a_connection_is_not_late(void **state)
{
	struct told told[9] = { 0 };
	crew_fetch_options options = { .connect_timeout_ms = 150 };
	(void)state;
	for (size_t i = 0; i < 9; i++)
		assert_true(fetch_start(&told[i], &stage.web, "/", options) > 0);
	fetch_turns(&stage.world, 400);
	web_answer(&stage.web, OK);
	for (size_t i = 0; i < 9; i++)
		assert_int_equal(told[i].calls, 0);
	assert_int_equal(stage.web.request_count, 8);
	web_hang_up(&stage.web); /* libcurl asks again on fresh ones, once, or tells */
	for (size_t i = 0; i < 9; i++) {
		assert_true(fetch_wait(&stage.world, &told[i]));
		told_free(&told[i]);
	}
	assert_true(stage.web.request_count >= 9);
}

/* ---- bodies that come ------------------------------------------------------------------------ */

static void chunks_are_joined(void **state)
{
	(void)state;
	web_answer(&stage.web,
		"HTTP/1.1 100 Continue\r\nX-Test: no\r\n\r\n"
		"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
		"HTTP/1.1 200 OK\r\nX-Test: yes\r\nTransfer-Encoding: chunked\r\n\r\n"
		"3\r\nabc\r\n4\r\ndefg\r\n0\r\nX-Test: trailer\r\nX-Late: 1\r\n\r\n");
	assert_int_equal(go("/", (crew_fetch_options){ 0 }), 0);
	assert_string_equal(stage.told.body, "abcdefg");
	assert_string_equal(stage.told.header, "yes");
	assert_int_equal(stage.told.header_count, 2);
}

static void until_the_end(void **state)
{
	(void)state;
	web_answer_close(&stage.web, "HTTP/1.0 200 OK\r\nX-Test: a\r\n  b\r\n\r\nall that comes");
	assert_int_equal(go("/", (crew_fetch_options){ 0 }), 0);
	assert_string_equal(stage.told.body, "all that comes");
	assert_string_equal(stage.told.header, "a b");
}

/* A gzip answer of `size` zeros. */
static char *make_gzip(size_t size, size_t *ret_len)
{
	size_t room = size / 500 + 4096;
	char *bytes = malloc(room), *zeros = calloc(1, 65536);
	z_stream z = { 0 };
	size_t head = (size_t)snprintf(bytes, room,
		"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n");
	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 9, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_out = (Bytef *)bytes + head;
	z.avail_out = (uInt)(room - head);
	for (size_t left = size; left > 0; left -= crew__min(left, 65536)) {
		z.next_in = (Bytef *)zeros;
		z.avail_in = (uInt)crew__min(left, 65536);
		assert_int_equal(deflate(&z, Z_NO_FLUSH), Z_OK);
	}
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	*ret_len = head + z.total_out;
	deflateEnd(&z);
	free(zeros);
	return bytes;
}

static void give_gzip(size_t size, char **ret_bytes)
{
	size_t len;
	*ret_bytes = make_gzip(size, &len);
	web_answer_bytes(&stage.web, *ret_bytes, len);
	stage.web.answers[0].close = true;
}

static void what_is_compressed_is_undone(void **state)
{
	char *bytes;
	(void)state;
	give_gzip(100000, &bytes);
	assert_int_equal(go("/", (crew_fetch_options){ 0 }), 0);
	assert_int_equal(stage.told.len, 100000);
	assert_int_equal(go("/", (crew_fetch_options){ .compressed_as_is = true }), 0);
	assert_true(stage.told.len > 0 && stage.told.len < 1000);
	free(bytes);
}

static int count_part(int64_t id, int status, crew_bytes part, void *arg)
{
	struct told *told = arg;
	assert_true(id > 0);
	told->parts++;
	told->part_bytes += part.len;
	told->body_status = (unsigned)status;
	return 0;
}

static void a_bomb_is_given_up(void **state)
{
	char *bytes;
	(void)state;
	give_gzip(64 << 20, &bytes);
	assert_int_equal(go("/", (crew_fetch_options){ 0 }), -EMSGSIZE);
	assert_int_equal(stage.told.len, 0);
	assert_int_equal(stage.told.status, 200);
	assert_non_null(strstr(stage.told.why, "max_body"));
	assert_int_equal(
		go("/", (crew_fetch_options){ .on_body = count_part, .max_body = 1 << 20 }),
		-EMSGSIZE);
	assert_true(stage.told.part_bytes <= 1 << 20);
	assert_int_equal(stage.world.worker->net.stats.slab->fetch_failed, 2);
	free(bytes);
}

static void a_limit_is_exact(void **state)
{
	(void)state;
	web_answer(&stage.web, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789");
	assert_int_equal(go("/", (crew_fetch_options){ .max_body = 10 }), 0);
	assert_string_equal(stage.told.body, "0123456789");
	assert_int_equal(go("/", (crew_fetch_options){ .max_body = 9 }), -EMSGSIZE);
	/* What is left of that answer is not taken for the next one. */
	assert_int_equal(go("/", (crew_fetch_options){ .max_body = 10 }), 0);
}

static void parts_go_to_the_program(void **state)
{
	char *bytes;
	(void)state;
	give_gzip(20 << 20, &bytes);
	assert_int_equal(
		go("/", (crew_fetch_options){ .on_body = count_part, .max_body = CREW_OFF }), 0);
	assert_int_equal(stage.told.part_bytes, 20 << 20);
	assert_true(stage.told.parts > 1);
	assert_int_equal(stage.told.body_status, 200);
	assert_int_equal(stage.told.len, 0);
	free(bytes);
}

static struct {
	int64_t id;
	unsigned refused, taken;
	int answer;
} slow;

static void let_go(crew_worker *w, void *arg)
{
	(void)w;
	(void)arg;
	assert_int_equal(crew_fetch_resume(slow.id), 0);
}

/* Every part is refused once. */
static int take_slowly(int64_t id, int status, crew_bytes part, void *arg)
{
	(void)status;
	slow.id = id;
	if (slow.refused == slow.taken) {
		slow.refused++;
		/* Resumed at once, or later. */
		if (slow.refused & 1)
			assert_int_equal(crew_fetch_resume(id), 0);
		else
			crew_timer_after(stage.world.worker, 2, let_go, NULL);
		return -EAGAIN;
	}
	slow.taken++;
	((struct told *)arg)->part_bytes += part.len;
	return 0;
}

static void the_program_lets_a_body_wait(void **state)
{
	char *bytes;
	(void)state;
	memset(&slow, 0, sizeof(slow));
	give_gzip(1 << 20, &bytes);
	assert_int_equal(go("/", (crew_fetch_options){ .on_body = take_slowly }), 0);
	assert_int_equal(stage.told.part_bytes, 1 << 20);
	assert_true(slow.taken > 1);
	assert_int_equal(slow.refused, slow.taken);
	free(bytes);
}

static int give_up(int64_t id, int status, crew_bytes part, void *arg)
{
	(void)id;
	(void)status;
	(void)part;
	((struct told *)arg)->parts++;
	return slow.answer;
}

static void the_program_gives_a_body_up(void **state)
{
	(void)state;
	slow.answer = -EPIPE;
	web_answer(&stage.web, OK);
	assert_int_equal(go("/", (crew_fetch_options){ .on_body = give_up }), -ECANCELED);
	assert_int_equal(stage.told.parts, 1);
	assert_int_equal(stage.told.status, 200);
	assert_int_equal(go("/", (crew_fetch_options){ 0 }), 0);
}

/* ---- bodies that go -------------------------------------------------------------------------- */

static struct {
	size_t at, size;
	unsigned waits;
	int64_t end;
} up;

static int64_t make_upload(int64_t id, char *room, size_t size, void *arg)
{
	(void)arg;
	slow.id = id;
	if (up.at == up.size)
		return up.end;
	if (++up.waits % 2) {
		crew_timer_after(stage.world.worker, 1, let_go, NULL);
		return -EAGAIN;
	}
	size_t len = crew__min(crew__min(size, up.size - up.at), 10000);
	memset(room, 'u', len);
	up.at += len;
	return (int64_t)len;
}

static size_t count_byte(unsigned i, char byte)
{
	size_t count = 0;
	for (const char *at = strstr(stage.web.requests[i], "\r\n\r\n"); *at; at++)
		count += *at == byte;
	return count;
}

static int upload(size_t size, int64_t told, int64_t end)
{
	memset(&up, 0, sizeof(up));
	up.size = size;
	up.end = end;
	return go("/up", (crew_fetch_options){ .on_upload = make_upload, .upload_size = told });
}

static void a_body_as_it_is_made(void **state)
{
	(void)state;
	web_answer(&stage.web, OK);
	assert_int_equal(upload(50000, 0, 0), 0);
	assert_true(asked(0, "POST /up HTTP/1.1\r\n"));
	assert_true(asked(0, "\r\nTransfer-Encoding: chunked\r\n"));
	assert_int_equal(count_byte(0, 'u'), 50000);
	assert_int_equal(upload(50000, 50000, 0), 0);
	assert_true(asked(1, "\r\nContent-Length: 50000\r\n"));
	assert_int_equal(count_byte(1, 'u'), 50000);
	assert_int_equal(stage.web.connections, 1);
}

static void a_body_that_goes_wrong(void **state)
{
	(void)state;
	web_answer(&stage.web, OK);
	assert_int_equal(upload(20000, 30000, 0), -EINVAL);
	assert_non_null(strstr(stage.told.why, "upload_size"));
	assert_int_equal(upload(20000, 0, -EBADF), -ECANCELED);
	assert_non_null(strstr(stage.told.why, "on_upload"));
	assert_int_equal(upload(20000, 0, 1 << 30), -EINVAL);
	assert_int_equal(stage.web.request_count, 0);
	/* More than was told is not sent. */
	assert_int_equal(upload(20000, 15000, 0), 0);
	assert_int_equal(count_byte(0, 'u'), 15000);
}

static void a_file_is_sent(void **state)
{
	char path[] = "/tmp/crew-fetch-XXXXXX";
	int fd = mkstemp(path);
	char *bytes = malloc(200000);
	(void)state;
	memset(bytes, 'f', 200000);
	assert_int_equal(write(fd, bytes, 200000), 200000);
	web_answer(&stage.web, OK);
	assert_int_equal(go("/", (crew_fetch_options){ .method = "PUT", .body_file = path }), 0);
	assert_true(asked(0, "\r\nContent-Length: 200000\r\n"));
	assert_int_equal(count_byte(0, 'f'), 200000);
	/* It becomes shorter while it is on its way. */
	int64_t id = fetch_start(
		&stage.told, &stage.web, "/", (crew_fetch_options){ .body_file = path });
	assert_true(id > 0);
	assert_int_equal(ftruncate(fd, 1000), 0);
	assert_true(fetch_wait(&stage.world, &stage.told));
	assert_int_equal(stage.told.error, -EIO);
	assert_non_null(strstr(stage.told.why, "shorter"));
	unlink(path);
	close(fd);
	free(bytes);
}

/* A server that answers before it has read all, and stays. */
static void an_early_answer(void **state)
{
	(void)state;
	stage.web.early = true;
	web_answer_close(&stage.web,
		"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
	memset(&up, 0, sizeof(up));
	up.size = 10 << 20;
	int error = go("/", (crew_fetch_options){ .on_upload = make_upload });
	assert_true(error == 0 || error == -EIO); /* the reset may overtake the answer */
	assert_true(error != 0 || stage.told.status == 413);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fetch_set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_get),
		TEST(methods_and_bodies),
		TEST(a_head_has_no_body),
		TEST(fields_are_sent),
		TEST(user_and_password_of_the_url),
		TEST(nobody_wants_to_know),
		TEST(a_name_is_resolved_without_a_thread),
		TEST(a_connection_is_used_again),
		TEST(to_one_host_go_eight),
		TEST(who_waits_for_a_connection_is_not_late),
		TEST(chunks_are_joined),
		TEST(until_the_end),
		TEST(what_is_compressed_is_undone),
		TEST(a_bomb_is_given_up),
		TEST(a_limit_is_exact),
		TEST(parts_go_to_the_program),
		TEST(the_program_lets_a_body_wait),
		TEST(the_program_gives_a_body_up),
		TEST(a_body_as_it_is_made),
		TEST(a_body_that_goes_wrong),
		TEST(a_file_is_sent),
		TEST(an_early_answer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
