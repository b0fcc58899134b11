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

/* The settings as a sealed memfd: what a worker reads cannot change under it. */
static int settings_memfd(const struct crew__settings *settings)
{
	char *text = crew__settings_write(settings);
	if (!text)
		return -ENOMEM;
	int fd = memfd_create("crew-settings", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int status = fd < 0 ? -errno : write_all(fd, text, strlen(text));
	free(text);
	if (status == 0 && fcntl(fd, F_ADD_SEALS,
				   F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		status = -errno;
	if (status < 0 && fd >= 0)
		close(fd);
	return status < 0 ? status : fd;
}

/* Takes program_fd over in every case, and the settings when it succeeds. */
static int make(unsigned number, int program_fd, struct crew__settings *settings, bool owns,
	struct crew__generation **ret_generation)
{
	struct crew__generation *g = malloc(sizeof(*g));
	int settings_fd = g ? settings_memfd(settings) : -ENOMEM;
	if (settings_fd < 0) {
		free(g);
		close(program_fd);
		return settings_fd;
	}
	*g = (struct crew__generation){
		.references = 1,
		.number = number,
		.program_fd = program_fd,
		.settings_fd = settings_fd,
		.settings = settings,
		.owns_settings = owns,
	};
	*ret_generation = g;
	return 0;
}

/* The last step of making one: without its certificates it is none. */
static int read_certificates(
	struct crew__generation *take_generation, char *ret_error, size_t error_size)
{
	int status = crew__certificates_read(
		&take_generation->certificates, take_generation->settings, ret_error, error_size);
	if (status < 0)
		crew__generation_unref(take_generation);
	return status;
}

int crew__generation_first(struct crew__settings *settings,
	struct crew__generation **ret_generation, char *ret_error, size_t error_size)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct crew__generation *generation = NULL;
	int status = fd < 0 ? -errno : make(1, fd, settings, false, &generation);
	if (!generation) {
		snprintf(ret_error, error_size, "cannot open this program for its workers: %s",
			strerror(-status));
		return status;
	}
	status = read_certificates(generation, ret_error, error_size);
	if (status == 0)
		*ret_generation = generation;
	return status;
}

static bool same_text(const char *a, const char *b)
{
	return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

static const char *service_needs_restart(const struct crew__service_settings *old,
	const struct crew__service_settings *new, char *text, size_t size)
{
	const char *key = NULL;
	if (!same_text(old->listen, new->listen))
		key = "listen";
	else if (old->workers != new->workers)
		key = "workers";
	else if (old->reuse_port != new->reuse_port)
		key = "reuse_port";
	if (!key)
		return NULL;
	snprintf(text, size, "%s.%s has changed, which a reload cannot do: use restart",
		old->service->name, key);
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
	if (old->admin && new->admin && strcmp(old->admin, new->admin) != 0) {
		snprintf(text, size,
			"crew.admin has another address, which a reload cannot do: switch it off by "
			"one reload and on by the next, or use restart");
		return text;
	}
	/* One of them may have the admin service besides. */
	unsigned services = (unsigned)crew__min(old->services, new->services);
	for (unsigned i = 0; i < services; i++) {
		const char *why = service_needs_restart(
			&old->service[i], &new->service[i], text, size);
		if (why)
			return why;
	}
	return NULL;
}

static int reread_settings(const struct crew__launch *launch, const struct crew__settings *present,
	struct crew__settings **ret_settings, char *ret_error, size_t error_size)
{
	struct crew__settings *settings;
	int status = crew__settings_load(&launch->source, &settings, ret_error, error_size);
	/* Loading puts the new ones in force for on_config; the master stays with its own. */
	crew__settings_use(present);
	if (status < 0)
		return status;
	char text[256];
	const char *why = crew__settings_need_restart(present, settings, text, sizeof(text));
	if (why) {
		snprintf(ret_error, error_size, "%s", why);
		crew__settings_free(settings);
		return -EINVAL;
	}
	*ret_settings = settings;
	return 0;
}

int crew__generation_next(const struct crew__launch *launch, const struct crew__generation *present,
	struct crew__generation **ret_generation, char *ret_error, size_t error_size)
{
	int fd = crew__launch_open_program(launch, ret_error, error_size);
	if (fd < 0)
		return fd;
	struct crew__settings *settings = present->settings;
	int status = 0;
	if (launch->has_source)
		status = reread_settings(
			launch, present->settings, &settings, ret_error, error_size);
	if (status < 0) {
		close(fd);
		return status;
	}
	bool owns = launch->has_source;
	struct crew__generation *generation;
	status = make(present->number + 1, fd, settings, owns, &generation);
	if (status < 0) {
		snprintf(ret_error, error_size, "cannot keep the new settings: %s",
			strerror(-status));
		if (owns)
			crew__settings_free(settings);
		return status;
	}
	status = read_certificates(generation, ret_error, error_size);
	if (status == 0)
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
	if (generation->owns_settings)
		crew__settings_free(generation->settings);
	free(generation);
}
