/* top_plain.c - `top` for files, pipes and programs. Not here: the live screen (top.c). */
#include "cli/top_plain.h"

#include "base/clock.h"
#include "cli/command.h"
#include "cli/connections_json.h"
#include "cli/top_draw.h"
#include "cli/view_parts.h"

#include <stdlib.h>

enum {
	SLOWEST = 20 /* connections of a screen or a document */
};

int crew__top_take(const struct crew__view *view, const struct crew__top_order *order,
	const struct crew__top_look *before, struct crew__top_look **ret_look, char *ret_error,
	size_t error_size)
{
	struct crew__attached attached;
	const struct crew__settings *settings = view->settings;
	int error = crew__attach(
		settings->run_dir, settings->name, &attached, ret_error, error_size);
	if (error)
		return error;
	struct crew__status_source source = {
		.attached = &attached,
		.app = view->app,
		.settings = settings,
		.run_dir = settings->run_dir,
		.name = settings->name,
		.now_ns = crew__clock_ns(),
	};
	error = crew__top_look_new(&source, before, ret_look, ret_error, error_size);
	crew__attach_fini(&attached);
	if (!error)
		crew__top_look_arrange(*ret_look, order);
	return error;
}

/* ---- JSON ---------------------------------------------------------------------------------- */

static json_t *slowest_of(const struct crew__top_look *look, size_t most)
{
	json_t *array = json_array();
	size_t count = crew__min(most, look->row_count);
	for (size_t i = 0; i < count && array; i++) {
		json_t *row = crew__row_object(
			look->rows[i].connection, crew__connection_fields, CREW__CONNECTION_FIELDS);
		if (json_array_append_new(array, row)) {
			json_decref(array);
			array = NULL;
		}
	}
	return array;
}

/* Without the end of its line, which stands inside ours. */
static char *status_text(const struct crew__status *status)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	if (!out)
		return NULL;
	int error = crew__status_json(status, true, out);
	if (fclose(out) || error || size == 0) {
		free(text);
		return NULL;
	}
	text[size - 1] = '\0';
	return text;
}

int crew__top_json(const struct crew__top_look *look, size_t most, FILE *out)
{
	char *status = status_text(look->status);
	json_t *slowest = status ? slowest_of(look, most) : NULL;
	int failed = !slowest;
	if (!failed) {
		fprintf(out, "{\"status\":%s,\"slowest\":", status);
		failed = json_dumpf(slowest, out, JSON_COMPACT | JSON_REAL_PRECISION(10));
		fputs("}\n", out);
	}
	json_decref(slowest);
	free(status);
	return failed ? -ENOMEM : 0;
}

/* ---- each second --------------------------------------------------------------------------- */

static int print(const struct crew__view *view, const struct crew__top_look *look,
	const struct crew__top_order *order)
{
	if (view->json)
		return crew__view_finish(view, crew__top_json(look, SLOWEST, stdout));
	int error = crew__top_print(look, order, SLOWEST, stdout);
	fputc('\n', stdout);
	return crew__view_finish(view, error);
}

/* What was seen once and then is not is told of, and only its end is an end. */
static int go_on(const struct crew__view *view, int error, const char *text, bool *ret_over)
{
	*ret_over = error == -ESRCH || error == -ENOMEM;
	crew__view_complain(view, error == -ESRCH ? "it runs no more" : text, CREW__FAILED);
	return error == -ENOMEM ? CREW__FAILED : CREW__DONE;
}

int crew__top_plain(const struct crew__view *view, const struct crew__top_order *order)
{
	struct crew__top_look *before = NULL, *look;
	char text[CREW__VIEW_LINE_MAX];
	sigset_t signals, old;
	uint64_t due_ns = crew__clock_ns();
	int exit_status = CREW__DONE;
	bool over = false;
	crew__view_block(&signals, &old);
	crew__view_buffer();
	do {
		int error = crew__top_take(view, order, before, &look, text, sizeof(text));
		if (!error) {
			exit_status = print(view, look, order);
			crew__top_look_free(before);
			before = look;
		} else if (before) {
			exit_status = go_on(view, error, text, &over);
		} else {
			exit_status = crew__view_complain(
				view, text, crew__view_exit_status(error));
		}
		due_ns += CREW__NS_PER_S;
	} while (!exit_status && !over && !crew__view_wait(due_ns, &signals));
	crew__top_look_free(before);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return exit_status;
}
