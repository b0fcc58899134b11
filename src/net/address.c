/* address.c - what is written as an address: its scheme, host and port, and several of them.
 *
 * Not here: paths (address_path.c), options (address_options.c), sockets (address_listen.c). No
 * name is ever looked up: that could block. */
#include "net/address.h"

#include "net/address_parts.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define TAILS        "+unix or +udp"
#define SCHEME_BYTES "abcdefghijklmnopqrstuvwxyz0123456789"
#define PORT_RANGE   "a port is a number from 0 (any free one) to 65535"

#define BLANKS " \t"

enum {
	PORT_DIGITS = 5,
	MORE_MAX = sizeof(" and 16 more")
};

/* ---- scheme --------------------------------------------------------------------------------- */

/* Take the transport off the scheme; what is left speaks over it. */
static enum crew__transport_kind split_transport(char *scheme)
{
	static const struct {
		const char *tail;
		enum crew__transport_kind transport;
	} tails[] = { { "+unix", CREW__UNIX }, { "+udp", CREW__UDP } };
	if (strcmp(scheme, "unix") == 0) {
		memcpy(scheme, "tcp", sizeof("tcp"));
		return CREW__UNIX;
	}
	if (strcmp(scheme, "udp") == 0)
		return CREW__UDP;
	for (size_t i = 0; i < crew__lengthof(tails); i++) {
		size_t length = strlen(scheme), tail = strlen(tails[i].tail);
		if (length <= tail || strcmp(scheme + length - tail, tails[i].tail) != 0)
			continue;
		scheme[length - tail] = '\0';
		return tails[i].transport;
	}
	return CREW__TCP;
}

/* Some names say a protocol and TLS in one word. */
static bool split_tls(char *scheme)
{
	static const char *const names[][2] = { { "tls", "tcp" }, { "https", "http" },
		{ "wss", "ws" } };
	for (size_t i = 0; i < crew__lengthof(names); i++) {
		if (strcmp(scheme, names[i][0]) != 0)
			continue;
		memcpy(scheme, names[i][1], strlen(names[i][1]) + 1);
		return true;
	}
	return false;
}

/* `ret_rest` is what follows `://`. */
static int parse_scheme(const char *text, struct crew__address *address, const char **ret_rest,
	const struct crew__complaint *complaint)
{
	const char *end = strstr(text, "://");
	size_t length = end ? (size_t)(end - text) : 0;
	if (length == 0)
		return crew__complain(complaint, -EINVAL,
			"\"%.64s\" is no address: it needs a scheme, %s", text,
			CREW__ADDRESS_EXAMPLES);
	if (length >= sizeof(address->scheme))
		return crew__complain(
			complaint, -EINVAL, "the scheme of \"%.64s\" is too long", text);
	memcpy(address->scheme, text, length);
	address->scheme[length] = '\0';
	address->transport = split_transport(address->scheme);
	address->tls = split_tls(address->scheme);
	if (address->scheme[strspn(address->scheme, SCHEME_BYTES)] != '\0')
		return crew__complain(complaint, -EINVAL,
			"the scheme of \"%.64s\" may hold only lower-case letters and digits, and "
			"%s at its end",
			text, TAILS);
	if (address->tls && address->transport == CREW__UDP)
		return crew__complain(complaint, -EINVAL,
			"\"%.64s\": TLS needs a stream; there is none over UDP", text);
	if (address->transport == CREW__UDP && strcmp(address->scheme, "tcp") == 0)
		return crew__complain(
			complaint, -EINVAL, "\"%.64s\" is neither: write tcp:// or udp://", text);
	*ret_rest = end + strlen("://");
	return 0;
}

/* ---- hosts and ports ------------------------------------------------------------------------ */

