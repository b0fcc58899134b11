/* test_http_exchange.c - requests whose bodies come in parts, answers before, amid and long after
 * them, and requests that are kept. */
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
	ROOM = 4 << 20,
	LIMIT = 10000 /* max_message */
};

static struct {
	struct world world;
	int peer;
	uint64_t id;
	crew_request *kept;
	uint64_t got; /* bytes of a body in parts */
	bool hold;    /* /hold: pause at each part */
	char *room;
} t;

static int64_t answer(crew_conn *c, const char *body)
{
	return crew_reply(c, &(crew_response){ .type = "t/t", .body = crew_str(body) });
}

static void on_head(crew_conn *c, const crew_request *r)
{
	tell("%.*s %.*s[%zu]", (int)r->method.len, r->method.data, (int)r->target.len,
		r->target.data, r->body.len);
	t.id = crew_id(c);
	t.got = 0;
}

static void refuse_at_head(crew_conn *c, const crew_request *r)
{
	on_head(c, r);
	crew_reply(c, &(crew_response){ .status = 403, .type = "t/t", .body = CREW_BYTES("no") });
}

static void on_part(crew_conn *c, crew_bytes part, bool last)
{
	t.got += part.len;
	if (t.hold)
		crew_pause(c);
	if (!last)
		return;
	char text[24];
	snprintf(text, sizeof(text), "%llu", (unsigned long long)t.got);
	tell("last:%s", text);
	answer(c, text);
}

static void never(crew_conn *c, crew_bytes part, bool last)
{
	(void)c;
	(void)part;
	tell(last ? "last" : "part");
}

/* Answers as soon as something of the body is there. */
static void hasty_part(crew_conn *c, crew_bytes part, bool last)
{
	(void)part;
	tell(last ? "last" : "part");
	answer(c, "enough");
}

static void whole(crew_conn *c, const crew_request *r)
{
	on_head(c, r);
	answer(c, "whole");
}

static void keep(crew_conn *c, const crew_request *r)
{
	on_head(c, r);
	t.kept = crew_request_keep(r);
	assert_non_null(t.kept);
}

static const crew_route routes[] = {
	{ "POST", "/parts", .on_request = on_head, .on_body = on_part },
	{ "GET", "/parts", .on_request = on_head, .on_body = on_part },
	{ "POST", "/endless", .on_request = on_head, .on_body = on_part, .max_body = CREW_OFF },
	{ "POST", "/refused", .on_request = refuse_at_head, .on_body = never },
	{ "POST", "/hasty", .on_request = on_head, .on_body = hasty_part, .max_body = CREW_OFF },
	{ "POST", "/large", .on_request = whole, .max_body = 1 << 20 },
	{ "POST", "/small", .on_request = whole, .max_body = 10 },
	{ "POST", "/whole", .on_request = whole },
	{ "POST", "/keep/:name", .on_request = keep },
	{ 0 },
};

static const crew_service web = {
	.name = "web",
	.listen = "http://127.0.0.1:1",
	.routes = routes,
	.on_close = tell_close,
	.on_error = tell_error,
};

static void usual(struct crew__service_settings *s)
{
	s->max_message = LIMIT;
	s->linger_ms = 0;
	s->idle_timeout_ms = 60000;
}

static void open_with(void **state, void (*adjust)(struct crew__service_settings *settings))
{
	memset(&t, 0, sizeof(t));
	t.peer = -1;
	t.room = malloc(ROOM);
	told_anew();
	assert_true(world_open(&t.world, &web, engine_of(state), adjust));
	t.peer = world_connect(&t.world);
	assert_true(t.peer >= 0);
	world_settle(&t.world);
}

static void open_it(void **state)
{
	open_with(state, usual);
}

static int clean_up(void **state)
{
	(void)state;
	if (t.peer >= 0)
		close(t.peer);
	world_clean_up(&t.world);
	crew_request_free(t.kept);
	t.kept = NULL;
	free(t.room);
	return 0;
}

static void ask(const char *bytes)
{
	peer_says(t.peer, crew_str(bytes));
	world_settle(&t.world);
}

