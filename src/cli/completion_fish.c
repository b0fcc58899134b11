/* completion_fish.c - declarations for fish, and two functions that tell which command a line has.
 */
#include "cli/completion.h"

static void print_quoted(FILE *out, const char *text)
{
	fputc('\'', out);
	for (; *text; text++) {
		if (*text == '\'' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
	fputc('\'', out);
}

static void print_value(
	const struct crew__completion *completion, const struct crew__option *option)
{
	enum crew__completion_kind kind = crew__completion_of_option(option);
	FILE *out = completion->out;
	if (!option->value)
		return;
	if (kind == CREW__COMPLETE_FILE) {
		fputs(" -r -F", out);
	} else if (kind == CREW__COMPLETE_DIRECTORY) {
		fputs(" -x -a '(__fish_complete_directories)'", out);
	} else {
		fputs(" -x -a '", out);
		crew__completion_words(completion, kind);
		fputs("'", out);
	}
}

static void print_option(const struct crew__completion *completion, enum crew__command command,
	const struct crew__option *option)
{
	FILE *out = completion->out;
	fprintf(out, "complete -c %s", completion->name);
	if (command != CREW__COMMAND_NONE)
		fprintf(out, " -n '__crew_%s_is %s'", completion->function,
			crew__command_table[command].name);
	if (option->letter)
		fprintf(out, " -s %c", option->letter);
	if (option->name)
		fprintf(out, " -l %s", option->name);
	print_value(completion, option);
	fputs(" -d ", out);
	print_quoted(out, option->sentence);
	fputc('\n', out);
}

static void print_command(const struct crew__completion *completion, enum crew__command command)
{
	const struct crew__command_entry *entry = &crew__command_table[command];
	enum crew__completion_kind kind = crew__completion_of_command(command);
	FILE *out = completion->out;
	fprintf(out, "complete -c %s -n '__crew_%s_is \"\"' -a %s -d ", completion->name,
		completion->function, entry->name);
	print_quoted(out, entry->sentence);
	fputc('\n', out);
	if (kind == CREW__COMPLETE_NOTHING)
		return;
	fprintf(out, "complete -c %s -n '__crew_%s_is %s' -a '", completion->name,
		completion->function, entry->name);
	crew__completion_words(completion, kind);
	fputs("'\n", out);
}

void crew__completion_fish(const struct crew__completion *completion)
{
	FILE *out = completion->out;
	const char *function = completion->function;
	fprintf(out,
		"# Completion of %s for fish: put this file into\n"
		"# ~/.config/fish/completions/%s.fish, or read it by\n"
		"#   %s completion fish | source\n"
		"function __crew_%s_command\n"
		"\tset -l words (commandline -opc)\n"
		"\tset -l skip 1\n"
		"\tfor word in $words\n"
		"\t\tif test $skip = 1\n"
		"\t\t\tset skip 0\n"
		"\t\t\tcontinue\n"
		"\t\tend\n"
		"\t\tswitch $word\n"
		"\t\t\tcase ",
		completion->name, completion->name, completion->name, function);
	crew__completion_valued(completion, " ");
	fprintf(out,
		"\n\t\t\t\tset skip 1\n"
		"\t\t\tcase '-*'\n"
		"\t\t\tcase '*'\n"
		"\t\t\t\techo $word\n"
		"\t\t\t\treturn\n"
		"\t\tend\n"
		"\tend\n"
		"end\n"
		"function __crew_%s_is\n"
		"\tset -l command (__crew_%s_command)\n"
		"\ttest \"$argv[1]\" = \"$command\"\n"
		"end\n"
		"complete -c %s -f\n",
		function, function, completion->name);
	crew__completion_each_option(completion, print_option);
	for (enum crew__command c = CREW__COMMAND_START; c < CREW__COMMANDS; c++)
		print_command(completion, c);
}
