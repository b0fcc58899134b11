/* procfs.h - what the kernel says of another process, by /proc. */
#ifndef CREW_PROC_PROCFS_H
#define CREW_PROC_PROCFS_H

#include "base/base.h"

#include <sys/types.h>

/* /proc/PID/FILE as a text, cut to fit. False when it cannot be read or is empty. */
bool crew__procfs_read(pid_t pid, const char *file, char *text, size_t size);

/* The letter of its state: R running, S sleeping, D waiting in the kernel where no signal reaches
 * it, T stopped by a signal, t by a debugger, Z a zombie; 0: unknown, or gone. */
char crew__procfs_state(pid_t pid);

/* The kernel's function in which it waits; "" when that is none, or not ours to know. */
void crew__procfs_waits_in(pid_t pid, char *text, size_t size);

/* Its core is being written. */
bool crew__procfs_dumps_core(pid_t pid);

#endif
