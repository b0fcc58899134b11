/* test_http_files.c - files as answers, on a worker with real sockets: in memory or by the kernel,
 * in parts, to peers that are slow, or leave, or ask for nonsense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_ways.h"
#include "service/http.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	ROOM = 8 << 20,
	LONG = 3000000,
	LIMIT = 256 * 1024 /* max_send_buffer */
};

static struct {
	struct world world;
	int peer;
	char base[64];
	char *room;
	char *long_text;
	uint64_t id;        /* of the connection that asked for /later */
	crew_request *kept; /* and what it asked */
	int64_t result;     /* of the last crew_reply_file */
} t;

static crew_files files, second;

static bool is(crew_bytes bytes, const char *word)
{
	return bytes.len == strlen(word) && memcmp(bytes.data, word, bytes.len) == 0;
}

static crew_bytes without_slash(crew_bytes path)
{
	return (crew_bytes){ path.data + 1, path.len - 1 };
}

static void on_request(crew_conn *c, const crew_request *r)
{
	if (is(r->path, "/later")) {
		t.id = crew_id(c);
		t.kept = crew_request_keep(r);
	} else if (is(r->path, "/twice")) {
		assert_true(crew_reply_file(c, r, &files, CREW_BYTES("short")) >= 0);
		t.result = crew_reply_file(c, r, &files, CREW_BYTES("short"));
	} else if (is(r->path, "/null")) {
		t.result = crew_reply_file(c, r, &files, (crew_bytes){ NULL, 0 });
	} else if (is(r->path, "/field")) {
		assert_int_equal(crew_reply_header(c, "X-A", CREW_BYTES("1")), 0);
		t.result = crew_reply_file(c, r, &files, CREW_BYTES("long"));
	} else if (is(r->path, "/second")) {
		t.result = crew_reply_file(c, r, &second, CREW_BYTES("short"));
	} else if (is(r->path, "/close")) {
		assert_int_equal(crew_close(c), 0);
		t.result = crew_reply_file(c, r, &files, CREW_BYTES("short"));
	} else {
		t.result = crew_reply_file(c, r, &files, without_slash(r->path));
	}
}

static const crew_service web = {
	.name = "web",
	.listen = "http://127.0.0.1:1",
	.on_request = on_request,
	.on_close = tell_close,
	.on_error = tell_error,
	.on_full = tell_full,
};

static void usual(struct crew__service_settings *s)
{
	s->linger_ms = 0;
	s->max_send_buffer = LIMIT;
}

static void write_file(const char *name, const char *text, size_t len)
{
	char path[400];
	snprintf(path, sizeof(path), "%s/%s", t.base, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), (ssize_t)len);
	const struct timespec times[2] = { { .tv_sec = 784111777 }, { .tv_sec = 784111777 } };
	assert_int_equal(futimens(fd, times), 0);
	close(fd);
}

static void open_with(void **state, const crew_service *service)
{
	memset(&t, 0, sizeof(t));
	strcpy(t.base, "/tmp/crew-web-XXXXXX");
	assert_non_null(mkdtemp(t.base));
	files = (crew_files){ .root = t.base };
	second = (crew_files){ .root = t.base, .max_age_s = 60 };
	t.room = malloc(ROOM);
	t.long_text = malloc(LONG);
	for (size_t i = 0; i < LONG; i++)
		t.long_text[i] = (char)('a' + i % 26);
	write_file("short", "0123456789", 10);
	write_file("long", t.long_text, LONG);
	write_file("empty", "", 0);
	write_file("x.css", "plain", 5);
	write_file("x.css.gz", "GZ", 2);
	told_anew();
	assert_true(world_open(&t.world, service, engine_of(state), usual));
	t.peer = world_connect(&t.world);
	assert_true(t.peer >= 0);
	world_settle(&t.world);
	told_anew();
}

static void open_it(void **state)
{
	open_with(state, &web);
}

static int clean_up(void **state)
{
	char command[100];
	(void)state;
	crew_request_free(t.kept);
	if (t.peer >= 0)
		close(t.peer);
	world_clean_up(&t.world);
	free(t.room);
	free(t.long_text);
	snprintf(command, sizeof(command), "rm -rf %s", t.base);
	return t.base[0] ? system(command) : 0;
}