static const char *hear(void)
{
	peer_hears_all(&t.world, t.peer, t.room, ROOM);
	char *date;
	while ((date = strstr(t.room, "Date: "))) {
		char *rest = strstr(date, "\r\n") + 2;
		memmove(date, rest, strlen(rest) + 1);
	}
	return t.room;
}

#define OK(length, body) \
	"HTTP/1.1 200 OK\r\nContent-Type: t/t\r\nContent-Length: " length "\r\n\r\n" body
#define POST(path, length) "POST " path " HTTP/1.1\r\nHost: a\r\nContent-Length: " length "\r\n\r\n"
#define CHUNKED(path)      "POST " path " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

static void parts_come_in_every_cutting(void **state)
{
	static const char stream[] = POST("/parts", "11") "hello world" CHUNKED(
		"/parts") "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX: y\r\n\r\n" POST("/whole",
		"3") "end" POST("/parts", "0") "GET /parts HTTP/1.1\r\nHost: a\r\n\r\n";
	for (unsigned way = 0; way < PIECES_WAYS; way++) {
		open_it(state);
		struct pieces pieces = pieces_of(way);
		for (size_t at = 0; at < sizeof(stream) - 1;) {
			size_t n = pieces_next(&pieces, sizeof(stream) - 1 - at);
			peer_says(t.peer, (crew_bytes){ stream + at, n });
			world_settle(&t.world);
			at += n;
		}
		assert_string_equal(told(),
			"POST /parts[0] last:11 POST /parts[0] last:5 POST /whole[3] "
			"POST /parts[0] last:0 GET /parts[0] last:0");
		assert_string_equal(hear(),
			OK("2", "11") OK("1", "5") OK("5", "whole") OK("1", "0") OK("1", "0"));
		assert_int_equal(counter(&t.world, "messages_offered"), 5);
		assert_int_equal(counter(&t.world, "total_request"), 5);
		clean_up(state);
		t.peer = -1;
		t.room = NULL;
	}
	open_it(state);
}

static void a_body_of_any_length_flows_through(void **state)
{
	open_it(state);
	char *block = calloc(1, 65536);
	ask(POST("/endless", "20000000"));
	for (size_t left = 20000000; left > 0;) {
		size_t n = crew__min(left, 65536);
		ssize_t sent = send(t.peer, block, n, MSG_DONTWAIT);
		if (sent > 0)
			left -= (size_t)sent;
		world_turn(&t.world, 0);
		crew_conn *c = world_conn(&t.world, 0);
		assert_true(c && c->in.len <= 65536);
	}
	world_settle(&t.world);
	assert_string_equal(told(), "POST /endless[0] last:20000000");
	assert_string_equal(hear(), OK("8", "20000000"));
	free(block);
}

static void the_handler_holds_the_client_back(void **state)
{
	open_it(state);
	t.hold = true;
	char *block = calloc(1, 300000);
	ask(POST("/endless", "300000"));
	size_t sent = 0;
	for (int i = 0; i < 50; i++) {
		ssize_t n = send(t.peer, block, 300000 - sent, MSG_DONTWAIT);
		sent += n > 0 ? (size_t)n : 0;
		world_turn(&t.world, 0);
	}
	uint64_t once = t.got;
	assert_true(once > 0 && once <= CREW__READ_MOST);
	for (int i = 0; i < 1000 && t.got < 300000; i++) {
		crew_resume(crew_find(t.id));
		ssize_t n = send(t.peer, block, 300000 - sent, MSG_DONTWAIT);
		sent += n > 0 ? (size_t)n : 0;
		world_turn(&t.world, 0);
	}
	world_settle(&t.world);
	assert_string_equal(hear(), OK("6", "300000"));
	free(block);
}

