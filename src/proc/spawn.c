/* spawn.c - from fork to exec: what a new worker process inherits, which is one socket, and
 * two pipes for what it prints (output.h).
 *
 * Between fork and exec only async-signal-safe calls are made. */
#include "proc/child.h"

#include "proc/role.h"

#include <string.h>
#include <unistd.h>

static int redirect_output(const int output_fds[2])
{
	for (int i = 0; i < 2; i++)
		if (output_fds[i] >= 0 && dup2(output_fds[i], STDOUT_FILENO + i) < 0)
			return errno;
	return 0;
}

_Noreturn void crew__spawn_exec(const struct crew__launch *launch,
	const struct crew__generation *generation, int wire_fd, const int output_fds[2])
{
	char text[128] = "the program could not be executed: ";
	crew__role_block_signals();
	int error = redirect_output(output_fds);
	if (error == 0)
		error = crew__role_become(launch, generation->program_fd, CREW__WORKER_VARIABLE,
			wire_fd, NULL, getppid());
	const char *name = strerrorname_np(error);
	strncat(text, name ? name : "unknown error", 32);
	crew__wire_send_text(wire_fd, CREW__MSG_FAILED, text);
	_exit(127);
}
