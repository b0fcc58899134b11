/* test_cookie.c - Cookie as browsers and others send it, Set-Cookie as a browser will take it. */
#include "web/cookie.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* "name:value|" for each. */
static const char *read_from(const char *field)
{
	static char out[4096];
	struct crew__arena arena = { .max = 1 << 20 };
	crew_header *items = NULL;
	size_t count = 0, capacity = 0, at = 0;
	size_t len = strlen(field);
	char *exact = malloc(len ? len : 1); /* without the NUL, for the sanitizers */
	memcpy(exact, field, len);
	assert_int_equal(
		crew__cookie_read((crew_bytes){ exact, len }, &arena, &items, &count, &capacity),
		0);
	for (size_t k = 0; k < count; k++)
		at += (size_t)sprintf(out + at, "%.*s:%.*s|", (int)items[k].name.len,
			items[k].name.data, (int)items[k].value.len, items[k].value.data);
	out[at] = '\0';
	free(exact);
	crew__arena_release(&arena);
	return out;
}

static void fields_and_their_pairs(void **state)
{
	static const struct {
		const char *field, *pairs;
	} rows[] = {
		{ "", "" },
		{ "a=1", "a:1|" },
		{ "a=1; b=2", "a:1|b:2|" },
		{ "a=1;b=2;", "a:1|b:2|" },
		{ ";; ; a=1 ;\tb\t=\t2 ; ", "a:1|b:2|" },
		{ "a=1; a=2", "a:1|a:2|" },
		{ "A=1; a=2", "A:1|a:2|" },
		{ "a=", "a:|" },
		{ "a=b=c==", "a:b=c==|" },
		{ "a=x y", "a:x y|" },
		{ "a={\"k\":[1,2]}", "a:{\"k\":[1,2]}|" },
		/* Without a name, or without `=`: nobody's. */
		{ "alone; =value; =; a=1", "a:1|" },
		{ "=__Host-a=1; a=1", "a:1|" },
		/* One pair of quotes, if there are two. */
		{ "a=\"x y\"; b=\"; c=\"\"; d=\"x", "a:x y|b:\"|c:|d:\"x|" },
		/* Values that we write come back; what others wrote stays. */
		{ "a=%41%3b%20%22", "a:A; \"|" },
		{ "a=100%; b=%zz%41; c=%4", "a:100%|b:%zz%41|c:%4|" },
		{ "a=x+y", "a:x+y|" },
		/* A name is what it is: nothing passes for `__Host-a`. */
		{ "__Host%2Da=1; \xc2\xa0__Host-a=2; _\x01_Host-a=3",
			"__Host%2Da:1|\xc2\xa0__Host-a:2|_\x01_Host-a:3|" },
		{ "$Version=1; a=1; $Path=/", "$Version:1|a:1|$Path:/|" },
		{ "a=1, b=2", "a:1, b=2|" },
	};
	(void)state;
	for (size_t i = 0; i < crew__lengthof(rows); i++)
		assert_string_equal(read_from(rows[i].field), rows[i].pairs);
}

static void several_fields_are_one_list(void **state)
{
	struct crew__arena arena = { .max = 1 << 20 };
	crew_header *items = NULL;
	size_t count = 0, capacity = 0;
	(void)state;
	for (size_t i = 0; i < 50; i++)
		assert_int_equal(crew__cookie_read(CREW_BYTES("a=1; b=%32"), &arena, &items, &count,
					 &capacity),
			0);
	assert_int_equal(count, 100);
	for (size_t i = 0; i < count; i++) {
		assert_memory_equal(items[i].name.data, i % 2 ? "b" : "a", 1);
		assert_memory_equal(items[i].value.data, i % 2 ? "2" : "1", 1);
		assert_int_equal(items[i].value.len, 1);
	}
	crew__arena_release(&arena);
}

static void without_memory_it_says_so(void **state)
{
	struct crew__arena arena = { .max = 512 };
	crew_header *items = NULL;
	size_t count = 0, capacity = 0;
	int error = 0;
	(void)state;
	for (size_t i = 0; i < 20 && !error; i++)
		error = crew__cookie_read(CREW_BYTES("a=1"), &arena, &items, &count, &capacity);
	assert_int_equal(error, -ENOMEM);
	assert_int_equal(count, 8);
	crew__arena_release(&arena);

	static const char coded[] = "a=%41%41%41%41%41%41%41%41%41%41%41%41%41%41%41%41%41%41";
	arena.max = sizeof(crew_header) * 8 + 16;
	items = NULL;
	count = capacity = 0;
	assert_int_equal(
		crew__cookie_read(crew_str(coded), &arena, &items, &count, &capacity), -ENOMEM);
	assert_int_equal(count, 0);
	crew__arena_release(&arena);
}

