/* address_text.c - addresses as connection records keep them, and as they are shown. */
#include "net/address_parts.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

/* ---- records -------------------------------------------------------------------------------- */

static void record_ipv4(const uint8_t ip[4], uint16_t port, struct crew__record_address *record)
{
	record->family = AF_INET;
	record->port = ntohs(port);
	record->ip[10] = record->ip[11] = 0xff;
	memcpy(record->ip + 12, ip, 4);
}

static void record_ipv6(const struct sockaddr_in6 *socket, struct crew__record_address *record)
{
	/* An IPv4 peer of a socket for every address. */
	if (IN6_IS_ADDR_V4MAPPED(&socket->sin6_addr)) {
		record_ipv4(socket->sin6_addr.s6_addr + 12, socket->sin6_port, record);
		return;
	}
	record->family = AF_INET6;
	record->port = ntohs(socket->sin6_port);
	record->scope = socket->sin6_scope_id;
	memcpy(record->ip, &socket->sin6_addr, sizeof(record->ip));
}

void crew__address_record(const struct sockaddr *address, struct crew__record_address *ret_record)
{
	struct sockaddr_in ipv4;
	struct sockaddr_in6 ipv6;
	memset(ret_record, 0, sizeof(*ret_record));
	switch (address ? address->sa_family : AF_UNSPEC) {
	case AF_INET:
		memcpy(&ipv4, address, sizeof(ipv4));
		record_ipv4((const uint8_t *)&ipv4.sin_addr, ipv4.sin_port, ret_record);
		break;
	case AF_INET6:
		memcpy(&ipv6, address, sizeof(ipv6));
		record_ipv6(&ipv6, ret_record);
		break;
	case AF_UNIX:
		ret_record->family = AF_UNIX;
		break;
	default:
		break;
	}
}

/* ---- Unix sockets -------------------------------------------------------------------------- */

/* What a record has room for of an abstract name: enough to tell most from each other. The bytes of
 * `ip` and `scope` stand side by side. */
enum {
	NAME_KEPT = 20
};
_Static_assert(offsetof(struct crew__record_address, scope) == 16, "one run of bytes");

/* The kernel's length is what tells an abstract name's end; it may hold any bytes, NUL too. */
static size_t name_length(const struct sockaddr_un *socket, socklen_t size)
{
	const size_t head = offsetof(struct sockaddr_un, sun_path);
	size_t length = size > head ? size - head : 0;
	length = crew__min(length, sizeof(socket->sun_path));
	return length > 1 && socket->sun_path[0] == '\0' ? length - 1 : 0;
}

void crew__address_record_of(const struct sockaddr_storage *address, socklen_t size,
	struct crew__record_address *ret_record)
{
	struct sockaddr_un socket;
	crew__address_record((const struct sockaddr *)address, ret_record);
	if (ret_record->family != AF_UNIX)
		return;
	memcpy(&socket, address, sizeof(socket));
	size_t length = name_length(&socket, size);
	ret_record->port = (uint16_t)length;
	memcpy(ret_record, socket.sun_path + 1, crew__min(length, NAME_KEPT));
}

size_t crew__address_unix_text(
	const struct sockaddr_storage *address, socklen_t size, char *text, size_t room)
{
	struct sockaddr_un socket;
	memcpy(&socket, address, sizeof(socket));
	size_t length = name_length(&socket, size);
	const char *bytes = socket.sun_path + (length > 0), *mark = length > 0 ? "unix:@" : "unix:";
	if (length == 0 && size > offsetof(struct sockaddr_un, sun_path))
		length = strnlen(socket.sun_path, sizeof(socket.sun_path));
	size_t used = (size_t)snprintf(text, room, "%s", mark);
	size_t left = used < room ? room - used : 0;
	return used + crew__address_encode(bytes, length, left ? text + used : NULL, left);
}

static int text_of_unix(const struct crew__record_address *record, char *text, size_t size)
{
	char name[NAME_KEPT * 3 + 1] = "";
	size_t kept = crew__min((size_t)record->port, NAME_KEPT);
	if (record->port == 0)
		return snprintf(text, size, "unix:");
	crew__address_encode((const char *)record, kept, name, sizeof(name));
	return snprintf(text, size, "unix:@%s%s", name, record->port > kept ? "..." : "");
}

/* ---- text ---------------------------------------------------------------------------------- */

size_t crew__address_bare(const struct crew__record_address *record, char *text, size_t size)
{
	char ip[INET6_ADDRSTRLEN] = "";
	bool ipv4 = record->family == AF_INET;
	if (!ipv4 && record->family != AF_INET6)
		return crew__address_text(record, text, size);
	inet_ntop(record->family, ipv4 ? record->ip + 12 : record->ip, ip, sizeof(ip));
	int length = record->scope ? snprintf(text, size, "%s%%%u", ip, record->scope)
				   : snprintf(text, size, "%s", ip);
	return length < 0 ? 0 : (size_t)length;
}

size_t crew__address_text(const struct crew__record_address *record, char *text, size_t size)
{
	char ip[INET6_ADDRSTRLEN] = "";
	int length = 0;
	switch (record->family) {
	case AF_INET:
		inet_ntop(AF_INET, record->ip + 12, ip, sizeof(ip));
		length = snprintf(text, size, "%s:%u", ip, record->port);
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, record->ip, ip, sizeof(ip));
		length = record->scope ? snprintf(text, size, "[%s%%%u]:%u", ip, record->scope,
						 record->port)
				       : snprintf(text, size, "[%s]:%u", ip, record->port);
		break;
	case AF_UNIX:
		length = text_of_unix(record, text, size);
		break;
	default:
		length = snprintf(text, size, "?");
		break;
	}
	return length < 0 ? 0 : (size_t)length;
}
