#include "service/worker.h"

#include "base/clock.h"
#include "net/address.h"
#include "service/connect.h"
#include "service/datagram.h"
#include "service/fetch.h"
#include "service/http.h"
#include "service/names.h"
#include "service/offload.h"
#include "service/tls.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct crew__here crew__here;

/* ---- layout ------------------------------------------------------------------------------- */

static enum crew__protocol_kind kind_of(const crew_service *service, const char *scheme)
{
	static const struct {
		const char *scheme;
		enum crew__protocol_kind kind;
	} kinds[] = {
		{ "text", CREW__TEXT },
		{ "frame", CREW__FRAME },
		{ "http", CREW__HTTP },
		{ "ws", CREW__WS },
	};
	if (service->protocol)
		return CREW__CUSTOM;
	size_t length = strcspn(scheme, "+");
	for (size_t i = 0; i < crew__lengthof(kinds); i++)
		if (strlen(kinds[i].scheme) == length &&
			memcmp(kinds[i].scheme, scheme, length) == 0)
			return kinds[i].kind;
	return CREW__RAW;
}

static size_t aligned(size_t size)
{
	return (size + 15) & ~(size_t)15;
}

static size_t side_size(const crew_worker *w)
{
	size_t before = offsetof(struct crew__side, http);
	switch (w->kind) {
	case CREW__WS:
		return sizeof(struct crew__side);
	case CREW__HTTP:
		return w->upgrades ? sizeof(struct crew__side)
				   : before + sizeof(struct crew__http_side);
	default:
		return before + sizeof(uint32_t);
	}
}

/* The protocol and transport of the addresses, which are alike; a service without one is raw. */
static void read_address(crew_worker *w, enum crew__transport_kind *ret_transport)
{
	struct crew__address addresses[CREW__ADDRESSES_MAX] = { { .scheme = "tcp" } };
	size_t count;
	char error[256];
	*ret_transport = CREW__TCP;
	if (w->settings->listen && crew__addresses_parse(w->settings->listen, "/", addresses,
					   &count, error, sizeof(error)) == 0)
		*ret_transport = addresses[0].transport;
	w->kind = kind_of(w->service, addresses[0].scheme);
	w->upgrades = w->kind == CREW__WS ||
		      (w->kind == CREW__HTTP && crew__has_websocket(w->service));
}

static int init_net(crew_worker *w)
{
	enum crew__transport_kind transport;
	read_address(w, &transport);
	w->state_at = aligned(side_size(w));
	w->data_at = w->state_at +
		     (w->service->protocol ? aligned(w->service->protocol->state_size) : 0);
	const struct crew__net_plan plan = {
		.loop = w->plan.loop,
		.ops = w->settings->proxy_protocol ? &crew__proxied_ops : &crew__service_ops,
		.proxied = w->settings->proxy_protocol,
		.shared_held = &crew__here.shared_held,
		.owner = w,
		.limits = crew__worker_limits(w),
		.ext_size = w->data_at + w->service->conn_size,
		.stats = w->plan.stats,
		.protocol = (uint8_t)(w->kind == CREW__WS ? CREW__HTTP : w->kind),
		.transport = (uint8_t)transport,
	};
	int error = crew__net_init(&w->net, &plan);
	crew__balance_init(&w->balance, &w->net, w->plan.siblings, w->plan.arg);
	if (!error && w->settings->accept == CREW__ACCEPT_LEAST && w->plan.siblings)
		w->net.balance = &w->balance;
	return error;
}

/* ---- listeners ----------------------------------------------------------------------------- */

/* An ended listener's memory stays, as an event of this turn may still name it, and serves again.
 */
static struct crew__listener *get_listener(crew_worker *w)
{
	for (size_t i = 0; i < w->listener_count; i++)
		if (w->listeners[i]->fd < 0)
			return w->listeners[i];
	size_t size = (w->listener_count + 1) * sizeof(struct crew__listener *);
	struct crew__listener **all = realloc(w->listeners, size);
	if (!all)
		return NULL;
	w->listeners = all;
	struct crew__listener *listener = calloc(1, sizeof(*listener));
	if (!listener)
		return NULL;
	listener->fd = -1;
	w->listeners[w->listener_count++] = listener;
	return listener;
}

