/* The model of `connections`, its order, and what is printed of it, from segments made by hand. */
#include "cli/connections.h"

#include "base/clock.h"
#include "cli/screen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	SLOTS = 16384
};

struct world {
	struct crew__segment segments[2];
	struct crew__stats stats[2];
	struct crew__attached attached;
	uint32_t now; /* hundredths of a second since the lives began */
};

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	assert_non_null(w);
	for (uint32_t i = 0; i < 2; i++) {
		struct crew__segment_plan plan = { .service = i ? "web" : "feed",
			.listen = "ws://:7010",
			.life = i + 1,
			.generation = 1,
			.slots = SLOTS };
		assert_int_equal(crew__segment_new(&plan, &w->segments[i]), 0);
		assert_int_equal(crew__segment_stats(&w->segments[i], &w->stats[i]), 0);
		atomic_store(&w->segments[i].header->pid, 1000 + (int)i);
		/* The lives began 100 s ago. */
		w->segments[i].header->began_ns = crew__clock_ns() - 100 * CREW__NS_PER_S;
	}
	w->now = 10000;
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

static struct crew__record_address address_of(uint16_t port)
{
	struct crew__record_address address = { .port = port, .family = AF_INET };
	static const uint8_t mapped[16] = { [10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1 };
	memcpy(address.ip, mapped, sizeof(mapped));
	return address;
}

/* An open WebSocket connection in that slot, as a worker would write it. */
static struct crew__record *open_slot(struct world *w, size_t life, uint32_t slot)
{
	struct crew__stats *stats = &w->stats[life];
	struct crew__record *hot = &stats->records[slot];
	crew__slab_begin(stats->slab);
	if (stats->slab->slots_high <= slot)
		atomic_store(&stats->slab->slots_high, slot + 1);
	hot->state = CREW__CONN_OPEN;
	hot->protocol = CREW__WS;
	hot->transport = CREW__TCP;
	hot->end = CREW_END_REASONS;
	hot->opened = w->now - 5000;
	hot->last_in = w->now - 1000;
	hot->last_out = w->now - 200;
	stats->cold[slot].local = address_of(7010);
	stats->cold[slot].remote = address_of((uint16_t)(40000 + slot));
	uint64_t id = (uint64_t)(life + 1) << 52 | (uint64_t)slot << 32 | 1;
	atomic_store(&hot->id, id);
	crew__slab_end(stats->slab);
	return hot;
}

static struct crew__connections take(struct world *w)
{
	struct crew__connections all;
	assert_int_equal(crew__connections_new(&w->attached, &all), 0);
	return all;
}

static void assert_near(double value, double wanted)
{
	if (value < wanted - 0.01 || value > wanted + 5)
		fail_msg("%f is not about %f", value, wanted);
}

/* ---- the model ----------------------------------------------------------------------------- */

static void nobody_is_there(void **state)
{
	struct crew__connections all = take(*state);
	assert_int_equal(all.count, 0);
	crew__connections_fini(&all);
	crew__connections_fini(&all);
}

static void a_record_becomes_a_row(void **state)
{
	struct world *w = *state;
	struct crew__record *hot = open_slot(w, 1, 3);
	struct crew__record_cold *cold = &w->stats[1].cold[3];
	hot->bytes_in = 11;
	hot->bytes_out = 22;
	hot->bytes_queued = 33;
	hot->messages_queued = 4;
	hot->send_fail = 6;
	hot->recv_queue = 7;
	hot->queued_since = w->now - 300;
	cold->fail[CREW_LOST_FULL] = 5;
	cold->fail[CREW_LOST_CLOSED] = 1;
	cold->kernel_unsent = 99;
	struct crew__connections all = take(w);
	assert_int_equal(all.count, 1);
	const struct crew__connection *row = &all.rows[0];
	assert_true(row->id == UINT64_C(0x0020000300000001));
	assert_int_equal(row->pid, 1001);
	assert_string_equal(row->service, "web");
	assert_string_equal(row->transport, "tcp");
	assert_string_equal(row->protocol, "ws");
	assert_string_equal(row->state, "open");
	assert_string_equal(row->local, "127.0.0.1:7010");
	assert_string_equal(row->remote, "127.0.0.1:40003");
	assert_near(row->age_s, 50);
	assert_near(row->idle_in_s, 10);
	assert_near(row->idle_out_s, 2);
	assert_near(row->oldest_queued_s, 3);
	assert_int_equal(row->recv_queue, 7);
	assert_int_equal(row->send_queue, 33);
	assert_int_equal(row->send_queue_messages, 4);
	assert_int_equal(row->kernel_unsent, 99);
	assert_int_equal(row->bytes_in, 11);
	assert_int_equal(row->bytes_out, 22);
	assert_int_equal(row->send_fail, 6);
	assert_int_equal(row->fail[CREW_LOST_FULL], 5);
	crew__connections_fini(&all);
}

static void times_that_never_were(void **state)
{
	struct world *w = *state;
	struct crew__record *hot = open_slot(w, 0, 0);
	hot->last_in = 0; /* nothing came yet */
	hot->last_out = 0;
	hot->queued_since = 1; /* and nothing waits */
	struct crew__connections all = take(w);
	assert_near(all.rows[0].age_s, 50);
	assert_true(all.rows[0].idle_in_s == all.rows[0].age_s);
	assert_true(all.rows[0].idle_out_s == all.rows[0].age_s);
	assert_true(all.rows[0].oldest_queued_s == 0);
	crew__connections_fini(&all);
	/* The worker's clock was read after ours. */
	hot->opened = (uint32_t)((crew__clock_ns() - w->segments[0].header->began_ns) / 10000000) +
		      50;
	all = take(w);
	assert_true(all.rows[0].age_s == 0);
	crew__connections_fini(&all);
	/* The count has wrapped since. */
	w->segments[0].header->began_ns = crew__clock_ns() - (UINT64_C(1) << 32) * 10000000;
	hot->opened = UINT32_MAX - 199;
	all = take(w);
	assert_near(all.rows[0].age_s, 2);
	crew__connections_fini(&all);
}

static void unknown_numbers_have_names(void **state)
{
	struct world *w = *state;
	struct crew__record *hot = open_slot(w, 0, 0);
	hot->state = hot->protocol = hot->transport = 200;
	w->stats[0].cold[0].remote.family = 77;
	struct crew__connections all = take(w);
	assert_int_equal(all.count, 1);
	assert_non_null(all.rows[0].state);
	assert_non_null(all.rows[0].protocol);
	assert_non_null(all.rows[0].transport);
	crew__connections_fini(&all);
}

/* ---- verdicts ------------------------------------------------------------------------------ */

static struct crew__record_slow *judge(
	struct world *w, size_t life, uint32_t slot, unsigned verdict)
{
	struct crew__record_slow *slow = &w->stats[life].slow[slot];
	slow->verdict = (uint8_t)verdict;
	atomic_store(&slow->id, w->stats[life].records[slot].id);
	/* A process that is there and turns. */
	atomic_store(&w->segments[life].header->pid, (int)getpid());
	return slow;
}

static const char *verdict_of(struct world *w)
{
	static char text[64];
	struct crew__connections all = take(w);
	assert_int_equal(all.count, 1);
	snprintf(text, sizeof(text), "%s", all.rows[0].verdict ? all.rows[0].verdict : "none");
	crew__connections_fini(&all);
	return text;
}

static void a_verdict_is_of_its_own_record(void **state)
{
	struct world *w = *state;
	struct crew__record *hot = open_slot(w, 0, 2);
	struct crew__record_slow *slow = judge(w, 0, 2, CREW_VERDICT_NETWORK);
	assert_string_equal(verdict_of(w), "none"); /* nothing waits any more */
	hot->bytes_queued = 1;
	assert_string_equal(verdict_of(w), "network");
	slow->verdict = CREW_VERDICT_NONE;
	assert_string_equal(verdict_of(w), "none");
	slow->verdict = 200; /* of another version, or damaged */
	assert_string_equal(verdict_of(w), "none");
	slow->verdict = CREW_VERDICT_GONE;
	atomic_store(&slow->id, hot->id + 1); /* of the one that had the slot before */
	assert_string_equal(verdict_of(w), "none");
}

static void a_worker_that_stands_still_is_told_of(void **state)
{
	struct world *w = *state;
	struct crew__record *hot = open_slot(w, 0, 2);
	judge(w, 0, 2, CREW_VERDICT_NONE);
	hot->bytes_queued = 1;
	atomic_store(&w->stats[0].slab->turn_began_ns, crew__clock_ns());
	assert_string_equal(verdict_of(w), "none");
	atomic_store(&w->stats[0].slab->turn_began_ns, crew__clock_ns() - CREW__NS_PER_S);
	assert_string_equal(verdict_of(w), "us");
	w->stats[0].cold[2].kernel_unsent = 5;
	assert_string_equal(verdict_of(w), "none");
	w->stats[0].cold[2].kernel_unsent = 0;
	hot->bytes_queued = 0;
	assert_string_equal(verdict_of(w), "none");
	hot->bytes_queued = 1;
	atomic_store(&w->stats[0].slab->turn_began_ns, 0);
	assert_string_equal(verdict_of(w), "none");
	atomic_store(&w->segments[0].header->pid, 0); /* it has no process */
	assert_string_equal(verdict_of(w), "us");
}

/* ---- order --------------------------------------------------------------------------------- */

static void sort_by(struct crew__connections *all, const char *key)
{
	const char *nearest;
	const struct crew__connection_field *field = crew__connection_field_find(key, &nearest);
	if (!field)
		fail_msg("no field '%s'", key);
	crew__connections_sort(all, field);
}

static void assert_order(const struct crew__connections *all, const char *slots)
{
	assert_int_equal(all->count, strlen(slots));
	for (size_t i = 0; i < all->count; i++)
		assert_int_equal((all->rows[i].id >> 32) & 0xfffff, (uint64_t)(slots[i] - '0'));
}

static void numbers_from_the_largest_and_text_by_letters(void **state)
{
	struct world *w = *state;
	open_slot(w, 0, 0)->bytes_queued = 5;
	open_slot(w, 0, 1)->bytes_queued = 500;
	struct crew__record *hot = open_slot(w, 1, 2);
	hot->bytes_queued = 50;
	hot->send_fail = 1;
	hot->opened = w->now - 9000;
	w->stats[0].cold[0].remote = address_of(50000);
	struct crew__connections all = take(w);
	sort_by(&all, "send_queue");
	assert_order(&all, "120");
	sort_by(&all, "id");
	assert_order(&all, "012");
	sort_by(&all, "age_s");
	assert_order(&all, "201");
	sort_by(&all, "remote");
	assert_order(&all, "120");
	sort_by(&all, "service"); /* ties stay as they were found */
	assert_order(&all, "012");
	sort_by(&all, "pid");
	assert_order(&all, "201");
	sort_by(&all, "send_fail_by_reason");
	assert_order(&all, "201");
	sort_by(&all, "verdict");
	assert_order(&all, "012");
	crew__connections_fini(&all);
	sort_by(&all, "id"); /* nothing to sort */
}

static void the_slowest_come_first(void **state)
{
	struct world *w = *state;
	for (uint32_t i = 0; i < 6; i++)
		open_slot(w, 0, i);
	w->stats[0].records[1].bytes_queued = 10;
	w->stats[0].records[1].queued_since = w->now - 100;
	w->stats[0].records[3].bytes_queued = 10;
	w->stats[0].records[3].queued_since = w->now - 700;
	w->stats[0].records[4].bytes_queued = 11; /* more than 1, as long */
	w->stats[0].records[4].queued_since = w->now - 100;
	w->stats[0].records[5].queued_since = w->now - 9000; /* nothing waits */
	struct crew__connections all = take(w);
	assert_int_equal(crew__connections_slowest(&all, 2), 2);
	assert_int_equal((all.rows[0].id >> 32) & 0xfffff, 3);
	assert_int_equal((all.rows[1].id >> 32) & 0xfffff, 4);
	assert_int_equal(crew__connections_slowest(&all, 100), 6);
	assert_int_equal((all.rows[2].id >> 32) & 0xfffff, 1);
	unsigned seen = 0; /* nobody is lost, nobody twice */
	for (size_t i = 0; i < all.count; i++)
		seen |= 1u << ((all.rows[i].id >> 32) & 0xfffff);
	assert_int_equal(seen, 0x3f);
	crew__connections_fini(&all);
	assert_int_equal(crew__connections_slowest(&all, 3), 0);
}

static void unknown_keys_have_a_nearest(void **state)
{
	(void)state;
	const char *nearest;
	assert_null(crew__connection_field_find("sendqueue", &nearest));
	assert_string_equal(nearest, "send_queue");
	assert_null(crew__connection_field_find("xyzzy", &nearest));
	assert_null(nearest);
}

/* ---- JSON and text ------------------------------------------------------------------------- */

static char *print(const struct crew__connections *all, bool json)
{
	char *text = NULL;
	size_t size = 0;
	struct crew__screen screen = { .out = open_memstream(&text, &size) };
	assert_non_null(screen.out);
	if (json)
		assert_int_equal(crew__connections_json(all, screen.out), 0);
	else
		assert_int_equal(crew__connections_text(all, &screen), 0);
	assert_int_equal(fclose(screen.out), 0);
	return text;
}

static json_t *json_of(const struct crew__connections *all)
{
	json_error_t error;
	char *text = print(all, true);
	json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, &error);
	if (!json)
		fail_msg("%s in %s", error.text, text);
	free(text);
	return json;
}

