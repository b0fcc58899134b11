/* parts.h - what the files of the admin service share: its worker's sight, and its handlers. */
#ifndef CREW_ADMIN_PARTS_H
#define CREW_ADMIN_PARTS_H

#include "admin/answer.h"
#include "admin/sight.h"

/* What this process's admin worker sees; it has one (settings refuse more). */
struct crew__sight *crew__admin_sight(void);

/* Look; false: it could not, and that has been answered (503). */
bool crew__admin_look(crew_conn *c, bool connections);

/* The settings name a token, so that there is somebody who may act. */
bool crew__admin_may_act(void);

/* probes.c */
crew_request_fn crew__admin_metrics, crew__admin_live, crew__admin_ready;
/* api.c */
crew_request_fn crew__admin_status, crew__admin_connections, crew__admin_explain,
	crew__admin_events;
/* orders.c */
crew_before_fn crew__admin_permit;
crew_request_fn crew__admin_kick, crew__admin_set;
void crew__admin_orders_stop(void); /* the worker ends */

#endif
