/* progress.h - what is waited for: by a reload, by a stop, and by whoever looks at `status`
 * meanwhile.
 *
 * All of it stands in the model of `status`; here it becomes words, and, for a command that waits,
 * lines on standard error. Nobody is asked. */
#ifndef CREW_CLI_PROGRESS_H
#define CREW_CLI_PROGRESS_H

#include "cli/status.h"
#include "proc/run.h"

enum {
	CREW__WAITS_MAX = 96,
	CREW__PROGRESS_MAX = 400
};

/* Why a worker that is to leave is still there: "120 connections"; "" for one that is not. */
const char *crew__waits_for(const struct crew__status_row *row, char text[CREW__WAITS_MAX]);

/* "generation 3: 2 of 4 workers ready", "generation 2: 1 worker left, feed#1, 120 connections, 12 s
 * left"; "" when nothing is under way. */
void crew__reload_line(const struct crew__status *status, char text[CREW__PROGRESS_MAX]);
/* "2 workers left: feed#0, feed#1, 120 connections, 12 s left" */
void crew__stop_line(
	const struct crew__status *status, uint64_t left_ms, char text[CREW__PROGRESS_MAX]);

/* For crew__run_options.progress, with this as its argument. Begin with zeros but for `settings`
 * and `app`. */
struct crew__progress {
	const struct crew__settings *settings;
	const crew_app *app;
	uint64_t began_ns, told_ns;
	bool shown; /* a line stands on the terminal */
	char last[CREW__PROGRESS_MAX];
};
void crew__progress(void *arg, enum crew__awaited awaited, uint64_t left_ms);

#endif
