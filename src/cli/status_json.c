/* status_json.c - the model of `status` as JSON. Which counters there are, and in which group, the
 * table in counters.def says alone. */
#include "cli/status.h"

#include "cli/json_parts.h"
#include "cli/progress.h"
#include "cli/status_listening.h"
#include "cli/when.h"

#include <string.h>

static int put_counter(json_t *object, const char *group, const char *name, uint64_t value)
{
	if (!*group)
		return crew__json_put(object, name, crew__json_number(value));
	json_t *members = json_object_get(object, group);
	if (!members) {
		members = json_object();
		if (crew__json_put(object, group, members))
			return -1;
	}
	return crew__json_put(members, name, crew__json_number(value));
}

static int put_counters(json_t *object, const struct crew__slab *slab, const crew_counter *counters)
{
	int failed = 0;
#define X(field, kind, group, name, unit, sentence) \
	failed |= put_counter(object, group, name, slab->field);
	CREW_COUNTER_TABLE(X)
#undef X
	for (size_t i = 0; i < CREW_MAX_COUNTERS && counters[i].name; i++)
		failed |= crew__json_put(object, counters[i].name, crew__json_number(slab->app[i]));
	return failed;
}

/* The same keys for a worker, the retired and the totals. */
static int put_sums(json_t *object, const struct crew__status *status,
	const struct crew__slab *slab, uint64_t memory_bytes, uint64_t qps)
{
	return crew__json_put(object, "memory_bytes", crew__json_number(memory_bytes)) |
	       crew__json_put(object, "qps", crew__json_number(qps)) |
	       put_counters(object, slab, status->counters);
}

static int put_tls(json_t *object, const struct crew__status_row *row)
{
	if (row->tls_expires == 0)
		return crew__json_put(object, "tls", json_null());
	json_t *tls = json_object();
	return crew__json_put(object, "tls", tls) |
	       crew__json_put(tls, "expires", json_integer(row->tls_expires)) |
	       crew__json_put(tls, "ktls", json_boolean(row->tls_ktls[0] == '\0')) |
	       crew__json_put(tls, "ktls_why_not", crew__json_text_or_null(row->tls_ktls));
}

static int put_job(json_t *object, const struct crew__status_row *row)
{
	json_t *offload = json_object();
	return crew__json_put(object, "offload", offload) |
	       crew__json_put(offload, "job", crew__json_text_or_null(row->job)) |
	       crew__json_put(offload, "job_ms", crew__json_number(row->job_ms)) |
	       crew__json_put(offload, "longest_wait_ms", crew__json_number(row->job_wait_ms));
}

static int put_leaving(json_t *object, const struct crew__status_row *row)
{
	char waits[CREW__WAITS_MAX];
	json_t *left = row->leaves_in_ms == CREW__STAYS_ON
			       ? json_null()
			       : json_real((double)row->leaves_in_ms / 1000);
	return crew__json_put(object, "leaves_in_s", left) |
	       crew__json_put(
		       object, "waits_for", crew__json_text_or_null(crew__waits_for(row, waits)));
}

static json_t *reload(const struct crew__status *status)
{
	const struct crew__status_reload *from = &status->reload;
	json_t *object = json_object();
	int failed = crew__json_put(
			     object, "state", json_string(crew__reload_state_name(from->state))) |
		     crew__json_put(object, "generation", crew__json_number(from->generation)) |
		     crew__json_put(object, "began_s_ago",
			     from->state == CREW__RELOAD_NONE ? json_null()
							      : json_real(from->began_s_ago)) |
		     crew__json_put(object, "ready", crew__json_number(from->ready)) |
		     crew__json_put(object, "workers", crew__json_number(from->workers));
	if (!failed)
		return object;
	json_decref(object);
	return NULL;
}

static int put_loop(json_t *object, const struct crew__status_row *row)
{
	bool waits = row->state == CREW__SHOWN_EXITED && row->next_start_ms > 0;
	return crew__json_put(object, "died_young", crew__json_number(row->young)) |
	       crew__json_put(object, "crash_loop", json_boolean(row->crash_loop)) |
	       crew__json_put(object, "next_start_ms",
		       waits ? crew__json_number(row->next_start_ms) : json_null());
}

static json_t *worker(const struct crew__status *status, const struct crew__status_row *row)
{
	json_t *object = json_object();
	int failed =
		crew__json_put(object, "service", json_string(row->service)) |
		crew__json_put(object, "id", crew__json_number(row->id)) |
		crew__json_put(object, "pid", row->pid > 0 ? json_integer(row->pid) : json_null()) |
		crew__json_put(object, "generation", crew__json_number(row->generation)) |
		crew__json_put(object, "state", json_string(crew__shown_state_name(row->state))) |
		crew__json_put(object, "listen", crew__json_text_or_null(row->listen)) |
		crew__json_put(object, "busy_ms", crew__json_number(row->busy_ms)) |
		crew__json_put(object, "busy_in", crew__json_text_or_null(row->busy_in)) |
		crew__json_put(object, "busy_stack", crew__json_text_or_null(row->busy_stack)) |
		put_loop(object, row) | put_tls(object, row) | put_job(object, row) |
		put_leaving(object, row) |
		crew__json_put(object, "share", crew__status_share_json(status, row)) |
		put_sums(object, status, &row->counters, row->memory_bytes, row->qps);
	if (!failed)
		return object;
	json_decref(object);
	return NULL;
}