static int parse_port(const char *text, uint16_t *ret_port, const struct crew__complaint *complaint)
{
	size_t digits = strspn(text, "0123456789");
	if (text[0] == '\0')
		return crew__complain(complaint, -EINVAL, "the port is missing: " PORT_RANGE);
	if (digits == 0 || digits > PORT_DIGITS || text[digits] != '\0')
		return crew__complain(
			complaint, -EINVAL, "\"%.64s\" is no port: " PORT_RANGE, text);
	unsigned long port = strtoul(text, NULL, 10);
	if (port > UINT16_MAX)
		return crew__complain(
			complaint, -EINVAL, "\"%.64s\" is no port: " PORT_RANGE, text);
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
static int parse_zone(
	const char *zone, uint32_t *ret_scope, const struct crew__complaint *complaint)
{
	uint32_t scope = if_nametoindex(zone);
	char *end = NULL;
	if (scope == 0 && zone[0] >= '0' && zone[0] <= '9') {
		unsigned long number = strtoul(zone, &end, 10);
		if (*end == '\0' && number <= UINT32_MAX)
			scope = (uint32_t)number;
	}
	if (scope == 0)
		return crew__complain(
			complaint, -EINVAL, "there is no network interface \"%.64s\"", zone);
	*ret_scope = scope;
	return 0;
}

/* What stands between the brackets; `host` is changed. */
static int parse_ipv6(char *host, uint16_t port, struct crew__address *address,
	const struct crew__complaint *complaint)
{
	struct in6_addr ip;
	uint32_t scope = 0;
	char *zone = strchr(host, '%');
	if (zone)
		*zone++ = '\0';
	if (inet_pton(AF_INET6, host, &ip) != 1)
		return crew__complain(complaint, -EINVAL,
			"\"%.64s\" is no IPv6 address; one looks like [::1]", host);
	if (zone && parse_zone(zone, &scope, complaint))
		return -EINVAL;
	set_ipv6(address, ip, scope, port);
	return 0;
}

static int parse_host(const char *host, uint16_t port, struct crew__address *address,
	const struct crew__complaint *complaint)
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
		return crew__complain(complaint, -EINVAL,
			"\"%.64s\" is no host: an IPv6 address stands in brackets, such as [::1]",
			host);
	if (inet_pton(AF_INET, host, &ip) != 1)
		return crew__complain(complaint, -EINVAL,
			"\"%.64s\" is no numeric address: write one such as 127.0.0.1 or [::1], "
			"localhost, or nothing for every address",
			host);
	set_ipv4(address, ip, port);
	return 0;
}

static int parse_ip(
	const char *rest, struct crew__address *address, const struct crew__complaint *complaint)
{
	char host[128];
	uint16_t port = 0;
	bool bracket = rest[0] == '[';
	const char *end = bracket ? strchr(rest, ']') : strrchr(rest, ':');
	if (bracket && !end)
		return crew__complain(
			complaint, -EINVAL, "the bracket of \"%.64s\" is not closed", rest);
	if (bracket)
		rest++;
	const char *colon = bracket ? end + 1 : end;
	if (!colon || *colon != ':')
		return crew__complain(complaint, -EINVAL, "\"%.64s\" has no port, %s", rest,
			CREW__ADDRESS_EXAMPLES);
	if ((size_t)(end - rest) >= sizeof(host))
		return crew__complain(
			complaint, -EINVAL, "the host \"%.64s...\" is too long", rest);
	memcpy(host, rest, (size_t)(end - rest));
	host[end - rest] = '\0';
	int error = parse_port(colon + 1, &port, complaint);
	if (error)
		return error;
	return bracket ? parse_ipv6(host, port, address, complaint)
		       : parse_host(host, port, address, complaint);
}

/* ---- one address --------------------------------------------------------------------------- */

enum {
	ONE_MAX = 512 /* bytes of one address: a path whose every byte is written as %XX, and
			 options */
};

static char form_of(const struct crew__address *address)
{
	if (address->transport == CREW__UNIX)
		return address->abstract ? 'a' : 'f';
	return address->transport == CREW__UDP ? 'd' : 't';
}

static int parse_options(
	const char *text, struct crew__address *address, const struct crew__complaint *complaint)
{
	char why[256];
	if (!text)
		return 0;
	int error = crew__address_options_parse(
		text, form_of(address), &address->options, why, sizeof(why));
	if (error)
		return crew__complain(complaint, -EINVAL, "%s", why);
	if (crew__option_given(&address->options, CREW__OPTION_v6only) &&
		address->socket.ss_family != AF_INET6)
		return crew__complain(complaint, -EINVAL,
			"v6only means nothing to an IPv4 address: leave it out");
	return 0;
}

/* As it was written; only a path may have changed, and options are not shown. */
static void write_text(const char *text, const char *rest, struct crew__address *address)
{
	int head = snprintf(address->text, sizeof(address->text), "%.*s", (int)(rest - text), text);
	size_t used = crew__min((size_t)head, sizeof(address->text) - 1);
	if (address->transport == CREW__UNIX)
		crew__address_path_text(
			address, address->text + used, sizeof(address->text) - used);
	else
		snprintf(address->text + used, sizeof(address->text) - used, "%s", rest);
}

/* Settings are kept in lines of text, and addresses are shown on screens. */
static bool has_control_byte(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return true;
	return false;
}

