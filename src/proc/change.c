#include "proc/change.h"

#include <stdio.h>
#include <string.h>

/* How many connections every living worker of that service has records for. */
static uint32_t room_of(const struct crew__registry *registry, const char *service)
{
	uint32_t least = UINT32_MAX;
	int place = crew__registry_find(registry, service);
	for (unsigned i = 0; i < registry->used; i++) {
		const struct crew__entry *entry = &registry->entries[i];
		if (entry->serial != 0 && place >= 0 && entry->life.service == (uint32_t)place)
			least = entry->slots < least ? entry->slots : least;
	}
	return least;
}

static int check(const struct crew__settings *settings, const struct crew__registry *registry,
	const struct crew__settings_change *change, char *ret_error, size_t error_size)
{
	if (change->service < 0)
		return 0;
	const char *service = settings->service[change->service].service->name;
	uint32_t room = room_of(registry, service);
	if (strcmp(change->name, "max_connections") == 0 && change->now > room) {
		snprintf(ret_error, error_size,
			"%s.max_connections = %lld: the workers that run have room for %u; more needs "
			"a reload with it in the file",
			service, (long long)change->now, room);
		return -EINVAL;
	}
	if (strcmp(change->name, "max_connections_per_ip") == 0 && change->before == 0 &&
		change->now > 0) {
		snprintf(ret_error, error_size,
			"%s.max_connections_per_ip is off, and the workers that run do not count "
			"addresses; switching it on needs a reload with it in the file",
			service);
		return -EINVAL;
	}
	return 0;
}

int crew__change_settings(struct crew__settings *settings, const struct crew__registry *registry,
	const char *text, struct crew__settings_change *ret_change, char *ret_error,
	size_t error_size)
{
	struct crew__settings_change change;
	int status = crew__settings_set_live(settings, text, &change, ret_error, error_size);
	if (status < 0)
		return status;
	status = check(settings, registry, &change, ret_error, error_size);
	if (status < 0)
		crew__settings_undo_live(settings, &change);
	else
		*ret_change = change;
	return status;
}

void crew__change_log(
	const struct crew__settings *settings, const struct crew__settings_change *change, uid_t by)
{
	char text[256];
	if (crew__settings_show_live(settings, change->service, change->key, text, sizeof(text)))
		crew__log(
			CREW_INFO, "user %u set %s, until a reload or restart", (unsigned)by, text);
}
