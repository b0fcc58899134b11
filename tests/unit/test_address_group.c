/* test_address_group.c - addresses that are multicast groups: recognised, joined, shared, or told
 * why not. On the loopback interface, so that nothing leaves the machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/address.h"

#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct crew__address parsed(const char *text)
{
	struct crew__address address;
	char why[256] = "";
	if (crew__address_parse(text, "/", &address, why, sizeof(why)))
		fail_msg("%s: %s", text, why);
	return address;
}

static int opened(struct crew__address *address)
{
	char why[256] = "";
	int fd = crew__address_listen(address, false, why, sizeof(why));
	if (fd < 0)
		fail_msg("%s: %s", address->text, why);
	return fd;
}

static void test_which_are_groups(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool group;
	} cases[] = {
		{ "udp://224.0.0.1:5", true },
		{ "udp://239.255.255.255:5", true },
		{ "udp://223.255.255.255:5", false },
		{ "udp://240.0.0.1:5", false },
		{ "udp://[ff02::1]:5", true },
		{ "udp://[fe80::1]:5", false },
		{ "udp://:5", false },
		{ "tcp://224.0.0.1:5", false },
		{ "unix:///tmp/x", false },
	};
	for (size_t i = 0; i < crew__lengthof(cases); i++) {
		struct crew__address address = parsed(cases[i].text);
		assert_int_equal(crew__address_is_group(&address), cases[i].group);
	}
}

static int sender(int family)
{
	struct ip_mreqn out = { .imr_ifindex = (int)if_nametoindex("lo") };
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	if (family == AF_INET)
		assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &out, sizeof(out)), 0);
	else
		assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &out.imr_ifindex,
					 sizeof(out.imr_ifindex)),
			0);
	return fd;
}

static bool hears(int fd)
{
	char byte;
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	return poll(&ready, 1, 2000) == 1 && recv(fd, &byte, 1, MSG_DONTWAIT) == 1;
}

/* Two members of a group at the same port; the kernel may not let the loopback carry it. */
static void two_members(const char *text)
{
	struct crew__address first = parsed(text);
	int a = opened(&first);
	struct crew__address second = first;
	int b = opened(&second);
	int from = sender(first.socket.ss_family);
	ssize_t n = sendto(from, "x", 1, 0, (struct sockaddr *)&first.socket, first.socket_size);
	bool carried = n == 1;
	if (carried) {
		assert_true(hears(a));
		assert_true(hears(b));
	}
	close(a);
	close(b);
	close(from);
	if (!carried)
		skip();
}

static void test_members_of_an_ipv4_group(void **state)
{
	(void)state;
	two_members("udp://239.255.70.7:0?interface=lo");
}

static void test_members_of_an_ipv6_group(void **state)
{
	(void)state;
	int probe = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in6 own = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
	bool ipv6 = probe >= 0 && bind(probe, (struct sockaddr *)&own, sizeof(own)) == 0;
	if (probe >= 0)
		close(probe);
	if (!ipv6)
		skip();
	two_members("udp://[ff01::7007%lo]:0");
	two_members("udp://[ff01::7007%lo]:0?interface=lo");
}

static void test_what_is_no_group_is_not_shared(void **state)
{
	(void)state;
	char why[256] = "";
	struct crew__address first = parsed("udp://127.0.0.1:0");
	int a = opened(&first);
	struct crew__address second = first;
	assert_int_equal(crew__address_listen(&second, false, why, sizeof(why)), -EADDRINUSE);
	assert_non_null(strstr(why, "UDP port"));
	close(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_which_are_groups),
		cmocka_unit_test(test_members_of_an_ipv4_group),
		cmocka_unit_test(test_members_of_an_ipv6_group),
		cmocka_unit_test(test_what_is_no_group_is_not_shared),
	};
	return cmocka_run_group_tests_name("multicast groups", tests, NULL, NULL);
}
