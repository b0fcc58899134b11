/* test_base.c - buffers, lists, the log and its limits, and the last words of a panic. */
#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

/* ---- buf ----------------------------------------------------------------------------------- */

static void a_buffer_holds_what_was_appended(void **state)
{
	(void)state;
	struct crew__buf b;
	crew__buf_init(&b, 100000);
	assert_null(b.data); /* an empty one costs nothing */
	for (unsigned i = 0; i < 5000; i++)
		assert_int_equal(crew__buf_append(&b, &i, sizeof(i)), 0);
	assert_int_equal(b.len, 5000 * sizeof(unsigned));
	assert_true(b.len <= b.cap && b.cap <= b.max);

	crew__buf_consume(&b, 1000 * sizeof(unsigned));
	assert_int_equal(b.len, 4000 * sizeof(unsigned));
	for (unsigned i = 0; i < 4000; i++) {
		unsigned value;
		memcpy(&value, b.data + i * sizeof(value), sizeof(value));
		assert_int_equal(value, i + 1000);
	}
	crew__buf_consume(&b, 0);
	crew__buf_consume(&b, b.len);
	assert_int_equal(b.len, 0);
	crew__buf_release(&b);
	assert_null(b.data);
	assert_int_equal(crew__buf_append(&b, "again", 5), 0);
	assert_memory_equal(b.data, "again", 5);
	crew__buf_release(&b);
}

static void a_buffer_never_outgrows_its_limit(void **state)
{
	(void)state;
	struct crew__buf b;
	crew__buf_init(&b, 1000);
	char bytes[1000];
	memset(bytes, 'x', sizeof(bytes));
	assert_int_equal(crew__buf_append(&b, bytes, 600), 0);
	assert_int_equal(crew__buf_append(&b, bytes, 401), -ENOBUFS); /* all or nothing */
	assert_int_equal(b.len, 600);
	assert_int_equal(crew__buf_reserve(&b, SIZE_MAX), -ENOBUFS);
	assert_int_equal(crew__buf_append(&b, bytes, 400), 0);
	assert_int_equal(b.cap, 1000);
	assert_int_equal(crew__buf_append(&b, bytes, 1), -ENOBUFS);
	assert_int_equal(crew__buf_append(&b, NULL, 0), 0);
	assert_int_equal(crew__buf_reserve(&b, 0), 0);
	crew__buf_release(&b);

	crew__buf_init(&b, 0);
	assert_int_equal(crew__buf_append(&b, NULL, 0), 0);
	assert_int_equal(crew__buf_append(&b, "x", 1), -ENOBUFS);
	crew__buf_init(&b, SIZE_MAX);
	assert_int_equal(b.max, INT32_MAX);
}

static void appending_byte_by_byte_grows_seldom(void **state)
{
	(void)state;
	struct crew__buf b;
	int growths = 0;
	crew__buf_init(&b, 1 << 20);
	for (int i = 0; i < 1 << 20; i++) {
		uint32_t cap = b.cap;
		assert_int_equal(crew__buf_append(&b, "x", 1), 0);
		growths += b.cap != cap;
	}
	assert_in_range(growths, 1, 20);
	crew__buf_release(&b);
}

/* ---- list ---------------------------------------------------------------------------------- */

static void a_list_keeps_order_and_forgets_the_removed(void **state)
{
	(void)state;
	struct crew__node head, nodes[5];
	crew__list_init(&head);
	assert_true(crew__list_empty(&head));
	for (int i = 0; i < 5; i++) {
		crew__list_init(&nodes[i]);
		crew__list_push(&head, &nodes[i]);
	}
	crew__list_remove(&nodes[0]);
	crew__list_remove(&nodes[2]);
	crew__list_remove(&nodes[2]); /* in no list: nothing happens */
	crew__list_remove(&nodes[4]);
	assert_ptr_equal(head.next, &nodes[1]);
	assert_ptr_equal(nodes[1].next, &nodes[3]);
	assert_ptr_equal(nodes[3].next, &head);
	assert_ptr_equal(head.prev, &nodes[3]);
	assert_ptr_equal(nodes[3].prev, &nodes[1]);
	assert_true(crew__list_empty(&nodes[2]));
	crew__list_remove(&nodes[1]);
	crew__list_remove(&nodes[3]);
	assert_true(crew__list_empty(&head));
}

/* ---- log ----------------------------------------------------------------------------------- */

/* A temporary file as the log. */
static int open_log(crew_level level)
{
	char path[] = "/tmp/crew-test-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	unlink(path);
	crew__log_open(fd, level, "test#7");
	return fd;
}

static void close_log(int fd)
{
	crew__log_open(STDERR_FILENO, CREW_INFO, "crew");
	close(fd);
}

static char text[64 * 1024];

static const char *read_log(int fd)
{
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	assert_true(n >= 0);
	text[n] = '\0';
	return text;
}

