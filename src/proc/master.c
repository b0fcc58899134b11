/* master.c - the supervisor: signals, deaths, the way from start to stop. */
#include "proc/master.h"

#include "proc/chronicle.h"
#include "proc/core_dumps.h"
#include "proc/obituary.h"
#include "proc/recycle.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	CLOSE_GOING_AWAY = 1001,
	STOP_NOW_GRACE_MS = 500,
	BOUND_SLACK_MS = 3000
};

/* ---- stopping ------------------------------------------------------------------------------ */

static uint64_t stop_window_ms(
	const struct crew__service_settings *settings, enum crew__stop_level level)
{
	if (level == CREW__STOP_NOW)
		return 0;
	return (uint64_t)(level == CREW__STOP_GRACEFUL ? settings->drain_timeout_ms
						       : settings->stop_timeout_ms);
}

uint64_t crew__stop_bound_ms(const struct crew__settings *settings, bool graceful)
{
	enum crew__stop_level level = graceful ? CREW__STOP_GRACEFUL : CREW__STOP_PLAIN;
	uint64_t longest = 0;
	for (unsigned i = 0; i < settings->services; i++)
		longest = crew__max(longest, stop_window_ms(&settings->service[i], level));
	return longest + CREW__KILL_GRACE_MS + BOUND_SLACK_MS;
}

static uint64_t stop_bound_ms(const struct crew__master *master, enum crew__stop_level level)
{
	if (level == CREW__STOP_NOW)
		return STOP_NOW_GRACE_MS + BOUND_SLACK_MS;
	return crew__stop_bound_ms(master->generation->settings, level == CREW__STOP_GRACEFUL);
}

static void stop_child(struct crew__child *child, enum crew__stop_level level)
{
	const struct crew__stop_order order = {
		.graceful = level == CREW__STOP_GRACEFUL,
		.window_ms = stop_window_ms(crew__child_settings(child), level),
		.close_code = CLOSE_GOING_AWAY,
	};
	crew__child_stop(
		child, &order, level == CREW__STOP_NOW ? STOP_NOW_GRACE_MS : CREW__KILL_GRACE_MS);
}

static void leave_when_alone(struct crew__master *master)
{
	if (master->state == CREW__MASTER_STOPPING && crew__list_empty(&master->family.children))
		crew__loop_stop(master->loop);
}

void crew__master_stop(struct crew__master *master, enum crew__stop_level level)
{
	static const char *const how[] = {
		[CREW__STOP_GRACEFUL] = "stopping; connections may end by themselves",
		[CREW__STOP_PLAIN] = "stopping; queues are flushed",
		[CREW__STOP_NOW] = "stopping at once",
	};
	if (master->state == CREW__MASTER_STOPPING && level <= master->stop_level)
		return;
	crew__log(CREW_INFO, "%s", how[level]);
	crew__chronicle_stop(master->registry, how[level]);
	crew__reload_cancel(master, "the program was stopped before the reload was done");
	master->state = CREW__MASTER_STOPPING;
	master->stop_level = level;
	if (master->exit_status == 0)
		crew__herald_stopping(&master->herald, stop_bound_ms(master, level));
	if (master->fd_store)
		crew__fd_store_leave(master->fd_store, &master->generation->listeners,
			master->registry->directory.header->service);
	for (unsigned i = 0; i < master->slot_count; i++)
		crew__slot_stop_waiting(master->slots[i]);
	/* Nobody will accept any more: who comes now is to be refused, not kept waiting. */
	crew__listeners_close(&master->generation->listeners);
	struct crew__node *head = &master->family.children;
	for (struct crew__node *n = head->next, *after; n != head; n = after) {
		after = n->next;
		stop_child(crew__container_of(n, struct crew__child, node), level);
	}
	leave_when_alone(master);
}

/* ---- births and deaths --------------------------------------------------------------------- */

void crew__master_sync(struct crew__master *master)
{
	struct crew__node *head = &master->family.children;
	for (struct crew__node *n = head->next, *after; n != head; n = after) {
		after = n->next;
		crew__child_sync(crew__container_of(n, struct crew__child, node));
	}
}

void crew__master_store(struct crew__master *master)
{
	if (master->fd_store)
		crew__fd_store_sync(master->fd_store, &master->generation->listeners,
			master->registry->directory.header->service);
}

