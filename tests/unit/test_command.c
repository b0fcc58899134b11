/* The table of commands: what can be typed, how it is understood, and what is said when it is not.
 */
#include "cli/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum {
	ARGUMENTS_MAX = 16
};

static char error_text[512];

/* Parse "prog" and these words, up to a NULL. */
#define parse(line, ...) parse_words(line, (const char *[]){ __VA_ARGS__, NULL })

static int parse_words(struct crew__command_line *line, const char **words)
{
	char *argv[ARGUMENTS_MAX] = { (char *)(uintptr_t) "prog" };
	int argc = 1;
	for (; *words; words++) {
		assert_true(argc + 1 < ARGUMENTS_MAX);
		argv[argc++] = (char *)(uintptr_t)*words;
	}
	error_text[0] = '\0';
	return crew__command_parse(argc, argv, line, error_text, sizeof(error_text));
}

#define refuse(sentence, ...) refuse_words(sentence, (const char *[]){ __VA_ARGS__, NULL })

static void refuse_words(const char *sentence, const char **words)
{
	struct crew__command_line line;
	assert_int_equal(parse_words(&line, words), -EINVAL);
	assert_string_equal(error_text, sentence);
}

static void nothing_typed(void **state)
{
	(void)state;
	struct crew__command_line line;
	char *argv[] = { (char *)(uintptr_t) "prog", NULL };
	assert_int_equal(crew__command_parse(1, argv, &line, error_text, sizeof(error_text)), 0);
	assert_int_equal(line.command, CREW__COMMAND_NONE);
	assert_int_equal(line.set_count, 0);
	crew__command_line_fini(&line);
	assert_int_equal(
		crew__command_parse(0, argv, &line, error_text, sizeof(error_text)), -EINVAL);
}

static void every_command_by_name(void **state)
{
	(void)state;
	static const char *const names[] = { "start", "stop", "restart", "reload", "status",
		"connections", "top", "explain", "kick", "set", "events", "configtest",
		"systemd-unit", "completion", "version", "help" };
	assert_int_equal(crew__lengthof(names), CREW__COMMANDS - 1);
	for (size_t i = 0; i < crew__lengthof(names); i++) {
		struct crew__command_line line;
		assert_int_equal(parse(&line, names[i], "--help"), 0);
		assert_string_equal(crew__command_name(line.command), names[i]);
		assert_int_equal(crew__command_find(names[i]), line.command);
		crew__command_line_fini(&line);
	}
	assert_int_equal(crew__command_find("expound"), CREW__COMMAND_NONE);
	assert_int_equal(crew__command_find(""), CREW__COMMAND_NONE);
}

/* What a command is about stands anywhere behind it; one word, and for `kick` a verdict instead. */
static void what_a_command_is_about(void **state)
{
	(void)state;
	struct crew__command_line line;
	assert_int_equal(parse(&line, "explain", "--json", "0012"), 0);
	assert_string_equal(line.argument, "0012");
	crew__command_line_fini(&line);
	assert_int_equal(parse(&line, "set", "feed.policy=replace", "-q"), 0);
	assert_string_equal(line.argument, "feed.policy=replace");
	crew__command_line_fini(&line);
	assert_int_equal(parse(&line, "kick", "--verdict", "reader-stalled"), 0);
	assert_null(line.argument);
	assert_string_equal(line.verdict, "reader-stalled");
	crew__command_line_fini(&line);
	assert_int_equal(parse(&line, "events", "-f", "--json"), 0);
	assert_true(line.follow && line.json);
	crew__command_line_fini(&line);
	assert_int_equal(parse(&line, "connections", "--closed"), 0);
	assert_true(line.closed);
	crew__command_line_fini(&line);
	assert_int_equal(parse(&line, "explain"), -EINVAL);
	assert_non_null(strstr(error_text, "'explain' needs CID"));
	assert_int_equal(parse(&line, "kick"), -EINVAL);
	assert_non_null(strstr(error_text, "'kick' needs CID|ADDRESS"));
	assert_int_equal(parse(&line, "explain", "1", "2"), -EINVAL);
	assert_non_null(strstr(error_text, "unexpected argument '2'"));
	assert_int_equal(parse(&line, "status", "1"), -EINVAL);
}

