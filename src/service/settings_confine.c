/* settings_confine.c - how far workers are confined: the values that say so, and whether they can
 * be carried out here (proc/confine.c does).
 *
 * What only root may do is not asked here, as `configtest` may be run by anybody. */
#include "service/settings.h"

#include "service/capabilities.h"
#include "service/cpus.h"
#include "service/settings_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- values -------------------------------------------------------------------------------- */

static int64_t *number_of(const struct crew__settings_key *key, void *base)
{
	return (int64_t *)(void *)((char *)base + key->offset);
}

/* A number in its range, or `unchanged`: what the worker inherits. */
static int read_inherited(const struct crew__settings_key *key, void *base, const char *value,
	char why[CREW__WHY_MAX])
{
	int64_t number = CREW__UNCHANGED;
	bool unchanged = strcmp(value, "unchanged") == 0;
	int error = unchanged ? 0 : crew__parse_number(value, &number);
	if (!error && !unchanged && (number < key->least || number > key->most))
		error = -ERANGE;
	if (error) {
		snprintf(why, CREW__WHY_MAX,
			"%s; allowed are %" PRId64 " to %" PRId64 ", or unchanged",
			error == -ERANGE ? "out of range" : "this is no number", key->least,
			key->most);
		return -EINVAL;
	}
	*number_of(key, base) = number;
	return 0;
}

static int read_umask(const struct crew__settings_key *key, void *base, const char *value,
	char why[CREW__WHY_MAX])
{
	size_t digits = strspn(value, "01234567");
	bool unchanged = strcmp(value, "unchanged") == 0;
	long mask = digits > 0 && digits <= 4 ? strtol(value, NULL, 8) : -1;
	if (!unchanged && (value[digits] != '\0' || mask < 0 || mask > 0777)) {
		snprintf(why, CREW__WHY_MAX,
			"this is no umask; allowed are three octal digits, such as 027, or unchanged");
		return -EINVAL;
	}
	*number_of(key, base) = unchanged ? CREW__UNCHANGED : mask;
	return 0;
}

static int check_capabilities(const char *value, char why[CREW__WHY_MAX])
{
	uint64_t set;
	char bad[32];
	if (crew__capabilities_parse(value, &set, bad) == 0)
		return 0;
	const char *nearest = crew__capability_nearest(bad);
	snprintf(why, CREW__WHY_MAX,
		"\"%s\" is no capability%s%s%s; allowed are none, or names of capabilities(7) such "
		"as net_bind_service",
		bad, nearest ? "; did you mean \"" : "", nearest ? nearest : "",
		nearest ? "\"?" : "");
	return -EINVAL;
}

static int check_cpus(const char *value, char why[CREW__WHY_MAX])
{
	struct crew__cpus cpus;
	int error = crew__cpus_parse(value, &cpus);
	if (error)
		snprintf(why, CREW__WHY_MAX,
			"%s; allowed are off, auto, processors such as 0-3,6 that all workers share, "
			"or each 0-3,6 for one each",
			error == -ERANGE ? "there are no so large numbers of processors"
					 : "this is no list of processors");
	return error ? -EINVAL : 0;
}

static int keep_text(const struct crew__settings_key *key, void *base, const char *value)
{
	char **text = (char **)(void *)((char *)base + key->offset);
	char *copy = value[0] ? strdup(value) : NULL;
	if (value[0] && !copy)
		return -ENOMEM;
	free(*text);
	*text = copy;
	return 0;
}

int crew__settings_read_confine(const struct crew__settings_key *key, void *base, const char *value,
	char why[CREW__WHY_MAX])
{
	int error = 0;
	switch (key->kind) {
	case CREW__KIND_INHERITED:
		return read_inherited(key, base, value, why);
	case CREW__KIND_UMASK:
		return read_umask(key, base, value, why);
	case CREW__KIND_CAPABILITIES:
		error = check_capabilities(value, why);
		break;
	default:
		value = strcmp(value, "off") == 0 ? "" : value;
		error = value[0] ? check_cpus(value, why) : 0;
	}
	return error ? error : keep_text(key, base, value);
}

char *crew__settings_show_confine(const struct crew__settings_key *key, int64_t number)
{
	char text[32];
	if (number == CREW__UNCHANGED)
		return strdup("unchanged");
	snprintf(text, sizeof(text), key->kind == CREW__KIND_UMASK ? "%03" PRIo64 : "%" PRId64,
		number);
	return strdup(text);
}

/* ---- the root directory -------------------------------------------------------------------- */

const char *crew__path_inside(const char *root, const char *path)
{
	size_t length = strlen(root);
	if (strncmp(path, root, length) != 0 || (path[length] != '/' && path[length] != '\0'))
		return NULL;
	return path[length] ? path + length : "/";
}

static void move_inside(const char *root, char *path)
{
	const char *inside = path ? crew__path_inside(root, path) : NULL;
	if (inside)
		memmove(path, inside, strlen(inside) + 1);
}

void crew__settings_enter_root(struct crew__service_settings *settings)
{
	if (!settings->chroot)
		return;
	move_inside(settings->chroot, settings->access_log);
	move_inside(settings->chroot, settings->upload_dir);
}

