/* test_ip_table.c - connections per address: exact counts, limits, and a table whose places stay
 * reachable whatever leaves it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/ip_table.h"
#include "pieces.h"

#include <arpa/inet.h>
#include <string.h>

static struct crew__ip_table *new_table(size_t most)
{
	struct crew__ip_table *table = NULL;
	assert_int_equal(crew__ip_table_new(most, &table), 0);
	assert_non_null(table);
	return table;
}

static struct crew__record_address address4(const char *text)
{
	struct crew__record_address a = { .family = AF_INET };
	a.ip[10] = a.ip[11] = 0xff;
	assert_int_equal(inet_pton(AF_INET, text, a.ip + 12), 1);
	return a;
}

static struct crew__record_address address6(const char *text)
{
	struct crew__record_address a = { .family = AF_INET6 };
	assert_int_equal(inet_pton(AF_INET6, text, a.ip), 1);
	return a;
}

static void counts_up_to_the_limit(void **state)
{
	(void)state;
	struct crew__ip_table *table = new_table(8);
	struct crew__record_address a = address4("10.0.0.1"), b = address4("10.0.0.2");
	for (int i = 0; i < 3; i++)
		assert_true(crew__ip_table_enter(table, &a, 3));
	assert_false(crew__ip_table_enter(table, &a, 3));
	assert_false(crew__ip_table_enter(table, &a, 3)); /* a refusal is not counted */
	assert_true(crew__ip_table_enter(table, &b, 3));  /* another's count is its own */
	crew__ip_table_leave(table, &a);
	assert_true(crew__ip_table_enter(table, &a, 3));
	assert_false(crew__ip_table_enter(table, &a, 3));
	crew__ip_table_free(table);
}

static void the_port_does_not_matter(void **state)
{
	(void)state;
	struct crew__ip_table *table = new_table(8);
	struct crew__record_address a = address4("10.0.0.1");
	a.port = 1000;
	assert_true(crew__ip_table_enter(table, &a, 1));
	a.port = 1001;
	assert_false(crew__ip_table_enter(table, &a, 1));
	crew__ip_table_leave(table, &a);
	a.port = 1002;
	assert_true(crew__ip_table_enter(table, &a, 1));
	crew__ip_table_free(table);
}

static void ipv6_counts_by_64(void **state)
{
	(void)state;
	struct crew__ip_table *table = new_table(8);
	struct crew__record_address one = address6("2001:db8:1:2::1");
	struct crew__record_address same = address6("2001:db8:1:2:ffff:ffff:ffff:ffff");
	struct crew__record_address next = address6("2001:db8:1:3::1");
	assert_true(crew__ip_table_enter(table, &one, 1));
	assert_false(crew__ip_table_enter(table, &same, 1));
	assert_true(crew__ip_table_enter(table, &next, 1));
	crew__ip_table_leave(table, &same);
	assert_true(crew__ip_table_enter(table, &one, 1));
	crew__ip_table_free(table);
}

/* The numbers are the same; the families are not. */
static void ipv4_and_ipv6_do_not_meet(void **state)
{
	(void)state;
	struct crew__ip_table *table = new_table(8);
	struct crew__record_address v4 = address4("32.1.13.184");
	struct crew__record_address v6 = address6("2001:db8::"); /* the same first four bytes */
	struct crew__record_address zero4 = address4("0.0.0.0"), zero6 = address6("::1");
	assert_true(crew__ip_table_enter(table, &v4, 1));
	assert_true(crew__ip_table_enter(table, &v6, 1));
	assert_true(crew__ip_table_enter(table, &zero4, 1));
	assert_true(crew__ip_table_enter(table, &zero6, 1));
	assert_false(crew__ip_table_enter(table, &zero4, 1));
	assert_false(crew__ip_table_enter(table, &zero6, 1));
	crew__ip_table_free(table);
}

static void unix_peers_do_not_count(void **state)
{
	(void)state;
	struct crew__ip_table *table = new_table(2);
	struct crew__record_address local = { .family = AF_UNIX }, none = { .family = 0 };
	for (int i = 0; i < 200; i++) {
		assert_true(crew__ip_table_enter(table, &local, 1));
		assert_true(crew__ip_table_enter(table, &none, 1));
	}
	crew__ip_table_leave(table, &local);
	crew__ip_table_leave(table, &none);
	crew__ip_table_free(table);
	crew__ip_table_free(NULL);
}

static struct crew__record_address numbered(uint32_t i)
{
	struct crew__record_address a = { .family = i % 2 ? AF_INET : AF_INET6 };
	memcpy(a.ip + (i % 2 ? 12 : 4), &i, sizeof(i));
	return a;
}

/* All that can be there at once, each then found again, while half of them leave in between. */
static void a_full_table_finds_everyone(void **state)
{
	(void)state;
	enum {
		MOST = 1000
	};
	struct crew__ip_table *table = new_table(MOST);
	struct crew__record_address a;
	for (uint32_t i = 0; i < MOST; i++) {
		a = numbered(i);
		assert_true(crew__ip_table_enter(table, &a, 1));
	}
	for (uint32_t i = 0; i < MOST; i += 3) {
		a = numbered(i);
		crew__ip_table_leave(table, &a);
	}
	for (uint32_t i = 0; i < MOST; i++) {
		a = numbered(i);
		assert_int_equal(crew__ip_table_enter(table, &a, 1), i % 3 == 0);
	}
	crew__ip_table_free(table);
}

/* Few addresses, a small table, many comings and goings: every probe chain is made and broken many
 * times, its gaps closed, round the table's end too. The seed differs from run to run, so the
 * chains do; a count for each address is the model. */
static void agrees_with_plain_counts(void **state)
{
	(void)state;
	enum {
		ADDRESSES = 40,
		MOST = 32,
		LIMIT = 3
	};
	for (unsigned round = 0; round < 60; round++) {
		struct crew__ip_table *table = new_table(MOST);
		struct pieces dice = pieces_of(round);
		unsigned counts[ADDRESSES] = { 0 }, sum = 0;
		for (int step = 0; step < 2000; step++) {
			uint32_t i = (uint32_t)(pieces_random(&dice) % ADDRESSES);
			struct crew__record_address a = numbered(i + round * 100);
			if (sum < MOST && pieces_random(&dice) % 2) {
				bool fits = counts[i] < LIMIT;
				assert_int_equal(crew__ip_table_enter(table, &a, LIMIT), fits);
				counts[i] += fits;
				sum += fits;
			} else if (counts[i] > 0) {
				crew__ip_table_leave(
					table, &a); /* aborts when it cannot be found */
				counts[i]--;
				sum--;
			}
		}
		crew__ip_table_free(table);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_up_to_the_limit),
		cmocka_unit_test(the_port_does_not_matter),
		cmocka_unit_test(ipv6_counts_by_64),
		cmocka_unit_test(ipv4_and_ipv6_do_not_meet),
		cmocka_unit_test(unix_peers_do_not_count),
		cmocka_unit_test(a_full_table_finds_everyone),
		cmocka_unit_test(agrees_with_plain_counts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
