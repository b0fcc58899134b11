/* wheel.c - the coarse deadlines: a ring of buckets, a bitmap of those that hold something, and one
 * timer for the nearest of these.
 *
 * Inside, time is 64 bits wide: hundredths and ticks (10 hundredths) since the origin never wrap.
 * An entry's 32-bit time is taken as the nearest such moment, so it must lie within 2^31 hundredths
 * (248 days) of the present. Tick t is looked at when it has begun, in bucket t % BUCKETS.
 *
 *  - Every bucket of a tick up to `visited` has been looked at; an entry is put behind it.
 *  - The timer runs for tick `armed`, and no entry waits for an earlier one. The timer always runs
 *    (with nothing to wait for: for CREW__NEVER), because moving it cannot fail, starting it could.
 *  - A set bit may belong to a bucket that has become empty; a clear one never hides an entry. */
#include "loop/wheel.h"

#include "base/check.h"
#include "base/clock.h"
#include "loop/engine.h"

#include <stdlib.h>

enum {
	BUCKETS = 1024, /* once round in 102.4 s: idle time-outs and heartbeats fit in */
	WORD_BITS = 64,
	PER_TICK = 10,
};

#define NS_PER_HUNDREDTH (CREW__NS_PER_S / 100)
#define NS_PER_TICK      (PER_TICK * NS_PER_HUNDREDTH)

struct crew__wheel {
	struct crew__timer timer;
	struct crew__loop *loop;
	uint64_t origin_ns;
	crew__wheel_fn *fn;
	void *arg;
	uint64_t visited;
	uint64_t armed; /* 0 while entries are asked: the timer is set when all have answered */
	uint64_t occupied[BUCKETS / WORD_BITS];
	struct crew__node buckets[BUCKETS];
};

/* The loop's time was read when the turn began, which may be before a very young origin. */
static uint64_t hundredths(const struct crew__wheel *wheel)
{
	int64_t elapsed_ns = (int64_t)(crew__loop_ns(wheel->loop) - wheel->origin_ns);
	return elapsed_ns > 0 ? (uint64_t)elapsed_ns / NS_PER_HUNDREDTH : 0;
}

/* How far `time` is after `base`, both modulo 2^32; negative when it is before. */
static int64_t distance(uint32_t time, uint64_t base)
{
	return (int32_t)(time - (uint32_t)base);
}

/* The next tick whose bucket holds an entry; forgets buckets that have become empty. */
static uint64_t next_tick(struct crew__wheel *wheel)
{
	uint64_t ahead = 1;
	while (ahead <= BUCKETS) {
		uint64_t tick = wheel->visited + ahead;
		uint64_t bucket = tick % BUCKETS;
		uint64_t *word = &wheel->occupied[bucket / WORD_BITS];
		uint64_t bits = *word >> bucket % WORD_BITS;
		if (!(bits & 1)) {
			uint64_t left = WORD_BITS - bucket % WORD_BITS;
			ahead += bits ? (unsigned)__builtin_ctzll(bits) : left;
			continue;
		}
		if (!crew__list_empty(&wheel->buckets[bucket]))
			return tick;
		*word &= ~(UINT64_C(1) << bucket % WORD_BITS);
	}
	return CREW__NEVER;
}

static void arm(struct crew__wheel *wheel, uint64_t tick)
{
	wheel->armed = tick;
	uint64_t due_ns = tick == CREW__NEVER ? CREW__NEVER : wheel->origin_ns + tick * NS_PER_TICK;
	int error = crew__timer_start(wheel->loop, &wheel->timer, due_ns);
	crew__must(error == 0); /* the timer runs: it is only moved */
}

/* Put an entry, which is in no bucket, where it is looked at `due` or up to a tick later. */
static void insert(struct crew__wheel *wheel, struct crew__wheel_entry *entry, uint32_t due)
{
	uint64_t now = hundredths(wheel);
	uint64_t present = now / PER_TICK;
	if (wheel->armed > present && present > wheel->visited)
		wheel->visited = present; /* nothing was waiting for these ticks */

	int64_t left = distance(due, now);
	uint64_t tick = wheel->visited + 1;
	if (left > 0)
		tick = (now + (uint64_t)left + PER_TICK - 1) / PER_TICK;
	uint64_t bucket = tick % BUCKETS;
	entry->due = due;
	crew__list_push(&wheel->buckets[bucket], &entry->node);
	wheel->occupied[bucket / WORD_BITS] |= UINT64_C(1) << bucket % WORD_BITS;

	/* One that waits for a later round is looked at in this one too. */
	uint64_t looked_at = wheel->visited + 1 + (tick - wheel->visited - 1) % BUCKETS;
	if (looked_at < wheel->armed)
		arm(wheel, looked_at);
}

