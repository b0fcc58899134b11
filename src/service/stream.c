/* stream.c - raw streams, lines, frames, and the program's own protocols: bytes to messages. */
#include "service/datagram.h"

#include "proto/line.h"

#include <string.h>

/* One message at the front of `in`: how many bytes it takes, 0 when it is not whole, or a negative
 * errno. */
static int64_t cut_custom(crew_conn *c, crew_bytes in, crew_msg *ret_msg)
{
	crew_worker *w = crew__worker_of(c);
	const crew_protocol *protocol = w->service->protocol;
	struct crew__entered before = crew__enter(w, CREW__CB_PROTOCOL);
	int64_t n = protocol->cut(c, in);
	size_t most = crew__conn_most_of(c, w->max_message);
	if ((n > 0 && (uint64_t)n > most) || (n == 0 && in.len > most))
		n = -EMSGSIZE;
	if (n > 0 && (uint64_t)n <= in.len) {
		*ret_msg = (crew_msg){ { in.data, (size_t)n }, CREW_BINARY };
		int error = protocol->decode ? protocol->decode(c, ret_msg->body, ret_msg) : 0;
		n = error < 0 ? error : n;
	} else if (n > 0) {
		n = 0;
	}
	crew__leave(w, before);
	return n;
}

int64_t crew__stream_cut(crew_conn *c, crew_bytes in, crew_msg *ret_msg)
{
	crew_worker *w = crew__worker_of(c);
	size_t most = crew__conn_most_of(c, w->max_message);
	*ret_msg = (crew_msg){ in, CREW_BINARY };
	switch (w->kind) {
	case CREW__TEXT:
		ret_msg->kind = CREW_TEXT;
		return crew__text_cut(in, most, &crew__side(c)->scanned, &ret_msg->body);
	case CREW__FRAME:
		return crew__frame_cut(in, most, &ret_msg->body);
	case CREW__CUSTOM:
		return cut_custom(c, in, ret_msg);
	default:
		return (int64_t)in.len;
	}
}

static const char *what_is_wrong(int64_t error)
{
	return error == -EMSGSIZE ? "message is longer than max_message" : "message is malformed";
}

size_t crew__stream_data(crew_conn *c, char *data, size_t len)
{
	size_t used = 0;
	while (used < len && crew__conn_ready(c)) {
		crew_msg msg;
		int64_t n = crew__stream_cut(c, (crew_bytes){ data + used, len - used }, &msg);
		if (n < 0) {
			crew__service_violation(c, 0, what_is_wrong(n));
			return len;
		}
		if (n == 0)
			break;
		used += (size_t)n;
		if (c->record->state <= CREW__CONN_OPEN) /* decode may have closed it */
			crew__service_message(c, msg);
	}
	return c->record->state > CREW__CONN_OPEN ? len : used;
}
