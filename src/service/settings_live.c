/* settings_live.c - settings that change while the program runs: which they are, and one change.
 *
 * Not here: who may change them (proc/control.c), and what a change does to a worker that runs
 * (live.c). A change holds for the settings object it is made to, so until the next reload. */
#include "service/settings.h"

#include "base/check.h"
#include "service/settings_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* All of them are numbers inside, so that a change can be taken back without memory. */
static const bool live_service[CREW__SERVICE_KEYS] = {
	[CREW__SERVICE_KEY_max_connections] = true,
	[CREW__SERVICE_KEY_max_connections_per_ip] = true,
	[CREW__SERVICE_KEY_connection_rate_per_ip] = true,
	[CREW__SERVICE_KEY_max_message] = true,
	[CREW__SERVICE_KEY_max_send_buffer] = true,
	[CREW__SERVICE_KEY_kernel_unsent_limit] = true,
	[CREW__SERVICE_KEY_policy] = true,
	[CREW__SERVICE_KEY_soft_limit] = true,
	[CREW__SERVICE_KEY_soft_limit_ms] = true,
	[CREW__SERVICE_KEY_rate_bytes] = true,
	[CREW__SERVICE_KEY_rate_messages] = true,
	[CREW__SERVICE_KEY_send_timeout_ms] = true,
	[CREW__SERVICE_KEY_idle_timeout_ms] = true,
	[CREW__SERVICE_KEY_handshake_timeout_ms] = true,
	[CREW__SERVICE_KEY_tls_handshakes_most] = true,
	[CREW__SERVICE_KEY_auth_timeout_ms] = true,
	[CREW__SERVICE_KEY_unauthenticated_limit] = true,
	[CREW__SERVICE_KEY_heartbeat_ms] = true,
	[CREW__SERVICE_KEY_deflate] = true, /* of connections that come then */
	[CREW__SERVICE_KEY_deflate_min] = true,
	[CREW__SERVICE_KEY_linger_ms] = true,
	[CREW__SERVICE_KEY_drain_timeout_ms] = true,
	[CREW__SERVICE_KEY_stop_timeout_ms] = true,
	[CREW__SERVICE_KEY_slow_callback_ms] = true,
	[CREW__SERVICE_KEY_stuck_ms] = true,
	[CREW__SERVICE_KEY_min_body_rate] = true,
	[CREW__SERVICE_KEY_gzip] = true,
	[CREW__SERVICE_KEY_offload_queue] = true,
	[CREW__SERVICE_KEY_offload_timeout_ms] = true,
};
static const bool live_crew[CREW__CREW_KEYS] = {
	[CREW__CREW_KEY_log_level] = true,
	[CREW__CREW_KEY_log_size] = true,
	[CREW__CREW_KEY_log_keep] = true,
	[CREW__CREW_KEY_capture_lines] = true,
	[CREW__CREW_KEY_buffer_budget] = true,
};

enum {
	NUMBERS_MOST = 64 /* what a worker has yet to be told is kept as one bit each */
};

/* A table of keys and what they fill. */
struct target {
	const struct crew__settings_key *keys;
	const bool *live;
	size_t count;
	void *base;
};

static struct target target_of(const struct crew__settings *settings, int service)
{
	struct crew__settings *writable = (struct crew__settings *)(uintptr_t)settings;
	if (service < 0)
		return (struct target){ crew__crew_keys, live_crew, CREW__CREW_KEYS, writable };
	return (struct target){ crew__service_keys, live_service, CREW__SERVICE_KEYS,
		&writable->service[service] };
}

bool crew__setting_is_live(bool service, const char *key)
{
	const struct crew__settings none = { .services = 0 };
	struct target target = target_of(&none, service ? 0 : -1);
	for (size_t i = 0; i < target.count; i++)
		if (target.live[i] && strcmp(target.keys[i].name, key) == 0)
			return true;
	return false;
}

/* Its number among those that are live, whose table may have more keys than there are bits. */
static unsigned number_of(const struct target *target, size_t key)
{
	unsigned number = 0;
	for (size_t i = 0; i < key; i++)
		number += target->live[i];
	crew__must(number < NUMBERS_MOST);
	return number;
}

/* The live key with that number. */
static size_t key_of(const struct target *target, unsigned number)
{
	size_t key = 0;
	while (key < target->count && (!target->live[key] || number-- > 0))
		key++;
	crew__must(key < target->count);
	return key;
}

static int64_t value_of(const struct target *target, size_t key)
{
	const char *member = (const char *)target->base + target->keys[key].offset;
	if (target->keys[key].kind == CREW__KIND_LEVEL)
		return *(const crew_level *)(const void *)member;
	return *(const int64_t *)(const void *)member;
}

