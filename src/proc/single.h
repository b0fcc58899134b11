/* single.h - `start --single`: every service in one loop in this process, for a debugger or
 * valgrind.
 *
 * No fork, no exec, worker id 0 each. Commands find it as they find a master, and the numbers stand
 * in the same kind of memory; the loop that serves connections answers them. */
#ifndef CREW_PROC_SINGLE_H
#define CREW_PROC_SINGLE_H

#include "proc/fd_store.h"
#include "proc/log_file.h"

struct crew__single;

struct crew__single_plan {
	struct crew__settings *settings;
	struct crew__listeners *listeners; /* borrowed; workers get duplicates; closed at a stop */
	struct crew__log_file *log;
	struct crew__notify *notify;     /* the service manager */
	struct crew__fd_store *fd_store; /* with it */
	void (*on_started)(void *arg, const char *engine);
	void *arg;
};

int crew__single_new(const struct crew__single_plan *plan, struct crew__single **ret_single,
	char *ret_error, size_t error_size);
/* The directory's descriptor, for the pid file. */
int crew__single_directory_fd(const struct crew__single *single);
/* Start the services and turn until all are done: the exit status; 1 with a sentence when one did
 * not start. */
int crew__single_run(struct crew__single *single, char *ret_error, size_t error_size);
void crew__single_free(struct crew__single *single); /* NULL is allowed */

#endif
