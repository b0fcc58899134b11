/* api.c - the public calls on connections and workers that are no sends. */
#include "service/http.h"

#include "base/clock.h"
#include "base/log.h"
#include "net/address.h"
#include "base/utf8.h"
#include "stats/segment.h"
#include "stats/slow.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* The worker of this thread's loop, for calls that name none. */
static crew_worker *any_worker(void)
{
	if (crew__here.current)
		return crew__worker_root(crew__here.current);
	return crew__here.count > 0 ? crew__here.workers[0] : NULL;
}

crew_bytes crew_str(const char *string)
{
	return (crew_bytes){ string, string ? strlen(string) : 0 };
}

/* ---- a connection -------------------------------------------------------------------------- */

static bool is_open(const crew_conn *c)
{
	return c && c->record->state <= CREW__CONN_OPEN;
}

uint64_t crew_id(const crew_conn *c)
{
	return c ? c->record->id : 0;
}

crew_conn *crew_find(uint64_t id)
{
	for (unsigned i = 0; i < crew__here.count; i++) {
		crew_conn *c = crew__net_find(&crew__here.workers[i]->net, id);
		if (c)
			return c;
	}
	return NULL;
}

void *crew_data(crew_conn *c)
{
	if (!c || crew__worker_of(c)->service->conn_size == 0)
		return NULL;
	return c->ext + crew__worker_of(c)->data_at;
}

void *crew_protocol_state(crew_conn *c)
{
	if (!c || !crew__worker_of(c)->service->protocol)
		return NULL;
	return c->ext + crew__worker_of(c)->state_at;
}

void *crew_scratch(crew_conn *c, size_t size)
{
	if (!c || size > CREW__SEND_MOST)
		return NULL;
	struct crew__buf *scratch = &crew__worker_of(c)->scratch;
	return crew__buf_reserve(scratch, size) < 0 ? NULL : scratch->data;
}

crew_worker *crew_worker_of(const crew_conn *c)
{
	return c ? crew__worker_root(crew__worker_of(c)) : NULL;
}

const crew_service *crew_service_of(const crew_conn *c)
{
	return c ? crew__worker_of(c)->service : NULL;
}

size_t crew_queued(const crew_conn *c)
{
	return c ? c->record->bytes_queued : 0;
}

static size_t no_address(char *text, size_t size)
{
	if (size > 0)
		text[0] = '\0';
	return 0;
}

/* A record has no room for a path, nor for a long name; the kernel still knows them. */
static size_t address_of(const crew_conn *c, const struct crew__record_address *record,
	int (*ask)(int fd, struct sockaddr *ret_address, socklen_t *size), char *text, size_t size)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	if (record->family != AF_UNIX || c->source.fd < 0 ||
		ask(c->source.fd, (struct sockaddr *)&address, &length) < 0 ||
		address.ss_family != AF_UNIX)
		return crew__address_text(record, text, size);
	return crew__address_unix_text(&address, length, text, size);
}

size_t crew_remote(const crew_conn *c, char *text, size_t size)
{
	if (!c)
		return no_address(text, size);
	const struct crew__record_address *record = &c->net->stats.cold[c->slot].remote;
	/* Behind a proxy the record tells the client's; the kernel knows the proxy's. */
	if (c->net->proxied)
		return crew__address_text(record, text, size);
	return address_of(c, record, getpeername, text, size);
}

size_t crew_local(const crew_conn *c, char *text, size_t size)
{
	if (!c)
		return no_address(text, size);
	return address_of(c, &c->net->stats.cold[c->slot].local, getsockname, text, size);
}

int crew_set_policy(crew_conn *c, crew_policy policy)
{
	if ((unsigned)policy >= CREW_POLICIES)
		return -EINVAL;
	if (!is_open(c))
		return -ENOTCONN;
	crew__conn_set_policy(c, policy);
	return 0;
}

/* A cap as crew_set_rate() takes it: 0 is the service's, CREW_OFF none. */
static int cap_of(int64_t given, uint64_t of_service, uint64_t *ret_cap)
{
	if (given < CREW_OFF || given > CREW__RATE_MOST)
		return -EINVAL;
	*ret_cap = given == 0 ? of_service : given == CREW_OFF ? 0 : (uint64_t)given;
	return 0;
}

int crew_set_rate(crew_conn *c, int64_t bytes_per_s, int64_t messages_per_s)
{
	uint64_t bytes, messages;
	if (!is_open(c))
		return -ENOTCONN;
	const struct crew__limits *limits = &c->net->limits;
	if (cap_of(bytes_per_s, limits->rate_bytes, &bytes) < 0 ||
		cap_of(messages_per_s, limits->rate_messages, &messages) < 0)
		return -EINVAL;
	crew__conn_touch(c)->own_rate = bytes_per_s != 0 || messages_per_s != 0;
	crew__conn_set_rate(c, bytes, messages);
	return 0;
}

int crew_authenticated(crew_conn *c)
{
	if (!is_open(c))
		return -ENOTCONN;
	crew__conn_authenticated(c);
	if (c->record->protocol == CREW__WS)
		crew__side(c)->ws.codec.message.max = (uint32_t)crew__min(
			crew__worker_of(c)->max_message, INT32_MAX);
	return 0;
}

crew_verdict crew_conn_verdict(const crew_conn *c)
{
	if (!is_open(c) || c->record->bytes_queued == 0)
		return CREW_VERDICT_NONE;
	const struct crew__record_slow *slow = &c->net->stats.slow[c->slot];
	bool own = atomic_load_explicit(&slow->id, memory_order_relaxed) == c->record->id;
	return own ? (crew_verdict)slow->verdict : CREW_VERDICT_NONE;
}

