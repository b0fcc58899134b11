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
#include <sys/mman.h>
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
	struct crew__launch launch;
	(void)state;
	assert_int_equal(setenv("CREW_TEST_WORD", "kept", 1), 0);
	assert_int_equal(crew__launch_init(&launch, 3, some_arguments), 0);
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
	crew__launch_fini(&launch);
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

static struct crew__listeners nothing; /* no service listens */

static struct crew__generation *first_of(struct crew__settings *settings)
{
	struct crew__generation *first;
	assert_int_equal(
		crew__generation_first(settings, &nothing, &first, error, sizeof(error)), 0);
	return first;
}

/* The plan of a program with these settings, by way of what it writes. */
static struct crew__plan *plan_of(const crew_app *program, const char *config)
{
	const struct crew__settings_source source = {
		.app = program, .program = "test", .config = config, .run_dir = dir
	};
	struct crew__plan *plan;
	struct crew__settings *settings = load(&source);
	int fd = memfd_create("plan", MFD_CLOEXEC);
	assert_int_equal(crew__plan_write(fd, program, settings), 0);
	crew__settings_use(NULL);
	crew__settings_free(settings);
	assert_int_equal(crew__plan_read(fd, &plan, error, sizeof(error)), 0);
	close(fd);
	return plan;
}

static int next_of(struct crew__generation *present, struct crew__registry *registry,
	struct crew__plan *take_plan, struct crew__generation **ret_next)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	return crew__generation_next(
		fd, take_plan, present, registry, ret_next, error, sizeof(error));
}

/* Another table of services: those that stay keep their places, whatever their order. */
static void a_plan_becomes_the_next_generation(void **state)
{
	static const crew_service extra = { .name = "extra", .stop_timeout_ms = 333 };
	static const crew_app other = {
		.version = "2.0",
		.services = { &extra, &one },
		.counters = { { "orders", "orders", "How many." } },
	};
	struct crew__generation *second, *third;
	struct crew__registry *registry;
	(void)state;
	snprintf(path, sizeof(path), "%s/one.ini", dir);
	put_file("[one]\ndrain_timeout_ms = 1000\n", 0600);
	const struct crew__settings_source source = {
		.app = &app, .program = "test", .config = path, .run_dir = dir
	};
	struct crew__settings *settings = load(&source);
	struct crew__generation *first = first_of(settings);
	assert_int_equal(first->number, 1);
	assert_int_equal(crew__registry_new(settings, "foreground", "epoll", &registry), 0);

	put_file("[one]\ndrain_timeout_ms = 2000\nworkers = 3\n", 0600);
	assert_int_equal(next_of(first, registry, plan_of(&other, path), &second), 0);
	assert_int_equal(second->number, 2);
	assert_int_equal(second->place[0], 1);
	assert_int_equal(second->place[1], 0);
	assert_int_equal(crew__generation_service(second, 0)->drain_timeout_ms, 2000);
	assert_int_equal(crew__generation_service(second, 0)->workers, 3);
	assert_int_equal(crew__generation_service(second, 1)->stop_timeout_ms, 333);
	assert_int_equal(crew__generation_index(second, 0), 1);
	assert_null(crew__generation_service(first, 1));
	assert_int_equal(crew__generation_service(first, 0)->drain_timeout_ms, 1000);
	assert_string_equal(second->settings->app->version, "2.0");
	assert_string_equal(second->settings->app->counters[0].name, "orders");
	assert_string_equal(registry->directory.header->service[1], "extra");

	assert_int_equal(next_of(second, registry, plan_of(&app, NULL), &third), 0);
	assert_int_equal(third->place[0], 0);
	crew__generation_unref(third);

	put_file("[crew]\nengine = poll\n", 0600);
	assert_int_equal(next_of(second, registry, plan_of(&app, path), &third), -EINVAL);
	assert_non_null(strstr(error, "crew.engine"));
	assert_non_null(strstr(error, "restart"));

	assert_ptr_equal(crew__generation_ref(second), second);
	crew__generation_unref(second);
	crew__generation_unref(second);
	crew__generation_unref(first);
	crew__generation_unref(NULL);
	crew__registry_free(registry);
	crew__settings_use(NULL);
	crew__settings_free(settings);
}

/* ---- plans --------------------------------------------------------------------------------- */

static int read_text(const char *text, struct crew__plan **ret_plan)
{
	int fd = memfd_create("plan", MFD_CLOEXEC);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	int status = crew__plan_read(fd, ret_plan, error, sizeof(error));
	close(fd);
	return status;
}

