/* command_table.c - every command with its options, and `help`, which is this table printed. */
#include "cli/command_table.h"

#include "base/check.h"

#include <string.h>

#define MEMBER(name) offsetof(struct crew__command_line, name)

const struct crew__option crew__common_options[CREW__COMMON_OPTIONS] = {
	{ 'c', "config", "FILE", CREW__OPTION_VALUE, MEMBER(config),
		"read settings from this INI file" },
	{ 0, "set", "SECTION.KEY=VALUE", CREW__OPTION_LIST, MEMBER(sets),
		"set one value, after the file; may be given many times" },
	{ 0, "run-dir", "DIR", CREW__OPTION_VALUE, MEMBER(run_dir),
		"where pid file, control socket and log are; two instances differ by it" },
	{ 'q', "quiet", NULL, CREW__OPTION_FLAG, MEMBER(quiet),
		"no banner and no word of success; errors and what was asked for only" },
	{ 'h', "help", NULL, CREW__OPTION_FLAG, MEMBER(help), "say what a command does" },
	{ 0, "version", NULL, CREW__OPTION_FLAG, MEMBER(version), "print the versions" },
};

#define OPTION_GRACEFUL(what)                                                    \
	{                                                                        \
		'g', "graceful", NULL, CREW__OPTION_FLAG, MEMBER(graceful), what \
	}
#define OPTION_DAEMON                                                     \
	{                                                                 \
		'd', "daemon", NULL, CREW__OPTION_FLAG, MEMBER(daemon),   \
			"go to the background once every worker is ready" \
	}
#define OPTION_JSON                                                            \
	{                                                                      \
		0, "json", NULL, CREW__OPTION_FLAG, MEMBER(json), "print JSON" \
	}

const struct crew__command_entry crew__command_table[CREW__COMMANDS] = {
	[CREW__COMMAND_NONE] = { .name = "" },
	[CREW__COMMAND_START] = { .name = "start",
		.sentence =
			"start the master and its workers, in the foreground unless told otherwise",
		.options = { OPTION_DAEMON,
			{ 0, "single", NULL, CREW__OPTION_FLAG, MEMBER(single),
				"everything in one process and one loop, for a debugger" },
			{ 0, "watch", NULL, CREW__OPTION_FLAG, MEMBER(on_change),
				"reload by itself when the program or its settings file is another" } } },
	[CREW__COMMAND_STOP] = { .name = "stop",
		.sentence = "stop: send queues get stop_timeout_ms to leave, then connections end",
		.options = { OPTION_GRACEFUL(
			"wait for connections to end, up to drain_timeout_ms") } },
	[CREW__COMMAND_RESTART] = { .name = "restart",
		.sentence = "stop if it runs, then start anew, the master included; sockets stay open",
		.options = { OPTION_DAEMON,
			OPTION_GRACEFUL("wait for connections to end, up to drain_timeout_ms") } },
	[CREW__COMMAND_RELOAD] = { .name = "reload",
		.sentence =
			"check the program and its settings anew, then replace the workers by new ones",
		.options = { OPTION_GRACEFUL(
				     "old workers wait for their connections, up to drain_timeout_ms"),
			{ 0, "no-wait", NULL, CREW__OPTION_FLAG, MEMBER(no_wait),
				"return once the master has been told, not when it is done" } } },
	[CREW__COMMAND_STATUS] = { .name = "status",
		.sentence =
			"show the processes, their counters, and why sends failed; asks no worker",
		.options = { { 'd', NULL, NULL, CREW__OPTION_FLAG, MEMBER(watch),
				     "again each second, until interrupted; with --json a document a line" },
			OPTION_JSON } },
	[CREW__COMMAND_CONNECTIONS] = { .name = "connections",
		.sentence =
			"list the open connections with their queues and losses; asks no worker",
		.options = { OPTION_JSON,
			{ 0, "sort", "KEY", CREW__OPTION_VALUE, MEMBER(sort),
				"order by a key of --json: numbers from the largest, text by letters" },
			{ 0, "closed", NULL, CREW__OPTION_FLAG, MEMBER(closed),
				"those that ended last instead: who ended them, why, and what was lost" } } },
	[CREW__COMMAND_TOP] = { .name = "top",
		.sentence =
			"a live screen of the workers and the slowest connections; asks no worker",
		.options = { OPTION_JSON,
			{ 0, "sort", "KEY", CREW__OPTION_VALUE, MEMBER(sort),
				"order the connections by a key of connections --json" } } },
	[CREW__COMMAND_EXPLAIN] = { .name = "explain",
		.sentence =
			"say why what waits for a connection does not leave, and what to do about it",
		.argument = "CID",
		.options = { OPTION_JSON } },
	[CREW__COMMAND_KICK] = { .name = "kick",
		.sentence =
			"end connections: one by its id (or the beginning of it), all of an address, or "
			"all with a verdict",
		.argument = "CID|ADDRESS",
		.argument_optional = true,
		.options = { OPTION_JSON,
			{ 0, "verdict", "V", CREW__OPTION_VALUE, MEMBER(verdict),
				"all whose verdict is V, such as reader-stalled" } } },
	[CREW__COMMAND_SET] = { .name = "set",
		.sentence = "change a setting of the running program, until it reloads or restarts",
		.argument = "SERVICE.KEY=VALUE",
		.options = { OPTION_JSON } },
	[CREW__COMMAND_EVENTS] = { .name = "events",
		.sentence =
			"what happened last: connections that became slow, losses, kicks, deaths, reloads",
		.options = { OPTION_JSON,
			{ 'f', "follow", NULL, CREW__OPTION_FLAG, MEMBER(follow),
				"go on with what happens, until interrupted; with --json a document a line" } } },
	[CREW__COMMAND_CONFIGTEST] = { .name = "configtest",
		.sentence = "check every setting and start nothing" },
	[CREW__COMMAND_SYSTEMD_UNIT] = { .name = "systemd-unit",
		.sentence = "print a unit file of systemd for this program with these settings",
		.options = { { 0, "systemd-version", "N", CREW__OPTION_VALUE,
				     MEMBER(systemd_version),
				     "for that version; the default is the one that is installed" },
			{ 0, "socket", NULL, CREW__OPTION_FLAG, MEMBER(socket),
				"the unit that opens its sockets instead" } } },
	[CREW__COMMAND_COMPLETION] = { .name = "completion",
		.sentence = "print what makes a shell complete this program's command lines",
		.argument = "bash|zsh|fish" },
	[CREW__COMMAND_VERSION] = { .name = "version",
		.sentence = "print the program's version and that of crew" },
	[CREW__COMMAND_HELP] = { .name = "help",
		.sentence =
			"say what a command does (help COMMAND), or what can be set (help settings)" },
};

