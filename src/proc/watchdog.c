/* watchdog.c - looks, and what follows. Not here: when a stall is one (stall.c), where a worker
 * stands (asked.c). */
#include "proc/watchdog.h"

#include "proc/asked.h"
#include "proc/chronicle.h"
#include "proc/master.h"
#include "proc/procfs.h"

#include "base/clock.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

enum {
	LOOK_MOST_MS = 500,
	LOOK_LEAST_MS = 10,
	ANSWER_MS = 500,      /* for a stack that it was asked for */
	QUIET_MS = 10000,     /* between two warnings about one worker */
	START_SLOW_MS = 5000, /* on_worker_start may take its time */
	DUMP_MS = 60000,      /* for a core to be written */
};

static const char *name_of(const struct crew__child *child)
{
	return crew__child_settings(child)->service->name;
}

static const char *callback_of(const struct crew__child *child)
{
	uint32_t callback = child->guarded.stall.callback;
	return callback != CREW__CB_NONE && callback < CREW__CALLBACKS
		       ? crew__callback_name((enum crew__callback)callback)
		       : "crew itself";
}

static uint64_t lasted_ms(const struct crew__child *child, uint64_t until_ns)
{
	return (until_ns - child->guarded.stall.since_ns) / CREW__NS_PER_MS;
}

static struct crew__stall_limits limits_of(const struct crew__child *child)
{
	const struct crew__service_settings *settings = crew__child_settings(child);
	uint64_t slow_ms = (uint64_t)settings->slow_callback_ms;
	if (slow_ms != 0 && child->state == CREW__CHILD_STARTING)
		return (struct crew__stall_limits){ .slow_ns = crew__max(slow_ms, START_SLOW_MS) *
							       CREW__NS_PER_MS };
	return (struct crew__stall_limits){ .slow_ns = slow_ms * CREW__NS_PER_MS,
		.stuck_ns = (uint64_t)settings->stuck_ms * CREW__NS_PER_MS };
}

/* ---- telling ------------------------------------------------------------------------------- */

static void log_stack(const struct crew__child *child, const struct crew__stack *stack)
{
	char frame[CREW__FRAME_TEXT_MAX];
	for (uint32_t i = 0; i < stack->frames; i++)
		crew__log(CREW_WARN, "%s#%u (pid %d)   %2" PRIu32 " %s", name_of(child), child->id,
			(int)child->pid, i, crew__frame_text(&stack->frame[i], frame));
}

/* `stack` NULL: it gave none. */
static void tell_slow(
	struct crew__child *child, const struct crew__stack *stack, uint64_t lasted, bool over)
{
	struct crew__guarded *guarded = &child->guarded;
	char more[48] = "", where[192] = "";
	if (guarded->untold > 0)
		snprintf(more, sizeof(more), " (%" PRIu32 " more since the last such line)",
			guarded->untold);
	if (stack)
		crew__stack_text(stack, where, sizeof(where));
	crew__log(CREW_WARN, "%s#%u (pid %d) %s in %s for %" PRIu64 " ms, %s: %s%s", name_of(child),
		child->id, (int)child->pid, over ? "was" : "has been", callback_of(child), lasted,
		guarded->how, where[0] ? where : "no stack could be had", more);
	if (stack)
		log_stack(child, stack);
	crew__chronicle_stall(child, CREW__EVENT_SLOW_CALLBACK, lasted, where);
	guarded->told = true;
	guarded->untold = 0;
	guarded->quiet_until_ns = crew__clock_ns() + QUIET_MS * CREW__NS_PER_MS;
}

static const struct crew__words *words_of(const struct crew__child *child)
{
	return crew__segment_words(&child->entry->segment);
}

static uint32_t serial_of(const struct crew__child *child)
{
	const struct crew__words *words = words_of(child);
	return words ? atomic_load_explicit(&words->asked.serial, memory_order_acquire) : 0;
}

/* What it has answered; false: not yet. */
static bool take_answer(const struct crew__child *child, struct crew__stack *ret_stack)
{
	const struct crew__words *words = words_of(child);
	return words && crew__stack_copy(&words->asked, ret_stack) &&
	       atomic_load_explicit(&ret_stack->serial, memory_order_relaxed) !=
		       child->guarded.serial &&
	       ret_stack->frames > 0;
}

static void await_answer(struct crew__child *child, uint64_t now_ns, bool over)
{
	struct crew__guarded *guarded = &child->guarded;
	struct crew__stack stack;
	if (!guarded->asked || guarded->told)
		return;
	bool answered = take_answer(child, &stack);
	if (!answered && !over && now_ns - guarded->asked_ns < ANSWER_MS * CREW__NS_PER_MS)
		return;
	uint64_t until_ns = over ? guarded->stall.seen_ns : now_ns;
	tell_slow(child, answered ? &stack : NULL, lasted_ms(child, until_ns), over);
}