static void limits_are_the_routes_own(void **state)
{
	static const struct {
		const char *ask, *status;
	} rows[] = {
		{ POST("/parts", "10001"), "HTTP/1.1 413 " },
		{ CHUNKED("/parts") "2711\r\n", "HTTP/1.1 413 " },
		{ POST("/whole", "10001"), "HTTP/1.1 413 " },
		{ POST("/small", "11"), "HTTP/1.1 413 " },
		{ CHUNKED("/small") "b\r\n", "HTTP/1.1 413 " },
		{ POST("/large", "1048577"), "HTTP/1.1 413 " },
		{ POST("/small", "10") "0123456789", "HTTP/1.1 200 " },
	};
	for (size_t i = 0; i < crew__lengthof(rows); i++) {
		open_it(state);
		ask(rows[i].ask);
		assert_memory_equal(hear(), rows[i].status, 13);
		clean_up(state);
		t.peer = -1;
		t.room = NULL;
	}
	open_it(state);
	char *block = calloc(1, 1 << 20);
	ask(POST("/large", "1048576"));
	for (size_t left = 1 << 20; left > 0;) {
		ssize_t n = send(t.peer, block, left, MSG_DONTWAIT);
		left -= n > 0 ? (size_t)n : 0;
		world_turn(&t.world, 0);
	}
	world_settle(&t.world);
	assert_string_equal(told(), "POST /large[1048576]");
	free(block);
}

static void an_early_answer_leaves_the_rest_aside(void **state)
{
	open_it(state);
	ask(POST("/refused", "5"));
	assert_string_equal(told(), "POST /refused[0]");
	assert_memory_equal(hear(), "HTTP/1.1 403 ", 13);
	ask("he");
	ask("llo" POST("/parts", "2") "ab");
	assert_string_equal(told(), "POST /refused[0] POST /parts[0] last:2");
	assert_string_equal(hear(), OK("1", "2"));
	ask(POST("/hasty", "6") "abc");
	assert_string_equal(hear(), OK("6", "enough"));
	ask("def" POST("/whole", "1") "x");
	assert_string_equal(hear(), OK("5", "whole"));
	assert_string_equal(told(),
		"POST /refused[0] POST /parts[0] last:2 POST /hasty[0] part POST /whole[1]");
	ask(POST("/hasty", "999999999") "abc");
	ask("go on"); /* more than anybody throws away */
	world_until(&t.world, strstr(told(), "close:"));
	assert_memory_equal(hear(), OK("6", "enough"), strlen(OK("6", "enough")));
}

#define EXPECTING(path) \
	"POST " path " HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"

static void the_handler_decides_before_the_client_is_told_to_go_on(void **state)
{
	open_it(state);
	ask(EXPECTING("/parts"));
	assert_string_equal(hear(), "HTTP/1.1 100 Continue\r\n\r\n");
	ask("hello");
	assert_string_equal(hear(), OK("1", "5"));
	ask(EXPECTING("/refused"));
	assert_memory_equal(hear(), "HTTP/1.1 403 ", 13);
	assert_null(strstr(t.room, "100 Continue"));
	ask("hello" POST("/whole", "1") "x"); /* it may send the body all the same */
	assert_string_equal(hear(), OK("5", "whole"));
	assert_int_equal(counter(&t.world, "messages_offered"), 3);
}

static void slow_bodies(struct crew__service_settings *s)
{
	usual(s);
	s->handshake_timeout_ms = 50;
	s->min_body_rate = 1000;
}

static void a_body_must_come_at_its_rate(void **state)
{
	open_with(state, slow_bodies);
	ask(POST("/parts", "9000"));
	char block[100];
	memset(block, 'x', sizeof(block));
	for (int i = 0; i < 20;
		i++) { /* faster than 1000 bytes a second, longer than a head may take */
		peer_says(t.peer, (crew_bytes){ block, sizeof(block) });
		world_pass(&t.world, 15);
	}
	assert_string_equal(told(), "POST /parts[0]");
	assert_string_equal(hear(), "");
	world_until(&t.world, strstr(told(), "close:"));
	assert_string_equal(told(), "POST /parts[0] close:handshake");
	assert_memory_equal(hear(), "HTTP/1.1 408 ", 13);
	assert_int_equal(counter(&t.world, "requests_too_slow"), 1);
}

