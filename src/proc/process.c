/* process.c - the worker process: what it gets from its master, and the loop around one worker.
 *
 *   exec ──▸ greeted ──▸ set up ──READY──▸ turning ──(STOP, recycle, TERM, the master's end)──▸
 *            leaving ──(the worker is done)──▸ STOPPED, exit
 *
 * The socket to the master is the lifeline: at its end the worker ends too, at once but in order.
 * Signals that a terminal sends to its whole process group are the master's business. */
#include "proc/greeting.h"
#include "proc/run.h"

#include "base/check.h"
#include "base/clock.h"
#include "proc/asked.h"
#include "proc/census.h"
#include "proc/confine.h"
#include "proc/core_dumps.h"
#include "proc/last_words.h"
#include "proc/lifeline.h"
#include "proc/log_care.h"
#include "proc/output.h"
#include "proc/passing.h"
#include "proc/title.h"
#include "service/live.h"
#include "service/offload.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	CLOSE_GOING_AWAY = 1001,
	MESSAGES_PER_TURN = 64,
	LOG_END_MS = 1000 /* for lines that are not written yet */
};

struct adopted {
	uint32_t id; /* whose it is: one with several addresses has several */
	int fd;      /* the worker's */
};

struct process {
	struct crew__greeting greeting;
	const struct crew__service_settings *service;
	struct crew__loop *loop;
	struct crew__census *census;
	struct crew__source wire;
	struct crew__log_care log_care;
	crew_worker *worker;
	struct adopted *adopted; /* listeners of siblings that are away */
	size_t adopted_count;
	struct crew__giving *giving; /* connections go to another worker; NULL until they do */
	struct crew__takings takings;
	struct crew__stop_order stop; /* to be followed when `giving` is over */
	uint64_t stop_ns;             /* when it came; 0: none has */
	bool leaving;
};

static void say(struct process *process, unsigned type, const char *text)
{
	if (process->wire.fd >= 0)
		crew__wire_send_text(process->wire.fd, type, text);
}

/* ---- leaving ------------------------------------------------------------------------------- */

static void on_done(crew_worker *w, void *arg)
{
	struct process *process = arg;
	(void)w;
	say(process, CREW__MSG_STOPPED, "");
	crew__loop_stop(process->loop);
}

static void leave(struct process *process, bool graceful, uint64_t window_ms, int close_code)
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
	struct process *process = arg;
	if (process->leaving)
		return;
	say(process, CREW__MSG_LEAVING, "");
	leave(process, false, (uint64_t)process->service->stop_timeout_ms, CLOSE_GOING_AWAY);
}

static void recycle_itself(void *arg)
{
	struct process *process = arg;
	if (!process->leaving)
		crew__worker_recycled(process->worker);
	leave_by_itself(process);
}

static void on_recycle(void *arg, crew_worker *w)
{
	struct process *process = arg;
	(void)w;
	/* Not from inside a callback, which may be on_worker_start. */
	crew__loop_post(process->loop, recycle_itself, process);
}

static void on_terminate(int signo, void *arg)
{
	(void)signo;
	leave_by_itself(arg);
}

static void master_is_gone(struct process *process)
{
	int fd = process->wire.fd;
	crew__loop_remove(process->loop, &process->wire);
	close(fd);
	crew__log(CREW_WARN, "the master is gone; ending");
	leave(process, false, 0, CLOSE_GOING_AWAY);
}

/* ---- what the master says ------------------------------------------------------------------ */

static void take_log(struct process *process, int fd)
{
	crew__worker_reopen_logs(process->worker);
	if (fd < 0)
		return;
	crew__log_file_follow(process->greeting.log_fd, fd);
	crew__log_switch(fd);
	close(process->greeting.log_fd);
	process->greeting.log_fd = fd;
}

/* ---- handing connections over: what can move goes before the rest is told to leave ---- */

static bool hands_over(const struct process *process)
{
	return process->giving && !crew__giving_is_over(process->giving);
}

static void follow(
	struct process *process, const struct crew__stop_order *order, uint64_t window_ms)
{
	leave(process, order->graceful != 0, window_ms, order->close_code);
}

