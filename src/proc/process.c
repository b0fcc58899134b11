/* process.c - the worker process: what it gets from its master, and the loop around one worker.
 *
 *   exec ──▸ greeted ──▸ set up ──READY──▸ turning ──(STOP, recycle, TERM, the master's end)──▸
 *            leaving ──(the worker is done)──▸ STOPPED, exit
 *
 * The socket to the master is the lifeline: at its end the worker ends too, at once but in order.
 * Signals that a terminal sends to its whole process group are the master's business. */
#include "proc/process_parts.h"
#include "proc/run.h"

#include "base/check.h"
#include "base/clock.h"
#include "proc/asked.h"
#include "proc/confine.h"
#include "proc/core_dumps.h"
#include "proc/last_words.h"
#include "proc/lifeline.h"
#include "proc/output.h"
#include "proc/title.h"
#include "service/offload.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	LOG_END_MS = 1000 /* for lines that are not written yet */
};

static void say(struct crew__process *process, unsigned type, const char *text)
{
	if (process->wire.fd >= 0)
		crew__wire_send_text(process->wire.fd, type, text);
}

/* ---- leaving ------------------------------------------------------------------------------- */

static void on_done(crew_worker *w, void *arg)
{
	struct crew__process *process = arg;
	(void)w;
	say(process, CREW__MSG_STOPPED, "");
	crew__loop_stop(process->loop);
}

void crew__process_leave(
	struct crew__process *process, bool graceful, uint64_t window_ms, int close_code)
{
	process->leaving = true;
	if (process->giving)
		crew__giving_end(process->giving);
	const struct crew__worker_stop stop = {
		.graceful = graceful,
		.window_ms = window_ms,
		.close_code = close_code,
		.done = on_done,
		.arg = process,
	};
	crew__worker_stop(process->worker, &stop);
}

/* By the program's or an operator's wish: the master is told, so that it does not wonder. */
static void leave_by_itself(void *arg)
{
	struct crew__process *process = arg;
	if (process->leaving)
		return;
	say(process, CREW__MSG_LEAVING, "");
	crew__process_leave(process, false, (uint64_t)process->service->stop_timeout_ms,
		CREW__CLOSE_GOING_AWAY);
}

static void recycle_itself(void *arg)
{
	struct crew__process *process = arg;
	if (!process->leaving)
		crew__worker_recycled(process->worker);
	leave_by_itself(process);
}

static void on_recycle(void *arg, crew_worker *w)
{
	struct crew__process *process = arg;
	(void)w;
	/* Not from inside a callback, which may be on_worker_start. */
	crew__loop_post(process->loop, recycle_itself, process);
}

static void on_terminate(int signo, void *arg)
{
	(void)signo;
	leave_by_itself(arg);
}

void crew__process_master_is_gone(struct crew__process *process)
{
	int fd = process->wire.fd;
	crew__loop_remove(process->loop, &process->wire);
	close(fd);
	crew__log(CREW_WARN, "the master is gone; ending");
	crew__process_leave(process, false, 0, CREW__CLOSE_GOING_AWAY);
}

/* ---- setting up ---------------------------------------------------------------------------- */

static uint64_t service_counter(void *arg, const crew_service *service, const char *name)
{
	struct crew__process *process = arg;
	return crew__census_counter(process->census, service, name);
}

static struct crew__siblings siblings(void *arg)
{
	struct crew__process *process = arg;
	return crew__census_siblings(process->census);
}

