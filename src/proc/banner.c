/* banner.c - a headline, a row for each service (and each further address of it), how to stop. */
#include "proc/banner.h"

#include "proc/user.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

enum {
	COLUMNS = 5,
	GAP = 2,
	TEXT_MAX = 408
};

struct row {
	char text[COLUMNS][TEXT_MAX];
};

static void fill_row(struct row *row, const struct crew__service_settings *settings,
	const struct crew__listener *listener, bool single)
{
	snprintf(row->text[0], TEXT_MAX, "%s", settings->service->name);
	snprintf(row->text[1], TEXT_MAX, "%s",
		listener->count > 0 ? listener->places[0].address.text : "none");
	snprintf(row->text[2], TEXT_MAX, "%" PRId64, single ? 1 : settings->workers);
	if (settings->user)
		snprintf(row->text[3], TEXT_MAX, "%s", settings->user);
	else
		crew__user_name(row->text[3], TEXT_MAX);
	snprintf(row->text[4], TEXT_MAX, "[OK]");
}

/* A service and its other addresses; where the next rows go. */
static struct row *fill_service(struct row *row, const struct crew__service_settings *settings,
	const struct crew__listener *listener, bool single)
{
	fill_row(row++, settings, listener, single);
	for (unsigned i = 1; i < listener->count; i++, row++)
		snprintf(row->text[1], TEXT_MAX, "%s", listener->places[i].address.text);
	return row;
}

static size_t count_rows(
	const struct crew__settings *settings, const struct crew__listeners *listeners)
{
	size_t count = 0;
	for (unsigned i = 0; i < settings->services; i++)
		count += crew__max(listeners->service[i].count, 1u);
	return count;
}

static size_t width_of(const struct row *rows, size_t count, int column)
{
	size_t widest = 0;
	for (size_t i = 0; i < count; i++)
		widest = crew__max(widest, strlen(rows[i].text[column]));
	return widest;
}

static void print_rule(FILE *out, const char *title, size_t width)
{
	size_t used = strlen(title) + (title[0] ? 2 : 0);
	size_t left = width > used ? (width - used) / 2 : 0;
	size_t right = width > used + left ? width - used - left : 0;
	for (size_t i = 0; i < left; i++)
		fputc('-', out);
	if (title[0])
		fprintf(out, " %s ", title);
	for (size_t i = 0; i < right; i++)
		fputc('-', out);
	fputc('\n', out);
}

static void print_rows(FILE *out, const struct row *rows, size_t count, const size_t *width)
{
	for (size_t i = 0; i < count; i++) {
		for (int c = 0; c < COLUMNS - 1; c++)
			fprintf(out, "%-*s", (int)(width[c] + GAP), rows[i].text[c]);
		fprintf(out, "%s\n", rows[i].text[COLUMNS - 1]);
	}
}

static void print(FILE *out, const struct crew__settings *settings, const struct row *rows,
	size_t count, const char *engine, const char *mode)
{
	struct utsname kernel;
	char headline[512], system[160] = "";
	if (uname(&kernel) == 0)
		snprintf(system, sizeof(system), "%s/%s", kernel.sysname, kernel.release);
	const char *version = settings->app->version ? settings->app->version : "0";
	snprintf(headline, sizeof(headline), "crew/%s    %s/%s    %s    %s", CREW_VERSION,
		settings->name, version, system, engine);
	size_t width[COLUMNS], total = 0;
	for (int c = 0; c < COLUMNS; c++) {
		width[c] = width_of(rows, count, c);
		total += width[c] + (c + 1 < COLUMNS ? GAP : 0);
	}
	total = crew__max(total, strlen(headline));
	print_rule(out, "CREW", total);
	fprintf(out, "%s\n", headline);
	print_rule(out, "SERVICES", total);
	print_rows(out, rows, count, width);
	print_rule(out, "", total);
	if (strcmp(mode, "daemon") == 0)
		fprintf(out, "Running in the background (pid %d), run directory %s.\n",
			(int)getpid(), settings->run_dir);
	else
		fprintf(out, "Running (pid %d). Press Ctrl+C to stop.\n", (int)getpid());
}

char *crew__banner(const struct crew__settings *settings, const struct crew__listeners *listeners,
	const char *engine, const char *mode)
{
	static const struct row heading = {
		{ "service", "listen", "workers", "user", "state" },
	};
	size_t count = 1 + count_rows(settings, listeners), size;
	struct row *rows = calloc(count, sizeof(*rows));
	char *text = NULL;
	FILE *out = rows ? open_memstream(&text, &size) : NULL;
	if (out) {
		struct row *row = rows;
		*row++ = heading;
		for (unsigned i = 0; i < settings->services; i++)
			row = fill_service(row, &settings->service[i], &listeners->service[i],
				strcmp(mode, "single") == 0);
		print(out, settings, rows, count, engine, mode);
		if (fclose(out) != 0) {
			free(text);
			text = NULL;
		}
	}
	free(rows);
	return text;
}
