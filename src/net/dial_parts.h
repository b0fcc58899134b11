/* dial_parts.h - what the files of dialling share; not for others (dial.h is).
 *
 *   dial.c        the order of things, time, and how it ends
 *   dial_race.c   attempts to connect: which address next, who wins
 *   dial_proxy.c  a proxy's URL, and the talk with it
 *   dial_words.c  sentences for those who wait */
#ifndef CREW_NET_DIAL_PARTS_H
#define CREW_NET_DIAL_PARTS_H

#include "net/dial.h"

#include <netinet/in.h>
#include <sys/un.h>

enum {
	CREW__DIAL_AT_ONCE = 8,    /* attempts that run at the same time; the oldest gives way */
	CREW__DIAL_DELAY_MS = 250, /* RFC 8305: Connection Attempt Delay */
	CREW__RESOLUTION_MS = 50,  /* and Resolution Delay, when IPv4 has answered first */
	CREW__UNIX_AGAIN_MS = 20,
	CREW__DIAL_WHY_MAX = 512
};

union crew__dial_address {
	struct sockaddr any;
	struct sockaddr_in ipv4;
	struct sockaddr_in6 ipv6;
	struct sockaddr_un local;
};

struct crew__dial_candidate {
	union crew__dial_address address;
	bool tried;
};

struct crew__dial_attempt {
	struct crew__source source; /* fd < 0: free */
	struct crew__dial *dial;
	union crew__dial_address address;
	uint64_t number; /* how many were begun before */
};

/* A proxy: as its URL says, and the talk with it. */
struct crew__dial_proxy {
	struct crew__dial *dial;
	const struct crew__preamble *kind;
	char *text; /* what the strings below stand in; wiped when freed */
	size_t text_size;
	char *host, *user, *password;
	uint16_t port;
	struct crew__preamble_talk talk;
	struct crew__source source;
	struct crew__buf in, out;
};

/* What the dial is at. */
enum crew__dial_state {
	CREW__DIAL_BEGINS,
	CREW__DIAL_RESOLVING, /* nothing has been tried yet */
	CREW__DIAL_RACING,
	CREW__DIAL_TALKING,
	CREW__DIAL_OVER
};

struct crew__dial {
	enum crew__dial_state state;
	struct crew__grave grave;
	struct crew__loop *loop;
	struct crew__resolver *resolver;
	char *host, *unix_path; /* whom in the end */
	uint16_t port;
	int type;
	uint64_t timeout_ms;
	union crew__dial_address local; /* family AF_UNSPEC: any */
	struct crew__dial_proxy *proxy; /* NULL: none */
	void (*done)(int fd, const char *why, crew_bytes rest, void *arg);
	void *arg;

	struct crew__timer total, step;
	struct crew__lookup *lookup; /* NULL: none runs */
	size_t count;
	struct crew__dial_candidate candidates[CREW__RESOLVED_MOST];
	struct crew__dial_attempt attempts[CREW__DIAL_AT_ONCE];
	uint64_t begun; /* attempts */
	int last_family;

	int error; /* the most telling of those that failed; 0 */
	union crew__dial_address failed;
};

/* ---- dial.c -------------------------------------------------------------------------------- */

/* The end: all is given back, then `done` is called. `fd` is handed over, or a negative errno. */
void crew__dial_finish(struct crew__dial *dial, int fd, const char *why, crew_bytes rest);
/* A socket stands: that is it, or the proxy is talked to. */
void crew__dial_connected(struct crew__dial *dial, int take_fd);
/* (Re)start the step timer. Without memory the dial ends; false. */
bool crew__dial_after(struct crew__dial *dial, uint64_t ms);

/* ---- dial_race.c --------------------------------------------------------------------------- */

void crew__race_add(struct crew__dial *dial, const struct crew__resolved *resolved);
/* Begin the next attempt, or end the dial when nothing is left. */
void crew__race_next(struct crew__dial *dial);
void crew__race_unix(struct crew__dial *dial);
bool crew__race_runs(const struct crew__dial *dial);
bool crew__race_has_next(const struct crew__dial *dial);
void crew__race_stop(struct crew__dial *dial);
/* The attempt that has waited for longest; NULL: none runs. */
const struct crew__dial_attempt *crew__race_oldest(const struct crew__dial *dial);

/* ---- dial_proxy.c -------------------------------------------------------------------------- */

/* 0, -ENOMEM, or -EINVAL with a sentence, in which no password stands. */
int crew__dial_proxy_new(const char *url, const struct crew__preamble *const *kinds,
	struct crew__dial_proxy **ret_proxy, char *ret_error, size_t error_size);
void crew__dial_proxy_free(struct crew__dial_proxy *proxy); /* NULL is allowed; its fd is none */
/* Put together what is said first. 0, -ENOMEM, or -EINVAL with a sentence. */
int crew__dial_proxy_prepare(struct crew__dial *dial, char *ret_error, size_t error_size);
void crew__dial_proxy_talk(struct crew__dial *dial, int take_fd);

/* ---- dial_words.c -------------------------------------------------------------------------- */

/* "feed.example:443", "[::1]:443", "unix:PATH". */
size_t crew__dial_target(const char *host, uint16_t port, char *text, size_t size);
void crew__dial_say_unresolved(
	const struct crew__dial *dial, const char *why, char text[CREW__DIAL_WHY_MAX]);
void crew__dial_say_unconnected(const struct crew__dial *dial, char text[CREW__DIAL_WHY_MAX]);
void crew__dial_say_late(const struct crew__dial *dial, char text[CREW__DIAL_WHY_MAX]);
void crew__dial_say_proxy(
	const struct crew__dial *dial, const char *what, char text[CREW__DIAL_WHY_MAX]);

#endif
