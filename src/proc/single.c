/* single.c - master and workers in one process, where no worker can be replaced: one that recycles
 * itself ends for good, and when the last has ended so does the process. */
#include "proc/single.h"

#include "base/clock.h"
#include "proc/backlog.h"
#include "proc/census.h"
#include "proc/change.h"
#include "proc/chronicle.h"
#include "proc/herald.h"
#include "proc/inside.h"
#include "proc/log_care.h"
#include "service/live.h"
#include "service/tls.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	CLOSE_GOING_AWAY = 1001,
	STOP_SLACK_MS = 3000
};

struct member {
	struct crew__single *single;
	crew_worker *worker;
	struct crew__entry *entry;
	struct crew__tls_watch certificates;
	struct crew__tls_secret secret;
	bool done;
};

struct crew__single {
	struct crew__single_plan plan;
	struct crew__loop *loop;
	struct crew__registry *registry;
	struct crew__census *census;
	struct crew__control *control;
	struct member members[CREW_MAX_SERVICES];
	unsigned count; /* members made */
	unsigned running;
	struct crew__timer certificate_timer;
	struct crew__herald herald;
	struct crew__backlog backlog;
	struct crew__log_care log_care;
	bool stopping;
	bool stopping_at_once;
};

/* ---- stopping ------------------------------------------------------------------------------ */

static void on_done(crew_worker *w, void *arg)
{
	struct member *member = arg;
	(void)w;
	if (member->done)
		return;
	member->done = true;
	crew__registry_note(member->single->registry, member->entry, getpid(), CREW__EXITED);
	if (--member->single->running == 0)
		crew__loop_stop(member->single->loop);
}

static void stop_member(struct member *member, bool graceful, uint64_t window_ms)
{
	const struct crew__worker_stop stop = {
		.graceful = graceful,
		.window_ms = window_ms,
		.close_code = CLOSE_GOING_AWAY,
		.done = on_done,
		.arg = member,
	};
	if (!member->done)
		crew__worker_stop(member->worker, &stop);
}

static uint64_t window_of(const struct member *member, bool graceful)
{
	const struct crew__single *single = member->single;
	const struct crew__service_settings *settings =
		&single->plan.settings->service[member - single->members];
	return (uint64_t)(graceful ? settings->drain_timeout_ms : settings->stop_timeout_ms);
}

static uint64_t stop_bound_ms(const struct crew__single *single, bool graceful)
{
	uint64_t longest = 0;
	for (unsigned i = 0; i < single->count; i++)
		longest = crew__max(longest, window_of(&single->members[i], graceful));
	return longest + STOP_SLACK_MS;
}

static void stop_all(struct crew__single *single, bool graceful)
{
	single->stopping = true;
	crew__log(CREW_INFO, "stopping");
	crew__chronicle_stop(single->registry, "stopping");
	crew__herald_stopping(&single->herald, stop_bound_ms(single, graceful));
	crew__fd_store_leave(single->plan.fd_store, single->plan.listeners,
		single->registry->directory.header->service);
	crew__listeners_close(single->plan.listeners);
	for (unsigned i = 0; i < single->count; i++) {
		struct member *member = &single->members[i];
		stop_member(member, graceful, window_of(member, graceful));
	}
}

static void stop_at_once(struct crew__single *single)
{
	single->stopping_at_once = true;
	crew__log(CREW_INFO, "stopping at once");
	for (unsigned i = 0; i < single->count; i++)
		stop_member(&single->members[i], false, 0);
}

/* ---- signals and commands ------------------------------------------------------------------ */

static void on_terminate(int signo, void *arg)
{
	struct crew__single *single = arg;
	(void)signo;
	if (!single->stopping)
		stop_all(single, false);
	else if (!single->stopping_at_once)
		stop_at_once(single);
}

static void on_quit(int signo, void *arg)
{
	(void)signo;
	stop_all(arg, true);
}

static void on_hangup(int signo, void *arg)
{
	(void)signo;
	(void)arg;
	crew__log(CREW_WARN, "SIGHUP does nothing: a program started with --single cannot reload");
}

static void on_reopen(int signo, void *arg)
{
	struct crew__single *single = arg;
	(void)signo;
	crew__log_file_reopen(single->plan.log);
	for (unsigned i = 0; i < single->count; i++)
		if (single->members[i].worker)
			crew__worker_reopen_logs(single->members[i].worker);
}

static int stop_for_command(void *arg, bool graceful, uint64_t *ret_bound_ms)
{
	struct crew__single *single = arg;
	*ret_bound_ms = stop_bound_ms(single, graceful);
	stop_all(single, graceful);
	return 0;
}

