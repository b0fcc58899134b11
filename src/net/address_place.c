/* address_place.c - a Unix socket is made beside its path and put there when it listens.
 *
 * So whoever finds a file at the path finds one that listens; an abandoned file is there until ours
 * stands in its place, and of two programs that begin at once one has the path and the other hears
 * that it is in use, as what stands there is only taken away by exchange, and given back when it is
 * not what was seen before. To the kernel a socket keeps the name that it was made with: the path
 * with the process and a tilde behind it.
 *
 * A path that is too long for that is bound directly, as are all where the file system cannot
 * exchange names. */
#include "net/address_open.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_un *name_of(struct crew__address *address)
{
	return (struct sockaddr_un *)(void *)&address->socket;
}

bool crew__address_beside(const struct crew__address *address, struct crew__address *ret_beside)
{
	*ret_beside = *address;
	struct sockaddr_un *name = name_of(ret_beside);
	size_t length = strnlen(name->sun_path, sizeof(name->sun_path));
	size_t room = sizeof(name->sun_path) - length;
	int more = snprintf(name->sun_path + length, room, ".%d~", (int)getpid());
	if (more < 0 || (size_t)more >= room)
		return false;
	ret_beside->socket_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length +
					      (size_t)more + 1);
	return true;
}

bool crew__address_names(const char *name, const char *path)
{
	size_t length = strlen(path);
	if (strncmp(name, path, length) != 0)
		return false;
	const char *rest = name + length;
	if (*rest == '\0')
		return true;
	size_t digits = *rest == '.' ? strspn(rest + 1, "0123456789") : 0;
	return digits > 0 && strcmp(rest + 1 + digits, "~") == 0;
}

static bool is_that(const char *path, const struct crew__address_file *file)
{
	struct stat status;
	return lstat(path, &status) == 0 && status.st_dev == file->device &&
	       status.st_ino == file->inode;
}

/* A file system that cannot do it in one step. */
static bool cannot(int error)
{
	return error == EINVAL || error == ENOSYS || error == EOPNOTSUPP;
}

static int place_alone(const char *from, const char *path)
{
	if (renameat2(AT_FDCWD, from, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
		return 0;
	if (cannot(errno) && rename(from, path) == 0)
		return 0;
	return errno == EEXIST ? -EAGAIN : -errno;
}

static int place_instead(
	const char *from, const char *path, const struct crew__address_file *abandoned)
{
	if (renameat2(AT_FDCWD, from, AT_FDCWD, path, RENAME_EXCHANGE) < 0) {
		if (cannot(errno) && rename(from, path) == 0)
			return 0;
		return errno == ENOENT ? -EAGAIN : -errno;
	}
	if (is_that(from, abandoned)) {
		unlink(from);
		return 0;
	}
	/* Somebody else has replaced it since: his is given back. */
	if (renameat2(AT_FDCWD, from, AT_FDCWD, path, RENAME_EXCHANGE) < 0)
		return -errno;
	return -EAGAIN;
}

int crew__address_place(
	const char *from, const char *path, const struct crew__address_file *abandoned)
{
	return abandoned->inode != 0 ? place_instead(from, path, abandoned)
				     : place_alone(from, path);
}
