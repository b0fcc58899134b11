/* launch.h - what a program is started with: path, arguments, environment and working directory,
 * all taken once, at `start`.
 *
 * Workers that come later get the same, whatever happened to the process meanwhile. Everything here
 * is copied, because the argument area will carry the process title. */
#ifndef CREW_PROC_LAUNCH_H
#define CREW_PROC_LAUNCH_H

#include "base/base.h"

/* The variable that tells a process it is a worker: "FD:PID", its socket and its master. */
#define CREW__WORKER_VARIABLE "CREW_WORKER"

struct crew__launch {
	char *path;  /* of the program, absolute, not resolved: a link may be turned to a new one */
	char **argv; /* as main() got it */
	char **environment; /* `variables` of them, with room for one more */
	size_t variables;
	int cwd_fd;
};

/* -ENOMEM, or an errno of finding the program. */
int crew__launch_init(struct crew__launch *launch, int argc, char **argv);
void crew__launch_fini(struct crew__launch *launch);

/* The path of this program as in `path` above; the caller frees it. NULL: it cannot be told. */
char *crew__launch_find_program(void);
/* A path from the working directory of now; the caller frees it. NULL with errno. */
char *crew__launch_absolute(const char *path);

/* Open the program at its path as it is now: O_RDONLY, close-on-exec, checked to be a plain file
 * that may be executed. A descriptor or a negative errno, with a sentence. */
int crew__launch_open_program(
	const struct crew__launch *launch, char *ret_error, size_t error_size);

#endif
