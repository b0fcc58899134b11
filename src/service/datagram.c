/* datagram.c - from datagrams to messages, and the UDP sockets of a worker.
 *
 * Not here: peers, batches, the way out (net/udp.h). */
#include "service/datagram.h"

#include "net/address.h"
#include "net/udp.h"

#include <stdlib.h>
#include <unistd.h>

/* ---- messages ------------------------------------------------------------------------------ */

static crew__rarely void tell_dropped(crew_conn *c, const char *what)
{
	crew_worker *w = crew__worker_of(c);
	char left_out[CREW__LEFT_OUT_MAX];
	char peer[80];
	if (!crew__log_may(&w->protocol_log, 5, left_out))
		return;
	crew__address_text(&c->net->stats.cold[c->slot].remote, peer, sizeof(peer));
	crew__log(CREW_INFO, "%s: a datagram from %s is dropped: %s%s", w->service->name, peer,
		what, left_out);
}

static crew__rarely void too_long(crew_conn *c)
{
	c->net->stats.slab->datagrams_truncated++;
	tell_dropped(c, "it is longer than max_message");
}

static crew__rarely void malformed(crew_conn *c, int64_t cut)
{
	c->net->stats.slab->datagrams_dropped++;
	tell_dropped(c, cut == 0           ? "it ends within a message"
			: cut == -EMSGSIZE ? "it holds a message that is longer than max_message"
					   : "it breaks the protocol");
}

static void deliver_cut(crew_conn *c, char *data, size_t len)
{
	size_t used = 0;
	do {
		crew_msg msg;
		int64_t n = crew__stream_cut(c, (crew_bytes){ data + used, len - used }, &msg);
		if (n <= 0) {
			malformed(c, n);
			return;
		}
		used += (size_t)n;
		if (c->record->state <= CREW__CONN_OPEN) /* decode may have closed it */
			crew__service_message(c, msg);
	} while (used < len && c->record->state <= CREW__CONN_OPEN);
}

size_t crew__datagram_data(crew_conn *c, char *data, size_t len)
{
	crew_worker *w = crew__worker_of(c);
	if (crew__unlikely(len > crew__conn_most_of(c, w->max_message)))
		too_long(c);
	else if (w->kind == CREW__RAW)
		crew__service_message(c, (crew_msg){ { data, len }, CREW_BINARY });
	else
		deliver_cut(c, data, len);
	return len;
}

/* ---- sockets ------------------------------------------------------------------------------- */

/* Memory for one more; those that are closed make way where no event of this turn can name them. */
static struct crew__udp **get_place(crew_worker *w)
{
	for (size_t i = 0; i < w->udp_count; i++) {
		if (crew__udp_is_over(w->udps[i])) {
			crew__udp_free(w->udps[i]);
			w->udps[i] = w->udps[--w->udp_count];
			break;
		}
	}
	size_t size = (w->udp_count + 1) * sizeof(struct crew__udp *);
	struct crew__udp **all = realloc(w->udps, size);
	if (!all)
		return NULL;
	w->udps = all;
	return &all[w->udp_count];
}

int crew__datagram_add(crew_worker *w, int take_fd)
{
	struct crew__udp **place = get_place(w);
	if (!place) {
		close(take_fd);
		return -ENOMEM;
	}
	int error = crew__udp_new(&w->net, take_fd, w->service->name, place);
	if (!error)
		w->udp_count++;
	return error;
}

int crew__datagram_start(crew_worker *w)
{
	for (size_t i = 0; i < w->udp_count; i++) {
		int error = crew__udp_start(w->udps[i]);
		if (error)
			return error;
	}
	return 0;
}

void crew__datagram_disown(crew_worker *w, int fd)
{
	for (size_t i = 0; i < w->udp_count; i++)
		if (crew__udp_fd(w->udps[i]) == fd)
			crew__udp_end(w->udps[i], CREW_END_DRAIN);
}

void crew__datagram_end(crew_worker *w)
{
	for (size_t i = 0; i < w->udp_count; i++)
		crew__udp_stop(w->udps[i]);
}

void crew__datagram_free(crew_worker *w)
{
	for (size_t i = 0; i < w->udp_count; i++)
		crew__udp_free(w->udps[i]);
	free(w->udps);
	w->udps = NULL;
	w->udp_count = 0;
}
