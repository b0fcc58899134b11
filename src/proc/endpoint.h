/* endpoint.h - the control socket's place in the file system: RUNDIR/NAME.ctl. */
#ifndef CREW_PROC_ENDPOINT_H
#define CREW_PROC_ENDPOINT_H

#include "service/settings.h"

/* Bind and listen, with control_mode and control_group. Only for who holds the pid file's lock:
 * what a dead master left there is replaced. */
int crew__endpoint_listen(
	const struct crew__settings *settings, char *ret_error, size_t error_size);
void crew__endpoint_unlink(const struct crew__settings *settings);

/* A connected, non-blocking socket; -ECONNREFUSED and -ENOENT when nobody listens, -EAGAIN when the
 * master has not accepted for long, -EACCES. */
int crew__endpoint_connect(const char *run_dir, const char *name);

/* The user at the other end. */
int crew__endpoint_peer(int fd, uid_t *ret_uid);
/* Was the process at the other end in that group when it connected? */
bool crew__endpoint_peer_is_member(int fd, gid_t group);
/* 1 with the group of control_act_group, 0 when there is none; a negative errno with a sentence. */
int crew__endpoint_act_group(const struct crew__settings *settings, gid_t *ret_group,
	char *ret_error, size_t error_size);

#endif
