/* completion_zsh.c - a function for zsh, with the sentences of the table beside the words. */
#include "cli/completion.h"

/* Inside single quotes; a colon ends a word there. */
static void print_quoted(FILE *out, const char *text, bool is_word)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\'", out);
		if (*text == ':' && is_word)
			fputc('\\', out);
		fputc(*text, out);
	}
}

static void print_item(FILE *out, const char *word, const char *sentence)
{
	fputs(" '", out);
	print_quoted(out, word, true);
	fputc(':', out);
	print_quoted(out, sentence, false);
	fputc('\'', out);
}

static void print_option(FILE *out, const struct crew__option *option)
{
	char form[CREW__FORM_MAX];
	if (option->letter) {
		snprintf(form, sizeof(form), "-%c", option->letter);
		print_item(out, form, option->sentence);
	}
	if (option->name) {
		snprintf(form, sizeof(form), "--%s", option->name);
		print_item(out, form, option->sentence);
	}
}

static void print_common(const struct crew__completion *completion, enum crew__command command,
	const struct crew__option *option)
{
	if (command == CREW__COMMAND_NONE)
		print_option(completion->out, option);
}

static void print_words(const struct crew__completion *completion, enum crew__completion_kind kind)
{
	bool keys = kind == CREW__COMPLETE_KEY || kind == CREW__COMPLETE_LIVE_KEY;
	fprintf(completion->out, "compadd %s-- ", keys ? "-S '' " : "");
	crew__completion_words(completion, kind);
}

static void print_value(const struct crew__completion *completion, enum crew__command command,
	const struct crew__option *option)
{
	enum crew__completion_kind kind = crew__completion_of_option(option);
	FILE *out = completion->out;
	(void)command;
	if (!option->value)
		return;
	fputs("\t(", out);
	if (option->letter)
		fprintf(out, "-%c%s", option->letter, option->name ? "|" : "");
	if (option->name)
		fprintf(out, "--%s", option->name);
	fputs(") ", out);
	if (kind == CREW__COMPLETE_FILE)
		fputs("_files", out);
	else if (kind == CREW__COMPLETE_DIRECTORY)
		fputs("_files -/", out);
	else if (kind == CREW__COMPLETE_NOTHING)
		fprintf(out, "_message '%s'", option->value);
	else
		print_words(completion, kind);
	fputs("; return ;;\n", out);
}

static void print_command(const struct crew__completion *completion, enum crew__command command)
{
	const struct crew__command_entry *entry = &crew__command_table[command];
	enum crew__completion_kind kind = crew__completion_of_command(command);
	const struct crew__option *option;
	FILE *out = completion->out;
	fprintf(out, "\t(%s)\n\t\toptions+=(", entry->name);
	for (size_t i = 0; (option = crew__command_option(entry, i)); i++)
		print_option(out, option);
	fputs(" )\n\t\t[[ $words[CURRENT] == -* ]] || ", out);
	if (kind != CREW__COMPLETE_NOTHING)
		print_words(completion, kind);
	else
		fprintf(out, "_message '%s'", entry->argument ? entry->argument : "nothing more");
	fputs(" ;;\n", out);
}

void crew__completion_zsh(const struct crew__completion *completion)
{
	FILE *out = completion->out;
	fprintf(out,
		"#compdef %s\n"
		"# Completion of %s for zsh: put this file as _%s into a directory of fpath, or\n"
		"# read it behind compinit by\n"
		"#   source <(%s completion zsh)\n"
		"_crew_%s()\n{\n"
		"\tlocal command='' i\n"
		"\tlocal -a options commands\n"
		"\tfor ((i = 2; i < CURRENT; i++)); do\n"
		"\t\tcase $words[i] in\n\t\t(",
		completion->name, completion->name, completion->name, completion->name,
		completion->function);
	crew__completion_valued(completion, "|");
	fputs(") ((i++)) ;;\n"
	      "\t\t(-*) ;;\n"
	      "\t\t(*) command=$words[i]; break ;;\n"
	      "\t\tesac\n"
	      "\tdone\n"
	      "\tcase $words[CURRENT-1] in\n",
		out);
	crew__completion_each_option(completion, print_value);
	fputs("\tesac\n\toptions=(", out);
	crew__completion_each_option(completion, print_common);
	fputs(" )\n\tcommands=(", out);
	for (enum crew__command c = CREW__COMMAND_START; c < CREW__COMMANDS; c++)
		print_item(out, crew__command_table[c].name, crew__command_table[c].sentence);
	fputs(" )\n\tcase $command in\n"
	      "\t('') [[ $words[CURRENT] == -* ]] || _describe command commands ;;\n",
		out);
	for (enum crew__command c = CREW__COMMAND_START; c < CREW__COMMANDS; c++)
		print_command(completion, c);
	fprintf(out,
		"\tesac\n"
		"\t[[ $words[CURRENT] != -* ]] || _describe option options\n"
		"}\n"
		"if [[ $funcstack[1] == _%s ]]; then\n\t_crew_%s \"$@\"\nelse\n"
		"\tcompdef _crew_%s %s\nfi\n",
		completion->name, completion->function, completion->function, completion->name);
}
