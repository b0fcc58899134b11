/* test_fault_route.c - routes without memory: each allocation fails in turn, while the table is
 * compiled and while requests ask for params, error pages, preflights. The worker starts or does
 * not; each request is answered or its connection ends; nothing leaks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "fault.h"
#include "service_world.h"

#include <sys/socket.h>
#include <unistd.h>

static bool before(crew_conn *c, const crew_request *r)
{
	(void)r;
	crew_reply_header(c, "X-Before", CREW_BYTES("1"));
	return true;
}

static void after(crew_conn *c, crew_response *response)
{
	(void)response;
	crew_reply_header(c, "X-After", CREW_BYTES("1"));
}

static void show(crew_conn *c, const crew_request *r)
{
	crew_bytes id = crew_request_param(r, "id"), path = crew_request_path(r);
	if (!id.data || !path.data)
		crew_reply_error(c, r, 503, "no memory");
	else
		crew_reply(c, &(crew_response){ .body = id });
}

static const crew_cors cors = { .origins = "https://b.example", .headers = "X-A" };
static const crew_files files = { .root = "/usr/share/common-licenses" };
static const crew_route inner[] = {
	{ .method = "GET", .path = "/", .on_request = show },
	{ .method = "GET POST", .path = "/:what", .on_request = show, .after = { after } },
	{ .path = "/static/*path", .files = &files },
	{ .path = NULL },
};
static const crew_route routes[] = {
	{ .path = "/users/:id", .group = inner, .before = { before }, .after = { after } },
	{ .method = "GET", .path = "/usable", .on_request = show },
	{ .method = "GET", .path = "/user/me", .on_request = show, .cors = &cors },
	{ .path = NULL },
};
static const crew_service service = {
	.name = "web",
	.listen = "http://127.0.0.1:1",
	.routes = routes,
	.cors = &cors,
};

static const char requests[] =
	"GET /users/a%20b/c HTTP/1.1\r\nHost: a\r\nOrigin: https://b.example\r\n\r\n"
	"GET /nowhere HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n\r\n"
	"PUT /usable HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
	"OPTIONS /user/me HTTP/1.1\r\nHost: a\r\nOrigin: https://b.example\r\n"
	"Access-Control-Request-Method: GET\r\n\r\n"
	"GET /users/7/static/%47PL-2 HTTP/1.1\r\nHost: a\r\n\r\n"
	"GET /users/7 HTTP/1.1\r\nHost: a\r\n\r\n";

enum {
	REQUESTS = 6
};

static unsigned heads_in(const char *text)
{
	unsigned n = 0;
	while ((text = strstr(text, "HTTP/1.1 "))) {
		n++;
		text++;
	}
	return n;
}

/* True: the n-th allocation was reached. */
static bool tables_without_memory(enum crew__engine_kind engine, unsigned n, bool lasting)
{
	struct world world;
	fault_set(FAULT_MEMORY, n, lasting);
	bool open = world_open(&world, &service, engine, NULL);
	bool hit = fault_hit();
	fault_set(FAULT_NONE, 0, false);
	if (open)
		world_close(&world);
	assert_true(open || hit);
	return hit;
}

static bool requests_without_memory(enum crew__engine_kind engine, unsigned n, bool lasting)
{
	static char text[200000];
	struct world world;
	size_t len = 0;
	assert_true(world_open(&world, &service, engine, NULL));
	int peer = world_connect(&world);
	assert_true(peer >= 0);
	fault_set(FAULT_MEMORY, n, lasting);
	assert_int_equal(send(peer, requests, sizeof(requests) - 1, 0), sizeof(requests) - 1);
	ssize_t got = 1;
	for (unsigned i = 0; i < 100; i++) {
		world_turn(&world, 0);
		got = recv(peer, text + len, sizeof(text) - 1 - len, MSG_DONTWAIT);
		len += got > 0 ? (size_t)got : 0;
	}
	bool hit = fault_hit();
	fault_set(FAULT_NONE, 0, false);
	text[len] = '\0';
	assert_true(heads_in(text) == REQUESTS || (hit && (got == 0 || strstr(text, " 503 "))));
	close(peer);
	world_settle(&world);
	assert_null(world_conn(&world, 0));
	world_close(&world);
	return hit;
}

static void each_in_turn(
	void **state, bool (*run)(enum crew__engine_kind engine, unsigned n, bool lasting))
{
	enum crew__engine_kind engine = *(enum crew__engine_kind *)*state;
	unsigned n = 1;
	for (bool once = true, lasting = true; once || lasting; n++) {
		once = run(engine, n, false);
		lasting = run(engine, n, true);
		assert_true(n < 5000);
	}
	assert_true(n > 1);
}

static void compiling(void **state)
{
	each_in_turn(state, tables_without_memory);
}

static void answering(void **state)
{
	each_in_turn(state, requests_without_memory);
}

int main(void)
{
	static enum crew__engine_kind epoll = CREW__ENGINE_EPOLL, poll = CREW__ENGINE_POLL;
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(compiling, &epoll),
		cmocka_unit_test_prestate(answering, &epoll),
		cmocka_unit_test_prestate(answering, &poll),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
