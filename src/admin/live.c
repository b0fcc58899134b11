/* live.c - one message a second for all viewers. */
#include "admin/live.h"

#include "admin/parts.h"
#include "admin/recent.h"
#include "base/clock.h"
#include "cli/when.h"

#include <inttypes.h>
#include <stdio.h>

enum {
	PERIOD_MS = 1000,
	SLOWEST = 30,
};

static struct {
	crew_worker *worker;
	size_t viewers;
	int64_t timer; /* 0: nobody looks */
	struct crew__recent recent;
} live;

/* ---- the message --------------------------------------------------------------------------- */

/* Those for whom no message waits are not slow: what they have is a handshake or a ping. */
static void drop_idle(struct crew__connections *some)
{
	size_t kept = 0;
	for (size_t i = 0; i < some->count; i++)
		if (some->rows[i].send_queue_messages > 0)
			some->rows[kept++] = some->rows[i];
	some->count = kept;
}

static int put_slowest(struct crew__sight *sight, FILE *out)
{
	struct crew__connections some;
	int error = crew__sight_pick(sight, &some);
	if (error)
		return error;
	drop_idle(&some);
	some.count = crew__connections_slowest(&some, SLOWEST);
	error = crew__connections_json(&some, out);
	crew__sight_put_back(&some);
	return error;
}

/* How far the buffer budget is spent, and what was done about it. */
static void put_stages(const struct crew__sight *sight, FILE *out)
{
	const struct crew__slab *totals = &sight->status->totals;
	uint64_t most = 0;
	for (size_t i = 0; i < sight->status->row_count; i++)
		most = crew__max(most, sight->status->rows[i].counters.bytes_held);
	fprintf(out,
		"{\"budget\":%" PRId64 ",\"held\":%" PRIu64 ",\"most_held\":%" PRIu64
		",\"tightened\":%" PRIu64 ",\"paused\":%" PRIu64 ",\"refused\":%" PRIu64
		",\"cut\":%" PRIu64 "}",
		sight->settings->buffer_budget, totals->bytes_held, most, totals->budget_tightened,
		totals->budget_paused, totals->refused_budget, totals->budget_cut);
}

static int put_events(struct crew__sight *sight, bool all, FILE *out)
{
	int error = crew__recent_read(&live.recent, &sight->attached);
	return error ? error : crew__recent_json(&live.recent, all, crew__clock_ns(), out);
}

/* Events: all that are kept for one who begins to look, else the last few seconds'. */
static int put_view(struct crew__sight *sight, bool begins, FILE *out)
{
	fprintf(out, "{\"time\":%" PRId64 ",\"may_act\":%s,\"status\":", crew__when_now(),
		crew__admin_may_act() ? "true" : "false");
	int error = crew__status_json(sight->status, true, out);
	fputs(",\"slowest\":", out);
	if (!error)
		error = put_slowest(sight, out);
	fputs(",\"events\":", out);
	if (!error)
		error = put_events(sight, begins, out);
	fputs(",\"stages\":", out);
	put_stages(sight, out);
	fputs("}\n", out);
	return error;
}

/* NULL: no memory, or nothing can be seen at present; then the page says that it hears nothing. */
static crew_shared *make_view(bool begins)
{
	static const crew_send_options options = {
		.kind = CREW_TEXT, .policy = CREW_REPLACE, .key = { "live", 4 }
	};
	struct crew__sight *sight = crew__admin_sight();
	struct crew__document document;
	if (crew__sight_connections(sight))
		return NULL;
	crew__document_open(&document);
	int error = document.out ? put_view(sight, begins, document.out) : -ENOMEM;
	crew_shared *view = NULL;
	if (crew__document_close(&document, error) == 0)
		view = crew_shared_new_with((crew_bytes){ document.text, document.len }, &options);
	crew__document_free(&document);
	return view;
}

/* ---- viewers ------------------------------------------------------------------------------- */

static void send_to(crew_conn *c, void *view)
{
	const struct crew__viewer *viewer = crew_data(c);
	if (viewer->looks)
		crew_send_shared(c, view);
}

static void on_tick(crew_worker *w, void *arg)
{
	crew_shared *view = make_view(false);
	(void)arg;
	if (view)
		crew_each(crew_worker_service(w), send_to, view);
	crew_shared_unref(view);
}

void crew__live_start(crew_worker *w)
{
	live.worker = w;
	live.viewers = 0;
	live.timer = 0;
}

void crew__live_stop(void)
{
	crew__recent_fini(&live.recent);
	live.worker = NULL;
}

int crew__live_upgrade(crew_conn *c, const crew_request *request)
{
	(void)c;
	(void)request;
	return live.viewers < CREW__VIEWERS_MAX ? 0 : 503;
}

/* Its first view comes at once: that of the others' last second would be as good, but is not kept.
 */
void crew__live_open(crew_conn *c)
{
	struct crew__viewer *viewer = crew_data(c);
	viewer->looks = true;
	live.viewers++;
	if (live.timer <= 0)
		live.timer = crew_timer_every(live.worker, PERIOD_MS, on_tick, NULL);
	crew_shared *view = make_view(true);
	if (view)
		crew_send_shared(c, view);
	crew_shared_unref(view);
}

/* A viewer has nothing to say. */
void crew__live_message(crew_conn *c, crew_msg msg)
{
	(void)msg;
	crew_close_with(c, 1008, CREW_BYTES("nothing is expected here"));
}

void crew__live_close(crew_conn *c)
{
	struct crew__viewer *viewer = crew_data(c);
	if (!viewer->looks)
		return;
	viewer->looks = false;
	if (--live.viewers > 0 || live.timer <= 0)
		return;
	crew_timer_stop(live.timer);
	live.timer = 0;
}
