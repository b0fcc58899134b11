/* succession.c - the last step of a reload: the master becomes the new program itself.
 *
 * Between two turns of a reload in its last step (`tries` above 0) either a rehearsal runs or the
 * timer waits for the next try. */
#include "proc/testament.h"

#include "base/clock.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	PAUSE_MS = 100,
	LOG_END_MS = 1000,
	TRIES = 50, /* while some worker does not take what it is told */
};

static struct crew__bequest bequest; /* large; one loop, one thread */

/* False: no memory for the timer. */
static bool arm(struct crew__succession *succession, struct crew__loop *loop, uint64_t ms)
{
	uint64_t due = crew__clock_ns() + ms * CREW__NS_PER_MS;
	return crew__timer_start(loop, &succession->timer, due) == 0;
}

static void end(struct crew__master *master)
{
	struct crew__succession *succession = &master->succession;
	crew__timer_stop(master->loop, &succession->timer);
	if (succession->rehearsal > 0)
		close(succession->testament_fd);
	succession->rehearsal = 0;
	succession->tries = 0;
}

static void give_up(struct crew__master *master, const char *why)
{
	end(master);
	crew__reload_succeeded(master, why);
}

static void rehearse(struct crew__master *master)
{
	struct crew__succession *succession = &master->succession;
	char why[512];
	succession->tries++;
	int fd = crew__testament_write(master, &bequest, why, sizeof(why));
	if (fd < 0) {
		give_up(master, why);
		return;
	}
	pid_t pid = crew__testament_rehearse(master, fd, &bequest);
	if (pid < 0) {
		snprintf(why, sizeof(why), "no process for its rehearsal: %s", strerror(-pid));
		close(fd);
		give_up(master, why);
		return;
	}
	succession->rehearsal = pid;
	succession->testament_fd = fd;
	succession->rehearsed = bequest.count;
	if (!arm(succession, master->loop, CREW__REHEARSAL_MS))
		kill(pid, SIGKILL);
}

static void try_now(struct crew__master *master)
{
	struct crew__succession *succession = &master->succession;
	if (succession->tries > TRIES)
		give_up(master, "there was no quiet moment for it");
	/* What is owed is not written down. */
	else if (!crew__family_owes(&master->family))
		rehearse(master);
	else if (++succession->tries > TRIES || !arm(succession, master->loop, PAUSE_MS))
		give_up(master, "a worker does not take what it is told");
}

static void on_timer(struct crew__timer *timer)
{
	struct crew__succession *succession = crew__container_of(
		timer, struct crew__succession, timer);
	struct crew__master *master = crew__container_of(
		succession, struct crew__master, succession);
	/* Its end tells the rest. */
	if (succession->rehearsal > 0)
		kill(succession->rehearsal, SIGKILL);
	else
		try_now(master);
}

void crew__succession_begin(struct crew__master *master)
{
	master->succession = (struct crew__succession){ .tries = 1, .timer = { .fn = on_timer } };
	try_now(master);
}

/* The rehearsal is over, and what was rehearsed is not what there is now. */
static void try_again(struct crew__master *master)
{
	struct crew__succession *succession = &master->succession;
	unsigned tries = succession->tries;
	end(master);
	succession->tries = tries;
	try_now(master);
}

/* As all is now, which is not quite what was rehearsed. */
static void execute(struct crew__master *master)
{
	char why[512];
	if (crew__family_owes(&master->family)) {
		try_again(master);
		return;
	}
	crew__backlog_look(&master->backlog);
	int fd = crew__testament_write(master, &bequest, why, sizeof(why));
	if (fd < 0) {
		give_up(master, why);
		return;
	}
	/* There is no way back if they were more than a process may have. */
	if (bequest.count > master->succession.rehearsed) {
		close(fd);
		try_again(master);
		return;
	}
	end(master);
	crew__log(CREW_DEBUG, "the master executes the program of generation %u",
		master->generation->number);
	crew__log_flush(LOG_END_MS);
	crew__log_thread_end(LOG_END_MS);
	int error = crew__testament_execute(master, fd, &bequest);
	crew__log_thread_allow();
	close(fd);
	snprintf(why, sizeof(why), "it cannot be executed: %s", strerror(error));
	crew__reload_succeeded(master, why);
}

void crew__succession_ended(struct crew__master *master, pid_t pid, int wait_status)
{
	struct crew__succession *succession = &master->succession;
	char why[1024];
	if (succession->rehearsal != pid || pid <= 0)
		return;
	if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0 &&
		crew__testament_rehearsed(succession->testament_fd)) {
		execute(master);
		return;
	}
	if (WIFSIGNALED(wait_status))
		snprintf(why, sizeof(why), "its rehearsal ended by SIG%s (it has %d s)",
			sigabbrev_np(WTERMSIG(wait_status)), CREW__REHEARSAL_MS / 1000);
	else
		crew__testament_refusal(succession->testament_fd, why, sizeof(why));
	give_up(master, why);
}

void crew__succession_cancel(struct crew__master *master)
{
	if (master->succession.rehearsal > 0)
		kill(master->succession.rehearsal, SIGKILL);
	if (master->succession.tries > 0)
		end(master);
}
