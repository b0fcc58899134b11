/* unit_reach.c - which files and directories the settings name, for a unit that hides the others.
 */
#include "cli/unit.h"

#include "net/address.h"

#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static bool is_below(const char *path, const char *dir)
{
	size_t length = strlen(dir);
	return strncmp(path, dir, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static void see(struct crew__reach *reach, const char *path)
{
	static const char *const homes[] = { "/home", "/root", "/run/user" };
	if (is_below(path, "/tmp") || is_below(path, "/var/tmp"))
		reach->tmp = true;
	for (size_t i = 0; i < crew__lengthof(homes); i++)
		if (is_below(path, homes[i]))
			reach->home = true;
}

/* Files with blanks between. */
static void see_all(struct crew__reach *reach, const char *list)
{
	for (list += strspn(list, " "); *list; list += strspn(list, " ")) {
		char path[512];
		size_t length = strcspn(list, " ");
		if (length < sizeof(path)) {
			memcpy(path, list, length);
			path[length] = '\0';
			see(reach, path);
		}
		list += length;
	}
}

/* One directory for all that are below it. */
static int add_written(struct crew__reach *reach, char *take_dir)
{
	size_t left = 0;
	if (!take_dir)
		return -ENOMEM;
	for (size_t i = 0; i < reach->writes; i++)
		if (is_below(take_dir, reach->written[i])) {
			free(take_dir);
			return 0;
		}
	for (size_t i = 0; i < reach->writes; i++)
		if (is_below(reach->written[i], take_dir))
			free((char *)(uintptr_t)reach->written[i]);
		else
			reach->written[left++] = reach->written[i];
	reach->writes = left;
	if (left == CREW__REACH_MOST) {
		free(take_dir);
		return -ENOSPC;
	}
	reach->written[reach->writes++] = take_dir;
	return 0;
}

/* The run directory is another matter: it is made for the program. */
static int write_in(const struct crew__unit_plan *plan, struct crew__reach *reach, const char *dir,
	size_t length)
{
	char *copy = strndup(dir, length > 0 ? length : 1);
	if (copy && (is_below(copy, plan->run_dir) || is_below(copy, plan->settings->run_dir))) {
		free(copy);
		return 0;
	}
	if (copy)
		see(reach, copy);
	return add_written(reach, copy);
}

static int write_file(
	const struct crew__unit_plan *plan, struct crew__reach *reach, const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;
	return slash ? write_in(plan, reach, path, (size_t)(slash - path)) : 0;
}

/* Of Unix sockets, which are made beside where they are. */
static int write_sockets(const struct crew__unit_plan *plan, struct crew__reach *reach,
	const struct crew__service_settings *service)
{
	char why[256];
	size_t count = 0;
	struct crew__address *all = calloc(CREW__ADDRESSES_MAX, sizeof(*all));
	int status = all ? 0 : -ENOMEM;
	if (status == 0 && service->listen)
		status = crew__addresses_parse(
			service->listen, plan->settings->run_dir, all, &count, why, sizeof(why));
	for (size_t i = 0; status == 0 && i < count; i++)
		if (all[i].transport == CREW__UNIX && !all[i].abstract)
			status = write_file(plan, reach,
				((const struct sockaddr_un *)(const void *)&all[i].socket)
					->sun_path);
	free(all);
	return status;
}

static int see_service(const struct crew__unit_plan *plan, struct crew__reach *reach,
	const struct crew__service_settings *service)
{
	const char *const read[] = { service->tls_cert, service->tls_key, service->tls_ocsp,
		service->tls_client_ca };
	for (size_t i = 0; i < crew__lengthof(read); i++)
		if (read[i])
			see_all(reach, read[i]);
	int status = write_file(plan, reach, service->access_log);
	if (status == 0 && service->upload_dir)
		status = write_in(plan, reach, service->upload_dir, strlen(service->upload_dir));
	return status < 0 ? status : write_sockets(plan, reach, service);
}

int crew__reach_find(const struct crew__unit_plan *plan, struct crew__reach *ret_reach)
{
	struct crew__reach reach = { .writes = 0 };
	see(&reach, plan->program);
	see(&reach, plan->run_dir);
	if (plan->config)
		see(&reach, plan->config);
	int status = write_file(plan, &reach, plan->settings->log);
	for (unsigned i = 0; status == 0 && i < plan->settings->services; i++)
		status = see_service(plan, &reach, &plan->settings->service[i]);
	if (status < 0)
		crew__reach_free(&reach);
	else
		*ret_reach = reach;
	return status;
}

void crew__reach_free(struct crew__reach *reach)
{
	for (size_t i = 0; i < reach->writes; i++)
		free((char *)(uintptr_t)reach->written[i]);
	reach->writes = 0;
}
