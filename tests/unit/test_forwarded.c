/* Who the client is, by what proxies say: read from the right, and never in favour of a forger. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "web/forwarded.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define TRUSTED "10.0.0.0/8 2001:db8:aaaa::/48"
#define XFF     "X-Forwarded-For"
#define FWD     "Forwarded"

enum {
	FIELDS_MOST = 8
};

/* What it says, as text: the address, with its port when there is one; "_name", "unknown", or
 * "not told". */
static const char *show(const struct crew__client *client)
{
	static char text[160];
	char ip[INET6_ADDRSTRLEN];
	const struct crew__record_address *address = &client->address;
	switch (client->kind) {
	case CREW__CLIENT_NOT_TOLD:
		return "not told";
	case CREW__CLIENT_UNKNOWN:
		return "unknown";
	case CREW__CLIENT_NAMED:
		return client->name;
	case CREW__CLIENT_ADDRESS:
		break;
	}
	bool ipv4 = address->family == AF_INET;
	inet_ntop(address->family, ipv4 ? address->ip + 12 : address->ip, ip, sizeof(ip));
	if (address->port)
		snprintf(text, sizeof(text), "%s|%u", ip, address->port);
	else
		snprintf(text, sizeof(text), "%s", ip);
	return text;
}

/* The values are copied to memory of their exact length, so that a byte too far is noticed. */
static void expect(const char *expected, const char *const *pairs)
{
	crew_header fields[FIELDS_MOST];
	char *copies[FIELDS_MOST];
	size_t count = 0;
	struct crew__cidrs trusted;
	struct crew__client client;
	assert_int_equal(crew__cidrs_parse(TRUSTED, &trusted, NULL), 0);
	for (; pairs[count * 2]; count++) {
		size_t length = strlen(pairs[count * 2 + 1]);
		copies[count] = malloc(length + !length);
		memcpy(copies[count], pairs[count * 2 + 1], length);
		fields[count] = (crew_header){ crew_str(pairs[count * 2]),
			{ copies[count], length } };
	}
	crew__forwarded_client(fields, count, &trusted, &client);
	if (strcmp(show(&client), expected) != 0)
		fail_msg("%s: %s: not %s but %s", pairs[0] ? pairs[0] : "",
			pairs[0] ? pairs[1] : "", expected, show(&client));
	while (count > 0)
		free(copies[--count]);
	crew__cidrs_free(&trusted);
}

#define EXPECT(expected, ...) expect(expected, (const char *const[]){ __VA_ARGS__, NULL })

static void from_the_right(void **state)
{
	(void)state;
	expect("not told", (const char *const[]){ NULL });
	EXPECT("not told", "X-Real-IP", "192.0.2.1");
	EXPECT("192.0.2.1", XFF, "192.0.2.1");
	EXPECT("192.0.2.1", "x-forwarded-for", "192.0.2.1");
	EXPECT("192.0.2.2", XFF, "192.0.2.1, 192.0.2.2");
	EXPECT("192.0.2.2", XFF, "192.0.2.1, 192.0.2.2, 10.1.1.1, 10.2.2.2");
	EXPECT("192.0.2.2", XFF, "192.0.2.1,192.0.2.2 ,\t10.1.1.1");
	EXPECT("10.1.1.1", XFF, "10.1.1.1, 10.2.2.2");
	EXPECT("192.0.2.2", XFF, "192.0.2.1", XFF, "192.0.2.2", XFF, "10.1.1.1");
	EXPECT("192.0.2.2", XFF, "192.0.2.2", XFF, "10.1.1.1,10.1.1.2");
	EXPECT("192.0.2.1", XFF, ",,192.0.2.1,,10.1.1.1, ,");
	EXPECT("not told", XFF, "");
	EXPECT("not told", XFF, " , ,");
	/* What stands left of the client may be anything. */
	EXPECT("192.0.2.1", XFF, "\"<script>, nonsense, 192.0.2.1, 10.1.1.1");
}

