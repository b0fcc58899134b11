/* activation.h - sockets that a service manager has opened before it started us: LISTEN_FDS,
 * LISTEN_PID and LISTEN_FDNAMES (sd_listen_fds(3) of systemd; others speak it too).
 *
 * A name says whose a socket is:
 *   SERVICE      that service's, wherever it is bound; with several of one name the first is that
 * of the service's first address (with reuse_port: of its first worker), and so on SERVICE.N    the
 * same, number N, from 0 kept/...     one that an earlier life of this program has put into the
 * manager's store (fd_store.h): goes where its address is asked for others       go where their
 * address is asked for */
#ifndef CREW_PROC_ACTIVATION_H
#define CREW_PROC_ACTIVATION_H

#include "proc/fd_store.h"

enum {
	CREW__ACTIVATION_FIRST = 3 /* the first descriptor; the others follow */
};

/* How many sockets there are for process `self`, by the values of LISTEN_FDS and LISTEN_PID; either
 * may be NULL. 0 when there are none; -EINVAL: they make no sense. */
int crew__activation_count(const char *fds, const char *pid, pid_t self);
/* What a name says of socket number `nth` (from 0) of that name. */
void crew__activation_name(const struct crew__settings *settings, const char *name, unsigned nth,
	struct crew__inherited_socket *ret_socket);

/* Where they come from, and where they go. */
struct crew__activation {
	const struct crew__settings *settings;
	struct crew__inherited *inherited;
	struct crew__fd_store *store; /* is told of those that are in it; may be NULL */
};

/* Sockets `first` and `count - 1` that follow, named by `names` (with colons between; NULL: not
 * named). Those that cannot be noted are closed, with a warning. */
void crew__activation_add(
	const struct crew__activation *activation, int first, unsigned count, const char *names);
/* The same from this process's environment, from which the variables go. */
void crew__activation_take(const struct crew__activation *activation);

#endif
