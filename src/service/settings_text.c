/* settings_text.c - settings in force as lines of text for a worker, and back.
 *
 * A line is `SECTION.KEY=VALUE`; the value goes to the line's end, byte for byte. Master and worker
 * may be of different versions after a reload: keys that one of them does not know are left out,
 * and those that are missing have their defaults. */
#include "service/settings.h"

#include "service/settings_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The program's name is no setting, but its worker is not told it otherwise. */
#define NAME_LINE "crew.name="

static const struct crew__origin master = { .kind = CREW__ORIGIN_MASTER };

/* ---- writing ------------------------------------------------------------------------------- */

static int write_keys(FILE *out, const char *section, const struct crew__settings_key *keys,
	size_t count, const void *base)
{
	for (size_t i = 0; i < count; i++) {
		char *value = crew__settings_show_value(&keys[i], base);
		if (!value)
			return -ENOMEM;
		fprintf(out, "%s.%s=%s\n", section, keys[i].name, value);
		free(value);
	}
	return 0;
}

static int write_all(FILE *out, const struct crew__settings *settings)
{
	fprintf(out, NAME_LINE "%s\n", settings->name);
	int error = write_keys(out, "crew", crew__crew_keys, CREW__CREW_KEYS, settings);
	for (unsigned i = 0; !error && i < settings->services; i++)
		error = write_keys(out, settings->service[i].service->name, crew__service_keys,
			CREW__SERVICE_KEYS, &settings->service[i]);
	for (size_t i = 0; i < settings->app_count; i++)
		fprintf(out, "app.%s=%s\n", settings->app_keys[i], settings->app_values[i]);
	return error;
}

char *crew__settings_write(const struct crew__settings *settings)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	if (!out)
		return NULL;
	int error = write_all(out, settings);
	bool failed = ferror(out);
	if (fclose(out) != 0 || failed || error) {
		free(text);
		return NULL;
	}
	return text;
}

/* ---- reading ------------------------------------------------------------------------------- */

static int take_name(struct crew__loader *loader, const char *name)
{
	char *copy = strdup(name);
	if (!copy)
		return crew__settings_no_memory(loader);
	free(loader->settings->name);
	loader->settings->name = copy;
	return 0;
}

/* `line` is changed. */
static int take_line(struct crew__loader *loader, char *line)
{
	char *dot = strchr(line, '.'), *equals = dot ? strchr(dot, '=') : NULL;
	if (!equals)
		return crew__settings_refuse(
			loader, master, "\"%.64s\" is not of the form SECTION.KEY=VALUE", line);
	if (strncmp(line, NAME_LINE, strlen(NAME_LINE)) == 0)
		return take_name(loader, equals + 1);
	*dot = *equals = '\0';
	return crew__settings_assign(loader, master, line, dot + 1, equals + 1);
}

static int take_lines(struct crew__loader *loader, char *text)
{
	char *rest = text;
	int error = 0;
	while (!error && rest && *rest) {
		char *line = strsep(&rest, "\n");
		if (*line)
			error = take_line(loader, line);
	}
	return error;
}

int crew__settings_parse(const crew_app *app, const char *text,
	struct crew__settings **ret_settings, char *ret_error, size_t error_size)
{
	const struct crew__settings_source source = { .app = app, .program = "worker" };
	struct crew__loader loader = {
		.source = &source, .error = ret_error, .error_size = error_size
	};
	char *copy = strdup(text);
	if (!copy)
		return crew__settings_no_memory(&loader);
	int error = crew__settings_begin(&loader);
	if (!error)
		error = take_lines(&loader, copy);
	free(copy);
	if (!error)
		error = crew__settings_resolve(&loader);
	if (error) {
		crew__settings_free(loader.settings);
		return error;
	}
	*ret_settings = loader.settings;
	return 0;
}
