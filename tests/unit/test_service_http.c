/* test_service_http.c - HTTP connections: one request in hand at a time, answers in the order of
 * the requests however late they come, and the connection's end as both sides asked for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_ways.h"
#include "pieces.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	ROOM = 1 << 21,
	LIMIT = 10000 /* max_message */
};

static struct {
	struct world world;
	int peer;
	uint64_t id; /* of the connection whose answer is to come later */
	char *room;
} t;

static int64_t answer(crew_conn *c, const char *body)
{
	return crew_reply(c, &(crew_response){ .type = "t/t", .body = crew_str(body) });
}

static bool is(crew_bytes bytes, const char *word)
{
	return bytes.len == strlen(word) && memcmp(bytes.data, word, bytes.len) == 0;
}

/* The path says what becomes of it. */
static void on_request(crew_conn *c, const crew_request *r)
{
	tell("%.*s %.*s[%.*s]", (int)r->method.len, r->method.data, (int)r->target.len,
		r->target.data, (int)crew__min(r->body.len, 40), r->body.data);
	t.id = crew_id(c);
	if (is(r->path, "/later"))
		return;
	if (is(r->path, "/close"))
		assert_int_equal(crew_close(c), 0);
	else if (is(r->path, "/abort"))
		assert_int_equal(crew_abort(c), 0);
	else if (is(r->path, "/last"))
		assert_true(crew_reply(c, &(crew_response){ .close = true }) >= 0);
	else if (is(r->path, "/204"))
		assert_true(crew_reply(c, &(crew_response){ .status = 204, .body = r->path }) >= 0);
	else if (is(r->path, "/304"))
		assert_true(crew_reply(c, &(crew_response){ .status = 304, .body = r->path }) >= 0);
	else
		assert_true(crew_reply(c, &(crew_response){ .type = "t/t", .body = r->path }) >= 0);
}

static const crew_service web = {
	.name = "web",
	.listen = "http://127.0.0.1:1",
	.on_open = tell_open,
	.on_request = on_request,
	.on_close = tell_close,
	.on_error = tell_error,
};
static const crew_service nothing = { .name = "nothing", .listen = "http://127.0.0.1:1" };

static void usual(struct crew__service_settings *s)
{
	s->max_message = LIMIT;
	s->linger_ms = 0;
}

static void open_with(void **state, const crew_service *service,
	void (*adjust)(struct crew__service_settings *settings))
{
	memset(&t, 0, sizeof(t));
	t.peer = -1;
	t.room = malloc(ROOM);
	told_anew();
	assert_true(world_open(&t.world, service, engine_of(state), adjust));
	t.peer = world_connect(&t.world);
	assert_true(t.peer >= 0);
	world_settle(&t.world);
	told_anew();
}

static void open_it(void **state)
{
	open_with(state, &web, usual);
}

static int clean_up(void **state)
{
	(void)state;
	if (t.peer >= 0)
		close(t.peer);
	world_clean_up(&t.world);
	free(t.room);
	return 0;
}

static crew_conn *conn(void)
{
	return world_conn(&t.world, 0);
}

static void ask(const char *bytes)
{
	peer_says(t.peer, crew_str(bytes));
	world_settle(&t.world);
}

/* All that has come, but for the Date lines. */
static const char *hear(void)
{
	peer_hears_all(&t.world, t.peer, t.room, ROOM);
	char *date;
	while ((date = strstr(t.room, "Date: "))) {
		char *rest = strstr(date, "\r\n") + 2;
		assert_int_equal(rest - date, 6 + 29 + 2);
		memmove(date, rest, strlen(rest) + 1);
	}
	return t.room;
}

#define OK(length, body) \
	"HTTP/1.1 200 OK\r\nContent-Type: t/t\r\nContent-Length: " length "\r\n\r\n" body
#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

/* ---- in order ------------------------------------------------------------------------------ */