/* The text behind "TIME LEVEL tag: " of a line. */
static const char *behind_prefix(const char *line, const char *level)
{
	int year, month, day, hour, minute, second, ms, end = 0;
	char name[8];
	int found = sscanf(line, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ %7s test#7: %n", &year, &month, &day,
		&hour, &minute, &second, &ms, name, &end);
	assert_int_equal(found, 8);
	assert_true(end > 0 && year >= 2025);
	assert_string_equal(name, level);
	return line + end;
}

static void a_line_has_time_level_and_tag(void **state)
{
	(void)state;
	int fd = open_log(CREW_DEBUG);
	crew__log(CREW_WARN, "%s is %d", "the answer", 42);
	assert_string_equal(behind_prefix(read_log(fd), "warn"), "the answer is 42\n");
	crew__log(CREW_DEBUG, "more");
	assert_string_equal(behind_prefix(strchr(read_log(fd), '\n') + 1, "debug"), "more\n");
	close_log(fd);
}

static void lower_levels_are_dropped(void **state)
{
	(void)state;
	int fd = open_log(CREW_WARN);
	crew__log(CREW_DEBUG, "no");
	crew__log(CREW_INFO, "no");
	crew__log((crew_level)4, "no such level");
	crew__log((crew_level)-1, "no such level");
	assert_string_equal(read_log(fd), "");
	crew__log(CREW_ERROR, "yes");
	assert_string_equal(behind_prefix(read_log(fd), "error"), "yes\n");
	close_log(fd);
}

static void control_bytes_become_spaces(void **state)
{
	(void)state;
	int fd = open_log(CREW_INFO);
	crew__log(CREW_INFO, "a\nb\r\x1b[31mc\td\x7f"
			     "e\xc2\x9b"
			     "f \xc3\xa9 \xc2\xa9 \xc2");
	assert_string_equal(
		behind_prefix(read_log(fd), "info"), "a b  [31mc d e  f \xc3\xa9 \xc2\xa9 \xc2\n");
	close_log(fd);
}

static void a_long_line_is_cut(void **state)
{
	(void)state;
	static char longest[10000];
	memset(longest, 'x', sizeof(longest) - 1);
	int fd = open_log(CREW_INFO);
	crew__log(CREW_INFO, "%s", longest);
	crew__log(CREW_INFO, "next");
	const char *lines = read_log(fd);
	const char *end = strchr(lines, '\n');
	assert_non_null(end);
	assert_in_range(end - lines, 4000, 4095);
	assert_string_equal(behind_prefix(end + 1, "info"), "next\n");
	close_log(fd);
}

static void logging_keeps_errno(void **state)
{
	(void)state;
	crew__log_open(-1, CREW_INFO, "nowhere");
	errno = EADDRINUSE;
	crew__log(CREW_ERROR, "lost");
	assert_int_equal(errno, EADDRINUSE);
	int fd = open_log(CREW_INFO);
	crew__log(CREW_INFO, "taken");
	assert_int_equal(errno, EADDRINUSE);
	assert_non_null(strstr(read_log(fd), "lines lost before this one: 1 ("));
	close_log(fd);
}

/* A pipe that nobody reads: nobody waits; lines queue up, then they are lost, and the next that is
 * taken tells of those. */
static void count_wait(void *arg)
{
	int *waits = arg;
	++*waits;
}

static void a_full_pipe_holds_nobody_up(void **state)
{
	(void)state;
	int waits = 0;
	int fds[2];
	int lines = 0, read_lines = 0, last = -1;
	uint64_t before = crew__log_lost();
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	crew__log_open(fds[1], CREW_INFO, "test#7");
	crew__log_on_wait(count_wait, &waits);
	while (crew__log_lost() == before)
		crew__log(CREW_INFO, "%01000d", lines++); /* would hang here */
	assert_true(crew__log_waits());
	assert_int_equal(waits, 1); /* told once, however many lines it is */
	crew__log_on_wait(count_wait, &waits);
	assert_int_equal(waits, 2); /* who asks later is told at once */
	crew__log_on_wait(NULL, NULL);
	lines--;
	for (int i = 0; i < 4; i++)
		crew__log(CREW_INFO, "%01000d", lines);
	assert_int_equal(crew__log_lost() - before, 5);

	/* All that were not lost come, each whole and in order. */
	char line[2048];
	FILE *from = fdopen(fds[0], "r");
	assert_non_null(from);
	while (read_lines < lines) {
		crew__log_flush(0);
		assert_non_null(fgets(line, sizeof(line), from));
		assert_int_equal(atoi(behind_prefix(line, "info")), ++last);
		read_lines++;
	}
	assert_true(crew__log_flush(0));
	assert_false(crew__log_waits());
	crew__log(CREW_INFO, "taken");
	crew__log(CREW_INFO, "after");
	assert_non_null(fgets(line, sizeof(line), from));
	assert_int_equal(
		strncmp(behind_prefix(line, "warn"), "lines lost before this one: 5 (", 31), 0);
	assert_non_null(fgets(line, sizeof(line), from));
	assert_string_equal(behind_prefix(line, "info"), "taken\n");
	assert_non_null(fgets(line, sizeof(line), from));
	assert_string_equal(behind_prefix(line, "info"), "after\n"); /* told once */
	close_log(fds[1]);
	fclose(from);
}