static int refuse_outside(const struct crew__loader *loader, unsigned index,
	enum crew__service_key key, const char *path)
{
	const struct crew__service_settings *settings = &loader->settings->service[index];
	return crew__settings_refuse(loader, loader->service_origin[index][key],
		"%s.%s = %.160s: it is outside of %s.chroot = %.160s, where workers cannot reach it; "
		"write a path below that directory",
		settings->service->name, crew__service_keys[key].name, path,
		settings->service->name, settings->chroot);
}

static int check_root(const struct crew__loader *loader, unsigned index)
{
	const struct crew__service_settings *settings = &loader->settings->service[index];
	struct crew__origin origin = loader->service_origin[index][CREW__SERVICE_KEY_chroot];
	struct stat found;
	const char *why = NULL;
	if (!settings->chroot)
		return 0;
	if (stat(settings->chroot, &found) < 0)
		why = strerror(errno);
	else if (!S_ISDIR(found.st_mode))
		why = "this is no directory";
	else if (strcmp(settings->chroot, "/") == 0)
		why = "this is the root directory already; leave it out";
	if (why)
		return crew__settings_refuse(loader, origin, "%s.chroot = %.160s: %s",
			settings->service->name, settings->chroot, why);
	if (settings->access_log && !crew__path_inside(settings->chroot, settings->access_log))
		return refuse_outside(
			loader, index, CREW__SERVICE_KEY_access_log, settings->access_log);
	if (settings->upload_dir && !crew__path_inside(settings->chroot, settings->upload_dir))
		return refuse_outside(
			loader, index, CREW__SERVICE_KEY_upload_dir, settings->upload_dir);
	return 0;
}

/* ---- against the machine and each other ---------------------------------------------------- */

static int check_affinity(const struct crew__loader *loader, unsigned index)
{
	const struct crew__service_settings *settings = &loader->settings->service[index];
	struct crew__cpus cpus;
	cpu_set_t usable, missing;
	char missing_text[128], usable_text[128];
	if (!settings->cpu_affinity || crew__cpus_parse(settings->cpu_affinity, &cpus) != 0 ||
		crew__cpus_usable(&usable) != 0)
		return 0;
	CPU_AND(&missing, &cpus.set, &usable);
	CPU_XOR(&missing, &missing, &cpus.set);
	if (CPU_COUNT(&missing) == 0)
		return 0;
	crew__cpus_text(&missing, missing_text, sizeof(missing_text));
	crew__cpus_text(&usable, usable_text, sizeof(usable_text));
	return crew__settings_refuse(loader,
		loader->service_origin[index][CREW__SERVICE_KEY_cpu_affinity],
		"%s.cpu_affinity = %.160s: processor %s is not there, or not for this program; it may "
		"use %s",
		settings->service->name, settings->cpu_affinity, missing_text, usable_text);
}

/* Without it the kernel takes a filter of nobody but root, and a worker is not to be root. */
static int check_seccomp(const struct crew__loader *loader, unsigned index)
{
	const struct crew__service_settings *settings = &loader->settings->service[index];
	if (settings->seccomp == CREW__SECCOMP_OFF || settings->no_new_privs)
		return 0;
	return crew__settings_refuse(loader,
		loader->service_origin[index][CREW__SERVICE_KEY_no_new_privs],
		"%s.no_new_privs = off: %s.seccomp needs it; leave it on, or set seccomp = off",
		settings->service->name, settings->service->name);
}

int crew__settings_check_confine(const struct crew__loader *loader)
{
	int error = 0;
	for (unsigned i = 0; !error && i < loader->settings->services; i++) {
		error = check_root(loader, i);
		if (!error)
			error = check_affinity(loader, i);
		if (!error)
			error = check_seccomp(loader, i);
	}
	return error;
}

const char *crew__settings_name_confine(
	const struct crew__service_settings *settings, unsigned number)
{
	const struct {
		const char *key;
		bool is_set;
	} keys[] = {
		{ "capabilities", settings->capabilities != NULL },
		{ "seccomp", settings->seccomp != CREW__SECCOMP_OFF },
		{ "umask", settings->umask != CREW__UNCHANGED },
		{ "chroot", settings->chroot != NULL },
		{ "limit_nofile", settings->limit_nofile != 0 },
		{ "limit_core", settings->limit_core != CREW__UNCHANGED },
		{ "limit_memory", settings->limit_memory != 0 },
		{ "cpu_affinity", settings->cpu_affinity != NULL },
		{ "nice", settings->nice != CREW__UNCHANGED },
		{ "oom_score_adj", settings->oom_score_adj != CREW__UNCHANGED },
		{ "recycle_requests", settings->recycle_requests != 0 },
		{ "recycle_age_ms", settings->recycle_age_ms != 0 },
		{ "recycle_memory", settings->recycle_memory != 0 },
	};
	for (size_t i = 0; i < crew__lengthof(keys); i++)
		if (keys[i].is_set && number-- == 0)
			return keys[i].key;
	return NULL;
}
