/* address_unix.c - listening on Unix sockets: who is in the way, whose the file is, what may be
 * removed.
 *
 * Nobody can connect before the file has the permissions and the owner that were asked for: a
 * socket that is bound refuses everybody until it listens, and it is put at its path when it does
 * (address_place.c). The file has its
 * `mode` from birth: the kernel makes it with that of the socket's own inode (less the umask, which
 * is nothing meanwhile), so that no path has to be looked up again for that. */
#include "net/address_open.h"

#include "net/holder.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	PLACE_TRIES = 8 /* others may put theirs there at the same moment */
};

static const char *path_of(const struct crew__address *address)
{
	return ((const struct sockaddr_un *)(const void *)&address->socket)->sun_path;
}

/* What connecting to a socket file says of it: 0, or a negative errno. */
static int probe(const struct crew__address *address, char *holder, size_t size)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int error = connect(fd, (const struct sockaddr *)&address->socket, address->socket_size) < 0
			    ? -errno
			    : 0;
	if (error || !crew__holder_of_peer(fd, holder, size))
		snprintf(holder, size, "another process");
	close(fd);
	return error;
}

/* What stands where our socket is to be: nothing, or a file that a dead process left, which may be
 * replaced; whatever else is there stays. */
static int look_at_path(
	const struct crew__address_attempt *attempt, struct crew__address_file *ret_abandoned)
{
	const char *path = path_of(attempt->address);
	char holder[CREW__HOLDER_SIZE];
	struct stat status;
	*ret_abandoned = (struct crew__address_file){ 0 };
	if (lstat(path, &status) < 0)
		return errno == ENOENT ? 0
				       : crew__address_fail(attempt, -errno,
						 "cannot listen on %s: %s", path, strerror(errno));
	if (!S_ISSOCK(status.st_mode))
		return crew__address_fail(attempt, -EEXIST,
			"%s exists and is no socket: remove it, or choose another path", path);
	int error = probe(attempt->address, holder, sizeof(holder));
	if (error == -ENOENT)
		return 0;
	if (error == -ECONNREFUSED) {
		ret_abandoned->device = status.st_dev;
		ret_abandoned->inode = status.st_ino;
		return 0;
	}
	/* EAGAIN: its queue is full. EPROTOTYPE: it takes datagrams. */
	if (!error || error == -EAGAIN || error == -EPROTOTYPE)
		return crew__address_fail(attempt, -EADDRINUSE, "%s is in use by %s", path, holder);
	return crew__address_fail(
		attempt, error, "cannot tell whether %s is in use: %s", path, strerror(-error));
}

static int explain_name(const struct crew__address_attempt *attempt, int error)
{
	const char *text = attempt->address->text;
	char holder[CREW__HOLDER_SIZE] = "another process";
	if (error != -EADDRINUSE)
		return crew__address_fail(
			attempt, error, "cannot listen on %s: %s", text, strerror(-error));
	probe(attempt->address, holder, sizeof(holder));
	return crew__address_fail(attempt, error, "%s is in use by %s", text, holder);
}

static int explain(const struct crew__address_attempt *attempt, int error)
{
	const char *path = path_of(attempt->address);
	if (attempt->address->abstract)
		return explain_name(attempt, error);
	if (error == -ENOENT)
		return crew__address_fail(
			attempt, error, "cannot listen on %s: there is no such directory", path);
	if (error == -EACCES)
		return crew__address_fail(
			attempt, error, "cannot listen on %s: no right to write there", path);
	return crew__address_fail(
		attempt, error, "cannot listen on %s: %s", path, strerror(-error));
}

/* ---- the file ------------------------------------------------------------------------------ */

static int bind_with_mode(int fd, const struct crew__address *address)
{
	if (!crew__option_given(&address->options, CREW__OPTION_mode))
		return crew__address_bind(fd, address);
	if (fchmod(fd, (mode_t)address->options.value[CREW__OPTION_mode]) < 0)
		return -errno;
	mode_t mask = umask(0);
	int error = crew__address_bind(fd, address);
	umask(mask);
	return error;
}

/* Of that very file, whatever stands at the path meanwhile; a socket of somebody else's is not ours
 * to give away. */
static int change_owner(const struct crew__address_attempt *attempt, uid_t uid, gid_t gid)
{
	const char *path = path_of(attempt->address);
	struct stat status;
	int error = 0, fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status) < 0)
		error = -errno;
	else if (!S_ISSOCK(status.st_mode) || status.st_uid != geteuid())
		error = -EEXIST;
	else if (fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0)
		error = -errno;
	if (fd >= 0)
		close(fd);
	if (error == -EPERM)
		return crew__address_fail(attempt, error,
			"cannot give %s to another owner or group: only root may, or a member of the "
			"group",
			path);
	return error ? explain(attempt, error) : 0;
}

/* By these the file is known again when it is time to remove it. */
static int note_file(struct crew__address *address)
{
	struct stat status;
	if (lstat(path_of(address), &status) < 0)
		return -errno;
	address->file_device = status.st_dev;
	address->file_inode = status.st_ino;
	return 0;
}

