/* The arena: pieces stay where they are, the bound holds, a reset keeps what is worth keeping. */
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void pieces_are_aligned_and_apart(void **state)
{
	(void)state;
	struct crew__arena a = { .max = 1 << 20 };
	char *pieces[200];
	for (size_t i = 0; i < crew__lengthof(pieces); i++) {
		pieces[i] = crew__arena_take(&a, i);
		assert_non_null(pieces[i]);
		assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
		memset(pieces[i], (int)i, i);
	}
	for (size_t i = 0; i < crew__lengthof(pieces); i++)
		for (size_t k = 0; k < i; k++)
			assert_int_equal((unsigned char)pieces[i][k], i);
	crew__arena_release(&a);
	assert_int_equal(a.taken, 0);
}

static void its_bound_holds(void **state)
{
	(void)state;
	struct crew__arena a = { .max = 10000 };
	assert_null(crew__arena_take(&a, 10001));
	assert_null(crew__arena_take(&a, SIZE_MAX));
	assert_non_null(crew__arena_take(&a, 4000));
	assert_non_null(crew__arena_take(&a, 5900));
	assert_null(crew__arena_take(&a, 200));
	assert_true(a.taken <= 10000);
	crew__arena_release(&a);
	struct crew__arena none = { .max = 0 };
	assert_null(crew__arena_take(&none, 1));
	crew__arena_release(&none);
}

static void a_copy_ends_with_nul(void **state)
{
	(void)state;
	struct crew__arena a = { .max = 1000 };
	crew_bytes copy = crew__arena_copy(&a, CREW_BYTES("some"));
	assert_int_equal(copy.len, 4);
	assert_string_equal(copy.data, "some");
	crew_bytes empty = crew__arena_copy(&a, (crew_bytes){ NULL, 0 });
	assert_non_null(empty.data);
	assert_int_equal(empty.len, 0);
	crew__arena_release(&a);
}

static void an_array_grows(void **state)
{
	(void)state;
	struct crew__arena a = { .max = 1 << 20 };
	size_t capacity = 0;
	uint32_t *array = NULL;
	for (uint32_t i = 0; i < 1000; i++) {
		array = crew__arena_grow(&a, array, &capacity, i + 1, sizeof(*array));
		assert_non_null(array);
		array[i] = i;
	}
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(array[i], i);
	assert_null(crew__arena_grow(&a, array, &capacity, SIZE_MAX / 2, sizeof(*array)));
	crew__arena_release(&a);
}

static void a_reset_keeps_one_block(void **state)
{
	(void)state;
	struct crew__arena a = { .max = 1 << 20 };
	void *first = crew__arena_take(&a, 100);
	crew__arena_reset(&a);
	assert_ptr_equal(crew__arena_take(&a, 100), first);
	for (int i = 0; i < 100; i++)
		assert_non_null(crew__arena_take(&a, 1000));
	crew__arena_reset(&a);
	assert_true(a.taken > 0 && a.taken <= 64 * 1024);
	assert_non_null(crew__arena_take(&a, 200 * 1000));
	crew__arena_reset(&a);
	assert_int_equal(a.taken, 0);
	crew__arena_reset(&a);
	crew__arena_release(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_are_aligned_and_apart),
		cmocka_unit_test(its_bound_holds),
		cmocka_unit_test(a_copy_ends_with_nul),
		cmocka_unit_test(an_array_grows),
		cmocka_unit_test(a_reset_keeps_one_block),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
