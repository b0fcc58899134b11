/* live.h - what an operator does to a worker that runs: end connections, change a setting.
 *
 * Who may ask for it, and where it comes from, is the business of the process around. Both may be
 * called from a callback of the program (the admin service of --single does). */
#ifndef CREW_SERVICE_LIVE_H
#define CREW_SERVICE_LIVE_H

#include "service/worker.h"

/* End those of the connections that are this worker's (`kicked`), for the user `by`: an event each,
 * one line in the log. How many there were. */
unsigned crew__worker_kick(crew_worker *w, const uint64_t *ids, size_t count, uid_t by);

/* The settings that the worker was made with have changed in place (crew__settings_set_live): put
 * what concerns it in force. `settings` holds them. */
void crew__worker_set(crew_worker *w, const struct crew__settings *settings,
	const struct crew__settings_change *change);

#endif
