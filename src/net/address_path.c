/* address_path.c - Unix sockets: a file's path, or an abstract name. */
#include "net/address_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define RUNDIR "RUNDIR/"

/* ---- %XX ----------------------------------------------------------------------------------- */

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place. False: a % without two digits behind it, or a NUL. */
static bool decode(char *text)
{
	char *out = text;
	for (; *text; text++) {
		if (*text != '%') {
			*out++ = *text;
			continue;
		}
		int high = hex(text[1]), low = high < 0 ? -1 : hex(text[2]);
		if (low < 0 || (high == 0 && low == 0))
			return false;
		*out++ = (char)(high << 4 | low);
		text += 2;
	}
	*out = '\0';
	return true;
}

/* A peer may choose any bytes as its own name, and names are shown on screens and in JSON. */
static bool needs_code(unsigned char c)
{
	return c <= ' ' || c == '?' || c == '%' || c >= 0x7f;
}

size_t crew__address_encode(const char *bytes, size_t length, char *text, size_t size)
{
	size_t full = 0;
	if (size > 0)
		text[0] = '\0';
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)bytes[i];
		size_t room = full < size ? size - full : 0;
		int added = snprintf(
			room ? text + full : NULL, room, needs_code(c) ? "%%%02X" : "%c", c);
		full += added > 0 ? (size_t)added : 0;
	}
	return full;
}

/* ---- paths --------------------------------------------------------------------------------- */

/* The path in full; the caller frees it. NULL without memory. */
static char *resolve(const char *path, const char *run_dir)
{
	char *full, *cwd;
	int length;
	if (path[0] == '/')
		return strdup(path);
	if (strncmp(path, RUNDIR, strlen(RUNDIR)) == 0) {
		length = asprintf(&full, "%s/%s", run_dir, path + strlen(RUNDIR));
		return length < 0 ? NULL : full;
	}
	cwd = getcwd(NULL, 0);
	if (!cwd)
		return NULL;
	length = asprintf(&full, "%s/%s", cwd, path);
	free(cwd);
	return length < 0 ? NULL : full;
}

/* `lead` bytes stand before the text in sun_path, `tail` behind it. */
static int take(const char *what, const char *text, size_t lead, size_t tail,
	struct crew__address *address, const struct crew__complaint *complaint)
{
	struct sockaddr_un socket = { .sun_family = AF_UNIX };
	size_t length = strlen(text), room = sizeof(socket.sun_path) - lead - tail;
	if (length > room) {
		crew__complain(complaint, -EINVAL,
			"the %s %.160s is too long: it has %zu bytes, and a Unix socket takes %zu",
			what, text, length, room);
		return -ENAMETOOLONG;
	}
	memcpy(socket.sun_path + lead, text, length);
	memcpy(&address->socket, &socket, sizeof(socket));
	address->socket_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + lead + length +
					   tail);
	return 0;
}

static int take_path(const char *path, const char *run_dir, struct crew__address *address,
	const struct crew__complaint *complaint)
{
	char *full = resolve(path, run_dir);
	if (!full) {
		int error = -errno;
		crew__complain(complaint, -EINVAL, "cannot resolve the path \"%.64s\": %s", path,
			strerror(-error));
		return error;
	}
	int error = take("path", full, 0, 1, address, complaint);
	free(full);
	return error;
}

int crew__address_path_parse(const char *path, const char *run_dir, struct crew__address *address,
	const struct crew__complaint *complaint)
{
	address->abstract = path[0] == '@';
	if (path[0] == '\0' || strcmp(path, RUNDIR) == 0)
		return crew__complain(complaint, -EINVAL,
			"the path of the Unix socket is missing, " CREW__ADDRESS_EXAMPLES);
	char *decoded = strdup(path);
	if (!decoded) {
		crew__complain(complaint, -EINVAL, "no memory for the path");
		return -ENOMEM;
	}
	int error;
	if (!decode(decoded))
		error = crew__complain(complaint, -EINVAL,
			"\"%.64s\": a %% is followed by two hexadecimal digits, not both 0: write "
			"%%25 for the sign itself",
			path);
	else if (address->abstract && decoded[1] == '\0')
		error = crew__complain(
			complaint, -EINVAL, "the name behind @ is missing, such as unix://@name");
	else if (address->abstract)
		error = take("name", decoded + 1, 1, 0, address, complaint);
	else
		error = take_path(decoded, run_dir, address, complaint);
	free(decoded);
	return error;
}

void crew__address_path_text(const struct crew__address *address, char *text, size_t size)
{
	struct sockaddr_un socket;
	memcpy(&socket, &address->socket, sizeof(socket));
	size_t length = address->socket_size - offsetof(struct sockaddr_un, sun_path) - 1;
	if (!address->abstract) {
		crew__address_encode(socket.sun_path, length, text, size);
		return;
	}
	snprintf(text, size, "@");
	if (size > 1)
		crew__address_encode(socket.sun_path + 1, length, text + 1, size - 1);
}
