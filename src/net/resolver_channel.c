/* resolver_channel.c - c-ares in the loop: its sockets, its time, its configuration.
 *
 * c-ares opens at most two sockets for each server, so their sources are made beforehand: when it
 * tells of a socket there is nobody whom a lack of memory could be told to. One that the loop does
 * not take is looked at by time.
 *
 * Not here: what is asked (resolver.c). */
#include "net/resolver.h"

#include "net/resolver_parts.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	TIMEOUT_MS = 2000, /* of the first try; doubles with each */
	TRIES = 3,
	UNWATCHED_MS = 20,
	LOOK_MS = 1000, /* how often the file's times are asked for at most */
};

struct channel_socket {
	struct crew__source source;
	struct crew__channel *channel;
};

struct crew__channel_sockets {
	size_t count;
	struct channel_socket each[];
};

/* ---- sockets ------------------------------------------------------------------------------- */

static void on_socket(struct crew__source *source, unsigned events)
{
	struct channel_socket *socket = crew__container_of(source, struct channel_socket, source);
	struct crew__channel *channel = socket->channel;
	int fd = source->fd;
	bool broken = events & CREW__HUP;
	/* Both at once: by the first c-ares may have closed it, and then asks about it no more. */
	ares_process_fd(channel->ares,
		broken || (events & (CREW__READ | CREW__ENDED)) ? fd : ARES_SOCKET_BAD,
		broken || (events & CREW__WRITE) ? fd : ARES_SOCKET_BAD);
	channel->on_processed(channel);
}

static struct channel_socket *find_socket(struct crew__channel *channel, int fd)
{
	struct crew__channel_sockets *sockets = channel->sockets;
	for (size_t i = 0; sockets && i < sockets->count; i++)
		if (sockets->each[i].source.fd == fd)
			return &sockets->each[i];
	return NULL;
}

static void watch(struct crew__channel *channel, int fd, unsigned events)
{
	struct channel_socket *socket = find_socket(channel, fd);
	if (socket) {
		if (crew__loop_mod(channel->loop, &socket->source, events))
			channel->unwatched = true;
		return;
	}
	socket = find_socket(channel, -1);
	if (socket)
		socket->source.fd = fd;
	if (!socket || crew__loop_add(channel->loop, &socket->source, events)) {
		channel->unwatched = true;
		if (socket)
			socket->source.fd = -1;
	}
}

/* c-ares tells what it waits for; for nothing: it closes the socket now. */
static void on_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct crew__channel *channel = arg;
	unsigned events = (readable ? CREW__READ : 0) | (writable ? CREW__WRITE : 0);
	struct channel_socket *socket = find_socket(channel, fd);
	if (events)
		watch(channel, fd, events);
	else if (socket)
		crew__loop_remove(channel->loop, &socket->source);
}

static struct crew__channel_sockets *sockets_new(struct crew__channel *channel, size_t count)
{
	struct crew__channel_sockets *sockets = calloc(
		1, sizeof(*sockets) + count * sizeof(sockets->each[0]));
	if (!sockets)
		return NULL;
	sockets->count = count;
	for (size_t i = 0; i < count; i++) {
		sockets->each[i].source.fn = on_socket;
		sockets->each[i].source.fd = -1;
		sockets->each[i].channel = channel;
	}
	return sockets;
}

void crew__channel_sockets_free(struct crew__channel_sockets *sockets)
{
	free(sockets);
}

/* ---- time ---------------------------------------------------------------------------------- */

static void process_unwatched(struct crew__channel *channel)
{
	ares_socket_t fds[ARES_GETSOCK_MAXNUM];
	unsigned bits = (unsigned)ares_getsock(channel->ares, fds, ARES_GETSOCK_MAXNUM);
	for (unsigned i = 0; i < ARES_GETSOCK_MAXNUM; i++)
		if (bits & (1u << i | 1u << (i + ARES_GETSOCK_MAXNUM)))
			ares_process_fd(channel->ares, fds[i], fds[i]);
}

