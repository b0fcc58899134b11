/* log_care.c - a hook for lines that begin to wait, and a timer for all else. */
#include "proc/log_care.h"

#include "base/clock.h"

static void start_timer(struct crew__log_care *care, uint64_t due_ns)
{
	/* Without memory for it the next turn tries again. */
	if (care->timer.place == 0 || care->timer.due_ns > due_ns)
		(void)crew__timer_start(care->loop, &care->timer, due_ns);
}

static bool on_turn_end(struct crew__turn_hook *hook)
{
	struct crew__log_care *care = crew__container_of(hook, struct crew__log_care, hook);
	uint64_t now = crew__loop_ns(care->loop);
	if (crew__log_waits())
		start_timer(care, now + CREW__LOG_CARE_SOON_MS * CREW__NS_PER_MS);
	if (care->file)
		start_timer(care, care->look_ns);
	return false;
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
}

int crew__log_care_start(struct crew__log_care *care)
{
	care->hook = (struct crew__turn_hook){ .fn = on_turn_end };
	care->timer = (struct crew__timer){ .fn = on_timer };
	care->look_ns = crew__clock_ns() + CREW__LOG_LOOK_MS * CREW__NS_PER_MS;
	crew__loop_add_hook(care->loop, &care->hook);
	return crew__timer_start(care->loop, &care->timer, care->look_ns);
}

void crew__log_care_stop(struct crew__log_care *care)
{
	if (!care->hook.fn)
		return;
	crew__loop_remove_hook(care->loop, &care->hook);
	crew__timer_stop(care->loop, &care->timer);
	care->hook.fn = NULL;
}
