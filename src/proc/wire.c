/* wire.c - packing a message into a packet, and a packet into a message. */
#include "proc/wire.h"

#include "base/clock.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

struct header {
	uint32_t magic;
	uint16_t version;
	uint16_t type;
	uint32_t length;
	uint32_t reserved;
};

union ancillary {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int) * CREW__WIRE_MAX_FDS)];
};

int crew__wire_pair(int ret_fds[2])
{
	int type = SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC;
	return socketpair(AF_UNIX, type, 0, ret_fds) < 0 ? -errno : 0;
}

static void attach_fds(
	struct msghdr *packet, union ancillary *ancillary, const int *fds, size_t fd_count)
{
	packet->msg_control = ancillary->bytes;
	packet->msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
	struct cmsghdr *header = CMSG_FIRSTHDR(packet);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
	memcpy(CMSG_DATA(header), fds, sizeof(int) * fd_count);
}

int crew__wire_send(
	int fd, unsigned type, const void *payload, size_t length, const int *fds, size_t fd_count)
{
	if (length > CREW__WIRE_MAX || fd_count > CREW__WIRE_MAX_FDS || type > UINT16_MAX)
		return -EMSGSIZE;
	struct header header = {
		.magic = CREW__WIRE_MAGIC,
		.version = CREW__WIRE_VERSION,
		.type = (uint16_t)type,
		.length = (uint32_t)length,
	};
	struct iovec parts[2] = {
		{ .iov_base = &header, .iov_len = sizeof(header) },
		{ .iov_base = (void *)(uintptr_t)payload, .iov_len = length },
	};
	struct msghdr packet = { .msg_iov = parts, .msg_iovlen = length > 0 ? 2 : 1 };
	union ancillary ancillary;
	memset(&ancillary, 0, sizeof(ancillary));
	if (fds && fd_count > 0)
		attach_fds(&packet, &ancillary, fds, fd_count);

	ssize_t sent;
	do
		sent = sendmsg(fd, &packet, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

int crew__wire_send_text(int fd, unsigned type, const char *text)
{
	return crew__wire_send(fd, type, text, crew__min(strlen(text), CREW__WIRE_MAX), NULL, 0);
}

/* Every descriptor that came must be closed some day, however odd the packet. */
static void collect_fds(struct msghdr *packet, struct crew__message *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(packet); c; c = CMSG_NXTHDR(packet, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (message->fd_count < CREW__WIRE_MAX_FDS)
				message->fds[message->fd_count++] = fd;
			else
				close(fd);
		}
	}
}

/* A peer that ended without reading all we sent is told as a reset, once, ahead of what it had said
 * before: its last words are still there. */
static ssize_t receive_packet(int fd, struct msghdr *packet)
{
	bool was_reset = false;
	for (;;) {
		ssize_t received = recvmsg(fd, packet, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (received >= 0)
			return received;
		if (errno == ECONNRESET && !was_reset)
			was_reset = true;
		else if (errno != EINTR)
			return -errno;
	}
}

static bool well_formed(const struct header *header, const struct msghdr *packet, size_t received)
{
	return !(packet->msg_flags & (MSG_TRUNC | MSG_CTRUNC)) && received >= sizeof(*header) &&
	       header->magic == CREW__WIRE_MAGIC && header->version == CREW__WIRE_VERSION &&
	       header->length == received - sizeof(*header) && header->length <= CREW__WIRE_MAX;
}

int crew__wire_receive(int fd, struct crew__message *ret_message)
{
	struct header header;
	struct iovec parts[2] = {
		{ .iov_base = &header, .iov_len = sizeof(header) },
		{ .iov_base = ret_message->payload, .iov_len = CREW__WIRE_MAX },
	};
	union ancillary ancillary;
	struct msghdr packet = {
		.msg_iov = parts,
		.msg_iovlen = 2,
		.msg_control = ancillary.bytes,
		.msg_controllen = sizeof(ancillary.bytes),
	};
	memset(&header, 0, sizeof(header));
	ret_message->fd_count = 0;

	ssize_t received = receive_packet(fd, &packet);
	if (received < 0)
		return (int)received;
	collect_fds(&packet, ret_message);
	/* A packet of ours is never empty, so nothing at all is the end. */
	if (received == 0) {
		crew__message_release(ret_message);
		return 0;
	}
	if (!well_formed(&header, &packet, (size_t)received)) {
		crew__message_release(ret_message);
		return -EPROTO;
	}
	ret_message->type = header.type;
	ret_message->length = header.length;
	ret_message->payload[header.length] = '\0';
	return 1;
}

int crew__wire_await(int fd, struct crew__message *ret_message, uint64_t deadline_ns)
{
	for (;;) {
		int got = crew__wire_receive(fd, ret_message);
		if (got != -EAGAIN)
			return got;
		uint64_t now = crew__clock_ns();
		if (now >= deadline_ns)
			return -ETIMEDOUT;
		uint64_t left_ms = (deadline_ns - now) / CREW__NS_PER_MS + 1;
		struct pollfd wait = { .fd = fd, .events = POLLIN };
		if (poll(&wait, 1, left_ms > INT32_MAX ? INT32_MAX : (int)left_ms) < 0 &&
			errno != EINTR)
			return -errno;
	}
}

int crew__message_take_fd(struct crew__message *message, unsigned index)
{
	if (index >= message->fd_count)
		return -1;
	int fd = message->fds[index];
	message->fds[index] = -1;
	return fd;
}

void crew__message_release(struct crew__message *message)
{
	for (unsigned i = 0; i < message->fd_count; i++)
		if (message->fds[i] >= 0)
			close(message->fds[i]);
	message->fd_count = 0;
}
