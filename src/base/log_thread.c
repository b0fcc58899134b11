/* log_thread.c - the thread that writes the log when it is a file.
 *
 * A write to a file ends in the kernel's memory and is quick, until the disk stands still: then it
 * waits, and there is no flag by which most file systems would say so instead. So the loop only
 * leaves lines in the queue. The thread takes all that stands there, lets go of the lock, and
 * writes; lines that come meanwhile find an empty queue. */
#include "base/log_inner.h"

#include "base/clock.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum {
	STACK_SIZE = 256 * 1024
};

#define STATE crew__log_state

/* What the thread is writing; only it looks at it while thread_busy. */
static struct crew__log_out taken;

/* ---- the thread ---------------------------------------------------------------------------- */

static bool has_work(void)
{
	return STATE.out.kind == CREW__LOG_FILE && STATE.out.len > 0 && STATE.thread_fd >= 0;
}

static void take_queue(void)
{
	memcpy(taken.queue, STATE.out.queue, STATE.out.len);
	taken.len = STATE.out.len;
	taken.done = 0;
	taken.lost = 0;
	taken.torn = STATE.out.torn;
	taken.fd = STATE.busy_fd = STATE.thread_fd;
	taken.kind = CREW__LOG_FILE;
	STATE.out.len = 0;
	STATE.out.torn = false;
	STATE.thread_busy = true;
}

static void settle(void)
{
	STATE.thread_busy = false;
	STATE.out.lost += taken.lost;
	if (taken.lost > 0)
		STATE.out.error = taken.error;
	if (STATE.busy_fd == STATE.thread_fd)
		STATE.out.torn = taken.torn;
	else
		close(STATE.busy_fd);
	if (STATE.counter)
		__atomic_store_n(STATE.counter, STATE.out.lost, __ATOMIC_RELAXED);
	if (STATE.out.len == 0) {
		STATE.thread_behind = false;
		STATE.unwritten = false;
	}
	pthread_cond_broadcast(&STATE.done);
}

static void *run(void *arg)
{
	pthread_mutex_lock(&STATE.lock);
	while (has_work() || !STATE.thread_ends) {
		if (!has_work()) {
			pthread_cond_wait(&STATE.work, &STATE.lock);
			continue;
		}
		take_queue();
		pthread_mutex_unlock(&STATE.lock);
		crew__log_out_flush(&taken);
		pthread_mutex_lock(&STATE.lock);
		settle();
	}
	STATE.thread_runs = false;
	pthread_cond_broadcast(&STATE.done);
	pthread_mutex_unlock(&STATE.lock);
	return arg;
}

/* ---- beginning and following --------------------------------------------------------------- */

static void before_fork(void)
{
	pthread_mutex_lock(&STATE.lock);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&STATE.lock);
}

/* What waits is the parent's to write. */
static void after_fork_in_child(void)
{
	STATE.thread_allowed = STATE.thread_runs = STATE.thread_busy = false;
	if (STATE.thread_fd >= 0)
		close(STATE.thread_fd);
	STATE.thread_fd = -1;
	STATE.out.len = STATE.out.done = 0;
	STATE.waits = false;
	STATE.unwritten = false;
	pthread_cond_init(&STATE.work, NULL);
	pthread_cond_init(&STATE.done, NULL);
	pthread_mutex_unlock(&STATE.lock);
}

static bool start(void)
{
	static bool forks_known;
	pthread_attr_t how;
	sigset_t all, before;
	if (!forks_known && pthread_atfork(before_fork, after_fork, after_fork_in_child) != 0)
		return false;
	forks_known = true;
	if (pthread_attr_init(&how) != 0)
		return false;
	pthread_attr_setstacksize(&how, STACK_SIZE);
	/* Signals are for the loop. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	STATE.thread_ends = false;
	STATE.thread_runs = pthread_create(&STATE.thread, &how, run, NULL) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&how);
	if (STATE.thread_runs)
		pthread_setname_np(STATE.thread, "crew-log");
	return STATE.thread_runs;
}

void crew__log_thread_follow(void)
{
	int old = STATE.thread_fd;
	bool mine = STATE.thread_allowed && STATE.out.kind == CREW__LOG_FILE && STATE.out.fd >= 0;
	STATE.thread_fd = mine ? fcntl(STATE.out.fd, F_DUPFD_CLOEXEC, 0) : -1;
	if (old >= 0 && !(STATE.thread_busy && STATE.busy_fd == old))
		close(old);
	if (STATE.thread_runs)
		pthread_cond_signal(&STATE.work);
}

void crew__log_thread_allow(void)
{
	pthread_mutex_lock(&STATE.lock);
	STATE.thread_allowed = true;
	crew__log_thread_follow();
	pthread_mutex_unlock(&STATE.lock);
}

bool crew__log_thread_takes(void)
{
	return STATE.thread_fd >= 0 && (STATE.thread_runs || start());
}

bool crew__log_thread_put(const char *entry, size_t length)
{
	/* Who logs faster than the disk takes it is held to the disk's pace, as long as it has one.
	 */
	if (!crew__log_out_room(&STATE.out, length, 1) && !STATE.thread_behind)
		(void)crew__log_thread_wait(CREW__LOG_PATIENCE_MS);
	if (!crew__log_out_room(&STATE.out, length, 1)) {
		STATE.out.lost++;
		STATE.out.error = EAGAIN;
		return false;
	}
	STATE.unwritten = true;
	crew__log_out_append(&STATE.out, entry, length);
	if (!STATE.thread_busy)
		pthread_cond_signal(&STATE.work);
	return true;
}

/* ---- waiting and ending -------------------------------------------------------------------- */

static struct timespec after_ms(unsigned ms)
{
	uint64_t due = crew__clock_ns() + ms * CREW__NS_PER_MS;
	return (struct timespec){
		.tv_sec = (time_t)(due / CREW__NS_PER_S),
		.tv_nsec = (long)(due % CREW__NS_PER_S),
	};
}

bool crew__log_thread_wait(unsigned ms)
{
	struct timespec due = after_ms(ms);
	while (STATE.thread_runs && (STATE.thread_busy || has_work()))
		if (pthread_cond_clockwait(&STATE.done, &STATE.lock, CLOCK_MONOTONIC, &due) != 0) {
			STATE.thread_behind = true;
			return false;
		}
	return true;
}

void crew__log_before_death(void)
{
	const struct timespec nap = { .tv_nsec = (long)CREW__NS_PER_MS };
	for (int i = 0; i < CREW__LOG_PATIENCE_MS && STATE.unwritten; i++)
		nanosleep(&nap, NULL);
}

void crew__log_thread_end(unsigned ms)
{
	struct timespec due = after_ms(ms);
	pthread_mutex_lock(&STATE.lock);
	bool began = STATE.thread_runs;
	STATE.thread_allowed = false;
	STATE.thread_ends = true;
	pthread_cond_signal(&STATE.work);
	while (STATE.thread_runs &&
		pthread_cond_clockwait(&STATE.done, &STATE.lock, CLOCK_MONOTONIC, &due) == 0)
		;
	bool ended = !STATE.thread_runs;
	if (ended) {
		crew__log_thread_follow();
	} else {
		/* It hangs in the kernel. Whoever wrote there now would hang as well. */
		STATE.out.fd = -1;
		crew__log_out_drop(&STATE.out);
	}
	pthread_mutex_unlock(&STATE.lock);
	if (began && ended)
		pthread_join(STATE.thread, NULL);
}
