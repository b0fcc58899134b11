/* test_http_log.c - the access log as files and pipes see it: whole lines, in time, opened anew,
 * and counted where they are lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_ways.h"
#include "service/http.h"

#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	ROOM = 1 << 20
};

static char directory[] = "/tmp/crew-log-XXXXXX";
static char path[64], moved[64];

static struct {
	struct world world;
	int peer;
	uint64_t id; /* of the connection whose answer comes later */
	char room[ROOM], log[ROOM];
} t;

static void on_request(crew_conn *c, const crew_request *r)
{
	t.id = crew_id(c);
	if (r->path.len == 6 && memcmp(r->path.data, "/later", 6) == 0)
		return;
	if (r->path.len == 6 && memcmp(r->path.data, "/parts", 6) == 0) {
		assert_true(crew_reply_begin(
				    c, &(crew_response){ .body = CREW_BYTES("one") }, -1) >= 0);
		assert_true(crew_reply_write(c, CREW_BYTES("two")) >= 0);
		return;
	}
	assert_true(crew_reply(c, &(crew_response){ .body = CREW_BYTES("12345") }) >= 0);
}

static const crew_service web = {
	.name = "web", .listen = "http://127.0.0.1:1", .on_request = on_request
};

static void combined(struct crew__service_settings *s)
{
	s->access_log = path;
	s->max_message = 100;
	s->linger_ms = 0;
}

static void json(struct crew__service_settings *s)
{
	combined(s);
	s->access_log_json = true;
}

static void soon(struct crew__service_settings *s)
{
	json(s);
	s->handshake_timeout_ms = 50;
}

static void full(struct crew__service_settings *s)
{
	combined(s);
	s->access_log = (char *)(uintptr_t) "/dev/full";
}

static void open_with(void **state, void (*adjust)(struct crew__service_settings *settings))
{
	memset(&t, 0, offsetof(__typeof__(t), room));
	t.log[0] = '\0';
	t.peer = -1;
	assert_true(world_open(&t.world, &web, engine_of(state), adjust));
	t.peer = world_connect_tcp(&t.world, NULL);
	assert_true(t.peer >= 0);
}

static int clean_up(void **state)
{
	(void)state;
	if (t.peer >= 0)
		close(t.peer);
	world_clean_up(&t.world);
	unlink(path);
	unlink(moved);
	return 0;
}

static void ask(const char *request)
{
	peer_says(t.peer, crew_str(request));
	world_settle(&t.world);
	peer_hears_all(&t.world, t.peer, t.room, ROOM);
}

#define HEAD(method, target) method " " target " HTTP/1.1\r\nHost: a\r\n"
#define GET(target)          HEAD("GET", target) "\r\n"

static const char *read_file(const char *name)
{
	t.log[0] = '\0';
	int fd = open(name, O_RDONLY);
	if (fd < 0)
		return t.log;
	ssize_t n = read(fd, t.log, ROOM - 1);
	assert_true(n >= 0 && n < ROOM - 1);
	t.log[n] = '\0';
	close(fd);
	return t.log;
}

/* All that has been written once the worker has gone. */
static const char *lines(void)
{
	world_clean_up(&t.world);
	return read_file(path);
}

static unsigned count(const char *text)
{
	unsigned n = 0;
	for (; (text = strchr(text, '\n')); text++)
		n++;
	return n;
}

/* The only line, as JSON. */
static json_t *line(void)
{
	const char *text = lines();
	assert_int_equal(count(text), 1);
	json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	if (!object)
		fail_msg("%s", text);
	return object;
}

static const char *string_of(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));
	return value ? value : "(none)";
}

static int64_t number_of(const json_t *object, const char *key)
{
	assert_true(json_is_integer(json_object_get(object, key)));
	return json_integer_value(json_object_get(object, key));
}

/* ---- lines --------------------------------------------------------------------------------- */

static void a_line_for_each_exchange(void **state)
{
	open_with(state, combined);
	ask(HEAD("GET", "/a?b") "User-Agent: me \"x\"\r\nReferer: there\r\n\r\n" GET("/c"));
	const char *text = lines();
	assert_int_equal(count(text), 2);
	assert_int_equal(strncmp(text, "127.0.0.1 - - [", 15), 0);
	assert_non_null(
		strstr(text, " +0000] \"GET /a?b HTTP/1.1\" 200 5 \"there\" \"me \\x22x\\x22\"\n"));
	assert_non_null(strstr(text, " \"GET /c HTTP/1.1\" 200 5 \"-\" \"-\"\n"));
}

