/* test_resolver.c - names to addresses, by a name server that fails in every way; on both engines.
 */
#include "net/resolver.h"

#include "base/clock.h"
#include "dns_world.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define LONG_LABEL "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff123"

static const struct dns_rule rules[] = {
	{ .name = "both.test", .data = "10.0.0.1 10.0.0.2 fd00::1", .ttl = 77 },
	{ .name = "four.test", .type = DNS_A, .data = "10.0.0.4", .ttl = 5 },
	{ .name = "four.test", .type = DNS_AAAA },
	{ .name = "six.test", .type = DNS_AAAA, .data = "fd00::6", .ttl = 6 },
	{ .name = "six.test", .type = DNS_A },
	{ .name = "nothing.test" },
	{ .name = "fails.test", .how = DNS_SERVFAIL },
	{ .name = "refuses.test", .how = DNS_REFUSED },
	{ .name = "half.test", .type = DNS_A, .data = "10.0.0.5" },
	{ .name = "half.test", .type = DNS_AAAA, .how = DNS_SERVFAIL },
	{ .name = "deaf.test", .how = DNS_SILENT },
	{ .name = "late6.test", .type = DNS_A, .data = "10.0.0.6", .ttl = 9 },
	{ .name = "late6.test", .type = DNS_AAAA, .data = "fd00::6", .delay_ms = 120, .ttl = 3 },
	{ .name = "late4.test", .type = DNS_AAAA, .data = "fd00::7" },
	{ .name = "late4.test", .type = DNS_A, .data = "10.0.0.7", .delay_ms = 120 },
	{ .name = "gone6.test", .type = DNS_A, .data = "10.0.0.8" },
	{ .name = "gone6.test", .type = DNS_AAAA, .how = DNS_SILENT },
	{ .name = "garbage.test", .how = DNS_GARBAGE },
	{ .name = "damaged.test", .how = DNS_DAMAGED },
	{ .name = "short.test", .how = DNS_SHORT, .data = "10.0.0.9 fd00::9" },
	{ .name = "forged.test", .how = DNS_WRONG_ID, .data = "10.0.0.10 fd00::10" },
	{ .name = "other.test", .how = DNS_OTHER_NAME, .data = "10.0.0.11 fd00::11" },
	{ .name = "long.test", .how = DNS_TRUNCATED, .data = "10.0.0.12 fd00::12" },
	{ .name = "alias.test",
		.data = "cname=one.test cname=two.test 10.0.0.13 fd00::13",
		.ttl = 30 },
	{ .name = "astray.test", .data = "cname=nowhere.test" },
	{ .name = "short.found.test", .data = "10.0.0.14 fd00::14" },
	{ .name = "many4.test",
		.type = DNS_A,
		.data = "10.1.0.1 10.1.0.2 10.1.0.3 10.1.0.4 10.1.0.5 10.1.0.6 10.1.0.7 10.1.0.8 "
			"10.1.0.9 10.1.0.10 10.1.0.11 10.1.0.12 "
			"10.1.0.13 10.1.0.14 10.1.0.15 10.1.0.16 "
			"10.1.0.17 10.1.0.18 10.1.0.19 10.1.0.20 "
			"10.1.0.21 10.1.0.22 10.1.0.23 10.1.0.24 "
			"10.1.0.25 10.1.0.26 10.1.0.27 10.1.0.28 "
			"10.1.0.29 10.1.0.30 10.1.0.31 10.1.0.32 "
			"10.1.0.33 10.1.0.34 10.1.0.35 10.1.0.36 "
			"10.1.0.37 10.1.0.38 10.1.0.39 10.1.0.40" },
	{ .name = "many4.test", .type = DNS_AAAA },
	{ .name = "many.test",
		.type = DNS_A,
		.data = "10.1.0.1 10.1.0.2 10.1.0.3 10.1.0.4 10.1.0.5 10.1.0.6 10.1.0.7 10.1.0.8 "
			"10.1.0.9 10.1.0.10 10.1.0.11 10.1.0.12 "
			"10.1.0.13 10.1.0.14 10.1.0.15 10.1.0.16 "
			"10.1.0.17 10.1.0.18 10.1.0.19 10.1.0.20" },
	{ .name = "many.test",
		.type = DNS_AAAA,
		.data = "fd01::1 fd01::2 fd01::3 fd01::4 fd01::5 "
			"fd01::6 fd01::7 fd01::8 fd01::9 fd01::a "
			"fd01::b fd01::c fd01::d fd01::e fd01::f fd01::10 fd01::11 fd01::12" },
	{ .name = "lop.test",
		.type = DNS_A,
		.data = "10.1.0.1 10.1.0.2 10.1.0.3 10.1.0.4 10.1.0.5 10.1.0.6 10.1.0.7 10.1.0.8 "
			"10.1.0.9 10.1.0.10 10.1.0.11 10.1.0.12 "
			"10.1.0.13 10.1.0.14 10.1.0.15 10.1.0.16 "
			"10.1.0.17 10.1.0.18 10.1.0.19 10.1.0.20 "
			"10.1.0.21 10.1.0.22 10.1.0.23 10.1.0.24 "
			"10.1.0.25 10.1.0.26 10.1.0.27 10.1.0.28 "
			"10.1.0.29 10.1.0.30 10.1.0.31 10.1.0.32" },
	{ .name = "lop.test", .type = DNS_AAAA, .data = "fd01::1 fd01::2" },
	{ .name = NULL },
};

