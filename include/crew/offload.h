/* offload.h - slow work off the loop. Included by <crew/crew.h>, whose rules hold.
 *
 * A call that blocks (a database, a disk far away, a long calculation) holds up every connection of its
 * worker. crew_offload() has it done by one of a few threads, and tells what became of it in the loop:
 *
 *	static void ask(void *arg)                            // in a thread: calls nothing of crew
 *	{
 *		struct question *q = arg;
 *		q->answer = slow_query(q->text);
 *	}
 *	static void tell(crew_worker *w, int error, void *arg) // in the loop
 *	{
 *		struct question *q = arg;
 *		crew_send(crew_find(q->from), error ? sorry : q->answer); // it may have gone: that is no crash
 *		free(q);
 *	}
 *	...
 *	q->from = crew_id(c);
 *	if (crew_offload(w, ask, tell, q) < 0)
 *		... too much waits already: say so, and free(q)
 *
 * `arg` is the work's alone from crew_offload() until `done`: the loop must not touch it meanwhile, and the
 * work must not touch a connection, nor call anything of crew but crew_offload_wanted() and crew_post(). */
#ifndef CREW_OFFLOAD_H
#define CREW_OFFLOAD_H

#include <crew/crew.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What is slow. It runs in a thread with a stack of 1 MiB and signals blocked; a process that it starts
 * inherits that mask unless it is told otherwise. It must come back: no thread is ever killed. */
typedef void crew_work_fn(void *arg);

/* What became of it. `error` 0: `work` has run to its end. Any other: it has not been called, and never will:
 *   -ETIMEDOUT   it waited longer than offload_timeout_ms
 *   -ENOTCONN    the connection it was for has gone (crew_offload_options.conn)
 *   -ECANCELED   crew_offload_cancel(), or the worker's time is over
 * Called exactly once for each id, in the loop, never from inside another call, never after on_worker_stop;
 * jobs are told in the order in which they ended. Not called for a work that still runs when the worker's
 * time is over (stop_timeout_ms, drain_timeout_ms): the process then ends without it, and the log names it. */
typedef void crew_work_done_fn(crew_worker *w, int error, void *arg);

struct crew_offload_options {
	int64_t timeout_ms; /* how long it may wait for a thread; 0: the service's offload_timeout_ms; CREW_OFF */
	uint64_t conn;      /* crew_id() of the connection whose answer it is: not run once that has gone; 0: none */
	const char *name;   /* what `status` and the log call it, copied, 31 bytes; NULL: as `work` is written */
};

/* Have `work(arg)` done by a thread of this worker, then `done(w, error, arg)`. An id > 0, or, with nothing
 * taken and nothing to be called:
 *   -ENOBUFS     offload_queue jobs wait already (counted, logged)
 *   -EAGAIN      no thread can be started, and none runs (counted, logged)
 *   -ENOMEM      (counted)
 *   -ESHUTDOWN   the worker's time is over
 *   -ENOTCONN    options->conn has gone already
 *   -EINVAL      w or work is NULL, or a timeout is none
 * `done` NULL: nobody wants to know. From the loop only; another thread asks for it by crew_post(). */
#define crew_offload(w, work, done, arg) crew_offload_as(#work, (w), (work), (done), (arg), NULL)
/* With options, which may be NULL. */
#define crew_offload_with(w, work, done, arg, options) \
	crew_offload_as(#work, (w), (work), (done), (arg), (options))
CREW_API int64_t crew_offload_as(const char *name, crew_worker *w, crew_work_fn *work,
	crew_work_done_fn *done, void *arg, const crew_offload_options *options);

/* Nobody waits for it any more. 0: it will not run, and `done` comes with -ECANCELED, later. -EBUSY: it runs,
 * or has run: `done` comes as ever, and crew_offload_wanted() in it is false from now on. -ENOENT. */
CREW_API int crew_offload_cancel(int64_t id);

/* For a long work to ask now and then, in its thread: false once it was cancelled, its connection has gone, or
 * the worker is about to end without it. True anywhere else. */
CREW_API bool crew_offload_wanted(void);

#ifdef __cplusplus
}
#endif
#endif
