/* timing.c - how long calls into the program take.
 *
 * Only in turns that the loop times (one in 16), so that the clock is not read for every message.
 * What a callback calls in its turn (on_error, a protocol of the program's own) is a part of it. */
#include "service/inner.h"

#include "base/clock.h"
#include "stats/histogram.h"

void crew__time_enter(const crew_worker *outer)
{
	if (!outer)
		crew__here.entered_ns = crew__clock_ns();
}

void crew__time_leave(const crew_worker *w, const crew_worker *outer)
{
	if (outer)
		return;
	crew__histogram_add_ns(&w->net.stats.measures[CREW__MEASURE_CALLBACK],
		crew__clock_ns() - crew__here.entered_ns);
}

void crew__service_deliver_timed(crew_conn *c, crew_msg msg)
{
	const crew_worker *w = crew__worker_of(c), *outer = crew__here.current;
	crew__time_enter(outer);
	crew__service_deliver(c, msg);
	crew__time_leave(w, outer);
}