/* ---- writing ------------------------------------------------------------------------------- */

static const char *written(const crew_cookie *cookie)
{
	static char room[CREW__COOKIE_TEXT_MOST];
	int len = crew__cookie_write(cookie, room, sizeof(room) - 1);
	assert_true(len > 0);
	room[len] = '\0';
	return room;
}

static void cookies_and_their_fields(void **state)
{
	const crew_bytes one = CREW_BYTES("1");
	const struct {
		crew_cookie cookie;
		const char *field;
	} rows[] = {
		{ { .name = "a", .value = one }, "a=1; Path=/; HttpOnly; SameSite=Lax" },
		{ { .name = "a" }, "a=; Path=/; HttpOnly; SameSite=Lax" },
		{ { .name = "a", .value = one, .path = "/x y", .script = true },
			"a=1; Path=/x y; SameSite=Lax" },
		{ { .name = "a", .value = one, .max_age_s = 60 },
			"a=1; Path=/; Max-Age=60; HttpOnly; SameSite=Lax" },
		{ { .name = "a", .value = one, .max_age_s = INT64_MAX },
			"a=1; Path=/; Max-Age=9223372036854775807; HttpOnly; SameSite=Lax" },
		{ { .name = "a", .value = one, .max_age_s = -1 },
			"a=1; Path=/; Max-Age=0; HttpOnly; SameSite=Lax" },
		{ { .name = "a",
			  .value = one,
			  .domain = "a.example",
			  .secure = true,
			  .same_site = CREW_SAME_SITE_NONE },
			"a=1; Path=/; Domain=a.example; Secure; HttpOnly; SameSite=None" },
		{ { .name = "a",
			  .value = one,
			  .domain = ".a_b.example",
			  .same_site = CREW_SAME_SITE_STRICT },
			"a=1; Path=/; Domain=.a_b.example; HttpOnly; SameSite=Strict" },
		{ { .name = "a", .value = one, .same_site = CREW_SAME_SITE_UNSET, .script = true },
			"a=1; Path=/" },
		{ { .name = "__Host-a", .value = one, .secure = true, .path = "/" },
			"__Host-a=1; Path=/; Secure; HttpOnly; SameSite=Lax" },
		{ { .name = "__Secure-a",
			  .value = one,
			  .secure = true,
			  .path = "/p",
			  .domain = "b" },
			"__Secure-a=1; Path=/p; Domain=b; Secure; HttpOnly; SameSite=Lax" },
		{ { .name = "__Hos", .value = one }, "__Hos=1; Path=/; HttpOnly; SameSite=Lax" },
		{ { .name = "a", .value = CREW_BYTES("\r\nSet-Cookie: b=2; \"\\,%\0\x7f\xc3") },
			"a=%0D%0ASet-Cookie:%20b=2%3B%20%22%5C%2C%25%00%7F%C3; Path=/; HttpOnly; "
			"SameSite=Lax" },
	};
	(void)state;
	for (size_t i = 0; i < crew__lengthof(rows); i++)
		assert_string_equal(written(&rows[i].cookie), rows[i].field);
}

static void what_is_written_is_read_again(void **state)
{
	char all[256], expected[256];
	(void)state;
	for (size_t i = 0; i < sizeof(all); i++)
		expected[i] = all[i] = (char)i;
	const char *text = written(&(crew_cookie){ .name = "a", .value = { all, sizeof(all) } });
	struct crew__arena arena = { .max = 1 << 20 };
	crew_header *items = NULL;
	size_t count = 0, capacity = 0;
	crew_bytes pair = { text, strcspn(text, ";") };
	assert_int_equal(crew__cookie_read(pair, &arena, &items, &count, &capacity), 0);
	assert_int_equal(count, 1);
	assert_int_equal(items[0].value.len, sizeof(all));
	assert_memory_equal(items[0].value.data, expected, sizeof(all));
	crew__arena_release(&arena);
}

