/* status_deaths.c - workers that died, and those that die again and again. */
#include "cli/status_deaths.h"

#include "base/clock.h"
#include "cli/when.h"
#include "proc/backoff.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
	SHOWN = 3, /* of the last deaths; `status --json` has all that are kept */
};

/* ---- the model ----------------------------------------------------------------------------- */

static void take_death(const struct crew__directory_header *copy,
	const struct crew__death_entry *entry, struct crew__status_death *death)
{
	death->entry = *entry;
	if (entry->service < CREW_MAX_SERVICES)
		crew__screen_clean(death->service, sizeof(death->service),
			copy->service[entry->service], CREW__NAME_MAX);
	if (entry->callback != CREW__CB_NONE && entry->callback < CREW__CALLBACKS)
		death->callback = crew__callback_name((enum crew__callback)entry->callback);
}

int crew__status_take_deaths(struct crew__status *status, const struct crew__directory *directory,
	const struct crew__directory_header *copy)
{
	if (!directory->deaths || atomic_load(&directory->deaths->written) == 0)
		return 0;
	struct crew__death_entry *entries = calloc(CREW__DEATHS, sizeof(*entries));
	status->deaths = calloc(CREW__DEATHS, sizeof(*status->deaths));
	if (!entries || !status->deaths) {
		free(entries);
		return -ENOMEM;
	}
	status->death_count = crew__deaths_read(directory->deaths, entries, CREW__DEATHS);
	for (size_t i = 0; i < status->death_count; i++)
		take_death(copy, &entries[i], &status->deaths[i]);
	free(entries);
	return 0;
}

void crew__status_take_loop(struct crew__status_row *row, const struct crew__life *life,
	uint64_t lived_ns, uint64_t now_ns)
{
	bool exited = life->state == CREW__EXITED;
	row->young = life->young;
	row->crash_loop = life->young >= CREW__CRASH_LOOP &&
			  (exited || lived_ns < CREW__YOUNG_MS * CREW__NS_PER_MS);
	if (exited && life->next_ns > now_ns)
		row->next_start_ms = (life->next_ns - now_ns) / CREW__NS_PER_MS;
}

/* ---- for people ---------------------------------------------------------------------------- */

static void print_still(const struct crew__status_row *row, const struct crew__screen *screen)
{
	char text[512];
	if (!row->busy_stack[0])
		return;
	snprintf(text, sizeof(text), "%s#%" PRIu32 " (pid %d) stands in %s\n", row->service,
		row->id, (int)row->pid, row->busy_stack);
	crew__screen_text(screen, CREW__RED, text);
}

static void print_loop(const struct crew__status_row *row, const struct crew__screen *screen)
{
	char text[512], when[CREW__UNIT_MAX];
	if (!row->crash_loop)
		return;
	int length = snprintf(text, sizeof(text),
		"%s#%" PRIu32 " is in a crash loop: it died young %u times in a row; ",
		row->service, row->id, row->young);
	if (row->state == CREW__SHOWN_EXITED)
		snprintf(text + length, sizeof(text) - (size_t)length,
			"it is started again in %s\n",
			crew__seconds_text((double)row->next_start_ms / 1000, when));
	else
		snprintf(
			text + length, sizeof(text) - (size_t)length, "it has just been started\n");
	crew__screen_text(screen, CREW__RED, text);
}

static void print_death(const struct crew__status_death *death, const struct crew__screen *screen)
{
	const struct crew__death_entry *entry = &death->entry;
	const char *name = entry->signal ? sigabbrev_np(entry->signal) : NULL;
	char text[640], when[CREW__WHEN_MAX], how[48];
	if (name)
		snprintf(how, sizeof(how), "SIG%s", name);
	else if (entry->signal)
		snprintf(how, sizeof(how), "signal %d", entry->signal);
	else
		snprintf(how, sizeof(how), "exit status %d", entry->status);
	snprintf(text, sizeof(text), "%s  %s#%" PRIu32 " (pid %d): %s%s%s%s%s",
		crew__when_local(entry->wall_ms, when), death->service, entry->id, entry->pid, how,
		death->callback ? " in " : "", death->callback ? death->callback : "",
		entry->words[0] ? "; " : "", entry->words);
	crew__screen_fold(screen, 2, text);
}

void crew__status_print_deaths(const struct crew__status *status, const struct crew__screen *screen)
{
	for (size_t i = 0; i < status->row_count; i++) {
		print_still(&status->rows[i], screen);
		print_loop(&status->rows[i], screen);
	}
	if (status->death_count == 0)
		return;
	crew__screen_rule(screen, "LAST DEATHS");
	for (size_t i = 0; i < status->death_count && i < SHOWN; i++)
		print_death(&status->deaths[i], screen);
}
