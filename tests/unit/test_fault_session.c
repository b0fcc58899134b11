/* test_fault_session.c - sessions without memory: each allocation of opening, saving, reading and
 * asking for a session fails in turn; nothing leaks, nothing is half done. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "fault.h"
#include "net_ways.h"
#include "web/session.h"
#include "web/session_lmdb.h"
#include "web/session_redis.h"
#include "web/session_redis_url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ID "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghij0123-_x"

static struct crew__loop *loop;
static char dir[64];

static bool good(int status)
{
	return status == 0 || status == -ENOMEM;
}

/* ---- values -------------------------------------------------------------------------------- */

static bool play_values(void)
{
	struct crew__values v;
	char *data = NULL, key[16];
	size_t len = 0, count;
	bool all = true;
	crew__values_init(&v);
	for (int i = 0; i < 20; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		int error = crew__values_set(&v, key, CREW_BYTES("value"), false);
		assert_true(good(error));
		assert_true((error == 0) == (crew__values_get(&v, key).data != NULL));
		all = all && error == 0;
	}
	size_t had = v.count;
	crew__values_all(&v, &count);
	all = all && count == had;
	int error = crew__values_encode(&v, "s", &data, &len);
	assert_true(good(error));
	crew__values_fini(&v);
	all = all && error == 0;
	if (error == 0) {
		error = crew__values_decode(&v, "s", (crew_bytes){ data, len });
		assert_true(good(error));
		assert_int_equal(v.count, error ? 0 : had);
		all = all && error == 0;
	}
	free(data);
	crew__values_fini(&v);
	return all;
}

/* ---- stores -------------------------------------------------------------------------------- */

static void fetched(void *arg, int status, crew_bytes bytes, int64_t left_ms)
{
	(void)bytes;
	(void)left_ms;
	*(int *)arg = status;
}

static bool play_lmdb(void)
{
	char error[256] = "";
	struct crew__store *s;
	const struct crew__lmdb_plan plan = { .loop = loop, .dir = dir, .map_size = 1 << 20 };
	int status = crew__lmdb_open(&plan, &s, error, sizeof(error));
	assert_true(good(status));
	if (status) {
		assert_string_not_equal(error, "");
		return false;
	}
	int saved = s->ops->save(s, ID, CREW_BYTES("bytes"), 60000, false);
	int touched = s->ops->touch(s, ID, 90000);
	assert_true(good(saved) && good(touched));
	assert_int_equal(s->ops->fetch(s, ID, fetched, &status), 0);
	assert_int_equal(status, saved ? -ENOENT : 0);
	assert_int_equal(s->ops->remove(s, ID), 0);
	s->ops->close(s);
	return saved == 0 && touched == 0;
}

static bool play_redis(void)
{
	char error[256];
	struct crew__redis_url url;
	struct crew__store *s;
	int status = 1;
	assert_int_equal(
		crew__redis_url_parse("redis+unix:///nowhere", &url, error, sizeof(error)), 0);
	int opened = crew__redis_open(loop, &url, &s);
	assert_true(good(opened));
	if (opened)
		return false;
	int asked = s->ops->fetch(s, ID, fetched, &status);
	int saved = s->ops->save(s, ID, CREW_BYTES("bytes"), 60000, true);
	assert_true(good(asked) && good(saved));
	assert_int_equal(status, 1);
	for (int i = 0; i < 5 && status == 1 && !asked; i++)
		crew__loop_turn(loop, 20);
	assert_int_equal(status, asked ? 1 : -ENOTCONN);
	s->ops->close(s);
	return asked == 0 && saved == 0;
}

static void play_all(bool (*play)(void))
{
	unsigned n = 0;
	bool hit = true, all = false;
	for (n = 1; hit && n < 200; n++) {
		assert_int_equal(crew__loop_new(CREW__ENGINE_AUTO, &loop), 0);
		fault_set(FAULT_MEMORY, n, false);
		all = play();
		hit = fault_hit();
		fault_set(FAULT_NONE, 0, false);
		crew__loop_free(loop);
	}
	assert_true(all);
	assert_true(n > 3 && n < 200);
}

static void values(void **state)
{
	(void)state;
	play_all(play_values);
}

static void in_the_run_directory(void **state)
{
	(void)state;
	char command[128];
	snprintf(dir, sizeof(dir), "/tmp/crew-fault-session-%d", (int)getpid());
	play_all(play_lmdb);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	assert_int_equal(system(command), 0);
}

static void in_redis(void **state)
{
	(void)state;
	play_all(play_redis);
}

/* ---- a request ----------------------------------------------------------------------------- */

static void on_request(crew_conn *c, const crew_request *r)
{
	int error = crew_session_set(r, "a", CREW_BYTES("1"));
	assert_true(good(error));
	crew_reply(c, &(crew_response){ .body = CREW_BYTES("handled") });
}

/* With a cookie the store is asked and away: 503. Without, the handler runs. */
static bool play_request(const char *request, const char *expected, unsigned n)
{
	static const crew_sessions sessions = { .store = "redis+unix:///nowhere" };
	static const crew_service service = {
		.name = "web",
		.listen = "http://127.0.0.1:1",
		.on_request = on_request,
		.sessions = &sessions,
	};
	static struct world world;
	char room[4096];
	assert_true(world_open(&world, &service, CREW__ENGINE_EPOLL, NULL));
	int fd = world_connect(&world);
	assert_true(fd >= 0);
	peer_says(fd, crew_str(request));
	fault_set(FAULT_MEMORY, n, false);
	for (int i = 0; i < 20; i++)
		world_turn(&world, 5);
	bool hit = fault_hit();
	fault_set(FAULT_NONE, 0, false);
	peer_hears_all(&world, fd, room, sizeof(room));
	bool as_expected = strncmp(room, expected, strlen(expected)) == 0;
	bool refused = strncmp(room, "HTTP/1.1 503", 12) == 0;
	assert_true(as_expected || (hit && (refused || peer_sees_end(fd))));
	close(fd);
	world_close(&world);
	return hit;
}

static void of_a_request(void **state)
{
	(void)state;
	unsigned n = 1;
	while (play_request(
		"GET / HTTP/1.1\r\nHost: a\r\nCookie: sid=" ID "\r\n\r\n", "HTTP/1.1 503", n))
		assert_true(++n < 200);
	assert_true(n > 3);
	n = 1;
	while (play_request("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200", n))
		assert_true(++n < 200);
	assert_true(n > 3);
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values),
		cmocka_unit_test(in_the_run_directory),
		cmocka_unit_test(in_redis),
		cmocka_unit_test(of_a_request),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
