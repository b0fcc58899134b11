/* range.c - which bytes of a file are asked for (RFC 9110 section 14.2). */
#include "web/range.h"

#include "proto/http1.h"

/* Reads on from `at`; what is taken never lies beyond `end`. */
struct reader {
	const char *at;
	const char *end;
};

static bool next_is(const struct reader *r, char byte)
{
	return r->at < r->end && *r->at == byte;
}

static void skip_spaces(struct reader *r)
{
	while (r->at < r->end && crew__http_is_space(*r->at))
		r->at++;
}

static bool is_digit(char byte)
{
	return byte >= '0' && byte <= '9';
}

/* A number too large to count stands for "beyond any file". False: there is no digit. */
static bool read_number(struct reader *r, uint64_t *ret_number)
{
	const char *begin = r->at;
	uint64_t number = 0;
	bool countable = true;
	for (; r->at < r->end && is_digit(*r->at); r->at++)
		countable = countable && !__builtin_mul_overflow(number, 10, &number) &&
			    !__builtin_add_overflow(number, (uint64_t)(*r->at - '0'), &number);
	*ret_number = countable ? number : UINT64_MAX;
	return r->at > begin;
}

/* One of the list, as it concerns a file of `size` bytes. */
enum spec {
	SPEC_BAD,
	SPEC_NOWHERE,
	SPEC_WHOLE, /* the end of an empty file: satisfiable, but no bytes can be named */
	SPEC_SOME,
};

static enum spec read_suffix(struct reader *r, uint64_t size, struct crew__range *ret_range)
{
	uint64_t wanted;
	if (!read_number(r, &wanted))
		return SPEC_BAD;
	if (wanted == 0)
		return SPEC_NOWHERE;
	if (size == 0)
		return SPEC_WHOLE;
	*ret_range = (struct crew__range){ wanted < size ? size - wanted : 0, size - 1 };
	return SPEC_SOME;
}

static enum spec read_spec(struct reader *r, uint64_t size, struct crew__range *ret_range)
{
	uint64_t first, last = UINT64_MAX;
	if (next_is(r, '-')) {
		r->at++;
		return read_suffix(r, size, ret_range);
	}
	if (!read_number(r, &first) || !next_is(r, '-'))
		return SPEC_BAD;
	r->at++;
	if (r->at < r->end && is_digit(*r->at) && (!read_number(r, &last) || last < first))
		return SPEC_BAD;
	if (first >= size)
		return SPEC_NOWHERE;
	*ret_range = (struct crew__range){ first, last < size ? last : size - 1 };
	return SPEC_SOME;
}

/* They share a byte, or one begins where the other ends; no sum that could overflow. */
static bool meet(const struct crew__range *a, const struct crew__range *b)
{
	bool a_reaches_b = b->first <= a->last || b->first - a->last == 1;
	bool b_reaches_a = a->first <= b->last || a->first - b->last == 1;
	return a_reaches_b && b_reaches_a;
}

/* Put `range` behind the others, or, grown, in the place of the first that it meets. What it then
 * meets as well is taken in: the list never has two that meet. */
static void add(struct crew__ranges *ranges, struct crew__range range)
{
	uint32_t place = ranges->count, kept = 0;
	bool grown = true;
	while (grown) {
		grown = false;
		for (uint32_t i = 0; i < ranges->count; i++) {
			struct crew__range *other = &ranges->items[i];
			if (!meet(other, &range))
				continue;
			grown = grown || other->first < range.first || other->last > range.last;
			range.first = other->first < range.first ? other->first : range.first;
			range.last = other->last > range.last ? other->last : range.last;
		}
	}
	for (uint32_t i = 0; i < ranges->count; i++) {
		if (!meet(&ranges->items[i], &range))
			ranges->items[kept++] = ranges->items[i];
		else if (place == ranges->count)
			ranges->items[place = kept++] = range;
	}
	if (place == ranges->count)
		ranges->items[kept++] = range;
	ranges->count = kept;
}

/* RFC 9110 section 14.1: names of units are compared without regard to case. */
static bool read_unit(struct reader *r)
{
	static const char unit[] = "bytes=";
	size_t len = sizeof(unit) - 1;
	if ((size_t)(r->end - r->at) < len)
		return false;
	for (size_t i = 0; i < len; i++) {
		char byte = r->at[i];
		if ((byte >= 'A' && byte <= 'Z' ? byte + 32 : byte) != unit[i])
			return false;
	}
	r->at += len;
	return true;
}

/* Elements of a list may be empty (RFC 9110 section 5.6.1.2). */
enum crew__range_result crew__range_read(
	crew_bytes value, uint64_t size, struct crew__ranges *ret_ranges)
{
	struct reader r = { value.data, value.data + value.len };
	struct crew__range range = { 0, 0 };
	uint32_t specs = 0;
	bool whole = false;
	ret_ranges->count = 0;
	if (value.len == 0 || !read_unit(&r))
		return CREW__RANGE_IGNORED;
	for (;;) {
		skip_spaces(&r);
		if (r.at < r.end && *r.at != ',') {
			enum spec spec = read_spec(&r, size, &range);
			if (spec == SPEC_BAD || ++specs > CREW__RANGES_MOST)
				return CREW__RANGE_IGNORED;
			whole = whole || spec == SPEC_WHOLE;
			if (spec == SPEC_SOME)
				add(ret_ranges, range);
		}
		skip_spaces(&r);
		if (r.at == r.end)
			break;
		if (*r.at++ != ',')
			return CREW__RANGE_IGNORED;
	}
	if (ret_ranges->count > 0)
		return CREW__RANGE_SOME;
	return specs == 0 || whole ? CREW__RANGE_IGNORED : CREW__RANGE_NOWHERE;
}
