/* datagram.h - a service's UDP sockets, and what their datagrams mean to the program.
 *
 * A datagram is one message where nothing else is said (udp://), or is cut into whole messages by the
 * program's own protocol (NAME+udp://). What breaks the protocol concerns that datagram alone: nobody
 * can prove who has sent it. */
#ifndef CREW_SERVICE_DATAGRAM_H
#define CREW_SERVICE_DATAGRAM_H

#include "service/inner.h"

static inline bool crew__is_datagrams(const crew_conn *c)
{
	return c->record->transport == CREW__UDP;
}

/* One datagram, whole; all of it is done with. */
__attribute__((noinline)) size_t crew__datagram_data(crew_conn *c, char *data, size_t len);

/* The worker's sockets: one more, taken over in every case; reading from all that do not yet; from that
 * descriptor no more, its peers leave; from none any more, those that are there may still be sent to.
 * 0 or an errno. */
int crew__datagram_add(crew_worker *w, int take_fd);
int crew__datagram_start(crew_worker *w);
void crew__datagram_disown(crew_worker *w, int fd);
void crew__datagram_end(crew_worker *w);
void crew__datagram_free(crew_worker *w); /* after the last connection */

/* The first message of `in`: how many bytes it takes, 0 when it is not whole, or a negative errno
 * (stream.c). */
int64_t crew__stream_cut(crew_conn *c, crew_bytes in, crew_msg *ret_msg);

#endif
