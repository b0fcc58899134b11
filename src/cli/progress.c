/* progress.c - what is waited for, in words.
 *
 * On a terminal one line is written over and over. Else a line is written when it says something
 * new, or after a while, so that a log does not fill with seconds that pass. */
#include "cli/progress.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	QUIET_MS = 1000,  /* whatever is over by then needs no words */
	AGAIN_MS = 10000, /* the same line, but for the seconds that are left */
	NAMES = 3         /* of workers */
};

/* ---- one worker ---------------------------------------------------------------------------- */

static bool leaves(const struct crew__status_row *row)
{
	return row->leaves_in_ms != CREW__STAYS_ON;
}

static const char *plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

const char *crew__waits_for(const struct crew__status_row *row, char text[CREW__WAITS_MAX])
{
	uint64_t connections = row->counters.connections;
	text[0] = '\0';
	if (!leaves(row) || row->pid <= 0 || row->state == CREW__SHOWN_EXITED)
		return text;
	if (row->stopped)
		snprintf(text, CREW__WAITS_MAX, "nothing: it is stopped by a signal");
	else if (row->busy_in)
		snprintf(text, CREW__WAITS_MAX,
			"%s, which has not returned for %" PRIu64 ".%" PRIu64 " s", row->busy_in,
			row->busy_ms / 1000, row->busy_ms % 1000 / 100);
	else if (connections > 0)
		snprintf(text, CREW__WAITS_MAX, "%" PRIu64 " connection%s", connections,
			plural(connections));
	else if (row->job[0])
		snprintf(text, CREW__WAITS_MAX,
			"slow work (%.40s), which takes %" PRIu64 " s by now", row->job,
			row->job_ms / 1000);
	else
		snprintf(text, CREW__WAITS_MAX, "requests of its own, or its end");
	return text;
}

/* ---- all of them --------------------------------------------------------------------------- */

/* Who is left of those that a line is about. */
struct left {
	unsigned workers;
	uint64_t connections;
	uint64_t longest_ms; /* 0: no limit is known */
	const struct crew__status_row *first[NAMES];
};

static void add(struct left *left, const struct crew__status_row *row)
{
	if (row->pid <= 0 || row->state == CREW__SHOWN_EXITED)
		return;
	if (left->workers < NAMES)
		left->first[left->workers] = row;
	left->workers++;
	left->connections += row->counters.connections;
	if (leaves(row) && row->leaves_in_ms > left->longest_ms)
		left->longest_ms = row->leaves_in_ms;
}

__attribute__((format(printf, 3, 4))) static size_t append(
	char *text, size_t used, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int n = vsnprintf(text + used, CREW__PROGRESS_MAX - used, format, arguments);
	va_end(arguments);
	size_t more = n < 0 ? 0 : (size_t)n;
	return crew__min(used + more, CREW__PROGRESS_MAX - 1);
}

/* "2 workers left, feed#0, feed#1, 120 connections, 12 s left" */
static void write_left(const struct left *left, char *text, size_t used)
{
	char waits[CREW__WAITS_MAX];
	used = append(text, used, "%u worker%s left", left->workers, plural(left->workers));
	for (unsigned i = 0; i < left->workers && i < NAMES; i++)
		used = append(
			text, used, ", %s#%" PRIu32, left->first[i]->service, left->first[i]->id);
	if (left->workers > NAMES)
		used = append(text, used, " and %u more", left->workers - NAMES);
	/* Of one it is told what holds it; of more, how many clients there are. */
	if (left->workers == 1 && crew__waits_for(left->first[0], waits)[0])
		used = append(text, used, ", waiting for %s", waits);
	else if (left->workers > 0)
		used = append(text, used, ", %" PRIu64 " connection%s", left->connections,
			plural(left->connections));
	if (left->longest_ms > 0)
		append(text, used, ", %" PRIu64 " s left", (left->longest_ms + 999) / 1000);
}