static void what_no_browser_would_take_is_refused(void **state)
{
	const crew_cookie rows[] = {
		{ .name = NULL },
		{ .name = "" },
		{ .name = "a b" },
		{ .name = "a=b" },
		{ .name = "a;b" },
		{ .name = "a\r\nb" },
		{ .name = "\xc3\xa4" },
		{ .name = "a", .value = { NULL, 1 } },
		{ .name = "a", .path = "" },
		{ .name = "a", .path = "x" },
		{ .name = "a", .path = "/;HttpOnly" },
		{ .name = "a", .path = "/\r\n" },
		{ .name = "a", .path = "/\xc3\xa4" },
		{ .name = "a", .path = "/\x7f" },
		{ .name = "a", .domain = "" },
		{ .name = "a", .domain = "." },
		{ .name = "a", .domain = "a..b" },
		{ .name = "a", .domain = "..a" },
		{ .name = "a", .domain = "a." },
		{ .name = "a", .domain = "a b" },
		{ .name = "a", .domain = "a;b" },
		{ .name = "a", .domain = "a:80" },
		{ .name = "a", .domain = "a\r\n" },
		{ .name = "a",
			.domain =
				"0123456789012345678901234567890123456789012345678901234567890123" },
		{ .name = "a", .same_site = CREW_SAME_SITE_NONE },
		{ .name = "a", .same_site = (crew_same_site)(CREW_SAME_SITE_UNSET + 1) },
		{ .name = "__Secure-a" },
		{ .name = "__secure-a" },
		{ .name = "__Host-a" },
		{ .name = "__HOST-a", .secure = true, .path = "/p" },
		{ .name = "__Host-a", .secure = true, .domain = "a.example" },
	};
	char room[CREW__COOKIE_TEXT_MOST];
	(void)state;
	for (size_t i = 0; i < crew__lengthof(rows); i++)
		assert_int_equal(crew__cookie_write(&rows[i], room, sizeof(room)), -EINVAL);
}

static void too_long_is_refused(void **state)
{
	static char value[CREW__COOKIE_MOST], room[CREW__COOKIE_TEXT_MOST];
	crew_cookie cookie = { .name = "ab", .value = { value, CREW__COOKIE_MOST - 2 } };
	(void)state;
	memset(value, 'x', sizeof(value));
	assert_true(crew__cookie_write(&cookie, room, sizeof(room)) > 0);
	cookie.value.len++;
	assert_int_equal(crew__cookie_write(&cookie, room, sizeof(room)), -EMSGSIZE);
	memset(value, ';', sizeof(value));
	cookie.value.len = CREW__COOKIE_MOST / 3;
	assert_int_equal(crew__cookie_write(&cookie, room, sizeof(room)), -EMSGSIZE);
	cookie.value.len--;
	assert_true(crew__cookie_write(&cookie, room, sizeof(room)) > 0);

	static char path[CREW__COOKIE_ATTRIBUTE_MOST + 2];
	memset(path, '/', sizeof(path) - 1);
	cookie.path = path;
	assert_int_equal(crew__cookie_write(&cookie, room, sizeof(room)), -EMSGSIZE);
	cookie.path = path + 1;
	assert_true(crew__cookie_write(&cookie, room, sizeof(room)) > 0);

	static char domain[256];
	for (size_t i = 0; i < sizeof(domain) - 1; i++)
		domain[i] = i % 2 ? '.' : 'a';
	cookie = (crew_cookie){ .name = "a", .domain = domain };
	assert_int_equal(crew__cookie_write(&cookie, room, sizeof(room)), -EINVAL);
	domain[1] = 'a';
	cookie.domain = domain + 1;
	assert_int_equal(crew__cookie_write(&cookie, room, sizeof(room)), -EINVAL);
	cookie.domain = domain + 2;
	assert_true(crew__cookie_write(&cookie, room, sizeof(room)) > 0);
}

/* Whatever room there is: all of it, or -EMSGSIZE and not a byte too many. */
static void no_room_is_overrun(void **state)
{
	const crew_cookie cookie = { .name = "a",
		.value = CREW_BYTES("x;y"),
		.domain = "d",
		.max_age_s = 1,
		.secure = true };
	size_t whole = strlen(written(&cookie));
	(void)state;
	for (size_t size = 0; size <= whole; size++) {
		char *room = malloc(size ? size : 1);
		assert_int_equal(crew__cookie_write(&cookie, room, size),
			size < whole ? -EMSGSIZE : (int)whole);
		free(room);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_and_their_pairs),
		cmocka_unit_test(several_fields_are_one_list),
		cmocka_unit_test(without_memory_it_says_so),
		cmocka_unit_test(cookies_and_their_fields),
		cmocka_unit_test(what_is_written_is_read_again),
		cmocka_unit_test(what_no_browser_would_take_is_refused),
		cmocka_unit_test(too_long_is_refused),
		cmocka_unit_test(no_room_is_overrun),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
