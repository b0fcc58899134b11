/* single_asked.c - one process of master and workers: stopping, and what signals and commands ask
 * of it. */
#include "proc/single_parts.h"

#include "proc/change.h"
#include "proc/chronicle.h"
#include "proc/inside.h"
#include "proc/signals.h"
#include "service/live.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum {
	STOP_SLACK_MS = 3000
};

/* ---- stopping ------------------------------------------------------------------------------ */

static void on_done(crew_worker *w, void *arg)
{
	struct crew__member *member = arg;
	(void)w;
	if (member->done)
		return;
	member->done = true;
	crew__registry_note(member->single->registry, member->entry, getpid(), CREW__EXITED);
	if (--member->single->running == 0)
		crew__loop_stop(member->single->loop);
}

void crew__member_stop(struct crew__member *member, bool graceful, uint64_t window_ms)
{
	const struct crew__worker_stop stop = {
		.graceful = graceful,
		.window_ms = window_ms,
		.close_code = CREW__CLOSE_GOING_AWAY,
		.done = on_done,
		.arg = member,
	};
	if (!member->done)
		crew__worker_stop(member->worker, &stop);
}

uint64_t crew__member_window(const struct crew__member *member, bool graceful)
{
	const struct crew__service_settings *settings = crew__member_settings(member);
	return (uint64_t)(graceful ? settings->drain_timeout_ms : settings->stop_timeout_ms);
}

static uint64_t stop_bound_ms(const struct crew__single *single, bool graceful)
{
	uint64_t longest = 0;
	for (unsigned i = 0; i < single->count; i++)
		longest = crew__max(longest, crew__member_window(&single->members[i], graceful));
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
		struct crew__member *member = &single->members[i];
		crew__member_stop(member, graceful, crew__member_window(member, graceful));
	}
}

static void stop_at_once(struct crew__single *single)
{
	single->stopping_at_once = true;
	crew__log(CREW_INFO, "stopping at once");
	for (unsigned i = 0; i < single->count; i++)
		crew__member_stop(&single->members[i], false, 0);
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

int crew__single_watch_signals(struct crew__single *single)
{
	static const struct crew__signal_use uses[] = {
		{ SIGTERM, on_terminate },
		{ SIGINT, on_terminate },
		{ SIGQUIT, on_quit },
		{ SIGHUP, on_hangup },
		{ SIGUSR1, on_reopen },
	};
	return crew__signals_watch(single->loop, uses, crew__lengthof(uses), single);
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

int crew__single_init_control(struct crew__single *single, char *ret_error, size_t error_size)
{
	const struct crew__control_plan control = {
		.loop = single->loop,
		.settings = single->plan.settings,
		.registry = single->registry,
		.stop = stop_for_command,
		.sockets = copy_sockets,
		.leave_sockets = leave_sockets,
		.reload = reload_for_command,
		.kick = kick_for_command,
		.set = set_for_command,
		.arg = single,
	};
	int status = crew__control_new(&control, &single->control, ret_error, error_size);
	if (status == 0)
		crew__inside_use(&control);
	return status;
}