static int reload_for_command(
	void *arg, bool graceful, uint64_t *ret_bound_ms, char *ret_error, size_t error_size)
{
	(void)arg;
	(void)graceful;
	(void)ret_bound_ms;
	snprintf(ret_error, error_size,
		"a program started with --single cannot reload: use restart");
	return -ENOTSUP;
}

static void kick_for_command(void *arg, const uint64_t *ids, size_t count, uid_t by,
	struct crew__handed_on *ret_handed_on)
{
	struct crew__single *single = arg;
	*ret_handed_on = (struct crew__handed_on){ 0 };
	for (unsigned i = 0; i < single->count; i++)
		ret_handed_on->told += crew__worker_kick(single->members[i].worker, ids, count, by);
}

static int set_for_command(void *arg, const char *text, uid_t by,
	struct crew__handed_on *ret_handed_on, char *ret_error, size_t error_size)
{
	struct crew__single *single = arg;
	struct crew__settings *settings = single->plan.settings;
	struct crew__settings_change change;
	int status = crew__change_settings(
		settings, single->registry, text, &change, ret_error, error_size);
	if (status < 0)
		return status;
	*ret_handed_on = (struct crew__handed_on){ 0 };
	crew__change_log(settings, &change, by);
	crew__log_set_level(settings->log_level);
	for (unsigned i = 0; i < single->count; i++) {
		if (change.service >= 0 && change.service != (int)i)
			continue;
		if (change.before != change.now)
			crew__worker_set(single->members[i].worker, settings, &change);
		ret_handed_on->told++;
	}
	return 0;
}

static int watch_signals(struct crew__single *single)
{
	static const struct {
		int signo;
		void (*fn)(int signo, void *arg);
	} table[] = {
		{ SIGTERM, on_terminate },
		{ SIGINT, on_terminate },
		{ SIGQUIT, on_quit },
		{ SIGHUP, on_hangup },
		{ SIGUSR1, on_reopen },
	};
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a file at its limit is a failed write, not a death */
	for (size_t i = 0; i < crew__lengthof(table); i++) {
		int status = crew__loop_signal(single->loop, table[i].signo, table[i].fn, single);
		if (status < 0)
			return status;
	}
	return 0;
}

/* ---- making -------------------------------------------------------------------------------- */

static uint64_t service_counter(void *arg, const crew_service *service, const char *name)
{
	struct member *member = arg;
	return crew__census_counter(member->single->census, service, name);
}

static void stop_recycled(void *arg)
{
	struct member *member = arg;
	crew__log(CREW_WARN, "%s recycles itself; with --single nothing takes its place",
		crew_worker_service(member->worker)->name);
	stop_member(member, false, window_of(member, false));
}

static void on_recycle(void *arg, crew_worker *w)
{
	struct member *member = arg;
	(void)w;
	/* Not from inside a callback, which may be on_worker_start. */
	crew__loop_post(member->single->loop, stop_recycled, member);
}

/* The worker closes its own; the listeners stay open until the program stops. */
static int copy_listeners(const struct crew__listeners *listeners, unsigned service,
	int ret_fds[CREW__ADDRESSES_MAX], size_t *ret_count)
{
	int fds[CREW__ADDRESSES_MAX];
	unsigned count = crew__listeners_fds(listeners, service, 0, false, fds);
	for (unsigned i = 0; i < count; i++) {
		ret_fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
		if (ret_fds[i] >= 0)
			continue;
		int error = -errno;
		while (i > 0)
			close(ret_fds[--i]);
		return error;
	}
	*ret_count = count;
	return 0;
}

static int make_member(struct crew__single *single, unsigned index)
{
	const struct crew__single_plan *plan = &single->plan;
	const struct crew__listener *listener = &plan->listeners->service[index];
	const struct crew__life_plan life = {
		.settings = &plan->settings->service[index],
		.listen = listener->count > 0 ? listener->text : NULL,
		.counters = plan->settings->app->counters,
		.service = index,
		.generation = 1,
	};
	struct member *member = &single->members[index];
	member->single = single;
	int status = crew__registry_begin(single->registry, &life, NULL, &member->entry);
	if (status < 0)
		return status;
	crew__registry_note(single->registry, member->entry, getpid(), CREW__STARTING);
	crew__census_set_own(single->census, crew__entry_index(single->registry, member->entry),
		member->entry->life.life, &member->entry->segment);
	struct crew__worker_plan worker = {
		.loop = single->loop,
		.settings = life.settings,
		.buffer_budget = plan->settings->buffer_budget,
		.dns_servers = plan->settings->dns_servers,
		.generation = 1,
		.counters = plan->settings->app->counters,
		.run_dir = plan->settings->run_dir,
		.name = plan->settings->name,
		.service_counter = service_counter,
		.recycle = on_recycle,
		.arg = member,
	};
	status = crew__segment_stats(&member->entry->segment, &worker.stats);
	if (status < 0)
		return status;
	int fds[CREW__ADDRESSES_MAX];
	status = copy_listeners(plan->listeners, index, fds, &worker.listen_count);
	if (status < 0)
		return status;
	worker.listen_fds = fds;
	if (index == 0) /* the log is one for all of them */
		crew__log_count_into(&worker.stats.slab->log_lost);
	status = crew__worker_new(&worker, &member->worker);
	if (status == 0)
		single->count = index + 1;
	return status;
}

