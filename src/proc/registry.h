/* registry.h - which lives there are, and the memory their numbers stand in.
 *
 * The directory with the segments behind it: what the master (or the single process) opens for each
 * worker life, answers commands from, and folds when a life ends. A place in the registry is named
 * by its index; `serial` tells one life there from the next. */
#ifndef CREW_PROC_REGISTRY_H
#define CREW_PROC_REGISTRY_H

#include "service/settings.h"
#include "stats/directory.h"

struct crew__entry {
	struct crew__life life; /* life.life 0: free */
	uint32_t serial;        /* changes with every life in this place; 0: no segment */
	bool is_vacancy;        /* in the directory without a process */
	uint32_t slots;         /* records of connections that its segment has */
	struct crew__segment segment;
};

struct crew__registry {
	struct crew__directory directory;
	uint32_t serials;
	unsigned used; /* no entry at or above it is in use */
	struct crew__entry entries[CREW__LIVES_MAX];
};

/* Heap, because it is large. */
int crew__registry_new(const struct crew__settings *settings, const char *mode, const char *engine,
	struct crew__registry **ret_registry);
void crew__registry_free(struct crew__registry *registry); /* NULL is allowed */

/* The place in the directory of the service with that name; -ENOENT. */
int crew__registry_find(const struct crew__registry *registry, const char *service);
/* The same, or a new place for a name that is new, as long as there are any: -ENOSPC. */
int crew__registry_place(struct crew__registry *registry, const char *service);

/* What a life is for. */
struct crew__life_plan {
	const struct crew__service_settings *settings;
	const char *listen;           /* as `status` shows it; NULL: none */
	const crew_counter *counters; /* of crew_app; NULL: none */
	unsigned service;             /* index */
	unsigned id, generation;
};

/* Memory for the numbers of a new life, with as many records as the service may have connections.
 * -ENOSPC when there are too many lives. `vacancy` is the entry to fill, NULL for a new one; it
 * stays a vacancy on failure. */
int crew__registry_begin(struct crew__registry *registry, const struct crew__life_plan *plan,
	struct crew__entry *vacancy, struct crew__entry **ret_entry);
/* An entry for a worker between two lives, shown as exited. -ENOSPC. */
int crew__registry_vacant(struct crew__registry *registry, const struct crew__life_plan *plan,
	struct crew__entry **ret_entry);
/* Tell the directory of its process and state; from the first time on the life counts. */
void crew__registry_note(struct crew__registry *registry, struct crew__entry *entry, pid_t pid,
	enum crew__worker_state state);
/* It is killed then unless it has become what it should: ready, or gone. 0: it may live. */
void crew__registry_due(
	struct crew__registry *registry, struct crew__entry *entry, uint64_t due_ns);
/* What `status` shows of a crash loop: how often in a row those before this one have died young,
 * and for a vacancy when it is filled (0: not known). */
void crew__registry_young(struct crew__registry *registry, struct crew__entry *entry,
	unsigned young, uint64_t next_ns);
/* The process is gone: check the laws, fold, unmap. `ret_last` gets the numbers it left. */
void crew__registry_end(struct crew__registry *registry, struct crew__entry *entry, int status,
	int signal, struct crew__snapshot *ret_last);
/* There never was a process: the entry is free again, or a vacancy again, and nothing is counted.
 */
void crew__registry_cancel(struct crew__registry *registry, struct crew__entry *entry);

/* Nobody will fill that vacancy: its row goes. */
void crew__registry_close(struct crew__registry *registry, struct crew__entry *vacancy);

unsigned crew__entry_index(const struct crew__registry *registry, const struct crew__entry *entry);

#endif
