/* test_http_gzip.c - which answers are compressed, for whom, and that they are the same after it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "answer_ways.h"

#include <libdeflate.h>
#include <stdio.h>
#include <stdlib.h>

static char prose[1 << 20 | 1]; /* one byte more than is compressed */
static char noise[4096];
static crew_response given;

static int clean_up(void **state)
{
	(void)state;
	ways_close();
	return 0;
}

static void fill(void)
{
	uint32_t random = 1;
	for (size_t i = 0; i < sizeof(prose); i++)
		prose[i] = "the quick brown fox jumps over the lazy dog. "[i % 45];
	for (size_t i = 0; i < sizeof(noise); i++) {
		random = random * 1664525 + 1013904223;
		noise[i] = (char)(random >> 24);
	}
}

static void give(crew_conn *c, const crew_request *r)
{
	(void)r;
	assert_true(crew_reply(c, &given) >= 0);
}

static void usual(struct crew__service_settings *s)
{
	s->gzip = 1024;
}

static void off(struct crew__service_settings *s)
{
	s->gzip = 0;
}

static void open_it(void **state)
{
	fill();
	ways_open(state, usual);
	ways.handler = give;
	given = (crew_response){ .body = { prose, 4096 } };
}

#define ASK(fields) "GET / HTTP/1.1\r\nHost: a\r\n" fields "\r\n"
#define GZIP        "Accept-Encoding: gzip\r\n"
#define CODED       "\r\nContent-Encoding: gzip\r\n"
#define VARY        "\r\nVary: Accept-Encoding\r\n"
#define FIELD(n, v)                          \
	{                                    \
		CREW_BYTES(n), CREW_BYTES(v) \
	}

static bool says(const char *words)
{
	const char *end = strstr(ways.room, "\r\n\r\n");
	const char *at = strstr(ways.room, words);
	assert_non_null(end);
	return at && at < end;
}

/* What came is this body, and the head says how long it is as it came. */
static void heard(const char *body, size_t len, bool coded)
{
	char *room = malloc(len + 1), length[60];
	size_t out = len;
	ways_hear();
	const char *at = strstr(ways.room, "\r\n\r\n");
	assert_non_null(at);
	at += 4;
	size_t sent = ways.len - (size_t)(at - ways.room);
	sprintf(length, "\r\nContent-Length: %zu\r\n", sent);
	assert_true(says(length));
	assert_int_equal(says(CODED), coded);
	if (coded) {
		struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
		assert_int_equal(libdeflate_gzip_decompress(d, at, sent, room, len, &out),
			LIBDEFLATE_SUCCESS);
		libdeflate_free_decompressor(d);
		assert_true(sent < len);
	} else {
		assert_int_equal(sent, len);
		memcpy(room, at, len);
	}
	assert_int_equal(out, len);
	assert_memory_equal(room, body, len);
	free(room);
}

static void for_whom(void **state)
{
	static const struct {
		const char *fields;
		bool coded;
	} cases[] = {
		{ ASK(GZIP), true },
		{ ASK(""), false },
		{ ASK("Accept-Encoding: br, deflate\r\n"), false },
		{ ASK("Accept-Encoding: gzip;q=0\r\n"), false },
		{ ASK("Accept-Encoding: gzip;q=0.001\r\n"), true },
		{ ASK("Accept-Encoding: deflate, GZIP, br\r\n"), true },
		{ ASK("Accept-Encoding: *\r\n"), true },
		{ ASK("Accept-Encoding: *;q=0\r\n"), false },
		{ ASK("Accept-Encoding: br\r\nAccept-Encoding: gzip\r\n"), true },
	};
	open_it(state);
	for (int late = 0; late < 2; late++)
		for (size_t i = 0; i < crew__lengthof(cases); i++) {
			ways.handler = late ? NULL : give;
			crew_conn *c = ways_ask(cases[i].fields);
			if (late) /* the request has gone */
				give(c, NULL);
			heard(prose, 4096, cases[i].coded);
			assert_true(says(VARY)); /* whoever asked */
		}
	assert_int_equal(counter(&ways.world, "messages_sent"), 2 * crew__lengthof(cases));
}

static crew_request *kept;

static void keep(crew_conn *c, const crew_request *r)
{
	(void)c;
	kept = crew_request_keep(r);
	assert_non_null(kept);
}

static void of_a_request_that_was_kept(void **state)
{
	open_it(state);
	for (int freed = 0; freed < 2; freed++) {
		ways.handler = keep;
		crew_conn *c = ways_ask(ASK(GZIP));
		if (freed)
			crew_request_free(kept);
		give(c, NULL);
		if (!freed)
			crew_request_free(kept);
		heard(prose, 4096, true);
	}
}

static void which_types(void **state)
{
	static const struct {
		const char *type;
		bool coded;
	} cases[] = {
		{ NULL, true },
		{ "text/html", true },
		{ "TEXT/CSS; charset=utf-8", true },
		{ "application/json", true },
		{ "application/problem+json", true },
		{ "application/problem+json ; charset=utf-8", true },
		{ "application/atom+xml", true },
		{ "image/svg+xml", true },
		{ "application/wasm", true },
		{ "image/png", false },
		{ "application/octet-stream", false },
		{ "application/zip", false },
		{ "video/mp4; codec=+json", false },
		{ "+json", false },
	};
	open_it(state);
	for (int field = 0; field < 2; field++)
		for (size_t i = 0; i < crew__lengthof(cases); i++) {
			const crew_header h = { CREW_BYTES("content-type"),
				crew_str(cases[i].type) };
			given.type = field ? NULL : cases[i].type;
			given.headers = &h;
			given.header_count = field && cases[i].type ? 1 : 0;
			ways_ask(ASK(GZIP));
			heard(prose, 4096, cases[i].coded);
			assert_int_equal(says(VARY), cases[i].coded);
		}
}

