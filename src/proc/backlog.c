#include "proc/backlog.h"

#include "base/clock.h"

#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* A socket is known by its cookie: it may have several descriptors. */
struct crew__backlog_socket {
	uint64_t cookie;
	uint32_t drops;
};

/* One look under way: what replaces `sockets` and `ports`. */
struct look {
	const struct crew__backlog *backlog;
	uint64_t now_ns;
	size_t socket_count, port_count;
	struct crew__backlog_socket *sockets;
	struct crew__port *ports;
};

/* ---- the kernel ---------------------------------------------------------------------------- */

static bool read_socket(int fd, struct crew__backlog_socket *ret_socket)
{
	uint32_t memory[SK_MEMINFO_VARS];
	socklen_t size = sizeof(memory), cookie_size = sizeof(ret_socket->cookie);
	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &size) < 0 ||
		size <= SK_MEMINFO_DROPS * sizeof(memory[0]) ||
		getsockopt(fd, SOL_SOCKET, SO_COOKIE, &ret_socket->cookie, &cookie_size) < 0)
		return false;
	ret_socket->drops = memory[SK_MEMINFO_DROPS];
	return true;
}

/* Of a socket that listens TCP_INFO has the queue and its limit in two members that mean other
 * things of connections. */
static bool read_queue(int fd, struct crew__port *port)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);
	memset(&info, 0, sizeof(info));
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
		return false;
	port->queue = (port->queue < 0 ? 0 : port->queue) + (int32_t)info.tcpi_unacked;
	port->backlog = (int32_t)info.tcpi_sacked;
	return true;
}

/* ---- one look ------------------------------------------------------------------------------ */

static const struct crew__backlog_socket *find_socket(
	const struct crew__backlog *backlog, uint64_t cookie, size_t likely)
{
	if (likely < backlog->socket_count && backlog->sockets[likely].cookie == cookie)
		return &backlog->sockets[likely];
	for (size_t i = 0; i < backlog->socket_count; i++)
		if (backlog->sockets[i].cookie == cookie)
			return &backlog->sockets[i];
	return NULL;
}

/* How many more were dropped there since the last look; the kernel's counter may turn over. */
static uint32_t count_drops(struct look *look, int fd)
{
	struct crew__backlog_socket *now = &look->sockets[look->socket_count];
	if (!read_socket(fd, now))
		return 0;
	const struct crew__backlog_socket *before = find_socket(
		look->backlog, now->cookie, look->socket_count);
	look->socket_count++;
	return before ? now->drops - before->drops : 0;
}

static const struct crew__port *find_port(
	const struct crew__backlog *backlog, const struct crew__port *port)
{
	for (size_t i = 0; i < backlog->port_count; i++)
		if (backlog->ports[i].service == port->service &&
			strcmp(backlog->ports[i].address, port->address) == 0)
			return &backlog->ports[i];
	return NULL;
}

/* Returns by how much the overflow has grown. */
static uint64_t look_at_place(struct look *look, unsigned service,
	const struct crew__listener *listener, const struct crew__listening *place)
{
	struct crew__port port = { .service = service,
		.accept = (uint32_t)listener->accept,
		.queue = CREW__PORT_UNKNOWN,
		.backlog = CREW__PORT_UNKNOWN };
	uint64_t more = 0;
	snprintf(port.address, sizeof(port.address), "%s", place->address.text);
	for (unsigned i = 0; i < place->count; i++) {
		if (place->fds[i] < 0)
			continue;
		port.sockets++;
		if (place->address.transport != CREW__UNIX && read_queue(place->fds[i], &port))
			more += count_drops(look, place->fds[i]);
	}
	const struct crew__port *before = find_port(look->backlog, &port);
	port.overflow = (before ? before->overflow : 0) + more;
	port.overflow_ns = more > 0 ? look->now_ns : before ? before->overflow_ns : 0;
	look->ports[look->port_count++] = port;
	return more;
}

static void look_at_service(
	struct look *look, unsigned service, const struct crew__listener *listener)
{
	uint64_t more = 0;
	for (unsigned i = 0; i < listener->count; i++)
		if (listener->places[i].address.transport != CREW__UDP)
			more += look_at_place(look, service, listener, &listener->places[i]);
	if (more > 0) {
		const struct crew__slab counted = { .accept_overflow = more };
		crew__directory_count(look->backlog->directory, service, &counted);
	}
}

static void count_places(
	const struct crew__listeners *listeners, size_t *ret_ports, size_t *ret_sockets)
{
	*ret_ports = 0;
	*ret_sockets = 0;
	for (unsigned service = 0; service < CREW_MAX_SERVICES; service++) {
		const struct crew__listener *listener = &listeners->service[service];
		*ret_ports += listener->count;
		for (unsigned i = 0; i < listener->count; i++)
			*ret_sockets += listener->places[i].count;
	}
}

/* Without memory the next look tells. */
void crew__backlog_look(struct crew__backlog *backlog)
{
	const struct crew__listeners *listeners = backlog->listeners(backlog->arg);
	size_t ports, sockets;
	if (!listeners)
		return;
	count_places(listeners, &ports, &sockets);
	struct look look = {
		.backlog = backlog,
		.now_ns = crew__clock_ns(),
		.sockets = calloc(sockets + 1, sizeof(*look.sockets)),
		.ports = calloc(ports + 1, sizeof(*look.ports)),
	};
	if (!look.sockets || !look.ports) {
		free(look.sockets);
		free(look.ports);
		return;
	}
	for (unsigned service = 0; service < CREW_MAX_SERVICES; service++)
		look_at_service(&look, service, &listeners->service[service]);
	free(backlog->sockets);
	free(backlog->ports);
	backlog->sockets = look.sockets;
	backlog->socket_count = look.socket_count;
	backlog->ports = look.ports;
	backlog->port_count = look.port_count;
	crew__ports_write(backlog->directory->ports, look.ports, look.port_count);
}

/* ---- again and again ----------------------------------------------------------------------- */

static int wait_a_second(struct crew__backlog *backlog)
{
	uint64_t due = crew__clock_ns() + CREW__NS_PER_S;
	return crew__timer_start(backlog->loop, &backlog->timer, due);
}

static void on_timer(struct crew__timer *timer)
{
	struct crew__backlog *backlog = crew__container_of(timer, struct crew__backlog, timer);
	crew__backlog_look(backlog);
	if (wait_a_second(backlog) < 0)
		crew__log(CREW_ERROR, "the backlogs are not looked at again: no memory");
}

int crew__backlog_start(struct crew__backlog *backlog, struct crew__loop *loop,
	struct crew__directory *directory, const struct crew__listeners *(*listeners)(void *arg),
	void *arg)
{
	*backlog = (struct crew__backlog){
		.loop = loop,
		.directory = directory,
		.listeners = listeners,
		.arg = arg,
		.timer.fn = on_timer,
	};
	crew__backlog_look(backlog);
	return wait_a_second(backlog);
}

void crew__backlog_stop(struct crew__backlog *backlog)
{
	if (!backlog->loop)
		return;
	crew__timer_stop(backlog->loop, &backlog->timer);
	free(backlog->sockets);
	free(backlog->ports);
	*backlog = (struct crew__backlog){ .loop = NULL };
}
