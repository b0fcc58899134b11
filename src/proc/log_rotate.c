/* log_rotate.c - a log file that is too long, or that is no longer where it was.
 *
 * Names change, then descriptors: until a process has the new one it writes to the file that is
 * PATH.1 by then, so no line is lost or torn. The new file is there before the old one leaves its
 * name: where it cannot be made, nothing changes. */
#include "proc/log_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The names of one rotation. `real` is the path without links, so that a link stays one. */
struct names {
	char *real;
	size_t size;
	char *old, *new;
};

static void name_numbered(const struct names *names, char *text, int64_t number)
{
	snprintf(text, names->size, "%s.%lld", names->real, (long long)number);
}

static bool make_names(const char *path, struct names *ret_names)
{
	struct names names = { .real = realpath(path, NULL) };
	if (!names.real)
		return false;
	names.size = strlen(names.real) + 32;
	names.old = malloc(names.size);
	names.new = malloc(names.size);
	*ret_names = names;
	return names.old && names.new;
}

static void free_names(struct names *names)
{
	free(names->real);
	free(names->old);
	free(names->new);
}

/* PATH.3 becomes PATH.4, PATH.2 becomes PATH.3, ... */
static void push_back(const struct names *names, int64_t keep)
{
	for (int64_t number = keep - 1; number > 0; number--) {
		name_numbered(names, names->old, number);
		name_numbered(names, names->new, number + 1);
		(void)rename(names->old, names->new); /* there may be none */
	}
}

/* A file of the same owner and permissions as the old one, under a name that nobody else has. */
static int make_file(const struct names *names, const struct stat *like)
{
	snprintf(names->new, names->size, "%s.new", names->real);
	unlink(names->new); /* left by one that was killed here */
	int fd = open(names->new,
		O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
	if (fd < 0)
		return -errno;
	/* Who may not give files away keeps its own. */
	if (fchown(fd, like->st_uid, like->st_gid) < 0 && errno != EPERM) {
		int error = -errno;
		close(fd);
		return error;
	}
	fchmod(fd, like->st_mode & 0777);
	return fd;
}

static int rotate_names(const struct names *names, const struct stat *like, int64_t keep)
{
	int fd = make_file(names, like);
	if (fd < 0)
		return fd;
	push_back(names, keep);
	name_numbered(names, names->old, 1);
	snprintf(names->new, names->size, "%s.new", names->real);
	if (rename(names->real, names->old) == 0 && rename(names->new, names->real) == 0)
		return fd;
	int error = -errno;
	unlink(names->new);
	close(fd);
	return error;
}

static bool rotate(struct crew__log_file *file, const struct stat *found, int64_t keep)
{
	struct names names = { .real = NULL };
	int fd = make_names(file->path, &names) ? rotate_names(&names, found, keep) : -ENOMEM;
	if (fd >= 0) {
		crew__log_file_take(file, fd);
		crew__log(CREW_INFO, "log begun; what was before is in %s.1", names.real);
		file->refused = false;
	} else if (!file->refused) {
		crew__log(CREW_ERROR,
			"the log %s has grown beyond crew.log_size, and no new one can be begun: %s; it "
			"grows on",
			file->path, strerror(-fd));
		file->refused = true;
	}
	free_names(&names);
	return fd >= 0;
}

/* Somebody has removed it, or moved it away without a signal. */
static bool follow_path(struct crew__log_file *file, bool removed)
{
	int fd = crew__log_open_path(file->path);
	if (fd >= 0) {
		crew__log_file_take(file, fd);
		crew__log(CREW_WARN, "the log %s was %s; this is a new one", file->path,
			removed ? "removed" : "moved away");
	} else if (!file->refused) {
		crew__log(CREW_ERROR,
			"the log %s has gone, and no new one can be begun: %s; it stays where it was",
			file->path, strerror(-fd));
	}
	file->refused = fd < 0;
	return fd >= 0;
}

bool crew__log_file_look(struct crew__log_file *file, int64_t size, int64_t keep)
{
	struct stat ours, there;
	if (!file->path || fstat(file->fd, &ours) < 0 || !S_ISREG(ours.st_mode))
		return false;
	bool here = stat(file->path, &there) == 0 && there.st_dev == ours.st_dev &&
		    there.st_ino == ours.st_ino;
	if (!here)
		return follow_path(file, ours.st_nlink == 0);
	return size > 0 && ours.st_size >= size && rotate(file, &ours, keep);
}
