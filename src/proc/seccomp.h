/* seccomp.h - a filter in front of the kernel: the system calls that no network service needs.
 *
 * It is a list of what is refused, not of what is allowed, because a program's libraries call what
 * they like: tracing and reading other processes, mounting, new namespaces, modules, kexec, bpf,
 * perf, keys, io_uring, the clock and the machine's names, putting words into a terminal. What only
 * root may do stands there too, for workers that are root. */
#ifndef CREW_PROC_SECCOMP_H
#define CREW_PROC_SECCOMP_H

#include "service/settings.h"

/* For all threads of this process and all that it executes, for good. After no_new_privs. 0;
 * -ENOSYS: not on this processor, or the kernel is built without; another errno. */
int crew__seccomp_apply(enum crew__seccomp_action action);

#endif
