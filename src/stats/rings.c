/* rings.c - the last things that happened: one writer, any number of readers that it does not know.
 *
 * Not here: what an event means (service/episodes.c, proc/master.c write them), how it is shown
 * (cli/events.c, cli/closed.c). An entry is written as a record is under a sequence, but for each
 * entry by itself: 0, then the bytes, then its number. */
#include "stats/rings.h"

#include "base/clock.h"

#include <string.h>

const char *crew__event_name(unsigned kind)
{
	static const char *const names[CREW__EVENT_KINDS] = {
		[CREW__EVENT_SLOW_BEGIN] = "slow-begin",
		[CREW__EVENT_SLOW_END] = "slow-end",
		[CREW__EVENT_DROP] = "drop",
		[CREW__EVENT_GAP] = "gap",
		[CREW__EVENT_KICK] = "kick",
		[CREW__EVENT_BUDGET] = "budget",
		[CREW__EVENT_SET] = "set",
		[CREW__EVENT_TLS] = "tls",
		[CREW__EVENT_START] = "start",
		[CREW__EVENT_DEATH] = "death",
		[CREW__EVENT_RELOAD] = "reload",
		[CREW__EVENT_STOP] = "stop",
		[CREW__EVENT_RATE] = "rate",
		[CREW__EVENT_RECYCLE] = "recycle",
		[CREW__EVENT_SLOW_CALLBACK] = "slow-callback",
		[CREW__EVENT_STUCK] = "stuck",
		[CREW__EVENT_CRASH_LOOP] = "crash-loop",
		[CREW__EVENT_HANDOVER] = "handover",
	};
	return kind < CREW__EVENT_KINDS && names[kind] ? names[kind] : "?";
}

/* ---- writing ------------------------------------------------------------------------------- */

static uint64_t next_number(const _Atomic uint64_t *written)
{
	return atomic_load_explicit(written, memory_order_relaxed) + 1;
}

/* From here to publish() no reader takes the entry. */
static void withdraw(_Atomic uint64_t *sequence)
{
	atomic_store_explicit(sequence, 0, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
}

static void publish(_Atomic uint64_t *sequence, _Atomic uint64_t *written, uint64_t number)
{
	atomic_store_explicit(sequence, number, memory_order_release);
	atomic_store_explicit(written, number, memory_order_release);
}

/* The sequence stands first in an entry; the rest is what is copied. */
static void *rest_of(void *entry)
{
	return (char *)entry + sizeof(uint64_t);
}
_Static_assert(offsetof(struct crew__event, sequence) == 0, "the rest follows the sequence");
_Static_assert(offsetof(struct crew__closed, sequence) == 0, "the rest follows the sequence");

void crew__events_add(struct crew__events *events, const struct crew__event *event)
{
	if (!events)
		return;
	struct crew__event fresh = *event;
	fresh.time_ns = crew__clock_ns();
	fresh.wall_ms = crew__clock_wall_ms(CLOCK_REALTIME);
	fresh.text[sizeof(fresh.text) - 1] = '\0';
	uint64_t number = next_number(&events->written);
	struct crew__event *entry = &events->entries[number % CREW__EVENTS];
	withdraw(&entry->sequence);
	memcpy(rest_of(entry), rest_of(&fresh), sizeof(fresh) - sizeof(uint64_t));
	publish(&entry->sequence, &events->written, number);
}

struct crew__closed *crew__closed_next(struct crew__closed_ring *ring)
{
	if (!ring)
		return NULL;
	struct crew__closed *entry = &ring->entries[next_number(&ring->written) % CREW__CLOSED];
	withdraw(&entry->sequence);
	memset(rest_of(entry), 0, sizeof(*entry) - sizeof(uint64_t));
	return entry;
}

void crew__closed_done(struct crew__closed_ring *ring)
{
	if (!ring)
		return;
	uint64_t number = next_number(&ring->written);
	struct crew__closed *entry = &ring->entries[number % CREW__CLOSED];
	/* The tick's time: connections may end by the hundred thousand. */
	entry->wall_ms = crew__clock_wall_ms(CLOCK_REALTIME_COARSE);
	publish(&entry->sequence, &ring->written, number);
}

/* ---- reading ------------------------------------------------------------------------------- */

/* One try: a writer that is inside the entry is about to overwrite it. */
static bool copy_entry(
	const _Atomic uint64_t *sequence, uint64_t number, void *ret_entry, size_t size)
{
	if (atomic_load_explicit(sequence, memory_order_acquire) != number)
		return false;
	memcpy(ret_entry, (const void *)sequence, size);
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(sequence, memory_order_relaxed) == number;
}

static uint64_t sum(uint64_t a, uint64_t b)
{
	uint64_t result;
	return __builtin_add_overflow(a, b, &result) ? UINT64_MAX : result;
}

/* Move past what the ring no longer holds. */
static void pass_overwritten(uint64_t written, uint64_t *after, uint64_t *missed)
{
	if (written - *after <= CREW__EVENTS)
		return;
	*missed = sum(*missed, written - CREW__EVENTS - *after);
	*after = written - CREW__EVENTS;
}

bool crew__events_next(const struct crew__events *events, uint64_t *after,
	struct crew__event *ret_event, uint64_t *ret_missed)
{
	uint64_t written = atomic_load_explicit(&events->written, memory_order_acquire);
	/* A number that was never written: a ring begun anew, or damaged. Go on from where it is.
	 */
	if (*after > written)
		*after = written;
	pass_overwritten(written, after, ret_missed);
	while (*after < written) {
		uint64_t number = ++*after;
		const struct crew__event *entry = &events->entries[number % CREW__EVENTS];
		if (!copy_entry(&entry->sequence, number, ret_event, sizeof(*ret_event))) {
			*ret_missed = sum(*ret_missed, 1);
			continue;
		}
		ret_event->text[sizeof(ret_event->text) - 1] = '\0';
		if (ret_event->kind >= CREW__EVENT_KINDS)
			ret_event->kind = CREW__EVENT_NONE;
		return true;
	}
	return false;
}

size_t crew__closed_read(
	const struct crew__closed_ring *ring, struct crew__closed *ret_entries, size_t most)
{
	uint64_t number = atomic_load_explicit(&ring->written, memory_order_acquire);
	size_t count = 0;
	for (unsigned looked = 0; looked < CREW__CLOSED && number > 0 && count < most;
		looked++, number--) {
		const struct crew__closed *entry = &ring->entries[number % CREW__CLOSED];
		if (copy_entry(&entry->sequence, number, &ret_entries[count], sizeof(*entry)))
			count++;
	}
	return count;
}
