/* fetch_parts.h - what the files of the HTTP client share. Not for others: fetch.h is.
 *
 *   crew_fetch ──▸ NAMES ──(addresses are known)──▸ CARRIED ──(libcurl is done)──▸ OVER ──▸ [on_done,
 *                    ▴                                 │                            ▴        gone]
 *                    └──────────(a redirect)───────────┘      stop, time, an error ─┘
 *   NAMES    a lookup is under way, or the fetch stands in the list of work to be begun
 *   CARRIED  the easy handle is in the multi handle; callbacks of libcurl may come
 *   OVER     result and cause are set; it stands in the list of work, where it is told and ended
 *
 * libcurl forbids most calls from inside its callbacks, and on_done never comes from inside a call of
 * the program. So all that changes handles is noted in one list of work, done by crew__fetch_settle()
 * when neither is on the stack. */
#ifndef CREW_SERVICE_FETCH_PARTS_H
#define CREW_SERVICE_FETCH_PARTS_H

#include "base/buf.h"
#include "base/list.h"
#include "net/resolver.h"
#include "service/fetch.h"
#include "service/fetch_names.h"
#include "service/fetch_request.h"
#include "service/inner.h"

enum {
	CREW__FETCH_HEAD_MOST = 128 * 1024, /* of answers, all heads of one leg together */
	CREW__FETCH_FIELDS_MOST = 1000,
	CREW__FETCH_REST_MOST = 64 * 1024 /* of a redirect's body, which nobody reads */
};

enum crew__fetch_state {
	CREW__FETCH_NAMES_STATE,
	CREW__FETCH_CARRIED,
	CREW__FETCH_OVER
};

/* What comes back, of the present leg. */
struct crew__fetch_answer {
	struct crew__buf head; /* name NUL value NUL, ... */
	struct crew__buf body;
	size_t fields, head_bytes;
	uint64_t body_bytes; /* decompressed */
	int status;          /* of the last head, also of an interim one */
	bool in_head;        /* between a status line and the blank one */
	bool final;          /* the head of the answer itself is whole */
	bool following;      /* it is a redirect that is followed: its body is nobody's */
};

struct crew__fetch {
	struct crew__fetch *next_work; /* of fetches->work */
	bool in_work;
	struct crew__fetches *owner;
	int64_t id;
	uint32_t slot;
	enum crew__fetch_state state;
	bool ready;   /* its addresses are known: it may go */
	bool paused;  /* a callback let libcurl wait, in one direction or both */
	bool resumed; /* crew_fetch_resume() was called */
	bool opened;  /* this leg has made a connection of its own */
	bool stale;   /* it was given a kept one that must not be used (fetch_sockets.c) */

	struct crew__fetch_request request;
	struct crew__fetch_answer answer;
	unsigned redirected;

	int64_t (*on_upload)(int64_t id, char *room, size_t size, void *arg);
	int (*on_body)(int64_t id, int status, crew_bytes part, void *arg);
	void (*on_done)(const crew_fetched *f, void *arg);
	void *arg;

	struct crew__timer clock;
	uint64_t began_ns, deadline_ns; /* deadline of all of it */
	uint64_t connect_ns; /* names and connecting of this leg end by then */
	uint64_t enough_ns;  /* go with the addresses of one family from then on; CREW__FETCH_NEVER */

	struct crew__lookup *lookup;
	char *addresses; /* what is known so far; NULL */
	uint32_t ttl_s;

	CURL *easy;
	CURLSH *share; /* holds the addresses for this leg alone */
	struct curl_slist *resolve;
	bool carried;
	char curl_why[CURL_ERROR_SIZE];

	int error;
	char why[CREW__FETCH_WHY];
};

#define CREW__FETCH_NEVER (UINT64_MAX / 2)

