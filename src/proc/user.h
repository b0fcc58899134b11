/* user.h - as whom a service's workers run. */
#ifndef CREW_PROC_USER_H
#define CREW_PROC_USER_H

#include "service/settings.h"

struct crew__identity {
	bool changes;     /* false: as this process already is */
	const char *user; /* NULL: only the group changes */
	uid_t uid;
	gid_t gid;
};

/* Look `user` and `group` up, and check that this process may become them. Else a negative errno
 * with a sentence. */
int crew__identity_find(const struct crew__service_settings *settings,
	struct crew__identity *ret_identity, char *ret_error, size_t error_size);
/* Become it, in two steps between which this process is still root (confine.h): its groups, with
 * all that were there before gone, verified; then the user. A negative errno means: do not go on.
 */
int crew__identity_take_groups(const struct crew__identity *identity);
int crew__identity_take_user(const struct crew__identity *identity);
/* Are all ids its own, those for files included, and is there no way back? `may_return`: the worker
 * was left the power to change its ids. */
bool crew__identity_is_for_good(const struct crew__identity *identity, bool may_return);

/* This process's user by name, or by number where it has none. */
void crew__user_name(char *text, size_t size);

#endif
