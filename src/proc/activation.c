/* activation.c - from the environment to sockets that are there already. */
#include "proc/activation.h"

#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DIGITS "0123456789"

/* At most nine digits and nothing else. */
static bool parse_count(const char *text, unsigned *ret_count)
{
	size_t length = strspn(text, DIGITS);
	if (length == 0 || length > 9 || text[length] != '\0')
		return false;
	*ret_count = (unsigned)strtoul(text, NULL, 10);
	return true;
}

int crew__activation_count(const char *fds, const char *pid, pid_t self)
{
	unsigned count, whose;
	if (!fds || !pid)
		return 0;
	if (!parse_count(pid, &whose) || !parse_count(fds, &count) || count > CREW__INHERITED_MOST)
		return -EINVAL;
	return whose == (unsigned)self ? (int)count : 0;
}

/* ---- names --------------------------------------------------------------------------------- */

static const struct crew__service_settings *find_service(
	const struct crew__settings *settings, const char *name, size_t length)
{
	for (unsigned i = 0; i < settings->services; i++) {
		const char *service = settings->service[i].service->name;
		if (strlen(service) == length && memcmp(service, name, length) == 0)
			return &settings->service[i];
	}
	return NULL;
}

static unsigned count_addresses(const char *listen)
{
	static const char blanks[] = " \t";
	unsigned count = 0;
	for (listen += strspn(listen, blanks); *listen; listen += strspn(listen, blanks)) {
		listen += strcspn(listen, blanks);
		count++;
	}
	return count;
}

void crew__activation_name(const struct crew__settings *settings, const char *name, unsigned nth,
	struct crew__inherited_socket *ret_socket)
{
	struct crew__inherited_socket socket = { .fd = -1 };
	size_t length = strcspn(name, ".");
	unsigned number = nth;
	if (crew__fd_store_read_name(name, &socket)) {
		*ret_socket = socket;
		return;
	}
	const struct crew__service_settings *service = find_service(settings, name, length);
	bool numbered = name[length] == '.';
	if (numbered && !parse_count(name + length + 1, &number))
		service = NULL;
	/* Several sockets for each of several addresses: no number says both. */
	bool both = service && service->reuse_port && service->listen &&
		    count_addresses(service->listen) > 1;
	if (service && !both) {
		socket.by_name = true;
		snprintf(socket.name, sizeof(socket.name), "%s", service->service->name);
		/* Of one address there may be several; else each is another address. */
		if (service->listen && count_addresses(service->listen) > 1)
			socket.place = number;
		else
			socket.index = number;
	} else {
		snprintf(socket.name, sizeof(socket.name), "%s", name);
	}
	*ret_socket = socket;
}

/* ---- sockets ------------------------------------------------------------------------------- */

/* Copies what stands before the next colon. True when there was one more. */
static bool next_name(const char **names, char *text, size_t size)
{
	if (!*names)
		return false;
	size_t length = strcspn(*names, ":");
	snprintf(text, size, "%.*s", (int)crew__min(length, size - 1), *names);
	*names = (*names)[length] == ':' ? *names + length + 1 : NULL;
	return true;
}

/* How many of that name came before number `place`. */
static unsigned count_before(const char *names, unsigned place, const char *name)
{
	char other[256];
	unsigned count = 0;
	for (unsigned i = 0; i < place && next_name(&names, other, sizeof(other)); i++)
		count += strcmp(other, name) == 0;
	return count;
}

static void add(const struct crew__activation *activation, int fd, const char *name, unsigned nth)
{
	struct crew__inherited_socket socket;
	crew__activation_name(activation->settings, name, nth, &socket);
	socket.fd = fd;
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		crew__log(CREW_WARN,
			"the service manager names descriptor %d (%s), which is not open", fd,
			name);
	else if (crew__inherited_add(activation->inherited, &socket) < 0)
		crew__log(CREW_WARN, "the socket %s of the service manager is closed: no memory",
			name);
}

void crew__activation_add(
	const struct crew__activation *activation, int first, unsigned count, const char *names)
{
	const char *rest = names;
	for (unsigned i = 0; i < count; i++) {
		char name[256] = "";
		bool named = next_name(&rest, name, sizeof(name));
		bool kept = crew__fd_store_is_name(name);
		if (kept && activation->store)
			crew__fd_store_found(activation->store, name);
		add(activation, first + (int)i, name,
			named && !kept ? count_before(names, i, name) : 0);
	}
}

void crew__activation_take(const struct crew__activation *activation)
{
	const char *fds = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID");
	int count = crew__activation_count(fds, pid, getpid());
	if (count < 0)
		crew__log(CREW_WARN,
			"LISTEN_FDS=%.20s with LISTEN_PID=%.20s makes no sense and is passed over",
			fds, pid);
	else
		crew__activation_add(activation, CREW__ACTIVATION_FIRST, (unsigned)count,
			getenv("LISTEN_FDNAMES"));
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDNAMES");
}