static void json_of_nobody(void **state)
{
	struct crew__connections all = take(*state);
	char *text = print(&all, true);
	assert_string_equal(text, "[]\n");
	free(text);
	crew__connections_fini(&all);
}

static void json_has_every_key(void **state)
{
	static const char *const keys[] = { "id", "pid", "service", "transport", "protocol",
		"state", "local", "remote", "age_s", "idle_in_s", "idle_out_s", "recv_queue",
		"send_queue", "send_queue_messages", "oldest_queued_s", "kernel_unsent", "bytes_in",
		"bytes_out", "send_fail", "send_fail_by_reason", "verdict" };
	static const char *const reasons[] = { "closed", "reset", "aborted", "full", "handshake",
		"expired", "evicted", "deadline", "memory", "crash" };
	struct world *w = *state;
	open_slot(w, 0, 0)->send_fail = 2;
	w->stats[0].cold[0].fail[CREW_LOST_FULL] = 2;
	open_slot(w, 1, 1);
	struct crew__connections all = take(w);
	json_t *json = json_of(&all);
	assert_int_equal(json_array_size(json), 2);
	for (size_t i = 0; i < 2; i++) {
		const json_t *row = json_array_get(json, i);
		const json_t *fail = json_object_get(row, "send_fail_by_reason");
		assert_int_equal(json_object_size(row), crew__lengthof(keys));
		for (size_t k = 0; k < crew__lengthof(keys); k++)
			if (!json_object_get(row, keys[k]))
				fail_msg("no key '%s'", keys[k]);
		assert_int_equal(json_object_size(fail), crew__lengthof(reasons));
		for (size_t k = 0; k < crew__lengthof(reasons); k++)
			assert_true(json_is_integer(json_object_get(fail, reasons[k])));
		assert_true(json_is_null(json_object_get(row, "verdict")));
		assert_true(json_is_real(json_object_get(row, "age_s")));
		assert_true(json_is_integer(json_object_get(row, "send_queue")));
	}
	/* The second row says nothing of the first. */
	const json_t *row = json_array_get(json, 1);
	const json_t *id = json_object_get(row, "id");
	assert_string_equal(json_string_value(id), "0020000100000001");
	assert_string_equal(json_string_value(json_object_get(row, "service")), "web");
	assert_int_equal(json_integer_value(json_object_get(row, "send_fail")), 0);
	assert_int_equal(json_integer_value(json_object_get(
				 json_object_get(row, "send_fail_by_reason"), "full")),
		0);
	json_decref(json);
	crew__connections_fini(&all);
}

