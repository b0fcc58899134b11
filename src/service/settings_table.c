/* settings_table.c - the table of keys, and the way from the names in a file to a key.
 *
 * Not here: what a value may be (settings_value.c). */
#include "service/settings.h"

#include "base/nearest.h"
#include "service/settings_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define X(key, kind, least, most, preset, type, fallback, sentence) \
	{ #key, CREW__KIND_##kind, least, most, preset,             \
		offsetof(struct crew__service_settings, key) },
const struct crew__settings_key crew__service_keys[CREW__SERVICE_KEYS] = {
	CREW_SERVICE_SETTING_TABLE(X)
};
#undef X

#define X(key, kind, least, most, preset, type, fallback, sentence) \
	{ #key, CREW__KIND_##kind, least, most, preset, offsetof(struct crew__settings, key) },
const struct crew__settings_key crew__crew_keys[CREW__CREW_KEYS] = { CREW_CREW_SETTING_TABLE(X) };
#undef X

const struct crew__setting_row *crew__settings_table(size_t *ret_count)
{
	static const struct crew__setting_row rows[] = {
#define X(key, kind, least, most, preset, type, fallback, sentence) \
	{ "service", #key, type, fallback, sentence },
		CREW_SERVICE_SETTING_TABLE(X)
#undef X
#define X(key, kind, least, most, preset, type, fallback, sentence) \
	{ "crew", #key, type, fallback, sentence },
			CREW_CREW_SETTING_TABLE(X)
#undef X
	};
	*ret_count = crew__lengthof(rows);
	return rows;
}

/* ---- complaints ---------------------------------------------------------------------------- */

/* What a file or a command line holds may be anything; the complaint is one line. */
static void make_printable(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

static void write_origin(const struct crew__loader *loader, struct crew__origin origin)
{
	char *text = loader->error;
	size_t size = loader->error_size;
	switch (origin.kind) {
	case CREW__ORIGIN_FILE:
		snprintf(text, size, "%s:%u: ", loader->source->config, origin.line);
		break;
	case CREW__ORIGIN_SET:
		snprintf(text, size, "--set ");
		break;
	case CREW__ORIGIN_PROGRAM:
		snprintf(text, size, "the program: ");
		break;
	case CREW__ORIGIN_MASTER:
		snprintf(text, size, "the master's settings: ");
		break;
	default:
		snprintf(text, size, "%s", "");
		break;
	}
}

int crew__settings_refuse(
	const struct crew__loader *loader, struct crew__origin origin, const char *format, ...)
{
	va_list arguments;
	if (loader->error_size == 0)
		return -EINVAL;
	write_origin(loader, origin);
	size_t length = strlen(loader->error);
	va_start(arguments, format);
	vsnprintf(loader->error + length, loader->error_size - length, format, arguments);
	va_end(arguments);
	make_printable(loader->error);
	return -EINVAL;
}

int crew__settings_no_memory(const struct crew__loader *loader)
{
	snprintf(loader->error, loader->error_size, "no memory for the settings");
	return -ENOMEM;
}

/* ---- sections ------------------------------------------------------------------------------ */

int crew__settings_find_section(
	const struct crew__settings *settings, const char *name, struct crew__section *ret_section)
{
	*ret_section = (struct crew__section){ .kind = CREW__SECTION_SERVICE };
	if (strcmp(name, "crew") == 0) {
		ret_section->kind = CREW__SECTION_CREW;
		return 0;
	}
	if (strcmp(name, "app") == 0) {
		ret_section->kind = CREW__SECTION_APP;
		return 0;
	}
	for (unsigned i = 0; i < settings->services; i++) {
		if (strcmp(settings->service[i].service->name, name) != 0)
			continue;
		ret_section->service = i;
		return 0;
	}
	return -ENOENT;
}

int crew__settings_unknown_section(
	const struct crew__loader *loader, struct crew__origin origin, const char *name)
{
	const struct crew__settings *settings = loader->settings;
	const char *nearest = NULL;
	size_t best = SIZE_MAX;
	for (unsigned i = 0; i < settings->services; i++)
		if (crew__nearer(name, settings->service[i].service->name, &best))
			nearest = settings->service[i].service->name;
	if (crew__nearer(name, "crew", &best))
		nearest = "crew";
	if (crew__nearer(name, "app", &best))
		nearest = "app";
	if (nearest)
		return crew__settings_refuse(loader, origin,
			"unknown section \"%.64s\"; did you mean \"%s\"?", name, nearest);
	return crew__settings_refuse(loader, origin,
		"unknown section \"%.64s\"; a section is crew, app, or the name of a service, such as %s",
		name, settings->service[0].service->name);
}

/* ---- keys ---------------------------------------------------------------------------------- */

/* A table of keys, with the members they fill and who filled them. */
struct target {
	const struct crew__settings_key *keys;
	size_t count;
	void *base;
	struct crew__origin *origins;
};

static struct target target_of(struct crew__loader *loader, const struct crew__section *section)
{
	if (section->kind == CREW__SECTION_CREW)
		return (struct target){ crew__crew_keys, CREW__CREW_KEYS, loader->settings,
			loader->crew_origin };
	return (struct target){ crew__service_keys, CREW__SERVICE_KEYS,
		&loader->settings->service[section->service],
		loader->service_origin[section->service] };
}

static int unknown_key(const struct crew__loader *loader, struct crew__origin origin,
	const struct target *target, const char *section, const char *key)
{
	const char *nearest = NULL;
	size_t best = SIZE_MAX;
	for (size_t i = 0; i < target->count; i++)
		if (crew__nearer(key, target->keys[i].name, &best))
			nearest = target->keys[i].name;
	if (nearest)
		return crew__settings_refuse(loader, origin,
			"%s.%.64s: there is no such key; did you mean \"%s\"?", section, key,
			nearest);
	return crew__settings_refuse(loader, origin,
		"%s.%.64s: there is no such key; `help settings` lists them all", section, key);
}

static int assign_key(struct crew__loader *loader, struct crew__origin origin,
	const struct target *target, size_t index, const char *section, const char *value)
{
	char why[CREW__WHY_MAX];
	const struct crew__settings_key *key = &target->keys[index];
	int error = crew__settings_read_value(key, target->base, value, why);
	if (error == -ENOMEM)
		return crew__settings_no_memory(loader);
	if (error)
		return crew__settings_refuse(
			loader, origin, "%s.%s = %.160s: %s", section, key->name, value, why);
	target->origins[index] = origin;
	return 0;
}

static int assign_app(
	struct crew__loader *loader, struct crew__origin origin, const char *key, const char *value)
{
	if (key[0] == '\0')
		return crew__settings_refuse(loader, origin, "a key of [app] has no name");
	if (crew__settings_set_app(loader->settings, key, value))
		return crew__settings_no_memory(loader);
	return 0;
}

int crew__settings_assign(struct crew__loader *loader, struct crew__origin origin,
	const char *section, const char *key, const char *value)
{
	struct crew__section found;
	bool of_master = origin.kind == CREW__ORIGIN_MASTER;
	if (crew__settings_find_section(loader->settings, section, &found))
		return of_master ? 0 : crew__settings_unknown_section(loader, origin, section);
	if (strchr(value, '\n') || strchr(key, '\n'))
		return crew__settings_refuse(
			loader, origin, "%s.%.64s: a value cannot hold a line break", section, key);
	if (found.kind == CREW__SECTION_APP)
		return assign_app(loader, origin, key, value);
	struct target target = target_of(loader, &found);
	for (size_t i = 0; i < target.count; i++)
		if (strcmp(target.keys[i].name, key) == 0)
			return assign_key(loader, origin, &target, i, section, value);
	return of_master ? 0 : unknown_key(loader, origin, &target, section, key);
}
