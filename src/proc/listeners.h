/* listeners.h - every listening socket of a generation, opened once and kept by the master.
 *
 * Workers get them by SCM_RIGHTS; they stay open here, so that no worker's death and no reload ever
 * refuses a connection. One socket for each address of a service, or with reuse_port one for each
 * address and worker id; but of a Unix socket there is always one.
 *
 * The next generation takes over what stays the same: it has descriptors of its own of the same
 * sockets, so that either can be closed without the other. */
#ifndef CREW_PROC_LISTENERS_H
#define CREW_PROC_LISTENERS_H

#include "proc/inherited.h"
#include "service/settings.h"
#include "stats/segment.h"

#include <sys/types.h>

/* One address and its sockets. */
struct crew__listening {
	struct crew__address address;
	bool each;      /* one for each worker id */
	unsigned count; /* 1, or as many as there were workers at most */
	int *fds;       /* -1: it could not be opened */
	bool taken;     /* some were there already, and with them their file */
};

/* Those of a service. */
struct crew__listener {
	unsigned count; /* 0: a service without a socket */
	unsigned each;  /* so many worker ids have sockets that nobody else has; 0: none */
	pid_t *keepers; /* `each` of them: the worker that accepts for that id too (lend.c); 0: none
			 */
	int64_t accept; /* enum crew__accept_choice */
	struct crew__listening *places;
	char text[CREW__LISTEN_MAX]; /* as shown */
};

/* By the service's place in the directory. */
struct crew__listeners {
	struct crew__listener service[CREW_MAX_SERVICES];
};

struct crew__listeners_plan {
	const struct crew__settings *settings;
	const unsigned *places; /* of the settings' services; NULL: each at its own index */
	bool single;            /* one socket for each address, whatever reuse_port says */
	/* What is in there is used where it fits, and closed where not; it is empty afterwards in
	 * every case. NULL: there is nothing yet. */
	struct crew__inherited *inherited;
	bool quiet; /* ... closed without a word */
};

/* Open all, or none: then a negative errno with a sentence. */
int crew__listeners_open(struct crew__listeners *listeners, const struct crew__listeners_plan *plan,
	char *ret_error, size_t error_size);
/* Somebody else has all of them and goes on: closing leaves the files of Unix sockets. */
void crew__listeners_leave(struct crew__listeners *listeners);
/* Close all and remove the files of Unix sockets. Idempotent. */
void crew__listeners_close(struct crew__listeners *listeners);
/* The same, but for the files of sockets that `others` have as well. */
void crew__listeners_close_but(
	struct crew__listeners *listeners, const struct crew__listeners *others);

/* Add copies of all, for others to take; `names` are the services' by place. 0, or an errno: then
 * some are missing. */
int crew__listeners_copy(const struct crew__listeners *listeners, char (*names)[CREW__NAME_MAX],
	struct crew__inherited *inherited);

/* More workers for a service with reuse_port: each new id gets its sockets, those that are there
 * stay; nothing for other services. Fewer workers close nothing, as that would reset what waits in
 * the sockets: siblings read them (lend.c). A negative errno with a sentence; what was opened by
 * then stays, and is read by siblings as well. */
int crew__listeners_widen(struct crew__listeners *listeners, unsigned service, unsigned workers,
	char *ret_error, size_t error_size);

/* The sockets of worker `id`, which stay the listeners'. `own`: only those that no other worker
 * has. How many there are, at most CREW__ADDRESSES_MAX. */
unsigned crew__listeners_fds(const struct crew__listeners *listeners, unsigned service, unsigned id,
	bool own, int ret_fds[CREW__ADDRESSES_MAX]);

#endif
