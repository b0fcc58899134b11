/* completion_bash.c - a function for bash, which takes a line apart as bash hands it over: cut at
 * blanks, and at the equals sign as well. */
#include "cli/completion.h"

static void print_forms_of(
	const struct crew__completion *completion, const struct crew__option *option)
{
	if (option->letter)
		fprintf(completion->out, " -%c", option->letter);
	if (option->name)
		fprintf(completion->out, " --%s", option->name);
}

static void print_common(const struct crew__completion *completion, enum crew__command command,
	const struct crew__option *option)
{
	if (command == CREW__COMMAND_NONE)
		print_forms_of(completion, option);
}

/* A case of the values that follow an option. */
static void print_value(const struct crew__completion *completion, enum crew__command command,
	const struct crew__option *option)
{
	enum crew__completion_kind kind = crew__completion_of_option(option);
	FILE *out = completion->out;
	(void)command;
	if (!option->value)
		return;
	fputs("\t", out);
	if (option->letter)
		fprintf(out, "-%c%s", option->letter, option->name ? " | " : "");
	if (option->name)
		fprintf(out, "--%s", option->name);
	fputs(")\n", out);
	if (kind == CREW__COMPLETE_FILE || kind == CREW__COMPLETE_DIRECTORY) {
		fprintf(out,
			"\t\tcompopt -o filenames\n"
			"\t\tmapfile -t COMPREPLY < <(compgen %s -- \"$word\")\n",
			kind == CREW__COMPLETE_FILE ? "-f" : "-d");
	} else if (kind != CREW__COMPLETE_NOTHING) {
		fputs("\t\twords='", out);
		crew__completion_words(completion, kind);
		fputs("'\n", out);
	}
	fputs("\t\t;;\n", out);
}

/* A case of the words that follow a command. */
static void print_command(const struct crew__completion *completion, enum crew__command command)
{
	const struct crew__command_entry *entry = &crew__command_table[command];
	const struct crew__option *option;
	FILE *out = completion->out;
	fprintf(out, "\t%s)\n\t\toptions+='", entry->name);
	for (size_t i = 0; (option = crew__command_option(entry, i)); i++)
		print_forms_of(completion, option);
	fputs("'\n\t\twords='", out);
	crew__completion_words(completion, crew__completion_of_command(command));
	fputs("'\n\t\t;;\n", out);
}

static void print_commands(const struct crew__completion *completion)
{
	fputs("\tcase $command in\n\t'')\n\t\twords='", completion->out);
	for (enum crew__command c = CREW__COMMAND_START; c < CREW__COMMANDS; c++)
		fprintf(completion->out, "%s%s", c > CREW__COMMAND_START ? " " : "",
			crew__command_table[c].name);
	fputs("'\n\t\t;;\n", completion->out);
	for (enum crew__command c = CREW__COMMAND_START; c < CREW__COMMANDS; c++)
		print_command(completion, c);
	fputs("\tesac\n", completion->out);
}

void crew__completion_bash(const struct crew__completion *completion)
{
	FILE *out = completion->out;
	fprintf(out,
		"# Completion of %s for bash: put this file into\n"
		"# ~/.local/share/bash-completion/completions/%s, or read it by\n"
		"#   source <(%s completion bash)\n"
		"_crew_%s()\n{\n"
		"\tlocal word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n"
		"\tlocal command='' options='' words='' i\n"
		"\tCOMPREPLY=()\n"
		"\tif [[ $word == '=' || $before == '=' ]]; then\n"
		"\t\t[[ $word == '=' ]] && word='' || before=${COMP_WORDS[COMP_CWORD - 2]}\n"
		"\t\t[[ $before == -* ]] || return 0\n"
		"\tfi\n"
		"\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
		"\t\tcase ${COMP_WORDS[i]} in\n\t\t",
		completion->name, completion->name, completion->name, completion->function);
	crew__completion_valued(completion, " | ");
	fputs(")\n"
	      "\t\t\t[[ ${COMP_WORDS[i + 1]} == '=' ]] && ((i++))\n"
	      "\t\t\t((i++))\n"
	      "\t\t\t[[ ${COMP_WORDS[i + 1]} == '=' ]] && ((i += 2))\n"
	      "\t\t\t;;\n"
	      "\t\t-*) ;;\n"
	      "\t\t*)\n"
	      "\t\t\tcommand=${COMP_WORDS[i]}\n"
	      "\t\t\tbreak\n"
	      "\t\t\t;;\n"
	      "\t\tesac\n"
	      "\tdone\n"
	      "\tcase $before in\n",
		out);
	crew__completion_each_option(completion, print_value);
	fputs("\tesac\n"
	      "\tif [[ -z $words ]] && ((${#COMPREPLY[@]} == 0)); then\n",
		out);
	fputs("\toptions='", out);
	crew__completion_each_option(completion, print_common);
	fputs("'\n", out);
	print_commands(completion);
	fputs("\tfi\n"
	      "\t[[ $word == -* ]] && words=$options\n"
	      "\t((${#COMPREPLY[@]})) || mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
	      "\t[[ ${COMPREPLY[*]} == *= ]] && compopt -o nospace\n"
	      "\treturn 0\n"
	      "}\n",
		out);
	fprintf(out, "complete -F _crew_%s %s\n", completion->function, completion->name);
}