static void on_given(void *arg)
{
	struct process *process = arg;
	const struct crew__stop_order order = process->stop;
	uint64_t passed_ms = (crew__clock_ns() - process->stop_ns) / CREW__NS_PER_MS;
	if (process->stop_ns == 0)
		return; /* the order is still to come */
	follow(process, &order, order.window_ms - crew__min(order.window_ms, passed_ms));
}

static void give(struct process *process, int take_fd)
{
	if (take_fd < 0)
		return;
	if (process->giving || process->leaving) {
		close(take_fd);
		return;
	}
	int status = crew__giving_new(
		process->loop, process->worker, take_fd, on_given, process, &process->giving);
	if (status < 0)
		crew__log(CREW_WARN, "connections are not handed over: %s", strerror(-status));
}

static void take(struct process *process, int take_fd)
{
	if (take_fd < 0)
		return;
	int status = crew__takings_add(&process->takings, take_fd);
	if (status < 0)
		crew__log(CREW_WARN, "no connections are taken over: %s", strerror(-status));
}

/* The first order waits until the connections have gone, for half of its window at most; any other
 * is to be followed at once. */
static void take_stop(struct process *process, const struct crew__message *message)
{
	struct crew__stop_order order;
	if (message->length != sizeof(order))
		return;
	memcpy(&order, message->payload, sizeof(order));
	if (hands_over(process) && process->stop_ns == 0) {
		process->stop = order;
		process->stop_ns = crew__clock_ns();
		crew__worker_stop_accepting(process->worker);
		crew__giving_until(process->giving,
			process->stop_ns + order.window_ms * (CREW__NS_PER_MS / 2));
		return;
	}
	follow(process, &order, order.window_ms);
}

static void take_life(struct process *process, struct crew__message *message)
{
	struct crew__life_note note;
	if (message->length != sizeof(note))
		return;
	memcpy(&note, message->payload, sizeof(note));
	if (message->type == CREW__MSG_LIFE_GONE) {
		crew__census_clear(process->census, note.index);
		return;
	}
	int fd = crew__message_take_fd(message, 0);
	int status = fd < 0 ? -EPROTO
			    : crew__census_set(process->census, note.index, note.life, fd);
	if (status < 0)
		crew__log(CREW_WARN,
			"another worker's numbers cannot be read: %s; totals lack them",
			strerror(-status));
}

static void disown(struct process *process, uint32_t id)
{
	size_t left = 0;
	for (size_t i = 0; i < process->adopted_count; i++) {
		struct adopted adopted = process->adopted[i];
		if (adopted.id == id)
			crew__worker_disown(process->worker, adopted.fd);
		else
			process->adopted[left++] = adopted;
	}
	process->adopted_count = left;
}

static int adopt(struct process *process, uint32_t id, int take_fd)
{
	size_t size = (process->adopted_count + 1) * sizeof(struct adopted);
	struct adopted *adopted = realloc(process->adopted, size);
	if (!adopted) {
		close(take_fd);
		return -ENOMEM;
	}
	process->adopted = adopted;
	int status = crew__worker_adopt(process->worker, take_fd);
	if (status == 0)
		adopted[process->adopted_count++] = (struct adopted){ id, take_fd };
	return status;
}

static void take_absence(struct process *process, struct crew__message *message)
{
	struct crew__absence absence;
	if (message->length != sizeof(absence))
		return;
	memcpy(&absence, message->payload, sizeof(absence));
	if (message->type == CREW__MSG_DISOWN) {
		disown(process, absence.id);
		return;
	}
	disown(process, absence.id);
	int status = message->fd_count > 0 ? 0 : -EPROTO;
	for (unsigned i = 0; i < message->fd_count; i++) {
		int error = adopt(process, absence.id, crew__message_take_fd(message, i));
		status = error ? error : status;
	}
	if (status < 0)
		crew__log(CREW_WARN, "cannot accept for #%u, which is away: %s", absence.id,
			strerror(-status));
}

static void take_kick(struct process *process, const struct crew__message *message)
{
	static struct crew__kick_order order; /* large; one loop, one thread */
	const size_t head = offsetof(struct crew__kick_order, ids);
	if (message->length < head || message->length > sizeof(order))
		return;
	memcpy(&order, message->payload, message->length);
	if (order.count <= CREW__KICK_MOST &&
		message->length == head + order.count * sizeof(order.ids[0]))
		crew__worker_kick(process->worker, order.ids, order.count, order.by);
}

