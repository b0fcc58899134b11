/* range.h - which bytes of a file are asked for: the Range field (RFC 9110 section 14.2).
 *
 * Bytes in, numbers out. Whatever is asked for, what comes out is bounded: few ranges, none of
 * which overlaps or touches another, so their sum is never more than the file. Not here: whether
 * the field counts at all (conditional.h), and how the answer is written (service/http_ranges.c).
 */
#ifndef CREW_WEB_RANGE_H
#define CREW_WEB_RANGE_H

#include "base/base.h"

enum {
	CREW__RANGES_MOST = 16, /* more: the field is ignored, as section 14.2 allows */
};

struct crew__range {
	uint64_t first;
	uint64_t last; /* included, as the protocol counts */
};

struct crew__ranges {
	struct crew__range items[CREW__RANGES_MOST]; /* in the order in which they were asked for */
	uint32_t count;
};

enum crew__range_result {
	CREW__RANGE_IGNORED, /* not understood, not valid or too many: the whole */
	CREW__RANGE_SOME,    /* 206; `ret_ranges` has at least one */
	CREW__RANGE_NOWHERE, /* 416: valid, and no byte of it is in the file */
};

/* `value` is that of the field, `size` the file's. Ranges that overlap or touch become one. */
enum crew__range_result crew__range_read(
	crew_bytes value, uint64_t size, struct crew__ranges *ret_ranges);

static inline uint64_t crew__range_len(const struct crew__range *range)
{
	return range->last - range->first + 1;
}

#endif
