/* log_care.h - what a loop does for the log: lines that wait are tried again, and the master looks
 * once a second whether the file has grown too long or has gone.
 *
 * Between start and stop the timer runs. When lines wait, it is due within CREW__LOG_CARE_SOON_MS, or
 * `posted` is true and the post that sees to that is in the loop's queue. */
#ifndef CREW_PROC_LOG_CARE_H
#define CREW_PROC_LOG_CARE_H

#include "loop/loop.h"
#include "proc/log_file.h"

enum {
	CREW__LOG_CARE_SOON_MS = 50,
	CREW__LOG_LOOK_MS = 1000
};

struct crew__log_care {
	struct crew__loop *loop;
	struct crew__log_file *file; /* NULL: it is not ours to look at */
	/* The settings in force; and: the file is a new one, also for others. With `file` only. */
	const struct crew__settings *(*settings)(void *arg);
	void (*on_new)(void *arg);
	void *arg;
	struct crew__post post;
	_Atomic bool posted;
	struct crew__timer timer;
	uint64_t look_ns; /* when to look next */
};

/* The members up to `arg` are set. -ENOMEM. */
int crew__log_care_start(struct crew__log_care *care);
void crew__log_care_stop(struct crew__log_care *care); /* nothing when it was not started */

#endif
