/* test_start_watch.c - src/proc/watch.c, `start --watch`: which changes of files bring a reload
 * about, and which do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "proc/watch.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
	char dir[64];
	struct crew__loop *loop;
	struct crew__launch launch;
	struct crew__watch watch;
	unsigned reloads;
	int busy; /* so often it is refused first */
} t;

/* ---- ways ---------------------------------------------------------------------------------- */

static char *in_dir(const char *name)
{
	static char texts[8][128];
	static unsigned turn;
	char *text = texts[turn++ % 8];
	snprintf(text, sizeof(texts[0]), "%s/%s", t.dir, name);
	return text;
}

static void copy_program(const char *name, size_t most, mode_t mode)
{
	char room[4096];
	ssize_t n;
	int from = open("/proc/self/exe", O_RDONLY);
	int to = open(in_dir(name), O_WRONLY | O_CREAT | O_TRUNC, mode);
	assert_true(from >= 0 && to >= 0);
	while (most > 0 && (n = read(from, room, most < sizeof(room) ? most : sizeof(room))) > 0) {
		assert_int_equal(write(to, room, (size_t)n), n);
		most -= (size_t)n;
	}
	close(from);
	close(to);
}

static void install(const char *name)
{
	copy_program("fresh", SIZE_MAX, 0755);
	assert_int_equal(rename(in_dir("fresh"), in_dir(name)), 0);
}

