/* Lists of networks: what is one, and who is in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "web/cidr.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static struct crew__record_address at(const char *text)
{
	struct crew__record_address address;
	if (!crew__ip_parse(crew_str(text), &address))
		fail_msg("%s is no address", text);
	return address;
}

static bool holds(const char *list, const char *address)
{
	struct crew__cidrs cidrs;
	struct crew__record_address ip = at(address);
	if (crew__cidrs_parse(list, &cidrs, NULL))
		fail_msg("\"%s\" is no list", list);
	bool held = crew__cidrs_hold(&cidrs, &ip);
	crew__cidrs_free(&cidrs);
	return held;
}

static void who_is_in_a_network(void **state)
{
	(void)state;
	static const struct {
		const char *list, *address;
		bool held;
	} rows[] = {
		{ "10.0.0.0/8", "10.0.0.0", true },
		{ "10.0.0.0/8", "10.255.255.255", true },
		{ "10.0.0.0/8", "9.255.255.255", false },
		{ "10.0.0.0/8", "11.0.0.0", false },
		{ "10.1.2.3/8", "10.9.9.9", true },
		{ "192.168.1.128/25", "192.168.1.128", true },
		{ "192.168.1.128/25", "192.168.1.127", false },
		{ "192.168.1.5", "192.168.1.5", true },
		{ "192.168.1.5", "192.168.1.4", false },
		{ "192.168.1.4/31", "192.168.1.5", true },
		{ "192.168.1.4/31", "192.168.1.6", false },
		{ "0.0.0.0/0", "1.2.3.4", true },
		{ "0.0.0.0/0", "::1", false },
		{ "::/0", "1.2.3.4", false },
		{ "::/0", "2001:db8::1", true },
		{ "::1", "::1", true },
		{ "::1", "::2", false },
		{ "2001:db8::/33", "2001:db8:7fff::1", true },
		{ "2001:db8::/33", "2001:db8:8000::1", false },
		{ "fe80::/10", "febf::1", true },
		{ "fe80::/10", "fec0::1", false },
		{ "2001:db8::1/128", "2001:db8::1", true },
		{ "2001:db8::1/128", "2001:db8::", false },
		{ "::ffff:10.0.0.0/104", "10.3.2.1", true },
		{ "::ffff:10.0.0.0/104", "11.3.2.1", false },
		{ "10.0.0.0/8", "::ffff:10.1.1.1", true },
		{ "::ffff:0:0/95", "1.2.3.4", false },
		{ "", "1.2.3.4", false },
		{ "1.1.1.1 2.2.2.2", "2.2.2.2", true },
		{ "1.1.1.1,2.2.2.2", "1.1.1.1", true },
		{ " \t1.1.1.1 , 2.2.2.2\t,, ", "2.2.2.2", true },
		{ "1.1.1.1 2.2.2.2", "3.3.3.3", false },
		{ "unix", "127.0.0.1", false },
	};
	for (size_t i = 0; i < crew__lengthof(rows); i++)
		if (holds(rows[i].list, rows[i].address) != rows[i].held)
			fail_msg("%s in \"%s\"?", rows[i].address, rows[i].list);
}

/* Every length of prefix, on both sides of its edge. */
static void every_prefix(void **state)
{
	(void)state;
	for (unsigned bits = 1; bits <= 128; bits++) {
		struct crew__record_address inside = at("5555:5555:5555:5555:5555:5555:5555:5555");
		struct crew__record_address outside = inside;
		struct crew__cidrs cidrs;
		char list[80];
		snprintf(list, sizeof(list), "5555:5555:5555:5555:5555:5555:5555:5555/%u", bits);
		assert_int_equal(crew__cidrs_parse(list, &cidrs, NULL), 0);
		outside.ip[(bits - 1) / 8] ^= (uint8_t)(0x80u >> (bits - 1) % 8);
		if (bits < 128)
			inside.ip[bits / 8] ^= (uint8_t)(0x80u >> bits % 8);
		assert_true(crew__cidrs_hold(&cidrs, &inside));
		assert_false(crew__cidrs_hold(&cidrs, &outside));
		crew__cidrs_free(&cidrs);
	}
}

static void peers_of_a_unix_socket(void **state)
{
	(void)state;
	const struct crew__record_address local = { .family = AF_UNIX };
	const struct crew__record_address nobody = { 0 };
	struct crew__cidrs cidrs;
	assert_int_equal(crew__cidrs_parse("10.0.0.0/8 unix", &cidrs, NULL), 0);
	assert_true(crew__cidrs_hold(&cidrs, &local));
	assert_false(crew__cidrs_hold(&cidrs, &nobody));
	crew__cidrs_free(&cidrs);
	assert_int_equal(crew__cidrs_parse("0.0.0.0/0 ::/0", &cidrs, NULL), 0);
	assert_false(crew__cidrs_hold(&cidrs, &local));
	assert_false(crew__cidrs_hold(&cidrs, &nobody));
	crew__cidrs_free(&cidrs);
	assert_int_equal(crew__cidrs_parse(NULL, &cidrs, NULL), 0);
	assert_false(crew__cidrs_hold(&cidrs, &local));
	crew__cidrs_free(&cidrs);
}

static void the_bad_one_is_named(void **state)
{
	(void)state;
	static const char *const bad[] = { "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/+8",
		"10.0.0.0/08", "10.0.0.0/8/8", "10.0.0/8", "10.0.0.256", "010.0.0.1", "0x7f.1", "1",
		"::1/129", "::1/1000", ":::1", "[::1]", "::1%lo", "1::2::3", "example.org", "Unix",
		"unix:", "/8", "10.0.0.0/a", "10.0.0.1:80", "*",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999",
		"0000:0000:0000:0000:0000:ffff:255.255.255.2555555555555555" };
	for (size_t i = 0; i < crew__lengthof(bad); i++) {
		struct crew__cidrs cidrs = { 0 };
		crew_bytes wrong = { NULL, 0 };
		char list[128];
		snprintf(list, sizeof(list), "1.1.1.1 unix %s ::1", bad[i]);
		if (crew__cidrs_parse(list, &cidrs, &wrong) != -EINVAL)
			fail_msg("accepted: %s", bad[i]);
		assert_int_equal(wrong.len, strlen(bad[i]));
		assert_memory_equal(wrong.data, bad[i], wrong.len);
		assert_null(cidrs.items);
	}
}

static void addresses(void **state)
{
	(void)state;
	struct crew__record_address address;
	assert_false(crew__ip_parse((crew_bytes){ NULL, 0 }, &address));
	assert_false(crew__ip_parse((crew_bytes){ "1.1.1.1\0", 8 }, &address));
	assert_false(crew__ip_parse(CREW_BYTES("1.1.1.1 "), &address));
	assert_true(crew__ip_parse((crew_bytes){ "1.1.1.12", 7 }, &address));
	assert_int_equal(address.ip[15], 1);
	assert_int_equal(at("::ffff:1.2.3.4").family, AF_INET);
	assert_int_equal(at("::1.2.3.4").family, AF_INET6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_in_a_network),
		cmocka_unit_test(every_prefix),
		cmocka_unit_test(peers_of_a_unix_socket),
		cmocka_unit_test(the_bad_one_is_named),
		cmocka_unit_test(addresses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
