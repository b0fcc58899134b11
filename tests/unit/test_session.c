/* test_session.c - a session's values: what they hold, what they refuse, their form as bytes, ids.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pieces.h"
#include "web/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct crew__values v;

static int set_up(void **state)
{
	(void)state;
	crew__values_init(&v);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	crew__values_fini(&v);
	return 0;
}

static int set(const char *key, const char *value)
{
	return crew__values_set(&v, key, crew_str(value), false);
}

static const char *get(const char *key)
{
	return crew__values_get(&v, key).data;
}

/* As another request would see them. */
static void store_and_read(const char *scope)
{
	char *data;
	size_t len;
	assert_int_equal(crew__values_encode(&v, scope, &data, &len), 0);
	crew__values_fini(&v);
	assert_int_equal(crew__values_decode(&v, scope, (crew_bytes){ data, len }), 0);
	free(data);
}

/* ---- values -------------------------------------------------------------------------------- */

static void values_are_set_and_got(void **state)
{
	(void)state;
	assert_null(get("a"));
	assert_false(v.changed);
	assert_int_equal(set("a", "1"), 0);
	assert_true(v.changed);
	assert_int_equal(set("b", ""), 0);
	assert_string_equal(get("a"), "1");
	assert_string_equal(get("b"), "");
	assert_int_equal(crew__values_get(&v, "b").len, 0);
	assert_null(get("A"));
	assert_null(get(""));
	assert_null(get(NULL));
	crew_bytes zero = { "x\0y", 3 };
	assert_int_equal(crew__values_set(&v, "zero", zero, false), 0);
	assert_int_equal(crew__values_get(&v, "zero").len, 3);
	assert_memory_equal(get("zero"), "x\0y", 4);
}

static void what_was_handed_out_stays(void **state)
{
	(void)state;
	set("a", "first");
	const char *first = get("a");
	size_t count;
	const crew_header *all = crew__values_all(&v, &count);
	assert_int_equal(count, 1);
	set("a", "second");
	assert_int_equal(crew__values_remove(&v, "a"), 0);
	for (int i = 0; i < 100; i++) {
		char key[16];
		snprintf(key, sizeof(key), "k%d", i);
		set(key, "x");
	}
	assert_string_equal(first, "first");
	assert_string_equal(all[0].value.data, "first");
}

static void removing(void **state)
{
	(void)state;
	assert_int_equal(crew__values_remove(&v, "a"), -ENOENT);
	assert_int_equal(crew__values_remove(&v, NULL), -ENOENT);
	assert_false(v.changed);
	set("a", "1");
	set("b", "2");
	set("c", "3");
	v.changed = false;
	assert_int_equal(crew__values_remove(&v, "a"), 0);
	assert_true(v.changed);
	assert_int_equal(crew__values_remove(&v, "a"), -ENOENT);
	assert_null(get("a"));
	assert_string_equal(get("b"), "2");
	assert_string_equal(get("c"), "3");
	crew__values_clear(&v);
	assert_null(get("b"));
	assert_int_equal(v.count, 0);
	assert_int_equal(v.bytes, 0);
}

static void the_same_value_is_no_change(void **state)
{
	(void)state;
	set("a", "1");
	v.changed = false;
	assert_int_equal(set("a", "1"), 0);
	assert_false(v.changed);
	assert_int_equal(crew__values_set(&v, "a", CREW_BYTES("1"), true), 0); /* a flash now */
	assert_true(v.changed);
	v.changed = false;
	assert_int_equal(set("a", "2"), 0);
	assert_true(v.changed);
}

static void all_of_them(void **state)
{
	(void)state;
	size_t count = 7;
	assert_null(crew__values_all(&v, &count));
	assert_int_equal(count, 0);
	set("a", "1");
	set("b", "2");
	const crew_header *all = crew__values_all(&v, &count);
	assert_int_equal(count, 2);
	assert_ptr_equal(all, crew__values_all(&v, &count));
	assert_string_equal(all[0].name.data, "a");
	assert_string_equal(all[1].value.data, "2");
	set("c", "3");
	all = crew__values_all(&v, &count);
	assert_int_equal(count, 3);
	assert_string_equal(all[2].name.data, "c");
}

/* ---- bounds -------------------------------------------------------------------------------- */

static void bad_arguments_are_refused(void **state)
{
	(void)state;
	assert_int_equal(set("", "1"), -EINVAL);
	assert_int_equal(set(NULL, "1"), -EINVAL);
	assert_int_equal(crew__values_set(&v, "a", (crew_bytes){ NULL, 1 }, false), -EINVAL);
	assert_int_equal(v.count, 0);
	assert_false(v.changed);
}

