/* netstring.c - a protocol of our own through the public table: `5:hello,`. Echoes; a message
 * "all TEXT" goes to everybody. A body that begins with `!` cannot be decoded. */
#include <crew/crew.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	ENCODED,
	OPENS,
	CLOSES,
	ORDER
};

/* What the protocol remembers of a connection, and the service. */
struct state {
	size_t colon; /* length of the head once it is known */
	bool open;
};
struct guest {
	bool open;
};

static int64_t length_of(crew_bytes in, size_t *ret_head)
{
	size_t at = 0;
	int64_t length = 0;
	for (; at < in.len && in.data[at] >= '0' && in.data[at] <= '9'; at++) {
		if (at >= 9)
			return -EMSGSIZE;
		length = length * 10 + (in.data[at] - '0');
	}
	if (at == in.len)
		return 0;
	if (!at || in.data[at] != ':')
		return -EPROTO;
	*ret_head = at + 1;
	return (int64_t)at + 1 + length + 1;
}

static int64_t cut(crew_conn *c, crew_bytes in)
{
	struct state *state = crew_protocol_state(c);
	return length_of(in, &state->colon);
}

static int decode(crew_conn *c, crew_bytes in, crew_msg *ret_msg)
{
	const struct state *state = crew_protocol_state(c);
	if (in.data[in.len - 1] != ',')
		return -EPROTO;
	ret_msg->body = (crew_bytes){ in.data + state->colon, in.len - state->colon - 1 };
	ret_msg->kind = CREW_TEXT;
	return ret_msg->body.len && ret_msg->body.data[0] == '!' ? -EPROTO : 0;
}

static int encode(crew_conn *c, crew_kind kind, crew_frame *frame)
{
	(void)kind;
	crew_count(crew_worker_of(c), ENCODED, 1);
	int n = snprintf(frame->room, sizeof(frame->room), "%zu:", frame->body.len);
	frame->head = (crew_bytes){ frame->room, (size_t)n };
	frame->tail = CREW_BYTES(",");
	return 0;
}

static void protocol_open(crew_conn *c)
{
	struct state *state = crew_protocol_state(c);
	state->open = true;
}

/* Comes after the service's on_close, which left its mark. */
static void protocol_close(crew_conn *c)
{
	const struct state *state = crew_protocol_state(c);
	const struct guest *guest = crew_data(c);
	if (!state->open || guest->open)
		crew_count(crew_worker_of(c), ORDER, 1);
}

static void on_open(crew_conn *c)
{
	const struct state *state = crew_protocol_state(c);
	struct guest *guest = crew_data(c);
	guest->open = true;
	if (!state->open)
		crew_count(crew_worker_of(c), ORDER, 1);
	crew_count(crew_worker_of(c), OPENS, 1);
}

static void on_close(crew_conn *c)
{
	struct guest *guest = crew_data(c);
	guest->open = false;
	crew_count(crew_worker_of(c), CLOSES, 1);
}

static void on_message(crew_conn *c, crew_msg msg)
{
	if (msg.body.len > 4 && !memcmp(msg.body.data, "all ", 4)) {
		crew_shared *s = crew_shared_new(
			(crew_bytes){ msg.body.data + 4, msg.body.len - 4 });
		crew_broadcast(crew_service_of(c), s);
		crew_shared_unref(s);
	} else {
		crew_send(c, msg.body);
	}
}

int main(int argc, char **argv)
{
	static const crew_protocol netstring = {
		.name = "netstring",
		.state_size = sizeof(struct state),
		.cut = cut,
		.decode = decode,
		.encode = encode,
		.on_open = protocol_open,
		.on_close = protocol_close,
	};
	static const crew_service net = {
		.name = "net",
		.listen = "netstring://127.0.0.1:7103",
		.protocol = &netstring,
		.conn_size = sizeof(struct guest),
		.stop_timeout_ms = 500,
		.on_open = on_open,
		.on_close = on_close,
		.on_message = on_message,
	};
	return crew_main(argc, argv, &(crew_app){
		.services = { &net },
		.counters = {
			{ "encoded", "messages", "how often encode ran" },
			{ "opens", "connections", "how often on_open ran" },
			{ "closes", "connections", "how often on_close ran" },
			{ "order", "faults", "callbacks in the wrong order" },
		},
	});
}
