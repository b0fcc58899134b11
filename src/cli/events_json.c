/* events_json.c - events as JSON: each figure by its name, and the same in words.
 *
 * A failed allocation anywhere makes jansson's next call fail. */
#include "cli/events.h"

#include "cli/json_parts.h"
#include "cli/when.h"
#include "net/address.h"

#include <string.h>

enum {
	ADDRESS_MAX = 72,
	FIGURES_MAX = 5
};

/* What the values of each kind are called. */
static const char *const figure_names[CREW__EVENT_KINDS][FIGURES_MAX] = {
	[CREW__EVENT_SLOW_BEGIN] = { "queued", "messages" },
	[CREW__EVENT_SLOW_END] = { "lasted_ms", "peak_bytes", "lost", "replaced" },
	[CREW__EVENT_DROP] = { "messages", "bytes" },
	[CREW__EVENT_GAP] = { "messages", "bytes", "first", "last" },
	[CREW__EVENT_KICK] = { "queued", "messages" },
	[CREW__EVENT_BUDGET] = { "stage", "held", "budget" },
	[CREW__EVENT_TLS] = { "taken", "expires" },
	[CREW__EVENT_DEATH] = { NULL, NULL, NULL, "signal", "status" },
	[CREW__EVENT_RELOAD] = { "generation" },
	[CREW__EVENT_RATE] = { "refused", "limit" },
	[CREW__EVENT_SLOW_CALLBACK] = { NULL, NULL, NULL, "lasted_ms" },
	[CREW__EVENT_STUCK] = { NULL, NULL, NULL, "lasted_ms" },
	[CREW__EVENT_CRASH_LOOP] = { NULL, NULL, NULL, "deaths", "wait_ms" },
	[CREW__EVENT_HANDOVER] = { "handed_over", "kept" },
};

static json_t *figures(const struct crew__event_row *row)
{
	const struct crew__event *event = &row->event;
	json_t *object = json_object();
	int failed = 0;
	if (row->missed)
		failed |= crew__json_put(object, "events", crew__json_number(event->values[0]));
	for (size_t i = 0; i < FIGURES_MAX && event->kind < CREW__EVENT_KINDS; i++)
		if (figure_names[event->kind][i])
			failed |= crew__json_put(object, figure_names[event->kind][i],
				crew__json_number(event->values[i]));
	if (event->kind == CREW__EVENT_RELOAD)
		failed |= crew__json_put(object, "phase",
			json_string(event->values[1] == 0   ? "began"
				    : event->values[1] == 1 ? "done"
							    : "failed"));
	if (!failed)
		return object;
	json_decref(object);
	return NULL;
}

/* Of a loss, and of an end; a queue that recovered has none. */
static json_t *reason(const struct crew__event *event)
{
	if (event->kind == CREW__EVENT_DROP)
		return json_string(crew_reason_name((crew_reason)event->reason));
	if (event->kind == CREW__EVENT_SLOW_END && event->reason < CREW_END_REASONS)
		return json_string(crew_end_name((crew_end_reason)event->reason));
	return json_null();
}

static json_t *remote(const struct crew__event *event)
{
	char text[ADDRESS_MAX];
	if (!event->conn)
		return json_null();
	crew__address_text(&event->remote, text, sizeof(text));
	return json_string(text);
}

static int put_connection(json_t *object, const struct crew__event *event)
{
	return crew__json_put(
		       object, "id", event->conn ? crew__json_id(event->conn) : json_null()) |
	       crew__json_put(object, "remote", remote(event)) |
	       crew__json_put(object, "protocol",
		       event->conn ? json_string(crew__protocol_name(event->protocol))
				   : json_null()) |
	       crew__json_put(object, "verdict",
		       crew__json_text_or_null(
			       event->verdict < CREW_VERDICTS
				       ? crew_verdict_name((crew_verdict)event->verdict)
				       : NULL)) |
	       crew__json_put(object, "reason", reason(event));
}

static int put_worker(json_t *object, const struct crew__event_row *row)
{
	bool known = row->has_worker;
	return crew__json_put(object, "service", crew__json_text_or_null(row->service)) |
	       crew__json_put(
		       object, "worker", known ? crew__json_number(row->worker) : json_null()) |
	       crew__json_put(object, "generation",
		       known ? crew__json_number(row->generation) : json_null()) |
	       crew__json_put(object, "pid", row->pid ? json_integer(row->pid) : json_null());
}

static json_t *document(const struct crew__event_row *row)
{
	char when[CREW__WHEN_MAX], words[CREW__EVENT_TEXT_MAX];
	json_t *object = json_object();
	crew__event_row_words(row, words, sizeof(words));
	int failed = crew__json_put(object, "time",
			     json_string(crew__when_iso(row->event.wall_ms, when))) |
		     crew__json_put(
			     object, "stamp", crew__json_number(crew__event_row_stamp(row))) |
		     crew__json_put(object, "kind", json_string(crew__event_row_name(row))) |
		     put_worker(object, row) | put_connection(object, &row->event) |
		     crew__json_put(object, "text", json_string(words)) |
		     crew__json_put(object, "detail", crew__json_text_or_null(row->event.text)) |
		     crew__json_put(object, "figures", figures(row));
	if (!failed)
		return object;
	json_decref(object);
	return NULL;
}

static int print_row(const struct crew__event_row *row, FILE *out)
{
	json_t *object = document(row);
	int failed = !object || json_dumpf(object, out, JSON_COMPACT);
	json_decref(object);
	return failed ? -ENOMEM : 0;
}

int crew__event_rows_json(const struct crew__event_rows *rows, bool lines, FILE *out)
{
	int error = 0;
	if (!lines)
		fputc('[', out);
	for (size_t i = 0; i < rows->count && !error; i++) {
		if (!lines)
			fputs(i ? ",\n" : "\n", out);
		error = print_row(&rows->rows[i], out);
		if (lines)
			fputc('\n', out);
	}
	if (!lines)
		fputs(rows->count ? "\n]\n" : "]\n", out);
	return error;
}
