/* What two sides of a WebSocket agree on about compression: offers and answers, odd ones too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "web/ws_extension.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FIELD "Sec-WebSocket-Extensions"
#define PMD   "permessage-deflate"

/* The answer to these two fields: "" without an extension, "bad". */
static const char *answer_two(const char *first, const char *second, bool resets)
{
	static char room[CREW__WS_EXTENSION_ROOM];
	const crew_header fields[] = {
		{ CREW_BYTES("sec-websocket-EXTENSIONS"), crew_str(first) },
		{ CREW_BYTES("Sec-WebSocket-Extension"), CREW_BYTES("=not one of them=") },
		{ CREW_BYTES(FIELD), crew_str(second) },
	};
	struct crew__ws_terms terms;
	memset(&terms, 0xff, sizeof(terms));
	int found = crew__ws_extension_choose(fields, second ? 3 : 1, resets, &terms);
	if (found < 0) {
		assert_int_equal(found, -EINVAL);
		return "bad";
	}
	if (found == 0)
		return "";
	assert_int_equal(found, 1);
	assert_true(terms.deflate);
	size_t n = crew__ws_extension_answer(&terms, room);
	assert_int_equal(n, strlen(room));
	assert_memory_equal(room, PMD, strlen(PMD));
	return room + strlen(PMD);
}

/* With context takeover allowed; no parameters look like no agreement (agrees() tells). */
static const char *answer(const char *offer)
{
	return answer_two(offer, NULL, false);
}

static bool agrees(const char *offer)
{
	const crew_header field = { CREW_BYTES(FIELD), crew_str(offer) };
	struct crew__ws_terms terms;
	return crew__ws_extension_choose(&field, 1, false, &terms) == 1;
}

static void offers_that_are_taken(void **state)
{
	(void)state;
	static const struct {
		const char *offer, *answer;
	} table[] = {
		{ PMD, "" },
		{ "Permessage-Deflate", "" },
		{ "  " PMD "\t", "" },
		{ PMD "; client_max_window_bits", "" },
		{ PMD ";client_max_window_bits=15", "" },
		{ PMD "; client_max_window_bits=8", "; client_max_window_bits=8" },
		{ PMD "; client_max_window_bits=\"9\"", "; client_max_window_bits=9" },
		{ PMD "; server_max_window_bits=15", "; server_max_window_bits=15" },
		{ PMD "; server_max_window_bits=\"15\"", "; server_max_window_bits=15" },
		{ PMD " ; server_max_window_bits = 8", "; server_max_window_bits=8" },
		{ PMD "; server_no_context_takeover", "; server_no_context_takeover" },
		{ PMD "; SERVER_no_context_takeover", "; server_no_context_takeover" },
		{ PMD "; client_no_context_takeover", "; client_no_context_takeover" },
		{ PMD "; client_max_window_bits=10; server_max_window_bits=11; "
		      "client_no_context_takeover; server_no_context_takeover",
			"; server_no_context_takeover; client_no_context_takeover; "
			"server_max_window_bits=11; client_max_window_bits=10" },
		{ "x-webkit-deflate-frame, " PMD, "" },
		{ "x-webkit-deflate-frame; a=b; c=\"d\"; e, " PMD "; server_max_window_bits=12",
			"; server_max_window_bits=12" },
		{ ",, " PMD " ,,", "" },
		{ PMD "; server_max_window_bits=10, " PMD, "; server_max_window_bits=10" },
		{ PMD "; new_thing, " PMD "; client_no_context_takeover",
			"; client_no_context_takeover" },
	};
	for (size_t i = 0; i < crew__lengthof(table); i++) {
		assert_true(agrees(table[i].offer));
		assert_string_equal(answer(table[i].offer), table[i].answer);
	}
}

static void offers_that_are_left_out(void **state)
{
	(void)state;
	static const char *const table[] = {
		"",
		" ",
		",",
		"permessage-bzip2",
		"permessage-deflate2",
		"x",
		"constructor, __proto__, toString; a=b",
		PMD "; unknown",
		PMD "; unknown=1",
		PMD "; __proto__",
		PMD "; server_no_context_takeover; server_no_context_takeover",
		PMD "; client_no_context_takeover; CLIENT_NO_CONTEXT_TAKEOVER",
		PMD "; client_max_window_bits; client_max_window_bits=10",
		PMD "; server_max_window_bits=10; server_max_window_bits=10",
		PMD "; server_no_context_takeover=1",
		PMD "; client_no_context_takeover=true",
		PMD "; server_max_window_bits",
		PMD "; server_max_window_bits=7",
		PMD "; server_max_window_bits=16",
		PMD "; server_max_window_bits=0",
		PMD "; server_max_window_bits=08",
		PMD "; server_max_window_bits=010",
		PMD "; server_max_window_bits=1",
		PMD "; server_max_window_bits=-9",
		PMD "; server_max_window_bits=+9",
		PMD "; server_max_window_bits=1e1",
		PMD "; server_max_window_bits=1000000000000000000000000000000000000",
		PMD "; server_max_window_bits=4294967304",
		PMD "; server_max_window_bits=\"1\\0\"",
		PMD "; client_max_window_bits=7",
		PMD "; client_max_window_bits=16",
		PMD "; client_max_window_bits=0x9",
	};
	for (size_t i = 0; i < crew__lengthof(table); i++) {
		assert_false(agrees(table[i]));
		assert_string_equal(answer(table[i]), "");
	}
}