/* ---- what news are answered with ----------------------------------------------------------- */

/* True when it does not run because somebody has stopped it. */
static bool is_held(struct crew__child *child, char state, uint64_t now_ns)
{
	bool held = state == 'T' || state == 't';
	if (state == 't' && !child->guarded.by_debugger)
		crew__log(CREW_WARN, "%s#%u (pid %d) is held by a debugger", name_of(child),
			child->id, (int)child->pid);
	child->guarded.by_debugger = state == 't';
	if (held)
		crew__stall_forgive(&child->guarded.stall, now_ns);
	return held;
}

static void note_how(struct crew__child *child, char state)
{
	struct crew__guarded *guarded = &child->guarded;
	char place[40] = "";
	if (state == 'R') {
		snprintf(guarded->how, sizeof(guarded->how), "running");
		return;
	}
	crew__procfs_waits_in(child->pid, place, sizeof(place));
	snprintf(guarded->how, sizeof(guarded->how), "%s%s%s",
		state == 'D' ? "stuck in the kernel" : "waiting", place[0] ? " in " : "", place);
}

static void be_slow(struct crew__child *child, uint64_t now_ns)
{
	struct crew__guarded *guarded = &child->guarded;
	char state = crew__procfs_state(child->pid);
	if (is_held(child, state, now_ns))
		return;
	crew__pulse_count(&child->entry->segment, "slow_callbacks");
	guarded->asked = guarded->told = false;
	if (now_ns < guarded->quiet_until_ns) {
		guarded->untold++;
		return;
	}
	note_how(child, state);
	guarded->serial = serial_of(child);
	guarded->asked = true;
	guarded->asked_ns = now_ns;
	if (state == 'D' || !crew__ask(child->pid)) /* no signal reaches it there */
		tell_slow(child, NULL, lasted_ms(child, now_ns), false);
}

static void end_stuck(struct crew__child *child, uint64_t now_ns)
{
	struct crew__guarded *guarded = &child->guarded;
	char state = crew__procfs_state(child->pid);
	if (is_held(child, state, now_ns))
		return;
	uint64_t lasted = lasted_ms(child, now_ns);
	note_how(child, state);
	snprintf(guarded->stuck, sizeof(guarded->stuck),
		"it was stuck in %s for %" PRIu64 ".%" PRIu64 " s", callback_of(child),
		lasted / 1000, lasted % 1000 / 100);
	crew__log(CREW_ERROR,
		"%s#%u (pid %d) has been in %s for %" PRIu64
		" ms (stuck_ms = %lld), %s, and is ended",
		name_of(child), child->id, (int)child->pid, callback_of(child), lasted,
		(long long)crew__child_settings(child)->stuck_ms, guarded->how);
	crew__pulse_count(&child->entry->segment, "stuck_killed");
	crew__chronicle_stall(child, CREW__EVENT_STUCK, lasted, guarded->how);
	guarded->aborted_ns = now_ns;
	kill(child->pid, SIGABRT);
}

static void tell_over(struct crew__child *child, const struct crew__stall *before, uint64_t now_ns)
{
	struct crew__guarded *guarded = &child->guarded;
	struct crew__stall present = guarded->stall;
	guarded->stall = *before;
	guarded->stall.seen_ns = present.seen_ns;
	await_answer(child, now_ns, true);
	if (guarded->told)
		crew__log(CREW_INFO, "%s#%u (pid %d) goes on, after at most %" PRIu64 " ms in %s",
			name_of(child), child->id, (int)child->pid, lasted_ms(child, now_ns),
			callback_of(child));
	guarded->stall = present;
	guarded->asked = guarded->told = false;
}

/* SIGABRT has not helped: it is handled, ignored or blocked, or a core is being written. */
static void make_sure(struct crew__child *child, uint64_t now_ns)
{
	struct crew__guarded *guarded = &child->guarded;
	uint64_t since_ms = (now_ns - guarded->aborted_ns) / CREW__NS_PER_MS;
	if (guarded->aborted_ns == 0 || since_ms < CREW__KILL_GRACE_MS ||
		(since_ms < DUMP_MS && crew__procfs_dumps_core(child->pid)))
		return;
	crew__log(CREW_ERROR, "%s#%u (pid %d) does not end by SIGABRT and is killed",
		name_of(child), child->id, (int)child->pid);
	guarded->aborted_ns = now_ns;
	crew__child_kill(child);
}

/* ---- looks --------------------------------------------------------------------------------- */

