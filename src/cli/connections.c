/* connections.c - records in shared memory become rows. Not here: how they are shown. */
#include "cli/connections.h"

#include "base/clock.h"
#include "base/nearest.h"
#include "cli/screen.h"
#include "net/address.h"

#include <stdlib.h>
#include <string.h>

enum {
	HUNDREDTHS = 100,
	AHEAD = 100
};

/* clang-format off */
#define FIELD(key, kind) { #key, CREW__FIELD_##kind, offsetof(struct crew__connection, key) }
/* clang-format on */

const struct crew__connection_field crew__connection_fields[] = {
	FIELD(id, ID),
	FIELD(pid, NUMBER),
	FIELD(service, TEXT),
	FIELD(transport, TEXT),
	FIELD(protocol, TEXT),
	FIELD(state, TEXT),
	FIELD(local, ADDRESS),
	FIELD(remote, ADDRESS),
	FIELD(age_s, SECONDS),
	FIELD(idle_in_s, SECONDS),
	FIELD(idle_out_s, SECONDS),
	FIELD(recv_queue, NUMBER),
	FIELD(send_queue, NUMBER),
	FIELD(send_queue_messages, NUMBER),
	FIELD(oldest_queued_s, SECONDS),
	FIELD(kernel_unsent, NUMBER),
	FIELD(bytes_in, NUMBER),
	FIELD(bytes_out, NUMBER),
	FIELD(send_fail, NUMBER),
	{ "send_fail_by_reason", CREW__FIELD_REASONS, offsetof(struct crew__connection, fail) },
	{ "verdict", CREW__FIELD_VERDICT, 0 },
};
_Static_assert(crew__lengthof(crew__connection_fields) == CREW__CONNECTION_FIELDS, "every field");

const struct crew__connection_field *crew__connection_field_find(
	const char *key, const char **ret_nearest)
{
	size_t best = SIZE_MAX;
	*ret_nearest = NULL;
	for (size_t i = 0; i < CREW__CONNECTION_FIELDS; i++) {
		const struct crew__connection_field *field = &crew__connection_fields[i];
		if (strcmp(field->key, key) == 0)
			return field;
		if (crew__nearer(key, field->key, &best))
			*ret_nearest = field->key;
	}
	return NULL;
}

/* ---- rows ---------------------------------------------------------------------------------- */

/* Since a time in hundredths that wraps after 497 days. The worker's clock may be read a little
 * later than ours. */
static double since(uint32_t now, uint32_t then)
{
	uint32_t passed = now - then;
	return passed > UINT32_MAX - AHEAD ? 0 : (double)passed / HUNDREDTHS;
}

static void take_row(
	const struct crew__conn_snapshot *from, uint32_t now, struct crew__connection *to)
{
	const struct crew__record *hot = &from->hot;
	const struct crew__record_cold *cold = &from->cold;
	to->id = atomic_load_explicit(&hot->id, memory_order_relaxed);
	to->transport = crew__transport_name(hot->transport);
	to->protocol = crew__protocol_name(hot->protocol);
	to->state = crew__conn_state_name(hot->state);
	crew__address_text(&cold->local, to->local, sizeof(to->local));
	crew__address_text(&cold->remote, to->remote, sizeof(to->remote));
	to->age_s = since(now, hot->opened);
	to->idle_in_s = since(now, hot->last_in);
	to->idle_out_s = since(now, hot->last_out);
	to->recv_queue = hot->recv_queue;
	to->send_queue = hot->bytes_queued;
	to->send_queue_messages = hot->messages_queued;
	to->oldest_queued_s = hot->bytes_queued ? since(now, hot->queued_since) : 0;
	to->kernel_unsent = cold->kernel_unsent;
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

static int take_segment(
	struct crew__connections *connections, const struct crew__segment *segment, char *service)
{
	size_t count;
	struct crew__conn_snapshot *found = crew__segment_connections(segment, &count);
	if (count == 0) {
		free(found);
		return 0;
	}
	struct crew__connection *rows = found ? reallocarray(connections->rows,
							connections->count + count, sizeof(*rows))
					      : NULL;
	if (!rows) {
		free(found);
		return -ENOMEM;
	}
	connections->rows = rows;
	uint64_t now_ns = crew__clock_ns(), began_ns = segment->header->began_ns;
	uint32_t now = (uint32_t)((now_ns - began_ns) / (CREW__NS_PER_S / HUNDREDTHS));
	int32_t pid = atomic_load_explicit(&segment->header->pid, memory_order_relaxed);
	crew__screen_clean(service, CREW__NAME_MAX, segment->header->service, CREW__NAME_MAX);
	for (size_t i = 0; i < count; i++) {
		struct crew__connection *row = &rows[connections->count];
		*row = (struct crew__connection){ .service = service,
			.pid = pid > 0 ? (uint64_t)pid : 0,
			.place = (uint32_t)connections->count };
		take_row(&found[i], now, row);
		connections->count++;
	}
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
	case CREW__FIELD_VERDICT:
		return 0;
	}
	return 0;
}

static int compare_rows(const void *left, const void *right, void *field)
{
	const struct crew__connection *a = left, *b = right;
	int order = compare_values(a, b, field);
	return order ? order : a->place < b->place ? -1 : a->place > b->place;
}

void crew__connections_sort(
	struct crew__connections *connections, const struct crew__connection_field *field)
{
	if (connections->count > 1)
		qsort_r(connections->rows, connections->count, sizeof(*connections->rows),
			compare_rows, (void *)(uintptr_t)field);
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
