/* pidfile.c - the lock, the three lines, and how to believe them.
 *
 * The lock is an open-file-description lock: forks between daemon and master keep it, and no
 * unrelated close() of the same file drops it. The file is removed while the lock is still held; a
 * starter that had opened it before then finds, once it has the lock, that the path names another
 * file, and begins anew. */
#include "proc/pidfile.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
	LOCK_TRIES = 20,
	READ_TRIES = 50,
	READ_PAUSE_MS = 10
};

static int make_dir(const char *path)
{
	if (mkdir(path, 0755) < 0)
		return errno == EEXIST ? 0 : -errno;
	/* Other users' commands must pass, whatever the umask says. */
	return chmod(path, 0755) < 0 ? -errno : 0;
}

int crew__run_dir_make(const char *run_dir, char *ret_error, size_t error_size)
{
	char *path = strdup(run_dir);
	if (!path)
		return -ENOMEM;
	int status = 0;
	for (char *slash = strchr(path + 1, '/'); slash && status == 0;
		slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		status = make_dir(path);
		*slash = '/';
	}
	struct stat st;
	if (status == 0)
		status = make_dir(path);
	if (status == 0 && stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
		status = -ENOTDIR;
	if (status < 0)
		snprintf(ret_error, error_size,
			"cannot make the run directory %s: %s; choose another with --run-dir DIR",
			run_dir, strerror(-status));
	free(path);
	return status;
}

static char *path_of(const char *run_dir, const char *name)
{
	char *path;
	return asprintf(&path, "%s/%s.pid", run_dir, name) < 0 ? NULL : path;
}

static int take_lock(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	return errno == EACCES || errno == EAGAIN ? -EBUSY : -errno;
}

static bool is_locked(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static bool is_still_at(int fd, const char *path)
{
	struct stat held, named;
	return fstat(fd, &held) == 0 && lstat(path, &named) == 0 && held.st_ino == named.st_ino &&
	       held.st_dev == named.st_dev;
}

/* A descriptor that holds the lock, -ESTALE when the file was removed meanwhile, or an errno. */
static int open_locked(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return -errno;
	int status = take_lock(fd);
	if (status == 0 && !is_still_at(fd, path))
		status = -ESTALE;
	/* What a dead master left must not be taken for ours. */
	if (status == 0 && (ftruncate(fd, 0) < 0 || fchmod(fd, 0644) < 0))
		status = -errno;
	if (status < 0) {
		close(fd);
		return status;
	}
	return fd;
}

static void explain_lock(int status, const char *path, const char *run_dir, const char *name,
	char *text, size_t size)
{
	struct crew__running running;
	if (status != -EBUSY)
		snprintf(text, size, "cannot lock %s: %s", path, strerror(-status));
	else if (crew__pidfile_read(run_dir, name, &running) == 0)
		snprintf(text, size,
			"%s runs already (pid %d, run directory %s); stop it first, or give this one another "
			"--run-dir",
			name, (int)running.pid, run_dir);
	else
		snprintf(text, size,
			"%s is being started or stopped at this moment (run directory %s); try again",
			name, run_dir);
}

int crew__pidfile_lock(const char *run_dir, const char *name, struct crew__pidfile *ret_file,
	char *ret_error, size_t error_size)
{
	char *path = path_of(run_dir, name);
	if (!path)
		return -ENOMEM;
	int fd = -ESTALE;
	for (int i = 0; i < LOCK_TRIES && fd == -ESTALE; i++)
		fd = open_locked(path);
	if (fd < 0) {
		explain_lock(fd, path, run_dir, name, ret_error, error_size);
		free(path);
		return fd;
	}
	*ret_file = (struct crew__pidfile){ .fd = fd, .path = path };
	return 0;
}

int crew__pidfile_write(const struct crew__pidfile *file, int directory_fd)
{
	char text[96];
	int length = snprintf(text, sizeof(text), "%d\n%" PRIu64 "\n%d\n", (int)getpid(),
		crew__process_start_time(getpid(), NULL), directory_fd);
	ssize_t written = pwrite(file->fd, text, (size_t)length, 0);
	if (written < 0)
		return -errno;
	if (written != length)
		return -ENOSPC;
	return ftruncate(file->fd, length) < 0 ? -errno : 0;
}

void crew__pidfile_remove(struct crew__pidfile *file)
{
	if (file->fd < 0)
		return;
	if (is_still_at(file->fd, file->path))
		unlink(file->path);
	close(file->fd);
	free(file->path);
	*file = (struct crew__pidfile){ .fd = -1 };
}

uint64_t crew__process_start_time(pid_t pid, pid_t *ret_parent)
{
	char path[64], text[1024];
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t length = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (length <= 0)
		return 0;
	text[length] = '\0';
	/* The second field is the name in parentheses and may hold anything; ours are behind it. */
	char *rest = strrchr(text, ')');
	int parent;
	uint64_t start_time;
	if (!rest ||
		sscanf(rest + 1,
			" %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %" SCNu64,
			&parent, &start_time) != 2)
		return 0;
	if (ret_parent)
		*ret_parent = parent;
	return start_time;
}

static int parse(int fd, struct crew__running *ret_running)
{
	char text[96];
	ssize_t length = pread(fd, text, sizeof(text) - 1, 0);
	if (length < 0)
		return -errno;
	text[length] = '\0';
	int pid, directory_fd;
	uint64_t start_time;
	if (sscanf(text, "%d\n%" SCNu64 "\n%d\n", &pid, &start_time, &directory_fd) != 3 ||
		pid <= 0 || directory_fd < 0)
		return -EAGAIN;
	*ret_running = (struct crew__running){ pid, start_time, directory_fd };
	return 0;
}

/* One look at the file. -EAGAIN: locked, but what it says is of nobody that lives. */
static int look(const char *path, struct crew__running *ret_running)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? -ESRCH : -errno;
	struct crew__running running = { 0 };
	int status = is_locked(fd) ? parse(fd, &running) : -ESRCH;
	close(fd);
	if (status == 0 && crew__process_start_time(running.pid, NULL) != running.start_time)
		status = -EAGAIN;
	if (status == 0)
		*ret_running = running;
	return status;
}

int crew__pidfile_read(const char *run_dir, const char *name, struct crew__running *ret_running)
{
	char *path = path_of(run_dir, name);
	if (!path)
		return -ENOMEM;
	int status = look(path, ret_running);
	for (int i = 0; i < READ_TRIES && status == -EAGAIN; i++) {
		nanosleep(&(struct timespec){ .tv_nsec = READ_PAUSE_MS * 1000000L }, NULL);
		status = look(path, ret_running);
	}
	free(path);
	return status;
}

int crew__pidfile_pidfd(const char *run_dir, const char *name, struct crew__running *ret_running)
{
	struct crew__running before = { 0 };
	int status = crew__pidfile_read(run_dir, name, &before);
	if (status < 0)
		return status;
	int pidfd = (int)syscall(SYS_pidfd_open, before.pid, 0);
	if (pidfd < 0)
		return -errno;
	/* The pid may have passed to another process between the look and the open: look again. */
	status = crew__pidfile_read(run_dir, name, ret_running);
	if (status == 0 &&
		(ret_running->pid != before.pid || ret_running->start_time != before.start_time))
		status = -EAGAIN;
	if (status < 0) {
		close(pidfd);
		return status;
	}
	return pidfd;
}
