/* wheel.h - coarse deadlines for very many objects: one entry each, nothing re-armed on activity.
 *
 * Times are hundredths of a second since an origin of the caller's, modulo 2^32. Entries sit in
 * buckets of 10 hundredths (a deadline is met 0 to 0.2 s late, never early); one farther away than
 * the wheel goes round waits in its bucket and is looked at once a round. When an entry's time has
 * come the owner is asked: it answers with the next time to look, or with CREW__WHEEL_OUT. Activity
 * merely changes what the owner will answer.
 *
 * An entry's time lies within 2^31 hundredths (248 days) of the present. The wheel has one timer in
 * the loop, which wakes it once for each bucket that holds entries, and not at all without any. */
#ifndef CREW_LOOP_WHEEL_H
#define CREW_LOOP_WHEEL_H

#include "base/list.h"
#include "loop/loop.h"

#define CREW__WHEEL_OUT 0u /* no time: entries are never due at exactly 0; 0 is rounded up to 1 */

struct crew__wheel;

/* Has that time come? Right for times within 2^31 hundredths of the present. */
static inline bool crew__wheel_come(uint32_t due, uint32_t now)
{
	return (int32_t)(now - due) >= 0;
}

/* A time that was worked out, as the wheel takes it. */
static inline uint32_t crew__wheel_time(uint32_t due)
{
	return due == CREW__WHEEL_OUT ? 1 : due;
}

/* The sooner of two; CREW__WHEEL_OUT is no time. */
static inline uint32_t crew__wheel_sooner_of(uint32_t a, uint32_t b)
{
	if (a == CREW__WHEEL_OUT)
		return b;
	return b == CREW__WHEEL_OUT || crew__wheel_come(a, b) ? a : b;
}

/* Embed it, initialised by crew__wheel_entry_init; in no bucket when the node is alone. */
struct crew__wheel_entry {
	struct crew__node node;
	uint32_t due;
};

/* The time has come: return the next time to look, or CREW__WHEEL_OUT to stay out. The callback may
 * remove or set any entry, this one included (then what it returns still applies to this one unless
 * the entry was freed, which must wait for the turn's end). */
typedef uint32_t crew__wheel_fn(void *arg, struct crew__wheel_entry *entry, uint32_t now);

/* `origin_ns`: the CLOCK_MONOTONIC time that is 0 in the wheel's hundredths. -ENOMEM. */
int crew__wheel_new(struct crew__loop *loop, uint64_t origin_ns, crew__wheel_fn *fn, void *arg,
	struct crew__wheel **ret_wheel);
void crew__wheel_free(struct crew__wheel *wheel); /* NULL is allowed; entries are the caller's */

void crew__wheel_entry_init(struct crew__wheel_entry *entry);
/* Look at `due` (or sooner if it already waits for an earlier time: then nothing is moved). */
void crew__wheel_sooner(struct crew__wheel *wheel, struct crew__wheel_entry *entry, uint32_t due);
void crew__wheel_remove(struct crew__wheel *wheel, struct crew__wheel_entry *entry);
/* The loop's time in this wheel's hundredths. */
uint32_t crew__wheel_now(const struct crew__wheel *wheel);

#endif
