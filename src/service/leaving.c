/* leaving.c - a worker's way out: in good order, within its window, however many connections it
 * has.
 *
 * What happens to a connection when it is reached:
 *
 *   HTTP          idle: closed, unless a request has just come; with one in hand: after its answer.
 *                 Every answer that begins while the worker leaves says `Connection: close`, so
 *                 one that was busy within the last second is not reached before closing_ns: its
 *                 next request is likely under way, and would meet a closed connection
 *   WebSocket     close 1001; at a reload 1012, with a hint when to come back. A graceful stop lets
 *                 it stay until closing_ns
 *   events        as a WebSocket: its end in good order
 *   UDP           closed: its datagrams go to others
 *   any other     on_farewell, once, and it stays until closing_ns; without that callback it is
 *                 closed when its queue is empty, gracefully not before closing_ns
 *   outgoing      not before those who came to us have gone, or closing_ns: we opened it for them
 *
 * At most BATCH connections are dealt with in a turn, so that 100,000 of them do not stop it. An
 * idle one costs nothing until it is reached. What else may wake a worker (timers, watches,
 * requests of the program's) holds it only until its end. */
#include "service/leaving.h"

#include "base/clock.h"

#include "net/conn_out.h"

#include "service/connect.h"
#include "service/datagram.h"
#include "service/fetch.h"
#include "service/inner.h"
#include "service/offload.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/random.h>

enum {
	BATCH = 256,         /* connections in a turn */
	BATCH_SLOTS = 8192,  /* slots in a turn, empty ones with them */
	PAUSE_MS = 5,        /* between two looks at who is next, at least */
	LAST_ROOM_MS = 2000, /* at the window's end for goodbyes; a quarter of a short one */
	RETRY_LEAST_MS = 100,
	RETRY_MOST_MS = 1000,
	BUSY_CS = 100,     /* hundredths: who asked within so long will likely ask again */
	PATIENCE_MS = 200, /* after the end, for what ends from the loop */
	CLOSE_SERVICE_RESTART = 1012
};

/* ---- chance -------------------------------------------------------------------------------- */

