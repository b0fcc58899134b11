/* metrics.c - the sums of each worker id, from its lives and what the dead have left. */
#include "admin/metrics.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

int crew__metrics_init(
	struct crew__metrics *metrics, const struct crew__status *status, size_t room)
{
	*metrics = (struct crew__metrics){ .status = status, .room = room };
	metrics->workers = calloc(room + 1, sizeof(*metrics->workers));
	return metrics->workers ? 0 : -ENOMEM;
}

void crew__metrics_fini(struct crew__metrics *metrics)
{
	free(metrics->workers);
	*metrics = (struct crew__metrics){ 0 };
}

static struct crew__metrics_worker *add(
	struct crew__metrics *metrics, const char *service, uint32_t id)
{
	crew__must(metrics->count < metrics->room);
	struct crew__metrics_worker *worker = &metrics->workers[metrics->count++];
	snprintf(worker->service, sizeof(worker->service), "%s", service);
	worker->id = id;
	return worker;
}

void crew__metrics_add_life(struct crew__metrics *metrics, const struct crew__status_row *row,
	const struct crew__histogram *measures, bool unread)
{
	struct crew__metrics_worker *worker = add(metrics, row->service, row->id);
	worker->unread = unread;
	crew__slab_add(&worker->sums, &row->counters, true);
	if (measures)
		memcpy(worker->measures, measures, sizeof(worker->measures));
	worker->memory_bytes = row->memory_bytes;
	worker->busy_ms = row->busy_ms;
	worker->crash_loop = row->crash_loop;
	worker->processes[row->state] = 1;
}

void crew__metrics_add_retired(
	struct crew__metrics *metrics, const char *service, const struct crew__retired *retired)
{
	struct crew__metrics_worker *worker = add(metrics, service, retired->id);
	worker->others = retired->id == CREW__RETIRED_REST;
	crew__slab_add(&worker->sums, &retired->counters, false);
	memcpy(worker->measures, retired->measures, sizeof(worker->measures));
}

/* ---- summing up ---------------------------------------------------------------------------- */

static int compare(const void *left, const void *right)
{
	const struct crew__metrics_worker *a = left, *b = right;
	int order = strcmp(a->service, b->service);
	if (order)
		return order;
	if (a->others != b->others)
		return a->others ? 1 : -1;
	return a->id < b->id ? -1 : a->id > b->id;
}

static void fold(struct crew__metrics_worker *to, const struct crew__metrics_worker *from)
{
	to->unread |= from->unread;
	crew__slab_add(&to->sums, &from->sums, true);
	for (size_t i = 0; i < CREW__MEASURES; i++)
		crew__histogram_sum(&to->measures[i], &from->measures[i]);
	to->memory_bytes += from->memory_bytes;
	to->busy_ms = crew__max(to->busy_ms, from->busy_ms);
	to->crash_loop |= from->crash_loop;
	for (size_t i = 0; i < CREW__SHOWN_STATES; i++)
		to->processes[i] += from->processes[i];
}

void crew__metrics_finish(struct crew__metrics *metrics)
{
	struct crew__metrics_worker *workers = metrics->workers;
	size_t kept = 0;
	qsort(workers, metrics->count, sizeof(*workers), compare);
	for (size_t i = 0; i < metrics->count; i++) {
		if (kept > 0 && compare(&workers[kept - 1], &workers[i]) == 0)
			fold(&workers[kept - 1], &workers[i]);
		else if (kept++ != i)
			workers[kept - 1] = workers[i];
	}
	metrics->count = kept;
}
