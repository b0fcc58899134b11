/* worker.h - one service in one process: its listeners, its connections, its callbacks.
 *
 * This is the one place where connection and protocol meet the program's callbacks. The process
 * around it (proc/worker.c, or the single mode) gives it a loop, settings, listening sockets and
 * memory for its numbers, and tells it to stop.
 *
 *   crew__worker_new ──▸ [starting] ──crew__worker_start──▸ [ready]
 *        [ready] ──crew__worker_stop──▸ [draining] ──(no connection left, or time is up)──▸ done()
 */
#ifndef CREW_SERVICE_WORKER_H
#define CREW_SERVICE_WORKER_H

#include "loop/loop.h"
#include "net/net.h"
#include "service/settings.h"
#include "stats/slab.h"

enum {
	CREW__CLOSE_GOING_AWAY = 1001 /* WebSocket's code for: the server stops */
};

struct crew__worker_plan {
	struct crew__loop *loop;
	const struct crew__service_settings *settings;
	int64_t buffer_budget; /* of [crew]: bytes that its queues may hold; 0: off */
	const char *dns_servers; /* of [crew]; NULL: the system's */
	unsigned id, generation;
	struct crew__stats stats;
	const int
		*listen_fds; /* non-blocking listening sockets; taken over (closed by the worker) */
	size_t listen_count;
	const crew_counter *counters; /* crew_app.counters */
	const char *run_dir, *name;   /* where this program keeps files, and how it is called; NULL:
				       * there is no such place */
	/* What crew_service_counter() asks: all living and retired of that service; may be NULL. */
	uint64_t (*service_counter)(void *arg, const crew_service *service, const char *name);
	/* For accept = least-connections: how the other workers of the service are doing; NULL:
	 * there are none. */
	struct crew__siblings (*siblings)(void *arg);
	/* crew_worker_recycle(): the process around asks for its own stop. May be NULL. */
	void (*recycle)(void *arg, crew_worker *w);
	void *arg;
};

/* Make it; listeners are not yet watched. 0, -ENOMEM. Takes listen_fds over in every case. */
int crew__worker_new(const struct crew__worker_plan *plan, crew_worker **ret_worker);

/* Make in the run directory, while the process still may, what the worker will want to have there
 * as that user. 0 or an errno with a sentence. */
int crew__worker_prepare(const crew_service *service, const char *run_dir, const char *name,
	uid_t uid, gid_t gid, char *ret_error, size_t error_size);

/* Call on_worker_start and begin to accept. The callback's negative return, or an errno. */
int crew__worker_start(crew_worker *w);

/* Begin to stop: no new connection is accepted, every connection is closed in good order (leaving.c
 * says how; WebSocket close `close_code`, 1001 at stop, 1012 at reload: then at moments spread over the
 * window). graceful: those who came to us are waited for, not closed, until shortly before the end of
 * the window; otherwise their queues have the window to leave. When all are gone, or the window ends
 * (then the rest is aborted: reason drain), on_worker_stop is called, the state is EXITED and
 * `done(w, arg)` follows, from the loop. Calling again shortens only. */
struct crew__worker_stop {
	bool graceful;
	uint64_t window_ms;
	int close_code;
	void (*done)(crew_worker *w, void *arg);
	void *arg;
};
void crew__worker_stop(crew_worker *w, const struct crew__worker_stop *stop);

/* No new connection comes from now on; those that are there stay. A stop is to follow. */
void crew__worker_stop_accepting(crew_worker *w);

/* Accept from this listening socket as well: with reuse_port, that of a sibling which is away.
 * Taken over in every case. 0, -ENOMEM; a worker that stops closes it and returns 0. */
int crew__worker_adopt(crew_worker *w, int take_listen_fd);
/* The sibling is back: stop accepting from its socket and close it. Nothing when it is not here. */
void crew__worker_disown(crew_worker *w, int listen_fd);

/* A reload replaces this worker: call on_reload. */
void crew__worker_reloading(crew_worker *w);

/* A fresh one takes its place before a limit of the settings, or the program, lets it end: counted. */
void crew__worker_recycled(crew_worker *w);

/* Somebody has moved log files away: open them anew. */
void crew__worker_reopen_logs(crew_worker *w);

/* The settings may be freed and the loop ended after this. Connections that still live are aborted
 * (reason drain). */
void crew__worker_free(crew_worker *w);

#endif
