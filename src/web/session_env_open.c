/* session_env_open.c - a directory of its own, the database in it, and what is found there. */
#include "web/session_env.h"

#include "web/session_lmdb.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	GATE_WAIT_US = 1000 * 1000,
	READERS = 1024, /* processes that may have it open */
	BOOT_ID = 36
};

#define DATABASE "sessions.mdb"
#define GATE     "sessions.gate"
#define BOOT     "sessions.boot"

/* ---- the directory ------------------------------------------------------------------------- */

static int check_dir(int fd, const char *path, uid_t uid, char *ret_error, size_t error_size)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid == uid && (st.st_mode & 077) == 0)
		return 0;
	snprintf(ret_error, error_size,
		"%s belongs to user %u with mode %04o, and not to user %u alone: remove it", path,
		(unsigned)st.st_uid, (unsigned)st.st_mode & 07777u, (unsigned)uid);
	return -EPERM;
}

/* One that is ours still, though its name says it is another user's, was just made, perhaps by a
 * sibling that has not come so far, or by one that died there: whoever sees it gives it away. */
static int give_away(int fd, uid_t uid, gid_t gid)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (uid == geteuid() || st.st_uid != geteuid())
		return 0;
	return fchown(fd, uid, gid) < 0 ? -errno : 0;
}

/* A descriptor of it. */
static int make_dir(const char *path, uid_t uid, gid_t gid)
{
	bool made = mkdir(path, 0700) == 0;
	if (!made && errno != EEXIST)
		return -errno;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int error = give_away(fd, uid, gid);
	if (!error)
		return fd;
	close(fd);
	if (made)
		rmdir(path);
	return error;
}

static int open_dir(const char *path, uid_t uid, gid_t gid, char *ret_error, size_t error_size)
{
	int fd = make_dir(path, uid, gid);
	if (fd < 0) {
		snprintf(ret_error, error_size, "cannot make or reach the directory %s: %s", path,
			strerror(-fd));
		return fd;
	}
	int error = check_dir(fd, path, uid, ret_error, error_size);
	if (error)
		close(fd);
	return error ? error : fd;
}

