/* address_listen.c - from an address to a listening socket, or to a sentence that says why not.
 *
 * Accepted TCP sockets inherit TCP_NODELAY and TCP_NOTSENT_LOWAT from the listener, which saves
 * calls for each. Both are set before it listens: who connects before a worker is ready has them
 * too. */
#include "net/address.h"

#include "net/holder.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	HOLDER_SIZE = 128
};

/* One attempt, and where its complaint goes. */
struct attempt {
	struct crew__address *address;
	bool reuse_port;
	char *error;
	size_t error_size;
};

__attribute__((format(printf, 3, 4))) static int fail(
	const struct attempt *attempt, int error, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(attempt->error, attempt->error_size, format, arguments);
	va_end(arguments);
	return error;
}

/* ---- TCP ------------------------------------------------------------------------------------ */

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

static int prepare_tcp(int fd, const struct crew__address *address, bool reuse_port)
{
	int error = switch_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (!error)
		error = switch_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (!error && address->unsent_limit > 0)
		error = switch_option(
			fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, (int)address->unsent_limit);
	if (!error && address->socket.ss_family == AF_INET6)
		error = switch_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, !address->every);
	if (!error && reuse_port)
		error = switch_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	return error;
}

static int bind_and_listen(int fd, const struct crew__address *address)
{
	const struct sockaddr *socket = (const struct sockaddr *)&address->socket;
	if (bind(fd, socket, address->socket_size) < 0 || listen(fd, SOMAXCONN) < 0)
		return -errno;
	return 0;
}

/* A socket or a negative errno, without words. */
static int open_tcp(const struct crew__address *address, bool reuse_port)
{
	int fd = socket(address->socket.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int error = prepare_tcp(fd, address, reuse_port);
	if (!error)
		error = bind_and_listen(fd, address);
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
	       (error == -EAFNOSUPPORT || error == -EADDRNOTAVAIL);
}

static int explain_tcp(const struct attempt *attempt, int error)
{
	const struct crew__address *address = attempt->address;
	char holder[HOLDER_SIZE];
	unsigned port = port_of(address);
	switch (error) {
	case -EADDRINUSE:
		if (crew__holder_find(
			    (const struct sockaddr *)&address->socket, holder, sizeof(holder)))
			return fail(attempt, error, "port %u is in use by %s", port, holder);
		return fail(attempt, error,
			"port %u is in use by another process; `ss -ltnp`, run as root, shows which",
			port);
	case -EACCES:
		return fail(attempt, error,
			"no right to listen on port %u: ports so low need root or CAP_NET_BIND_SERVICE",
			port);
	case -EADDRNOTAVAIL:
		return fail(attempt, error, "%s: this machine has no such address", address->text);
	default:
		return fail(
			attempt, error, "cannot listen on %s: %s", address->text, strerror(-error));
	}
}

static int listen_tcp(const struct attempt *attempt)
{
	struct crew__address *address = attempt->address;
	int fd = open_tcp(address, attempt->reuse_port);
	if (fd < 0 && lacks_ipv6(address, fd)) {
		fall_back(address);
		fd = open_tcp(address, attempt->reuse_port);
	}
	return fd < 0 ? explain_tcp(attempt, fd) : fd;
}

/* ---- Unix sockets --------------------------------------------------------------------------- */

static const char *path_of(const struct crew__address *address)
{
	return ((const struct sockaddr_un *)(const void *)&address->socket)->sun_path;
}

/* What connecting to a socket file says of it: 0, or a negative errno. */
static int probe(const struct crew__address *address, char *holder, size_t size)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int error = connect(fd, (const struct sockaddr *)&address->socket, address->socket_size) < 0
			    ? -errno
			    : 0;
	if (error || !crew__holder_of_peer(fd, holder, size))
		snprintf(holder, size, "another process");
	close(fd);
	return error;
}

/* Make way for our socket: a file that a dead process left goes, whatever else is there stays. */
static int clear_path(const struct attempt *attempt)
{
	const char *path = path_of(attempt->address);
	char holder[HOLDER_SIZE];
	struct stat status;
	if (lstat(path, &status) < 0)
		return errno == ENOENT ? 0
				       : fail(attempt, -errno, "cannot listen on %s: %s", path,
						 strerror(errno));
	if (!S_ISSOCK(status.st_mode))
		return fail(attempt, -EEXIST,
			"%s exists and is no socket: remove it, or choose another path", path);
	int error = probe(attempt->address, holder, sizeof(holder));
	if (error == -ENOENT)
		return 0;
	if (error == -ECONNREFUSED)
		return unlink(path) < 0 && errno != ENOENT
			       ? fail(attempt, -errno, "cannot replace the abandoned socket %s: %s",
					 path, strerror(errno))
			       : 0;
	/* EAGAIN: its queue is full. EPROTOTYPE: it takes datagrams. */
	if (!error || error == -EAGAIN || error == -EPROTOTYPE)
		return fail(attempt, -EADDRINUSE, "%s is in use by %s", path, holder);
	return fail(attempt, error, "cannot tell whether %s is in use: %s", path, strerror(-error));
}

static int explain_unix(const struct attempt *attempt, int error)
{
	const char *path = path_of(attempt->address);
	if (error == -ENOENT)
		return fail(
			attempt, error, "cannot listen on %s: there is no such directory", path);
	if (error == -EACCES)
		return fail(attempt, error, "cannot listen on %s: no right to write there", path);
	return fail(attempt, error, "cannot listen on %s: %s", path, strerror(-error));
}

/* By these the file is known again when it is time to remove it. */
static int note_file(struct crew__address *address)
{
	struct stat status;
	if (lstat(path_of(address), &status) < 0)
		return -errno;
	address->file_device = status.st_dev;
	address->file_inode = status.st_ino;
	return 0;
}

static int listen_unix(const struct attempt *attempt)
{
	int error = clear_path(attempt);
	if (error)
		return error;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return explain_unix(attempt, -errno);
	error = bind_and_listen(fd, attempt->address);
	if (!error)
		error = note_file(attempt->address);
	if (!error)
		return fd;
	close(fd);
	return explain_unix(attempt, error);
}

/* --------------------------------------------------------------------------------------------- */

int crew__address_listen(
	struct crew__address *address, bool reuse_port, char *ret_error, size_t error_size)
{
	const struct attempt attempt = { address, reuse_port, ret_error, error_size };
	return address->transport == CREW__UNIX ? listen_unix(&attempt) : listen_tcp(&attempt);
}

/* The kernel's word that this descriptor was bound to that path. */
static bool bound_to(int fd, const char *path)
{
	struct sockaddr_un bound = { 0 };
	socklen_t size = sizeof(bound) - 1;
	return getsockname(fd, (struct sockaddr *)&bound, &size) == 0 &&
	       bound.sun_family == AF_UNIX && strcmp(bound.sun_path, path) == 0;
}

void crew__address_unlink(const struct crew__address *address, int listen_fd)
{
	struct stat status;
	if (address->transport != CREW__UNIX || !bound_to(listen_fd, path_of(address)))
		return;
	const char *path = path_of(address);
	if (lstat(path, &status) == 0 && S_ISSOCK(status.st_mode) &&
		status.st_dev == address->file_device && status.st_ino == address->file_inode)
		unlink(path);
}
