/* status_offload.c - what `status` says of slow work. */
#include "cli/status_offload.h"

#include "cli/screen.h"

#include <inttypes.h>

enum {
	JOB_LONG_MS = 10000 /* from here on it stands out */
};

static void add_offload(struct crew__table *table, const struct crew__status_row *row)
{
	char time[CREW__UNIT_MAX];
	const struct crew__slab *counters = &row->counters;
	crew__table_cell(table, CREW__PLAIN, "%s#%" PRIu32, row->service, row->id);
	crew__table_number(table, counters->offload_running);
	crew__table_number(table, counters->offload_queued);
	crew__table_number(table, counters->offload_done);
	crew__table_cell(table, counters->offload_refused ? CREW__RED : CREW__PLAIN, "%" PRIu64,
		counters->offload_refused);
	crew__table_cell(table, counters->offload_late ? CREW__RED : CREW__PLAIN, "%" PRIu64,
		counters->offload_late);
	crew__table_cell(table, CREW__PLAIN, "%" PRIu64 " ms", row->job_wait_ms);
	crew__table_cell(table, row->job_ms >= JOB_LONG_MS ? CREW__RED : CREW__PLAIN, "%s%s%s",
		row->job[0] ? row->job : "-", row->job[0] ? " " : "",
		row->job[0] ? crew__seconds_text((double)row->job_ms / 1000, time) : "");
}

int crew__status_offload(const struct crew__status *status, const struct crew__screen *screen)
{
	static const struct crew__column columns[] = {
		{ "slow work of", false, 0 },
		{ "running", true, 0 },
		{ "queued", true, 0 },
		{ "done", true, 0 },
		{ "refused", true, 0 },
		{ "late", true, 0 },
		{ "longest wait", true, 0 },
		{ "running longest", false, 12 },
	};
	struct crew__table table;
	bool any = false;
	crew__table_init(&table, columns, crew__lengthof(columns));
	for (size_t i = 0; i < status->row_count; i++) {
		if (status->rows[i].counters.offload_offered == 0)
			continue;
		add_offload(&table, &status->rows[i]);
		any = true;
	}
	int error = 0;
	if (any) {
		crew__screen_rule(screen, "SLOW WORK");
		error = crew__table_print(&table, screen);
	}
	crew__table_fini(&table);
	return error;
}
