/* A program and its file. */
#include "settings_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	SETS_MAX = 8
};

static int64_t cut(crew_conn *c, crew_bytes in)
{
	(void)c;
	return (int64_t)in.len;
}

static const crew_protocol netstring = { .name = "netstring", .cut = cut };
static const crew_service web = { .name = "web", .listen = "http://127.0.0.1:8080" };
static const crew_service feed = {
	.name = "feed",
	.listen = "ws://127.0.0.1:7010",
	.workers = 2,
	.max_message = 4096,
	.heartbeat_ms = CREW_OFF,
};
static const crew_service net = {
	.name = "net", .listen = "netstring://127.0.0.1:7005", .protocol = &netstring
};
static const crew_service job = { .name = "job" };

const crew_app settings_app = { .name = "shop", .services = { &web, &feed, &net, &job } };

char settings_error[512];

static int load(const crew_app *app, const char *path, const char *const *sets, size_t count,
	struct crew__settings **ret_settings)
{
	const struct crew__settings_source source = { .app = app,
		.program = "/opt/shop/bin/shop",
		.config = path,
		.sets = sets,
		.set_count = count,
		.run_dir = "/run/test-shop" };
	settings_error[0] = '\0';
	return crew__settings_load(&source, ret_settings, settings_error, sizeof(settings_error));
}

int settings_load(const crew_app *app, const char *file, struct crew__settings **ret_settings, ...)
{
	char path[] = "/tmp/crew-settings-XXXXXX.ini";
	const char *sets[SETS_MAX];
	size_t count = 0;
	va_list arguments;
	va_start(arguments, ret_settings);
	for (const char *set; (set = va_arg(arguments, const char *)) && count < SETS_MAX;)
		sets[count++] = set;
	va_end(arguments);
	if (!file)
		return load(app, NULL, sets, count, ret_settings);
	int fd = mkstemps(path, 4);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, file, strlen(file)), strlen(file));
	close(fd);
	int status = load(app, path, sets, count, ret_settings);
	unlink(path);
	return status;
}

struct crew__settings *settings_good(const char *file, const char *set)
{
	struct crew__settings *settings;
	if (settings_load(&settings_app, file, &settings, set, NULL))
		fail_msg("%s", settings_error);
	return settings;
}

void settings_bad(const char *file, const char *set, ...)
{
	struct crew__settings *settings;
	if (!settings_load(&settings_app, file, &settings, set, NULL))
		fail_msg("accepted: %s", set ? set : file);
	assert_null(strchr(settings_error, '\n'));
	va_list arguments;
	va_start(arguments, set);
	for (const char *word; (word = va_arg(arguments, const char *));)
		if (!strstr(settings_error, word))
			fail_msg("no \"%s\" in: %s", word, settings_error);
	va_end(arguments);
}

const struct crew__service_settings *settings_of(
	const struct crew__settings *settings, const char *service)
{
	for (unsigned i = 0; i < settings->services; i++)
		if (!strcmp(settings->service[i].service->name, service))
			return &settings->service[i];
	fail_msg("no service %s", service);
	return NULL;
}
