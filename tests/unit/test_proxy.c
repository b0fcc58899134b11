/* The PROXY protocol's header: both versions, whole, byte by byte, and everything that is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/proxy.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SIGNATURE   "\r\n\r\n\0\r\nQUIT\n"
#define BYTES(text) ((crew_bytes){ text, sizeof(text) - 1 })

/* In memory of its exact length, so that a byte too far is noticed. */
static int parse(crew_bytes in, struct crew__proxy *ret_proxy)
{
	char *copy = malloc(in.len + !in.len);
	memcpy(copy, in.data, in.len);
	int length = crew__proxy_parse((crew_bytes){ copy, in.len }, ret_proxy);
	free(copy);
	return length;
}

/* Good, with every shorter beginning asking for more, and with a stream behind it. */
static struct crew__proxy good(crew_bytes in)
{
	struct crew__proxy proxy;
	for (size_t len = 0; len < in.len; len++)
		if (parse((crew_bytes){ in.data, len }, &proxy) != 0)
			fail_msg("%zu bytes of %zu were enough: %.*s", len, in.len, (int)in.len,
				in.data);
	assert_int_equal(parse(in, &proxy), in.len);
	char behind[CREW__PROXY_V2_MAX + 100];
	memset(behind, '\n', sizeof(behind));
	memcpy(behind, in.data, in.len);
	assert_int_equal(parse((crew_bytes){ behind, in.len + 60 }, &proxy), in.len);
	return proxy;
}

/* Bad, and never asked for more once the whole of it is there. */
static void bad(crew_bytes in)
{
	struct crew__proxy proxy;
	int length = parse(in, &proxy);
	if (length != -EPROTO)
		fail_msg("%d: %.*s", length, (int)in.len, in.data);
}

static void is_at(
	const struct crew__record_address *address, int family, const char *ip, unsigned port)
{
	char text[INET6_ADDRSTRLEN];
	const void *bytes = family == AF_INET ? address->ip + 12 : address->ip;
	assert_int_equal(address->family, family);
	assert_non_null(inet_ntop(family, bytes, text, sizeof(text)));
	assert_string_equal(text, ip);
	assert_int_equal(address->port, port);
}

/* ---- version 1 ----------------------------------------------------------------------------- */

static void lines(void **state)
{
	(void)state;
	struct crew__proxy proxy = good(BYTES("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"));
	assert_int_equal(proxy.version, 1);
	assert_true(proxy.known);
	is_at(&proxy.source, AF_INET, "192.168.0.1", 56324);
	is_at(&proxy.target, AF_INET, "192.168.0.11", 443);
	proxy = good(BYTES("PROXY TCP6 2001:db8::1 ::1 65535 0\r\n"));
	is_at(&proxy.source, AF_INET6, "2001:db8::1", 65535);
	is_at(&proxy.target, AF_INET6, "::1", 0);
	proxy = good(BYTES("PROXY TCP6 ::ffff:1.2.3.4 ::1 1 2\r\n"));
	is_at(&proxy.source, AF_INET, "1.2.3.4", 1);
	proxy = good(BYTES("PROXY UNKNOWN\r\n"));
	assert_false(proxy.known);
	proxy = good(BYTES("PROXY UNKNOWN ffff::1 whatever stands here\r\n"));
	assert_false(proxy.known);
	/* The longest there can be. */
	proxy = good(BYTES("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535 "
			   "123456789.123456789.123456789.123456789.12345\r\n"));
	proxy = good(BYTES("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
			   "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"));
	assert_true(proxy.known);
}