struct world;
struct asked {
	struct world *world;
	struct crew__lookup *lookup;
	struct crew__resolved last, partial;
	char why[128];
	unsigned partials, wholes;
	uint64_t partial_ns, whole_ns;
	void (*then)(struct asked *asked, bool whole);
	struct asked *other;
};

struct world {
	struct crew__loop *loop;
	struct dns_world dns;
	struct crew__resolver *resolver;
	char conf[64];
	unsigned fds;
	bool failed;
};

static unsigned count_fds(void)
{
	unsigned count = 0;
	DIR *dir = opendir("/proc/self/fd");
	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static void write_conf(const struct world *world, const char *text)
{
	FILE *file = fopen(world->conf, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int set_up(void **state, enum crew__engine_kind kind)
{
	struct world *world = calloc(1, sizeof(*world));
	assert_non_null(world);
	world->fds = count_fds();
	snprintf(world->conf, sizeof(world->conf), "/tmp/crew-test-resolv-%d.conf", getpid());
	write_conf(world, "search found.test\n");
	assert_int_equal(crew__loop_new(kind, &world->loop), 0);
	dns_open(&world->dns, world->loop, rules);
	assert_int_equal(crew__resolver_new_from(
				 world->loop, world->dns.servers, world->conf, &world->resolver),
		0);
	*state = world;
	return 0;
}

static int set_up_epoll(void **state)
{
	return set_up(state, CREW__ENGINE_EPOLL);
}

static int set_up_poll(void **state)
{
	return set_up(state, CREW__ENGINE_POLL);
}

static int tear_down(void **state)
{
	struct world *world = *state;
	crew__resolver_free(world->resolver);
	dns_close(&world->dns);
	crew__loop_free(world->loop);
	unlink(world->conf);
	unsigned fds = count_fds();
	int leaked = fds != world->fds;
	if (leaked)
		print_error("%u descriptors before, %u behind\n", world->fds, fds);
	free(world);
	return leaked ? -1 : 0;
}

static void on_resolved(const struct crew__resolved *resolved, bool whole, void *arg)
{
	struct asked *asked = arg;
	if (whole) {
		asked->wholes++;
		asked->lookup = NULL;
		asked->whole_ns = crew__clock_ns();
	} else {
		asked->partials++;
		asked->partial = *resolved;
		asked->partial_ns = crew__clock_ns();
	}
	asked->last = *resolved;
	snprintf(asked->why, sizeof(asked->why), "%s", resolved->why ? resolved->why : "");
	if (asked->then)
		asked->then(asked, whole);
}

static void ask(struct world *world, struct asked *asked, const char *host)
{
	asked->world = world;
	asked->lookup = crew__resolve(world->resolver, host, 443, on_resolved, asked);
	assert_non_null(asked->lookup);
	assert_int_equal(asked->wholes + asked->partials, 0); /* not from inside */
}

static void until_whole(struct world *world, struct asked *asked)
{
	uint64_t give_up = crew__clock_ns() + 40 * CREW__NS_PER_S;
	while (asked->wholes == 0) {
		assert_true(crew__clock_ns() < give_up);
		assert_int_equal(crew__loop_turn(world->loop, 100), 0);
	}
	assert_int_equal(asked->wholes, 1);
}

static void pass(struct world *world, unsigned ms)
{
	uint64_t end = crew__clock_ns() + ms * CREW__NS_PER_MS;
	while (crew__clock_ns() < end)
		assert_int_equal(crew__loop_turn(world->loop, 5), 0);
}

static struct asked resolve(struct world *world, const char *host)
{
	struct asked asked = { 0 };
	ask(world, &asked, host);
	until_whole(world, &asked);
	return asked;
}

/* "fd00::1 10.0.0.1", each with its port checked. */
static const char *text_of(const struct crew__resolved *resolved)
{
	static char text[2048];
	size_t length = 0;
	text[0] = '\0';
	for (size_t i = 0; i < resolved->count; i++) {
		char ip[INET6_ADDRSTRLEN];
		struct sockaddr_in ipv4;
		struct sockaddr_in6 ipv6;
		memcpy(&ipv4, &resolved->addresses[i], sizeof(ipv4));
		memcpy(&ipv6, &resolved->addresses[i], sizeof(ipv6));
		bool six = ipv6.sin6_family == AF_INET6;
		assert_non_null(inet_ntop(ipv6.sin6_family,
			six ? (void *)&ipv6.sin6_addr : (void *)&ipv4.sin_addr, ip, sizeof(ip)));
		assert_int_equal(ntohs(six ? ipv6.sin6_port : ipv4.sin_port), 443);
		length += (size_t)snprintf(
			text + length, sizeof(text) - length, "%s%s", length ? " " : "", ip);
	}
	return text;
}

static void check_text(struct world *world, const char *host, const char *expected)
{
	struct asked asked = resolve(world, host);
	assert_int_equal(asked.last.error, 0);
	assert_string_equal(text_of(&asked.last), expected);
}

static void check_error(struct world *world, const char *host, int error, const char *why)
{
	struct asked asked = resolve(world, host);
	assert_int_equal(asked.last.error, error);
	assert_string_equal(asked.why, why);
	assert_int_equal(asked.last.count, 0);
	assert_int_equal(asked.partials, 0);
}

/* ---- answers ------------------------------------------------------------------------------- */

static void gives_both_families(void **state)
{
	struct asked asked = resolve(*state, "both.test");
	assert_int_equal(asked.last.error, 0);
	assert_int_equal(asked.last.count, 3);
	assert_int_equal(asked.last.addresses[0].ss_family, AF_INET6);
	assert_int_equal(asked.last.addresses[1].ss_family, AF_INET);
	assert_int_equal(asked.last.ttl_s, 77);
}

static void gives_what_there_is(void **state)
{
	check_text(*state, "four.test", "10.0.0.4");
	check_text(*state, "six.test", "fd00::6");
	check_text(*state, "FOUR.test", "10.0.0.4");
	check_text(*state, "four.test.", "10.0.0.4");
	check_text(*state, "half.test", "10.0.0.5");
}

static void follows_aliases(void **state)
{
	check_text(*state, "alias.test", "fd00::13 10.0.0.13");
	check_error(*state, "astray.test", -ENOENT, "it has no address");
}

static void takes_search_domains(void **state)
{
	check_text(*state, "short", "fd00::14 10.0.0.14");
}

static void asks_again_by_tcp(void **state)
{
	struct world *world = *state;
	check_text(world, "long.test", "fd00::12 10.0.0.12");
	assert_int_equal(world->dns.asked_by_tcp, 2);
}

static void believes_only_its_own_answer(void **state)
{
	check_text(*state, "forged.test", "fd00::10 10.0.0.10");
	check_text(*state, "other.test", "fd00::11 10.0.0.11");
}

static void bounds_addresses(void **state)
{
	struct asked four = resolve(*state, "many4.test"), both = resolve(*state, "many.test"),
		     lop = resolve(*state, "lop.test");
	assert_int_equal(four.last.count, CREW__RESOLVED_MOST);
	assert_int_equal(both.last.count, CREW__RESOLVED_MOST);
	assert_int_equal(both.last.addresses[15].ss_family, AF_INET6);
	assert_int_equal(both.last.addresses[16].ss_family, AF_INET);
	assert_int_equal(lop.last.count, CREW__RESOLVED_MOST);
	assert_int_equal(lop.last.addresses[1].ss_family, AF_INET6);
	assert_int_equal(lop.last.addresses[2].ss_family, AF_INET);
}

static void tells_the_first_family_early(void **state)
{
	struct asked late6 = resolve(*state, "late6.test"), late4 = resolve(*state, "late4.test");
	assert_int_equal(late6.partials, 1);
	assert_string_equal(text_of(&late6.partial), "10.0.0.6");
	assert_string_equal(text_of(&late6.last), "fd00::6 10.0.0.6");
	assert_true(late6.whole_ns - late6.partial_ns >= 80 * CREW__NS_PER_MS);
	assert_int_equal(late6.last.ttl_s, 3);
	assert_int_equal(late4.partials, 1);
	assert_string_equal(text_of(&late4.partial), "fd00::7");
	assert_string_equal(text_of(&late4.last), "fd00::7 10.0.0.7");
}

/* ---- what needs no asking ------------------------------------------------------------------ */

static void takes_numbers_without_asking(void **state)
{
	struct world *world = *state;
	check_text(world, "192.0.2.7", "192.0.2.7");
	check_text(world, "2001:db8::7", "2001:db8::7");
	check_text(world, "::1", "::1");
	struct asked zone = resolve(world, "fe80::1%lo");
	struct sockaddr_in6 ipv6;
	memcpy(&ipv6, &zone.last.addresses[0], sizeof(ipv6));
	assert_int_equal(ipv6.sin6_scope_id, 1);
	assert_int_equal(resolve(world, "fe80::1%7").last.count, 1);
	assert_int_equal(world->dns.asked, 0);
}

static void knows_localhost(void **state)
{
	struct world *world = *state;
	check_text(world, "localhost", "::1 127.0.0.1");
	check_text(world, "LocalHost.", "::1 127.0.0.1");
	check_text(world, "app.localhost", "::1 127.0.0.1");
	assert_int_equal(world->dns.asked, 0);
	assert_int_equal(resolve(world, "notlocalhost").last.error, -ENOENT);
}

static void refuses_what_is_no_name(void **state)
{
	static const char *const bad[] = { "", ".", "..", "a..b", ".a", "a b", "a/b", "a\nb",
		"a\\b", "[::1]", "::1::", "1.2.3.4:5", "fe80::1%", "fe80::1%nowhere0",
		"fe80::1%4294967296", "fe80::1%0",
		"b\xc3\xbc"
		"cher.test",
		"a@b", "a%41", "x" LONG_LABEL };
	struct world *world = *state;
	for (size_t i = 0; i < crew__lengthof(bad); i++)
		check_error(world, bad[i], -EINVAL,
			"this is no name: it has bytes or a length that none may have");
	assert_int_equal(world->dns.asked, 0);
}

static void bounds_the_length_of_names(void **state)
{
	static const char longest[] = LONG_LABEL
		"." LONG_LABEL "." LONG_LABEL "."
		"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff1";
	char name[300];
	struct world *world = *state;
	assert_int_equal(sizeof(longest) - 1, 253);
	check_error(world, longest, -ENOENT, "no such name");
	assert_int_equal(resolve(world, LONG_LABEL ".test").last.error, -ENOENT);
	snprintf(name, sizeof(name), "%s.", longest);
	check_error(world, name, -ENOENT, "no such name");
	unsigned asked = world->dns.asked;
	snprintf(name, sizeof(name), "%s2", longest);
	assert_int_equal(resolve(world, name).last.error, -EINVAL);
	assert_int_equal(world->dns.asked, asked);
}

/* ---- failures ------------------------------------------------------------------------------ */

static void tells_what_failed(void **state)
{
	check_error(*state, "unknown.test", -ENOENT, "no such name");
	check_error(*state, "nothing.test", -ENOENT, "it has no address");
	check_error(*state, "fails.test", -EAGAIN, "the name servers failed, or cannot be reached");
	check_error(
		*state, "refuses.test", -EAGAIN, "the name servers failed, or cannot be reached");
}

/* All at once, and by one engine: it takes c-ares a while. */
static void gives_up_in_time(void **state)
{
	static const char *const hosts[] = { "deaf.test", "garbage.test", "damaged.test",
		"short.test", "gone6.test" };
	struct world *world = *state;
	struct asked asked[crew__lengthof(hosts)] = { 0 };
	uint64_t began = crew__clock_ns();
	for (size_t i = 0; i < crew__lengthof(hosts); i++)
		ask(world, &asked[i], hosts[i]);
	for (size_t i = 0; i < crew__lengthof(hosts); i++)
		until_whole(world, &asked[i]);
	assert_true(crew__clock_ns() - began < 25 * CREW__NS_PER_S);
	assert_int_equal(asked[0].last.error, -ETIMEDOUT);
	assert_string_equal(asked[0].why, "the name servers do not answer");
	for (size_t i = 1; i < 4; i++)
		assert_true(asked[i].last.error == -EAGAIN || asked[i].last.error == -ETIMEDOUT);
	assert_int_equal(asked[4].partials, 1);
	assert_true(asked[4].partial_ns - began < CREW__NS_PER_S);
	assert_string_equal(text_of(&asked[4].last), "10.0.0.8");
	check_text(world, "four.test", "10.0.0.4");
}

/* Both queries go by one socket, and the first may hear nothing of the second's failure: then
 * c-ares waits for as long as for a server that is silent. */
static void tells_of_no_server(void **state)
{
	struct world *world = *state;
	struct crew__resolver *resolver;
	struct asked asked = { .world = world };
	assert_int_equal(
		crew__resolver_new_from(world->loop, "127.0.0.1:9", world->conf, &resolver), 0);
	asked.lookup = crew__resolve(resolver, "four.test", 443, on_resolved, &asked);
	until_whole(world, &asked);
	assert_true(asked.last.error == -EAGAIN || asked.last.error == -ETIMEDOUT);
	assert_int_equal(asked.last.count, 0);
	crew__resolver_free(resolver);
}

/* ---- stopping, and other things that callbacks do -------------------------------------------- */

static void stops_at_every_moment(void **state)
{
	struct world *world = *state;
	for (unsigned turns = 0; turns < 12; turns++) {
		struct asked asked = { 0 }, numeric = { 0 };
		ask(world, &asked, "late6.test");
		ask(world, &numeric, "::1");
		for (unsigned i = 0; i < turns; i++)
			crew__loop_turn(world->loop, 20);
		if (asked.lookup)
			crew__lookup_stop(asked.lookup);
		if (numeric.lookup)
			crew__lookup_stop(numeric.lookup);
		unsigned told = asked.partials + asked.wholes;
		pass(world, 200);
		assert_int_equal(asked.partials + asked.wholes, told);
	}
}

/* An orphan in c-ares tells nobody, while another lookup goes on. */
static void stops_one_of_several(void **state)
{
	struct world *world = *state;
	struct asked gone = { 0 }, stays = { 0 };
	ask(world, &gone, "late6.test");
	ask(world, &stays, "late4.test");
	crew__lookup_stop(gone.lookup);
	until_whole(world, &stays);
	pass(world, 150);
	assert_int_equal(gone.partials + gone.wholes, 0);
}

static void stop_other(struct asked *asked, bool whole)
{
	(void)whole;
	if (asked->other->lookup)
		crew__lookup_stop(asked->other->lookup);
	asked->other->lookup = NULL;
}

static void stops_another_that_has_news(void **state)
{
	struct world *world = *state;
	struct asked one = { .then = stop_other }, two = { .then = stop_other };
	one.other = &two;
	two.other = &one;
	ask(world, &one, "::1");
	ask(world, &two, "::1");
	pass(world, 20);
	assert_int_equal(one.wholes + two.wholes, 1);
}

static void stop_itself(struct asked *asked, bool whole)
{
	if (!whole)
		crew__lookup_stop(asked->lookup);
}

static void stops_itself_when_half_is_known(void **state)
{
	struct world *world = *state;
	struct asked asked = { .then = stop_itself };
	ask(world, &asked, "late6.test");
	pass(world, 250);
	assert_int_equal(asked.partials, 1);
	assert_int_equal(asked.wholes, 0);
}

static void ask_next(struct asked *asked, bool whole)
{
	if (whole && asked->other) {
		ask(asked->world, asked->other, "four.test");
		asked->other = NULL;
	}
}

static void asks_from_a_callback(void **state)
{
	struct asked next = { 0 }, asked = { .then = ask_next, .other = &next };
	ask(*state, &asked, "both.test");
	until_whole(*state, &asked);
	until_whole(*state, &next);
	assert_string_equal(text_of(&next.last), "10.0.0.4");
}

/* What is chained from callbacks does not keep the loop from turning. */
static void ask_number_again(struct asked *asked, bool whole)
{
	if (whole && asked->wholes < 1000)
		asked->lookup = crew__resolve(
			asked->world->resolver, "::1", 443, on_resolved, asked);
}

static void lets_others_have_their_turn(void **state)
{
	struct world *world = *state;
	struct asked asked = { .then = ask_number_again };
	ask(world, &asked, "::1");
	for (int i = 0; i < 10; i++)
		crew__loop_turn(world->loop, 0);
	assert_in_range(asked.wholes, 1, 20);
	if (asked.lookup)
		crew__lookup_stop(asked.lookup);
}

static void ask_when_cancelled(struct asked *asked, bool whole)
{
	(void)whole;
	assert_null(crew__resolve(asked->world->resolver, "::1", 443, on_resolved, asked));
}

static void cancels_what_is_under_way(void **state)
{
	struct world *world = *state;
	struct asked asked[4] = { { 0 }, { .then = stop_other }, { 0 },
		{ .then = ask_when_cancelled } };
	asked[1].other = &asked[2];
	ask(world, &asked[0], "late6.test");
	ask(world, &asked[1], "deaf.test");
	ask(world, &asked[2], "both.test");
	ask(world, &asked[3], "::1");
	crew__resolver_free(world->resolver);
	world->resolver = NULL;
	assert_int_equal(asked[0].last.error, -ECANCELED);
	assert_int_equal(asked[1].last.error, -ECANCELED);
	assert_int_equal(asked[2].wholes, 0);
	assert_int_equal(asked[3].last.error, -ECANCELED);
	assert_int_equal(asked[0].wholes + asked[1].wholes + asked[3].wholes, 3);
}

static void bears_many_at_once(void **state)
{
	enum {
		COUNT = 20
	};
	struct asked *asked = calloc(COUNT, sizeof(*asked));
	assert_non_null(asked);
	for (int i = 0; i < COUNT; i++)
		ask(*state, &asked[i], i % 2 ? "both.test" : "late4.test");
	for (int i = 0; i < COUNT; i++)
		until_whole(*state, &asked[i]);
	free(asked);
}

/* ---- configuration ------------------------------------------------------------------------- */

static void reads_lists_of_servers(void **state)
{
	static const char *const good[] = { "127.0.0.1", "127.0.0.1:53", "::1", "[::1]",
		"[::1]:5353", "10.0.0.1 10.0.0.2,::1", " 10.0.0.1 ", "1.1.1.1:65535" };
	static const char *const bad[] = { "", " ", "localhost", "127.0.0.1:", "127.0.0.1:0",
		"127.0.0.1:65536", "127.0.0.1:5x", "[::1", "[::1]5", "[::1]:", "[127.0.0.1]:53",
		"::1:x", "1.1.1.1 what", "1.1.1.1:000053", "fe80::1%lo",
		"1.1.1.1 1.1.1.2 1.1.1.3 1.1.1.4 1.1.1.5 1.1.1.6 1.1.1.7 1.1.1.8 1.1.1.9",
		"[00000000000000000000000000000000000000000000000000000000000000000::1]:53" };
	struct crew__resolver *resolver;
	struct world *world = *state;
	for (size_t i = 0; i < crew__lengthof(good); i++)
		assert_true(crew__resolver_servers_good(good[i]));
	for (size_t i = 0; i < crew__lengthof(bad); i++) {
		assert_false(crew__resolver_servers_good(bad[i]));
		assert_int_equal(
			crew__resolver_new_from(world->loop, bad[i], world->conf, &resolver),
			-EINVAL);
	}
}

/* The file changes while the program lives: a laptop, a container. c-ares reads no ports there, so
 * what can be seen is the search domain. */
static void reads_the_configuration_anew(void **state)
{
	struct world *world = *state;
	check_error(world, "four", -ENOENT, "no such name");
	write_conf(world, "search test\n");
	pass(world, 1100);
	check_text(world, "four", "10.0.0.4");
	unlink(world->conf);
	pass(world, 1100);
	assert_int_equal(resolve(world, "both.test").last.count, 3);
}

static void does_without_a_file_that_cannot_be_read(void **state)
{
	struct world *world = *state;
	struct asked asked = { .world = world };
	struct crew__resolver *resolver;
	assert_int_equal(crew__resolver_new_from(world->loop, world->dns.servers,
				 "/dev/null/resolv.conf", &resolver),
		0);
	asked.lookup = crew__resolve(resolver, "four.test", 443, on_resolved, &asked);
	until_whole(world, &asked);
	assert_string_equal(text_of(&asked.last), "10.0.0.4");
	crew__resolver_free(resolver);
}

/* What is under way ends with the old one. */
static void does_not_change_in_between(void **state)
{
	struct world *world = *state;
	struct asked late = { 0 };
	write_conf(world, "search test\n");
	pass(world, 1100);
	ask(world, &late, "deaf.test");
	crew__lookup_stop(late.lookup);
	memset(&late, 0, sizeof(late));
	ask(world, &late, "late6.test");
	check_text(world, "four", "10.0.0.4");
	until_whole(world, &late);
	assert_string_equal(text_of(&late.last), "fd00::6 10.0.0.6");
}

#define ON_EPOLL(test)                                                \
	{                                                             \
#test " (epoll)", test, set_up_epoll, tear_down, NULL \
	}
#define BOTH(test)                                                  \
	{ #test " (epoll)", test, set_up_epoll, tear_down, NULL },  \
	{                                                           \
#test " (poll)", test, set_up_poll, tear_down, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(gives_both_families),
		BOTH(gives_what_there_is),
		BOTH(follows_aliases),
		BOTH(takes_search_domains),
		BOTH(asks_again_by_tcp),
		BOTH(believes_only_its_own_answer),
		BOTH(bounds_addresses),
		BOTH(tells_the_first_family_early),
		BOTH(takes_numbers_without_asking),
		BOTH(knows_localhost),
		BOTH(refuses_what_is_no_name),
		BOTH(bounds_the_length_of_names),
		BOTH(tells_what_failed),
		ON_EPOLL(gives_up_in_time),
		ON_EPOLL(tells_of_no_server),
		BOTH(stops_at_every_moment),
		BOTH(stops_one_of_several),
		BOTH(stops_another_that_has_news),
		BOTH(stops_itself_when_half_is_known),
		BOTH(asks_from_a_callback),
		BOTH(lets_others_have_their_turn),
		BOTH(cancels_what_is_under_way),
		BOTH(bears_many_at_once),
		BOTH(reads_lists_of_servers),
		BOTH(reads_the_configuration_anew),
		BOTH(does_not_change_in_between),
		BOTH(does_without_a_file_that_cannot_be_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
