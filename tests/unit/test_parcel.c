/* test_parcel.c - values with tags and lengths: there and back, cut off anywhere, and at the limit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/parcel.h"

#include <string.h>

static void there_and_back(void **state)
{
	(void)state;
	struct crew__parcel parcel;
	struct crew__parcel_item item;
	uint64_t number = 0;
	crew__parcel_init(&parcel, 1000);
	crew__parcel_number(&parcel, 7, UINT64_MAX);
	crew__parcel_put(&parcel, 65535, CREW_BYTES("some bytes"));
	crew__parcel_put(&parcel, 0, (crew_bytes){ NULL, 0 });
	assert_int_equal(parcel.error, 0);
	crew_bytes left = { parcel.bytes.data, parcel.bytes.len };
	assert_int_equal(crew__parcel_next(&left, &item), 1);
	assert_int_equal(item.tag, 7);
	assert_false(crew__parcel_is_number(&item, UINT64_MAX - 1, &number));
	assert_int_equal(number, 0);
	assert_true(crew__parcel_is_number(&item, UINT64_MAX, &number));
	assert_true(number == UINT64_MAX);
	assert_int_equal(crew__parcel_next(&left, &item), 1);
	assert_int_equal(item.tag, 65535);
	assert_int_equal(item.value.len, 10);
	assert_memory_equal(item.value.data, "some bytes", 10);
	assert_false(crew__parcel_is_number(&item, UINT64_MAX, &number));
	assert_int_equal(crew__parcel_next(&left, &item), 1);
	assert_int_equal(item.value.len, 0);
	assert_int_equal(crew__parcel_next(&left, &item), 0);
	crew__parcel_fini(&parcel);
}

/* Whatever is cut off, the items before are whole and the rest is none. */
static void cut_off(void **state)
{
	(void)state;
	struct crew__parcel parcel;
	crew__parcel_init(&parcel, 1000);
	crew__parcel_number(&parcel, 1, 5);
	size_t first = parcel.bytes.len;
	crew__parcel_put(&parcel, 2, CREW_BYTES("tail"));
	for (size_t len = 0; len < parcel.bytes.len; len++) {
		struct crew__parcel_item item;
		crew_bytes left = { parcel.bytes.data, len };
		int expected = len >= first ? 1 : len == 0 ? 0 : -EPROTO;
		assert_int_equal(crew__parcel_next(&left, &item), expected);
		if (expected == 1)
			assert_int_equal(
				crew__parcel_next(&left, &item), len == first ? 0 : -EPROTO);
	}
	crew__parcel_fini(&parcel);
}

/* What does not fit is remembered, and nothing is put behind it. */
static void beyond_the_limit(void **state)
{
	(void)state;
	struct crew__parcel parcel;
	crew__parcel_init(&parcel, 40);
	crew__parcel_number(&parcel, 1, 5);
	size_t len = parcel.bytes.len;
	crew__parcel_put(&parcel, 2, CREW_BYTES("much longer than what is left of forty"));
	assert_int_equal(parcel.error, -ENOBUFS);
	crew__parcel_number(&parcel, 3, 5);
	assert_int_equal(parcel.bytes.len, len);
	assert_int_equal(parcel.error, -ENOBUFS);
	crew__parcel_fini(&parcel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(cut_off),
		cmocka_unit_test(beyond_the_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