static void put(const char *name, const char *text)
{
	FILE *file = fopen(in_dir(name), "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int on_reload(void *arg)
{
	assert_ptr_equal(arg, &t);
	if (t.busy > 0) {
		t.busy--;
		return -EBUSY;
	}
	t.reloads++;
	return 0;
}

static void until_reloads(unsigned count)
{
	uint64_t end = crew__clock_ns() + 60 * CREW__NS_PER_S;
	while (t.reloads < count && crew__clock_ns() < end)
		crew__loop_turn(t.loop, 100);
	assert_int_equal(t.reloads, count);
}

/* Turns until all that has happened was looked at. */
static void until_quiet(void)
{
	for (int i = 0; i < 3; i++)
		crew__loop_turn(t.loop, 20);
	while (t.watch.settle.place != 0)
		crew__loop_turn(t.loop, 1000);
}

static int set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	strcpy(t.dir, "/tmp/crew-watch-XXXXXX");
	assert_non_null(mkdtemp(t.dir));
	assert_int_equal(crew__loop_new(CREW__ENGINE_AUTO, &t.loop), 0);
	install("program");
	put("settings.ini", "[crew]\n");
	return 0;
}

static void begin(const char *program, const char *config)
{
	t.launch.path = strdup(in_dir(program));
	assert_int_equal(crew__watch_want(&t.watch, config ? in_dir(config) : NULL), 0);
	assert_int_equal(crew__watch_start(&t.watch, t.loop, &t.launch, on_reload, &t), 0);
}

static int tear_down(void **state)
{
	char command[128];
	(void)state;
	crew__watch_stop(&t.watch);
	crew__loop_free(t.loop);
	free(t.launch.path);
	snprintf(command, sizeof(command), "rm -rf %s", t.dir);
	return system(command);
}

/* ---- tests --------------------------------------------------------------------------------- */

static void a_new_file_under_the_old_name(void **state)
{
	(void)state;
	begin("program", "settings.ini");
	install("program");
	until_reloads(1);
	install("program");
	until_reloads(2);
	until_quiet();
	assert_int_equal(t.reloads, 2); /* once for each */
}

static void the_old_file_written_anew(void **state)
{
	(void)state;
	begin("program", NULL);
	copy_program("program", SIZE_MAX, 0755);
	until_reloads(1);
}

static void another_settings_file(void **state)
{
	(void)state;
	begin("program", "settings.ini");
	put("settings.ini", "[crew]\nlog_level = debug\n");
	until_reloads(1);
	put("settings.new", "[crew]\nlog_level = warn\n");
	until_quiet();
	assert_int_equal(t.reloads, 1);
	assert_int_equal(rename(in_dir("settings.new"), in_dir("settings.ini")), 0);
	until_reloads(2);
}

static void what_else_happens_there_is_nothing(void **state)
{
	(void)state;
	begin("program", "settings.ini");
	put("a.log", "a line\n");
	assert_int_equal(mkdir(in_dir("sub"), 0755), 0);
	until_quiet();
	put("a.log", "another\n");
	assert_int_equal(unlink(in_dir("a.log")), 0);
	until_quiet();
	assert_int_equal(t.reloads, 0);
}

static void a_part_of_a_program_is_waited_for(void **state)
{
	(void)state;
	begin("program", NULL);
	copy_program("part", 10000, 0755);
	assert_int_equal(rename(in_dir("part"), in_dir("program")), 0);
	until_quiet();
	assert_int_equal(t.reloads, 0);
	assert_true(t.watch.told_partial);
	assert_int_equal(unlink(in_dir("program")), 0);
	until_quiet();
	assert_int_equal(t.reloads, 0);
	copy_program("program", SIZE_MAX, 0644); /* it may not be executed yet */
	until_quiet();
	assert_int_equal(t.reloads, 0);
	assert_int_equal(chmod(in_dir("program"), 0755), 0);
	until_reloads(1);
	assert_false(t.watch.told_partial);
}

static void a_link_that_is_turned(void **state)
{
	(void)state;
	assert_int_equal(mkdir(in_dir("one"), 0755), 0);
	assert_int_equal(mkdir(in_dir("two"), 0755), 0);
	install("one/real");
	install("two/real");
	assert_int_equal(symlink("real", in_dir("one/program")), 0);
	assert_int_equal(symlink("../two/real", in_dir("two/program")), 0);
	assert_int_equal(symlink("one", in_dir("current")), 0);
	begin("current/program", NULL);
	/* Of a directory on the way: */
	assert_int_equal(symlink(in_dir("two"), in_dir("next")), 0);
	assert_int_equal(rename(in_dir("next"), in_dir("current")), 0);
	until_reloads(1);
	/* what it pointed to is of no interest any more, */
	install("one/real");
	until_quiet();
	assert_int_equal(t.reloads, 1);
	/* but where it leads now; and the file's own link. */
	install("two/real");
	until_reloads(2);
	assert_int_equal(symlink("../one/real", in_dir("two/other")), 0);
	assert_int_equal(rename(in_dir("two/other"), in_dir("two/program")), 0);
	until_reloads(3);
}

static void a_loop_of_links_is_no_end(void **state)
{
	(void)state;
	begin("program", NULL);
	assert_int_equal(unlink(in_dir("program")), 0);
	assert_int_equal(symlink("other", in_dir("program")), 0);
	assert_int_equal(symlink("program", in_dir("other")), 0);
	until_quiet();
	assert_int_equal(unlink(in_dir("program")), 0);
	install("program");
	until_reloads(1);
}

static void a_directory_that_is_made_anew(void **state)
{
	(void)state;
	assert_int_equal(mkdir(in_dir("build"), 0755), 0);
	assert_int_equal(mkdir(in_dir("build/bin"), 0755), 0);
	install("build/bin/program");
	begin("build/bin/program", NULL);
	assert_int_equal(unlink(in_dir("build/bin/program")), 0);
	assert_int_equal(rmdir(in_dir("build/bin")), 0);
	assert_int_equal(rmdir(in_dir("build")), 0);
	until_quiet();
	assert_int_equal(mkdir(in_dir("build"), 0755), 0);
	until_quiet();
	assert_int_equal(mkdir(in_dir("build/bin"), 0755), 0);
	install("build/bin/program");
	until_reloads(1);
	install("build/bin/program");
	until_reloads(2);
}

static void a_reload_that_is_under_way_is_waited_for(void **state)
{
	(void)state;
	begin("program", NULL);
	t.busy = 3;
	install("program");
	until_reloads(1);
	assert_int_equal(t.busy, 0);
}

/* As when more has happened than the kernel keeps. */
static void an_overflow_is_a_reason_to_look(void **state)
{
	(void)state;
	begin("program", NULL);
	FILE *limit = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
	unsigned most = 0;
	assert_non_null(limit);
	assert_int_equal(fscanf(limit, "%u", &most), 1);
	fclose(limit);
	for (unsigned i = 0; i < most / 2 + 8; i++) {
		int fd = open(in_dir(i % 2 ? "a" : "b"), O_CREAT | O_WRONLY, 0644);
		close(fd);
		unlink(in_dir(i % 2 ? "a" : "b"));
	}
	install("program"); /* of this there is no event any more */
	until_reloads(1);
}

static void it_goes_on_in_another_image(void **state)
{
	struct crew__watch next = { .on = false };
	(void)state;
	json_t *object = json_object();
	assert_int_equal(crew__watch_save(&next, object), 0);
	assert_int_equal(json_object_size(object), 0);
	assert_int_equal(crew__watch_restore(&next, object), 0);
	assert_false(next.on);
	assert_int_equal(crew__watch_start(&next, t.loop, &t.launch, on_reload, &t), 0);
	begin("program", "settings.ini");
	assert_int_equal(crew__watch_save(&t.watch, object), 0);
	assert_int_equal(crew__watch_restore(&next, object), 0);
	assert_true(next.on);
	assert_string_equal(next.config, in_dir("settings.ini"));
	crew__watch_stop(&next);
	json_object_set_new(object, "watch", json_integer(7)); /* it may say anything */
	assert_int_equal(crew__watch_restore(&next, object), 0);
	assert_true(next.on && !next.config);
	crew__watch_stop(&next);
	assert_int_equal(crew__watch_want(&next, "relative.ini"), 0);
	assert_int_equal(next.config[0], '/');
	crew__watch_stop(&next);
	json_decref(object);
}

#define WITH(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(a_new_file_under_the_old_name),
		WITH(the_old_file_written_anew),
		WITH(another_settings_file),
		WITH(what_else_happens_there_is_nothing),
		WITH(a_part_of_a_program_is_waited_for),
		WITH(a_link_that_is_turned),
		WITH(a_loop_of_links_is_no_end),
		WITH(a_directory_that_is_made_anew),
		WITH(a_reload_that_is_under_way_is_waited_for),
		WITH(an_overflow_is_a_reason_to_look),
		WITH(it_goes_on_in_another_image),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
