/* view.h - the commands that only look: `status` and `connections`.
 *
 * They attach, make a model, print it. Both return an exit status and print one line to standard
 * error when it is not 0. */
#ifndef CREW_CLI_VIEW_H
#define CREW_CLI_VIEW_H

#include "service/settings.h"

struct crew__view {
	const crew_app *app;
	const struct crew__settings *settings;
	bool json;
	bool watch;       /* status: again each second, until SIGINT or SIGTERM */
	const char *sort; /* connections: a key; NULL: as found */
};

int crew__view_status(const struct crew__view *view);
int crew__view_connections(const struct crew__view *view);

#endif
