/* A segment is read while it is written. */
#include "segment_world.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- qps ---------------------------------------------------------------------------------------
 */

static uint64_t qps_at(struct fixture *f, uint64_t now_ns)
{
	struct crew__snapshot s;
	crew__segment_read(&f->segment, now_ns, 0, &s);
	return s.qps;
}

static void qps_sinks_when_the_worker_stands(void **state)
{
	struct fixture *f = *state;
	struct crew__slab *slab = f->stats.slab;
	uint64_t then = f->stats.began_ns + 100 * CREW__NS_PER_S;
	atomic_store(&slab->qps_since_ns, then);
	slab->qps = 500;
	slab->qps_requests = 1000;
	slab->total_request = 1300;
	assert_int_equal(qps_at(f, then + CREW__NS_PER_S), 500);
	assert_int_equal(qps_at(f, then + 3 * CREW__NS_PER_S), 100);
	assert_int_equal(qps_at(f, then + 1000 * CREW__NS_PER_S), 0);
	assert_int_equal(qps_at(f, then - CREW__NS_PER_S), 500);
	slab->total_request = 1; /* what no worker writes */
	assert_int_equal(qps_at(f, then + 3 * CREW__NS_PER_S), 0);
	slab->total_request = UINT64_MAX;
	slab->qps_requests = 0;
	assert_true(qps_at(f, then + 3 * CREW__NS_PER_S) > UINT64_C(1) << 60);
}

static void qps_of_a_worker_that_never_turned(void **state)
{
	struct fixture *f = *state;
	f->stats.slab->total_request = 50;
	assert_int_equal(qps_at(f, f->stats.began_ns + 10 * CREW__NS_PER_S), 5);
}

static struct crew__counter_entry *entries_of(const struct crew__segment *segment)
{
	return (void *)((char *)segment->header + segment->header->counters_offset);
}

/* As if a program of another version had written it. */
static void another_version_is_read_by_name(void **state)
{
	struct fixture *f = *state;
	struct crew__counter_entry *entries = entries_of(&f->segment);
	f->stats.slab->send_fail = 11;
	f->stats.slab->fail_full = 12;
	f->stats.slab->timers = 13;
	f->stats.slab->app[0] = 14;
	f->stats.slab->app[1] = 15;
	size_t send_fail = 0, full = 0, timers = 0;
	for (uint32_t i = 0; i < f->segment.header->counters; i++) {
		if (!strcmp(entries[i].name, "send_fail"))
			send_fail = i;
		else if (!strcmp(entries[i].name, "fail_full"))
			full = i;
		else if (!strcmp(entries[i].name, "timers"))
			timers = i;
	}
	struct crew__counter_entry kept = entries[send_fail];
	entries[send_fail] = entries[full];
	entries[full] = kept;
	snprintf(entries[timers].name, sizeof(entries[timers].name), "of_tomorrow");
	struct crew__snapshot s = segment_read_now(&f->segment, 0);
	assert_true(s.consistent);
	assert_int_equal(s.counters.send_fail, 11);
	assert_int_equal(s.counters.fail_full, 12);
	assert_int_equal(s.counters.timers, 0);
	assert_int_equal(s.counters.app[0], 14);
	assert_int_equal(s.counters.app[1], 15);
	/* But nobody writes to it by our struct. */
	struct crew__stats stats;
	assert_int_equal(crew__segment_stats(&f->segment, &stats), -EPROTO);
}

/* ---- the sequence ------------------------------------------------------------------------------
 */

static void an_update_that_lasts_is_told_of(void **state)
{
	struct fixture *f = *state;
	crew__slab_begin(f->stats.slab);
	f->stats.slab->messages_offered = 5;
	uint64_t began = crew__clock_ns();
	struct crew__snapshot s = segment_read_now(&f->segment, 20000);
	uint64_t took = crew__clock_ns() - began;
	assert_false(s.consistent);
	assert_int_equal(s.counters.messages_offered, 5);
	assert_true(took >= 20 * CREW__NS_PER_MS);
	assert_true(took < 5 * CREW__NS_PER_S);
	assert_false(segment_read_now(&f->segment, 0).consistent);
	crew__slab_end(f->stats.slab);
	assert_true(segment_read_now(&f->segment, 0).consistent);
}

