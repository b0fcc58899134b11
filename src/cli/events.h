/* events.h - what happened last: the rings of all workers and of the master, merged by time.
 *
 * A reader remembers how far it has read each ring, so that a second look finds what is new. What
 * was overwritten before it could be read is told as a row of its own ("missed"). */
#ifndef CREW_CLI_EVENTS_H
#define CREW_CLI_EVENTS_H

#include "proc/attach.h"
#include "stats/rings.h"

#include <stdio.h>

struct crew__event_row {
	struct crew__event event;     /* its text is printable */
	bool missed;                  /* no event: values[0] of them were overwritten */
	char service[CREW__NAME_MAX]; /* what it is about; "": the program as a whole */
	bool has_worker;
	uint32_t worker, generation; /* of the worker that it is about */
	int64_t pid;                 /* 0: unknown */
	uint32_t place;
};

struct crew__event_rows {
	size_t count;
	struct crew__event_row *rows; /* the oldest first */
};

struct crew__event_reader {
	struct crew__event_position *positions;
	size_t count;
};

/* A reader that has read nothing is zeros. */
void crew__event_reader_fini(struct crew__event_reader *reader);

/* What is new since the last call. `attached` may be another one than then. 0 or -ENOMEM; the rows
 * are the caller's, also when there are none. */
int crew__event_reader_take(struct crew__event_reader *reader,
	const struct crew__attached *attached, struct crew__event_rows *ret_rows);
void crew__event_rows_fini(struct crew__event_rows *rows);

/* "slow-begin", or "missed". */
const char *crew__event_row_name(const struct crew__event_row *row);
/* What happened, in words, without when and to whom. */
enum {
	CREW__EVENT_TEXT_MAX = 320
};
void crew__event_row_words(const struct crew__event_row *row, char *text, size_t size);
/* When, in microseconds since the machine started: a place in the stream of all events. */
uint64_t crew__event_row_stamp(const struct crew__event_row *row);

/* One line each. Documents on a line each, or an array of them. 0 or -ENOMEM. */
void crew__event_rows_text(const struct crew__event_rows *rows, FILE *out);
int crew__event_rows_json(const struct crew__event_rows *rows, bool lines, FILE *out);

#endif
