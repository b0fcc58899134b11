/* obituary.h - who died, of what, after how long, and what happens next: one line in the log. */
#ifndef CREW_PROC_OBITUARY_H
#define CREW_PROC_OBITUARY_H

#include "proc/child.h"

/* "was killed by SIGSEGV (core dumped)", "exited with status 3", "ended". */
void crew__death_text(const struct crew__death *death, char *text, size_t size);

/* What it left, in words: what the kernel says of its fault and where it stood, what it said itself.
 * "" when that is nothing. */
void crew__death_words(
	const struct crew__child *child, const struct crew__death *death, char *text, size_t size);

/* Write the line, and its stack in lines of their own, then call the service's on_worker_exit. `next` is what happens now. */
void crew__obituary(
	const struct crew__child *child, const struct crew__death *death, const char *next);

#endif