static void state_and_callback_are_shown(void **state)
{
	struct fixture *f = *state;
	atomic_store(&f->stats.slab->state, CREW__DRAINING);
	atomic_store(&f->stats.slab->callback, CREW__CB_TIMER);
	atomic_store(&f->stats.slab->turn_began_ns, 77);
	atomic_store(&f->segment.header->pid, 4242);
	struct crew__snapshot s = segment_read_now(&f->segment, 0);
	assert_int_equal(s.state, CREW__DRAINING);
	assert_string_equal(crew__callback_name((enum crew__callback)s.callback), "timer");
	assert_int_equal(s.turn_began_ns, 77);
	assert_int_equal(s.pid, 4242);
	atomic_store(&f->stats.slab->state, 1u << 31);
	assert_int_equal(segment_read_now(&f->segment, 0).state, CREW__EXITED);
}

/* One life of messages and connections, each step lawful, no step undivided. */
static void work_one_step(struct crew__slab *slab, unsigned step)
{
	crew__slab_begin(slab);
	switch (step % 5) {
	case 0:
		slab->connections_total++;
		slab->connections++;
		break;
	case 1:
		slab->messages_offered += 3;
		slab->messages_queued += 2;
		slab->send_fail++;
		slab->fail_full++;
		slab->bytes_queued += 2;
		break;
	case 2:
		slab->messages_queued--;
		slab->messages_sent++;
		slab->bytes_queued--;
		break;
	case 3:
		slab->messages_queued--;
		slab->bytes_queued--;
		slab->send_fail++;
		slab->fail_reset++;
		break;
	default:
		slab->connections--;
		slab->close_peer++;
		break;
	}
	crew__slab_end(slab);
}

static void work_for_ever(struct crew__slab *slab, const atomic_bool *stop)
{
	for (unsigned step = 0; !atomic_load_explicit(stop, memory_order_relaxed); step++) {
		work_one_step(slab, step);
		/* Out of an update for as long as in it, as a worker that also does something. */
		for (int i = 0; i < 20; i++)
			atomic_signal_fence(memory_order_seq_cst);
	}
}

static void read_lawful_snapshots(const struct crew__segment *segment, unsigned count)
{
	struct crew__snapshot before = { 0 };
	unsigned consistent = 0;
	for (unsigned i = 0; i < count; i++) {
		struct crew__snapshot s = segment_read_now(segment, 200000);
		if (!s.consistent)
			continue;
		consistent++;
		segment_assert_lawful(&s.counters);
		assert_int_equal(s.counters.messages_queued, s.counters.bytes_queued);
		assert_true(s.counters.messages_sent >= before.counters.messages_sent);
		assert_true(s.counters.connections_total >= before.counters.connections_total);
		before = s;
	}
	assert_true(consistent > count * 9 / 10);
	assert_true(before.counters.messages_sent > 0);
}

struct writer {
	struct crew__slab *slab;
	atomic_bool stop;
};

static void *run_writer(void *arg)
{
	struct writer *writer = arg;
	work_for_ever(writer->slab, &writer->stop);
	return NULL;
}

static void every_snapshot_beside_a_thread_is_lawful(void **state)
{
	struct fixture *f = *state;
	struct writer writer = { .slab = f->stats.slab };
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, run_writer, &writer), 0);
	while (segment_read_now(&f->segment, 1000).counters.messages_sent == 0)
		usleep(100);
	read_lawful_snapshots(&f->segment, 3000);
	atomic_store(&writer.stop, true);
	pthread_join(thread, NULL);
	assert_true(segment_read_now(&f->segment, 0).consistent);
}

/* The same across processes, one of which is killed at work, a few times. */
static void every_death_is_lawful_once_buried(void **state)
{
	struct fixture *f = *state;
	const atomic_bool never = false;
	for (int round = 0; round < 10; round++) {
		struct crew__segment life;
		struct crew__stats stats;
		assert_int_equal(crew__segment_new(&segment_plan, &life), 0);
		assert_int_equal(crew__segment_stats(&life, &stats), 0);
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			work_for_ever(stats.slab, &never);
		}
		while (segment_read_now(&life, 1000).counters.messages_sent == 0)
			usleep(100);
		read_lawful_snapshots(&life, 50);
		assert_int_equal(kill(child, SIGKILL), 0);
		assert_int_equal(waitpid(child, NULL, 0), child);
		struct crew__snapshot last = segment_read_now(&life, 0);
		crew__slab_bury(&last.counters);
		segment_assert_lawful(&last.counters);
		crew__slab_add(f->stats.slab, &last.counters, false);
		crew__segment_fini(&life);
	}
	segment_assert_lawful(f->stats.slab);
}

/* ---- connections -------------------------------------------------------------------------------
 */

