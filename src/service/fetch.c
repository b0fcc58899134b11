#include "service/fetch.h"

#include "base/clock.h"
#include "service/fetch_parts.h"
#include "service/settings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	FETCHES_MOST = 1000, /* unless the settings say otherwise */
	FIRST_SLOTS = 8,
	REFUSALS_PER_SECOND = 5 /* lines of the log */
};

/* Of all workers of the process, so that an id means one request only. */
static uint32_t uses;

/* ---- slots --------------------------------------------------------------------------------- */

static uint32_t most(void)
{
	const struct crew__settings *settings = crew__settings_in_use();
	return settings ? (uint32_t)settings->fetches_most : FETCHES_MOST;
}

static int grow(struct crew__fetches *f)
{
	uint32_t room = f->room ? f->room * 2 : FIRST_SLOTS;
	struct crew__fetch **slots = reallocarray(f->slots, room, sizeof(struct crew__fetch *));
	if (!slots)
		return -ENOMEM;
	memset(slots + f->room, 0, (room - f->room) * sizeof(struct crew__fetch *));
	f->slots = slots;
	f->room = room;
	return 0;
}

static int take_slot(struct crew__fetches *f, struct crew__fetch *fetch)
{
	uint32_t i = f->lowest;
	while (i < f->room && f->slots[i])
		i++;
	if (i == f->room && grow(f) < 0)
		return -ENOMEM;
	f->lowest = i;
	f->slots[i] = fetch;
	f->count++;
	uses = uses == INT32_MAX ? 1 : uses + 1;
	fetch->slot = i;
	fetch->id = (int64_t)((uint64_t)uses << 32 | i);
	return 0;
}

static void leave_slot(struct crew__fetch *fetch)
{
	struct crew__fetches *f = fetch->owner;
	f->slots[fetch->slot] = NULL;
	if (fetch->slot < f->lowest)
		f->lowest = fetch->slot;
	f->count--;
}

/* Of those that are not over yet. */
static struct crew__fetch *find(int64_t id)
{
	uint32_t slot = (uint32_t)id;
	for (unsigned i = 0; i < crew__here.count; i++) {
		struct crew__fetches *f = crew__here.workers[i]->fetches;
		struct crew__fetch *fetch = f && slot < f->room ? f->slots[slot] : NULL;
		if (fetch && fetch->id == id)
			return fetch->state != CREW__FETCH_OVER ? fetch : NULL;
	}
	return NULL;
}

/* ---- one request --------------------------------------------------------------------------- */

/* Whatever of it there is, but its slot. */
static void free_fetch(struct crew__fetch *fetch)
{
	struct crew__fetches *f = fetch->owner;
	crew__timer_stop(f->loop, &fetch->clock);
	crew__fetch_stop_names(fetch);
	crew__fetch_easy_fini(fetch);
	crew__fetch_answer_fini(fetch);
	crew__fetch_request_fini(&fetch->request);
	free(fetch->addresses);
	free(fetch);
}

static void take_callbacks(struct crew__fetch *fetch, const crew_fetch_options *options)
{
	if (!options)
		return;
	fetch->on_upload = options->on_upload;
	fetch->on_body = options->on_body;
	fetch->on_done = options->on_done;
	fetch->arg = options->arg;
}

static int start_clock(struct crew__fetch *fetch)
{
	uint64_t ns = fetch->request.timeout_ns;
	fetch->began_ns = crew__loop_ns(fetch->owner->loop);
	fetch->deadline_ns = ns < CREW__FETCH_NEVER - fetch->began_ns ? fetch->began_ns + ns
								      : CREW__FETCH_NEVER;
	fetch->clock.fn = crew__fetch_on_clock;
	return crew__timer_start(fetch->owner->loop, &fetch->clock, fetch->deadline_ns);
}