static void ignore_signals(void)
{
	/* SIGXFSZ: a file at its limit is a failed write, not a death. */
	static const int ignored[] = { SIGPIPE, SIGXFSZ, SIGINT, SIGQUIT, SIGHUP, SIGUSR1 };
	for (size_t i = 0; i < crew__lengthof(ignored); i++)
		signal(ignored[i], SIG_IGN);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static int confine(struct crew__process *process, char *error, size_t size)
{
	struct crew__greeting *greeting = &process->greeting;
	struct crew__identity identity;
	int status = crew__identity_find(process->service, &identity, error, size);
	if (status == 0 && identity.changes)
		status = crew__worker_prepare(process->service->service,
			greeting->settings->run_dir, greeting->settings->name, identity.uid,
			identity.gid, error, size);
	if (status < 0)
		return status;
	unsigned id = greeting->hello.id;
	return crew__confine(greeting->service, &identity, id,
		crew__confine_place(greeting->settings, greeting->service, id), error, size);
}

static int make_worker(struct crew__process *process)
{
	struct crew__greeting *greeting = &process->greeting;
	const struct crew__worker_plan plan = {
		.loop = process->loop,
		.settings = process->service,
		.buffer_budget = greeting->settings->buffer_budget,
		.dns_servers = greeting->settings->dns_servers,
		.id = greeting->hello.id,
		.generation = greeting->hello.generation,
		.stats = greeting->stats,
		.listen_fds = greeting->listen_fds,
		.listen_count = greeting->listen_count,
		.counters = greeting->settings->app->counters,
		.run_dir = greeting->settings->run_dir,
		.name = greeting->settings->name,
		.service_counter = service_counter,
		.siblings = siblings,
		.recycle = on_recycle,
		.arg = process,
	};
	int status = crew__worker_new(&plan, &process->worker);
	greeting->listen_count = 0;
	return status;
}

static int make_surroundings(struct crew__process *process)
{
	const struct crew__greeting *greeting = &process->greeting;
	int status = crew__loop_new(greeting->settings->engine, &process->loop);
	if (status == 0)
		status = crew__census_new(&greeting->directory, process->loop,
			greeting->settings->app->counters, &process->census);
	if (status < 0)
		return status;
	process->log_care.loop = process->loop;
	status = crew__log_care_start(&process->log_care);
	if (status < 0)
		return status;
	crew__census_set_own(
		process->census, greeting->hello.index, greeting->hello.life, &greeting->segment);
	status = crew__loop_signal(process->loop, SIGTERM, on_terminate, process);
	if (status == 0)
		status = crew__loop_add(process->loop, &process->wire, CREW__READ);
	return status;
}

/* The certificates that came with the greeting: without them no connection can be served. */
static int begin_tls(struct crew__process *process, char *error, size_t size)
{
	struct crew__greeting *greeting = &process->greeting;
	if (!crew__service_speaks_tls(process->service))
		return 0;
	if (greeting->tls_fd < 0) {
		snprintf(error, size, "the running master hands over no certificates: use restart");
		return -EPROTO;
	}
	int status = crew__worker_take_tls(
		process->worker, greeting->tls_fd, &greeting->hello.secret, false, error, size);
	close(greeting->tls_fd);
	greeting->tls_fd = -1;
	explicit_bzero(&greeting->hello.secret, sizeof(greeting->hello.secret));
	return status;
}

/* What it leaves of itself when it dies, or when its master asks where it stands. */
static void begin_words(struct crew__process *process)
{
	struct crew__greeting *greeting = &process->greeting;
	struct crew__segment_header *header = greeting->segment.header;
	const struct crew__last_words_plan plan = {
		.words = crew__segment_words(&greeting->segment),
		.line = header->last_words,
		.size = sizeof(header->last_words),
	};
	crew__last_words_begin(&plan);
	crew__asked_begin(plan.words, getppid());
}

/* Everything up to READY. On failure `error` says why, for the master to tell. */
static int set_up(struct crew__process *process, const crew_app *app, char *error, size_t size)
{
	int status = crew__greeting_take(&process->greeting, process->wire.fd, app, error, size);
	if (status < 0)
		return status;
	process->service = process->greeting.service;
	if (process->greeting.settings->capture_output)
		crew__output_by_lines();
	struct crew__segment_header *header = process->greeting.segment.header;
	crew__panic_into(header->last_words, sizeof(header->last_words));
	begin_words(process);
	crew__log_count_into(&process->greeting.stats.slab->log_lost);
	status = confine(process, error, size);
	if (status < 0)
		return status;
	crew__core_dumps_spare(&process->greeting.segment);
	if (process->greeting.settings->core_dumps)
		crew__core_dumps_allow();
	crew__log_thread_allow();
	status = crew__lifeline_tie();
	if (status == 0)
		status = make_surroundings(process);
	if (status == 0)
		status = make_worker(process);
	if (status < 0) {
		snprintf(error, size, "the worker cannot be set up: %s", strerror(-status));
		return status;
	}
	process->takings.loop = process->loop;
	process->takings.worker = process->worker;
	status = begin_tls(process, error, size);
	if (status < 0)
		return status;
	status = crew__worker_start(process->worker);
	if (status < 0)
		snprintf(error, size, "on_worker_start, or beginning to accept, returned %d (%s)",
			status, strerror(-status));
	return status;
}

static void tear_down(struct crew__process *process)
{
	crew__giving_free(process->giving);
	crew__takings_end(&process->takings);
	if (process->worker)
		crew__worker_free(process->worker);
	int fd = process->wire.fd;
	if (process->loop && process->wire.events != 0)
		crew__loop_remove(process->loop, &process->wire);
	if (fd >= 0)
		close(fd);
	free(process->adopted);
	crew__census_free(process->census);
	crew__log_care_stop(&process->log_care);
	crew__loop_free(process->loop);
	crew__asked_end();
	crew__last_words_end();
	crew__panic_into(NULL, 0);
	crew__log_count_into(NULL);
	crew__log_thread_end(LOG_END_MS);
	crew__greeting_fini(&process->greeting);
}

static int run(int wire_fd, const crew_app *app)
{
	struct crew__process process = { .wire = { .fn = crew__process_on_wire, .fd = wire_fd } };
	crew__list_init(&process.takings.givers);
	char error[512] = "";
	ignore_signals();
	crew__greeting_init(&process.greeting);
	int status = set_up(&process, app, error, sizeof(error));
	if (status < 0) {
		say(&process, CREW__MSG_FAILED, error);
	} else {
		say(&process, CREW__MSG_READY, "");
		status = crew__loop_run(process.loop);
		if (status < 0)
			crew__log(CREW_ERROR, "the loop failed: %s", strerror(-status));
	}
	/* A thread whose work has not come back goes on until the process is gone: all stays. */
	if (crew__offloads_left_behind() > 0) {
		crew__log_count_into(NULL);
		crew__log_thread_end(LOG_END_MS);
		_exit(status < 0 ? 1 : 0);
	}
	tear_down(&process);
	return status < 0 ? 1 : 0;
}

bool crew__run_worker(const crew_app *app, int argc, char **argv, int *ret_status)
{
	char *room = environ[0]; /* where the master puts the variable that greets us */
	int wire_fd = crew__greeting_socket();
	if (wire_fd == -1)
		return false;
	crew__title_init(argc, argv, room);
	/* -2: the master died before we came to be. */
	*ret_status = wire_fd >= 0 ? run(wire_fd, app) : 1;
	return true;
}
