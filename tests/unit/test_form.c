/* test_form.c - queries and posted forms as the URL standard reads them; no text is an error. */
#include "web/form.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void put(char *out, size_t *at, crew_bytes text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];
		bool plain = c >= 0x20 && c < 0x7f && c != '{' && c != '}';
		*at += (size_t)sprintf(out + *at, plain ? "%c" : "{%02x}", c);
	}
}

/* "name:value|" for each pair, bytes that do not print as {hex}. */
static const char *read_from(crew_bytes text)
{
	static char out[4096];
	struct crew__arena arena = { .max = 1 << 20 };
	const crew_header *items = NULL;
	size_t count = 0, at = 0;
	assert_int_equal(crew__form_read(text, &arena, &items, &count), 0);
	assert_non_null(items);
	for (size_t i = 0; i < count; i++) {
		put(out, &at, items[i].name);
		at += (size_t)sprintf(out + at, ":");
		put(out, &at, items[i].value);
		at += (size_t)sprintf(out + at, "|");
	}
	out[at] = '\0';
	crew__arena_release(&arena);
	return out;
}

static void texts_and_their_pairs(void **state)
{
	static const struct {
		const char *text, *pairs;
	} rows[] = {
		{ "", "" }, { "a=1&b=2", "a:1|b:2|" }, { "a", "a:|" }, { "a=", "a:|" },
		{ "=1", ":1|" }, { "=", ":|" }, { "&&a=1&&&b&", "a:1|b:|" }, { "&", "" },
		{ "a=b=c", "a:b=c|" }, { "a;b=1;c=2", "a;b:1;c=2|" },
		{ "a=1&a=2&A=3", "a:1|a:2|A:3|" }, { "a+b=c+d", "a b:c d|" },
		{ "a%2bb=%2B", "a+b:+|" }, { "%61%3D=%26", "a=:&|" }, { "a=%00", "a:{00}|" },
		{ "%00=x", "{00}:x|" }, { "a=%E4%b8%AD", "a:{e4}{b8}{ad}|" },
		{ "a=%ff", "a:{ff}|" }, { "a=\xff", "a:{ff}|" },
		/* What is no escape stands for itself. */
		{ "a=%", "a:%|" }, { "a=%4", "a:%4|" }, { "a=%zz", "a:%zz|" },
		{ "a=%4z+%41", "a:%4z A|" }, { "a=%%41", "a:%A|" },
		{ "a=100%+sure", "a:100% sure|" }, { "a=%4&1=2", "a:%4|1:2|" },
		{ "a=%u4e2d", "a:%u4e2d|" }, { "a=%2541", "a:%41|" }, /* once, not twice */
	};
	(void)state;
	for (size_t i = 0; i < crew__lengthof(rows); i++)
		assert_string_equal(read_from(crew_str(rows[i].text)), rows[i].pairs);
	assert_string_equal(read_from((crew_bytes){ "a=\0b&\0", 6 }), "a:{00}b|{00}:|");
	assert_string_equal(read_from((crew_bytes){ NULL, 0 }), "");
	assert_string_equal(read_from((crew_bytes){ "%41", 2 }), "%4:|");
}

/* Nothing is read behind the end: the bytes are copied to where the sanitizers see it. */
static void an_escape_is_not_looked_for_behind_the_end(void **state)
{
	static const char text[] = "a=%41&b=%42%";
	(void)state;
	for (size_t len = 0; len < sizeof(text); len++) {
		char *copy = malloc(len ? len : 1);
		memcpy(copy, text, len);
		read_from((crew_bytes){ copy, len });
		free(copy);
	}
}

static void plain_text_is_not_copied(void **state)
{
	static const char text[] = "abc=def&g=%68";
	struct crew__arena arena = { .max = 1 << 20 };
	const crew_header *items;
	size_t count;
	(void)state;
	assert_int_equal(crew__form_read(crew_str(text), &arena, &items, &count), 0);
	assert_int_equal(count, 2);
	assert_ptr_equal(items[0].name.data, text);
	assert_ptr_equal(items[0].value.data, text + 4);
	assert_ptr_equal(items[1].name.data, text + 8);
	assert_true(items[1].value.data < text || items[1].value.data >= text + sizeof(text));
	crew__arena_release(&arena);
}

static void its_bounds_hold(void **state)
{
	enum {
		MOST = CREW__FORM_PAIRS_MOST
	};
	char *text = malloc(2 * (MOST + 1));
	struct crew__arena arena = { .max = 4 << 20 };
	const crew_header *items;
	size_t count;
	(void)state;
	for (size_t i = 0; i <= MOST; i++)
		memcpy(text + 2 * i, "a&", 2);
	assert_int_equal(
		crew__form_read((crew_bytes){ text, 2 * MOST }, &arena, &items, &count), 0);
	assert_int_equal(count, MOST);
	assert_int_equal(
		crew__form_read((crew_bytes){ text, 2 * MOST + 2 }, &arena, &items, &count),
		-E2BIG);
	crew__arena_release(&arena);

	arena.max = 64;
	assert_int_equal(
		crew__form_read(CREW_BYTES("a=1&b=2&c=3"), &arena, &items, &count), -ENOMEM);
	assert_int_equal(crew__form_read(CREW_BYTES("a=1&b=%32"), &arena, &items, &count), -ENOMEM);
	crew__arena_release(&arena);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_and_their_pairs),
		cmocka_unit_test(an_escape_is_not_looked_for_behind_the_end),
		cmocka_unit_test(plain_text_is_not_copied),
		cmocka_unit_test(its_bounds_hold),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
