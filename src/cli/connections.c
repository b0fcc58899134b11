/* connections.c - records in shared memory become rows. Not here: how they are shown. */
#include "cli/connections.h"

#include "base/clock.h"
#include "base/nearest.h"
#include "cli/screen.h"
#include "net/address.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
	HUNDREDTHS = 100,
	AHEAD = 100,
	ID_DIGITS = 16
};

const struct crew__connection_field crew__connection_fields[] = {
#define X(key, kind, member) \
	{ #key, CREW__FIELD_##kind, offsetof(struct crew__connection, member) },
	CREW_CONNECTION_FIELD_TABLE(X)
#undef X
};
_Static_assert(crew__lengthof(crew__connection_fields) == CREW__CONNECTION_FIELDS, "every field");

const struct crew__connection_field *crew__field_find(const struct crew__connection_field *fields,
	size_t count, const char *key, const char **ret_nearest)
{
	size_t best = SIZE_MAX;
	*ret_nearest = NULL;
	for (size_t i = 0; i < count; i++) {
		if (strcmp(fields[i].key, key) == 0)
			return &fields[i];
		if (crew__nearer(key, fields[i].key, &best))
			*ret_nearest = fields[i].key;
	}
	return NULL;
}

const struct crew__connection_field *crew__connection_field_find(
	const char *key, const char **ret_nearest)
{
	return crew__field_find(crew__connection_fields, CREW__CONNECTION_FIELDS, key, ret_nearest);
}

/* ---- ids ----------------------------------------------------------------------------------- */

bool crew__id_prefix_valid(const char *prefix)
{
	size_t length = strlen(prefix);
	return length >= 1 && length <= ID_DIGITS &&
	       strspn(prefix, "0123456789abcdefABCDEF") == length;
}

bool crew__id_has_prefix(uint64_t id, const char *prefix)
{
	char text[ID_DIGITS + 1];
	snprintf(text, sizeof(text), "%016" PRIx64, id);
	return crew__id_prefix_valid(prefix) && strncasecmp(text, prefix, strlen(prefix)) == 0;
}

/* ---- rows ---------------------------------------------------------------------------------- */

double crew__hundredths_since(uint32_t now, uint32_t then)
{
	uint32_t passed = now - then;
	return passed > UINT32_MAX - AHEAD ? 0 : (double)passed / HUNDREDTHS;
}

uint32_t crew__life_hundredths(const struct crew__segment *segment)
{
	uint64_t lived_ns = crew__clock_ns() - segment->header->began_ns;
	return (uint32_t)(lived_ns / (CREW__NS_PER_S / HUNDREDTHS));
}

void crew__connection_fill(const struct crew__record *hot, const struct crew__record_cold *cold,
	uint32_t now, struct crew__connection *ret_row)
{
	struct crew__connection *to = ret_row;
	to->id = atomic_load_explicit(&hot->id, memory_order_relaxed);
	to->transport = crew__transport_name(hot->transport);
	to->protocol = crew__protocol_name(hot->protocol);
	to->state = crew__conn_state_name(hot->state);
	crew__address_text(&cold->local, to->local, sizeof(to->local));
	crew__address_text(&cold->remote, to->remote, sizeof(to->remote));
	to->age_s = crew__hundredths_since(now, hot->opened);
	to->idle_in_s = crew__hundredths_since(now, hot->last_in);
	to->idle_out_s = crew__hundredths_since(now, hot->last_out);
	to->recv_queue = hot->recv_queue;
	to->send_queue = hot->bytes_queued;
	to->send_queue_messages = hot->messages_queued;
	to->oldest_queued_s = hot->bytes_queued ? crew__hundredths_since(now, hot->queued_since)
						: 0;
	to->kernel_unsent = cold->kernel_unsent;
	to->outgoing = cold->outgoing != 0;
	to->bytes_in = hot->bytes_in;
	to->bytes_out = hot->bytes_out;
	to->send_fail = hot->send_fail;
	memcpy(to->fail, cold->fail, sizeof(to->fail));
	/* Nothing came or went yet: idle since it was opened. */
	if (to->idle_in_s > to->age_s)
		to->idle_in_s = to->age_s;
	if (to->idle_out_s > to->age_s)
		to->idle_out_s = to->age_s;
}

crew_verdict crew__connection_verdict(const struct crew__connection *row,
	const struct crew__record_slow *slow, const struct crew__worker_look *worker)
{
	if (!row->send_queue)
		return CREW_VERDICT_NONE;
	if (worker->stands_still && !row->kernel_unsent)
		return CREW_VERDICT_US;
	/* A number that is none may come from a program of another version. */
	return slow && slow->verdict < CREW_VERDICTS ? (crew_verdict)slow->verdict
						     : CREW_VERDICT_NONE;
}

const char *crew__verdict_or_null(crew_verdict verdict)
{
	return verdict == CREW_VERDICT_NONE ? NULL : crew_verdict_name(verdict);
}

/* What is in one life: its rows go to the end of all. */
struct find {
	const struct crew__conn_snapshot *records;
	size_t count;
	const char *service;
	uint32_t now; /* hundredths */
	struct crew__worker_look worker;
};

static void take_rows(struct crew__connections *connections, const struct find *find)
{
	for (size_t i = 0; i < find->count; i++) {
		const struct crew__conn_snapshot *from = &find->records[i];
		struct crew__connection *row = &connections->rows[connections->count];
		*row = (struct crew__connection){ .service = find->service,
			.pid = find->worker.pid > 0 ? (uint64_t)find->worker.pid : 0,
			.place = (uint32_t)connections->count };
		crew__connection_fill(&from->hot, &from->cold, find->now, row);
		row->verdict = crew__verdict_or_null(crew__connection_verdict(
			row, from->has_slow ? &from->slow : NULL, &find->worker));
		connections->count++;
	}
}

static int take_segment(
	struct crew__connections *connections, const struct crew__segment *segment, char *service)
{
	struct find find = { .service = service };
	struct crew__conn_snapshot *found = crew__segment_connections(segment, &find.count);
	if (find.count == 0) {
		free(found);
		return 0;
	}
	struct crew__connection *rows = found ? reallocarray(connections->rows,
							connections->count + find.count,
							sizeof(*rows))
					      : NULL;
	if (!rows) {
		free(found);
		return -ENOMEM;
	}
	connections->rows = rows;
	find.records = found;
	find.now = crew__life_hundredths(segment);
	crew__look_worker(segment, crew__clock_ns(), &find.worker);
	snprintf(service, CREW__NAME_MAX, "%s", find.worker.service);
	take_rows(connections, &find);
	free(found);
	return 0;
}

int crew__connections_new(
	const struct crew__attached *attached, struct crew__connections *ret_connections)
{
	struct crew__connections made = { 0 };
	made.services = calloc(attached->segment_count + 1, sizeof(*made.services));
	int error = made.services ? 0 : -ENOMEM;
	for (size_t i = 0; i < attached->segment_count && !error; i++)
		if (attached->segments[i].header)
			error = take_segment(&made, &attached->segments[i], made.services[i]);
	if (error)
		crew__connections_fini(&made);
	else
		*ret_connections = made;
	return error;
}

void crew__connections_fini(struct crew__connections *connections)
{
	free(connections->rows);
	free(connections->services);
	*connections = (struct crew__connections){ 0 };
}

/* ---- order --------------------------------------------------------------------------------- */

static const void *value_of(
	const struct crew__connection *row, const struct crew__connection_field *field)
{
	return (const char *)row + field->member;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
	return a > b ? -1 : a < b;
}

static int compare_values(const struct crew__connection *a, const struct crew__connection *b,
	const struct crew__connection_field *field)
{
	const void *left = value_of(a, field), *right = value_of(b, field);
	switch (field->kind) {
	case CREW__FIELD_NUMBER:
		return compare_numbers(*(const uint64_t *)left, *(const uint64_t *)right);
	case CREW__FIELD_SECONDS: {
		double x = *(const double *)left, y = *(const double *)right;
		return x > y ? -1 : x < y;
	}
	case CREW__FIELD_ID: /* a text of hex digits */
		return compare_numbers(*(const uint64_t *)right, *(const uint64_t *)left);
	case CREW__FIELD_TEXT:
		return strcmp(*(const char *const *)left, *(const char *const *)right);
	case CREW__FIELD_ADDRESS:
		return strcmp(left, right);
	case CREW__FIELD_REASONS:
		return compare_numbers(a->send_fail, b->send_fail);
	case CREW__FIELD_VERDICT: {
		const char *x = *(const char *const *)left, *y = *(const char *const *)right;
		return x && y ? strcmp(x, y) : (x == NULL) - (y == NULL);
	}
	case CREW__FIELD_TIME: {
		int64_t x = *(const int64_t *)left, y = *(const int64_t *)right;
		return x > y ? -1 : x < y;
	}
	}
	return 0;
}

static int compare_rows(const void *left, const void *right, void *field)
{
	const struct crew__connection *a = left, *b = right;
	int order = compare_values(a, b, field);
	return order ? order : a->place < b->place ? -1 : a->place > b->place;
}

void crew__rows_sort(const struct crew__rows *rows, const struct crew__connection_field *field)
{
	if (rows->count > 1)
		qsort_r(rows->rows, rows->count, rows->size, compare_rows,
			(void *)(uintptr_t)field);
}

void crew__connections_sort(
	struct crew__connections *connections, const struct crew__connection_field *field)
{
	const struct crew__rows rows = { .rows = connections->rows,
		.count = connections->count,
		.size = sizeof(*connections->rows) };
	crew__rows_sort(&rows, field);
}

static int compare_slowness(const void *left, const void *right)
{
	const struct crew__connection *a = left, *b = right;
	if (a->oldest_queued_s != b->oldest_queued_s)
		return a->oldest_queued_s > b->oldest_queued_s ? -1 : 1;
	int order = compare_numbers(a->send_queue, b->send_queue);
	return order ? order : a->place < b->place ? -1 : a->place > b->place;
}

/* Nearly always few of very many have anything waiting: those go to the front, and only they are
 * put in order. */
size_t crew__connections_slowest(struct crew__connections *connections, size_t most)
{
	struct crew__connection *rows = connections->rows;
	size_t waiting = 0;
	for (size_t i = 0; i < connections->count; i++) {
		if (!rows[i].send_queue)
			continue;
		if (i != waiting) {
			struct crew__connection moved = rows[i];
			rows[i] = rows[waiting];
			rows[waiting] = moved;
		}
		waiting++;
	}
	if (waiting > 1)
		qsort(rows, waiting, sizeof(*rows), compare_slowness);
	return connections->count < most ? connections->count : most;
}
