/* Lines and length-prefixed frames: what is cut, what is refused, and that a byte is looked at
 * once. */
#include "proto/line.h"

#include "pieces.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum {
	LIMIT = 8
};

struct cut_case {
	const char *in;
	size_t len;
	const char *out; /* bodies in brackets, then what stopped it: "more", "size", "proto" */
};

#define CASE(in, out)                       \
	{                                   \
		(in), sizeof(in) - 1, (out) \
	}

static const struct cut_case texts[] = {
	CASE("", "more"),
	CASE("\n", "[]more"),
	CASE("\r\n", "[]more"),
	CASE("\r", "more"),
	CASE("hello\n", "[hello]more"),
	CASE("hello\r\n", "[hello]more"),
	CASE("hello\r\r\n", "[hello\r]more"),
	CASE("a\nb\r\nc", "[a][b]more"),
	CASE("a\rb\n", "[a\rb]more"),
	CASE("12345678\n", "[12345678]more"),
	CASE("12345678\r\n", "[12345678]more"),
	CASE("12345678\r", "more"),
	CASE("12345678", "more"),
	CASE("123456789", "size"),
	CASE("123456789\n", "size"),
	CASE("123456789\r\n", "size"),
	CASE("12345678\rx", "size"),
	CASE("12345678\r\r\n", "size"),
	CASE("ok\n123456789", "[ok]size"),
	CASE("\n\n\n", "[][][]more"),
};

static const struct cut_case frames[] = {
	CASE("", "more"),
	CASE("\0\0\0", "more"),
	CASE("\0\0\0\4", "[]more"),
	CASE("\0\0\0\5a", "[a]more"),
	CASE("\0\0\0\6a", "more"),
	CASE("\0\0\0\7abc\0\0\0\5d", "[abc][d]more"),
	CASE("\0\0\0\14"
	     "12345678",
		"[12345678]more"),
	CASE("\0\0\0\15", "size"),
	CASE("\0\0\1\0", "size"),
	CASE("\0\1\0\4", "size"),
	CASE("\xFF\xFF\xFF\xFF", "size"),
	CASE("\x80\0\0\4", "size"),
	CASE("\0\0\0\0", "proto"),
	CASE("\0\0\0\3", "proto"),
	CASE("\0\0\0\5a\0\0\0\2", "[a]proto"),
};

typedef int64_t cut_fn(crew_bytes in, uint32_t *scanned, crew_bytes *ret_body);

static int64_t cut_text(crew_bytes in, uint32_t *scanned, crew_bytes *ret_body)
{
	return crew__text_cut(in, LIMIT, scanned, ret_body);
}

static int64_t cut_frame(crew_bytes in, uint32_t *scanned, crew_bytes *ret_body)
{
	(void)scanned;
	return crew__frame_cut(in, LIMIT, ret_body);
}

/* Feed the stream in pieces and write down what comes out. The bytes lie at the end of a block of
 * memory each time, so that reading on is found. */
static void run(cut_fn *cut, const struct cut_case *c, unsigned way, char *out)
{
	struct pieces pieces = pieces_of(way);
	uint32_t scanned = 0;
	size_t start = 0, there = 0;
	*out = '\0';
	for (;;) {
		size_t len = there - start;
		char *copy = malloc(len + 1);
		assert_non_null(copy);
		memcpy(copy + 1, c->in + start, len);
		crew_bytes body = { 0 };
		int64_t n = cut((crew_bytes){ copy + 1, len }, &scanned, &body);
		if (n > 0) {
			assert_true((size_t)n <= len && body.len <= LIMIT);
			assert_int_equal(scanned, 0);
			out += sprintf(out, "[%.*s]", (int)body.len, body.data);
			start += (size_t)n;
		}
		free(copy);
		if (n < 0) {
			assert_true(n == -EMSGSIZE || n == -EPROTO);
			strcpy(out, n == -EMSGSIZE ? "size" : "proto");
			return;
		}
		if (n == 0) {
			if (there == c->len)
				break;
			there += pieces_next(&pieces, c->len - there);
		}
	}
	strcpy(out, "more");
}

static void check_all(cut_fn *cut, const struct cut_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++)
		for (unsigned way = 0; way < PIECES_WAYS; way++) {
			char out[100];
			run(cut, &cases[i], way, out);
			assert_string_equal(out, cases[i].out);
		}
}

static void texts_are_cut(void **unused)
{
	(void)unused;
	check_all(cut_text, texts, crew__lengthof(texts));
}

static void frames_are_cut(void **unused)
{
	(void)unused;
	check_all(cut_frame, frames, crew__lengthof(frames));
}

/* What was looked through is spoilt with a line's end: were it looked at again, it would be one. */
static void a_byte_is_looked_at_once(void **unused)
{
	(void)unused;
	char line[1000];
	uint32_t scanned = 0;
	crew_bytes body;
	memset(line, 'x', sizeof(line));
	for (size_t len = 1; len < sizeof(line); len++) {
		assert_int_equal(
			crew__text_cut((crew_bytes){ line, len }, 2000, &scanned, &body), 0);
		assert_int_equal(scanned, len);
		line[len - 1] = '\n';
	}
	line[sizeof(line) - 1] = '\n';
	memset(line, 'x', sizeof(line) - 1);
	assert_int_equal(crew__text_cut((crew_bytes){ line, sizeof(line) }, 2000, &scanned, &body),
		sizeof(line));
	assert_int_equal(body.len, sizeof(line) - 1);
	assert_int_equal(scanned, 0);
}

static void the_limits_are_numbers_like_others(void **unused)
{
	(void)unused;
	uint32_t scanned = 0;
	crew_bytes body;
	assert_int_equal(crew__text_cut(CREW_BYTES("\r\n"), 0, &scanned, &body), 2);
	assert_int_equal(crew__text_cut(CREW_BYTES("a\n"), 0, &scanned, &body), -EMSGSIZE);
	assert_int_equal(crew__frame_cut(CREW_BYTES("\0\0\0\4"), 0, &body), 4);
	assert_int_equal(crew__frame_cut(CREW_BYTES("\0\0\0\5"), 0, &body), -EMSGSIZE);
	/* Without a limit worth the name, a length that nobody can have is just not all there. */
	assert_int_equal(crew__frame_cut(CREW_BYTES("\xFF\xFF\xFF\xFF"), SIZE_MAX, &body), 0);
	assert_int_equal(crew__text_cut(CREW_BYTES("abc"), SIZE_MAX, &scanned, &body), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_cut),
		cmocka_unit_test(frames_are_cut),
		cmocka_unit_test(a_byte_is_looked_at_once),
		cmocka_unit_test(the_limits_are_numbers_like_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
