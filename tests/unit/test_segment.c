/* A worker's segment: made, described, opened, and read after damage. */
#include "segment_world.h"

#include "stats/rings.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- making and opening --------------------------------------------------------------------- */

static void a_new_segment_describes_itself(void **state)
{
	struct fixture *f = *state;
	struct crew__snapshot s = segment_read_now(&f->segment, 0);
	assert_true(s.consistent);
	assert_string_equal(s.service, "feed");
	assert_string_equal(s.listen, "ws://127.0.0.1:7010");
	assert_int_equal(s.life, 7);
	assert_int_equal(s.id, 3);
	assert_int_equal(s.generation, 2);
	assert_int_equal(s.pid, 0);
	assert_int_equal(s.state, CREW__STARTING);
	assert_int_equal(s.callback, CREW__CB_NONE);
	assert_true(s.began_ns > 0 && s.began_ns <= crew__clock_ns());
	assert_int_equal(s.counters.messages_offered, 0);
	segment_assert_lawful(&s.counters);
	assert_int_equal(f->stats.slots, 100);
	assert_int_equal(f->stats.life, 7);
	assert_int_equal(f->stats.began_ns, s.began_ns);
	assert_int_equal((uintptr_t)f->stats.records % 64, 0);
	assert_non_null(f->stats.measures);
	assert_ptr_equal(f->stats.events, crew__segment_events(&f->segment));
	assert_ptr_equal(f->stats.closed, crew__segment_closed(&f->segment));
}

/* Each part is written to its last byte, and each still holds its own. */
static void parts_do_not_overlap(void **state)
{
	struct fixture *f = *state;
	const struct crew__stats *s = &f->stats;
	struct part {
		void *at;
		size_t size;
	} parts[] = {
		{ s->slab, sizeof(*s->slab) },
		{ s->measures, CREW__MEASURES * sizeof(*s->measures) },
		{ s->events, sizeof(*s->events) },
		{ s->closed, sizeof(*s->closed) },
		{ s->records, s->slots * sizeof(*s->records) },
		{ s->cold, s->slots * sizeof(*s->cold) },
		{ s->slow, s->slots * sizeof(*s->slow) },
	};
	const char *begin = (const char *)f->segment.header, *end = begin + f->segment.size;
	for (size_t i = 0; i < crew__lengthof(parts); i++) {
		assert_true((char *)parts[i].at >= begin);
		assert_true((char *)parts[i].at + parts[i].size <= end);
		memset(parts[i].at, (int)i + 1, parts[i].size);
	}
	for (size_t i = 0; i < crew__lengthof(parts); i++)
		for (size_t n = 0; n < parts[i].size; n++)
			if (((const char *)parts[i].at)[n] != (char)(i + 1))
				fail_msg("part %zu was overwritten at %zu", i, n);
	assert_string_equal(f->segment.header->service, "feed");
}

