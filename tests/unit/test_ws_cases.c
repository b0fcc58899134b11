/* The table of WebSocket cases (tests/data/ws_cases.txt) through the codec alone: each in both
 * roles, whole, byte by byte and cut at random; messages whole and told in parts; compressed ones
 * with a worker's inflaters, with none of those left, and with the connection's own. */
#include "pieces.h"
#include "base/utf8.h"
#include "ws_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum {
	CASES_LEAST = 250,
	LONG = 20000, /* a stream of so many bytes is cut in fewer ways */
	LONG_WAYS = 5,
	HEADER_AND_CONTROL = CREW__WS_MASKED_HEADER_MAX + CREW__WS_CONTROL_MAX,
};

/* How a case is run. */
struct way {
	bool client, parts, own_window, none_to_lend;
	unsigned pieces;
};

struct run {
	struct crew__ws ws;
	struct crew__deflate_shared shared;
	struct ws_stream message; /* parts of one, put together */
	char events[WS_TABLE_EVENTS], *out;
	bool over;
};

/* What holds between two calls: ws.c. */
static void check(const struct run *r)
{
	const struct crew__ws *ws = &r->ws;
	bool parts = ws->special & CREW__WS_PARTS;
	assert_true(!ws->in_frame || ws->opcode != 0);
	assert_true(ws->left == 0 || ws->in_frame);
	if (!ws->packed && !parts)
		assert_true(ws->message.len + ws->left <= ws->message.max);
	if (!ws->gathers)
		assert_true(ws->message.len <= ws->message.max);
	assert_true(ws->message.max == WS_TABLE_LIMIT);
	assert_true(ws->utf8 == 0 || ws->opcode == CREW__WS_OP_TEXT);
	if (ws->shared)
		assert_int_equal(ws->inflater != NULL, ws->packed && !ws->gathers);
	assert_int_equal(r->shared.lent, !parts && ws->shared && ws->inflater);
	assert_true(!ws->ahead || (ws->in_frame && ws->left > 0 && parts));
	assert_true(crew__ws_held(ws) <= ws->message.len);
}

/* Parts are put together again, so that the same events come out. */
static void note_part(struct run *r, struct crew__ws_event *e)
{
	assert_true(e->last || e->body.len > 0);
	ws_put(&r->message, e->body.data, e->body.len);
	if (!e->last)
		return;
	e->kind = CREW__WS_MESSAGE;
	e->body = (crew_bytes){ r->message.data, r->message.len };
	r->out = ws_table_tell(r->out, e);
	r->message.len = 0;
}

static void note(struct run *r, struct crew__ws_event *e)
{
	assert_true(r->out - r->events < WS_TABLE_EVENTS - 400);
	assert_int_equal(e->kind == CREW__WS_PART,
		(r->ws.special & CREW__WS_PARTS) &&
			(e->kind == CREW__WS_PART || e->kind == CREW__WS_MESSAGE));
	if (e->kind == CREW__WS_PART)
		note_part(r, e);
	else if (e->kind != CREW__WS_MORE)
		r->out = ws_table_tell(r->out, e);
	r->over = e->kind == CREW__WS_BAD || e->kind == CREW__WS_CLOSE;
	if (e->kind == CREW__WS_BAD)
		assert_non_null(e->what);
}

/* The short way, where there is one, as the service goes it. */
static size_t take_short(struct run *r, char *data, size_t len)
{
	struct crew__ws_event e = { .kind = CREW__WS_MESSAGE };
	bool plain;
	if (len == 0)
		return 0;
	size_t taken = crew__ws_take_short(&r->ws, data, len, &e.body, &plain);
	if (taken == 0)
		return 0;
	assert_int_equal(r->ws.special, 0);
	e.text = (unsigned char)data[0] == WS_TEXT;
	struct crew__ws_event bad = { .kind = CREW__WS_BAD, .code = 1007, .what = "no UTF-8" };
	bool good = plain || crew__utf8_valid(e.body);
	note(r, good ? &e : &bad);
	return taken;
}

static void begin(struct run *r, const struct ws_case *c, const struct way *way)
{
	crew__deflate_shared_init(&r->shared);
	if (way->none_to_lend)
		r->shared.lent_most = 0;
	crew__ws_init(&r->ws, &(struct crew__ws_options){
				      .max_message = WS_TABLE_LIMIT,
				      .client = way->client,
				      .parts = way->parts,
				      .inflate_bits = c->deflate ? 15 : 0,
				      .shared = c->deflate && !way->own_window ? &r->shared : NULL,
			      });
	r->out = r->events;
	*r->out = '\0';
	r->over = false;
	r->message.len = 0;
}