const char *crew__command_name(enum crew__command command)
{
	crew__must((unsigned)command < CREW__COMMANDS);
	return crew__command_table[command].name;
}

enum crew__command crew__command_find(const char *name)
{
	for (enum crew__command i = CREW__COMMAND_START; i < CREW__COMMANDS; i++)
		if (strcmp(crew__command_table[i].name, name) == 0)
			return i;
	return CREW__COMMAND_NONE;
}

const struct crew__option *crew__command_option(
	const struct crew__command_entry *command, size_t index)
{
	if (index >= CREW__OPTIONS_MAX)
		return NULL;
	const struct crew__option *option = &command->options[index];
	return option->letter || option->name ? option : NULL;
}

/* ---- help ---------------------------------------------------------------------------------- */

static void print_option(FILE *out, const struct crew__option *option)
{
	char form[CREW__FORM_MAX];
	char letter[3] = "";
	if (option->letter)
		snprintf(letter, sizeof(letter), "-%c", option->letter);
	snprintf(form, sizeof(form), "%s%s%s%s%s%s", letter, letter[0] && option->name ? ", " : "",
		option->name ? "--" : "", option->name ? option->name : "",
		option->value ? " " : "", option->value ? option->value : "");
	fprintf(out, "  %-26s %s\n", form, option->sentence);
}

static void print_common(FILE *out)
{
	fputs("options of every command:\n", out);
	for (size_t i = 0; i < CREW__COMMON_OPTIONS; i++)
		print_option(out, &crew__common_options[i]);
}

void crew__command_help_all(FILE *out, const char *program)
{
	fprintf(out, "usage: %s COMMAND [OPTIONS]\n\ncommands:\n", program);
	for (size_t i = CREW__COMMAND_START; i < CREW__COMMANDS; i++)
		fprintf(out, "  %-12s %s\n", crew__command_table[i].name,
			crew__command_table[i].sentence);
	fputc('\n', out);
	print_common(out);
	fprintf(out,
		"\nexit status: 0 done, 1 failed, 2 wrong usage, 3 not running\n"
		"'%s help COMMAND' tells a command's own options, '%s help settings' what can be set.\n",
		program, program);
}

void crew__command_help_one(FILE *out, const char *program, enum crew__command command)
{
	crew__must(command > CREW__COMMAND_NONE && command < CREW__COMMANDS);
	const struct crew__command_entry *about = &crew__command_table[command];
	const struct crew__option *option;
	fprintf(out, "usage: %s %s", program, about->name);
	if (command == CREW__COMMAND_HELP)
		fputs(" [COMMAND | settings]", out);
	if (about->argument)
		fprintf(out, about->argument_optional ? " [%s]" : " %s", about->argument);
	for (size_t i = 0; (option = crew__command_option(about, i)); i++)
		if (option->letter)
			fprintf(out, " [-%c]", option->letter);
		else
			fprintf(out, " [--%s%s%s]", option->name, option->value ? " " : "",
				option->value ? option->value : "");
	fprintf(out, "\n\n%s\n\n", about->sentence);
	if (crew__command_option(about, 0))
		fprintf(out, "options of '%s':\n", about->name);
	for (size_t i = 0; (option = crew__command_option(about, i)); i++)
		print_option(out, option);
	if (crew__command_option(about, 0))
		fputc('\n', out);
	print_common(out);
}
