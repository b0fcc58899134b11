/* test_conditional.c - requests that depend on what the client has already (RFC 9110 section 13).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "web/conditional.h"

#include <stdlib.h>

#define BEFORE "Sun, 06 Nov 1994 08:49:36 GMT"
#define THEN   "Sun, 06 Nov 1994 08:49:37 GMT"
#define AFTER  "Sun, 06 Nov 1994 08:49:38 GMT"
#define TAG    "\"abc\""
#define OTHER  "\"x\""

static const int64_t modified = 784111777;
static const int64_t now = 1795000000;
static const struct crew__validators strong = { { TAG, 5 }, 784111777 };

/* The head of a test: "Name: value" texts, up to the first NULL. */
#define FIELDS(...)               \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}

static struct crew__wishes wishes_of(const char *const *lines)
{
	static crew_header headers[16];
	struct crew__wishes wishes;
	size_t count = 0;
	for (; *lines; lines++) {
		const char *colon = strstr(*lines, ": ");
		headers[count++] = (crew_header){ { *lines, (size_t)(colon - *lines) },
			crew_str(colon + 2) };
	}
	crew__wishes_read(&wishes, headers, count);
	return wishes;
}

static enum crew__condition judge_for(bool reading, const char *const *lines)
{
	struct crew__wishes wishes = wishes_of(lines);
	return crew__condition_judge(&wishes, &strong, reading, now);
}

#define HOLDS(...) assert_int_equal(judge_for(true, FIELDS(__VA_ARGS__)), CREW__CONDITION_HOLDS)
#define KNOWN(...) \
	assert_int_equal(judge_for(true, FIELDS(__VA_ARGS__)), CREW__CONDITION_NOT_MODIFIED)
#define FAILS(...) assert_int_equal(judge_for(true, FIELDS(__VA_ARGS__)), CREW__CONDITION_FAILED)

/* ---- the head ------------------------------------------------------------------------------ */

static void fields_are_found(void **state)
{
	(void)state;
	struct crew__wishes w = wishes_of(FIELDS("Host: a", "RANGE: 1", "If-Range: 2",
		"if-none-match: 3", "If-Match: 4", "If-Modified-Since: 5", "If-Unmodified-Since: 6",
		"Accept-Encoding: 7", "Rang: 8", "Ranges: 9", "If-Mutch: 10"));
	static const char *const values[CREW__WISHES] = { "4", "3", "5", "6", "2", "1", "7" };
	assert_int_equal(w.repeated, 0);
	for (unsigned i = 0; i < CREW__WISHES; i++) {
		assert_true(crew__wishes_have(&w, (enum crew__wish)i));
		assert_int_equal(w.value[i].len, 1);
		assert_memory_equal(w.value[i].data, values[i], 1);
	}
	w = wishes_of(FIELDS("Host: a", "range: 1", "Range: 2"));
	assert_int_equal(w.present, 1u << CREW__WISH_RANGE);
	assert_int_equal(w.repeated, 1u << CREW__WISH_RANGE);
	crew__wishes_read(&w, NULL, 0);
	assert_int_equal(w.present, 0);
	assert_int_equal(crew__condition_judge(&w, &strong, true, now), CREW__CONDITION_HOLDS);
	assert_true(crew__range_counts(&w, &strong, now));
}

/* ---- entity tags --------------------------------------------------------------------------- */

static bool listed(const char *list, const char *tag, bool weak)
{
	size_t len = strlen(list);
	char *copy = malloc(len ? len : 1);
	memcpy(copy, list, len);
	bool found = crew__etag_listed((crew_bytes){ copy, len }, crew_str(tag), weak);
	free(copy);
	return found;
}

/* The table of RFC 9110 section 8.8.3.2. */
static void strong_and_weak(void **state)
{
	(void)state;
	assert_false(listed("W/\"1\"", "W/\"1\"", false));
	assert_true(listed("W/\"1\"", "W/\"1\"", true));
	assert_false(listed("W/\"1\"", "W/\"2\"", true));
	assert_false(listed("W/\"1\"", "\"1\"", false));
	assert_false(listed("\"1\"", "W/\"1\"", false));
	assert_true(listed("W/\"1\"", "\"1\"", true));
	assert_true(listed("\"1\"", "W/\"1\"", true));
	assert_true(listed("\"1\"", "\"1\"", false));
	assert_true(listed("\"1\"", "\"1\"", true));
}

