/* log_file.c - opening the log, and opening it again. Not here: when it is too long (log_rotate.c).
 */
#include "proc/log_file.h"

#include "base/log_out.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- places -------------------------------------------------------------------------------- */

/* A pipe that nobody reads yet is opened for both directions: it keeps what fits into it. */
int crew__log_open_path(const char *path)
{
	const int flags = O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	int fd = open(path, O_WRONLY | flags, 0640);
	if (fd < 0 && errno == ENXIO)
		fd = open(path, O_RDWR | flags, 0640);
	return fd < 0 ? -errno : fd;
}

/* One that is there and not read at present is only starting anew; it is connected to later. */
static int open_socket(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 || errno == ECONNREFUSED)
		return fd;
	int error = -errno;
	close(fd);
	return error;
}

/* Standard error, but a description of our own where others share it and it can be full: O_NONBLOCK
 * must not become theirs. */
static int open_stderr(void)
{
	struct stat found;
	int fd = STDERR_FILENO;
	if (crew__log_kind_of(fd, false) == CREW__LOG_JOURNAL_STREAM)
		fd = open_socket(CREW__JOURNAL_PATH);
	else if (fstat(fd, &found) == 0 && (S_ISFIFO(found.st_mode) || isatty(fd)))
		fd = open(
			"/proc/self/fd/2", O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? STDERR_FILENO : fd;
}

static int choose_path(const struct crew__settings *settings, bool daemon, char **ret_path)
{
	*ret_path = NULL;
	if (settings->log && crew__log_place_is_word(settings->log))
		return 0;
	if (settings->log)
		*ret_path = strdup(settings->log);
	else if (daemon && asprintf(ret_path, "%s/%s.log", settings->run_dir, settings->name) < 0)
		*ret_path = NULL;
	else if (!daemon)
		return 0;
	return *ret_path ? 0 : -ENOMEM;
}

static int open_place(const struct crew__log_file *file, const char *log)
{
	if (file->path)
		return crew__log_open_path(file->path);
	if (log && strcmp(log, "syslog") == 0)
		return open_socket(CREW__SYSLOG_PATH);
	if (log && strcmp(log, "journal") == 0)
		return open_socket(CREW__JOURNAL_PATH);
	return open_stderr();
}

static void tell_failure(
	const struct crew__log_file *file, const char *log, int status, char *error, size_t size)
{
	if (file->path || !log)
		snprintf(error, size, "cannot open the log %s: %s; set crew.log to another file",
			file->path ? file->path : "", strerror(-status));
	else
		snprintf(error, size,
			"crew.log = %s: nothing takes lines at %s: %s; set crew.log to a file or stderr",
			log, strcmp(log, "journal") == 0 ? CREW__JOURNAL_PATH : CREW__SYSLOG_PATH,
			strerror(-status));
}

/* ---- the log of this process --------------------------------------------------------------- */

struct crew__log_plan crew__log_plan_of(const struct crew__settings *settings, int fd)
{
	return (struct crew__log_plan){
		.fd = fd,
		.level = settings->log_level,
		.json = settings->log_format != 0,
		.journal = !settings->log || strcmp(settings->log, "journal") == 0,
		.facility = (unsigned)settings->log_facility,
		.origin = { .app = settings->name },
	};
}

void crew__log_file_use(
	const struct crew__log_file *file, const struct crew__settings *settings, const char *role)
{
	struct crew__log_plan plan = crew__log_plan_of(settings, file->fd);
	plan.origin.role = role;
	crew__log_use(&plan);
}

int crew__log_file_open(struct crew__log_file *file, const struct crew__settings *settings,
	bool daemon, const char *role, char *ret_error, size_t error_size)
{
	*file = (struct crew__log_file){ .fd = STDERR_FILENO };
	int status = choose_path(settings, daemon, &file->path);
	if (status == 0)
		status = open_place(file, settings->log);
	if (status < 0) {
		tell_failure(file, settings->log, status, ret_error, error_size);
		free(file->path);
		*file = (struct crew__log_file){ .fd = STDERR_FILENO };
		return status;
	}
	file->fd = status;
	file->standard = !file->path && (!settings->log || strcmp(settings->log, "stderr") == 0);
	crew__log_file_use(file, settings, role);
	return 0;
}

int crew__log_file_reopen(struct crew__log_file *file)
{
	if (!file->path)
		return 0;
	int fd = crew__log_open_path(file->path);
	if (fd < 0) {
		crew__log(CREW_ERROR, "cannot reopen the log %s: %s; it stays where it was",
			file->path, strerror(-fd));
		return fd;
	}
	crew__log_file_take(file, fd);
	return 0;
}

void crew__log_file_take(struct crew__log_file *file, int take_fd)
{
	crew__log_file_follow(file->fd, take_fd);
	crew__log_switch(take_fd);
	close(file->fd);
	file->fd = take_fd;
}

void crew__log_file_close(struct crew__log_file *file)
{
	if (file->fd != STDERR_FILENO) {
		crew__log_flush(0);
		crew__log_open(STDERR_FILENO, CREW_INFO, "master");
		close(file->fd);
		free(file->path);
	}
	*file = (struct crew__log_file){ .fd = STDERR_FILENO };
}

/* ---- standard output and error ------------------------------------------------------------- */

int crew__log_file_for_output(const struct crew__log_file *file)
{
	enum crew__log_kind kind = crew__log_kind_of(file->fd, false);
	return kind == CREW__LOG_SYSLOG || kind == CREW__LOG_JOURNAL ? -1 : file->fd;
}

static bool same_file(int a, int b)
{
	struct stat one, other;
	return fstat(a, &one) == 0 && fstat(b, &other) == 0 && one.st_dev == other.st_dev &&
	       one.st_ino == other.st_ino;
}

void crew__log_file_follow(int old_fd, int new_fd)
{
	for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
		if (same_file(fd, old_fd))
			dup2(new_fd, fd);
}

/* ---- handing it over ----------------------------------------------------------------------- */

void crew__log_file_save(const struct crew__log_file *file, json_t *into)
{
	json_object_set_new(into, "fd", json_integer(file->fd));
	json_object_set_new(into, "standard", json_boolean(file->standard));
	if (file->path)
		json_object_set_new(into, "path", json_string(file->path));
}

void crew__log_file_restore(struct crew__log_file *file, const json_t *from)
{
	const json_t *number = json_object_get(from, "fd");
	const char *path = json_string_value(json_object_get(from, "path"));
	json_int_t fd = json_is_integer(number) ? json_integer_value(number) : -1;
	*file = (struct crew__log_file){ .fd = STDERR_FILENO };
	if (fd < 0 || fd > INT32_MAX || fcntl((int)fd, F_GETFD) < 0)
		return;
	file->fd = (int)fd;
	file->standard = json_is_true(json_object_get(from, "standard"));
	file->path = path && fd != STDERR_FILENO ? strdup(path) : NULL;
}
