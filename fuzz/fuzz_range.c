/* fuzz_range.c - the Range field: whatever it says, the ranges that come out lie in the file, do
 * not meet, and are those that a slow and simple reading of the same field finds. */
#include "fuzz.h"

#include "web/range.h"

enum {
	SMALL = 48 /* a file for which every byte is looked at */
};

static void check_bounds(const struct crew__ranges *ranges, uint64_t size)
{
	uint64_t sum = 0;
	crew__must(ranges->count >= 1 && ranges->count <= CREW__RANGES_MOST);
	for (uint32_t i = 0; i < ranges->count; i++) {
		const struct crew__range *a = &ranges->items[i];
		crew__must(a->first <= a->last && a->last < size);
		crew__must(!__builtin_add_overflow(sum, crew__range_len(a), &sum));
		for (uint32_t j = 0; j < i; j++) {
			const struct crew__range *b = &ranges->items[j];
			crew__must(a->last < b->first || b->last < a->first); /* do not overlap */
			crew__must(a->last + 1 != b->first && b->last + 1 != a->first);
		}
	}
	crew__must(sum <= size);
}

/* Digits as a number that is at most `most`; returns what follows them, NULL when there are none.
 */
static const char *simple_number(
	const char *at, const char *end, uint64_t most, uint64_t *ret_number)
{
	const char *begin = at;
	uint64_t number = 0;
	for (; at < end && *at >= '0' && *at <= '9'; at++) {
		number = number * 10 + (uint64_t)(*at - '0');
		number = number > most ? most : number;
	}
	*ret_number = number;
	return at > begin ? at : NULL;
}

/* Of a field that was found to be valid: marks the bytes that each element asks for. */
static void mark_wanted(const char *at, const char *end, bool *wanted)
{
	while (at < end) {
		uint64_t first = 0, last = SMALL - 1;
		const char *comma = memchr(at, ',', (size_t)(end - at));
		const char *element_end = comma ? comma : end;
		while (at < element_end && (*at == ' ' || *at == '\t'))
			at++;
		const char *dash = simple_number(at, element_end, SMALL, &first);
		if (dash) {
			uint64_t number;
			if (simple_number(dash + 1, element_end, SMALL, &number))
				last = number;
		} else if (at < element_end && simple_number(at + 1, element_end, SMALL, &first)) {
			first = first == 0 ? SMALL : SMALL - first;
		} else {
			first = SMALL; /* an empty one */
		}
		for (uint64_t i = first; i <= last && i < SMALL; i++)
			wanted[i] = true;
		at = comma ? comma + 1 : end;
	}
}

static void check_bytes(crew_bytes value)
{
	bool wanted[SMALL] = { false }, got[SMALL] = { false };
	struct crew__ranges ranges;
	enum crew__range_result result = crew__range_read(value, SMALL, &ranges);
	if (result == CREW__RANGE_IGNORED)
		return;
	if (result == CREW__RANGE_NOWHERE)
		ranges.count = 0;
	for (uint32_t r = 0; r < ranges.count; r++)
		for (uint64_t i = ranges.items[r].first; i <= ranges.items[r].last; i++)
			got[i] = true;
	const char *equals = memchr(value.data, '=', value.len);
	crew__must(equals);
	mark_wanted(equals + 1, value.data + value.len, wanted);
	crew__must(memcmp(wanted, got, sizeof(wanted)) == 0);
}

/* The first byte chooses how long the file is. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t sizes[] = { 0, 1, 10, 1000, UINT32_MAX, INT64_MAX, UINT64_MAX,
		SMALL };
	uint64_t file = sizes[take_byte(&data, &size) % crew__lengthof(sizes)];
	char *copy = copy_of(data, size);
	crew_bytes value = { copy, size };
	struct crew__ranges ranges;
	if (crew__range_read(value, file, &ranges) == CREW__RANGE_SOME)
		check_bounds(&ranges, file);
	check_bytes(value);
	free(copy);
	return 0;
}
