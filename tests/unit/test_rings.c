/* test_rings.c - events and ended connections in shared memory: order, loss by overwriting, readers
 * beside a writer in another process, and rings that lie. */
#include "segment_world.h"

#include "stats/rings.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- events -------------------------------------------------------------------------------- */

static void add_number(struct crew__events *events, uint64_t n)
{
	struct crew__event event = {
		.kind = CREW__EVENT_DROP,
		.conn = n,
		.values = { n, n + 1, n + 2, n + 3, ~n },
		.service = (uint32_t)n,
		.remote.port = (uint16_t)n,
	};
	memset(event.text, 'a' + (int)(n % 26), sizeof(event.text) - 1);
	crew__events_add(events, &event);
}

static void assert_number(const struct crew__event *event, uint64_t n)
{
	assert_int_equal(atomic_load(&event->sequence), n);
	assert_int_equal(event->kind, CREW__EVENT_DROP);
	assert_int_equal(event->conn, n);
	assert_int_equal(event->values[0], n);
	assert_int_equal(event->values[4], ~n);
	assert_int_equal(event->service, (uint32_t)n);
	assert_int_equal(event->remote.port, (uint16_t)n);
	for (size_t i = 0; i < sizeof(event->text) - 1; i++)
		if (event->text[i] != 'a' + (char)(n % 26))
			fail_msg("event %ju holds another's text", (uintmax_t)n);
	assert_int_equal(event->text[sizeof(event->text) - 1], '\0');
}

static void events_come_in_order(void **state)
{
	struct fixture *f = *state;
	struct crew__event event;
	uint64_t after = 0, missed = 0, earliest = crew__clock_ns();
	const struct crew__events *events = crew__segment_events(&f->segment);
	assert_ptr_equal(events, f->stats.events);
	assert_false(crew__events_next(events, &after, &event, &missed));
	for (uint64_t n = 1; n <= 5; n++)
		add_number(f->stats.events, n);
	for (uint64_t n = 1; n <= 5; n++) {
		assert_true(crew__events_next(events, &after, &event, &missed));
		assert_number(&event, n);
		assert_int_equal(after, n);
		assert_true(event.time_ns >= earliest && event.time_ns <= crew__clock_ns());
		assert_true(event.wall_ms / 1000 <= time(NULL));
		assert_true(event.wall_ms / 1000 >= time(NULL) - 100);
		earliest = event.time_ns;
	}
	assert_false(crew__events_next(events, &after, &event, &missed));
	assert_int_equal(missed, 0);
	assert_int_equal(after, 5);
	/* Whoever asks later gets all that is left; whoever asked already, what is new. */
	add_number(f->stats.events, 6);
	assert_true(crew__events_next(events, &after, &event, &missed));
	assert_number(&event, 6);
	after = 0;
	assert_true(crew__events_next(events, &after, &event, &missed));
	assert_number(&event, 1);
}

static void without_a_ring_nothing_is_written(void **state)
{
	(void)state;
	const struct crew__event event = { .kind = CREW__EVENT_KICK };
	crew__events_add(NULL, &event);
	assert_null(crew__closed_next(NULL));
	crew__closed_done(NULL);
}

static void a_text_without_end_gets_one(void **state)
{
	struct fixture *f = *state;
	struct crew__event event = { .kind = CREW__EVENT_SET };
	uint64_t after = 0, missed = 0;
	memset(event.text, 'x', sizeof(event.text));
	crew__events_add(f->stats.events, &event);
	assert_true(crew__events_next(f->stats.events, &after, &event, &missed));
	assert_int_equal(strlen(event.text), sizeof(event.text) - 1);
}

static void what_was_overwritten_is_counted(void **state)
{
	struct fixture *f = *state;
	struct crew__event event;
	uint64_t after = 0, missed = 0, got = 0;
	for (uint64_t n = 1; n <= 3 * CREW__EVENTS + 7; n++)
		add_number(f->stats.events, n);
	while (crew__events_next(f->stats.events, &after, &event, &missed)) {
		got++;
		assert_number(&event, 2 * CREW__EVENTS + 7 + got);
	}
	assert_int_equal(got, CREW__EVENTS);
	assert_int_equal(missed, 2 * CREW__EVENTS + 7);
}

