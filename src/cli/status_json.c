/* status_json.c - the model of `status` as JSON. Which counters there are, and in which group, the
 * table in counters.def says alone. */
#include "cli/status.h"

#include <jansson.h>
#include <string.h>

/* A failed allocation anywhere makes jansson's next call fail; the last word is
 * crew__status_json's. */
static int put(json_t *object, const char *key, json_t *take_value)
{
	return json_object_set_new(object, key, take_value);
}

static json_t *number(uint64_t value)
{
	return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

static json_t *text_or_null(const char *text)
{
	return text && *text ? json_string(text) : json_null();
}

static int put_counter(json_t *object, const char *group, const char *name, uint64_t value)
{
	if (!*group)
		return put(object, name, number(value));
	json_t *members = json_object_get(object, group);
	if (!members) {
		members = json_object();
		if (put(object, group, members))
			return -1;
	}
	return put(members, name, number(value));
}

static int put_counters(json_t *object, const struct crew__slab *slab, const crew_counter *counters)
{
	int failed = 0;
#define X(field, kind, group, name, unit, sentence) \
	failed |= put_counter(object, group, name, slab->field);
	CREW_COUNTER_TABLE(X)
#undef X
	for (size_t i = 0; i < CREW_MAX_COUNTERS && counters[i].name; i++)
		failed |= put(object, counters[i].name, number(slab->app[i]));
	return failed;
}

/* The same keys for a worker, the retired and the totals. */
static int put_sums(json_t *object, const struct crew__status *status,
	const struct crew__slab *slab, uint64_t memory_bytes, uint64_t qps)
{
	return put(object, "memory_bytes", number(memory_bytes)) | put(object, "qps", number(qps)) |
	       put_counters(object, slab, status->counters);
}

static json_t *worker(const struct crew__status *status, const struct crew__status_row *row)
{
	json_t *object = json_object();
	int failed = put(object, "service", json_string(row->service)) |
		     put(object, "id", number(row->id)) |
		     put(object, "pid", row->pid > 0 ? json_integer(row->pid) : json_null()) |
		     put(object, "generation", number(row->generation)) |
		     put(object, "state", json_string(crew__shown_state_name(row->state))) |
		     put(object, "listen", text_or_null(row->listen)) |
		     put(object, "busy_ms", number(row->busy_ms)) |
		     put(object, "busy_in", text_or_null(row->busy_in)) |
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
		int failed = put(object, "service", json_string(row->service)) |
			     put(object, "status", json_integer(row->status)) |
			     put(object, "signal",
				     row->signal ? json_integer(row->signal) : json_null()) |
			     put(object, "count", number(row->count));
		if (json_array_append_new(array, object) || failed) {
			json_decref(array);
			return NULL;
		}
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
	if (!put(object, "workers", number(status->workers)))
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
	return put(object, "app", json_string(status->app)) |
	       put(object, "version", json_string(status->version)) |
	       put(object, "pid", json_integer(status->master)) |
	       put(object, "mode", json_string(status->mode)) |
	       put(object, "master", json_string(status->master_answers ? "answers" : "silent")) |
	       put(object, "uptime_s", json_real(status->uptime_s)) |
	       put(object, "engine", json_string(status->engine)) |
	       put(object, "generation", number(status->generation)) |
	       put(object, "consistent", json_boolean(status->consistent)) |
	       put(object, "load", load(status)) | put(object, "workers", workers(status)) |
	       put(object, "retired", sums(status, &status->retired, 0, 0)) |
	       put(object, "totals", totals(status)) | put(object, "exits", exits(status));
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