static void json_and_text_of_verdicts(void **state)
{
	struct world *w = *state;
	for (uint32_t i = 0; i < 3; i++)
		open_slot(w, 0, i)->bytes_queued = 5;
	judge(w, 0, 1, CREW_VERDICT_RATE);
	judge(w, 0, 2, CREW_VERDICT_NETWORK);
	struct crew__connections all = take(w);
	json_t *json = json_of(&all);
	const json_t *first = json_object_get(json_array_get(json, 0), "verdict");
	const json_t *second = json_object_get(json_array_get(json, 1), "verdict");
	assert_true(json_is_null(first));
	assert_string_equal(json_string_value(second), "rate");
	json_decref(json);
	sort_by(&all, "verdict"); /* by letters, none last; and back to null after a text */
	assert_order(&all, "210");
	json = json_of(&all);
	assert_true(json_is_null(json_object_get(json_array_get(json, 2), "verdict")));
	json_decref(json);
	char *text = print(&all, false);
	assert_non_null(strstr(text, " verdict "));
	assert_non_null(strstr(text, " network "));
	free(text);
	crew__connections_fini(&all);
}

static void text_has_a_row_each_and_totals(void **state)
{
	struct world *w = *state;
	struct crew__record *hot = open_slot(w, 0, 0);
	hot->bytes_queued = 1536;
	hot->messages_queued = 3;
	hot->queued_since = w->now - 6500;
	hot->send_fail = 42;
	open_slot(w, 1, 1);
	struct crew__connections all = take(w);
	char *text = print(&all, false);
	assert_non_null(strstr(text, "pid "));
	assert_non_null(strstr(text, "0010000000000001"));
	assert_non_null(strstr(text, "127.0.0.1:40001"));
	assert_non_null(strstr(text, "1m05s"));
	assert_non_null(strstr(text,
		"\n2 connections: Recv-Q 0, Send-Q 1.5K in 3 messages, bytes in 0, out 0, "
		"send_fail 42\n"));
	free(text);
	crew__connections_fini(&all);
	text = print(&all, false);
	assert_non_null(strstr(text, "\n0 connections: "));
	free(text);
}

