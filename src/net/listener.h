/* listener.h - accepting, within limits, without spinning.
 *
 * A listening socket may be shared with other workers (each connection wakes one). When descriptors
 * or memory run out, one waiting client is turned away with the help of a reserve descriptor, so
 * that it hears of it, and accepting pauses for a moment; the others wait in the kernel's queue. */
#ifndef CREW_NET_LISTENER_H
#define CREW_NET_LISTENER_H

#include "base/list.h"
#include "base/log.h"
#include "net/net.h"

struct crew__listener {
	struct crew__source source; /* out of the loop while accepting pauses: an exclusive watch
				     * cannot be changed, only taken away (epoll_ctl(2)) */
	int fd;                     /* -1 once ended */
	struct crew__net *net;
	struct crew__timer resume;
	int reserve;
	struct crew__log_rate failed_log, limit_log, ip_log;
	struct crew__node node; /* of net->balance, while it would accept */
	const char *name;       /* the service's, for log lines; borrowed */
};

/* Takes fd over in every case. Not yet accepting. */
int crew__listener_init(
	struct crew__listener *listener, struct crew__net *net, int take_fd, const char *name);
int crew__listener_start(struct crew__listener *listener);
/* The net's limits have changed: what will be accepted gets those. */
void crew__listener_set_options(struct crew__listener *listener);
/* For balance.c, of one that was started: do not watch for connections, and watch again; accept at
 * most so many of those that wait. */
void crew__listener_ignore(struct crew__listener *listener);
void crew__listener_watch(struct crew__listener *listener);
void crew__listener_accept(struct crew__listener *listener, unsigned most);
/* Stop accepting and close. Idempotent. */
void crew__listener_fini(struct crew__listener *listener);

#endif