int crew__session_dir(const char *path, uid_t uid, gid_t gid, char *ret_error, size_t error_size)
{
	int fd = open_dir(path, uid, gid, ret_error, error_size);
	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

/* ---- one boot ------------------------------------------------------------------------------ */

static size_t read_text(int dir_fd, const char *path, char *text, size_t size)
{
	int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t len = fd >= 0 ? read(fd, text, size) : 0;
	if (fd >= 0)
		close(fd);
	return len > 0 ? (size_t)len : 0;
}

static bool of_this_boot(int dir_fd, const char *boot)
{
	char text[BOOT_ID + 1];
	return read_text(dir_fd, BOOT, text, sizeof(text)) == BOOT_ID &&
	       memcmp(text, boot, BOOT_ID) == 0;
}

static int write_boot(int dir_fd, const char *boot)
{
	int fd = openat(dir_fd, BOOT, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	ssize_t len = write(fd, boot, BOOT_ID);
	int error = len == BOOT_ID ? 0 : len < 0 ? -errno : -ENOSPC;
	close(fd);
	return error;
}

static void start_over(int dir_fd)
{
	unlinkat(dir_fd, DATABASE, 0);
	unlinkat(dir_fd, DATABASE "-lock", 0);
}

/* Nothing was synced, so what another boot left may be any mixture of old and new pages. */
static int begin_boot(int dir_fd)
{
	char boot[BOOT_ID];
	if (read_text(AT_FDCWD, "/proc/sys/kernel/random/boot_id", boot, sizeof(boot)) != BOOT_ID)
		return -ENOSYS;
	if (of_this_boot(dir_fd, boot))
		return 0;
	start_over(dir_fd);
	return write_boot(dir_fd, boot);
}

/* ---- the database -------------------------------------------------------------------------- */

static int errno_of(int status)
{
	return status > 0 ? -status : status == 0 ? 0 : -EUCLEAN;
}

static int open_maps(struct crew__session_env *env)
{
	MDB_txn *txn;
	int status = mdb_txn_begin(env->env, NULL, 0, &txn);
	if (status)
		return status;
	status = mdb_dbi_open(txn, "values", MDB_CREATE, &env->values);
	if (status == 0)
		status = mdb_dbi_open(txn, "ends", MDB_CREATE, &env->ends);
	if (status == 0)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return status;
}

/* Our slot among the readers is taken here, inside the gate: to take one needs LMDB's lock. */
static int take_slot(struct crew__session_env *env)
{
	crew__env_clear_readers(env);
	int status = mdb_txn_begin(env->env, NULL, MDB_RDONLY, &env->reading);
	if (status == 0)
		mdb_txn_reset(env->reading);
	return status;
}

static void close_database(struct crew__session_env *env)
{
	if (env->reading)
		mdb_txn_abort(env->reading);
	if (env->env)
		mdb_env_close(env->env);
	env->reading = NULL;
	env->env = NULL;
}

static int open_database(struct crew__session_env *env, const char *path, size_t map_size)
{
	int fd = -1;
	MDB_stat stat;
	int status = mdb_env_create(&env->env);
	if (status == 0)
		status = mdb_env_set_mapsize(env->env, map_size);
	if (status == 0)
		status = mdb_env_set_maxdbs(env->env, 2);
	if (status == 0)
		status = mdb_env_set_maxreaders(env->env, READERS);
	if (status == 0)
		status = mdb_env_open(env->env, path, MDB_NOSUBDIR | MDB_NOSYNC | MDB_NOTLS, 0600);
	/* What the program starts has no business with it. */
	if (status == 0)
		status = mdb_env_get_fd(env->env, &fd);
	if (status == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		status = errno;
	if (status == 0)
		status = open_maps(env);
	if (status == 0)
		status = take_slot(env);
	if (status == 0)
		status = mdb_env_stat(env->env, &stat);
	if (status)
		close_database(env);
	else
		env->pages_most = map_size / stat.ms_psize / 4 * 3;
	return status;
}

/* Inside the gate. */
static int open_inside(struct crew__session_env *env, int dir_fd, const char *dir, size_t map_size)
{
	char *path;
	int others = crew__gate_join(&env->gate);
	int error = others == 0 ? begin_boot(dir_fd) : 0;
	if (others < 0 || error)
		return others < 0 ? others : error;
	if (asprintf(&path, "%s/" DATABASE, dir) < 0)
		return -ENOMEM;
	int status = open_database(env, path, map_size);
	/* Not a database, or a damaged one: worth nothing, but only who is alone may say so. */
	if (status < 0 && others == 0) {
		start_over(dir_fd);
		status = open_database(env, path, map_size);
	}
	free(path);
	return errno_of(status);
}

static int enter(struct crew__session_env *env, const char *dir, char *ret_error, size_t error_size)
{
	char holder[128] = "another process";
	int error = crew__gate_enter(&env->gate, GATE_WAIT_US);
	if (error == -EAGAIN) {
		crew__gate_holder(&env->gate, holder, sizeof(holder));
		snprintf(ret_error, error_size, "%s holds %s/" GATE ": let it go on, or end it",
			holder, dir);
	} else if (error) {
		snprintf(ret_error, error_size, "cannot lock %s/" GATE ": %s", dir,
			strerror(-error));
	}
	return error;
}

int crew__env_open(struct crew__session_env *env, const char *dir, size_t map_size, char *ret_error,
	size_t error_size)
{
	*env = (struct crew__session_env){ .gate.fd = -1 };
	int dir_fd = open_dir(dir, geteuid(), getegid(), ret_error, error_size);
	if (dir_fd < 0)
		return dir_fd;
	int error = crew__gate_open(&env->gate, dir_fd, GATE);
	if (error)
		snprintf(ret_error, error_size, "cannot open %s/" GATE ": %s", dir,
			strerror(-error));
	if (!error)
		error = enter(env, dir, ret_error, error_size);
	if (!error) {
		error = open_inside(env, dir_fd, dir, map_size);
		crew__gate_leave(&env->gate);
		if (error)
			snprintf(ret_error, error_size, "cannot open %s/" DATABASE ": %s", dir,
				strerror(-error));
	}
	close(dir_fd);
	if (error)
		crew__gate_close(&env->gate);
	return error;
}

void crew__env_close(struct crew__session_env *env)
{
	close_database(env);
	crew__gate_close(&env->gate);
}