/* Longest first of the lines of the table, which are all but the last. */
static size_t widest_line(const char *text)
{
	size_t widest = 0;
	for (const char *line = text, *end; (end = strchr(line, '\n')) && end[1]; line = end + 1)
		if ((size_t)(end - line) > widest)
			widest = (size_t)(end - line);
	return widest;
}

static void a_narrow_terminal_shows_fewer_columns(void **state)
{
	struct world *w = *state;
	open_slot(w, 0, 0)->bytes_queued = 1536000;
	judge(w, 0, 0, CREW_VERDICT_READER_STALLED);
	struct crew__connections all = take(w);
	for (unsigned width = 80; width <= 240; width += 8) {
		char *text = NULL;
		size_t size = 0;
		struct crew__screen screen = { .out = open_memstream(&text, &size),
			.width = width };
		assert_int_equal(crew__connections_text(&all, &screen), 0);
		assert_int_equal(fclose(screen.out), 0);
		if (widest_line(text) > width)
			fail_msg("wider than %u:\n%s", width, text);
		assert_non_null(strstr(text, "0010000000000001"));
		assert_non_null(strstr(text, " reader-stalled "));
		assert_non_null(strstr(text, "Send-Q"));
		assert_int_equal(strstr(text, "local") != NULL, width >= 224);
		free(text);
	}
	crew__connections_fini(&all);
}

