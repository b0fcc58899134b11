/* order.h - asking the program to end connections or to change a setting: by a command, or by a
 * worker of it (the admin service).
 *
 * By the control socket, waiting at most CREW__ORDER_MS for the master; in a process that keeps all
 * workers itself, directly (inside.h). Then what follows (on_close, ...) happens before the call
 * returns or at the turn's end, as after crew_abort(). All return 0; -ESRCH: it does not run;
 * another negative errno (-EACCES: refused, or not let in); `ret_error` gets one line that says
 * what and what to do. */
#ifndef CREW_PROC_ORDER_H
#define CREW_PROC_ORDER_H

#include "base/base.h"

enum {
	CREW__ORDER_MS = 1000
};

/* What became of it: it was told to so many. Also the answer on the wire. */
struct crew__handed_on {
	uint32_t told; /* set: workers; kick: connections whose worker was told */
	uint32_t
		late; /* ... that do not listen now: told as soon as they do (set), or not (kick) */
};

/* End the connections with these ids, any number of them. Ids of nobody are no error: look again
 * whether they are there. */
int crew__order_kick(const char *run_dir, const char *name, const uint64_t *ids, size_t count,
	struct crew__handed_on *ret_handed_on, char *ret_error, size_t error_size);

/* SECTION.KEY=VALUE. */
int crew__order_set(const char *run_dir, const char *name, const char *text,
	struct crew__handed_on *ret_handed_on, char *ret_error, size_t error_size);

#endif
