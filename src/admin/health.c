/* health.c - which workers do not do their work, and why. */
#include "admin/health.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool is_well(const struct crew__status_row *row)
{
	if (row->stopped)
		return false;
	return row->state == CREW__SHOWN_READY ||
	       (row->state == CREW__SHOWN_BUSY && row->busy_ms <= CREW__HEALTH_STUCK_MS);
}

static void explain(const struct crew__status_row *row, char *why, size_t size)
{
	if (row->stopped)
		snprintf(why, size, "stopped by a signal or a debugger");
	else if (row->state == CREW__SHOWN_BUSY)
		snprintf(why, size, "stuck in %s for %" PRIu64 " s",
			row->busy_in ? row->busy_in : "one turn", row->busy_ms / 1000);
	else
		snprintf(why, size, "%s", crew__shown_state_name(row->state));
}

/* During a reload there are two of an id: one that is well is enough. Else the youngest tells. */
static const struct crew__status_row *best_of(
	const struct crew__status *status, const char *service, unsigned id)
{
	const struct crew__status_row *best = NULL;
	for (size_t i = 0; i < status->row_count; i++) {
		const struct crew__status_row *row = &status->rows[i];
		if (row->id != id || strcmp(row->service, service) != 0)
			continue;
		best = row;
		if (is_well(row))
			break;
	}
	return best;
}

static void look_at(struct crew__health *health, const struct crew__status *status,
	const char *service, unsigned id)
{
	const struct crew__status_row *row = best_of(status, service, id);
	if (row && is_well(row))
		return;
	health->missing++;
	if (health->shown == CREW__HEALTH_SHOWN)
		return;
	struct crew__ailing *ailing = &health->ailing[health->shown++];
	ailing->service = service;
	ailing->id = id;
	if (row)
		explain(row, ailing->why, sizeof(ailing->why));
	else
		snprintf(ailing->why, sizeof(ailing->why), "not started");
}

void crew__health_judge(struct crew__health *ret_health, const struct crew__status *status,
	const struct crew__settings *settings)
{
	ret_health->missing = 0;
	ret_health->shown = 0;
	for (unsigned i = 0; i < settings->services; i++)
		for (unsigned id = 0; id < settings->service[i].workers; id++)
			look_at(ret_health, status, settings->service[i].service->name, id);
	ret_health->ready = ret_health->missing == 0;
}

/* ---- as text ------------------------------------------------------------------------------- */

void crew__health_text(const struct crew__health *health, FILE *out)
{
	if (health->ready) {
		fputs("ready\n", out);
		return;
	}
	fprintf(out, "not ready: %zu %s missing\n", health->missing,
		health->missing == 1 ? "worker is" : "workers are");
	for (size_t i = 0; i < health->shown; i++)
		fprintf(out, "%s #%u: %s\n", health->ailing[i].service, health->ailing[i].id,
			health->ailing[i].why);
}

/* Names of services are letters, digits, - and _, and the reasons are ours: nothing to escape. */
void crew__health_json(const struct crew__health *health, FILE *out)
{
	fprintf(out, "{\"ready\":%s,\"missing_count\":%zu,\"missing\":[",
		health->ready ? "true" : "false", health->missing);
	for (size_t i = 0; i < health->shown; i++)
		fprintf(out, "%s{\"service\":\"%s\",\"worker\":%u,\"why\":\"%s\"}", i ? "," : "",
			health->ailing[i].service, health->ailing[i].id, health->ailing[i].why);
	fputs("]}\n", out);
}