static void records_in_use_are_copied(void **state)
{
	struct fixture *f = *state;
	size_t count = 77;
	assert_null(crew__segment_connections(&f->segment, &count));
	assert_int_equal(count, 0);
	for (uint32_t slot = 0; slot < 100; slot++)
		if (slot % 3)
			segment_open_record(f, slot, slot + 1000);
	struct crew__conn_snapshot *rows = crew__segment_connections(&f->segment, &count);
	assert_int_equal(count, 66);
	size_t row = 0;
	for (uint32_t slot = 0; slot < 100; slot++) {
		if (slot % 3 == 0)
			continue;
		assert_int_equal(atomic_load(&rows[row].hot.id), slot + 1000);
		assert_int_equal(rows[row].hot.bytes_in, (slot + 1000) * 2);
		assert_int_equal(rows[row].cold.kernel_unsent, (slot + 1000) * 3);
		row++;
	}
	free(rows);
}

static void slots_above_the_highest_are_not_looked_at(void **state)
{
	struct fixture *f = *state;
	size_t count;
	segment_open_record(f, 2, 1);
	segment_open_record(f, 50, 2);
	atomic_store(&f->stats.slab->slots_high, 10);
	free(crew__segment_connections(&f->segment, &count));
	assert_int_equal(count, 1);
	/* More than there are. */
	atomic_store(&f->stats.slab->slots_high, UINT32_MAX);
	free(crew__segment_connections(&f->segment, &count));
	assert_int_equal(count, 2);
}

static void records_of_a_writer_stuck_inside_an_update(void **state)
{
	struct fixture *f = *state;
	size_t count;
	segment_open_record(f, 0, 9);
	crew__slab_begin(f->stats.slab);
	free(crew__segment_connections(&f->segment, &count));
	assert_int_equal(count, 1);
	crew__slab_end(f->stats.slab);
}

/* Ids come and go; in a copy the record is the one that its id names. */
static void *reuse_slots(void *arg)
{
	struct fixture *f = arg;
	for (uint64_t use = 1; use < 200000; use++) {
		uint32_t slot = (uint32_t)(use % 4);
		crew__slab_begin(f->stats.slab);
		atomic_store_explicit(&f->stats.records[slot].id, 0, memory_order_relaxed);
		f->stats.records[slot].bytes_in = use * 2;
		f->stats.cold[slot].kernel_unsent = (uint32_t)use * 3;
		atomic_store_explicit(&f->stats.records[slot].id, use, memory_order_release);
		crew__slab_end(f->stats.slab);
	}
	return NULL;
}

static void records_are_not_mixed(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;
	uint64_t last = 0;
	atomic_store(&f->stats.slab->slots_high, 4);
	assert_int_equal(pthread_create(&thread, NULL, reuse_slots, f), 0);
	while (last < 199999) {
		size_t count;
		struct crew__conn_snapshot *rows = crew__segment_connections(&f->segment, &count);
		for (size_t i = 0; i < count; i++) {
			last = atomic_load(&rows[i].hot.id) > last ? atomic_load(&rows[i].hot.id)
								   : last;
			if (rows[i].hot.bytes_in != atomic_load(&rows[i].hot.id) * 2)
				fail_msg("a record of another connection");
		}
		free(rows);
	}
	pthread_join(thread, NULL);
}

/* ---- slow records ------------------------------------------------------------------------------
 */

static void begin_slow(struct fixture *f, uint32_t slot, uint64_t id)
{
	struct crew__record_slow *slow = &f->stats.slow[slot];
	slow->verdict = CREW_VERDICT_NETWORK;
	slow->episodes = slot;
	slow->figures.delivery_rate = id * 5;
	atomic_store(&slow->id, id);
}

/* The bytes that the segment's file has. */
static size_t held_by(const struct crew__segment *segment)
{
	struct stat status;
	assert_int_equal(fstat(segment->fd, &status), 0);
	return (size_t)status.st_blocks * 512;
}

static void slow_records_are_of_who_they_say(void **state)
{
	struct fixture *f = *state;
	size_t count;
	for (uint32_t slot = 0; slot < 100; slot++)
		segment_open_record(f, slot, slot + 1000);
	begin_slow(f, 0, 1000);
	begin_slow(f, 40, 1040);
	begin_slow(f, 41, 941); /* of the connection before */
	begin_slow(f, 99, 1099);
	struct crew__conn_snapshot *rows = crew__segment_connections(&f->segment, &count);
	const struct crew__record_slow zeros = { 0 };
	assert_int_equal(count, 100);
	for (uint32_t slot = 0; slot < 100; slot++) {
		const struct crew__conn_snapshot *row = &rows[slot];
		assert_int_equal(row->has_slow, slot == 0 || slot == 40 || slot == 99);
		if (!row->has_slow) {
			assert_memory_equal(&row->slow, &zeros, sizeof(zeros));
			continue;
		}
		assert_int_equal(atomic_load(&row->slow.id), slot + 1000);
		assert_int_equal(row->slow.verdict, CREW_VERDICT_NETWORK);
		assert_int_equal(row->slow.episodes, slot);
		assert_int_equal(row->slow.figures.delivery_rate, (slot + 1000) * 5);
	}
	free(rows);
}

