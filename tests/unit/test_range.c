/* test_range.c - the Range field (RFC 9110 section 14): what is valid, what is satisfiable, what is
 * bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "web/range.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	TEXT_MOST = 1024
};

/* "ignored", "nowhere", or the ranges as "0-4 7-9". */
static const char *read_bytes(crew_bytes value, uint64_t size)
{
	static char text[TEXT_MOST];
	struct crew__ranges ranges;
	enum crew__range_result result = crew__range_read(value, size, &ranges);
	if (result == CREW__RANGE_IGNORED)
		return "ignored";
	if (result == CREW__RANGE_NOWHERE)
		return "nowhere";
	assert_in_range(ranges.count, 1, CREW__RANGES_MOST);
	size_t at = 0;
	for (uint32_t i = 0; i < ranges.count; i++)
		at += (size_t)snprintf(text + at, TEXT_MOST - at, "%s%llu-%llu", i ? " " : "",
			(unsigned long long)ranges.items[i].first,
			(unsigned long long)ranges.items[i].last);
	return text;
}

/* In memory that ends with the field, so that looking beyond it is seen. */
static const char *read_range(const char *value, uint64_t size)
{
	size_t len = strlen(value);
	char *copy = malloc(len ? len : 1);
	memcpy(copy, value, len);
	const char *text = read_bytes((crew_bytes){ copy, len }, size);
	free(copy);
	return text;
}

static void one_range(void **state)
{
	(void)state;
	assert_string_equal(read_range("bytes=0-0", 10), "0-0");
	assert_string_equal(read_range("bytes=0-499", 10000), "0-499");
	assert_string_equal(read_range("bytes=9-9", 10), "9-9");
	assert_string_equal(read_range("bytes=3-", 10), "3-9");
	assert_string_equal(read_range("bytes=0-", 10), "0-9");
	assert_string_equal(read_range("bytes=-3", 10), "7-9");
	assert_string_equal(read_range("bytes=-10", 10), "0-9");
	assert_string_equal(read_range("bytes=-11", 10), "0-9");
	assert_string_equal(read_range("bytes=5-100", 10), "5-9");
	assert_string_equal(read_range("bytes=0007-0008", 10), "7-8");
	assert_string_equal(read_range("BYTES=1-2", 10), "1-2");
	assert_string_equal(read_range("bytes= 1-2\t", 10), "1-2");
}

static void what_is_not_valid_is_ignored(void **state)
{
	static const char *const values[] = { "", "bytes", "bytes=", "bytes=,", "bytes= , ,",
		"byte=0-1", "bytess=0-1", "bytes 0-1", "bytes =0-1", "=0-1", "0-1", "items=0-1",
		"bytes=-", "bytes=a-b", "bytes=1", "bytes=1-b", "bytes=1-2-3", "bytes=2-1",
		"bytes=--1", "bytes=-1-", "bytes=+1-2", "bytes=1 -2", "bytes=1- 2", "bytes=0-1;2-3",
		"bytes=0-1 2-3", "bytes=0-1,x", "bytes=x,0-1", "bytes=0x1-2", "bytes=0-1,5-4",
		"bytes=1-2,bytes=3-4", "bytes=0.5-1", "bytes=1-2\n" };
	(void)state;
	for (size_t i = 0; i < crew__lengthof(values); i++)
		assert_string_equal(read_range(values[i], 10), "ignored");
	assert_string_equal(read_bytes((crew_bytes){ "bytes=1-2\0", 10 }, 10), "ignored");
	assert_string_equal(read_bytes((crew_bytes){ NULL, 0 }, 10), "ignored");
}

static void what_lies_beyond_the_end(void **state)
{
	(void)state;
	assert_string_equal(read_range("bytes=10-", 10), "nowhere");
	assert_string_equal(read_range("bytes=10-20", 10), "nowhere");
	assert_string_equal(read_range("bytes=-0", 10), "nowhere");
	assert_string_equal(read_range("bytes=10-,-0", 10), "nowhere");
	assert_string_equal(read_range("bytes=10-,1-2,99-", 10), "1-2");
	assert_string_equal(read_range("bytes=0-", 0), "nowhere");
	assert_string_equal(read_range("bytes=-0", 0), "nowhere");
	/* Satisfiable by section 14.1.2, and yet no byte can be named. */
	assert_string_equal(read_range("bytes=-5", 0), "ignored");
}

static void numbers_without_end(void **state)
{
	char many[600];
	(void)state;
	assert_string_equal(read_range("bytes=18446744073709551615-", 10), "nowhere");
	assert_string_equal(read_range("bytes=18446744073709551616-", 10), "nowhere");
	assert_string_equal(read_range("bytes=1-18446744073709551616", 10), "1-9");
	assert_string_equal(read_range("bytes=1-99999999999999999999999999999999", 10), "1-9");
	assert_string_equal(read_range("bytes=-18446744073709551617", 10), "0-9");
	assert_string_equal(
		read_range("bytes=0-18446744073709551615", UINT64_MAX), "0-18446744073709551614");
	assert_string_equal(
		read_range("bytes=-1", UINT64_MAX), "18446744073709551614-18446744073709551614");
	snprintf(many, sizeof(many), "bytes=%0500d-%0*d", 1, 60, 3);
	assert_string_equal(read_range(many, 10), "1-3");
	/* Overflow that would wrap around to a small number. */
	assert_string_equal(read_range("bytes=184467440737095516160-", 10), "nowhere");
	assert_string_equal(read_range("bytes=1844674407370955161700000-", 10), "nowhere");
}