/* Feed from memory that ends where the bytes end and is another one each time. Bytes are fed again
 * from there on only when nothing more comes of those before. */
static void feed(struct run *r, const struct ws_stream *s, const struct way *way)
{
	struct pieces pieces = pieces_of(way->pieces);
	size_t start = 0, there = 0;
	while (!r->over) {
		size_t len = there - start;
		char *copy = malloc(len + 1);
		assert_non_null(copy);
		memcpy(copy + 1, s->data + start, len);
		size_t n = way->pieces % 2 ? take_short(r, copy + 1, len) : 0;
		bool more = n > 0;
		if (n == 0) {
			struct crew__ws_event e;
			n = crew__ws_feed(&r->ws, copy + 1, len, &e);
			note(r, &e);
			more = n > 0 || e.kind != CREW__WS_MORE;
			if (way->pieces % 3 == 0)
				crew__ws_done(&r->ws);
		}
		assert_true(n <= len);
		free(copy);
		if (!r->over)
			check(r);
		start += n;
		if (more)
			continue;
		assert_true(len < HEADER_AND_CONTROL);
		if (there == s->len)
			break;
		there += pieces_next(&pieces, s->len - there);
	}
}

static void run_one(
	struct run *r, const struct ws_case *c, const struct ws_stream *s, const struct way *way)
{
	begin(r, c, way);
	feed(r, s, way);
	crew__ws_fini(&r->ws);
	crew__deflate_shared_fini(&r->shared);
	if (strcmp(r->events, c->events) != 0)
		fail_msg("%s (%s%s%s%s, cut %u):\n  %s\n  %s instead", c->name,
			way->client ? "client" : "server", way->parts ? ", parts" : "",
			way->own_window ? ", own window" : "",
			way->none_to_lend ? ", none to lend" : "", way->pieces, r->events,
			c->events);
}

/* What comes of a message that is too long when it is told in parts is another matter. */
static bool is_for(const struct ws_case *c, const struct way *way)
{
	if (!(way->client ? c->client : c->server))
		return false;
	if (way->parts && strstr(c->events, "bad 1009"))
		return false;
	if (!c->deflate)
		return !way->own_window && !way->none_to_lend;
	if (way->own_window)
		return !c->shared && !way->none_to_lend;
	return !c->takeover && !(c->early && way->none_to_lend && !way->parts);
}

static void run_in_every_way(struct run *r, const struct ws_case *c, struct way way)
{
	if (!is_for(c, &way))
		return;
	struct ws_stream s = ws_case_stream(c, way.client);
	unsigned ways = s.len < LONG ? PIECES_WAYS : LONG_WAYS;
	for (way.pieces = 0; way.pieces < ways; way.pieces++)
		run_one(r, c, &s, &way);
	free(s.data);
}

static void run_table(bool client, bool parts)
{
	struct ws_table table = ws_table_read();
	struct run *r = calloc(1, sizeof(*r));
	assert_non_null(r);
	r->message = ws_stream_new();
	assert_true(table.count >= CASES_LEAST);
	for (size_t i = 0; i < table.count; i++) {
		const struct ws_case *c = &table.cases[i];
		run_in_every_way(r, c, (struct way){ client, parts, .own_window = false });
		run_in_every_way(r, c, (struct way){ client, parts, .own_window = true });
		run_in_every_way(r, c, (struct way){ client, parts, .none_to_lend = true });
	}
	free(r->message.data);
	free(r);
	ws_table_free(&table);
}

static void as_a_server(void **unused)
{
	(void)unused;
	run_table(false, false);
}

static void as_a_client(void **unused)
{
	(void)unused;
	run_table(true, false);
}

static void as_a_server_in_parts(void **unused)
{
	(void)unused;
	run_table(false, true);
}

static void as_a_client_in_parts(void **unused)
{
	(void)unused;
	run_table(true, true);
}

/* A case has one name, and each role has enough of them. */
static void names_are_names(void **unused)
{
	(void)unused;
	struct ws_table table = ws_table_read();
	size_t server = 0, client = 0;
	for (size_t i = 0; i < table.count; i++) {
		server += table.cases[i].server;
		client += table.cases[i].client;
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(table.cases[i].name, table.cases[k].name);
	}
	assert_true(server >= CASES_LEAST && client >= CASES_LEAST);
	ws_table_free(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_names),
		cmocka_unit_test(as_a_server),
		cmocka_unit_test(as_a_client),
		cmocka_unit_test(as_a_server_in_parts),
		cmocka_unit_test(as_a_client_in_parts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
