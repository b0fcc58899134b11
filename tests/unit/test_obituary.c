/* test_obituary.c - what is said of the dead, and to whom. */
#include "proc/obituary.h"

#include <sys/mman.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static crew_exit told;
static unsigned told_times;

static void on_worker_exit(const crew_exit *e)
{
	told = *e;
	told_times++;
}

static const crew_service service = { .name = "one", .on_worker_exit = on_worker_exit };
static const crew_service silent = { .name = "two" };

struct world {
	struct crew__settings settings;
	struct crew__generation generation;
	struct crew__child child;
	struct crew__death death;
	int log_fd;
};

static int make_world(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	assert_non_null(world);
	world->settings.service[0].service = &service;
	world->settings.service[1].service = &silent;
	world->settings.services = 2;
	world->generation = (struct crew__generation){
		.number = 3, .settings = &world->settings, .place = { 0, 1 }
	};
	world->child.generation = &world->generation;
	world->child.id = 5;
	world->child.pid = 4711;
	world->death.lived_ms = 61005;
	world->log_fd = memfd_create("log", MFD_CLOEXEC);
	crew__log_open(world->log_fd, CREW_DEBUG, "test");
	told_times = 0;
	*state = world;
	return world->log_fd < 0;
}

static int end_world(void **state)
{
	struct world *world = *state;
	crew__log_open(STDERR_FILENO, CREW_INFO, "test");
	close(world->log_fd);
	free(world);
	return 0;
}

/* The line that was written, and none behind it. */
static const char *write_line(struct world *world)
{
	static char text[4096];
	assert_int_equal(ftruncate(world->log_fd, 0), 0);
	assert_int_equal(lseek(world->log_fd, 0, SEEK_SET), 0);
	crew__obituary(&world->child, &world->death, "nothing follows");
	ssize_t length = pread(world->log_fd, text, sizeof(text) - 1, 0);
	assert_true(length > 0);
	text[length] = '\0';
	assert_ptr_equal(strchr(text, '\n'), text + length - 1);
	return text;
}

static void expect(const char *line, const char *words)
{
	if (!strstr(line, words))
		fail_msg("%s lacks: %s", line, words);
}

static void the_ways_to_die(void **state)
{
	struct crew__death death = { 0 };
	char text[96];
	(void)state;
	crew__death_text(&death, text, sizeof(text));
	assert_string_equal(text, "ended");
	death.status = 3;
	crew__death_text(&death, text, sizeof(text));
	assert_string_equal(text, "exited with status 3");
	death = (struct crew__death){ .signal = 11, .dumped_core = true };
	crew__death_text(&death, text, sizeof(text));
	assert_string_equal(text, "was killed by SIGSEGV (core dumped)");
	death = (struct crew__death){ .signal = 60 };
	crew__death_text(&death, text, sizeof(text));
	assert_string_equal(text, "was killed by signal 60 (no core dumped)");
}

static void who_when_and_what_next(void **state)
{
	struct world *world = *state;
	const char *line = write_line(world);
	expect(line, "warn");
	expect(line, "one#5 (pid 4711, generation 3) ended after 61.005 s; nothing follows");
	world->child.expected = true;
	expect(write_line(world), "info");
}

static void what_it_was_doing_and_what_is_lost(void **state)
{
	struct world *world = *state;
	world->death.signal = 11;
	world->death.last.callback = CREW__CB_MESSAGE;
	world->death.last.counters.connections = 12;
	snprintf(world->death.last_words, sizeof(world->death.last_words), "oh\nno");
	snprintf(world->child.failure, sizeof(world->child.failure), "no database");
	const char *line = write_line(world);
	expect(line,
		" in on_message, 12 connections lost; it said: no database; its last words: oh no");
	/* One that was killed for being late was merely there. */
	world->child.overdue = true;
	assert_null(strstr(write_line(world), "on_message"));
	/* What stands in shared memory may be anything. */
	world->child.overdue = false;
	world->death.last.callback = 4000000000u;
	expect(write_line(world), "61.005 s, 12");
}

static void the_program_is_told(void **state)
{
	struct world *world = *state;
	world->death.status = 9;
	write_line(world);
	assert_int_equal(told_times, 1);
	assert_ptr_equal(told.service, &service);
	assert_int_equal(told.id, 5);
	assert_int_equal(told.pid, 4711);
	assert_int_equal(told.status, 9);
	assert_int_equal(told.signal, 0);
	assert_false(told.expected);
	assert_int_equal(told.lived_ms, 61005);
	world->child.service = 1; /* has no callback */
	expect(write_line(world), "two#5");
	assert_int_equal(told_times, 1);
}

int main(void)
{
#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, make_world, end_world)
	const struct CMUnitTest tests[] = {
		IN_A_WORLD(the_ways_to_die),
		IN_A_WORLD(who_when_and_what_next),
		IN_A_WORLD(what_it_was_doing_and_what_is_lost),
		IN_A_WORLD(the_program_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
