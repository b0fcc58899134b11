/* pidfile.h - which process is the master: a file that it keeps locked for its whole life.
 *
 * RUNDIR/NAME.pid holds three lines: the pid, that process's start time (clock ticks since boot, as
 * in /proc/PID/stat) and the number of its descriptor of the directory of lives. Whether the
 * program runs is told by the lock alone: it ends with the master, however it dies. The pid is
 * believed only while the lock is held and the start time fits, so that a recycled pid is never
 * signalled. */
#ifndef CREW_PROC_PIDFILE_H
#define CREW_PROC_PIDFILE_H

#include "base/base.h"

#include <sys/types.h>

struct crew__pidfile {
	int fd; /* holds the lock; -1 when there is none */
	char *path;
};

/* What a pid file says of the master that holds it. */
struct crew__running {
	pid_t pid;
	uint64_t start_time;
	int directory_fd;
};

/* Make the run directory (mode 0755) and what is missing above it. */
int crew__run_dir_make(const char *run_dir, char *ret_error, size_t error_size);

/* Create and lock the file, empty as yet. -EBUSY when a running master holds it. */
int crew__pidfile_lock(const char *run_dir, const char *name, struct crew__pidfile *ret_file,
	char *ret_error, size_t error_size);
/* Write this process in. */
int crew__pidfile_write(const struct crew__pidfile *file, int directory_fd);
/* Remove the file and give up the lock. Idempotent. */
void crew__pidfile_remove(struct crew__pidfile *file);

/* Who runs. -ESRCH: nobody. -EAGAIN: somebody holds the lock and has not written itself in for half
 * a second. Another negative errno: the file cannot be read. */
int crew__pidfile_read(const char *run_dir, const char *name, struct crew__running *ret_running);
/* A pidfd of the running master, which from then on cannot be mistaken for another process. Errors
 * as above. */
int crew__pidfile_pidfd(const char *run_dir, const char *name, struct crew__running *ret_running);

/* When a process started, in clock ticks since boot; 0 when there is no such process. If
 * `ret_parent` is not NULL it gets the parent's pid. */
uint64_t crew__process_start_time(pid_t pid, pid_t *ret_parent);

#endif
