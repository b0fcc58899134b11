/* command_table.h - the shape of the table of commands: for its parser and its help alone. */
#ifndef CREW_CLI_COMMAND_TABLE_H
#define CREW_CLI_COMMAND_TABLE_H

#include "cli/command.h"

enum {
	CREW__OPTIONS_MAX = 8,
	CREW__FORM_MAX = 40
};

enum crew__option_kind {
	CREW__OPTION_FLAG,
	CREW__OPTION_VALUE,
	CREW__OPTION_LIST
};

struct crew__option {
	char letter;       /* 0: none */
	const char *name;  /* without its dashes; NULL: none */
	const char *value; /* what help calls its value; NULL: a flag */
	enum crew__option_kind kind;
	size_t member; /* of struct crew__command_line */
	const char *sentence;
};

struct crew__command_entry {
	const char *name;
	const char *sentence;
	const char *argument; /* what help calls the word it takes; NULL: it takes none */
	bool argument_optional;
	struct crew__option
		options[CREW__OPTIONS_MAX]; /* ends at the first without letter and name */
};

/* What every command takes. */
enum {
	CREW__COMMON_OPTIONS = 6
};
extern const struct crew__option crew__common_options[CREW__COMMON_OPTIONS];
extern const struct crew__command_entry crew__command_table[CREW__COMMANDS];

/* The command's own options one after the other; NULL after the last. */
const struct crew__option *crew__command_option(
	const struct crew__command_entry *command, size_t index);

#endif