static bool all_ready(const struct crew__master *master)
{
	for (unsigned i = 0; i < master->slot_count; i++)
		if (!master->slots[i]->was_ready)
			return false;
	return true;
}

static void on_ready(void *arg, struct crew__child *child)
{
	struct crew__master *master = arg;
	struct crew__slot *slot = crew__slot_of(master, child);
	crew__log(CREW_INFO, "%s#%u (pid %d, generation %u) is ready",
		crew__child_settings(child)->service->name, child->id, (int)child->pid,
		child->generation->number);
	crew__chronicle_start(master->registry, &child->entry->life);
	slot->was_ready = true;
	crew__recycle_begin(child);
	crew__recycle_watch(master);
	if (crew__recycle_ready(master, slot, child))
		return;
	if (child == slot->next)
		crew__reload_ready(master);
	else if (master->state == CREW__MASTER_STARTING && all_ready(master)) {
		master->state = CREW__MASTER_RUNNING;
		crew__herald_ready(&master->herald);
		crew__master_store(master);
		master->on_started(master->arg, crew__loop_engine(master->loop));
	}
}

static void on_leaving(void *arg, struct crew__child *child)
{
	crew__recycle_leaving(arg, child);
}

static void on_tls(void *arg, const struct crew__child *child, uint32_t serial, bool taken)
{
	crew__certificates_answered(arg, child, serial, taken);
}

static void on_readers(void *arg)
{
	crew__sockets_lend(arg);
}

static void fail_start(
	struct crew__master *master, const struct crew__child *child, const char *why)
{
	snprintf(master->failure, sizeof(master->failure), "service %s, worker %u %s",
		crew__child_settings(child)->service->name, child->id, why);
	master->exit_status = 1;
	crew__master_stop(master, CREW__STOP_NOW);
}

/* What it said is the reason; without a word, how it ended. */
static void explain(
	const struct crew__child *child, const struct crew__death *death, char *text, size_t size)
{
	char how[96];
	if (child->failure[0]) {
		snprintf(text, size, "failed to start: %s", child->failure);
		return;
	}
	crew__death_text(death, how, sizeof(how));
	snprintf(text, size, "%s before it was %s", how, child->was_ready ? "used" : "ready");
}

static void on_death(struct crew__master *master, struct crew__child *child, int wait_status)
{
	struct crew__slot *slot = crew__slot_of(master, child);
	struct crew__death death;
	char next[160], why[700];
	snprintf(next, sizeof(next), "%s",
		slot ? "its place is taken already" : "its place is gone");
	crew__child_reap(child, wait_status, &death);
	explain(child, &death, why, sizeof(why));
	bool was_current = slot && child == slot->child, was_next = slot && child == slot->next;
	bool first_failed = was_current && !child->was_ready &&
			    master->state == CREW__MASTER_STARTING;
	bool replaced = slot && crew__recycle_buried(slot, child, next, sizeof(next));
	if (was_current && !replaced)
		slot->child = NULL;
	if (was_next)
		slot->next = NULL;
	if (master->state == CREW__MASTER_STOPPING)
		snprintf(next, sizeof(next), "nothing follows, the program stops");
	else if (first_failed)
		snprintf(next, sizeof(next), "the start is given up");
	else if (was_next)
		snprintf(next, sizeof(next), "the reload is given up");
	else if (was_current && !replaced)
		crew__slot_vacate(slot, child, death.lived_ms, next, sizeof(next));
	crew__obituary(child, &death, next);
	crew__chronicle_death(child, &death);
	if (was_current && !slot->child)
		crew__slot_tell_loop(slot, &death);

	if (first_failed)
		fail_start(master, child, why);
	else if (was_next && master->state == CREW__MASTER_RELOADING)
		crew__reload_lost(master, child, why);
	crew__reload_buried(master);
}

/* Signals merge, so all dead are waited for; as pid 1 strangers are among them. A child that is
 * only stopped is told of, and is not dead. */
static void reap(int signo, void *arg)
{
	struct crew__master *master = arg;
	(void)signo;
	int status;
	pid_t pid;
	bool changed = false;
	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0) {
		struct crew__child *child = crew__family_find(&master->family, pid);
		if (WIFSTOPPED(status) || WIFCONTINUED(status)) {
			if (child)
				crew__watchdog_paused(child, status);
			continue;
		}
		if (!child) {
			crew__reload_planned(master, pid, status);
			crew__succession_ended(master, pid, status);
			continue;
		}
		on_death(master, child, status);
		changed = true;
	}
	if (changed)
		crew__master_sync(master);
	leave_when_alone(master);
}

