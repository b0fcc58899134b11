/* address_listen.c - from an address to a listening socket, or to a sentence that says why not.
 *
 * Accepted TCP sockets inherit TCP_NODELAY and TCP_NOTSENT_LOWAT from the listener, which saves
 * calls for each. Both are set before it listens: who connects before a worker is ready has them
 * too. */
#include "net/address.h"

#include "net/address_open.h"
#include "net/holder.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int crew__address_fail(
	const struct crew__address_attempt *attempt, int error, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(attempt->error, attempt->error_size, format, arguments);
	va_end(arguments);
	return error;
}

int crew__address_bind(int fd, const struct crew__address *address)
{
	const struct sockaddr *socket = (const struct sockaddr *)&address->socket;
	return bind(fd, socket, address->socket_size) < 0 ? -errno : 0;
}

int crew__address_begin(int fd, const struct crew__address *address)
{
	int backlog = crew__option_or(&address->options, CREW__OPTION_backlog, SOMAXCONN);
	return listen(fd, backlog) < 0 ? -errno : 0;
}

/* ---- TCP and UDP --------------------------------------------------------------------------- */

static unsigned port_of(const struct crew__address *address)
{
	const struct sockaddr_in *ipv4 = (const void *)&address->socket;
	const struct sockaddr_in6 *ipv6 = (const void *)&address->socket;
	return ntohs(address->socket.ss_family == AF_INET ? ipv4->sin_port : ipv6->sin6_port);
}

static int switch_option(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int prepare_tcp(int fd, const struct crew__address *address)
{
	int nodelay = crew__option_or(&address->options, CREW__OPTION_nodelay, 1);
	int error = switch_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (!error)
		error = switch_option(fd, IPPROTO_TCP, TCP_NODELAY, nodelay);
	if (!error && address->unsent_limit > 0)
		error = switch_option(
			fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, (int)address->unsent_limit);
	return error;
}

bool crew__address_is_v6_only(const struct crew__address *address)
{
	return crew__option_or(&address->options, CREW__OPTION_v6only, !address->every);
}

static int apply_options(int fd, const struct crew__address_attempt *attempt)
{
	const struct crew__address *address = attempt->address;
	char why[256];
	int error = crew__address_options_apply(&address->options, fd,
		address->transport == CREW__TCP, address->socket.ss_family == AF_INET6, why,
		sizeof(why));
	if (error)
		crew__address_fail(attempt, error, "%s: %s", address->text, why);
	return error;
}

static int prepare(int fd, const struct crew__address_attempt *attempt)
{
	const struct crew__address *address = attempt->address;
	int error = address->transport == CREW__TCP ? prepare_tcp(fd, address) : 0;
	if (!error && crew__address_is_group(address)) /* others may be members too */
		error = switch_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (!error && attempt->reuse_port)
		error = switch_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	return error;
}
int crew__address_prepare(int fd, const struct crew__address_attempt *attempt, bool *ret_said)
{
	int error = prepare(fd, attempt);
	if (error)
		return error;
	error = apply_options(fd, attempt);
	*ret_said = error < 0;
	return error;
}

/* A socket or a negative errno; without words unless `*ret_said`. */
static int open_ip(const struct crew__address_attempt *attempt, bool *ret_said)
{
	const struct crew__address *address = attempt->address;
	int type = address->transport == CREW__UDP ? SOCK_DGRAM : SOCK_STREAM;
	int fd = socket(address->socket.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int error = 0;
	if (address->socket.ss_family == AF_INET6)
		error = switch_option(
			fd, IPPROTO_IPV6, IPV6_V6ONLY, crew__address_is_v6_only(address));
	if (!error)
		error = crew__address_prepare(fd, attempt, ret_said);
	if (!error)
		error = crew__address_bind(fd, address);
	if (!error && type == SOCK_STREAM) {
		error = crew__address_begin(fd, address);
	} else if (!error) {
		error = crew__address_join(fd, attempt);
		*ret_said = error < 0;
	}
	if (!error)
		return fd;
	close(fd);
	return error;
}

/* Every address of a machine without IPv6. */
static void fall_back(struct crew__address *address)
{
	struct sockaddr_in every = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port_of(address)),
		.sin_addr.s_addr = htonl(INADDR_ANY) };
	memset(&address->socket, 0, sizeof(address->socket));
	memcpy(&address->socket, &every, sizeof(every));
	address->socket_size = sizeof(every);
}

static bool lacks_ipv6(const struct crew__address *address, int error)
{
	return address->every && address->socket.ss_family == AF_INET6 &&
	       !crew__option_given(&address->options, CREW__OPTION_v6only) &&
	       (error == -EAFNOSUPPORT || error == -EADDRNOTAVAIL);
}

static int explain_in_use(const struct crew__address_attempt *attempt)
{
	const struct crew__address *address = attempt->address;
	bool stream = address->transport == CREW__TCP;
	char holder[CREW__HOLDER_SIZE];
	unsigned port = port_of(address);
	if (stream && crew__holder_find(
			      (const struct sockaddr *)&address->socket, holder, sizeof(holder)))
		return crew__address_fail(
			attempt, -EADDRINUSE, "port %u is in use by %s", port, holder);
	return crew__address_fail(attempt, -EADDRINUSE,
		"%sport %u is in use by another process; `ss -l%cnp`, run as root, shows which",
		stream ? "" : "UDP ", port, stream ? 't' : 'u');
}

static int explain_ip(const struct crew__address_attempt *attempt, int error)
{
	const struct crew__address *address = attempt->address;
	switch (error) {
	case -EADDRINUSE:
		return explain_in_use(attempt);
	case -EACCES:
		return crew__address_fail(attempt, error,
			"no right to listen on port %u: ports so low need root or CAP_NET_BIND_SERVICE",
			port_of(address));
	case -EADDRNOTAVAIL:
		return crew__address_fail(attempt, error,
			"%s: this machine has no such address; if it comes later, ?freebind listens "
			"already now",
			address->text);
	default:
		return crew__address_fail(
			attempt, error, "cannot listen on %s: %s", address->text, strerror(-error));
	}
}

int crew__address_take_port(struct crew__address *address, int fd)
{
	struct sockaddr_storage chosen;
	socklen_t size = sizeof(chosen);
	if (port_of(address) != 0)
		return 0;
	if (getsockname(fd, (struct sockaddr *)&chosen, &size) < 0)
		return -errno;
	memcpy(&address->socket, &chosen, sizeof(chosen));
	address->socket_size = size;
	char *colon = strrchr(address->text, ':');
	size_t used = (size_t)(colon - address->text) + 1;
	snprintf(colon + 1, sizeof(address->text) - used, "%u", port_of(address));
	return 0;
}

static int listen_ip(const struct crew__address_attempt *attempt)
{
	struct crew__address *address = attempt->address;
	bool said = false;
	int fd = open_ip(attempt, &said);
	if (fd < 0 && !said && lacks_ipv6(address, fd)) {
		fall_back(address);
		fd = open_ip(attempt, &said);
	}
	if (fd < 0)
		return said ? fd : explain_ip(attempt, fd);
	int error = crew__address_take_port(address, fd);
	if (!error)
		return fd;
	close(fd);
	return explain_ip(attempt, error);
}

/* --------------------------------------------------------------------------------------------- */

int crew__address_listen(
	struct crew__address *address, bool reuse_port, char *ret_error, size_t error_size)
{
	const struct crew__address_attempt attempt = { address, reuse_port, ret_error, error_size };
	return address->transport == CREW__UNIX ? crew__address_listen_unix(&attempt)
						: listen_ip(&attempt);
}
