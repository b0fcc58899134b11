/* directory.h - the master's own segment: which lives there are, and what the dead have left.
 *
 * One memfd, written by the master alone under one sequence word, read by every command. `lives`
 * says which descriptor of the master holds each living worker's segment, so that a command can find
 * them in /proc/PID/fd when the master itself does not answer. A fold (a dead worker's counters into
 * `retired`) and the removal of its life happen in one update, so totals never run backward.
 *
 * Behind the header, for the few who want them: what the dead have left worker by worker, the ring of
 * the master's own events, and that of the last deaths (deaths.h). */
#ifndef CREW_STATS_DIRECTORY_H
#define CREW_STATS_DIRECTORY_H

#include "stats/deaths.h"
#include "stats/ports.h"
#include "stats/rings.h"
#include "stats/segment.h"

#define CREW__DIRECTORY_MAGIC   "crew-directory"
#define CREW__DIRECTORY_VERSION 3u

enum { CREW__LIVES_MAX = 1024, CREW__EXITS_MAX = 256 };

struct crew__life {
	uint32_t life;       /* 1..4095, 0: free */
	uint32_t service;    /* index in crew_app.services */
	uint32_t id;
	uint32_t generation;
	int32_t pid;
	int32_t fd;          /* the segment, in the master */
	uint32_t state;      /* enum crew__worker_state as the master knows it: EXITED between deaths */
	uint32_t young;      /* how often in a row those before it have died young */
	uint64_t next_ns;    /* CLOCK_MONOTONIC; EXITED: when it is started again; else when it is killed
	                      * if it is not ready, or not gone, by then; 0: not known, never */
};

/* How workers ended: one row for each (service, status, signal). */
struct crew__exit_row {
	char service[CREW__NAME_MAX];
	int32_t status;
	int32_t signal; /* 0: none */
	uint64_t count;
};

struct crew__directory_header {
	char magic[16];
	uint32_t version;
	uint32_t header_size;
	_Atomic uint32_t sequence;
	int32_t pid;
	_Atomic uint32_t folds; /* counts in twos: odd while a dead worker is folded */
	uint32_t reload_began; /* hundredths since began_ns: a reload is under way; 0: none is */
	uint64_t began_ns;
	int64_t began_wall_s;
	char app[CREW__NAME_MAX];
	char app_version[CREW__NAME_MAX];
	char mode[16];   /* "daemon", "foreground", "single" */
	char engine[16];
	uint32_t generation;
	uint32_t services;
	char service[CREW_MAX_SERVICES][CREW__NAME_MAX];
	struct crew__slab retired[CREW_MAX_SERVICES]; /* by service */
	struct crew__life lives[CREW__LIVES_MAX];
	struct crew__exit_row exits[CREW__EXITS_MAX];
	uint32_t exit_rows;
	uint32_t retired_size; /* sizeof one crew__slab */
};

/* What the workers of one service with one id have left, all generations together. */
struct crew__retired {
	uint32_t service; /* index */
	uint32_t id;      /* CREW__RETIRED_REST: of workers that have no row */
	struct crew__slab counters;
	struct crew__histogram measures[CREW__MEASURES];
};
#define CREW__RETIRED_REST UINT32_MAX

struct crew__retired_table {
	uint32_t rows;
	struct crew__retired row[CREW__LIVES_MAX + CREW_MAX_SERVICES]; /* one rest for each */
};

struct crew__directory {
	int fd;
	struct crew__directory_header *header;
	struct crew__retired_table *retired;
	struct crew__events *events; /* the master's own: rings.h */
	struct crew__deaths *deaths;
	struct crew__ports *ports;
	bool writable;
	uint32_t last_life; /* the writer's: the number given out last */
};

int crew__directory_new(const char *app, const char *app_version, const char *mode,
	const char *engine, const crew_service *const *services, struct crew__directory *ret_directory);
int crew__directory_open(int take_fd, struct crew__directory *ret_directory);
/* The same for its writer, in another image of the same process; `last_life` as it was there. */
int crew__directory_resume(
	int take_fd, uint32_t last_life, struct crew__directory *ret_directory);
void crew__directory_fini(struct crew__directory *directory);
int crew__directory_readonly_fd(const struct crew__directory *directory);

/* A new life for (service, id): `ret_life` is its number, never one that lives, and as long as
 * possible none that lived before. -ENOSPC. */
int crew__directory_reserve(struct crew__directory *directory, uint32_t *ret_life);
/* Enter it, or what has changed of it. Ignored when there is no room, which reserve has told of. */
void crew__directory_enter(struct crew__directory *directory, const struct crew__life *life);
/* The worker with that life is dead: bury, fold into `retired`, count the exit, remove the life.
 * `last` is what it left: counters and measures are used, and nothing else of it is believed. */
void crew__directory_retire(struct crew__directory *directory, uint32_t life,
	const struct crew__snapshot *last, const char *service, int status, int signal);
/* What the master itself counts of a service, and no worker: it is among the retired. */
void crew__directory_count(
	struct crew__directory *directory, unsigned service, const struct crew__slab *more);
/* Nobody fills that place any more: a life without a process goes, and nothing is counted. */
void crew__directory_leave(struct crew__directory *directory, uint32_t life);
/* A service that a reload has brought; the next place, or one that has that name already. What it
 * leaves stays in `retired` when it goes again. -ENOSPC. */
int crew__directory_service(struct crew__directory *directory, unsigned index, const char *name);
/* A reload began then (CLOCK_MONOTONIC), or, with 0, is over. */
void crew__directory_reload(struct crew__directory *directory, uint64_t began_ns);
/* Another generation is in force, of that version of the program (NULL: as before). */
void crew__directory_generation(
	struct crew__directory *directory, uint32_t generation, const char *app_version);

/* A consistent copy of the whole header (allocated by the caller, it is large). False when the
 * master stood inside an update for `patience_us`: the copy is taken all the same. In the copy every
 * text ends, and `services` and `exit_rows` are within their arrays. */
bool crew__directory_read(const struct crew__directory *directory, unsigned patience_us,
	struct crew__directory_header *ret_copy);

/* What the dead had left when `copy` was taken, worker by worker: the rows of a service sum up to
 * its `retired`. One allocation, the caller's; NULL when there are none. 0, -ENOMEM, or -EAGAIN: a
 * worker has died since, so take a new copy (and look anew who lives) and ask again. */
int crew__directory_retired(const struct crew__directory *directory,
	const struct crew__directory_header *copy, struct crew__retired **ret_rows,
	size_t *ret_count);

#endif
