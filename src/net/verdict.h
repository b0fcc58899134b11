/* verdict.h - why a queue does not leave, from one look's figures. A function of numbers: no
 * sockets, no clock. docs/verdicts.md says the same in words, with the reasons for each threshold.
 */
#ifndef CREW_NET_VERDICT_H
#define CREW_NET_VERDICT_H

#include "stats/slow.h"

/* The thresholds, fixed before the runs that docs/verdicts.md reports. "Half" is half of the window
 * or of its busy part, as the rule says. */
enum {
	CREW__VERDICT_WINDOW_LEAST_MS = 100, /* a shorter window tells nothing */
	CREW__VERDICT_TIMEOUTS = 3,          /* in a row, without an answer: gone */
	CREW__VERDICT_SILENCE_MS = 1000,     /* ... if the last answer is older than this */
	CREW__VERDICT_DRY_SEGMENTS = 2, /* unsent bytes of fewer segments: the kernel has run dry */
};

/* `queued`: bytes that wait in our own queue. CREW_VERDICT_NONE when that is 0 or the figures do
 * not allow a judgement. */
crew_verdict crew__verdict(const struct crew__slow_figures *figures, uint64_t queued);

/* The figures leave no doubt, so that a first verdict need not wait for a second look. */
bool crew__verdict_is_clear(const struct crew__slow_figures *figures, crew_verdict verdict);

#endif