static void ten_thousand(void **state)
{
	struct world *w = *state;
	for (uint32_t i = 0; i < 10000; i++)
		open_slot(w, 0, i)->bytes_queued = i;
	struct crew__connections all = take(w);
	sort_by(&all, "send_queue");
	assert_int_equal(all.count, 10000);
	assert_int_equal(all.rows[0].send_queue, 9999);
	assert_int_equal(all.rows[9999].send_queue, 0);
	json_t *json = json_of(&all);
	assert_int_equal(json_array_size(json), 10000);
	json_decref(json);
	char *text = print(&all, false);
	size_t lines = 0;
	for (const char *p = text; (p = strchr(p, '\n')); p++)
		lines++;
	assert_int_equal(lines, 10002);
	free(text);
	crew__connections_fini(&all);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(nobody_is_there),
		TEST(a_record_becomes_a_row),
		TEST(times_that_never_were),
		TEST(unknown_numbers_have_names),
		TEST(a_verdict_is_of_its_own_record),
		TEST(a_worker_that_stands_still_is_told_of),
		TEST(numbers_from_the_largest_and_text_by_letters),
		TEST(the_slowest_come_first),
		TEST(unknown_keys_have_a_nearest),
		TEST(json_of_nobody),
		TEST(json_has_every_key),
		TEST(json_and_text_of_verdicts),
		TEST(text_has_a_row_each_and_totals),
		TEST(a_narrow_terminal_shows_fewer_columns),
		TEST(ten_thousand),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
