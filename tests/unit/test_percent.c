/* test_percent.c - escapes of URIs: each byte in each case, what is none, in place. */
#include "web/percent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Memory of its own, so that reading beyond it is noticed. */
static crew_bytes exactly(const char *text)
{
	size_t len = strlen(text);
	char *copy = malloc(len ? len : 1);
	assert_non_null(copy);
	memcpy(copy, text, len);
	return (crew_bytes){ copy, len };
}

static void decode_to(const char *text, bool plus, const char *wanted)
{
	crew_bytes in = exactly(text);
	int64_t len = crew__percent_decode(in, (char *)(uintptr_t)in.data, plus);
	assert_int_equal(len, strlen(wanted));
	assert_memory_equal(in.data, wanted, strlen(wanted));
	free((void *)(uintptr_t)in.data);
}

static void every_byte_has_its_escape(void **state)
{
	(void)state;
	for (int byte = 0; byte < 256; byte++) {
		char lower[4], upper[4], out[3];
		snprintf(lower, sizeof(lower), "%%%02x", (unsigned)byte);
		snprintf(upper, sizeof(upper), "%%%02X", (unsigned)byte);
		assert_int_equal(crew__percent_byte(lower + 1), byte);
		assert_int_equal(crew__percent_byte(upper + 1), byte);
		assert_int_equal(crew__percent_decode((crew_bytes){ lower, 3 }, out, false), 1);
		assert_int_equal((unsigned char)out[0], byte);
		assert_int_equal(crew__percent_decode((crew_bytes){ upper, 3 }, out, true), 1);
		assert_int_equal((unsigned char)out[0], byte);
		assert_int_equal(crew__percent_good((crew_bytes){ upper, 3 }), byte != 0);
	}
}

static void other_digits_are_none(void **state)
{
	(void)state;
	for (int byte = 1; byte < 256; byte++) {
		bool hex = strchr("0123456789abcdefABCDEF", byte) != NULL;
		char first[2] = { (char)byte, '0' }, second[2] = { '0', (char)byte };
		assert_int_equal(crew__percent_byte(first) >= 0, hex);
		assert_int_equal(crew__percent_byte(second) >= 0, hex);
	}
}

static void texts_are_decoded_once(void **state)
{
	(void)state;
	decode_to("", false, "");
	decode_to("/a/b", false, "/a/b");
	decode_to("/a%2Fb%20c", false, "/a/b c");
	decode_to("%2541", false, "%41");
	decode_to("a+b%2B", false, "a+b+");
	decode_to("a+b%2B", true, "a b+");
	decode_to("+", true, " ");
	decode_to("%C3%a4", false, "\xc3\xa4");
}

static void bad_escapes_are_refused(void **state)
{
	static const char *const bad[] = { "%", "%4", "a%", "a%4", "%zz", "%4g", "%%41", "%41%",
		"% 1", "%-1", "%+1", "%0x" };
	(void)state;
	for (size_t i = 0; i < crew__lengthof(bad); i++) {
		crew_bytes in = exactly(bad[i]);
		char out[8];
		assert_int_equal(crew__percent_decode(in, out, false), -EINVAL);
		assert_int_equal(crew__percent_decode(in, out, true), -EINVAL);
		assert_false(crew__percent_good(in));
		free((void *)(uintptr_t)in.data);
	}
}

static void good_ones_have_no_nul(void **state)
{
	(void)state;
	assert_true(crew__percent_good((crew_bytes){ NULL, 0 }));
	assert_true(crew__percent_good(CREW_BYTES("/a%20b%2f")));
	assert_false(crew__percent_good(CREW_BYTES("/a%00")));
	assert_false(crew__percent_good(CREW_BYTES("%41%00%41")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_has_its_escape),
		cmocka_unit_test(other_digits_are_none),
		cmocka_unit_test(texts_are_decoded_once),
		cmocka_unit_test(bad_escapes_are_refused),
		cmocka_unit_test(good_ones_have_no_nul),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
