/* session_lmdb.h - the store in the run directory: one database for all workers of a user.
 *
 * Reading waits for nobody. A change waits its turn for a few milliseconds at most; when somebody
 * else keeps the database to himself for longer, it is put aside and tried again by a timer, for a
 * second; then it is given up, and the log says who is in the way. Sessions that have ended are
 * collected in small parts, by whoever comes first. What is here lasts until the next boot. */
#ifndef CREW_WEB_SESSION_LMDB_H
#define CREW_WEB_SESSION_LMDB_H

#include "loop/loop.h"
#include "web/session_store.h"

#include <sys/types.h>

struct crew__lmdb_plan {
	struct crew__loop *loop;
	const char *dir;
	size_t map_size; /* 0: 256 MiB, of which only what is used takes room on disk */
};

/* Opened again in the same process, it is the same store, to be closed as often. 0 or an errno with
 * a sentence. */
int crew__lmdb_open(const struct crew__lmdb_plan *plan, struct crew__store **ret_store,
	char *ret_error, size_t error_size);

/* Make the directory, or check that it is `uid`'s and nobody else's: for who is root still, and
 * will be `uid` when it opens the store. 0 or an errno with a sentence. */
int crew__session_dir(const char *path, uid_t uid, gid_t gid, char *ret_error, size_t error_size);

/* How many changes wait. For tests. */
size_t crew__lmdb_waiting(const struct crew__store *store);

#endif
