/* main.c - crew_main: is the program of our kind, is this process a worker, what was typed, do it.
 *
 * Not here: what can be typed (command.c), what may be set (service/settings.h), and how anything
 * is started, stopped (proc/run.h) or looked at (view.c). */
#include "admin/admin.h"
#include "cli/act.h"
#include "cli/command.h"
#include "cli/completion.h"
#include "cli/progress.h"
#include "cli/unit.h"
#include "cli/view.h"
#include "proc/plan.h"
#include "proc/run.h"
#include "service/offload.h"
#include "service/settings.h"
#include "service/tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	LINE_MAX_BYTES = 1024
};

/* The structs of a program that was built against an older crew, grown to our size. */
struct grown {
	crew_app app;
	crew_service services[CREW_MAX_SERVICES];
};

/* One run of crew_main. */
struct run {
	const crew_app *app;
	int argc;
	char **argv;
	const char *name; /* of the program, for messages before there are settings */
	struct crew__command_line line;
	crew_app bare; /* the program without its file and its own checks */
	struct crew__settings_source source;
	struct crew__settings *settings;
};

static const char *name_of(const crew_app *app, char **argv)
{
	if (app->name)
		return app->name;
	const char *slash = strrchr(argv[0], '/');
	return slash ? slash + 1 : argv[0];
}

static int complain(const struct run *run, const char *text, int exit_status)
{
	fprintf(stderr, "%s: %s\n", run->name, text);
	return exit_status;
}

/* ---- the program's structs ----------------------------------------------------------------- */

/* False, with a line that says so, when the program cannot be run by this library. */
static bool fits(const char *program, int abi, size_t app_size, size_t service_size)
{
	if (abi != CREW_ABI) {
		fprintf(stderr,
			"%s: the program was built for crew's ABI %d, but the library is crew %s with "
			"ABI %d; build the program anew or install the library it was built for\n",
			program, abi, CREW_VERSION, CREW_ABI);
		return false;
	}
	if (app_size <= sizeof(crew_app) && service_size <= sizeof(crew_service))
		return true;
	fprintf(stderr,
		"%s: the program was built for a newer crew of ABI %d (crew_app %zu bytes, crew_service "
		"%zu) than the library, crew %s of ABI %d (%zu, %zu); install the newer library or "
		"build the program anew\n",
		program, abi, app_size, service_size, CREW_VERSION, CREW_ABI, sizeof(crew_app),
		sizeof(crew_service));
	return false;
}

/* What the older program does not know of stays zero: the default. */
static const crew_app *grow(
	const crew_app *app, size_t app_size, size_t service_size, struct grown *grown)
{
	memset(grown, 0, sizeof(*grown));
	memcpy(&grown->app, app, app_size);
	for (size_t i = 0; i < CREW_MAX_SERVICES && grown->app.services[i]; i++) {
		memcpy(&grown->services[i], grown->app.services[i], service_size);
		grown->app.services[i] = &grown->services[i];
	}
	return &grown->app;
}

/* ---- settings ------------------------------------------------------------------------------ */

static int load_settings(struct run *run, char *ret_text, size_t size)
{
	run->source = (struct crew__settings_source){
		.app = run->app,
		.program = run->argv[0],
		.config = run->line.config ? run->line.config : run->app->config,
		.sets = run->line.sets,
		.set_count = run->line.set_count,
		.run_dir = run->line.run_dir,
	};
	return crew__settings_load(&run->source, &run->settings, ret_text, size);
}

static int load_good_settings(struct run *run)
{
	char text[LINE_MAX_BYTES];
	return load_settings(run, text, sizeof(text)) ? complain(run, text, CREW__FAILED)
						      : CREW__DONE;
}

/* Those of --set that say where the program runs. */
static size_t keep_run_dir(struct run *run)
{
	static const char key[] = "crew.run_dir=";
	size_t kept = 0;
	for (size_t i = 0; i < run->line.set_count; i++)
		if (!strncmp(run->line.sets[i], key, sizeof(key) - 1))
			run->line.sets[kept++] = run->line.sets[i];
	return kept;
}

/* For commands that need to know only what runs and where: a file that was broken since the start
 * must not keep an operator from looking or stopping. */
static int load_any_settings(struct run *run)
{
	char wrong[LINE_MAX_BYTES], text[LINE_MAX_BYTES];
	if (!load_settings(run, wrong, sizeof(wrong)))
		return CREW__DONE;
	run->bare = *run->app;
	run->bare.config = NULL;
	run->bare.on_config = NULL;
	run->source.app = &run->bare;
	run->source.config = NULL;
	run->source.set_count = keep_run_dir(run);
	if (crew__settings_load(&run->source, &run->settings, text, sizeof(text)))
		return complain(run, wrong, CREW__FAILED);
	fprintf(stderr, "%s: %s (going on without the settings, in %s)\n", run->name, wrong,
		run->settings->run_dir);
	return CREW__DONE;
}