static void an_entry_being_written_is_passed_over(void **state)
{
	struct fixture *f = *state;
	struct crew__event event;
	uint64_t after = 0, missed = 0;
	for (uint64_t n = 1; n <= 3; n++)
		add_number(f->stats.events, n);
	atomic_store(&f->stats.events->entries[2].sequence, 0);
	assert_true(crew__events_next(f->stats.events, &after, &event, &missed));
	assert_number(&event, 1);
	assert_true(crew__events_next(f->stats.events, &after, &event, &missed));
	assert_number(&event, 3);
	assert_int_equal(missed, 1);
}

static void a_ring_begun_anew_is_followed(void **state)
{
	struct fixture *f = *state;
	struct crew__event event;
	uint64_t after = 1000000, missed = 0;
	add_number(f->stats.events, 1);
	assert_false(crew__events_next(f->stats.events, &after, &event, &missed));
	add_number(f->stats.events, 2);
	assert_true(crew__events_next(f->stats.events, &after, &event, &missed));
	assert_number(&event, 2);
	assert_int_equal(missed, 0);
}

/* A child that writes until it is killed. */
static pid_t begin_writer(struct fixture *f, void (*write_one)(struct fixture *f, uint64_t n))
{
	pid_t child = fork();
	assert_true(child >= 0);
	if (child > 0)
		return child;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (uint64_t n = 1;; n++)
		write_one(f, n);
}

