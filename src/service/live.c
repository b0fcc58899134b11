/* live.c - limits from settings, and what an operator does to a worker that runs.
 *
 * Not here: which settings may change (settings_live.c), and what the limits do (net/). */
#include "service/live.h"

#include "base/log.h"
#include "net/address.h"
#include "service/inner.h"
#include "stats/rings.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
	PEER_MAX = 80
};

/* ---- limits -------------------------------------------------------------------------------- */

/* Hundredths, rounded up: a timer is never early. */
static uint32_t hundredths(int64_t ms)
{
	return (uint32_t)((ms + 9) / 10);
}

struct crew__limits crew__worker_limits(const crew_worker *w)
{
	const struct crew__service_settings *s = w->settings;
	size_t rest = CREW__READ_MOST + (size_t)s->max_head + 64;
	return (struct crew__limits){
		.max_connections = (size_t)s->max_connections,
		.max_connections_per_ip = (size_t)s->max_connections_per_ip,
		.connection_rate_per_ip = (uint64_t)s->connection_rate_per_ip,
		.max_send_buffer = (size_t)s->max_send_buffer,
		.held_most = (size_t)s->max_message * 2 + rest,
		.kernel_unsent_limit = (int)s->kernel_unsent_limit,
		.send_timeout = hundredths(s->send_timeout_ms),
		.idle_timeout = hundredths(s->idle_timeout_ms),
		.linger = hundredths(s->linger_ms),
		.closing_timeout = hundredths(s->drain_timeout_ms) + 1,
		.policy = s->policy != 0 ? (crew_policy)s->policy : CREW_DROP_NEWEST,
		.soft_limit = (size_t)s->soft_limit,
		.soft_time = hundredths(s->soft_limit_ms),
		.rate_bytes = (uint64_t)s->rate_bytes,
		.rate_messages = (uint64_t)s->rate_messages,
		.unauthenticated_limit = (size_t)s->unauthenticated_limit,
		.auth_timeout = hundredths(s->auth_timeout_ms),
		.tls_timeout = hundredths(s->handshake_timeout_ms),
		.tls_handshakes = (size_t)s->tls_handshakes_most,
		.budget = (uint64_t)w->plan.buffer_budget,
	};
}

void crew__worker_take_times(crew_worker *w)
{
	w->handshake_timeout = hundredths(w->settings->handshake_timeout_ms);
	w->heartbeat = hundredths(w->settings->heartbeat_ms);
	w->max_message = (size_t)w->settings->max_message;
}

/* ---- kick ---------------------------------------------------------------------------------- */

static void note_kick(const crew_conn *c)
{
	const struct crew__record *record = c->record;
	struct crew__event event = {
		.conn = record->id,
		.values = { record->bytes_queued, record->messages_queued },
		.kind = CREW__EVENT_KICK,
		.verdict = (uint8_t)crew_conn_verdict(c),
		.reason = CREW_END_KICKED,
		.protocol = record->protocol,
		.remote = c->net->stats.cold[c->slot].remote,
	};
	crew__events_add(c->net->stats.events, &event);
}

static bool kick(crew_worker *w, uint64_t id, char peer[PEER_MAX])
{
	crew_conn *c = crew__net_find(&w->net, id);
	if (!c || c->record->state == CREW__CONN_CLOSED)
		return false;
	crew__address_text(&w->net.stats.cold[c->slot].remote, peer, PEER_MAX);
	note_kick(c);
	crew__conn_abort(c, CREW_END_KICKED);
	return true;
}

unsigned crew__worker_kick(crew_worker *w, const uint64_t *ids, size_t count, uid_t by)
{
	unsigned kicked = 0;
	uint64_t last = 0;
	char peer[PEER_MAX] = "";
	for (size_t i = 0; i < count && w->leaving != CREW__GONE; i++) {
		if (!kick(w, ids[i], peer))
			continue;
		kicked++;
		last = ids[i];
	}
	if (kicked == 1)
		crew__log(CREW_INFO, "%s: connection %016" PRIx64 " of %s was kicked by user %u",
			w->service->name, last, peer, (unsigned)by);
	else if (kicked > 1)
		crew__log(CREW_INFO, "%s: %u connections were kicked by user %u", w->service->name,
			kicked, (unsigned)by);
	return kicked;
}

/* ---- set ----------------------------------------------------------------------------------- */

static void note_change(const crew_worker *w, const struct crew__settings *settings,
	const struct crew__settings_change *change)
{
	struct crew__event event = { .kind = CREW__EVENT_SET };
	crew__settings_show_live(
		settings, change->service, change->key, event.text, sizeof(event.text));
	crew__events_add(w->net.stats.events, &event);
}

/* What the table of addresses can still do: it was made when the worker was, or never. */
static size_t limit_per_ip(const crew_worker *w)
{
	size_t most = (size_t)w->settings->max_connections_per_ip;
	return w->net.ips && most == 0 ? SIZE_MAX : most;
}

/* A deadline that was far away, or not there at all, may have become a near one; and a message that
 * is allowed now must find room. */
static void renew_connections(crew_worker *w)
{
	uint32_t soon = crew__net_now(&w->net) + 1;
	uint32_t held = (uint32_t)w->net.limits.held_most;
	for (uint32_t slot = 0; slot < crew__net_high(&w->net); slot++) {
		crew_conn *c = crew__net_at(&w->net, slot);
		if (!c || c->record->state == CREW__CONN_CLOSED)
			continue;
		c->in.max = (uint32_t)crew__max(c->in.max, held);
		crew__conn_deadline(c, soon);
	}
}

void crew__worker_set(crew_worker *w, const struct crew__settings *settings,
	const struct crew__settings_change *change)
{
	bool of_crew = change->service < 0;
	if (!of_crew && settings->service[change->service].service != w->service)
		return;
	w->plan.buffer_budget = settings->buffer_budget;
	crew__worker_take_times(w);
	struct crew__limits limits = crew__worker_limits(w);
	limits.max_connections_per_ip = limit_per_ip(w);
	/* Input that is held already may not find itself beyond its limit. */
	limits.held_most = crew__max(limits.held_most, w->net.limits.held_most);
	crew__net_set_limits(&w->net, &limits);
	for (size_t i = 0; i < w->listener_count; i++)
		crew__listener_set_options(w->listeners[i]);
	renew_connections(w);
	note_change(w, settings, change);
}