static void lists_that_are_none(void **state)
{
	(void)state;
	static const char *const table[] = {
		";",
		"=",
		PMD ";",
		PMD "; ;",
		PMD "; =10",
		PMD "; server_max_window_bits=",
		PMD "; server_max_window_bits=\"",
		PMD "; server_max_window_bits=\"10",
		PMD "; server_max_window_bits=\"\"",
		PMD "; server_max_window_bits=\"10\\",
		PMD "; server_max_window_bits=\"1 0\"",
		PMD "; server_max_window_bits=\"10\"x",
		PMD "; server_max_window_bits=10 11",
		PMD " client_no_context_takeover",
		"a b",
		"\"" PMD "\"",
		"a=b",
		"a; b=c=d",
		"a; b=\xff",
		"\xff\xfe",
		"a,b;\x01",
		PMD ", a b",
	};
	for (size_t i = 0; i < crew__lengthof(table); i++) {
		assert_string_equal(answer(table[i]), "bad");
		assert_string_equal(answer_two(PMD, table[i], false), "bad");
		assert_string_equal(answer_two(table[i], PMD, true), "bad");
	}
}

static void offers_in_several_fields_are_one_list(void **state)
{
	(void)state;
	assert_string_equal(answer_two("x-first", PMD "; server_max_window_bits=9", false),
		"; server_max_window_bits=9");
	assert_string_equal(answer_two(PMD "; server_max_window_bits=9", PMD, false),
		"; server_max_window_bits=9");
	assert_string_equal(answer_two(PMD "; bad", PMD "; client_no_context_takeover", false),
		"; client_no_context_takeover");
	struct crew__ws_terms terms;
	assert_int_equal(crew__ws_extension_choose(NULL, 0, true, &terms), 0);
}

static void a_shared_window_resets_both_ways_asked_or_not(void **state)
{
	(void)state;
	assert_string_equal(answer_two(PMD, NULL, true),
		"; server_no_context_takeover; client_no_context_takeover");
	assert_string_equal(answer_two(PMD "; server_max_window_bits=10", NULL, true),
		"; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10");
	assert_string_equal(answer_two("other", NULL, true), "");
}

/* ---- the client ---------------------------------------------------------------------------- */

/* "srv cli bits bits" in short; "none", "bad". */
static const char *accepted(const char *value, bool resets)
{
	static char room[64];
	const crew_header field = { CREW_BYTES("sec-websocket-extensions"), crew_str(value) };
	struct crew__ws_terms t;
	int found = crew__ws_extension_accept(&field, 1, resets, &t);
	if (found <= 0) {
		assert_true(found == 0 || found == -EPROTO);
		return found == 0 ? "none" : "bad";
	}
	snprintf(room, sizeof(room), "%d%d %u %u", t.server_resets, t.client_resets, t.server_bits,
		t.client_bits);
	return room;
}

static void what_a_server_may_answer(void **state)
{
	(void)state;
	assert_string_equal(accepted(PMD, false), "00 15 15");
	assert_string_equal(accepted(PMD "; server_no_context_takeover", false), "10 15 15");
	assert_string_equal(accepted(PMD "; client_no_context_takeover", false), "01 15 15");
	assert_string_equal(accepted(PMD "; client_max_window_bits=9", false), "00 15 9");
	assert_string_equal(accepted(PMD "; server_max_window_bits=8", false), "00 8 15");
	assert_string_equal(accepted("", false), "none");
	assert_string_equal(accepted("", true), "none");
	/* We may reset though it did not ask us to. */
	assert_string_equal(accepted(PMD "; server_no_context_takeover", true), "11 15 15");
	struct crew__ws_terms terms;
	assert_int_equal(crew__ws_extension_accept(NULL, 0, false, &terms), 0);
}

static void what_a_server_may_not_answer(void **state)
{
	(void)state;
	static const char *const table[] = {
		"x-other",
		PMD ", " PMD,
		PMD ", x-other",
		PMD "; client_max_window_bits",
		PMD "; server_max_window_bits",
		PMD "; server_max_window_bits=7",
		PMD "; client_max_window_bits=16",
		PMD "; client_no_context_takeover=1",
		PMD "; client_no_context_takeover; client_no_context_takeover",
		PMD "; what",
		PMD ";",
		"a b",
	};
	for (size_t i = 0; i < crew__lengthof(table); i++)
		assert_string_equal(accepted(table[i], false), "bad");
	assert_string_equal(accepted(PMD, true), "bad");
	assert_string_equal(accepted(PMD "; client_no_context_takeover", true), "bad");
}

