/* inherited.c - which socket that is there already is whose. */
#include "proc/inherited.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void crew__inherited_init(struct crew__inherited *inherited, const char *from)
{
	*inherited = (struct crew__inherited){ .from = from };
}

int crew__inherited_add(
	struct crew__inherited *inherited, const struct crew__inherited_socket *take_socket)
{
	size_t count = inherited->count + 1;
	struct crew__inherited_socket *sockets = count > CREW__INHERITED_MOST
							 ? NULL
							 : realloc(inherited->sockets,
								   count * sizeof(*sockets));
	if (!sockets) {
		close(take_socket->fd);
		return count > CREW__INHERITED_MOST ? -ENOSPC : -ENOMEM;
	}
	sockets[inherited->count] = *take_socket;
	inherited->sockets = sockets;
	inherited->count = count;
	return 0;
}

static bool goes_by_name(
	const struct crew__inherited_socket *socket, const char *service, unsigned place)
{
	return socket->by_name && socket->place == place && strcmp(socket->name, service) == 0;
}

static bool is_any_port(const struct crew__address *address)
{
	struct crew__record_address record;
	crew__address_record((const struct sockaddr *)&address->socket, &record);
	return address->transport != CREW__UNIX && record.port == 0;
}

/* Any port of a host is only that of the same service. */
static bool goes_by_address(const struct crew__inherited_socket *socket, const char *service,
	const struct crew__address *address)
{
	return crew__address_is_at(address, socket->fd, &socket->file) &&
	       (!is_any_port(address) || strcmp(socket->name, service) == 0);
}

/* Whose name is on it, that comes first; then who has the right number. */
static unsigned fitness(const struct crew__inherited_socket *socket, const char *service,
	unsigned place, const struct crew__address *address, unsigned index)
{
	bool by_name = socket->fd >= 0 && goes_by_name(socket, service, place) &&
		       crew__address_fits(address, socket->fd);
	if (socket->fd < 0 || (!by_name && !goes_by_address(socket, service, address)))
		return 0;
	return 1u + (socket->index == index ? 1u : 0u) + (by_name ? 2u : 0u);
}

int crew__inherited_take(struct crew__inherited *inherited, const char *service, unsigned place,
	const struct crew__address *address, unsigned index, struct crew__address_file *ret_file)
{
	struct crew__inherited_socket *best = NULL;
	unsigned most = 0;
	for (size_t i = 0; i < inherited->count; i++) {
		struct crew__inherited_socket *socket = &inherited->sockets[i];
		unsigned fit = fitness(socket, service, place, address, index);
		if (fit > most) {
			most = fit;
			best = socket;
		}
	}
	if (!best)
		return -1;
	int fd = best->fd;
	best->fd = -1;
	if (ret_file)
		*ret_file = best->file;
	return fd;
}

static void say_closed(
	const struct crew__inherited *inherited, const struct crew__inherited_socket *socket)
{
	struct sockaddr_storage bound;
	socklen_t size = sizeof(bound);
	struct crew__record_address record;
	char where[128] = "no address";
	if (getsockname(socket->fd, (struct sockaddr *)&bound, &size) == 0) {
		crew__address_record_of(&bound, size, &record);
		crew__address_text(&record, where, sizeof(where));
	}
	crew__log(CREW_WARN,
		"the socket %s%s(%s) that came from %s is closed: no service listens there now",
		socket->name, socket->name[0] ? " " : "", where, inherited->from);
}

void crew__inherited_fini(struct crew__inherited *inherited, bool quiet)
{
	for (size_t i = 0; i < inherited->count; i++) {
		if (inherited->sockets[i].fd < 0)
			continue;
		if (!quiet)
			say_closed(inherited, &inherited->sockets[i]);
		close(inherited->sockets[i].fd);
	}
	free(inherited->sockets);
	crew__inherited_init(inherited, inherited->from);
}
