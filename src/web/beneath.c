/* beneath.c - opening files below a directory and nowhere else. */
#include "web/beneath.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	/* A fifo does not hold us, and a terminal does not become ours. */
	READ_FLAGS = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
	LOOK_FLAGS = O_PATH | O_CLOEXEC,
	TRIES = 8, /* a rename elsewhere can disturb the kernel's look at `..` in a link: -EAGAIN */
};

static int open_by_kernel(int root, const char *path, int flags)
{
	const struct open_how how = {
		.flags = (unsigned)flags,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	long fd = -1;
	for (int i = 0; i < TRIES; i++) {
		fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	return fd >= 0 ? (int)fd : -errno;
}

/* The last name, in its directory. With O_PATH a link would be opened itself. */
static int open_last(int directory, const char *name, int flags)
{
	struct stat st;
	int fd = openat(directory, name, flags | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (!(flags & O_PATH) || (fstat(fd, &st) == 0 && !S_ISLNK(st.st_mode)))
		return fd;
	close(fd);
	return -ELOOP;
}

/* The same directory as a descriptor that may be closed. */
static int reopen(int directory)
{
	int fd = fcntl(directory, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? -errno : fd;
}

static int open_by_walk(int root, const char *path, int flags)
{
	char name[NAME_MAX + 1];
	int at = reopen(root);
	const char *slash;
	while (at >= 0 && (slash = strchr(path, '/'))) {
		size_t len = (size_t)(slash - path);
		if (len > NAME_MAX) {
			close(at);
			return -ENAMETOOLONG;
		}
		memcpy(name, path, len);
		name[len] = '\0';
		int next = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		int error = errno;
		close(at);
		at = next < 0 ? -error : next;
		path = slash + 1;
	}
	if (at < 0)
		return at;
	int fd = open_last(at, *path ? path : ".", flags);
	close(at);
	return fd;
}

int crew__root_open(struct crew__root *ret_root, const char *path)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int probe = open_by_kernel(fd, ".", LOOK_FLAGS);
	bool unknown = probe == -ENOSYS || probe == -EPERM; /* an old kernel; a sandbox */
	if (probe < 0 && !unknown) {
		close(fd);
		return probe;
	}
	if (probe >= 0)
		close(probe);
	*ret_root = (struct crew__root){ .fd = fd, .walk = unknown };
	return 0;
}

void crew__root_close(struct crew__root *root)
{
	if (root->fd >= 0)
		close(root->fd);
	root->fd = -1;
}

bool crew__path_is_plain(crew_bytes path)
{
	char before = '/';
	if (path.len > CREW__PATH_MOST)
		return false;
	for (size_t i = 0; i < path.len; i++) {
		char byte = path.data[i];
		if (byte == '\0' || byte == '\\')
			return false;
		if (before == '/' && (byte == '/' || byte == '.'))
			return false;
		before = byte;
	}
	return true;
}

int crew__open_beneath(const struct crew__root *root, const char *path, bool look)
{
	int flags = look ? LOOK_FLAGS : READ_FLAGS;
	if (root->walk)
		return open_by_walk(root->fd, path, flags);
	return open_by_kernel(root->fd, *path ? path : ".", flags);
}
