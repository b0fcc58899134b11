/* closed.h - the connections that ended last: who ended them, why, and what was lost with them.
 *
 * Each worker keeps some hundreds in its own memory, which goes with the worker. Rows are as those
 * of connections.h at the moment of the end (`age_s`: how long it lived), and have more fields. */
#ifndef CREW_CLI_CLOSED_H
#define CREW_CLI_CLOSED_H

#include "cli/connections.h"

struct crew__closed_row {
	struct crew__connection conn; /* first: its fields are those of `connections` */
	int64_t closed_at;            /* milliseconds since 1970 */
	const char *end;              /* crew_end_name() */
	const char *ended_by;         /* "peer", "us", "operator"; "?" */
	uint64_t unsent, unsent_messages;
};

struct crew__closed_list {
	size_t count;
	struct crew__closed_row *rows;
	char (*services)[CREW__NAME_MAX];
};

enum {
	CREW__CLOSED_FIELDS = CREW__CONNECTION_FIELDS + 5
};
extern const struct crew__connection_field crew__closed_fields[];

/* Of all workers that live, the newest first. 0 or -ENOMEM. */
int crew__closed_new(const struct crew__attached *attached, struct crew__closed_list *ret_list);
void crew__closed_fini(struct crew__closed_list *list);
void crew__closed_sort(struct crew__closed_list *list, const struct crew__connection_field *field);

/* Who ended it for that reason, and a sentence of what the reason means. Never NULL. */
const char *crew__ended_by(unsigned end);
const char *crew__end_sentence(unsigned end);

struct crew__closed;
void crew__closed_fill(const struct crew__closed *from, struct crew__closed_row *ret_row);

/* Print. 0 or -ENOMEM. */
int crew__closed_list_json(const struct crew__closed_list *list, FILE *out);
int crew__closed_list_text(const struct crew__closed_list *list, const struct crew__screen *screen);

#endif
