/* session_env.h - sessions in one LMDB environment: opening it, reading, one change at a time.
 *
 * Not here: who waits for whom (session_lmdb.c). All but reading is to be done inside the gate; no
 * call waits for a disk, as nothing is synced: the page cache outlives every process, and what a
 * crash of the machine leaves is thrown away, as a database belongs to one boot.
 *
 * Each session is in two maps:  values  id → end(8, ms of CLOCK_BOOTTIME, big-endian) bytes
 *                               ends    end(8) id → nothing
 * An id is in `values` with an end exactly when that end and id are in `ends`.
 *
 * On fork: not to be used in the child. One for each path and process (LMDB's own rule). */
#ifndef CREW_WEB_SESSION_ENV_H
#define CREW_WEB_SESSION_ENV_H

#include "web/session_gate.h"

#include <lmdb.h>

struct crew__session_env {
	struct crew__gate gate;
	MDB_env *env;
	MDB_txn *reading; /* kept, reset between uses: it owns our slot among the readers */
	MDB_dbi values, ends;
	size_t pages_most; /* that values may take; the rest is room to work in */
};


/* Open what is in that directory, or make it. 0 or an errno with a sentence, having waited for the
 * gate for a second at most. */
int crew__env_open(struct crew__session_env *env, const char *dir, size_t map_size, char *ret_error,
	size_t error_size);
void crew__env_close(struct crew__session_env *env);

/* Milliseconds of CLOCK_BOOTTIME: the same for all processes, and not stepped. */
int64_t crew__env_now(void);

/* 0, and a view until crew__env_read_done (which is to be called then); -ENOENT: none, or its end
 * has come; -EUCLEAN: the database is damaged; another errno. */
int crew__env_read(struct crew__session_env *env, const char *id, crew_bytes *ret_bytes,
	int64_t *ret_left_ms);
void crew__env_read_done(struct crew__session_env *env);
/* Has the end of any session come? */
bool crew__env_has_ended(struct crew__session_env *env);

/* Inside the gate, each a transaction: 0; -ENOENT: not there, while it had to be; -ENOSPC: full;
 * -EUCLEAN; another errno. */
int crew__env_save(struct crew__session_env *env, const char *id, crew_bytes bytes, int64_t end_ms,
	bool existing);
int crew__env_touch(struct crew__session_env *env, const char *id, int64_t end_ms);
int crew__env_remove(struct crew__session_env *env, const char *id);
/* Throw away at most so many whose end has come: how many, or an errno. */
int crew__env_collect(struct crew__session_env *env, int most);
/* What readers that died left behind. */
void crew__env_clear_readers(struct crew__session_env *env);

#endif