static void ask_for(const char *method, const char *path, const char *fields)
{
	char text[1024];
	snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: a\r\n%s\r\n", method, path, fields);
	peer_says(t.peer, crew_str(text));
	world_settle(&t.world);
}

/* All that has come, as text; `t.room` has it. */
static size_t hear(void)
{
	return peer_hears_all(&t.world, t.peer, t.room, ROOM);
}

static bool heard(const char *part)
{
	return strstr(t.room, part) != NULL;
}

/* The answer to a request; returns its body, of `ret_len` bytes. */
static const char *get(const char *path, const char *fields, int status, size_t *ret_len)
{
	char line[32];
	ask_for("GET", path, fields);
	size_t len = hear();
	snprintf(line, sizeof(line), "HTTP/1.1 %d ", status);
	assert_memory_equal(t.room, line, strlen(line));
	const char *body = strstr(t.room, "\r\n\r\n");
	assert_non_null(body);
	*ret_len = len - (size_t)(body + 4 - t.room);
	return body + 4;
}

static void assert_get(
	const char *path, const char *fields, int status, const char *text, size_t size)
{
	size_t len;
	const char *body = get(path, fields, status, &len);
	assert_int_equal(len, size);
	assert_memory_equal(body, text, size);
}

/* ---- answers ------------------------------------------------------------------------------- */

static void short_and_long(void **state)
{
	open_it(state);
	assert_get("/short", "", 200, "0123456789", 10);
	assert_true(heard("\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n"));
	assert_true(heard("\r\nContent-Length: 10\r\n"));
	assert_get("/long", "", 200, t.long_text, LONG);
	assert_get("/empty", "", 200, "", 0);
	assert_get("/short", "", 200, "0123456789", 10);
	assert_int_equal(counter(&t.world, "messages_sent"), 4);
	assert_int_equal(counter(&t.world, "bytes_queued"), 0);
	assert_string_equal(told(), "");
}

static void head_sends_no_body(void **state)
{
	open_it(state);
	ask_for("HEAD", "/long", "Range: bytes=0-5\r\n");
	ask_for("HEAD", "/short", "");
	hear();
	assert_true(heard("\r\nContent-Length: 3000000\r\n"));
	const char *end = strstr(t.room, "\r\n\r\n");
	assert_memory_equal(end, "\r\n\r\nHTTP/1.1 200 OK\r\n", 21);
	assert_true(heard("\r\nContent-Length: 10\r\n"));
	end = strstr(end + 4, "\r\n\r\n");
	assert_string_equal(end, "\r\n\r\n");
}

static void one_range(void **state)
{
	open_it(state);
	assert_get("/short", "Range: bytes=3-5\r\n", 206, "345", 3);
	assert_true(heard("\r\nContent-Range: bytes 3-5/10\r\n"));
	assert_get("/long", "Range: bytes=1000-2000999\r\n", 206, t.long_text + 1000, 2000000);
	assert_true(heard("\r\nContent-Range: bytes 1000-2000999/3000000\r\n"));
	assert_get("/long", "Range: bytes=-1\r\n", 206, t.long_text + LONG - 1, 1);
}

/* The parts as they should stand there, from the boundary that was announced. */
static size_t expect_parts(char *to, const char *name, const size_t (*spans)[2], size_t count)
{
	char boundary[80];
	size_t size = strcmp(name, "long") == 0 ? LONG : 10, at = 0;
	const char *text = size == LONG ? t.long_text : "0123456789";
	const char *begin = strstr(t.room, "boundary=") + 9;
	snprintf(boundary, sizeof(boundary), "%.*s", (int)strcspn(begin, "\r"), begin);
	for (size_t i = 0; i < count; i++) {
		at += (size_t)sprintf(to + at,
			"%s--%s\r\nContent-Type: application/octet-stream\r\n"
			"Content-Range: bytes %zu-%zu/%zu\r\n\r\n",
			i ? "\r\n" : "", boundary, spans[i][0], spans[i][1], size);
		memcpy(to + at, text + spans[i][0], spans[i][1] - spans[i][0] + 1);
		at += spans[i][1] - spans[i][0] + 1;
	}
	return at + (size_t)sprintf(to + at, "\r\n--%s--\r\n", boundary);
}

