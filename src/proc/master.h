/* master.h - the process that keeps the others: what it owns, and what it decides.
 *
 * One thread, one loop. It owns the listening sockets, starts a worker for every slot (service,
 * id), waits for them and starts them again, answers the control socket and does what signals say.
 * It parses nothing that comes from a network, and of what stands in shared memory it believes
 * nothing.
 *
 *            all ready          crew__master_reload       new ones ready, old ones gone; or failed
 *   STARTING ────────▸ RUNNING ─────────────────▸ RELOADING ─────────────────────────▸ RUNNING
 *      │ one failed        │ crew__master_stop        │ crew__master_stop
 *      └───────────────────┴──────────────────────────┴────▸ STOPPING ──(no child)──▸ loop ends */
#ifndef CREW_PROC_MASTER_H
#define CREW_PROC_MASTER_H

#include "proc/backlog.h"
#include "proc/backoff.h"
#include "proc/child.h"
#include "proc/control.h"
#include "proc/fd_store.h"
#include "proc/herald.h"
#include "proc/log_care.h"
#include "proc/pidfile.h"
#include "proc/watch.h"

enum crew__master_state {
	CREW__MASTER_STARTING,
	CREW__MASTER_RUNNING,
	CREW__MASTER_RELOADING,
	CREW__MASTER_STOPPING,
};

/* How a stop is done; a later call only makes it harder. */
enum crew__stop_level {
	CREW__STOP_GRACEFUL,
	CREW__STOP_PLAIN,
	CREW__STOP_NOW
};

struct crew__master;

/* A place to be filled: worker `id` of a service. */
struct crew__slot {
	struct crew__master *master;
	unsigned service, id;        /* the service's place in the directory */
	bool was_ready;              /* some worker of it has been */
	struct crew__child *child;   /* of the generation in force; NULL while it waits */
	struct crew__child *next;    /* of the generation that a reload is starting */
	struct crew__child *fresh;   /* to replace `child` when it is ready (recycle.h) */
	uint64_t recycle_after_ns;   /* `child` is not replaced before */
	struct crew__entry *vacancy; /* its row in the directory while it waits */
	struct crew__backoff backoff;
	struct crew__timer respawn;
};

/* A reload under way: first its plan is awaited (`planner`), then the new workers (`next`), then
 * the end of the old ones (neither). */
struct crew__reload {
	pid_t planner;  /* 0: none */
	int program_fd; /* while there is one: what it runs, and where it writes */
	int plan_fd;
	struct crew__timer deadline; /* of the planner */
	struct crew__generation *next;
	unsigned number; /* of the new generation */
	unsigned awaited;
	bool graceful;
};

/* The last step: the new program is rehearsing, or waits to. */
struct crew__succession {
	pid_t rehearsal; /* 0: none */
	int testament_fd;
	size_t rehearsed;         /* so many descriptors */
	struct crew__timer timer; /* its deadline, or until the next try */
	unsigned tries;
};

struct crew__master {
	struct crew__loop *loop;
	struct crew__launch launch;
	struct crew__generation *generation;
	struct crew__registry *registry;
	struct crew__listeners listeners; /* as opened at the start; then the generation's */
	struct crew__control *control;
	struct crew__log_file log;
	struct crew__log_care log_care;
	struct crew__family family;
	struct crew__slot **slots; /* by service, then by id; a slot never moves */
	unsigned slot_count;
	enum crew__master_state state;
	enum crew__stop_level stop_level;
	bool has_terminal;
	struct crew__reload reload;
	struct crew__succession succession;
	const char *mode;              /* "foreground", "daemon" */
	struct crew__pidfile *pidfile; /* the caller's */
	struct crew__certificate_watch certificate_watch;
	struct crew__watch watch; /* start --watch */
	struct crew__timer recycle_timer;
	struct crew__notify *notify;     /* the service manager; may be NULL */
	struct crew__fd_store *fd_store; /* with it; may be NULL as well */
	struct crew__herald herald;
	struct crew__watchdog watchdog;
	struct crew__backlog backlog;
	int exit_status;
	char failure[1024];                                /* why the start failed */
	void (*on_started)(void *arg, const char *engine); /* all workers are ready */
	void *arg;
};

/* The parts in the order in which they are made; crew__master_fini undoes what was done. The caller
 * has made launch, log and listeners, and holds the pid file. */
