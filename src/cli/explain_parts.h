/* explain_parts.h - what the files of `explain` that make sentences share. */
#ifndef CREW_CLI_EXPLAIN_PARTS_H
#define CREW_CLI_EXPLAIN_PARTS_H

#include "cli/explain.h"
#include "cli/screen.h"

enum {
	CREW__PERCENT = 100,
	CREW__EXPLAIN_KIB = 1024
};

/* A size or a duration that stands in a sentence. */
struct crew__unit {
	char text[CREW__UNIT_MAX];
};

static inline struct crew__unit crew__unit_bytes(uint64_t bytes)
{
	struct crew__unit unit = { "" };
	if (bytes < CREW__EXPLAIN_KIB) /* a bare number says nothing in a sentence */
		snprintf(unit.text, sizeof(unit.text), "%u byte%s", (unsigned)bytes,
			bytes == 1 ? "" : "s");
	else
		crew__bytes_text(bytes, unit.text);
	return unit;
}

static inline struct crew__unit crew__unit_seconds(double seconds)
{
	struct crew__unit unit = { "" };
	crew__seconds_text(seconds, unit.text);
	return unit;
}

static inline struct crew__unit crew__unit_ms(int64_t ms)
{
	return crew__unit_seconds((double)ms / 1000);
}

/* Why a worker that stands still does so: "its loop has been in on_message for 12s". */
void crew__explain_standing(const struct crew__worker_look *worker, char *text, size_t size);

#endif
