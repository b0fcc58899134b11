/* Options of addresses: what is understood, what is refused and how, and what a socket then has. */
#include "net/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static char error[512];

static int parse(const char *text, char form, struct crew__address_options *options)
{
	error[0] = '\0';
	return crew__address_options_parse(text, form, options, error, sizeof(error));
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static void values(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		char form;
		enum crew__address_option option;
		int value;
	} rows[] = {
		{ "backlog=1", 't', CREW__OPTION_backlog, 1 },
		{ "backlog=65535", 'a', CREW__OPTION_backlog, 65535 },
		{ "sndbuf=64k", 't', CREW__OPTION_sndbuf, 65536 },
		{ "rcvbuf=1m", 'd', CREW__OPTION_rcvbuf, 1 << 20 },
		{ "rcvbuf=1g", 'd', CREW__OPTION_rcvbuf, 1 << 30 },
		{ "sndbuf=4096", 'd', CREW__OPTION_sndbuf, 4096 },
		{ "freebind", 't', CREW__OPTION_freebind, 1 },
		{ "freebind=on", 'd', CREW__OPTION_freebind, 1 },
		{ "nodelay=off", 't', CREW__OPTION_nodelay, 0 },
		{ "loop=off", 'd', CREW__OPTION_loop, 0 },
		{ "loop=1", 'd', CREW__OPTION_loop, 1 },
		{ "v6only=false", 't', CREW__OPTION_v6only, 0 },
		{ "v6only=yes", 't', CREW__OPTION_v6only, 1 },
		{ "mode=0660", 'f', CREW__OPTION_mode, 0660 },
		{ "mode=777", 'f', CREW__OPTION_mode, 0777 },
		{ "mode=0", 'f', CREW__OPTION_mode, 0 },
		{ "dscp=0", 't', CREW__OPTION_dscp, 0 },
		{ "ttl=255", 't', CREW__OPTION_ttl, 255 },
		{ "keepalive=30&keepalive_interval=5&keepalive_count=3", 't',
			CREW__OPTION_keepalive_count, 3 },
	};
	for (size_t i = 0; i < crew__lengthof(rows); i++) {
		struct crew__address_options options;
		if (parse(rows[i].text, rows[i].form, &options))
			fail_msg("%s: %s", rows[i].text, error);
		assert_true(crew__option_given(&options, rows[i].option));
		assert_int_equal(options.value[rows[i].option], rows[i].value);
		assert_int_equal(crew__option_or(&options, rows[i].option, -7), rows[i].value);
		assert_int_equal(crew__option_or(&options, CREW__OPTION_interface, -7), -7);
	}
}

static void names(void **state)
{
	(void)state;
	struct crew__address_options options;
	assert_int_equal(parse("owner=www-data&group=adm", 'f', &options), 0);
	assert_string_equal(options.owner, "www-data");
	assert_string_equal(options.group, "adm");
	assert_int_equal(parse("interface=fifteen-letters", 't', &options), 0);
	assert_string_equal(options.interface, "fifteen-letters");
}

