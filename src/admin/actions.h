/* actions.h - the parts of kick and set that need no connection: who may, and who is meant. */
#ifndef CREW_ADMIN_ACTIONS_H
#define CREW_ADMIN_ACTIONS_H

#include "cli/connections.h"

/* Does this Authorization field show the token (RFC 6750 section 2.1)? How long that takes tells
 * nothing of how much of it was right. */
bool crew__token_shown(crew_bytes field, const char *token);

/* Ids of connections, in order. */
struct crew__kick_list {
	size_t count;
	uint64_t *ids; /* owned */
};

/* Those whose id begins with `prefix`, or, when that is NULL, that have the verdict of that name.
 * 0 or -ENOMEM. */
int crew__kick_choose(const struct crew__connections *connections, const char *prefix,
	const char *verdict, struct crew__kick_list *ret_list);
/* Those of `list` that are still there. 0 or -ENOMEM. */
int crew__kick_left(const struct crew__kick_list *list, const struct crew__connections *connections,
	struct crew__kick_list *ret_left);

#endif
