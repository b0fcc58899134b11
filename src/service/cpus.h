/* cpus.h - on which processors the workers of a service run: the words of `cpu_affinity`.
 *
 *   0-3,6         all workers on these
 *   each 0-3,6    each on one of these, by its number
 *   auto          each on one of those that the program may use */
#ifndef CREW_SERVICE_CPUS_H
#define CREW_SERVICE_CPUS_H

#include "base/base.h"

#include <sched.h>

struct crew__cpus {
	bool each;
	bool automatic; /* `set` is empty: those that are usable when it is asked for */
	cpu_set_t set;
};

/* 0; -EINVAL: these are no such words; -ERANGE: a number is larger than any processor's. */
int crew__cpus_parse(const char *text, struct crew__cpus *ret_cpus);

/* Those that this process may use. 0 or an errno. */
int crew__cpus_usable(cpu_set_t *ret_set);

/* The set for the worker with that place among all workers of the program; `usable` as above. Empty
 * when none of those asked for is usable. */
cpu_set_t crew__cpus_for(const struct crew__cpus *cpus, const cpu_set_t *usable, unsigned place);

/* "0-3,6" */
void crew__cpus_text(const cpu_set_t *set, char *text, size_t size);

#endif
