/* control.h - the control socket, answered by the master (or the single process) in its loop.
 *
 * Looking and acting are two rights. Whoever may connect (control_mode, control_group) may look:
 * they get read-only descriptors. To act (stop, reload, kick, set) a command must run as root, as
 * the user of this process, or as a member of control_act_group. */
#ifndef CREW_PROC_CONTROL_H
#define CREW_PROC_CONTROL_H

#include "proc/inherited.h"
#include "proc/registry.h"
#include "proc/wire.h"

#include <jansson.h>

struct crew__control;

/* What the owner does when asked. 0 and within what time it will be over, or a negative errno with
 * a sentence. A reload's end is told by crew__control_reloaded. */
struct crew__control_plan {
	struct crew__loop *loop;
	const struct crew__settings *settings;
	const struct crew__registry *registry;
	int (*stop)(void *arg, bool graceful, uint64_t *ret_bound_ms);
	/* Copies of all listening sockets, for the program that replaces this one; and that it has
	 * them, so that a stop leaves their files. 0, or a negative errno. */
	int (*sockets)(void *arg, struct crew__inherited *inherited);
	void (*leave_sockets)(void *arg);
	int (*reload)(void *arg, bool graceful, uint64_t *ret_bound_ms, char *ret_error,
		size_t error_size);
	/* End connections for the user `by`; ids that are nobody's are passed over. */
	void (*kick)(void *arg, const uint64_t *ids, size_t count, uid_t by,
		struct crew__handed_on *ret_handed_on);
	/* Change a setting, SECTION.KEY=VALUE. 0, or a negative errno with a sentence. */
	int (*set)(void *arg, const char *text, uid_t by, struct crew__handed_on *ret_handed_on,
		char *ret_error, size_t error_size);
	void *arg;
};

int crew__control_new(const struct crew__control_plan *plan, struct crew__control **ret_control,
	char *ret_error, size_t error_size);
/* Closes all, and removes the socket. NULL is allowed. */
void crew__control_free(struct crew__control *control);

/* For a master that executes itself anew: the socket and the conversations, descriptors as numbers
 * (NULL without memory); and the same again in the next image. As crew__control_new() otherwise. */
json_t *crew__control_save(const struct crew__control *control);
int crew__control_resume(const struct crew__control_plan *plan, const json_t *saved,
	struct crew__control **ret_control, char *ret_error, size_t error_size);

/* Tell those who wait for the reload how it ended. */
void crew__control_reloaded(struct crew__control *control, int exit_status, const char *sentence);

#endif
