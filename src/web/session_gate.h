/* session_gate.h - a lock between processes that nobody waits for without end, and that tells who
 * has it.
 *
 * LMDB has locks of its own, which wait as long as it takes; a process that is stopped while it has
 * one would stop all others. So whatever takes one of those is done behind this gate. It is a
 * record lock: the kernel opens the gate when its holder dies.
 *
 * Beside it, each process that uses the database says so, to find out whether it is alone.
 *
 * On fork: the child has none of its locks. One gate of a file for each process: closing another
 * descriptor of the file would drop them. */
#ifndef CREW_WEB_SESSION_GATE_H
#define CREW_WEB_SESSION_GATE_H

#include "base/base.h"

#include <sys/types.h>

struct crew__gate {
	int fd; /* -1: none */
};

/* The file `name` in the directory, made when it is not there. 0 or an errno. */
int crew__gate_open(struct crew__gate *gate, int dir_fd, const char *name);
void crew__gate_close(struct crew__gate *gate);

/* Try for at most `wait_us` (0: once), which is spent asleep. 0, or -EAGAIN. */
int crew__gate_enter(const struct crew__gate *gate, unsigned wait_us);
void crew__gate_leave(const struct crew__gate *gate);

/* Who else is inside: its process id, and in words ("process 17, which is stopped (by a signal or a
 * debugger)"). 0 when nobody is. */
pid_t crew__gate_holder(const struct crew__gate *gate, char *ret_text, size_t size);

/* Say that this process uses what the gate is for. 0: and it is the only one; 1: others do, too; or
 * an errno. To be called inside the gate. */
int crew__gate_join(const struct crew__gate *gate);

#endif