static void others_come_between_head_and_body(void **state)
{
	open_it(state);
	int first = t.peer;
	ask("POST /keep/one?q=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na");
	t.peer = world_connect(&t.world);
	ask(POST("/whole", "1") "x");
	assert_string_equal(hear(), OK("5", "whole"));
	close(t.peer);
	t.peer = first;
	ask("bc");
	assert_true(crew_request_param(t.kept, "name").len == 3);
	assert_memory_equal(crew_request_param(t.kept, "name").data, "one", 3);
	answer(crew_find(t.id), "late");
	world_settle(&t.world);
	assert_string_equal(hear(), OK("4", "late"));
}

static void a_kept_request_lasts(void **state)
{
	open_it(state);
	ask("POST /keep/a%20b?x=%31 HTTP/1.1\r\nHost: host.example\r\nX-Field: value\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n");
	assert_string_equal(told(), "POST /keep/a%20b?x=%31[4]");
	answer(crew_find(t.id), "late");
	world_settle(&t.world);
	ask("POST /whole HTTP/1.1\r\nHost: other\r\nContent-Length: 30\r\n\r\n"
	    "012345678901234567890123456789"); /* the worker's memory is another request's now */
	assert_string_equal(hear(), OK("4", "late") OK("5", "whole"));
	const crew_request *r = t.kept;
	crew_bytes name = crew_request_param(r, "name");
	assert_true(name.len == 3 && memcmp(name.data, "a b", 3) == 0);
	assert_true(r->body.len == 4 && memcmp(r->body.data, "abcd", 4) == 0);
	assert_true(r->host.len == 12 && memcmp(r->host.data, "host.example", 12) == 0);
	assert_true(r->query.len == 5 && memcmp(r->query.data, "x=%31", 5) == 0);
	crew_bytes field = crew_request_header(r, "x-field");
	assert_true(field.len == 5 && memcmp(field.data, "value", 5) == 0);
	crew_bytes path = crew_request_path(r);
	assert_true(path.len == 9 && memcmp(path.data, "/keep/a b", 9) == 0);
	crew_request *again = crew_request_keep(r);
	crew_request_free(t.kept);
	t.kept = again;
	assert_true(again->body.len == 4 && memcmp(again->body.data, "abcd", 4) == 0);
}

static void it_may_be_freed_before_the_answer(void **state)
{
	open_it(state);
	ask(POST("/keep/x", "2") "ab");
	crew_request_free(t.kept);
	t.kept = NULL;
	assert_true(answer(crew_find(t.id), "late") >= 0);
	world_settle(&t.world);
	assert_string_equal(hear(), OK("4", "late"));
	ask(POST("/keep/x", "2") "ab");
	close(t.peer); /* and its connection may go before it */
	t.peer = -1;
	world_until(&t.world, t.world.worker->net.stats.slab->connections == 1);
	crew_abort(crew_find(t.id));
	world_settle(&t.world);
	assert_true(t.kept->body.len == 2);
}

static void a_connection_may_go_amid_a_body(void **state)
{
	static const char *const starts[] = { POST("/parts", "100") "some",
		CHUNKED("/parts") "5\r\nab", POST("/whole", "100") "some",
		CHUNKED("/whole") "5\r\nab", POST("/refused", "100") "some" };
	for (size_t i = 0; i < crew__lengthof(starts); i++) {
		open_it(state);
		ask(starts[i]);
		hear();
		close(t.peer);
		t.peer = -1;
		world_until(&t.world, strstr(told(), "close:peer"));
		assert_int_equal(counter(&t.world, "connections"), 0);
		clean_up(state);
		t.room = NULL;
	}
	open_it(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(parts_come_in_every_cutting),
		ON_BOTH(a_body_of_any_length_flows_through),
		ON_BOTH(the_handler_holds_the_client_back),
		ON_BOTH(limits_are_the_routes_own),
		ON_BOTH(an_early_answer_leaves_the_rest_aside),
		ON_BOTH(the_handler_decides_before_the_client_is_told_to_go_on),
		ON_BOTH(a_body_must_come_at_its_rate),
		ON_BOTH(others_come_between_head_and_body),
		ON_BOTH(a_kept_request_lasts),
		ON_BOTH(it_may_be_freed_before_the_answer),
		ON_BOTH(a_connection_may_go_amid_a_body),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