static void sixty_four_kib_and_no_more(void **state)
{
	(void)state;
	char *large = calloc(1, CREW__VALUES_BYTES + 1);
	crew_bytes most = { large, CREW__VALUES_BYTES - 1 };
	assert_int_equal(crew__values_set(&v, "a", most, false), 0);
	assert_int_equal(v.bytes, CREW__VALUES_BYTES);
	assert_int_equal(set("b", ""), -EMSGSIZE);
	assert_int_equal(
		crew__values_set(&v, "a", (crew_bytes){ large, most.len + 1 }, false), -EMSGSIZE);
	assert_int_equal(crew__values_get(&v, "a").len, most.len);
	store_and_read("s");
	assert_int_equal(crew__values_get(&v, "a").len, most.len);
	/* Replaced by a shorter one, there is room for another. */
	assert_int_equal(set("a", "1"), 0);
	assert_int_equal(set("b", "1"), 0);
	/* A name may be all there is. */
	crew__values_clear(&v);
	memset(large, 'n', CREW__VALUES_BYTES);
	assert_int_equal(set(large, ""), 0);
	store_and_read("s");
	assert_non_null(get(large));
	free(large);
}

static void a_thousand_values_and_no_more(void **state)
{
	(void)state;
	char key[16];
	for (int i = 0; i < CREW__VALUES_MOST; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		assert_int_equal(set(key, "x"), 0);
	}
	assert_int_equal(set("more", ""), -EMSGSIZE);
	assert_int_equal(set("k0", "other"), 0);
	store_and_read("s");
	assert_int_equal(v.count, CREW__VALUES_MOST);
	assert_string_equal(get("k999"), "x");
}

static void setting_again_and_again_costs_a_bounded_memory(void **state)
{
	(void)state;
	char *large = calloc(1, 60000);
	int error = 0, times = 0;
	for (; !error && times < 1000; times++) {
		large[0] = (char)times;
		error = crew__values_set(&v, "a", (crew_bytes){ large, 60000 }, false);
	}
	assert_int_equal(error, -ENOMEM);
	assert_true(times > 10);
	assert_true(v.arena.taken <= CREW__VALUES_MEMORY);
	assert_int_equal(crew__values_get(&v, "a").len, 60000);
	free(large);
}

/* ---- flashes ------------------------------------------------------------------------------- */

static void a_flash_is_seen_once(void **state)
{
	(void)state;
	set("stays", "1");
	assert_int_equal(crew__values_set(&v, "f", CREW_BYTES("note"), true), 0);
	crew__values_age(&v);
	assert_string_equal(get("f"), "note"); /* it is new: the next one is to see it */
	store_and_read("s");
	assert_false(v.changed);
	assert_string_equal(get("f"), "note");
	crew__values_age(&v);
	assert_true(v.changed);
	assert_null(get("f"));
	assert_string_equal(get("stays"), "1");
	store_and_read("s");
	assert_null(get("f"));
}

static void a_flash_that_is_set_again_lives_again(void **state)
{
	(void)state;
	crew__values_set(&v, "f", CREW_BYTES("1"), true);
	crew__values_set(&v, "kept", CREW_BYTES("1"), true);
	store_and_read("s");
	crew__values_set(&v, "f", CREW_BYTES("1"), true);
	set("kept", "1"); /* a lasting one from now on */
	assert_true(v.changed);
	crew__values_age(&v);
	store_and_read("s");
	assert_string_equal(get("f"), "1");
	crew__values_age(&v);
	store_and_read("s");
	assert_null(get("f"));
	assert_string_equal(get("kept"), "1");
}

/* ---- as bytes ------------------------------------------------------------------------------ */

static void what_was_stored_is_read(void **state)
{
	(void)state;
	store_and_read("empty");
	assert_int_equal(v.count, 0);
	set("a", "1");
	set("empty", "");
	set("umlaut", "\xc3\xa4\x00\xff");
	store_and_read("sid /");
	assert_int_equal(v.count, 3);
	assert_string_equal(get("a"), "1");
	assert_string_equal(get("empty"), "");
	assert_int_equal(v.bytes, 1 + 1 + 5 + 6 + 2);
	assert_false(v.changed);
}

static void another_scope_reads_nothing(void **state)
{
	(void)state;
	char *data;
	size_t len;
	set("admin", "1");
	assert_int_equal(crew__values_encode(&v, "asid /admin", &data, &len), 0);
	static const char *const others[] = { "sid /", "asid /admi", "asid /admin2", "" };
	for (size_t i = 0; i < crew__lengthof(others); i++) {
		crew__values_fini(&v);
		crew_bytes bytes = { data, len };
		assert_int_equal(crew__values_decode(&v, others[i], bytes), -EPERM);
		assert_int_equal(v.count, 0);
	}
	free(data);
}

static int decode(const char *bytes, size_t len)
{
	/* In memory of exactly that length, so that a sanitizer sees a byte too far. */
	char *copy = malloc(len ? len : 1);
	memcpy(copy, bytes, len);
	crew__values_fini(&v);
	int error = crew__values_decode(&v, "s", (crew_bytes){ copy, len });
	free(copy);
	return error;
}

#define DECODE(text) decode(text, sizeof(text) - 1)
#define HEAD         "crewS\1\0\1s"

