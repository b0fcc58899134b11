/* slab.c - arithmetic on a worker's totals: by name, in sum, at a death, and whether they are
 * lawful.
 *
 * Not here: where slabs lie and how they are copied (segment.c). A slab that is given to these
 * functions is nobody else's at the time; its numbers may have come from a damaged segment. */
#include "stats/slab.h"

#include "stats/layout.h"
#include "stats/segment.h"

#include <string.h>

static uint64_t *field_of(struct crew__slab *slab, size_t index)
{
	return (uint64_t *)(void *)((char *)slab + crew__builtins[index].offset);
}

static uint64_t value_of(const struct crew__slab *slab, size_t index)
{
	const void *field = (const char *)slab + crew__builtins[index].offset;
	/* Of a slab in use: gauges of threads change meanwhile. */
	return __atomic_load_n((const uint64_t *)field, __ATOMIC_RELAXED);
}

bool crew__slab_value(const struct crew__slab *slab, const crew_counter *counters, const char *name,
	uint64_t *ret_value)
{
	for (size_t i = 0; i < crew__builtin_count; i++) {
		if (strcmp(crew__builtins[i].name, name) != 0)
			continue;
		*ret_value = value_of(slab, i);
		return true;
	}
	for (size_t i = 0; counters && i < CREW_MAX_COUNTERS && counters[i].name; i++) {
		if (strcmp(counters[i].name, name) != 0)
			continue;
		*ret_value = slab->app[i];
		return true;
	}
	return false;
}

/* A damaged slab may hold any number; a total that wrapped would seem to run backward. */
static uint64_t sum(uint64_t a, uint64_t b)
{
	uint64_t result;
	return __builtin_add_overflow(a, b, &result) ? UINT64_MAX : result;
}

void crew__slab_add(struct crew__slab *dst, const struct crew__slab *src, bool gauges)
{
	for (size_t i = 0; i < crew__builtin_count; i++) {
		uint64_t *to = field_of(dst, i);
		if (gauges || !crew__builtins[i].gauge)
			*to = sum(*to, value_of(src, i));
	}
	/* The program may count down as well, by adding what wraps. */
	for (size_t i = 0; i < CREW_MAX_COUNTERS; i++)
		dst->app[i] += src->app[i];
}

/* ---- the laws ------------------------------------------------------------------------------ */

/* False when the sum is no number that counting could have reached. */
static bool sum_of(const uint64_t *values, size_t count, uint64_t *ret_sum)
{
	uint64_t all = 0;
	for (size_t i = 0; i < count; i++)
		if (__builtin_add_overflow(all, values[i], &all))
			return false;
	*ret_sum = all;
	return true;
}

static bool fails(const struct crew__slab *slab, uint64_t *ret_sum)
{
	return sum_of(&slab->fail_closed, CREW_LOST_REASONS, ret_sum);
}

static bool ends(const struct crew__slab *slab, uint64_t *ret_sum)
{
	uint64_t all[] = { slab->connections, slab->handed_over, 0 };
	return sum_of(&slab->close_peer, CREW_END_REASONS, &all[2]) && sum_of(all, 3, ret_sum);
}

static bool beginnings(const struct crew__slab *slab, uint64_t *ret_sum)
{
	const uint64_t all[] = { slab->connections_total, slab->taken_over };
	return sum_of(all, crew__lengthof(all), ret_sum);
}

static bool outcomes(const struct crew__slab *slab, uint64_t *ret_sum)
{
	const uint64_t all[] = { slab->messages_sent, slab->messages_queued,
		slab->messages_replaced, slab->send_fail, slab->messages_handed_over };
	return sum_of(all, crew__lengthof(all), ret_sum);
}

static bool offers(const struct crew__slab *slab, uint64_t *ret_sum)
{
	const uint64_t all[] = { slab->messages_offered, slab->messages_taken_over };
	return sum_of(all, crew__lengthof(all), ret_sum);
}

bool crew__slab_lawful(const struct crew__slab *slab, const char **ret_law)
{
	uint64_t all, began;
	const char *law = NULL;
	if (!outcomes(slab, &all) || !offers(slab, &began) || all != began)
		law = "messages_offered + messages_taken_over = messages_sent + messages_queued + "
		      "messages_replaced + send_fail + messages_handed_over";
	else if (!fails(slab, &all) || all != slab->send_fail)
		law = "send_fail = the sum of its reasons";
	else if (!ends(slab, &all) || !beginnings(slab, &began) || all != began)
		law = "connections_total + taken_over = connections + closes by reason + handed_over";
	if (law)
		*ret_law = law;
	return !law;
}

/* ---- a death ------------------------------------------------------------------------------- */

/* A process that is killed between crew__slab_begin and crew__slab_end leaves an update of which
 * only some terms are written. No counter is taken back for that: what was begun and has no outcome
 * was lost in the crash, and an outcome that has no beginning gets one. What no torn update can
 * have left (sums beyond 64 bits) stays as it is. */

static void settle_fails(struct crew__slab *slab)
{
	uint64_t by_reason;
	if (!fails(slab, &by_reason))
		return;
	if (by_reason < slab->send_fail)
		slab->fail_crash += slab->send_fail - by_reason;
	else
		slab->send_fail = by_reason;
}

static void settle_messages(struct crew__slab *slab)
{
	uint64_t all, offered;
	if (!outcomes(slab, &all) || !offers(slab, &offered))
		return;
	if (all <= offered) {
		slab->messages_queued += offered - all;
		return;
	}
	uint64_t twice = all - offered; /* queued still, and sent or lost already */
	uint64_t undone = twice < slab->messages_queued ? twice : slab->messages_queued;
	slab->messages_queued -= undone;
	slab->messages_offered += twice - undone;
}

static void settle_connections(struct crew__slab *slab)
{
	uint64_t all, began;
	if (!ends(slab, &all) || !beginnings(slab, &began))
		return;
	if (all <= began) {
		slab->connections += began - all;
		return;
	}
	uint64_t twice = all - began;
	uint64_t undone = twice < slab->connections ? twice : slab->connections;
	slab->connections -= undone;
	slab->connections_total += twice - undone;
}

void crew__slab_bury(struct crew__slab *slab)
{
	settle_fails(slab);
	settle_messages(slab);
	settle_connections(slab);
	slab->fail_crash = sum(slab->fail_crash, slab->messages_queued);
	slab->send_fail = sum(slab->send_fail, slab->messages_queued);
	slab->close_crash = sum(slab->close_crash, slab->connections);
	for (size_t i = 0; i < crew__builtin_count; i++)
		if (crew__builtins[i].gauge)
			*field_of(slab, i) = 0;
}
