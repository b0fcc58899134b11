/* Lines of the access log: exact, and never more than one whatever a client sends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "web/access_line.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct crew__access_entry usual = {
	.unix_us = INT64_C(1795271768123456), /* 2026-11-21 14:36:08.123456 */
	.client = "192.0.2.1",
	.id = "0070000000000001",
	.method = { "GET", 3 },
	.target = { "/a?b=c", 6 },
	.agent = { "curl/8", 6 },
	.version = 11,
	.status = 200,
	.bytes_in = 5,
	.bytes_out = UINT64_MAX,
	.head_us = 1,
	.body_us = 2,
	.handler_us = 3,
	.answer_us = 4,
	.ended = "ok",
};

/* As text; the line feed is there, once, and cut off. */
static const char *text(const struct crew__access_entry *entry, bool json)
{
	static char line[CREW__ACCESS_LINE_MAX];
	size_t len = json ? crew__access_json(entry, line) : crew__access_combined(entry, line);
	assert_true(len > 0 && len <= sizeof(line));
	assert_ptr_equal(memchr(line, '\n', len), line + len - 1);
	line[len - 1] = '\0';
	assert_int_equal(strlen(line), len - 1);
	return line;
}

static json_t *parsed(const struct crew__access_entry *entry)
{
	json_error_t error;
	const char *line = text(entry, true);
	json_t *json = json_loads(line, JSON_REJECT_DUPLICATES, &error);
	if (!json)
		fail_msg("%s: %s", error.text, line);
	return json;
}

static const char *string_of(const json_t *json, const char *key)
{
	const char *value = json_string_value(json_object_get(json, key));
	return value ? value : "(none)";
}

static void combined(void **state)
{
	(void)state;
	assert_string_equal(text(&usual, false),
		"192.0.2.1 - - [21/Nov/2026:14:36:08 +0000] \"GET /a?b=c HTTP/1.1\" 200 "
		"18446744073709551615 \"-\" \"curl/8\"");
	struct crew__access_entry entry = usual;
	entry.version = 10;
	entry.status = 0;
	entry.unix_us = 1;
	entry.referer = CREW_BYTES("");
	entry.agent = (crew_bytes){ NULL, 0 };
	assert_string_equal(text(&entry, false),
		"192.0.2.1 - - [01/Jan/1970:00:00:00 +0000] \"GET /a?b=c HTTP/1.0\" 000 "
		"18446744073709551615 \"\" \"-\"");
	entry.method = (crew_bytes){ NULL, 0 };
	entry.target = (crew_bytes){ NULL, 0 };
	entry.bytes_out = 0;
	assert_string_equal(text(&entry, false),
		"192.0.2.1 - - [01/Jan/1970:00:00:00 +0000] \"-\" 000 0 \"\" \"-\"");
}

static void json(void **state)
{
	(void)state;
	assert_string_equal(text(&usual, true),
		"{\"time\":\"2026-11-21T14:36:08.123456Z\",\"id\":\"0070000000000001\","
		"\"client\":\"192.0.2.1\",\"method\":\"GET\",\"target\":\"/a?b=c\","
		"\"version\":\"1.1\",\"status\":200,\"bytes_in\":5,"
		"\"bytes_out\":18446744073709551615,\"head_us\":1,\"body_us\":2,"
		"\"handler_us\":3,\"answer_us\":4,\"ended\":\"ok\",\"user_agent\":\"curl/8\","
		"\"referer\":null}");
	struct crew__access_entry entry = usual;
	entry.method = (crew_bytes){ NULL, 0 };
	entry.bytes_out = 0;
	entry.ended = "handshake";
	json_t *line = parsed(&entry);
	assert_true(json_is_null(json_object_get(line, "method")));
	assert_true(json_is_null(json_object_get(line, "target")));
	assert_true(json_is_null(json_object_get(line, "version")));
	assert_string_equal(string_of(line, "ended"), "handshake");
	json_decref(line);
}

#define TRICKY "a\"b\\c\nd\re\tf\x01g\x7fh\xc3\xa9i\xffj"

static void what_clients_send_is_escaped(void **state)
{
	(void)state;
	struct crew__access_entry entry = usual;
	entry.bytes_out = 0;
	entry.target = entry.agent = entry.referer = (crew_bytes)CREW_BYTES(TRICKY);
	const char *line = text(&entry, false);
	const char *shown = "a\\x22b\\x5cc\\x0ad\\x0de\\x09f\\x01g\\x7fh\\xc3\\xa9i\\xffj";
	char expected[500];
	snprintf(expected, sizeof(expected), "\"GET %s HTTP/1.1\" 200 0 \"%s\" \"%s\"", shown,
		shown, shown);
	assert_non_null(strstr(line, expected));
	json_t *json_line = parsed(&entry);
	shown = "a\"b\\c\nd\re\tf\x01g\x7fh\xc3\xa9i\xef\xbf\xbdj";
	assert_string_equal(string_of(json_line, "target"), shown);
	assert_string_equal(string_of(json_line, "user_agent"), shown);
	assert_string_equal(string_of(json_line, "referer"), shown);
	json_decref(json_line);
}

