/* histogram.h - how long things took: counts by powers of two, in shared memory.
 *
 * Bucket i counts values below 2^i microseconds that no lower bucket counts; the last counts all
 * that are longer (over half an hour). One writer, plain stores; a reader may see a value counted
 * and not yet added to the sum, which no law forbids. */
#ifndef CREW_STATS_HISTOGRAM_H
#define CREW_STATS_HISTOGRAM_H

#include "base/base.h"

enum {
	CREW__BUCKETS = 32
};

struct crew__histogram {
	uint64_t count[CREW__BUCKETS];
	uint64_t sum_us;
};

/* What is measured of each worker. */
enum crew__measure {
	CREW__MEASURE_TURN, /* a loop turn, from the wait's end to the next wait: one in 64 */
	CREW__MEASURE_CALLBACK,  /* a call into the program, in the turns that are timed */
	CREW__MEASURE_QUEUE_AGE, /* how long the oldest message of a queue had waited when the
				    kernel took bytes of that queue */
	CREW__MEASURE_OFFLOAD_WAIT, /* how long slow work waited for a thread */
	CREW__MEASURES
};

/* For names, help and metrics; never NULL for a measure. */
const char *crew__measure_name(enum crew__measure measure);     /* "loop_turn" */
const char *crew__measure_sentence(enum crew__measure measure); /* what it means */

static inline unsigned crew__histogram_bucket(uint64_t us)
{
	unsigned bits = us == 0 ? 0 : 64u - (unsigned)__builtin_clzll(us);
	return bits < CREW__BUCKETS ? bits : CREW__BUCKETS - 1;
}

static inline void crew__histogram_add(struct crew__histogram *h, uint64_t us)
{
	h->count[crew__histogram_bucket(us)]++;
	h->sum_us += us;
}

static inline void crew__histogram_add_ns(struct crew__histogram *h, uint64_t ns)
{
	crew__histogram_add(h, ns / 1000);
}

/* dst += src; sums stop at the largest number instead of wrapping. */
void crew__histogram_sum(struct crew__histogram *dst, const struct crew__histogram *src);

#endif
