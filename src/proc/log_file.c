/* log_file.c - opening the log, and opening it again. */
#include "proc/log_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_path(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
	return fd < 0 ? -errno : fd;
}

static int choose_path(const struct crew__settings *settings, bool daemon, char **ret_path)
{
	*ret_path = NULL;
	if (settings->log)
		*ret_path = strdup(settings->log);
	else if (daemon && asprintf(ret_path, "%s/%s.log", settings->run_dir, settings->name) < 0)
		*ret_path = NULL;
	else if (!daemon)
		return 0;
	return *ret_path ? 0 : -ENOMEM;
}

int crew__log_file_open(struct crew__log_file *file, const struct crew__settings *settings,
	bool daemon, const char *tag, char *ret_error, size_t error_size)
{
	*file = (struct crew__log_file){ .fd = STDERR_FILENO };
	int status = choose_path(settings, daemon, &file->path);
	if (status == 0 && file->path) {
		int fd = open_path(file->path);
		if (fd < 0)
			status = fd;
		else
			file->fd = fd;
	}
	if (status < 0) {
		snprintf(ret_error, error_size,
			"cannot open the log %s: %s; set crew.log to another file",
			file->path ? file->path : "", strerror(-status));
		free(file->path);
		*file = (struct crew__log_file){ .fd = STDERR_FILENO };
		return status;
	}
	crew__log_open(file->fd, settings->log_level, tag);
	return 0;
}

int crew__log_file_reopen(struct crew__log_file *file, crew_level level, const char *tag)
{
	if (!file->path)
		return 0;
	int fd = open_path(file->path);
	if (fd < 0) {
		crew__log(CREW_ERROR, "cannot reopen the log %s: %s; it stays where it was",
			file->path, strerror(-fd));
		return fd;
	}
	crew__log_file_follow(file->fd, fd);
	crew__log_open(fd, level, tag);
	close(file->fd);
	file->fd = fd;
	return 0;
}

void crew__log_file_close(struct crew__log_file *file)
{
	if (file->path) {
		crew__log_open(STDERR_FILENO, CREW_INFO, "master");
		close(file->fd);
		free(file->path);
	}
	*file = (struct crew__log_file){ .fd = STDERR_FILENO };
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
