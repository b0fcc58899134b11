/* session_env.c - reading, and changes. */
#include "web/session_env.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	END = 8, /* bytes of an end */
	ID_MOST = 64,
};

struct end_key {
	unsigned char bytes[END + ID_MOST];
	size_t len;
};

int64_t crew__env_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_BOOTTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int errno_of(int status)
{
	switch (status) {
	case MDB_SUCCESS:
		return 0;
	case MDB_NOTFOUND:
		return -ENOENT;
	case MDB_MAP_FULL:
		return -ENOSPC;
	default:
		return status > 0 ? -status : -EUCLEAN;
	}
}

static void put_end(unsigned char *at, int64_t end_ms)
{
	for (int i = 0; i < END; i++)
		at[i] = (unsigned char)((uint64_t)end_ms >> (8 * (END - 1 - i)));
}

static int64_t get_end(const void *from)
{
	const unsigned char *at = from;
	uint64_t end = 0;
	for (int i = 0; i < END; i++)
		end = end << 8 | at[i];
	return (int64_t)(end & INT64_MAX);
}

static MDB_val id_key(const char *id)
{
	return (MDB_val){ crew__min(strlen(id), ID_MOST), (void *)(uintptr_t)id };
}

static MDB_val end_key(struct end_key *room, int64_t end_ms, MDB_val id)
{
	put_end(room->bytes, end_ms);
	memcpy(room->bytes + END, id.mv_data, id.mv_size);
	return (MDB_val){ END + id.mv_size, room->bytes };
}

/* ---- reading ------------------------------------------------------------------------------- */

static int read_value(
	struct crew__session_env *env, const char *id, crew_bytes *ret_bytes, int64_t *ret_left_ms)
{
	MDB_val key = id_key(id), value;
	int status = mdb_get(env->reading, env->values, &key, &value);
	if (status)
		return errno_of(status);
	if (value.mv_size < END)
		return -EUCLEAN;
	int64_t left = get_end(value.mv_data) - crew__env_now();
	if (left <= 0)
		return -ENOENT;
	*ret_bytes = (crew_bytes){ (const char *)value.mv_data + END, value.mv_size - END };
	*ret_left_ms = left;
	return 0;
}

int crew__env_read(
	struct crew__session_env *env, const char *id, crew_bytes *ret_bytes, int64_t *ret_left_ms)
{
	int error = errno_of(mdb_txn_renew(env->reading));
	if (error)
		return error;
	error = read_value(env, id, ret_bytes, ret_left_ms);
	if (error)
		crew__env_read_done(env);
	return error;
}

void crew__env_read_done(struct crew__session_env *env)
{
	mdb_txn_reset(env->reading);
}

bool crew__env_has_ended(struct crew__session_env *env)
{
	MDB_cursor *cursor;
	MDB_val key, value;
	if (mdb_txn_renew(env->reading) != 0)
		return false;
	bool ended = false;
	if (mdb_cursor_open(env->reading, env->ends, &cursor) == 0) {
		ended = mdb_cursor_get(cursor, &key, &value, MDB_FIRST) == 0 && key.mv_size > END &&
			get_end(key.mv_data) <= crew__env_now();
		mdb_cursor_close(cursor);
	}
	crew__env_read_done(env);
	return ended;
}

/* ---- changes ------------------------------------------------------------------------------- */

/* The end of what is stored under that id; -ENOENT: nothing is, or its end has come. */
static int find_end(struct crew__session_env *env, MDB_txn *txn, MDB_val id, int64_t *ret_end)
{
	MDB_val value;
	int status = mdb_get(txn, env->values, &id, &value);
	if (status)
		return errno_of(status);
	if (value.mv_size < END)
		return -EUCLEAN;
	*ret_end = get_end(value.mv_data);
	return *ret_end > crew__env_now() ? 0 : -ENOENT;
}

/* Out of both maps. 0 also when it was in neither. */
static int take_out(struct crew__session_env *env, MDB_txn *txn, MDB_val id)
{
	int64_t end = -1;
	struct end_key room;
	int error = find_end(env, txn, id, &end);
	if (error && (error != -ENOENT || end < 0))
		return error == -ENOENT ? 0 : error;
	MDB_val key = end_key(&room, end, id);
	int status = mdb_del(txn, env->ends, &key, NULL);
	if (status == 0 || status == MDB_NOTFOUND)
		status = mdb_del(txn, env->values, &id, NULL);
	return errno_of(status);
}

