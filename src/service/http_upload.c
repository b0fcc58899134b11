#include "service/http_upload.h"

#include "base/log.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	OPEN_LEAST = 16, /* uploads may have that many descriptors however few there are */
};

/* Of this process, as its limit is. */
static struct {
	rlim_t open;
	struct crew__log_rate log;
} uploads;

static const char *directory(const crew_worker *w)
{
	return w->settings->upload_dir ? w->settings->upload_dir : "/tmp";
}

static int tell(const crew_worker *w, int error)
{
	char left_out[CREW__LEFT_OUT_MAX];
	if (crew__log_may(&uploads.log, 1, left_out))
		crew__log(CREW_ERROR,
			"upload: cannot keep a file in %s: %s; make room there or set upload_dir "
			"to another directory%s",
			directory(w), strerror(-error), left_out);
	return error;
}

int crew__upload_status(int error)
{
	switch (error) {
	case -ENOSPC:
	case -EDQUOT:
	case -EFBIG:
		return 507;
	case -EMFILE:
	case -ENFILE:
	case -ENOMEM:
		return 503;
	default:
		return 500;
	}
}

/* ---- temporary files ------------------------------------------------------------------------ */

/* Connections may have nine tenths of all descriptors (max_connections); of the rest uploads take
 * no more than this, so that one client's many files do not keep others from being accepted. */
static bool has_share(void)
{
	struct rlimit limit;
	if (uploads.open < OPEN_LEAST || getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return true;
	return uploads.open < limit.rlim_cur / 16;
}

/* Where the file system knows no files without a name, it has one for a moment. */
static int open_and_unlink(const char *where)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/crew-upload-XXXXXX", where);
	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	int fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	unlink(path);
	return fd;
}

/* Without O_EXCL, which would forbid to give it a name later. Its mode is the one that it has then;
 * as long as it has no name, nobody can open it by that. */
