/* top_kick.h - a kick beside a live screen: the command's own, in a child whose words are caught.
 */
#ifndef CREW_CLI_TOP_KICK_H
#define CREW_CLI_TOP_KICK_H

#include "cli/act.h"

#include <sys/types.h>

struct crew__top_kick {
	pid_t pid; /* 0: none is under way */
	int words; /* what it prints; -1 */
	char text[1024];
	size_t len;
};

void crew__top_kick_init(struct crew__top_kick *kick);

/* Begin. 0; -EBUSY: one is under way; another negative errno. */
int crew__top_kick_start(
	struct crew__top_kick *kick, const struct crew__settings *settings, uint64_t id);

/* `words` is readable. True when it is done: `text` is then what to tell, `*ret_status` its exit
 * status. */
bool crew__top_kick_read(struct crew__top_kick *kick, int *ret_status);

/* Do not wait for its end. */
void crew__top_kick_fini(struct crew__top_kick *kick);

#endif
