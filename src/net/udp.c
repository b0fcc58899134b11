/* udp.c - a service's UDP socket: its beginning, its events, its end.
 *
 * Not here: what is done with datagrams (udp_in.c, udp_out.c), finding peers (udp_peers.c). */
#include "net/udp.h"

#include "net/udp_parts.h"

#include "base/check.h"
#include "net/address.h"

#include <netinet/udp.h>
#include <stdlib.h>
#include <unistd.h>

/* The struct stays: an event of this turn may still name it. */
static void close_socket(struct crew__udp *udp)
{
	if (udp->fd < 0)
		return;
	crew__loop_remove(udp->net->loop, &udp->source);
	crew__loop_remove_hook(udp->net->loop, &udp->hook);
	close(udp->fd);
	udp->fd = -1;
	crew__udp_peers_fini(&udp->peers);
	free(udp->in);
	free(udp->out);
	udp->in = NULL;
	udp->out = NULL;
}

static bool on_turn_end(struct crew__turn_hook *hook)
{
	struct crew__udp *udp = crew__container_of(hook, struct crew__udp, hook);
	bool again = false;
	udp->ended_turn = udp->net->clock->turn;
	if (crew__unlikely(udp->in->next < udp->in->count))
		again = crew__udp_handle_rest(udp);
	if (udp->out->first < udp->out->count)
		crew__udp_flush(udp);
	if (crew__unlikely(udp->stopped) && udp->peers.count == 0)
		close_socket(udp);
	return again;
}

/* ---- from the kernel ----------------------------------------------------------------------- */

static crew__rarely void receive_failed(struct crew__udp *udp, int error)
{
	char left_out[CREW__LEFT_OUT_MAX];
	if (error == EAGAIN || error == EINTR || error == ENOMEM || error == ENOBUFS)
		return;
	if (crew__log_may(&udp->receive_log, 1, left_out))
		crew__log(CREW_WARN, "%s: cannot receive datagrams: %s%s", udp->name,
			strerror(error), left_out);
}

static void receive(struct crew__udp *udp)
{
	struct crew__udp_in *in = udp->in;
	int n = recvmmsg(udp->fd, in->messages, CREW__UDP_BATCH, MSG_DONTWAIT, NULL);
	if (n <= 0) {
		receive_failed(udp, n < 0 ? errno : EAGAIN);
		return;
	}
	in->next = 0;
	in->count = (unsigned)n;
	crew__udp_handle(udp);
	if (crew__likely(in->next >= in->count))
		crew__udp_prepare(in, in->count);
}

static void on_event(struct crew__source *source, unsigned events)
{
	struct crew__udp *udp = crew__container_of(source, struct crew__udp, source);
	if (events & CREW__WRITE)
		crew__udp_writable(udp);
	if (!(events & ~CREW__WRITE) || !udp->started)
		return;
	if (crew__likely(udp->in->next >= udp->in->count))
		receive(udp);
}

/* ---- its life ------------------------------------------------------------------------------ */

static void switch_on(int fd, int level, int option)
{
	int one = 1;
	setsockopt(fd, level, option, &one, sizeof(one));
}

/* What it is bound to; and that datagrams tell which of our addresses they came to, where it is
 * bound to all. A kernel that cannot join datagrams gives them one by one. */
static int set_up_socket(struct crew__udp *udp)
{
	struct sockaddr_in6 own = { 0 };
	socklen_t size = sizeof(own);
	if (getsockname(udp->fd, (struct sockaddr *)&own, &size) < 0)
		return -errno;
	crew__address_record((struct sockaddr *)&own, &udp->local);
	udp->family = own.sin6_family;
	static const uint8_t nowhere[16];
	bool ipv4 = udp->family == AF_INET;
	udp->every = ipv4 ? memcmp(udp->local.ip + 12, nowhere, 4) == 0
			  : memcmp(udp->local.ip, nowhere, 16) == 0;
	if (udp->every && ipv4)
		switch_on(udp->fd, IPPROTO_IP, IP_PKTINFO);
	else if (udp->every)
		switch_on(udp->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO);
	switch_on(udp->fd, IPPROTO_UDP, UDP_GRO);
	return 0;
}

static int set_up_rooms(struct crew__udp *udp)
{
	/* Of the rooms, memory is taken up only by what datagrams have reached. */
	udp->in = malloc(sizeof(*udp->in) + CREW__UDP_BATCH * CREW__UDP_STRIDE);
	udp->out = malloc(sizeof(*udp->out));
	if (!udp->in || !udp->out)
		return -ENOMEM;
	udp->in->next = 0;
	udp->in->count = 0;
	udp->out->first = 0;
	udp->out->count = 0;
	udp->out->len = 0;
	for (size_t i = 0; i < CREW__UDP_BATCH; i++)
		udp->in->vectors[i] = (struct iovec){ udp->in->room + i * CREW__UDP_STRIDE,
			CREW__UDP_ROOM };
	crew__udp_prepare(udp->in, CREW__UDP_BATCH);
	return crew__udp_peers_init(&udp->peers);
}

int crew__udp_new(
	struct crew__net *net, int take_fd, const char *service_name, struct crew__udp **ret_udp)
{
	struct crew__udp *udp = calloc(1, sizeof(*udp));
	if (!udp) {
		close(take_fd);
		return -ENOMEM;
	}
	udp->source = (struct crew__source){ .fn = on_event, .fd = -1 };
	udp->net = net;
	udp->fd = take_fd;
	udp->name = service_name;
	udp->segments = true;
	udp->ended_turn = net->clock->turn - 1;
	udp->hook.fn = on_turn_end;
	crew__list_init(&udp->waiting);
	crew__list_init(&udp->peers.used);
	crew__loop_add_hook(net->loop, &udp->hook);
	int error = set_up_socket(udp);
	if (!error)
		error = set_up_rooms(udp);
	if (error) {
		crew__udp_free(udp);
		return error;
	}
	*ret_udp = udp;
	return 0;
}

int crew__udp_start(struct crew__udp *udp)
{
	if (udp->started || udp->stopped)
		return 0;
	udp->source.fd = udp->fd;
	int error = crew__loop_add(udp->net->loop, &udp->source, CREW__READ | CREW__SHARED);
	udp->started = !error;
	if (error)
		udp->source.fd = -1;
	return error;
}

int crew__udp_fd(const struct crew__udp *udp)
{
	return udp->fd;
}

bool crew__udp_is_over(const struct crew__udp *udp)
{
	return udp->fd < 0 && udp->ended_turn != udp->net->clock->turn;
}

void crew__udp_stop(struct crew__udp *udp)
{
	if (udp->fd < 0)
		return;
	udp->started = false;
	udp->stopped = true;
	udp->in->next = udp->in->count;
	crew__udp_watch(udp);
}

void crew__udp_end(struct crew__udp *udp, crew_end_reason reason)
{
	for (struct crew__node *node = udp->peers.used.next, *next; node != &udp->peers.used;
		node = next) {
		next = node->next;
		crew__conn_close(
			crew__container_of(node, struct crew__udp_peer, used)->conn, reason);
	}
	crew__udp_stop(udp);
}

void crew__udp_free(struct crew__udp *udp)
{
	if (!udp)
		return;
	crew__must(udp->peers.count == 0);
	close_socket(udp);
	free(udp);
}