static void lines_that_are_none(void **state)
{
	(void)state;
	static const char *const rows[] = { "GET / HTTP/1.1\r\n", "PROXY", "PROXY TCP5", "proxy ",
		"PROXY TCP4 1.2.3.4 1.2.3.5 1\r\n", "PROXY TCP4 1.2.3.4 1.2.3.5 1 2 3\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.5 1 2 \r\n", "PROXY TCP4  1.2.3.4 1.2.3.5 1 2\r\n",
		"PROXY  TCP4 1.2.3.4 1.2.3.5 1 2\r\n", "PROXY TCP4 1.2.3.4\t1.2.3.5 1 2\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.5 1 65536\r\n", "PROXY TCP4 1.2.3.4 1.2.3.5 1 -1\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.5 01 1\r\n", "PROXY TCP4 1.2.3.4 1.2.3.5 1 111111\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.5 +1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3 1 2\r\n",
		"PROXY TCP4 ::1 ::1 1 2\r\n", "PROXY TCP6 1.2.3.4 ::1 1 2\r\n",
		"PROXY TCP6 ::1%lo ::1 1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.5 1 2\n",
		"PROXY TCP4 1.2.3.4 1.2.3.5 1 2\n\r", "PROXY TCP4 1.2.3.4\r 1.2.3.5 1 2\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.5 1 2\rx", "PROXY UNKNOWN\rx", "PROXY UNKNOWN\n",
		"PROXY UNKNOWNX\r\n", "PROXY \r\n", "PROXY UDP4 1.2.3.4 1.2.3.5 1 2\r\n",
		"PROXY tcp4 1.2.3.4 1.2.3.5 1 2\r\n", "PROXY TCP4 01.2.3.4 1.2.3.5 1 2\r\n",
		"PROXY TCP4\r\n", "PROXY TCP4 \r\n", "PROXY UNKNOWN \n\r\n" };
	struct crew__proxy proxy;
	for (size_t i = 0; i < crew__lengthof(rows); i++) {
		size_t len = strlen(rows[i]);
		if (rows[i][len - 1] == '\n' || strchr(rows[i], '\r'))
			bad(crew_str(rows[i]));
		else /* a beginning: told at the first byte that cannot be */
			assert_true(parse(crew_str(rows[i]), &proxy) <= 0);
	}
	bad(crew_str("proxy "));
	bad(BYTES("PROXY TCP4 1.2.3.4\0 1.2.3.5 1 2\r\n"));
	char line[300];
	memset(line, 'x', sizeof(line));
	memcpy(line, "PROXY UNKNOWN ", 14);
	assert_int_equal(parse((crew_bytes){ line, 106 }, &proxy), 0);
	bad((crew_bytes){ line, 107 });
	line[106] = '\r';
	line[107] = '\n';
	bad((crew_bytes){ line, 107 });
	bad((crew_bytes){ line, 108 });
	line[105] = '\r';
	line[106] = '\n';
	assert_int_equal(parse((crew_bytes){ line, 300 }, &proxy), 107);
}

/* ---- version 2 ----------------------------------------------------------------------------- */

#define TCP4 "\x01\x02\x03\x04\x05\x06\x07\x08\x12\x34\x00\x50"
#define TCP6                                                                       \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" \
	"\x01\xff\xff\x00\x50"

static void headers(void **state)
{
	(void)state;
	struct crew__proxy proxy = good(BYTES(SIGNATURE "\x21\x11\x00\x0c" TCP4));
	assert_int_equal(proxy.version, 2);
	assert_true(proxy.known);
	is_at(&proxy.source, AF_INET, "1.2.3.4", 0x1234);
	is_at(&proxy.target, AF_INET, "5.6.7.8", 80);
	proxy = good(BYTES(SIGNATURE "\x21\x21\x00\x24" TCP6));
	is_at(&proxy.source, AF_INET6, "2001:db8::1", 65535);
	is_at(&proxy.target, AF_INET6, "::1", 80);
	proxy = good(BYTES(SIGNATURE "\x20\x00\x00\x00"));
	assert_false(proxy.known);
	proxy = good(BYTES(SIGNATURE "\x20\x11\x00\x0c" TCP4));
	assert_false(proxy.known);
	proxy = good(BYTES(SIGNATURE "\x21\x00\x00\x05 ...."));
	assert_false(proxy.known);
	proxy = good(BYTES(SIGNATURE "\x21\x10\x00\x0c" TCP4));
	assert_false(proxy.known);
	char local[16 + 216] = SIGNATURE "\x21\x31\x00\xd8/a/path";
	proxy = good((crew_bytes){ local, sizeof(local) });
	assert_true(proxy.known);
	assert_int_equal(proxy.source.family, AF_UNIX);
	assert_int_equal(proxy.source.port, 0);
}