static void assert_parts(
	const char *name, const char *range, const size_t (*spans)[2], size_t count)
{
	char path[32], fields[200], line[64];
	size_t len;
	snprintf(path, sizeof(path), "/%s", name);
	snprintf(fields, sizeof(fields), "Range: bytes=%s\r\n", range);
	const char *body = get(path, fields, 206, &len);
	char *expected = malloc(ROOM);
	assert_int_equal(expect_parts(expected, name, spans, count), len);
	assert_memory_equal(body, expected, len);
	free(expected);
	snprintf(line, sizeof(line), "\r\nContent-Length: %zu\r\n", len);
	assert_true(heard(line));
}

static void several_ranges(void **state)
{
	static const size_t few[][2] = { { 0, 0 }, { 5, 6 }, { 9, 9 } };
	static const size_t many[][2] = { { 0, 9 }, { 1000000, 2999999 }, { 20, 700019 } };
	open_it(state);
	assert_parts("short", "0-0,5-6,-1", few, 3);
	assert_parts("long", "0-9,1000000-,20-700019", many, 3);
	assert_get("/short", "", 200, "0123456789", 10);
	assert_int_equal(counter(&t.world, "messages_sent"), 3);
	assert_string_equal(told(), "");
}

static void conditions(void **state)
{
	size_t len;
	open_it(state);
	get("/short", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 304, &len);
	assert_int_equal(len, 0);
	assert_true(heard("\r\nETag: \""));
	assert_false(heard("Accept-Ranges"));
	get("/short", "If-Match: \"no\"\r\n", 412, &len);
	get("/short", "Range: bytes=10-\r\n", 416, &len);
	assert_true(heard("\r\nContent-Range: bytes */10\r\n"));
	get("/nothing", "If-None-Match: *\r\n", 404, &len);
}

static void siblings(void **state)
{
	open_it(state);
	assert_get("/x.css", "Accept-Encoding: gzip\r\n", 200, "GZ", 2);
	assert_true(
		heard("\r\nContent-Encoding: gzip\r\n") && heard("\r\nVary: Accept-Encoding\r\n"));
	assert_get("/x.css", "Accept-Encoding: gzip\r\nRange: bytes=1-\r\n", 206, "Z", 1);
	assert_get("/x.css", "", 200, "plain", 5);
	assert_true(!heard("Content-Encoding") && heard("\r\nVary: Accept-Encoding\r\n"));
}

static void directories(void **state)
{
	char path[100];
	size_t len;
	open_it(state);
	snprintf(path, sizeof(path), "%s/dir", t.base);
	assert_int_equal(mkdir(path, 0755), 0);
	get("/dir", "", 404, &len);
	get("/dir/", "", 404, &len);
	get("/", "", 404, &len);
	write_file("dir/index.html", "index", 5);
	get("/dir?a=%22&b", "", 301, &len);
	assert_true(heard("\r\nLocation: /dir/?a=%22&b\r\n"));
	assert_get("/dir/", "", 200, "index", 5);
}

static void several_services_of_one_root(void **state)
{
	open_it(state);
	assert_get("/second", "", 200, "0123456789", 10);
	assert_true(heard("\r\nCache-Control: max-age=60\r\n"));
	assert_get("/short", "", 200, "0123456789", 10);
	assert_true(heard("\r\nCache-Control: no-cache\r\n"));
}

static void a_field_of_the_program(void **state)
{
	open_it(state);
	assert_get("/field", "", 200, t.long_text, LONG);
	assert_true(heard("\r\nX-A: 1\r\n"));
}