static void lists(void **state)
{
	(void)state;
	assert_true(listed("*", TAG, false));
	assert_true(listed("\"a\", \"abc\"", TAG, false));
	assert_true(listed("\"abc\",\"a\"", TAG, false));
	assert_true(listed("  \"a\"\t,,, \"abc\" ,", TAG, false));
	assert_true(listed("\"a,b\", \"abc\"", TAG, false));
	assert_true(listed("\"\", \"abc\"", TAG, false));
	assert_true(listed("\"\xc3\xa9!\", \"abc\"", TAG, false));
	assert_true(listed("W/\"abc\", \"abc\"", TAG, false));
	assert_false(listed("\"ab\", \"abcd\", \"ABC\"", TAG, true));
	assert_false(listed("", TAG, true));
	assert_false(listed(",", TAG, true));
	assert_true(listed("\"a\\\"", "\"a\\\"", false)); /* a backslash escapes nothing */
}

/* Half a list is none: what stands in it may have been cut. */
static void what_is_no_list(void **state)
{
	static const char *const texts[] = { "abc", "\"abc", "abc\"", "\"abc\" \"x\"", "\"abc\"x",
		"\"abc\", x", "\"abc\", \"x", "*, \"abc\"", "\"abc\", *", "**", "w/\"abc\"",
		"W\"abc\"", "W/ \"abc\"", "W/abc", "W/", "W", "\"a c\", \"abc\"",
		"\"a\x01\", \"abc\"", "\"a\x7f\", \"abc\"", "'abc'", "\"abc\";", "\"" };
	(void)state;
	for (size_t i = 0; i < crew__lengthof(texts); i++) {
		assert_false(listed(texts[i], TAG, true));
		assert_false(listed(texts[i], TAG, false));
	}
}

/* A long one costs its length, not its square: this ends. */
static void a_list_of_a_thousand(void **state)
{
	enum {
		COUNT = 50000
	};
	char *text = malloc(COUNT * 4 + 8);
	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		memcpy(text + i * 4, "\"y\",", 4);
	memcpy(text + COUNT * 4, TAG, 6);
	assert_true(listed(text, TAG, false));
	memset(text, ' ', COUNT * 4);
	assert_true(listed(text, TAG, false));
	free(text);
}

/* ---- conditions ---------------------------------------------------------------------------- */

static void none_match(void **state)
{
	(void)state;
	KNOWN("If-None-Match: " TAG);
	KNOWN("If-None-Match: W/" TAG);
	KNOWN("If-None-Match: *");
	KNOWN("If-None-Match: " OTHER ", " TAG);
	HOLDS("If-None-Match: " OTHER);
	HOLDS("If-None-Match: rubbish");
	HOLDS("If-None-Match: " OTHER, "If-None-Match: \"y\"");
	KNOWN("If-None-Match: " OTHER, "Host: a", "If-None-Match: " TAG);
	assert_int_equal(judge_for(false, FIELDS("If-None-Match: *")), CREW__CONDITION_FAILED);
	assert_int_equal(judge_for(false, FIELDS("If-None-Match: " OTHER)), CREW__CONDITION_HOLDS);
}

static void modified_since(void **state)
{
	(void)state;
	KNOWN("If-Modified-Since: " THEN);
	KNOWN("If-Modified-Since: " AFTER);
	HOLDS("If-Modified-Since: " BEFORE);
	KNOWN("If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT");
	KNOWN("If-Modified-Since: Sun Nov  6 08:49:37 1994");
	HOLDS("If-Modified-Since: tomorrow");
	HOLDS("If-Modified-Since: ");
	HOLDS("If-Modified-Since: " AFTER, "If-Modified-Since: " AFTER);
	assert_int_equal(
		judge_for(false, FIELDS("If-Modified-Since: " AFTER)), CREW__CONDITION_HOLDS);
}

static void match(void **state)
{
	(void)state;
	HOLDS("If-Match: " TAG);
	HOLDS("If-Match: *");
	HOLDS("If-Match: " OTHER ", " TAG);
	HOLDS("If-Match: " OTHER, "If-Match: " TAG);
	FAILS("If-Match: " OTHER);
	FAILS("If-Match: W/" TAG);
	FAILS("If-Match: ");
	FAILS("If-Match: abc");
}

