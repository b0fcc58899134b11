/* metrics.h - what Prometheus is told: sums of each worker id, as a model and as text.
 *
 * Pure: the model is made from what others have read, and printed to a FILE. A series is named by
 * service and worker id and never by a process, so its counters are those of all who had the id:
 * the living of every generation and the retired. They can only grow while the program runs.
 *
 *  - Families have distinct names in both formats, and each series stands in one place.
 *  - The reasons of losses are a family, crew_send_fail_total, whose sum is `send_fail`; those of
 *    closes another, crew_closes_total.
 *  - A worker id of which a process lives whose numbers cannot be read has no series at all: a gap
 *    is a gap, while a counter that falls is taken for a new start. */
#ifndef CREW_ADMIN_METRICS_H
#define CREW_ADMIN_METRICS_H

#include "cli/status.h"

enum crew__metrics_format {
	CREW__PROMETHEUS,  /* text format 0.0.4 */
	CREW__OPENMETRICS, /* 1.0.0 */
};

/* The media type of each, for Content-Type. */
const char *crew__metrics_type(enum crew__metrics_format format);

/* All who have or had one worker id of a service. */
struct crew__metrics_worker {
	char service[CREW__NAME_MAX];
	uint32_t id;
	bool others;            /* no id: the retired of that service whose ids are not kept */
	bool unread;            /* a process of it lives and could not be read */
	struct crew__slab sums; /* counters: of all; gauges: of the living */
	struct crew__histogram measures[CREW__MEASURES];
	uint64_t memory_bytes; /* these are of the living */
	uint64_t busy_ms;
	bool crash_loop;
	unsigned processes[CREW__SHOWN_STATES]; /* by their state */
};

struct crew__metrics {
	const struct crew__status *status; /* borrowed: the program, its exits, its counters */
	size_t count;
	struct crew__metrics_worker *workers; /* once finished: by service and id */
	size_t room;
};

/* `room` entries may be added. 0 or -ENOMEM. */
int crew__metrics_init(
	struct crew__metrics *metrics, const struct crew__status *status, size_t room);
void crew__metrics_fini(struct crew__metrics *metrics);

/* Add what one life has counted; `measures` NULL: it left none. `unread`: what it has counted is
 * not known. */
void crew__metrics_add_life(struct crew__metrics *metrics, const struct crew__status_row *row,
	const struct crew__histogram *measures, bool unread);
/* Add what the dead of a service have left. */
void crew__metrics_add_retired(
	struct crew__metrics *metrics, const char *service, const struct crew__retired *retired);
/* Everything is added: sum up. */
void crew__metrics_finish(struct crew__metrics *metrics);

/* The last of it is told by ferror(out). */
void crew__metrics_print(
	const struct crew__metrics *metrics, enum crew__metrics_format format, FILE *out);

/* ---- names --------------------------------------------------------------------------------- */

enum {
	CREW__METRIC_NAME_MAX = CREW__NAME_MAX + 32
};

typedef char crew__metric_name_text[CREW__METRIC_NAME_MAX];

/* The family of a counter of counters.def, without the `_total` of its samples. */
void crew__metric_name(
	const char *group, const char *name, bool gauge, crew__metric_name_text text);

/* Those of the program's own counters: each one that no other family is or could be taken for. */
void crew__metric_app_names(
	const crew_counter *counters, crew__metric_name_text names[CREW_MAX_COUNTERS]);

/* The families that stand in no table; for names, the manual and its test. Ends with a NULL name.
 */
struct crew__metric_family {
	const char *name; /* without `_total`, `_info`, `_bucket` */
	const char *type; /* "counter", "gauge", "histogram", "info" */
	const char *unit; /* NULL: none */
	const char *sentence;
};
extern const struct crew__metric_family crew__metric_families[];

#endif