static uint64_t next_random(struct crew__departure *departure)
{
	/* splitmix64 */
	uint64_t z = departure->random += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static void begin_walk(crew_worker *w)
{
	struct crew__departure *departure = &w->departure;
	uint32_t high = crew__net_high(&w->net);
	departure->size = 4;
	while (departure->size < high)
		departure->size *= 2;
	/* A full period: c is odd, and a - 1 a multiple of 4 (Hull and Dobell). */
	departure->x = (uint32_t)next_random(departure) & (departure->size - 1);
	departure->a = ((uint32_t)next_random(departure) & ~UINT32_C(3)) + 1;
	departure->c = (uint32_t)next_random(departure) | 1;
	departure->done = 0;
}

/* ---- one connection ------------------------------------------------------------------------ */

static void close_conn(crew_worker *w, crew_conn *c)
{
	crew_worker *own = crew__worker_of(c);
	char hint[40];
	/* A client of ours does not restart: it goes away. */
	own->closing_code = own == w ? w->departure.order.close_code : CREW__CLOSE_GOING_AWAY;
	if (own->closing_code == CLOSE_SERVICE_RESTART) {
		unsigned ms = RETRY_LEAST_MS + (unsigned)(next_random(&w->departure) %
							  (RETRY_MOST_MS - RETRY_LEAST_MS));
		int length = snprintf(hint, sizeof(hint), "reload; retry-after-ms=%u", ms);
		own->closing_reason = (crew_bytes){ hint, (size_t)length };
	}
	crew__conn_close(c, CREW_END_DRAIN);
	own->closing_code = 0;
	own->closing_reason = (crew_bytes){ NULL, 0 };
}

/* A request is in hand, or has begun to arrive: it is answered. */
static bool is_asking(crew_conn *c)
{
	return crew__http_awaits(c) || crew__side(c)->http.began != 0;
}

/* Bytes have come that the turn has not got to yet. */
static bool has_input(const crew_conn *c)
{
	int bytes = 0;
	return c->fd >= 0 && ioctl(c->fd, FIONREAD, &bytes) == 0 && bytes > 0;
}

/* It has just come, or has just been answered. */
static bool was_busy(crew_conn *c)
{
	uint32_t last = crew__conn_later(c, c->record->last_in, c->record->last_out);
	return crew__net_now(c->net) - last < BUSY_CS;
}

/* An idle connection, unless its next request is there. */
static void close_idle(crew_worker *w, crew_conn *c)
{
	if (!has_input(c))
		close_conn(w, c);
}

static void say_farewell(crew_worker *w, crew_conn *c)
{
	struct crew__entered before = crew__enter(w, CREW__CB_FAREWELL);
	w->service->on_farewell(c);
	crew__leave(w, before);
}

static void reach_stream(crew_worker *w, crew_conn *c)
{
	const struct crew__departure *departure = &w->departure;
	bool shown = crew__side(c)->shown && c->record->state == CREW__CONN_OPEN;
	if (w->net.transport == CREW__UDP)
		close_conn(w, c);
	else if (w->service->on_farewell && shown)
		say_farewell(w, c);
	else if (!departure->order.graceful)
		close_conn(w, c);
}

static void reach(crew_worker *w, crew_conn *c)
{
	const struct crew__departure *departure = &w->departure;
	if (crew__worker_of(c) != w || c->record->state > CREW__CONN_OPEN)
		return;
	switch (c->record->protocol) {
	case CREW__HTTP:
		if (is_asking(c))
			crew__side(c)->http.keep_alive = false;
		else if (!departure->spread || !was_busy(c))
			close_idle(w, c);
		break;
	case CREW__WS:
	case CREW__SSE:
	case CREW__SSE_END:
		if (departure->spread || !departure->order.graceful)
			close_conn(w, c);
		break;
	default:
		reach_stream(w, c);
	}
}

static void close_now(crew_worker *w, crew_conn *c)
{
	if (c->record->protocol != CREW__HTTP)
		close_conn(w, c);
	else if (is_asking(c))
		crew__side(c)->http.keep_alive = false;
	else
		close_idle(w, c);
}

static void deal_with(crew_worker *w, crew_conn *c)
{
	switch (w->departure.step) {
	case CREW__DEPART_REACHING:
		reach(w, c);
		break;
	case CREW__DEPART_CLOSING:
		close_now(w, c);
		break;
	default:
		crew__conn_abort(c, CREW_END_DRAIN);
	}
}

/* ---- all connections ----------------------------------------------------------------------- */

/* When slot number `done` of the walk is met: somewhere in its share of the time. */
static uint64_t moment(const struct crew__departure *departure)
{
	if (departure->step != CREW__DEPART_REACHING || !departure->spread)
		return 0;
	uint64_t share = (departure->spread_ns - departure->began_ns) / departure->size;
	uint64_t within = share > 0 ? (departure->random >> 16) % share : 0;
	return departure->began_ns + departure->done * share + within;
}

static void step_walk(struct crew__departure *departure)
{
	departure->x = (departure->a * departure->x + departure->c) & (departure->size - 1);
	departure->done++;
	next_random(departure);
}

/* What cannot be timed must not be left undone. */
static void set_timer(crew_worker *w, struct crew__timer *timer, uint64_t due_ns)
{
	if (crew__timer_start(w->plan.loop, timer, due_ns) == 0)
		return;
	for (uint32_t slot = 0; slot < crew__net_high(&w->net); slot++)
		if (w->net.slots[slot])
			crew__conn_abort(w->net.slots[slot], CREW_END_DRAIN);
	crew__fetches_cancel(w->fetches);
	crew__offloads_cancel(w->offloads);
}

/* Those whose moment has come; the rest later. */
static void walk(crew_worker *w)
{
	struct crew__departure *departure = &w->departure;
	uint64_t now = crew__loop_ns(w->plan.loop);
	unsigned most = BATCH, slots = BATCH_SLOTS;
	while (departure->done < departure->size && moment(departure) <= now && most > 0 &&
		slots > 0) {
		crew_conn *c = departure->x < crew__net_high(&w->net) ? w->net.slots[departure->x]
								      : NULL;
		step_walk(departure);
		slots--;
		if (!c)
			continue;
		deal_with(w, c);
		most--;
	}
	if (departure->done == departure->size)
		return;
	uint64_t due = moment(departure);
	if (due > now)
		due = crew__max(due, now + PAUSE_MS * CREW__NS_PER_MS);
	set_timer(w, &departure->walk, crew__max(due, now));
}

static void on_walk(struct crew__timer *timer)
{
	struct crew__departure *departure = crew__container_of(timer, struct crew__departure, walk);
	walk(crew__container_of(departure, crew_worker, departure));
}

/* ---- steps --------------------------------------------------------------------------------- */

static void finish(crew_worker *w)
{
	if (w->leaving == CREW__GONE)
		return;
	w->leaving = CREW__GONE;
	crew__departure_fini(w);
	crew__offloads_end(w->offloads); /* what on_worker_stop frees no thread uses any more */
	if (w->service->on_worker_stop) {
		struct crew__entered before = crew__enter(w, CREW__CB_WORKER_STOP);
		w->service->on_worker_stop(w);
		crew__leave(w, before);
	}
	crew__user_timers_end(w->timers);
	crew__watches_end(w);
	crew__worker_set_state(w, CREW__EXITED);
	w->departure.order.done(w, w->departure.order.arg);
}

/* Requests and slow work of the program's own. */
static bool has_work(const crew_worker *w)
{
	return crew__fetches_busy(w->fetches) || crew__offloads_busy(w->offloads);
}

/* Nothing is under way for which a stop waits. */
static bool is_idle(const crew_worker *w)
{
	return w->net.stats.slab->connections == 0 && !has_work(w);
}

/* Those who came to us have gone: what we opened ourselves we did for them. */
static bool serves_nobody(const crew_worker *w, uint64_t going)
{
	uint64_t connections = w->net.stats.slab->connections;
	return connections <= crew__outgoing_count(w) + going && !has_work(w);
}

static void take_step(crew_worker *w, enum crew__departure_step step)
{
	w->departure.step = step;
	if (step > CREW__DEPART_REACHING)
		w->leaving = CREW__CLOSES;
	begin_walk(w);
	walk(w);
}

static void cut(crew_worker *w)
{
	take_step(w, CREW__DEPART_CUTTING);
	crew__fetches_cancel(w->fetches);
	crew__offloads_cancel(w->offloads);
	set_timer(w, &w->departure.clock,
		crew__loop_ns(w->plan.loop) + PATIENCE_MS * CREW__NS_PER_MS);
}

static void on_clock(struct crew__timer *timer)
{
	struct crew__departure *departure = crew__container_of(
		timer, struct crew__departure, clock);
	crew_worker *w = crew__container_of(departure, crew_worker, departure);
	uint64_t now = crew__loop_ns(w->plan.loop);
	bool walked = departure->done == departure->size;
	/* What is left after the end goes with the process. */
	if (is_idle(w) || (departure->step == CREW__DEPART_CUTTING && walked)) {
		finish(w);
		return;
	}
	if (departure->step == CREW__DEPART_CUTTING) {
		set_timer(w, &departure->clock, now + PATIENCE_MS * CREW__NS_PER_MS);
		return;
	}
	if (now >= departure->end_ns) {
		cut(w);
		return;
	}
	bool alone = departure->step == CREW__DEPART_REACHING && serves_nobody(w, 0);
	if (alone || (departure->step == CREW__DEPART_REACHING && now >= departure->closing_ns))
		take_step(w, CREW__DEPART_CLOSING);
	bool reaching = departure->step == CREW__DEPART_REACHING;
	set_timer(w, &departure->clock, reaching ? departure->closing_ns : departure->end_ns);
}

/* Look again, from the loop. */
static void wake(crew_worker *w)
{
	set_timer(w, &w->departure.clock, crew__loop_ns(w->plan.loop));
}

static bool is_leaving(const crew_worker *w)
{
	return w->leaving == CREW__WAITS || w->leaving == CREW__CLOSES;
}

void crew__worker_conn_gone(crew_worker *gone_from)
{
	crew_worker *w = crew__worker_root(gone_from);
	if (!is_leaving(w))
		return;
	/* The connection that goes is still counted, and the end must come from the loop. */
	bool last = w->net.stats.slab->connections <= 1 && !has_work(w);
	bool alone = w->departure.step == CREW__DEPART_REACHING && serves_nobody(w, w == gone_from);
	if (last || alone)
		wake(w);
}

void crew__worker_work_gone(crew_worker *w)
{
	if (!is_leaving(w))
		return;
	bool alone = w->departure.step == CREW__DEPART_REACHING && serves_nobody(w, 0);
	if (is_idle(w) || alone)
		wake(w);
}

/* ---- the order ----------------------------------------------------------------------------- */

/* A quarter of the window for goodbyes, or as much as they can need. */
static uint64_t last_room_ms(uint64_t window_ms)
{
	return crew__min(window_ms / 4, LAST_ROOM_MS);
}

/* A second order makes the window shorter, never longer. */
static void set_times(crew_worker *w, uint64_t window_ms)
{
	struct crew__departure *departure = &w->departure;
	uint64_t now = crew__loop_ns(w->plan.loop);
	uint64_t end = now + window_ms * CREW__NS_PER_MS;
	if (departure->end_ns != 0 && departure->end_ns <= end) {
		end = departure->end_ns;
		window_ms = end > now ? (end - now) / CREW__NS_PER_MS : 0;
	}
	departure->began_ns = now;
	departure->end_ns = end;
	departure->closing_ns = end - last_room_ms(window_ms) * CREW__NS_PER_MS;
	departure->spread_ns = departure->closing_ns;
}

void crew__worker_stop_accepting(crew_worker *w)
{
	crew__worker_end_listeners(w);
	crew__worker_set_state(w, CREW__DRAINING);
}

void crew__worker_stop(crew_worker *w, const struct crew__worker_stop *stop)
{
	struct crew__departure *departure = &w->departure;
	bool again = w->leaving != CREW__STAYS;
	if (w->leaving == CREW__GONE || (w->leaving == CREW__CLOSES && stop->graceful) ||
		departure->step == CREW__DEPART_CUTTING)
		return;
	/* Who drains already at a reload's pace is not made to begin anew by a gentle order. */
	bool keeps_pace = again && stop->graceful && departure->spread;
	departure->order = *stop;
	set_times(w, stop->window_ms);
	if (!again) {
		crew__worker_stop_accepting(w);
		crew__outgoing_leave(w);
	}
	if (!keeps_pace) {
		departure->spread = stop->close_code == CLOSE_SERVICE_RESTART &&
				    w->net.transport != CREW__UDP;
		w->leaving = stop->graceful || departure->spread ? CREW__WAITS : CREW__CLOSES;
		take_step(w, CREW__DEPART_REACHING);
	}
	uint64_t now = crew__loop_ns(w->plan.loop);
	set_timer(w, &departure->clock,
		is_idle(w) || serves_nobody(w, 0) ? now : departure->closing_ns);
}

void crew__departure_init(crew_worker *w)
{
	w->departure.clock.fn = on_clock;
	w->departure.walk.fn = on_walk;
	if (getrandom(&w->departure.random, sizeof(w->departure.random), GRND_NONBLOCK) < 0)
		w->departure.random = crew__loop_ns(
			w->plan.loop); /* no secret: only no two alike */
}

void crew__departure_fini(crew_worker *w)
{
	crew__timer_stop(w->plan.loop, &w->departure.clock);
	crew__timer_stop(w->plan.loop, &w->departure.walk);
}

bool crew__departure_takes_upgrades(const crew_worker *w)
{
	return w->leaving == CREW__STAYS || (w->leaving == CREW__WAITS && w->departure.spread);
}
