/* listeners.h - every listening socket of the program, opened once and kept by the master.
 *
 * Workers get them by SCM_RIGHTS; they stay open here, so that no worker's death and no reload ever
 * refuses a connection. One socket for each service, or with reuse_port one for each worker id. */
#ifndef CREW_PROC_LISTENERS_H
#define CREW_PROC_LISTENERS_H

#include "net/address.h"
#include "service/settings.h"

struct crew__listener {
	struct crew__address address;
	unsigned count; /* 0: a service without a socket */
	int *fds;
};

struct crew__listeners {
	unsigned services;
	struct crew__listener service[CREW_MAX_SERVICES];
};

/* Open all, or none: then a negative errno with a sentence. `single`: one socket for each service,
 * whatever reuse_port says. */
int crew__listeners_open(struct crew__listeners *listeners, const struct crew__settings *settings,
	bool single, char *ret_error, size_t error_size);
/* Close all and remove the files of Unix sockets. Idempotent. */
void crew__listeners_close(struct crew__listeners *listeners);

/* One service more, behind the others; and without it again. */
int crew__listeners_add(struct crew__listeners *listeners, const struct crew__settings *settings,
	unsigned service, char *ret_error, size_t error_size);
void crew__listeners_drop(struct crew__listeners *listeners, unsigned service);

/* The socket of worker `id`, -1 when the service has none. It stays the listeners'. */
int crew__listeners_fd(const struct crew__listeners *listeners, unsigned service, unsigned id);

#endif