int crew__address_own_file(const struct crew__address_attempt *attempt)
{
	const struct crew__address *address = attempt->address;
	uid_t uid;
	gid_t gid;
	char why[256];
	int error = crew__address_options_owner(&address->options, &uid, &gid, why, sizeof(why));
	if (error)
		return crew__address_fail(attempt, error, "%s: %s", address->text, why);
	/* Nobody but us writes where our file is known to stand. */
	if (crew__option_given(&address->options, CREW__OPTION_mode) &&
		chmod(path_of(address), (mode_t)address->options.value[CREW__OPTION_mode]) < 0)
		return explain(attempt, -errno);
	return uid != (uid_t)-1 || gid != (gid_t)-1 ? change_owner(attempt, uid, gid) : 0;
}

/* A socket that listens at `where`, which is the path or beside it. */
static int prepare_file(const struct crew__address_attempt *attempt, struct crew__address *where,
	int fd, uid_t uid, gid_t gid)
{
	int error = bind_with_mode(fd, where);
	/* A process of our number has died before it had put its file in place. */
	if (error == -EADDRINUSE && where != attempt->address && unlink(path_of(where)) == 0)
		error = bind_with_mode(fd, where);
	if (!error)
		error = note_file(where);
	if (error)
		return explain(attempt, error);
	attempt->address->file_device = where->file_device;
	attempt->address->file_inode = where->file_inode;
	const struct crew__address_attempt there = { where, attempt->reuse_port, attempt->error,
		attempt->error_size };
	if (uid != (uid_t)-1 || gid != (gid_t)-1)
		error = change_owner(&there, uid, gid);
	if (error)
		return error;
	error = crew__address_begin(fd, where);
	return error ? explain(attempt, error) : 0;
}

/* Made and listening at `where`: to the path, where in the meantime anything may have happened. */
static int put_in_place(
	const struct crew__address_attempt *attempt, const struct crew__address *where)
{
	struct crew__address_file abandoned;
	int error = -EAGAIN;
	for (int i = 0; i < PLACE_TRIES && error == -EAGAIN; i++) {
		error = look_at_path(attempt, &abandoned);
		if (error)
			return error;
		error = crew__address_place(path_of(where), path_of(attempt->address), &abandoned);
	}
	return error ? explain(attempt, error) : 0;
}

/* Where there is no room for another name beside it. */
static int clear_path(const struct crew__address_attempt *attempt)
{
	const char *path = path_of(attempt->address);
	struct crew__address_file abandoned;
	int error = look_at_path(attempt, &abandoned);
	if (!error && abandoned.inode != 0 && unlink(path) < 0 && errno != ENOENT)
		error = crew__address_fail(attempt, -errno,
			"cannot replace the abandoned socket %s: %s", path, strerror(errno));
	return error;
}

/* A socket that listens at the path, or nothing new there. */
static int listen_at_path(const struct crew__address_attempt *attempt, int fd)
{
	struct crew__address *address = attempt->address, beside;
	struct crew__address_file abandoned;
	uid_t uid;
	gid_t gid;
	char why[256];
	int error = crew__address_options_owner(&address->options, &uid, &gid, why, sizeof(why));
	if (error)
		return crew__address_fail(attempt, error, "%s: %s", address->text, why);
	if (!crew__address_beside(address, &beside)) {
		error = clear_path(attempt);
		if (!error)
			error = prepare_file(attempt, address, fd, uid, gid);
		if (error)
			crew__address_unlink(address, fd);
		return error;
	}
	error = look_at_path(attempt, &abandoned);
	if (!error)
		error = prepare_file(attempt, &beside, fd, uid, gid);
	if (!error)
		error = put_in_place(attempt, &beside);
	if (error)
		crew__address_unlink(&beside, fd);
	return error;
}

static int listen_at_name(const struct crew__address_attempt *attempt, int fd)
{
	int error = crew__address_bind(fd, attempt->address);
	if (!error)
		error = crew__address_begin(fd, attempt->address);
	return error ? explain(attempt, error) : 0;
}

/* --------------------------------------------------------------------------------------------- */

int crew__address_listen_unix(const struct crew__address_attempt *attempt)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return explain(attempt, -errno);
	int error = attempt->address->abstract ? listen_at_name(attempt, fd)
					       : listen_at_path(attempt, fd);
	if (!error)
		return fd;
	close(fd);
	return error;
}

/* The kernel's word that this descriptor is a socket that was made for that path. */
static bool bound_to(int fd, const char *path)
{
	struct sockaddr_un bound = { 0 };
	socklen_t size = sizeof(bound) - 1;
	return getsockname(fd, (struct sockaddr *)&bound, &size) == 0 &&
	       bound.sun_family == AF_UNIX && bound.sun_path[0] != '\0' &&
	       crew__address_names(bound.sun_path, path);
}

void crew__address_unlink(const struct crew__address *address, int listen_fd)
{
	struct stat status;
	if (address->transport != CREW__UNIX || address->abstract ||
		!bound_to(listen_fd, path_of(address)))
		return;
	const char *path = path_of(address);
	if (lstat(path, &status) == 0 && S_ISSOCK(status.st_mode) &&
		status.st_dev == address->file_device && status.st_ino == address->file_inode)
		unlink(path);
}
