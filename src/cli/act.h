/* act.h - the commands that change what runs: `kick` and `set`.
 *
 * Whom a kick means is worked out here, from the records in shared memory; the master gets ids only
 * and hands them to the workers. Whether it came about is read from the records again. Both return
 * an exit status and print one line to standard error when it is not 0. */
#ifndef CREW_CLI_ACT_H
#define CREW_CLI_ACT_H

#include "service/settings.h"

struct crew__act {
	const struct crew__settings *settings;
	bool json, quiet;
	const char *argument; /* an id or the beginning of one, an address; SERVICE.KEY=VALUE */
	const char *verdict;  /* kick: NULL unless given */
};

int crew__act_kick(const struct crew__act *act);
int crew__act_set(const struct crew__act *act);

#endif
