/* buf.h - bytes that grow, with a limit from birth.
 *
 * `len` bytes are held at `data`, `len <= cap <= max`. An empty buffer may own memory;
 * crew__buf_release gives it back. Growth at least doubles (up to `max`), so n appends cost O(n). */
#ifndef CREW_BASE_BUF_H
#define CREW_BASE_BUF_H

#include "base/base.h"

struct crew__buf {
	char *data;
	uint32_t len;
	uint32_t cap;
	uint32_t max;
};

/* In place, owning nothing. A `max` of 2^31 and more counts as 2^31 - 1. */
void crew__buf_init(struct crew__buf *b, size_t max);

/* Room for `more` bytes after `len`. 0, -ENOBUFS beyond `max`, -ENOMEM. */
int crew__buf_reserve(struct crew__buf *b, size_t more);

/* 0 or as crew__buf_reserve; all of it or nothing. */
int crew__buf_append(struct crew__buf *b, const void *data, size_t len);

/* Take `n <= len` bytes away from the front. */
void crew__buf_consume(struct crew__buf *b, size_t n);

/* Free the memory; the buffer is empty and usable. */
void crew__buf_release(struct crew__buf *b);

#endif
