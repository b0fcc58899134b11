/* conditional.h - requests that depend on what the client has already: If-Match and its kin (RFC
 * 9110 section 13), and If-Range.
 *
 * The head is looked through once; what is not there then costs nothing. Bytes in, verdicts out. Not
 * here: reading ranges (range.h), what codings are accepted (accept.h), writing validators (file.h). */
#ifndef CREW_WEB_CONDITIONAL_H
#define CREW_WEB_CONDITIONAL_H

#include "base/base.h"

/* The fields that a file's answer may depend on. */
enum crew__wish {
	CREW__WISH_MATCH,
	CREW__WISH_NONE_MATCH,
	CREW__WISH_MODIFIED_SINCE,
	CREW__WISH_UNMODIFIED_SINCE,
	CREW__WISH_IF_RANGE,
	CREW__WISH_RANGE,
	CREW__WISH_ACCEPT_ENCODING,
	CREW__WISHES,
};

struct crew__wishes {
	const crew_header *headers; /* the whole head, lent */
	size_t header_count;
	uint32_t present;               /* bits, 1 << enum crew__wish */
	uint32_t repeated;              /* came in more than one line */
	crew_bytes value[CREW__WISHES]; /* of the first line; set where present */
};

void crew__wishes_read(
	struct crew__wishes *ret_wishes, const crew_header *headers, size_t header_count);

static inline bool crew__wishes_have(const struct crew__wishes *w, enum crew__wish wish)
{
	return (w->present >> wish & 1) != 0;
}

/* What the server would send. */
struct crew__validators {
	crew_bytes etag;  /* with its quotes, and W/ when it is weak */
	int64_t modified; /* seconds since 1970 */
};

enum crew__condition {
	CREW__CONDITION_HOLDS,        /* answer as without */
	CREW__CONDITION_NOT_MODIFIED, /* 304 */
	CREW__CONDITION_FAILED,       /* 412 */
};

/* In the order of RFC 9110 section 13.2.2, up to its step 4. `reading`: the method is GET or HEAD.
 * `now` in seconds since 1970. */
enum crew__condition crew__condition_judge(const struct crew__wishes *wishes,
	const struct crew__validators *validators, bool reading, int64_t now);

/* Step 5: does Range count? True without If-Range. A date counts only when the second it names is
 * over, as the file could have changed twice in it (section 8.8.2.2). */
bool crew__range_counts(
	const struct crew__wishes *wishes, const struct crew__validators *validators, int64_t now);

/* Is `etag` in a list of them, which is `*` or "a", W/"b", ...? `weak` compares as section 8.8.3.2
 * says; a list that is not valid has nothing in it. */
bool crew__etag_listed(crew_bytes list, crew_bytes etag, bool weak);

#endif