/* Since when it is busy; on_worker_start runs before its loop turns. */
static uint64_t busy_since(const struct crew__child *child, const struct crew__pulse *pulse)
{
	if (pulse->turn_began_ns == 0 && pulse->callback == CREW__CB_WORKER_START)
		return child->began_ns;
	return pulse->turn_began_ns;
}

/* When it wants to be looked at again. */
static uint64_t look_at(struct crew__child *child, uint64_t now_ns, uint64_t *moved)
{
	struct crew__guarded *guarded = &child->guarded;
	struct crew__stall before = guarded->stall;
	struct crew__stall_limits limits = limits_of(child);
	struct crew__pulse pulse;
	if (child->dead || !crew__pulse_read(&child->entry->segment, &pulse))
		return UINT64_MAX;
	uint64_t began_ns = busy_since(child, &pulse);
	*moved += began_ns + pulse.requests;
	switch (crew__stall_see(&guarded->stall, &pulse, began_ns, &limits, now_ns)) {
	case CREW__STALL_SLOW:
		be_slow(child, now_ns);
		break;
	case CREW__STALL_STUCK:
		end_stuck(child, now_ns);
		break;
	case CREW__STALL_OVER:
		tell_over(child, &before, now_ns);
		break;
	case CREW__STALL_NONE:
		await_answer(child, now_ns, false);
		break;
	}
	make_sure(child, now_ns);
	if (guarded->asked && !guarded->told)
		return now_ns + LOOK_LEAST_MS * CREW__NS_PER_MS;
	return crew__stall_due(&guarded->stall, &limits);
}

/* The shortest time in which a worker may become slow, halved. */
static uint64_t pace_ms(const struct crew__master *master)
{
	const struct crew__settings *settings = master->generation->settings;
	uint64_t pace = LOOK_MOST_MS;
	for (unsigned i = 0; i < settings->services; i++) {
		uint64_t slow = (uint64_t)settings->service[i].slow_callback_ms;
		if (slow != 0)
			pace = crew__min(pace, slow / 2);
	}
	return crew__max(pace, LOOK_LEAST_MS);
}

static void look_later(struct crew__watchdog *watchdog, uint64_t due_ns)
{
	if (crew__timer_start(watchdog->master->loop, &watchdog->timer, due_ns) < 0)
		crew__log(CREW_ERROR,
			"slow callbacks are not looked for any more: no memory for a timer; restart");
}

static void on_timer(struct crew__timer *timer)
{
	struct crew__watchdog *watchdog = crew__container_of(timer, struct crew__watchdog, timer);
	struct crew__master *master = watchdog->master;
	uint64_t now_ns = crew__clock_ns(), next_ns = UINT64_MAX, moved = 0;
	struct crew__node *head = &master->family.children;
	for (struct crew__node *n = head->next, *after; n != head; n = after) {
		after = n->next;
		uint64_t due_ns = look_at(
			crew__container_of(n, struct crew__child, node), now_ns, &moved);
		next_ns = due_ns < next_ns ? due_ns : next_ns;
	}
	crew__slots_forgive(master, now_ns);
	uint64_t pace = moved == watchdog->moved ? LOOK_MOST_MS : pace_ms(master);
	watchdog->moved = moved;
	uint64_t least_ns = now_ns + LOOK_LEAST_MS * CREW__NS_PER_MS;
	uint64_t regular_ns = now_ns + pace * CREW__NS_PER_MS;
	next_ns = next_ns < regular_ns ? next_ns : regular_ns;
	look_later(watchdog, next_ns > least_ns ? next_ns : least_ns);
}

void crew__watchdog_start(struct crew__watchdog *watchdog, struct crew__master *master)
{
	*watchdog = (struct crew__watchdog){ .timer = { .fn = on_timer }, .master = master };
	look_later(watchdog, crew__clock_ns() + pace_ms(master) * CREW__NS_PER_MS);
}

void crew__watchdog_stop(struct crew__watchdog *watchdog)
{
	if (watchdog->master)
		crew__timer_stop(watchdog->master->loop, &watchdog->timer);
}

void crew__watchdog_paused(struct crew__child *child, int wait_status)
{
	crew__stall_forgive(&child->guarded.stall, crew__clock_ns());
	if (WIFSTOPPED(wait_status))
		crew__log(CREW_WARN,
			"%s#%u (pid %d) was stopped by SIG%s and serves nobody; 'kill -CONT %d' lets "
			"it go on",
			name_of(child), child->id, (int)child->pid,
			sigabbrev_np(WSTOPSIG(wait_status)), (int)child->pid);
	else
		crew__log(CREW_INFO, "%s#%u (pid %d) goes on after it was stopped", name_of(child),
			child->id, (int)child->pid);
}
