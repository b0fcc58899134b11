/* conn_begin.c - a connection that we make ourselves, until it is open.
 *
 * It is there before its socket is, so that whoever wants it has what to send to, to close and to
 * ask. What is sent waits: the connection counts as capped (CREW__C_CAPPED), and what the cap lets
 * through are the bytes of its handshake alone (conn_write.c). */
#include "net/conn_out.h"

#include "base/check.h"
#include "net/address.h"
#include "net/conn_slow.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

crew_conn *crew__net_begin(struct crew__net *net)
{
	crew_conn *c = crew__net_new_conn(net, CREW__IO_NONE, NULL, NULL);
	if (!c)
		return NULL;
	crew__conn_touch(c)->awaits_open = true;
	net->stats.cold[c->slot].outgoing = 1;
	c->flags |= CREW__C_CAPPED;
	return c;
}

sa_family_t crew__conn_note_ends(crew_conn *c)
{
	struct crew__record_cold *cold = &c->net->stats.cold[c->slot];
	struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
	socklen_t size = sizeof(address);
	if (getpeername(c->fd, (struct sockaddr *)&address, &size) == 0)
		crew__address_record((struct sockaddr *)&address, &cold->remote);
	sa_family_t family = address.ss_family;
	size = sizeof(address);
	memset(&address, 0, sizeof(address));
	if (getsockname(c->fd, (struct sockaddr *)&address, &size) == 0)
		crew__address_record((struct sockaddr *)&address, &cold->local);
	return family;
}

/* What accepted sockets have of their listener, too. */
static void prepare_socket(crew_conn *c)
{
	bool is_unix = crew__conn_note_ends(c) == AF_UNIX;
	c->record->transport = is_unix ? CREW__UNIX : CREW__TCP;
	if (c->record->transport != CREW__TCP)
		return;
	int one = 1, limit = c->net->limits.kernel_unsent_limit;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &limit, sizeof(limit));
}

int crew__conn_connected(crew_conn *c, int take_fd)
{
	crew__must(c->io == CREW__IO_NONE && c->record->state == CREW__CONN_HANDSHAKE);
	c->fd = take_fd;
	c->io = CREW__IO_SOCKET;
	int error = crew__conn_attach(c);
	if (error) {
		crew__conn_broken(c, CREW_END_HANDSHAKE);
		return error;
	}
	prepare_socket(c);
	crew__conn_watch(c);
	return 0;
}

int crew__conn_handshake_bytes(crew_conn *c, crew_bytes bytes)
{
	return crew__conn_urgent(c, bytes);
}

void crew__conn_let_go(crew_conn *c)
{
	struct crew__rare *rare = crew__conn_rare(c);
	rare->awaits_open = false;
	c->record->last_in = crew__net_now(c->net); /* it is idle from now on at the earliest */
	crew__policy_grown(c);                      /* and slow */
	crew__conn_clear(c, CREW__C_HELD_BACK);
	if (!crew__rate_is_capped(&rare->rate))
		crew__conn_clear(c, CREW__C_CAPPED);
	crew_conn *from = crew__conn_pipe_from(c);
	if (from && c->record->bytes_queued * 2 <= crew__conn_limit(c))
		crew__conn_go_on_reading(from, CREW__C_PIPE_FULL); /* it may wait for just this */
	crew__conn_agenda(c, CREW__C_DIRTY);
}

/* ---- the transport of one that has none ----------------------------------------------------- */

static ssize_t recv_nothing(crew_conn *c, char *room, size_t size)
{
	(void)c;
	(void)room;
	(void)size;
	errno = EAGAIN;
	return -1;
}

static bool has_nothing(const crew_conn *c)
{
	(void)c;
	return false;
}

static ssize_t send_nothing(crew_conn *c, const struct iovec *vectors, size_t count)
{
	(void)c;
	(void)vectors;
	(void)count;
	return 0;
}

static void settle_nothing(crew_conn *c, size_t bytes, uint32_t messages)
{
	crew__must(bytes == 0);
	crew__out_left(c, 0, 0, messages);
}

/* Nothing is held; what is queued is held back by what awaits its opening. */
static bool flush_nothing(crew_conn *c)
{
	(void)c;
	return true;
}

static void hold_nothing(const crew_conn *c, uint64_t *ret_bytes, uint64_t *ret_messages)
{
	(void)c;
	*ret_bytes = 0;
	*ret_messages = 0;
}

static void do_nothing(crew_conn *c)
{
	(void)c;
}

const struct crew__io crew__io_none = {
	.recv = recv_nothing,
	.has_more = has_nothing,
	.send = send_nothing,
	.settle = settle_nothing,
	.flush = flush_nothing,
	.pending = has_nothing,
	.held = hold_nothing,
	.finish = do_nothing,
	.release = do_nothing,
};
