/* signals.c - signals as events of the loop.
 *
 * A signal with a handler is blocked and read from a signalfd, so handlers are ordinary code. It
 * stays blocked when the loop goes: one that is still pending must not end the process with its
 * default action while it tidies up. Call crew__loop_signal before any thread is made; threads
 * inherit the mask.
 *
 * On fork: the child inherits the mask, and exec keeps it; crew__loop_unblock_signals goes between
 * the two. */
#include "loop/parts.h"

#include <sys/signalfd.h>
#include <unistd.h>

enum {
	BATCH = 16
};

/* What this process blocked that was not blocked before. The mask belongs to the process, and so
 * does this. */
static sigset_t blocked_here;

static void on_signals(struct crew__source *source, unsigned events)
{
	(void)events;
	struct crew__signals *signals = crew__container_of(source, struct crew__signals, source);
	struct signalfd_siginfo batch[BATCH];
	ssize_t size = read(source->fd, batch, sizeof(batch));
	/* A negative size: another loop of this process was faster. The rest comes next turn. */
	for (ssize_t i = 0; i < size / (ssize_t)sizeof(batch[0]); i++) {
		unsigned signo = batch[i].ssi_signo;
		if (signo < crew__lengthof(signals->handlers) && signals->handlers[signo].fn)
			signals->handlers[signo].fn((int)signo, signals->handlers[signo].arg);
	}
}

void crew__signals_init(struct crew__signals *signals)
{
	signals->source = (struct crew__source){ .fn = on_signals, .fd = -1 };
	sigemptyset(&signals->set);
}

void crew__signals_fini(struct crew__signals *signals, struct crew__loop *loop)
{
	int fd = signals->source.fd;
	if (fd < 0)
		return;
	crew__loop_remove(loop, &signals->source);
	close(fd);
}

/* Blocked first: a signal that comes in between waits for the signalfd. */
static int block(int signo)
{
	sigset_t one, old;
	sigemptyset(&one);
	sigaddset(&one, signo);
	int error = -pthread_sigmask(SIG_BLOCK, &one, &old);
	if (!error && !sigismember(&old, signo))
		sigaddset(&blocked_here, signo);
	return error;
}

static int open_signalfd(struct crew__loop *loop, const sigset_t *set)
{
	struct crew__source *source = &loop->signals.source;
	int fd = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	source->fd = fd;
	int error = crew__loop_add(loop, source, CREW__READ);
	if (error) {
		source->fd = -1;
		close(fd);
	}
	return error;
}

static int read_also(struct crew__loop *loop, const sigset_t *set)
{
	if (loop->signals.source.fd < 0)
		return open_signalfd(loop, set);
	return signalfd(loop->signals.source.fd, set, 0) < 0 ? -errno : 0;
}

int crew__loop_signal(
	struct crew__loop *loop, int signo, void (*fn)(int signo, void *arg), void *arg)
{
	struct crew__signals *signals = &loop->signals;
	sigset_t set = signals->set;
	if (!fn || signo == SIGKILL || signo == SIGSTOP || sigaddset(&set, signo) < 0)
		return -EINVAL;
	if (!signals->handlers[signo].fn) {
		int error = block(signo);
		if (!error)
			error = read_also(loop, &set);
		if (error)
			return error;
		signals->set = set;
	}
	signals->handlers[signo].fn = fn;
	signals->handlers[signo].arg = arg;
	return 0;
}

void crew__loop_unblock_signals(void)
{
	pthread_sigmask(SIG_UNBLOCK, &blocked_here, NULL);
}