/* Reading must not give memory to what nobody wrote, and must find what stands between holes. */
static void idle_connections_have_no_slow_memory(void **state)
{
	(void)state;
	enum {
		MANY = 20000,
		PAGE = 4096
	};
	struct fixture f;
	struct crew__segment_plan plan = segment_plan;
	size_t count, slow = 0;
	plan.slots = MANY;
	assert_int_equal(crew__segment_new(&plan, &f.segment), 0);
	assert_int_equal(crew__segment_stats(&f.segment, &f.stats), 0);
	for (uint32_t slot = 0; slot < MANY; slot++)
		segment_open_record(&f, slot, slot + 1);
	size_t before = held_by(&f.segment);
	free(crew__segment_connections(&f.segment, &count));
	assert_int_equal(count, MANY);
	assert_int_equal(held_by(&f.segment), before);
	const uint32_t slots[] = { 3, 7777, 7778, 15000 };
	for (size_t i = 0; i < crew__lengthof(slots); i++)
		begin_slow(&f, slots[i], slots[i] + 1);
	size_t with_slow = held_by(&f.segment);
	assert_true(with_slow > before);
	assert_true(with_slow <= before + 2 * crew__lengthof(slots) * PAGE);
	struct crew__conn_snapshot *rows = crew__segment_connections(&f.segment, &count);
	for (size_t i = 0; i < count; i++)
		if (rows[i].has_slow)
			assert_int_equal(rows[i].slow.episodes, slots[slow++]);
	free(rows);
	assert_int_equal(slow, crew__lengthof(slots));
	/* A record may lie across the end of a written page. */
	assert_true(held_by(&f.segment) <= with_slow + crew__lengthof(slots) * PAGE);
	crew__segment_fini(&f.segment);
}

/* ---- histograms --------------------------------------------------------------------------------
 */

static void measures_are_copied(void **state)
{
	struct fixture *f = *state;
	for (uint64_t i = 0; i < CREW__MEASURES; i++) {
		crew__histogram_add(&f->stats.measures[i], i);
		crew__histogram_add(&f->stats.measures[i], 1000 + i);
	}
	struct crew__snapshot s = segment_read_now(&f->segment, 0);
	for (uint64_t i = 0; i < CREW__MEASURES; i++) {
		assert_int_equal(s.measures[i].sum_us, 1000 + 2 * i);
		assert_int_equal(s.measures[i].count[crew__histogram_bucket(i)], 1);
		assert_int_equal(s.measures[i].count[10], 1);
	}
}

static void measures_of_another_version(void **state)
{
	struct fixture *f = *state;
	crew__histogram_add(&f->stats.measures[0], 1);
	crew__histogram_add(&f->stats.measures[1], 1);
	f->segment.header->measures = 1; /* it has fewer */
	struct crew__snapshot s = segment_read_now(&f->segment, 0);
	assert_true(s.consistent);
	assert_int_equal(s.measures[0].sum_us, 1);
	assert_int_equal(s.measures[1].sum_us, 0);
	f->segment.header->measures = 2;
	f->segment.header->measure_size -= 8; /* or other ones */
	s = segment_read_now(&f->segment, 0);
	assert_true(s.consistent);
	assert_int_equal(s.measures[0].sum_us, 0);
	assert_int_equal(s.measures[0].count[1], 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, segment_set_up, segment_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(qps_sinks_when_the_worker_stands),
		TEST(qps_of_a_worker_that_never_turned),
		TEST(another_version_is_read_by_name),
		TEST(an_update_that_lasts_is_told_of),
		TEST(state_and_callback_are_shown),
		TEST(every_snapshot_beside_a_thread_is_lawful),
		TEST(every_death_is_lawful_once_buried),
		TEST(records_in_use_are_copied),
		TEST(slots_above_the_highest_are_not_looked_at),
		TEST(records_of_a_writer_stuck_inside_an_update),
		TEST(records_are_not_mixed),
		TEST(slow_records_are_of_who_they_say),
		TEST(idle_connections_have_no_slow_memory),
		TEST(measures_are_copied),
		TEST(measures_of_another_version),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
