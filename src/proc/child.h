/* child.h - one worker process as its master sees it: started, ready, told to stop, dead.
 *
 * A child is one life. The place it fills, (service, id), is the master's business (slot.h): so is
 * whether another one is started after it.
 *
 *                      READY                  crew__child_stop, LEAVING, lost socket
 *   crew__child_start ──────▸ [starting] ──▸ [ready] ──────────▸ [stopping] ──▸ crew__child_reap
 *                                  │ deadline: SIGKILL                │ deadline: SIGKILL
 *                                  └──────────────────────────────────┴──▸ crew__child_reap
 *
 *   starting  the deadline runs; on_worker_start has not returned
 *   ready     no deadline
 *   stopping  the deadline runs; `expected` tells whether anybody wanted it to end
 * A child that is merely stopped (SIGSTOP) is in whatever state it was, and meets its deadline. */
#ifndef CREW_PROC_CHILD_H
#define CREW_PROC_CHILD_H

#include "proc/generation.h"
#include "proc/listeners.h"
#include "proc/output.h"
#include "proc/registry.h"
#include "proc/watchdog.h"
#include "proc/wire.h"

enum {
	CREW__START_DEADLINE_MS = 10000, /* for on_worker_start */
	CREW__KILL_GRACE_MS = 2000,      /* after its window: on_worker_stop, exit handlers */
};

enum crew__child_state {
	CREW__CHILD_STARTING,
	CREW__CHILD_READY,
	CREW__CHILD_STOPPING
};

struct crew__child;

/* What all children of a master share, and what they tell it. */
struct crew__family {
	struct crew__loop *loop;
	const struct crew__launch *launch;
	struct crew__registry *registry;
	const int *log_fd;
	bool capture;               /* take what children print, where their settings say so */
	struct crew__node children; /* the living */
	struct crew__node graves;   /* the dead, freed at the turn's end */
	struct crew__turn_hook hook;
	void (*on_ready)(void *arg, struct crew__child *child);
	/* It begins to leave by its own wish; may be NULL. */
	void (*on_leaving)(void *arg, struct crew__child *child);
	/* It has answered to crew__child_tls(); may be NULL. */
	void (*on_tls)(void *arg, const struct crew__child *child, uint32_t serial, bool taken);
	/* Some child has begun or ceased to accept; once, at the end of that turn. May be NULL. */
	void (*on_readers)(void *arg);
	bool readers_changed;
	void *arg;
	struct crew__tls_secret secrets[CREW_MAX_SERVICES]; /* for tickets */
};

struct crew__child {
	struct crew__node node;
	struct crew__family *family;
	struct crew__generation *generation;
	struct crew__entry *entry;
	unsigned service, id;
	pid_t pid;
	enum crew__child_state state;
	bool expected; /* it was told to end, or asked to */
	bool was_ready;
	bool overdue; /* its deadline passed, and we killed it */
	bool dead;    /* waited for: its pid may be another process now */
	uint64_t began_ns;
	struct crew__source wire;
	struct crew__timer deadline;
	uint64_t deadline_ns;
	/* What it has yet to be told; a packet that does not fit now is sent when there is room, so
	 * a child that does not read costs no memory. */
	bool owes_stop, owes_reloading, owes_recycling, owes_log;
	uint64_t owes_service, owes_crew; /* settings that have changed: a bit for each key */
	bool wants_room;                  /* the last packet did not fit */
	int tls_fd;                       /* certificates that it owes, or -1 */
	uint32_t tls_serial, tls_tell;
	struct crew__stop_order stop;
	uint32_t
		told[CREW__LIVES_MAX]; /* serials of the lives it knows, by index in the registry */
	struct crew__output output;    /* what it prints */
	bool memory_judged, memory_counts; /* recycle_memory: is it more than it began with? */
	char failure[512];                 /* what it said of itself, "" when nothing */
	struct crew__guarded guarded;
};

/* How a child ended. */
struct crew__death {
	int status, signal; /* as in crew_exit */
	bool dumped_core;
	uint64_t lived_ms;
	struct crew__snapshot last; /* its numbers */
	char last_words[512];
	/* What the kernel said, and where it stood; zeros: it could not write that down. */
	struct crew__fault fault;
	struct crew__stack stack;
};

void crew__family_init(struct crew__family *family);
/* Frees graves; no child may live. */
void crew__family_fini(struct crew__family *family);

/* Start a worker process of that generation. `*vacancy` is the entry it fills, NULL for a new one;
 * NULL afterwards unless it failed. -ENOSPC (too many lives), -EAGAIN (too many processes), another
 * errno. */
int crew__child_start(struct crew__family *family, struct crew__generation *generation,
	unsigned service, unsigned id, struct crew__entry **vacancy,
	struct crew__child **ret_child);
/* What a former image of this process knew of a child; the rest is as after its start. */
struct crew__child_memory {
	pid_t pid;
	unsigned service, id;
	int wire_fd; /* -1: lost */
	struct crew__entry *entry;
	enum crew__child_state state;
	bool expected, was_ready, memory_judged, memory_counts;
	uint64_t began_ns, deadline_ns;
	const json_t *output; /* crew__output_save() */
};
/* Go on with it. -ENOMEM, or an errno of the loop. */
int crew__child_resume(struct crew__family *family, struct crew__generation *generation,
	const struct crew__child_memory *memory, struct crew__child **ret_child);
/* The living child with that pid; NULL: none. */
struct crew__child *crew__family_find(const struct crew__family *family, pid_t pid);
/* Is there anything that some child has yet to be told? */
bool crew__family_owes(const struct crew__family *family);

/* Tell it to stop, and kill it if it is not gone `grace_ms` after the window. Again: shortens only.
 */
void crew__child_stop(
	struct crew__child *child, const struct crew__stop_order *order, uint64_t grace_ms);
/* End it at once. */
void crew__child_kill(struct crew__child *child);
/* Tell it that a reload replaces it, that it is recycled, or that the log is another file now. */
void crew__child_reloading(struct crew__child *child);
void crew__child_recycling(struct crew__child *child);
void crew__child_reopen_log(struct crew__child *child);
/* A setting of its generation has changed, of its service or of [crew]: it is told, or as soon as
 * it listens again; then false. */
bool crew__child_set(struct crew__child *child, const struct crew__settings_change *change);
/* Tell it to end connections. A negative errno: not said. */
int crew__child_kick(struct crew__child *child, const struct crew__kick_order *order);
/* Give it new certificates, of crew__tls_files_read(); `fd` stays the caller's. It answers by
 * family->on_tls. A negative errno: not said. */
int crew__child_tls(struct crew__child *child, int fd, uint32_t serial, bool tell);
/* Lives have come or gone: bring it up to date. */
void crew__child_sync(struct crew__child *child);
/* Give it the listeners of a sibling that is away, and take them back. A negative errno: not said.
 */
int crew__child_adopt(
	struct crew__child *child, unsigned id, const int *listen_fds, unsigned count);
int crew__child_disown(struct crew__child *child, unsigned id);

/* The process is dead and waited for. Reads what it still said, folds its numbers, and lays it in
 * its grave: the child may be looked at until the turn's end. */
void crew__child_reap(struct crew__child *child, int wait_status, struct crew__death *ret_death);

const struct crew__service_settings *crew__child_settings(const struct crew__child *child);

/* In the forked process: become the worker. Does not return. (spawn.c) */
_Noreturn void crew__spawn_exec(const struct crew__launch *launch,
	const struct crew__generation *generation, int wire_fd,
	const int output_fds[2]); /* its standard output and error; -1: the master's */

#endif
