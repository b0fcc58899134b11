/* stack.h - taking down where a thread of this process stands, from a signal handler in it.
 *
 * Addresses come from the unwind tables that every program has (the compiler needs no option for
 * it), names from symbols.h. Both read memory that a broken process may have broken: a fault on the
 * way ends the walk, and what was found until then stays. */
#ifndef CREW_PROC_STACK_H
#define CREW_PROC_STACK_H

#include "stats/words.h"

/* Once before the first handler: the unwinder sets itself up. */
void crew__stack_warm(void);

/* The addresses of where `context` (a ucontext_t) was interrupted. `stack->serial` is 0 meanwhile
 * and is left so. */
void crew__stack_take(struct crew__stack *stack, const void *context);
/* Their names. */
void crew__stack_name(struct crew__stack *stack);

/* First thing in every handler of faults: when this thread stands in one of the two above it is
 * thrown back there, and the call does not return. */
void crew__stack_escape(void);

/* Of the interrupted place; 0 on machines that this does not know. */
uintptr_t crew__stack_pc(const void *context);
uintptr_t crew__stack_pointer(const void *context);

#endif