/* ---- commands ------------------------------------------------------------------------------ */

static int run_processes(struct run *run)
{
	struct crew__progress progress = { .settings = run->settings, .app = run->app };
	struct crew__run_options options = {
		.argc = run->argc,
		.argv = run->argv,
		.daemon = run->line.daemon,
		.single = run->line.single,
		.graceful = run->line.graceful,
		.no_wait = run->line.no_wait,
		.quiet = run->line.quiet,
		.watch = run->line.on_change,
		.config = run->source.config,
		.progress = crew__progress,
		.progress_arg = &progress,
	};
	if (options.watch && options.single)
		return complain(run,
			"--watch needs a master that reloads, and with --single there is none: leave one away",
			CREW__USAGE);
	switch (run->line.command) {
	case CREW__COMMAND_START:
		return crew__run_start(run->settings, &options);
	case CREW__COMMAND_STOP:
		return crew__run_stop(run->settings, &options);
	case CREW__COMMAND_RESTART:
		return crew__run_restart(run->settings, &options);
	default:
		return crew__run_reload(run->settings, &options);
	}
}

static int run_view(struct run *run)
{
	struct crew__view view = {
		.app = run->app,
		.settings = run->settings,
		.json = run->line.json,
		.watch = run->line.watch,
		.sort = run->line.sort,
		.argument = run->line.argument,
		.closed = run->line.closed,
		.follow = run->line.follow,
	};
	switch (run->line.command) {
	case CREW__COMMAND_STATUS:
		return crew__view_status(&view);
	case CREW__COMMAND_TOP:
		return crew__view_top(&view);
	case CREW__COMMAND_EXPLAIN:
		return crew__view_explain(&view);
	case CREW__COMMAND_EVENTS:
		return crew__view_events(&view);
	default:
		return view.closed ? crew__view_closed(&view) : crew__view_connections(&view);
	}
}

/* Commands that change what runs. */
static int run_act(struct run *run)
{
	const struct crew__act act = {
		.settings = run->settings,
		.json = run->line.json,
		.quiet = run->line.quiet,
		.argument = run->line.argument,
		.verdict = run->line.verdict,
	};
	return run->line.command == CREW__COMMAND_KICK ? crew__act_kick(&act) : crew__act_set(&act);
}

static int run_configtest(struct run *run)
{
	char error[1200];
	if (crew__tls_check_all(run->settings, error, sizeof(error)) < 0)
		return complain(run, error, CREW__FAILED);
	if (!run->line.quiet)
		printf("%s: configuration is good\n", run->settings->name);
	return CREW__DONE;
}

static int run_systemd_unit(struct run *run)
{
	const struct crew__unit_request request = {
		.settings = run->settings,
		.source = &run->source,
		.version = run->line.systemd_version,
		.socket = run->line.socket,
	};
	return crew__unit_print(&request);
}

static int run_completion(struct run *run)
{
	const char *shell = run->line.argument;
	if (crew__completion_print(stdout, run->app, run->argv[0], shell) == 0)
		return CREW__DONE;
	fprintf(stderr, "%s: completion %s: there is one for bash, zsh and fish\n", run->name,
		shell);
	return CREW__USAGE;
}

static int run_version(struct run *run)
{
	printf("%s %s (crew %s)\n", run->name, run->app->version ? run->app->version : "0",
		CREW_VERSION);
	return CREW__DONE;
}

static void print_settings_help(void)
{
	size_t count;
	const struct crew__setting_row *rows = crew__settings_table(&count);
	printf("Settings come from the program, then the INI file (-c FILE), then --set "
	       "SECTION.KEY=VALUE.\n"
	       "Section 'service' stands for the name of a service. Sizes take k, m, g.\n"
	       "`set SECTION.KEY=VALUE` changes those with a * while the program runs, until it "
	       "reloads or restarts.\n\n");
	for (size_t i = 0; i < count; i++) {
		bool service = strcmp(rows[i].section, "service") == 0;
		printf("%c %-8s %-24s %-10s %-14s %s\n",
			crew__setting_is_live(service, rows[i].key) ? '*' : ' ', rows[i].section,
			rows[i].key, rows[i].type, rows[i].fallback ? rows[i].fallback : "",
			rows[i].sentence);
	}
}

static int run_help(struct run *run)
{
	const char *topic = run->line.topic;
	enum crew__command command = run->line.command;
	if (topic)
		command = crew__command_find(topic);
	else if (!run->line.help)
		command = CREW__COMMAND_NONE;
	if (topic && strcmp(topic, "settings") == 0)
		print_settings_help();
	else if (command == CREW__COMMAND_NONE)
		crew__command_help_all(stdout, run->argv[0]);
	else
		crew__command_help_one(stdout, run->argv[0], command);
	return CREW__DONE;
}