static void its_file_is_closed_to_others(void **state)
{
	struct fixture *f = *state;
	struct stat status;
	assert_int_equal(fstat(f->segment.fd, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	assert_int_equal(status.st_size, f->segment.size);
	assert_int_equal(fcntl(f->segment.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(
		fcntl(f->segment.fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	assert_int_equal(ftruncate(f->segment.fd, 0), -1);
	assert_int_equal(ftruncate(f->segment.fd, status.st_size * 2), -1);
}

static void unused_records_cost_nothing(void **state)
{
	(void)state;
	struct crew__segment_plan big = segment_plan;
	struct crew__segment segment;
	struct crew__stats stats;
	struct stat status;
	size_t count;
	big.slots = 1 << 20;
	assert_int_equal(crew__segment_new(&big, &segment), 0);
	assert_int_equal(crew__segment_stats(&segment, &stats), 0);
	assert_int_equal(stats.slots, 1 << 20);
	assert_null(crew__segment_connections(&segment, &count));
	assert_int_equal(count, 0);
	assert_int_equal(fstat(segment.fd, &status), 0);
	assert_true(status.st_size > 64 * 1024 * 1024);
	assert_true(status.st_blocks * 512 <= 16 * 1024);
	/* The first and the last record are there. */
	atomic_store(&stats.records[(1 << 20) - 1].id, 1);
	memset(&stats.cold[(1 << 20) - 1], 1, sizeof(stats.cold[0]));
	memset(&stats.slow[(1 << 20) - 1], 1, sizeof(stats.slow[0]));
	crew__segment_fini(&segment);
	crew__segment_fini(&segment);
}

static void plans_that_cannot_be(void **state)
{
	(void)state;
	struct crew__segment segment;
	struct crew__segment_plan bad = segment_plan;
	bad.slots = (1 << 20) + 1;
	assert_int_equal(crew__segment_new(&bad, &segment), -EINVAL);
	bad = segment_plan;
	bad.life = 0;
	assert_int_equal(crew__segment_new(&bad, &segment), -EINVAL);
	bad.life = 4096;
	assert_int_equal(crew__segment_new(&bad, &segment), -EINVAL);
}

static void a_service_without_socket_or_counters(void **state)
{
	(void)state;
	struct crew__segment segment;
	struct crew__stats stats;
	struct crew__segment_plan bare = { .service = "job", .life = 4095 };
	assert_int_equal(crew__segment_new(&bare, &segment), 0);
	assert_int_equal(crew__segment_stats(&segment, &stats), 0);
	assert_int_equal(stats.slots, 0);
	assert_string_equal(segment_read_now(&segment, 0).listen, "");
	crew__segment_fini(&segment);
}

static void names_too_long_are_cut(void **state)
{
	(void)state;
	char name[CREW__LISTEN_MAX + 100];
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	struct crew__segment_plan long_names = { .service = name, .listen = name, .life = 1 };
	struct crew__segment segment;
	assert_int_equal(crew__segment_new(&long_names, &segment), 0);
	struct crew__snapshot s = segment_read_now(&segment, 0);
	assert_int_equal(strlen(s.service), CREW__NAME_MAX - 1);
	assert_int_equal(strlen(s.listen), CREW__LISTEN_MAX - 1);
	crew__segment_fini(&segment);
}

static void a_reader_cannot_write(void **state)
{
	struct fixture *f = *state;
	struct crew__segment reader;
	struct crew__stats stats;
	int fd = crew__segment_readonly_fd(&f->segment);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(crew__segment_open(dup(fd), true, &reader), -EACCES);
	assert_int_equal(crew__segment_open(fd, false, &reader), 0);
	assert_int_equal(crew__segment_stats(&reader, &stats), -EPROTO);
	f->stats.slab->total_request = 99;
	assert_int_equal(segment_read_now(&reader, 0).counters.total_request, 99);
	crew__segment_fini(&reader);
	assert_int_equal(reader.fd, -1);
}

static void a_worker_maps_the_same(void **state)
{
	struct fixture *f = *state;
	struct crew__segment worker;
	struct crew__stats stats;
	assert_int_equal(crew__segment_open(dup(f->segment.fd), true, &worker), 0);
	assert_int_equal(crew__segment_stats(&worker, &stats), 0);
	stats.slab->bytes_in = 5;
	assert_int_equal(f->stats.slab->bytes_in, 5);
	assert_int_equal(stats.began_ns, f->stats.began_ns);
	crew__segment_fini(&worker);
}

static int memfd_with(const void *bytes, size_t size, int seals)
{
	int fd = memfd_create("test", MFD_ALLOW_SEALING);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	if (seals)
		assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void what_is_no_segment(void **state)
{
	struct fixture *f = *state;
	struct crew__segment segment;
	int seals = F_SEAL_SHRINK | F_SEAL_GROW;
	/* Its size could change under the reader. */
	assert_int_equal(crew__segment_open(memfd_with(f->segment.header, f->segment.size, 0),
				 false, &segment),
		-EPROTO);
	assert_int_equal(
		crew__segment_open(memfd_with(f->segment.header, f->segment.size, F_SEAL_GROW),
			false, &segment),
		-EPROTO);
	/* Good bytes, sealed. */
	assert_int_equal(crew__segment_open(memfd_with(f->segment.header, f->segment.size, seals),
				 false, &segment),
		0);
	crew__segment_fini(&segment);
	/* Cut off. */
	assert_int_equal(
		crew__segment_open(
			memfd_with(f->segment.header, f->segment.size - 1, seals), false, &segment),
		-EPROTO);
	assert_int_equal(crew__segment_open(memfd_with("", 0, seals), false, &segment), -EPROTO);
	char zeros[8192] = { 0 };
	assert_int_equal(
		crew__segment_open(memfd_with(zeros, sizeof(zeros), seals), false, &segment),
		-EPROTO);
	/* Neither memfds nor open. */
	assert_int_equal(crew__segment_open(open("/dev/null", O_RDONLY), false, &segment), -EPROTO);
	assert_int_equal(crew__segment_open(-1, false, &segment), -EBADF);
}

static void open_takes_the_descriptor_over(void **state)
{
	(void)state;
	struct crew__segment segment;
	int fd = memfd_with("", 0, F_SEAL_SHRINK | F_SEAL_GROW);
	assert_int_equal(crew__segment_open(fd, false, &segment), -EPROTO);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void a_zeroed_segment_closes_nothing(void **state)
{
	(void)state;
	struct crew__segment none = { 0 };
	int before = fcntl(0, F_GETFD);
	crew__segment_fini(&none);
	assert_int_equal(fcntl(0, F_GETFD), before);
	assert_int_equal(none.fd, -1);
}

/* ---- damage ------------------------------------------------------------------------------------
 */

static void use_rings(const struct crew__segment *segment)
{
	struct crew__closed entry;
	struct crew__event event;
	uint64_t after = 0, missed = 0;
	const struct crew__events *events = crew__segment_events(segment);
	const struct crew__closed_ring *closed = crew__segment_closed(segment);
	if (events)
		crew__events_next(events, &after, &event, &missed);
	if (closed)
		crew__closed_read(closed, &entry, 1);
}

static void use_all(const struct crew__segment *segment)
{
	size_t count;
	struct crew__snapshot s = segment_read_now(segment, 0);
	s.service[0] = s.service[strlen(s.service) / 2];
	s.listen[0] = s.listen[strlen(s.listen) / 2];
	struct crew__conn_snapshot *rows = crew__segment_connections(segment, &count);
	free(rows);
	use_rings(segment);
}

struct field {
	const char *name;
	size_t offset, size;
};
#define FIELD(f)                                                      \
	{                                                             \
#f, offsetof(struct crew__segment_header, f),         \
			sizeof(((struct crew__segment_header *)0)->f) \
	}

static const struct field layout_fields[] = { FIELD(magic), FIELD(version), FIELD(header_size),
	FIELD(size), FIELD(counters), FIELD(counters_offset), FIELD(slab_offset), FIELD(slab_size),
	FIELD(slots), FIELD(record_size), FIELD(cold_size), FIELD(slow_size), FIELD(records_offset),
	FIELD(cold_offset), FIELD(slow_offset), FIELD(measures), FIELD(measure_size),
	FIELD(measures_offset), FIELD(events_size), FIELD(closed_size), FIELD(events_offset),
	FIELD(closed_offset), FIELD(words_offset), FIELD(words_size) };

static void each_lie_of_the_header_is_found(void **state)
{
	struct fixture *f = *state;
	for (size_t i = 0; i < crew__lengthof(layout_fields); i++) {
		char *field = (char *)f->segment.header + layout_fields[i].offset;
		char kept[16];
		struct crew__segment again;
		memcpy(kept, field, layout_fields[i].size);
		memset(field, 0xff, layout_fields[i].size);
		int error = crew__segment_open(dup(f->segment.fd), false, &again);
		if (error != -EPROTO)
			fail_msg("%s: %d", layout_fields[i].name, error);
		/* Also when it comes after the opening. */
		assert_false(segment_read_now(&f->segment, 0).consistent);
		struct crew__stats stats;
		assert_int_equal(crew__segment_stats(&f->segment, &stats), -EPROTO);
		memcpy(field, kept, layout_fields[i].size);
	}
	assert_true(segment_read_now(&f->segment, 0).consistent);
}

static void sums_that_wrap_are_found(void **state)
{
	struct fixture *f = *state;
	struct crew__segment_header *header = f->segment.header;
	uint64_t kept = header->records_offset;
	header->records_offset = UINT64_MAX - 63;
	assert_false(segment_read_now(&f->segment, 0).consistent);
	header->records_offset = kept;
	header->slots = 1 << 20;
	header->record_size = UINT32_MAX - 7;
	assert_false(segment_read_now(&f->segment, 0).consistent);
	header->slots = 100;
	header->record_size = 64;
	kept = header->slab_offset;
	header->slab_offset = UINT32_MAX - 7;
	assert_false(segment_read_now(&f->segment, 0).consistent);
	header->slab_offset = (uint32_t)kept;
	kept = header->slow_offset;
	header->slow_offset = UINT64_MAX - 63;
	assert_false(segment_read_now(&f->segment, 0).consistent);
	header->slow_offset = kept;
	kept = header->events_offset;
	header->events_offset = UINT64_MAX - 7;
	assert_false(segment_read_now(&f->segment, 0).consistent);
	assert_null(crew__segment_events(&f->segment));
	header->events_offset = kept;
	assert_true(segment_read_now(&f->segment, 0).consistent);
}

static void random_damage_harms_no_reader(void **state)
{
	struct fixture *f = *state;
	size_t damaged = f->segment.header->slab_offset + sizeof(struct crew__slab);
	char *kept = malloc(damaged);
	char *bytes = (char *)f->segment.header;
	unsigned opened = 0;
	segment_open_record(f, 99, 1);
	memcpy(kept, bytes, damaged);
	srandom(11);
	for (int round = 0; round < 30000; round++) {
		struct crew__segment again;
		struct crew__stats stats;
		/* Aimed at the fields that are used as sizes, or anywhere. */
		const struct field *field =
			&layout_fields[(size_t)random() % crew__lengthof(layout_fields)];
		size_t place = random() % 2 ? field->offset + (size_t)random() % field->size
					    : (size_t)random() % damaged;
		for (int n = 0; n < 1 + round % 4; n++)
			bytes[(place + (size_t)n) % damaged] = (char)random();
		use_all(&f->segment);
		if (!crew__segment_open(dup(f->segment.fd), true, &again)) {
			opened++;
			use_all(&again);
			if (!crew__segment_stats(&again, &stats)) {
				stats.slab->app[CREW_MAX_COUNTERS - 1]++;
				stats.measures[CREW__MEASURES - 1].sum_us++;
				atomic_store(&stats.slow[99].id, 1);
			}
			crew__segment_fini(&again);
		}
		memcpy(bytes, kept, damaged);
	}
	free(kept);
	assert_true(opened > 1000);
	assert_true(opened < 29000);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, segment_set_up, segment_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_new_segment_describes_itself),
		TEST(parts_do_not_overlap),
		TEST(its_file_is_closed_to_others),
		TEST(unused_records_cost_nothing),
		TEST(plans_that_cannot_be),
		TEST(a_service_without_socket_or_counters),
		TEST(names_too_long_are_cut),
		TEST(a_reader_cannot_write),
		TEST(a_worker_maps_the_same),
		TEST(what_is_no_segment),
		TEST(open_takes_the_descriptor_over),
		TEST(a_zeroed_segment_closes_nothing),
		TEST(each_lie_of_the_header_is_found),
		TEST(sums_that_wrap_are_found),
		TEST(random_damage_harms_no_reader),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
