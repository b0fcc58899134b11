/* live.h - what an operator does to a worker that runs: end a connection, change a setting. */
#ifndef CREW_SERVICE_LIVE_H
#define CREW_SERVICE_LIVE_H

#include "service/settings.h"
#include "service/worker.h"

/* End the connection with that id (`kicked`), if it still is one of this worker's. */
void crew__worker_kick(crew_worker *w, uint64_t id);

/* May that key of a service change while it runs? */
bool crew__setting_is_live(const char *key);

/* Change one setting of the worker's service, as text that crew__settings_write() could have
 * written. 0, -EINVAL (unknown, not live, or not a value of it), -ENOMEM. */
int crew__worker_set(crew_worker *w, const char *key, const char *value);

#endif
