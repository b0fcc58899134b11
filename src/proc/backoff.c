/* backoff.c - the wait grows with each early death. */
#include "proc/backoff.h"

uint64_t crew__backoff_next(struct crew__backoff *backoff, uint64_t lived_ms, bool expected)
{
	if (lived_ms >= (expected ? CREW__YOUNG_EXPECTED_MS : CREW__YOUNG_MS)) {
		backoff->young = 0;
		return 0;
	}
	backoff->young++;
	if (backoff->young < 2)
		return 0;
	uint64_t wait = CREW__BACKOFF_FIRST_MS;
	for (unsigned i = 2; i < backoff->young && wait < CREW__BACKOFF_MOST_MS; i++)
		wait *= 2;
	return wait < CREW__BACKOFF_MOST_MS ? wait : CREW__BACKOFF_MOST_MS;
}
