/* session_redis_link.h - one connection to Redis, kept up: hiredis in crew's loop.
 *
 *              connected, AUTH, SELECT, PING answered
 *   CONNECTING ──────────────────────────────────────▸ READY
 *      ▴  │ failed, or after a second                    │ lost, or broken
 *      │  ▾                                              │
 *      AWAY (waits, longer each time) ◂──────────────────┘ at once: CONNECTING
 *
 * hiredis has no time-outs: these are the link's (connecting) and its user's (commands, by
 * crew__link_break). No name is looked up, no call waits. What Redis answers is bounded. */
#ifndef CREW_WEB_SESSION_REDIS_LINK_H
#define CREW_WEB_SESSION_REDIS_LINK_H

#include "base/log.h"
#include "loop/loop.h"
#include "web/session_redis_url.h"

#include <hiredis/async.h>

enum crew__link_state {
	CREW__LINK_AWAY,
	CREW__LINK_CONNECTING,
	CREW__LINK_READY
};

struct crew__link {
	struct crew__loop *loop;
	struct crew__redis_url url;
	enum crew__link_state state;
	bool hopeful; /* the last attempt did not fail: it is worth waiting for this one */
	bool told;    /* the log says that it is away */
	bool ending;
	unsigned failures, greetings; /* greetings: answers still due before it is READY */
	redisAsyncContext *redis;     /* NULL when AWAY */
	uint64_t ready_ns; /* since when it was last READY */
	char why[160];                /* it was broken; "": ask hiredis */
	struct crew__source source;
	struct crew__timer timer; /* AWAY: try again; CONNECTING: give up; READY: nothing */
	/* READY is reached; what came has been dealt with (answers were called back); it is lost, after
	 * all that was sent has been called back without an answer. Never from inside a call of
	 * hiredis', but for on_lost, which may come from inside crew__link_write and _break. */
	void (*on_ready)(struct crew__link *link);
	void (*on_turn)(struct crew__link *link);
	void (*on_lost)(struct crew__link *link);
};

/* `link` has loop, url and the functions set, and is else zeroed. 0 or -ENOMEM. */
int crew__link_open(struct crew__link *link);
void crew__link_close(struct crew__link *link);

/* READY only: put a command in the connection's buffer; `fn` gets the answer, or NULL. 0,
 * -ENOTCONN. */
int crew__link_command(struct crew__link *link, redisCallbackFn *fn, void *arg, int count,
	const char **words, const size_t *lengths);
/* Write what is there now, rather than when the loop comes to it. */
void crew__link_write(struct crew__link *link);
/* Give the connection up, for that reason, and begin anew. */
void crew__link_break(struct crew__link *link, const char *why);

#endif
