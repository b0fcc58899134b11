/* asked.c - the question by a signal, and the handler that answers. */
#include "proc/asked.h"

#include "proc/stack.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
	struct crew__words *words;
	pid_t master, pid;
	uint32_t serial;
	bool ours;
} self;

static void on_asked(int signo, siginfo_t *info, void *context)
{
	int callers_errno = errno;
	(void)signo;
	/* Only the worker's own thread, which has the process's number, is asked for. */
	if (info->si_code != SI_TKILL || info->si_pid != self.master || gettid() != self.pid ||
		!self.words)
		return;
	struct crew__stack *stack = &self.words->asked;
	crew__stack_take(stack, context);
	crew__stack_name(stack);
	self.serial += self.serial == UINT32_MAX ? 2 : 1; /* never 0 */
	atomic_store_explicit(&stack->serial, self.serial, memory_order_release);
	errno = callers_errno;
}

void crew__asked_begin(struct crew__words *words, pid_t master)
{
	struct sigaction present;
	struct sigaction action = { .sa_sigaction = on_asked,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };
	sigemptyset(&action.sa_mask);
	if (!words || sigaction(SIGURG, NULL, &present) != 0 || (present.sa_flags & SA_SIGINFO) ||
		present.sa_handler != SIG_DFL)
		return;
	self.words = words;
	self.master = master;
	self.pid = getpid();
	self.ours = sigaction(SIGURG, &action, NULL) == 0;
}

void crew__asked_end(void)
{
	struct sigaction present, plain = { .sa_handler = SIG_DFL };
	if (self.ours && sigaction(SIGURG, NULL, &present) == 0 &&
		(present.sa_flags & SA_SIGINFO) && present.sa_sigaction == on_asked)
		sigaction(SIGURG, &plain, NULL);
	self.ours = false;
	self.words = NULL;
}

bool crew__ask(pid_t worker)
{
	return syscall(SYS_tgkill, worker, worker, SIGURG) == 0;
}
