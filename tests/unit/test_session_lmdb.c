/* test_session_lmdb.c - sessions in the run directory, shared by processes that die, stop and fill
 * it. Other processes are real ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "web/session_env.h"
#include "web/session_lmdb.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	MINUTE = 60 * 1000
};

static struct {
	char dir[64], log_path[80];
	int log_fd;
	struct crew__loop *loop, *parents_loop;
	struct crew__store *store;
	pid_t child;
	/* What was fetched. */
	int status;
	char bytes[128];
	int64_t left_ms;
} t;

#define ID "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghij0123-_"

static const char *id_of(int number)
{
	static char id[64];
	snprintf(id, sizeof(id), "%s%06d", ID, number);
	return id + strlen(id) - 43;
}

/* ---- the world ----------------------------------------------------------------------------- */

static int open_store(size_t map_size, char *error, size_t size)
{
	const struct crew__lmdb_plan plan = { .loop = t.loop, .dir = t.dir, .map_size = map_size };
	return crew__lmdb_open(&plan, &t.store, error, size);
}

static void open_it(size_t map_size)
{
	char error[512] = "";
	int status = open_store(map_size, error, sizeof(error));
	if (status)
		print_error("%s\n", error);
	assert_int_equal(status, 0);
}

static void close_it(void)
{
	if (t.store)
		t.store->ops->close(t.store);
	t.store = NULL;
}

static int set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	snprintf(t.dir, sizeof(t.dir), "/tmp/crew-sessions-%d", (int)getpid());
	snprintf(t.log_path, sizeof(t.log_path), "%s.log", t.dir);
	t.log_fd = open(t.log_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	crew__log_open(t.log_fd, CREW_WARN, "test");
	return crew__loop_new(CREW__ENGINE_AUTO, &t.loop);
}

static void end_child(void)
{
	int status;
	if (t.child <= 0)
		return;
	kill(t.child, SIGKILL);
	assert_int_equal(waitpid(t.child, &status, 0), t.child);
	t.child = 0;
}

static int tear_down(void **state)
{
	(void)state;
	char command[256];
	end_child();
	close_it();
	crew__loop_free(t.loop);
	crew__log_open(2, CREW_WARN, "test");
	close(t.log_fd);
	snprintf(command, sizeof(command), "rm -rf '%s' '%s'", t.dir, t.log_path);
	return system(command);
}

static const char *logged(void)
{
	static char text[8192];
	ssize_t len = pread(t.log_fd, text, sizeof(text) - 1, 0);
	text[len > 0 ? len : 0] = '\0';
	return text;
}

static int save(const char *id, const char *bytes, int64_t life_ms)
{
	return t.store->ops->save(t.store, id, crew_str(bytes), life_ms, false);
}

static void fetched(void *arg, int status, crew_bytes bytes, int64_t left_ms)
{
	(void)arg;
	t.status = status;
	t.left_ms = left_ms;
	snprintf(t.bytes, sizeof(t.bytes), "%.*s", status ? 0 : (int)crew__min(bytes.len, 100),
		bytes.data ? bytes.data : "");
}

static int fetch(const char *id)
{
	t.status = 1;
	assert_int_equal(t.store->ops->fetch(t.store, id, fetched, NULL), 0);
	return t.status;
}

static void turn_until(bool (*done)(void))
{
	uint64_t give_up = crew__clock_ns() + 20 * CREW__NS_PER_S;
	while (!done()) {
		assert_true(crew__clock_ns() < give_up);
		crew__loop_turn(t.loop, 20);
	}
}

static bool nothing_waits(void)
{
	return crew__lmdb_waiting(t.store) == 0;
}

/* ---- one process --------------------------------------------------------------------------- */

