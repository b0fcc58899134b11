/* fuzz_settings.c - settings from a file, from --set, from the master: whatever they say, they are
 * taken or refused with one line; and what is in force, written down, reads back to the same. */
#include "fuzz.h"

#include "service/settings.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	SETS_MOST = 16
};

static const crew_service web = { .name = "web", .listen = "http://127.0.0.1:8080" };
static const crew_service feed = {
	.name = "feed",
	.listen = "ws://127.0.0.1:7010",
	.workers = 2,
	.max_message = 4096,
	.heartbeat_ms = CREW_OFF,
};
static const crew_service job = { .name = "job" };
static const crew_app app = { .name = "shop", .services = { &web, &feed, &job } };

/* Refused: with a reason, in one line. */
static void check_error(const char *error, size_t size)
{
	crew__must(memchr(error, '\0', size) && error[0] != '\0');
	crew__must(!strchr(error, '\n'));
}

static struct crew__settings *parse(const char *text)
{
	char error[512] = "";
	struct crew__settings *settings = NULL;
	if (crew__settings_parse(&app, text, &settings, error, sizeof(error)) == 0)
		return settings;
	check_error(error, sizeof(error));
	return NULL;
}

/* What is in force: written, read, and written again. */
static void there_and_back(const struct crew__settings *settings)
{
	char *text = crew__settings_write(settings);
	crew__must(text);
	struct crew__settings *again = parse(text);
	crew__must(again);
	char *same_text = crew__settings_write(again);
	crew__must(same_text && strcmp(text, same_text) == 0);
	free(text);
	free(same_text);
	crew__settings_free(again);
}

static void load(const char *file, const char *const *sets, size_t set_count)
{
	const struct crew__settings_source source = {
		.app = &app,
		.program = "/opt/shop",
		.config = file,
		.sets = sets,
		.set_count = set_count,
		.run_dir = "/run/shop",
	};
	char error[512] = "";
	struct crew__settings *settings = NULL;
	if (crew__settings_load(&source, &settings, error, sizeof(error)) < 0) {
		check_error(error, sizeof(error));
		return;
	}
	there_and_back(settings);
	crew__settings_free(settings);
}

static void load_file(const char *text, size_t len)
{
	char path[64];
	int fd = memfd_create("settings", MFD_CLOEXEC);
	crew__must(fd >= 0 && write(fd, text, len) == (ssize_t)len);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	load(path, NULL, 0);
	close(fd);
}

/* A --set for each line. */
static void load_sets(char *text)
{
	const char *sets[SETS_MOST];
	size_t count = 0;
	for (char *line, *rest = text; count < SETS_MOST && (line = strsep(&rest, "\n"));)
		sets[count++] = line;
	load(NULL, sets, count);
}

static void from_master(const char *text)
{
	struct crew__settings *settings = parse(text);
	if (!settings)
		return;
	there_and_back(settings);
	crew__settings_free(settings);
}

/* Without a suffix it is what libc says. */
static void check_number(const char *text)
{
	int64_t number;
	size_t len = strlen(text);
	if (crew__parse_number(text, &number) == 0 && strspn(text, "-0123456789") == len)
		crew__must(number == strtoll(text, NULL, 10));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned way = take_byte(&data, &size);
	char *text = malloc(size + 1);
	crew__must(text);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	switch (way % 4) {
	case 0:
		load_file(text, size);
		break;
	case 1:
		load_sets(text);
		break;
	case 2:
		from_master(text);
		break;
	default:
		check_number(text);
		break;
	}
	free(text);
	return 0;
}