static void nodes_of_the_old_field(void **state)
{
	(void)state;
	EXPECT("192.0.2.1|8080", XFF, "192.0.2.1:8080");
	EXPECT("2001:db8::1", XFF, "2001:db8::1");
	EXPECT("2001:db8::1", XFF, "[2001:db8::1]");
	EXPECT("2001:db8::1|443", XFF, "[2001:db8::1]:443");
	EXPECT("192.0.2.1", XFF, "::ffff:192.0.2.1");
	EXPECT("192.0.2.1", XFF, "192.0.2.1, 2001:db8:aaaa::7");
	EXPECT("unknown", XFF, "unknown");
	EXPECT("unknown", XFF, "192.0.2.1, unknown, 10.1.1.1");
	static const char *const bad[] = { "192.0.2.256", "192.0.2.1:", "192.0.2.1:99999",
		"192.0.2.1:1x", "192.0.2.1:-1", "[2001:db8::1", "[2001:db8::1]443",
		"[2001:db8::1]:", "[192.0.2.1]", "[]", "example.org", "192.0.2.1 192.0.2.2",
		"::1%lo", "0x7f.0.0.1", "\"192.0.2.1\"", "192.0.2.1;", "[", ":", "_",
		"192.0.2.1:80:80" };
	for (size_t i = 0; i < crew__lengthof(bad); i++) {
		EXPECT("unknown", XFF, bad[i]);
		char list[100];
		snprintf(list, sizeof(list), "192.0.2.1, %s, 10.1.1.1", bad[i]);
		EXPECT("unknown", XFF, list);
		snprintf(list, sizeof(list), "%s, 192.0.2.1, 10.1.1.1", bad[i]);
		EXPECT("192.0.2.1", XFF, list);
	}
}

/* The examples are those of RFC 7239, sections 4 and 6. */
static void forwarded(void **state)
{
	(void)state;
	EXPECT("_gazonk", FWD, "for=\"_gazonk\"");
	EXPECT("2001:db8:cafe::17|4711", FWD, "For=\"[2001:db8:cafe::17]:4711\"");
	EXPECT("192.0.2.60", FWD, "for=192.0.2.60;proto=http;by=203.0.113.43");
	EXPECT("198.51.100.17", FWD, "for=192.0.2.43, for=198.51.100.17");
	EXPECT("_mdn", FWD, "for=_mdn");
	EXPECT("unknown", FWD, "for=unknown");
	EXPECT("192.0.2.43|47011", FWD, "for=\"192.0.2.43:47011\"");
	EXPECT("192.0.2.43", FWD, "for=\"192.0.2.43:_port\"");
	EXPECT("192.0.2.43", FWD, "for=192.0.2.43,for=\"[2001:db8:aaaa::1]\";by=10.1.1.1");
	EXPECT("192.0.2.43", FWD, "for=192.0.2.43", FWD, "for=10.1.1.1, for=10.1.1.2");
	EXPECT("192.0.2.43", FWD, "for=192.0.2.43;;", FWD, ";for=10.1.1.1");
	EXPECT("192.0.2.43", FWD, " ,for=192.0.2.43 ; proto=https , ,");
	EXPECT("192.0.2.43", FWD, "host=\"a, b; for=1.1.1.1\";for=192.0.2.43");
	EXPECT("192.0.2.43", FWD, "secret=\"q\\\"q\";for=192.0.2.43");
	EXPECT("not told", FWD, "");
	/* An element that names nobody. */
	EXPECT("unknown", FWD, "for=192.0.2.43, proto=https");
	EXPECT("unknown", FWD, "for=192.0.2.43, ;");
}

