/* notify.h - the service manager's protocol: what a service says to who started it.
 *
 * A message is one datagram of lines NAME=VALUE to the socket that NOTIFY_SOCKET names
 * (sd_notify(3) of systemd; others speak it too). Without a manager everything here does nothing
 * and costs nothing. Nothing here ever waits: news that the manager has no room for at the moment
 * are kept, in their order, until crew__notify_flush() gets rid of them; figures and signs of life,
 * which are said anew all the time, are dropped. A manager that has gone hears nothing and harms
 * nobody.
 *
 * What is true between any two calls:
 *   - `kept_count` is at most CREW__NOTIFY_KEPT, and kept[0] is the oldest;
 *   - while anything is kept, nothing newer overtakes it. */
#ifndef CREW_PROC_NOTIFY_H
#define CREW_PROC_NOTIFY_H

#include "base/base.h"

#include <jansson.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

enum {
	CREW__NOTIFY_MAX = 1024,       /* bytes of one message; more is cut off */
	CREW__NOTIFY_KEPT = 4200,      /* a listening socket each, and more */
	CREW__NOTIFY_STATUS_MAX = 512, /* of a STATUS, cleaned */
};

struct crew__notify_kept {
	int fd;     /* goes with it, a copy of our own; -1: none */
	char *text; /* owned */
};

struct crew__notify {
	bool on;                    /* there is a manager */
	struct sockaddr_un address; /* of its socket */
	socklen_t address_size;
	int fd; /* to send with; -1: not opened yet */
	uint64_t
		watchdog_ns; /* within so long the manager wants a sign of life; 0: it wants none */
	bool complained;     /* that it is gone; once */
	unsigned kept_count;
	struct crew__notify_kept *kept;
};

/* No manager. */
void crew__notify_init(struct crew__notify *notify);
/* Who manages process `self`, by the values of NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID; each
 * may be NULL. Signs of life are wanted only of the process that WATCHDOG_PID names, or of any. 0;
 * -EINVAL, -ENAMETOOLONG: the socket is none that we can reach, and there is no manager. */
int crew__notify_parse(struct crew__notify *notify, const char *socket_name, const char *usec,
	const char *pid, pid_t self);
/* The same from this process's environment, from which the variables go: nothing that is executed
 * here speaks in our name. A socket that we cannot reach is told on standard error. */
void crew__notify_take(struct crew__notify *notify);
/* Closes; what is kept is lost. Idempotent. */
void crew__notify_fini(struct crew__notify *notify);

/* News: told now, or kept. `fd` goes with it (-1: none) and stays the caller's. 0; -ENOSPC,
 * -ENOMEM, -EMFILE: it can neither be told nor kept, and is lost; another errno: there is nobody to
 * hear it.
 */
int crew__notify_news(struct crew__notify *notify, const char *text, int fd);
/* What may be lost: told now or never, as above. -EAGAIN: not now. */
int crew__notify_pass(struct crew__notify *notify, const char *text);
/* Try again what is kept. True when nothing is kept any more. */
bool crew__notify_flush(struct crew__notify *notify);

/* `text` as a value: one line of valid UTF-8 at most `size - 1` bytes long. */
void crew__notify_clean(const char *text, char *ret_text, size_t size);

/* Across a re-exec of this process. Unknown or missing members: no manager. */
int crew__notify_save(const struct crew__notify *notify, json_t *into);
void crew__notify_restore(struct crew__notify *notify, const json_t *from);

#endif
