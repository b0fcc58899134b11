/* address_adopt.c - making a socket that is there already one that listens for us.
 *
 * It may come from the master that this one replaces, or from a service manager: what it is must be
 * asked of the kernel, as nothing else is to be believed. */
#include "net/address.h"

#include "net/address_open.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int ask(int fd, int level, int option)
{
	int value = 0;
	socklen_t size = sizeof(value);
	return getsockopt(fd, level, option, &value, &size) < 0 ? -errno : value;
}

/* Where it is bound; false when it is no socket that could serve that transport. */
static bool is_fit(const struct crew__address *address, int fd, struct sockaddr_storage *ret_bound,
	socklen_t *ret_size)
{
	bool datagrams = address->transport == CREW__UDP;
	memset(ret_bound, 0, sizeof(*ret_bound));
	*ret_size = sizeof(*ret_bound);
	if (ask(fd, SOL_SOCKET, SO_TYPE) != (datagrams ? SOCK_DGRAM : SOCK_STREAM) ||
		ask(fd, SOL_SOCKET, SO_ACCEPTCONN) != !datagrams ||
		getsockname(fd, (struct sockaddr *)ret_bound, ret_size) < 0)
		return false;
	bool is_unix = ret_bound->ss_family == AF_UNIX;
	bool is_ip = ret_bound->ss_family == AF_INET || ret_bound->ss_family == AF_INET6;
	return address->transport == CREW__UNIX ? is_unix : is_ip;
}

bool crew__address_fits(const struct crew__address *address, int fd)
{
	struct sockaddr_storage bound;
	socklen_t size;
	return is_fit(address, fd, &bound, &size);
}

/* Does the name or the path name that socket? A file of another life may stand at the path. */
static bool same_unix(const struct crew__address *address, const struct sockaddr_storage *bound,
	socklen_t size, const struct crew__address_file *file)
{
	const struct sockaddr_un *wanted = (const void *)&address->socket;
	const struct sockaddr_un *there = (const void *)bound;
	struct stat status;
	if (address->abstract)
		return size == address->socket_size &&
		       memcmp(bound, &address->socket, address->socket_size) == 0;
	if (there->sun_path[0] == '\0' || !crew__address_names(there->sun_path, wanted->sun_path) ||
		lstat(wanted->sun_path, &status) < 0 || !S_ISSOCK(status.st_mode))
		return false;
	return file->inode == 0 || (file->inode == status.st_ino && file->device == status.st_dev);
}

/* The same host; and the same port, unless any would do. */
static bool same_ip(const struct sockaddr *wanted, const struct sockaddr *there)
{
	if (wanted->sa_family != there->sa_family)
		return false;
	if (wanted->sa_family == AF_INET) {
		const struct sockaddr_in *a = (const void *)wanted, *b = (const void *)there;
		return a->sin_addr.s_addr == b->sin_addr.s_addr &&
		       (a->sin_port == 0 || a->sin_port == b->sin_port);
	}
	const struct sockaddr_in6 *a = (const void *)wanted, *b = (const void *)there;
	return memcmp(&a->sin6_addr, &b->sin6_addr, sizeof(a->sin6_addr)) == 0 &&
	       a->sin6_scope_id == b->sin6_scope_id &&
	       (a->sin6_port == 0 || a->sin6_port == b->sin6_port);
}

/* Every address of this machine, on one without IPv6. */
static bool is_every_ipv4(const struct crew__address *address, const struct sockaddr *there)
{
	const struct sockaddr_in6 *wanted = (const void *)&address->socket;
	const struct sockaddr_in *bound = (const void *)there;
	return address->every && address->socket.ss_family == AF_INET6 &&
	       there->sa_family == AF_INET && bound->sin_addr.s_addr == htonl(INADDR_ANY) &&
	       (wanted->sin6_port == 0 || wanted->sin6_port == bound->sin_port);
}

bool crew__address_is_at(
	const struct crew__address *address, int fd, const struct crew__address_file *file)
{
	struct sockaddr_storage bound;
	socklen_t size;
	if (!is_fit(address, fd, &bound, &size))
		return false;
	if (address->transport == CREW__UNIX)
		return same_unix(address, &bound, size, file);
	const struct sockaddr *there = (const struct sockaddr *)&bound;
	if (is_every_ipv4(address, there))
		return true;
	if (!same_ip((const struct sockaddr *)&address->socket, there))
		return false;
	return there->sa_family == AF_INET ||
	       ask(fd, IPPROTO_IPV6, IPV6_V6ONLY) == crew__address_is_v6_only(address);
}

/* ---- making it ours ------------------------------------------------------------------------ */

/* Not where it was asked for, but that is where it is. */
static void show(
	struct crew__address *address, const struct sockaddr_storage *bound, socklen_t size)
{
	struct crew__record_address record;
	const char *end = strstr(address->text, "://");
	size_t head = end ? (size_t)(end - address->text) + 3 : 0;
	char *text = address->text + head;
	size_t room = sizeof(address->text) - head;
	if (address->transport == CREW__UNIX) {
		static const char prefix[] = "unix:";
		char place[sizeof(struct sockaddr_un) + sizeof(prefix)];
		crew__address_unix_text(bound, size, place, sizeof(place));
		snprintf(text, room, "%s", place + sizeof(prefix) - 1);
	} else {
		crew__address_record((const struct sockaddr *)bound, &record);
		crew__address_text(&record, text, room);
	}
}

/* Its file has the permissions and the owner that are asked for now. */
static int take_file(
	const struct crew__address_attempt *attempt, const struct crew__address_file *file)
{
	struct crew__address *address = attempt->address;
	if (address->abstract || file->inode == 0)
		return 0;
	address->file_device = file->device;
	address->file_inode = file->inode;
	return crew__address_own_file(attempt);
}

static int set_up(int fd, const struct crew__address_attempt *attempt, bool *ret_said)
{
	const struct crew__address *address = attempt->address;
	int error = 0, flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
		fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	if (address->transport != CREW__UNIX)
		error = crew__address_prepare(fd, attempt, ret_said);
	/* Said once more it is the backlog that changes; who waits in it stays. */
	if (!error && address->transport != CREW__UDP)
		error = crew__address_begin(fd, address);
	return error;
}

int crew__address_adopt(struct crew__address *address, int fd,
	const struct crew__address_file *file, bool reuse_port, char *ret_error, size_t error_size)
{
	const struct crew__address_attempt attempt = { address, reuse_port, ret_error, error_size };
	struct sockaddr_storage bound;
	socklen_t size;
	bool said = false;
	if (!is_fit(address, fd, &bound, &size))
		return crew__address_fail(&attempt, -EINVAL,
			"the socket that is there already for %s does not listen, or is of another "
			"kind",
			address->text);
	bool is_there = crew__address_is_at(address, fd, file);
	int error = set_up(fd, &attempt, &said);
	if (!error && address->transport == CREW__UNIX) {
		error = take_file(&attempt, file);
		said = error < 0;
	}
	if (!error && !is_there)
		show(address, &bound, size);
	else if (!error && address->transport != CREW__UNIX)
		error = crew__address_take_port(address, fd);
	if (error)
		return said ? error
			    : crew__address_fail(&attempt, error,
				      "the socket that is there already for %s cannot be used: %s",
				      address->text, strerror(-error));
	/* To the kernel a Unix socket may have another name than its path. */
	if (is_there && address->transport == CREW__UNIX)
		return 0;
	memcpy(&address->socket, &bound, sizeof(bound));
	address->socket_size = size;
	return 0;
}