/* Move the entries of all buckets up to the present tick to `due`, in order of their ticks. */
static void collect(struct crew__wheel *wheel, uint64_t present, struct crew__node *due)
{
	uint64_t tick;
	while ((tick = next_tick(wheel)) <= present) {
		struct crew__node *bucket = &wheel->buckets[tick % BUCKETS];
		bucket->next->prev = due->prev;
		due->prev->next = bucket->next;
		bucket->prev->next = due;
		due->prev = bucket->prev;
		crew__list_init(bucket);
		wheel->visited = tick;
	}
	wheel->visited = present;
}

static void ask(struct crew__wheel *wheel, struct crew__wheel_entry *entry, uint32_t now)
{
	uint32_t due = wheel->fn(wheel->arg, entry, now);
	crew__list_remove(&entry->node); /* the callback may have set it */
	if (due != CREW__WHEEL_OUT)
		insert(wheel, entry, due);
}

/* All that is due is collected first: what is put back while entries are asked, even for now, waits
 * for the next time. Times are judged from where the wheel stood before, so that a jump of any
 * length (a machine that slept) makes nothing look as if it were in the future. */
static void on_timer(struct crew__timer *timer)
{
	struct crew__wheel *wheel = crew__container_of(timer, struct crew__wheel, timer);
	arm(wheel, CREW__NEVER); /* at once: the place that the timer just left cannot be taken */
	wheel->armed = 0;

	uint64_t base = wheel->visited * PER_TICK;
	uint64_t now = hundredths(wheel);
	struct crew__node due;
	crew__list_init(&due);
	collect(wheel, now / PER_TICK, &due);
	while (!crew__list_empty(&due)) {
		struct crew__wheel_entry *entry = crew__container_of(
			due.next, struct crew__wheel_entry, node);
		crew__list_remove(&entry->node);
		if (distance(entry->due, base) > (int64_t)(now - base))
			insert(wheel, entry, entry->due); /* in a later round */
		else
			ask(wheel, entry, (uint32_t)now);
	}
	arm(wheel, next_tick(wheel));
}

int crew__wheel_new(struct crew__loop *loop, uint64_t origin_ns, crew__wheel_fn *fn, void *arg,
	struct crew__wheel **ret_wheel)
{
	struct crew__wheel *wheel = calloc(1, sizeof(*wheel));
	if (!wheel)
		return -ENOMEM;
	wheel->timer.fn = on_timer;
	wheel->loop = loop;
	wheel->origin_ns = origin_ns;
	wheel->fn = fn;
	wheel->arg = arg;
	wheel->visited = hundredths(wheel) / PER_TICK;
	wheel->armed = CREW__NEVER;
	for (size_t i = 0; i < BUCKETS; i++)
		crew__list_init(&wheel->buckets[i]);
	int error = crew__timer_start(loop, &wheel->timer, CREW__NEVER);
	if (error) {
		free(wheel);
		return error;
	}
	*ret_wheel = wheel;
	return 0;
}

void crew__wheel_free(struct crew__wheel *wheel)
{
	if (!wheel)
		return;
	crew__timer_stop(wheel->loop, &wheel->timer);
	for (size_t i = 0; i < BUCKETS; i++) {
		while (!crew__list_empty(&wheel->buckets[i]))
			crew__list_remove(wheel->buckets[i].next);
	}
	free(wheel);
}

void crew__wheel_entry_init(struct crew__wheel_entry *entry)
{
	crew__list_init(&entry->node);
	entry->due = CREW__WHEEL_OUT;
}

void crew__wheel_sooner(struct crew__wheel *wheel, struct crew__wheel_entry *entry, uint32_t due)
{
	if (due == CREW__WHEEL_OUT)
		due = 1;
	if (!crew__list_empty(&entry->node)) {
		if (distance(due, entry->due) >= 0)
			return;
		crew__list_remove(&entry->node);
	}
	insert(wheel, entry, due);
}

void crew__wheel_remove(struct crew__wheel *wheel, struct crew__wheel_entry *entry)
{
	(void)wheel; /* its bucket may be empty now: next_tick() sees to that */
	crew__list_remove(&entry->node);
}

uint32_t crew__wheel_now(const struct crew__wheel *wheel)
{
	return (uint32_t)hundredths(wheel);
}