/* ---- signals ------------------------------------------------------------------------------- */

static void on_terminate(int signo, void *arg)
{
	struct crew__master *master = arg;
	enum crew__stop_level level = CREW__STOP_PLAIN;
	crew__log(CREW_INFO, "got SIG%s", sigabbrev_np(signo));
	if (master->state == CREW__MASTER_STOPPING && master->stop_level >= CREW__STOP_PLAIN)
		level = CREW__STOP_NOW;
	crew__master_stop(master, level);
}

static void on_quit(int signo, void *arg)
{
	(void)signo;
	crew__master_stop(arg, CREW__STOP_GRACEFUL);
}

static void on_hangup(int signo, void *arg)
{
	struct crew__master *master = arg;
	(void)signo;
	/* A terminal that is gone takes what runs in its foreground with it. */
	if (master->has_terminal && !isatty(STDIN_FILENO)) {
		crew__log(CREW_INFO, "the terminal is gone");
		crew__master_stop(master, CREW__STOP_PLAIN);
		return;
	}
	uint64_t bound_ms;
	char error[1024];
	if (crew__master_reload(master, false, &bound_ms, error, sizeof(error)) != -EBUSY)
		return;
	crew__log(CREW_WARN, "SIGHUP does nothing: %s", error);
	crew__herald_hangup(&master->herald);
}

static void hand_out_log(void *arg)
{
	struct crew__master *master = arg;
	struct crew__node *head = &master->family.children;
	for (struct crew__node *n = head->next, *after; n != head; n = after) {
		after = n->next;
		crew__child_reopen_log(crew__container_of(n, struct crew__child, node));
	}
}

static const struct crew__settings *settings_in_force(void *arg)
{
	return ((struct crew__master *)arg)->generation->settings;
}

static void on_reopen(int signo, void *arg)
{
	struct crew__master *master = arg;
	(void)signo;
	/* Failing, the old one stays; the workers may have logs of their own all the same. */
	if (crew__log_file_reopen(&master->log) == 0)
		crew__log(CREW_INFO, "log reopened");
	hand_out_log(master);
}

static int watch_signals(struct crew__master *master)
{
	static const struct {
		int signo;
		void (*fn)(int signo, void *arg);
	} table[] = {
		{ SIGCHLD, reap },
		{ SIGTERM, on_terminate },
		{ SIGINT, on_terminate },
		{ SIGQUIT, on_quit },
		{ SIGHUP, on_hangup },
		{ SIGUSR1, on_reopen },
	};
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a file at its limit is a failed write, not a death */
	for (size_t i = 0; i < crew__lengthof(table); i++) {
		int status = crew__loop_signal(master->loop, table[i].signo, table[i].fn, master);
		if (status < 0)
			return status;
	}
	return 0;
}

/* ---- what commands ask for ----------------------------------------------------------------- */

static int stop_for_command(void *arg, bool graceful, uint64_t *ret_bound_ms)
{
	struct crew__master *master = arg;
	crew__master_stop(master, graceful ? CREW__STOP_GRACEFUL : CREW__STOP_PLAIN);
	graceful = master->stop_level == CREW__STOP_GRACEFUL;
	*ret_bound_ms = crew__stop_bound_ms(master->generation->settings, graceful);
	return 0;
}

static int reload_for_command(
	void *arg, bool graceful, uint64_t *ret_bound_ms, char *ret_error, size_t error_size)
{
	return crew__master_reload(arg, graceful, ret_bound_ms, ret_error, error_size);
}

static void kick_for_command(void *arg, const uint64_t *ids, size_t count, uid_t by,
	struct crew__handed_on *ret_handed_on)
{
	crew__master_kick(arg, ids, count, by, ret_handed_on);
}

static int set_for_command(void *arg, const char *text, uid_t by,
	struct crew__handed_on *ret_handed_on, char *ret_error, size_t error_size)
{
	return crew__master_set(arg, text, by, ret_handed_on, ret_error, error_size);
}

static int copy_sockets(void *arg, struct crew__inherited *inherited)
{
	struct crew__master *master = arg;
	return crew__listeners_copy(&master->generation->listeners,
		master->registry->directory.header->service, inherited);
}

