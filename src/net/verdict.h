/* verdict.h - why a queue does not leave, from one look's figures. A function of numbers: no
 * sockets, no clock. docs/verdicts.md says the same in words, with the reasons for each threshold.
 */
#ifndef CREW_NET_VERDICT_H
#define CREW_NET_VERDICT_H

#include "stats/slow.h"

/* `queued`: bytes that wait in our own queue. CREW_VERDICT_NONE when that is 0 or the figures do
 * not allow a judgement. */
crew_verdict crew__verdict(const struct crew__slow_figures *figures, uint64_t queued);

#endif
