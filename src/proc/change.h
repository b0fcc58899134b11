/* change.h - whether a setting may change now, seen from who keeps the workers.
 *
 * crew__settings_set_live() knows the keys; what is added here is what lives already have and
 * cannot get any more of. */
#ifndef CREW_PROC_CHANGE_H
#define CREW_PROC_CHANGE_H

#include "proc/registry.h"

/* Change settings in force, unless a worker that lives could not follow. As
 * crew__settings_set_live(). */
int crew__change_settings(struct crew__settings *settings, const struct crew__registry *registry,
	const char *text, struct crew__settings_change *ret_change, char *ret_error,
	size_t error_size);

/* "user 0 set web.policy=disconnect", in the log. */
void crew__change_log(const struct crew__settings *settings,
	const struct crew__settings_change *change, uid_t by);

#endif
