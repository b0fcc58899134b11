/* explain_json.c - `explain --json`: the same sentences and every figure, with keys that stay.
 *
 * A failed allocation anywhere makes jansson's next call fail; the last word is dump()'s. */
#include "cli/connections_json.h"
#include "cli/explain.h"
#include "cli/json_parts.h"
#include "cli/when.h"

#include <string.h>

enum {
	TEXT_MAX = 768
};

static json_t *verdict_of(crew_verdict verdict)
{
	const char *name = crew__verdict_or_null(verdict);
	return name ? json_string(name) : json_null();
}

static json_t *moment(const struct crew__explain *explain, uint32_t at)
{
	return json_real((double)crew__explain_moment(explain, at) / 1000);
}

static json_t *array_of(const struct crew__lines *lines)
{
	json_t *array = json_array();
	int failed = 0;
	for (size_t i = 0; i < lines->count; i++)
		failed |= json_array_append_new(array, json_string(lines->text[i]));
	if (!failed)
		return array;
	json_decref(array);
	return NULL;
}

/* ---- evidence ------------------------------------------------------------------------------ */

/* Every number of struct crew__slow_figures but the time, which is told as an age. */
/* clang-format off */
#define CREW_SLOW_FIGURE_TABLE(X)                                              \
	X(window_ms) X(rtt_us) X(min_rtt_us) X(rttvar_us) X(rto_us)            \
	X(peer_window) X(peer_window_most) X(congestion_window) X(segment_size) \
	X(unacked) X(unsent) X(kernel_memory) X(kernel_memory_most)            \
	X(acked) X(segments_out) X(retransmits) X(lost) X(timeouts)            \
	X(last_ack_ms) X(busy_ms) X(peer_limited_ms) X(buffer_limited_ms)      \
	X(capped_ms) X(delivery_rate) X(drained) X(late_ms)
/* clang-format on */

static json_t *sentences(const struct crew__explain *explain)
{
	struct crew__explain_figures figures;
	json_t *array = json_array();
	int failed = 0;
	crew__explain_figures(explain, &figures);
	for (size_t i = 0; i < figures.count; i++) {
		const struct crew__explain_figure *figure = &figures.figure[i];
		failed |= json_array_append_new(
			array, json_pack("{s:s, s:s, s:s}", "figure", figure->name, "value",
				       figure->value, "says", figure->says));
	}
	if (!failed)
		return array;
	json_decref(array);
	return NULL;
}

/* An empty object when nothing was looked at. */
static json_t *evidence(const struct crew__explain *explain)
{
	const struct crew__slow_figures *f = &explain->slow.figures;
	json_t *object = json_object();
	int failed = 0;
	if (!explain->has_slow || f->at == 0)
		return object;
	failed |= crew__json_put(
		object, "looked_ago_s", json_real(crew__hundredths_since(explain->now, f->at)));
	failed |= crew__json_put(object, "has_tcp", json_boolean(f->has_tcp));
#define X(name) failed |= crew__json_put(object, #name, crew__json_number(f->name));
	CREW_SLOW_FIGURE_TABLE(X)
#undef X
	if (!failed)
		return object;
	json_decref(object);
	return NULL;
}

/* ---- history ------------------------------------------------------------------------------- */

static json_t *history(const struct crew__explain *explain)
{
	struct crew__slow_change changes[CREW__SLOW_HISTORY];
	size_t count = crew__explain_history(explain, changes);
	json_t *array = json_array();
	int failed = 0;
	for (size_t i = 0; i < count; i++)
		failed |= json_array_append_new(
			array, json_pack("{s:o, s:o}", "at_s", moment(explain, changes[i].at),
				       "verdict", verdict_of((crew_verdict)changes[i].verdict)));
	if (!failed)
		return array;
	json_decref(array);
	return NULL;
}

static int put_last_episode(json_t *object, const struct crew__explain *explain)
{
	const struct crew__record_slow *slow = &explain->slow;
	uint32_t end = slow->slow ? explain->now : slow->ended;
	return crew__json_put(object, "began_s", moment(explain, slow->began)) |
	       crew__json_put(
		       object, "lasted_s", json_real(crew__hundredths_since(end, slow->began))) |
	       crew__json_put(object, "peak_bytes", crew__json_number(slow->peak_bytes)) |
	       crew__json_put(object, "peak_messages", crew__json_number(slow->peak_messages)) |
	       crew__json_put(object, "drained", crew__json_number(slow->drained)) |
	       crew__json_put(object, "lost", crew__json_number(slow->lost)) |
	       crew__json_put(object, "replaced", crew__json_number(slow->replaced));
}

/* Null for a connection that was never slow; of one that has ended only the count is known. */
static json_t *episode(const struct crew__explain *explain)
{
	const struct crew__record_slow *slow = &explain->slow;
	if (slow->episodes == 0)
		return json_null();
	json_t *object = json_object();
	int failed = crew__json_put(object, "episodes", crew__json_number(slow->episodes)) |
		     crew__json_put(object, "slow", json_boolean(slow->slow));
	if (!explain->closed)
		failed |= put_last_episode(object, explain);
	if (!failed)
		return object;
	json_decref(object);
	return NULL;
}

