/* connections.h - every open connection of every worker, from the records in shared memory.
 *
 * The model is made here; connections_text.c and connections_json.c only print it. What can be
 * shown and sorted by is one table, crew__connection_fields, whose keys are those of the JSON.
 * Times were worked out from the records' hundredths of a second when the model was made. */
#ifndef CREW_CLI_CONNECTIONS_H
#define CREW_CLI_CONNECTIONS_H

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
	char local[CREW__ADDRESS_TEXT_MAX], remote[CREW__ADDRESS_TEXT_MAX];
	double age_s, idle_in_s, idle_out_s, oldest_queued_s;
	uint64_t recv_queue, send_queue, send_queue_messages, kernel_unsent;
	uint64_t bytes_in, bytes_out;
	uint64_t send_fail;
	uint32_t fail[CREW_LOST_REASONS];
	uint32_t place; /* as it was found: ties are shown in this order */
};

struct crew__connections {
	size_t count;
	struct crew__connection *rows;
	char (*services)[CREW__NAME_MAX]; /* one for each life */
};

/* How a value is stored in struct crew__connection. */
enum crew__field_kind {
	CREW__FIELD_ID,      /* uint64_t, shown as 16 hex digits */
	CREW__FIELD_NUMBER,  /* uint64_t */
	CREW__FIELD_SECONDS, /* double */
	CREW__FIELD_TEXT,    /* const char * */
	CREW__FIELD_ADDRESS, /* an array of char in place */
	CREW__FIELD_REASONS, /* uint32_t for each reason; sorts as their sum, send_fail */
	CREW__FIELD_VERDICT, /* not drawn yet: null */
};

struct crew__connection_field {
	const char *key;
	enum crew__field_kind kind;
	size_t member;
};

enum {
	CREW__CONNECTION_FIELDS = 21
};
extern const struct crew__connection_field crew__connection_fields[];

/* The field of that key; NULL with the nearest key in `*ret_nearest` (NULL: none is near). */
const struct crew__connection_field *crew__connection_field_find(
	const char *key, const char **ret_nearest);

/* All connections of what is attached. 0 or -ENOMEM. */
int crew__connections_new(
	const struct crew__attached *attached, struct crew__connections *ret_connections);
void crew__connections_fini(struct crew__connections *connections);

/* Numbers from the largest, text by letters. */
void crew__connections_sort(
	struct crew__connections *connections, const struct crew__connection_field *field);

/* Bring the slowest to the front, the slowest first: whose oldest message has waited longest, then
 * who has most bytes waiting. How many rows are so placed: `most`, or all there are; those at the
 * end may have nothing waiting. */
size_t crew__connections_slowest(struct crew__connections *connections, size_t most);

/* 0 or -ENOMEM. */
struct crew__screen;
int crew__connections_text(
	const struct crew__connections *connections, const struct crew__screen *screen);
int crew__connections_json(const struct crew__connections *connections, FILE *out);

#endif
