/* connect.h - connections that the program opens itself. Included by <crew/crew.h>, whose rules hold.
 *
 * What an outgoing connection does is said by a crew_service that listens nowhere and stands in no
 * crew_app: its callbacks, protocol, conn_size, limits and policies hold, counted with the worker that
 * connects. From crew_connect() on it is a connection like any other: what is sent before it stands waits
 * in its queue (and is lost as `handshake` if it never stands), crew_close() gives up, on_close comes
 * once. */
#ifndef CREW_CONNECT_H
#define CREW_CONNECT_H

#include <crew/crew.h>

#ifdef __cplusplus
extern "C" {
#endif

struct crew_connect_options {
	const crew_service *service; /* required; it must live as long as the worker */
	void *arg;                   /* crew_arg() */
	/* Names, connecting, the proxy; TLS and WebSocket handshakes have service->handshake_timeout_ms. */
	int64_t timeout_ms;          /* 10 s */
	/* When the connection fails or ends, but not by crew_close or crew_abort: connect anew, after a
	 * while drawn at random up to retry_ms, then up to double ... up to retry_most_ms; back to the first
	 * after one that was open for retry_most_ms. Each attempt is a new connection. */
	int64_t retry_ms;            /* off */
	int64_t retry_most_ms;       /* 30 s */
	/* A new connection is being tried: what is sent to it now waits. Called for those that retry_ms
	 * brings, not for the one that crew_connect() returns. May be NULL. */
	void (*on_retry)(crew_conn *c);
	const char *proxy;           /* "socks5://[USER:PASSWORD@]HOST:PORT" or "http://..." (CONNECT);
	                              * the name is resolved there. NULL: none */
	const char *local;           /* a numeric address of ours to connect from; NULL: any */
	/* WebSocket. */
	const crew_header *headers;  /* further fields of the request, ended by a NULL name; NULL: none */
	const char *protocols;       /* sub-protocols, best first: "chat.v2 chat.v1"; NULL: none */
	/* TLS: the peer's certificate must be one of the system's authorities for the URL's host. */
	const char *tls_ca;          /* a PEM file of authorities instead of the system's */
	const char *tls_name;        /* the name to ask for and to verify instead of the URL's host */
	const char *tls_cert;        /* PEM files: our certificate and key; NULL: none */
	const char *tls_key;
	const char *tls_alpn;        /* what we speak, best first; NULL: http/1.1 for wss, else none */
	bool tls_insecure;           /* take any certificate */
};

/* Connect to "SCHEME://HOST:PORT", ws and wss with a path: tcp, tls, text, frame, ws, wss, udp, unix,
 * SCHEME+unix, and the name of service->protocol (with + tls: "NAME+tls"). In the worker whose callback
 * runs. `options` is copied, strings included. NULL with errno: EINVAL (the log says what of it), ENOMEM,
 * EMFILE (max_connections is reached), ENOTCONN (no worker runs here). */
CREW_API crew_conn *crew_connect(const char *url, const crew_connect_options *options);

/* options->arg of an outgoing connection, NULL of others. */
CREW_API void *crew_arg(const crew_conn *c);

/* In on_close: why it never stood, or NULL: "cannot resolve feed.example: no such name", "tls: certificate
 * has expired", "the proxy answers 407". Valid until the callback returns. */
CREW_API const char *crew_connect_error(const crew_conn *c);

#ifdef __cplusplus
}
#endif
#endif