static void answers_keep_the_order_of_the_requests(void **state)
{
	open_it(state);
	ask(GET("/1") GET("/later") GET("/3") GET("/later") GET("/5"));
	assert_string_equal(told(), "GET /1[] GET /later[]");
	assert_string_equal(hear(), OK("2", "/1"));
	assert_true(answer(crew_find(t.id), "at last") > 0);
	assert_string_equal(told(), "GET /1[] GET /later[]"); /* not from inside the call */
	world_settle(&t.world);
	assert_string_equal(told(), "GET /1[] GET /later[] GET /3[] GET /later[]");
	assert_string_equal(hear(), OK("7", "at last") OK("2", "/3"));
	assert_true(answer(crew_find(t.id), "again") > 0);
	assert_string_equal(hear(), OK("5", "again") OK("2", "/5"));
	assert_int_equal(counter(&t.world, "messages_sent"), 5);
	assert_int_equal(counter(&t.world, "total_request"), 5);
}

static void what_comes_while_an_answer_is_due_waits(void **state)
{
	open_it(state);
	ask(GET("/later"));
	ask(GET("/2"));
	ask("rubbish\r\n\r\n");
	assert_string_equal(told(), "GET /later[]");
	assert_string_equal(hear(), "");
	answer(crew_find(t.id), "1");
	world_settle(&t.world);
	assert_string_equal(told(), "GET /later[] GET /2[] close:protocol");
	assert_memory_equal(hear(), OK("1", "1") OK("2", "/2") "HTTP/1.1 400 ", 13);
	assert_string_equal(strstr(t.room, "/2HTTP") + 2,
		"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n"
		"Content-Length: 12\r\n\r\nBad Request\n");
	assert_int_equal(counter(&t.world, "requests_malformed"), 1);
}

static void pipelined_requests_in_every_cutting(void **state)
{
	static const char stream[] = GET(
		"/1") "POST /2?q HTTP/1.1\r\nHost: a\r\nContent-Length: 5"
		      "\r\n\r\nhello" GET(
			      "/3") "POST /4 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked"
				    "\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n" GET("/5");
	for (unsigned way = 0; way < PIECES_WAYS; way++) {
		struct pieces pieces = pieces_of(way);
		open_it(state);
		for (size_t at = 0, n; at < sizeof(stream) - 1; at += n) {
			n = pieces_next(&pieces, sizeof(stream) - 1 - at);
			peer_says(t.peer, (crew_bytes){ stream + at, n });
			world_turn(&t.world, 0);
		}
		world_settle(&t.world);
		assert_string_equal(
			told(), "GET /1[] POST /2?q[hello] GET /3[] POST /4[abcde] GET /5[]");
		assert_string_equal(hear(),
			OK("2", "/1") OK("2", "/2") OK("2", "/3") OK("2", "/4") OK("2", "/5"));
		assert_int_equal(conn()->record->recv_queue, 0);
		clean_up(state);
	}
	open_it(state);
}

static void pipelined_answers_of_one_event_are_one_write(void **state)
{
	open_it(state);
	int packets = world_connect_packets(&t.world);
	peer_says(packets, CREW_BYTES(GET("/1") GET("/2")));
	world_settle(&t.world);
	ssize_t n = peer_hears(packets, t.room, ROOM);
	assert_true(n > 0 && strstr(t.room, "\r\n\r\n/1HTTP/1.1") && t.room[n - 1] == '2');
	close(packets);
}

static void a_long_answer_waits_and_holds_the_next_request(void **state)
{
	static char body[3000000];
	open_it(state);
	memset(body, 'x', sizeof(body));
	ask(GET("/later") GET("/2"));
	crew_response much = { .type = "t/t", .body = { body, sizeof(body) } };
	assert_true(crew_reply(crew_find(t.id), &much) > 0);
	world_settle(&t.world);
	assert_string_equal(told(), "GET /later[]");
	size_t sum = peer_drinks(&t.world, t.peer);
	assert_true(sum > sizeof(body));
	assert_string_equal(told(), "GET /later[] GET /2[]");
	assert_int_equal(counter(&t.world, "messages_sent"), 2);
}

/* ---- what cannot be answered --------------------------------------------------------------- */

