/* send_parts.h - what the ways to send share (send.c, shared.c); nobody else includes it. */
#ifndef CREW_SERVICE_SEND_PARTS_H
#define CREW_SERVICE_SEND_PARTS_H

#include "service/ws.h"

enum {
	CREW__KIND_EVENT = CREW_BINARY + 1, /* of shared messages: encoded as an event already */
};

static inline bool crew__send_is_valid(crew_bytes bytes, crew_kind kind)
{
	return (bytes.data || bytes.len == 0) && (unsigned)kind <= CREW_BINARY;
}

static inline size_t crew__frame_size(const crew_frame *frame)
{
	return frame->head.len + frame->body.len + frame->tail.len;
}

/* Put head and tail around frame->body; `how` is as in ws.h. 0, -EMSGSIZE, -EINVAL, -ENOMEM. */
int crew__send_encode(crew_conn *c, crew_kind kind, unsigned how, crew_frame *frame);
/* The kind that CREW_KIND_DEFAULT stands for. */
crew_kind crew__send_kind(const crew_conn *c, crew_kind kind);
/* A message is under way in parts: nothing may come between. */
static inline bool crew__send_is_busy(const crew_conn *c)
{
	return crew__unlikely(c->flags & CREW__C_PARTS) && c->record->protocol == CREW__WS;
}
/* Offer a message framed for this connection alone; `out` says how it is held, and is released in
 * every case. */
int64_t crew__send_framed(
	crew_conn *c, crew_bytes bytes, crew_kind kind, unsigned how, struct crew__out *out);

/* Whose counters tell of a send to nobody: the worker whose callback runs, else the first; NULL. */
struct crew__net *crew__send_net_of_nobody(void);
/* It was offered to one that has gone, or to nobody (`c` NULL): -ENOTCONN. */
int64_t crew__send_lose_closed(crew_conn *c, size_t bytes);
/* It can never be sent: counted, and `error` returned. `net` may be NULL. */
int64_t crew__send_refuse(struct crew__net *net, int error);

/* What that means for how it is framed (ws.h). */
unsigned crew__send_how(const struct crew__about *about, bool plain);
/* What is said of a message beside its kind, in net's terms. -EINVAL when it is not sound. */
int crew__send_about(const crew_send_options *options, struct crew__about *ret_about);

#endif