/* A disk that fills up in the middle of a line: what follows begins a line of its own. */
static void a_torn_line_is_ended(void **state)
{
	(void)state;
	struct rlimit old, small;
	int fd = open_log(CREW_INFO);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = (struct rlimit){ 50, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	crew__log(CREW_INFO, "a line of which the end does not find its place");
	crew__log(CREW_INFO, "a line that is lost whole");
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	crew__log(CREW_INFO, "there is room again");
	const char *lines = read_log(fd);
	assert_int_equal(strchr(lines, '\n') - lines, 50);
	const char *line = behind_prefix(lines + 51, "warn");
	assert_int_equal(strncmp(line, "lines lost before this one: 2 (", 31), 0);
	line = behind_prefix(strchr(line, '\n') + 1, "info");
	assert_string_equal(line, "there is room again\n");
	close_log(fd);
}

static void what_a_rate_left_out_is_said_at_the_end(void **state)
{
	(void)state;
	struct crew__log_rate rate = { 0 };
	char left_out[CREW__LEFT_OUT_MAX] = "?";
	assert_true(crew__log_may(&rate, UINT32_MAX, left_out));
	assert_string_equal(left_out, "");
	for (int i = 0; i < 7; i++)
		assert_false(crew__log_may(&rate, 0, left_out));
	assert_string_equal(left_out, "");
	assert_true(crew__log_may(&rate, UINT32_MAX, left_out));
	assert_string_equal(left_out, " (7 such lines left out)");
}

static void a_rate_lets_so_many_through(void **state)
{
	(void)state;
	struct crew__log_rate rate;
	uint32_t left_out = 99;
	uint64_t second;
	int allowed;
	do { /* again when a second ended in the middle */
		rate = (struct crew__log_rate){ 0 };
		allowed = 0;
		second = crew__clock_ns() / CREW__NS_PER_S;
		for (int i = 0; i < 10; i++)
			allowed += crew__log_allowed(&rate, 3, &left_out);
	} while (crew__clock_ns() / CREW__NS_PER_S != second);
	assert_int_equal(allowed, 3);
	assert_int_equal(left_out, 0);
	rate.second--; /* as if a second had passed */
	assert_true(crew__log_allowed(&rate, 3, &left_out));
	assert_int_equal(left_out, 7);
	assert_true(crew__log_allowed(&rate, 3, &left_out));
	assert_int_equal(left_out, 0); /* told once */
	assert_false(crew__log_allowed(&rate, 0, &left_out));
}

/* ---- check --------------------------------------------------------------------------------- */

static void hold(int number)
{
	crew__must(number == 1);
}

static void a_panic_leaves_its_last_words(void **state)
{
	(void)state;
	char *words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(words != MAP_FAILED);
	int fds[2];
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	hold(1);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct rlimit no_core = { 0, 0 };
		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGABRT, SIG_DFL);
		dup2(fds[1], STDERR_FILENO);
		crew__panic_into(words, 4096);
		hold(2);
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_non_null(strstr(words, "crew: panic: must hold: number == 1 ("));
	assert_null(strchr(words, '\n'));
	ssize_t n = read(fds[0], text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = '\0';
	assert_int_equal(strncmp(text, words, strlen(words)), 0);
	assert_string_equal(text + strlen(words), "\n");
	munmap(words, 4096);
	close(fds[0]);
	close(fds[1]);
}

static void the_clock_goes_on(void **state)
{
	(void)state;
	struct timespec t;
	uint64_t before = crew__clock_ns();
	clock_gettime(CLOCK_MONOTONIC, &t);
	uint64_t after = crew__clock_ns();
	uint64_t between = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
	assert_true(before <= between && between <= after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_buffer_holds_what_was_appended),
		cmocka_unit_test(a_buffer_never_outgrows_its_limit),
		cmocka_unit_test(appending_byte_by_byte_grows_seldom),
		cmocka_unit_test(a_list_keeps_order_and_forgets_the_removed),
		cmocka_unit_test(a_line_has_time_level_and_tag),
		cmocka_unit_test(lower_levels_are_dropped),
		cmocka_unit_test(control_bytes_become_spaces),
		cmocka_unit_test(a_long_line_is_cut),
		cmocka_unit_test(logging_keeps_errno),
		cmocka_unit_test(a_full_pipe_holds_nobody_up),
		cmocka_unit_test(a_torn_line_is_ended),
		cmocka_unit_test(a_rate_lets_so_many_through),
		cmocka_unit_test(what_a_rate_left_out_is_said_at_the_end),
		cmocka_unit_test(a_panic_leaves_its_last_words),
		cmocka_unit_test(the_clock_goes_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