/* What no terminal and no JavaScript takes for a line's end or a command goes as an escape. */
static void sly_characters(void **state)
{
	(void)state;
	struct crew__access_entry entry = usual;
	entry.agent = CREW_BYTES(
		"\xc2\x9b|\xe2\x80\xa8|\xe2\x80\xa9|\xe2\x82\xac|\xf0\x9f\x98\x80");
	entry.bytes_out = 0;
	assert_non_null(strstr(
		text(&entry, true), "\"\\u009b|\\u2028|\\u2029|\xe2\x82\xac|\xf0\x9f\x98\x80\""));
	/* No UTF-8: overlong, a surrogate, beyond the last, cut off. */
	entry.agent = CREW_BYTES("\xc0\xaf|\xed\xa0\x80|\xf4\x90\x80\x80|\xe2\x82");
	assert_non_null(strstr(text(&entry, true),
		"\"\\ufffd\\ufffd|\\ufffd\\ufffd\\ufffd|\\ufffd\\ufffd\\ufffd\\ufffd|\\ufffd\\ufffd\""));
}

static void long_parts_are_cut(void **state)
{
	(void)state;
	static char x[10000], high[10000];
	memset(x, 'x', sizeof(x));
	memset(high, 0xff, sizeof(high));
	struct crew__access_entry entry = usual;
	char client[400];
	memset(client, 'c', sizeof(client));
	client[399] = '\0';
	entry.client = client;
	entry.head_us = entry.body_us = entry.handler_us = entry.answer_us = UINT64_MAX;
	entry.method = entry.target = entry.agent = entry.referer = (crew_bytes){ x, sizeof(x) };
	size_t plain = strlen(text(&entry, false));
	assert_true(plain > 3000 && plain < CREW__ACCESS_LINE_MAX - 400);
	entry.bytes_in = UINT64_MAX;
	assert_true(strlen(text(&entry, true)) > 3000);
	entry.method = entry.target = entry.agent = entry.referer = (crew_bytes){ high,
		sizeof(high) };
	assert_true(strlen(text(&entry, false)) <= plain);
	char last = text(&entry, true)[strlen(text(&entry, true)) - 1];
	assert_int_equal(last, '}');
	entry.bytes_out = entry.bytes_in = entry.head_us = 0;
	entry.body_us = entry.handler_us = entry.answer_us = 0;
	json_decref(parsed(&entry));
	/* An escape is there whole or not at all. */
	for (size_t before = 0; before < 8; before++) {
		memset(high, 'x', before);
		entry.target = (crew_bytes){ high, sizeof(high) };
		json_t *line = parsed(&entry);
		assert_true(json_string_length(json_object_get(line, "target")) > 800);
		json_decref(line);
	}
}

static void random_bytes(void **state)
{
	(void)state;
	srandom(3);
	for (int round = 0; round < 3000; round++) {
		char bytes[64];
		size_t len = (size_t)random() % sizeof(bytes);
		for (size_t i = 0; i < len; i++)
			bytes[i] = (char)(round & 1
						  ? random()
						  : "\xc2\xe2\x80\xa8\xf0\x9f\"\\\n"[random() % 9]);
		char *copy = malloc(len + !len);
		memcpy(copy, bytes, len);
		struct crew__access_entry entry = usual;
		entry.bytes_out = 0;
		entry.target = entry.agent = entry.referer = (crew_bytes){ copy, len };
		const char *line = text(&entry, false);
		for (const char *at = line; *at; at++)
			assert_true(*at >= ' ' && *at < 0x7f);
		json_t *json_line = parsed(&entry);
		if (crew__utf8_valid(entry.target) && !memchr(copy, '\0', len)) {
			assert_int_equal(strlen(string_of(json_line, "referer")), len);
			assert_memory_equal(string_of(json_line, "referer"), copy, len);
		}
		json_decref(json_line);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(combined),
		cmocka_unit_test(json),
		cmocka_unit_test(what_clients_send_is_escaped),
		cmocka_unit_test(sly_characters),
		cmocka_unit_test(long_parts_are_cut),
		cmocka_unit_test(random_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
