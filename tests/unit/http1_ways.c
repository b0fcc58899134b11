/* http1_ways.c - feeding the HTTP/1 parser as its caller does, and worse: from memory that moves
 * between any two calls and ends where the bytes end. */
#include "http1_ways.h"

#include "pieces.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum {
	TEXT_ROOM = 8192
};

static int show(crew_bytes b)
{
	return (int)crew__min(b.len, 200);
}

static size_t tell_head(char *out, const struct crew__http1_request *r)
{
	const crew_request *q = &r->public;
	assert_ptr_equal(q->headers, r->table);
	assert_int_equal(
		r->head_only, q->method.len == 4 && memcmp(q->method.data, "HEAD", 4) == 0);
	return (size_t)sprintf(out, "%.*s %.*s%s%.*s %.*s %d%s%s%s %zu ", show(q->method),
		q->method.data, show(q->path), q->path.data ? q->path.data : "",
		q->query.data ? "?" : "", show(q->query), q->query.data ? q->query.data : "",
		show(q->host), q->host.data ? q->host.data : "", q->version,
		q->keep_alive ? "" : " close", r->upgrade_websocket ? " ws" : "",
		r->expect_continue ? " expect" : "", q->header_count);
}

struct feeder {
	struct crew__http1 parser;
	struct pieces pieces;
	bool squeeze;
	const char *input;
	size_t len, given; /* of the input */
	char *data;        /* what the caller holds: the present request's bytes */
	size_t held;
	char head[TEXT_ROOM]; /* what a CREW__HTTP_HEAD told, "" when none came */
};

/* The next piece, behind what is held, in fresh memory of just that size. */
static void give(struct feeder *f)
{
	size_t n = pieces_next(&f->pieces, f->len - f->given);
	char *fresh = malloc(f->held + n);
	assert_non_null(fresh);
	if (f->held > 0)
		memcpy(fresh, f->data, f->held);
	memcpy(fresh + f->held, f->input + f->given, n);
	free(f->data);
	f->data = fresh;
	f->held += n;
	f->given += n;
}

static void drop(struct feeder *f, size_t n)
{
	assert_true(n <= f->held);
	f->held -= n;
	if (n > 0)
		memmove(f->data, f->data + n, f->held);
}

static char *tell_rest(char *out, crew_bytes body, const crew_header *trailers, size_t count)
{
	out += sprintf(out, "[%.*s]", show(body), body.data);
	for (size_t i = 0; i < count; i++)
		out += sprintf(out, "{%.*s=%.*s}", show(trailers[i].name), trailers[i].name.data,
			show(trailers[i].value), trailers[i].value.data);
	return out + sprintf(out, ";");
}

/* ---- bodies that are gathered ------------------------------------------------------------- */

static char *take_request(
	struct feeder *f, const struct crew__http1_request *r, size_t consumed, char *out)
{
	size_t n = tell_head(out, r);
	if (f->head[0] != '\0')
		assert_memory_equal(f->head, out, n);
	f->head[0] = '\0';
	out = tell_rest(out + n, r->public.body, r->public.trailers, r->public.trailer_count);
	assert_true(consumed > 0);
	assert_true(crew__http1_idle(&f->parser));
	drop(f, consumed);
	return out;
}

static void gather(struct feeder *f, struct crew__http1_request *r, char *out)
{
	for (;;) {
		size_t consumed = 0;
		int status = 0;
		enum crew__http1_result result = crew__http1_feed(
			&f->parser, f->data, f->held, HTTP1_LIMIT, r, &consumed, &status);
		if (result == CREW__HTTP_BAD) {
			sprintf(out, "%d", status);
			return;
		}
		if (result == CREW__HTTP_REQUEST) {
			out = take_request(f, r, consumed, out);
			continue;
		}
		assert_true(result == CREW__HTTP_MORE || f->head[0] == '\0');
		if (result == CREW__HTTP_HEAD) {
			assert_int_equal(r->public.body.len, 0);
			assert_int_equal(r->public.trailer_count, 0);
			tell_head(f->head, r);
		}
		if (f->squeeze)
			drop(f, crew__http1_squeeze(&f->parser, f->data, f->held));
		if (f->given == f->len) {
			strcpy(out, f->held == 0 || crew__http1_idle(&f->parser) ? "" : "more");
			return;
		}
		give(f);
	}
}

/* ---- bodies in parts ---------------------------------------------------------------------- */

/* True: there is more to look at. */
static bool give_more(struct feeder *f)
{
	if (f->given == f->len)
		return false;
	give(f);
	return true;
}

