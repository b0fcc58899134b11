/* dial.h - from a host and port to a connected socket: names, both address families as RFC 8305
 * says (Happy Eyeballs), a proxy when there is one, and a time by which all of it must be done.
 *
 * Not here: what is spoken then (TLS, protocols), and connections (conn.h).
 *
 *   [begin] ──▸ RESOLVING ──▸ RACING ──(first that connects)──▸ [done]
 *                                 └──(by proxy)──▸ TALKING ──▸ [done]
 *   A Unix socket is tried at once, and again while its backlog is full.
 *
 * Invariants: `done` comes once, and not from inside crew__dial_start or after crew__dial_stop. A
 * descriptor that is not handed over is closed. A dial holds sources of the loop, so that its
 * memory stays until the turn's end (crew__resolver_bury). */
#ifndef CREW_NET_DIAL_H
#define CREW_NET_DIAL_H

#include "base/preamble.h"
#include "net/resolver.h"
#include "stats/slab.h"

struct crew__dial;

struct crew__dial_plan {
	struct crew__loop *loop;
	struct crew__resolver *resolver; /* always; it outlives the dial */
	const char
		*host; /* a name or a numeric address, without brackets; or, with unix_path, NULL */
	uint16_t port;
	const char *unix_path; /* "@name": abstract */
	const char *proxy;     /* "socks5://[USER:PASSWORD@]HOST:PORT", "http://..."; NULL: none. It
				* resolves the host */
	const struct crew__preamble *const *preambles; /* the kinds of proxies, ended by NULL:
							* crew__preambles (service/names.h) */
	const char *local;                             /* a numeric address to bind to; NULL */
	int type; /* SOCK_STREAM, SOCK_DGRAM (connected; no proxy) */
	uint64_t timeout_ms;
	/* Called once, from the loop; then the dial is gone. `fd` (non-blocking, close-on-exec) is
	 * the callee's, or a negative errno with a sentence in `why`. `rest`: bytes that came
	 * behind a proxy's answer. */
	void (*done)(int fd, const char *why, crew_bytes rest, void *arg);
	void *arg;
};

/* NULL with a sentence in `ret_error` when the plan is not sound, or without memory. Strings are
 * copied. */
struct crew__dial *crew__dial_start(
	const struct crew__dial_plan *plan, char *ret_error, size_t error_size);
void crew__dial_stop(struct crew__dial *dial); /* `done` does not come */

#endif