int crew_fd(const crew_conn *c)
{
	return c && c->fd >= 0 ? c->fd : -ENOTCONN;
}

int crew_pause(crew_conn *c)
{
	if (!is_open(c))
		return -ENOTCONN;
	crew__conn_stop_reading(c, CREW__C_PAUSED);
	return 0;
}

int crew_resume(crew_conn *c)
{
	if (!is_open(c))
		return -ENOTCONN;
	crew__conn_go_on_reading(c, CREW__C_PAUSED);
	return 0;
}

int crew_pipe(crew_conn *from, crew_conn *to)
{
	if (!from)
		return -ENOTCONN;
	bool stream = from->record->protocol == CREW__RAW && from->record->transport != CREW__UDP;
	if (to && stream && to->record->transport == CREW__UDP)
		return -EINVAL; /* where would one datagram end? */
	return crew__conn_pipe(from, to);
}

int crew_finish(crew_conn *c)
{
	if (!is_open(c))
		return -ENOTCONN;
	bool in_parts = c->flags & CREW__C_PARTS; /* an answer that cannot be completed then */
	bool ends_whole = c->record->protocol == CREW__WS || c->record->transport == CREW__UDP ||
			  crew__is_events(c);
	if (ends_whole || in_parts)
		return crew_close(c);
	return crew__conn_finish(c);
}

int crew_close(crew_conn *c)
{
	if (!is_open(c))
		return -ENOTCONN;
	crew__conn_close(c, CREW_END_APP);
	return 0;
}

int crew_close_with(crew_conn *c, int code, crew_bytes reason)
{
	if (!is_open(c))
		return -ENOTCONN;
	bool text = (reason.data || reason.len == 0) && reason.len <= CREW__WS_CONTROL_MAX - 2;
	if (code < 0 || !crew__ws_code_valid((unsigned)code) || !text || !crew__utf8_valid(reason))
		return -EINVAL;
	crew_worker *w = crew__worker_of(c);
	w->closing_code = code;
	w->closing_reason = reason;
	crew__conn_close(c, CREW_END_APP);
	w->closing_code = 0;
	w->closing_reason = (crew_bytes){ NULL, 0 };
	return 0;
}

int crew_abort(crew_conn *c)
{
	if (!c || c->record->state == CREW__CONN_CLOSED)
		return -ENOTCONN;
	crew__conn_abort(c, CREW_END_APP);
	return 0;
}

crew_end_reason crew_close_reason(const crew_conn *c)
{
	return c ? (crew_end_reason)c->record->end : CREW_END_REASONS;
}

/* ---- a worker ------------------------------------------------------------------------------ */

const crew_service *crew_worker_service(const crew_worker *w)
{
	return w ? w->service : NULL;
}

unsigned crew_worker_id(const crew_worker *w)
{
	return w ? w->id : 0;
}

unsigned crew_worker_generation(const crew_worker *w)
{
	return w ? w->generation : 0;
}

size_t crew_worker_connections(const crew_worker *w)
{
	return w ? w->net.stats.slab->connections : 0;
}

void crew_worker_recycle(crew_worker *w)
{
	if (w && w->plan.recycle)
		w->plan.recycle(w->plan.arg, w);
}

uint64_t crew_worker_counter(const crew_worker *w, const char *name)
{
	uint64_t value = 0;
	if (!w || !name || !crew__slab_value(w->net.stats.slab, w->counters, name, &value))
		return 0;
	return value;
}

uint64_t crew_service_counter(const crew_service *service, const char *name)
{
	crew_worker *w = any_worker();
	if (!w || !service || !name || !w->plan.service_counter)
		return 0;
	return w->plan.service_counter(w->plan.arg, service, name);
}

void crew_count(crew_worker *w, unsigned index, int64_t n)
{
	if (!w || index >= CREW_MAX_COUNTERS || !w->counters)
		return;
	for (unsigned i = 0; i <= index; i++)
		if (!w->counters[i].name)
			return;
	w->net.stats.slab->app[index] += (uint64_t)n;
}

uint64_t crew_now_ms(void)
{
	crew_worker *w = any_worker();
	return (w ? crew__loop_ns(w->plan.loop) : crew__clock_ns()) / CREW__NS_PER_MS;
}

void crew_log(crew_level level, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	crew__log_v(level, format, arguments);
	va_end(arguments);
}

/* ---- from other threads -------------------------------------------------------------------- */

struct post {
	crew_worker *worker;
	void (*fn)(crew_worker *w, void *arg);
	void *arg;
};

static void run_post(void *arg)
{
	struct post post = *(struct post *)arg;
	free(arg);
	if (!crew__worker_is_here(post.worker))
		return; /* with --single, workers end one by one */
	struct crew__entered before = crew__enter(post.worker, CREW__CB_POST);
	post.fn(post.worker, post.arg);
	crew__leave(post.worker, before);
}

int crew_post(crew_worker *w, void (*fn)(crew_worker *w, void *arg), void *arg)
{
	if (!w || !fn)
		return -EINVAL;
	struct post *post = malloc(sizeof(*post));
	if (!post)
		return -ENOMEM;
	*post = (struct post){ w, fn, arg };
	int error = crew__loop_post_owned(w->plan.loop, run_post, free, post);
	if (error)
		free(post);
	return error;
}