/* Whose fault it is nobody knows here: the address may be what a user of the program has typed. */
static void tell_refused(const char *why)
{
	static struct crew__log_rate rate; /* one loop, one thread */
	char left_out[CREW__LEFT_OUT_MAX];
	if (crew__log_may(&rate, REFUSALS_PER_SECOND, left_out))
		crew__log(CREW_WARN, "crew_fetch: %s%s", why, left_out);
}

static int fill(struct crew__fetch *fetch, const char *url, const crew_fetch_options *options)
{
	char why[CREW__FETCH_WHY] = "";
	int error = crew__fetch_request_init(&fetch->request, url, options, why);
	if (error) {
		if (why[0])
			tell_refused(why);
		return error;
	}
	take_callbacks(fetch, options);
	error = start_clock(fetch);
	return error ? error : take_slot(fetch->owner, fetch);
}

static int64_t begin(struct crew__fetches *f, const char *url, const crew_fetch_options *options)
{
	struct crew__fetch *fetch = calloc(1, sizeof(*fetch));
	if (!fetch)
		return -ENOMEM;
	fetch->owner = f;
	fetch->request.file = -1;
	int error = fill(fetch, url, options);
	if (error) {
		free_fetch(fetch);
		return error;
	}
	f->worker->net.stats.slab->fetches++;
	f->worker->net.stats.slab->fetching++;
	crew__fetch_begin(fetch);
	return fetch->id;
}

/* ---- the end of one ------------------------------------------------------------------------ */

void crew__fetch_work(struct crew__fetch *fetch)
{
	struct crew__fetches *f = fetch->owner;
	if (!fetch->in_work) {
		fetch->in_work = true;
		*f->work_end = fetch;
		f->work_end = &fetch->next_work;
	}
	crew__fetch_nudge(f);
}

void crew__fetch_over(struct crew__fetch *fetch, int error, const char *format, ...)
{
	if (fetch->state == CREW__FETCH_OVER)
		return;
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(fetch->why, sizeof(fetch->why), format, arguments);
	va_end(arguments);
	fetch->error = error;
	fetch->state = CREW__FETCH_OVER;
	crew__fetch_stop_names(fetch);
	crew__fetch_work(fetch);
}

static void call_on_done(struct crew__fetch *fetch, const crew_header *fields)
{
	crew_worker *w = fetch->owner->worker;
	const struct crew__fetch_answer *a = &fetch->answer;
	bool failed = fetch->error != 0;
	const crew_fetched fetched = {
		.id = fetch->id,
		.error = fetch->error,
		.why = failed ? fetch->why : NULL,
		.status = a->final ? a->status : 0,
		.url = fetch->request.to.url,
		.redirects = fetch->redirected,
		.body = { a->body.data, failed ? 0 : a->body.len },
		.headers = fields,
		.header_count = fields ? a->fields : 0,
		.elapsed_ms = (crew__loop_ns(fetch->owner->loop) - fetch->began_ns) /
			      CREW__NS_PER_MS,
	};
	struct crew__entered before = crew__enter(w, CREW__CB_FETCH);
	fetch->on_done(&fetched, fetch->arg);
	crew__leave(w, before);
}

static void tell(struct crew__fetch *fetch)
{
	crew_worker *w = fetch->owner->worker;
	crew_header *fields = NULL;
	crew__fetch_drop(fetch);
	if (fetch->on_done && fetch->answer.final) {
		fields = crew__fetch_fields(fetch);
		if (!fields && fetch->answer.fields > 0 && fetch->error == 0) {
			fetch->error = -ENOMEM;
			snprintf(fetch->why, sizeof(fetch->why), "no memory for the answer");
		}
	}
	leave_slot(fetch);
	w->net.stats.slab->fetching--;
	w->net.stats.slab->fetch_failed += fetch->error != 0;
	if (fetch->on_done)
		call_on_done(fetch, fields);
	free(fields);
	free_fetch(fetch);
	crew__worker_work_gone(w);
}

