/* crew_main: which programs it runs, and what it does with what was typed. Only commands that start
 * nothing; the scenario tests do the others. */
#include "base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	ARGUMENTS_MAX = 16,
	TEXT_MAX = 16384
};

static const crew_service feed = { .name = "feed", .listen = "ws://127.0.0.1:7010" };
static const crew_app app = { .name = "shop", .version = "1.2", .services = { &feed } };

static char out_text[TEXT_MAX], err_text[TEXT_MAX];

static void read_back(FILE *file, char *text)
{
	rewind(file);
	size_t n = fread(text, 1, TEXT_MAX - 1, file);
	text[n] = '\0';
	fclose(file);
}

/* In a process of its own, as main() would be: its exit status, and what it printed. */
static int run_abi(const crew_app *program, int abi, size_t app_size, size_t service_size,
	const char *const *words)
{
	char *argv[ARGUMENTS_MAX] = { (char *)(uintptr_t) "./shop" };
	FILE *out = tmpfile(), *err = tmpfile();
	int argc = 1, status;
	assert_non_null(out);
	assert_non_null(err);
	for (; *words; words++)
		argv[argc++] = (char *)(uintptr_t)*words;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(fileno(out), STDOUT_FILENO);
		dup2(fileno(err), STDERR_FILENO);
		int result = crew_main_abi(argc, argv, program, abi, app_size, service_size);
		fflush(stdout);
		_exit(result);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	read_back(out, out_text);
	read_back(err, err_text);
	return WEXITSTATUS(status);
}

#define run(...)                                                        \
	run_abi(&app, CREW_ABI, sizeof(crew_app), sizeof(crew_service), \
		(const char *[]){ __VA_ARGS__, NULL })

static void assert_says(const char *text, const char *what)
{
	if (!strstr(text, what))
		fail_msg("'%s' is not in:\n%s", what, text);
}

/* ---- which programs ------------------------------------------------------------------------ */

static const char *const version_words[] = { "version", NULL };

static void another_abi_is_refused(void **state)
{
	(void)state;
	assert_int_equal(
		run_abi(&app, CREW_ABI + 1, sizeof(crew_app), sizeof(crew_service), version_words),
		1);
	char abi[32];
	snprintf(abi, sizeof(abi), "ABI %d", CREW_ABI + 1);
	assert_says(err_text, abi);
	assert_says(err_text, "crew " CREW_VERSION);
	assert_string_equal(out_text, "");
}

static void a_newer_program_is_refused(void **state)
{
	(void)state;
	assert_int_equal(
		run_abi(&app, CREW_ABI, sizeof(crew_app) + 8, sizeof(crew_service), version_words),
		1);
	assert_says(err_text, "newer crew");
	assert_int_equal(
		run_abi(&app, CREW_ABI, sizeof(crew_app), sizeof(crew_service) + 8, version_words),
		1);
	assert_says(err_text, "newer crew");
}

static const char *refuse(void)
{
	return "read what it must not know of";
}

/* What lies behind the end of an older program's structs is not read. */
static void an_older_program_runs(void **state)
{
	(void)state;
	static const char *const words[] = { "configtest", "--run-dir", "/tmp/shop-test", NULL };
	crew_app old = app;
	old.on_config = refuse;
	assert_int_equal(
		run_abi(&old, CREW_ABI, offsetof(crew_app, on_config), sizeof(crew_service), words),
		0);
	assert_string_equal(out_text, "shop: configuration is good\n");
	assert_int_equal(run_abi(&old, CREW_ABI, sizeof(crew_app), sizeof(crew_service), words), 1);
	assert_says(err_text, "read what it must not know of");
	assert_int_equal(
		run_abi(&app, CREW_ABI, sizeof(crew_app), offsetof(crew_service, on_drain), words),
		0);
}

static void a_program_must_hand_over_something(void **state)
{
	(void)state;
	assert_int_equal(crew_main_abi(0, (char *[]){ NULL }, &app, CREW_ABI, sizeof(crew_app),
				 sizeof(crew_service)),
		2);
	assert_int_equal(
		run_abi(NULL, CREW_ABI, sizeof(crew_app), sizeof(crew_service), version_words), 2);
}