int crew__address_parse(const char *text, const char *run_dir, struct crew__address *ret_address,
	char *ret_error, size_t error_size)
{
	const struct crew__complaint complaint = { ret_error, error_size };
	struct crew__address address = { 0 };
	char copy[ONE_MAX];
	const char *rest = copy;
	if (strlen(text) >= sizeof(copy)) {
		crew__complain(&complaint, -EINVAL, "\"%.64s...\" is too long", text);
		return -ENAMETOOLONG;
	}
	if (has_control_byte(text))
		return crew__complain(&complaint, -EINVAL,
			"\"%.64s\" has a control character in it: write that as %%XX", text);
	memcpy(copy, text, strlen(text) + 1);
	char *options = strchr(copy, '?');
	if (options)
		*options++ = '\0';
	int error = parse_scheme(copy, &address, &rest, &complaint);
	if (error)
		return error;
	if (address.transport == CREW__UNIX)
		error = crew__address_path_parse(rest, run_dir, &address, &complaint);
	else
		error = parse_ip(rest, &address, &complaint);
	if (!error)
		error = parse_options(options, &address, &complaint);
	if (error)
		return error;
	write_text(copy, rest, &address);
	*ret_address = address;
	return 0;
}

/* ---- several ------------------------------------------------------------------------------- */

/* Connections of one service differ in where they come from, not in what they speak. */
static int check_alike(const struct crew__address *first, const struct crew__address *other,
	const struct crew__complaint *complaint)
{
	bool datagrams = first->transport == CREW__UDP;
	if (strcmp(first->scheme, other->scheme) == 0 && first->tls == other->tls &&
		datagrams == (other->transport == CREW__UDP))
		return 0;
	return crew__complain(complaint, -EINVAL,
		"%s and %s are of two schemes: the addresses of one service have one; a second "
		"service can have the other",
		first->text, other->text);
}

bool crew__address_same(const struct crew__address *a, const struct crew__address *b)
{
	struct crew__record_address record;
	if (a->transport != b->transport || a->socket_size != b->socket_size ||
		memcmp(&a->socket, &b->socket, a->socket_size) != 0)
		return false;
	crew__address_record((const struct sockaddr *)&a->socket, &record);
	return a->transport == CREW__UNIX || record.port != 0;
}

static int check_against(const struct crew__address *addresses, size_t count,
	const struct crew__complaint *complaint)
{
	const struct crew__address *last = &addresses[count];
	for (size_t i = 0; i < count; i++)
		if (crew__address_same(&addresses[i], last))
			return crew__complain(
				complaint, -EINVAL, "%s stands there twice", last->text);
	return count > 0 ? check_alike(&addresses[0], last, complaint) : 0;
}

int crew__addresses_parse(const char *text, const char *run_dir,
	struct crew__address *ret_addresses, size_t *ret_count, char *ret_error, size_t error_size)
{
	const struct crew__complaint complaint = { ret_error, error_size };
	size_t count = 0;
	for (text += strspn(text, BLANKS); *text; text += strspn(text, BLANKS)) {
		char one[ONE_MAX];
		size_t length = strcspn(text, BLANKS);
		if (count == CREW__ADDRESSES_MAX)
			return crew__complain(&complaint, -EINVAL,
				"a service has at most %d addresses", CREW__ADDRESSES_MAX);
		if (length >= sizeof(one)) {
			crew__complain(&complaint, -EINVAL, "\"%.64s...\" is too long", text);
			return -ENAMETOOLONG;
		}
		memcpy(one, text, length);
		one[length] = '\0';
		int error = crew__address_parse(
			one, run_dir, &ret_addresses[count], ret_error, error_size);
		if (!error)
			error = check_against(ret_addresses, count, &complaint);
		if (error)
			return error;
		count++;
		text += length;
	}
	if (count == 0)
		return crew__complain(&complaint, -EINVAL,
			"there is no address: write one, " CREW__ADDRESS_EXAMPLES);
	*ret_count = count;
	return 0;
}

/* Number `n` of addresses that lie `stride` bytes apart. */
static const char *text_of(const struct crew__address *addresses, size_t stride, size_t n)
{
	return ((const struct crew__address *)(const void *)((const char *)addresses + n * stride))
		->text;
}

/* How many go into `size` bytes: all, or those that leave room to say that there are more. */
static size_t count_shown(
	const struct crew__address *addresses, size_t stride, size_t count, size_t size)
{
	size_t used = 0, shown = 0;
	for (size_t i = 0; i < count; i++) {
		used += strlen(text_of(addresses, stride, i)) + (i > 0);
		if (used + MORE_MAX <= size)
			shown = i + 1;
	}
	return used < size ? count : shown;
}

size_t crew__addresses_text(
	const struct crew__address *addresses, size_t stride, size_t count, char *text, size_t size)
{
	size_t shown = count_shown(addresses, stride, count, size), used = 0;
	if (size > 0)
		text[0] = '\0';
	if (size < MORE_MAX && shown < count)
		return 0;
	for (size_t i = 0; i < shown; i++)
		used += (size_t)snprintf(text + used, size - used, "%s%s", i > 0 ? " " : "",
			text_of(addresses, stride, i));
	if (shown < count)
		used += (size_t)snprintf(text + used, size - used, "%sand %zu more",
			shown > 0 ? " " : "", count - shown);
	return used;
}
