/* address_group.c - UDP addresses that are multicast groups: joining them.
 *
 * The socket is bound to the group itself, so that other datagrams to the same port do not come in
 * by it. Membership is the socket's: it lasts as long as the master keeps that, whoever reads from
 * it. */
#include "net/address_open.h"

#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

bool crew__address_is_group(const struct crew__address *address)
{
	struct sockaddr_in ipv4;
	struct sockaddr_in6 ipv6;
	if (address->transport != CREW__UDP)
		return false;
	memcpy(&ipv4, &address->socket, sizeof(ipv4));
	memcpy(&ipv6, &address->socket, sizeof(ipv6));
	if (address->socket.ss_family == AF_INET)
		return IN_MULTICAST(ntohl(ipv4.sin_addr.s_addr));
	return IN6_IS_ADDR_MULTICAST(&ipv6.sin6_addr);
}

/* 0: whichever the routes say. */
static unsigned interface_of(const struct crew__address *address)
{
	if (crew__option_given(&address->options, CREW__OPTION_interface))
		return if_nametoindex(address->options.interface);
	return 0;
}

static int join_ipv4(int fd, const struct crew__address *address)
{
	struct sockaddr_in group;
	memcpy(&group, &address->socket, sizeof(group));
	struct ip_mreqn request = {
		.imr_multiaddr = group.sin_addr,
		.imr_ifindex = (int)interface_of(address),
	};
	return setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof(request));
}

static int join_ipv6(int fd, const struct crew__address *address)
{
	struct sockaddr_in6 group;
	memcpy(&group, &address->socket, sizeof(group));
	unsigned interface = interface_of(address);
	struct ipv6_mreq request = {
		.ipv6mr_multiaddr = group.sin6_addr,
		.ipv6mr_interface = interface > 0 ? interface : group.sin6_scope_id,
	};
	return setsockopt(fd, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &request, sizeof(request));
}

int crew__address_join(int fd, const struct crew__address_attempt *attempt)
{
	const struct crew__address *address = attempt->address;
	if (!crew__address_is_group(address))
		return 0;
	int status = address->socket.ss_family == AF_INET ? join_ipv4(fd, address)
							  : join_ipv6(fd, address);
	if (status == 0)
		return 0;
	int error = -errno;
	if (error == -ENODEV)
		return crew__address_fail(attempt, error,
			"cannot join the group %s: there is no route for it; name the network "
			"interface, as in ?interface=eth0",
			address->text);
	return crew__address_fail(
		attempt, error, "cannot join the group %s: %s", address->text, strerror(-error));
}
