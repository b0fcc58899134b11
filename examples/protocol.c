/* protocol.c - a protocol of one's own: netstrings, `5:hello,` on the wire.
 *
 *   build/examples/protocol start
 *   printf '5:hello,3:abc,' | nc -q1 127.0.0.1 7005
 *
 * crew hands over the bytes of a stream as they arrive, in whatever portions the network made of
 * them. Three functions turn them into messages and messages into bytes:
 *
 *   cut     how long is the first message, frame included? Asked again when more bytes have come
 *   decode  what is inside that frame? A view into it, nothing is copied
 *   encode  what must stand before and after a message that leaves?
 *
 * They know no sockets: the limits (max_message, max_send_buffer, timeouts), the send queue and the
 * numbers in `status` are the same as for the protocols that crew brings along. */
#include <crew/crew.h>

#include <errno.h>
#include <stdio.h>

/* A length of more digits than this is refused before it is read to its end. */
#define DIGITS_MOST 9

/* The number before the colon and how many bytes it and the colon take; 0 bytes when the colon has
 * not come yet, -EPROTO when these cannot become a length. */
static int read_length(crew_bytes in, size_t *ret_length)
{
	size_t length = 0;

	for (size_t i = 0; i < in.len; i++) {
		char byte = in.data[i];
		if (byte == ':' && i > 0) {
			*ret_length = length;
			return (int)i + 1;
		}
		/* One way to write each number: no sign, no space, no zero in front. */
		if (byte < '0' || byte > '9' || i == DIGITS_MOST || (i == 1 && length == 0))
			return -EPROTO;
		length = length * 10 + (size_t)(byte - '0');
	}
	return 0;
}

static int64_t cut(crew_conn *c, crew_bytes in)
{
	size_t length;
	int head = read_length(in, &length);

	(void)c;
	if (head <= 0)
		return head;
	return head + (int64_t)length + 1; /* and the comma */
}

static int decode(crew_conn *c, crew_bytes in, crew_msg *ret_msg)
{
	size_t length = 0;
	int head = read_length(in, &length);

	(void)c;
	if (in.data[in.len - 1] != ',')
		return -EPROTO;
	ret_msg->body = (crew_bytes){ in.data + head, length };
	ret_msg->kind = CREW_BINARY;
	return 0;
}

static int encode(crew_conn *c, crew_kind kind, crew_frame *frame)
{
	(void)c;
	(void)kind;
	if (frame->body.len > 999999999) /* DIGITS_MOST nines */
		return -EMSGSIZE;
	int len = snprintf(frame->room, sizeof(frame->room), "%zu:", frame->body.len);
	frame->head = (crew_bytes){ frame->room, (size_t)len };
	frame->tail = CREW_BYTES(",");
	return 0;
}

static void echo(crew_conn *c, crew_msg msg)
{
	crew_send(c, msg.body);
}

int main(int argc, char **argv)
{
	static const crew_protocol netstring = {
		.name = "netstring",
		.cut = cut,
		.decode = decode,
		.encode = encode,
	};
	static const crew_service service = {
		.name = "netstring",
		.listen = "netstring://127.0.0.1:7005",
		.protocol = &netstring,
		.on_message = echo,
		.handover = true, /* a reload ends no connection: nothing is kept for one */
	};
	return crew_main(argc, argv, &(crew_app){ .name = "protocol", .services = { &service } });
}
