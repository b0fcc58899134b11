/* greeting.h - the first message of a master, and all that a worker makes of it.
 *
 * The socket's number comes in an environment variable that is taken away at once, together with
 * the master's pid. A stranger who sets the variable starts no worker: the descriptor must be a
 * socket of the right kind whose other end that very process made. */
#ifndef CREW_PROC_GREETING_H
#define CREW_PROC_GREETING_H

#include "proc/wire.h"
#include "net/address.h"
#include "service/settings.h"
#include "stats/directory.h"

struct crew__greeting {
	struct crew__hello hello;
	struct crew__settings *settings;
	struct crew__service_settings *service; /* the worker's own */
	struct crew__segment segment;
	struct crew__stats stats;
	struct crew__directory directory;
	int log_fd;
	int listen_fds[CREW__ADDRESSES_MAX];
	unsigned listen_count;
	int tls_fd; /* certificates; -1: none */
};

/* The socket to the master, close-on-exec and non-blocking from now on; -1 when this process is no
 * worker; -2 when it is one and its master has died meanwhile. */
int crew__greeting_socket(void);

void crew__greeting_init(struct crew__greeting *greeting);
/* Read and check the greeting; sets title and log. A negative errno with a sentence. */
int crew__greeting_take(struct crew__greeting *greeting, int wire_fd, const crew_app *app,
	char *ret_error, size_t error_size);
/* log_fd is the log of this process. */
void crew__greeting_use_log(const struct crew__greeting *greeting);
void crew__greeting_fini(struct crew__greeting *greeting);

#endif