/* ---- certificates -------------------------------------------------------------------------- */

static const struct crew__service_settings *settings_of(const struct member *member)
{
	return &member->single->plan.settings->service[member - member->single->members];
}

static int take_certificates(
	struct member *member, int take_fd, bool tell, char *ret_error, size_t error_size)
{
	crew__tls_secret_advance(&member->secret);
	int status = crew__worker_take_tls(
		member->worker, take_fd, &member->secret, tell, ret_error, error_size);
	close(take_fd);
	return status;
}

static void look_at(struct member *member)
{
	char why[1024];
	int fd;
	const struct crew__service_settings *settings = settings_of(member);
	if (member->done || !crew__service_speaks_tls(settings) ||
		!crew__tls_watch_look(&member->certificates, settings))
		return;
	/* What cannot be read is told here, what is not sound by the worker. */
	if (crew__tls_files_read(settings, &fd, why, sizeof(why)) == 0) {
		(void)take_certificates(member, fd, true, why, sizeof(why));
		return;
	}
	crew__log(CREW_ERROR, "%s: the new certificates are not taken, the old stay in force: %s",
		settings->service->name, why);
	crew__chronicle_certificates(
		member->single->registry, (unsigned)(member - member->single->members), why);
}

static void look_later(struct crew__single *single)
{
	uint64_t due = crew__clock_ns() + CREW__TLS_LOOK_MS * CREW__NS_PER_MS;
	if (crew__timer_start(single->loop, &single->certificate_timer, due) < 0)
		crew__log(CREW_ERROR,
			"certificates are not looked at any more: no memory for a timer; restart");
}

static void on_certificate_timer(struct crew__timer *timer)
{
	struct crew__single *single = crew__container_of(
		timer, struct crew__single, certificate_timer);
	for (unsigned i = 0; i < single->count; i++)
		look_at(&single->members[i]);
	look_later(single);
}

static int begin_certificates(struct member *member, char *ret_error, size_t error_size)
{
	int fd;
	const struct crew__service_settings *settings = settings_of(member);
	crew__tls_watch_begin(&member->certificates, settings);
	int status = crew__tls_secret_new(&member->secret);
	if (status < 0) {
		snprintf(ret_error, error_size, "the kernel has no random bytes");
		return status;
	}
	status = crew__tls_files_read(settings, &fd, ret_error, error_size);
	return status < 0 ? status : take_certificates(member, fd, false, ret_error, error_size);
}

static int begin_all_certificates(struct crew__single *single, char *ret_error, size_t error_size)
{
	bool any = false;
	single->certificate_timer.fn = on_certificate_timer;
	for (unsigned i = 0; i < single->count; i++) {
		char why[1024];
		struct member *member = &single->members[i];
		if (!crew__service_speaks_tls(settings_of(member)))
			continue;
		int status = begin_certificates(member, why, sizeof(why));
		if (status < 0) {
			snprintf(ret_error, error_size, "service %s cannot speak TLS: %s",
				settings_of(member)->service->name, why);
			return status;
		}
		any = true;
	}
	if (any)
		look_later(single);
	return 0;
}

static const struct crew__settings *settings_in_force(void *arg)
{
	return ((struct crew__single *)arg)->plan.settings;
}

/* There is nobody else to tell. */
static void on_new_log(void *arg)
{
	(void)arg;
}

static int care_for_log(struct crew__single *single)
{
	single->log_care = (struct crew__log_care){ .loop = single->loop,
		.file = single->plan.log,
		.settings = settings_in_force,
		.on_new = on_new_log,
		.arg = single };
	return crew__log_care_start(&single->log_care);
}

static int copy_sockets(void *arg, struct crew__inherited *inherited)
{
	struct crew__single *single = arg;
	return crew__listeners_copy(
		single->plan.listeners, single->registry->directory.header->service, inherited);
}

