/* daemon.c - two forks and a pipe. */
#include "proc/daemon.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

void crew__standard_fds_open(void)
{
	int fd;
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

static void write_all(int fd, const char *text, size_t length)
{
	while (length > 0) {
		ssize_t written = write(fd, text, length);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return; /* whoever waited has gone */
		text += written;
		length -= (size_t)written;
	}
}

static bool read_whole(int fd, void *bytes, size_t size)
{
	ssize_t length;
	do
		length = read(fd, bytes, size);
	while (length < 0 && errno == EINTR);
	return length == (ssize_t)size;
}

/* The first thing in the pipe is the daemon's pid. */
static void tell_main_process(int fd, struct crew__notify *notify)
{
	char text[32];
	pid_t pid;
	if (!read_whole(fd, &pid, sizeof(pid)))
		return;
	snprintf(text, sizeof(text), "MAINPID=%d", (int)pid);
	crew__notify_news(notify, text, -1);
}

/* The status is one byte, the text is the rest. Nothing at all means that the daemon died before it
 * could say why. */
static int relay(int fd, const char *name)
{
	unsigned char status;
	char text[4096];
	ssize_t length;
	if (!read_whole(fd, &status, 1)) {
		fprintf(stderr,
			"%s: the background process died before it was ready; its log tells more, or start "
			"without -d\n",
			name);
		return 1;
	}
	FILE *out = status == 0 ? stdout : stderr;
	while ((length = read(fd, text, sizeof(text))) > 0 || (length < 0 && errno == EINTR))
		if (length > 0)
			fwrite(text, 1, (size_t)length, out);
	fflush(out);
	return status;
}

static int wait_for_report(int fds[2], pid_t child, const char *name, struct crew__notify *notify)
{
	close(fds[1]);
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	tell_main_process(fds[0], notify);
	int status = relay(fds[0], name);
	close(fds[0]);
	return status;
}

int crew__daemon_begin(const char *name, struct crew__inherited *inherited,
	struct crew__notify *notify, struct crew__report *ret_report)
{
	int fds[2];
	fflush(NULL);
	pid_t child = pipe2(fds, O_CLOEXEC) < 0 ? -1 : fork();
	if (child != 0)
		crew__inherited_fini(inherited, true);
	if (child < 0) {
		fprintf(stderr, "%s: cannot go to the background: %s\n", name, strerror(errno));
		return 1;
	}
	if (child > 0)
		return wait_for_report(fds, child, name, notify);
	/* A session of its own, and not its leader, so that no terminal ever becomes its own. */
	setsid();
	pid_t grandchild = fork();
	if (grandchild != 0)
		_exit(grandchild < 0 ? 1 : 0);
	close(fds[0]);
	pid_t self = getpid();
	write_all(fds[1], (const char *)&self, sizeof(self));
	*ret_report = (struct crew__report){ .fd = fds[1] };
	return -1;
}

int crew__daemon_detach(int log_fd)
{
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_fd < 0)
		return -errno;
	if (log_fd < 0)
		log_fd = null_fd;
	int status = dup2(null_fd, STDIN_FILENO) < 0 || dup2(log_fd, STDOUT_FILENO) < 0 ||
				     dup2(log_fd, STDERR_FILENO) < 0
			     ? -errno
			     : 0;
	if (null_fd > STDERR_FILENO)
		close(null_fd);
	return status;
}

void crew__report(struct crew__report *report, int exit_status, const char *text)
{
	if (report->done)
		return;
	report->done = true;
	if (report->fd < 0) {
		FILE *out = exit_status == 0 ? stdout : stderr;
		fputs(text, out);
		fflush(out);
		return;
	}
	char status = (char)exit_status;
	write_all(report->fd, &status, 1);
	write_all(report->fd, text, strlen(text));
	close(report->fd);
	report->fd = -1;
}