static void several_keep_their_order(void **state)
{
	(void)state;
	assert_string_equal(read_range("bytes=0-1,4-5,8-", 10), "0-1 4-5 8-9");
	assert_string_equal(read_range("bytes=8-9 , 0-1\t,4-5", 10), "8-9 0-1 4-5");
	assert_string_equal(read_range("bytes=,,0-1,,, 4-5,", 10), "0-1 4-5");
	assert_string_equal(read_range("bytes=-1,0-0", 10), "9-9 0-0");
}

static void those_that_meet_become_one(void **state)
{
	(void)state;
	assert_string_equal(read_range("bytes=0-3,2-5", 10), "0-5");
	assert_string_equal(read_range("bytes=2-5,0-3", 10), "0-5");
	assert_string_equal(read_range("bytes=0-1,2-3", 10), "0-3");
	assert_string_equal(read_range("bytes=2-3,0-1", 10), "0-3");
	assert_string_equal(read_range("bytes=0-1,3-4", 10), "0-1 3-4");
	assert_string_equal(read_range("bytes=0-9,3-4", 10), "0-9");
	assert_string_equal(read_range("bytes=3-4,0-9", 10), "0-9");
	assert_string_equal(read_range("bytes=0-,0-,0-,0-", 10), "0-9");
	/* One closes the gap between two others, which makes it meet a third. */
	assert_string_equal(read_range("bytes=0-1,8-9,4-5,2-7", 10), "0-9");
	assert_string_equal(read_range("bytes=0-1,6-7,20-21,2-5", 30), "0-7 20-21");
	assert_string_equal(read_range("bytes=20-21,0-1,6-7,2-5", 30), "20-21 0-7");
	assert_string_equal(read_range("bytes=18446744073709551613-,0-1", UINT64_MAX),
		"18446744073709551613-18446744073709551614 0-1");
}

static size_t write_many(char *text, unsigned count)
{
	size_t at = (size_t)snprintf(text, TEXT_MOST, "bytes=");
	for (unsigned i = 0; i < count; i++)
		at += (size_t)snprintf(
			text + at, TEXT_MOST - at, "%s%u-%u", i ? "," : "", i * 10, i * 10 + 1);
	return at;
}

static void many_are_ignored(void **state)
{
	char text[TEXT_MOST];
	struct crew__ranges ranges;
	(void)state;
	crew_bytes value = { text, write_many(text, CREW__RANGES_MOST) };
	assert_int_equal(crew__range_read(value, 1000, &ranges), CREW__RANGE_SOME);
	assert_int_equal(ranges.count, CREW__RANGES_MOST);
	value.len = write_many(text, CREW__RANGES_MOST + 1);
	assert_string_equal(read_bytes(value, 1000), "ignored");
	/* Those beyond the end, and those that would be joined, count as well. */
	assert_string_equal(read_bytes(value, 5), "ignored");
	char *zeros = text + snprintf(text, sizeof(text), "bytes=");
	for (unsigned i = 0; i <= CREW__RANGES_MOST; i++, zeros += 3)
		memcpy(zeros, "0-,", 4);
	assert_string_equal(read_range(text, 10), "ignored");
}

/* Any set of ranges: what comes out holds the same bytes, none twice. */
static void the_bytes_are_those_asked_for(void **state)
{
	enum {
		SIZE = 40
	};
	unsigned seed = 7;
	(void)state;
	for (unsigned round = 0; round < 3000; round++) {
		char text[TEXT_MOST];
		unsigned char wanted[SIZE] = { 0 }, got[SIZE] = { 0 };
		size_t at = (size_t)snprintf(text, sizeof(text), "bytes=");
		for (unsigned n = 0; n < 1 + round % CREW__RANGES_MOST; n++) {
			seed = seed * 1103515245u + 12345u;
			unsigned first = seed >> 16 & 31, last = first + (seed >> 24 & 7);
			for (unsigned i = first; i <= last && i < SIZE; i++)
				wanted[i] = 1;
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%u-%u,", first, last);
		}
		struct crew__ranges ranges;
		assert_int_equal(crew__range_read((crew_bytes){ text, at }, SIZE, &ranges),
			CREW__RANGE_SOME);
		for (uint32_t r = 0; r < ranges.count; r++) {
			assert_int_equal(crew__range_len(&ranges.items[r]),
				ranges.items[r].last - ranges.items[r].first + 1);
			for (uint64_t i = ranges.items[r].first; i <= ranges.items[r].last; i++)
				got[i]++;
		}
		assert_memory_equal(wanted, got, SIZE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_range),
		cmocka_unit_test(what_is_not_valid_is_ignored),
		cmocka_unit_test(what_lies_beyond_the_end),
		cmocka_unit_test(numbers_without_end),
		cmocka_unit_test(several_keep_their_order),
		cmocka_unit_test(those_that_meet_become_one),
		cmocka_unit_test(many_are_ignored),
		cmocka_unit_test(the_bytes_are_those_asked_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
