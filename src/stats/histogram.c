/* histogram.c - see histogram.h. */
#include "stats/histogram.h"

const char *crew__measure_name(enum crew__measure measure)
{
	static const char *const names[CREW__MEASURES] = {
		[CREW__MEASURE_TURN] = "loop_turn",
		[CREW__MEASURE_CALLBACK] = "callback",
		[CREW__MEASURE_QUEUE_AGE] = "send_queue_age",
		[CREW__MEASURE_OFFLOAD_WAIT] = "offload_wait",
	};
	return (unsigned)measure < CREW__MEASURES ? names[measure] : "?";
}

const char *crew__measure_sentence(enum crew__measure measure)
{
	static const char *const sentences[CREW__MEASURES] = {
		[CREW__MEASURE_TURN] =
			"how long a turn of the event loop took (one turn in 64 is timed)",
		[CREW__MEASURE_CALLBACK] =
			"how long a call into the program took, in the turns that are timed",
		[CREW__MEASURE_QUEUE_AGE] =
			("how long the oldest message of a waiting queue had waited when "
			 "the kernel took bytes of it"),
		[CREW__MEASURE_OFFLOAD_WAIT] =
			"how long slow work (crew_offload) waited for a thread",
	};
	return (unsigned)measure < CREW__MEASURES ? sentences[measure] : "?";
}

static uint64_t sum(uint64_t a, uint64_t b)
{
	uint64_t result;
	return __builtin_add_overflow(a, b, &result) ? UINT64_MAX : result;
}

void crew__histogram_sum(struct crew__histogram *dst, const struct crew__histogram *src)
{
	for (unsigned i = 0; i < CREW__BUCKETS; i++)
		dst->count[i] = sum(dst->count[i], src->count[i]);
	dst->sum_us = sum(dst->sum_us, src->sum_us);
}
