/* generation.c - making generations, and telling a reload from a restart. */
#include "proc/generation.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int write_all(int fd, const char *text, size_t length)
{
	while (length > 0) {
		ssize_t written = write(fd, text, length);
		if (written < 0)
			return -errno;
		text += written;
		length -= (size_t)written;
	}
	return 0;
}

/* Settings as a sealed memfd: what a worker reads cannot change under it. */
static int sealed_memfd(const char *text)
{
	int fd = memfd_create("crew-settings", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int status = fd < 0 ? -errno : write_all(fd, text, strlen(text));
	if (status == 0 && fcntl(fd, F_ADD_SEALS,
				   F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		status = -errno;
	if (status < 0 && fd >= 0)
		close(fd);
	return status < 0 ? status : fd;
}

static int settings_memfd(const struct crew__settings *settings)
{
	char *text = crew__settings_write(settings);
	int fd = text ? sealed_memfd(text) : -ENOMEM;
	free(text);
	return fd;
}

/* Takes all over in every case. */
static int make(unsigned number, int program_fd, int settings_fd, struct crew__settings *settings,
	struct crew__plan *plan, struct crew__generation **ret_generation)
{
	struct crew__generation *g = settings_fd < 0 ? NULL : calloc(1, sizeof(*g));
	if (!g) {
		close(program_fd);
		if (settings_fd >= 0)
			close(settings_fd);
		crew__plan_free(plan);
		return settings_fd < 0 ? settings_fd : -ENOMEM;
	}
	g->references = 1;
	g->number = number;
	g->program_fd = program_fd;
	g->settings_fd = settings_fd;
	g->settings = settings;
	g->plan = plan;
	*ret_generation = g;
	return 0;
}

int crew__generation_index(const struct crew__generation *generation, unsigned place)
{
	for (unsigned i = 0; i < generation->settings->services; i++)
		if (generation->place[i] == place)
			return (int)i;
	return -1;
}

const struct crew__service_settings *crew__generation_service(
	const struct crew__generation *generation, unsigned place)
{
	int index = crew__generation_index(generation, place);
	return index < 0 ? NULL : &generation->settings->service[index];
}

static int read_certificates(
	struct crew__generation *generation, char *ret_error, size_t error_size)
{
	return crew__certificates_read(&generation->certificates, generation->settings,
		generation->place, ret_error, error_size);
}

int crew__generation_first(struct crew__settings *settings, struct crew__listeners *take_listeners,
	struct crew__generation **ret_generation, char *ret_error, size_t error_size)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct crew__generation *generation = NULL;
	int status = fd < 0 ? -errno
			    : make(1, fd, settings_memfd(settings), settings, NULL, &generation);
	if (!generation) {
		snprintf(ret_error, error_size, "cannot open this program for its workers: %s",
			strerror(-status));
		return status;
	}
	for (unsigned i = 0; i < settings->services; i++)
		generation->place[i] = i;
	status = read_certificates(generation, ret_error, error_size);
	if (status < 0) {
		crew__generation_unref(generation);
		return status;
	}
	generation->listeners = *take_listeners;
	memset(take_listeners, 0, sizeof(*take_listeners));
	*ret_generation = generation;
	return 0;
}

static bool same_text(const char *a, const char *b)
{
	return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

static const struct crew__service_settings *find_service(
	const struct crew__settings *settings, const char *name)
{
	for (unsigned i = 0; i < settings->services; i++)
		if (strcmp(settings->service[i].service->name, name) == 0)
			return &settings->service[i];
	return NULL;
}

/* A socket that others have as well cannot become one of several, nor the reverse. */
static const char *service_needs_restart(const struct crew__service_settings *old,
	const struct crew__service_settings *new, char *text, size_t size)
{
	if (!old || old->reuse_port == new->reuse_port || !same_text(old->listen, new->listen))
		return NULL;
	snprintf(text, size, "%s.reuse_port has changed, which a reload cannot do: use restart",
		old->service->name);
	return text;
}

const char *crew__settings_need_restart(
	const struct crew__settings *old, const struct crew__settings *new, char *text, size_t size)
{
	const char *key = NULL;
	if (!same_text(old->run_dir, new->run_dir))
		key = "run_dir";
	else if (!same_text(old->name, new->name))
		key = "name";
	else if (old->engine != new->engine)
		key = "engine";
	else if (!same_text(old->log, new->log))
		key = "log";
	else if (old->control_mode != new->control_mode)
		key = "control_mode";
	else if (!same_text(old->control_group, new->control_group))
		key = "control_group";
	else if (!same_text(old->control_act_group, new->control_act_group))
		key = "control_act_group";
	if (key) {
		snprintf(text, size, "crew.%s has changed, which a reload cannot do: use restart",
			key);
		return text;
	}
	for (unsigned i = 0; i < new->services; i++) {
		const struct crew__service_settings *service = &new->service[i];
		const char *why = service_needs_restart(
			find_service(old, service->service->name), service, text, size);
		if (why)
			return why;
	}
	return NULL;
}

static int find_places(struct crew__generation *generation, struct crew__registry *registry,
	char *ret_error, size_t error_size)
{
	for (unsigned i = 0; i < generation->settings->services; i++) {
		const char *name = generation->settings->service[i].service->name;
		int place = crew__registry_place(registry, name);
		if (place < 0) {
			snprintf(ret_error, error_size,
				"there is no place for the service %s: %d have come and gone since the "
				"start; use restart",
				name, CREW_MAX_SERVICES);
			return place;
		}
		generation->place[i] = (unsigned)place;
	}
	return 0;
}

/* With a socket for each worker the kernel gives connections to those of the new workers at once,
 * and they stay if there is no next generation: so the present one has them, and reads them. */
static int widen(const struct crew__generation *generation, struct crew__generation *present,
	char *ret_error, size_t error_size)
{
	int status = 0;
	for (unsigned i = 0; status == 0 && i < generation->settings->services; i++) {
		const struct crew__service_settings *settings = &generation->settings->service[i];
		const struct crew__service_settings *before = crew__generation_service(
			present, generation->place[i]);
		if (before && settings->reuse_port && same_text(settings->listen, before->listen))
			status = crew__listeners_widen(&present->listeners, generation->place[i],
				(unsigned)settings->workers, ret_error, error_size);
	}
	return status;
}

/* What is taken over belongs to the present one until the next is in force. */
static int take_listeners(struct crew__generation *generation,
	const struct crew__generation *present, const struct crew__registry *registry,
	char *ret_error, size_t error_size)
{
	struct crew__inherited inherited;
	const struct crew__listeners_plan plan = {
		.settings = generation->settings,
		.places = generation->place,
		.inherited = &inherited,
		.quiet = true,
	};
	crew__inherited_init(&inherited, "the generation before");
	int status = crew__listeners_copy(
		&present->listeners, registry->directory.header->service, &inherited);
	if (status < 0) {
		crew__inherited_fini(&inherited, true);
		snprintf(ret_error, error_size, "cannot keep the listening sockets: %s",
			strerror(-status));
		return status;
	}
	return crew__listeners_open(&generation->listeners, &plan, ret_error, error_size);
}

/* What is behind program and settings; each step needs those before it. */
static int complete(struct crew__generation *generation, struct crew__generation *present,
	struct crew__registry *registry, char *ret_error, size_t error_size)
{
	int status = find_places(generation, registry, ret_error, error_size);
	if (status == 0)
		status = read_certificates(generation, ret_error, error_size);
	if (status == 0)
		status = widen(generation, present, ret_error, error_size);
	if (status == 0)
		status = take_listeners(generation, present, registry, ret_error, error_size);
	return status;
}

int crew__generation_next(int take_program_fd, struct crew__plan *take_plan,
	struct crew__generation *present, struct crew__registry *registry,
	struct crew__generation **ret_generation, char *ret_error, size_t error_size)
{
	char text[256];
	const char *why = crew__settings_need_restart(
		present->settings, take_plan->settings, text, sizeof(text));
	if (why) {
		snprintf(ret_error, error_size, "%s", why);
		close(take_program_fd);
		crew__plan_free(take_plan);
		return -EINVAL;
	}
	struct crew__generation *generation;
	int status = make(present->number + 1, take_program_fd, sealed_memfd(take_plan->text),
		take_plan->settings, take_plan, &generation);
	if (status < 0) {
		snprintf(ret_error, error_size, "cannot keep the new settings: %s",
			strerror(-status));
		return status;
	}
	status = complete(generation, present, registry, ret_error, error_size);
	if (status < 0)
		crew__generation_unref(generation);
	else
		*ret_generation = generation;
	return status;
}

int crew__generation_renew(struct crew__generation *generation)
{
	int fd = settings_memfd(generation->settings);
	if (fd < 0)
		return fd;
	close(generation->settings_fd);
	generation->settings_fd = fd;
	return 0;
}

struct crew__generation *crew__generation_ref(struct crew__generation *generation)
{
	generation->references++;
	return generation;
}

void crew__generation_unref(struct crew__generation *generation)
{
	if (!generation || --generation->references > 0)
		return;
	close(generation->program_fd);
	close(generation->settings_fd);
	crew__certificates_fini(&generation->certificates);
	crew__listeners_close(&generation->listeners);
	crew__plan_free(generation->plan);
	free(generation);
}
