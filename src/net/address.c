/* address.c - addresses as text, as the kernel's structs, and as connection records keep them.
 *
 * Not here: sockets (address_listen.c). No name is ever looked up: that could block. */
#include "net/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define EXAMPLES     "such as tcp://127.0.0.1:7001 or unix://RUNDIR/name.sock"
#define RUNDIR       "RUNDIR/"
#define UNIX_TAIL    "+unix"
#define SCHEME_BYTES "abcdefghijklmnopqrstuvwxyz0123456789"
#define PORT_RANGE   "a port is a number from 0 (any free one) to 65535"

enum {
	PORT_DIGITS = 5
};

/* Where a complaint goes. */
struct complaint {
	char *text;
	size_t size;
};

__attribute__((format(printf, 2, 3))) static int refuse(
	const struct complaint *complaint, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(complaint->text, complaint->size, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

/* ---- scheme --------------------------------------------------------------------------------- */

/* Take "unix" and "+unix" off the scheme. */
static enum crew__transport_kind split_transport(char *scheme)
{
	size_t length = strlen(scheme), tail = strlen(UNIX_TAIL);
	if (strcmp(scheme, "unix") == 0) {
		memcpy(scheme, "tcp", sizeof("tcp"));
		return CREW__UNIX;
	}
	if (length <= tail || strcmp(scheme + length - tail, UNIX_TAIL) != 0)
		return CREW__TCP;
	scheme[length - tail] = '\0';
	return CREW__UNIX;
}

/* `ret_rest` is what follows `://`. */
static int parse_scheme(const char *text, struct crew__address *address, const char **ret_rest,
	const struct complaint *complaint)
{
	const char *end = strstr(text, "://");
	size_t length = end ? (size_t)(end - text) : 0;
	if (length == 0)
		return refuse(complaint, "\"%.64s\" is no address: it needs a scheme, %s", text,
			EXAMPLES);
	if (length >= sizeof(address->scheme))
		return refuse(complaint, "the scheme of \"%.64s\" is too long", text);
	memcpy(address->scheme, text, length);
	address->scheme[length] = '\0';
	address->transport = split_transport(address->scheme);
	if (address->scheme[strspn(address->scheme, SCHEME_BYTES)] != '\0')
		return refuse(complaint,
			"the scheme of \"%.64s\" may hold only lower-case letters and digits, and "
			"%s at its end",
			text, UNIX_TAIL);
	*ret_rest = end + strlen("://");
	return 0;
}

/* ---- paths ---------------------------------------------------------------------------------- */

/* The path in full; the caller frees it. NULL without memory. */
static char *resolve(const char *path, const char *run_dir)
{
	char *full, *cwd;
	int length;
	if (path[0] == '/')
		return strdup(path);
	if (strncmp(path, RUNDIR, strlen(RUNDIR)) == 0) {
		length = asprintf(&full, "%s/%s", run_dir, path + strlen(RUNDIR));
		return length < 0 ? NULL : full;
	}
	cwd = getcwd(NULL, 0);
	if (!cwd)
		return NULL;
	length = asprintf(&full, "%s/%s", cwd, path);
	free(cwd);
	return length < 0 ? NULL : full;
}

static int parse_path(const char *path, const char *run_dir, struct crew__address *address,
	const struct complaint *complaint)
{
	struct sockaddr_un socket = { .sun_family = AF_UNIX };
	if (path[0] == '\0' || strcmp(path, RUNDIR) == 0)
		return refuse(complaint, "the path of the Unix socket is missing, %s", EXAMPLES);
	char *full = resolve(path, run_dir);
	if (!full) {
		refuse(complaint, "cannot resolve the path \"%.64s\": %s", path, strerror(errno));
		return -errno;
	}
	size_t length = strlen(full);
	if (length >= sizeof(socket.sun_path)) {
		refuse(complaint,
			"the path %.160s is too long: it has %zu bytes, and a Unix socket takes %zu",
			full, length, sizeof(socket.sun_path) - 1);
		free(full);
		return -ENAMETOOLONG;
	}
	memcpy(socket.sun_path, full, length + 1);
	free(full);
	memcpy(&address->socket, &socket, sizeof(socket));
	address->socket_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
	return 0;
}

/* ---- hosts and ports ------------------------------------------------------------------------ */

static int parse_port(const char *text, uint16_t *ret_port, const struct complaint *complaint)
{
	size_t digits = strspn(text, "0123456789");
	if (text[0] == '\0')
		return refuse(complaint, "the port is missing: " PORT_RANGE);
	if (digits == 0 || digits > PORT_DIGITS || text[digits] != '\0')
		return refuse(complaint, "\"%.64s\" is no port: " PORT_RANGE, text);
	unsigned long port = strtoul(text, NULL, 10);
	if (port > UINT16_MAX)
		return refuse(complaint, "\"%.64s\" is no port: " PORT_RANGE, text);
	*ret_port = (uint16_t)port;
	return 0;
}

static void set_ipv4(struct crew__address *address, struct in_addr host, uint16_t port)
{
	struct sockaddr_in socket = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = host
	};
	memcpy(&address->socket, &socket, sizeof(socket));
	address->socket_size = sizeof(socket);
}

static void set_ipv6(
	struct crew__address *address, struct in6_addr host, uint32_t scope, uint16_t port)
{
	struct sockaddr_in6 socket = { .sin6_family = AF_INET6,
		.sin6_port = htons(port),
		.sin6_addr = host,
		.sin6_scope_id = scope };
	memcpy(&address->socket, &socket, sizeof(socket));
	address->socket_size = sizeof(socket);
}

/* A zone is an interface's name or number. */
static int parse_zone(const char *zone, uint32_t *ret_scope, const struct complaint *complaint)
{
	uint32_t scope = if_nametoindex(zone);
	char *end = NULL;
	if (scope == 0 && zone[0] >= '0' && zone[0] <= '9') {
		unsigned long number = strtoul(zone, &end, 10);
		if (*end == '\0' && number <= UINT32_MAX)
			scope = (uint32_t)number;
	}
	if (scope == 0)
		return refuse(complaint, "there is no network interface \"%.64s\"", zone);
	*ret_scope = scope;
	return 0;
}

/* What stands between the brackets; `host` is changed. */
static int parse_ipv6(
	char *host, uint16_t port, struct crew__address *address, const struct complaint *complaint)
{
	struct in6_addr ip;
	uint32_t scope = 0;
	char *zone = strchr(host, '%');
	if (zone)
		*zone++ = '\0';
	if (inet_pton(AF_INET6, host, &ip) != 1)
		return refuse(
			complaint, "\"%.64s\" is no IPv6 address; one looks like [::1]", host);
	if (zone && parse_zone(zone, &scope, complaint))
		return -EINVAL;
	set_ipv6(address, ip, scope, port);
	return 0;
}

static int parse_host(const char *host, uint16_t port, struct crew__address *address,
	const struct complaint *complaint)
{
	struct in_addr ip;
	if (host[0] == '\0' || strcmp(host, "*") == 0) {
		address->every = true;
		set_ipv6(address, in6addr_any, 0, port);
		return 0;
	}
	if (strcmp(host, "localhost") == 0)
		host = "127.0.0.1";
	if (strchr(host, ':'))
		return refuse(complaint,
			"\"%.64s\" is no host: an IPv6 address stands in brackets, such as [::1]",
			host);
	if (inet_pton(AF_INET, host, &ip) != 1)
		return refuse(complaint,
			"\"%.64s\" is no numeric address: write one such as 127.0.0.1 or [::1], "
			"localhost, or nothing for every address",
			host);
	set_ipv4(address, ip, port);
	return 0;
}

static int parse_tcp(
	const char *rest, struct crew__address *address, const struct complaint *complaint)
{
	char host[128];
	uint16_t port = 0;
	bool bracket = rest[0] == '[';
	const char *end = bracket ? strchr(rest, ']') : strrchr(rest, ':');
	if (bracket && !end)
		return refuse(complaint, "the bracket of \"%.64s\" is not closed", rest);
	if (bracket)
		rest++;
	const char *colon = bracket ? end + 1 : end;
	if (!colon || *colon != ':')
		return refuse(complaint, "\"%.64s\" has no port, %s", rest, EXAMPLES);
	if ((size_t)(end - rest) >= sizeof(host))
		return refuse(complaint, "the host \"%.64s...\" is too long", rest);
	memcpy(host, rest, (size_t)(end - rest));
	host[end - rest] = '\0';
	int error = parse_port(colon + 1, &port, complaint);
	if (error)
		return error;
	return bracket ? parse_ipv6(host, port, address, complaint)
		       : parse_host(host, port, address, complaint);
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* As it was written; only a path may have changed. */
static void write_text(const char *text, const char *rest, struct crew__address *address)
{
	const char *shown = rest;
	if (address->transport == CREW__UNIX)
		shown = ((const struct sockaddr_un *)(const void *)&address->socket)->sun_path;
	snprintf(address->text, sizeof(address->text), "%.*s%s", (int)(rest - text), text, shown);
}

int crew__address_parse(const char *text, const char *run_dir, struct crew__address *ret_address,
	char *ret_error, size_t error_size)
{
	const struct complaint complaint = { ret_error, error_size };
	struct crew__address address = { 0 };
	const char *rest = text;
	int error = parse_scheme(text, &address, &rest, &complaint);
	if (error)
		return error;
	if (address.transport == CREW__UNIX)
		error = parse_path(rest, run_dir, &address, &complaint);
	else
		error = parse_tcp(rest, &address, &complaint);
	if (error)
		return error;
	write_text(text, rest, &address);
	*ret_address = address;
	return 0;
}

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
		length = snprintf(text, size, "unix:");
		break;
	default:
		length = snprintf(text, size, "?");
		break;
	}
	return length < 0 ? 0 : (size_t)length;
}
