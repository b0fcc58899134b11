/* takeover.c - asking for sockets, and believing nothing of what comes but that they are sockets.
 */
#include "proc/takeover.h"

#include "base/clock.h"
#include "proc/endpoint.h"
#include "proc/wire.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	ANSWER_MS = 2000
};

/* Those of one packet. `*left`: how many are still to come after it. */
static int take_note(struct crew__message *message, struct crew__inherited *inherited, size_t *left)
{
	static struct crew__sockets_note note; /* large; one at a time */
	const size_t head = offsetof(struct crew__sockets_note, socket);
	if (message->length < head || message->length > sizeof(note))
		return -EPROTO;
	memcpy(&note, message->payload, message->length);
	if (note.count > CREW__SOCKETS_MOST || note.count != message->fd_count ||
		message->length != head + note.count * sizeof(note.socket[0]) ||
		note.total < inherited->count + note.count || note.total > CREW__INHERITED_MOST)
		return -EPROTO;
	for (unsigned i = 0; i < note.count; i++) {
		const struct crew__socket_note *from = &note.socket[i];
		struct crew__inherited_socket socket = {
			.place = from->place,
			.index = from->index,
			.file = { from->device, from->inode },
			.fd = crew__message_take_fd(message, i),
		};
		snprintf(socket.name, sizeof(socket.name), "%.*s",
			(int)strnlen(from->service, sizeof(from->service) - 1), from->service);
		int status = crew__inherited_add(inherited, &socket);
		if (status < 0)
			return status;
	}
	*left = note.total - inherited->count;
	/* One that sends nothing and promises more would keep us for ever. */
	return note.count == 0 && *left > 0 ? -EPROTO : 0;
}

static int converse(int fd, struct crew__inherited *inherited, char *ret_error, size_t error_size)
{
	static struct crew__message message; /* large; one at a time */
	uint64_t deadline = crew__clock_ns() + ANSWER_MS * CREW__NS_PER_MS;
	size_t left = 1;
	int status = crew__wire_send(fd, CREW__MSG_SOCKETS, NULL, 0, NULL, 0);
	while (status == 0 && left > 0) {
		int got = crew__wire_await(fd, &message, deadline);
		if (got != 1)
			return got == 0 ? -ECONNRESET : got;
		if (message.type == CREW__MSG_SOCKETS_ARE) {
			status = take_note(&message, inherited, &left);
		} else {
			snprintf(ret_error, error_size, "%s",
				message.type == CREW__MSG_REFUSED ? message.payload
								  : "its answer makes no sense");
			status = -EPROTO;
		}
		crew__message_release(&message);
	}
	return status;
}

int crew__takeover(const struct crew__settings *settings, struct crew__inherited *inherited,
	int *ret_talk, char *ret_error, size_t error_size)
{
	ret_error[0] = '\0';
	int fd = crew__endpoint_connect(settings->run_dir, settings->name);
	int status = fd < 0 ? fd : converse(fd, inherited, ret_error, error_size);
	if (status == 0) {
		*ret_talk = fd;
		return 0;
	}
	if (ret_error[0] == '\0')
		snprintf(ret_error, error_size, "%s",
			status == -ETIMEDOUT ? "it does not answer" : strerror(-status));
	crew__inherited_fini(inherited, true);
	if (fd >= 0)
		close(fd);
	return status;
}
