/* udp.c - mode `udp`: datagrams go back to where they came from, as many at once as are there. */
#include "floor.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH 64
/* Rooms whose beginnings do not share cache lines' sets. */
#define ROOM (2048 + 64)

static struct mmsghdr messages[BATCH];
static struct iovec vectors[BATCH];
static struct sockaddr_in names[BATCH];
static char rooms[BATCH][ROOM];

static int bind_to(uint16_t port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at))) {
		fprintf(stderr, "floor: UDP port %u: %s\n", port, strerror(errno));
		return -1;
	}
	return fd;
}

static void prepare(void)
{
	for (int i = 0; i < BATCH; i++) {
		vectors[i] = (struct iovec){ rooms[i], ROOM };
		messages[i].msg_hdr = (struct msghdr){
			.msg_name = &names[i],
			.msg_namelen = sizeof(names[i]),
			.msg_iov = &vectors[i],
			.msg_iovlen = 1,
		};
	}
}

static void echo(int fd)
{
	int count = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);

	for (int i = 0; i < count; i++)
		vectors[i].iov_len = messages[i].msg_len;
	for (int sent = 0; sent < count;) {
		int n = sendmmsg(fd, messages + sent, (unsigned)(count - sent), 0);

		if (n <= 0)
			break;
		sent += n;
	}
	for (int i = 0; i < count; i++) {
		vectors[i].iov_len = ROOM;
		messages[i].msg_hdr.msg_namelen = sizeof(names[i]);
	}
}

int floor_udp(int epoll_fd, int terminator_fd, uint16_t port)
{
	struct epoll_event event = { .events = EPOLLIN };
	int fd = bind_to(port);

	if (fd < 0)
		return 1;
	event.data.fd = fd;
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
	event.data.fd = terminator_fd;
	epoll_ctl(epoll_fd, EPOLL_CTL_MOD, terminator_fd, &event);
	prepare();
	for (;;) {
		struct epoll_event events[2];
		int count = epoll_wait(epoll_fd, events, 2, -1);

		for (int i = 0; i < count; i++) {
			if (events[i].data.fd == terminator_fd)
				_exit(0);
			echo(fd);
		}
	}
}
