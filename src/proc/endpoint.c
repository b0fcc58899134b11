/* endpoint.c - binding and finding the control socket.
 *
 * A Unix socket's address holds 107 bytes, run directories may be longer: they are reached through
 * /proc/self/fd/N then. */
#include "proc/endpoint.h"

#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	BACKLOG = 64
};

/* `ret_dir_fd` must stay open while the address is used, and is the caller's to close (or -1). */
static int make_address(
	const char *run_dir, const char *name, struct sockaddr_un *ret_address, int *ret_dir_fd)
{
	memset(ret_address, 0, sizeof(*ret_address));
	ret_address->sun_family = AF_UNIX;
	*ret_dir_fd = -1;
	size_t size = sizeof(ret_address->sun_path);
	int length = snprintf(ret_address->sun_path, size, "%s/%s.ctl", run_dir, name);
	if ((size_t)length < size)
		return 0;
	int dir_fd = open(run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return -errno;
	length = snprintf(ret_address->sun_path, size, "/proc/self/fd/%d/%s.ctl", dir_fd, name);
	if ((size_t)length >= size) {
		close(dir_fd);
		return -ENAMETOOLONG;
	}
	*ret_dir_fd = dir_fd;
	return 0;
}

static int find_group(const char *name, gid_t *ret_gid)
{
	errno = 0;
	const struct group *group = getgrnam(name);
	if (!group)
		return errno != 0 ? -errno : -ENOENT;
	*ret_gid = group->gr_gid;
	return 0;
}

/* Nobody else may get in before the mode is what was asked for. */
static int bind_closed(int fd, const struct sockaddr_un *address)
{
	unlink(address->sun_path);
	mode_t before = umask(0177);
	int status = bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;
	umask(before);
	return status;
}

static int open_to(const struct crew__settings *settings, const char *path)
{
	gid_t gid = (gid_t)-1;
	if (settings->control_group) {
		int status = find_group(settings->control_group, &gid);
		if (status < 0)
			return status;
		if (chown(path, (uid_t)-1, gid) < 0)
			return -errno;
	}
	return chmod(path, (mode_t)settings->control_mode & 0777) < 0 ? -errno : 0;
}

int crew__endpoint_listen(const struct crew__settings *settings, char *ret_error, size_t error_size)
{
	struct sockaddr_un address;
	int dir_fd;
	int status = make_address(settings->run_dir, settings->name, &address, &dir_fd);
	int fd = -1;
	if (status == 0) {
		fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		status = fd < 0 ? -errno : bind_closed(fd, &address);
	}
	if (status == 0)
		status = open_to(settings, address.sun_path);
	if (status == 0 && listen(fd, BACKLOG) < 0)
		status = -errno;
	if (dir_fd >= 0)
		close(dir_fd);
	if (status == 0)
		return fd;
	snprintf(ret_error, error_size,
		"cannot open the control socket %s/%s.ctl (control_mode %03o, control_group %s): %s",
		settings->run_dir, settings->name, (unsigned)settings->control_mode & 0777u,
		settings->control_group ? settings->control_group : "unchanged", strerror(-status));
	if (fd >= 0)
		close(fd);
	return status;
}

void crew__endpoint_unlink(const struct crew__settings *settings)
{
	char *path;
	if (asprintf(&path, "%s/%s.ctl", settings->run_dir, settings->name) < 0)
		return;
	unlink(path);
	free(path);
}

int crew__endpoint_connect(const char *run_dir, const char *name)
{
	struct sockaddr_un address;
	int dir_fd;
	int status = make_address(run_dir, name, &address, &dir_fd);
	if (status < 0)
		return status;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		status = -errno;
	else if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		status = -errno;
	if (dir_fd >= 0)
		close(dir_fd);
	if (status < 0 && fd >= 0)
		close(fd);
	return status < 0 ? status : fd;
}

int crew__endpoint_peer(int fd, uid_t *ret_uid)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -errno;
	*ret_uid = peer.uid;
	return 0;
}

bool crew__endpoint_peer_is_member(int fd, gid_t group)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return false;
	if (peer.gid == group)
		return true;
	gid_t few[64], *groups = few;
	bool found = false;
	size = sizeof(few);
	int status = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size);
	/* Then it says how much room they need. */
	if (status < 0 && errno == ERANGE) {
		groups = malloc(size);
		status = groups ? getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) : -1;
	}
	for (size_t i = 0; status == 0 && i < size / sizeof(gid_t); i++)
		found = found || groups[i] == group;
	if (groups != few)
		free(groups);
	return found;
}

int crew__endpoint_act_group(
	const struct crew__settings *settings, gid_t *ret_group, char *ret_error, size_t error_size)
{
	if (!settings->control_act_group)
		return 0;
	int status = find_group(settings->control_act_group, ret_group);
	if (status == 0)
		return 1;
	snprintf(ret_error, error_size, "crew.control_act_group = %s: %s",
		settings->control_act_group,
		status == -ENOENT ? "there is no such group on this machine" : strerror(-status));
	return status;
}
