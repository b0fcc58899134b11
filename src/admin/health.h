/* health.h - is the program well? A function of what `status` knows and what the settings ask for.
 *
 * Live: its master process is there. Ready: each service has all its workers, and none of them is
 * stuck for CREW__HEALTH_STUCK_MS or stopped. Old workers that leave after a reload play no part.
 */
#ifndef CREW_ADMIN_HEALTH_H
#define CREW_ADMIN_HEALTH_H

#include "cli/status.h"

enum {
	CREW__HEALTH_STUCK_MS = 5000,
	CREW__HEALTH_SHOWN = 100, /* so many of those missing are named */
};

/* One worker id that does not do its work. */
struct crew__ailing {
	const char *service;
	unsigned id;
	char why[96]; /* "starting", "stuck in on_message for 12 s" */
};

struct crew__health {
	bool ready;
	size_t missing; /* how many in all */
	size_t shown;
	struct crew__ailing ailing[CREW__HEALTH_SHOWN];
};

/* `status` and `settings` outlive it. */
void crew__health_judge(struct crew__health *ret_health, const struct crew__status *status,
	const struct crew__settings *settings);

/* "ready", or "not ready: ..." with a line for each; or {"ready","missing":[...],"missing_count"}.
 */
void crew__health_text(const struct crew__health *health, FILE *out);
void crew__health_json(const struct crew__health *health, FILE *out);

#endif
