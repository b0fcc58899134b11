/* command.c - the parser that walks the table of commands.
 *
 * Options may stand before or after the command, so a line is read in two passes: the first finds
 * the command, knowing of each option only whether a value follows it (the same for all commands
 * that know an option of that spelling; a test checks the table for it); the second takes the
 * options as that command understands them. */
#include "cli/command.h"

#include "base/nearest.h"
#include "cli/command_table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ---- words --------------------------------------------------------------------------------- */

static int fail(char *error, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(char *error, size_t size, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(error, size, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

static bool is_option(const struct crew__option *option, char letter, const char *name, size_t len)
{
	if (letter)
		return option->letter == letter;
	return option->name && strlen(option->name) == len && !memcmp(option->name, name, len);
}

/* By letter, or when that is 0 by the `len` bytes of `name`; common ones and the command's. */
static const struct crew__option *find_option(
	const struct crew__command_entry *command, char letter, const char *name, size_t len)
{
	for (size_t i = 0; i < CREW__COMMON_OPTIONS; i++)
		if (is_option(&crew__common_options[i], letter, name, len))
			return &crew__common_options[i];
	const struct crew__option *option;
	for (size_t i = 0; (option = crew__command_option(command, i)); i++)
		if (is_option(option, letter, name, len))
			return option;
	return NULL;
}

/* As any command understands it. */
static const struct crew__option *find_anywhere(char letter, const char *name, size_t len)
{
	const struct crew__option *option = NULL;
	for (size_t i = CREW__COMMAND_START; !option && i < CREW__COMMANDS; i++)
		option = find_option(&crew__command_table[i], letter, name, len);
	return option;
}

/* ---- reading ------------------------------------------------------------------------------- */

/* One option as it stands in argv. A cluster of letters ("-dg") gives one after the other. */
struct token {
	char letter;               /* 0: a long one */
	const char *name;          /* long: its beginning */
	size_t len;                /* long: its length */
	const char *value;         /* attached, or the next argument; NULL: none */
	char form[CREW__FORM_MAX]; /* as it was typed, for messages */
};

struct reader {
	int argc;
	char **argv;
	int next;            /* the argument to look at */
	const char *cluster; /* letters of the present one that are left */
	bool words_only;     /* "--" was seen */
	char *error;
	size_t error_size;
};

enum item {
	END,
	WORD,
	OPTION
};

static bool takes_value(const struct token *token)
{
	const struct crew__option *option = find_anywhere(token->letter, token->name, token->len);
	return option && option->kind != CREW__OPTION_FLAG;
}

static int next_argument_as_value(struct reader *r, struct token *token)
{
	if (r->next >= r->argc)
		return fail(r->error, r->error_size, "option '%s' needs a value", token->form);
	token->value = r->argv[r->next++];
	return 0;
}

static int read_letter(struct reader *r, struct token *ret_token)
{
	*ret_token = (struct token){ .letter = *r->cluster++ };
	snprintf(ret_token->form, CREW__FORM_MAX, "-%c", ret_token->letter);
	if (!takes_value(ret_token)) {
		if (!*r->cluster)
			r->cluster = NULL;
		return OPTION;
	}
	const char *attached = r->cluster;
	r->cluster = NULL;
	if (*attached) {
		ret_token->value = attached;
		return OPTION;
	}
	int error = next_argument_as_value(r, ret_token);
	return error ? error : OPTION;
}

static int read_long(struct reader *r, const char *text, struct token *ret_token)
{
	size_t len = strcspn(text, "=");
	*ret_token = (struct token){ .name = text, .len = len };
	snprintf(ret_token->form, CREW__FORM_MAX, "--%.*s", (int)crew__min(len, CREW__FORM_MAX),
		text);
	if (text[len] == '=') {
		ret_token->value = text + len + 1;
		return OPTION;
	}
	if (!takes_value(ret_token))
		return OPTION;
	int error = next_argument_as_value(r, ret_token);
	return error ? error : OPTION;
}

/* The next option or word: an enum item, or -EINVAL. */
static int read_item(struct reader *r, struct token *ret_token, const char **ret_word)
{
	if (r->cluster)
		return read_letter(r, ret_token);
	if (r->next >= r->argc)
		return END;
	const char *text = r->argv[r->next++];
	if (!r->words_only && strcmp(text, "--") == 0) {
		r->words_only = true;
		return read_item(r, ret_token, ret_word);
	}
	if (r->words_only || text[0] != '-' || !text[1]) {
		*ret_word = text;
		return WORD;
	}
	if (text[1] == '-')
		return read_long(r, text + 2, ret_token);
	r->cluster = text + 1;
	return read_letter(r, ret_token);
}

static struct reader reader_of(int argc, char **argv, char *error, size_t size)
{
	return (struct reader){
		.argc = argc, .argv = argv, .next = 1, .error = error, .error_size = size
	};
}

/* ---- what was meant ------------------------------------------------------------------------- */

static int unknown_command(const char *word, const char *program, char *error, size_t size)
{
	const char *meant = NULL;
	size_t best = SIZE_MAX;
	for (size_t i = CREW__COMMAND_START; i < CREW__COMMANDS; i++)
		if (crew__nearer(word, crew__command_table[i].name, &best))
			meant = crew__command_table[i].name;
	if (meant)
		return fail(error, size, "unknown command '%s'; did you mean '%s'? Try '%s help'.",
			word, meant, program);
	return fail(error, size, "unknown command '%s'. Try '%s help'.", word, program);
}

static void consider(
	const struct crew__option *option, const char *word, size_t *best, const char **meant)
{
	if (option->name && crew__nearer(word, option->name, best))
		*meant = option->name;
}

static const char *nearest_option(const struct crew__command_entry *command, const char *word)
{
	const char *meant = NULL;
	size_t best = SIZE_MAX;
	const struct crew__option *option;
	for (size_t i = 0; i < CREW__COMMON_OPTIONS; i++)
		consider(&crew__common_options[i], word, &best, &meant);
	for (size_t i = 0; (option = crew__command_option(command, i)); i++)
		consider(option, word, &best, &meant);
	return meant;
}

static int unknown_option(const struct crew__command_entry *command, const struct token *token,
	const char *program, char *error, size_t size)
{
	const char *space = *command->name ? " " : "";
	bool of_another = find_anywhere(token->letter, token->name, token->len);
	if (of_another && !*command->name)
		return fail(error, size, "option '%s' needs a command. Try '%s help'.", token->form,
			program);
	if (of_another)
		return fail(error, size, "'%s' takes no option '%s'. Try '%s help %s'.",
			command->name, token->form, program, command->name);
	const char *meant = token->letter ? NULL : nearest_option(command, token->form + 2);
	if (meant)
		return fail(error, size,
			"unknown option '%s'; did you mean '--%s'? Try '%s help%s%s'.", token->form,
			meant, program, space, command->name);
	return fail(error, size, "unknown option '%s'. Try '%s help%s%s'.", token->form, program,
		space, command->name);
}

/* ---- taking -------------------------------------------------------------------------------- */

/* SECTION.KEY=VALUE, neither name empty. What they mean is for the settings to say. */
static bool is_assignment(const char *text)
{
	size_t section = strcspn(text, ".=");
	if (section == 0 || text[section] != '.')
		return false;
	const char *key = text + section + 1;
	size_t len = strcspn(key, "=");
	return len > 0 && key[len] == '=';
}

static int take(struct crew__command_line *line, const struct crew__option *option,
	const struct token *token, char *error, size_t size)
{
	char *member = (char *)line + option->member;
	if (option->kind == CREW__OPTION_FLAG) {
		if (token->value)
			return fail(error, size, "option '%s' takes no value", token->form);
		*(bool *)(void *)member = true;
		return 0;
	}
	if (option->kind == CREW__OPTION_VALUE) {
		if (!*token->value)
			return fail(error, size, "option '%s' needs a value", token->form);
		*(const char **)(void *)member = token->value;
		return 0;
	}
	if (!is_assignment(token->value))
		return fail(error, size, "'%s' is not of the form SECTION.KEY=VALUE (option '%s')",
			token->value, token->form);
	line->sets[line->set_count++] = token->value;
	return 0;
}

static int find_command(
	int argc, char **argv, enum crew__command *ret_command, char *error, size_t size)
{
	struct reader r = reader_of(argc, argv, error, size);
	struct token token;
	const char *word = NULL;
	int item;
	do
		item = read_item(&r, &token, &word);
	while (item == OPTION);
	if (item == END)
		*ret_command = CREW__COMMAND_NONE;
	if (item != WORD)
		return item < 0 ? item : 0;
	*ret_command = crew__command_find(word);
	if (*ret_command == CREW__COMMAND_NONE)
		return unknown_command(word, argv[0], error, size);
	return 0;
}

/* A word after the command: what it is about. */
static int take_word(struct crew__command_line *line, const char *word, const char *program,
	char *error, size_t size)
{
	if (crew__command_table[line->command].argument && !line->argument) {
		line->argument = word;
		return 0;
	}
	if (line->command != CREW__COMMAND_HELP || line->topic)
		return fail(error, size, "unexpected argument '%s' after '%s'. Try '%s help %s'.",
			word, crew__command_name(line->command), program,
			crew__command_name(line->command));
	if (strcmp(word, "settings") != 0 && crew__command_find(word) == CREW__COMMAND_NONE)
		return unknown_command(word, program, error, size);
	line->topic = word;
	return 0;
}

static int take_all(
	struct crew__command_line *line, int argc, char **argv, char *error, size_t size)
{
	struct reader r = reader_of(argc, argv, error, size);
	const struct crew__command_entry *command = &crew__command_table[line->command];
	struct token token;
	const char *word;
	bool command_seen = false;
	int item;
	while ((item = read_item(&r, &token, &word)) > END) {
		int result = 0;
		const struct crew__option *option = item == OPTION
							    ? find_option(command, token.letter,
								      token.name, token.len)
							    : NULL;
		if (option)
			result = take(line, option, &token, error, size);
		else if (item == OPTION)
			result = unknown_option(command, &token, argv[0], error, size);
		else if (command_seen)
			result = take_word(line, word, argv[0], error, size);
		else
			command_seen = true;
		if (result)
			return result;
	}
	return item;
}

/* Is what it is about given? Help is given without. */
static int check_argument(
	const struct crew__command_line *line, const char *program, char *error, size_t size)
{
	const struct crew__command_entry *command = &crew__command_table[line->command];
	if (!command->argument || line->argument || line->help || line->version)
		return 0;
	if (command->argument_optional && line->verdict)
		return 0;
	return fail(error, size, "'%s' needs %s. Try '%s help %s'.", command->name,
		command->argument, program, command->name);
}

int crew__command_parse(int argc, char **argv, struct crew__command_line *ret_line, char *ret_error,
	size_t error_size)
{
	struct crew__command_line line = { 0 };
	if (argc < 1)
		return fail(ret_error, error_size, "no program name in argv");
	int error = find_command(argc, argv, &line.command, ret_error, error_size);
	if (error)
		return error;
	line.sets = calloc((size_t)argc, sizeof(*line.sets));
	if (!line.sets) {
		fail(ret_error, error_size, "no memory for the command line");
		return -ENOMEM;
	}
	error = take_all(&line, argc, argv, ret_error, error_size);
	if (!error)
		error = check_argument(&line, argv[0], ret_error, error_size);
	if (error) {
		crew__command_line_fini(&line);
		return error;
	}
	*ret_line = line;
	return 0;
}

void crew__command_line_fini(struct crew__command_line *line)
{
	free(line->sets);
	line->sets = NULL;
	line->set_count = 0;
}
