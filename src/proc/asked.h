/* asked.h - a worker tells its master where it stands, in the middle of whatever it does.
 *
 * The master sends SIGURG, which a process without the handler ignores, so one that is not set up
 * yet and one of an older version take no harm. The handler takes the stack of the worker's own
 * thread down into shared memory (stats/words.h) and goes on. Of other senders it takes no notice.
 *
 * A system call that the signal interrupts goes on where the kernel can make it so; those that
 * never do (sleep, poll) return early: signal(7). */
#ifndef CREW_PROC_ASKED_H
#define CREW_PROC_ASKED_H

#include "stats/words.h"

#include <sys/types.h>

/* In the worker: answer from now on. Nothing when the program has a handler of its own for SIGURG.
 */
void crew__asked_begin(struct crew__words *words, pid_t master);
void crew__asked_end(void);

/* In the master: ask. False: there is no such process. */
bool crew__ask(pid_t worker);

#endif
