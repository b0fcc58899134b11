/* The master's segment: lives come and go, the dead leave their sums, and readers see it whole. */
#include "directory_world.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t count_lives(const struct crew__directory_header *copy)
{
	size_t count = 0;
	for (size_t i = 0; i < CREW__LIVES_MAX; i++)
		count += copy->lives[i].life != 0;
	return count;
}

/* ---- making and opening --------------------------------------------------------------------- */

static void a_new_directory(void **state)
{
	struct directory_fixture *f = *state;
	const struct crew__directory_header *copy = directory_look(f);
	assert_string_equal(copy->app, "shop");
	assert_string_equal(copy->app_version, "1.2");
	assert_string_equal(copy->mode, "daemon");
	assert_string_equal(copy->engine, "epoll");
	assert_int_equal(copy->pid, getpid());
	assert_true(copy->began_ns > 0 && copy->began_wall_s > 0);
	assert_int_equal(copy->services, 2);
	assert_string_equal(copy->service[1], "web");
	assert_int_equal(copy->exit_rows, 0);
	assert_int_equal(count_lives(copy), 0);
	assert_int_equal(fcntl(f->directory.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(ftruncate(f->directory.fd, 10), -1);
}

static void a_reader_cannot_write(void **state)
{
	struct directory_fixture *f = *state;
	struct crew__directory reader;
	int fd = crew__directory_readonly_fd(&f->directory);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(crew__directory_open(fd, &reader), 0);
	assert_false(reader.writable);
	crew__directory_generation(&f->directory, 5, NULL);
	assert_true(crew__directory_read(&reader, 0, f->copy));
	assert_int_equal(f->copy->generation, 5);
	crew__directory_fini(&reader);
	assert_int_equal(reader.fd, -1);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void each_lie_is_found(void **state)
{
	struct directory_fixture *f = *state;
	struct crew__directory reader;
	struct crew__directory_header *header = f->directory.header;
	uint32_t *words[] = { &header->version, &header->header_size, &header->retired_size,
		(uint32_t *)(void *)header->magic };
	for (size_t i = 0; i < crew__lengthof(words); i++) {
		(*words[i])++;
		assert_int_equal(crew__directory_open(dup(f->directory.fd), &reader), -EPROTO);
		(*words[i])--;
	}
	assert_int_equal(crew__directory_open(dup(f->directory.fd), &reader), 0);
	crew__directory_fini(&reader);
	assert_int_equal(crew__directory_open(-1, &reader), -EBADF);
	assert_int_equal(crew__directory_open(open("/dev/null", O_RDONLY), &reader), -EPROTO);
	int unsealed = memfd_create("test", MFD_ALLOW_SEALING);
	assert_int_equal(write(unsealed, header, sizeof(*header)), sizeof(*header));
	assert_int_equal(crew__directory_open(unsealed, &reader), -EPROTO);
}

/* ---- lives ------------------------------------------------------------------------------------
 */

static void numbers_go_round_and_skip_the_living(void **state)
{
	struct directory_fixture *f = *state;
	uint32_t life;
	for (uint32_t i = 1; i <= 4095; i++) {
		assert_int_equal(crew__directory_reserve(&f->directory, &life), 0);
		assert_int_equal(life, i);
		struct crew__life entry = directory_life(life, 0);
		if (life <= 3 || life == 5)
			crew__directory_enter(&f->directory, &entry);
	}
	assert_int_equal(crew__directory_reserve(&f->directory, &life), 0);
	assert_int_equal(life, 4);
	assert_int_equal(crew__directory_reserve(&f->directory, &life), 0);
	assert_int_equal(life, 6);
	assert_int_equal(count_lives(directory_look(f)), 4);
}

static void there_is_an_end_of_rows(void **state)
{
	struct directory_fixture *f = *state;
	uint32_t life;
	struct crew__snapshot none = { 0 };
	for (int i = 0; i < CREW__LIVES_MAX; i++) {
		assert_int_equal(crew__directory_reserve(&f->directory, &life), 0);
		struct crew__life entry = directory_life(life, 0);
		crew__directory_enter(&f->directory, &entry);
	}
	assert_int_equal(crew__directory_reserve(&f->directory, &life), -ENOSPC);
	struct crew__life one_more = directory_life(4000, 0);
	crew__directory_enter(&f->directory, &one_more);
	assert_int_equal(count_lives(directory_look(f)), CREW__LIVES_MAX);
	crew__directory_retire(&f->directory, 17, &none, "feed", 0, 0);
	assert_int_equal(crew__directory_reserve(&f->directory, &life), 0);
	assert_int_equal(life, CREW__LIVES_MAX + 1);
}

static void a_life_is_entered_and_changed(void **state)
{
	struct directory_fixture *f = *state;
	struct crew__life life = directory_life(7, 1), other = directory_life(8, 0);
	crew__directory_enter(&f->directory, &life);
	crew__directory_enter(&f->directory, &other);
	life.state = CREW__DRAINING;
	life.pid = 77;
	crew__directory_enter(&f->directory, &life);
	const struct crew__directory_header *copy = directory_look(f);
	assert_int_equal(count_lives(copy), 2);
	assert_memory_equal(&copy->lives[0], &life, sizeof(life));
	assert_memory_equal(&copy->lives[1], &other, sizeof(other));
}

/* ---- deaths -----------------------------------------------------------------------------------
 */

static void the_dead_leave_their_sums(void **state)
{
	struct directory_fixture *f = *state;
	struct crew__life first = directory_life(1, 0), second = directory_life(2, 0),
			  third = directory_life(3, 1);
	struct crew__snapshot one = directory_work(1), ten = directory_work(10),
			      hundred = directory_work(100);
	const char *law;
	crew__directory_enter(&f->directory, &first);
	crew__directory_enter(&f->directory, &second);
	crew__directory_enter(&f->directory, &third);
	uint32_t before = atomic_load(&f->directory.header->sequence);
	crew__directory_retire(&f->directory, 1, &one, "feed", 0, SIGKILL);
	/* The fold, the exit and the end of the life are one update. */
	assert_int_equal(atomic_load(&f->directory.header->sequence), before + 2);
	crew__directory_retire(&f->directory, 2, &ten, "feed", 0, SIGKILL);
	crew__directory_retire(&f->directory, 3, &hundred, "web", 3, 0);
	const struct crew__directory_header *copy = directory_look(f);
	assert_int_equal(count_lives(copy), 0);
	assert_int_equal(copy->retired[0].messages_offered, 110);
	assert_int_equal(copy->retired[0].send_fail, 33);
	assert_int_equal(copy->retired[0].fail_crash, 22);
	assert_int_equal(copy->retired[0].close_crash, 11);
	assert_int_equal(copy->retired[0].app[0], 11);
	assert_int_equal(copy->retired[0].connections, 0);
	assert_int_equal(copy->retired[0].messages_queued, 0);
	assert_int_equal(copy->retired[0].bytes_queued, 0);
	assert_int_equal(copy->retired[0].timers, 0);
	assert_int_equal(copy->retired[0].slow, 0);
	assert_int_equal(copy->retired[0].bytes_held, 0);
	assert_int_equal(copy->retired[0].slow_total, 44);
	assert_int_equal(copy->retired[1].connections_total, 300);
	assert_true(crew__slab_lawful(&copy->retired[0], &law));
	assert_true(crew__slab_lawful(&copy->retired[1], &law));
	/* The worker's own slab is as it was. */
	assert_int_equal(one.counters.messages_queued, 2);
	assert_int_equal(copy->exit_rows, 2);
	assert_string_equal(copy->exits[0].service, "feed");
	assert_int_equal(copy->exits[0].signal, SIGKILL);
	assert_int_equal(copy->exits[0].status, 0);
	assert_int_equal(copy->exits[0].count, 2);
	assert_string_equal(copy->exits[1].service, "web");
	assert_int_equal(copy->exits[1].status, 3);
	assert_int_equal(copy->exits[1].signal, 0);
}

static void a_life_that_was_never_entered(void **state)
{
	struct directory_fixture *f = *state;
	struct crew__life other = directory_life(1, 0);
	struct crew__snapshot work = directory_work(1);
	crew__directory_enter(&f->directory, &other);
	crew__directory_retire(&f->directory, 2, &work, "feed", 1, 0);
	crew__directory_retire(&f->directory, 0, &work, "no such service", 1, 0);
	const struct crew__directory_header *copy = directory_look(f);
	assert_int_equal(count_lives(copy), 1);
	assert_int_equal(copy->retired[0].messages_offered, 10);
	assert_int_equal(copy->retired[1].messages_offered, 0);
	assert_int_equal(copy->exit_rows, 2);
}

static void the_table_of_exits_ends(void **state)
{
	struct directory_fixture *f = *state;
	struct crew__snapshot none = { 0 };
	uint64_t all = 0;
	for (int round = 0; round < 2; round++)
		for (int status = 0; status < 300; status++)
			crew__directory_retire(&f->directory, 1, &none, "feed", status, 0);
	crew__directory_retire(&f->directory, 1, &none, "web", 0, SIGSEGV);
	const struct crew__directory_header *copy = directory_look(f);
	assert_int_equal(copy->exit_rows, CREW__EXITS_MAX);
	for (int i = 0; i < CREW__EXITS_MAX - 1; i++) {
		assert_int_equal(copy->exits[i].status, i);
		assert_int_equal(copy->exits[i].count, 2);
	}
	assert_string_equal(copy->exits[CREW__EXITS_MAX - 1].service, "(other)");
	for (int i = 0; i < CREW__EXITS_MAX; i++)
		all += copy->exits[i].count;
	assert_int_equal(all, 601);
}

static void long_names_are_one_name(void **state)
{
	struct directory_fixture *f = *state;
	char name[200];
	struct crew__snapshot none = { 0 };
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	crew__directory_retire(&f->directory, 1, &none, name, 0, 0);
	crew__directory_retire(&f->directory, 1, &none, name, 0, 0);
	assert_int_equal(directory_look(f)->exit_rows, 1);
	assert_int_equal(strlen(f->copy->exits[0].service), CREW__NAME_MAX - 1);
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static void an_update_that_lasts_is_told_of(void **state)
{
	struct directory_fixture *f = *state;
	atomic_fetch_add(&f->directory.header->sequence, 1);
	f->directory.header->generation = 4;
	assert_false(crew__directory_read(&f->directory, 5000, f->copy));
	assert_int_equal(f->copy->generation, 4);
	assert_false(crew__directory_read(&f->directory, 0, f->copy));
	atomic_fetch_add(&f->directory.header->sequence, 1);
	assert_true(crew__directory_read(&f->directory, 0, f->copy));
}

static void a_damaged_directory_is_tamed(void **state)
{
	struct directory_fixture *f = *state;
	struct crew__directory_header *header = f->directory.header;
	memset(header->app, 'x', sizeof(*header) - offsetof(struct crew__directory_header, app));
	assert_true(crew__directory_read(&f->directory, 0, f->copy));
	assert_int_equal(strlen(f->copy->app), CREW__NAME_MAX - 1);
	assert_int_equal(strlen(f->copy->app_version), CREW__NAME_MAX - 1);
	assert_int_equal(strlen(f->copy->mode), 15);
	assert_int_equal(strlen(f->copy->engine), 15);
	assert_int_equal(strlen(f->copy->service[CREW_MAX_SERVICES - 1]), CREW__NAME_MAX - 1);
	assert_int_equal(strlen(f->copy->exits[CREW__EXITS_MAX - 1].service), CREW__NAME_MAX - 1);
	assert_int_equal(f->copy->services, CREW_MAX_SERVICES);
	assert_int_equal(f->copy->exit_rows, CREW__EXITS_MAX);
}

struct master {
	struct crew__directory *directory;
	atomic_bool stop;
};

/* Lives begin, die with one message each, and begin again. */
static void *run_master(void *arg)
{
	struct master *master = arg;
	struct crew__snapshot work = {
		.counters = { .messages_offered = 1, .messages_sent = 1 },
		.measures = { [CREW__MEASURE_TURN] = { .count = { 1 } } },
	};
	while (!atomic_load(&master->stop)) {
		struct crew__life life = directory_life(0, 0);
		if (crew__directory_reserve(master->directory, &life.life))
			break;
		crew__directory_enter(master->directory, &life);
		crew__directory_retire(
			master->directory, life.life, &work, "feed", (int)life.life % 5, 0);
		usleep(50);
	}
	return NULL;
}

/* 1 when no worker died between the copy and the rows. */
static unsigned take_rows_beside(struct directory_fixture *f)
{
	struct directory_rows rows;
	uint64_t turns = 0;
	int error = crew__directory_retired(&f->directory, f->copy, &rows.row, &rows.count);
	if (error == -EAGAIN)
		return 0;
	assert_int_equal(error, 0);
	directory_assert_sums(f, &rows);
	for (size_t i = 0; i < rows.count; i++)
		turns += rows.row[i].measures[CREW__MEASURE_TURN].count[0];
	assert_int_equal(turns, f->copy->retired[0].messages_offered);
	free(rows.row);
	return 1;
}

static void every_copy_beside_a_master_is_whole(void **state)
{
	struct directory_fixture *f = *state;
	struct master master = { .directory = &f->directory };
	pthread_t thread;
	uint64_t before = 0;
	unsigned rows_taken = 0;
	assert_int_equal(pthread_create(&thread, NULL, run_master, &master), 0);
	for (int i = 0; i < 2000 || before == 0; i++) {
		uint64_t exits = 0;
		const struct crew__directory_header *copy = directory_look(f);
		for (uint32_t row = 0; row < copy->exit_rows; row++)
			exits += copy->exits[row].count;
		assert_int_equal(exits, copy->retired[0].messages_offered);
		assert_int_equal(copy->retired[0].messages_sent, exits);
		assert_true(exits >= before);
		assert_true(count_lives(copy) <= 1);
		before = exits;
		rows_taken += take_rows_beside(f);
	}
	assert_true(rows_taken > 100);
	atomic_store(&master.stop, true);
	pthread_join(thread, NULL);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, directory_set_up, directory_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_new_directory),
		TEST(a_reader_cannot_write),
		TEST(each_lie_is_found),
		TEST(numbers_go_round_and_skip_the_living),
		TEST(there_is_an_end_of_rows),
		TEST(a_life_is_entered_and_changed),
		TEST(the_dead_leave_their_sums),
		TEST(a_life_that_was_never_entered),
		TEST(the_table_of_exits_ends),
		TEST(long_names_are_one_name),
		TEST(an_update_that_lasts_is_told_of),
		TEST(a_damaged_directory_is_tamed),
		TEST(every_copy_beside_a_master_is_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
