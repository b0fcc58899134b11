/* sight.c - attach, look, keep what was seen for a moment. */
#include "admin/sight.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PASSES = 4, /* how often the numbers are read while workers come and go */
};

void crew__sight_init(struct crew__sight *sight, const struct crew__settings *settings)
{
	*sight = (struct crew__sight){ .settings = settings };
}

static void forget_connections(struct crew__sight *sight)
{
	if (sight->has_connections)
		crew__connections_fini(&sight->connections);
	sight->has_connections = false;
}

static void forget_numbers(struct crew__sight *sight)
{
	crew__metrics_fini(&sight->metrics);
	crew__status_free(sight->status);
	sight->status = NULL;
}

void crew__sight_fini(struct crew__sight *sight)
{
	forget_connections(sight);
	forget_numbers(sight);
	if (sight->is_attached)
		crew__attach_fini(&sight->attached);
	sight->is_attached = false;
}

/* ---- the master ---------------------------------------------------------------------------- */

static uint32_t directory_now(const struct crew__attached *attached)
{
	return atomic_load_explicit(&attached->directory.header->sequence, memory_order_acquire);
}

static bool is_younger(uint64_t then_ns, uint64_t now_ns, uint64_t ms)
{
	return now_ns - then_ns < ms * CREW__NS_PER_MS;
}

/* Nobody was born or died since; and from a master that does not answer nothing newer comes, so it
 * is not waited for again and again. */
static bool is_settled(const struct crew__sight *sight)
{
	const struct crew__attached *attached = &sight->attached;
	if (!attached->master_answers)
		return is_younger(sight->attached_ns, crew__clock_ns(), CREW__SIGHT_STALE_MS);
	return attached->copy_consistent && directory_now(attached) == attached->copy->sequence;
}

static int attach_anew(struct crew__sight *sight)
{
	struct crew__attached fresh;
	int error = crew__attach_here(sight->settings->run_dir, sight->settings->name, &fresh,
		sight->error, sizeof(sight->error));
	if (error)
		return error;
	forget_connections(sight);
	if (sight->is_attached)
		crew__attach_fini(&sight->attached);
	sight->attached = fresh;
	sight->attached_ns = crew__clock_ns();
	sight->is_attached = true;
	return 0;
}

/* ---- the metrics --------------------------------------------------------------------------- */

static const struct crew__segment *segment_of(const struct crew__attached *attached, uint32_t life)
{
	for (size_t i = 0; i < attached->segment_count; i++)
		if (attached->segments[i].header && attached->segments[i].header->life == life)
			return &attached->segments[i];
	return NULL;
}

/* Does a process have that life, as far as the master knows? Between two of them there is nothing
 * to read. */
static bool has_process(const struct crew__attached *attached, uint32_t life)
{
	for (size_t i = 0; i < CREW__LIVES_MAX; i++)
		if (attached->copy->lives[i].life == life)
			return attached->copy->lives[i].state != CREW__EXITED;
	return true;
}

static void add_row(struct crew__metrics *metrics, const struct crew__attached *attached,
	const struct crew__status_row *row, uint64_t now_ns)
{
	const struct crew__segment *segment = segment_of(attached, row->life);
	struct crew__snapshot snapshot;
	if (segment)
		crew__segment_read(segment, now_ns, 0, &snapshot);
	crew__metrics_add_life(metrics, row, segment ? snapshot.measures : NULL,
		!segment && has_process(attached, row->life));
}

/* 0, -ENOMEM; -EAGAIN: somebody died meanwhile. */
static int make_metrics(const struct crew__attached *attached, const struct crew__status *status,
	struct crew__metrics *ret_metrics)
{
	struct crew__retired *retired = NULL;
	size_t count = 0;
	int error = crew__directory_retired(&attached->directory, attached->copy, &retired, &count);
	if (!error)
		error = crew__metrics_init(ret_metrics, status, status->row_count + count);
	if (error) {
		free(retired);
		return error;
	}
	for (size_t i = 0; i < status->row_count; i++)
		add_row(ret_metrics, attached, &status->rows[i], status->taken_ns);
	for (size_t i = 0; i < count; i++)
		if (retired[i].service < CREW_MAX_SERVICES)
			crew__metrics_add_retired(ret_metrics,
				attached->copy->service[retired[i].service], &retired[i]);
	crew__metrics_finish(ret_metrics);
	free(retired);
	return 0;
}

/* ---- looking ------------------------------------------------------------------------------- */

static int take(struct crew__sight *sight)
{
	struct crew__status_source source = {
		.attached = &sight->attached,
		.app = sight->settings->app,
		.settings = sight->settings,
		.run_dir = sight->settings->run_dir,
		.name = sight->settings->name,
		.now_ns = crew__clock_ns(),
	};
	struct crew__status *status;
	struct crew__metrics metrics;
	int error = crew__status_new(&source, &status);
	if (error)
		return error;
	error = make_metrics(&sight->attached, status, &metrics);
	if (error) {
		crew__status_free(status);
		return error;
	}
	forget_numbers(sight);
	sight->status = status;
	sight->metrics = metrics;
	return 0;
}

static int look(struct crew__sight *sight)
{
	int error = 0;
	for (int pass = 0; pass < PASSES; pass++) {
		if (pass > 0 || !sight->is_attached || !is_settled(sight))
			error = attach_anew(sight);
		if (!error)
			error = take(sight);
		if (error && error != -EAGAIN)
			return error;
		if (!error && is_settled(sight) && !sight->status->missing)
			return 0;
	}
	return error;
}

/* What came of looking: a failure is hidden while what was seen before is not old. */
static int judge(const struct crew__sight *sight, int error, uint64_t now_ns)
{
	if (error && sight->status &&
		is_younger(sight->status->taken_ns, now_ns, CREW__SIGHT_STALE_MS))
		return 0;
	return error;
}

int crew__sight_look(struct crew__sight *sight)
{
	uint64_t now_ns = crew__clock_ns();
	if (sight->tried_ns && is_younger(sight->tried_ns, now_ns, CREW__SIGHT_FRESH_MS))
		return judge(sight, sight->failure, now_ns);
	snprintf(sight->error, sizeof(sight->error), "the numbers cannot be read at present");
	sight->failure = look(sight);
	sight->tried_ns = crew__clock_ns(); /* it may have taken long */
	return judge(sight, sight->failure, sight->tried_ns);
}

int crew__sight_connections(struct crew__sight *sight)
{
	int error = crew__sight_look(sight);
	uint64_t now_ns = crew__clock_ns();
	if (error || (sight->has_connections &&
			     is_younger(sight->connections_ns, now_ns, CREW__SIGHT_FRESH_MS)))
		return error;
	forget_connections(sight);
	error = crew__connections_new(&sight->attached, &sight->connections);
	if (error) {
		snprintf(sight->error, sizeof(sight->error), "no memory for the connections");
		return error;
	}
	sight->has_connections = true;
	sight->connections_ns = now_ns;
	return 0;
}

int crew__sight_pick(const struct crew__sight *sight, struct crew__connections *ret_some)
{
	const struct crew__connections *all = &sight->connections;
	struct crew__connection *rows = calloc(all->count + 1, sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	if (all->count > 0)
		memcpy(rows, all->rows, all->count * sizeof(*rows));
	*ret_some = (struct crew__connections){ .count = all->count, .rows = rows };
	return 0;
}

void crew__sight_put_back(struct crew__connections *some)
{
	free(some->rows);
	*some = (struct crew__connections){ 0 };
}
