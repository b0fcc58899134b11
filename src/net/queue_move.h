/* queue_move.h - a queue on its way to another process (conn_move.h). */
#ifndef CREW_NET_QUEUE_MOVE_H
#define CREW_NET_QUEUE_MOVE_H

#include "base/parcel.h"
#include "net/queue.h"

/* Write down all that waits. 0, -ENOTSUP (a part of a file is among it), -ENOMEM, -ENOBUFS. */
int crew__queue_pack(const struct crew__queue *q, uint32_t now, struct crew__parcel *parcel);

/* Fill an empty queue with it. 0; -EPROTO when it describes no queue, -ENOMEM: then the caller
 * drops what is in it. */
int crew__queue_unpack(
	struct crew__queue *q, struct crew__piece_pool *pool, crew_bytes packed, uint32_t now);

#endif
