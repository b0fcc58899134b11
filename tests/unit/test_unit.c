/* test_unit.c - what is known of waiting messages: found by connection and key, the newest first;
 * expiring in the order of time; keys of every length. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/unit.h"

#include <stdlib.h>
#include <string.h>

static struct crew__units units;
static const char owners[4]; /* any addresses: only compared */

static int tear_down(void **state)
{
	(void)state;
	crew__units_fini(&units);
	return 0;
}

static struct crew__unit *make(
	const void *owner, const char *key, size_t key_len, uint32_t ttl, uint32_t now)
{
	const struct crew__about about = {
		.key = { key, key_len }, .ttl = ttl, .sequence = 9, .lane = CREW__LANE_HIGH
	};
	struct crew__unit *unit = crew__unit_new(&units, owner, &about, now);
	assert_non_null(unit);
	return unit;
}

static struct crew__unit *keyed(const void *owner, const char *key)
{
	return make(owner, key, strlen(key), 0, 0);
}

static struct crew__unit *find(const void *owner, const char *key)
{
	return crew__unit_find(&units, owner, (crew_bytes){ key, strlen(key) });
}

static void a_key_is_of_one_connection(void **state)
{
	(void)state;
	struct crew__unit *a = keyed(&owners[0], "EURUSD");
	struct crew__unit *b = keyed(&owners[1], "EURUSD");
	struct crew__unit *c = keyed(&owners[0], "EURUS");
	assert_ptr_equal(find(&owners[0], "EURUSD"), a);
	assert_ptr_equal(find(&owners[1], "EURUSD"), b);
	assert_ptr_equal(find(&owners[0], "EURUS"), c);
	assert_null(find(&owners[2], "EURUSD"));
	assert_null(find(&owners[0], "EURUSDX"));
	assert_null(find(&owners[0], ""));
	crew__unit_free(&units, a);
	assert_null(find(&owners[0], "EURUSD"));
	assert_ptr_equal(find(&owners[1], "EURUSD"), b);
	crew__unit_free(&units, b);
	crew__unit_free(&units, c);
}

static void of_several_the_newest_is_found(void **state)
{
	(void)state;
	struct crew__unit *old = keyed(&owners[0], "k");
	struct crew__unit *middle = keyed(&owners[0], "k");
	struct crew__unit *last = keyed(&owners[0], "k");
	assert_ptr_equal(find(&owners[0], "k"), last);
	crew__unit_free(&units, middle);
	assert_ptr_equal(find(&owners[0], "k"), last);
	crew__unit_free(&units, last);
	assert_ptr_equal(find(&owners[0], "k"), old);
	crew__unit_free(&units, old);
}

/* The table grows many times; what was in it stays in it, the newest of a key first. */
static void the_table_grows(void **state)
{
	(void)state;
	enum {
		MANY = 3000
	};
	static struct crew__unit *all[2][MANY];
	for (int round = 0; round < 2; round++)
		for (uint32_t i = 0; i < MANY; i++)
			all[round][i] = make(&owners[i % 2], (const char *)&i, sizeof(i), 0, 0);
	for (uint32_t i = 0; i < MANY; i++) {
		const crew_bytes key = { (const char *)&i, sizeof(i) };
		assert_ptr_equal(crew__unit_find(&units, &owners[i % 2], key), all[1][i]);
		assert_null(crew__unit_find(&units, &owners[(i + 1) % 2], key));
	}
	assert_true(units.chain_count >= MANY && units.keyed == 2 * MANY);
	for (int round = 0; round < 2; round++)
		for (uint32_t i = 0; i < MANY; i++)
			crew__unit_free(&units, all[round][i]);
	assert_int_equal(units.keyed, 0);
	assert_true(units.spares <= 4096); /* a flood leaves a bounded rest */
}

static void keys_of_every_length(void **state)
{
	(void)state;
	static struct crew__unit *all[CREW_KEY_MOST + 1];
	char key[CREW_KEY_MOST];
	memset(key, 'k', sizeof(key));
	for (size_t len = 1; len <= CREW_KEY_MOST; len++)
		all[len] = make(&owners[0], key, len, 0, 0);
	for (size_t len = 1; len <= CREW_KEY_MOST; len++) {
		const crew_bytes wanted = { key, len };
		struct crew__unit *unit = crew__unit_find(&units, &owners[0], wanted);
		assert_ptr_equal(unit, all[len]);
		crew_bytes got = crew__unit_key(unit);
		assert_int_equal(got.len, len);
		assert_memory_equal(got.data, key, len);
		bool inside = got.data >= (char *)unit && got.data < (char *)(unit + 1);
		assert_int_equal(inside, len <= CREW__KEY_INLINE);
		assert_ptr_not_equal(got.data, key); /* copied */
	}
	for (size_t len = 1; len <= CREW_KEY_MOST; len++)
		crew__unit_free(&units, all[len]);
}

