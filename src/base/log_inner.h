/* log_inner.h - what log.c and its thread share. Not for others (log.h is).
 *
 * `lock` guards all of it. Between two holders of the lock:
 *   thread_busy    a copy of what stood in the queue is being written to `busy_fd`, and comes
 * before all that stands there now thread_behind  somebody waited for the thread in vain, and it
 * has not caught up since */
#ifndef CREW_BASE_LOG_INNER_H
#define CREW_BASE_LOG_INNER_H

#include "base/log.h"
#include "base/log_out.h"

#include <pthread.h>

struct crew__log_state {
	pthread_mutex_t lock;
	struct crew__log_out out;
	_Atomic int kind; /* out.kind, for those who make a line before they have the lock */
	_Atomic bool waits;
	void (*on_wait)(void *arg);
	void *on_wait_arg;
	bool journal;
	uint64_t told;          /* of out.lost */
	uint64_t *counter;      /* out.lost, for others to see; NULL */
	_Atomic bool unwritten; /* by the thread */
	bool thread_allowed, thread_runs, thread_busy, thread_behind, thread_ends;
	int thread_fd; /* the thread's own duplicate of out.fd when that is a file; -1 */
	int busy_fd;
	pthread_t thread;
	pthread_cond_t work, done;
};
extern struct crew__log_state crew__log_state;

/* All with the lock held. */

/* out.fd is another one. */
void crew__log_thread_follow(void);
/* The next line is the thread's: the place is a file, and the thread runs or has just begun. */
bool crew__log_thread_takes(void);
bool crew__log_thread_put(const char *entry, size_t length);
/* Until all is written, at most `ms`. False: it is not. */
bool crew__log_thread_wait(unsigned ms);

#endif
