/* test_http_edge.c - what random play (test_http_laws.c) and an adversary found: requests kept at
 * odd times, bodies that nobody is to get, streams cut off, broadcasts to two protocols. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/ip_table.h"
#include "service/http.h"
#include "service_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
	struct world world;
	int peer;
	uint64_t id;
	unsigned requests, parts, closes;
	crew_request *kept;
	char text[8192];
} edge;

/* ---- requests that are kept ------------------------------------------------------------------ */

static void keep_before_and_after(crew_conn *c, const crew_request *request)
{
	crew_request *first = crew_request_keep(request);
	crew_reply(c, &(crew_response){ .status = 204 });
	edge.kept = crew_request_keep(request);
	assert_non_null(edge.kept);
	crew_request_free(first);
}

static void keep_free_look(crew_conn *c, const crew_request *request)
{
	crew_request *kept = crew_request_keep(request);
	assert_non_null(kept);
	crew_request_free(kept);
	size_t uploads;
	assert_true(crew_request_form(request, "a").len == 1);
	assert_non_null(crew_request_files(request, &uploads));
	kept = crew_request_keep(request);
	crew_reply(c, &(crew_response){ .status = 204 });
	crew_request_free(kept);
	assert_true(crew_request_form(request, "a").len == 1);
	edge.requests++;
}

static void keep_twice(crew_conn *c, const crew_request *request)
{
	crew_request *first = crew_request_keep(request);
	edge.kept = crew_request_keep(request);
	assert_ptr_not_equal(first, edge.kept);
	crew_request_free(first);
	assert_true(crew_request_form(edge.kept, "a").len == 1);
	edge.requests++;
	crew_reply(c, &(crew_response){ .status = 204 });
}

/* What the answer needs of its request (the session, what it accepts) is found in `side`. */
static void keep_and_free(crew_conn *c, const crew_request *request)
{
	const struct crew__exchange *e = crew__exchange_of(c);
	assert_ptr_equal(e->side, request->side);
	crew_request *first = crew_request_keep(request);
	crew_request *second = crew_request_keep(request);
	assert_ptr_equal(e->side, first->side);
	crew_request_free(second);
	assert_ptr_equal(e->side, first->side);
	crew_request_free(first);
	assert_ptr_equal(e->side, request->side);
	edge.requests++;
	crew_reply(c, &(crew_response){ .status = 204 });
}

/* ---- bodies ---------------------------------------------------------------------------------- */

static bool turn_away(crew_conn *c, const crew_request *request)
{
	(void)request;
	edge.id = crew_id(c);
	return false;
}

static void count_request(crew_conn *c, const crew_request *request)
{
	(void)c;
	(void)request;
	edge.requests++;
}

static void count_part(crew_conn *c, crew_bytes part, bool last)
{
	(void)c;
	(void)part;
	(void)last;
	edge.parts++;
}

static void close_at_once(crew_conn *c, const crew_request *request)
{
	(void)request;
	edge.requests++;
	crew_close(c);
}

static void begin(crew_conn *c, const crew_request *request)
{
	(void)request;
	edge.id = crew_id(c);
	crew_reply_begin(c, &(crew_response){ .body = CREW_BYTES("part") }, -1);
}

static void events(crew_conn *c, const crew_request *request)
{
	(void)request;
	assert_int_equal(crew_events_begin(c, NULL), 0);
}

static void wait_for_it(crew_conn *c, const crew_request *request)
{
	(void)request;
	edge.id = crew_id(c);
}

static void on_close(crew_conn *c)
{
	(void)c;
	edge.closes++;
}

static const crew_websocket websocket = { .origins = "*" };

