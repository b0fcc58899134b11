/* connect_link.c - from nothing to a connection that stands: dial, TLS, the protocol; and what net
 * tells of it meanwhile.
 *
 * Not here: a WebSocket's handshake (connect_ws.c), what follows its end (connect_again.c). Once it
 * stands, everything is as for accepted connections (callbacks.c). */
#include "service/connect_parts.h"

#include "base/log.h"
#include "net/tls.h"
#include "net/udp.h"
#include "service/episodes.h"
#include "service/names.h"
#include "service/ws.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- beginning ----------------------------------------------------------------------------- */

int crew__link_begin(struct crew__link *link)
{
	struct crew__client *client = link->client;
	crew_worker *w = &client->worker;
	bool ws = w->kind == CREW__WS;
	if (client->count >= w->net.limits.max_connections)
		return -EMFILE;
	if (ws && !crew__ws_worker(w))
		return -ENOMEM;
	crew_conn *c = crew__net_begin(&w->net);
	if (!c)
		return -errno;
	*crew__link_place(c) = link;
	crew__side(c)->shown = true;
	if (ws) { /* what is sent from now on is framed as a client's */
		crew__side(c)->ws.client = true;
		crew__ws_set_variant(c);
	}
	client->count++;
	crew__link_outgoing(link)->count++;
	link->conn = c;
	link->step = CREW__LINK_WAITS;
	link->scanned = 0;
	link->why[0] = '\0';
	return 0;
}

void crew__link_free(struct crew__link *link)
{
	crew__timer_stop(link->client->worker.plan.loop, &link->timer);
	crew__list_remove(&link->node);
	crew__tls_context_unref(link->tls);
	crew__connect_plan_fini(&link->plan);
	free(link);
}

/* ---- failing ------------------------------------------------------------------------------- */

static __attribute__((format(printf, 2, 0))) void note(
	struct crew__link *link, const char *format, va_list arguments)
{
	if (!link->why[0])
		vsnprintf(link->why, sizeof(link->why), format, arguments);
}

static __attribute__((format(printf, 2, 3))) void say(
	struct crew__link *link, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	note(link, format, arguments);
	va_end(arguments);
}

void crew__link_fail(struct crew__link *link, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	note(link, format, arguments);
	va_end(arguments);
	crew__conn_broken(link->conn, CREW_END_HANDSHAKE);
}

/* Its socket was there, and it broke, or took too long. */
static void explain_handshake(struct crew__link *link, const crew_conn *c)
{
	const char *tls = crew__conn_tls_error(c);
	long long ms = (long long)link->client->worker.settings->handshake_timeout_ms;
	if (link->step == CREW__LINK_TLS && tls[0])
		say(link, "tls: %s", tls);
	else if (ms > 0 && crew__wheel_come(link->deadline, crew__net_now(c->net)))
		say(link, "its handshake took longer than handshake_timeout_ms (%lld ms)", ms);
	else if (link->step == CREW__LINK_TLS)
		say(link, "tls: the server closed the connection in the handshake");
	else
		say(link, "the server closed the connection before it stood");
}

/* It has ended by itself, or by somebody who gave no reason. */
static void explain(struct crew__link *link, const crew_conn *c)
{
	switch (c->record->end) {
	case CREW_END_APP:
		say(link, "it was closed before it stood");
		break;
	case CREW_END_KICKED:
		say(link, "an operator ended it before it stood");
		break;
	case CREW_END_DRAIN:
		say(link, "the worker stopped before it stood");
		break;
	case CREW_END_MEMORY:
		say(link, "there was no memory for it");
		break;
	case CREW_END_HANDSHAKE:
	case CREW_END_PEER:
		if (link->step >= CREW__LINK_TLS) {
			explain_handshake(link, c);
			break;
		}
		__attribute__((fallthrough)); /* a limit of the service's own */
	default:
		say(link, "a limit of its service ended it before it stood (%s)",
			crew_end_name((crew_end_reason)c->record->end));
		break;
	}
}

/* ---- step by step -------------------------------------------------------------------------- */

static void stand(struct crew__link *link)
{
	crew_conn *c = link->conn;
	link->step = CREW__LINK_STANDS;
	link->since = crew__net_now(c->net);
	link->told = false;
	crew__service_ops.on_accepted(c);
}

/* Bytes can travel: to the protocol. */
static void speak(struct crew__link *link)
{
	if (link->client->worker.kind == CREW__WS)
		crew__link_ask(link);
	else
		stand(link);
}

static void start_tls(struct crew__link *link, crew_bytes first)
{
	SSL *ssl = crew__tls_connect(link->tls, link->plan.tls_name);
	link->step = CREW__LINK_TLS;
	if (ssl && link->client->worker.settings->ktls)
		crew__ktls_allow(ssl);
	if (!ssl || crew__conn_start_tls(link->conn, ssl, first) < 0)
		crew__link_fail(link, "tls: there was no memory for it");
}

/* What a proxy sent behind its answer is the server's. */
static void keep_first(crew_conn *c, crew_bytes first)
{
	if (first.len == 0)
		return;
	if (crew__buf_append(&c->in, first.data, first.len) < 0) {
		crew__conn_broken(c, CREW_END_MEMORY);
		return;
	}
	c->net->stats.slab->bytes_in += first.len;
	c->record->bytes_in += first.len;
	crew__conn_agenda(c, CREW__C_FEED);
}

