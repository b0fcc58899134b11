/* procfs.c - reading /proc/PID. Nothing here waits: these files are made as they are read. */
#include "proc/procfs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool crew__procfs_read(pid_t pid, const char *file, char *text, size_t size)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t n = read(fd, text, size - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	return true;
}

/* Behind the name in parentheses, which may hold any byte. */
char crew__procfs_state(pid_t pid)
{
	char text[512];
	if (!crew__procfs_read(pid, "stat", text, sizeof(text)))
		return 0;
	const char *end = strrchr(text, ')');
	return end && end[1] == ' ' ? end[2] : 0;
}

void crew__procfs_waits_in(pid_t pid, char *text, size_t size)
{
	if (!crew__procfs_read(pid, "wchan", text, size) || strcmp(text, "0") == 0)
		text[0] = '\0';
}

bool crew__procfs_dumps_core(pid_t pid)
{
	char text[4096];
	return crew__procfs_read(pid, "status", text, sizeof(text)) &&
	       strstr(text, "\nCoreDumping:\t1");
}