static void options_before_and_after(void **state)
{
	(void)state;
	struct crew__command_line line;
	assert_int_equal(parse(&line, "-c", "a.ini", "-q", "start", "-d", "--run-dir=/run/x",
				 "--set", "feed.listen=ws://:1", "--set=app.rate=5"),
		0);
	assert_int_equal(line.command, CREW__COMMAND_START);
	assert_string_equal(line.config, "a.ini");
	assert_string_equal(line.run_dir, "/run/x");
	assert_true(line.quiet);
	assert_true(line.daemon);
	assert_false(line.watch);
	assert_false(line.single);
	assert_int_equal(line.set_count, 2);
	assert_string_equal(line.sets[0], "feed.listen=ws://:1");
	assert_string_equal(line.sets[1], "app.rate=5");
	crew__command_line_fini(&line);
}

/* The value of an option is not the command, even if it is called like one. */
static void a_value_is_no_command(void **state)
{
	(void)state;
	struct crew__command_line line;
	assert_int_equal(parse(&line, "--sort", "stop", "--run-dir", "start", "connections"), 0);
	assert_int_equal(line.command, CREW__COMMAND_CONNECTIONS);
	assert_string_equal(line.sort, "stop");
	assert_string_equal(line.run_dir, "start");
	crew__command_line_fini(&line);
	assert_int_equal(parse(&line, "--", "status"), 0);
	assert_int_equal(line.command, CREW__COMMAND_STATUS);
	crew__command_line_fini(&line);
}

static void the_same_letter_means_what_its_command_says(void **state)
{
	(void)state;
	struct crew__command_line line;
	assert_int_equal(parse(&line, "status", "-d"), 0);
	assert_true(line.watch);
	assert_false(line.daemon);
	crew__command_line_fini(&line);
	assert_int_equal(parse(&line, "-dg", "restart"), 0);
	assert_true(line.daemon);
	assert_true(line.graceful);
	assert_false(line.watch);
	crew__command_line_fini(&line);
	assert_int_equal(parse(&line, "start", "-dcx.ini"), 0);
	assert_true(line.daemon);
	assert_string_equal(line.config, "x.ini");
	crew__command_line_fini(&line);
	assert_int_equal(parse(&line, "start", "-dc", "y.ini"), 0);
	assert_string_equal(line.config, "y.ini");
	crew__command_line_fini(&line);
}

static void every_flag(void **state)
{
	(void)state;
	struct crew__command_line line;
	assert_int_equal(parse(&line, "start", "--single", "--daemon", "--quiet"), 0);
	assert_true(line.single && line.daemon && line.quiet);
	crew__command_line_fini(&line);
	assert_int_equal(parse(&line, "reload", "--no-wait", "--graceful"), 0);
	assert_true(line.no_wait && line.graceful);
	crew__command_line_fini(&line);
	assert_int_equal(parse(&line, "status", "--json"), 0);
	assert_true(line.json);
	crew__command_line_fini(&line);
	assert_int_equal(parse(&line, "--help"), 0);
	assert_true(line.help);
	crew__command_line_fini(&line);
	assert_int_equal(parse(&line, "status", "-h"), 0);
	assert_true(line.help);
	assert_int_equal(line.command, CREW__COMMAND_STATUS);
	crew__command_line_fini(&line);
	assert_int_equal(parse(&line, "--version"), 0);
	assert_true(line.version);
	crew__command_line_fini(&line);
}

static void help_takes_a_topic(void **state)
{
	(void)state;
	struct crew__command_line line;
	assert_int_equal(parse(&line, "help", "settings"), 0);
	assert_string_equal(line.topic, "settings");
	crew__command_line_fini(&line);
	assert_int_equal(parse(&line, "help", "reload"), 0);
	assert_string_equal(line.topic, "reload");
	crew__command_line_fini(&line);
	refuse("unknown command 'relaod'; did you mean 'reload'? Try 'prog help'.", "help",
		"relaod");
	refuse("unexpected argument 'stop' after 'help'. Try 'prog help help'.", "help", "start",
		"stop");
}

