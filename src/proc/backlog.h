/* backlog.h - once a second the master asks the kernel about its listening sockets: how many wait
 * to be accepted, and how many were dropped because too many did.
 *
 * Of a TCP socket that listens the kernel counts (`sk_drops`, SO_MEMINFO) each request to connect
 * that it dropped, and it does so where its queue is full; a client tries again after a second, so
 * one client may count several times. What is counted here is by how much that has grown since the
 * socket was first seen: what a socket went through before it was ours is not told. The sum goes to
 * the service's `accept_overflow`, which no restart of a worker lowers. Of Unix sockets nothing is
 * dropped: who connects waits, or hears EAGAIN.
 *
 * After a master has executed itself anew it begins anew as well; nothing need be handed over but
 * the directory. Call crew__backlog_look() before. */
#ifndef CREW_PROC_BACKLOG_H
#define CREW_PROC_BACKLOG_H

#include "proc/listeners.h"
#include "stats/directory.h"

struct crew__backlog {
	struct crew__loop *loop;
	struct crew__directory *directory;
	const struct crew__listeners *(*listeners)(void *arg); /* those in force; NULL: none */
	void *arg;
	struct crew__timer timer;
	size_t socket_count;
	struct crew__backlog_socket *sockets; /* as they were at the last look */
	size_t port_count;
	struct crew__port *ports;
};

/* Look now, and from now on. -ENOMEM: there is no timer; the rest works. */
int crew__backlog_start(struct crew__backlog *backlog, struct crew__loop *loop,
	struct crew__directory *directory, const struct crew__listeners *(*listeners)(void *arg),
	void *arg);
void crew__backlog_look(struct crew__backlog *backlog);
/* Idempotent; of zeros as well. */
void crew__backlog_stop(struct crew__backlog *backlog);

#endif