static void bytes_of_any_value_are_a_key(void **state)
{
	(void)state;
	struct crew__unit *a = make(&owners[0], "a\0b", 3, 0, 0);
	struct crew__unit *b = make(&owners[0], "a\0c", 3, 0, 0);
	assert_ptr_equal(crew__unit_find(&units, &owners[0], CREW_BYTES("a\0b")), a);
	assert_ptr_equal(crew__unit_find(&units, &owners[0], CREW_BYTES("a\0c")), b);
	assert_null(find(&owners[0], "a"));
	crew__unit_free(&units, a);
	crew__unit_free(&units, b);
}

static void what_is_said_is_kept(void **state)
{
	(void)state;
	struct crew__unit *unit = make(&owners[3], "key", 3, 7, 100);
	assert_int_equal(unit->sequence, 9);
	assert_int_equal(unit->lane, CREW__LANE_HIGH);
	assert_int_equal(unit->expires, 107);
	assert_ptr_equal(unit->owner, &owners[3]);
	assert_null(unit->piece);
	crew__unit_free(&units, unit);
}

/* ---- time ---------------------------------------------------------------------------------- */

static uint32_t roll(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static void nothing_is_due_before_its_time(void **state)
{
	(void)state;
	assert_null(crew__unit_due(&units, 5));
	struct crew__unit *unit = make(&owners[0], "", 0, 10, 100);
	assert_null(crew__unit_due(&units, 100));
	assert_null(crew__unit_due(&units, 109));
	assert_ptr_equal(crew__unit_due(&units, 110), unit);
	crew__unit_free(&units, unit);
	assert_null(crew__unit_due(&units, 110));
}

static void the_clock_may_come_round(void **state)
{
	(void)state;
	struct crew__unit *late = make(&owners[0], "", 0, 20, UINT32_MAX - 5);
	struct crew__unit *soon = make(&owners[0], "", 0, 3, UINT32_MAX - 5);
	assert_null(crew__unit_due(&units, UINT32_MAX - 3));
	assert_ptr_equal(crew__unit_due(&units, UINT32_MAX - 2), soon);
	crew__unit_free(&units, soon);
	assert_null(crew__unit_due(&units, 13));
	assert_ptr_equal(crew__unit_due(&units, 14), late);
	crew__unit_free(&units, late);
}

/* They come in the order of their times, whichever go before that from the middle. */
static void the_order_of_time_is_kept(void **state)
{
	(void)state;
	enum {
		MANY = 700
	};
	struct crew__unit *all[MANY];
	uint32_t seed = 11, left = MANY, last = 0;
	for (uint32_t i = 0; i < MANY; i++)
		all[i] = make(&owners[i % 4], "", 0, 1 + roll(&seed) % 300, 0);
	for (uint32_t i = 0; i < MANY; i += 3) {
		crew__unit_free(&units, all[i]);
		left--;
	}
	for (uint32_t now = 0; now <= 301; now++) {
		struct crew__unit *unit;
		while ((unit = crew__unit_due(&units, now))) {
			assert_true(unit->expires >= last && unit->expires == now);
			last = unit->expires;
			crew__unit_free(&units, unit);
			left--;
		}
		for (uint32_t i = 0; i < units.timed; i++)
			assert_int_equal(units.heap[i]->place, i + 1);
	}
	assert_int_equal(left, 0);
}

static void only_what_says_something_needs_a_unit(void **state)
{
	(void)state;
	assert_false(crew__about_needs_unit(&(struct crew__about){ .lane = CREW__LANE_HIGH }));
	assert_true(crew__about_needs_unit(&(struct crew__about){ .ttl = 1 }));
	assert_true(crew__about_needs_unit(&(struct crew__about){ .sequence = 1 }));
	assert_true(crew__about_needs_unit(&(struct crew__about){ .key = CREW_BYTES("k") }));
}

#define UNIT_TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT_TEST(a_key_is_of_one_connection),
		UNIT_TEST(of_several_the_newest_is_found),
		UNIT_TEST(the_table_grows),
		UNIT_TEST(keys_of_every_length),
		UNIT_TEST(bytes_of_any_value_are_a_key),
		UNIT_TEST(what_is_said_is_kept),
		UNIT_TEST(nothing_is_due_before_its_time),
		UNIT_TEST(the_clock_may_come_round),
		UNIT_TEST(the_order_of_time_is_kept),
		UNIT_TEST(only_what_says_something_needs_a_unit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
