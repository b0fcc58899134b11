/* status.h - what `status` knows: one pass over the directory, the lives and /proc, as a model.
 *
 * The model is made here; status_text.c and status_json.c only print it. The workers are asked
 * nothing, the master is asked (by crew__attach) for descriptors only.
 *
 *  - A row is a life that the directory names. Its counters are those of its segment; a row whose
 *    segment is not there has zeros and makes the whole `consistent == false`, unless the process
 *    has ended and waits to be started again.
 *  - A process that has ended but was not folded yet is shown as the master will fold it: what was
 *    queued is lost (`crash`), its connections are closed (`crash`).
 *  - totals = the rows + retired for every counter. The gauges of `retired` are zero, so those of
 *    the totals are the sums over the living.
 *  - Every string is printable UTF-8. */
#ifndef CREW_CLI_STATUS_H
#define CREW_CLI_STATUS_H

#include "proc/attach.h"
#include "service/settings.h"

#include <stdio.h>

enum crew__shown_state {
	CREW__SHOWN_STARTING,
	CREW__SHOWN_READY,
	CREW__SHOWN_BUSY,
	CREW__SHOWN_DRAINING,
	CREW__SHOWN_EXITED,
	CREW__SHOWN_STATES
};

#define CREW__STAYS_ON UINT64_MAX

/* What a reload is doing. */
enum crew__reload_state {
	CREW__RELOAD_NONE,
	CREW__RELOAD_STARTS, /* the new generation's workers are awaited */
	CREW__RELOAD_DRAINS, /* the old one's */
	CREW__RELOAD_STATES
};

struct crew__status_reload {
	enum crew__reload_state state;
	uint32_t generation;     /* the new one */
	double began_s_ago;      /* 0 when none is under way */
	unsigned ready, workers; /* of the new one */
};

struct crew__status_row {
	char service[CREW__NAME_MAX];
	char listen[CREW__LISTEN_MAX]; /* "": none */
	uint32_t life, id, generation;
	pid_t pid; /* 0: no process */
	enum crew__shown_state state;
	uint64_t leaves_in_ms; /* it drains, and is killed if it is not gone by then; or STAYS_ON */
	bool stopped;          /* by a signal: state T in /proc */
	uint64_t memory_bytes;
	uint64_t qps;
	uint64_t busy_ms;
	const char *busy_in; /* a callback; NULL: none */
	char busy_stack[192]; /* where it stands, as its master was told; "": not known */
	/* How often in a row those before it have died young; a crash loop is CREW__CRASH_LOOP times,
	 * and over when it has lived long enough. */
	unsigned young;
	bool crash_loop;
	uint64_t next_start_ms; /* exited: until it is started again; 0: now, or not known */
	struct crew__slab counters;
	char job[CREW__OFFLOAD_NAME]; /* the slow work that has run longest; "": none runs */
	uint64_t job_ms;              /* for how long */
	uint64_t job_wait_ms;         /* the longest wait of slow work for a thread */
	int64_t tls_expires; /* Unix time of its first certificate to expire; 0: it speaks no TLS */
	char tls_ktls[64];   /* why the kernel does not encrypt; "": it does */
};

struct crew__status_exit {
	char service[CREW__NAME_MAX];
	int status;
	int signal; /* 0: none */
	uint64_t count;
};

/* A worker that died without having been asked to, or not well. */
struct crew__status_death {
	char service[CREW__NAME_MAX];
	const char *callback; /* in which; NULL: none */
	struct crew__death_entry entry;
};

struct crew__status {
	char app[CREW__NAME_MAX];
	char version[CREW__NAME_MAX];
	char mode[16];
	char engine[16];
	pid_t master;
	bool master_answers;
	bool master_stopped;
	bool consistent;
	double uptime_s;
	int64_t began_wall_s;
	double load[3];
	uint32_t generation;
	struct crew__status_reload reload;
	unsigned services;
	char service[CREW_MAX_SERVICES][CREW__NAME_MAX];
	size_t port_count;
	struct crew__port *ports; /* where it listens (stats/ports.h) */
	size_t row_count;
	struct crew__status_row *rows; /* by service, generation and id */
	size_t exit_count;
	struct crew__status_exit *exits;
	size_t death_count;
	struct crew__status_death *deaths; /* the last ones, the newest first */
	struct crew__slab retired;
	struct crew__slab totals;
	size_t workers;              /* rows that live */
	size_t missing;              /* rows that live and whose numbers could not be read */
	uint64_t total_memory_bytes; /* each process once */
	uint64_t total_qps;
	const crew_counter *counters; /* the program's own; of crew_app */
	/* Over which time rates are worked out: since the start, or since the screen before. */
	double span_s;
	struct crew__slab before; /* the totals at its beginning; zeros: since the start */
	uint64_t taken_ns;
};

/* What a model is made from. */
struct crew__status_source {
	struct crew__attached *attached;
	const crew_app *app;
	const struct crew__settings *settings; /* for rows without a segment; NULL is allowed */
	const char *run_dir, *name;            /* of the program, for crew__attach_refresh */
	uint64_t now_ns;
};

/* One pass over what is attached. 0 or -ENOMEM. Free with crew__status_free. */
int crew__status_new(const struct crew__status_source *source, struct crew__status **ret_status);
void crew__status_free(struct crew__status *status); /* NULL is allowed */

/* As crew__status_new, and again after crew__attach_refresh when a worker was born or died while it
 * was made (a few times at most). 0 or a negative errno with a line in `ret_error`. */
int crew__status_take(const struct crew__status_source *source, struct crew__status **ret_status,
	char *ret_error, size_t error_size);

/* Work out qps and rates from the screen before, and not since the start. */
void crew__status_since(struct crew__status *status, const struct crew__status *before);

/* The row of the same life in another model, which may be of another moment; NULL. */
const struct crew__status_row *crew__status_same_life(
	const struct crew__status *status, const struct crew__status_row *row);

/* "none", "starting", "draining". */
const char *crew__reload_state_name(enum crew__reload_state state);

/* "ready"; never NULL. */
const char *crew__shown_state_name(enum crew__shown_state state);

/* The model's deaths, from the directory (status_deaths.c); a part of crew__status_new. 0, -ENOMEM. */
int crew__status_take_deaths(struct crew__status *status, const struct crew__directory *directory,
	const struct crew__directory_header *copy);
/* What `row` and the clock say of a crash loop. */
void crew__status_take_loop(
	struct crew__status_row *row, const struct crew__life *life, uint64_t lived_ns, uint64_t now_ns);

/* Print. JSON: indented, or with `compact` on one line. 0 or -ENOMEM. */
struct crew__screen;
int crew__status_text(const struct crew__status *status, const struct crew__screen *screen);
int crew__status_json(const struct crew__status *status, bool compact, FILE *out);

#endif
