/* log.h - one line at a time to one descriptor, and never twice too many.
 *
 * A line is `2026-11-21T10:42:00.123Z LEVEL tag: text`, at most 4096 bytes, written with one
 * write() that does not wait: a line that the descriptor does not take is lost and counted, and the
 * next one that it takes is preceded by a line that tells how many. Control bytes in the text
 * become spaces. errno is left as it was. The descriptor and tag are the process's own (set once at
 * start, again when the log is reopened). */
#ifndef CREW_BASE_LOG_H
#define CREW_BASE_LOG_H

#include "base/base.h"

/* Where lines go (borrowed), which are dropped, and what stands before them ("feed#0", "master").
 */
void crew__log_open(int fd, crew_level level, const char *tag);

void crew__log(crew_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
void crew__log_v(crew_level level, const char *format, __builtin_va_list arguments);

/* A limit of `per_second` lines for one kind of event: zero-initialise, one for each kind. What was
 * left out is told with the next line that passes. */
struct crew__log_rate {
	uint64_t second;
	uint32_t lines;
	uint32_t left_out;
};

/* True when a line may be written now; `*ret_left_out` is how many were not since the last. */
bool crew__log_allowed(struct crew__log_rate *rate, uint32_t per_second, uint32_t *ret_left_out);

/* " (7 such lines left out)" for a line's end, or nothing when none was. Returns `text`. */
enum {
	CREW__LEFT_OUT_MAX = 48
};
const char *crew__log_left_out(uint32_t count, char text[CREW__LEFT_OUT_MAX]);

#endif
