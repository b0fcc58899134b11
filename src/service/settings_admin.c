/* settings_admin.c - the service that crew.admin switches on.
 *
 * It belongs to no program: the top layer hands it down, and it stands behind the program's own
 * services wherever settings are walked. While settings are read it has its place, so that section
 * [admin] is a section like others; what is known of it goes again when crew.admin is not set. */
#include "service/settings.h"

#include "service/settings_parts.h"

#include <stdlib.h>
#include <string.h>

static const crew_service *admin_service;

void crew__settings_use_admin(const crew_service *service)
{
	admin_service = service;
}

bool crew__settings_is_admin(const struct crew__settings *settings, unsigned index)
{
	return admin_service && settings->service[index].service == admin_service;
}

static bool program_has_one(const struct crew__settings *settings)
{
	for (unsigned i = 0; i < settings->services; i++)
		if (strcmp(settings->service[i].service->name, admin_service->name) == 0)
			return true;
	return false;
}

int crew__settings_place_admin(struct crew__loader *loader)
{
	struct crew__settings *settings = loader->settings;
	if (!admin_service || settings->services == CREW_MAX_SERVICES || program_has_one(settings))
		return 0;
	unsigned index = settings->services++;
	loader->has_admin = true;
	settings->service[index].service = admin_service;
	return crew__settings_take_service(loader, index);
}

static void take_place_back(struct crew__loader *loader)
{
	struct crew__settings *settings = loader->settings;
	struct crew__service_settings *last = &settings->service[--settings->services];
	for (size_t key = 0; key < CREW__SERVICE_KEYS; key++)
		crew__settings_drop_value(&crew__service_keys[key], last);
	memset(last, 0, sizeof(*last));
	memset(loader->service_origin[settings->services], 0, sizeof(loader->service_origin[0]));
	loader->has_admin = false;
}

static int refuse(const struct crew__loader *loader, const char *why)
{
	return crew__settings_refuse(loader, loader->crew_origin[CREW__CREW_KEY_admin],
		"crew.admin = %.160s: %s", loader->settings->admin, why);
}

/* What a section [admin] may not say. */
static int check_own_keys(const struct crew__loader *loader, unsigned index)
{
	const struct crew__origin *origins = loader->service_origin[index];
	struct crew__origin listen = origins[CREW__SERVICE_KEY_listen];
	if (listen.kind == CREW__ORIGIN_FILE || listen.kind == CREW__ORIGIN_SET)
		return crew__settings_refuse(loader, listen,
			"admin.listen: the admin service listens where crew.admin says");
	if (loader->settings->service[index].workers != 1)
		return crew__settings_refuse(loader, origins[CREW__SERVICE_KEY_workers],
			"admin.workers = %lld: the admin service has one worker",
			(long long)loader->settings->service[index].workers);
	return 0;
}

int crew__settings_settle_admin(struct crew__loader *loader)
{
	struct crew__settings *settings = loader->settings;
	if (!settings->admin) {
		if (loader->has_admin)
			take_place_back(loader);
		return 0;
	}
	if (!admin_service)
		return refuse(loader, "this program was built without the admin service");
	if (!loader->has_admin)
		return refuse(
			loader, settings->services == CREW_MAX_SERVICES
					? "the program has as many services as there can be; "
					  "there is no place for the admin service"
					: "the program has a service \"admin\" of its own, whose "
					  "place this would take; leave crew.admin out");
	if (strncmp(settings->admin, "http:", 5) != 0 && strncmp(settings->admin, "http+", 5) != 0)
		return refuse(loader, "write an address such as http://127.0.0.1:9100");
	unsigned index = settings->services - 1;
	int error = check_own_keys(loader, index);
	if (error)
		return error;
	struct crew__service_settings *own = &settings->service[index];
	free(own->listen);
	own->listen = strdup(settings->admin);
	loader->service_origin[index][CREW__SERVICE_KEY_listen] =
		loader->crew_origin[CREW__CREW_KEY_admin];
	return own->listen ? 0 : crew__settings_no_memory(loader);
}