void crew__channel_process(struct crew__channel *channel)
{
	ares_process_fd(channel->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	if (channel->unwatched)
		process_unwatched(channel);
}

uint64_t crew__channel_due(struct crew__channel *channel)
{
	struct timeval wait;
	uint64_t now_ns = crew__clock_ns();
	if (!ares_timeout(channel->ares, NULL, &wait)) {
		channel->unwatched = false; /* nothing is asked */
		return UINT64_MAX;
	}
	uint64_t ns = (uint64_t)wait.tv_sec * CREW__NS_PER_S + (uint64_t)wait.tv_usec * 1000;
	if (channel->unwatched && ns > UNWATCHED_MS * CREW__NS_PER_MS)
		ns = UNWATCHED_MS * CREW__NS_PER_MS;
	return now_ns + ns + CREW__NS_PER_MS; /* not a little too early */
}

/* ---- configuration ------------------------------------------------------------------------- */

static int error_of(int status)
{
	return status == ARES_ENOMEM ? -ENOMEM : -EIO;
}

static void note_file(struct crew__channel *channel)
{
	struct stat file = { 0 };
	channel->looked_ns = crew__loop_ns(channel->loop);
	if (stat(channel->resolv_conf, &file) < 0)
		file = (struct stat){ 0 };
	channel->file_changed = file.st_mtim;
	channel->file_inode = file.st_ino;
}

static int set_servers(struct crew__channel *channel, ares_channel ares)
{
	struct ares_addr_port_node nodes[CREW__SERVERS_MOST];
	if (!channel->servers)
		return 0;
	if (crew__servers_parse(channel->servers, nodes) == 0)
		return -EINVAL;
	int status = ares_set_servers_ports(ares, nodes);
	return status == ARES_SUCCESS ? 0 : error_of(status);
}

static int count_servers(ares_channel ares, size_t *ret_count)
{
	struct ares_addr_port_node *servers = NULL;
	size_t count = 0;
	int status = ares_get_servers_ports(ares, &servers);
	if (status != ARES_SUCCESS)
		return error_of(status);
	for (const struct ares_addr_port_node *at = servers; at; at = at->next)
		count++;
	ares_free_data(servers);
	*ret_count = count;
	return 0;
}

static int configure(struct crew__channel *channel, ares_channel ares,
	struct crew__channel_sockets **ret_sockets)
{
	size_t servers;
	int error = set_servers(channel, ares);
	if (!error)
		error = count_servers(ares, &servers);
	if (error)
		return error;
	*ret_sockets = sockets_new(channel, 2 * servers);
	return *ret_sockets ? 0 : -ENOMEM;
}

/* c-ares makes do without it, and tells nobody. */
static void tell_unreadable(const struct crew__channel *channel)
{
	if (!channel->servers && access(channel->resolv_conf, R_OK) < 0)
		crew__log(CREW_WARN,
			"%s cannot be read: %s; names are asked of a server on this machine unless "
			"[crew] dns_servers says of whom",
			channel->resolv_conf, strerror(errno));
}

int crew__channel_open(struct crew__channel *channel)
{
	struct ares_options options = {
		.timeout = TIMEOUT_MS,
		.tries = TRIES,
		.sock_state_cb = on_state,
		.sock_state_cb_data = channel,
		.resolvconf_path = (char *)(uintptr_t)channel->resolv_conf,
	};
	ares_channel ares;
	note_file(channel);
	tell_unreadable(channel);
	int status = ares_init_options(&ares, &options,
		ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB | ARES_OPT_RESOLVCONF);
	if (status != ARES_SUCCESS)
		return error_of(status);
	int error = configure(channel, ares, &channel->sockets);
	if (error) {
		ares_destroy(ares);
		return error;
	}
	channel->ares = ares;
	return 0;
}

void crew__channel_close(struct crew__channel *channel)
{
	ares_destroy(channel->ares); /* tells of each socket that it closes */
	crew__channel_sockets_free(channel->sockets);
	channel->ares = NULL;
	channel->sockets = NULL;
}

static bool has_changed(struct crew__channel *channel)
{
	struct timespec changed = channel->file_changed;
	ino_t inode = channel->file_inode;
	uint64_t now_ns = crew__loop_ns(channel->loop);
	if (now_ns - channel->looked_ns < LOOK_MS * CREW__NS_PER_MS)
		return false;
	note_file(channel);
	return channel->file_inode != inode || channel->file_changed.tv_sec != changed.tv_sec ||
	       channel->file_changed.tv_nsec != changed.tv_nsec;
}

void crew__channel_refresh(struct crew__channel *channel, struct crew__channel_sockets **ret_old)
{
	struct crew__channel_sockets *old = channel->sockets;
	ares_channel ares = channel->ares;
	*ret_old = NULL;
	if (!has_changed(channel))
		return;
	int error = crew__channel_open(channel);
	if (error) {
		crew__log(CREW_WARN,
			"%s has changed but cannot be read: %s; names are resolved "
			"as it said before",
			channel->resolv_conf, strerror(-error));
		return;
	}
	struct crew__channel_sockets *now = channel->sockets;
	channel->sockets = old; /* where it finds those that it closes */
	ares_destroy(ares);
	channel->sockets = now;
	*ret_old = old;
}
