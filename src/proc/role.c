/* role.c - writing and reading the variable, and from fork to exec.
 *
 * Between fork and exec only async-signal-safe calls are made. */
#include "proc/role.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
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

void crew__role_block_signals(void)
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

/* Ours are close-on-exec from birth; closing all is for those of the program and its libraries. */
static int leave_open(int fd, const struct crew__role_fds *more)
{
	close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC);
	for (size_t i = 0; more && i < more->count; i++)
		if (fcntl(more->fds[i], F_SETFD, 0) < 0)
			return errno;
	return fcntl(fd, F_SETFD, 0) < 0 ? errno : 0;
}

int crew__role_become(const struct crew__launch *launch, int program_fd, const char *name, int fd,
	const struct crew__role_fds *more, pid_t master)
{
	static char variable[CREW__ROLE_SIZE];
	char **environment = launch->environment;
	crew__role_write(variable, name, fd, master);
	memmove(environment + 1, environment, (launch->variables + 1) * sizeof(*environment));
	environment[0] = variable;
	int error = launch->cwd_fd >= 0 && fchdir(launch->cwd_fd) < 0 ? errno : 0;
	if (error == 0)
		error = leave_open(fd, more);
	if (error == 0) {
		execveat(program_fd, "", launch->argv, environment, AT_EMPTY_PATH);
		error = errno;
	}
	memmove(environment, environment + 1, (launch->variables + 1) * sizeof(*environment));
	return error;
}

_Noreturn void crew__role_exec(const struct crew__launch *launch, int program_fd, const char *name,
	int fd, const struct crew__role_fds *more, pid_t master)
{
	crew__role_block_signals();
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == master)
		crew__role_become(launch, program_fd, name, fd, more, master);
	_exit(127);
}
