/* test_surroundings.c - what a process is called, as whom it runs, where its log goes, how it gets
 * into the background. Each is tried in a child, since it changes the process for good. */
#include "proc/daemon.h"
#include "proc/log_file.h"
#include "proc/title.h"
#include "proc/user.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

static char dir[64], error[512];
static char **arguments;
static int argument_count;

static int make_dir(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/crew-surroundings-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char command[128];
	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static int in_child(int (*fn)(void))
{
	int status;
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static ssize_t read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t length = fd < 0 ? -1 : read(fd, text, size - 1);
	if (fd >= 0)
		close(fd);
	text[length > 0 ? length : 0] = '\0';
	return length;
}

/* ---- title --------------------------------------------------------------------------------- */

static int take_title(void)
{
	char text[8192];
	const char *path = getenv("PATH"), *copy = path ? strdup(path) : NULL;
	setenv("CREW_TEST_WORD", "kept", 1);
	crew__title_init(argument_count, arguments, NULL);
	crew__title_set("%s: worker %s#%d", "program", "service", 7);
	if (read_file("/proc/self/cmdline", text, sizeof(text)) <= 0 ||
		strcmp(text, "program: worker service#7") != 0)
		return 1;
	crew__title_set("short");
	if (read_file("/proc/self/cmdline", text, sizeof(text)) <= 0 || strcmp(text, "short") != 0)
		return 2;
	const char *word = getenv("CREW_TEST_WORD");
	if (!word || strcmp(word, "kept") != 0)
		return 3;
	/* Whatever the length, nothing beyond the area is written: the environment still reads. */
	char longest[1000];
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	crew__title_set("%s", longest);
	crew__title_init(argument_count, arguments, NULL);
	bool same = path && copy && strcmp(path, copy) == 0; /* a pointer from before, too */
	return same && getenv("PATH") ? 0 : 4;
}

static void a_title_is_what_ps_shows(void **state)
{
	(void)state;
	assert_int_equal(in_child(take_title), 0);
}

/* ---- user ---------------------------------------------------------------------------------- */

static const crew_service service = { .name = "one" };
static char nobody[] = "nobody", no_one[] = "no-such-user", no_group[] = "no-such-group";

static struct crew__service_settings as(char *user, char *group)
{
	return (struct crew__service_settings){ .service = &service, .user = user, .group = group };
}

/* As a worker does it. */
static int become(const struct crew__identity *identity)
{
	if (!identity->changes)
		return 0;
	int status = crew__identity_take_groups(identity);
	if (status == 0)
		status = crew__identity_take_user(identity);
	return status < 0 || crew__identity_is_for_good(identity, false) ? status : -EPERM;
}

static void names_that_are_not_there(void **state)
{
	struct crew__identity identity;
	struct crew__service_settings settings = as(no_one, NULL);
	(void)state;
	assert_int_equal(crew__identity_find(&settings, &identity, error, sizeof(error)), -ENOENT);
	assert_non_null(strstr(error, "one.user = no-such-user"));
	settings = as(NULL, no_group);
	assert_int_equal(crew__identity_find(&settings, &identity, error, sizeof(error)), -ENOENT);
	assert_non_null(strstr(error, "one.group = no-such-group"));
	settings = as(NULL, NULL);
	assert_int_equal(crew__identity_find(&settings, &identity, error, sizeof(error)), 0);
	assert_false(identity.changes);
	assert_int_equal(become(&identity), 0);
}

static int become_nobody(void)
{
	struct crew__identity identity;
	struct crew__service_settings settings = as(nobody, NULL);
	if (crew__identity_find(&settings, &identity, error, sizeof(error)) < 0 ||
		!identity.changes || become(&identity) < 0)
		return 1;
	if (getuid() != identity.uid || geteuid() != identity.uid || getegid() != identity.gid ||
		setuid(0) == 0 || setgid(0) == 0)
		return 2;
	gid_t groups[64];
	int count = getgroups(64, groups);
	for (int i = 0; i < count; i++)
		if (groups[i] == 0)
			return 3;
	/* One who may not change is told so beforehand. */
	static char root[] = "root";
	settings = as(root, NULL);
	if (crew__identity_find(&settings, &identity, error, sizeof(error)) != -EPERM)
		return 4;
	/* As it already is, anybody may run. */
	settings = as(nobody, NULL);
	return crew__identity_find(&settings, &identity, error, sizeof(error)) == 0 ? 0 : 5;
}

static void root_is_given_up_for_good(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(in_child(become_nobody), 0);
}

/* ---- log ----------------------------------------------------------------------------------- */

static int log_and_rotate(void)
{
	static char name[] = "app";
	char path[128], old[160], text[4096];
	struct crew__log_file file;
	struct crew__settings *settings = calloc(1, sizeof(*settings));
	settings->run_dir = dir;
	settings->name = name;
	if (crew__log_file_open(&file, settings, false, "t", error, sizeof(error)) < 0 ||
		file.path || file.fd < 0 || crew__log_file_reopen(&file) < 0)
		return 1;
	if (crew__log_file_open(&file, settings, true, "t", error, sizeof(error)) < 0)
		return 2;
	snprintf(path, sizeof(path), "%s/app.log", dir);
	snprintf(old, sizeof(old), "%s.1", path);
	if (crew__daemon_detach(file.fd) < 0)
		return 3;
	crew__log(CREW_WARN, "first");
	if (rename(path, old) < 0 || crew__log_file_reopen(&file) < 0)
		return 4;
	crew__log(CREW_WARN, "second");
	if (write(STDERR_FILENO, "third\n", 6) != 6) /* follows */
		return 5;
	crew__log_file_close(&file);
	if (read_file(old, text, sizeof(text)) <= 0 || !strstr(text, "first") ||
		strstr(text, "second"))
		return 6;
	if (read_file(path, text, sizeof(text)) <= 0 || !strstr(text, "second") ||
		!strstr(text, "third"))
		return 7;
	settings->log = dir; /* a directory */
	if (crew__log_file_open(&file, settings, true, "t", error, sizeof(error)) != -EISDIR ||
		!strstr(error, dir))
		return 8;
	free(settings);
	return 0;
}

static void a_log_is_opened_again(void **state)
{
	(void)state;
	assert_int_equal(in_child(log_and_rotate), 0);
}

/* ---- daemon -------------------------------------------------------------------------------- */

static int begin(struct crew__report *ret_report)
{
	struct crew__inherited none;
	struct crew__notify unmanaged;
	crew__inherited_init(&none, "nobody");
	crew__notify_init(&unmanaged);
	return crew__daemon_begin("test", &none, &unmanaged, ret_report);
}

/* The waiting process returns what the daemon reports, and only the first report. */
static int go_and_report(void)
{
	struct crew__report report;
	pid_t before = getpid();
	int out = open("/dev/null", O_WRONLY);
	dup2(out, STDERR_FILENO);
	int status = begin(&report);
	if (status >= 0)
		return getpid() == before ? status : 90;
	bool apart = getsid(0) != getpid() && getpgrp() != before;
	crew__report(&report, apart ? 42 : 91, "a reason\n");
	crew__report(&report, 92, "another\n");
	_exit(0);
}

static int go_and_die(void)
{
	struct crew__report report;
	int out = open("/dev/null", O_WRONLY);
	dup2(out, STDERR_FILENO);
	int status = begin(&report);
	if (status >= 0)
		return status;
	_exit(0);
}

static void the_foreground_hears_how_it_went(void **state)
{
	(void)state;
	assert_int_equal(in_child(go_and_report), 42);
	assert_int_equal(in_child(go_and_die), 1);
}

static int open_standard(void)
{
	close(STDIN_FILENO);
	close(STDERR_FILENO);
	crew__standard_fds_open();
	struct stat st;
	return fstat(STDIN_FILENO, &st) == 0 && fstat(STDERR_FILENO, &st) == 0 &&
			       S_ISCHR(st.st_mode)
		       ? 0
		       : 1;
}

static void no_file_of_ours_gets_a_standard_number(void **state)
{
	(void)state;
	assert_int_equal(in_child(open_standard), 0);
}

int main(int argc, char **argv)
{
	arguments = argv;
	argument_count = argc;
#define IN_A_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)
	const struct CMUnitTest tests[] = {
		IN_A_DIR(a_title_is_what_ps_shows),
		IN_A_DIR(names_that_are_not_there),
		IN_A_DIR(root_is_given_up_for_good),
		IN_A_DIR(a_log_is_opened_again),
		IN_A_DIR(the_foreground_hears_how_it_went),
		IN_A_DIR(no_file_of_ours_gets_a_standard_number),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
