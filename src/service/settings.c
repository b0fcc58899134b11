/* settings.c - the order in which settings are loaded, and their end.
 *
 * Presets, the program's structs, the file, --set, --run-dir; then what depends on the machine, the
 * checks, and last the program's own check. Nothing is in force before all of it is good. */
#include "service/settings.h"

#include "service/settings_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct crew__origin option = { .kind = CREW__ORIGIN_SET };

int crew__settings_begin(struct crew__loader *loader)
{
	struct crew__settings *settings = calloc(1, sizeof(*settings));
	if (!settings)
		return crew__settings_no_memory(loader);
	loader->settings = settings;
	settings->app = loader->source->app;
	for (size_t key = 0; key < CREW__CREW_KEYS; key++)
		crew__settings_preset(&crew__crew_keys[key], settings);
	return crew__settings_take_program(loader);
}

/* SECTION.KEY=VALUE; section and key without `.` and `=`, but a key of [app] may have a `.`. */
static int take_set(struct crew__loader *loader, const char *text)
{
	char *copy = strdup(text);
	if (!copy)
		return crew__settings_no_memory(loader);
	char *equals = strchr(copy, '=');
	if (equals)
		*equals = '\0';
	char *dot = strchr(copy, '.');
	int error;
	if (equals && dot) {
		*dot = '\0';
		error = crew__settings_assign(loader, option, copy, dot + 1, equals + 1);
	} else {
		error = crew__settings_refuse(
			loader, option, "%.160s: this is not of the form SECTION.KEY=VALUE", text);
	}
	free(copy);
	return error;
}

static int take_sources(struct crew__loader *loader)
{
	const struct crew__settings_source *source = loader->source;
	int error = source->config ? crew__settings_take_file(loader, source->config) : 0;
	for (size_t i = 0; !error && i < source->set_count; i++)
		error = take_set(loader, source->sets[i]);
	return error;
}

/* The program asks by crew_setting() for the settings that are not in force yet. */
static int ask_program(const struct crew__loader *loader)
{
	const char *(*on_config)(void) = loader->source->app->on_config;
	const struct crew__settings *before = crew__settings_in_use();
	crew__settings_use(loader->settings);
	const char *wrong = on_config ? on_config() : NULL;
	if (!wrong)
		return 0;
	crew__settings_use(before);
	return crew__settings_refuse(loader, (struct crew__origin){ .kind = CREW__ORIGIN_DEFAULT },
		"the program refuses its settings: %s", wrong);
}

int crew__settings_load(const struct crew__settings_source *source,
	struct crew__settings **ret_settings, char *ret_error, size_t error_size)
{
	struct crew__loader loader = {
		.source = source, .error = ret_error, .error_size = error_size
	};
	int error = crew__settings_begin(&loader);
	if (!error)
		error = take_sources(&loader);
	if (!error)
		error = crew__settings_resolve(&loader);
	if (!error)
		error = crew__settings_check(&loader);
	if (!error)
		error = ask_program(&loader);
	if (error) {
		crew__settings_free(loader.settings);
		return error;
	}
	*ret_settings = loader.settings;
	return 0;
}

void crew__settings_free(struct crew__settings *settings)
{
	if (!settings)
		return;
	if (crew__settings_in_use() == settings)
		crew__settings_use(NULL);
	for (size_t key = 0; key < CREW__CREW_KEYS; key++)
		crew__settings_drop_value(&crew__crew_keys[key], settings);
	for (unsigned i = 0; i < settings->services; i++)
		for (size_t key = 0; key < CREW__SERVICE_KEYS; key++)
			crew__settings_drop_value(&crew__service_keys[key], &settings->service[i]);
	crew__settings_drop_app(settings);
	free(settings->name);
	free(settings);
}
