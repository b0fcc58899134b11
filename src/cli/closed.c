/* closed.c - the rings of ended connections become rows. Not here: how they are shown. */
#include "cli/closed.h"

#include "cli/command.h"
#include "cli/screen.h"
#include "cli/view_parts.h"
#include "stats/rings.h"

#include <stdlib.h>
#include <string.h>

const struct crew__connection_field crew__closed_fields[] = {
#define X(key, kind, member) \
	{ #key, CREW__FIELD_##kind, offsetof(struct crew__closed_row, conn.member) },
	CREW_CONNECTION_FIELD_TABLE(X)
#undef X
		{ "closed_at", CREW__FIELD_TIME, offsetof(struct crew__closed_row, closed_at) },
	{ "end", CREW__FIELD_TEXT, offsetof(struct crew__closed_row, end) },
	{ "ended_by", CREW__FIELD_TEXT, offsetof(struct crew__closed_row, ended_by) },
	{ "unsent", CREW__FIELD_NUMBER, offsetof(struct crew__closed_row, unsent) },
	{ "unsent_messages", CREW__FIELD_NUMBER,
		offsetof(struct crew__closed_row, unsent_messages) },
};
_Static_assert(crew__lengthof(crew__closed_fields) == CREW__CLOSED_FIELDS, "every field");
_Static_assert(offsetof(struct crew__closed_row, conn) == 0, "a row begins with its connection");

/* ---- ends ---------------------------------------------------------------------------------- */

const char *crew__ended_by(unsigned end)
{
	switch (end) {
	case CREW_END_PEER:
	case CREW_END_RESET:
		return "peer";
	case CREW_END_KICKED:
		return "operator";
	default:
		return end < CREW_END_REASONS ? "us" : "?";
	}
}

/* As the table of counters says it: the group closes_by_reason is in the order of the enum. */
const char *crew__end_sentence(unsigned end)
{
	static const size_t first = offsetof(struct crew__slab, close_peer);
#define X(field, kind, group, name, unit, sentence)                                           \
	if (offsetof(struct crew__slab, field) >= first &&                                    \
		offsetof(struct crew__slab, field) - first == (size_t)end * sizeof(uint64_t)) \
		return sentence;
	if (end < CREW_END_REASONS) {
		CREW_COUNTER_TABLE(X)
	}
#undef X
	return "for a reason that this version does not know";
}

/* ---- rows ---------------------------------------------------------------------------------- */

void crew__closed_fill(const struct crew__closed *from, struct crew__closed_row *ret_row)
{
	struct crew__connection *conn = &ret_row->conn;
	crew__connection_fill(&from->hot, &from->cold, from->at, conn);
	conn->state = crew__conn_state_name(CREW__CONN_CLOSED);
	if (from->verdict < CREW_VERDICTS)
		conn->verdict = crew__verdict_or_null((crew_verdict)from->verdict);
	ret_row->closed_at = from->wall_ms;
	ret_row->end = crew_end_name((crew_end_reason)from->hot.end);
	ret_row->ended_by = crew__ended_by(from->hot.end);
	ret_row->unsent = from->unsent_bytes;
	ret_row->unsent_messages = from->unsent_messages;
}

static int take_ring(struct crew__closed_list *list, const struct crew__segment *segment,
	struct crew__closed *entries, char *service)
{
	const struct crew__closed_ring *ring = crew__segment_closed(segment);
	size_t count = ring ? crew__closed_read(ring, entries, CREW__CLOSED) : 0;
	if (count == 0)
		return 0;
	struct crew__closed_row *rows = reallocarray(
		list->rows, list->count + count, sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	list->rows = rows;
	struct crew__worker_look worker;
	crew__look_worker(segment, segment->header->began_ns, &worker);
	snprintf(service, CREW__NAME_MAX, "%s", worker.service);
	for (size_t i = 0; i < count; i++) {
		struct crew__closed_row *row = &rows[list->count];
		*row = (struct crew__closed_row){
			.conn = { .service = service,
				.pid = worker.pid > 0 ? (uint64_t)worker.pid : 0,
				.place = (uint32_t)list->count }
		};
		crew__closed_fill(&entries[i], row);
		list->count++;
	}
	return 0;
}

static int take_rings(struct crew__closed_list *list, const struct crew__attached *attached)
{
	struct crew__closed *entries = calloc(CREW__CLOSED, sizeof(*entries));
	int error = entries ? 0 : -ENOMEM;
	for (size_t i = 0; i < attached->segment_count && !error; i++)
		if (attached->segments[i].header)
			error = take_ring(list, &attached->segments[i], entries, list->services[i]);
	free(entries);
	return error;
}

int crew__closed_new(const struct crew__attached *attached, struct crew__closed_list *ret_list)
{
	struct crew__closed_list made = { 0 };
	const char *nearest;
	made.services = calloc(attached->segment_count + 1, sizeof(*made.services));
	int error = made.services ? take_rings(&made, attached) : -ENOMEM;
	if (error) {
		crew__closed_fini(&made);
		return error;
	}
	crew__closed_sort(&made,
		crew__field_find(crew__closed_fields, CREW__CLOSED_FIELDS, "closed_at", &nearest));
	for (size_t i = 0; i < made.count; i++)
		made.rows[i].conn.place = (uint32_t)i;
	*ret_list = made;
	return 0;
}

void crew__closed_fini(struct crew__closed_list *list)
{
	free(list->rows);
	free(list->services);
	*list = (struct crew__closed_list){ 0 };
}

static struct crew__rows rows_of(const struct crew__closed_list *list)
{
	return (struct crew__rows){ .rows = list->rows,
		.count = list->count,
		.size = sizeof(*list->rows),
		.fields = crew__closed_fields,
		.field_count = CREW__CLOSED_FIELDS };
}

void crew__closed_sort(struct crew__closed_list *list, const struct crew__connection_field *field)
{
	const struct crew__rows rows = rows_of(list);
	crew__rows_sort(&rows, field);
}

int crew__closed_list_json(const struct crew__closed_list *list, FILE *out)
{
	const struct crew__rows rows = rows_of(list);
	return crew__rows_json(&rows, out);
}

/* ---- the command --------------------------------------------------------------------------- */

static int print_list(const struct crew__view *view, const struct crew__closed_list *list)
{
	struct crew__screen screen;
	crew__screen_init(&screen, stdout);
	return crew__view_finish(view, view->json ? crew__closed_list_json(list, stdout)
						  : crew__closed_list_text(list, &screen));
}

int crew__view_closed(const struct crew__view *view)
{
	struct crew__attached attached;
	struct crew__closed_list list;
	const struct crew__connection_field *field = NULL;
	const char *nearest;
	if (view->sort) {
		field = crew__field_find(
			crew__closed_fields, CREW__CLOSED_FIELDS, view->sort, &nearest);
		if (!field)
			return crew__view_unknown_key(view, "connections --closed", nearest);
	}
	int failed = crew__view_attach(view, &attached);
	if (failed)
		return failed;
	crew__view_buffer();
	if (crew__closed_new(&attached, &list)) {
		failed = crew__view_complain(view, "no memory for the connections", CREW__FAILED);
	} else {
		if (field)
			crew__closed_sort(&list, field);
		failed = print_list(view, &list);
		crew__closed_fini(&list);
	}
	crew__attach_fini(&attached);
	return failed;
}