struct crew__fetch_watch;
struct crew__fetches {
	crew_worker *worker;
	struct crew__loop *loop;
	CURLM *multi; /* NULL: there is none at present */
	bool broken;  /* it took no more calls, or could not watch a socket */
	struct crew__timer timer; /* always runs, so that starting it cannot fail */
	uint64_t curl_due_ns, idle_due_ns;
	struct crew__fetch *work, **work_end; /* first in, first out */
	struct crew__node watches;       /* sockets of libcurl's */
	struct crew__fetch_watch *ended_watches; /* memory that stays until the turn's end */
	struct crew__turn_hook hook;
	struct crew__fetch_names names;
	struct crew__fetch_socket *sockets; /* that libcurl has open */
	uint32_t socket_count, socket_room;

	struct crew__fetch **slots; /* NULL: free */
	uint32_t room, lowest;
	uint32_t count, carried;
	bool closed; /* the worker's time is over: nothing new is begun */
};

/* ---- fetch.c ---- */

/* It has come to its end: told as soon as that is allowed. Nothing when it has come to one before. */
void __attribute__((format(printf, 3, 4)))
crew__fetch_over(struct crew__fetch *fetch, int error, const char *format, ...);
/* There is work for this one. */
void crew__fetch_work(struct crew__fetch *fetch);
/* Do what was noted. Only where neither libcurl nor the program is on the stack. */
void crew__fetch_settle(struct crew__fetches *f);

/* ---- fetch_begin.c: names ---- */

/* Begin a leg: ask for addresses, or go with those that are known. */
void crew__fetch_begin(struct crew__fetch *fetch);
/* In the list of work: the addresses are there. */
void crew__fetch_go(struct crew__fetch *fetch);
void crew__fetch_stop_names(struct crew__fetch *fetch);
void crew__fetch_on_clock(struct crew__timer *timer);

/* ---- fetch_link.c: libcurl and the loop ---- */

/* 0, -ENOMEM, -EIO. */
int crew__fetch_link_init(struct crew__fetches *f);
void crew__fetch_link_fini(struct crew__fetches *f); /* every fetch has been taken out */
int crew__fetch_carry(struct crew__fetch *fetch);
void crew__fetch_drop(struct crew__fetch *fetch); /* nothing when it is not carried */
/* Pass on to libcurl what it wants to know by now, and take its answers. */
void crew__fetch_link_tend(struct crew__fetches *f);
/* The timer is to come in this turn or the next. */
void crew__fetch_nudge(struct crew__fetches *f);

/* ---- fetch_easy.c: one handle ---- */

/* fetch->easy is ready to be carried. 0, -ENOMEM, or -EIO when this libcurl lacks something. */
int crew__fetch_easy_init(struct crew__fetch *fetch);
void crew__fetch_easy_fini(struct crew__fetch *fetch);
/* libcurl says that the leg has ended so: follow the redirect, or it is over. */
void crew__fetch_easy_done(struct crew__fetch *fetch, CURLcode code);

/* ---- fetch_sockets.c: libcurl's sockets ---- */

/* For libcurl: `arg` is the fetch; of the second one, the fetches. */
curl_socket_t crew__fetch_on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address);
int crew__fetch_on_socket_close(void *arg, curl_socket_t fd);
/* A request is about to be sent, over a new connection or a kept one. */
int crew__fetch_on_connection(void *arg, char *peer, char *local, int peer_port, int local_port);

/* ---- fetch_answer.c: what comes ---- */

void crew__fetch_answer_init(struct crew__fetch *fetch);
void crew__fetch_answer_fini(struct crew__fetch *fetch);
size_t crew__fetch_on_head(char *data, size_t size, size_t count, void *arg);
size_t crew__fetch_on_body(char *data, size_t size, size_t count, void *arg);
/* The value of a field; data NULL. `name` in lower case. */
crew_bytes crew__fetch_field(const struct crew__fetch *fetch, const char *name);
/* All fields, allocated; NULL without memory, or when there are none. */
crew_header *crew__fetch_fields(const struct crew__fetch *fetch);

/* ---- fetch_upload.c: what goes ---- */

size_t crew__fetch_on_read(char *room, size_t size, size_t count, void *arg);
int crew__fetch_on_seek(void *arg, curl_off_t offset, int origin);

#endif
