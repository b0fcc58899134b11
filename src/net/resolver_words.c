/* resolver_words.c - hosts and lists of name servers as text.
 *
 * Not here: listening addresses (address.h). */
#include "net/resolver.h"

#include "net/resolver_parts.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	LABEL_MOST = 63,
	DNS_PORT = 53,
	PORT_DIGITS = 5,
	WORD_MOST = INET6_ADDRSTRLEN + 2 + 1 + PORT_DIGITS
};

/* ---- hosts --------------------------------------------------------------------------------- */

static bool read_zone(const char *zone, uint32_t *ret_scope)
{
	char *end;
	*ret_scope = if_nametoindex(zone);
	if (*ret_scope != 0)
		return true;
	if (zone[0] < '0' || zone[0] > '9')
		return false;
	errno = 0;
	unsigned long number = strtoul(zone, &end, 10);
	*ret_scope = (uint32_t)number;
	return *end == '\0' && errno == 0 && number > 0 && number <= UINT32_MAX;
}

static bool read_ipv6(const char *host, struct sockaddr_in6 *address)
{
	char text[INET6_ADDRSTRLEN];
	size_t length = strcspn(host, "%");
	if (length >= sizeof(text))
		return false;
	memcpy(text, host, length);
	text[length] = '\0';
	if (inet_pton(AF_INET6, text, &address->sin6_addr) != 1)
		return false;
	address->sin6_family = AF_INET6;
	return host[length] == '\0' || read_zone(host + length + 1, &address->sin6_scope_id);
}

bool crew__host_is_numeric(const char *host, struct sockaddr_storage *ret_address)
{
	struct sockaddr_in ipv4 = { .sin_family = AF_INET };
	struct sockaddr_in6 ipv6 = { 0 };
	if (inet_pton(AF_INET, host, &ipv4.sin_addr) == 1) {
		*ret_address = (struct sockaddr_storage){ 0 };
		memcpy(ret_address, &ipv4, sizeof(ipv4));
		return true;
	}
	if (!read_ipv6(host, &ipv6))
		return false;
	*ret_address = (struct sockaddr_storage){ 0 };
	memcpy(ret_address, &ipv6, sizeof(ipv6));
	return true;
}

static bool is_name_byte(char byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
	       (byte >= '0' && byte <= '9') || byte == '-' || byte == '_';
}

bool crew__host_is_name(const char *host)
{
	size_t label = 0, length = strnlen(host, CREW__HOST_MOST + 2);
	if (length > 0 && host[length - 1] == '.')
		length--; /* fully qualified: no search domain */
	if (length == 0 || length > CREW__HOST_MOST)
		return false;
	for (size_t i = 0; i < length; i++) {
		bool dot = host[i] == '.';
		if (dot ? label == 0 : !is_name_byte(host[i]) || label == LABEL_MOST)
			return false;
		label = dot ? 0 : label + 1;
	}
	return label > 0;
}

/* ---- servers ------------------------------------------------------------------------------- */

static bool read_port(const char *text, int *ret_port)
{
	size_t digits = strspn(text, "0123456789");
	long port = digits > 0 && digits <= PORT_DIGITS ? strtol(text, NULL, 10) : 0;
	*ret_port = (int)port;
	return text[digits] == '\0' && port > 0 && port <= UINT16_MAX;
}

/* Split HOST, HOST:PORT, [IPV6]:PORT where a port is; an IPv6 address without brackets has none. */
static bool split_port(char *word, char **ret_host, int *ret_port)
{
	char *colon = strchr(word, ':');
	*ret_host = word;
	*ret_port = DNS_PORT;
	if (word[0] == '[') {
		char *bracket = strchr(word, ']');
		if (!bracket)
			return false;
		*ret_host = word + 1;
		*bracket = '\0';
		return bracket[1] == '\0' ||
		       (bracket[1] == ':' && read_port(bracket + 2, ret_port));
	}
	if (!colon || strchr(colon + 1, ':'))
		return true;
	*colon = '\0';
	return read_port(colon + 1, ret_port);
}

static bool read_server(char *word, struct ares_addr_port_node *server)
{
	bool bracket = word[0] == '[';
	char *host;
	int port;
	if (!split_port(word, &host, &port))
		return false;
	*server = (struct ares_addr_port_node){ .udp_port = port, .tcp_port = port };
	server->family = AF_INET;
	if (!bracket && inet_pton(AF_INET, host, &server->addr.addr4) == 1)
		return true;
	server->family = AF_INET6;
	return inet_pton(AF_INET6, host, &server->addr.addr6) == 1;
}

size_t crew__servers_parse(
	const char *text, struct ares_addr_port_node ret_servers[CREW__SERVERS_MOST])
{
	static const char between[] = " ,\t";
	size_t count = 0;
	for (text += strspn(text, between); *text; text += strspn(text, between)) {
		char word[WORD_MOST + 1];
		size_t length = strcspn(text, between);
		if (length > WORD_MOST || count == CREW__SERVERS_MOST)
			return 0;
		memcpy(word, text, length);
		word[length] = '\0';
		if (!read_server(word, &ret_servers[count]))
			return 0;
		if (count > 0)
			ret_servers[count - 1].next = &ret_servers[count];
		count++;
		text += length;
	}
	return count;
}

bool crew__resolver_servers_good(const char *servers)
{
	struct ares_addr_port_node nodes[CREW__SERVERS_MOST];
	return crew__servers_parse(servers, nodes) > 0;
}