static void leave_sockets(void *arg)
{
	struct crew__master *master = arg;
	crew__log(CREW_INFO, "the listening sockets go to the program that is started next");
	crew__listeners_leave(&master->generation->listeners);
	if (master->reload.next)
		crew__listeners_leave(&master->reload.next->listeners);
}

/* ---- from start to end --------------------------------------------------------------------- */

/* Each life costs descriptors, and commands get copies. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int crew__master_init_loop(struct crew__master *master, const struct crew__settings *settings)
{
	int status = crew__loop_new(settings->engine, &master->loop);
	if (status < 0)
		return status;
	master->family = (struct crew__family){
		.loop = master->loop,
		.launch = &master->launch,
		.log_fd = &master->log.fd,
		/* Under a debugger a program prints where the debugger does. */
		.capture = !crew__output_traced(),
		.on_ready = on_ready,
		.on_tls = on_tls,
		.on_leaving = on_leaving,
		.on_readers = on_readers,
		.arg = master,
	};
	crew__family_init(&master->family);
	return watch_signals(master);
}

static int init_slots(struct crew__master *master, char *ret_error, size_t error_size)
{
	int status = crew__slots_add(master, master->generation);
	if (status == -ENOSPC)
		snprintf(ret_error, error_size, "more than %d workers; set fewer",
			(int)CREW__LIVES_MAX / 2);
	if (status == 0)
		crew__slots_keep(master, master->generation);
	if (status < 0 || master->slot_count > 0)
		return status;
	snprintf(ret_error, error_size, "the program has no services");
	return -EINVAL;
}

static struct crew__control_plan plan_control(
	struct crew__master *master, const struct crew__settings *settings)
{
	return (struct crew__control_plan){
		.loop = master->loop,
		.settings = settings,
		.registry = master->registry,
		.stop = stop_for_command,
		.sockets = copy_sockets,
		.leave_sockets = leave_sockets,
		.reload = reload_for_command,
		.kick = kick_for_command,
		.set = set_for_command,
		.arg = master,
	};
}

static int init_control(struct crew__master *master, const struct crew__settings *settings,
	char *ret_error, size_t error_size)
{
	const struct crew__control_plan plan = plan_control(master, settings);
	return crew__control_new(&plan, &master->control, ret_error, error_size);
}

int crew__master_resume_control(
	struct crew__master *master, const json_t *saved, char *ret_error, size_t error_size)
{
	const struct crew__control_plan plan = plan_control(master, master->generation->settings);
	return crew__control_resume(&plan, saved, &master->control, ret_error, error_size);
}

static void note_generation(struct crew__master *master)
{
	const struct crew__generation *generation = master->generation;
	crew__directory_generation(&master->registry->directory, generation->number,
		generation->settings->app->version);
}

static int init_parts(struct crew__master *master, struct crew__settings *settings,
	const char *mode, char *ret_error, size_t error_size)
{
	int status = crew__master_init_loop(master, settings);
	if (status == 0)
		status = crew__registry_new(
			settings, mode, crew__loop_engine(master->loop), &master->registry);
	if (status < 0)
		return status;
	master->family.registry = master->registry;
	crew__herald_begin(&master->herald, master->notify, master->loop, master->registry);
	status = crew__generation_first(
		settings, &master->listeners, &master->generation, ret_error, error_size);
	if (status < 0)
		return status;
	note_generation(master);
	status = init_slots(master, ret_error, error_size);
	if (status < 0)
		return status;
	return init_control(master, settings, ret_error, error_size);
}

int crew__master_init(struct crew__master *master, struct crew__settings *settings,
	const char *mode, char *ret_error, size_t error_size)
{
	raise_descriptor_limit();
	snprintf(ret_error, error_size, "%s", "");
	int status = init_parts(master, settings, mode, ret_error, error_size);
	if (status < 0 && ret_error[0] == '\0')
		snprintf(ret_error, error_size, "the master cannot be set up: %s",
			strerror(-status));
	if (status < 0)
		crew__master_fini(master);
	return status;
}