static json_t *workers(const struct crew__status *status)
{
	json_t *array = json_array();
	for (size_t i = 0; i < status->row_count; i++)
		if (json_array_append_new(array, worker(status, &status->rows[i]))) {
			json_decref(array);
			return NULL;
		}
	return array;
}

static json_t *exits(const struct crew__status *status)
{
	json_t *array = json_array();
	for (size_t i = 0; i < status->exit_count; i++) {
		const struct crew__status_exit *row = &status->exits[i];
		json_t *object = json_object();
		int failed = crew__json_put(object, "service", json_string(row->service)) |
			     crew__json_put(object, "status", json_integer(row->status)) |
			     crew__json_put(object, "signal",
				     row->signal ? json_integer(row->signal) : json_null()) |
			     crew__json_put(object, "count", crew__json_number(row->count));
		if (json_array_append_new(array, object) || failed) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *stack(const struct crew__death_entry *entry)
{
	json_t *array = json_array();
	for (uint32_t i = 0; i < entry->frames; i++)
		if (json_array_append_new(array, json_string(entry->frame[i]))) {
			json_decref(array);
			return NULL;
		}
	return array;
}

static json_t *death(const struct crew__status_death *death)
{
	const struct crew__death_entry *entry = &death->entry;
	char when[CREW__WHEN_MAX];
	json_t *object = json_object();
	int failed = crew__json_put(
			     object, "time", json_string(crew__when_iso(entry->wall_ms, when))) |
		     crew__json_put(object, "service", crew__json_text_or_null(death->service)) |
		     crew__json_put(object, "id", crew__json_number(entry->id)) |
		     crew__json_put(object, "pid", json_integer(entry->pid)) |
		     crew__json_put(object, "generation", crew__json_number(entry->generation)) |
		     crew__json_put(object, "status", json_integer(entry->status)) |
		     crew__json_put(object, "signal",
			     entry->signal ? json_integer(entry->signal) : json_null()) |
		     crew__json_put(object, "core", json_boolean(entry->dumped_core)) |
		     crew__json_put(object, "lived_ms", crew__json_number(entry->lived_ms)) |
		     crew__json_put(object, "in", crew__json_text_or_null(death->callback)) |
		     crew__json_put(object, "words", crew__json_text_or_null(entry->words)) |
		     crew__json_put(object, "stack", stack(entry));
	if (!failed)
		return object;
	json_decref(object);
	return NULL;
}

static json_t *deaths(const struct crew__status *status)
{
	json_t *array = json_array();
	for (size_t i = 0; i < status->death_count; i++)
		if (json_array_append_new(array, death(&status->deaths[i]))) {
			json_decref(array);
			return NULL;
		}
	return array;
}

static json_t *sums(const struct crew__status *status, const struct crew__slab *slab,
	uint64_t memory_bytes, uint64_t qps)
{
	json_t *object = json_object();
	if (!put_sums(object, status, slab, memory_bytes, qps))
		return object;
	json_decref(object);
	return NULL;
}

static json_t *totals(const struct crew__status *status)
{
	json_t *object = sums(
		status, &status->totals, status->total_memory_bytes, status->total_qps);
	if (!crew__json_put(object, "workers", crew__json_number(status->workers)))
		return object;
	json_decref(object);
	return NULL;
}

static json_t *load(const struct crew__status *status)
{
	json_t *array = json_array();
	for (int i = 0; i < 3; i++)
		if (json_array_append_new(array, json_real(status->load[i]))) {
			json_decref(array);
			return NULL;
		}
	return array;
}

static int put_all(json_t *object, const struct crew__status *status)
{
	return crew__json_put(object, "app", json_string(status->app)) |
	       crew__json_put(object, "version", json_string(status->version)) |
	       crew__json_put(object, "pid", json_integer(status->master)) |
	       crew__json_put(object, "mode", json_string(status->mode)) |
	       crew__json_put(object, "master",
		       json_string(status->master_answers ? "answers" : "silent")) |
	       crew__json_put(object, "uptime_s", json_real(status->uptime_s)) |
	       crew__json_put(object, "engine", json_string(status->engine)) |
	       crew__json_put(object, "generation", crew__json_number(status->generation)) |
	       crew__json_put(object, "consistent", json_boolean(status->consistent)) |
	       crew__json_put(object, "load", load(status)) |
	       crew__json_put(object, "workers", workers(status)) |
	       crew__json_put(object, "retired", sums(status, &status->retired, 0, 0)) |
	       crew__json_put(object, "totals", totals(status)) |
	       crew__json_put(object, "exits", exits(status)) |
	       crew__json_put(object, "reload", reload(status)) |
	       crew__json_put(object, "last_deaths", deaths(status)) |
	       crew__json_put(object, "listening", crew__status_listening_json(status));
}

int crew__status_json(const struct crew__status *status, bool compact, FILE *out)
{
	json_t *object = json_object();
	size_t flags = JSON_REAL_PRECISION(10) | (compact ? JSON_COMPACT : JSON_INDENT(2));
	int failed = put_all(object, status);
	if (!failed) {
		failed = json_dumpf(object, out, flags);
		fputc('\n', out);
	}
	json_decref(object);
	return failed ? -ENOMEM : 0;
}
