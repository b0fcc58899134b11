/* launch.c - remembering how the program was started. */
#include "proc/launch.h"

#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

char *crew__launch_absolute(const char *path)
{
	if (path[0] == '/')
		return strdup(path);
	char *cwd = getcwd(NULL, 0), *absolute;
	if (!cwd)
		return NULL;
	if (asprintf(&absolute, "%s/%s", cwd, path) < 0)
		absolute = NULL;
	free(cwd);
	return absolute;
}

static bool is_this_program(const char *path)
{
	struct stat named, running;
	return stat(path, &named) == 0 && stat("/proc/self/exe", &running) == 0 &&
	       named.st_dev == running.st_dev && named.st_ino == running.st_ino;
}

/* The path given to exec keeps links that an installer turns; /proc/self/exe has them resolved. The
 * former is not always there (fexecve), so it must prove to be this very program. */
char *crew__launch_find_program(void)
{
	const char *executed = (const char *)getauxval(AT_EXECFN);
	char *path = executed ? crew__launch_absolute(executed) : NULL;
	if (path && is_this_program(path))
		return path;
	free(path);
	char resolved[4096];
	ssize_t length = readlink("/proc/self/exe", resolved, sizeof(resolved));
	if (length <= 0 || (size_t)length == sizeof(resolved))
		return NULL;
	return strndup(resolved, (size_t)length);
}

static void free_strings(char **strings)
{
	for (size_t i = 0; strings && strings[i]; i++)
		free(strings[i]);
	free(strings);
}

/* A copy of `count` strings with room for `more` and a NULL. */
static char **copy_strings(const char *const *strings, size_t count, size_t more)
{
	char **copies = calloc(count + more + 1, sizeof(char *));
	for (size_t i = 0; copies && i < count; i++) {
		copies[i] = strdup(strings[i]);
		if (!copies[i]) {
			free_strings(copies);
			return NULL;
		}
	}
	return copies;
}

static size_t count_strings(char *const *strings)
{
	size_t count = 0;
	while (strings[count])
		count++;
	return count;
}

int crew__launch_init(struct crew__launch *launch, int argc, char **argv)
{
	*launch = (struct crew__launch){ .cwd_fd = -1 };
	const char *const *strings = (const char *const *)environ;
	launch->path = crew__launch_find_program();
	launch->argv = copy_strings((const char *const *)argv, (size_t)argc, 0);
	launch->variables = count_strings(environ);
	launch->environment = copy_strings(strings, launch->variables, 1);
	launch->cwd_fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int status = launch->path ? 0 : -ENOENT;
	if (!launch->argv || !launch->environment)
		status = -ENOMEM;
	if (status < 0)
		crew__launch_fini(launch);
	return status;
}

void crew__launch_fini(struct crew__launch *launch)
{
	free(launch->path);
	free_strings(launch->argv);
	free_strings(launch->environment);
	if (launch->cwd_fd >= 0)
		close(launch->cwd_fd);
	*launch = (struct crew__launch){ .cwd_fd = -1 };
}

/* A file that is still being copied is refused here, before anything is started from it: the table
 * that an ELF header names stands at a program's very end. */
static bool is_whole(const ElfW(Ehdr) * header, uint64_t size)
{
	unsigned char class = sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32;
	uint64_t end;
	if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_ident[EI_CLASS] != class)
		return false;
	if (__builtin_add_overflow(
		    header->e_shoff, (uint64_t)header->e_shentsize * header->e_shnum, &end))
		return false;
	return end <= size;
}

static int check_program(int fd)
{
	struct stat st;
	ElfW(Ehdr) header;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || !(st.st_mode & 0111))
		return -EACCES;
	if (pread(fd, &header, sizeof(header), 0) != sizeof(header))
		return -ENOEXEC;
	return is_whole(&header, (uint64_t)st.st_size) ? 0 : -ENOEXEC;
}

int crew__launch_open_program(const struct crew__launch *launch, char *ret_error, size_t error_size)
{
	int fd = open(launch->path, O_RDONLY | O_CLOEXEC);
	int status = fd < 0 ? -errno : check_program(fd);
	if (status == 0)
		return fd;
	snprintf(ret_error, error_size,
		"cannot execute %s: %s; install the program there with its execute bit set",
		launch->path,
		status == -ENOEXEC ? "it is no program, or only a part of one" : strerror(-status));
	if (fd >= 0)
		close(fd);
	return status;
}