static void all_about_an_exchange(void **state)
{
	open_with(state, json);
	ask(HEAD("POST", "/p") "Content-Length: 3\r\n\r\nabc");
	json_t *object = line();
	assert_int_equal(strlen(string_of(object, "id")), 16);
	assert_string_equal(string_of(object, "client"), "127.0.0.1");
	assert_string_equal(string_of(object, "method"), "POST");
	assert_string_equal(string_of(object, "target"), "/p");
	assert_string_equal(string_of(object, "version"), "1.1");
	assert_string_equal(string_of(object, "ended"), "ok");
	assert_int_equal(number_of(object, "status"), 200);
	assert_int_equal(number_of(object, "bytes_in"), 3);
	assert_int_equal(number_of(object, "bytes_out"), 5);
	json_decref(object);
}

static void sleep_ms(unsigned ms)
{
	usleep(ms * 1000);
}

/* Each phase where it was waited for, and not where it was not. */
static void the_phases_are_told_apart(void **state)
{
	open_with(state, json);
	ask("POST /later HTTP/1.1\r\nHost:");
	sleep_ms(30);
	ask(" a\r\nContent-Length: 3\r\n\r\n");
	sleep_ms(50);
	ask("abc");
	sleep_ms(70);
	crew_conn *c = crew_find(t.id);
	assert_true(crew_reply_begin(c, &(crew_response){ 0 }, -1) >= 0);
	sleep_ms(90);
	assert_true(crew_reply_end(c, NULL, 0) >= 0);
	world_settle(&t.world);
	json_t *object = line();
	assert_true(number_of(object, "head_us") >= 20000);
	assert_true(number_of(object, "body_us") >= 50000);
	assert_true(number_of(object, "handler_us") >= 70000);
	assert_true(number_of(object, "answer_us") >= 90000);
	json_decref(object);
}

static void a_whole_answer_takes_no_time(void **state)
{
	open_with(state, json);
	ask(GET("/later"));
	sleep_ms(50);
	assert_true(crew_reply(crew_find(t.id), &(crew_response){ .body = CREW_BYTES("x") }) >= 0);
	world_settle(&t.world);
	json_t *object = line();
	assert_int_equal(number_of(object, "head_us"), 0);
	assert_int_equal(number_of(object, "body_us"), 0);
	assert_true(number_of(object, "handler_us") >= 50000);
	assert_true(number_of(object, "answer_us") < 50000);
	json_decref(object);
}

static void an_answer_in_parts(void **state)
{
	open_with(state, json);
	ask(GET("/parts"));
	assert_true(crew_reply_end(crew_find(t.id), NULL, 0) >= 0);
	world_settle(&t.world);
	json_t *object = line();
	assert_int_equal(number_of(object, "bytes_out"), 6);
	assert_string_equal(string_of(object, "ended"), "ok");
	json_decref(object);
}