static void how_long(void **state)
{
	static const struct {
		size_t len;
		bool coded;
	} cases[] = { { 0, false }, { 100, false }, { 1023, false }, { 1024, true },
		{ 100000, true }, { 1 << 20, true }, { (1 << 20) + 1, false } };
	open_it(state);
	for (size_t i = 0; i < crew__lengthof(cases); i++) {
		given.body.len = cases[i].len;
		ways_ask(ASK(GZIP));
		heard(prose, cases[i].len, cases[i].coded);
	}
	given.body = (crew_bytes){ noise, sizeof(noise) }; /* it would not become shorter */
	ways_ask(ASK(GZIP));
	heard(noise, sizeof(noise), false);
	given.body = (crew_bytes){ prose, 2000 };
	ways_ask(ASK(GZIP));
	heard(prose, 2000, true);
}

static void what_the_program_says(void **state)
{
	static const struct {
		crew_header field;
		bool coded;
	} cases[] = {
		{ FIELD("Cache-Control", "max-age=60"), true },
		{ FIELD("Cache-Control", "max-age=60, No-Transform"), false },
		{ FIELD("ETag", "W/\"a\""), true },
		{ FIELD("ETag", "\"a\""), false },
		{ FIELD("content-encoding", "br"), false },
		{ FIELD("Content-Range", "bytes 0-1/2"), false },
		{ FIELD("Vary", "Cookie"), true },
	};
	open_it(state);
	for (int before = 0; before < 2; before++)
		for (size_t i = 0; i < crew__lengthof(cases); i++) {
			const crew_header *h = &cases[i].field;
			char name[20];
			ways.handler = NULL;
			crew_conn *c = ways_ask(ASK(GZIP));
			sprintf(name, "%.*s", (int)h->name.len, h->name.data);
			if (before)
				assert_int_equal(crew_reply_header(c, name, h->value), 0);
			given.headers = h;
			given.header_count = before ? 0 : 1;
			give(c, NULL);
			ways_hear();
			assert_int_equal(says(CODED), cases[i].coded);
		}
	given.header_count = 0;
	given.plain = true;
	ways_ask(ASK(GZIP));
	ways.handler = NULL;
	give(ways_conn(), NULL);
	heard(prose, 4096, false);
	assert_false(says(VARY));
}

static void which_statuses(void **state)
{
	static const struct {
		int status;
		bool coded;
	} cases[] = { { 200, true }, { 404, true }, { 500, true }, { 206, false }, { 204, false },
		{ 205, false }, { 304, false } };
	open_it(state);
	for (size_t i = 0; i < crew__lengthof(cases); i++) {
		given.status = cases[i].status;
		ways_ask(ASK(GZIP));
		ways_hear();
		assert_int_equal(says(CODED), cases[i].coded);
	}
}

/* HEAD is told what GET would get (RFC 9110 section 9.3.2). */
static void head_says_the_same(void **state)
{
	open_it(state);
	ways_ask(ASK(GZIP));
	ways_hear();
	const char *end = strstr(ways.room, "\r\n\r\n") + 4;
	char *head = strndup(ways.room, (size_t)(end - ways.room));
	ways_ask("HEAD / HTTP/1.1\r\nHost: a\r\n" GZIP "\r\n");
	assert_string_equal(ways_hear(), head);
	free(head);
}

static void when_it_is_off(void **state)
{
	fill();
	ways_open(state, off);
	ways.handler = give;
	given = (crew_response){ .body = { prose, 4096 } };
	ways_ask(ASK(GZIP));
	heard(prose, 4096, false);
	assert_false(says(VARY));
}

static void low(struct crew__service_settings *s)
{
	s->gzip = 60;
}

static void short_bodies_too(void **state)
{
	fill();
	ways_open(state, low);
	ways.handler = give;
	given = (crew_response){ .body = { prose, 59 } };
	ways_ask(ASK(GZIP));
	heard(prose, 59, false);
	assert_false(says(VARY));
	given.body.len = 60;
	ways_ask(ASK(GZIP));
	heard(prose, 60, false); /* tried in vain */
	assert_true(says(VARY));
	given.body.len = 200;
	ways_ask(ASK(GZIP));
	heard(prose, 200, true);
}

/* Where pending fields leave no room for ours, the answer goes as it is. */
static void without_room_for_its_fields(void **state)
{
	static char value[8 * 1024 - 20];
	memset(value, 'v', sizeof(value));
	open_it(state);
	ways.handler = NULL;
	crew_conn *c = ways_ask(ASK(GZIP));
	assert_int_equal(crew_reply_header(c, "A", (crew_bytes){ value, sizeof(value) }), 0);
	give(c, NULL);
	heard(prose, 4096, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(for_whom),
		ON_BOTH(of_a_request_that_was_kept),
		ON_BOTH(which_types),
		ON_BOTH(how_long),
		ON_BOTH(what_the_program_says),
		ON_BOTH(which_statuses),
		ON_BOTH(head_says_the_same),
		ON_BOTH(when_it_is_off),
		ON_BOTH(short_bodies_too),
		ON_BOTH(without_room_for_its_fields),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
