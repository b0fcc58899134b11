/* test_act.c - whom a kick means, and who of them is still there, from segments made by hand. */
#include "cli/act.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	SLOTS = 64
};

static const struct {
	unsigned life; /* index */
	int family;
	const char *ip;
	uint16_t port;
} peers[] = {
	{ 0, AF_INET, "192.0.2.1", 5000 },
	{ 0, AF_INET, "192.0.2.1", 5001 },
	{ 0, AF_INET, "192.0.2.10", 5000 },
	{ 0, AF_INET6, "2001:db8::1", 5000 },
	{ 1, AF_INET6, "2001:db8::1", 50 },
	{ 1, AF_UNIX, "", 0 },
	{ 1, AF_INET6, "fe80::1", 7 },
};
enum {
	PEERS = sizeof(peers) / sizeof(peers[0]),
	STALLED = 1, /* has a verdict */
	SCOPED = 6
};

struct world {
	struct crew__segment segments[2];
	struct crew__stats stats[2];
	struct crew__attached attached;
	uint64_t ids[PEERS];
};

static char error[4096];

static struct crew__record_address address_of(unsigned peer)
{
	struct crew__record_address address = { .family = (uint16_t)peers[peer].family };
	address.port = peers[peer].port;
	if (peers[peer].family == AF_INET6)
		inet_pton(AF_INET6, peers[peer].ip, address.ip);
	if (peers[peer].family == AF_INET) {
		address.ip[10] = address.ip[11] = 0xff;
		inet_pton(AF_INET, peers[peer].ip, address.ip + 12);
	}
	if (peer == SCOPED)
		address.scope = 3;
	return address;
}

static void open_peer(struct world *w, unsigned peer)
{
	struct crew__stats *stats = &w->stats[peers[peer].life];
	struct crew__record *hot = &stats->records[peer];
	w->ids[peer] = (uint64_t)(peers[peer].life + 1) << 52 | (uint64_t)peer << 32 | 1;
	crew__slab_begin(stats->slab);
	atomic_store(&stats->slab->slots_high, peer + 1);
	hot->state = CREW__CONN_OPEN;
	hot->end = CREW_END_REASONS;
	stats->cold[peer].remote = address_of(peer);
	if (peer == STALLED) {
		hot->bytes_queued = 100;
		hot->messages_queued = 1;
		stats->slow[peer].verdict = CREW_VERDICT_READER_STALLED;
		atomic_store(&stats->slow[peer].id, w->ids[peer]);
	}
	atomic_store(&hot->id, w->ids[peer]);
	crew__slab_end(stats->slab);
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	assert_non_null(w);
	for (uint32_t i = 0; i < 2; i++) {
		const struct crew__segment_plan plan = {
			.service = i ? "web" : "feed",
			.listen = "ws://:7010",
			.life = i + 1,
			.generation = 1,
			.slots = SLOTS,
		};
		assert_int_equal(crew__segment_new(&plan, &w->segments[i]), 0);
		assert_int_equal(crew__segment_stats(&w->segments[i], &w->stats[i]), 0);
		atomic_store(&w->segments[i].header->pid, getpid());
	}
	for (unsigned i = 0; i < PEERS; i++)
		open_peer(w, i);
	w->attached.segments = w->segments;
	w->attached.segment_count = 2;
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	crew__segment_fini(&w->segments[0]);
	crew__segment_fini(&w->segments[1]);
	free(w);
	return 0;
}

/* `argument` (or the verdict) means exactly those of the list, which ends with -1. */
static void means(struct world *w, const char *argument, const char *verdict, ...)
{
	struct crew__chosen chosen;
	size_t expected = 0;
	if (crew__act_choose(&w->attached, argument, verdict, &chosen, error, sizeof(error)))
		fail_msg("%s: %s", argument ? argument : verdict, error);
	va_list list;
	va_start(list, verdict);
	for (int peer; (peer = va_arg(list, int)) >= 0; expected++) {
		bool found = false;
		for (size_t i = 0; i < chosen.count; i++)
			found = found || chosen.ids[i] == w->ids[peer];
		if (!found)
			fail_msg("%s does not mean %s", argument ? argument : verdict,
				peers[peer].ip);
	}
	va_end(list);
	assert_int_equal(chosen.count, expected);
	for (size_t i = 1; i < chosen.count; i++)
		assert_true(chosen.ids[i - 1] < chosen.ids[i]);
	free(chosen.ids);
}

static void fails(
	struct world *w, const char *argument, const char *verdict, int status, const char *words)
{
	struct crew__chosen chosen;
	error[0] = '\0';
	int got = crew__act_choose(&w->attached, argument, verdict, &chosen, error, sizeof(error));
	if (got != status || !strstr(error, words))
		fail_msg("%s: %d, %s", argument ? argument : verdict, got, error);
}