static void forwarded_that_is_none(void **state)
{
	(void)state;
	static const char *const bad[] = { "192.0.2.43", "for", "for=", "for=\"",
		"for=\"192.0.2.43", "for=\"192.0.2.43\\", "for = 192.0.2.43", "=192.0.2.43",
		"for=192.0.2.43 for=1.1.1.1", "for=192.0.2.43;for=192.0.2.44", "for=2001:db8::1",
		"for=\"2001:db8::1\"", "for=[2001:db8::1]", "for=192.0.2.43:80",
		"for=\"192.0.2.43\"x", "for=\"\"", "for=\"_\"", "for=\"_a b\"",
		"for=\"192.0.2.43:\"", "for=\"[192.0.2.43]\"", "for=\"192.\\0.2.43\"",
		"for=192.0.2.43;by=a;by=b", "for=192.0.2.43;\"x\"" };
	for (size_t i = 0; i < crew__lengthof(bad); i++)
		EXPECT("unknown", FWD, bad[i]);
	char name[80];
	snprintf(name, sizeof(name), "for=_%063d", 0);
	EXPECT(name + 4, FWD, name);
	snprintf(name, sizeof(name), "for=_%064d", 0);
	EXPECT("unknown", FWD, name);
}

/* A client that opens a quote to swallow what the proxy writes behind it is nobody: least of all
 * the proxy itself. */
static void a_forger_is_unknown(void **state)
{
	(void)state;
	EXPECT("unknown", FWD, "for=\"192.0.2.1, for=192.0.2.99");
	EXPECT("192.0.2.99", FWD, "for=\"192.0.2.1", FWD, "for=192.0.2.99");
	EXPECT("192.0.2.99", FWD, "for=10.1.1.1, for=192.0.2.99");
	char chain[2000] = "";
	for (int i = 0; i < 65; i++)
		strcat(chain, "for=10.1.1.1,");
	EXPECT("unknown", FWD, chain);
	chain[64 * 13 - 1] = '\0';
	EXPECT("10.1.1.1", FWD, chain);
}

/* A proxy that keeps up one of them passes the other on as the client wrote it. */
static void both_fields_must_agree(void **state)
{
	(void)state;
	EXPECT("192.0.2.1", XFF, "192.0.2.1", FWD, "for=192.0.2.1");
	EXPECT("192.0.2.1|80", XFF, "192.0.2.1, 10.1.1.1", FWD, "for=\"192.0.2.1:80\"");
	EXPECT("unknown", XFF, "192.0.2.1", FWD, "for=192.0.2.2");
	EXPECT("unknown", FWD, "for=192.0.2.2", XFF, "192.0.2.1");
	EXPECT("unknown", FWD, "for=_a", XFF, "192.0.2.1");
	EXPECT("unknown", FWD, "nonsense", XFF, "192.0.2.1");
	EXPECT("192.0.2.1", FWD, "", XFF, "192.0.2.1");
}

/* Any bytes: something is found, and nothing beyond them is looked at. */
static void random_values(void **state)
{
	(void)state;
	static const char *const pieces[] = { "for=", "For=", "\"", "\"", ",", ";", " ", "[", "]",
		":", "80", "1.2.3.4", "10.1.1.1", "::1", "\\", "_x", "by=", "=", "\xff",
		"unknown" };
	unsigned kinds[CREW__CLIENT_UNKNOWN + 1] = { 0 };
	struct crew__cidrs trusted;
	assert_int_equal(crew__cidrs_parse(TRUSTED, &trusted, NULL), 0);
	srandom(7);
	for (int round = 0; round < 20000; round++) {
		char text[256] = "";
		struct crew__client client;
		for (int i = 0; i < 1 + round % 9; i++)
			strcat(text, pieces[(size_t)random() % crew__lengthof(pieces)]);
		size_t length = strlen(text);
		char *copy = malloc(length);
		memcpy(copy, text, length);
		const crew_header field = { crew_str(round & 1 ? FWD : XFF), { copy, length } };
		crew__forwarded_client(&field, 1, &trusted, &client);
		kinds[client.kind]++;
		free(copy);
	}
	for (size_t i = 0; i < crew__lengthof(kinds); i++)
		assert_true(kinds[i] > 10);
	crew__cidrs_free(&trusted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(from_the_right),
		cmocka_unit_test(nodes_of_the_old_field),
		cmocka_unit_test(forwarded),
		cmocka_unit_test(forwarded_that_is_none),
		cmocka_unit_test(a_forger_is_unknown),
		cmocka_unit_test(both_fields_must_agree),
		cmocka_unit_test(random_values),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
