/* top_plain.h - `top` where there is no terminal, or with --json: a screen, or a document on a
 * line, each second. */
#ifndef CREW_CLI_TOP_PLAIN_H
#define CREW_CLI_TOP_PLAIN_H

#include "cli/top_model.h"
#include "cli/view.h"

/* Attach, look, arrange. 0 or a negative errno with a line in `ret_error`; -ESRCH: nothing runs. */
int crew__top_take(const struct crew__view *view, const struct crew__top_order *order,
	const struct crew__top_look *before, struct crew__top_look **ret_look, char *ret_error,
	size_t error_size);

/* Until SIGINT or SIGTERM, or until the program has stopped. An exit status. */
int crew__top_plain(const struct crew__view *view, const struct crew__top_order *order);

/* { "status": as `status --json`, "slowest": as `connections --json`, at most `most` } on one line.
 * 0 or -ENOMEM. */
int crew__top_json(const struct crew__top_look *look, size_t most, FILE *out);

#endif