void crew__reload_line(const struct crew__status *status, char text[CREW__PROGRESS_MAX])
{
	const struct crew__status_reload *reload = &status->reload;
	struct left left = { 0 };
	uint32_t oldest = status->generation;
	text[0] = '\0';
	if (reload->state == CREW__RELOAD_STARTS) {
		append(text, 0, "generation %" PRIu32 ": %u of %u workers ready",
			reload->generation, reload->ready, reload->workers);
		return;
	}
	if (reload->state != CREW__RELOAD_DRAINS)
		return;
	for (size_t i = 0; i < status->row_count; i++) {
		if (status->rows[i].generation >= status->generation)
			continue;
		oldest = (uint32_t)crew__min(oldest, status->rows[i].generation);
		add(&left, &status->rows[i]);
	}
	write_left(&left, text, append(text, 0, "generation %" PRIu32 ": ", oldest));
}

void crew__stop_line(
	const struct crew__status *status, uint64_t left_ms, char text[CREW__PROGRESS_MAX])
{
	struct left left = { 0 };
	for (size_t i = 0; i < status->row_count; i++)
		add(&left, &status->rows[i]);
	if (left.workers == 0) {
		snprintf(text, CREW__PROGRESS_MAX, "all workers have gone; the master ends");
		return;
	}
	if (left.longest_ms == 0)
		left.longest_ms = left_ms;
	write_left(&left, text, append(text, 0, "stopping: "));
}

/* ---- for a command that waits -------------------------------------------------------------- */

static bool describe(struct crew__progress *progress, enum crew__awaited awaited, uint64_t left_ms,
	char text[CREW__PROGRESS_MAX])
{
	const struct crew__settings *settings = progress->settings;
	struct crew__attached attached;
	struct crew__status *status = NULL;
	char error[256];
	text[0] = '\0';
	if (crew__attach(settings->run_dir, settings->name, &attached, error, sizeof(error)) < 0)
		return false;
	const struct crew__status_source source = {
		.attached = &attached,
		.app = progress->app,
		.settings = settings,
		.run_dir = settings->run_dir,
		.name = settings->name,
		.now_ns = crew__clock_ns(),
	};
	if (crew__status_new(&source, &status) == 0) {
		if (awaited == CREW__AWAITED_STOP)
			crew__stop_line(status, left_ms, text);
		else
			crew__reload_line(status, text);
	}
	crew__status_free(status);
	crew__attach_fini(&attached);
	return text[0] != '\0';
}

/* The same but for how long it may take yet. */
static bool says_the_same(const char *a, const char *b)
{
	const char *end_a = strrchr(a, ','), *end_b = strrchr(b, ',');
	if (!end_a || !end_b)
		return strcmp(a, b) == 0;
	return end_a - a == end_b - b && memcmp(a, b, (size_t)(end_a - a)) == 0;
}

static void clear_line(struct crew__progress *progress)
{
	if (progress->shown)
		fputs("\r\033[K", stderr);
	progress->shown = false;
	fflush(stderr);
}

void crew__progress(void *arg, enum crew__awaited awaited, uint64_t left_ms)
{
	struct crew__progress *progress = arg;
	char text[CREW__PROGRESS_MAX];
	uint64_t now = crew__clock_ns();
	bool terminal = isatty(STDERR_FILENO);
	if (awaited == CREW__AWAITED_OVER) {
		clear_line(progress);
		return;
	}
	if (progress->began_ns == 0)
		progress->began_ns = now;
	/* Who waits for a stop has been patient already. */
	if (!terminal && awaited == CREW__AWAITED_RELOAD &&
		now - progress->began_ns < QUIET_MS * CREW__NS_PER_MS)
		return;
	if (!describe(progress, awaited, left_ms, text))
		return;
	if (terminal) {
		fprintf(stderr, "\r\033[K%s: %s", progress->settings->name, text);
		progress->shown = true;
		fflush(stderr);
		return;
	}
	if (says_the_same(text, progress->last) &&
		now - progress->told_ns < AGAIN_MS * CREW__NS_PER_MS)
		return;
	fprintf(stderr, "%s: %s\n", progress->settings->name, text);
	progress->told_ns = now;
	memcpy(progress->last, text, sizeof(text));
}
