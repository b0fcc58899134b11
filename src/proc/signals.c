#include "proc/signals.h"

#include <signal.h>

int crew__signals_watch(
	struct crew__loop *loop, const struct crew__signal_use *uses, size_t count, void *arg)
{
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a file at its limit is a failed write, not a death */
	for (size_t i = 0; i < count; i++) {
		int status = crew__loop_signal(loop, uses[i].signo, uses[i].fn, arg);
		if (status < 0)
			return status;
	}
	return 0;
}
