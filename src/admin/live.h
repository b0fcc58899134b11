/* live.h - what the dashboard shows, pushed each second to all who look.
 *
 * Each second one message is made for all viewers, and none while nobody looks. It replaces the one
 * before it where that still waits, so a viewer who does not read costs one message and gets the
 * newest when it wakes up. */
#ifndef CREW_ADMIN_LIVE_H
#define CREW_ADMIN_LIVE_H

#include "base/base.h"

enum {
	CREW__VIEWERS_MAX = 48, /* of the service's connections: others are left for probes */
};

/* What a connection of the service carries. */
struct crew__viewer {
	bool looks; /* it is a WebSocket, and counted */
};

void crew__live_start(crew_worker *w);
void crew__live_stop(void);

/* Callbacks of the service. */
int crew__live_upgrade(crew_conn *c, const crew_request *request);
void crew__live_open(crew_conn *c);
void crew__live_message(crew_conn *c, crew_msg msg);
void crew__live_close(crew_conn *c);

#endif