static void start_workers(struct crew__master *master)
{
	master->state = CREW__MASTER_STARTING;
	crew__herald_starting(&master->herald, CREW__START_DEADLINE_MS);
	for (unsigned i = 0; i < master->slot_count; i++) {
		struct crew__slot *slot = master->slots[i];
		int status = crew__child_start(&master->family, master->generation, slot->service,
			slot->id, &slot->vacancy, &slot->child);
		if (status == 0)
			continue;
		snprintf(master->failure, sizeof(master->failure),
			"service %s, worker %u cannot be started: %s",
			crew__generation_service(master->generation, slot->service)->service->name,
			slot->id, strerror(-status));
		master->exit_status = 1;
		crew__master_stop(master, CREW__STOP_NOW);
		return;
	}
	crew__master_sync(master);
}

/* The files have changed: a reload as of a command that nobody waits for. */
static int reload_changed(void *arg)
{
	uint64_t bound_ms;
	char error[1024];
	return crew__master_reload(arg, false, &bound_ms, error, sizeof(error));
}

static void begin_watch(struct crew__master *master)
{
	int status = crew__watch_start(
		&master->watch, master->loop, &master->launch, reload_changed, master);
	if (status < 0)
		crew__log(CREW_ERROR,
			"--watch: %s is not watched: %s (sysctl fs.inotify tells the limits)",
			master->launch.path, strerror(-status));
}

static const struct crew__listeners *present_listeners(void *arg)
{
	const struct crew__master *master = arg;
	return &master->generation->listeners;
}

static void watch_backlogs(struct crew__master *master)
{
	if (crew__backlog_start(&master->backlog, master->loop, &master->registry->directory,
		    present_listeners, master) < 0)
		crew__log(CREW_ERROR, "the backlogs are not looked at again: no memory");
}

static int turn(struct crew__master *master)
{
	bool over = master->state == CREW__MASTER_STOPPING &&
		    crew__list_empty(&master->family.children);
	int status = over ? 0 : crew__loop_run(master->loop);
	if (status < 0) {
		crew__log(CREW_ERROR, "the master's loop failed: %s", strerror(-status));
		master->exit_status = 1;
	}
	return master->exit_status;
}

/* What is looked at now and then as long as it runs. */
static void begin_care(struct crew__master *master)
{
	watch_backlogs(master);
	if (crew__certificates_watch(master) < 0)
		crew__log(CREW_ERROR, "certificates are not looked at again: no memory");
	master->log_care = (struct crew__log_care){ .loop = master->loop,
		.file = &master->log,
		.settings = settings_in_force,
		.on_new = hand_out_log,
		.arg = master };
	if (crew__log_care_start(&master->log_care) < 0)
		crew__log(CREW_ERROR, "the log's length is not looked at yet: no memory");
	begin_watch(master);
	crew__watchdog_start(&master->watchdog, master);
}

int crew__master_run(struct crew__master *master)
{
	if (master->generation->settings->core_dumps)
		crew__core_dumps_begin();
	begin_care(master);
	start_workers(master);
	return turn(master);
}

int crew__master_go_on(struct crew__master *master)
{
	note_generation(master);
	begin_care(master);
	for (unsigned i = 0; i < master->slot_count; i++)
		if (!master->slots[i]->child)
			crew__slot_fill(master->slots[i]);
	/* Who died between the images is waited for here: the signal may have come before. */
	reap(SIGCHLD, master);
	crew__master_sync(master);
	crew__recycle_watch(master);
	crew__reload_resumed(master);
	return turn(master);
}

/* Only after a failure of the loop itself are there any left. */
static void end_children(struct crew__master *master)
{
	struct crew__node *head = &master->family.children;
	while (!crew__list_empty(head)) {
		struct crew__child *child = crew__container_of(
			head->next, struct crew__child, node);
		struct crew__death death;
		int status = 0;
		crew__child_kill(child);
		waitpid(child->pid, &status, 0);
		crew__child_reap(child, status, &death);
	}
}

void crew__master_fini(struct crew__master *master)
{
	crew__control_free(master->control);
	master->control = NULL;
	if (!master->loop)
		return;
	end_children(master);
	crew__herald_end(&master->herald);
	crew__backlog_stop(&master->backlog);
	crew__slots_fini(master);
	crew__certificates_unwatch(master);
	crew__log_care_stop(&master->log_care);
	crew__watch_stop(&master->watch);
	crew__recycle_unwatch(master);
	crew__watchdog_stop(&master->watchdog);
	crew__family_fini(&master->family);
	crew__generation_unref(master->generation);
	crew__registry_free(master->registry);
	crew__loop_free(master->loop);
	master->generation = NULL;
	master->registry = NULL;
	master->loop = NULL;
}