/* ---- what else is known -------------------------------------------------------------------- */

static json_t *worker(const struct crew__explain *explain)
{
	const struct crew__worker_look *look = &explain->worker;
	return json_pack("{s:s, s:I, s:I, s:b, s:b, s:o, s:o}", "service", explain->service, "id",
		(json_int_t)look->id, "pid", (json_int_t)look->pid, "stands_still",
		look->stands_still, "stopped", look->stopped, "busy_ms",
		crew__json_number(look->turn_ms), "busy_in",
		look->busy_in ? json_string(look->busy_in) : json_null());
}

static json_t *cost(const struct crew__explain *explain)
{
	const struct crew__connection *conn = &explain->row.conn;
	return json_pack("{s:o, s:o, s:o, s:o}", "queued", crew__json_number(conn->send_queue),
		"queued_messages", crew__json_number(conn->send_queue_messages), "kernel_unsent",
		crew__json_number(conn->kernel_unsent), "kernel_memory",
		crew__json_number(explain->has_slow && !explain->closed
					  ? explain->slow.figures.kernel_memory
					  : 0));
}

static json_t *settings(const struct crew__explain *explain)
{
	const struct crew__service_settings *s = &explain->settings;
	if (!explain->has_settings)
		return json_null();
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:b}", "policy",
		crew_policy_name((crew_policy)s->policy), "max_send_buffer",
		(json_int_t)s->max_send_buffer, "send_timeout_ms", (json_int_t)s->send_timeout_ms,
		"soft_limit", (json_int_t)s->soft_limit, "soft_limit_ms",
		(json_int_t)s->soft_limit_ms, "rate_bytes", (json_int_t)s->rate_bytes,
		"rate_messages", (json_int_t)s->rate_messages, "changed_live",
		explain->changed_live, "exact", explain->exact, "tight", explain->tight);
}

static json_t *connection(const struct crew__explain *explain)
{
	return explain->closed
		       ? crew__row_object(&explain->row, crew__closed_fields, CREW__CLOSED_FIELDS)
		       : crew__row_object(
				 &explain->row, crew__connection_fields, CREW__CONNECTION_FIELDS);
}

static json_t *document(const struct crew__explain *explain)
{
	struct crew__lines advice, next;
	char meaning[TEXT_MAX];
	json_t *object = json_object();
	crew__explain_meaning(explain, meaning, sizeof(meaning));
	crew__explain_advice(explain, &advice);
	crew__explain_next(explain, &next);
	int failed = crew__json_put(object, "id", crew__json_id(explain->row.conn.id)) |
		     crew__json_put(object, "closed", json_boolean(explain->closed)) |
		     crew__json_put(object, "verdict", verdict_of(explain->verdict)) |
		     crew__json_put(object, "meaning", json_string(meaning)) |
		     crew__json_put(object, "advice", array_of(&advice)) |
		     crew__json_put(object, "evidence", evidence(explain)) |
		     crew__json_put(object, "figures", sentences(explain)) |
		     crew__json_put(object, "cost", cost(explain)) |
		     crew__json_put(object, "next", array_of(&next)) |
		     crew__json_put(object, "settings", settings(explain)) |
		     crew__json_put(object, "history", history(explain)) |
		     crew__json_put(object, "episode", episode(explain)) |
		     crew__json_put(object, "worker", worker(explain)) |
		     crew__json_put(object, "connection", connection(explain));
	if (!failed)
		return object;
	json_decref(object);
	return NULL;
}

/* ---- printing ------------------------------------------------------------------------------ */

static int dump(json_t *take_object, FILE *out)
{
	int failed = !take_object ||
		     json_dumpf(take_object, out, JSON_INDENT(2) | JSON_REAL_PRECISION(13));
	json_decref(take_object);
	fputc('\n', out);
	return failed ? -ENOMEM : 0;
}

int crew__explain_print_json(const struct crew__explain *explain, FILE *out)
{
	return dump(document(explain), out);
}

static json_t *candidates(const struct crew__explain_choices *choices)
{
	json_t *array = json_array();
	int failed = 0;
	for (size_t i = 0; i < choices->named; i++) {
		const struct crew__explain_choice *choice = &choices->choice[i];
		failed |= json_array_append_new(
			array, json_pack("{s:o, s:s, s:s, s:b}", "id", crew__json_id(choice->id),
				       "service", choice->service, "remote", choice->remote,
				       "closed", choice->closed));
	}
	if (!failed)
		return array;
	json_decref(array);
	return NULL;
}

int crew__explain_json(const struct crew__explain_request *request, FILE *out)
{
	struct crew__explain explain;
	struct crew__explain_choices choices;
	char text[CREW__EXPLAIN_CHOICES * 192];
	int error = crew__explain_find(request, &explain, &choices);
	if (!error)
		return crew__explain_print_json(&explain, out);
	if (error == -ENOMEM)
		return error;
	crew__explain_error(request, error, &choices, text, sizeof(text));
	json_t *object = json_pack("{s:s, s:o}", "error", text, "candidates", candidates(&choices));
	return dump(object, out) ? -ENOMEM : error;
}