static void an_answer_needs_a_request(void **state)
{
	open_it(state);
	assert_int_equal(answer(conn(), "?"), -EINVAL);
	ask(GET("/1"));
	assert_int_equal(answer(conn(), "once more"), -EINVAL);
	assert_int_equal(crew_send(conn(), CREW_BYTES("x")), -EINVAL);
	assert_int_equal(crew_send(conn(), CREW_BYTES("")), -EINVAL);
	assert_int_equal(counter(&t.world, "send_invalid"), 4);
	assert_int_equal(counter(&t.world, "messages_offered"), 1);
	assert_string_equal(hear(), OK("2", "/1"));
}

static void a_wrong_answer_can_be_put_right(void **state)
{
	static char fields[20000];
	const crew_header split = { CREW_BYTES("X-A"), CREW_BYTES("a\r\nSet-Cookie: b") };
	const crew_header own = { CREW_BYTES("Content-Length"), CREW_BYTES("0") };
	const crew_header good = { CREW_BYTES("X-A"), CREW_BYTES("b") };
	memset(fields, 'f', sizeof(fields));
	const crew_header endless = { CREW_BYTES("X-A"), { fields, sizeof(fields) } };
	open_it(state);
	ask(GET("/later"));
	crew_conn *c = crew_find(t.id);
	assert_int_equal(crew_reply(c, NULL), -EINVAL);
	assert_int_equal(crew_reply(c, &(crew_response){ .status = 199 }), -EINVAL);
	assert_int_equal(crew_reply(c, &(crew_response){ .status = 600 }), -EINVAL);
	assert_int_equal(crew_reply(c, &(crew_response){ .body = { NULL, 1 } }), -EINVAL);
	assert_int_equal(crew_reply(c, &(crew_response){ .type = "a\nb" }), -EINVAL);
	assert_int_equal(crew_reply(c, &(crew_response){ .header_count = 1 }), -EINVAL);
	assert_int_equal(
		crew_reply(c, &(crew_response){ .headers = &split, .header_count = 1 }), -EINVAL);
	assert_int_equal(
		crew_reply(c, &(crew_response){ .headers = &own, .header_count = 1 }), -EINVAL);
	assert_int_equal(crew_reply(c, &(crew_response){ .headers = &endless, .header_count = 1 }),
		-EMSGSIZE);
	assert_int_equal(counter(&t.world, "send_invalid"), 9);
	assert_int_equal(counter(&t.world, "messages_offered"), 0);
	assert_true(crew_reply(c, &(crew_response){ .headers = &good, .header_count = 1 }) > 0);
	assert_string_equal(hear(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-A: b\r\n\r\n");
}

static void an_answer_to_one_that_has_gone_is_counted(void **state)
{
	open_it(state);
	ask(GET("/later"));
	uint64_t id = t.id;
	crew_abort(conn());
	assert_int_equal(answer(crew_find(id), "too late"), -ENOTCONN); /* closed, not gone */
	world_settle(&t.world);
	assert_int_equal(answer(crew_find(id), "far too late"), -ENOTCONN);
	assert_int_equal(counter(&t.world, "fail_closed"), 2);
	assert_string_equal(told(), "GET /later[] error:closed:1 close:app");
}

/* ---- without a body ------------------------------------------------------------------------ */

static void some_answers_go_without_their_body(void **state)
{
	open_it(state);
	ask("HEAD /path HTTP/1.1\r\nHost: a\r\n\r\n" GET("/204") GET("/304") GET("/body"));
	assert_string_equal(hear(),
		"HTTP/1.1 200 OK\r\nContent-Type: t/t\r\nContent-Length: 5\r\n\r\n"
		"HTTP/1.1 204 No Content\r\n\r\n"
		"HTTP/1.1 304 Not Modified\r\n\r\n" OK("5", "/body"));
	assert_string_equal(told(), "HEAD /path[] GET /204[] GET /304[] GET /body[]");
}

/* ---- staying and leaving ------------------------------------------------------------------- */

static void http_1_0_leaves_unless_it_asks_to_stay(void **state)
{
	open_it(state);
	ask("GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	assert_string_equal(hear(), "HTTP/1.1 200 OK\r\nContent-Type: t/t\r\nContent-Length: 2\r\n"
				    "Connection: keep-alive\r\n\r\n/1");
	ask("GET /2 HTTP/1.0\r\n\r\nGET /3 HTTP/1.0\r\n\r\n");
	assert_string_equal(hear(), OK("2", "/2"));
	assert_string_equal(told(), "GET /1[] GET /2[] close:peer");
	assert_true(peer_sees_end(t.peer));
}

static void the_peer_may_ask_for_the_end(void **state)
{
	open_it(state);
	ask("GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" GET("/2"));
	assert_string_equal(hear(), "HTTP/1.1 200 OK\r\nContent-Type: t/t\r\nContent-Length: 2\r\n"
				    "Connection: close\r\n\r\n/1");
	assert_string_equal(told(), "GET /1[] close:peer");
}

static void so_may_the_program(void **state)
{
	open_it(state);
	ask(GET("/1") GET("/last") GET("/3"));
	assert_string_equal(hear(), OK("2", "/1") "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
						  "Connection: close\r\n\r\n");
	assert_string_equal(told(), "GET /1[] GET /last[] close:app");
	assert_true(peer_sees_end(t.peer));
}

static void closing_instead_of_answering(void **state)
{
	open_it(state);
	ask(GET("/1") GET("/close") GET("/3"));
	assert_string_equal(hear(), OK("2", "/1"));
	assert_string_equal(told(), "GET /1[] GET /close[] close:app");
}

static void aborting_instead_of_answering(void **state)
{
	open_it(state);
	ask(GET("/1") GET("/abort") GET("/3"));
	assert_string_equal(told(), "GET /1[] GET /abort[] error:aborted:1 close:app");
}

static void a_peer_that_ends_its_side_still_gets_its_answer(void **state)
{
	open_it(state);
	ask(GET("/later"));
	shutdown(t.peer, SHUT_WR);
	world_settle(&t.world);
	assert_string_equal(told(), "GET /later[]");
	assert_true(answer(crew_find(t.id), "here") > 0);
	assert_string_equal(hear(), OK("4", "here"));
	assert_string_equal(told(), "GET /later[] close:peer");
}

static void requests_before_the_end_are_all_answered(void **state)
{
	open_it(state);
	peer_says(t.peer, CREW_BYTES(GET("/later") GET("/2") "GET /unfin"));
	shutdown(t.peer, SHUT_WR);
	world_settle(&t.world);
	assert_string_equal(told(), "GET /later[]");
	assert_true(answer(crew_find(t.id), "1") > 0);
	world_settle(&t.world);
	assert_string_equal(told(), "GET /later[] GET /2[] close:peer");
	assert_string_equal(hear(), OK("1", "1") OK("2", "/2"));
}

/* ---- refused ------------------------------------------------------------------------------- */

static void refuse(void **state, const char *request, const char *status)
{
	open_it(state);
	ask(request);
	size_t len = strlen(status);
	assert_true(strncmp(hear(), "HTTP/1.1 ", 9) == 0);
	if (strncmp(t.room + 9, status, len) != 0)
		fail_msg("%s instead of %s for %s", t.room, status, request);
	assert_non_null(strstr(t.room, "\r\nConnection: close"));
	assert_string_equal(told(), "close:protocol");
	assert_true(peer_sees_end(t.peer));
	assert_int_equal(counter(&t.world, "messages_offered"), 0); /* crew's own is no message */
	assert_int_equal(counter(&t.world, "total_request"), 0);
	assert_true(counter(&t.world, "bytes_out") > 0);
	clean_up(state);
}

static void bad_requests_never_reach_the_program(void **state)
{
	static const char *const requests[][2] = {
		{ "rubbish\r\n\r\n", "400 Bad Request\r\n" },
		{ "GET / HTTP/1.1\r\n\r\n", "400" },
		{ "GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", "400" },
		{ "GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505" },
		{ "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10001\r\n\r\n", "413" },
		{ "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", "400" },
		{ "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "400" },
		{ "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "501" },
		{ "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "400" },
	};
	for (size_t i = 0; i < crew__lengthof(requests); i++)
		refuse(state, requests[i][0], requests[i][1]);
	memset(&t, 0, sizeof(t));
	t.peer = -1;
}

static void a_head_that_never_ends_is_refused(void **state)
{
	open_it(state);
	ask("GET / HTTP/1.1\r\nHost: a\r\n");
	for (int i = 0; i < 400 && strcmp(told(), "") == 0; i++) {
		peer_says(t.peer, CREW_BYTES("X: 0123456789012345678901234567890123456789\r\n"));
		world_turn(&t.world, 0);
	}
	world_settle(&t.world);
	assert_string_equal(told(), "close:protocol");
	assert_memory_equal(hear(), "HTTP/1.1 431 ", 13);
	assert_int_equal(counter(&t.world, "requests_too_large"), 1);
}

static void nobody_there_is_404(void **state)
{
	open_with(state, &nothing, usual);
	ask(GET("/"));
	assert_string_equal(hear(), "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Type: "
				    "text/plain\r\nContent-Length: 10\r\n\r\nNot Found\n");
	assert_true(peer_sees_end(t.peer));
}

/* ---- 100-continue -------------------------------------------------------------------------- */

#define EXPECTING "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"

static void one_that_waits_is_told_to_go_on(void **state)
{
	open_it(state);
	ask(EXPECTING);
	assert_string_equal(hear(), "HTTP/1.1 100 Continue\r\n\r\n");
	ask("he");
	ask("ll");
	assert_string_equal(hear(), ""); /* once */
	ask("o" EXPECTING "again");
	assert_string_equal(hear(), OK("2", "/p") OK("2", "/p")); /* its body was here already */
	assert_string_equal(told(), "POST /p[hello] POST /p[again]");
	assert_int_equal(counter(&t.world, "messages_offered"), 2);
}

static void go_on_keeps_its_place_in_the_order(void **state)
{
	open_it(state);
	ask(GET("/later") EXPECTING);
	assert_string_equal(hear(), "");
	answer(crew_find(t.id), "1");
	assert_string_equal(hear(), OK("1", "1") "HTTP/1.1 100 Continue\r\n\r\n");
}

/* ---- deadlines ----------------------------------------------------------------------------- */

static void hasty(struct crew__service_settings *s)
{
	usual(s);
	s->handshake_timeout_ms = 60;
}

static void a_request_that_does_not_arrive_is_408(void **state)
{
	open_with(state, &web, hasty);
	ask(GET("/1"));
	ask("GET / HTTP/1.1\r\nHo");
	world_until(&t.world, strstr(told(), "close:"));
	assert_string_equal(told(), "GET /1[] close:handshake");
	assert_non_null(strstr(hear(), "/1HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n"));
}

static void a_body_that_does_not_arrive_is_408(void **state)
{
	open_with(state, &web, hasty);
	ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel");
	world_until(&t.world, strstr(told(), "close:"));
	assert_string_equal(told(), "close:handshake");
	assert_memory_equal(hear(), "HTTP/1.1 408 ", 13);
	assert_int_equal(counter(&t.world, "requests_too_slow"), 1);
}

static void an_answer_may_take_its_time(void **state)
{
	open_with(state, &web, hasty);
	t.world.worker->net.limits.idle_timeout = 5;
	ask(GET("/later") "GET /part");
	world_pass(&t.world, 500);
	assert_string_equal(told(), "GET /later[]");
	answer(crew_find(t.id), "1");
	assert_string_equal(hear(), OK("1", "1"));
	world_until(&t.world, strstr(told(), "close:"));
	assert_string_equal(told(), "GET /later[] close:handshake"); /* the part began to count */
}

static void idling(struct crew__service_settings *s)
{
	usual(s);
	s->handshake_timeout_ms = 60;
	s->idle_timeout_ms = 200;
}

static void between_requests_it_idles(void **state)
{
	open_with(state, &web, idling);
	ask(GET("/1"));
	world_until(&t.world, strstr(told(), "close:"));
	assert_string_equal(told(), "GET /1[] close:idle");
	assert_string_equal(hear(), OK("2", "/1")); /* and no 408 */
}

/* It may have shut down its side alone, and gets its answer; but it is not waited for for ever. */
static void one_that_left_waits_no_longer_than_an_idle_one(void **state)
{
	open_with(state, &web, idling);
	ask(GET("/later"));
	assert_int_equal(shutdown(t.peer, SHUT_WR), 0);
	world_pass(&t.world, 100);
	assert_string_equal(told(), "GET /later[]");
	answer(crew_find(t.id), "1");
	assert_string_equal(hear(), OK("1", "1"));
	world_until(&t.world, strstr(told(), "close:"));
	assert_string_equal(told(), "GET /later[] close:peer");
	clean_up(state);
	open_with(state, &web, idling);
	ask(GET("/later"));
	assert_int_equal(shutdown(t.peer, SHUT_WR), 0);
	world_until(&t.world, strstr(told(), "close:"));
	assert_string_equal(told(), "GET /later[] close:peer");
	clean_up(state);
	open_with(state, &web, idling);
	ask(GET("/later"));
	close(t.peer);
	t.peer = -1;
	world_until(&t.world, strstr(told(), "close:"));
	assert_string_equal(told(), "GET /later[] close:peer");
}

/* ---- fields -------------------------------------------------------------------------------- */

static void look_up(crew_conn *c, const crew_request *r)
{
	assert_true(is(crew_request_header(r, "x-one"), "1"));
	assert_true(is(crew_request_header(r, "X-ONE"), "1"));
	assert_true(is(crew_request_header(r, "X-Empty"), ""));
	assert_null(crew_request_header(r, "X-None").data);
	assert_null(crew_request_header(NULL, "X-One").data);
	assert_true(is(r->query, "a=b?c"));
	assert_true(is(r->host, "a"));
	crew_reply(c, &(crew_response){ .status = 204 });
	tell("looked");
}
static const crew_service looking = {
	.name = "web", .listen = "http://127.0.0.1:1", .on_request = look_up
};

static void fields_are_found_in_any_case(void **state)
{
	open_with(state, &looking, usual);
	ask("GET /p?a=b?c HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nx-one: 2\r\nX-Empty:\r\n\r\n");
	assert_string_equal(told(), "looked");
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		ON_BOTH(answers_keep_the_order_of_the_requests),
		ON_BOTH(what_comes_while_an_answer_is_due_waits),
		ON_BOTH(pipelined_requests_in_every_cutting),
		ON_BOTH(pipelined_answers_of_one_event_are_one_write),
		ON_BOTH(a_long_answer_waits_and_holds_the_next_request),
		ON_BOTH(an_answer_needs_a_request),
		ON_BOTH(a_wrong_answer_can_be_put_right),
		ON_BOTH(an_answer_to_one_that_has_gone_is_counted),
		ON_BOTH(some_answers_go_without_their_body),
		ON_BOTH(http_1_0_leaves_unless_it_asks_to_stay),
		ON_BOTH(the_peer_may_ask_for_the_end),
		ON_BOTH(so_may_the_program),
		ON_BOTH(closing_instead_of_answering),
		ON_BOTH(aborting_instead_of_answering),
		ON_BOTH(a_peer_that_ends_its_side_still_gets_its_answer),
		ON_BOTH(requests_before_the_end_are_all_answered),
		ON_BOTH(bad_requests_never_reach_the_program),
		ON_BOTH(a_head_that_never_ends_is_refused),
		ON_BOTH(nobody_there_is_404),
		ON_BOTH(one_that_waits_is_told_to_go_on),
		ON_BOTH(go_on_keeps_its_place_in_the_order),
		ON_BOTH(a_request_that_does_not_arrive_is_408),
		ON_BOTH(a_body_that_does_not_arrive_is_408),
		ON_BOTH(an_answer_may_take_its_time),
		ON_BOTH(between_requests_it_idles),
		ON_BOTH(one_that_left_waits_no_longer_than_an_idle_one),
		ON_BOTH(fields_are_found_in_any_case),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
