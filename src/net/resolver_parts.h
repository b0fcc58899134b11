/* resolver_parts.h - what the files of the resolver share; not for others (resolver.h is).
 *
 *   resolver.c          lookups: what is asked, what has come, who is told
 *   resolver_channel.c  c-ares in the loop: its sockets, its time, its configuration
 *   resolver_words.c    hosts and lists of servers as text */
#ifndef CREW_NET_RESOLVER_PARTS_H
#define CREW_NET_RESOLVER_PARTS_H

#include "net/resolver.h"

#include <ares.h>
#include <netinet/in.h>

/* ---- words --------------------------------------------------------------------------------- */

/* The address that a numeric host is, port 0. */
bool crew__host_is_numeric(const char *host, struct sockaddr_storage *ret_address);
/* A name that may be asked for: letters, digits, `-`, `_` in labels of 1 to 63 bytes, 253 in all.
 */
bool crew__host_is_name(const char *host);

enum {
	CREW__SERVERS_MOST = 8
};
/* How many, their nodes linked; 0: this is no such list. */
size_t crew__servers_parse(
	const char *text, struct ares_addr_port_node ret_servers[CREW__SERVERS_MOST]);

/* ---- channel ------------------------------------------------------------------------------- */

/* c-ares, and the sources of its sockets. */
struct crew__channel {
	struct crew__loop *loop;
	const char *servers;     /* or NULL; borrowed */
	const char *resolv_conf; /* borrowed */
	ares_channel ares;
	struct crew__channel_sockets *sockets; /* two for each server: UDP and TCP */
	bool unwatched;                        /* a socket that the loop did not take */
	/* The file as it was read, and when it was looked at last. */
	struct timespec file_changed;
	ino_t file_inode;
	uint64_t looked_ns;
	void (*on_processed)(struct crew__channel *channel); /* c-ares has been at work */
};

/* 0, -EINVAL, -ENOMEM, -EIO. loop, servers, resolv_conf and on_processed are set. */
int crew__channel_open(struct crew__channel *channel);
void crew__channel_close(struct crew__channel *channel);
/* Nothing is asked at present: read the configuration anew if it has changed. What cannot be read
 * leaves the old in place. The sources of the old are `*ret_old`, to be freed after the turn; NULL.
 */
void crew__channel_refresh(struct crew__channel *channel, struct crew__channel_sockets **ret_old);
void crew__channel_sockets_free(struct crew__channel_sockets *sockets);
/* Let c-ares look at its timeouts, and at what the loop did not watch. */
void crew__channel_process(struct crew__channel *channel);
/* When that is due next. */
uint64_t crew__channel_due(struct crew__channel *channel);

#endif
