/* test_service_session.c - what a worker says of sessions that cannot be, before it takes any
 * connection; and requests without sessions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "net_ways.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static struct {
	struct world world;
	int log_fd, peer;
} t;

static int set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	t.peer = -1;
	t.log_fd = memfd_create("log", MFD_CLOEXEC);
	crew__log_open(t.log_fd, CREW_WARN, "test");
	return t.log_fd < 0;
}

static int clean_up(void **state)
{
	(void)state;
	if (t.peer >= 0)
		close(t.peer);
	if (t.world.loop)
		world_clean_up(&t.world);
	crew__log_open(2, CREW_WARN, "test");
	return close(t.log_fd);
}

static const char *logged(void)
{
	static char text[4096];
	ssize_t len = pread(t.log_fd, text, sizeof(text) - 1, 0);
	text[len > 0 ? len : 0] = '\0';
	return text;
}

static void on_request(crew_conn *c, const crew_request *r)
{
	size_t count = 7;
	assert_null(crew_session_get(r, "a").data);
	assert_null(crew_session_pull(r, "a").data);
	assert_null(crew_session_all(r, &count));
	assert_int_equal(count, 0);
	assert_int_equal(crew_session_set(r, "a", CREW_BYTES("1")), -EINVAL);
	assert_int_equal(crew_session_flash(r, "a", CREW_BYTES("1")), -EINVAL);
	assert_int_equal(crew_session_delete(r, "a"), -EINVAL);
	assert_int_equal(crew_session_end(r), -EINVAL);
	assert_int_equal(crew_session_renew(r), -EINVAL);
	assert_string_equal(crew_session_id(r), "");
	crew_reply(c, &(crew_response){ .body = CREW_BYTES("none") });
}

/* ---- what cannot be ------------------------------------------------------------------------ */

static void refused(const crew_sessions *sessions, const char *words)
{
	const crew_route inner[] = {
		{ .path = "/b", .on_request = on_request, .sessions = sessions },
		{ 0 },
	};
	const crew_route routes[] = { { .path = "/a", .group = inner }, { 0 } };
	const crew_service service = {
		.name = "web",
		.listen = "http://127.0.0.1:1",
		.sessions = sessions,
		.on_request = on_request,
	};
	const crew_service deep = {
		.name = "web",
		.listen = "http://127.0.0.1:1",
		.routes = routes,
	};
	assert_false(world_open(&t.world, &service, CREW__ENGINE_AUTO, NULL));
	assert_non_null(strstr(logged(), "service \"web\": sessions: "));
	assert_non_null(strstr(logged(), words));
	assert_int_equal(ftruncate(t.log_fd, 0), 0);
	lseek(t.log_fd, 0, SEEK_SET);
	assert_false(world_open(&t.world, &deep, CREW__ENGINE_AUTO, NULL));
	assert_non_null(strstr(logged(), words));
	assert_int_equal(ftruncate(t.log_fd, 0), 0);
	lseek(t.log_fd, 0, SEEK_SET);
}

static void what_cannot_be_is_told(void **state)
{
	(void)state;
	refused(&(crew_sessions){ 0 }, "no run directory");
	refused(&(crew_sessions){ .lifetime_s = -1 }, "lifetime_s");
	refused(&(crew_sessions){ .lifetime_s = INT64_MAX }, "lifetime_s");
	refused(&(crew_sessions){ .cookie = "a b" }, "no cookie that a browser takes");
	refused(&(crew_sessions){ .cookie = "" }, "no cookie that a browser takes");
	refused(&(crew_sessions){ .path = "a;b" }, "no cookie that a browser takes");
	refused(&(crew_sessions){ .domain = "a\r\nb" }, "no cookie that a browser takes");
	refused(&(crew_sessions){ .same_site = CREW_SAME_SITE_NONE, .insecure = true },
		"no cookie that a browser takes");
	refused(&(crew_sessions){ .store = "" }, "redis://");
	refused(&(crew_sessions){ .store = "/var/lib" }, "redis://");
	refused(&(crew_sessions){ .store = "redis://:secret@localhost" }, "port");
	refused(&(crew_sessions){ .store = "redis://db.example:6379" }, "localhost");
}

/* Nobody has to answer for a service to start: Redis may come later. */
static void what_can_be_starts(void **state)
{
	(void)state;
	static const crew_sessions a = { .store = "redis://127.0.0.1:1" };
	static const crew_sessions b = { .store = "redis+unix:///nowhere?db=2", .cookie = "b" };
	static const crew_route routes[] = {
		{ .path = "/b", .on_request = on_request, .sessions = &b },
		{ 0 },
	};
	static const crew_service service = {
		.name = "web",
		.listen = "http://127.0.0.1:1",
		.sessions = &a,
		.routes = routes,
	};
	assert_true(world_open(&t.world, &service, CREW__ENGINE_AUTO, NULL));
	world_pass(&t.world, 100);
	assert_non_null(strstr(logged(), "Redis at 127.0.0.1:1 is away"));
	assert_non_null(strstr(logged(), "Redis at /nowhere is away"));
}

static void without_sessions_there_are_none(void **state)
{
	(void)state;
	static const crew_service service = {
		.name = "web",
		.listen = "http://127.0.0.1:1",
		.on_request = on_request,
	};
	char room[512];
	assert_true(world_open(&t.world, &service, CREW__ENGINE_AUTO, NULL));
	t.peer = world_connect(&t.world);
	peer_says(t.peer, CREW_BYTES("GET / HTTP/1.1\r\nHost: a\r\nCookie: sid=x\r\n\r\n"));
	peer_hears_all(&t.world, t.peer, room, sizeof(room));
	assert_non_null(strstr(room, "none"));
	assert_null(strstr(room, "Set-Cookie"));
	assert_null(crew_session_get(NULL, "a").data);
	assert_int_equal(crew_session_set(NULL, "a", CREW_BYTES("1")), -EINVAL);
	assert_string_equal(crew_session_id(NULL), "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, clean_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_cannot_be_is_told),
		TEST(what_can_be_starts),
		TEST(without_sessions_there_are_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