/* ---- what was typed ------------------------------------------------------------------------ */

static void versions(void **state)
{
	(void)state;
	crew_app nameless = { .services = { &feed } };
	assert_int_equal(run("version"), 0);
	assert_string_equal(out_text, "shop 1.2 (crew " CREW_VERSION ")\n");
	assert_int_equal(run("--version"), 0);
	assert_string_equal(out_text, "shop 1.2 (crew " CREW_VERSION ")\n");
	assert_int_equal(
		run_abi(&nameless, CREW_ABI, sizeof(crew_app), sizeof(crew_service), version_words),
		0);
	assert_string_equal(out_text, "shop 0 (crew " CREW_VERSION ")\n");
}

static void help_goes_where_it_was_asked_for(void **state)
{
	(void)state;
	assert_int_equal(run(NULL), 2);
	assert_string_equal(out_text, "");
	assert_says(err_text, "usage: ./shop COMMAND");
	assert_int_equal(run("help"), 0);
	assert_says(out_text, "usage: ./shop COMMAND");
	assert_string_equal(err_text, "");
	assert_int_equal(run("-h"), 0);
	assert_says(out_text, "usage: ./shop COMMAND");
	assert_int_equal(run("start", "--help"), 0);
	assert_says(out_text, "usage: ./shop start");
	assert_int_equal(run("help", "reload"), 0);
	assert_says(out_text, "usage: ./shop reload");
	assert_int_equal(run("help", "settings"), 0);
	assert_says(out_text, "max_send_buffer");
	assert_says(out_text, "run_dir");
}

static void usage_is_two(void **state)
{
	(void)state;
	assert_int_equal(run("statsu"), 2);
	assert_string_equal(err_text,
		"shop: unknown command 'statsu'; did you mean 'status'? Try './shop help'.\n");
	assert_int_equal(run("start", "--set", "nonsense"), 2);
	assert_int_equal(run("connections", "--sort", "send_que"), 2);
	assert_says(err_text, "did you mean 'send_queue'?");
	assert_int_equal(run("connections", "--sort", "xyzzy"), 2);
	assert_says(err_text, "the keys are those of");
}

static void wrong_settings_are_one(void **state)
{
	(void)state;
	assert_int_equal(run("configtest", "--set", "feed.nonsense=1"), 1);
	assert_says(err_text, "nonsense");
	assert_string_equal(out_text, "");
	assert_int_equal(run("start", "--set", "feed.nonsense=1"), 1);
	assert_int_equal(run("configtest", "-q", "--run-dir", "/tmp/shop-test"), 0);
	assert_string_equal(out_text, "");
}

static void nothing_runs_is_three(void **state)
{
	(void)state;
	char directory[] = "/tmp/crew-test-XXXXXX";
	assert_non_null(mkdtemp(directory));
	assert_int_equal(run("status", "--run-dir", directory), 3);
	assert_says(err_text, "not running");
	assert_int_equal(run("connections", "--json", "--run-dir", directory), 3);
	assert_int_equal(run("stop", "--run-dir", directory), 3);
	/* Broken settings do not keep anybody from looking. */
	assert_int_equal(run("status", "--run-dir", directory, "-c", "/nonexistent/x.ini"), 3);
	assert_says(err_text, "/nonexistent/x.ini");
	assert_says(err_text, "going on without the settings");
	assert_int_equal(run("status", "--set", "feed.nonsense=1", "--run-dir", directory), 3);
	char set[64];
	snprintf(set, sizeof(set), "crew.run_dir=%s", directory);
	assert_int_equal(run("status", "--set", "feed.nonsense=1", "--set", set), 3);
	assert_says(err_text, directory);
	assert_int_equal(rmdir(directory), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_abi_is_refused),
		cmocka_unit_test(a_newer_program_is_refused),
		cmocka_unit_test(an_older_program_runs),
		cmocka_unit_test(a_program_must_hand_over_something),
		cmocka_unit_test(versions),
		cmocka_unit_test(help_goes_where_it_was_asked_for),
		cmocka_unit_test(usage_is_two),
		cmocka_unit_test(wrong_settings_are_one),
		cmocka_unit_test(nothing_runs_is_three),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