/* What the worker had already, from the settings it began with, is no change. */
static void take_setting(struct process *process, const struct crew__message *message)
{
	struct crew__settings *settings = process->greeting.settings;
	struct crew__settings_change change;
	char error[1536];
	if (crew__settings_set_live(settings, message->payload, &change, error, sizeof(error)) <
		0) {
		crew__log(CREW_WARN, "a setting that the master sent is left out: %s", error);
		return;
	}
	if (change.before == change.now)
		return;
	crew__log_set_level(settings->log_level);
	crew__worker_set(process->worker, settings, &change);
}

static void take_tls(struct process *process, struct crew__message *message)
{
	struct crew__tls_order order;
	char error[1024];
	int fd = crew__message_take_fd(message, 0);
	if (message->length == sizeof(order) && fd >= 0) {
		memcpy(&order, message->payload, sizeof(order));
		struct crew__tls_done done = { .serial = order.serial };
		done.status = crew__worker_take_tls(
			process->worker, fd, &order.secret, order.tell != 0, error, sizeof(error));
		/* Another worker has found them sound: this is about this one, so it tells. */
		if (done.status < 0 && !order.tell)
			crew__log(CREW_ERROR, "the new certificates are not taken: %s", error);
		explicit_bzero(&order, sizeof(order));
		if (process->wire.fd >= 0)
			crew__wire_send(
				process->wire.fd, CREW__MSG_TLS_DONE, &done, sizeof(done), NULL, 0);
	}
	explicit_bzero(message->payload, message->length);
	if (fd >= 0)
		close(fd);
}

static void take_message(struct process *process, struct crew__message *message)
{
	switch (message->type) {
	case CREW__MSG_STOP:
		take_stop(process, message);
		break;
	case CREW__MSG_RELOADING:
		crew__worker_reloading(process->worker);
		break;
	case CREW__MSG_RECYCLING:
		crew__worker_recycled(process->worker);
		break;
	case CREW__MSG_REOPEN_LOG:
		take_log(process, crew__message_take_fd(message, 0));
		break;
	case CREW__MSG_ADOPT:
	case CREW__MSG_DISOWN:
		take_absence(process, message);
		break;
	case CREW__MSG_KICK_THESE:
		take_kick(process, message);
		break;
	case CREW__MSG_SETTING:
		take_setting(process, message);
		break;
	case CREW__MSG_TLS:
		take_tls(process, message);
		break;
	case CREW__MSG_GIVE:
		give(process, crew__message_take_fd(message, 0));
		break;
	case CREW__MSG_TAKE:
		take(process, crew__message_take_fd(message, 0));
		break;
	case CREW__MSG_LIFE:
	case CREW__MSG_LIFE_GONE:
		take_life(process, message);
		break;
	default:
		crew__log(CREW_WARN, "the master sent a message of type %u, which is unknown here",
			message->type);
	}
	crew__message_release(message);
}

static void on_wire(struct crew__source *source, unsigned events)
{
	static struct crew__message message; /* large; one loop, one thread */
	struct process *process = crew__container_of(source, struct process, wire);
	(void)events;
	for (int i = 0; i < MESSAGES_PER_TURN && source->fd >= 0; i++) {
		int got = crew__wire_receive(source->fd, &message);
		if (got == -EAGAIN)
			return;
		if (got <= 0)
			master_is_gone(process);
		else
			take_message(process, &message);
	}
}

/* ---- setting up ---------------------------------------------------------------------------- */

static uint64_t service_counter(void *arg, const crew_service *service, const char *name)
{
	struct process *process = arg;
	return crew__census_counter(process->census, service, name);
}

static struct crew__siblings siblings(void *arg)
{
	struct process *process = arg;
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

static int confine(struct process *process, char *error, size_t size)
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

static int make_worker(struct process *process)
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

static int make_surroundings(struct process *process)
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
static int begin_tls(struct process *process, char *error, size_t size)
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
static void begin_words(struct process *process)
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
static int set_up(struct process *process, const crew_app *app, char *error, size_t size)
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

static void tear_down(struct process *process)
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
	struct process process = { .wire = { .fn = on_wire, .fd = wire_fd } };
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
