/* test_generation.c - how a program was started, what is executed, and what only a restart changes.
 */
#include "proc/generation.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const crew_service one = { .name = "one" };
static const crew_app app = { .name = "test", .services = { &one } };

static char dir[64], path[128], error[512];

static int make_dir(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/crew-generation-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char command[128];
	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

/* ---- launch -------------------------------------------------------------------------------- */

static char *some_arguments[] = { (char *)"./test", (char *)"start", (char *)"-d", NULL };

static void everything_is_copied(void **state)
{
	static const char *const sets[] = { "app.a=1", "app.b=2" };
	struct crew__settings_source source = {
		.app = &app, .program = "test", .config = "here.ini", .sets = sets, .set_count = 2
	};
	struct crew__launch launch;
	(void)state;
	assert_int_equal(setenv("CREW_TEST_WORD", "kept", 1), 0);
	assert_int_equal(crew__launch_init(&launch, 3, some_arguments, &source), 0);
	assert_int_equal(unsetenv("CREW_TEST_WORD"), 0);
	assert_int_equal(launch.path[0], '/');
	assert_string_equal(launch.argv[2], "-d");
	assert_ptr_not_equal(launch.argv[2], some_arguments[2]);
	assert_null(launch.argv[3]);
	bool found = false;
	for (size_t i = 0; i < launch.variables; i++)
		found = found || strcmp(launch.environment[i], "CREW_TEST_WORD=kept") == 0;
	assert_true(found);
	assert_null(launch.environment[launch.variables]);
	assert_null(launch.environment[launch.variables + 1]);
	/* A relative file is one of the directory in which it was started. */
	assert_int_equal(launch.source.config[0], '/');
	assert_non_null(strstr(launch.source.config, "/here.ini"));
	assert_ptr_not_equal(launch.source.sets[1], sets[1]);
	assert_string_equal(launch.source.sets[1], "app.b=2");
	crew__launch_fini(&launch);
	crew__launch_fini(&launch);
	assert_int_equal(crew__launch_init(&launch, 3, some_arguments, NULL), 0);
	assert_false(launch.has_source);
	crew__launch_fini(&launch);
}

static void put_file(const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static int open_program(void)
{
	struct crew__launch launch = { .path = path };
	return crew__launch_open_program(&launch, error, sizeof(error));
}

static void what_cannot_be_executed_is_refused(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "%s/program", dir);
	assert_int_equal(open_program(), -ENOENT);
	assert_non_null(strstr(error, path));
	put_file("\177ELF and so on", 0644);
	assert_int_equal(open_program(), -EACCES);
	put_file("", 0755);
	assert_int_equal(open_program(), -ENOEXEC);
	put_file("#!/bin/sh\n", 0755);
	assert_int_equal(open_program(), -ENOEXEC);
	put_file("\177ELF and so on", 0755);
	assert_int_equal(open_program(), -ENOEXEC);
	/* This program, whole, and without its last byte. */
	char command[300];
	snprintf(
		command, sizeof(command), "rm %s && cp /proc/%d/exe %s", path, (int)getpid(), path);
	assert_int_equal(system(command), 0);
	int fd = open_program();
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	close(fd);
	assert_int_equal(truncate(path, st.st_size - 1), 0);
	assert_int_equal(open_program(), -ENOEXEC);
	assert_non_null(strstr(error, "only a part"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(open_program(), -EACCES);
}

/* ---- generations --------------------------------------------------------------------------- */

static struct crew__settings *load(const struct crew__settings_source *source)
{
	struct crew__settings *settings;
	int status = crew__settings_load(source, &settings, error, sizeof(error));
	if (status < 0)
		fprintf(stderr, "%s\n", error);
	assert_int_equal(status, 0);
	return settings;
}

static void a_reload_reads_file_and_set_again(void **state)
{
	static const char *const sets[] = { "one.stop_timeout_ms=111" };
	char config[128];
	struct crew__launch launch;
	struct crew__generation *first, *second, *third;
	(void)state;
	snprintf(path, sizeof(path), "%s/one.ini", dir);
	snprintf(config, sizeof(config), "%s", path);
	put_file("[one]\ndrain_timeout_ms = 1000\n", 0600);
	const struct crew__settings_source source = { .app = &app,
		.program = "test",
		.config = config,
		.sets = sets,
		.set_count = 1,
		.run_dir = dir };
	struct crew__settings *settings = load(&source);
	assert_int_equal(crew__launch_init(&launch, 3, some_arguments, &source), 0);
	assert_int_equal(crew__generation_first(settings, &first, error, sizeof(error)), 0);
	assert_int_equal(first->number, 1);

	put_file("[one]\ndrain_timeout_ms = 2000\n", 0600);
	assert_int_equal(crew__generation_next(&launch, first, &second, error, sizeof(error)), 0);
	assert_int_equal(second->number, 2);
	assert_int_equal(second->settings->service[0].drain_timeout_ms, 2000);
	assert_int_equal(second->settings->service[0].stop_timeout_ms, 111);
	assert_int_equal(first->settings->service[0].drain_timeout_ms, 1000);

	put_file("[one]\nno_such_key = 1\n", 0600);
	assert_int_not_equal(
		crew__generation_next(&launch, second, &third, error, sizeof(error)), 0);
	assert_non_null(strstr(error, "no_such_key"));
	put_file("[one]\nworkers = 3\n", 0600);
	assert_int_equal(
		crew__generation_next(&launch, second, &third, error, sizeof(error)), -EINVAL);
	assert_non_null(strstr(error, "one.workers"));
	assert_non_null(strstr(error, "restart"));

	assert_ptr_equal(crew__generation_ref(second), second);
	crew__generation_unref(second);
	crew__generation_unref(second);
	crew__generation_unref(first);
	crew__generation_unref(NULL);
	crew__launch_fini(&launch);
	crew__settings_use(NULL);
	crew__settings_free(settings);
}

/* What a worker reads is what was checked, whatever anybody does to the descriptor. */
static void the_text_of_a_generation_is_sealed(void **state)
{
	struct crew__generation *generation;
	const struct crew__settings_source source = {
		.app = &app, .program = "test", .run_dir = dir
	};
	(void)state;
	struct crew__settings *settings = load(&source);
	assert_int_equal(crew__generation_first(settings, &generation, error, sizeof(error)), 0);
	int fd = generation->settings_fd;
	char *expected = crew__settings_write(settings), text[65536];
	ssize_t length = pread(fd, text, sizeof(text) - 1, 0);
	assert_int_equal(length, strlen(expected));
	text[length] = '\0';
	assert_string_equal(text, expected);
	free(expected);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	crew__generation_unref(generation);
	crew__settings_use(NULL);
	crew__settings_free(settings);
}

/* Workers that start later get what was set meanwhile. */
static void a_renewed_generation_has_other_text(void **state)
{
	const struct crew__settings_source source = { .app = &app, .program = "test" };
	struct crew__settings *settings = load(&source);
	struct crew__generation *generation;
	struct crew__settings_change change;
	char before[8192], after[8192];
	(void)state;
	assert_int_equal(crew__generation_first(settings, &generation, error, sizeof(error)), 0);
	ssize_t length = pread(generation->settings_fd, before, sizeof(before) - 1, 0);
	assert_true(length > 0);
	before[length] = '\0';
	assert_null(strstr(before, "one.rate_bytes=777"));
	assert_int_equal(crew__settings_set_live(
				 settings, "one.rate_bytes=777", &change, error, sizeof(error)),
		0);
	assert_int_equal(crew__generation_renew(generation), 0);
	length = pread(generation->settings_fd, after, sizeof(after) - 1, 0);
	assert_true(length > 0);
	after[length] = '\0';
	assert_non_null(strstr(after, "one.rate_bytes=777"));
	assert_int_equal(ftruncate(generation->settings_fd, 0), -1);
	crew__generation_unref(generation);
	crew__settings_use(NULL);
	crew__settings_free(settings);
}

static void what_only_a_restart_changes(void **state)
{
	static char a[] = "a", b[] = "b";
	struct crew__settings *old = calloc(1, sizeof(*old)), *new = calloc(1, sizeof(*new));
	struct crew__service_settings *service = &new->service[0];
	char text[256];
	(void)state;
	old->services = 1;
	old->service[0] =
		(struct crew__service_settings){ .service = &one, .listen = a, .workers = 1 };
	old->run_dir = old->name = a;
	*new = *old;
	service->max_message = 5;
	service->user = b;
	new->log_level = CREW_ERROR;
	assert_null(crew__settings_need_restart(old, new, text, sizeof(text)));
#define NEEDS(field, value, key)                                                                   \
	do {                                                                                       \
		__typeof__(field) before = field;                                                  \
		field = value;                                                                     \
		assert_ptr_equal(crew__settings_need_restart(old, new, text, sizeof(text)), text); \
		assert_non_null(strstr(text, key));                                                \
		field = before;                                                                    \
	} while (0)
	NEEDS(service->listen, b, "one.listen");
	NEEDS(service->listen, NULL, "one.listen");
	NEEDS(service->workers, 2, "one.workers");
	NEEDS(service->reuse_port, true, "one.reuse_port");
	NEEDS(new->run_dir, b, "crew.run_dir");
	NEEDS(new->name, b, "crew.name");
	NEEDS(new->log, b, "crew.log");
	NEEDS(new->engine, CREW__ENGINE_POLL, "crew.engine");
	NEEDS(new->control_mode, 0660, "crew.control_mode");
	NEEDS(new->control_group, a, "crew.control_group");
	NEEDS(new->control_act_group, a, "crew.control_act_group");
	/* The admin service may come and go, but not move. */
	new->services = 2;
	new->admin = a;
	new->service[1].listen = a;
	assert_null(crew__settings_need_restart(old, new, text, sizeof(text)));
	assert_null(crew__settings_need_restart(new, old, text, sizeof(text)));
	old->services = 2;
	old->admin = old->service[1].listen = a;
	assert_null(crew__settings_need_restart(old, new, text, sizeof(text)));
	NEEDS(new->admin, b, "crew.admin has another address");
	assert_null(crew__settings_need_restart(old, new, text, sizeof(text)));
	free(old);
	free(new);
}

int main(void)
{
#define IN_A_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)
	const struct CMUnitTest tests[] = {
		IN_A_DIR(everything_is_copied),
		IN_A_DIR(what_cannot_be_executed_is_refused),
		IN_A_DIR(a_reload_reads_file_and_set_again),
		IN_A_DIR(the_text_of_a_generation_is_sealed),
		IN_A_DIR(a_renewed_generation_has_other_text),
		IN_A_DIR(what_only_a_restart_changes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
