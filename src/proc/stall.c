/* stall.c - from pulses to stalls. */
#include "proc/stall.h"

#include "base/clock.h"

enum {
	CONFIRM_MS = 20 /* between the looks that must agree, at least */
};

static bool has_moved(
	const struct crew__stall *stall, const struct crew__pulse *pulse, uint64_t began_ns)
{
	return stall->turn_ns != began_ns || stall->callback != pulse->callback ||
	       stall->requests != pulse->requests;
}

static enum crew__stall_news begin_anew(struct crew__stall *stall, const struct crew__pulse *pulse,
	uint64_t began_ns, uint64_t now_ns)
{
	bool was_slow = stall->slow, same_turn = stall->turn_ns == began_ns;
	uint64_t seen_ns = stall->seen_ns;
	*stall = (struct crew__stall){
		.turn_ns = began_ns,
		.requests = pulse->requests,
		.callback = pulse->callback,
		.since_ns = same_turn ? now_ns : began_ns,
		.seen_ns = was_slow ? seen_ns : now_ns, /* for who is told that it is over */
	};
	return was_slow ? CREW__STALL_OVER : CREW__STALL_NONE;
}

static bool has_lasted(const struct crew__stall *stall, uint64_t limit_ns, uint64_t now_ns)
{
	return limit_ns != 0 && now_ns - stall->since_ns >= limit_ns;
}

enum crew__stall_news crew__stall_see(struct crew__stall *stall, const struct crew__pulse *pulse,
	uint64_t began_ns, const struct crew__stall_limits *limits, uint64_t now_ns)
{
	if (began_ns > now_ns)
		began_ns = 0; /* no such time has come yet */
	if (has_moved(stall, pulse, began_ns))
		return begin_anew(stall, pulse, began_ns, now_ns);
	if (began_ns == 0 || now_ns < stall->seen_ns + CONFIRM_MS * CREW__NS_PER_MS)
		return CREW__STALL_NONE;
	if (stall->slow)
		stall->seen_ns = now_ns;
	if (!stall->stuck && has_lasted(stall, limits->stuck_ns, now_ns)) {
		stall->stuck = stall->slow = true;
		return CREW__STALL_STUCK;
	}
	if (stall->slow || !has_lasted(stall, limits->slow_ns, now_ns))
		return CREW__STALL_NONE;
	stall->slow = true;
	stall->seen_ns = now_ns;
	return CREW__STALL_SLOW;
}

void crew__stall_forgive(struct crew__stall *stall, uint64_t now_ns)
{
	stall->slow = stall->stuck = false;
	stall->since_ns = stall->seen_ns = now_ns;
}

static uint64_t due_of(const struct crew__stall *stall, uint64_t limit_ns, bool told)
{
	uint64_t due;
	if (limit_ns == 0 || told || __builtin_add_overflow(stall->since_ns, limit_ns, &due))
		return UINT64_MAX;
	uint64_t confirmed = stall->seen_ns + CONFIRM_MS * CREW__NS_PER_MS;
	return due > confirmed ? due : confirmed;
}

uint64_t crew__stall_due(const struct crew__stall *stall, const struct crew__stall_limits *limits)
{
	if (stall->turn_ns == 0)
		return UINT64_MAX;
	uint64_t slow = due_of(stall, limits->slow_ns, stall->slow);
	uint64_t stuck = due_of(stall, limits->stuck_ns, stall->stuck);
	return slow < stuck ? slow : stuck;
}
