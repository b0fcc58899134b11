/* resolver.h - names to addresses, asynchronously, by c-ares in the loop. No thread.
 *
 * One for a worker, made when the first name is asked for. Numeric hosts are answered at once (from
 * the loop all the same). Otherwise as the system says: /etc/hosts, the servers and search domains
 * of /etc/resolv.conf, which is read anew when it has changed.
 *
 * Not here: which address is tried when (dial.h), and a cache: a name server is one.
 *
 *   crew__resolve ──▸ [asked] ──(first family has addresses)──▸ fn(.., false) ──┐
 *        [asked] ──(both have answered)──▸ fn(.., true), gone ◂─────────────────┘
 *        [asked] ──crew__lookup_stop──▸ [an orphan of c-ares, tells nobody] ──▸ gone
 *
 * c-ares cannot forget a single query, so a lookup that is stopped stays until its queries have
 * ended, or until nobody asks for anything. No callback of ours runs inside of c-ares: what has
 * come is told afterwards, so `fn` may do anything but free the resolver. */
#ifndef CREW_NET_RESOLVER_H
#define CREW_NET_RESOLVER_H

#include "base/list.h"
#include "loop/loop.h"

#include <sys/socket.h>

struct crew__resolver;
struct crew__lookup;

enum {
	CREW__RESOLVED_MOST = 32, /* addresses of a name that are told; half of them of one family
				   * where the other has as many */
	CREW__HOST_MOST = 253     /* bytes of a name */
};

/* What came of it. */
struct crew__resolved {
	int error;       /* 0; -ENOENT no such name, or none of its addresses; -EAGAIN: the servers
			  * failed; -ETIMEDOUT; -EINVAL: it is no name; -ENOMEM; -ECANCELED */
	const char *why; /* a few words: "no such name" */
	size_t count;
	/* Port set; IPv6 first, each family sorted as RFC 6724 says. */
	struct sockaddr_storage addresses[CREW__RESOLVED_MOST];
	uint32_t ttl_s; /* how long it may be kept */
};

/* `servers`: "127.0.0.1:5353 [::1]:53" instead of the system's; NULL. 0, -EINVAL (no such list),
 * -ENOMEM, -EIO. */
int crew__resolver_new(
	struct crew__loop *loop, const char *servers, struct crew__resolver **ret_resolver);
/* The same with another file than /etc/resolv.conf. */
int crew__resolver_new_from(struct crew__loop *loop, const char *servers, const char *resolv_conf,
	struct crew__resolver **ret_resolver);
/* What is under way is -ECANCELED; NULL allowed. Not within a turn of the loop, and not before all
 * that was dialled with it has ended. */
void crew__resolver_free(struct crew__resolver *resolver);

/* Is this a list of servers, split by spaces or commas: numeric addresses, IPv6 in brackets where a
 * port follows? */
bool crew__resolver_servers_good(const char *servers);

/* Both families, asked at the same time. fn(result so far, false) comes once one family has
 * addresses while the other has not answered (RFC 8305 section 3), fn(result, true) when both have,
 * once: then the lookup is gone. From the loop, never from inside crew__resolve; not after
 * crew__lookup_stop. NULL without memory, or when the resolver is being freed. */
typedef void crew__resolved_fn(const struct crew__resolved *resolved, bool whole, void *arg);
struct crew__lookup *crew__resolve(struct crew__resolver *resolver, const char *host, uint16_t port,
	crew__resolved_fn *fn, void *arg);
void crew__lookup_stop(struct crew__lookup *lookup);

/* Something that holds sources of the loop has been ended: call `bury(node)` when the turn is over,
 * as no event can be on its way to it any more. */
struct crew__grave {
	struct crew__node node;
	void (*bury)(struct crew__grave *grave);
};
void crew__resolver_bury(struct crew__resolver *resolver, struct crew__grave *grave);

#endif
