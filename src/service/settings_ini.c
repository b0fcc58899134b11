/* settings_ini.c - the settings' file, line by line through inih.
 *
 * inih cuts long lines and long names in silence, takes an indented line for the value's
 * continuation, and has no word for a section without keys. So lines are handed to it by our own
 * reader, which refuses what would be cut, takes indentation away and looks at section lines. */
#include "service/settings.h"

#include "service/settings_parts.h"

#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	SECTION_MAX = 49, /* inih keeps so many bytes of a section's name */
	FILE_MAX = 1024 * 1024,
};

struct reader {
	struct crew__loader *loader;
	FILE *file;
	size_t bytes;
	unsigned line;
	int error; /* of ours, with its complaint; reading ends */
	unsigned error_line;
};

static struct crew__origin here(const struct reader *reader)
{
	return (struct crew__origin){ .kind = CREW__ORIGIN_FILE, .line = reader->line };
}

static void stop(struct reader *reader, int error)
{
	reader->error = error;
	reader->error_line = reader->line;
}

/* ---- lines --------------------------------------------------------------------------------- */

/* Read into `line`, which holds `size` bytes. The number of bytes with the line's end, 0 at the end
 * of the file, or after a complaint. */
static size_t read_bytes(struct reader *reader, char *line, size_t size)
{
	size_t length = 0;
	int byte = 0;
	while (byte != '\n' && (byte = getc(reader->file)) != EOF) {
		if (length + 1 == size || byte == '\0' || ++reader->bytes > FILE_MAX)
			break;
		line[length++] = (char)byte;
	}
	line[length] = '\0';
	if (byte == EOF || (length > 0 && line[length - 1] == '\n'))
		return length;
	const struct crew__loader *loader = reader->loader;
	if (byte == '\0')
		stop(reader, crew__settings_refuse(loader, here(reader),
				     "a byte of value 0: this is no text file"));
	else if (reader->bytes > FILE_MAX)
		stop(reader, crew__settings_refuse(loader, here(reader),
				     "the file is larger than %d bytes", FILE_MAX));
	else
		stop(reader,
			crew__settings_refuse(loader, here(reader),
				"the line is too long: at most %zu bytes are taken", size - 2));
	return 0;
}

static void look_at_section(struct reader *reader, const char *line)
{
	struct crew__section section;
	char name[SECTION_MAX + 1];
	size_t length = strcspn(line + 1, "]");
	if (line[1 + length] != ']')
		return; /* inih refuses it */
	size_t kept = crew__min(length, SECTION_MAX);
	memcpy(name, line + 1, kept);
	name[kept] = '\0';
	if (length > SECTION_MAX ||
		crew__settings_find_section(reader->loader->settings, name, &section))
		stop(reader, crew__settings_unknown_section(reader->loader, here(reader), name));
}

/* inih's ini_reader. NULL ends the file. */
static char *read_line(char *line, int size, void *arg)
{
	struct reader *reader = arg;
	if (reader->error)
		return NULL;
	reader->line++;
	size_t length = read_bytes(reader, line, (size_t)size);
	if (length == 0)
		return NULL;
	size_t indent = strspn(line, " \t");
	memmove(line, line + indent, length - indent + 1);
	if (line[0] == '[')
		look_at_section(reader, line);
	return reader->error ? NULL : line;
}

/* ---- keys ---------------------------------------------------------------------------------- */

/* inih's ini_handler: 0 is an error. */
static int take_key(void *arg, const char *section, const char *key, const char *value)
{
	struct reader *reader = arg;
	if (reader->error)
		return 0;
	int error =
		section[0]
			? crew__settings_assign(reader->loader, here(reader), section, key, value)
			: crew__settings_refuse(reader->loader, here(reader),
				  "%.64s stands before the first section; write [app], [crew] or the [name of a "
				  "service] above it",
				  key);
	if (error)
		stop(reader, error);
	return !error;
}

/* ---- the file ------------------------------------------------------------------------------ */

static int unreadable(const struct crew__loader *loader, const char *path, int error)
{
	crew__settings_refuse(loader, (struct crew__origin){ .kind = CREW__ORIGIN_DEFAULT },
		"cannot read the settings file %s: %s; name another one with -c FILE", path,
		strerror(error));
	return error > 0 ? -error : -EIO;
}

static int parse(struct reader *reader, const char *path)
{
	/* The first line that inih did not understand, or that take_key refused. */
	int wrong = ini_parse_stream(read_line, reader, take_key, reader);
	if (ferror(reader->file))
		return unreadable(reader->loader, path, errno);
	if (wrong > 0 && (!reader->error || (unsigned)wrong < reader->error_line)) {
		struct crew__origin origin = { .kind = CREW__ORIGIN_FILE, .line = (unsigned)wrong };
		return crew__settings_refuse(reader->loader, origin,
			"this is neither [section], nor key = value, nor a comment (; or #)");
	}
	if (wrong < 0 && !reader->error)
		return crew__settings_no_memory(reader->loader);
	return reader->error;
}

int crew__settings_take_file(struct crew__loader *loader, const char *path)
{
	struct reader reader = { .loader = loader };
	reader.file = fopen(path, "re");
	if (!reader.file)
		return unreadable(loader, path, errno);
	errno = 0;
	int error = parse(&reader, path);
	fclose(reader.file);
	return error;
}
