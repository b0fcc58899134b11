#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "udp_ways.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

static socklen_t fill(const char *ip, uint16_t port, struct sockaddr_in6 *ret_address)
{
	struct sockaddr_in ipv4 = { .sin_family = AF_INET, .sin_port = port };
	memset(ret_address, 0, sizeof(*ret_address));
	if (inet_pton(AF_INET, ip, &ipv4.sin_addr) == 1) {
		memcpy(ret_address, &ipv4, sizeof(ipv4));
		return sizeof(ipv4);
	}
	ret_address->sin6_family = AF_INET6;
	ret_address->sin6_port = port;
	assert_int_equal(inet_pton(AF_INET6, ip, &ret_address->sin6_addr), 1);
	return sizeof(*ret_address);
}

static socklen_t size_of(const struct sockaddr_in6 *address)
{
	return address->sin6_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(*address);
}

int udp_bind(const char *ip, struct sockaddr_in6 *ret_address)
{
	struct sockaddr_in6 address;
	socklen_t size = fill(ip, 0, &address);
	int off = 0;
	int fd = socket(address.sin6_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	if (address.sin6_family == AF_INET6)
		assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	*ret_address = address;
	return fd;
}

struct sockaddr_in6 udp_at(const char *ip, const struct sockaddr_in6 *like)
{
	struct sockaddr_in6 address;
	fill(ip, like->sin6_port, &address); /* at the same place in both families */
	return address;
}

int udp_peer(const struct sockaddr_in6 *to, const char *from)
{
	struct sockaddr_in6 own;
	int fd = socket(to->sin6_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	if (from) {
		socklen_t size = fill(from, 0, &own);
		assert_int_equal(bind(fd, (struct sockaddr *)&own, size), 0);
	}
	assert_int_equal(connect(fd, (const struct sockaddr *)to, size_of(to)), 0);
	return fd;
}

void udp_says(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), 0), (ssize_t)strlen(text));
}

const char *udp_hears(struct world *world, int fd)
{
	static char room[1 << 16];
	uint64_t give_up = patience_ends();
	for (;;) {
		ssize_t n = recv(fd, room, sizeof(room) - 1, MSG_DONTWAIT);
		if (n >= 0) {
			room[n] = '\0';
			return room;
		}
		world_wait(world, give_up, "a datagram", __LINE__);
	}
}

bool udp_hears_nothing(struct world *world, int fd)
{
	char room[1];
	for (int i = 0; i < 10; i++) {
		world_turn(world, 1);
		if (recv(fd, room, sizeof(room), MSG_DONTWAIT) >= 0)
			return false;
	}
	return true;
}