static void what_is_no_option(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		char form;
		const char *words;
	} rows[] = {
		{ "", 't', "an option is missing" },
		{ "&", 't', "an option is missing" },
		{ "backlog=5&", 't', "an option is missing" },
		{ "backlog=5&&ttl=1", 't', "an option is missing" },
		{ "=5", 't', "unknown option \"\"" },
		{ "baklog=5", 't', "did you mean \"backlog\"" },
		{ "keep_alive=5", 't', "did you mean \"keepalive\"" },
		{ "qqqqqqqqqqqqqqqqqqqqqqqqqqqq=5", 't', "docs/addresses.md" },
		{ "BACKLOG=5", 't', "unknown option" },
		{ "backlog=5&backlog=6", 't', "backlog stands there twice" },
		{ "backlog", 't', "backlog needs a value" },
		{ "backlog=", 't', "from 1 to 65535" },
		{ "backlog=0", 't', "backlog=0: write a number from 1 to 65535" },
		{ "backlog=65536", 't', "from 1 to 65535" },
		{ "backlog=-1", 't', "from 1 to 65535" },
		{ "backlog=+1", 't', "from 1 to 65535" },
		{ "backlog=1k", 't', "from 1 to 65535" },
		{ "backlog=0x10", 't', "from 1 to 65535" },
		{ "backlog=99999999999999999999", 't', "from 1 to 65535" },
		{ "backlog=4294967297", 't', "from 1 to 65535" },
		{ "sndbuf=4095", 't', "from 4096 to 1073741824" },
		{ "sndbuf=2g", 't', "from 4096" },
		{ "sndbuf=9999999999g", 't', "from 4096" },
		{ "sndbuf=1K", 't', "from 4096" },
		{ "sndbuf=1kk", 't', "from 4096" },
		{ "sndbuf=k", 't', "from 4096" },
		{ "dscp=64", 't', "from 0 to 63" },
		{ "ttl=0", 't', "from 1 to 255" },
		{ "nodelay=2", 't', "nodelay=on or nodelay=off" },
		{ "nodelay=", 't', "nodelay=on or nodelay=off" },
		{ "mode=0888", 'f', "octal" },
		{ "mode=01000", 'f', "octal" },
		{ "mode=rw", 'f', "mode=0660" },
		{ "mode", 'f', "mode needs a value" },
		{ "owner=", 'f', "a name of 1 to 32 bytes" },
		{ "owner=a-name-that-is-longer-than-thirty-two", 'f', "1 to 32" },
		{ "interface=sixteen--letters", 't', "1 to 15 bytes" },
		{ "owner=nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn",
			'f', "too long" },
		/* Each where it means something. */
		{ "mode=0660", 't', "\"mode\" means nothing to a TCP address" },
		{ "mode=0660", 'a', "\"mode\" means nothing to an abstract Unix socket" },
		{ "backlog=5", 'd', "\"backlog\" means nothing to a UDP address" },
		{ "ttl=5", 'f', "\"ttl\" means nothing to a Unix socket" },
		{ "loop", 't', "\"loop\" means nothing to a TCP address" },
		{ "sndbuf=64k", 'f', "means nothing" },
	};
	for (size_t i = 0; i < crew__lengthof(rows); i++) {
		struct crew__address_options options = { .given = 77 };
		int status = parse(rows[i].text, rows[i].form, &options);
		if (status != -EINVAL || !strstr(error, rows[i].words))
			fail_msg("'%s' gave %d: %s", rows[i].text, status, error);
		assert_int_equal(options.given, 77);
	}
}

/* ---- in sockets --------------------------------------------------------------------------------
 */

static int number(int fd, int level, int name)
{
	int value = -1;
	socklen_t size = sizeof(value);
	assert_int_equal(getsockopt(fd, level, name, &value, &size), 0);
	return value;
}

static int listen_at(const char *text, struct crew__address *address)
{
	error[0] = '\0';
	int status = crew__address_parse(text, "/run", address, error, sizeof(error));
	if (status)
		fail_msg("%s: %s", text, error);
	return crew__address_listen(address, false, error, sizeof(error));
}

/* Both ends; the listener is closed. */
static int accept_at(const char *text, int *ret_client)
{
	struct crew__address address;
	int fd = listen_at(text, &address);
	if (fd < 0)
		fail_msg("%s: %s", text, error);
	*ret_client = socket(address.socket.ss_family, SOCK_STREAM, 0);
	assert_int_equal(
		connect(*ret_client, (struct sockaddr *)&address.socket, address.socket_size), 0);
	int peer = accept(fd, NULL, NULL);
	assert_true(peer >= 0);
	close(fd);
	return peer;
}