static void unknown_commands(void **state)
{
	(void)state;
	refuse("unknown command 'statsu'; did you mean 'status'? Try 'prog help'.", "statsu");
	refuse("unknown command 'conn'; did you mean 'connections'? Try 'prog help'.", "conn");
	refuse("unknown command 'frobnicate'. Try 'prog help'.", "frobnicate");
	refuse("unknown command ''. Try 'prog help'.", "");
	refuse("unknown command '-'. Try 'prog help'.", "-");
	refuse("unknown command 'expound'. Try 'prog help'.", "expound", "abc");
	refuse("unknown command '-d'. Try 'prog help'.", "--", "-d");
	refuse("unexpected argument 'stop' after 'start'. Try 'prog help start'.", "start", "stop");
}

static void unknown_options(void **state)
{
	(void)state;
	refuse("unknown option '--jsn'; did you mean '--json'? Try 'prog help status'.", "status",
		"--jsn");
	refuse("unknown option '--frobnicate'. Try 'prog help status'.", "status", "--frobnicate");
	refuse("unknown option '-x'. Try 'prog help stop'.", "-x", "stop");
	refuse("unknown option '-x'. Try 'prog help stop'.", "stop", "-gx");
	refuse("'status' takes no option '--single'. Try 'prog help status'.", "status",
		"--single");
	refuse("'start' takes no option '-g'. Try 'prog help start'.", "-g", "start");
	refuse("'stop' takes no option '--watch'. Try 'prog help stop'.", "stop", "--watch");
	refuse("unknown option '--opened'. Try 'prog help connections'.", "connections",
		"--opened");
	refuse("option '-d' needs a command. Try 'prog help'.", "-d");
	refuse("unknown option '--hlep'; did you mean '--help'? Try 'prog help'.", "--hlep");
	refuse("unknown option '--'. Try 'prog help status'.", "status", "--=x");
}

static void values_missing_and_too_many(void **state)
{
	(void)state;
	refuse("option '-c' needs a value", "start", "-c");
	refuse("option '--run-dir' needs a value", "--run-dir");
	refuse("option '--run-dir' needs a value", "start", "--run-dir=");
	refuse("option '--sort' needs a value", "connections", "--sort", "");
	refuse("option '--json' takes no value", "status", "--json=1");
}

static void assignments_have_a_form(void **state)
{
	(void)state;
	static const char *const bad[] = { "", "x", "x.y", "x=y", ".y=1", "x.=1", "=", ".",
		"x=y.z=1" };
	static const char *const good[] = { "x.y=1", "x.y=", "x.y=a=b", "x.y.z=1", "a-b.c_d=e.f" };
	struct crew__command_line line;
	for (size_t i = 0; i < crew__lengthof(bad); i++) {
		assert_int_equal(parse(&line, "start", "--set", bad[i]), -EINVAL);
		assert_non_null(strstr(error_text, "SECTION.KEY=VALUE"));
	}
	for (size_t i = 0; i < crew__lengthof(good); i++) {
		assert_int_equal(parse(&line, "start", "--set", good[i]), 0);
		assert_string_equal(line.sets[0], good[i]);
		crew__command_line_fini(&line);
	}
}

static void a_long_word_is_cut_in_messages(void **state)
{
	(void)state;
	char word[2000];
	struct crew__command_line line;
	memset(word, 'x', sizeof(word) - 1);
	memcpy(word, "--", 2);
	word[sizeof(word) - 1] = '\0';
	assert_int_equal(parse(&line, "start", word), -EINVAL);
	assert_non_null(strstr(error_text, "unknown option '--xxx"));
	assert_non_null(strstr(error_text, "Try 'prog help start'."));
	assert_int_equal(parse(&line, word + 2), -EINVAL);
	assert_non_null(strstr(error_text, "unknown command 'xxx"));
}

/* ---- help ---------------------------------------------------------------------------------- */