static void what_was_saved_is_fetched(void **state)
{
	(void)state;
	open_it(0);
	assert_true(t.store->ops->immediate);
	assert_int_equal(fetch(id_of(1)), -ENOENT);
	assert_int_equal(save(id_of(1), "one", MINUTE), 0);
	assert_int_equal(save(id_of(2), "", MINUTE), 0);
	assert_int_equal(fetch(id_of(1)), 0);
	assert_string_equal(t.bytes, "one");
	assert_true(t.left_ms > MINUTE - 5000 && t.left_ms <= MINUTE);
	assert_int_equal(fetch(id_of(2)), 0);
	assert_string_equal(t.bytes, "");
	assert_int_equal(save(id_of(1), "other", MINUTE), 0);
	assert_int_equal(fetch(id_of(1)), 0);
	assert_string_equal(t.bytes, "other");
	assert_int_equal(t.store->ops->remove(t.store, id_of(1)), 0);
	assert_int_equal(t.store->ops->remove(t.store, id_of(1)), 0);
	assert_int_equal(fetch(id_of(1)), -ENOENT);
	assert_int_equal(fetch(id_of(2)), 0);
	assert_string_equal(logged(), "");
}

static void one_that_was_ended_does_not_come_back(void **state)
{
	(void)state;
	open_it(0);
	struct crew__store *s = t.store;
	assert_int_equal(s->ops->save(s, id_of(1), CREW_BYTES("late"), MINUTE, true), -ENOENT);
	assert_int_equal(fetch(id_of(1)), -ENOENT);
	assert_int_equal(save(id_of(1), "one", MINUTE), 0);
	assert_int_equal(s->ops->save(s, id_of(1), CREW_BYTES("two"), MINUTE, true), 0);
	assert_int_equal(fetch(id_of(1)), 0);
	assert_string_equal(t.bytes, "two");
	assert_int_equal(s->ops->touch(s, id_of(9), MINUTE), -ENOENT);
}

static void what_is_not_used_ends(void **state)
{
	(void)state;
	open_it(0);
	struct crew__store *s = t.store;
	assert_int_equal(save(id_of(1), "short", 150), 0);
	assert_int_equal(save(id_of(2), "touched", 150), 0);
	assert_int_equal(s->ops->touch(s, id_of(2), MINUTE), 0);
	assert_int_equal(fetch(id_of(1)), 0);
	usleep(200 * 1000);
	assert_int_equal(fetch(id_of(1)), -ENOENT);
	assert_int_equal(fetch(id_of(2)), 0);
	assert_string_equal(t.bytes, "touched");
	assert_true(t.left_ms > MINUTE / 2);
	assert_int_equal(s->ops->save(s, id_of(1), CREW_BYTES("x"), MINUTE, true), -ENOENT);
}

static void a_full_store_says_so_and_recovers(void **state)
{
	(void)state;
	char *large = malloc(30000);
	memset(large, 'x', 30000);
	crew_bytes bytes = { large, 30000 };
	open_it(1 << 20);
	int count = 0, error = 0;
	for (; !error && count < 100; count++)
		error = t.store->ops->save(t.store, id_of(count), bytes, 400, false);
	assert_int_equal(error, -ENOSPC);
	assert_true(count > 15);
	assert_non_null(strstr(logged(), ", is full"));
	assert_int_equal(fetch(id_of(count - 1)), -ENOENT);
	assert_int_equal(fetch(id_of(0)), 0);
	/* What is there can be ended, which makes room. */
	assert_int_equal(t.store->ops->remove(t.store, id_of(0)), 0);
	assert_int_equal(t.store->ops->remove(t.store, id_of(1)), 0);
	assert_int_equal(t.store->ops->save(t.store, id_of(200), bytes, MINUTE, false), 0);
	/* So does the end of the others, without anybody's doing. */
	usleep(450 * 1000);
	for (int i = 300; i < 315; i++)
		assert_int_equal(t.store->ops->save(t.store, id_of(i), bytes, MINUTE, false), 0);
	/* It stays usable however often it is filled. */
	for (int i = 0; i < 2000; i++) {
		error = t.store->ops->save(t.store, id_of(i % 60), bytes, 20, false);
		assert_true(error == 0 || error == -ENOSPC);
	}
	assert_int_equal(t.store->ops->remove(t.store, id_of(300)), 0);
	assert_int_equal(fetch(id_of(301)), 0);
	free(large);
}