/* RFC 9110 section 8.8.2.1. */
static void a_file_from_the_future(void **state)
{
	const struct timespec far[2] = { { .tv_sec = INT32_MAX }, { .tv_sec = INT32_MAX } };
	char path[100];
	open_it(state);
	snprintf(path, sizeof(path), "%s/short", t.base);
	assert_int_equal(utimensat(AT_FDCWD, path, far, 0), 0);
	assert_get("/short", "", 200, "0123456789", 10);
	assert_memory_equal(
		strstr(t.room, "Last-Modified: ") + 15, strstr(t.room, "Date: ") + 6, 29);
}

/* ---- functions that come before the answer leaves ------------------------------------------ */

static void wait_for_later(crew_conn *c, const crew_request *r)
{
	t.id = crew_id(c);
	t.kept = crew_request_keep(r);
}

/* The file changes, and another connection is answered with it: the cache has nothing left of the
 * one that is about to be sent. */
static void meddle(crew_conn *c, crew_response *response)
{
	crew_conn *other = crew_find(t.id);
	(void)response;
	if (!other || other == c)
		return;
	t.id = 0;
	write_file("long", "other", 5);
	assert_true(crew_reply_file(other, t.kept, &files, CREW_BYTES("long")) >= 0);
}

static const crew_route meddling_routes[] = {
	{ "GET", "/later", .on_request = wait_for_later },
	{ "GET", "/*path", .files = &files, .after = { meddle } },
	{ 0 },
};
static const crew_service meddling = {
	.name = "web",
	.listen = "http://127.0.0.1:1",
	.routes = meddling_routes,
	.on_error = tell_error,
};

/* Its content was cut off in place, so the answer breaks off; but it is the file that was chosen,
 * and nothing is looked at that has been freed. */
static void the_cache_changes_under_an_answer(void **state)
{
	open_with(state, &meddling);
	ask_for("GET", "/later", "");
	int second_peer = world_connect(&t.world);
	assert_true(second_peer >= 0);
	peer_says(second_peer, CREW_BYTES("GET /long HTTP/1.1\r\nHost: a\r\n\r\n"));
	world_settle(&t.world);
	hear();
	assert_true(heard("\r\n\r\nother"));
	peer_hears_all(&t.world, second_peer, t.room, ROOM);
	assert_true(heard("\r\nContent-Length: 3000000\r\n"));
	assert_string_equal(strstr(t.room, "\r\n\r\n") + 4, "other");
	world_until(&t.world, counter(&t.world, "connections") == 1);
	close(second_peer);
}

/* ---- wrong uses ---------------------------------------------------------------------------- */

static void wrong_uses(void **state)
{
	size_t len;
	open_it(state);
	get("/twice", "", 200, &len);
	assert_int_equal(t.result, -EINVAL);
	get("/null", "", 404, &len);
	assert_true(t.result >= 0);
	assert_int_equal(
		crew_reply_file(world_conn(&t.world, 0), NULL, &files, CREW_BYTES("short")),
		-EINVAL);
	assert_int_equal(counter(&t.world, "send_invalid"), 2);
	ask_for("GET", "/close", "");
	assert_int_equal(t.result, -ENOTCONN);
	assert_int_equal(counter(&t.world, "send_fail"), 1);
}

static void no_files_at_all(void **state)
{
	size_t len;
	open_it(state);
	second.root = "/tmp/crew-is-not-there";
	get("/second", "", 503, &len);
	second.root = "";
	get("/second", "", 503, &len);
	second = (crew_files){ .root = t.base, .index = "../x" };
	get("/second", "", 503, &len);
	second.index = "";
	assert_get("/second", "", 200, "0123456789", 10);
}

/* A service whose route has no directory does not start. */
static void routes_without_a_root(void **state)
{
	static const crew_files wrong = { .root = "/tmp/crew-is-not-there" };
	static const crew_route inner[] = { { "GET", "/*path", .files = &wrong }, { 0 } };
	static const crew_route routes[] = { { NULL, "/a", .group = inner }, { 0 } };
	static const crew_service service = {
		.name = "web",
		.listen = "http://127.0.0.1:1",
		.routes = routes,
	};
	struct world world;
	memset(&t, 0, sizeof(t));
	t.peer = -1;
	assert_false(world_open(&world, &service, engine_of(state), usual));
}

/* ---- later, slowly, never ------------------------------------------------------------------ */