static const struct inherited {
	const char *option;
	int level, name, expected;
} inherited[] = {
	{ "nodelay=off", IPPROTO_TCP, TCP_NODELAY, 0 },
	{ "nodelay", IPPROTO_TCP, TCP_NODELAY, 1 },
	{ "backlog=9", IPPROTO_TCP, TCP_NODELAY, 1 },
	{ "backlog=9", SOL_SOCKET, SO_KEEPALIVE, 0 },
	{ "keepalive=77", SOL_SOCKET, SO_KEEPALIVE, 1 },
	{ "keepalive=77", IPPROTO_TCP, TCP_KEEPIDLE, 77 },
	{ "keepalive_interval=7", SOL_SOCKET, SO_KEEPALIVE, 1 },
	{ "keepalive_interval=7", IPPROTO_TCP, TCP_KEEPINTVL, 7 },
	{ "keepalive_count=4", SOL_SOCKET, SO_KEEPALIVE, 1 },
	{ "keepalive_count=4", IPPROTO_TCP, TCP_KEEPCNT, 4 },
	{ "sndbuf=96k", SOL_SOCKET, SO_SNDBUF, 2 * 96 * 1024 },
	{ "rcvbuf=48k", SOL_SOCKET, SO_RCVBUF, 2 * 48 * 1024 },
};

static void accepted_sockets_inherit(const char *head)
{
	for (size_t i = 0; i < crew__lengthof(inherited); i++) {
		const struct inherited *row = &inherited[i];
		char text[128];
		snprintf(text, sizeof(text), "%s?%s", head, row->option);
		int client, peer = accept_at(text, &client);
		int got = number(peer, row->level, row->name);
		if (got != row->expected)
			fail_msg("%s: %d instead of %d", text, got, row->expected);
		close(peer);
		close(client);
	}
}

static void what_ipv4_peers_get(void **state)
{
	(void)state;
	int client;
	accepted_sockets_inherit("tcp://127.0.0.1:0");
	int peer = accept_at("tcp://127.0.0.1:0?dscp=46&ttl=9", &client);
	assert_int_equal(number(peer, IPPROTO_IP, IP_TOS), 46 << 2);
	assert_int_equal(number(peer, IPPROTO_IP, IP_TTL), 9);
	close(peer);
	close(client);
}

static bool has_ipv6(void)
{
	struct crew__address address;
	int fd = listen_at("tcp://[::1]:0", &address);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void what_ipv6_peers_get(void **state)
{
	(void)state;
	int client;
	if (!has_ipv6())
		skip();
	accepted_sockets_inherit("tcp://[::1]:0");
	int peer = accept_at("tcp://[::1]:0?dscp=46&ttl=9", &client);
	assert_int_equal(number(peer, IPPROTO_IPV6, IPV6_TCLASS), 46 << 2);
	assert_int_equal(number(peer, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 9);
	close(peer);
	close(client);
}

/* An IPv4 peer of a socket for both families. */
static void what_mapped_peers_get(void **state)
{
	(void)state;
	struct crew__address address;
	if (!has_ipv6())
		skip();
	int fd = listen_at("tcp://:0?dscp=10&ttl=33", &address);
	assert_true(fd >= 0);
	struct sockaddr_in6 bound;
	memcpy(&bound, &address.socket, sizeof(bound));
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = bound.sin6_port,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int client = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(client, (struct sockaddr *)&to, sizeof(to)), 0);
	int peer = accept(fd, NULL, NULL);
	assert_int_equal(number(peer, IPPROTO_IP, IP_TOS), 10 << 2);
	assert_int_equal(number(peer, IPPROTO_IP, IP_TTL), 33);
	close(peer);
	close(client);
	close(fd);
}

/* Those that only the listener has. */
static void what_listeners_have(void **state)
{
	(void)state;
	struct crew__address address;
	int fd = listen_at("tcp://127.0.0.1:0?defer_accept=3&fastopen=17&interface=lo", &address);
	if (fd < 0)
		fail_msg("%s", error);
	assert_true(number(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT) >= 3);
	assert_int_equal(number(fd, IPPROTO_TCP, TCP_FASTOPEN), 17);
	char name[IFNAMSIZ] = "";
	socklen_t size = sizeof(name);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &size), 0);
	assert_string_equal(name, "lo");
	close(fd);
	/* The kernel tells the backlog of a listening socket as its unacked segments. */
	fd = listen_at("tcp://127.0.0.1:0?backlog=19", &address);
	struct tcp_info info;
	size = sizeof(info);
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
	assert_int_equal(info.tcpi_sacked, 19);
	close(fd);
}

