/* plan.c - writing a plan, and making settings of one.
 *
 *   {"crew_plan":1,"version":"2.1","services":["web","feed"],"counters":[...]}
 *   crew.name=site
 *   web.listen=http://:80
 *   ...
 *
 * or, when the program refuses, {"crew_plan":1,"refused":true} and behind it the sentence. */
#include "proc/plan.h"

#include "proc/role.h"
#include "stats/segment.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	PLAN_VERSION = 1,
	PLAN_MOST = 16 << 20
};

/* ---- writing ------------------------------------------------------------------------------- */

int crew__plan_asked(void)
{
	return crew__role_fd(CREW__PLAN_VARIABLE);
}

static int write_whole(int fd, json_t *take_head, const char *rest)
{
	char *line = take_head ? json_dumps(take_head, JSON_COMPACT) : NULL;
	json_decref(take_head);
	if (!line)
		return -ENOMEM;
	int status = dprintf(fd, "%s\n%s", line, rest) < 0 ? -errno : 0;
	free(line);
	return status;
}

/* The admin service is not the program's: crew.admin brings it. */
static json_t *pack_services(const crew_app *app)
{
	json_t *services = json_array();
	for (size_t i = 0; i < CREW_MAX_SERVICES && app->services[i]; i++)
		json_array_append_new(services, json_string(app->services[i]->name));
	return services;
}

static json_t *pack_counters(const crew_app *app)
{
	json_t *counters = json_array();
	for (size_t i = 0; i < CREW_MAX_COUNTERS && app->counters[i].name; i++) {
		const crew_counter *counter = &app->counters[i];
		json_array_append_new(
			counters, json_pack("{s:s, s:s*, s:s*}", "name", counter->name, "unit",
					  counter->unit, "help", counter->help));
	}
	return counters;
}

int crew__plan_write(int fd, const crew_app *app, const struct crew__settings *settings)
{
	char *text = crew__settings_write(settings);
	if (!text)
		return -ENOMEM;
	json_t *head = json_pack("{s:i, s:s, s:s, s:o, s:o}", "crew_plan", PLAN_VERSION, "crew",
		CREW_VERSION, "version", app->version ? app->version : "0", "services",
		pack_services(app), "counters", pack_counters(app));
	int status = write_whole(fd, head, text);
	free(text);
	return status;
}

int crew__plan_refuse(int fd, const char *why)
{
	return write_whole(
		fd, json_pack("{s:i, s:b}", "crew_plan", PLAN_VERSION, "refused", 1), why);
}

/* ---- asking -------------------------------------------------------------------------------- */

int crew__plan_ask(const struct crew__launch *launch, int program_fd, pid_t *ret_pid, int *ret_fd,
	char *ret_error, size_t error_size)
{
	int fd = memfd_create("crew-plan", MFD_CLOEXEC);
	pid_t master = getpid(), pid = fd < 0 ? -1 : fork();
	if (pid == 0)
		crew__role_exec(launch, program_fd, CREW__PLAN_VARIABLE, fd, NULL, master);
	if (pid > 0) {
		*ret_pid = pid;
		*ret_fd = fd;
		return 0;
	}
	int error = -errno;
	snprintf(ret_error, error_size, "cannot run %s for its plan: %s", launch->path,
		strerror(-error));
	if (fd >= 0)
		close(fd);
	return error;
}

/* ---- reading ------------------------------------------------------------------------------- */

static char *read_whole(int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0 || st.st_size <= 0 || st.st_size > PLAN_MOST)
		return NULL;
	size_t size = (size_t)st.st_size;
	char *text = malloc(size + 1);
	if (text && pread(fd, text, size, 0) == (ssize_t)size) {
		text[size] = '\0';
		return text;
	}
	free(text);
	return NULL;
}

/* Strings live as long as the JSON they stand in. */
static bool take_services(struct crew__plan *plan, const json_t *names)
{
	size_t count = json_array_size(names), i;
	json_t *name;
	if (count == 0 || count > CREW_MAX_SERVICES)
		return false;
	json_array_foreach(names, i, name)
	{
		if (!json_is_string(name) || json_string_length(name) >= CREW__NAME_MAX)
			return false;
		plan->services[i].name = json_string_value(name);
		plan->app.services[i] = &plan->services[i];
	}
	return true;
}

static bool take_counters(struct crew__plan *plan, const json_t *counters)
{
	size_t i;
	json_t *each;
	if (json_array_size(counters) > CREW_MAX_COUNTERS)
		return false;
	json_array_foreach(counters, i, each)
	{
		const char *name = json_string_value(json_object_get(each, "name"));
		if (!name || strlen(name) >= CREW__NAME_MAX)
			return false;
		plan->app.counters[i] = (crew_counter){
			.name = name,
			.unit = json_string_value(json_object_get(each, "unit")),
			.help = json_string_value(json_object_get(each, "help")),
		};
	}
	return true;
}

static int refused(const char *why, char *ret_error, size_t error_size)
{
	snprintf(ret_error, error_size, "%s", why);
	return -EINVAL;
}

static int no_plan(char *ret_error, size_t error_size)
{
	snprintf(ret_error, error_size,
		"the program told no plan; is it one of crew, and of a version that can be reloaded? See "
		"what it said in the log, or use restart");
	return -EPROTO;
}

/* `rest` is what stands behind the line. */
static int take(
	struct crew__plan *plan, json_t *take_head, char *rest, char *ret_error, size_t error_size)
{
	plan->strings = take_head;
	if (json_is_true(json_object_get(take_head, "refused")))
		return refused(rest, ret_error, error_size);
	plan->app.version = json_string_value(json_object_get(take_head, "version"));
	if (json_integer_value(json_object_get(take_head, "crew_plan")) < PLAN_VERSION ||
		!take_services(plan, json_object_get(take_head, "services")) ||
		!take_counters(plan, json_object_get(take_head, "counters")))
		return no_plan(ret_error, error_size);
	plan->text = strdup(rest);
	if (!plan->text)
		return -ENOMEM;
	return crew__settings_parse(&plan->app, rest, &plan->settings, ret_error, error_size);
}

int crew__plan_read(int fd, struct crew__plan **ret_plan, char *ret_error, size_t error_size)
{
	snprintf(ret_error, error_size, "there is no memory for its plan");
	char *text = read_whole(fd), *end = text ? strchr(text, '\n') : NULL;
	json_t *head = end ? json_loadb(text, (size_t)(end - text), 0, NULL) : NULL;
	struct crew__plan *plan = calloc(1, sizeof(*plan));
	int status = -ENOMEM;
	if (plan && head)
		status = take(plan, head, end + 1, ret_error, error_size);
	else if (plan)
		status = no_plan(ret_error, error_size);
	else
		json_decref(head);
	free(text);
	if (status < 0)
		crew__plan_free(plan);
	else
		*ret_plan = plan;
	return status;
}

void crew__plan_free(struct crew__plan *plan)
{
	if (!plan)
		return;
	crew__settings_free(plan->settings);
	free(plan->text);
	json_decref(plan->strings);
	free(plan);
}
