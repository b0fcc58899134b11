/* connections.h - every open connection of every worker, from the records in shared memory.
 *
 * The model is made here; connections_text.c and connections_json.c only print it. What can be
 * shown and sorted by is one table, crew__connection_fields, whose keys are those of the JSON.
 * Times were worked out from the records' hundredths of a second when the model was made.
 *
 * A verdict is the one that the worker last wrote down; but a worker that stands still writes
 * nothing, so what waits in its own queues while the kernel holds nothing is laid at its door here
 * (`us`). */
#ifndef CREW_CLI_CONNECTIONS_H
#define CREW_CLI_CONNECTIONS_H

#include "cli/look.h"
#include "proc/attach.h"

#include <stdio.h>

enum {
	CREW__ADDRESS_TEXT_MAX = 72
};

struct crew__connection {
	uint64_t id;
	uint64_t pid;
	const char *service; /* of the model's lives */
	const char *transport, *protocol, *state;
	const char *verdict; /* NULL: none */
	char local[CREW__ADDRESS_TEXT_MAX], remote[CREW__ADDRESS_TEXT_MAX];
	double age_s, idle_in_s, idle_out_s, oldest_queued_s;
	uint64_t recv_queue, send_queue, send_queue_messages, kernel_unsent;
	uint64_t bytes_in, bytes_out;
	uint64_t send_fail;
	uint32_t fail[CREW_LOST_REASONS];
	bool outgoing; /* we have opened it */
	uint32_t place; /* as it was found: ties are shown in this order */
};

struct crew__connections {
	size_t count;
	struct crew__connection *rows;
	char (*services)[CREW__NAME_MAX]; /* one for each life */
};

/* How a value is stored in a row. */
enum crew__field_kind {
	CREW__FIELD_ID,      /* uint64_t, shown as 16 hex digits */
	CREW__FIELD_NUMBER,  /* uint64_t */
	CREW__FIELD_SECONDS, /* double */
	CREW__FIELD_TEXT,    /* const char * */
	CREW__FIELD_ADDRESS, /* an array of char in place */
	CREW__FIELD_REASONS, /* uint32_t for each reason; sorts as their sum */
	CREW__FIELD_VERDICT, /* const char *; NULL, which comes last, is none */
	CREW__FIELD_TIME,    /* int64_t: milliseconds since 1970; the latest first */
};

struct crew__connection_field {
	const char *key;
	enum crew__field_kind kind;
	size_t member;
};

/* X(key, kind, member): the fields of struct crew__connection, in the order of the JSON. */
#define CREW_CONNECTION_FIELD_TABLE(X)                      \
	X(id, ID, id)                                       \
	X(pid, NUMBER, pid)                                 \
	X(service, TEXT, service)                           \
	X(transport, TEXT, transport)                       \
	X(protocol, TEXT, protocol)                         \
	X(state, TEXT, state)                               \
	X(local, ADDRESS, local)                            \
	X(remote, ADDRESS, remote)                          \
	X(age_s, SECONDS, age_s)                            \
	X(idle_in_s, SECONDS, idle_in_s)                    \
	X(idle_out_s, SECONDS, idle_out_s)                  \
	X(recv_queue, NUMBER, recv_queue)                   \
	X(send_queue, NUMBER, send_queue)                   \
	X(send_queue_messages, NUMBER, send_queue_messages) \
	X(oldest_queued_s, SECONDS, oldest_queued_s)        \
	X(kernel_unsent, NUMBER, kernel_unsent)             \
	X(bytes_in, NUMBER, bytes_in)                       \
	X(bytes_out, NUMBER, bytes_out)                     \
	X(send_fail, NUMBER, send_fail)                     \
	X(send_fail_by_reason, REASONS, fail)               \
	X(verdict, VERDICT, verdict)

enum {
	CREW__CONNECTION_FIELDS = 21
};
extern const struct crew__connection_field crew__connection_fields[];

/* A table whose rows begin with a struct crew__connection. */
struct crew__rows {
	void *rows;
	size_t count, size; /* size: of one row */
	const struct crew__connection_field *fields;
	size_t field_count;
};

/* The field of that key; NULL with the nearest key in `*ret_nearest` (NULL: none is near). */
const struct crew__connection_field *crew__field_find(const struct crew__connection_field *fields,
	size_t count, const char *key, const char **ret_nearest);
const struct crew__connection_field *crew__connection_field_find(
	const char *key, const char **ret_nearest);

/* All connections of what is attached. 0 or -ENOMEM. */
int crew__connections_new(
	const struct crew__attached *attached, struct crew__connections *ret_connections);
void crew__connections_fini(struct crew__connections *connections);

/* One row from its records: as they stand, when the life was `now` hundredths old. `service` and
 * `pid` are the caller's to fill. */
void crew__connection_fill(const struct crew__record *hot, const struct crew__record_cold *cold,
	uint32_t now, struct crew__connection *ret_row);
/* What is wrong with an open connection, as its slow record says (NULL: it has none) and as its
 * worker stands. */
crew_verdict crew__connection_verdict(const struct crew__connection *row,
	const struct crew__record_slow *slow, const struct crew__worker_look *worker);
/* Its name; NULL for none. */
const char *crew__verdict_or_null(crew_verdict verdict);
/* Seconds between two times in hundredths, which wrap after 497 days; 0 when `then` is a little
 * later than `now`, as the worker's clock may be read later than ours. */
double crew__hundredths_since(uint32_t now, uint32_t then);
/* How old that life is, in hundredths. */
uint32_t crew__life_hundredths(const struct crew__segment *segment);

/* Is that the beginning of an id, or all of it: 1 to 16 hex digits? Has that id this beginning? */
bool crew__id_prefix_valid(const char *prefix);
bool crew__id_has_prefix(uint64_t id, const char *prefix);

/* Numbers and times from the largest, text by letters. */
void crew__connections_sort(
	struct crew__connections *connections, const struct crew__connection_field *field);
void crew__rows_sort(const struct crew__rows *rows, const struct crew__connection_field *field);

/* Bring the slowest to the front, the slowest first: whose oldest message has waited longest, then
 * who has most bytes waiting. How many rows are so placed: `most`, or all there are; those at the
 * end may have nothing waiting. */
size_t crew__connections_slowest(struct crew__connections *connections, size_t most);

/* 0 or -ENOMEM. */
struct crew__screen;
int crew__connections_text(
	const struct crew__connections *connections, const struct crew__screen *screen);
int crew__connections_json(const struct crew__connections *connections, FILE *out);
int crew__rows_json(const struct crew__rows *rows, FILE *out);

#endif
