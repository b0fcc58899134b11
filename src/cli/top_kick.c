/* top_kick.c - a kick beside a live screen. Not here: what a kick does (act.h). */
#include "cli/top_kick.h"

#include "cli/command.h"
#include "cli/top_term.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

void crew__top_kick_init(struct crew__top_kick *kick)
{
	*kick = (struct crew__top_kick){ .words = -1 };
}

/* The child: its words go into the pipe, and nothing of ours is touched. */
static _Noreturn void run(const struct crew__settings *settings, uint64_t id, int words)
{
	char argument[17];
	struct crew__act act = { .settings = settings, .argument = argument };
	sigset_t none;
	int status = CREW__FAILED;
	crew__terminal_forget();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	snprintf(argument, sizeof(argument), "%016" PRIx64, id);
	if (dup2(words, STDOUT_FILENO) >= 0 && dup2(words, STDERR_FILENO) >= 0)
		status = crew__act_kick(&act);
	fflush(stdout);
	_exit(status);
}

int crew__top_kick_start(
	struct crew__top_kick *kick, const struct crew__settings *settings, uint64_t id)
{
	int ends[2];
	if (kick->pid)
		return -EBUSY;
	fflush(stdout); /* what is in it must not be written twice */
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	pid_t pid = fork();
	if (pid == 0)
		run(settings, id, ends[1]);
	int error = pid < 0 ? -errno : 0;
	close(ends[1]);
	if (error) {
		close(ends[0]);
		return error;
	}
	*kick = (struct crew__top_kick){ .pid = pid, .words = ends[0] };
	return 0;
}

/* The last line says how it came out. */
static void keep_last_line(struct crew__top_kick *kick)
{
	char *text = kick->text;
	while (kick->len > 0 && text[kick->len - 1] == '\n')
		kick->len--;
	text[kick->len] = '\0';
	char *last = strrchr(text, '\n');
	if (last)
		memmove(text, last + 1, strlen(last + 1) + 1);
}

static int reap(struct crew__top_kick *kick)
{
	int status = 0;
	while (waitpid(kick->pid, &status, 0) < 0 && errno == EINTR)
		;
	close(kick->words);
	kick->pid = 0;
	kick->words = -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : CREW__FAILED;
}

bool crew__top_kick_read(struct crew__top_kick *kick, int *ret_status)
{
	char words[512];
	ssize_t n = read(kick->words, words, sizeof(words));
	if (n > 0) {
		size_t room = sizeof(kick->text) - 1 - kick->len;
		size_t taken = crew__min((size_t)n, room);
		memcpy(kick->text + kick->len, words, taken);
		kick->len += taken;
	}
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return false;
	*ret_status = reap(kick);
	keep_last_line(kick);
	if (!kick->text[0])
		snprintf(kick->text, sizeof(kick->text), "%s",
			*ret_status == CREW__DONE ? "kicked" : "the kick failed");
	return true;
}

void crew__top_kick_fini(struct crew__top_kick *kick)
{
	if (kick->words >= 0)
		close(kick->words);
	crew__top_kick_init(kick);
}