static void leave_sockets(void *arg)
{
	struct crew__single *single = arg;
	crew__listeners_leave(single->plan.listeners);
}

static int make_parts(struct crew__single *single, char *ret_error, size_t error_size)
{
	struct crew__settings *settings = single->plan.settings;
	int status = crew__loop_new(settings->engine, &single->loop);
	if (status == 0)
		status = watch_signals(single);
	if (status == 0)
		status = care_for_log(single);
	if (status == 0)
		status = crew__registry_new(
			settings, "single", crew__loop_engine(single->loop), &single->registry);
	if (status < 0)
		return status;
	crew__directory_generation(&single->registry->directory, 1, NULL);
	crew__herald_begin(&single->herald, single->plan.notify, single->loop, single->registry);
	status = crew__census_new(&single->registry->directory, single->loop,
		settings->app->counters, &single->census);
	for (unsigned i = 0; status == 0 && i < settings->services; i++)
		status = make_member(single, i);
	if (status == 0)
		status = begin_all_certificates(single, ret_error, error_size);
	if (status < 0)
		return status;
	const struct crew__control_plan control = {
		.loop = single->loop,
		.settings = settings,
		.registry = single->registry,
		.stop = stop_for_command,
		.sockets = copy_sockets,
		.leave_sockets = leave_sockets,
		.reload = reload_for_command,
		.kick = kick_for_command,
		.set = set_for_command,
		.arg = single,
	};
	status = crew__control_new(&control, &single->control, ret_error, error_size);
	if (status == 0)
		crew__inside_use(&control);
	return status;
}

int crew__single_new(const struct crew__single_plan *plan, struct crew__single **ret_single,
	char *ret_error, size_t error_size)
{
	struct crew__single *single = calloc(1, sizeof(*single));
	if (!single)
		return -ENOMEM;
	single->plan = *plan;
	snprintf(ret_error, error_size, "%s", "");
	int status = make_parts(single, ret_error, error_size);
	if (status < 0) {
		if (ret_error[0] == '\0')
			snprintf(ret_error, error_size, "the process cannot be set up: %s",
				strerror(-status));
		crew__single_free(single);
		return status;
	}
	*ret_single = single;
	return 0;
}

int crew__single_directory_fd(const struct crew__single *single)
{
	return single->registry->directory.fd;
}

/* ---- running ------------------------------------------------------------------------------- */

static int start_members(struct crew__single *single, char *ret_error, size_t error_size)
{
	for (unsigned i = 0; i < single->count; i++) {
		struct member *member = &single->members[i];
		int status = crew__worker_start(member->worker);
		if (status < 0) {
			snprintf(ret_error, error_size,
				"service %s failed to start: on_worker_start, or beginning to accept, "
				"returned %d (%s)",
				crew_worker_service(member->worker)->name, status,
				strerror(-status));
			return status;
		}
		single->running++;
		crew__registry_note(single->registry, member->entry, getpid(), CREW__READY);
		crew__chronicle_start(single->registry, &member->entry->life);
	}
	return 0;
}

static const struct crew__listeners *listeners_of(void *arg)
{
	const struct crew__single *single = arg;
	return single->plan.listeners;
}

int crew__single_run(struct crew__single *single, char *ret_error, size_t error_size)
{
	if (start_members(single, ret_error, error_size) < 0)
		return 1;
	crew__herald_ready(&single->herald);
	if (crew__backlog_start(&single->backlog, single->loop, &single->registry->directory,
		    listeners_of, single) < 0)
		crew__log(CREW_ERROR, "the backlogs are not looked at again: no memory");
	crew__fd_store_sync(single->plan.fd_store, single->plan.listeners,
		single->registry->directory.header->service);
	single->plan.on_started(single->plan.arg, crew__loop_engine(single->loop));
	int status = crew__loop_run(single->loop);
	if (status < 0)
		snprintf(ret_error, error_size, "the loop failed: %s", strerror(-status));
	return status < 0 ? 1 : 0;
}

void crew__single_free(struct crew__single *single)
{
	if (!single)
		return;
	crew__inside_use(NULL);
	crew__control_free(single->control);
	for (unsigned i = 0; i < single->count; i++)
		crew__worker_free(single->members[i].worker);
	crew__log_count_into(NULL);
	crew__census_free(single->census);
	crew__herald_end(&single->herald);
	crew__backlog_stop(&single->backlog);
	if (single->loop)
		crew__timer_stop(single->loop, &single->certificate_timer);
	crew__log_care_stop(&single->log_care);
	crew__loop_free(single->loop);
	crew__registry_free(single->registry);
	free(single);
}