static void who_ended_it(void **state)
{
	open_with(state, json);
	ask(GET("/later"));
	const struct linger hard = { .l_onoff = 1 };
	setsockopt(t.peer, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(t.peer);
	t.peer = -1;
	world_until(&t.world, counter(&t.world, "connections") == 0);
	json_t *object = line();
	assert_string_equal(string_of(object, "ended"), "reset");
	assert_int_equal(number_of(object, "status"), 0);
	json_decref(object);
}

static void what_was_ended_by_the_program(void **state)
{
	open_with(state, json);
	ask(GET("/parts"));
	crew_abort(crew_find(t.id));
	world_settle(&t.world);
	json_t *object = line();
	assert_string_equal(string_of(object, "ended"), "app");
	assert_int_equal(number_of(object, "status"), 200);
	json_decref(object);
}

static void too_large_a_body(void **state)
{
	open_with(state, json);
	ask(HEAD("POST", "/p") "Content-Length: 101\r\n\r\n");
	json_t *object = line();
	assert_string_equal(string_of(object, "target"), "/p");
	assert_string_equal(string_of(object, "ended"), "protocol");
	assert_int_equal(number_of(object, "status"), 413);
	assert_int_equal(number_of(object, "bytes_out"), strlen("Content Too Large\n"));
	json_decref(object);
}

static void what_is_no_request(void **state)
{
	open_with(state, json);
	ask("GET / HTTP/1.1\r\nHost : a\r\n\r\n");
	json_t *object = line();
	assert_true(json_is_null(json_object_get(object, "method")));
	assert_int_equal(strlen(string_of(object, "id")), 16);
	assert_string_equal(string_of(object, "client"), "127.0.0.1");
	assert_string_equal(string_of(object, "ended"), "protocol");
	assert_int_equal(number_of(object, "status"), 400);
	json_decref(object);
}

static void what_comes_too_slowly(void **state)
{
	open_with(state, soon);
	ask("GET / HTT");
	world_until(&t.world, counter(&t.world, "connections") == 0);
	json_t *object = line();
	assert_string_equal(string_of(object, "ended"), "handshake");
	assert_int_equal(number_of(object, "status"), 408);
	assert_true(number_of(object, "head_us") >= 40000);
	json_decref(object);
}

static void without_a_log_nothing_is_written(void **state)
{
	open_with(state, NULL);
	ask(GET("/"));
	assert_null(t.world.worker->http->log);
	crew__worker_reopen_logs(t.world.worker);
	assert_string_equal(lines(), "");
}

/* ---- when they are written ----------------------------------------------------------------- */

static void after_a_second_at_the_latest(void **state)
{
	open_with(state, combined);
	ask(GET("/"));
	assert_string_equal(read_file(path), "");
	world_until(&t.world, count(read_file(path)) == 1);
	ask(GET("/"));
	world_until(&t.world, count(read_file(path)) == 2);
}

/* Those that come in one packet are more than the buffer's half: no second passes. */
static void sooner_when_there_are_many(void **state)
{
	enum {
		REQUESTS = 24,
		TARGET = 1700
	};
	static char requests[REQUESTS * (TARGET + 100)];
	char *at = requests;
	open_with(state, combined);
	for (int i = 0; i < REQUESTS; i++)
		at += sprintf(at, "GET /%0*d HTTP/1.1\r\nHost: a\r\n\r\n", TARGET, i);
	peer_says(t.peer, crew_str(requests));
	world_until(&t.world, counter(&t.world, "total_request") == REQUESTS);
	size_t len = strlen(read_file(path));
	assert_true(len >= 32 * 1024 && len < 64 * 1024);
	assert_int_equal(t.log[len - 1], '\n');
	assert_int_equal(count(lines()), REQUESTS);
}

static void opened_anew(void **state)
{
	open_with(state, combined);
	ask(GET("/old"));
	assert_int_equal(rename(path, moved), 0);
	ask(GET("/older"));
	crew__worker_reopen_logs(t.world.worker);
	ask(GET("/new"));
	assert_non_null(strstr(lines(), "/new"));
	assert_int_equal(count(t.log), 1);
	assert_int_equal(count(read_file(moved)), 2);
	assert_non_null(strstr(t.log, "/older"));
}

static void where_it_cannot_be_opened_anew(void **state)
{
	open_with(state, combined);
	ask(GET("/1"));
	assert_int_equal(rename(path, moved), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	crew__worker_reopen_logs(t.world.worker);
	ask(GET("/2"));
	world_clean_up(&t.world);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(count(read_file(moved)), 2);
}

static void where_it_cannot_be_opened(void **state)
{
	memset(&t, 0, offsetof(__typeof__(t), room));
	t.peer = -1;
	assert_int_equal(mkdir(path, 0700), 0);
	assert_false(world_open(&t.world, &web, engine_of(state), combined));
	assert_int_equal(rmdir(path), 0);
}

static void two_workers_in_one_file(void **state)
{
	struct world other;
	open_with(state, json);
	assert_true(world_open(&other, &web, engine_of(state), json));
	int peer = world_connect_tcp(&other, NULL);
	for (int i = 0; i < 200; i++) {
		ask(GET("/a"));
		peer_says(peer, CREW_BYTES(GET("/b")));
		world_settle(&other);
		peer_hears_all(&other, peer, t.room, ROOM);
	}
	close(peer);
	world_clean_up(&other);
	char *text = (char *)(uintptr_t)lines();
	assert_int_equal(count(text), 400);
	for (char *one = strtok(text, "\n"); one; one = strtok(NULL, "\n")) {
		json_t *object = json_loads(one, 0, NULL);
		assert_non_null(object);
		json_decref(object);
	}
}

/* ---- what is lost -------------------------------------------------------------------------- */

static void a_full_disk(void **state)
{
	open_with(state, full);
	for (int i = 0; i < 3; i++)
		ask(GET("/"));
	assert_int_equal(counter(&t.world, "access_log_lost"), 0);
	world_until(&t.world, counter(&t.world, "access_log_lost") == 3);
	ask(GET("/"));
	assert_non_null(strstr(t.room, "200 OK")); /* the service goes on */
}

/* A file that can grow no further, in the midst of a line; later it can. The line that was torn has
 * an end before the next begins. */
static void a_disk_that_was_full(void **state)
{
	open_with(state, combined);
	ask(GET("/1"));
	ask(GET("/2"));
	signal(SIGXFSZ, SIG_IGN);
	struct rlimit before, small;
	getrlimit(RLIMIT_FSIZE, &before);
	small = before;
	small.rlim_cur = 100;
	setrlimit(RLIMIT_FSIZE, &small);
	world_until(&t.world, counter(&t.world, "access_log_lost") > 0);
	setrlimit(RLIMIT_FSIZE, &before);
	unsigned whole = count(read_file(path));
	assert_int_equal(strlen(t.log), 100);
	assert_int_equal(counter(&t.world, "access_log_lost"), 2 - whole);
	ask(GET("/3"));
	const char *text = lines();
	assert_int_equal(count(text), whole + 2);
	assert_int_equal(text[100], '\n');
	assert_non_null(strstr(text + 101, "127.0.0.1 - - ["));
}

/* Nobody reads the pipe: what it takes is there, the rest is lost, and nobody waits. */
static void a_pipe_that_nobody_reads(void **state)
{
	assert_int_equal(mkfifo(path, 0600), 0);
	open_with(state, combined);
	static char request[2000];
	memset(request, 'x', sizeof(request));
	memcpy(request, "GET /", 5);
	strcpy(request + 1500, " HTTP/1.1\r\nHost: a\r\n\r\n");
	const unsigned asked = 150; /* of 1.5 KiB: more than pipe and buffer hold */
	for (unsigned i = 0; i < asked; i++)
		ask(request);
	uint64_t lost = counter(&t.world, "access_log_lost");
	assert_true(lost > 0 && lost < asked - 60);
	/* Then somebody does: whole lines, all but those that were lost. */
	int fd = open(path, O_RDONLY | O_NONBLOCK);
	size_t len = 0;
	for (int i = 0; i < 300 && count(t.log) < asked - lost; i++) {
		ssize_t n = read(fd, t.log + len, ROOM - 1 - len);
		len += n > 0 ? (size_t)n : 0;
		t.log[len] = '\0';
		world_pass(&t.world, 10);
	}
	close(fd);
	assert_int_equal(count(t.log), asked - lost);
	assert_int_equal(t.log[len - 1], '\n');
	assert_int_equal(counter(&t.world, "access_log_lost"), lost);
}

static int make_directory(void **state)
{
	(void)state;
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/access", directory);
	snprintf(moved, sizeof(moved), "%s/moved", directory);
	return 0;
}

static int remove_directory(void **state)
{
	(void)state;
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(a_line_for_each_exchange),
		ON_BOTH(all_about_an_exchange),
		ON_BOTH(the_phases_are_told_apart),
		ON_BOTH(a_whole_answer_takes_no_time),
		ON_BOTH(an_answer_in_parts),
		ON_BOTH(who_ended_it),
		ON_BOTH(what_was_ended_by_the_program),
		ON_BOTH(too_large_a_body),
		ON_BOTH(what_is_no_request),
		ON_BOTH(what_comes_too_slowly),
		ON_BOTH(without_a_log_nothing_is_written),
		ON_BOTH(after_a_second_at_the_latest),
		ON_BOTH(sooner_when_there_are_many),
		ON_BOTH(opened_anew),
		ON_BOTH(where_it_cannot_be_opened_anew),
		ON_BOTH(where_it_cannot_be_opened),
		ON_BOTH(two_workers_in_one_file),
		ON_BOTH(a_full_disk),
		ON_BOTH(a_disk_that_was_full),
		ON_BOTH(a_pipe_that_nobody_reads),
	};
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
