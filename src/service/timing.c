/* timing.c - how long calls into the program take.
 *
 * Only in turns that the loop times (one in 64), so that the clock is not read for every message.
 * What a callback calls in its turn (on_error, a protocol of the program's own) is a part of it. */
#include "service/inner.h"

#include "base/clock.h"
#include "stats/histogram.h"

static void add_call(const crew_worker *w)
{
	crew__histogram_add_ns(&w->net.stats.measures[CREW__MEASURE_CALLBACK],
		crew__clock_ns() - crew__here.entered_ns);
	crew__here.entered_ns = 0;
}

void crew__time_enter(const crew_worker *outer)
{
	if (!outer)
		crew__here.entered_ns = crew__clock_ns();
}

void crew__time_leave(const crew_worker *w, const crew_worker *outer)
{
	if (!outer)
		add_call(w);
}

/* Stands in for the service's on_message, so the worker has been entered already. */
static void time_message(crew_conn *c, crew_msg msg)
{
	const crew_worker *w = crew__worker_of(c);
	bool outermost = crew__here.entered_ns == 0;
	if (outermost)
		crew__here.entered_ns = crew__clock_ns();
	w->service->on_message(c, msg);
	if (outermost)
		add_call(w);
}

static void on_timed(bool timed)
{
	for (unsigned i = 0; i < crew__here.count; i++) {
		crew_worker *w = crew__here.workers[i];
		if (w->service->on_message)
			w->on_message = timed ? time_message : w->service->on_message;
	}
}

int crew__timing_start(crew_worker *w)
{
	struct crew__stats *stats = &w->net.stats;
	w->on_message = w->service->on_message;
	crew__loop_on_timed(w->net.loop, on_timed);
	return crew__loop_note_turns(
		w->net.loop, &stats->slab->turn_began_ns, &stats->measures[CREW__MEASURE_TURN]);
}