int crew__master_init(struct crew__master *master, struct crew__settings *settings,
	const char *mode, char *ret_error, size_t error_size);
/* Start all workers and turn until all is over: the exit status. */
int crew__master_run(struct crew__master *master);

/* In the next image of this process: the parts that resume.c asks for ... */
int crew__master_init_loop(struct crew__master *master, const struct crew__settings *settings);
int crew__master_resume_control(
	struct crew__master *master, const json_t *saved, char *ret_error, size_t error_size);
/* ... and on it goes: the exit status. */
int crew__master_go_on(struct crew__master *master);
void crew__master_fini(struct crew__master *master);

void crew__master_stop(struct crew__master *master, enum crew__stop_level level);
/* What operators do to workers that run (operate.c); see struct crew__control_plan. */
void crew__master_kick(struct crew__master *master, const uint64_t *ids, size_t count, uid_t by,
	struct crew__handed_on *ret_handed_on);
int crew__master_set(struct crew__master *master, const char *text, uid_t by,
	struct crew__handed_on *ret_handed_on, char *ret_error, size_t error_size);

/* How long a stop of that kind can take, in milliseconds. */
uint64_t crew__stop_bound_ms(const struct crew__settings *settings, bool graceful);

/* 0: under way, over within `ret_bound_ms`; what came of it is told by crew__control_reloaded().
 * Else a negative errno with a sentence. (reload.c) */
int crew__master_reload(struct crew__master *master, bool graceful, uint64_t *ret_bound_ms,
	char *ret_error, size_t error_size);
/* What the reload is told; each returns at once when none is under way. `planned`: a child has
 * ended that is no worker. */
void crew__reload_planned(struct crew__master *master, pid_t pid, int wait_status);
void crew__reload_ready(struct crew__master *master);
void crew__reload_lost(
	struct crew__master *master, const struct crew__child *child, const char *why);
void crew__reload_buried(struct crew__master *master);
void crew__reload_cancel(struct crew__master *master, const char *why);
/* The last step is done, in this image or the next. `why`: the master stays the program it was;
 * NULL: it is the new one. */
void crew__reload_succeeded(struct crew__master *master, const char *why);
void crew__reload_resumed(struct crew__master *master);

/* The master's own succession (succession.c): rehearse, then execute the new program in place; or
 * crew__reload_succeeded() says why not. `ended`: a child has, that is no worker. */
void crew__succession_begin(struct crew__master *master);
void crew__succession_ended(struct crew__master *master, pid_t pid, int wait_status);
void crew__succession_cancel(struct crew__master *master);

/* Slots (slot.c). */
struct crew__slot *crew__slot_find(
	const struct crew__master *master, unsigned service, unsigned id); /* NULL: none */
/* The one at the child's place; NULL when it has gone. Its worker may be another one by now. */
struct crew__slot *crew__slot_of(
	const struct crew__master *master, const struct crew__child *child);
/* A slot for each worker of that generation; those that are there already stay. 0; -ENOSPC: too
 * many workers; -ENOMEM. */
int crew__slots_add(struct crew__master *master, const struct crew__generation *generation);
/* Slots that this generation, the one in force, has no worker for go. */
void crew__slots_keep(struct crew__master *master, const struct crew__generation *generation);
void crew__slots_fini(struct crew__master *master);
/* Put a worker of the generation in force into an empty slot, now or later when that fails. */
void crew__slot_fill(struct crew__slot *slot);
/* Its worker died: fill it again, and say when in `text`. */
void crew__slot_vacate(struct crew__slot *slot, const struct crew__child *child, uint64_t lived_ms,
	char *text, size_t size);
void crew__slot_stop_waiting(struct crew__slot *slot);
/* A crash loop has begun: say so, once, when its obituary is written. */
void crew__slot_tell_loop(struct crew__slot *slot, const struct crew__death *death);
/* A crash loop is over when its worker has lived long enough. */
void crew__slots_forgive(struct crew__master *master, uint64_t now_ns);
/* With reuse_port: see to it that every socket is read, by the worker with its id or, while there
 * is none that accepts, by a sibling. At the end of each turn in which that changed. (lend.c) */
void crew__sockets_lend(struct crew__master *master);
/* Tell all children which lives there are now. */
void crew__master_sync(struct crew__master *master);
/* See to it that the service manager keeps the listeners that there are now. */
void crew__master_store(struct crew__master *master);

#endif