static const crew_route routes[] = {
	{ .path = "/late", .on_request = keep_before_and_after },
	{ .path = "/look", .on_request = keep_free_look },
	{ .path = "/back", .on_request = keep_and_free },
	{ .path = "/twice", .on_request = keep_twice },
	{ .path = "/away",
		.on_request = count_request,
		.on_body = count_part,
		.before = { turn_away } },
	{ .path = "/shut", .on_request = close_at_once, .on_body = count_part },
	{ .path = "/begin", .on_request = begin },
	{ .path = "/events", .on_request = events },
	{ .path = "/wait", .on_request = wait_for_it },
	{ .path = "/ws", .websocket = &websocket },
	{ 0 },
};

static const crew_service http = {
	.name = "http",
	.listen = "http://127.0.0.1:1",
	.routes = routes,
	.on_close = on_close,
};
static const crew_service ws = {
	.name = "ws",
	.listen = "ws://127.0.0.1:1",
	.websocket = &websocket,
	.routes = routes,
	.on_close = on_close,
};

/* ---- around ---------------------------------------------------------------------------------- */

static void limit_per_ip(struct crew__service_settings *s)
{
	s->max_connections_per_ip = 1;
	s->linger_ms = 0;
}

static void set_up(const crew_service *service)
{
	memset(&edge, 0, sizeof(edge));
	assert_true(world_open(&edge.world, service, CREW__ENGINE_EPOLL, NULL));
	edge.peer = world_connect(&edge.world);
	assert_true(edge.peer >= 0);
}

static void tear_down(void)
{
	crew_request_free(edge.kept);
	if (edge.peer >= 0)
		close(edge.peer);
	world_settle(&edge.world);
	world_close(&edge.world);
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
	world_settle(&edge.world);
}

static const char *hear(int fd)
{
	ssize_t n = recv(fd, edge.text, sizeof(edge.text) - 1, 0);
	edge.text[n > 0 ? n : 0] = '\0';
	return edge.text;
}

static void post_form(const char *path)
{
	static const char form[] =
		"--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n"
		"--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n"
		"\r\nfile\r\n--b--\r\n";
	char text[1024];
	snprintf(text, sizeof(text),
		"POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n"
		"Content-Length: %zu\r\n\r\n%s",
		path, sizeof(form) - 1, form);
	say(edge.peer, text);
}

/* ---- the tests ------------------------------------------------------------------------------- */