/* What each command needs, and does. */
enum need {
	NO_SETTINGS,
	ANY_SETTINGS,
	GOOD_SETTINGS
};

static const struct {
	enum need need;
	int (*fn)(struct run *run);
} actions[CREW__COMMANDS] = {
	[CREW__COMMAND_START] = { GOOD_SETTINGS, run_processes },
	[CREW__COMMAND_STOP] = { ANY_SETTINGS, run_processes },
	[CREW__COMMAND_RESTART] = { GOOD_SETTINGS, run_processes },
	[CREW__COMMAND_RELOAD] = { GOOD_SETTINGS, run_processes },
	[CREW__COMMAND_STATUS] = { ANY_SETTINGS, run_view },
	[CREW__COMMAND_CONNECTIONS] = { ANY_SETTINGS, run_view },
	[CREW__COMMAND_TOP] = { ANY_SETTINGS, run_view },
	[CREW__COMMAND_EXPLAIN] = { ANY_SETTINGS, run_view },
	[CREW__COMMAND_EVENTS] = { ANY_SETTINGS, run_view },
	[CREW__COMMAND_KICK] = { ANY_SETTINGS, run_act },
	[CREW__COMMAND_SET] = { ANY_SETTINGS, run_act },
	[CREW__COMMAND_CONFIGTEST] = { GOOD_SETTINGS, run_configtest },
	[CREW__COMMAND_SYSTEMD_UNIT] = { GOOD_SETTINGS, run_systemd_unit },
	[CREW__COMMAND_COMPLETION] = { NO_SETTINGS, run_completion },
	[CREW__COMMAND_VERSION] = { NO_SETTINGS, run_version },
	[CREW__COMMAND_HELP] = { NO_SETTINGS, run_help },
};

static int act(struct run *run)
{
	enum crew__command command = run->line.command;
	int failed = CREW__DONE;
	if (actions[command].need == GOOD_SETTINGS)
		failed = load_good_settings(run);
	else if (actions[command].need == ANY_SETTINGS)
		failed = load_any_settings(run);
	if (!failed)
		failed = actions[command].fn(run);
	crew__settings_free(run->settings);
	return failed;
}

static int run_line(struct run *run)
{
	if (run->line.help)
		return run_help(run);
	if (run->line.version)
		return run_version(run);
	if (run->line.command != CREW__COMMAND_NONE)
		return act(run);
	crew__command_help_all(stderr, run->argv[0]);
	return CREW__USAGE;
}

/* Parse and do. */
static int run_command(struct run *run)
{
	char text[LINE_MAX_BYTES];
	int error = crew__command_parse(run->argc, run->argv, &run->line, text, sizeof(text));
	if (error)
		return complain(run, text, error == -EINVAL ? CREW__USAGE : CREW__FAILED);
	int exit_status = run_line(run);
	crew__command_line_fini(&run->line);
	if (exit_status == CREW__DONE && (fflush(stdout) || ferror(stdout)))
		return complain(run, "cannot write to standard output", CREW__FAILED);
	return exit_status;
}

/* Asked by a running master what it would run: tell it, or why it would not start. */
static int run_plan(struct run *run, int fd)
{
	char text[LINE_MAX_BYTES];
	int status = crew__command_parse(run->argc, run->argv, &run->line, text, sizeof(text));
	if (!status)
		status = load_settings(run, text, sizeof(text));
	if (status)
		crew__plan_refuse(fd, text);
	else
		status = crew__plan_write(fd, run->app, run->settings);
	if (run->settings)
		crew__settings_free(run->settings);
	crew__command_line_fini(&run->line);
	close(fd);
	return status ? CREW__FAILED : CREW__DONE;
}

/* A thread whose work has not come back uses what exit() would take away. */
static int leave(int exit_status)
{
	if (crew__offloads_left_behind() > 0)
		_exit(exit_status);
	return exit_status;
}

int crew_main_abi(
	int argc, char **argv, const crew_app *app, int abi, size_t app_size, size_t service_size)
{
	struct grown grown;
	int exit_status;
	if (argc < 1 || !argv || !argv[0] || !app) {
		fputs("crew_main: needs the argc and argv of main(), and an app\n", stderr);
		return CREW__USAGE;
	}
	if (!fits(argv[0], abi, app_size, service_size))
		return CREW__FAILED;
	if (app_size < sizeof(crew_app) || service_size < sizeof(crew_service))
		app = grow(app, app_size, service_size, &grown);
	crew__settings_use_admin(&crew__admin_service);
	if (crew__run_worker(app, argc, argv, &exit_status) ||
		crew__run_resumed(app, argc, argv, &exit_status))
		return leave(exit_status);
	struct run run = { .app = app, .argc = argc, .argv = argv, .name = name_of(app, argv) };
	int plan_fd = crew__plan_asked();
	if (plan_fd >= 0)
		return run_plan(&run, plan_fd);
	return leave(run_command(&run));
}
