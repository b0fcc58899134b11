/* inside.h - a process that keeps all workers itself (`start --single`), known to those inside it.
 *
 * A service that looks at its own program, or acts on it, does so by the control socket; in such a
 * process it would wait for an answer of its own, so it goes here instead. */
#ifndef CREW_PROC_INSIDE_H
#define CREW_PROC_INSIDE_H

#include "proc/control.h"

/* What that process answers to commands; copied. NULL: it is no such process (any more). */
void crew__inside_use(const struct crew__control_plan *plan);
/* NULL in every other process. */
const struct crew__control_plan *crew__inside(void);

#endif
