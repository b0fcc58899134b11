/* confine.h - what a worker gives up before it meets the network.
 *
 * The steps are done in this order, as each needs what a later one takes away:
 *
 *   limits      umask and limits                     raising one needs root
 *   priority    processors, niceness, OOM score      needs root, and /proc
 *   groups      supplementary groups and the group   needs the files of users, and root
 *   root        chroot                               needs root
 *   bound       the bounding set                     needs root
 *   user        the user                             most capabilities go
 *   capabilities the rest of them
 *   for good    nobody may get anything back         all of the above
 *   privileges  no_new_privs                         what is executed stays as confined
 *   calls       the filter of system calls           last: it refuses some of the above
 *
 * Whatever fails, fails the worker: none runs with more than its settings allow. */
#ifndef CREW_PROC_CONFINE_H
#define CREW_PROC_CONFINE_H

#include "proc/user.h"

/* May this process do to its workers what the settings of the service ask for? Else a negative
 * errno with a sentence. */
int crew__confine_allowed(
	const struct crew__service_settings *settings, char *ret_error, size_t error_size);

/* Confine this process, once, for good. `place`: of the worker among all of the program, for
 * cpu_affinity = auto; `id`: among those of its service. Paths among the settings become those
 * within the new root. A negative errno with a sentence: do not go on. */
int crew__confine(struct crew__service_settings *settings, const struct crew__identity *identity,
	unsigned id, unsigned place, char *ret_error, size_t error_size);

/* The place of that worker of `service` among all of them. */
unsigned crew__confine_place(const struct crew__settings *settings,
	const struct crew__service_settings *service, unsigned id);

#endif