static int open_nameless(const char *where)
{
	int fd = open(where, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
	if (fd >= 0)
		return fd;
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
		return -errno;
	return open_and_unlink(where);
}

int crew__upload_open(crew_worker *w)
{
	int fd = has_share() ? open_nameless(directory(w)) : -EMFILE;
	if (fd < 0)
		return tell(w, fd);
	uploads.open++;
	return fd;
}

void crew__upload_close(int fd)
{
	close(fd);
	uploads.open--;
}

static int write_all(int fd, crew_bytes bytes)
{
	while (bytes.len > 0) {
		ssize_t n = write(fd, bytes.data, bytes.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		bytes.data += n;
		bytes.len -= (size_t)n;
	}
	return 0;
}

int crew__upload_write(crew_worker *w, int fd, crew_bytes bytes)
{
	int error = write_all(fd, bytes);
	return error ? tell(w, error) : 0;
}

void crew__uploads_close(struct crew__request_side *side)
{
	for (size_t i = 0; i < side->upload_count; i++)
		if (side->uploads[i].fd >= 0)
			crew__upload_close(side->uploads[i].fd);
	side->upload_count = 0;
}

/* ---- for the program ------------------------------------------------------------------------ */

const crew_upload *crew_request_files(const crew_request *request, size_t *ret_count)
{
	const struct crew__request_side *side = crew__request_side(request);
	*ret_count = side ? side->upload_count : 0;
	return side ? side->uploads : NULL;
}

const crew_upload *crew_request_file(const crew_request *request, const char *name)
{
	size_t count;
	const crew_upload *files = crew_request_files(request, &count);
	crew_bytes wanted = crew_str(name);
	for (size_t i = 0; i < count; i++)
		if (files[i].name.len == wanted.len &&
			(wanted.len == 0 ||
				memcmp(files[i].name.data, wanted.data, wanted.len) == 0))
			return &files[i];
	return NULL;
}

static int copy_file(const crew_upload *from, int to)
{
	char room[16 * 1024];
	off_t at = 0;
	ssize_t n = 1;
	/* The kernel's way, as far as it goes; then ours, whose error is the one that tells. */
	while (n > 0 && (uint64_t)at < from->size)
		n = copy_file_range(from->fd, &at, to, NULL, from->size - (uint64_t)at, 0);
	while ((uint64_t)at < from->size) {
		n = pread(from->fd, room, crew__min(sizeof(room), from->size - (uint64_t)at), at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		int error = write_all(to, (crew_bytes){ room, (size_t)n });
		if (error)
			return error;
		at += n;
	}
	return 0;
}

/* Nothing half-written stays; the name is ours, as O_EXCL made it. */
static int save_copy(const crew_upload *upload, const char *path)
{
	int to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (to < 0)
		return -errno;
	int error = upload->fd < 0 ? write_all(to, upload->body) : copy_file(upload, to);
	if (close(to) < 0 && !error)
		error = -errno;
	if (error)
		unlink(path);
	return error;
}

/* The temporary file itself becomes the saved one, but only once: a second name would be for the
 * same bytes, and who changes one file would change both. */
static int save_itself(int fd, const char *path)
{
	char own[32];
	struct stat about;
	if (fstat(fd, &about) < 0 || about.st_nlink > 0)
		return -ENOTSUP;
	snprintf(own, sizeof(own), "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, own, AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

/* Without fsync, which would hold up the loop: after a power cut it may not be there. */
int crew_upload_save(const crew_upload *upload, const char *path)
{
	if (!upload || !path || !*path)
		return -EINVAL;
	int error = upload->fd < 0 ? -ENOTSUP : save_itself(upload->fd, path);
	if (error == 0 || error == -EEXIST)
		return error;
	return save_copy(upload, path);
}

/* ---- for copies of requests ----------------------------------------------------------------- */

/* An independent descriptor; without /proc one that shares its offset. */
static int open_anew(int fd)
{
	char own[32];
	snprintf(own, sizeof(own), "/proc/self/fd/%d", fd);
	int copy = has_share() ? open(own, O_RDWR | O_CLOEXEC) : -1;
	if (copy < 0 && has_share())
		copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy >= 0)
		uploads.open++;
	return copy;
}

static bool copy_bytes(struct crew__arena *arena, crew_bytes *bytes)
{
	*bytes = crew__arena_copy(arena, *bytes);
	return bytes->data != NULL;
}

static int copy_upload(struct crew__arena *arena, crew_upload *to, const crew_upload *from)
{
	*to = *from;
	if (!copy_bytes(arena, &to->name) || !copy_bytes(arena, &to->filename) ||
		!copy_bytes(arena, &to->type) || !copy_bytes(arena, &to->body))
		return -ENOMEM;
	if (from->fd >= 0)
		to->fd = open_anew(from->fd);
	return from->fd >= 0 && to->fd < 0 ? -EMFILE : 0;
}

static int copy_forms(struct crew__request_side *to, const struct crew__pairs *from)
{
	crew_header *items = crew__arena_take(&to->arena, from->count * sizeof(*items));
	if (!items)
		return -ENOMEM;
	for (size_t i = 0; i < from->count; i++) {
		items[i] = from->items[i];
		if (!copy_bytes(&to->arena, &items[i].name) ||
			!copy_bytes(&to->arena, &items[i].value))
			return -ENOMEM;
	}
	to->forms = (struct crew__pairs){ items, from->count, true };
	return 0;
}

int crew__uploads_copy(struct crew__request_side *to, const struct crew__request_side *from)
{
	int error = from->forms.known ? copy_forms(to, &from->forms) : 0;
	to->uploads = crew__arena_take(&to->arena, from->upload_count * sizeof(*to->uploads));
	if (!to->uploads)
		return -ENOMEM;
	for (size_t i = 0; !error && i < from->upload_count; i++) {
		error = copy_upload(&to->arena, &to->uploads[i], &from->uploads[i]);
		to->upload_count += !error;
	}
	return error;
}
