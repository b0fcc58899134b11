/* start.c - the `start` command: from settings to a running program, or back to nothing.
 *
 * Each step is undone in the reverse order, so a start that fails at any of them leaves no file, no
 * socket and no process behind. */
#include "proc/run.h"

#include "proc/activation.h"
#include "proc/banner.h"
#include "proc/confine.h"
#include "proc/daemon.h"
#include "proc/master.h"
#include "proc/pidfile.h"
#include "proc/single.h"
#include "proc/title.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	LOG_END_MS = 1000 /* for lines that are not written yet */
};

struct start {
	struct crew__settings *settings;
	const struct crew__run_options *options;
	struct crew__inherited *inherited; /* sockets that are there already */
	struct crew__notify *notify;       /* the service manager */
	struct crew__fd_store *fd_store;   /* its */
	int failed; /* a negative errno of what kept it from starting; 0: not known */
	const char *mode;
	struct crew__report report;
	struct crew__pidfile pidfile;
	struct crew__master master; /* launch, listeners and log also serve the single process */
	char error[1024];
};

static const char *mode_of(const struct crew__run_options *options)
{
	if (options->single)
		return "single";
	return options->daemon ? "daemon" : "foreground";
}

static void report_failure(struct start *start)
{
	char text[1200];
	snprintf(text, sizeof(text), "%s: not started: %s\n", start->settings->name, start->error);
	if (!start->report.done)
		crew__herald_failed(start->notify, start->failed, start->error);
	crew__report(&start->report, 1, text);
}

static void on_started(void *arg, const char *engine)
{
	struct start *start = arg;
	const struct crew__settings *settings = start->settings;
	const struct crew__master *master = &start->master;
	const struct crew__listeners *listeners = master->generation
							  ? &master->generation->listeners
							  : &master->listeners;
	crew__log(CREW_INFO, "%s is running, %s, run directory %s", settings->name, start->mode,
		settings->run_dir);
	char *banner = start->options->quiet
			       ? NULL
			       : crew__banner(settings, listeners, engine,
					 start->options->daemon ? "daemon" : start->mode);
	crew__report(&start->report, 0, banner ? banner : "");
	free(banner);
}

static int run_master(struct start *start)
{
	struct crew__master *master = &start->master;
	master->on_started = on_started;
	master->arg = start;
	master->has_terminal = !start->options->daemon && isatty(STDIN_FILENO);
	master->mode = start->mode;
	master->pidfile = &start->pidfile;
	master->notify = start->notify;
	master->fd_store = start->fd_store;
	start->failed = crew__master_init(
		master, start->settings, start->mode, start->error, sizeof(start->error));
	if (start->failed < 0)
		return 1;
	int status = crew__pidfile_write(&start->pidfile, master->registry->directory.fd);
	if (status < 0)
		snprintf(start->error, sizeof(start->error), "cannot write %s: %s",
			start->pidfile.path, strerror(-status));
	int exit_status = status < 0 ? 1 : crew__master_run(master);
	if (master->failure[0])
		snprintf(start->error, sizeof(start->error), "%s", master->failure);
	else if (exit_status == 0 && !start->report.done)
		snprintf(start->error, sizeof(start->error),
			"it was stopped before all workers were ready");
	crew__master_fini(master);
	return exit_status;
}

/* Where all services share one process, none is confined, and none can be replaced. */
static void name_what_is_left_out(const struct crew__service_settings *settings)
{
	char keys[256] = "";
	const char *key;
	size_t used = 0;
	for (unsigned i = 0;
		used < sizeof(keys) && (key = crew__settings_name_confine(settings, i)) != NULL;
		i++)
		used += (size_t)snprintf(
			keys + used, sizeof(keys) - used, "%s%s", used ? ", " : "", key);
	if (used > 0)
		crew__log(CREW_WARN, "with --single these settings of %s do nothing: %s",
			settings->service->name, keys);
}

static int run_single(struct start *start)
{
	for (unsigned i = 0; i < start->settings->services; i++)
		name_what_is_left_out(&start->settings->service[i]);
	const struct crew__single_plan plan = {
		.settings = start->settings,
		.listeners = &start->master.listeners,
		.log = &start->master.log,
		.notify = start->notify,
		.fd_store = start->fd_store,
		.on_started = on_started,
		.arg = start,
	};
	struct crew__single *single;
	start->failed = crew__single_new(&plan, &single, start->error, sizeof(start->error));
	if (start->failed < 0)
		return 1;
	int status = crew__pidfile_write(&start->pidfile, crew__single_directory_fd(single));
	if (status < 0)
		snprintf(start->error, sizeof(start->error), "cannot write %s: %s",
			start->pidfile.path, strerror(-status));
	int exit_status = status < 0 ? 1
				     : crew__single_run(single, start->error, sizeof(start->error));
	crew__single_free(single);
	return exit_status;
}

int crew__start_check_users(
	const struct crew__settings *settings, bool single, char *ret_error, size_t error_size)
{
	for (unsigned i = 0; i < settings->services; i++) {
		const char *name = settings->service[i].service->name;
		struct crew__identity identity;
		int status = crew__identity_find(
			&settings->service[i], &identity, ret_error, error_size);
		if (status == 0 && !single)
			status = crew__confine_allowed(
				&settings->service[i], ret_error, error_size);
		if (status < 0)
			return status;
		if (single && identity.changes) {
			snprintf(ret_error, error_size,
				"%s.user and %s.group cannot change with --single, where all services share "
				"one process; start it as that user",
				name, name);
			return -EINVAL;
		}
	}
	return 0;
}