static char *help_of(enum crew__command command)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	if (command == CREW__COMMAND_NONE)
		crew__command_help_all(out, "prog");
	else
		crew__command_help_one(out, "prog", command);
	fclose(out);
	return text;
}

static void help_names_every_command_and_common_option(void **state)
{
	(void)state;
	char *text = help_of(CREW__COMMAND_NONE);
	for (enum crew__command i = CREW__COMMAND_START; i < CREW__COMMANDS; i++) {
		char line[64];
		snprintf(line, sizeof(line), "\n  %-12s ", crew__command_name(i));
		assert_non_null(strstr(text, line));
	}
	assert_non_null(strstr(text, "-c, --config FILE"));
	assert_non_null(strstr(text, "--set SECTION.KEY=VALUE"));
	assert_non_null(strstr(text, "--run-dir DIR"));
	assert_non_null(strstr(text, "-q, --quiet"));
	free(text);
}

static void help_of_one_command(void **state)
{
	(void)state;
	char *text = help_of(CREW__COMMAND_CONNECTIONS);
	assert_non_null(strstr(text, "usage: prog connections [--json] [--sort KEY] [--closed]\n"));
	assert_non_null(strstr(text, "\n  --sort KEY "));
	assert_non_null(strstr(text, "\n  -c, --config FILE "));
	free(text);
	text = help_of(CREW__COMMAND_VERSION);
	assert_null(strstr(text, "options of 'version'"));
	free(text);
}

/* The parser finds the command knowing of an option only whether a value follows it, so an option
 * must not take one in one command and none in another. Seen in the help: "-d" and "--sort KEY". */
static void an_option_takes_a_value_in_all_commands_or_in_none(void **state)
{
	(void)state;
	static const char *const flags[] = { "-q", "-h", "-d", "-g", "--quiet", "--help",
		"--version", "--daemon", "--graceful", "--single", "--no-wait", "--json",
		"--closed", "-f", "--follow", "--watch", "--socket" };
	static const char *const values[] = { "-c", "--config", "--set", "--run-dir", "--sort",
		"--verdict", "--systemd-version" };
	for (enum crew__command i = CREW__COMMAND_START; i < CREW__COMMANDS; i++) {
		char *text = help_of(i);
		char *save = NULL;
		for (char *line = strtok_r(text, "\n", &save); line;
			line = strtok_r(NULL, "\n", &save)) {
			if (strncmp(line, "  -", 3) != 0)
				continue;
			char form[40] = "", word[40] = "";
			bool value = false, known = false;
			/* The last of "-c, --config" and what follows it up to two blanks. */
			snprintf(form, sizeof(form), "%.26s", line + 2);
			char *last = strstr(form, ", ") ? strstr(form, ", ") + 2 : form;
			assert_int_equal(sscanf(last, "%39s", word), 1);
			value = last[strlen(word)] == ' ' && last[strlen(word) + 1] >= 'A' &&
				last[strlen(word) + 1] <= 'Z';
			for (size_t k = 0; k < crew__lengthof(flags); k++)
				known |= !strcmp(word, flags[k]) && !value;
			for (size_t k = 0; k < crew__lengthof(values); k++)
				known |= !strcmp(word, values[k]) && value;
			if (!known)
				fail_msg("'%s' in '%s'", word, line);
		}
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_typed),
		cmocka_unit_test(every_command_by_name),
		cmocka_unit_test(what_a_command_is_about),
		cmocka_unit_test(options_before_and_after),
		cmocka_unit_test(a_value_is_no_command),
		cmocka_unit_test(the_same_letter_means_what_its_command_says),
		cmocka_unit_test(every_flag),
		cmocka_unit_test(help_takes_a_topic),
		cmocka_unit_test(unknown_commands),
		cmocka_unit_test(unknown_options),
		cmocka_unit_test(values_missing_and_too_many),
		cmocka_unit_test(assignments_have_a_form),
		cmocka_unit_test(a_long_word_is_cut_in_messages),
		cmocka_unit_test(help_names_every_command_and_common_option),
		cmocka_unit_test(help_of_one_command),
		cmocka_unit_test(an_option_takes_a_value_in_all_commands_or_in_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
