/* signals.h - the signals of a process that commands and its terminal talk to by them: the master,
 * or master and workers in one (worker processes ignore nearly all, process.c). */
#ifndef CREW_PROC_SIGNALS_H
#define CREW_PROC_SIGNALS_H

#include "loop/loop.h"

struct crew__signal_use {
	int signo;
	void (*fn)(int signo, void *arg);
};

/* From now on each calls its function, from the loop, with `arg`; what would end the process
 * instead of failing a write is ignored. 0 or a negative errno. */
int crew__signals_watch(
	struct crew__loop *loop, const struct crew__signal_use *uses, size_t count, void *arg);

#endif