/* What we offer, our own server takes, and what it answers, we take. */
static void both_ends_understand_each_other(void **state)
{
	(void)state;
	for (unsigned way = 0; way < 4; way++) {
		bool client = way & 1, server = way & 2;
		char room[CREW__WS_EXTENSION_ROOM];
		crew_header field = { CREW_BYTES(FIELD),
			crew_str(crew__ws_extension_offer(client)) };
		struct crew__ws_terms ours, theirs;
		assert_int_equal(crew__ws_extension_choose(&field, 1, server, &theirs), 1);
		field.value = (crew_bytes){ room, crew__ws_extension_answer(&theirs, room) };
		assert_int_equal(crew__ws_extension_accept(&field, 1, client, &ours), 1);
		assert_int_equal(ours.server_resets, client || server);
		assert_int_equal(theirs.server_resets, ours.server_resets);
		assert_int_equal(theirs.client_resets, ours.client_resets);
		assert_int_equal(theirs.server_bits, ours.server_bits);
		assert_int_equal(theirs.client_bits, ours.client_bits);
	}
}

/* ---- anything ------------------------------------------------------------------------------ */

static double seconds_for(const char *value)
{
	const crew_header field = { CREW_BYTES(FIELD), crew_str(value) };
	struct crew__ws_terms terms;
	clock_t began = clock();
	crew__ws_extension_choose(&field, 1, true, &terms);
	return (double)(clock() - began) / CLOCKS_PER_SEC;
}

/* Looked at from each byte anew, these would take hours. */
static void long_values_take_linear_time(void **state)
{
	(void)state;
	static const char *const patterns[] = { " ", "a", ",", " ,", "a,", "a;b;", "a;b=\"c\",",
		PMD ",", "a;b=\"", "\t\"", PMD ";x=1," };
	size_t size = 1 << 20;
	char *value = malloc(size + 1);
	for (size_t p = 0; p < crew__lengthof(patterns); p++) {
		size_t n = strlen(patterns[p]);
		for (size_t i = 0; i < size; i++)
			value[i] = patterns[p][i % n];
		value[size] = '\0';
		assert_true(seconds_for(value) < 5);
	}
	free(value);
}

/* Pieces of good offers in any order: what is agreed on is always within its bounds, and is read
 * only to its end. */
static void odd_mixtures(void **state)
{
	(void)state;
	static const char *const pieces[] = { PMD, "; ", ";", "=", ",", "\"", "\\", " ", "8", "15",
		"16", "server_no_context_takeover", "client_no_context_takeover",
		"server_max_window_bits", "client_max_window_bits", "x", "\x7f", "\xff" };
	uint32_t random = 7;
	unsigned agreed = 0;
	for (unsigned round = 0; round < 200000; round++) {
		char text[400];
		size_t len = 0;
		if (round % 2)
			len = (size_t)sprintf(text, "%s", PMD);
		for (unsigned i = 0; i < 2 + round % 7; i++) {
			random = random * 1664525 + 1013904223;
			len += (size_t)sprintf(
				text + len, "%s", pieces[(random >> 16) % crew__lengthof(pieces)]);
		}
		char *exact = malloc(len);
		memcpy(exact, text, len);
		const crew_header field = { CREW_BYTES(FIELD), { exact, len } };
		struct crew__ws_terms t;
		char room[CREW__WS_EXTENSION_ROOM];
		if (crew__ws_extension_choose(&field, 1, round & 4, &t) == 1) {
			agreed++;
			assert_true(t.server_bits >= 8 && t.server_bits <= 15);
			assert_true(t.client_bits >= 8 && t.client_bits <= 15);
			assert_true(crew__ws_extension_answer(&t, room) < sizeof(room));
		}
		crew__ws_extension_accept(&field, 1, round & 4, &t);
		free(exact);
	}
	assert_true(agreed > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(offers_that_are_taken),
		cmocka_unit_test(offers_that_are_left_out),
		cmocka_unit_test(lists_that_are_none),
		cmocka_unit_test(offers_in_several_fields_are_one_list),
		cmocka_unit_test(a_shared_window_resets_both_ways_asked_or_not),
		cmocka_unit_test(what_a_server_may_answer),
		cmocka_unit_test(what_a_server_may_not_answer),
		cmocka_unit_test(both_ends_understand_each_other),
		cmocka_unit_test(long_values_take_linear_time),
		cmocka_unit_test(odd_mixtures),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
