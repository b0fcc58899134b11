/* access_line.h - one line of the access log: what was asked, what came of it, how long it took.
 *
 * Pure: a value in, a line out. Whatever a client sends, a line stays one line and its parts stay
 * apart: control bytes, quotes, backslashes and, in the combined format, everything that is no
 * ASCII are escaped; in JSON what is no UTF-8 becomes U+FFFD. Long parts are cut off, so that a
 * line is never longer than what a pipe takes at once (PIPE_BUF). */
#ifndef CREW_WEB_ACCESS_LINE_H
#define CREW_WEB_ACCESS_LINE_H

#include "base/base.h"

enum {
	CREW__ACCESS_LINE_MAX = 4096, /* with its line feed */
	/* What is kept of each part, and, times what escapes take, what of it is shown. */
	CREW__ACCESS_METHOD_MAX = 32,
	CREW__ACCESS_TARGET_MAX = 1800,
	CREW__ACCESS_AGENT_MAX = 600,
	CREW__ACCESS_REFERER_MAX = 700,
};

struct crew__access_entry {
	int64_t unix_us;    /* when the request's head was whole */
	const char *client; /* an address, "unix:", a name */
	const char *id;     /* 16 hex digits */
	crew_bytes method,
		target; /* no bytes: there is no request, only the answer to what was none */
	crew_bytes agent, referer;    /* data NULL: the request has none */
	int version;                  /* 10, 11 */
	unsigned status;              /* 0: there was no answer */
	uint64_t bytes_in, bytes_out; /* of the bodies */
	/* Microseconds: the head's arrival, the body's, until the answer began, until it was
	 * complete. */
	uint64_t head_us, body_us, handler_us, answer_us;
	const char *ended; /* "ok", or the name of a crew_end_reason */
};

/* Their lengths, line feed included; there is no NUL. */
size_t crew__access_combined(
	const struct crew__access_entry *entry, char ret_line[CREW__ACCESS_LINE_MAX]);
size_t crew__access_json(
	const struct crew__access_entry *entry, char ret_line[CREW__ACCESS_LINE_MAX]);

#endif
