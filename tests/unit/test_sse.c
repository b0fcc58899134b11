/* test_sse.c - events as text: read back by the rules of the HTML standard, each is what it was. */
#include "web/sse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pieces.h"

/* What a page would get of a stream (HTML standard, 9.2.6), as the last event dispatched. */
struct reader {
	char data[4096], name[256], id[256];
	size_t data_len;
	long long retry;
	unsigned dispatched;
	char type[256], body[4096]; /* of the last one */
	size_t body_len;
};

static void take_field(
	struct reader *r, const char *name, size_t name_len, const char *value, size_t value_len)
{
	if (name_len == 4 && !memcmp(name, "data", 4)) {
		memcpy(r->data + r->data_len, value, value_len);
		r->data_len += value_len;
		r->data[r->data_len++] = '\n';
	} else if (name_len == 5 && !memcmp(name, "event", 5)) {
		snprintf(r->name, sizeof(r->name), "%.*s", (int)value_len, value);
	} else if (name_len == 2 && !memcmp(name, "id", 2)) {
		snprintf(r->id, sizeof(r->id), "%.*s", (int)value_len, value);
	} else if (name_len == 5 && !memcmp(name, "retry", 5)) {
		r->retry = strtoll(value, NULL, 10);
	}
}

static void dispatch(struct reader *r)
{
	if (r->data_len > 0) {
		r->dispatched++;
		snprintf(r->type, sizeof(r->type), "%s", r->name[0] ? r->name : "message");
		r->body_len = r->data_len - 1;
		memcpy(r->body, r->data, r->body_len);
	}
	r->data_len = 0;
	r->name[0] = '\0';
}

static void take_line(struct reader *r, const char *line, size_t len)
{
	const char *colon = len > 0 ? memchr(line, ':', len) : NULL;
	if (len == 0) {
		dispatch(r);
	} else if (!colon) {
		take_field(r, line, len, "", 0);
	} else if (colon > line) {
		const char *value = colon + 1;
		size_t rest = len - (size_t)(value - line);
		if (rest > 0 && *value == ' ') {
			value++;
			rest--;
		}
		take_field(r, line, (size_t)(colon - line), value, rest);
	}
}

/* Lines end with CR, LF or CRLF. Every one of them must be whole. */
static void read_stream(struct reader *r, const char *text, size_t len)
{
	const char *at = text, *end = text + len;
	while (at < end) {
		const char *stop = at;
		while (stop < end && *stop != '\r' && *stop != '\n')
			stop++;
		assert_true(stop < end);
		take_line(r, at, (size_t)(stop - at));
		at = stop + (*stop == '\r' && stop + 1 < end && stop[1] == '\n' ? 2 : 1);
	}
}

/* As text, in just the memory that it said it needs. */
static char *written(const crew_event *event, size_t *ret_len)
{
	size_t len = crew__sse_size(event);
	char *text = malloc(len);
	assert_non_null(text);
	assert_true(crew__sse_valid(event));
	crew__sse_write(event, text);
	*ret_len = len;
	return text;
}

static struct reader got(const crew_event *event)
{
	struct reader r = { .retry = -1 };
	size_t len;
	char *text = written(event, &len);
	read_stream(&r, text, len);
	free(text);
	return r;
}

