/* spawn.c - from fork to exec: what a new worker process inherits, which is one socket.
 *
 * Between fork and exec only async-signal-safe calls are made. */
#include "proc/child.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The signals of a terminal's process group and of operators are the master's to interpret. They
 * stay blocked until the worker has said what it does with each. */
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

enum {
	VARIABLE_SIZE = 256
};

/* Padded with blanks: the process title will stand there, behind the arguments. */
static void write_variable(char text[VARIABLE_SIZE], int wire_fd)
{
	static const char name[] = CREW__WORKER_VARIABLE "=";
	memcpy(text, name, sizeof(name) - 1);
	char *at = append_number(text + sizeof(name) - 1, (unsigned)wire_fd);
	*at++ = ':';
	at = append_number(at, (unsigned)getppid());
	memset(at, ' ', (size_t)(text + VARIABLE_SIZE - 1 - at));
	text[VARIABLE_SIZE - 1] = '\0';
}

static _Noreturn void give_up(int wire_fd, int error)
{
	const char *name = strerrorname_np(error);
	char text[128] = "the program could not be executed: ";
	strncat(text, name ? name : "unknown error", 32);
	crew__wire_send_text(wire_fd, CREW__MSG_FAILED, text);
	_exit(127);
}

_Noreturn void crew__spawn_exec(
	const struct crew__launch *launch, const struct crew__generation *generation, int wire_fd)
{
	static char variable[VARIABLE_SIZE];
	char **environment = launch->environment;
	block_operator_signals();
	write_variable(variable, wire_fd);
	memmove(environment + 1, environment, launch->variables * sizeof(*environment));
	environment[0] = variable;
	if (launch->cwd_fd >= 0 && fchdir(launch->cwd_fd) < 0)
		give_up(wire_fd, errno);
	/* Ours are close-on-exec from birth; this is for those of the program and its libraries. */
	close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC);
	if (fcntl(wire_fd, F_SETFD, 0) < 0)
		give_up(wire_fd, errno);
	execveat(generation->program_fd, "", launch->argv, environment, AT_EMPTY_PATH);
	give_up(wire_fd, errno);
}
