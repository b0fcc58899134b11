/* last_words.h - what a dying process still writes down: the signal, what it was for, where it
 * stood.
 *
 * Handlers for the signals of faults, on a stack of their own, so that an overflow of the stack is
 * told as well. They write into memory that outlives the process (stats/words.h) and then let
 * happen what would have happened: the same signal, with the same siginfo, from the same place, so
 * that a core dump shows the fault and not the handler.
 *
 * A signal that has a handler already is left to it: the program's own, or a sanitizer's. A child
 * that the program forks writes nothing: these are not its words. */
#ifndef CREW_PROC_LAST_WORDS_H
#define CREW_PROC_LAST_WORDS_H

#include "stats/words.h"

/* Where to write. `words` may be NULL (an older master's segment has none); `line`, of `size`
 * bytes, then gets what fits into one line. */
struct crew__last_words_plan {
	struct crew__words *words;
	char *line;
	size_t size;
};

/* Nothing fails: what cannot be had is not told. */
void crew__last_words_begin(const struct crew__last_words_plan *plan);
/* The memory goes: the signals do what they did before. */
void crew__last_words_end(void);

/* For another thread of this process, in that thread: a stack for the handlers. Without it an
 * overflow of its own stack is not told. The end frees it. */
void crew__last_words_thread_begin(void);
void crew__last_words_thread_end(void);

#endif
