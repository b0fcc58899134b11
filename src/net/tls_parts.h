/* tls_parts.h - what the files of TLS share: tls.c (the handshake, records that OpenSSL makes),
 * tls_kernel.c (records that the kernel makes), tls_bio.c, tls_limits.c; nobody else includes it.
 *
 *   [TLS] ─ the handshake stands ─┬─ the kernel has the keys ─▸ [KTLS]  plain bytes to the socket
 *                                 └─ it has not ─────────────▸ [TLS]   records to the socket */
#ifndef CREW_NET_TLS_PARTS_H
#define CREW_NET_TLS_PARTS_H

#include "base/list.h"
#include "net/tls.h"

enum {
	CREW__TLS_IN_MOST = CREW__READ_MOST,
	CREW__TLS_OUT_MOST = 1024 *
			     1024, /* what one step of OpenSSL may produce: a handshake's flight */
	CREW__TLS_ERROR = 160,
	CREW__TLS_KEYS_MOST = 32 /* times in a row that a peer may change its keys, without data */
};

/* What all TLS connections of a net share; each uses it within one call. */
struct crew__tls_shared {
	BIO_METHOD *method, *kernel_method;
	crew_conn *in_of; /* whose bytes are in `in`, behind in_at; NULL: nobody's */
	size_t in_at, in_len;
	struct crew__buf out;         /* records that are to leave now */
	uint32_t shakes, shakes_turn; /* steps of clients' handshakes in that turn */
	struct crew__node
		begun; /* clients' handshakes under way: who got on least recently first */
	size_t begun_count;
	char in[CREW__TLS_IN_MOST];
	char plain[CREW__TLS_RECORD];
};

/* Of one connection.
 *  - `cipher` holds what the kernel did not take; then the connection is WRITING;
 *  - of what was sent last, `left` bytes are with the kernel and `kept` are in `cipher`, not
 * settled;
 *  - `held_bytes` and `held_messages` are settled, and leave with the last byte of `cipher`;
 *  - where the kernel makes the records, all of these are empty. */
struct crew__tls {
	SSL *ssl;
	crew_conn *conn;
	struct crew__node begun; /* in the list of the net, or alone */
	struct crew__buf unread; /* records that came and that OpenSSL has not been given */
	struct crew__buf cipher;
	size_t left, kept;
	size_t held_bytes;
	uint32_t held_messages;
	uint32_t began; /* hundredths */
	uint32_t keys;  /* how often the peer has changed its keys since data came */
	bool standing;  /* its handshake is done */
	bool broken;    /* OpenSSL must not be asked again */
	bool in_ended;  /* the kernel has told the end of the stream */
	bool ended;     /* the stream's end is to be told */
	bool finished;  /* our side was ended while something had still to leave */
	/* Where the kernel was offered to make the records: */
	bool stalled;    /* the handshake waits until the socket can be written to: it is WRITING */
	bool resumes;    /* it can: the handshake goes on */
	bool goodbye;    /* close_notify waits likewise */
	bool wants_keys; /* the peer has asked us for new keys, which the kernel cannot be given */
	char error[CREW__TLS_ERROR];
};

static inline struct crew__tls *crew__tls_of(const crew_conn *c)
{
	return c->net->table->transports[c->slot];
}

/* ---- tls_bio.c ---- */

/* What the net's connections share; made when the first asks. NULL: no memory. */
struct crew__tls_shared *crew__tls_share(struct crew__net *net);
/* Both directions go by a BIO of ours; the way out by one that offers keys to the kernel, where
 * that may have them. False: no memory. */
bool crew__tls_set_bios(crew_conn *c, SSL *ssl);

/* ---- tls.c ---- */

/* OpenSSL tells of each message of the handshake's, keys that change among them. */
void crew__tls_note_message(struct crew__tls *tls, bool written, int type, crew_bytes message);
/* Gather what leaves next. False: no memory. */
bool crew__tls_gather(crew_conn *c, const char *data, size_t len);
/* What is gathered leaves, or is kept in order. False: the connection is CLOSED. */
bool crew__tls_push(crew_conn *c);
ssize_t crew__tls_recv(crew_conn *c, char *room, size_t size);
bool crew__tls_has_more(const crew_conn *c);
void crew__tls_release(crew_conn *c);

/* ---- tls_limits.c ---- */

/* A handshake that a client has begun gets on: it is the last to give way from now on. */
void crew__tls_enter_begun(struct crew__tls_shared *shared, struct crew__tls *tls);
/* It is over; nothing when it is no client's. */
void crew__tls_leave_begun(struct crew__tls_shared *shared, struct crew__tls *tls);
void crew__tls_keep_to_limit(const struct crew__net *net);
/* Another step of a handshake in this turn? */
bool crew__tls_may_shake(crew_conn *c, const struct crew__tls *tls);

/* ---- tls_kernel.c ---- */

/* A BIO for what OpenSSL writes, which offers its keys to the kernel; NULL: this connection cannot
 * have them there (that is no error), or no memory. `method` of crew__tls_kernel_method(). */
BIO *crew__tls_kernel_bio(crew_conn *c, const SSL *ssl, BIO_METHOD *method);
BIO_METHOD *crew__tls_kernel_method(void); /* NULL: no memory */
/* Its handshake stands: does the kernel make its records? From now on, then. */
void crew__tls_kernel_takes(crew_conn *c);
/* The peer has asked for new keys: tell it goodbye, as nothing else can be said. */
void crew__tls_kernel_gives_up(crew_conn *c);

#endif
