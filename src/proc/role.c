/* role.c - writing and reading the variable, and from fork to exec.
 *
 * Between fork and exec only async-signal-safe calls are made. */
#include "proc/role.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Digits by hand: printf is not for a forked child. */
static char *append_number(char *at, unsigned number)
{
	char digits[12];
	size_t count = 0;
	do
		digits[count++] = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	while (count > 0)
		*at++ = digits[--count];
	return at;
}

void crew__role_write(char text[CREW__ROLE_SIZE], const char *name, int fd, pid_t master)
{
	size_t length = strlen(name);
	memcpy(text, name, length);
	char *at = text + length;
	*at++ = '=';
	at = append_number(at, (unsigned)fd);
	*at++ = ':';
	at = append_number(at, (unsigned)master);
	memset(at, ' ', (size_t)(text + CREW__ROLE_SIZE - 1 - at));
	text[CREW__ROLE_SIZE - 1] = '\0';
}

bool crew__role_take(const char *name, int *ret_fd, pid_t *ret_master)
{
	const char *text = getenv(name);
	int fd, master, length = 0;
	if (!text)
		return false;
	bool parsed = sscanf(text, "%d:%d %n", &fd, &master, &length) == 2 && text[length] == '\0';
	unsetenv(name);
	if (!parsed || fd < 0)
		return false;
	*ret_fd = fd;
	*ret_master = master;
	return true;
}

int crew__role_fd(const char *name)
{
	int fd;
	pid_t master;
	if (!crew__role_take(name, &fd, &master) || master != getppid() ||
		fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -1;
	return fd;
}

/* The signals of a terminal's process group and of operators are the master's to interpret. They
 * stay blocked until the process has said what it does with each. */
static void block_operator_signals(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_SETMASK, &set, NULL);
}

int crew__role_become(
	const struct crew__launch *launch, int program_fd, const char *name, int fd, pid_t master)
{
	static char variable[CREW__ROLE_SIZE];
	char **environment = launch->environment;
	block_operator_signals();
	crew__role_write(variable, name, fd, master);
	memmove(environment + 1, environment, launch->variables * sizeof(*environment));
	environment[0] = variable;
	if (launch->cwd_fd >= 0 && fchdir(launch->cwd_fd) < 0)
		return errno;
	/* Ours are close-on-exec from birth; this is for those of the program and its libraries. */
	close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC);
	if (fcntl(fd, F_SETFD, 0) < 0)
		return errno;
	execveat(program_fd, "", launch->argv, environment, AT_EMPTY_PATH);
	return errno;
}

_Noreturn void crew__role_exec(
	const struct crew__launch *launch, int program_fd, const char *name, int fd)
{
	crew__role_become(launch, program_fd, name, fd, getppid());
	_exit(127);
}
