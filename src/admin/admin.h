/* admin.h - the admin service: metrics, health, an API and the dashboard, over HTTP.
 *
 *   GET  /                    the dashboard
 *   GET  /live                WebSocket: what the dashboard shows, each second
 *   GET  /metrics             for Prometheus
 *   GET  /health/live, /health/ready
 *   GET  /api/status, /api/connections, /api/explain, /api/events
 *   POST /api/kick, /api/set  who shows the token
 *
 * An ordinary service of the public API, switched on by `[crew] admin`, with one worker. It reads
 * the program's numbers from shared memory as the commands do, and asks no worker. It sits above
 * all else, and is handed down by crew_main (crew__settings_use_admin). */
#ifndef CREW_ADMIN_ADMIN_H
#define CREW_ADMIN_ADMIN_H

#include "base/base.h"

extern const crew_service crew__admin_service;

#endif
