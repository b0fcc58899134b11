/* fd_store.h - listening sockets in the service manager's store, so that they outlive this process:
 * a program that crashed or is restarted finds them again (activation.h) and has refused nobody.
 *
 * Each goes there under a name of its own, kept/SERVICE.PLACE.INDEX.SOCKET, and of a Unix socket's
 * file /DEVICE.INODE behind it; SOCKET and what follows are hexadecimal inodes: by them it is known
 * again, and where it belongs is seen from its address. Switched on by crew.fd_store, and by
 * FileDescriptorStoreMax= of the unit. */
#ifndef CREW_PROC_FD_STORE_H
#define CREW_PROC_FD_STORE_H

#include "proc/listeners.h"
#include "proc/notify.h"

enum {
	CREW__FD_NAME_MAX = 160
};

struct crew__fd_store {
	struct crew__notify *notify; /* borrowed; NULL: there is no store */
	bool on;                     /* something is to be in it */
	char **names;                /* what is in it */
	size_t count;
};

/* `on`: crew.fd_store. */
void crew__fd_store_begin(struct crew__fd_store *store, struct crew__notify *notify, bool on);
/* Forgets; what is in the store stays there. Idempotent. */
void crew__fd_store_end(struct crew__fd_store *store);

/* That is there from an earlier life. */
void crew__fd_store_found(struct crew__fd_store *store, const char *name);
/* See to it that these listeners are in it, and nothing else. Services have their names by place.
 */
void crew__fd_store_sync(struct crew__fd_store *store, const struct crew__listeners *listeners,
	char (*names)[CREW__NAME_MAX]);
/* The program stops: Unix sockets whose files are removed go from the store, the others stay. */
void crew__fd_store_leave(struct crew__fd_store *store, const struct crew__listeners *listeners,
	char (*names)[CREW__NAME_MAX]);

/* Is that a name of ours? */
bool crew__fd_store_is_name(const char *name);
/* What it says: all but `fd`. False: it is no name of ours, or makes no sense. */
bool crew__fd_store_read_name(const char *name, struct crew__inherited_socket *ret_socket);

#endif
