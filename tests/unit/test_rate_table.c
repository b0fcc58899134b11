/* test_rate_table.c - how fast an address may open connections: at once, evenly, and after a rest;
 * and that many addresses cost no more memory than few. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "net/rate_table.h"

#include <arpa/inet.h>
#include <string.h>

#define BEGIN (UINT64_C(1000) * CREW__NS_PER_S)

static struct crew__rate_table *table;

static int open_table(void **state)
{
	(void)state;
	return crew__rate_table_new(&table);
}

static int free_table(void **state)
{
	(void)state;
	crew__rate_table_free(table);
	return 0;
}

static struct crew__record_address address4(uint32_t ip)
{
	struct crew__record_address a = { .family = AF_INET };
	ip = htonl(ip);
	memcpy(a.ip + 12, &ip, sizeof(ip));
	return a;
}

static struct crew__record_address address6(const char *text)
{
	struct crew__record_address a = { .family = AF_INET6 };
	assert_int_equal(inet_pton(AF_INET6, text, a.ip), 1);
	return a;
}

/* How many of `tries` at that moment are let in. */
static unsigned let_in(
	const struct crew__record_address *from, uint64_t rate, uint64_t now_ns, unsigned tries)
{
	unsigned in = 0;
	while (tries-- > 0)
		in += crew__rate_table_enter(table, from, rate, now_ns);
	return in;
}

static void so_many_at_once_and_then_evenly(void **state)
{
	(void)state;
	struct crew__record_address a = address4(0x0a000001), b = address4(0x0a000002);
	assert_int_equal(let_in(&a, 10, BEGIN, 50), 10);
	assert_int_equal(let_in(&b, 10, BEGIN, 50), 10); /* each for itself */
	/* What was refused has not counted: a tenth of a second is good for one. */
	assert_int_equal(let_in(&a, 10, BEGIN + 99 * CREW__NS_PER_MS, 50), 0);
	assert_int_equal(let_in(&a, 10, BEGIN + 101 * CREW__NS_PER_MS, 50), 1);
	assert_int_equal(let_in(&a, 10, BEGIN + 601 * CREW__NS_PER_MS, 50), 5);
	/* Rest earns a second's worth, and no more. */
	assert_int_equal(let_in(&a, 10, BEGIN + 3600 * CREW__NS_PER_S, 50), 10);
}

static void over_a_long_time_it_is_the_rate(void **state)
{
	(void)state;
	struct crew__record_address a = address4(0x0a000001);
	unsigned in = 0;
	for (uint64_t ms = 0; ms < 10000; ms++)
		in += let_in(&a, 7, BEGIN + ms * CREW__NS_PER_MS, 3);
	assert_in_range(in, 70, 7 * 11);
}

static void one_a_second(void **state)
{
	(void)state;
	struct crew__record_address a = address4(0x0a000001);
	assert_int_equal(let_in(&a, 1, BEGIN, 9), 1);
	assert_int_equal(let_in(&a, 1, BEGIN + CREW__NS_PER_S / 2, 9), 0);
	assert_int_equal(let_in(&a, 1, BEGIN + CREW__NS_PER_S + 2, 9), 1);
}

/* Set while it runs: the new rate holds at once for who came by the old one. */
static void another_rate(void **state)
{
	(void)state;
	struct crew__record_address a = address4(0x0a000001);
	assert_int_equal(let_in(&a, 1000, BEGIN, 2000), 1000);
	assert_int_equal(let_in(&a, 2, BEGIN, 9), 0);
	assert_int_equal(let_in(&a, 2, BEGIN + 3 * CREW__NS_PER_S, 9), 2);
	assert_int_equal(let_in(&a, 1000000, BEGIN + 4 * CREW__NS_PER_S, 9), 9);
}

static void what_counts_as_one_address(void **state)
{
	(void)state;
	struct crew__record_address a = address6("2001:db8::1"), b = address6("2001:db8::2:3"),
				    c = address6("2001:db8:0:1::1"), d = address4(0x20010db8),
				    local = { .family = AF_UNIX };
	assert_int_equal(let_in(&a, 4, BEGIN, 3), 3);
	assert_int_equal(let_in(&b, 4, BEGIN, 9), 1); /* of the same /64 */
	assert_int_equal(let_in(&c, 4, BEGIN, 9), 4);
	assert_int_equal(let_in(&d, 4, BEGIN, 9), 4);
	a.port = 99;
	assert_int_equal(let_in(&a, 4, BEGIN, 1), 0);
	assert_int_equal(let_in(&local, 1, BEGIN, 1000), 1000);
}

/* IPv4 and IPv6 of the same bits are two. */
static void families_are_apart(void **state)
{
	(void)state;
	struct crew__record_address four = address4(0x01020304), six = { .family = AF_INET6 };
	memcpy(six.ip, four.ip + 12, 4);
	assert_int_equal(let_in(&four, 3, BEGIN, 9), 3);
	assert_int_equal(let_in(&six, 3, BEGIN, 9), 3);
	assert_int_equal(let_in(&four, 3, BEGIN, 9), 0);
}

/* Far more addresses than places: nobody who comes for the first time is refused, and who comes
 * fastest is not forgotten for those who came once. */
static void more_addresses_than_places(void **state)
{
	(void)state;
	struct crew__record_address fast = address4(0x7f000001);
	assert_int_equal(let_in(&fast, 100, BEGIN, 500), 100);
	for (uint32_t i = 0; i < 10 * CREW__RATE_PLACES; i++) {
		struct crew__record_address once = address4(0x0a000000 + i);
		assert_true(crew__rate_table_enter(table, &once, 100, BEGIN));
	}
	assert_int_equal(let_in(&fast, 100, BEGIN, 500), 0);
}

int main(void)
{
#define WITH_A_TABLE(test) cmocka_unit_test_setup_teardown(test, open_table, free_table)
	const struct CMUnitTest tests[] = {
		WITH_A_TABLE(so_many_at_once_and_then_evenly),
		WITH_A_TABLE(over_a_long_time_it_is_the_rate),
		WITH_A_TABLE(one_a_second),
		WITH_A_TABLE(another_rate),
		WITH_A_TABLE(what_counts_as_one_address),
		WITH_A_TABLE(families_are_apart),
		WITH_A_TABLE(more_addresses_than_places),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
