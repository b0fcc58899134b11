/* timers.c - one-shot timers in a binary heap.
 *
 * For the program's timers and the loop's own few; deadlines of connections, of which there are
 * very many and which nearly never come, live in a wheel (wheel.h). Starting and stopping cost
 * O(log n) and only a start of a timer that does not run may allocate. */
#include "loop/parts.h"

#include "base/check.h"

#include <stdlib.h>

enum {
	FIRST_ROOM = 16
};

static bool before(const struct crew__timer_slot *a, const struct crew__timer_slot *b)
{
	if (a->due_ns != b->due_ns)
		return a->due_ns < b->due_ns;
	return a->order < b->order;
}

static void put(struct crew__timers *timers, uint32_t index, struct crew__timer_slot slot)
{
	timers->slots[index] = slot;
	slot.timer->place = index + 1;
}

/* Put `slot` where it belongs, given that slots[index] is free and the rest is a heap. */
static void settle(struct crew__timers *timers, uint32_t index, struct crew__timer_slot slot)
{
	while (index > 0) {
		uint32_t parent = (index - 1) / 2;
		if (!before(&slot, &timers->slots[parent]))
			break;
		put(timers, index, timers->slots[parent]);
		index = parent;
	}
	for (;;) {
		uint64_t child = (uint64_t)index * 2 + 1;
		if (child >= timers->count)
			break;
		if (child + 1 < timers->count &&
			before(&timers->slots[child + 1], &timers->slots[child]))
			child++;
		if (!before(&timers->slots[child], &slot))
			break;
		put(timers, index, timers->slots[child]);
		index = (uint32_t)child;
	}
	put(timers, index, slot);
}

static void note_first(struct crew__timers *timers)
{
	timers->next_ns = timers->count > 0 ? timers->slots[0].due_ns : CREW__NEVER;
}

static void take_out(struct crew__timers *timers, uint32_t index)
{
	timers->slots[index].timer->place = 0;
	timers->count--;
	if (index < timers->count)
		settle(timers, index, timers->slots[timers->count]);
	note_first(timers);
}

static int grow(struct crew__timers *timers)
{
	if (timers->room > UINT32_MAX / 4)
		return -ENOMEM;
	uint32_t room = timers->room > 0 ? timers->room * 2 : FIRST_ROOM;
	struct crew__timer_slot *slots = reallocarray(timers->slots, room, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	timers->slots = slots;
	timers->room = room;
	return 0;
}

int crew__timer_start(struct crew__loop *loop, struct crew__timer *timer, uint64_t due_ns)
{
	struct crew__timers *timers = &loop->timers;
	struct crew__timer_slot slot = { due_ns, timers->starts, timer };
	if (due_ns <= timers->running_ns) {
		/* Else a timer that restarts itself for now would keep the turn from ending. */
		slot.due_ns = timers->running_ns + 1;
		loop->again = true;
	}
	uint32_t index = timer->place - 1;
	if (timer->place == 0) {
		if (timers->count == timers->room) {
			int error = grow(timers);
			if (error)
				return error;
		}
		index = timers->count++;
	}
	timers->starts++;
	timer->due_ns = due_ns;
	settle(timers, index, slot);
	note_first(timers);
	return 0;
}

void crew__timer_stop(struct crew__loop *loop, struct crew__timer *timer)
{
	if (timer->place == 0)
		return;
	crew__must(timer->place <= loop->timers.count);
	crew__must(loop->timers.slots[timer->place - 1].timer == timer);
	take_out(&loop->timers, timer->place - 1);
}

void crew__timers_run(struct crew__timers *timers, uint64_t now_ns)
{
	timers->running_ns = now_ns;
	/* Begin at the top each time: a callback may have started or stopped any timer. */
	while (timers->count > 0 && timers->next_ns <= now_ns) {
		struct crew__timer *timer = timers->slots[0].timer;
		take_out(timers, 0);
		timer->fn(timer);
	}
	timers->running_ns = 0;
}

void crew__timers_init(struct crew__timers *timers)
{
	*timers = (struct crew__timers){ .next_ns = CREW__NEVER };
}

void crew__timers_fini(struct crew__timers *timers)
{
	for (uint32_t i = 0; i < timers->count; i++)
		timers->slots[i].timer->place = 0;
	free(timers->slots);
	crew__timers_init(timers);
}
