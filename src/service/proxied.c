/* proxied.c - services behind a proxy: whom to believe, and the PROXY header before everything
 * else.
 *
 * Of a service with `proxy_protocol` every connection begins with that header, whatever it speaks
 * then. Until it has come the program does not see the connection, and what it speaks is not looked
 * at; then it is accepted as any other, but as the client's: its record shows the client's address,
 * and max_connections_per_ip counts it there. (While the header is awaited nobody's are counted:
 * all come from the same few proxies.)
 *
 *   accepted ─▸ awaited ─(a header)─▸ TLS, if it is spoken ─▸ the service's own on_accepted, ...
 *                  └─(not trusted; none; its time is over)─▸ closed (protocol, handshake)
 *
 * Not here: Forwarded and X-Forwarded-For, which are of a single request (http_client.c). */
#include "service/inner.h"

#include "net/address.h"
#include "net/refuse.h"
#include "net/tls.h"
#include "net/tls_context.h"
#include "proto/proxy.h"
#include "service/episodes.h"

#include <stdlib.h>

int crew__proxies_new(crew_worker *w)
{
	const char *list = w->settings->trusted_proxies;
	crew_bytes bad = { NULL, 0 };
	if (!list)
		return 0;
	struct crew__cidrs *proxies = malloc(sizeof(*proxies));
	if (!proxies)
		return -ENOMEM;
	int error = crew__cidrs_parse(list, proxies, &bad);
	if (error) {
		crew__log(CREW_ERROR, "%s.trusted_proxies: %.*s: %s", w->service->name,
			(int)crew__min(bad.len, 64), bad.data ? bad.data : "", strerror(-error));
		free(proxies);
		return error;
	}
	w->proxies = proxies;
	return 0;
}

void crew__proxies_free(crew_worker *w)
{
	if (!w->proxies)
		return;
	crew__cidrs_free(w->proxies);
	free(w->proxies);
	w->proxies = NULL;
}

/* ---- the header ---------------------------------------------------------------------------- */

/* Comes twice when TLS is spoken behind the header: at first, and when TLS stands. */
static void on_accepted(crew_conn *c)
{
	crew_worker *w = crew__worker_of(c);
	if (crew__side(c)->proxied) {
		crew__service_ops.on_accepted(c);
		return;
	}
	const struct crew__record_address *peer = &w->net.stats.cold[c->slot].remote;
	if (w->proxies && !crew__cidrs_hold(w->proxies, peer))
		crew__service_violation(c, 0, "it is none of trusted_proxies");
	else if (w->handshake_timeout > 0)
		crew__conn_deadline(c, c->record->opened + w->handshake_timeout);
}

/* max_connections_per_ip is reached where the client comes from. */
static void refuse(crew_conn *c, const struct crew__record_address *client)
{
	crew_worker *w = crew__worker_of(c);
	char left_out[CREW__LEFT_OUT_MAX];
	char text[80];
	if (crew__log_may(&w->protocol_log, 5, left_out)) {
		crew__address_text(client, text, sizeof(text));
		crew__log(CREW_WARN,
			"%s: connection of %s refused: max_connections_per_ip (%lld) is reached%s",
			w->service->name, text, (long long)w->settings->max_connections_per_ip,
			left_out);
	}
	crew__conn_abort(c, CREW_END_HANDSHAKE);
}

/* The proxy sends its header in plain, and the client's TLS comes right behind it: `rest` of that
 * has come already. */
static void begin_tls(crew_conn *c, crew_bytes rest)
{
	SSL *ssl = crew__tls_accept(c->net->tls);
	if (!ssl || crew__conn_start_tls(c, ssl, rest) < 0)
		crew__conn_abort(c, CREW_END_MEMORY);
}

/* False: it is refused. */
static bool accept_as(crew_conn *c, const struct crew__proxy *proxy)
{
	crew_worker *w = crew__worker_of(c);
	struct crew__record_address client = proxy->known ? proxy->source
							  : w->net.stats.cold[c->slot].remote;
	if (crew__refuse_fast(c->net, &client, w->service->name)) {
		crew__conn_abort(c, CREW_END_HANDSHAKE);
		return false;
	}
	if (!crew__conn_comes_from(c, &client)) {
		refuse(c, &client);
		return false;
	}
	crew__side(c)->proxied = true;
	return true;
}

static size_t on_data(crew_conn *c, char *data, size_t len)
{
	struct crew__proxy proxy;
	if (crew__likely(crew__side(c)->proxied))
		return crew__service_data(c, data, len);
	int header = crew__proxy_parse((crew_bytes){ data, len }, &proxy);
	if (header == 0)
		return 0;
	if (header < 0) {
		crew__service_violation(c, 0, "it does not begin with a PROXY header");
		return len;
	}
	size_t used = (size_t)header;
	if (!accept_as(c, &proxy))
		return len;
	if (c->net->tls) {
		begin_tls(c, (crew_bytes){ data + used, len - used });
		return len;
	}
	crew__service_ops.on_accepted(c);
	if (c->record->state > CREW__CONN_OPEN)
		return len;
	return used < len ? used + crew__service_data(c, data + used, len - used) : used;
}

/* ---- what else may happen before it has come ----------------------------------------------- */

static void on_end(crew_conn *c)
{
	if (crew__side(c)->proxied)
		crew__service_ops.on_end(c);
	else
		crew__conn_close(c, CREW_END_HANDSHAKE);
}

static bool on_closing(crew_conn *c)
{
	return crew__side(c)->proxied && crew__service_ops.on_closing(c);
}

static void on_closed(crew_conn *c)
{
	if (crew__side(c)->proxied)
		crew__service_ops.on_closed(c);
	else
		crew__worker_conn_gone(crew__worker_of(c));
}

static size_t on_held(crew_conn *c)
{
	return crew__side(c)->proxied ? crew__service_ops.on_held(c) : 0;
}

static uint32_t on_deadline(crew_conn *c, uint32_t now)
{
	uint32_t limit = crew__worker_of(c)->handshake_timeout;
	if (crew__side(c)->proxied)
		return crew__service_ops.on_deadline(c, now);
	if (limit == 0)
		return CREW__WHEEL_OUT;
	uint32_t due = c->record->opened + limit;
	if ((int32_t)(now - due) < 0)
		return crew__wheel_time(due);
	crew__conn_close(c, CREW_END_HANDSHAKE);
	return CREW__WHEEL_OUT;
}

const struct crew__conn_ops crew__proxied_ops = {
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
