/* test_http_table.c - tables of routes that are wrong: the worker does not start, and the log says
 * which route it is and how it is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_ways.h"

#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static int log_fd;

static void on_request(crew_conn *c, const crew_request *r)
{
	(void)c;
	(void)r;
}

static void on_body(crew_conn *c, crew_bytes part, bool last)
{
	(void)c;
	(void)part;
	(void)last;
}

static bool before(crew_conn *c, const crew_request *r)
{
	(void)c;
	(void)r;
	return true;
}

static void after(crew_conn *c, crew_response *response)
{
	(void)c;
	(void)response;
}

/* What is logged while the worker starts with the service; NULL: it does start. */
static const char *start(const crew_service *service)
{
	static char text[8192];
	struct world world;
	assert_int_equal(ftruncate(log_fd, 0), 0);
	lseek(log_fd, 0, SEEK_SET);
	bool started = world_open(&world, service, CREW__ENGINE_EPOLL, NULL);
	if (started)
		world_close(&world);
	ssize_t n = pread(log_fd, text, sizeof(text) - 1, 0);
	assert_true(n >= 0);
	text[n] = '\0';
	return started ? NULL : text;
}

static void refuse_table(const crew_route *routes, const char *route, const char *why)
{
	const crew_service service = {
		.name = "web", .listen = "http://127.0.0.1:1", .routes = routes
	};
	const char *text = start(&service);
	if (!text)
		fail_msg("it started, though: %s", why);
	if (!strstr(text, route) || !strstr(text, why) || !strstr(text, "service \"web\""))
		fail_msg("\"%s\" has no %s or no \"%s\"", text, route, why);
	assert_null(strchr(strchr(text, '\n') + 1, '\n')); /* one line */
}

static void refuse(crew_route route, const char *text, const char *why)
{
	const crew_route table[] = { route, { .path = NULL } };
	refuse_table(table, text, why);
}

static const crew_files files = { .root = "/" };
static const crew_websocket websocket = { .origins = "*" };
static const crew_route empty[] = { { .path = NULL } };

static void patterns(void **state)
{
	static char endless[2000];
	(void)state;
	memset(endless, 'x', sizeof(endless) - 1);
	endless[0] = '/';
	refuse((crew_route){ .path = "users", .on_request = on_request }, "route \"users\"",
		"begin with a slash");
	refuse((crew_route){ .path = "", .on_request = on_request }, "route \"\"",
		"begin with a slash");
	refuse((crew_route){ .method = "GET", .path = "/:", .on_request = on_request },
		"route \"GET /:\"", "name");
	refuse((crew_route){ .path = "/*a/b", .on_request = on_request }, "\"/*a/b\"", "follow");
	refuse((crew_route){ .path = endless, .on_request = on_request }, "\"/xxx", "longer");
	refuse((crew_route){ .path = "/:a/:b/:c/:d/:e/:f/:g/:h/:i/:j/:k/:l/:m/:n/:o/:p/:q",
		       .on_request = on_request },
		"/:q", "16 parameters");
	refuse((crew_route){ .method = "get", .path = "/", .on_request = on_request }, "\"get /\"",
		"capitals");
}

static void handlers(void **state)
{
	(void)state;
	refuse((crew_route){ .path = "/x" }, "\"/x\"", "no on_request");
	refuse((crew_route){ .path = "/*x", .on_request = on_request, .files = &files }, "\"/*x\"",
		"more than one");
	refuse((crew_route){ .path = "/*x", .websocket = &websocket, .files = &files }, "\"/*x\"",
		"more than one");
	refuse((crew_route){ .path = "/x", .group = empty, .on_request = on_request }, "\"/x\"",
		"more than one");
	refuse((crew_route){ .path = "/x", .group = empty, .websocket = &websocket }, "\"/x\"",
		"more than one");
	refuse((crew_route){ .path = "/x", .files = &files }, "\"/x\"", "`*name`");
	refuse((crew_route){ .path = "/*x", .files = &files, .on_body = on_body }, "\"/*x\"",
		"on_body");
	refuse((crew_route){ .path = "/x",
		       .websocket = &websocket,
		       .on_request = on_request,
		       .on_body = on_body },
		"\"/x\"", "on_body");
}

static void limits(void **state)
{
	crew_route many = { .path = "/x", .on_request = on_request };
	(void)state;
	refuse((crew_route){ .path = "/x", .on_request = on_request, .max_body = CREW_OFF },
		"\"/x\"", "CREW_OFF only with on_body");
	refuse((crew_route){ .path = "/x", .on_request = on_request, .max_body = -2 }, "\"/x\"",
		"negative");
	for (size_t i = 0; i <= CREW_MAX_MIDDLEWARE; i++)
		many.before[i] = before;
	refuse(many, "\"/x\"", "eight");
	memset(many.before, 0, sizeof(many.before));
	for (size_t i = 0; i <= CREW_MAX_MIDDLEWARE; i++)
		many.after[i] = after;
	refuse(many, "\"/x\"", "eight");
}

