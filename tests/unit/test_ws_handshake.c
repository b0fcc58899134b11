/* The small things of WebSocket: the answer to a key, the close codes, the header of a frame that
 * we send. */
#include "proto/ws.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static void the_answer_to_a_key(void **unused)
{
	(void)unused;
	char accept[29];
	assert_true(crew__ws_accept(CREW_BYTES("dGhlIHNhbXBsZSBub25jZQ=="), accept));
	assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="); /* RFC 6455 1.3 */
	static const char *const wrong[] = { "",
		"dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ",
		"dGhlIHNhbXBsZSBub25jZQ===", "dGhlIHNhbXBsZSBub25jZQA=", "dGhlIHNhbXBsZSBub25jZQAA",
		"dGhlIHNhbXBsZSBub25j-Q==", "dGhlIHNhbXBsZSBub25j Q==", "=GhlIHNhbXBsZSBub25jZQ==",
		"dGhlIHNhbXBsZSBub25jZQ==dGhlIHNhbXBsZSBub25jZQ==" };
	for (size_t i = 0; i < crew__lengthof(wrong); i++)
		assert_false(crew__ws_accept((crew_bytes){ wrong[i], strlen(wrong[i]) }, accept));
	assert_false(crew__ws_accept((crew_bytes){ 0 }, accept));
	for (int c = 0; c < 256; c++) {
		char key[] = "dGhlIHNhbXBsZSBub25jZQ==";
		key[9] = (char)c;
		bool good = c != 0 && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
					     "0123456789+/",
					      c);
		assert_int_equal(crew__ws_accept((crew_bytes){ key, 24 }, accept), good);
	}
}

static void close_codes(void **unused)
{
	(void)unused;
	for (unsigned code = 0; code <= 70000; code++) {
		bool valid = (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 &&
				     code != 1006) ||
			     (code >= 3000 && code <= 4999);
		assert_int_equal(crew__ws_code_valid(code), valid);
	}
}

static void headers_that_we_write(void **unused)
{
	(void)unused;
	char room[CREW__WS_HEADER_MAX];
	assert_int_equal(crew__ws_header(room, CREW__WS_OP_TEXT, 125), 2);
	assert_memory_equal(room, "\x81\x7D", 2);
	assert_int_equal(crew__ws_header(room, CREW__WS_OP_BINARY, 126), 4);
	assert_memory_equal(room, "\x82\x7E\x00\x7E", 4);
	assert_int_equal(crew__ws_header(room, CREW__WS_OP_BINARY, 65535), 4);
	assert_memory_equal(room, "\x82\x7E\xFF\xFF", 4);
	assert_int_equal(crew__ws_header(room, CREW__WS_OP_BINARY, 65536), 10);
	assert_memory_equal(room, "\x82\x7F\0\0\0\0\0\1\0\0", 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_answer_to_a_key),
		cmocka_unit_test(close_codes),
		cmocka_unit_test(headers_that_we_write),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
