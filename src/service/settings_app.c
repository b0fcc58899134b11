/* settings_app.c - section [app], which is the program's own, and crew_setting().
 *
 * What crew_setting() returns lives as long as the process, but settings come and go with reloads.
 * So values are kept once each, for good; a reload that brings nothing new adds nothing. */
#include "service/settings.h"

#include "service/settings_parts.h"

#include <stdlib.h>
#include <string.h>

struct kept {
	struct kept *next;
	char text[];
};

static struct kept *kept_texts;
static const struct crew__settings *in_use;

/* NULL without memory. */
static char *keep(const char *text)
{
	for (struct kept *kept = kept_texts; kept; kept = kept->next)
		if (strcmp(kept->text, text) == 0)
			return kept->text;
	size_t size = strlen(text) + 1;
	struct kept *kept = malloc(sizeof(*kept) + size);
	if (!kept)
		return NULL;
	memcpy(kept->text, text, size);
	kept->next = kept_texts;
	kept_texts = kept;
	return kept->text;
}

static size_t find(const struct crew__settings *settings, const char *key)
{
	size_t index = 0;
	while (index < settings->app_count && strcmp(settings->app_keys[index], key) != 0)
		index++;
	return index;
}

/* Room for one more key. */
static int grow(struct crew__settings *settings)
{
	size_t count = settings->app_count + 1;
	char **keys = reallocarray(settings->app_keys, count, sizeof(*keys));
	if (!keys)
		return -ENOMEM;
	settings->app_keys = keys;
	char **values = reallocarray(settings->app_values, count, sizeof(*values));
	if (!values)
		return -ENOMEM;
	settings->app_values = values;
	return 0;
}

int crew__settings_set_app(struct crew__settings *settings, const char *key, const char *value)
{
	size_t index = find(settings, key);
	char *kept = keep(value);
	if (!kept)
		return -ENOMEM;
	if (index == settings->app_count) {
		char *name = strdup(key);
		if (!name || grow(settings)) {
			free(name);
			return -ENOMEM;
		}
		settings->app_keys[settings->app_count++] = name;
	}
	settings->app_values[index] = kept;
	return 0;
}

void crew__settings_drop_app(struct crew__settings *settings)
{
	for (size_t i = 0; i < settings->app_count; i++)
		free(settings->app_keys[i]);
	free(settings->app_keys);
	free(settings->app_values);
}

void crew__settings_use(const struct crew__settings *settings)
{
	in_use = settings;
}

const struct crew__settings *crew__settings_in_use(void)
{
	return in_use;
}

const char *crew_setting(const char *key, const char *fallback)
{
	if (!in_use || !key)
		return fallback;
	size_t index = find(in_use, key);
	return index < in_use->app_count ? in_use->app_values[index] : fallback;
}

int64_t crew_setting_int(const char *key, int64_t fallback)
{
	int64_t number;
	const char *value = crew_setting(key, NULL);
	return value && !crew__parse_number(value, &number) ? number : fallback;
}
