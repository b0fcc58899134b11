/* events.c - rings become rows in the order of time. Not here: how they are shown, and `-f`. */
#include "cli/events.h"

#include "cli/look.h"
#include "cli/screen.h"

#include <stdlib.h>
#include <string.h>

enum {
	NS_PER_US = 1000,
	ROWS_FIRST = 64,
	TAKE_MOST = 2 * CREW__EVENTS, /* of one ring at once, however fast it is written */
};

/* How far a ring was read. A life is known by its number and its beginning, the master by number 0.
 */
struct crew__event_position {
	uint32_t life;
	uint64_t began_ns;
	uint64_t after;
};

/* One ring, and who writes it. */
struct source {
	const struct crew__events *ring;
	const struct crew__directory_header *directory; /* the master's; NULL: a worker's */
	struct crew__worker_look worker;
	struct crew__event_position position;
};

/* ---- rows ---------------------------------------------------------------------------------- */

static struct crew__event_row *add_row(struct crew__event_rows *rows)
{
	size_t count = rows->count;
	/* Room doubles when the count is a power of two. */
	if (count == 0 || (count >= ROWS_FIRST && (count & (count - 1)) == 0)) {
		size_t room = crew__max(count * 2, ROWS_FIRST);
		struct crew__event_row *grown = reallocarray(rows->rows, room, sizeof(*grown));
		if (!grown)
			return NULL;
		rows->rows = grown;
	}
	struct crew__event_row *row = &rows->rows[rows->count++];
	memset(row, 0, sizeof(*row));
	row->place = (uint32_t)count;
	return row;
}

void crew__event_rows_fini(struct crew__event_rows *rows)
{
	free(rows->rows);
	*rows = (struct crew__event_rows){ 0 };
}

/* The master tells of workers by number: what it says of itself is believed no more than the rest.
 */
static void name_subject(
	struct crew__event_row *row, const struct crew__directory_header *directory)
{
	const struct crew__event *event = &row->event;
	bool about_worker = event->kind == CREW__EVENT_START || event->kind == CREW__EVENT_DEATH ||
			    event->kind == CREW__EVENT_RECYCLE ||
			    event->kind == CREW__EVENT_SLOW_CALLBACK ||
			    event->kind == CREW__EVENT_STUCK ||
			    event->kind == CREW__EVENT_CRASH_LOOP;
	if (!about_worker)
		return;
	if (event->service < CREW_MAX_SERVICES)
		crew__screen_clean(row->service, sizeof(row->service),
			directory->service[event->service], CREW__NAME_MAX);
	row->has_worker = true;
	row->worker = (uint32_t)event->values[0];
	row->generation = (uint32_t)event->values[1];
	row->pid = event->values[2] <= INT32_MAX ? (int64_t)event->values[2] : 0;
}

static void fill_row(
	struct crew__event_row *row, const struct source *source, const struct crew__event *event)
{
	memcpy(&row->event, event, sizeof(*event));
	crew__screen_clean(
		row->event.text, sizeof(row->event.text), event->text, sizeof(event->text));
	if (source->directory) {
		name_subject(row, source->directory);
		return;
	}
	memcpy(row->service, source->worker.service, sizeof(row->service));
	row->has_worker = true;
	row->worker = source->worker.id;
	row->generation = source->worker.generation;
	row->pid = source->worker.pid > 0 ? source->worker.pid : 0;
}

/* As if it had happened just before the next one. */
static int add_missed(struct crew__event_rows *rows, const struct source *source,
	const struct crew__event *next, uint64_t missed)
{
	struct crew__event_row *row = add_row(rows);
	if (!row)
		return -ENOMEM;
	const struct crew__event event = {
		.time_ns = next->time_ns, .wall_ms = next->wall_ms, .values = { missed }
	};
	fill_row(row, source, &event);
	row->missed = true;
	return 0;
}

static int take_ring(struct crew__event_rows *rows, struct source *source)
{
	struct crew__event event;
	for (unsigned n = 0; n < TAKE_MOST; n++) {
		uint64_t missed = 0;
		if (!crew__events_next(source->ring, &source->position.after, &event, &missed))
			return 0;
		if (missed && add_missed(rows, source, &event, missed))
			return -ENOMEM;
		struct crew__event_row *row = add_row(rows);
		if (!row)
			return -ENOMEM;
		fill_row(row, source, &event);
	}
	return 0;
}

static int compare_rows(const void *left, const void *right)
{
	const struct crew__event_row *a = left, *b = right;
	if (a->event.time_ns != b->event.time_ns)
		return a->event.time_ns < b->event.time_ns ? -1 : 1;
	return a->place < b->place ? -1 : a->place > b->place;
}

/* ---- rings --------------------------------------------------------------------------------- */

void crew__event_reader_fini(struct crew__event_reader *reader)
{
	free(reader->positions);
	*reader = (struct crew__event_reader){ 0 };
}

static uint64_t read_so_far(
	const struct crew__event_reader *reader, const struct crew__event_position *position)
{
	for (size_t i = 0; i < reader->count; i++)
		if (reader->positions[i].life == position->life &&
			reader->positions[i].began_ns == position->began_ns)
			return reader->positions[i].after;
	return 0;
}

static void source_of_worker(const struct crew__segment *segment, struct source *ret_source)
{
	*ret_source = (struct source){ .ring = crew__segment_events(segment),
		.position = {
			.life = segment->header->life, .began_ns = segment->header->began_ns } };
	if (ret_source->ring)
		crew__look_worker(segment, segment->header->began_ns, &ret_source->worker);
}

static void source_of_master(const struct crew__attached *attached, struct source *ret_source)
{
	*ret_source = (struct source){ .ring = attached->directory.events,
		.directory = attached->copy,
		.position = { .began_ns = attached->copy->began_ns } };
}

/* Who has gone is not remembered any longer. */
int crew__event_reader_take(struct crew__event_reader *reader,
	const struct crew__attached *attached, struct crew__event_rows *ret_rows)
{
	struct crew__event_rows rows = { 0 };
	struct crew__event_reader read = { 0 };
	struct source source;
	int error = 0;
	read.positions = calloc(attached->segment_count + 1, sizeof(*read.positions));
	if (!read.positions)
		return -ENOMEM;
	for (size_t i = 0; i <= attached->segment_count && !error; i++) {
		if (i == attached->segment_count)
			source_of_master(attached, &source);
		else
			source_of_worker(&attached->segments[i], &source);
		if (!source.ring)
			continue;
		source.position.after = read_so_far(reader, &source.position);
		error = take_ring(&rows, &source);
		read.positions[read.count++] = source.position;
	}
	if (error) {
		crew__event_rows_fini(&rows);
		crew__event_reader_fini(&read);
		return error;
	}
	if (rows.count > 1)
		qsort(rows.rows, rows.count, sizeof(*rows.rows), compare_rows);
	crew__event_reader_fini(reader);
	*reader = read;
	*ret_rows = rows;
	return 0;
}

uint64_t crew__event_row_stamp(const struct crew__event_row *row)
{
	return row->event.time_ns / NS_PER_US;
}