/* ---- complaints ---------------------------------------------------------------------------- */

static const struct crew__origin asker = { .kind = CREW__ORIGIN_OPERATOR };

static int refuse_dead_key(struct crew__loader *loader, const struct target *target,
	const char *section, const char *key)
{
	char list[1024] = "";
	size_t used = 0;
	for (size_t i = 0; i < target->count; i++) {
		if (!target->live[i])
			continue;
		int more = snprintf(list + used, sizeof(list) - used, "%s%s", used ? ", " : "",
			target->keys[i].name);
		if (more < 0 || (size_t)more >= sizeof(list) - used)
			break;
		used += (size_t)more;
	}
	return crew__settings_refuse(loader, asker,
		"%s.%s cannot change while the program runs: set it in the file and reload; what can "
		"is %s",
		section, key, list);
}

/* ---- one change ---------------------------------------------------------------------------- */

/* SECTION.KEY=VALUE, in place. */
struct words {
	char *section, *key, *value;
};

static bool cut(char *text, struct words *ret_words)
{
	char *equals = strchr(text, '=');
	if (!equals)
		return false;
	*equals = '\0';
	char *dot = strchr(text, '.');
	if (!dot)
		return false;
	*dot = '\0';
	*ret_words = (struct words){ text, dot + 1, equals + 1 };
	return true;
}

static int change(struct crew__loader *loader, const struct words *words,
	struct crew__settings_change *ret_change)
{
	struct crew__section section;
	if (crew__settings_find_section(loader->settings, words->section, &section))
		return crew__settings_unknown_section(loader, asker, words->section);
	if (section.kind == CREW__SECTION_APP)
		return crew__settings_refuse(loader, asker,
			"app.%.64s is the program's own, which only a reload changes", words->key);
	int service = section.kind == CREW__SECTION_CREW ? -1 : (int)section.service;
	struct target target = target_of(loader->settings, service);
	size_t key = 0;
	while (key < target.count && strcmp(target.keys[key].name, words->key) != 0)
		key++;
	if (key < target.count && !target.live[key])
		return refuse_dead_key(loader, &target, words->section, words->key);
	struct crew__settings_change done = { .service = service };
	if (key < target.count) {
		done.key = number_of(&target, key);
		done.name = target.keys[key].name;
		done.before = value_of(&target, key);
	}
	/* An unknown key is told of there, with its nearest. */
	int error = crew__settings_assign(loader, asker, words->section, words->key, words->value);
	if (error)
		return error;
	done.now = value_of(&target, key);
	*ret_change = done;
	return 0;
}

int crew__settings_set_live(struct crew__settings *settings, const char *text,
	struct crew__settings_change *ret_change, char *ret_error, size_t error_size)
{
	const struct crew__settings_source source = { .app = settings->app };
	struct words words;
	struct crew__loader *loader = calloc(1, sizeof(*loader)); /* large */
	char *copy = strdup(text);
	int error = -ENOMEM;
	if (loader && copy) {
		*loader = (struct crew__loader){ .source = &source,
			.settings = settings,
			.error = ret_error,
			.error_size = error_size };
		error = cut(copy, &words)
				? change(loader, &words, ret_change)
				: crew__settings_refuse(loader, asker,
					  "%.160s: this is not of the form SECTION.KEY=VALUE",
					  text);
	} else {
		snprintf(ret_error, error_size, "no memory for the setting");
	}
	free(copy);
	free(loader);
	return error;
}

void crew__settings_undo_live(
	struct crew__settings *settings, const struct crew__settings_change *change)
{
	struct target target = target_of(settings, change->service);
	const struct crew__settings_key *key = &target.keys[key_of(&target, change->key)];
	char *member = (char *)target.base + key->offset;
	if (key->kind == CREW__KIND_LEVEL)
		*(crew_level *)(void *)member = (crew_level)change->before;
	else
		*(int64_t *)(void *)member = change->before;
}

bool crew__settings_show_live(const struct crew__settings *settings, int service, unsigned number,
	char *text, size_t size)
{
	struct target target = target_of(settings, service);
	const char *section = service < 0 ? "crew" : settings->service[service].service->name;
	const struct crew__settings_key *key = &target.keys[key_of(&target, number)];
	char *value = crew__settings_show_value(key, target.base);
	int length = value ? snprintf(text, size, "%s.%s=%s", section, key->name, value) : -1;
	free(value);
	return length >= 0 && (size_t)length < size;
}