static int put_in(
	struct crew__session_env *env, MDB_txn *txn, MDB_val id, crew_bytes bytes, int64_t end_ms)
{
	struct end_key room;
	MDB_val value = { END + bytes.len, NULL }, nothing = { 0, "" };
	int status = mdb_put(txn, env->values, &id, &value, MDB_RESERVE);
	if (status)
		return errno_of(status);
	put_end(value.mv_data, end_ms);
	if (bytes.len > 0)
		memcpy((char *)value.mv_data + END, bytes.data, bytes.len);
	MDB_val key = end_key(&room, end_ms, id);
	return errno_of(mdb_put(txn, env->ends, &key, &nothing, 0));
}

static size_t pages_of(MDB_txn *txn, MDB_dbi dbi)
{
	MDB_stat stat;
	if (mdb_stat(txn, dbi, &stat) != 0)
		return SIZE_MAX / 4;
	return stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
}

/* To delete needs room as well: some is always left for that. */
static bool is_full(const struct crew__session_env *env, MDB_txn *txn)
{
	return pages_of(txn, env->values) + pages_of(txn, env->ends) > env->pages_most;
}

static int begin(struct crew__session_env *env, MDB_txn **ret_txn)
{
	return errno_of(mdb_txn_begin(env->env, NULL, 0, ret_txn));
}

static int end(MDB_txn *txn, int error)
{
	if (!error)
		return errno_of(mdb_txn_commit(txn));
	mdb_txn_abort(txn);
	return error;
}

int crew__env_save(struct crew__session_env *env, const char *id, crew_bytes bytes, int64_t end_ms,
	bool existing)
{
	MDB_txn *txn;
	MDB_val key = id_key(id);
	int64_t before;
	int error = begin(env, &txn);
	if (error)
		return error;
	if (existing)
		error = find_end(env, txn, key, &before);
	if (!error)
		error = take_out(env, txn, key);
	if (!error && is_full(env, txn))
		error = -ENOSPC;
	if (!error)
		error = put_in(env, txn, key, bytes, end_ms);
	return end(txn, error);
}

/* The same bytes with another end; they are copied, as what LMDB lends ends with the next change.
 */
static int move_end(struct crew__session_env *env, MDB_txn *txn, MDB_val id, int64_t end_ms)
{
	int64_t before;
	MDB_val value;
	int error = find_end(env, txn, id, &before);
	if (!error)
		error = errno_of(mdb_get(txn, env->values, &id, &value));
	if (error)
		return error;
	crew_bytes bytes = { malloc(value.mv_size), value.mv_size - END };
	if (!bytes.data)
		return -ENOMEM;
	memcpy((char *)(uintptr_t)bytes.data, (char *)value.mv_data + END, bytes.len);
	error = take_out(env, txn, id);
	if (!error)
		error = put_in(env, txn, id, bytes, end_ms);
	free((void *)(uintptr_t)bytes.data);
	return error;
}

int crew__env_touch(struct crew__session_env *env, const char *id, int64_t end_ms)
{
	MDB_txn *txn;
	int error = begin(env, &txn);
	return error ? error : end(txn, move_end(env, txn, id_key(id), end_ms));
}

int crew__env_remove(struct crew__session_env *env, const char *id)
{
	MDB_txn *txn;
	int error = begin(env, &txn);
	return error ? error : end(txn, take_out(env, txn, id_key(id)));
}

static int collect(struct crew__session_env *env, MDB_cursor *cursor, int most)
{
	int64_t now = crew__env_now();
	struct end_key room;
	MDB_val key, value;
	int count = 0;
	while (count < most) {
		int status = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
		if (status == MDB_NOTFOUND)
			break;
		if (status)
			return errno_of(status);
		if (key.mv_size <= END || get_end(key.mv_data) > now)
			break;
		room.len = crew__min(key.mv_size - END, ID_MOST);
		memcpy(room.bytes, (char *)key.mv_data + END, room.len);
		MDB_val id = { room.len, room.bytes };
		status = mdb_del(mdb_cursor_txn(cursor), env->values, &id, NULL);
		if (status == 0 || status == MDB_NOTFOUND)
			status = mdb_cursor_del(cursor, 0);
		if (status)
			return errno_of(status);
		count++;
	}
	return count;
}

int crew__env_collect(struct crew__session_env *env, int most)
{
	MDB_txn *txn;
	MDB_cursor *cursor;
	int error = begin(env, &txn);
	if (error)
		return error;
	error = errno_of(mdb_cursor_open(txn, env->ends, &cursor));
	if (error)
		return end(txn, error);
	int count = collect(env, cursor, most);
	mdb_cursor_close(cursor);
	error = end(txn, count < 0 ? count : 0);
	return error ? error : count;
}

void crew__env_clear_readers(struct crew__session_env *env)
{
	int dead;
	mdb_reader_check(env->env, &dead);
}