static void take_socket(struct crew__link *link, int take_fd, crew_bytes first)
{
	crew_conn *c = link->conn;
	uint32_t timeout = link->client->worker.handshake_timeout;
	bool udp = link->plan.url.udp;
	int error = udp ? crew__udp_begin(c, take_fd) : crew__conn_connected(c, take_fd);
	if (error) {
		say(link, "its socket cannot be watched: %s", strerror(-error));
		return;
	}
	link->deadline = crew__wheel_time(crew__net_now(c->net) + timeout);
	if (timeout > 0)
		crew__conn_deadline(c, link->deadline);
	if (link->plan.url.tls) {
		start_tls(link, first);
		return;
	}
	keep_first(c, first);
	if (c->record->state == CREW__CONN_HANDSHAKE)
		speak(link);
}

static void on_dialled(int fd, const char *why, crew_bytes rest, void *arg)
{
	struct crew__link *link = arg;
	link->dial = NULL;
	if (fd < 0)
		crew__link_fail(link, "%s", why);
	else if (link->conn->record->state == CREW__CONN_CLOSED)
		close(fd); /* it was ended in this very turn */
	else
		take_socket(link, fd, rest);
}

int crew__link_dial(struct crew__link *link)
{
	crew_worker *w = &link->client->worker;
	const struct crew__url *url = &link->plan.url;
	const crew_connect_options *o = &link->plan.options;
	const struct crew__dial_plan plan = {
		.loop = w->plan.loop,
		.resolver = crew__worker_resolver(w->parent),
		.host = url->unix_socket ? NULL : url->host,
		.port = url->port,
		.unix_path = url->unix_socket ? url->path : NULL,
		.proxy = o->proxy,
		.preambles = crew__preambles,
		.local = o->local,
		.type = url->udp ? SOCK_DGRAM : SOCK_STREAM,
		.timeout_ms = (uint64_t)o->timeout_ms,
		.done = on_dialled,
		.arg = link,
	};
	if (!plan.resolver) {
		say(link, "no name can be resolved (the log says why)");
		return -ENOMEM;
	}
	char why[CREW__CONNECT_WHY];
	errno = 0;
	link->dial = crew__dial_start(&plan, why, sizeof(why));
	if (!link->dial) {
		int error = errno == ENOMEM ? -ENOMEM : -EINVAL;
		say(link, "%s", why);
		return error;
	}
	link->step = CREW__LINK_DIALS;
	return 0;
}

/* ---- what net tells ------------------------------------------------------------------------ */

/* TLS stands. */
static void on_accepted(crew_conn *c)
{
	speak(crew__link_of(c));
}

static size_t on_data(crew_conn *c, char *data, size_t len)
{
	struct crew__link *link = crew__link_of(c);
	if (crew__likely(link->step == CREW__LINK_STANDS))
		return crew__service_data(c, data, len);
	return crew__link_answer(link, data, len);
}

static void on_end(crew_conn *c)
{
	struct crew__link *link = crew__link_of(c);
	if (link->step != CREW__LINK_STANDS)
		crew__conn_broken(c, CREW_END_HANDSHAKE);
	else if (link->client->worker.kind == CREW__WS)
		crew__conn_close(c, CREW_END_PEER);
	else
		crew__service_ops.on_end(c);
}

/* One that does not stand has nobody to say goodbye to. */
static bool on_closing(crew_conn *c)
{
	struct crew__link *link = crew__link_of(c);
	if (link->step == CREW__LINK_STANDS)
		return crew__service_ops.on_closing(c);
	crew__conn_broken(c, (crew_end_reason)c->record->end);
	return false;
}

static uint32_t on_deadline(crew_conn *c, uint32_t now)
{
	struct crew__link *link = crew__link_of(c);
	if (link->step == CREW__LINK_STANDS)
		return crew__service_ops.on_deadline(c, now);
	/* Dialling keeps its own time. */
	if (link->step < CREW__LINK_TLS || link->client->worker.handshake_timeout == 0)
		return CREW__WHEEL_OUT;
	if (!crew__wheel_come(link->deadline, now))
		return link->deadline;
	crew__conn_broken(c, CREW_END_HANDSHAKE);
	return CREW__WHEEL_OUT;
}

static void log_failure(struct crew__link *link)
{
	char left_out[CREW__LEFT_OUT_MAX];
	bool again = link->plan.options.retry_ms > 0;
	if (link->told || !crew__log_may(&crew__link_outgoing(link)->log, 5, left_out))
		return;
	link->told = true;
	crew__log(CREW_WARN, "%s: %s: %s%s%s", link->client->worker.service->name, link->plan.text,
		link->why, again ? "; it will be tried again" : "", left_out);
}

static void on_closed(crew_conn *c)
{
	struct crew__link *link = crew__link_of(c);
	crew_end_reason end = (crew_end_reason)c->record->end;
	if (link->dial)
		crew__dial_stop(link->dial);
	link->dial = NULL;
	crew__timer_stop(c->net->loop, &link->timer);
	if (link->step != CREW__LINK_STANDS) {
		explain(link, c);
		if (end != CREW_END_APP && end != CREW_END_DRAIN)
			log_failure(link);
	}
	crew__service_ops.on_closed(c);
	link->client->count--;
	crew__link_outgoing(link)->count--;
	link->conn = NULL;
	*crew__link_place(c) = NULL;
	crew__link_ended(link, end);
}

static size_t on_held(crew_conn *c)
{
	struct crew__link *link = crew__link_of(c);
	return link && link->step == CREW__LINK_STANDS ? crew__service_ops.on_held(c) : 0;
}

const struct crew__conn_ops crew__client_ops = {
	.on_accepted = on_accepted,
	.on_data = on_data,
	.on_end = on_end,
	.on_pipe_end = crew__service_pipe_end,
	.on_closing = on_closing,
	.on_notice = crew__service_notice,
	.on_loss = crew__service_loss,
	.on_gap = crew__service_gap,
	.on_episode = crew__episode,
	.on_closed = on_closed,
	.on_held = on_held,
	.on_deadline = on_deadline,
};
