/* dial_race.c - attempts to connect: which address next, who wins.
 *
 * RFC 8305: the families take turns, IPv6 first; the next attempt begins CREW__DIAL_DELAY_MS after
 * the last, or at once when all that ran have failed; whoever stands first is taken. Addresses that
 * become known while others are tried take their turn. */
#include "net/dial.h"

#include "net/dial_parts.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- candidates ---------------------------------------------------------------------------- */

static socklen_t size_of(const union crew__dial_address *address)
{
	return address->any.sa_family == AF_INET6 ? sizeof(address->ipv6) : sizeof(address->ipv4);
}

static bool is_known(const struct crew__dial *dial, const union crew__dial_address *address)
{
	for (size_t i = 0; i < dial->count; i++)
		if (memcmp(&dial->candidates[i].address, address, size_of(address)) == 0)
			return true;
	return false;
}

void crew__race_add(struct crew__dial *dial, const struct crew__resolved *resolved)
{
	for (size_t i = 0; i < resolved->count && dial->count < CREW__RESOLVED_MOST; i++) {
		union crew__dial_address address = { 0 };
		memcpy(&address, &resolved->addresses[i],
			resolved->addresses[i].ss_family == AF_INET6 ? sizeof(address.ipv6)
								     : sizeof(address.ipv4));
		if (!is_known(dial, &address))
			dial->candidates[dial->count++].address = address;
	}
}

static struct crew__dial_candidate *untried(struct crew__dial *dial, int family)
{
	for (size_t i = 0; i < dial->count; i++) {
		struct crew__dial_candidate *each = &dial->candidates[i];
		if (!each->tried && (!family || each->address.any.sa_family == family))
			return each;
	}
	return NULL;
}

static struct crew__dial_candidate *next_candidate(struct crew__dial *dial)
{
	int other = dial->last_family == AF_INET6 ? AF_INET : AF_INET6;
	struct crew__dial_candidate *next = untried(dial, other);
	return next ? next : untried(dial, 0);
}

bool crew__race_has_next(const struct crew__dial *dial)
{
	for (size_t i = 0; i < dial->count; i++)
		if (!dial->candidates[i].tried)
			return true;
	return false;
}

/* ---- what failed --------------------------------------------------------------------------- */

/* Somebody who refused says more than a network without a way there. */
static int telling(int error)
{
	switch (error) {
	case 0:
		return 0;
	case -ENETUNREACH:
	case -EADDRNOTAVAIL:
	case -EAFNOSUPPORT:
		return 1;
	case -EHOSTUNREACH:
	case -ETIMEDOUT:
		return 2;
	case -ECONNREFUSED:
	case -ECONNRESET:
		return 4;
	default:
		return 3;
	}
}

static void note_failure(
	struct crew__dial *dial, const union crew__dial_address *address, int error)
{
	if (telling(error) < telling(dial->error))
		return;
	dial->error = error;
	dial->failed = *address;
}

static void fail(struct crew__dial *dial)
{
	char why[CREW__DIAL_WHY_MAX];
	crew__dial_say_unconnected(dial, why);
	crew__dial_finish(dial, dial->error, why, (crew_bytes){ NULL, 0 });
}

/* ---- sockets ------------------------------------------------------------------------------- */

static int bind_local(const struct crew__dial *dial, int fd, int family)
{
	int one = 1;
	if (dial->local.any.sa_family == AF_UNSPEC)
		return 0;
	if (dial->local.any.sa_family != family)
		return -EADDRNOTAVAIL;
	/* The port is chosen when the other end is known: there are far more of them then. */
	if (dial->type == SOCK_STREAM)
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	return bind(fd, &dial->local.any, size_of(&dial->local)) < 0 ? -errno : 0;
}

/* 0: it stands; -EINPROGRESS: wait. A signal lets a connection go on by itself. */
static int connect_socket(int fd, const struct sockaddr *address, socklen_t size)
{
	if (connect(fd, address, size) == 0)
		return 0;
	return errno == EINTR ? -EINPROGRESS : -errno;
}

/* 0 with a socket that stands, -EINPROGRESS with one that is on its way; or an errno without. */
static int open_socket(
	struct crew__dial *dial, const union crew__dial_address *address, int *ret_fd)
{
	int one = 1;
	int fd = socket(address->any.sa_family, dial->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (dial->type == SOCK_STREAM)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	int error = bind_local(dial, fd, address->any.sa_family);
	if (!error)
		error = connect_socket(fd, &address->any, size_of(address));
	if (error && error != -EINPROGRESS)
		close(fd);
	else
		*ret_fd = fd;
	return error;
}

/* ---- attempts ------------------------------------------------------------------------------ */

/* Its descriptor, no longer watched. */
static int release(struct crew__dial_attempt *attempt)
{
	int fd = attempt->source.fd;
	crew__loop_remove(attempt->dial->loop, &attempt->source);
	return fd;
}

/* 0: connected, -EINPROGRESS: an event of a socket that was here before, or an errno. */
static int outcome(int fd)
{
	struct sockaddr_storage peer;
	socklen_t size = sizeof(peer), error_size = sizeof(int);
	int error = 0;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_size) < 0)
		return -errno;
	if (error)
		return -error;
	if (getpeername(fd, (struct sockaddr *)&peer, &size) == 0)
		return 0;
	return errno == ENOTCONN ? -EINPROGRESS : -errno;
}