static int add_listener(crew_worker *w, int take_fd, struct crew__listener **ret_listener)
{
	struct crew__listener *listener = get_listener(w);
	if (!listener) {
		close(take_fd);
		return -ENOMEM;
	}
	int error = crew__listener_init(listener, &w->net, take_fd, w->service->name);
	if (error)
		listener->fd = -1;
	else
		*ret_listener = listener;
	return error;
}

/* One more to be accepted from, or to be read; it does so once it is started. */
static int add_socket(crew_worker *w, int take_fd)
{
	struct crew__listener *unused;
	if (w->net.transport == CREW__UDP)
		return crew__datagram_add(w, take_fd);
	return add_listener(w, take_fd, &unused);
}

void crew__worker_end_listeners(crew_worker *w)
{
	crew__datagram_end(w);
	for (size_t i = 0; i < w->listener_count; i++)
		crew__listener_fini(w->listeners[i]);
}

static void free_listeners(crew_worker *w)
{
	crew__worker_end_listeners(w);
	for (size_t i = 0; i < w->listener_count; i++)
		free(w->listeners[i]);
	free(w->listeners);
	w->listeners = NULL;
	w->listener_count = 0;
}

int crew__worker_adopt(crew_worker *w, int take_listen_fd)
{
	if (w->leaving != CREW__STAYS) {
		close(take_listen_fd);
		return 0;
	}
	if (w->net.transport == CREW__UDP) {
		int status = crew__datagram_add(w, take_listen_fd);
		return status ? status : crew__datagram_start(w);
	}
	struct crew__listener *listener;
	int error = add_listener(w, take_listen_fd, &listener);
	if (error)
		return error;
	error = crew__listener_start(listener);
	if (error)
		crew__listener_fini(listener);
	return error;
}

void crew__worker_disown(crew_worker *w, int listen_fd)
{
	crew__datagram_disown(w, listen_fd);
	for (size_t i = 0; i < w->listener_count; i++)
		if (w->listeners[i]->fd == listen_fd)
			crew__listener_fini(w->listeners[i]);
}

/* ---- the life of a worker ------------------------------------------------------------------ */

void crew__worker_set_state(crew_worker *w, enum crew__worker_state state)
{
	atomic_store_explicit(&w->net.stats.slab->state, (uint32_t)state, memory_order_release);
}

/* The rate over the time since it was last worked out, when that is a second or more. */
void crew__worker_read_rate(crew_worker *w)
{
	struct crew__slab *s = w->net.stats.slab;
	uint64_t now = crew__loop_ns(w->plan.loop);
	uint64_t since = atomic_load_explicit(&s->qps_since_ns, memory_order_relaxed);
	if (now - since < CREW__NS_PER_S)
		return;
	uint64_t requests = s->total_request - s->qps_requests;
	crew__slab_begin(s);
	s->qps = requests * CREW__NS_PER_S / (now - since);
	s->qps_requests = s->total_request;
	atomic_store_explicit(&s->qps_since_ns, now, memory_order_relaxed);
	crew__slab_end(s);
}

static int take_listeners(crew_worker *w, const struct crew__worker_plan *plan)
{
	int error = 0;
	for (size_t i = 0; i < plan->listen_count; i++) {
		if (error)
			close(plan->listen_fds[i]);
		else
			error = add_socket(w, plan->listen_fds[i]);
	}
	return error;
}

static void close_all(const struct crew__worker_plan *plan)
{
	for (size_t i = 0; i < plan->listen_count; i++)
		close(plan->listen_fds[i]);
}

static void enter_process(crew_worker *w)
{
	crew__must(crew__here.count < CREW_MAX_SERVICES);
	crew__here.workers[crew__here.count++] = w;
}

