/* explain.h - one connection in plain words: why what waits for it does not leave, and what to do.
 *
 * Finding it and gathering what is known is explain.c's; explain_words.c puts it into sentences,
 * explain_text.c and explain_json.c print them. The worker is asked nothing, so all of it works
 * while the worker stands still. Thresholds are those of net/verdict.h. */
#ifndef CREW_CLI_EXPLAIN_H
#define CREW_CLI_EXPLAIN_H

#include "cli/closed.h"
#include "service/settings.h"

enum {
	CREW__EXPLAIN_CHOICES = 16, /* candidates that are named */
	CREW__EXPLAIN_LINES = 10,
	CREW__EXPLAIN_LINE_MAX = 320,
	CREW__EXPLAIN_FIGURES = 20,
};

/* What is known of a connection. */
struct crew__explain {
	struct crew__closed_row row; /* row.conn; the rest is of one that has ended */
	bool closed;
	unsigned end;         /* crew_end_reason of one that has ended */
	crew_verdict verdict; /* at present, or at its end */
	bool has_slow;
	struct crew__record_slow slow; /* of one that has ended: episodes and figures alone */
	struct crew__worker_look worker;
	uint32_t now;   /* hundredths since the life began; of one that has ended: its end */
	int64_t now_ms; /* the same moment since 1970 */
	int64_t ended_ago_ms;
	const char *program;
	/* `exact`: what holds for it, as its worker wrote down when it last looked. Else of its
	 * service, with what `set` changed since, as far as events tell. `has_settings` is false
	 * when neither is known. */
	struct crew__service_settings settings;
	bool has_settings, changed_live, exact;
	bool tight; /* max_send_buffer stands for a limit that is lower at present */
	char service[CREW__NAME_MAX];
};

/* Those that a prefix may mean; `count` may be more than are named. */
struct crew__explain_choices {
	size_t count, named;
	struct crew__explain_choice {
		uint64_t id;
		bool closed;
		char service[CREW__NAME_MAX];
		char remote[CREW__ADDRESS_TEXT_MAX];
	} choice[CREW__EXPLAIN_CHOICES];
};

/* What is asked: the connection whose id begins with `prefix`. */
struct crew__explain_request {
	const struct crew__attached *attached;
	const struct crew__settings *settings;
	const char *prefix;
};

/* 0; -EINVAL (no beginning of an id), -ENOENT, -ENOTUNIQ (then `ret_choices` is filled), -ENOMEM.
 * An open connection is preferred to ended ones. */
int crew__explain_find(const struct crew__explain_request *request,
	struct crew__explain *ret_explain, struct crew__explain_choices *ret_choices);
/* One line that says what -EINVAL, -ENOENT, -ENOTUNIQ or -ENOMEM means here. */
void crew__explain_error(const struct crew__explain_request *request, int error,
	const struct crew__explain_choices *choices, char *text, size_t size);

/* ---- words --------------------------------------------------------------------------------- */

struct crew__lines {
	size_t count;
	char text[CREW__EXPLAIN_LINES][CREW__EXPLAIN_LINE_MAX];
};

/* One figure of the evidence: what it is, its value with unit, what it says. */
struct crew__explain_figures {
	size_t count;
	struct crew__explain_figure {
		char name[32];
		char value[64];
		char says[192];
	} figure[CREW__EXPLAIN_FIGURES];
};

/* What the verdict means, or that nothing is wrong. */
void crew__explain_meaning(const struct crew__explain *explain, char *text, size_t size);
void crew__explain_figures(
	const struct crew__explain *explain, struct crew__explain_figures *ret_figures);
/* What happens next by the settings. */
void crew__explain_next(const struct crew__explain *explain, struct crew__lines *ret_lines);
void crew__explain_advice(const struct crew__explain *explain, struct crew__lines *ret_lines);
/* The sentence of a reason in the table of counters. */
const char *crew__loss_sentence(crew_reason reason);

/* The verdicts in their order, the oldest first: at most CREW__SLOW_HISTORY. */
size_t crew__explain_history(
	const struct crew__explain *explain, struct crew__slow_change *ret_changes);
/* When that was, in milliseconds since 1970. */
int64_t crew__explain_moment(const struct crew__explain *explain, uint32_t at);

/* ---- print --------------------------------------------------------------------------------- */

/* Print what was found. 0 or -ENOMEM. */
int crew__explain_print_text(
	const struct crew__explain *explain, const struct crew__screen *screen);
int crew__explain_print_json(const struct crew__explain *explain, FILE *out);

/* Find and print. Negative as crew__explain_find; then a JSON document { "error", "candidates" } or
 * a line of text was printed, unless it is -ENOMEM. */
int crew__explain_text(
	const struct crew__explain_request *request, const struct crew__screen *screen);
int crew__explain_json(const struct crew__explain_request *request, FILE *out);

#endif