static void who_has_ipv6_alone(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int alone;
	} rows[] = {
		{ "tcp://:0", 0 },
		{ "tcp://:0?v6only", 1 },
		{ "tcp://[::]:0", 1 },
		{ "tcp://[::]:0?v6only=off", 0 },
		{ "udp://[::]:0?v6only=off", 0 },
		{ "udp://[::1]:0", 1 },
	};
	if (!has_ipv6())
		skip();
	for (size_t i = 0; i < crew__lengthof(rows); i++) {
		struct crew__address address;
		int fd = listen_at(rows[i].text, &address);
		assert_true(fd >= 0);
		assert_int_equal(number(fd, IPPROTO_IPV6, IPV6_V6ONLY), rows[i].alone);
		close(fd);
	}
}

static void what_udp_sockets_have(void **state)
{
	(void)state;
	struct crew__address address;
	int fd = listen_at(
		"udp://127.0.0.1:0?rcvbuf=32k&ttl=5&loop=off&interface=lo&dscp=8&freebind",
		&address);
	if (fd < 0)
		fail_msg("%s", error);
	assert_int_equal(number(fd, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
	assert_int_equal(number(fd, SOL_SOCKET, SO_ACCEPTCONN), 0);
	assert_int_equal(number(fd, SOL_SOCKET, SO_RCVBUF), 2 * 32 * 1024);
	assert_int_equal(number(fd, IPPROTO_IP, IP_TTL), 5);
	assert_int_equal(number(fd, IPPROTO_IP, IP_MULTICAST_TTL), 5);
	assert_int_equal(number(fd, IPPROTO_IP, IP_MULTICAST_LOOP), 0);
	assert_int_equal(number(fd, IPPROTO_IP, IP_TOS), 8 << 2);
	assert_int_equal(number(fd, IPPROTO_IP, IP_FREEBIND), 1);
	close(fd);
	/* The chosen port is in the text. */
	char expected[64];
	struct sockaddr_in bound;
	memcpy(&bound, &address.socket, sizeof(bound));
	snprintf(expected, sizeof(expected), "udp://127.0.0.1:%u", ntohs(bound.sin_port));
	assert_string_equal(address.text, expected);
}

/* TEST-NET-1 is nobody's. */
static void an_address_that_is_not_there_yet(void **state)
{
	(void)state;
	struct crew__address address;
	assert_int_equal(listen_at("tcp://192.0.2.1:0", &address), -EADDRNOTAVAIL);
	assert_non_null(strstr(error, "?freebind"));
	int fd = listen_at("tcp://192.0.2.1:0?freebind", &address);
	if (fd < 0)
		fail_msg("%s", error);
	assert_int_equal(number(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
	close(fd);
	if (has_ipv6()) {
		assert_int_equal(listen_at("tcp://[2001:db8::1]:0", &address), -EADDRNOTAVAIL);
		fd = listen_at("tcp://[2001:db8::1]:0?freebind", &address);
		assert_true(fd >= 0);
		close(fd);
	}
}

static void what_the_machine_refuses(void **state)
{
	(void)state;
	struct crew__address address;
	assert_int_equal(listen_at("tcp://127.0.0.1:0?interface=no-such-card", &address), -ENODEV);
	assert_non_null(strstr(error, "no such network interface"));
	assert_int_equal(listen_at("udp://127.0.0.1:0?interface=no-such-card", &address), -ENODEV);
	if (geteuid() == 0) {
		/* Only who may not force it is bound by the system's limit. */
		assert_int_equal(seteuid(65534), 0);
		int status = listen_at("tcp://127.0.0.1:0?rcvbuf=1g", &address);
		assert_int_equal(seteuid(0), 0);
		assert_int_equal(status, -EPERM);
		assert_non_null(strstr(error, "net.core.rmem_max"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values),
		cmocka_unit_test(names),
		cmocka_unit_test(what_is_no_option),
		cmocka_unit_test(what_ipv4_peers_get),
		cmocka_unit_test(what_ipv6_peers_get),
		cmocka_unit_test(what_mapped_peers_get),
		cmocka_unit_test(what_listeners_have),
		cmocka_unit_test(who_has_ipv6_alone),
		cmocka_unit_test(what_udp_sockets_have),
		cmocka_unit_test(an_address_that_is_not_there_yet),
		cmocka_unit_test(what_the_machine_refuses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
