/* connect_retry.c - exponential back-off with full jitter. */
#include "service/connect_retry.h"

uint64_t crew__retry_draw(struct crew__retry *retry, uint64_t random)
{
	uint64_t bound = retry->bound_ms == 0 ? retry->first_ms : retry->bound_ms;
	if (retry->bound_ms != 0 && __builtin_mul_overflow(bound, 2, &bound))
		bound = retry->most_ms;
	retry->bound_ms = bound < retry->most_ms ? bound : retry->most_ms;
	/* The product of two 64-bit numbers: its upper half is as even as `random` is. */
	return (uint64_t)((unsigned __int128)random * (retry->bound_ms + 1) >> 64);
}

void crew__retry_was_open(struct crew__retry *retry, uint64_t ms)
{
	if (ms >= retry->most_ms)
		retry->bound_ms = 0;
}