static void ids_and_their_beginnings(void **state)
{
	struct world *w = *state;
	means(w, "0010000000000001", NULL, 0, -1);
	means(w, "00100001", NULL, 1, -1);
	means(w, "00200005", NULL, 5, -1);
	fails(w, "001", NULL, -ENOTUNIQ, "4 connections have an id that begins with 001");
	fails(w, "002", NULL, -ENOTUNIQ, "\n  0020000500000001  web  unix:");
	fails(w, "0", NULL, -ENOTUNIQ, "7 connections");
	fails(w, "1", NULL, -ENOENT, "begins with 1");
	fails(w, "0010000000000002", NULL, -ENOENT, "0010000000000002");
	fails(w, "00100000000000010", NULL, -EINVAL, "neither an id");
	fails(w, "", NULL, -EINVAL, "neither an id");
	fails(w, "0x10", NULL, -EINVAL, "neither an id");
}

static void addresses_in_many_forms(void **state)
{
	struct world *w = *state;
	means(w, "192.0.2.1", NULL, 0, 1, -1); /* and not 192.0.2.10 */
	means(w, "192.0.2.1:5001", NULL, 1, -1);
	means(w, "::ffff:192.0.2.1", NULL, 0, 1, -1);
	means(w, "[::ffff:192.0.2.1]:5000", NULL, 0, -1);
	means(w, "2001:db8::1", NULL, 3, 4, -1);
	means(w, "2001:0DB8:0::0001", NULL, 3, 4, -1);
	means(w, "[2001:db8::1]", NULL, 3, 4, -1);
	means(w, "[2001:db8::1]:50", NULL, 4, -1); /* and not 5000 */
	means(w, "[fe80::1%3]:7", NULL, SCOPED, -1);
	means(w, "fe80::1%3", NULL, SCOPED, -1);
	means(w, "unix:", NULL, 5, -1);
	fails(w, "192.0.2.2", NULL, -ENOENT, "comes from 192.0.2.2");
	fails(w, "192.0.2.1:50", NULL, -ENOENT, "192.0.2.1:50");
	fails(w, "fe80::1", NULL, -ENOENT, "fe80::1");
	fails(w, "[::1]:1", NULL, -ENOENT, "[::1]:1");
	static const char *const bad[] = { "192.0.2", "192.0.2.1:", "192.0.2.1:x",
		"192.0.2.1:65536", "192.0.2.1:999999", "[::1", "::1]", "[::1]1", "[]", "localhost",
		"192.0.2.256", "fe80::1%", "fe80::1%no-such-interface", "unix:/tmp/x", ":80",
		"1:2:3" };
	for (size_t i = 0; i < crew__lengthof(bad); i++)
		fails(w, bad[i], NULL, -EINVAL, "nor an address");
	char long_host[200];
	memset(long_host, ':', sizeof(long_host) - 1);
	long_host[sizeof(long_host) - 1] = '\0';
	fails(w, long_host, NULL, -EINVAL, "nor an address");
}

static void verdicts(void **state)
{
	struct world *w = *state;
	means(w, NULL, "reader-stalled", STALLED, -1);
	fails(w, NULL, "network", -ENOENT, "no connection has the verdict network");
	fails(w, NULL, "reader-staled", -EINVAL, "did you mean \"reader-stalled\"");
	fails(w, NULL, "zzzzzzzz", -EINVAL, "is no verdict");
	fails(w, NULL, "", -EINVAL, "is no verdict");
}

/* A text that has no room for all candidates is cut, not overrun. */
static void little_room_for_the_candidates(void **state)
{
	struct world *w = *state;
	struct crew__chosen chosen;
	for (size_t size = 1; size < 400; size++) {
		memset(error, '#', sizeof(error));
		assert_int_equal(crew__act_choose(&w->attached, "00", NULL, &chosen, error, size),
			-ENOTUNIQ);
		assert_true(strnlen(error, sizeof(error)) < size);
		assert_int_equal(error[size], '#');
	}
}

static void who_is_still_there(void **state)
{
	struct world *w = *state;
	uint64_t ids[] = { w->ids[0], w->ids[1], 12345, w->ids[4] };
	struct crew__chosen chosen = { .ids = ids, .count = 4 }, gone;
	atomic_store(&w->stats[0].records[1].id, 0);
	assert_int_equal(crew__act_still_there(&w->attached, &chosen, &gone), 0);
	assert_int_equal(chosen.count, 2);
	assert_int_equal(chosen.ids[0], w->ids[0]);
	assert_int_equal(chosen.ids[1], w->ids[4]);
	assert_int_equal(gone.count, 2);
	assert_int_equal(gone.ids[0], w->ids[1]);
	assert_int_equal(gone.ids[1], 12345);
	free(gone.ids);
	/* The slot serves another connection now: the old one is gone. */
	atomic_store(&w->stats[0].records[0].id, w->ids[0] + 1);
	w->attached.segment_count = 1;
	assert_int_equal(crew__act_still_there(&w->attached, &chosen, &gone), 0);
	assert_int_equal(chosen.count, 0);
	assert_int_equal(gone.count, 2);
	free(gone.ids);
	w->attached.segment_count = 0;
	assert_int_equal(crew__act_still_there(&w->attached, &chosen, &gone), 0);
	assert_int_equal(gone.count, 0);
	free(gone.ids);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(ids_and_their_beginnings),
		TEST(addresses_in_many_forms),
		TEST(verdicts),
		TEST(little_room_for_the_candidates),
		TEST(who_is_still_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
