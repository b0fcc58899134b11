/* listeners.h - every listening socket of the program, opened once and kept by the master.
 *
 * Workers get them by SCM_RIGHTS; they stay open here, so that no worker's death and no reload ever
 * refuses a connection. One socket for each address of a service, or with reuse_port one for each
 * address and worker id; but of a Unix socket there is always one. */
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
};

/* Those of a service. */
struct crew__listener {
	unsigned count; /* 0: a service without a socket */
	unsigned each;  /* so many worker ids have sockets that nobody else has; 0: none */
	pid_t *keepers; /* `each` of them: the worker that accepts for that id too (lend.c); 0: none */
	struct crew__listening *places;
	char text[CREW__LISTEN_MAX]; /* as shown */
};

struct crew__listeners {
	unsigned services;
	struct crew__listener service[CREW_MAX_SERVICES];
};

/* Open all, or none: then a negative errno with a sentence. `single`: one socket for each service,
 * whatever reuse_port says. What is in `inherited` is used where it fits, and closed where not; it
 * is empty afterwards in every case. NULL: there is nothing yet. */
int crew__listeners_open(struct crew__listeners *listeners, const struct crew__settings *settings,
	bool single, struct crew__inherited *inherited, char *ret_error, size_t error_size);
/* Close all and remove the files of Unix sockets. Idempotent. */
void crew__listeners_close(struct crew__listeners *listeners);

/* One service more, behind the others; and without it again. */
int crew__listeners_add(struct crew__listeners *listeners, const struct crew__settings *settings,
	unsigned service, char *ret_error, size_t error_size);
void crew__listeners_drop(struct crew__listeners *listeners, unsigned service);

/* More workers for a service with reuse_port: each new id gets its sockets, those that are there
 * stay; nothing for other services. Fewer workers close nothing, as that would reset what waits in
 * the sockets: siblings read them (lend.c). A negative errno with a sentence; what was opened by
 * then stays, and is read by siblings as well. */
int crew__listeners_widen(struct crew__listeners *listeners, const struct crew__settings *settings,
	unsigned service, char *ret_error, size_t error_size);

/* The sockets of worker `id`, which stay the listeners'. `own`: only those that no other worker
 * has. How many there are, at most CREW__ADDRESSES_MAX. */
unsigned crew__listeners_fds(const struct crew__listeners *listeners, unsigned service, unsigned id,
	bool own, int ret_fds[CREW__ADDRESSES_MAX]);

#endif