static void a_request_kept_after_its_answer_holds_on_to_nothing(void **state)
{
	(void)state;
	set_up(&http);
	say(edge.peer, "GET /late?a=1 HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_non_null(strstr(hear(edge.peer), "204"));
	close(edge.peer);
	edge.peer = -1;
	world_settle(&edge.world);
	assert_int_equal(edge.closes, 1);
	crew_request *again = crew_request_keep(edge.kept);
	crew_request_free(edge.kept);
	edge.kept = NULL;
	assert_int_equal(crew_request_query(again, "a").len, 1);
	crew_request_free(again);
	tear_down();
}

static void a_request_is_there_until_its_handler_returns(void **state)
{
	(void)state;
	set_up(&http);
	post_form("/look");
	assert_int_equal(edge.requests, 1);
	assert_non_null(strstr(hear(edge.peer), "204"));
	tear_down();
}

static void a_form_is_kept_twice(void **state)
{
	(void)state;
	set_up(&http);
	post_form("/twice");
	assert_int_equal(edge.requests, 1);
	assert_non_null(strstr(hear(edge.peer), "204"));
	tear_down();
}

static void a_copy_that_is_freed_gives_its_place_back(void **state)
{
	(void)state;
	set_up(&http);
	say(edge.peer, "GET /back HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_int_equal(edge.requests, 1);
	assert_non_null(strstr(hear(edge.peer), "204"));
	tear_down();
}

static void no_body_without_a_handler(void **state)
{
	(void)state;
	set_up(&http);
	say(edge.peer, "POST /away HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
	assert_int_equal(edge.requests + edge.parts, 0);
	crew_reply(crew_find(edge.id), &(crew_response){ .status = 403 });
	world_settle(&edge.world);
	assert_non_null(strstr(hear(edge.peer), "403"));
	say(edge.peer, "GET /shut HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_int_equal(edge.requests, 1);
	assert_int_equal(edge.parts, 0);
	tear_down();
}

static void finishing_in_the_midst_of_a_body_ends_the_connection(void **state)
{
	(void)state;
	set_up(&http);
	say(edge.peer, "GET /begin HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_int_equal(shutdown(edge.peer, SHUT_WR), 0);
	world_settle(&edge.world);
	assert_int_equal(crew_finish(crew_find(edge.id)), 0);
	world_settle(&edge.world);
	assert_int_equal(edge.closes, 1);
	assert_int_equal(edge.world.worker->net.stats.slab->fail_aborted, 1);
	assert_int_equal(edge.world.worker->net.stats.slab->messages_queued, 0);
	tear_down();
}

static void a_handshake_with_a_body_is_none(void **state)
{
	(void)state;
	set_up(&ws);
	say(edge.peer, "GET /shut HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
		       "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nContent-Length: 9\r\n"
		       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
	assert_non_null(strstr(hear(edge.peer), "HTTP/1.1 400"));
	assert_int_equal(edge.requests + edge.parts, 0);
	tear_down();
}

/* The first member of the service decides which protocol a broadcast is encoded for at once. */
static void each_gets_its_own_protocol(void **state)
{
	(void)state;
	set_up(&http);
	int second = world_connect(&edge.world);
	say(edge.peer, "GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
	say(second, "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		    "Sec-WebSocket-Version: 13\r\n"
		    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
	int third = world_connect(&edge.world);
	say(third, "GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_non_null(strstr(hear(edge.peer), "event-stream"));
	assert_non_null(strstr(hear(second), "101"));
	assert_non_null(strstr(hear(third), "event-stream"));
	crew_shared *s = crew_shared_new(CREW_BYTES("one"));
	assert_int_equal(crew_broadcast(&http, s), 3);
	crew_abort(world_conn(&edge.world, 0));
	assert_int_equal(crew_broadcast(&http, s), 2);
	crew_shared_unref(s);
	world_settle(&edge.world);
	assert_string_equal(hear(third), "b\r\ndata: one\n\n\r\nb\r\ndata: one\n\n\r\n");
	assert_string_equal(hear(second), "\x81\x03one\x81\x03one");
	close(second);
	close(third);
	tear_down();
}

/* One that asked, shut down its side, and got its answer counts for its address no longer. */
static void who_left_counts_for_no_address(void **state)
{
	(void)state;
	memset(&edge, 0, sizeof(edge));
	edge.peer = -1;
	assert_true(world_open(&edge.world, &http, CREW__ENGINE_EPOLL, limit_per_ip));
	struct crew__net *net = &edge.world.worker->net;
	const struct crew__record_address from = { .family = AF_INET, .ip = { 10, 0, 0, 1 } };
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	assert_true(crew__ip_table_enter(net->ips, &from, 1));
	assert_int_equal(crew__net_adopt(net, pair[0], &from, NULL), 0);
	say(pair[1], "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
	shutdown(pair[1], SHUT_WR);
	world_settle(&edge.world);
	crew_reply(crew_find(edge.id), &(crew_response){ .status = 204 });
	world_settle(&edge.world);
	close(pair[1]);
	world_settle(&edge.world);
	assert_int_equal(edge.closes, 1);
	assert_true(crew__ip_table_enter(net->ips, &from, 1));
	crew__ip_table_leave(net->ips, &from);
	tear_down();
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_kept_after_its_answer_holds_on_to_nothing),
		cmocka_unit_test(a_request_is_there_until_its_handler_returns),
		cmocka_unit_test(a_form_is_kept_twice),
		cmocka_unit_test(a_copy_that_is_freed_gives_its_place_back),
		cmocka_unit_test(no_body_without_a_handler),
		cmocka_unit_test(finishing_in_the_midst_of_a_body_ends_the_connection),
		cmocka_unit_test(a_handshake_with_a_body_is_none),
		cmocka_unit_test(each_gets_its_own_protocol),
		cmocka_unit_test(who_left_counts_for_no_address),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
