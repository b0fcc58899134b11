/* splice.h - from one plain socket into another through the kernel alone (splice(2)).
 *
 * What crew__conn_pipe() joins flows this way as long as nothing else has to be done with the
 * bytes: both are raw streams on their own sockets, and nothing waits on the way. A chunk is one
 * message, as it is when it is read and sent. What the far socket does not take stays in the
 * kernel's pipe, which is the connection's transport (CREW__IO_SPLICE) until it is empty. */
#ifndef CREW_NET_SPLICE_H
#define CREW_NET_SPLICE_H

#include "net/conn.h"

/* What a chunk may have, and what a stalled receiver holds in the kernel beside its socket's
 * buffer: it counts as queued, but it is memory of the kernel's, as socket buffers are, and not of
 * buffer_budget. */
enum {
	CREW__SPLICE_MOST = 256 * 1024,
	/* Pipes of a net, or as many as take 1/32 of the descriptors a process may have. Bytes for
	 * which there is none are copied. */
	CREW__SPLICE_PIPES = 1024
};

/* `from` is readable, in its own event, and flows into another: move a chunk of what is there.
 * False: it must be read and sent instead, its end too; nothing was done. Either may be CLOSED
 * after it. */
bool crew__splice(crew_conn *from);

struct crew__pipes;
void crew__pipes_free(struct crew__pipes *pipes); /* NULL is allowed */

#endif