bool crew__worker_is_here(const crew_worker *w)
{
	for (unsigned i = 0; i < crew__here.count; i++)
		if (crew__here.workers[i] == w)
			return w->leaving != CREW__GONE;
	return false;
}

static void leave_process(crew_worker *w)
{
	for (unsigned i = 0; i < crew__here.count; i++) {
		if (crew__here.workers[i] == w) {
			crew__here.workers[i] = crew__here.workers[--crew__here.count];
			return;
		}
	}
}

int crew__worker_new(const struct crew__worker_plan *plan, crew_worker **ret_worker)
{
	crew_worker *w = calloc(1, sizeof(*w));
	if (!w) {
		close_all(plan);
		return -ENOMEM;
	}
	w->magic = CREW__WORKER_MAGIC;
	w->id = plan->id;
	w->generation = plan->generation;
	w->service = plan->settings->service;
	w->settings = plan->settings;
	w->counters = plan->counters;
	w->plan = *plan;
	crew__worker_take_times(w);
	crew__departure_init(w);
	crew__buf_init(&w->scratch, (UINT32_C(1) << 31) - 1);
	int error = init_net(w);
	if (error) {
		close_all(plan);
		free(w);
		return error;
	}
	error = crew__user_timers_new(w, &w->timers);
	if (!error)
		error = crew__proxies_new(w);
	int listen_error = take_listeners(w, plan);
	error = error ? error : listen_error;
	if (!error && (w->kind == CREW__HTTP || w->kind == CREW__WS))
		error = crew__http_new(w);
	if (!error)
		error = crew__timing_start(w);
	enter_process(w);
	atomic_store_explicit(
		&plan->stats.slab->qps_since_ns, crew__loop_ns(plan->loop), memory_order_relaxed);
	if (error) {
		crew__worker_free(w);
		return error;
	}
	*ret_worker = w;
	return 0;
}

int crew__worker_start(crew_worker *w)
{
	int http_error = w->http ? crew__http_start(w) : 0;
	if (http_error)
		return http_error;
	if (w->service->on_worker_start) {
		struct crew__entered before = crew__enter(w, CREW__CB_WORKER_START);
		int error = w->service->on_worker_start(w);
		crew__leave(w, before);
		if (error < 0)
			return error;
	}
	for (size_t i = 0; i < w->listener_count; i++) {
		int error = crew__listener_start(w->listeners[i]);
		if (error)
			return error;
	}
	int error = crew__datagram_start(w);
	if (error)
		return error;
	crew__worker_set_state(w, CREW__READY);
	return 0;
}

void crew__worker_reloading(crew_worker *w)
{
	if (!w->service->on_reload)
		return;
	struct crew__entered before = crew__enter(w, CREW__CB_RELOAD);
	w->service->on_reload(w);
	crew__leave(w, before);
}

void crew__worker_recycled(crew_worker *w)
{
	struct crew__slab *s = w->net.stats.slab;
	crew__slab_begin(s);
	s->recycled++;
	crew__slab_end(s);
}

void crew__worker_reopen_logs(crew_worker *w)
{
	if (w->http)
		crew__access_reopen(w);
}

void crew__worker_free(crew_worker *w)
{
	w->leaving = CREW__GONE; /* what is told of its connections makes no new ones */
	free_listeners(w);
	crew__balance_fini(&w->balance);
	crew__fetches_free(w->fetches);
	crew__offloads_free(w->offloads);
	w->offloads = NULL;
	crew__outgoing_end(w);
	crew__net_fini(&w->net);
	crew__outgoing_free(w);
	crew__datagram_free(w);
	crew__departure_fini(w); /* the last connection may have started its timers */
	crew__watches_end(w);
	crew__user_timers_free(w->timers);
	crew__http_free(w);
	crew__worker_end_tls(w);
	crew__proxies_free(w);
	crew__buf_release(&w->scratch);
	leave_process(w);
	if (crew__here.count == 0) {
		crew__watches_free(w->plan.loop);
		crew__names_free();
	}
	free(w);
}
