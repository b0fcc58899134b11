/* test_log_file.c - a log file that grows, is moved, removed, or handed over. */
#include "proc/log_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char dir[64], path[128], error[512];
static struct crew__settings settings;
static struct crew__log_file file;

static int begin(void **state)
{
	static char name[] = "app";
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/crew-log-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/app.log", dir);
	settings = (struct crew__settings){ .name = name, .run_dir = dir, .log_level = CREW_INFO };
	return crew__log_file_open(&file, &settings, true, "master", error, sizeof(error));
}

static int end(void **state)
{
	char command[128];
	(void)state;
	crew__log_file_close(&file);
	crew__log_open(STDERR_FILENO, CREW_INFO, "crew");
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static bool holds(const char *tail, const char *words)
{
	static char text[1 << 16];
	char name[160];
	snprintf(name, sizeof(name), "%s%s", path, tail);
	int fd = open(name, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n >= 0 && strstr(text, words);
}

static unsigned file_count(void)
{
	unsigned count = 0;
	DIR *open_dir = opendir(dir);
	for (struct dirent *entry; (entry = readdir(open_dir));)
		count += entry->d_name[0] != '.';
	closedir(open_dir);
	return count;
}

static void it_is_left_alone_below_its_size(void **state)
{
	(void)state;
	crew__log(CREW_INFO, "one");
	assert_false(crew__log_file_look(&file, 1000, 3));
	assert_false(crew__log_file_look(&file, 0, 3)); /* 0: it may grow */
	assert_int_equal(file_count(), 1);
}

static void so_many_are_kept(void **state)
{
	(void)state;
	assert_int_equal(chmod(path, 0604), 0);
	for (int i = 0; i < 5; i++) {
		crew__log(CREW_INFO, "round %d.", i);
		assert_true(crew__log_file_look(&file, 1, 3));
	}
	assert_int_equal(file_count(), 4);
	assert_true(holds(".1", "round 4."));
	assert_true(holds(".2", "round 3."));
	assert_true(holds(".3", "round 2."));
	assert_true(holds("", "log begun"));
	struct stat found;
	assert_int_equal(stat(path, &found), 0);
	assert_int_equal(found.st_mode & 0777, 0604);
}

/* The link stays a link; what it leads to is renamed beside it. */
static void a_link_stays_one(void **state)
{
	(void)state;
	char other[160], one[168];
	struct stat found;
	snprintf(other, sizeof(other), "%s/elsewhere", dir);
	snprintf(one, sizeof(one), "%s.1", other);
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(symlink(other, path), 0);
	crew__log(CREW_INFO, "before");
	assert_true(crew__log_file_look(&file, 1, 3));
	assert_int_equal(lstat(path, &found), 0);
	assert_true(S_ISLNK(found.st_mode));
	assert_int_equal(access(one, F_OK), 0);
	crew__log(CREW_INFO, "after");
	assert_true(holds("", "after"));
}

static void one_that_is_gone_is_begun_anew(void **state)
{
	(void)state;
	unlink(path);
	assert_true(crew__log_file_look(&file, 0, 3));
	assert_true(holds("", "was removed; this is a new one"));
	assert_false(crew__log_file_look(&file, 0, 3));
	char moved[160];
	snprintf(moved, sizeof(moved), "%s.moved", path);
	assert_int_equal(rename(path, moved), 0);
	assert_true(crew__log_file_look(&file, 0, 3));
	assert_true(holds("", "was moved away; this is a new one"));
}

/* Told once, in the file that stays in use; and it is tried again each time. */
static void where_none_can_be_made_it_stays(void **state)
{
	(void)state;
	char in_the_way[160];
	snprintf(in_the_way, sizeof(in_the_way), "%s.new", path);
	assert_int_equal(mkdir(in_the_way, 0700), 0);
	crew__log(CREW_INFO, "one");
	assert_false(crew__log_file_look(&file, 1, 3));
	assert_true(holds("", "no new one can be begun"));
	struct stat before, after;
	assert_int_equal(stat(path, &before), 0);
	assert_false(crew__log_file_look(&file, 1, 3));
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_size, after.st_size);
	assert_int_equal(rmdir(in_the_way), 0);
	assert_true(crew__log_file_look(&file, 1, 3));
	assert_true(holds(".1", "one"));
}

static void it_is_handed_over(void **state)
{
	(void)state;
	json_t *saved = json_object();
	struct crew__log_file next;
	crew__log_file_save(&file, saved);
	crew__log_file_restore(&next, saved);
	assert_int_equal(next.fd, file.fd);
	assert_string_equal(next.path, path);
	free(next.path);
	/* What is not there, or no descriptor, is standard error. */
	json_object_set_new(saved, "fd", json_integer(999));
	crew__log_file_restore(&next, saved);
	assert_true(next.fd == STDERR_FILENO && !next.path);
	json_object_set_new(saved, "fd", json_string("3"));
	crew__log_file_restore(&next, saved);
	assert_true(next.fd == STDERR_FILENO && !next.path);
	crew__log_file_restore(&next, NULL);
	assert_true(next.fd == STDERR_FILENO && !next.path);
	json_decref(saved);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_is_left_alone_below_its_size, begin, end),
		cmocka_unit_test_setup_teardown(so_many_are_kept, begin, end),
		cmocka_unit_test_setup_teardown(a_link_stays_one, begin, end),
		cmocka_unit_test_setup_teardown(one_that_is_gone_is_begun_anew, begin, end),
		cmocka_unit_test_setup_teardown(where_none_can_be_made_it_stays, begin, end),
		cmocka_unit_test_setup_teardown(it_is_handed_over, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