static void unmodified_since(void **state)
{
	(void)state;
	HOLDS("If-Unmodified-Since: " THEN);
	HOLDS("If-Unmodified-Since: " AFTER);
	FAILS("If-Unmodified-Since: " BEFORE);
	HOLDS("If-Unmodified-Since: yesterday");
	HOLDS("If-Unmodified-Since: " BEFORE, "If-Unmodified-Since: " BEFORE);
}

/* RFC 9110 section 13.2.2: the tag decides, and only without it the date; what is to be refused
 * before what is known. */
static void in_their_order(void **state)
{
	(void)state;
	HOLDS("If-Match: " TAG, "If-Unmodified-Since: " BEFORE);
	FAILS("If-Match: " OTHER, "If-Unmodified-Since: " AFTER);
	HOLDS("If-None-Match: " OTHER, "If-Modified-Since: " AFTER);
	KNOWN("If-None-Match: " TAG, "If-Modified-Since: " BEFORE);
	HOLDS("If-None-Match: rubbish", "If-Modified-Since: " AFTER);
	FAILS("If-Match: " OTHER, "If-None-Match: " TAG);
	KNOWN("If-Match: " TAG, "If-None-Match: " TAG);
	FAILS("If-Unmodified-Since: " BEFORE, "If-Modified-Since: " AFTER);
	KNOWN("If-Unmodified-Since: " AFTER, "If-Modified-Since: " AFTER);
}

/* ---- If-Range ------------------------------------------------------------------------------ */

static bool counts_at(int64_t clock, const char *const *lines)
{
	struct crew__wishes wishes = wishes_of(lines);
	return crew__range_counts(&wishes, &strong, clock);
}

static void if_range(void **state)
{
	(void)state;
	assert_true(counts_at(now, FIELDS("Range: bytes=0-1")));
	assert_true(counts_at(now, FIELDS("If-Range: " TAG)));
	assert_true(counts_at(now, FIELDS("If-Range: " THEN)));
	assert_true(counts_at(now, FIELDS("If-Range: Sunday, 06-Nov-94 08:49:37 GMT")));
	static const char *const refused[] = { "If-Range: " OTHER, "If-Range: W/" TAG,
		"If-Range: ", "If-Range: abc", "If-Range: *", "If-Range: abc\"", "If-Range: W\"",
		"If-Range: \"", "If-Range: " BEFORE, "If-Range: " AFTER };
	for (size_t i = 0; i < crew__lengthof(refused); i++)
		assert_false(counts_at(now, FIELDS(refused[i])));
	assert_false(counts_at(now, FIELDS("If-Range: " TAG, "If-Range: " TAG)));
}

/* Our own tag is weak: nothing is certain. */
static void if_range_with_a_weak_tag(void **state)
{
	const struct crew__validators weak = { { "W/\"abc\"", 7 }, modified };
	(void)state;
	struct crew__wishes wishes = wishes_of(FIELDS("If-Range: W/\"abc\""));
	assert_false(crew__range_counts(&wishes, &weak, now));
	wishes = wishes_of(FIELDS("If-Range: \"abc\""));
	assert_false(crew__range_counts(&wishes, &weak, now));
}

/* In the second in which the file was written it may be written again. */
static void if_range_with_a_young_date(void **state)
{
	(void)state;
	assert_false(counts_at(modified, FIELDS("If-Range: " THEN)));
	assert_false(counts_at(modified - 5, FIELDS("If-Range: " THEN)));
	assert_true(counts_at(modified + 1, FIELDS("If-Range: " THEN)));
	assert_true(counts_at(modified, FIELDS("If-Range: " TAG)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_found),
		cmocka_unit_test(strong_and_weak),
		cmocka_unit_test(lists),
		cmocka_unit_test(what_is_no_list),
		cmocka_unit_test(a_list_of_a_thousand),
		cmocka_unit_test(none_match),
		cmocka_unit_test(modified_since),
		cmocka_unit_test(match),
		cmocka_unit_test(unmodified_since),
		cmocka_unit_test(in_their_order),
		cmocka_unit_test(if_range),
		cmocka_unit_test(if_range_with_a_weak_tag),
		cmocka_unit_test(if_range_with_a_young_date),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
