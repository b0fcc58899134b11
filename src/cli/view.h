/* view.h - the commands that only look.
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
	bool watch;           /* status: again each second, until SIGINT or SIGTERM */
	const char *sort;     /* connections, top: a key; NULL: as found */
	const char *argument; /* explain: an id, or the beginning of one */
	bool closed;          /* connections: those that ended */
	bool follow;          /* events: go on */
};

int crew__view_status(const struct crew__view *view);
int crew__view_connections(const struct crew__view *view);
int crew__view_closed(const struct crew__view *view);  /* closed.c */
int crew__view_explain(const struct crew__view *view); /* explain.c */
int crew__view_events(const struct crew__view *view);  /* events.c */
int crew__view_top(const struct crew__view *view);     /* top.c */

#endif
