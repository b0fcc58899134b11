/* inherited.h - sockets that are there already when the listeners are opened: of the master that
 * this one replaces, of a service manager, or of this very process before it executed itself anew.
 *
 * They are collected first; crew__listeners_open() takes from them what the settings ask for and
 * closes the rest, before it opens anything itself. */
#ifndef CREW_PROC_INHERITED_H
#define CREW_PROC_INHERITED_H

#include "net/address.h"

enum {
	CREW__INHERITED_NAME = 64,
	CREW__INHERITED_MOST = 4096
};

struct crew__inherited_socket {
	char name[CREW__INHERITED_NAME]; /* of its service; "": not known */
	bool by_name; /* it is that service's wherever it is bound; else only where it is asked for
		       */
	unsigned place; /* which of the service's addresses, where it goes by name */
	unsigned index; /* of several at one address (reuse_port): whose it was */
	struct crew__address_file file; /* of a Unix socket that is ours to remove */
	int fd;                         /* -1: taken */
};

struct crew__inherited {
	size_t count;
	struct crew__inherited_socket *sockets;
	const char *from; /* who left them, as it stands in sentences; lives on */
};

/* `from` as in "the running master". */
void crew__inherited_init(struct crew__inherited *inherited, const char *from);
/* One more; its descriptor is taken over in every case. 0, -ENOMEM, -ENOSPC. */
int crew__inherited_add(
	struct crew__inherited *inherited, const struct crew__inherited_socket *take_socket);
/* Take that of `service` for its address number `place`; of several there `index`, if it is there.
 * The caller's from now on. -1: there is none. `ret_file` may be NULL. */
int crew__inherited_take(struct crew__inherited *inherited, const char *service, unsigned place,
	const struct crew__address *address, unsigned index, struct crew__address_file *ret_file);
/* Close what nobody took, saying so of each (`quiet`: not). Idempotent. */
void crew__inherited_fini(struct crew__inherited *inherited, bool quiet);

#endif
