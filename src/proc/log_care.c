/* log_care.c - a timer, and a post that begins it when lines begin to wait: a turn in which none do
 * pays nothing for the log. */
#include "proc/log_care.h"

#include "base/check.h"
#include "base/clock.h"

#include <stdatomic.h>

/* It runs for as long as the care lasts, so that this never asks for memory. */
static void arm(struct crew__log_care *care)
{
	uint64_t due = care->file ? care->look_ns : UINT64_MAX;
	uint64_t soon = crew__loop_ns(care->loop) + CREW__LOG_CARE_SOON_MS * CREW__NS_PER_MS;
	if (crew__log_waits())
		due = crew__min(due, soon);
	crew__must(crew__timer_start(care->loop, &care->timer, due) == 0);
}

static void forget_post(void *arg)
{
	struct crew__log_care *care = arg;
	care->posted = false;
}

static void on_post(void *arg)
{
	forget_post(arg);
	arm(arg);
}

/* From any thread, with the log's lock held. */
static void on_wait(void *arg)
{
	struct crew__log_care *care = arg;
	if (!atomic_exchange(&care->posted, true) &&
		crew__loop_post_kept(care->loop, &care->post) < 0)
		care->posted = false; /* the loop ends, and with it the log is flushed */
}

static void look(struct crew__log_care *care)
{
	const struct crew__settings *settings = care->settings(care->arg);
	care->look_ns = crew__loop_ns(care->loop) + CREW__LOG_LOOK_MS * CREW__NS_PER_MS;
	if (crew__log_file_look(care->file, settings->log_size, settings->log_keep))
		care->on_new(care->arg);
}

static void on_timer(struct crew__timer *timer)
{
	struct crew__log_care *care = crew__container_of(timer, struct crew__log_care, timer);
	crew__log_flush(0);
	if (care->file && crew__loop_ns(care->loop) >= care->look_ns)
		look(care);
	arm(care);
}

int crew__log_care_start(struct crew__log_care *care)
{
	care->post = (struct crew__post){
		.fn = on_post, .drop = forget_post, .arg = care, .kept = true
	};
	care->timer = (struct crew__timer){ .fn = on_timer };
	care->look_ns = crew__clock_ns() + CREW__LOG_LOOK_MS * CREW__NS_PER_MS;
	int error = crew__timer_start(
		care->loop, &care->timer, care->file ? care->look_ns : UINT64_MAX);
	if (error == 0)
		crew__log_on_wait(on_wait, care);
	return error;
}

void crew__log_care_stop(struct crew__log_care *care)
{
	if (!care->timer.fn)
		return;
	crew__log_on_wait(NULL, NULL);
	crew__timer_stop(care->loop, &care->timer);
	care->timer.fn = NULL;
}
