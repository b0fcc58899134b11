/* admin.c - the service: its routes, its worker, what is served to whom. */
#include "admin/admin.h"

#include "admin/live.h"
#include "admin/page.h"
#include "admin/parts.h"

static struct crew__sight sight;

struct crew__sight *crew__admin_sight(void)
{
	return &sight;
}

bool crew__admin_look(crew_conn *c, bool connections)
{
	int error = connections ? crew__sight_connections(&sight) : crew__sight_look(&sight);
	if (error)
		crew__answer_problem(c, 503, sight.error);
	return error == 0;
}

bool crew__admin_may_act(void)
{
	return sight.settings->admin_token != NULL;
}

/* ---- the worker ---------------------------------------------------------------------------- */

static int on_worker_start(crew_worker *w)
{
	const struct crew__settings *settings = crew__settings_in_use();
	if (!settings)
		return -EINVAL;
	crew__sight_init(&sight, settings);
	crew__live_start(w);
	return 0;
}

static void on_worker_stop(crew_worker *w)
{
	(void)w;
	crew__admin_orders_stop();
	crew__live_stop();
	crew__sight_fini(&sight);
}

/* ---- routes -------------------------------------------------------------------------------- */

static const crew_websocket viewers = { .on_upgrade = crew__live_upgrade };

static const crew_route everything[] = {
	{ .method = "GET", .path = "/", .on_request = crew__page },
	{ .path = "/live", .websocket = &viewers },
	{ .method = "GET", .path = "/metrics", .on_request = crew__admin_metrics },
	{ .method = "GET", .path = "/health/live", .on_request = crew__admin_live },
	{ .method = "GET", .path = "/health/ready", .on_request = crew__admin_ready },
	{ .method = "GET", .path = "/api/status", .on_request = crew__admin_status },
	{ .method = "GET", .path = "/api/connections", .on_request = crew__admin_connections },
	{ .method = "GET", .path = "/api/explain", .on_request = crew__admin_explain },
	{ .method = "GET", .path = "/api/events", .on_request = crew__admin_events },
	{ .method = "POST",
		.path = "/api/kick",
		.on_request = crew__admin_kick,
		.before = { crew__admin_permit } },
	{ .method = "POST",
		.path = "/api/set",
		.on_request = crew__admin_set,
		.before = { crew__admin_permit } },
	{ 0 },
};

static const crew_route routes[] = {
	{ .path = "/", .group = everything, .before = { crew__answer_before } },
	{ 0 },
};

const crew_service crew__admin_service = {
	.name = "admin",
	.routes = routes,
	.conn_size = sizeof(struct crew__viewer),
	.max_connections = 64,
	.max_message = 64 * 1024,
	/* Who does not read for so long comes back by itself when it is awake again. */
	.send_timeout_ms = 60000,
	.on_worker_start = on_worker_start,
	.on_worker_stop = on_worker_stop,
	.on_open = crew__live_open,
	.on_message = crew__live_message,
	.on_close = crew__live_close,
};
