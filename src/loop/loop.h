/* loop.h - the event loop of one process: descriptors, timers, signals, posts, turns.
 *
 * A turn: wait for events; call the sources that are ready, each at most once; run timers that are
 * due; run posts; then the turn's end (`on_turn_end` hooks: dirty connections are flushed, closed
 * ones are destroyed). Time is read once a turn.
 *
 * A source may be removed, closed and forgotten by any callback of the turn, its own included, but
 * its memory must stay until the turn's end: an event that was already fetched for a removed source
 * is recognised by `fd < 0` and skipped.
 *
 * On fork: nothing is shared; a loop is made after exec. */
#ifndef CREW_LOOP_LOOP_H
#define CREW_LOOP_LOOP_H

#include "base/base.h"
#include "base/list.h"
#include "stats/histogram.h"

#include <sys/types.h>

/* The same bits as CREW_READ and CREW_WRITE; HUP is always reported, ENDED (the peer sends no more)
 * comes with READ, or can be watched alone. */
#define CREW__READ  1u
#define CREW__WRITE 2u
#define CREW__HUP   4u
#define CREW__ENDED 8u
/* Wake only one of the processes that share this descriptor (EPOLLEXCLUSIVE where there is one). */
#define CREW__SHARED 16u

struct crew__loop;
struct crew__source;
struct crew__timer;

/* Something with a descriptor. Embed it zeroed; `fd < 0` means removed. */
typedef void crew__source_fn(struct crew__source *source, unsigned events);
struct crew__source {
	crew__source_fn *fn;
	int fd;
	unsigned events; /* what is watched while fd >= 0; owned by the loop */
};

/* A timer in the loop's heap. Embed it zeroed; `place` is 0 when it is not running. */
typedef void crew__timer_fn(struct crew__timer *timer);
struct crew__timer {
	crew__timer_fn *fn;
	uint64_t due_ns;
	uint32_t place;
};

/* A hook at the end of each turn: return true when there is still work, so that the next wait does
 * not block. Embed it; hooks run in the order in which they were added. */
struct crew__turn_hook {
	struct crew__turn_hook *next;
	bool (*fn)(struct crew__turn_hook *hook);
};

/* The engines. AUTO takes epoll where there is one. */
enum crew__engine_kind {
	CREW__ENGINE_AUTO,
	CREW__ENGINE_EPOLL,
	CREW__ENGINE_POLL
};

int crew__loop_new(enum crew__engine_kind kind, struct crew__loop **ret_loop);
void crew__loop_free(struct crew__loop *loop); /* NULL is allowed; sources are the caller's */
const char *crew__loop_engine(const struct crew__loop *loop); /* "epoll", "poll" */

/* Turn until crew__loop_stop. 0, or a negative errno of the engine. */
int crew__loop_run(struct crew__loop *loop);
/* One turn that waits at most `max_wait_ms` (-1: no limit). For tests and for --single. */
int crew__loop_turn(struct crew__loop *loop, int max_wait_ms);
void crew__loop_stop(struct crew__loop *loop);

/* The turn's time. */
uint64_t crew__loop_ns(const struct crew__loop *loop);
/* The same, with the number of the turn, for those who ask too often for a call: it changes with each
 * turn and lives as long as the loop. */
struct crew__turn_clock {
	uint64_t ns;
	uint32_t turn;
};
const struct crew__turn_clock *crew__loop_clock(const struct crew__loop *loop);
/* Where the loop notes when the present turn began (ns), 0 while it waits, and how long turns took
 * (one in CREW__TIMED_EACH); e.g. in shared memory. `turns` may be NULL. NULL for the first: nowhere.
 * Several may be added (--single has one for each worker); -ENOBUFS beyond CREW_MAX_SERVICES. */
enum {
	CREW__TIMED_EACH = 64 /* the 1st, 65th, ...; with 16 an echo costs 2 % more */
};
int crew__loop_note_turns(struct crew__loop *loop, _Atomic uint64_t *turn_began_ns,
	struct crew__histogram *turns);

/* True within a turn that is timed, for those who time what they do in it. One for the process: all
 * that it tells of happens in the one loop that turns in it. */
extern bool crew__loop_timed;
/* Call `fn` at such a turn's beginning (true) and end (false): for those whose work is too small for
 * the question. NULL: nobody. */
void crew__loop_on_timed(struct crew__loop *loop, void (*fn)(bool timed));

/* Watch source->fd for `events`. 0 or a negative errno; -EPERM for plain files. */
int crew__loop_add(struct crew__loop *loop, struct crew__source *source, unsigned events);
/* Change what is watched (the source was added before). */
int crew__loop_mod(struct crew__loop *loop, struct crew__source *source, unsigned events);
/* Stop watching and set fd to -1; the caller closes the descriptor. Removed: nothing happens. */
void crew__loop_remove(struct crew__loop *loop, struct crew__source *source);

/* (Re)start a timer that fires once, when the turn's time is `due_ns` or later; timers of one time
 * fire in the order of their starts. One that is started by a timer's callback waits for the next
 * turn. -ENOMEM, never for a timer that runs. Stop: nothing when not running. */
int crew__timer_start(struct crew__loop *loop, struct crew__timer *timer, uint64_t due_ns);
void crew__timer_stop(struct crew__loop *loop, struct crew__timer *timer);

void crew__loop_add_hook(struct crew__loop *loop, struct crew__turn_hook *hook);
void crew__loop_remove_hook(struct crew__loop *loop, struct crew__turn_hook *hook);
/* There is work for a hook that has run in this turn: the next wait does not block. */
void crew__loop_again(struct crew__loop *loop);

/* Call `fn(signo, arg)` in the loop when the process gets the signal (blocked and read by
 * signalfd). One handler for each signal; calling again replaces it. Call it before any thread is
 * made: threads inherit the mask. It stays blocked when the loop is freed. 0, -EINVAL (fn NULL, a
 * signal that cannot be caught), or an errno. */
int crew__loop_signal(
	struct crew__loop *loop, int signo, void (*fn)(int signo, void *arg), void *arg);
/* Undo the signal mask in a child between fork and exec. */
void crew__loop_unblock_signals(void);

/* From any thread: call `fn(arg)` in the loop, in order. 0, -ENOMEM, -ESHUTDOWN once crew__loop_run
 * has returned; what was queued by then is never called. */
int crew__loop_post(struct crew__loop *loop, void (*fn)(void *arg), void *arg);
/* The same for an `arg` that somebody must free: when it was queued and `fn` will never be called,
 * `drop(arg)` is, by crew__loop_run or crew__loop_free. On an error it is still the caller's. */
int crew__loop_post_owned(
	struct crew__loop *loop, void (*fn)(void *arg), void (*drop)(void *arg), void *arg);

/* The same by a post that is the caller's: no memory is asked for. It may be posted again as soon as
 * `fn` has been called, from another thread too; not while it is queued. 0 or -ESHUTDOWN. */
struct crew__post {
	struct crew__post *next;
	void (*fn)(void *arg);
	void (*drop)(void *arg); /* NULL: nothing */
	void *arg;
	bool kept; /* by whoever posts it; else it is freed when it has run */
};
int crew__loop_post_kept(struct crew__loop *loop, struct crew__post *post);

#endif
