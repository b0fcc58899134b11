/* file.c - one file as it can be sent. */
#include "web/file.h"

#include "base/check.h"
#include "base/clock.h"
#include "proto/http1.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	READINGS =
		3, /* of a file that is written to while we read it; then it stays out of memory */
};

/* Times of files stand still for a tick of the kernel's clock, 10 ms at most. */
static const int64_t young_ns = 50 * (int64_t)CREW__NS_PER_MS;

static struct crew__file_stamp stamp_of(const struct stat *st)
{
	return (struct crew__file_stamp){
		.device = st->st_dev,
		.inode = st->st_ino,
		.size = (uint64_t)st->st_size,
		.modified_s = st->st_mtim.tv_sec,
		.modified_ns = st->st_mtim.tv_nsec,
		.changed_s = st->st_ctim.tv_sec,
		.changed_ns = st->st_ctim.tv_nsec,
	};
}

static bool same(const struct crew__file_stamp *a, const struct crew__file_stamp *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
	       a->modified_s == b->modified_s && a->modified_ns == b->modified_ns &&
	       a->changed_s == b->changed_s && a->changed_ns == b->changed_ns;
}

/* A change that lies in the future is one of a clock that was set back. */
static bool is_young(const struct crew__file_stamp *stamp, const struct timespec *now)
{
	int64_t seconds;
	if (__builtin_sub_overflow(now->tv_sec, stamp->changed_s, &seconds) || seconds > 1)
		return false;
	return seconds < 0 ||
	       seconds * (int64_t)CREW__NS_PER_S + now->tv_nsec - stamp->changed_ns < young_ns;
}

static void describe(struct crew__file *f, const struct crew__file_stamp *stamp)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	f->stamp = *stamp;
	f->size = stamp->size;
	f->young = is_young(stamp, &now);
	f->from_future = stamp->modified_s > now.tv_sec;
	uint64_t modified = (uint64_t)stamp->modified_s * CREW__NS_PER_S;
	modified += (uint64_t)stamp->modified_ns;
	int n = snprintf(f->etag_text, sizeof(f->etag_text), "\"%llx-%llx-%llx\"",
		(unsigned long long)modified, (unsigned long long)stamp->size,
		(unsigned long long)stamp->inode);
	crew__must(n > 0 && (size_t)n < sizeof(f->etag_text));
	f->etag = (crew_bytes){ f->etag_text, (size_t)n };
	crew__http_date(stamp->modified_s, f->modified_text);
}

/* Exactly so many bytes, or false. */
static bool read_whole(int fd, char *to, size_t len)
{
	size_t got = 0;
	while (got < len) {
		ssize_t n = pread(fd, to + got, len - got, (off_t)got);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		got += (size_t)n;
	}
	return true;
}

static struct crew__file *make(size_t bytes, const struct crew__file_stamp *stamp)
{
	struct crew__file *f = malloc(sizeof(*f) + bytes);
	if (!f)
		return NULL;
	*f = (struct crew__file){ .refs = 1, .fd = -1 };
	describe(f, stamp);
	return f;
}

/* All of it, in the state of the stamp. 0; 1: it changes while it is read, and the stamp is new;
 * -ENOMEM. */
static int read_into_memory(int fd, struct crew__file_stamp *stamp, struct crew__file **ret_file)
{
	size_t size = (size_t)stamp->size;
	struct stat st;
	struct crew__file *f = make(size, stamp);
	if (!f)
		return -ENOMEM;
	bool whole = read_whole(fd, f->bytes, size);
	bool known = fstat(fd, &st) == 0;
	struct crew__file_stamp after = known ? stamp_of(&st) : *stamp;
	if (whole && known && same(stamp, &after)) {
		f->body = (crew_bytes){ f->bytes, size };
		*ret_file = f;
		return 0;
	}
	free(f);
	*stamp = after;
	return 1;
}

/* Takes the descriptor. */
static int open_regular(int take_fd, struct crew__file_stamp *stamp, struct crew__file **ret_file)
{
	int error = 1;
	for (int i = 0; i < READINGS && error > 0 && stamp->size <= CREW__FILE_IN_MEMORY; i++)
		error = read_into_memory(take_fd, stamp, ret_file);
	if (error <= 0) {
		close(take_fd);
		return error;
	}
	struct crew__file *f = make(0, stamp);
	if (!f) {
		close(take_fd);
		return -ENOMEM;
	}
	f->fd = take_fd;
	*ret_file = f;
	return 0;
}

int crew__file_open(const struct crew__root *root, const char *path, struct crew__file **ret_file)
{
	struct stat st;
	int fd = crew__open_beneath(root, path, false);
	if (fd < 0)
		return fd;
	int error = fstat(fd, &st) < 0 ? -errno : 0;
	if (!error && S_ISDIR(st.st_mode))
		error = -EISDIR;
	else if (!error && (!S_ISREG(st.st_mode) || st.st_size < 0))
		error = -ENOENT;
	if (error) {
		close(fd);
		return error;
	}
	struct crew__file_stamp stamp = stamp_of(&st);
	return open_regular(fd, &stamp, ret_file);
}

void crew__file_unref(struct crew__file *file)
{
	if (!file || --file->refs > 0)
		return;
	if (file->fd >= 0)
		close(file->fd);
	free(file);
}

bool crew__file_is_intact(const struct crew__file *file)
{
	struct stat st;
	if (file->fd < 0)
		return true;
	if (fstat(file->fd, &st) < 0)
		return false;
	struct crew__file_stamp stamp = stamp_of(&st);
	return same(&stamp, &file->stamp);
}

bool crew__file_error_is_ours(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -EAGAIN ||
	       error == -EINTR || error == -EIO;
}

/* The path is looked up anew, below the root: a stat alone would follow a link that leads out. */
int crew__file_is_current(
	const struct crew__file *file, const struct crew__root *root, const char *path)
{
	struct stat st;
	int fd = crew__open_beneath(root, path, true);
	if (fd < 0)
		return crew__file_error_is_ours(fd) ? fd : 0;
	bool known = fstat(fd, &st) == 0;
	close(fd);
	if (!known)
		return 0;
	struct crew__file_stamp stamp = stamp_of(&st);
	return same(&stamp, &file->stamp) && !file->young;
}
