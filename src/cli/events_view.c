/* events_view.c - `events`, and `events -f`, which goes on until it is interrupted or the program
 * has stopped. */
#include "cli/events.h"

#include "base/clock.h"
#include "cli/command.h"
#include "cli/view_parts.h"

#include <string.h>

enum {
	LOOK_MS = 200
};

/* One run of the command. */
struct run {
	const struct crew__view *view;
	struct crew__attached attached;
	struct crew__event_reader reader;
};

static int print_new(struct run *run)
{
	struct crew__event_rows rows;
	int error = crew__event_reader_take(&run->reader, &run->attached, &rows);
	if (error)
		return crew__view_complain(run->view, "no memory for the events", CREW__FAILED);
	if (run->view->json)
		error = crew__event_rows_json(&rows, run->view->follow, stdout);
	else
		crew__event_rows_text(&rows, stdout);
	crew__event_rows_fini(&rows);
	return crew__view_finish(run->view, error);
}

/* Has a worker come or gone since the directory was copied, or the master itself? */
static bool is_old(const struct run *run)
{
	uint32_t sequence = atomic_load_explicit(
		&run->attached.directory.header->sequence, memory_order_acquire);
	return sequence != run->attached.copy->sequence ||
	       crew__look_process(run->attached.master).gone;
}

/* -ESRCH: the program has stopped. Any other failure passes: what is attached is still there. */
static bool has_stopped(struct run *run)
{
	char text[CREW__VIEW_LINE_MAX];
	const struct crew__settings *settings = run->view->settings;
	return crew__attach_refresh(&run->attached, settings->run_dir, settings->name, text,
		       sizeof(text)) == -ESRCH;
}

/* What is attached is read to its end before it is changed for what is there now. */
static int follow(struct run *run, const sigset_t *signals)
{
	uint64_t due_ns = crew__clock_ns();
	for (;;) {
		bool old = is_old(run);
		int failed = print_new(run);
		if (failed)
			return failed;
		if (old && has_stopped(run))
			return CREW__DONE;
		due_ns += LOOK_MS * CREW__NS_PER_MS;
		if (crew__view_wait(due_ns, signals))
			return CREW__DONE;
	}
}

int crew__view_events(const struct crew__view *view)
{
	struct run run = { .view = view };
	sigset_t signals, old;
	int failed = crew__view_attach(view, &run.attached);
	if (failed)
		return failed;
	crew__view_buffer();
	if (view->follow) {
		crew__view_block(&signals, &old);
		failed = follow(&run, &signals);
		sigprocmask(SIG_SETMASK, &old, NULL);
	} else {
		failed = print_new(&run);
	}
	crew__event_reader_fini(&run.reader);
	crew__attach_fini(&run.attached);
	return failed;
}