static void on_attempt(struct crew__source *source, unsigned events)
{
	struct crew__dial_attempt *attempt = crew__container_of(
		source, struct crew__dial_attempt, source);
	struct crew__dial *dial = attempt->dial;
	int error = outcome(source->fd);
	(void)events;
	if (error == -EINPROGRESS)
		return;
	int fd = release(attempt);
	if (!error) {
		crew__dial_connected(dial, fd);
		return;
	}
	close(fd);
	note_failure(dial, &attempt->address, error);
	crew__race_next(dial);
}

const struct crew__dial_attempt *crew__race_oldest(const struct crew__dial *dial)
{
	const struct crew__dial_attempt *oldest = NULL;
	for (size_t i = 0; i < CREW__DIAL_AT_ONCE; i++) {
		const struct crew__dial_attempt *each = &dial->attempts[i];
		if (each->source.fd >= 0 && (!oldest || each->number < oldest->number))
			oldest = each;
	}
	return oldest;
}

bool crew__race_runs(const struct crew__dial *dial)
{
	return crew__race_oldest(dial) != NULL;
}

static struct crew__dial_attempt *free_attempt(struct crew__dial *dial)
{
	for (size_t i = 0; i < CREW__DIAL_AT_ONCE; i++)
		if (dial->attempts[i].source.fd < 0)
			return &dial->attempts[i];
	const struct crew__dial_attempt *oldest = crew__race_oldest(dial);
	struct crew__dial_attempt *attempt = &dial->attempts[oldest - dial->attempts];
	close(release(attempt));
	note_failure(dial, &attempt->address, -ETIMEDOUT);
	return attempt;
}

/* 0: one stands, and the dial is over or talks; -EINPROGRESS; or an errno. */
static int begin_attempt(struct crew__dial *dial, const union crew__dial_address *address)
{
	int fd = -1;
	int error = open_socket(dial, address, &fd);
	if (!error)
		crew__dial_connected(dial, fd);
	if (error != -EINPROGRESS)
		return error;
	struct crew__dial_attempt *attempt = free_attempt(dial);
	attempt->source.fn = on_attempt;
	attempt->source.fd = fd;
	attempt->address = *address;
	attempt->number = dial->begun++;
	error = crew__loop_add(dial->loop, &attempt->source, CREW__WRITE);
	if (!error)
		return -EINPROGRESS;
	attempt->source.fd = -1;
	close(fd);
	return error;
}

void crew__race_next(struct crew__dial *dial)
{
	struct crew__dial_candidate *candidate;
	dial->state = CREW__DIAL_RACING;
	crew__timer_stop(dial->loop, &dial->step);
	while ((candidate = next_candidate(dial)) != NULL) {
		candidate->tried = true;
		dial->last_family = candidate->address.any.sa_family;
		int error = begin_attempt(dial, &candidate->address);
		if (!error)
			return;
		if (error == -EINPROGRESS) {
			if (crew__race_has_next(dial))
				crew__dial_after(dial, CREW__DIAL_DELAY_MS);
			return;
		}
		note_failure(dial, &candidate->address, error);
	}
	if (!crew__race_runs(dial) && !dial->lookup)
		fail(dial);
}

void crew__race_stop(struct crew__dial *dial)
{
	for (size_t i = 0; i < CREW__DIAL_AT_ONCE; i++)
		if (dial->attempts[i].source.fd >= 0)
			close(release(&dial->attempts[i]));
}

/* ---- Unix sockets -------------------------------------------------------------------------- */

static socklen_t set_path(union crew__dial_address *address, const char *path)
{
	size_t length = strlen(path);
	bool abstract = path[0] == '@';
	address->local.sun_family = AF_UNIX;
	memcpy(address->local.sun_path, path, length);
	if (abstract)
		address->local.sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + !abstract);
}

/* Such a socket stands at once or not at all; with a full backlog the kernel never tells when it is
 * worth another try. */
void crew__race_unix(struct crew__dial *dial)
{
	union crew__dial_address address = { 0 };
	socklen_t size = set_path(&address, dial->unix_path);
	int error = 0;
	int fd = socket(AF_UNIX, dial->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	dial->state = CREW__DIAL_RACING;
	if (fd < 0 || connect(fd, &address.any, size) < 0)
		error = -errno;
	if (!error) {
		crew__dial_connected(dial, fd);
		return;
	}
	if (fd >= 0)
		close(fd);
	if (error == -EAGAIN || error == -EINTR) {
		note_failure(dial, &address, -ETIMEDOUT);
		crew__dial_after(dial, CREW__UNIX_AGAIN_MS);
		return;
	}
	note_failure(dial, &address, error);
	fail(dial);
}