static int open_log(struct start *start)
{
	const char *tag = start->options->single ? "single" : "master";
	int status = crew__log_file_open(&start->master.log, start->settings,
		start->options->daemon, tag, start->error, sizeof(start->error));
	if (status < 0 || !start->options->daemon)
		return status;
	status = crew__daemon_detach(crew__log_file_for_output(&start->master.log));
	if (status < 0) {
		snprintf(start->error, sizeof(start->error), "cannot leave the terminal: %s",
			strerror(-status));
		crew__log_file_close(&start->master.log);
	}
	return status;
}

static int run_opened(struct start *start)
{
	const struct crew__listeners_plan plan = {
		.settings = start->settings,
		.single = start->options->single,
		.inherited = start->inherited,
	};
	start->failed = crew__listeners_open(
		&start->master.listeners, &plan, start->error, sizeof(start->error));
	if (start->failed < 0)
		return 1;
	crew__title_init(start->options->argc, start->options->argv, NULL);
	crew__title_set(
		"%s: %s", start->settings->name, start->options->single ? "single" : "master");
	int exit_status = start->options->single ? run_single(start) : run_master(start);
	crew__listeners_close(&start->master.listeners);
	return exit_status;
}

static int run_locked(struct start *start)
{
	start->failed = crew__start_check_users(
		start->settings, start->options->single, start->error, sizeof(start->error));
	if (start->failed == 0)
		start->failed = open_log(start);
	if (start->failed < 0)
		return 1;
	crew__log_thread_allow();
	int exit_status = run_opened(start);
	if (start->report.done)
		crew__log(CREW_INFO, "%s has stopped", start->settings->name);
	else if (!start->master.log.standard)
		crew__log(CREW_ERROR, "not started: %s", start->error);
	crew__log_thread_end(LOG_END_MS);
	crew__log_file_close(&start->master.log);
	return start->report.done ? exit_status : 1;
}

static int run_here(struct start *start)
{
	const struct crew__settings *settings = start->settings;
	start->failed = crew__run_dir_make(settings->run_dir, start->error, sizeof(start->error));
	if (start->failed == 0)
		start->failed = crew__pidfile_lock(settings->run_dir, settings->name,
			&start->pidfile, start->error, sizeof(start->error));
	if (start->failed < 0)
		return 1;
	int exit_status = run_locked(start);
	crew__pidfile_remove(&start->pidfile);
	return exit_status;
}

/* All that was there before the start: sockets, and whoever started us. */
struct surroundings {
	struct crew__inherited *inherited;
	struct crew__notify notify;
	struct crew__fd_store fd_store;
};

static int run(struct crew__settings *settings, const struct crew__run_options *options,
	struct surroundings *surroundings)
{
	struct crew__report report = { .fd = -1 };
	if (options->daemon) {
		int relayed = crew__daemon_begin(
			settings->name, surroundings->inherited, &surroundings->notify, &report);
		if (relayed >= 0)
			return relayed;
	}
	struct start *start = calloc(1, sizeof(*start));
	if (!start) {
		crew__report(&report, 1, "no memory\n");
		return 1;
	}
	start->settings = settings;
	start->options = options;
	start->inherited = surroundings->inherited;
	start->notify = &surroundings->notify;
	start->fd_store = &surroundings->fd_store;
	start->mode = mode_of(options);
	start->report = report;
	start->pidfile.fd = -1;
	start->master.log.fd = STDERR_FILENO;
	int status = crew__launch_init(&start->master.launch, options->argc, options->argv);
	/* Copied like them: the title will stand where the arguments are. */
	if (status == 0 && options->watch)
		status = crew__watch_want(&start->master.watch, options->config);
	if (status < 0)
		snprintf(start->error, sizeof(start->error), "cannot tell how it was started: %s",
			strerror(-status));
	start->failed = status;
	int exit_status = status < 0 ? 1 : run_here(start);
	/* Last of all: who hears of it finds nothing left. */
	if (exit_status != 0)
		report_failure(start);
	crew__settings_use(settings);
	crew__watch_stop(&start->master.watch);
	crew__launch_fini(&start->master.launch);
	free(start);
	return exit_status;
}

int crew__run_start_with(struct crew__settings *settings, const struct crew__run_options *options,
	struct crew__inherited *inherited)
{
	struct surroundings surroundings = { .inherited = inherited };
	const struct crew__activation activation = {
		.settings = settings,
		.inherited = inherited,
		.store = &surroundings.fd_store,
	};
	crew__standard_fds_open();
	crew__notify_take(&surroundings.notify);
	crew__fd_store_begin(&surroundings.fd_store, &surroundings.notify, settings->fd_store);
	crew__activation_take(&activation);
	int exit_status = run(settings, options, &surroundings);
	crew__inherited_fini(inherited, true);
	crew__fd_store_end(&surroundings.fd_store);
	crew__notify_fini(&surroundings.notify);
	return exit_status;
}

int crew__run_start(struct crew__settings *settings, const struct crew__run_options *options)
{
	struct crew__inherited inherited;
	crew__inherited_init(&inherited, "the service manager");
	return crew__run_start_with(settings, options, &inherited);
}