static void answered_later(void **state)
{
	open_it(state);
	ask_for("GET", "/later", "Range: bytes=2-4\r\n");
	assert_int_equal(hear(), 0);
	assert_non_null(t.kept);
	assert_true(crew_reply_file(crew_find(t.id), t.kept, &files, CREW_BYTES("long")) >= 0);
	hear();
	assert_true(heard("\r\nContent-Range: bytes 2-4/3000000\r\n\r\ncde"));
	ask_for("GET", "/short", "");
	hear();
	assert_true(heard("\r\n\r\n0123456789"));
}

static void whoever_left_gets_nothing(void **state)
{
	open_it(state);
	ask_for("GET", "/later", "");
	close(t.peer);
	t.peer = -1;
	world_settle(&t.world);
	assert_true(crew_reply_file(crew_find(t.id), t.kept, &files, CREW_BYTES("long")) > 0);
	world_until(&t.world, counter(&t.world, "connections") == 0);
	assert_int_equal(counter(&t.world, "send_fail"), 1);
	assert_int_equal(
		crew_reply_file(crew_find(t.id), t.kept, &files, CREW_BYTES("long")), -ENOTCONN);
}

/* The peer reads nothing: what waits is a place in the file, and no more than the limit. */
static void a_slow_reader(void **state)
{
	open_it(state);
	ask_for("GET", "/long", "");
	ask_for("GET", "/short", "");
	assert_in_range(counter(&t.world, "bytes_queued"), 1, 1 << 20);
	assert_int_equal(counter(&t.world, "messages_queued"), 1);
	size_t len = hear();
	assert_true(len > LONG);
	const char *body = strstr(t.room, "\r\n\r\n") + 4;
	assert_memory_equal(body, t.long_text, LONG);
	assert_memory_equal(body + LONG, "HTTP/1.1 200 ", 13);
	assert_int_equal(counter(&t.world, "messages_sent"), 2);
}

static unsigned open_descriptors(void)
{
	unsigned count = 0;
	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* In the midst of every kind of answer; the sanitizer sees what would be left behind. */
static void peers_that_leave(void **state)
{
	static const char *const ranges[] = { "", "Range: bytes=5-2000000\r\n",
		"Range: bytes=0-9,100-2900000\r\n", "Range: bytes=-2500000,0-1\r\n" };
	size_t len;
	open_it(state);
	get("/long", "", 200, &len);
	unsigned before = open_descriptors();
	for (size_t i = 0; i < crew__lengthof(ranges); i++) {
		uint64_t failed = counter(&t.world, "send_fail");
		ask_for("GET", "/long", ranges[i]);
		close(t.peer);
		world_until(&t.world, counter(&t.world, "connections") == 0);
		assert_int_equal(counter(&t.world, "send_fail"), failed + 1);
		t.peer = world_connect(&t.world);
		assert_true(t.peer >= 0);
		assert_int_equal(open_descriptors(), before);
	}
	assert_get("/short", "", 200, "0123456789", 10);
}

/* The worker goes while an answer is under way. */
static void the_worker_ends_first(void **state)
{
	open_it(state);
	ask_for("GET", "/long", "");
	ask_for("GET", "/short", "");
	assert_int_equal(counter(&t.world, "messages_queued"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(short_and_long),
		ON_BOTH(head_sends_no_body),
		ON_BOTH(one_range),
		ON_BOTH(several_ranges),
		ON_BOTH(conditions),
		ON_BOTH(siblings),
		ON_BOTH(directories),
		ON_BOTH(several_services_of_one_root),
		ON_BOTH(a_field_of_the_program),
		ON_BOTH(a_file_from_the_future),
		ON_BOTH(the_cache_changes_under_an_answer),
		ON_BOTH(wrong_uses),
		ON_BOTH(no_files_at_all),
		ON_BOTH(routes_without_a_root),
		ON_BOTH(answered_later),
		ON_BOTH(whoever_left_gets_nothing),
		ON_BOTH(a_slow_reader),
		ON_BOTH(peers_that_leave),
		ON_BOTH(the_worker_ends_first),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