/* libcurl may call back from within; before it has a connection, it takes this for an error. */
static void resume(struct crew__fetch *fetch)
{
	bool waits = fetch->paused && fetch->state == CREW__FETCH_CARRIED;
	fetch->resumed = false;
	if (!waits)
		return;
	fetch->paused = false;
	CURLcode code = curl_easy_pause(fetch->easy, CURLPAUSE_CONT);
	if (code)
		crew__fetch_easy_done(fetch, code);
}

static void work_on(struct crew__fetch *fetch)
{
	if (fetch->state == CREW__FETCH_OVER)
		tell(fetch);
	else if (fetch->ready)
		crew__fetch_go(fetch);
	else if (fetch->resumed)
		resume(fetch);
}

static struct crew__fetch *take_work(struct crew__fetches *f)
{
	struct crew__fetch *fetch = f->work;
	f->work = fetch->next_work;
	if (!f->work)
		f->work_end = &f->work;
	fetch->next_work = NULL;
	fetch->in_work = false;
	return fetch;
}

/* What the work brings about itself is for the next turn, so that a turn ends. */
void crew__fetch_settle(struct crew__fetches *f)
{
	crew__fetch_link_tend(f);
	uint32_t count = f->count;
	while (count-- > 0 && f->work)
		work_on(take_work(f));
	crew__fetch_nudge(f);
}

/* ---- all of a worker ----------------------------------------------------------------------- */

static int make(crew_worker *w)
{
	struct crew__fetches *f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->worker = w;
	f->loop = w->plan.loop;
	f->work_end = &f->work;
	int error = crew__fetch_link_init(f);
	if (error)
		free(f);
	else
		w->fetches = f;
	return error;
}

bool crew__fetches_busy(const struct crew__fetches *f)
{
	return f && f->count > 0;
}

void crew__fetches_cancel(struct crew__fetches *f)
{
	if (!f)
		return;
	f->closed = true;
	for (uint32_t i = 0; i < f->room; i++)
		if (f->slots[i])
			crew__fetch_over(f->slots[i], -ECANCELED, "the worker has stopped");
}

void crew__fetches_free(struct crew__fetches *f)
{
	if (!f)
		return;
	crew__fetches_cancel(f);
	while (f->count > 0)
		crew__fetch_settle(f);
	crew__fetch_link_fini(f);
	crew__fetch_names_fini(&f->names);
	free(f->slots);
	free(f->sockets);
	free(f);
}

/* ---- public -------------------------------------------------------------------------------- */

int64_t crew_fetch(const char *url, const crew_fetch_options *options)
{
	crew_worker *w = crew__here.current;
	if (!w && crew__here.count > 0)
		w = crew__here.workers[0];
	w = w ? crew__worker_root(w) : NULL; /* not what stands for its outgoing connections */
	if (!w || w->leaving == CREW__GONE)
		return -ENOTCONN;
	int error = w->fetches ? 0 : make(w);
	if (error)
		return error;
	if (w->fetches->closed)
		return -ENOTCONN;
	if (w->fetches->count >= most())
		return -EBUSY;
	return begin(w->fetches, url, options);
}

int crew_fetch_resume(int64_t id)
{
	struct crew__fetch *fetch = find(id);
	if (!fetch)
		return -ENOENT;
	fetch->resumed = true;
	if (fetch->state == CREW__FETCH_CARRIED)
		crew__fetch_work(fetch);
	return 0;
}

int crew_fetch_stop(int64_t id)
{
	struct crew__fetch *fetch = find(id);
	if (!fetch)
		return -ENOENT;
	crew__fetch_over(fetch, -ECANCELED, "crew_fetch_stop was called");
	return 0;
}

crew_bytes crew_fetched_header(const crew_fetched *f, const char *name)
{
	for (size_t i = 0; i < f->header_count; i++)
		if (strcmp(f->headers[i].name.data, name) == 0)
			return f->headers[i].value;
	return (crew_bytes){ NULL, 0 };
}
