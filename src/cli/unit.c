/* unit.c - `systemd-unit`: which version, which paths, and the file on standard output. */
#include "cli/unit.h"

#include "cli/command.h"
#include "proc/launch.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int complain(const struct crew__unit_request *request, const char *text)
{
	fprintf(stderr, "%s: %s\n", request->settings->name, text);
	return CREW__FAILED;
}

/* ---- the version --------------------------------------------------------------------------- */

static unsigned number_at(const char *text)
{
	size_t digits = strspn(text, "0123456789");
	return digits == 0 || digits > 4 ? 0 : (unsigned)strtoul(text, NULL, 10);
}

/* "systemd 252 (252.39-1)"; some put "v" before it, or a suffix as in "257~rc1" behind. */
unsigned crew__unit_version(const char *text)
{
	static const char name[] = "systemd ";
	if (strncmp(text, name, sizeof(name) - 1) != 0)
		return 0;
	text += sizeof(name) - 1;
	return number_at(text + (*text == 'v'));
}

/* What that program says to --version, in English; "" when it is not there. */
static void ask_version(const char *program, char *text, size_t size)
{
	char *const arguments[] = { (char *)(uintptr_t)program, (char *)(uintptr_t) "--version",
		NULL };
	char *const environment[] = { (char *)(uintptr_t) "LC_ALL=C", NULL };
	posix_spawn_file_actions_t actions;
	int fds[2];
	pid_t pid;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return;
	int error = posix_spawn_file_actions_init(&actions);
	if (error == 0) {
		error = posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
		if (error == 0)
			error = posix_spawn_file_actions_addopen(
				&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
		if (error == 0)
			error = posix_spawnp(&pid, program, &actions, NULL, arguments, environment);
		posix_spawn_file_actions_destroy(&actions);
	}
	close(fds[1]);
	ssize_t length = error == 0 ? read(fds[0], text, size - 1) : -1;
	text[length > 0 ? length : 0] = '\0';
	close(fds[0]);
	if (error == 0)
		waitpid(pid, NULL, 0);
}

static unsigned installed_version(void)
{
	static const char *const programs[] = { "systemctl", "systemd", "/lib/systemd/systemd" };
	unsigned version = 0;
	for (size_t i = 0; version == 0 && i < crew__lengthof(programs); i++) {
		char line[256] = "";
		ask_version(programs[i], line, sizeof(line));
		version = crew__unit_version(line);
	}
	return version;
}

/* 0 with a sentence when it is none we can serve. */
static unsigned wanted_version(const char *asked, char *error, size_t size)
{
	unsigned version = asked ? number_at(asked) : installed_version();
	if (asked && (version == 0 || asked[strspn(asked, "0123456789")] != '\0')) {
		snprintf(error, size, "--systemd-version %.40s: write a number such as 252", asked);
		return 0;
	}
	if (version == 0)
		return CREW__SYSTEMD_CAUTIOUS;
	if (version >= CREW__SYSTEMD_OLDEST)
		return version;
	snprintf(error, size,
		"systemd %u is too old: what keeps a service locked in is there from %d on",
		version, CREW__SYSTEMD_OLDEST);
	return 0;
}

/* ---- the paths ----------------------------------------------------------------------------- */

/* Without what was typed before the name: /srv/./hello is /srv/hello. */
static char *tidy(char *path)
{
	char *at = path ? strstr(path, "/./") : NULL;
	while (at) {
		memmove(at, at + 2, strlen(at + 2) + 1);
		at = strstr(at, "/./");
	}
	return path;
}

/* What nobody has set is where systemd makes it, whoever asks for the file here. */
static const char *run_dir_of(const struct crew__unit_request *request, char **ret_default)
{
	const struct crew__settings *settings = request->settings;
	char *present = crew__settings_default_run_dir(settings->name);
	bool is_default = present && strcmp(settings->run_dir, present) == 0;
	free(present);
	if (!is_default)
		return settings->run_dir;
	if (asprintf(ret_default, "/run/%s", settings->name) < 0)
		*ret_default = NULL;
	return *ret_default;
}

static int print(const struct crew__unit_request *request, const struct crew__unit_plan *plan)
{
	char error[512] = "no memory", *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	if (!out)
		return complain(request, error);
	int status = request->socket ? crew__unit_socket(out, plan, error, sizeof(error))
				     : crew__unit_service(out, plan, error, sizeof(error));
	if (fclose(out) != 0 && status == 0)
		status = -ENOMEM;
	if (status == 0)
		fputs(text, stdout);
	free(text);
	return status == 0 ? CREW__DONE : complain(request, error);
}

int crew__unit_print(const struct crew__unit_request *request)
{
	char error[256] = "", *made = NULL;
	const struct crew__settings_source *source = request->source;
	char *program = tidy(crew__launch_find_program());
	char *config = source->config ? tidy(crew__launch_absolute(source->config)) : NULL;
	const struct crew__unit_plan plan = {
		.settings = request->settings,
		.program = program,
		.config = config,
		.run_dir = run_dir_of(request, &made),
		.sets = source->sets,
		.set_count = source->set_count,
		.version = wanted_version(request->version, error, sizeof(error)),
	};
	int exit_status;
	if (plan.version == 0)
		exit_status = complain(request, error);
	else if (!program || !plan.run_dir || (source->config && !config))
		exit_status = complain(request, "cannot tell where this program is");
	else
		exit_status = print(request, &plan);
	free(program);
	free(config);
	free(made);
	return exit_status;
}