/* The body behind a head that is gone. 1: complete; 0: it is not all there; or the status. */
static int take_parts(struct feeder *f, char **out)
{
	char body[HTTP1_LIMIT];
	size_t len = 0;
	for (;;) {
		crew_bytes part;
		size_t consumed = 0;
		int status = 0;
		enum crew__http1_result result = crew__http1_part(
			&f->parser, f->data, f->held, HTTP1_LIMIT, &part, &consumed, &status);
		if (result == CREW__HTTP_BAD)
			return status;
		if (result == CREW__HTTP_PART) {
			assert_true(part.len > 0 && part.len <= HTTP1_LIMIT - len);
			memcpy(body + len, part.data, part.len);
			len += part.len;
		}
		bool ended = result == CREW__HTTP_PART && crew__http1_ended(&f->parser);
		if (ended || result == CREW__HTTP_REQUEST) {
			crew_header trailers[CREW__HTTP_HEADERS_MAX];
			size_t count = ended ? 0
					     : crew__http1_trailers(
						       part, trailers, CREW__HTTP_HEADERS_MAX);
			assert_true(crew__http1_idle(&f->parser));
			*out = tell_rest(*out, (crew_bytes){ body, len }, trailers, count);
			drop(f, consumed);
			return 1;
		}
		drop(f, consumed);
		if (result == CREW__HTTP_MORE && !give_more(f))
			return 0;
	}
}

static void in_parts(struct feeder *f, struct crew__http1_request *r, char *out)
{
	for (;;) {
		size_t consumed = 0;
		int status = 0;
		enum crew__http1_result result = crew__http1_begin(
			&f->parser, f->data, f->held, r, &consumed, &status);
		if (result == CREW__HTTP_MORE && give_more(f))
			continue;
		if (result == CREW__HTTP_MORE) {
			strcpy(out, f->held == 0 || crew__http1_idle(&f->parser) ? "" : "more");
			return;
		}
		char *start = out;
		if (result != CREW__HTTP_BAD) {
			assert_int_equal(r->public.trailer_count, 0);
			out += tell_head(out, r);
			drop(f, consumed);
			status = 1;
		}
		if (result == CREW__HTTP_REQUEST)
			out = tell_rest(out, r->public.body, NULL, 0);
		else if (result == CREW__HTTP_HEAD)
			status = take_parts(f, &out);
		if (status != 1) {
			sprintf(start, status ? "%d" : "more", status);
			return;
		}
	}
}

/* Odd ways take bodies in parts, and both halves of them cut in each way. */
static void run(const char *input, size_t len, unsigned way, char *out)
{
	struct feeder f = { .pieces = pieces_of(way / 2),
		.squeeze = way / 2 % 3 == 1,
		.input = input,
		.len = len };
	struct crew__http1_request *r = malloc(sizeof(*r));
	assert_non_null(r);
	memset(r, 0xA5, sizeof(*r)); /* nothing is taken from what it held before */
	r->max_head = 0;
	if (way % 2)
		in_parts(&f, r, out);
	else
		gather(&f, r, out);
	free(f.data);
	free(r);
}

void http1_expect(const char *input, size_t len, const char *expected)
{
	char out[TEXT_ROOM];
	for (unsigned way = 0; way < 2 * PIECES_WAYS; way++) {
		run(input, len, way, out);
		if (strcmp(out, expected) != 0)
			print_error("way %u of: %.*s\n", way, (int)crew__min(len, 300), input);
		assert_string_equal(out, expected);
	}
}

void http1_expect_status(const char *input, size_t len, int status)
{
	char expected[16], out[TEXT_ROOM];
	sprintf(expected, "%d", status);
	for (unsigned way = 0; way < 2 * PIECES_WAYS; way++) {
		run(input, len, way, out);
		/* One request alone: nothing behind the end of its body. */
		const char *end = strstr(out, "];");
		bool good = status != 0 ? strcmp(out, expected) == 0 : end && end[2] == '\0';
		if (!good)
			fail_msg("way %u: %s instead of %d for: %.*s", way, out, status,
				(int)crew__min(len, 300), input);
	}
}

bool http1_same(const char *input, size_t len)
{
	char whole[TEXT_ROOM], out[TEXT_ROOM];
	run(input, len, 0, whole);
	for (unsigned way = 1; way < 2 * (PIECES_RANDOM + 4); way++) {
		run(input, len, way, out);
		if (strcmp(out, whole) != 0)
			print_error("way %u of: %.*s\n", way, (int)len, input);
		assert_string_equal(out, whole);
	}
	return strchr(whole, ';') != NULL;
}

enum crew__http1_result http1_once(char *copy, size_t len, struct crew__http1_request *request,
	size_t *ret_consumed, int *ret_status)
{
	struct crew__http1 parser = { 0 };
	return crew__http1_feed(&parser, copy, len, HTTP1_LIMIT, request, ret_consumed, ret_status);
}