static void what_is_no_plan_is_refused(void **state)
{
	static const char *const wrong[] = {
		"",
		"\n",
		"hello, world\n",
		"{}\n",
		"[1]\n",
		"{\"crew_plan\":1,\"services\":[]}\n",
		"{\"crew_plan\":1,\"services\":[7],\"counters\":[]}\n",
		"{\"crew_plan\":1,\"services\":\"one\",\"counters\":[]}\n",
		"{\"crew_plan\":1,\"services\":[\"one\"],\"counters\":[{}]}\n",
		"{\"crew_plan\":0,\"services\":[\"one\"],\"counters\":[]}\n",
		"{\"crew_plan\":1,\"services\":[\"one\"],\"counters\":[]}",
	};
	struct crew__plan *plan;
	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(read_text(wrong[i], &plan), -EPROTO);
		assert_non_null(strstr(error, "no plan"));
	}
	char many[4096] = "{\"crew_plan\":1,\"counters\":[],\"services\":[\"a0\"";
	for (int i = 1; i <= CREW_MAX_SERVICES; i++)
		snprintf(many + strlen(many), 16, ",\"a%d\"", i);
	strcat(many, "]}\n");
	assert_int_equal(read_text(many, &plan), -EPROTO);
	/* A service's name that is none, and settings that are none. */
	assert_int_equal(
		read_text("{\"crew_plan\":1,\"services\":[\"a b\"],\"counters\":[]}\n", &plan),
		-EINVAL);
	assert_int_equal(
		read_text("{\"crew_plan\":1,\"services\":[\"a\"],\"counters\":[]}\na.workers\n",
			&plan),
		-EINVAL);
}

/* Of a newer version: what is not known here is left out, and reaches the workers all the same. */
static void a_plan_of_another_version(void **state)
{
	static const char text[] =
		"{\"crew_plan\":2,\"later\":{},\"services\":[\"a\"],\"counters\":[]}\n"
		"crew.name=site\ncrew.later=1\na.workers=2\na.later=on\n";
	struct crew__plan *plan;
	(void)state;
	assert_int_equal(read_text(text, &plan), 0);
	assert_string_equal(plan->settings->name, "site");
	assert_int_equal(plan->settings->service[0].workers, 2);
	assert_non_null(strstr(plan->text, "a.later=on"));
	crew__plan_free(plan);
}

static void a_program_says_why_it_would_not_start(void **state)
{
	struct crew__plan *plan;
	(void)state;
	int fd = memfd_create("plan", MFD_CLOEXEC);
	assert_int_equal(crew__plan_refuse(fd, "here.ini:7: no_such_key is \xff unknown"), 0);
	assert_int_equal(crew__plan_read(fd, &plan, error, sizeof(error)), -EINVAL);
	assert_string_equal(error, "here.ini:7: no_such_key is \xff unknown");
	close(fd);
}

/* What a worker reads is what was checked, whatever anybody does to the descriptor. */
static void the_text_of_a_generation_is_sealed(void **state)
{
	const struct crew__settings_source source = {
		.app = &app, .program = "test", .run_dir = dir
	};
	(void)state;
	struct crew__settings *settings = load(&source);
	struct crew__generation *generation = first_of(settings);
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
	struct crew__generation *generation = first_of(settings);
	struct crew__settings_change change;
	char before[8192], after[8192];
	(void)state;
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
	service->workers = 2;
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
	NEEDS(service->reuse_port, true, "one.reuse_port");
	NEEDS(new->run_dir, b, "crew.run_dir");
	NEEDS(new->name, b, "crew.name");
	NEEDS(new->log, b, "crew.log");
	NEEDS(new->engine, CREW__ENGINE_POLL, "crew.engine");
	NEEDS(new->control_mode, 0660, "crew.control_mode");
	NEEDS(new->control_group, a, "crew.control_group");
	NEEDS(new->control_act_group, a, "crew.control_act_group");
	/* At another address the sockets are others. */
	service->listen = b;
	service->reuse_port = true;
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
		IN_A_DIR(a_plan_becomes_the_next_generation),
		cmocka_unit_test(what_is_no_plan_is_refused),
		cmocka_unit_test(a_plan_of_another_version),
		cmocka_unit_test(a_program_says_why_it_would_not_start),
		IN_A_DIR(the_text_of_a_generation_is_sealed),
		IN_A_DIR(a_renewed_generation_has_other_text),
		IN_A_DIR(what_only_a_restart_changes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
