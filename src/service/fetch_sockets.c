/* fetch_sockets.c - the sockets of libcurl's: opened so that no child process inherits them, and
 * looked at before a kept one is used again.
 *
 * A server may speak while nobody asks: "408 Request Timeout" before it closes an idle connection,
 * or what it, or someone in between, would like to be taken for the next answer. libcurl takes
 * whatever waits on a kept connection for the answer to what it sends then. So such a connection is
 * given up before anything is sent, and the request goes over another one. */
#include "service/fetch_parts.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct crew__fetch_socket {
	int fd;
	uint16_t port; /* our side's, by which libcurl tells connections apart; 0: not connected yet
			*/
};

static int add(struct crew__fetches *f, int fd)
{
	if (f->socket_count == f->socket_room) {
		uint32_t room = f->socket_room ? f->socket_room * 2 : 8;
		struct crew__fetch_socket *longer = reallocarray(f->sockets, room, sizeof(*longer));
		if (!longer)
			return -ENOMEM;
		f->sockets = longer;
		f->socket_room = room;
	}
	f->sockets[f->socket_count++] = (struct crew__fetch_socket){ .fd = fd };
	return 0;
}

static void forget(struct crew__fetches *f, int fd)
{
	for (uint32_t i = 0; i < f->socket_count; i++) {
		if (f->sockets[i].fd != fd)
			continue;
		f->sockets[i] = f->sockets[--f->socket_count];
		return;
	}
}

curl_socket_t crew__fetch_on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct crew__fetch *fetch = arg;
	(void)purpose;
	int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	if (fd < 0)
		return CURL_SOCKET_BAD;
	forget(fetch->owner, fd); /* closed without a word */
	if (add(fetch->owner, fd) < 0) {
		close(fd);
		return CURL_SOCKET_BAD;
	}
	fetch->opened = true;
	return fd;
}

/* A connection outlives the request that it was made for. */
int crew__fetch_on_socket_close(void *arg, curl_socket_t fd)
{
	forget(arg, fd);
	return close(fd);
}

static void note_ports(struct crew__fetches *f)
{
	for (uint32_t i = 0; i < f->socket_count; i++) {
		struct crew__fetch_socket *s = &f->sockets[i];
		struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
		socklen_t size = sizeof(address);
		if (s->port != 0 || getsockname(s->fd, (struct sockaddr *)&address, &size) < 0)
			continue;
		if (address.ss_family == AF_INET)
			s->port = ntohs(((const struct sockaddr_in *)&address)->sin_port);
		else if (address.ss_family == AF_INET6)
			s->port = ntohs(((const struct sockaddr_in6 *)&address)->sin6_port);
	}
}

static bool is_quiet(int fd)
{
	char byte;
	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/* Connections to different servers may have the same port on our side: one too many is given up
 * then. */
int crew__fetch_on_connection(void *arg, char *peer, char *local, int peer_port, int local_port)
{
	struct crew__fetch *fetch = arg;
	const struct crew__fetches *f = fetch->owner;
	(void)peer;
	(void)local;
	(void)peer_port;
	if (fetch->opened) { /* its own, and new */
		note_ports(fetch->owner);
		return CURL_PREREQFUNC_OK;
	}
	for (uint32_t i = 0; i < f->socket_count; i++)
		if (f->sockets[i].port == local_port && !is_quiet(f->sockets[i].fd))
			fetch->stale = true;
	return fetch->stale ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}