static void end_writer(pid_t child)
{
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

static void write_event(struct fixture *f, uint64_t n)
{
	add_number(f->stats.events, n);
}

static void no_torn_event_surfaces(void **state)
{
	struct fixture *f = *state;
	struct crew__event event;
	uint64_t after = 0, missed = 0, got = 0, last = 0;
	pid_t child = begin_writer(f, write_event);
	uint64_t deadline = crew__clock_ns() + 20 * CREW__NS_PER_S;
	while ((got < 100000 || missed == 0) && crew__clock_ns() < deadline) {
		if (!crew__events_next(f->stats.events, &after, &event, &missed))
			continue;
		got++;
		last = atomic_load(&event.sequence);
		assert_number(&event, last);
		assert_int_equal(got + missed, last); /* each is told of or counted, none twice */
	}
	end_writer(child);
	assert_true(got > 1000);
	assert_true(missed > 0);
	/* What the killed one left can be read to its end. */
	while (crew__events_next(f->stats.events, &after, &event, &missed)) {
		got++;
		assert_number(&event, atomic_load(&event.sequence));
	}
	assert_int_equal(got + missed, atomic_load(&f->stats.events->written));
}

/* ---- ended connections --------------------------------------------------------------------- */

static void end_number(struct fixture *f, uint64_t n)
{
	struct crew__closed *entry = crew__closed_next(f->stats.closed);
	atomic_store_explicit(&entry->hot.id, n, memory_order_relaxed);
	entry->hot.end = CREW_END_KICKED;
	entry->hot.bytes_out = n * 3;
	entry->cold.fail[CREW_LOST_FULL] = (uint32_t)n;
	entry->figures.rtt_us = (uint32_t)n;
	entry->unsent_bytes = ~n;
	crew__closed_done(f->stats.closed);
}

static void assert_ended(const struct crew__closed *entry, uint64_t n)
{
	assert_int_equal(atomic_load(&entry->sequence), n);
	assert_int_equal(atomic_load(&entry->hot.id), n);
	assert_int_equal(entry->hot.end, CREW_END_KICKED);
	assert_int_equal(entry->hot.bytes_out, n * 3);
	assert_int_equal(entry->cold.fail[CREW_LOST_FULL], (uint32_t)n);
	assert_int_equal(entry->figures.rtt_us, (uint32_t)n);
	assert_int_equal(entry->unsent_bytes, ~n);
}

static void the_last_to_end_comes_first(void **state)
{
	struct fixture *f = *state;
	struct crew__closed entries[CREW__CLOSED];
	const struct crew__closed_ring *ring = crew__segment_closed(&f->segment);
	assert_ptr_equal(ring, f->stats.closed);
	assert_int_equal(crew__closed_read(ring, entries, CREW__CLOSED), 0);
	for (uint64_t n = 1; n <= 3; n++)
		end_number(f, n);
	assert_int_equal(crew__closed_read(ring, entries, CREW__CLOSED), 3);
	for (uint64_t i = 0; i < 3; i++)
		assert_ended(&entries[i], 3 - i);
	assert_true(llabs((long long)entries[0].wall_ms / 1000 - (long long)time(NULL)) < 100);
	assert_int_equal(crew__closed_read(ring, entries, 2), 2);
	assert_ended(&entries[1], 2);
	assert_int_equal(crew__closed_read(ring, entries, 0), 0);
	for (uint64_t n = 4; n <= 1000; n++)
		end_number(f, n);
	assert_int_equal(crew__closed_read(ring, entries, CREW__CLOSED), CREW__CLOSED);
	assert_ended(&entries[0], 1000);
	assert_ended(&entries[CREW__CLOSED - 1], 1000 - CREW__CLOSED + 1);
}

/* What the one before had in that place must not look like this one's. */
static void an_entry_begins_empty(void **state)
{
	struct fixture *f = *state;
	struct crew__closed entries[1];
	for (uint64_t n = 1; n <= CREW__CLOSED; n++)
		end_number(f, n);
	struct crew__closed *entry = crew__closed_next(f->stats.closed);
	/* The oldest has gone for it, and it is none yet. */
	struct crew__closed all[CREW__CLOSED];
	assert_int_equal(crew__closed_read(f->stats.closed, all, CREW__CLOSED), CREW__CLOSED - 1);
	atomic_store(&entry->hot.id, 7);
	crew__closed_done(f->stats.closed);
	assert_int_equal(crew__closed_read(f->stats.closed, entries, 1), 1);
	assert_int_equal(atomic_load(&entries[0].hot.id), 7);
	assert_int_equal(entries[0].hot.bytes_out, 0);
	assert_int_equal(entries[0].cold.fail[CREW_LOST_FULL], 0);
	assert_int_equal(entries[0].figures.rtt_us, 0);
	assert_int_equal(entries[0].unsent_bytes, 0);
}

static void no_torn_end_surfaces(void **state)
{
	struct fixture *f = *state;
	struct crew__closed entries[CREW__CLOSED];
	uint64_t total = 0;
	pid_t child = begin_writer(f, end_number);
	uint64_t deadline = crew__clock_ns() + 20 * CREW__NS_PER_S;
	while (total < 100000 && crew__clock_ns() < deadline) {
		uint64_t before = UINT64_MAX;
		size_t count = crew__closed_read(f->stats.closed, entries, CREW__CLOSED);
		for (size_t i = 0; i < count; i++) {
			uint64_t n = atomic_load(&entries[i].sequence);
			assert_ended(&entries[i], n);
			assert_true(n < before);
			before = n;
		}
		total += count;
	}
	end_writer(child);
	assert_true(total > 1000);
}

/* ---- rings that lie ------------------------------------------------------------------------ */

static void numbers_that_no_ring_reaches(void **state)
{
	struct fixture *f = *state;
	struct crew__event event;
	struct crew__closed entries[CREW__CLOSED];
	uint64_t after = 0, missed = 5;
	add_number(f->stats.events, 1);
	end_number(f, 1);
	atomic_store(&f->stats.events->written, UINT64_MAX);
	atomic_store(&f->stats.closed->written, UINT64_MAX);
	assert_false(crew__events_next(f->stats.events, &after, &event, &missed));
	assert_true(missed == UINT64_MAX);
	assert_true(after == UINT64_MAX);
	assert_int_equal(crew__closed_read(f->stats.closed, entries, CREW__CLOSED), 0);
	/* The writer's next one has no number, and the one after it is found. */
	for (uint64_t n = 1; n <= 2; n++)
		add_number(f->stats.events, n);
	assert_false(crew__events_next(f->stats.events, &after, &event, &missed));
	add_number(f->stats.events, 2);
	assert_true(crew__events_next(f->stats.events, &after, &event, &missed));
	assert_number(&event, 2);
}

static void kinds_and_texts_are_tamed(void **state)
{
	struct fixture *f = *state;
	struct crew__event event;
	uint64_t after = 0, missed = 0;
	add_number(f->stats.events, 1);
	struct crew__event *entry = &f->stats.events->entries[1];
	entry->kind = 200;
	memset(entry->text, 'y', sizeof(entry->text));
	assert_true(crew__events_next(f->stats.events, &after, &event, &missed));
	assert_int_equal(event.kind, CREW__EVENT_NONE);
	assert_int_equal(strlen(event.text), sizeof(event.text) - 1);
}

static void random_damage_harms_no_reader(void **state)
{
	struct fixture *f = *state;
	struct crew__events *events = f->stats.events;
	struct crew__closed_ring *closed = f->stats.closed;
	struct crew__closed entries[CREW__CLOSED];
	uint64_t got = 0;
	srandom(5);
	for (int round = 0; round < 300; round++) {
		struct crew__event event;
		uint64_t after = (uint64_t)random() % 600, missed = 0;
		for (uint64_t n = 0; n < 600; n++)
			add_number(events, n);
		end_number(f, 1);
		for (int n = 0; n < 2000; n++) {
			((unsigned char *)events)[(size_t)random() % sizeof(*events)] =
				(unsigned char)random();
			((unsigned char *)closed)[(size_t)random() % sizeof(*closed)] =
				(unsigned char)random();
		}
		if (round % 2)
			atomic_store(&events->written, (uint64_t)random() % 700);
		for (int steps = 0; crew__events_next(events, &after, &event, &missed); steps++) {
			assert_true(steps <= CREW__EVENTS);
			assert_true(event.kind < CREW__EVENT_KINDS);
			assert_true(strlen(event.text) < sizeof(event.text));
			got++;
		}
		assert_true(crew__closed_read(closed, entries, CREW__CLOSED) <= CREW__CLOSED);
		memset(events, 0, sizeof(*events));
		memset(closed, 0, sizeof(*closed));
	}
	assert_true(got > 0);
}

static void rings_of_another_version_are_none(void **state)
{
	struct fixture *f = *state;
	struct crew__segment_header *header = f->segment.header;
	header->events_size -= 8;
	assert_null(crew__segment_events(&f->segment));
	assert_non_null(crew__segment_closed(&f->segment));
	header->events_size += 8;
	header->closed_size -= 8;
	assert_null(crew__segment_closed(&f->segment));
	assert_non_null(crew__segment_events(&f->segment));
	/* Of such a segment the numbers can still be read, but no worker writes to it. */
	struct crew__stats stats;
	assert_true(segment_read_now(&f->segment, 0).consistent);
	assert_int_equal(crew__segment_stats(&f->segment, &stats), -EPROTO);
	header->closed_size = UINT32_MAX;
	assert_null(crew__segment_events(&f->segment));
}

static void every_kind_has_a_name(void **state)
{
	(void)state;
	assert_string_equal(crew__event_name(CREW__EVENT_SLOW_BEGIN), "slow-begin");
	assert_string_equal(crew__event_name(CREW__EVENT_STOP), "stop");
	assert_string_equal(crew__event_name(CREW__EVENT_NONE), "?");
	assert_string_equal(crew__event_name(CREW__EVENT_KINDS), "?");
	assert_string_equal(crew__event_name(UINT32_MAX), "?");
	for (unsigned a = 1; a < CREW__EVENT_KINDS; a++)
		for (unsigned b = 0; b < a; b++)
			assert_string_not_equal(crew__event_name(a), crew__event_name(b));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, segment_set_up, segment_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(events_come_in_order),
		TEST(without_a_ring_nothing_is_written),
		TEST(a_text_without_end_gets_one),
		TEST(what_was_overwritten_is_counted),
		TEST(an_entry_being_written_is_passed_over),
		TEST(a_ring_begun_anew_is_followed),
		TEST(no_torn_event_surfaces),
		TEST(the_last_to_end_comes_first),
		TEST(an_entry_begins_empty),
		TEST(no_torn_end_surfaces),
		TEST(numbers_that_no_ring_reaches),
		TEST(kinds_and_texts_are_tamed),
		TEST(random_damage_harms_no_reader),
		TEST(rings_of_another_version_are_none),
		TEST(every_kind_has_a_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
