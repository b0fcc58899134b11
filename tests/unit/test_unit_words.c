/* test_unit_words.c - words of unit files, what a version says of itself, and what a STATUS says.
 */
#include "cli/unit.h"

#include "proc/herald.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char text[512];

static const char *word(const char *from, bool command)
{
	FILE *out = fmemopen(text, sizeof(text), "w");
	crew__unit_word(out, from, command);
	fclose(out);
	return text;
}

static void words_that_mean_themselves(void **state)
{
	(void)state;
	assert_string_equal(word("/usr/bin/hello", true), "/usr/bin/hello");
	assert_string_equal(word("ws.listen=ws://:80", true), "ws.listen=ws://:80");
	assert_string_equal(word("", true), "\"\"");
	assert_string_equal(word("a b", true), "\"a b\"");
	assert_string_equal(word("a\"b\\c'd", true), "\"a\\\"b\\\\c'd\"");
	assert_string_equal(word(";", true), "\";\"");
	assert_string_equal(word("100%", false), "\"100%%\"");
	assert_string_equal(word("$HOME", true), "\"$$HOME\"");
	assert_string_equal(word("$HOME", false), "\"$HOME\"");
}

static void what_cannot_be_said(void **state)
{
	(void)state;
	assert_true(crew__unit_sayable("a b \xc3\xa4"));
	assert_false(crew__unit_sayable("a\nb"));
	assert_false(crew__unit_sayable("a\tb"));
	assert_false(crew__unit_sayable("\xc3"));
	assert_false(crew__unit_sayable("\x7f"));
}

static void versions(void **state)
{
	(void)state;
	assert_int_equal(crew__unit_version("systemd 252 (252.39-1~deb12u2)\n+PAM"), 252);
	assert_int_equal(crew__unit_version("systemd 257~rc1 (257~rc1)"), 257);
	assert_int_equal(crew__unit_version("systemd v255"), 255);
	assert_int_equal(crew__unit_version("systemd"), 0);
	assert_int_equal(crew__unit_version("systemd (252)"), 0);
	assert_int_equal(crew__unit_version("systemd 99999"), 0);
	assert_int_equal(crew__unit_version("runit 252"), 0);
	assert_int_equal(crew__unit_version(""), 0);
}

static const char *status(const struct crew__figures *figures, enum crew__herald_state state)
{
	crew__figures_text(figures, state, text, sizeof(text));
	return text;
}

static void what_a_status_says(void **state)
{
	(void)state;
	struct crew__figures figures = { .ready = 1, .generation = 1, .connections = 1 };
	assert_string_equal(status(&figures, CREW__HERALD_RUNNING),
		"generation 1: 1 worker ready, 1 connection, 0 requests/s, 0 sends failed");
	figures = (struct crew__figures){ .ready = 4,
		.starting = 2,
		.draining = 3,
		.generation = 7,
		.connections = 20,
		.requests_per_s = 1,
		.send_fail = 1 };
	assert_string_equal(status(&figures, CREW__HERALD_RELOADING),
		"reloading, generation 7: 4 workers ready, 2 starting, 3 draining, 20 connections, 1 "
		"request/s, 1 send failed");
	assert_string_equal(status(&figures, CREW__HERALD_STOPPING),
		"stopping: 9 workers left, 20 connections");
	crew__figures_text(&figures, CREW__HERALD_RUNNING, text, 12);
	assert_string_equal(text, "generation ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_that_mean_themselves),
		cmocka_unit_test(what_cannot_be_said),
		cmocka_unit_test(versions),
		cmocka_unit_test(what_a_status_says),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
