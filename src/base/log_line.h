/* log_line.h - one thing to be told, as the bytes that each destination understands.
 *
 * Pure functions over bytes: what came from a peer never breaks a line, forges another one or
 * commands a terminal, whatever the form. What does not fit is cut, and the line stays whole. */
#ifndef CREW_BASE_LOG_LINE_H
#define CREW_BASE_LOG_LINE_H

#include "base/base.h"

#include <sys/types.h>
#include <time.h>

enum {
	CREW__LOG_LINE_MAX = 4096,                       /* what a pipe takes whole or not at all */
	CREW__LOG_ENTRY_MAX = CREW__LOG_LINE_MAX + 1024, /* with the fields of the journal */
	CREW__LOG_FACILITY_DAEMON = 3,                   /* of syslog */
};

/* Who says it. Texts are borrowed. */
struct crew__log_origin {
	const char *app;     /* NULL: "crew" */
	const char *role;    /* "master", "single"; NULL: a worker of `service` */
	const char *service; /* NULL: of none */
	unsigned worker;
	pid_t pid;
};

struct crew__log_record {
	struct timespec time; /* CLOCK_REALTIME */
	crew_level level;
	const struct crew__log_origin *origin;
	crew_bytes message;
};

/* "debug", "info", "warn", "error". */
const char *crew__log_level_name(crew_level level);
/* What syslog calls it: 7, 6, 4, 3. */
unsigned crew__log_priority(crew_level level);

/* 2026-11-21T10:42:00.123Z warn  feed#0: message\n */
size_t crew__log_text(const struct crew__log_record *record, char line[CREW__LOG_LINE_MAX]);
/* {"time":...}\n, one object; keys: time, level, app, service, worker, pid, message. */
size_t crew__log_json(const struct crew__log_record *record, char line[CREW__LOG_LINE_MAX]);
/* A line of a stream that the journal reads: <4>feed#0: message\n; or <4> and the object. */
size_t crew__log_stream(
	const struct crew__log_record *record, bool json, char line[CREW__LOG_LINE_MAX]);
/* A datagram for /dev/log: <28>Nov 21 10:42:00 app[pid]: feed#0: message; or the object behind the
 * pid. The time is that of the place, as syslog wants it. */
size_t crew__log_syslog(const struct crew__log_record *record, bool json, unsigned facility,
	char line[CREW__LOG_LINE_MAX]);
/* A datagram of the journal's own protocol: fields, one a line. */
size_t crew__log_journal(const struct crew__log_record *record, bool json, unsigned facility,
	char entry[CREW__LOG_ENTRY_MAX]);

#endif
