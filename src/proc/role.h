/* role.h - how a process of this program is told what it is for: a worker, a plan, the master's
 * next image.
 *
 * By a variable of the environment, NAME=FD:PID: a descriptor that says the rest, and the master
 * that set it. It is taken away at once, so that nothing the program starts inherits it. */
#ifndef CREW_PROC_ROLE_H
#define CREW_PROC_ROLE_H

#include "proc/launch.h"

#include <sys/types.h>

enum {
	CREW__ROLE_SIZE = 256 /* of the variable; padded, as the process title will stand there */
};

/* Write NAME=FD:PID. Async-signal-safe. */
void crew__role_write(char text[CREW__ROLE_SIZE], const char *name, int fd, pid_t master);
/* Read and remove the variable; false when it is not there or is none of ours. */
bool crew__role_take(const char *name, int *ret_fd, pid_t *ret_master);
/* The descriptor, close-on-exec from now on, when it was our parent that set the variable; else -1.
 */
int crew__role_fd(const char *name);

/* What is left open for the role besides standard input, output and errors. */
struct crew__role_fds {
	size_t count;
	const int *fds;
};

/* Become that role with `fd` left open, and `more` (may be NULL), with the program's arguments,
 * environment and directory; the set of blocked signals stays. Async-signal-safe. Returns only when
 * it cannot: an errno, with the directory and the descriptors' flags changed. */
int crew__role_become(const struct crew__launch *launch, int program_fd, const char *name, int fd,
	const struct crew__role_fds *more, pid_t master);
/* For a forked process: the signals of a terminal's process group and of operators are the master's
 * to interpret; they stay blocked until the process has said what it does with each. */
void crew__role_block_signals(void);
/* For a forked process that only `master` waits for: become that role, and die with the master.
 * Exit status 127 when it cannot. */
_Noreturn void crew__role_exec(const struct crew__launch *launch, int program_fd, const char *name,
	int fd, const struct crew__role_fds *more, pid_t master);

#endif
