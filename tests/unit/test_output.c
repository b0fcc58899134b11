/* test_output.c - what a worker prints becomes lines of its master's log. */
#include "proc/output.h"

#include "base/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static const struct crew__log_origin origin = {
	.app = "feed", .service = "web", .worker = 1, .pid = 9
};

static struct crew__loop *loop;
static struct crew__output output;
static int fds[2], log_fd;
static char text[1 << 20];

static int begin(void **state)
{
	char path[] = "/tmp/crew-test-XXXXXX";
	(void)state;
	log_fd = mkstemp(path);
	unlink(path);
	crew__log_open(log_fd, CREW_INFO, "master");
	return crew__loop_new(CREW__ENGINE_AUTO, &loop);
}

static int end(void **state)
{
	(void)state;
	crew__log_open(STDERR_FILENO, CREW_INFO, "crew");
	crew__loop_free(loop);
	close(log_fd);
	return 0;
}

static void open_output(uint32_t lines_most)
{
	crew__output_init(&output, loop, &origin, lines_most);
	assert_int_equal(crew__output_open(&output, fds), 0);
}

static void print(int fd, const char *what)
{
	assert_int_equal(write(fd, what, strlen(what)), strlen(what));
	for (int i = 0; i < 3; i++)
		crew__loop_turn(loop, 0);
}

static void close_fds(void)
{
	close(fds[0]);
	close(fds[1]);
}

/* The log without times; levels and names stay. */
static const char *said(void)
{
	static char lines[sizeof(text)];
	ssize_t n = pread(log_fd, text, sizeof(text) - 1, 0);
	char *to = lines;
	text[n > 0 ? n : 0] = '\0';
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		to += sprintf(to, "%s\n", line + strlen("2026-11-21T10:42:00.123Z "));
	*to = '\0';
	return lines;
}

static void lines_have_level_and_name(void **state)
{
	(void)state;
	open_output(0);
	print(fds[0], "one\ntwo\r\nthr");
	print(fds[1], "an error\n");
	print(fds[0], "ee\n\nhalf");
	assert_string_equal(said(), "info  web#1: one\ninfo  web#1: two\nwarn  web#1: an error\n"
				    "info  web#1: three\ninfo  web#1: \n");
	close_fds();
	crew__output_end(&output);
	assert_non_null(strstr(said(), "info  web#1: \ninfo  web#1: half\n"));
}

static void what_is_in_the_pipe_is_told_at_the_end(void **state)
{
	(void)state;
	open_output(0);
	assert_int_equal(write(fds[1], "last\nwords", 10), 10);
	close_fds();
	crew__output_end(&output);
	assert_string_equal(said(), "warn  web#1: last\nwarn  web#1: words\n");
	crew__output_end(&output); /* again: nothing */
}

static void a_long_line_comes_in_pieces(void **state)
{
	(void)state;
	static char line[CREW__OUTPUT_LINE_MAX * 2 + 2];
	open_output(0);
	memset(line, 'x', CREW__OUTPUT_LINE_MAX * 2);
	line[CREW__OUTPUT_LINE_MAX * 2] = '\n';
	print(fds[0], line);
	const char *at = said();
	size_t xs = 0, lines = 0;
	for (; *at; at++) {
		xs += *at == 'x';
		lines += *at == '\n';
	}
	assert_int_equal(xs, CREW__OUTPUT_LINE_MAX * 2);
	assert_int_equal(lines, 2);
	close_fds();
	crew__output_end(&output);
}

static unsigned count(const char *lines, const char *word)
{
	unsigned n = 0;
	for (; (lines = strstr(lines, word)); lines++)
		n++;
	return n;
}

static void a_flood_is_cut(void **state)
{
	(void)state;
	open_output(5);
	uint64_t second = crew__clock_ns() / CREW__NS_PER_S;
	for (int i = 0; i < 50; i++)
		print(fds[0], "flood\n");
	unsigned told = count(said(), "flood");
	if (crew__clock_ns() / CREW__NS_PER_S == second)
		assert_int_equal(told, 5);
	uint64_t deadline = crew__clock_ns() + 20 * CREW__NS_PER_S;
	while (!strstr(said(), "left out") && crew__clock_ns() < deadline)
		crew__loop_turn(loop, 100); /* without another line */
	const char *at = strstr(said(), "warn  web#1: ");
	unsigned left_out = 0;
	for (; at; at = strstr(at + 1, "warn  web#1: "))
		left_out += (unsigned)atoi(at + strlen("warn  web#1: "));
	assert_int_equal(count(said(), "info  web#1: flood") + left_out, 50);
	close_fds();
	crew__output_end(&output);
}

/* A worker's end never makes it wait. */
static void a_full_pipe_does_not_block(void **state)
{
	(void)state;
	static char data[65536];
	ssize_t n;
	open_output(0);
	do
		n = write(fds[0], data, sizeof(data));
	while (n > 0);
	assert_int_equal(errno, EAGAIN);
	close_fds();
	crew__output_end(&output);
}

static void it_is_handed_over(void **state)
{
	(void)state;
	static struct crew__output next;
	json_t *saved = json_object();
	open_output(0);
	print(fds[0], "begun");
	crew__output_save(&output, saved);
	/* The old one is gone, as its process would be; the descriptors are not. */
	for (int i = 0; i < 2; i++)
		crew__loop_remove(loop, &output.streams[i].source);
	crew__output_init(&next, loop, &origin, 0);
	crew__output_restore(&next, saved);
	assert_int_equal(write(fds[0], "after\n", 6), 6);
	close_fds();
	crew__output_end(&next);
	assert_string_equal(said(), "info  web#1: begun\ninfo  web#1: after\n");

	/* What makes no sense is left out. */
	json_object_set_new(saved, "stdout", json_integer(log_fd));
	json_object_set_new(saved, "stderr", json_string("7"));
	crew__output_init(&next, loop, &origin, 0);
	crew__output_restore(&next, saved);
	assert_int_equal(next.streams[0].source.fd, -1);
	assert_int_equal(next.streams[1].source.fd, -1);
	crew__output_restore(&next, NULL);
	crew__output_end(&next);
	json_decref(saved);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(lines_have_level_and_name, begin, end),
		cmocka_unit_test_setup_teardown(what_is_in_the_pipe_is_told_at_the_end, begin, end),
		cmocka_unit_test_setup_teardown(a_long_line_comes_in_pieces, begin, end),
		cmocka_unit_test_setup_teardown(a_flood_is_cut, begin, end),
		cmocka_unit_test_setup_teardown(a_full_pipe_does_not_block, begin, end),
		cmocka_unit_test_setup_teardown(it_is_handed_over, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
