/* attach.h - from a command to the numbers of a running program.
 *
 * The master is asked over its control socket for read-only descriptors of its directory and of
 * every life; the workers are asked nothing. When the master does not answer within 500 ms they are
 * opened through /proc/PID/fd instead (the pid file names the directory's descriptor, the directory
 * those of the lives), and `master_answers` is false.
 *
 * A worker may attach to its own program in the same way (crew__attach_here); where it shares its
 * process with all the others it must not wait for itself, and takes what that process has. */
#ifndef CREW_PROC_ATTACH_H
#define CREW_PROC_ATTACH_H

#include "stats/directory.h"

struct crew__attached {
	pid_t master;
	bool master_answers;
	struct crew__directory directory;
	struct crew__directory_header *copy; /* a consistent copy; owned */
	bool copy_consistent;
	struct crew__segment *segments; /* one for each life in `copy` that could be opened */
	size_t segment_count;
};

/* `name` is the program's (settings->name): the files in the run directory are called after it.
 * 0; -ESRCH when it does not run there; else a negative errno. `ret_error` gets one line that says
 * what and what to do. */
int crew__attach(const char *run_dir, const char *name, struct crew__attached *ret_attached,
	char *ret_error, size_t error_size);
/* From inside a process that keeps all workers itself (crew__inside_use): -ENOTCONN in any other.
 */
int crew__attach_local(struct crew__attached *ret_attached);
/* From inside any process of the program: as crew__attach_local where that works, else as
 * crew__attach(). It may take 500 ms when the master hangs. */
int crew__attach_here(const char *run_dir, const char *name, struct crew__attached *ret_attached,
	char *ret_error, size_t error_size);
/* Read the directory again, and map lives that are new; for `status -d`. On failure what was
 * attached stays as it was. */
int crew__attach_refresh(struct crew__attached *attached, const char *run_dir, const char *name,
	char *ret_error, size_t error_size);
void crew__attach_fini(struct crew__attached *attached);

#endif
