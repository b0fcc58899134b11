/* watchdog.h - the master looks whether its workers turn, and says so when one does not.
 *
 * It looks at shared memory only, twice a second and more often while something moves; workers do
 * nothing for it. One that one call has kept for slow_callback_ms is asked where it stands
 * (asked.h), and what it answers is logged, kept as an event, and counted; after stuck_ms it is
 * ended by SIGABRT, so that it leaves last words, and by SIGKILL when that does not help.
 *
 * Who does not run is not slow: a worker that a signal or a debugger has stopped is told of as
 * stopped, and that time counts for nothing. */
#ifndef CREW_PROC_WATCHDOG_H
#define CREW_PROC_WATCHDOG_H

#include "loop/loop.h"
#include "proc/stall.h"

struct crew__master;
struct crew__child;

/* In struct crew__master. */
struct crew__watchdog {
	struct crew__timer timer;
	struct crew__master *master;
	uint64_t moved; /* what all workers had done at the last look */
};

/* In struct crew__child. */
struct crew__guarded {
	struct crew__stall stall;
	bool asked, told; /* of the present stall */
	bool by_debugger; /* told that it is stopped by one */
	uint32_t serial;  /* of the stack that was there before it was asked */
	uint64_t asked_ns;
	uint64_t quiet_until_ns; /* nothing is told of it before */
	uint32_t untold;         /* stalls since */
	uint64_t aborted_ns;     /* when it was ended for being stuck; 0: it was not */
	char how[64];   /* "running", "waits in the kernel, in do_sys_poll" when it was asked */
	char stuck[96]; /* for its obituary: "it was stuck in on_message for 30.0 s" */
};

void crew__watchdog_start(struct crew__watchdog *watchdog, struct crew__master *master);
void crew__watchdog_stop(struct crew__watchdog *watchdog);

/* waitpid() says that this child was stopped, or goes on. */
void crew__watchdog_paused(struct crew__child *child, int wait_status);

#endif
