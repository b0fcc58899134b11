/* preamble.h - what is said to a proxy before a connection through it stands, as net asks for it
 * and proto speaks it: those two do not know each other.
 *
 * A talk is bytes in, bytes out: no sockets. It begins with what we say first; then the bytes of
 * the proxy come, again with more behind them as far as they were not used, until it is done.
 * Whatever the proxy says, a talk ends after a bounded number of its bytes. */
#ifndef CREW_BASE_PREAMBLE_H
#define CREW_BASE_PREAMBLE_H

#include "base/buf.h"

enum {
	CREW__PREAMBLE_MOST = 16 * 1024 /* bytes that a proxy may say */
};

/* Whom to connect to, and who we are: NULL for nobody. Borrowed for the life of the talk. */
struct crew__preamble_ask {
	const char *host; /* a name or a numeric address without brackets */
	uint16_t port;
	const char *user, *password;
};

struct crew__preamble;

struct crew__preamble_talk {
	const struct crew__preamble *kind;
	struct crew__preamble_ask ask;
	unsigned step;  /* the kind's own */
	int status;     /* the answer's */
	size_t scanned; /* of the bytes not used: where no line ends */
	size_t total;   /* bytes used */
	char why[192];  /* once it failed: what follows "the proxy HOST:PORT ": "answers 407 ..." */
};

struct crew__preamble {
	const char *scheme; /* "socks5" */
	/* Append to `out` what is said first. 0, -EINVAL with `why` (the ask is not one that this
	 * kind can say), -ENOMEM, -ENOBUFS. */
	int (*begin)(struct crew__preamble_talk *talk, struct crew__buf *out);
	/* `ret_used` bytes are done with; what is to be said next is appended to `out`. 1: the way
	 * is free, and what was not used is the peer's; 0: more is needed; an error with `why`. */
	int (*feed)(struct crew__preamble_talk *talk, crew_bytes in, size_t *ret_used,
		struct crew__buf *out);
};

/* For the kinds: keep the sentence, and return `error`. */
int crew__preamble_fail(struct crew__preamble_talk *talk, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