static void as_text(void **unused)
{
	(void)unused;
	static const struct {
		crew_event event;
		const char *text;
	} cases[] = {
		{ { .data = CREW_BYTES("hello") }, "data: hello\n\n" },
		{ { .data = CREW_BYTES("") }, "data: \n\n" },
		{ { 0 }, "data: \n\n" },
		{ { .data = CREW_BYTES("a\nb\rc\r\nd") },
			"data: a\ndata: b\ndata: c\ndata: d\n\n" },
		{ { .data = CREW_BYTES("\n") }, "data: \ndata: \n\n" },
		{ { .data = CREW_BYTES("\r\r\n\n") }, "data: \ndata: \ndata: \ndata: \n\n" },
		{ { .data = CREW_BYTES("a\r") }, "data: a\ndata: \n\n" },
		{ { .data = CREW_BYTES(" :x") }, "data:  :x\n\n" },
		{ { .name = "tick", .data = CREW_BYTES("1") }, "event: tick\ndata: 1\n\n" },
		{ { .name = "", .data = CREW_BYTES("1") }, "data: 1\n\n" },
		{ { .name = "tick" }, "event: tick\ndata: \n\n" },
		{ { .id = "7", .data = CREW_BYTES("1") }, "id: 7\ndata: 1\n\n" },
		{ { .id = "", .data = CREW_BYTES("1") }, "id: \ndata: 1\n\n" },
		{ { .id = "7" }, "id: 7\n\n" },
		{ { .retry_ms = 1500 }, "retry: 1500\n\n" },
		{ { .retry_ms = INT64_MAX, .data = CREW_BYTES("") },
			"retry: 9223372036854775807\ndata: \n\n" },
		{ { .name = "n", .id = "i", .retry_ms = 1, .data = CREW_BYTES("d") },
			"event: n\nid: i\nretry: 1\ndata: d\n\n" },
	};
	for (size_t i = 0; i < crew__lengthof(cases); i++) {
		size_t len;
		char *text = written(&cases[i].event, &len);
		assert_int_equal(len, strlen(cases[i].text));
		assert_memory_equal(text, cases[i].text, len);
		free(text);
	}
}

static void what_may_not_be_sent(void **unused)
{
	(void)unused;
	static const crew_event bad[] = { { .name = "a\nb" }, { .name = "a\rb" }, { .name = "\n" },
		{ .id = "a\nb" }, { .id = "\r" }, { .retry_ms = -1 }, { .data = { NULL, 1 } } };
	for (size_t i = 0; i < crew__lengthof(bad); i++)
		assert_false(crew__sse_valid(&bad[i]));
	assert_true(crew__sse_valid(&(crew_event){ .data = CREW_BYTES("a\r\n") }));
	assert_true(crew__sse_is_line((crew_bytes){ NULL, 0 }));
	assert_true(crew__sse_is_line(CREW_BYTES("a\0b")));
	assert_false(crew__sse_is_line(CREW_BYTES("ab\n")));
	assert_false(crew__sse_is_line(CREW_BYTES("\rab")));
}

static void fields_reach_the_page(void **unused)
{
	(void)unused;
	struct reader r = got(&(crew_event){ .name = "tick",
		.id = "7:a",
		.retry_ms = 20,
		.data = CREW_BYTES("event: fake\nid: fake\n\ndata: fake") });
	assert_int_equal(r.dispatched, 1); /* the empty line within did not end it */
	assert_string_equal(r.type, "tick");
	assert_string_equal(r.id, "7:a");
	assert_int_equal(r.retry, 20);
	assert_int_equal(r.body_len, strlen("event: fake\nid: fake\n\ndata: fake"));
	assert_memory_equal(r.body, "event: fake\nid: fake\n\ndata: fake", r.body_len);
	r = got(&(crew_event){ .id = "x" });
	assert_int_equal(r.dispatched, 0);
	assert_string_equal(r.id, "x");
}

/* Any bytes, many of them line breaks: one event, and the same bytes but that each break is LF. */
static void any_data_comes_back(void **unused)
{
	(void)unused;
	static const char letters[] = "\r\n\r\n: ab\0\xC3\xA9";
	struct pieces random = pieces_of(99);
	for (int round = 0; round < 5000; round++) {
		char data[64], expected[64];
		size_t len = pieces_random(&random) % sizeof(data), wanted = 0;
		for (size_t i = 0; i < len; i++)
			data[i] = letters[pieces_random(&random) % (sizeof(letters) - 1)];
		for (size_t i = 0; i < len; i++) {
			if (data[i] == '\n' && i > 0 && data[i - 1] == '\r')
				continue;
			expected[wanted++] = data[i] == '\r' ? '\n' : data[i];
		}
		struct reader r = got(&(crew_event){ .data = { data, len } });
		assert_int_equal(r.dispatched, 1);
		assert_int_equal(r.body_len, wanted);
		assert_memory_equal(r.body, expected, wanted);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_text),
		cmocka_unit_test(what_may_not_be_sent),
		cmocka_unit_test(fields_reach_the_page),
		cmocka_unit_test(any_data_comes_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