static void what_stands_behind_the_addresses(void **state)
{
	(void)state;
	struct crew__proxy proxy = good(BYTES(SIGNATURE "\x21\x11\x00\x17" TCP4 "\x05\x00\x03"
							"abc\x04\x00\x02\0\0"));
	is_at(&proxy.source, AF_INET, "1.2.3.4", 0x1234);
	bad(BYTES(SIGNATURE "\x21\x11\x00\x0d" TCP4 "\x05"));
	bad(BYTES(SIGNATURE "\x21\x11\x00\x0e" TCP4 "\x05\x00"));
	bad(BYTES(SIGNATURE "\x21\x11\x00\x0f" TCP4 "\x05\x00\x01"));
	bad(BYTES(SIGNATURE "\x21\x11\x00\x11" TCP4 "\x05\x00\x03"
			    "ab"));
	bad(BYTES(SIGNATURE "\x21\x11\x00\x11" TCP4 "\x05\xff\xff"
			    "ab"));
	/* The longest that is taken, and one byte more. */
	static char large[CREW__PROXY_V2_MAX + 1];
	memcpy(large, SIGNATURE "\x21\x11\x10\x00" TCP4 "\x05\x0f\xf1", 31);
	assert_int_equal(
		parse((crew_bytes){ large, CREW__PROXY_V2_MAX }, &proxy), CREW__PROXY_V2_MAX);
	assert_int_equal(parse((crew_bytes){ large, CREW__PROXY_V2_MAX - 1 }, &proxy), 0);
	large[15] = 1;
	bad((crew_bytes){ large, 16 });
}

/* The bytes were summed by another program (CRC-32/ISCSI). */
static void the_checksum(void **state)
{
	(void)state;
	char header[] = SIGNATURE "\x21\x11\x00\x13" TCP4 "\x03\x00\x04\x64\x3e\x10\x3b";
	size_t len = sizeof(header) - 1;
	struct crew__proxy proxy = good((crew_bytes){ header, len });
	is_at(&proxy.source, AF_INET, "1.2.3.4", 0x1234);
	for (size_t i = 16; i < len; i++) {
		if (i >= 28 && i < 31)
			continue; /* then it is another thing, or has another length */
		header[i] ^= 1;
		bad((crew_bytes){ header, len });
		header[i] ^= 1;
	}
	header[30] = 3;
	bad((crew_bytes){ header, len });
}

static void headers_that_are_none(void **state)
{
	(void)state;
	struct crew__proxy proxy;
	bad(BYTES(SIGNATURE "\x11\x11\x00\x0c" TCP4));
	bad(BYTES(SIGNATURE "\x31\x11\x00\x0c" TCP4));
	bad(BYTES(SIGNATURE "\x22\x11\x00\x0c" TCP4));
	bad(BYTES(SIGNATURE "\x22"));
	bad(BYTES(SIGNATURE "\x21\x12\x00\x0c" TCP4)); /* datagrams */
	bad(BYTES(SIGNATURE "\x21\x13\x00\x0c" TCP4));
	bad(BYTES(SIGNATURE "\x21\x41\x00\x0c" TCP4));
	bad(BYTES(SIGNATURE "\x21\xf1\x00\x0c" TCP4));
	bad(BYTES(SIGNATURE "\x21\x11\x00\x0b" TCP4));
	bad(BYTES(SIGNATURE "\x21\x21\x00\x0c" TCP4));
	bad(BYTES(SIGNATURE "\x21\x31\x00\x0c" TCP4));
	bad(BYTES(SIGNATURE "\x21\x11\xff\xff"));
	for (size_t i = 0; i < 12; i++) {
		char header[] = SIGNATURE "\x21\x11\x00\x0c" TCP4;
		header[i] ^= 0x20;
		bad((crew_bytes){ header, i + 1 });
		bad((crew_bytes){ header, sizeof(header) - 1 });
	}
	assert_int_equal(crew__proxy_parse((crew_bytes){ NULL, 0 }, &proxy), 0);
}

static void random_bytes(void **state)
{
	(void)state;
	struct crew__proxy proxy;
	unsigned whole = 0;
	srandom(11);
	for (int round = 0; round < 50000; round++) {
		char header[] = SIGNATURE "\x21\x11\x00\x13" TCP4 "\x05\x00\x04xxxx";
		size_t len = (size_t)random() % sizeof(header);
		for (int i = round % 3; i > 0; i--)
			header[12 + (size_t)random() % (sizeof(header) - 12)] = (char)random();
		int taken = parse((crew_bytes){ header, len }, &proxy);
		assert_true(taken == -EPROTO || (taken >= 0 && (size_t)taken <= len));
		whole += taken > 0;
	}
	assert_true(whole > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(lines_that_are_none),
		cmocka_unit_test(headers),
		cmocka_unit_test(what_stands_behind_the_addresses),
		cmocka_unit_test(the_checksum),
		cmocka_unit_test(headers_that_are_none),
		cmocka_unit_test(random_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
