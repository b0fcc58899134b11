/* view.c - attach, look, print; for `status -d` again and again. */
#include "cli/view.h"

#include "base/clock.h"
#include "cli/command.h"
#include "cli/connections.h"
#include "cli/screen.h"
#include "cli/status.h"
#include "cli/view_parts.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum {
	OUT_BYTES = 1 << 16
};

int crew__view_complain(const struct crew__view *view, const char *text, int exit_status)
{
	fprintf(stderr, "%s: %s\n", view->settings->name, text);
	return exit_status;
}

int crew__view_exit_status(int error)
{
	return error == -ESRCH ? CREW__NOT_RUNNING : CREW__FAILED;
}

/* What was printed has arrived, or say why not. */
int crew__view_finish(const struct crew__view *view, int error)
{
	char text[CREW__VIEW_LINE_MAX];
	errno = 0;
	if (fflush(stdout) || ferror(stdout)) {
		snprintf(text, sizeof(text), "cannot write the output: %s",
			errno ? strerror(errno) : "an earlier write failed");
		return crew__view_complain(view, text, CREW__FAILED);
	}
	return error ? crew__view_complain(view, "no memory for the output", CREW__FAILED)
		     : CREW__DONE;
}

int crew__view_attach(const struct crew__view *view, struct crew__attached *ret_attached)
{
	char text[CREW__VIEW_LINE_MAX];
	int error = crew__attach(
		view->settings->run_dir, view->settings->name, ret_attached, text, sizeof(text));
	return error ? crew__view_complain(view, text, crew__view_exit_status(error)) : CREW__DONE;
}

/* A screen is written at once. */
void crew__view_buffer(void)
{
	setvbuf(stdout, NULL, _IOFBF, OUT_BYTES);
}

void crew__view_block(sigset_t *ret_signals, sigset_t *ret_old)
{
	sigemptyset(ret_signals);
	sigaddset(ret_signals, SIGINT);
	sigaddset(ret_signals, SIGTERM);
	sigprocmask(SIG_BLOCK, ret_signals, ret_old);
}

/* ---- status -------------------------------------------------------------------------------- */

/* The model as it is now, attached anew: what runs may be another master than a second ago. */
static int take_status(const struct crew__view *view, struct crew__status **ret_status)
{
	struct crew__attached attached;
	char text[CREW__VIEW_LINE_MAX];
	int failed = crew__view_attach(view, &attached);
	if (failed)
		return failed;
	struct crew__status_source source = {
		.attached = &attached,
		.app = view->app,
		.settings = view->settings,
		.run_dir = view->settings->run_dir,
		.name = view->settings->name,
		.now_ns = crew__clock_ns(),
	};
	int error = crew__status_take(&source, ret_status, text, sizeof(text));
	crew__attach_fini(&attached);
	return error ? crew__view_complain(view, text, crew__view_exit_status(error)) : CREW__DONE;
}

static int print_status(const struct crew__view *view, const struct crew__status *status)
{
	struct crew__screen screen;
	crew__screen_init(&screen, stdout);
	if (view->json)
		return crew__view_finish(view, crew__status_json(status, view->watch, stdout));
	if (view->watch)
		crew__screen_clear(&screen);
	int error = crew__status_text(status, &screen);
	if (view->watch && !screen.terminal)
		fputc('\n', stdout);
	return crew__view_finish(view, error);
}

static int show_status(const struct crew__view *view)
{
	struct crew__status *status;
	int failed = take_status(view, &status);
	if (failed)
		return failed;
	failed = print_status(view, status);
	crew__status_free(status);
	return failed;
}

/* True when a signal came before `due_ns`. */
bool crew__view_wait(uint64_t due_ns, const sigset_t *signals)
{
	for (;;) {
		uint64_t now_ns = crew__clock_ns();
		uint64_t left_ns = due_ns > now_ns ? due_ns - now_ns : 0;
		struct timespec left = { .tv_sec = (time_t)(left_ns / CREW__NS_PER_S),
			.tv_nsec = (long)(left_ns % CREW__NS_PER_S) };
		if (sigtimedwait(signals, NULL, &left) > 0)
			return true;
		if (errno != EINTR)
			return false;
	}
}

static int watch_status(const struct crew__view *view, const sigset_t *signals)
{
	struct crew__status *before = NULL, *status;
	uint64_t due_ns = crew__clock_ns();
	int failed;
	do {
		failed = take_status(view, &status);
		if (failed)
			break;
		if (before)
			crew__status_since(status, before);
		failed = print_status(view, status);
		crew__status_free(before);
		before = status;
		due_ns += CREW__NS_PER_S;
	} while (!failed && !crew__view_wait(due_ns, signals));
	crew__status_free(before);
	return failed;
}

int crew__view_status(const struct crew__view *view)
{
	sigset_t signals, old;
	crew__view_buffer();
	if (!view->watch)
		return show_status(view);
	crew__view_block(&signals, &old);
	int exit_status = watch_status(view, &signals);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return exit_status;
}

/* ---- connections --------------------------------------------------------------------------- */

static int print_connections(const struct crew__view *view, const struct crew__connections *all)
{
	struct crew__screen screen;
	crew__screen_init(&screen, stdout);
	if (view->json)
		return crew__view_finish(view, crew__connections_json(all, stdout));
	return crew__view_finish(view, crew__connections_text(all, &screen));
}

int crew__view_unknown_key(const struct crew__view *view, const char *what, const char *nearest)
{
	char text[CREW__VIEW_LINE_MAX];
	int used = snprintf(text, sizeof(text), "%s cannot be sorted by '%s'", what, view->sort);
	if (nearest && used > 0 && (size_t)used < sizeof(text))
		snprintf(text + used, sizeof(text) - (size_t)used, "; did you mean '%s'?", nearest);
	else if (used > 0 && (size_t)used < sizeof(text))
		snprintf(text + used, sizeof(text) - (size_t)used,
			"; the keys are those of '%s --json'", what);
	return crew__view_complain(view, text, CREW__USAGE);
}

int crew__view_connections(const struct crew__view *view)
{
	struct crew__attached attached;
	struct crew__connections all;
	const char *nearest;
	const struct crew__connection_field *field = view->sort ? crew__connection_field_find(
									  view->sort, &nearest)
								: NULL;
	if (view->sort && !field)
		return crew__view_unknown_key(view, "connections", nearest);
	int failed = crew__view_attach(view, &attached);
	if (failed)
		return failed;
	crew__view_buffer();
	if (crew__connections_new(&attached, &all)) {
		failed = crew__view_complain(view, "no memory for the connections", CREW__FAILED);
	} else {
		if (field)
			crew__connections_sort(&all, field);
		failed = print_connections(view, &all);
		crew__connections_fini(&all);
	}
	crew__attach_fini(&attached);
	return failed;
}