static void twice_in_a_process_it_is_one(void **state)
{
	(void)state;
	open_it(0);
	struct crew__store *first = t.store;
	open_it(0);
	assert_ptr_equal(t.store, first);
	save(id_of(1), "one", MINUTE);
	first->ops->close(first);
	assert_int_equal(fetch(id_of(1)), 0);
	close_it();
	open_it(0); /* and it outlives all that had it open */
	assert_int_equal(fetch(id_of(1)), 0);
}

/* ---- what is found in the directory -------------------------------------------------------- */

static void write_file(const char *name, const char *text)
{
	char path[160];
	snprintf(path, sizeof(path), "%s/%s", t.dir, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void what_another_boot_left_is_thrown_away(void **state)
{
	(void)state;
	open_it(0);
	save(id_of(1), "one", MINUTE);
	close_it();
	write_file("sessions.boot", "00000000-0000-0000-0000-000000000000");
	open_it(0);
	assert_int_equal(fetch(id_of(1)), -ENOENT);
	assert_int_equal(save(id_of(1), "two", MINUTE), 0);
	close_it();
	open_it(0);
	assert_int_equal(fetch(id_of(1)), 0);
}

static void what_is_no_database_is_replaced(void **state)
{
	(void)state;
	open_it(0);
	close_it();
	char text[9000];
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	write_file("sessions.mdb", text);
	open_it(0);
	assert_int_equal(save(id_of(1), "one", MINUTE), 0);
	assert_int_equal(fetch(id_of(1)), 0);
}

static void programs_it_starts_do_not_inherit_it(void **state)
{
	(void)state;
	char command[256];
	open_it(0);
	snprintf(command, sizeof(command), "ls -l /proc/self/fd | grep -c '%s/' | grep -qx 0",
		t.dir);
	assert_int_equal(system(command), 0);
}

/* ---- several processes --------------------------------------------------------------------- */

/* In a process of its own, with a loop and store of its own; it ends with the test. */
static pid_t spawn(void (*run)(int number), int number)
{
	pid_t parent = getpid();
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	t.parents_loop = t.loop; /* still somebody's, for those who look for leaks */
	if (getppid() != parent || crew__loop_new(CREW__ENGINE_AUTO, &t.loop) < 0)
		_exit(9);
	char error[512];
	if (open_store(4 << 20, error, sizeof(error)) < 0)
		_exit(8);
	run(number);
	_exit(0);
}

static int ended(pid_t pid)
{
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Its own sessions, each read back at once; one that all write. */
static void write_many(int number)
{
	char text[32];
	for (int i = 0; i < 300; i++) {
		snprintf(text, sizeof(text), "%d of %d", i, number);
		if (save(id_of(1000 * number + i % 50), text, MINUTE) != 0)
			_exit(1);
		t.store->ops->fetch(t.store, id_of(1000 * number + i % 50), fetched, NULL);
		if (t.status != 0 || strcmp(t.bytes, text) != 0)
			_exit(2);
		if (save(id_of(0), text, MINUTE) != 0)
			_exit(3);
		crew__loop_turn(t.loop, 0);
	}
	while (crew__lmdb_waiting(t.store) > 0)
		crew__loop_turn(t.loop, 5);
}

static void processes_share_it(void **state)
{
	(void)state;
	pid_t pids[4];
	for (int i = 0; i < 4; i++)
		pids[i] = spawn(write_many, i + 1);
	for (int i = 0; i < 4; i++)
		assert_int_equal(ended(pids[i]), 0);
	open_it(4 << 20);
	for (int i = 1; i <= 4; i++) {
		char text[32];
		snprintf(text, sizeof(text), "%d of %d", 299, i);
		assert_int_equal(fetch(id_of(1000 * i + 49)), 0);
		assert_string_equal(t.bytes, text);
	}
	assert_int_equal(fetch(id_of(0)), 0);
}

static void write_for_ever(int number)
{
	char text[4000];
	memset(text, 'w', sizeof(text));
	for (int i = number;; i++) {
		t.store->ops->save(
			t.store, id_of(i % 200), (crew_bytes){ text, 3000 }, MINUTE, false);
		t.store->ops->remove(t.store, id_of((i + 7) % 200));
		crew__loop_turn(t.loop, 0);
	}
}

static void a_writer_that_is_killed_harms_nobody(void **state)
{
	(void)state;
	open_it(4 << 20);
	assert_int_equal(save(id_of(5000), "mine", MINUTE), 0);
	close_it();
	for (int i = 0; i < 20; i++) {
		t.child = spawn(write_for_ever, i);
		usleep((useconds_t)(20000 + i * 777));
		end_child();
		open_it(4 << 20);
		assert_int_equal(fetch(id_of(5000)), 0);
		assert_string_equal(t.bytes, "mine");
		assert_int_equal(save(id_of(6000 + i), "new", MINUTE), 0);
		assert_int_equal(fetch(id_of(6000 + i)), 0);
		assert_int_equal(crew__lmdb_waiting(t.store), 0);
		close_it();
	}
	assert_string_equal(logged(), "");
}

/* As above, with ours open all the time: its lock and its map are those of the dead. */
static void a_writer_that_is_killed_beside_us_harms_us_not(void **state)
{
	(void)state;
	open_it(4 << 20);
	for (int i = 0; i < 20; i++) {
		t.child = spawn(write_for_ever, i);
		usleep((useconds_t)(20000 + i * 777));
		end_child();
		assert_int_equal(save(id_of(6000 + i), "new", MINUTE), 0);
		turn_until(nothing_waits);
		assert_int_equal(fetch(id_of(6000 + i)), 0);
		assert_string_equal(t.bytes, "new");
	}
	assert_string_equal(logged(), "");
}

static void hold_the_gate(int number)
{
	char path[160];
	(void)number;
	snprintf(path, sizeof(path), "%s/sessions.gate", t.dir);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
	int fd = open(path, O_RDWR);
	while (fcntl(fd, F_SETLK, &lock) != 0)
		usleep(1000);
	raise(SIGSTOP);
	lock.l_type = F_UNLCK;
	fcntl(fd, F_SETLK, &lock);
	pause();
}

static void hold_it(void)
{
	int status;
	t.child = spawn(hold_the_gate, 0);
	assert_int_equal(waitpid(t.child, &status, WUNTRACED), t.child);
	assert_true(WIFSTOPPED(status));
}

static void a_stopped_writer_is_found_and_named(void **state)
{
	(void)state;
	char name[64];
	open_it(4 << 20);
	assert_int_equal(save(id_of(1), "one", MINUTE), 0);
	hold_it();
	uint64_t before = crew__clock_ns();
	assert_int_equal(save(id_of(1), "two", MINUTE), 0);
	assert_int_equal(save(id_of(2), "more", MINUTE), 0);
	assert_int_equal(t.store->ops->remove(t.store, id_of(2)), 0);
	assert_true(crew__clock_ns() - before < 500 * CREW__NS_PER_MS); /* nobody waits for it */
	/* What this process wants is true for it meanwhile. */
	assert_int_equal(crew__lmdb_waiting(t.store), 3);
	assert_int_equal(fetch(id_of(1)), 0);
	assert_string_equal(t.bytes, "two");
	assert_int_equal(fetch(id_of(2)), -ENOENT);
	turn_until(nothing_waits);
	assert_true(crew__clock_ns() - before > 900 * CREW__NS_PER_MS);
	snprintf(name, sizeof(name), "process %d, which is stopped", (int)t.child);
	assert_non_null(strstr(logged(), name));
	assert_non_null(strstr(logged(), "not saved"));
	/* It was given up: reading, which waits for nobody, finds what was there before. */
	assert_int_equal(fetch(id_of(1)), 0);
	assert_string_equal(t.bytes, "one");
}

static void one_that_goes_on_in_time_loses_nothing(void **state)
{
	(void)state;
	open_it(4 << 20);
	hold_it();
	assert_int_equal(save(id_of(1), "one", MINUTE), 0);
	assert_int_equal(save(id_of(1), "two", MINUTE), 0);
	assert_int_equal(t.store->ops->touch(t.store, id_of(1), 2 * MINUTE), 0);
	crew__loop_turn(t.loop, 50);
	assert_int_equal(crew__lmdb_waiting(t.store), 3);
	kill(t.child, SIGCONT);
	turn_until(nothing_waits);
	assert_int_equal(fetch(id_of(1)), 0);
	assert_string_equal(t.bytes, "two");
	assert_true(t.left_ms > MINUTE);
	assert_string_equal(logged(), "");
}

static void what_waits_is_bounded(void **state)
{
	(void)state;
	open_it(4 << 20);
	hold_it();
	int error = 0, count = 0;
	for (; !error && count < 5000; count++)
		error = save(id_of(count), "x", MINUTE);
	assert_int_equal(error, -ETIMEDOUT);
	assert_int_equal(crew__lmdb_waiting(t.store), 1024);
	assert_non_null(strstr(logged(), "not saved"));
	end_child(); /* the kernel opens the gate */
	turn_until(nothing_waits);
	assert_int_equal(fetch(id_of(1000)), 0);
}

static void opening_does_not_wait_for_ever(void **state)
{
	(void)state;
	char error[512], name[64];
	open_it(4 << 20);
	close_it();
	hold_it();
	assert_int_equal(open_store(4 << 20, error, sizeof(error)), -EAGAIN);
	snprintf(name, sizeof(name), "process %d, which is stopped", (int)t.child);
	assert_non_null(strstr(error, name));
}

static void read_and_stop(int number)
{
	struct crew__session_env env;
	char error[256];
	(void)number;
	close_it();
	if (crew__env_open(&env, t.dir, 4 << 20, error, sizeof(error)) < 0)
		_exit(7);
	if (mdb_txn_renew(env.reading) != 0)
		_exit(6);
	raise(SIGSTOP);
	pause();
}

/* A reader keeps old pages alive; when it is dead, nothing does once the next worker starts. */
static void what_dead_readers_held_is_free_again(void **state)
{
	(void)state;
	int status;
	char *large = calloc(1, 30000);
	crew_bytes bytes = { large, 30000 };
	open_it(4 << 20);
	t.child = spawn(read_and_stop, 0);
	assert_int_equal(waitpid(t.child, &status, WUNTRACED), t.child);
	assert_true(WIFSTOPPED(status));
	int error = 0;
	for (int i = 0; !error && i < 1000; i++) /* the same few again and again */
		error = t.store->ops->save(t.store, id_of(i % 5), bytes, MINUTE, false);
	assert_int_equal(error, -ENOSPC);
	end_child();
	close_it();
	open_it(4 << 20);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(
			t.store->ops->save(t.store, id_of(i % 5), bytes, MINUTE, false), 0);
	free(large);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_saved_is_fetched),
		TEST(one_that_was_ended_does_not_come_back),
		TEST(what_is_not_used_ends),
		TEST(a_full_store_says_so_and_recovers),
		TEST(twice_in_a_process_it_is_one),
		TEST(what_another_boot_left_is_thrown_away),
		TEST(what_is_no_database_is_replaced),
		TEST(programs_it_starts_do_not_inherit_it),
		TEST(processes_share_it),
		TEST(a_writer_that_is_killed_harms_nobody),
		TEST(a_writer_that_is_killed_beside_us_harms_us_not),
		TEST(a_stopped_writer_is_found_and_named),
		TEST(one_that_goes_on_in_time_loses_nothing),
		TEST(what_waits_is_bounded),
		TEST(opening_does_not_wait_for_ever),
		TEST(what_dead_readers_held_is_free_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