static void bad_bytes_are_refused(void **state)
{
	(void)state;
	assert_int_equal(DECODE(HEAD "\0\0"), 0);
	assert_int_equal(DECODE(HEAD "\0\1\0\0\0\0\0\0\1av"), 0);
	assert_string_equal(get("a"), "v");
	assert_int_equal(DECODE(""), -EPROTO);
	assert_int_equal(DECODE("crewS\2\0\1s\0\0"), -EPROTO); /* a newer version */
	assert_int_equal(DECODE("CrewS\1\0\1s\0\0"), -EPROTO);
	assert_int_equal(DECODE(HEAD "\0\0x"), -EPROTO);                /* more than it says */
	assert_int_equal(DECODE(HEAD "\0\2\0\0\0\0\0\0\1av"), -EPROTO); /* less */
	assert_int_equal(DECODE(HEAD "\0\1\2\0\0\0\0\0\1av"), -EPROTO); /* an unknown flag */
	assert_int_equal(DECODE(HEAD "\0\1\0\0\0\xff\xff\xff\xff\x61v"), -EPROTO);
	assert_int_equal(DECODE(HEAD "\0\1\0\xff\xff\0\0\0\1av"), -EPROTO);
	assert_int_equal(DECODE(HEAD "\0\1\0\0\1\0\0\0\1a\0v"), -EPROTO); /* NUL in a name */
	assert_int_equal(DECODE(HEAD "\0\2\0\0\0\0\0\0\1av\0\0\0\0\0\0\1aw"), -EPROTO); /* twice */
	assert_int_equal(v.count, 0);
	assert_int_equal(v.bytes, 0);
	assert_int_equal(DECODE("crewS\1\xff\xffs\0\0"), -EPROTO);
}

static void any_cut_and_any_changed_byte_is_survived(void **state)
{
	(void)state;
	char *data;
	size_t len;
	set("name", "value");
	set("other", "");
	crew__values_set(&v, "f", CREW_BYTES("flash"), true);
	assert_int_equal(crew__values_encode(&v, "s", &data, &len), 0);
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(decode(data, cut), -EPROTO);
	struct pieces random = pieces_of(3);
	for (int i = 0; i < 20000; i++) {
		size_t at = pieces_random(&random) % len;
		char was = data[at];
		data[at] = (char)pieces_random(&random);
		int error = decode(data, len);
		assert_true(error == 0 || error == -EPROTO || error == -EPERM);
		assert_true(error == 0 || v.count == 0);
		data[at] = was;
	}
	assert_int_equal(decode(data, len), 0);
	free(data);
}

/* ---- ids ----------------------------------------------------------------------------------- */

static void ids_are_good_and_never_the_same(void **state)
{
	(void)state;
	static char ids[256][CREW__SESSION_ID + 1];
	for (int i = 0; i < 256; i++) {
		assert_int_equal(crew__session_id_make(ids[i]), 0);
		assert_int_equal(strlen(ids[i]), CREW__SESSION_ID);
		assert_true(crew__session_id_valid(crew_str(ids[i])));
		for (int k = 0; k < i; k++)
			assert_string_not_equal(ids[i], ids[k]);
	}
	/* Every place but the last has all sorts of characters. */
	for (int at = 0; at < CREW__SESSION_ID; at++) {
		int different = 0;
		for (int i = 1; i < 256; i++)
			different += ids[i][at] != ids[0][at];
		assert_true(different > (at == CREW__SESSION_ID - 1 ? 150 : 230));
	}
}

static void foreign_ids_are_none(void **state)
{
	(void)state;
	char id[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghij0123-_x";
	assert_true(crew__session_id_valid(crew_str(id)));
	assert_false(crew__session_id_valid((crew_bytes){ NULL, 0 }));
	assert_false(crew__session_id_valid((crew_bytes){ id, CREW__SESSION_ID - 1 }));
	assert_false(crew__session_id_valid((crew_bytes){ id, CREW__SESSION_ID + 1 }));
	static const char bad[] = { ' ', '/', '+', '=', '\0', '\n', '.', '%', '\x80', '*' };
	for (size_t i = 0; i < sizeof(bad); i++) {
		id[i * 4] = bad[i];
		assert_false(crew__session_id_valid((crew_bytes){ id, CREW__SESSION_ID }));
		id[i * 4] = 'A';
	}
	assert_true(crew__session_id_valid(crew_str(id)));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(values_are_set_and_got),
		TEST(what_was_handed_out_stays),
		TEST(removing),
		TEST(the_same_value_is_no_change),
		TEST(all_of_them),
		TEST(bad_arguments_are_refused),
		TEST(sixty_four_kib_and_no_more),
		TEST(a_thousand_values_and_no_more),
		TEST(setting_again_and_again_costs_a_bounded_memory),
		TEST(a_flash_is_seen_once),
		TEST(a_flash_that_is_set_again_lives_again),
		TEST(what_was_stored_is_read),
		TEST(another_scope_reads_nothing),
		TEST(bad_bytes_are_refused),
		TEST(any_cut_and_any_changed_byte_is_survived),
		TEST(ids_are_good_and_never_the_same),
		TEST(foreign_ids_are_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
