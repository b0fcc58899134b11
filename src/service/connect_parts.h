/* connect_parts.h - what the files of outgoing connections share; not for others (connect.h is).
 *
 *   connect.c          crew_connect() and what may be asked of a connection that it made
 *   connect_options.c  what it is given: judged, and copied
 *   connect_client.c   a service and protocol of outgoing connections, in one worker
 *   connect_tls.c      certificates of ours and theirs, read once
 *   connect_link.c     from nothing to a connection that stands
 *   connect_ws.c       ... where that takes a WebSocket's handshake
 *   connect_again.c    after the end: the next attempt
 *   connect_retry.c    when that is */
#ifndef CREW_SERVICE_CONNECT_PARTS_H
#define CREW_SERVICE_CONNECT_PARTS_H

#include "base/list.h"
#include "net/dial.h"
#include "net/tls_context.h"
#include "service/connect.h"
#include "service/connect_options.h"
#include "service/connect_retry.h"
#include "web/ws_client.h"

enum {
	CREW__CONNECT_WHY = 256
};

struct crew__client {
	struct crew__client *next;
	struct crew__settings *settings;
	uint32_t count; /* of its connections */
	crew_worker worker;
};

struct crew__client_tls;

struct crew__outgoing {
	struct crew__client *clients;
	struct crew__client_tls *contexts;
	unsigned context_count;
	struct crew__node links;
	uint32_t count; /* of the connections of all clients */
	struct crew__log_rate log;
};

/* How far the present attempt is.
 *
 *   WAITS ─▸ DIALS ─▸ TLS ─▸ ASKS ─▸ STANDS     (TLS and ASKS where the URL says so)
 *     ▴        └───────┴──────┴─────────┴──(the end; retry_ms)──┐
 *     └─────────────────────────────────────────────────────────┘
 *
 *   WAITS      its time has not come; it has a connection, unless there was no room for one
 *   DIALS      `dial` is under way, the connection has no socket
 *   TLS, ASKS  it has one, and until `deadline` to go on */
enum crew__link_step {
	CREW__LINK_WAITS,
	CREW__LINK_DIALS,
	CREW__LINK_TLS,
	CREW__LINK_ASKS,
	CREW__LINK_STANDS
};

/* One crew_connect(): what is to be reached, and the present attempt. It lives as long as there is
 * a connection, or another will be tried. */
struct crew__link {
	struct crew__node node; /* of crew__outgoing.links */
	struct crew__client *client;
	struct crew__connect_plan plan;
	struct crew__tls_context *tls; /* NULL: none */
	crew_conn *conn;
	struct crew__dial *dial;
	struct crew__timer timer; /* WAITS */
	struct crew__retry retry;
	enum crew__link_step step;
	uint32_t deadline; /* hundredths; valid in TLS and ASKS */
	uint32_t since;    /* STANDS: hundredths */
	struct crew__ws_ask ask;
	uint32_t scanned;            /* of the answer */
	bool told;                   /* the log says that it does not stand; once until it does */
	char why[CREW__CONNECT_WHY]; /* it does not stand; "": nothing is known against it */
};

/* The link of a client's connection: it stands before the protocol's state. */
enum {
	CREW__LINK_ROOM = 16
};
static inline struct crew__link **crew__link_place(crew_conn *c)
{
	return (struct crew__link **)(void *)(c->ext + crew__worker_of(c)->state_at -
					      CREW__LINK_ROOM);
}

static inline struct crew__link *crew__link_of(const crew_conn *c)
{
	return *crew__link_place((crew_conn *)(uintptr_t)c);
}

static inline bool crew__conn_is_outgoing(const crew_conn *c)
{
	return crew__worker_of(c)->parent != NULL;
}

static inline struct crew__outgoing *crew__link_outgoing(const struct crew__link *link)
{
	return link->client->worker.parent->outgoing;
}

/* ---- connect_client.c ---- */

/* 0, -ENOMEM, or -EINVAL with a sentence. */
int crew__client_get(crew_worker *parent, const crew_service *service,
	enum crew__protocol_kind kind, struct crew__client **ret_client, char *ret_error,
	size_t error_size);

/* ---- connect_tls.c ---- */

/* Referred to by the caller. 0, -ENOMEM, or -EINVAL with a sentence. */
int crew__client_tls_get(struct crew__outgoing *o, const struct crew__connect_plan *plan,
	struct crew__tls_context **ret_context, char *ret_error, size_t error_size);
void crew__client_tls_free(struct crew__outgoing *o);

/* ---- connect_link.c ---- */

extern const struct crew__conn_ops crew__client_ops;

/* Another connection, which does not dial yet: `link->conn`. 0, -EMFILE, -ENOMEM. */
int crew__link_begin(struct crew__link *link);
/* 0, -ENOMEM, or -EINVAL with a sentence in link->why. */
int crew__link_dial(struct crew__link *link);
/* The present attempt ends; the sentence is kept unless there is one already. */
void crew__link_fail(struct crew__link *link, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Its connection has gone, or it never had one. */
void crew__link_free(struct crew__link *link);

/* ---- connect_ws.c ---- */

/* The transport stands: ask for a WebSocket. */
void crew__link_ask(struct crew__link *link);
/* As crew__conn_ops.on_data, of one that ASKS. */
size_t crew__link_answer(struct crew__link *link, char *data, size_t len);

/* ---- connect_again.c ---- */

/* Its connection has ended as its record says: try again, or be gone. */
void crew__link_ended(struct crew__link *link, crew_end_reason end);
void crew__link_on_timer(struct crew__timer *timer);

#endif