static void groups(void **state)
{
	static const crew_route bad[] = { { .path = "x", .on_request = on_request },
		{ .path = NULL } };
	static crew_route cycle[] = { { .path = "/in", .group = NULL }, { .path = NULL } };
	static crew_route deep[20][2];
	(void)state;
	refuse((crew_route){ .path = "/g", .group = bad }, "\"/gx\"", "begin with a slash");
	refuse((crew_route){ .path = "/g", .group = empty, .method = "GET" }, "\"GET /g\"",
		"not for a group");
	refuse((crew_route){ .path = "/g", .group = empty, .max_body = 5 }, "\"/g\"",
		"not for a group");
	refuse((crew_route){ .path = "/g/*x", .group = empty }, "\"/g/*x\"", "`*`");
	refuse((crew_route){ .path = "g", .group = empty }, "\"g\"", "begin with a slash");
	cycle[0].group = cycle;
	refuse_table(cycle, "\"/in/in\"", "holds itself");
	for (size_t i = 0; i + 1 < crew__lengthof(deep); i++)
		deep[i][0] = (crew_route){ .path = "/d", .group = deep[i + 1] };
	deep[19][0] = (crew_route){ .path = "/d", .on_request = on_request };
	refuse_table(deep[0], "\"/d/d/d/d", "more than 16 groups");
	crew_service service = { .name = "web", .listen = "http://127.0.0.1:1", .routes = deep[4] };
	assert_null(start(&service)); /* 15 groups */
}

static void twice_the_same(void **state)
{
	static const crew_route inner[] = {
		{ .method = "GET", .path = "/b", .on_request = on_request }, { .path = NULL }
	};
	static const crew_route same[] = {
		{ .method = "GET", .path = "/a/b", .on_request = on_request },
		{ .path = "/a", .group = inner }, { .path = NULL }
	};
	static const crew_route names[] = {
		{ .method = "GET POST", .path = "/:a", .on_request = on_request },
		{ .method = "POST", .path = "/:b", .on_request = on_request }, { .path = NULL }
	};
	static const crew_route any[] = { { .path = "/a", .on_request = on_request },
		{ .path = "/%61", .on_request = on_request }, { .path = NULL } };
	(void)state;
	refuse_table(same, "\"GET /a/b\"", "same method");
	refuse_table(names, "\"POST /:b\"", "same method");
	refuse_table(any, "\"/%61\"", "any method");
}

static void cross_origin(void **state)
{
	static const crew_cors bad[] = {
		{ .origins = "a.example" },
		{ .origins = "*", .credentials = true },
		{ .origins = "https://a", .credentials = true, .headers = "*" },
		{ .origins = "https://a", .headers = "X-A X-B" },
		{ .origins = "https://a", .expose = "X-A," },
		{ .origins = "https://a", .max_age_s = -1 },
	};
	static const char *const why[] = { "cors.origins", "credentials", "credentials", "commas",
		"commas", "max_age_s" };
	(void)state;
	for (size_t i = 0; i < crew__lengthof(bad); i++) {
		refuse((crew_route){ .path = "/x", .on_request = on_request, .cors = &bad[i] },
			"\"/x\"", why[i]);
		refuse((crew_route){ .path = "/x", .group = empty, .cors = &bad[i] }, "\"/x\"",
			why[i]);
		crew_service service = {
			.name = "web", .listen = "http://127.0.0.1:1", .cors = &bad[i]
		};
		const char *text = start(&service);
		assert_non_null(text);
		assert_non_null(strstr(text, why[i]));
	}
}

/* What looks odd and is right. */
static void good_tables(void **state)
{
	static const crew_route inner[] = { { .path = "/", .on_request = on_request },
		{ .path = "/:x", .on_request = on_request }, { .path = NULL } };
	static const crew_cors off = { .origins = NULL };
	static const crew_route table[] = {
		{ .path = "/", .group = inner },
		{ .path = "/a", .group = inner },
		{ .method = "GET", .path = "/a", .on_request = on_request },
		{ .path = "/b/", .group = inner },
		{ .path = "/u/:id", .group = inner },
		{ .path = "/e", .group = empty },
		{ .path = "/f/*path", .files = &files, .cors = &off },
		{ .method = "POST", .path = "/f/*where", .on_request = on_request, .max_body = 1 },
		{ .path = "/w", .websocket = &websocket, .on_request = on_request },
		{ .path = "/s",
			.on_request = on_request,
			.on_body = on_body,
			.max_body = CREW_OFF },
		{ .path = NULL },
	};
	(void)state;
	crew_service service = { .name = "web", .listen = "http://127.0.0.1:1", .routes = table };
	assert_null(start(&service));
	service.routes = empty;
	assert_null(start(&service));
}

int main(void)
{
	log_fd = memfd_create("log", MFD_CLOEXEC);
	crew__log_open(log_fd, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns),
		cmocka_unit_test(handlers),
		cmocka_unit_test(limits),
		cmocka_unit_test(groups),
		cmocka_unit_test(twice_the_same),
		cmocka_unit_test(cross_origin),
		cmocka_unit_test(good_tables),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
