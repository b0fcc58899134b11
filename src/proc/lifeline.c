/* lifeline.c - the signal of a parent's death, and a timer whose signal is SIGKILL.
 *
 * SIGSTKFLT is sent by nothing on Linux. The handler makes one async-signal-safe call. */
#include "proc/lifeline.h"

#include <signal.h>
#include <sys/prctl.h>
#include <time.h>

static timer_t last_resort;

static void on_parent_death(int signo)
{
	const struct itimerspec soon = { .it_value = { .tv_sec = CREW__LIFELINE_S } };
	(void)signo;
	timer_settime(last_resort, 0, &soon, NULL);
}

int crew__lifeline_tie(void)
{
	struct sigevent kill_us = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL };
	struct sigaction action = { .sa_handler = on_parent_death, .sa_flags = SA_RESTART };
	if (timer_create(CLOCK_MONOTONIC, &kill_us, &last_resort) < 0 ||
		sigaction(SIGSTKFLT, &action, NULL) < 0 || prctl(PR_SET_PDEATHSIG, SIGSTKFLT) < 0)
		return -errno;
	return 0;
}
