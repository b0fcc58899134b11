/* master_life.c - a master from its start to its end. */
#include "proc/master_parts.h"

#include "proc/core_dumps.h"
#include "proc/recycle.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

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
	};
	crew__master_hear(master);
	crew__family_init(&master->family);
	return crew__master_watch_signals(master);
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
	return crew__master_init_control(master, settings, ret_error, error_size);
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
		.settings = crew__master_settings,
		.on_new = crew__master_hand_out_log,
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
	/* First, as a death during a reload's last step begins that step. */
	crew__reload_resumed(master);
	for (unsigned i = 0; i < master->slot_count; i++)
		if (!master->slots[i]->child)
			crew__slot_fill(master->slots[i]);
	/* Who died between the images is waited for here: the signal may have come before. */
	crew__master_reap(SIGCHLD, master);
	master->family.readers_changed = true;
	crew__master_sync(master);
	crew__recycle_watch(master);
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
