/* status_deaths.h - the part of `status` about workers that died: for people. */
#ifndef CREW_CLI_STATUS_DEATHS_H
#define CREW_CLI_STATUS_DEATHS_H

#include "cli/screen.h"
#include "cli/status.h"

/* Who stands still, who is in a crash loop, who died last and of what; nothing when nobody did. */
void crew__status_print_deaths(
	const struct crew__status *status, const struct crew__screen *screen);

#endif
