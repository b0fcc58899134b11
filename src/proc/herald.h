/* herald.h - what this program tells its service manager, and when.
 *
 *   start     STATUS, and how long it may take            all workers are ready   READY=1
 *   reload    RELOADING=1 with the time it began          over, or failed         READY=1
 *   stop      STOPPING=1, and how long it may take
 *   between   STATUS with figures when they have changed; WATCHDOG=1 twice in the time the manager
 *             allows, unless a worker stands still
 *
 * A worker stands still when one turn of its loop has lasted for half of that time, or when it is
 * stopped by a signal. One that is starting or leaving has a deadline of its own and is let be. All
 * of it is read from the workers' shared memory; nobody is asked.
 *
 * Without a manager (`notify->on` false) every call returns at once and no timer runs. */
#ifndef CREW_PROC_HERALD_H
#define CREW_PROC_HERALD_H

#include "loop/loop.h"
#include "proc/notify.h"
#include "proc/registry.h"

enum crew__herald_state {
	CREW__HERALD_STARTING,
	CREW__HERALD_RUNNING,
	CREW__HERALD_RELOADING,
	CREW__HERALD_STOPPING,
};

struct crew__herald {
	struct crew__notify *notify; /* borrowed; NULL: not begun */
	struct crew__loop *loop;
	const struct crew__registry *registry;
	enum crew__herald_state state;
	struct crew__timer status_timer, watchdog_timer, flush_timer;
	pid_t still;      /* the worker for which WATCHDOG=1 is withheld; 0: none */
	char remark[200]; /* how the last reload failed; "": it did not */
	char told[CREW__NOTIFY_STATUS_MAX]; /* the last STATUS */
};

/* `notify`, `loop` and `registry` are borrowed and outlive it. */
void crew__herald_begin(struct crew__herald *herald, struct crew__notify *notify,
	struct crew__loop *loop, const struct crew__registry *registry);
/* Timers end; what could not be told yet is tried once more. Idempotent. */
void crew__herald_end(struct crew__herald *herald);

/* The workers are being started, which takes at most `bound_ms`. */
void crew__herald_starting(struct crew__herald *herald, uint64_t bound_ms);
/* All workers are ready. */
void crew__herald_ready(struct crew__herald *herald);
/* A reload was asked for; also when it will be refused, for the manager waits to hear of its end.
 */
void crew__herald_reloading(struct crew__herald *herald, uint64_t bound_ms);
/* SIGHUP came when no reload can begin. The manager that sent it waits for one, so what is under
 * way counts as that one. */
void crew__herald_hangup(struct crew__herald *herald);
/* It is over. `why`: it failed, or was refused; NULL: it is done. */
void crew__herald_reloaded(struct crew__herald *herald, const char *why);
/* The program stops, which takes at most `bound_ms`. Again: the new bound. */
void crew__herald_stopping(struct crew__herald *herald, uint64_t bound_ms);

/* It is not started, by `error` (a negative errno; 0: there is none to name). */
void crew__herald_failed(struct crew__notify *notify, int error, const char *why);

/* Across a re-exec: what the manager has been told. With restore the manager hears who is the main
 * process now, and timers run again. */
int crew__herald_save(const struct crew__herald *herald, json_t *into);
void crew__herald_restore(struct crew__herald *herald, const json_t *from);

/* ---- what it looks at (herald_look.c) ---- */

struct crew__figures {
	unsigned ready, starting, draining; /* workers */
	uint32_t generation;
	uint64_t connections, requests_per_s, send_fail;
};
void crew__figures_read(
	const struct crew__registry *registry, uint64_t now_ns, struct crew__figures *ret_figures);
/* As a STATUS for that state. */
void crew__figures_text(const struct crew__figures *figures, enum crew__herald_state state,
	char *text, size_t size);

/* A worker that stands still, of all the one that has for longest. */
struct crew__still {
	pid_t pid;
	char state;       /* crew__procfs_state() */
	bool stopped;     /* by a signal or a debugger */
	uint64_t turn_ns; /* else: how long its turn has lasted */
	char text[160];   /* a sentence that names it */
};
bool crew__still_find(const struct crew__registry *registry, uint64_t now_ns, uint64_t limit_ns,
	struct crew__still *ret_still);

#endif
