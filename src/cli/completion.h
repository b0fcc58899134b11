/* completion.h - what a shell has to know to complete a program's command lines: made from the
 * table of commands, the program's services and the table of settings. */
#ifndef CREW_CLI_COMPLETION_H
#define CREW_CLI_COMPLETION_H

#include "cli/command_table.h"

/* The script for "bash", "zsh" or "fish"; `program` is what is typed, of which the part behind the
 * last slash counts. 0; -EINVAL: there is none for that shell. */
int crew__completion_print(FILE *out, const crew_app *app, const char *program, const char *shell);

/* ---- for the shells ---- */

struct crew__completion {
	FILE *out;
	const crew_app *app;
	const char *name;  /* of the program */
	char function[64]; /* its name as part of a shell function's */
};

void crew__completion_bash(const struct crew__completion *completion);
void crew__completion_zsh(const struct crew__completion *completion);
void crew__completion_fish(const struct crew__completion *completion);

/* What the value of an option, or the word of a command, can be. */
enum crew__completion_kind {
	CREW__COMPLETE_NOTHING, /* nobody can know */
	CREW__COMPLETE_FILE,
	CREW__COMPLETE_DIRECTORY,
	CREW__COMPLETE_KEY,      /* SECTION.KEY= */
	CREW__COMPLETE_LIVE_KEY, /* of those that change while it runs */
	CREW__COMPLETE_SHELL,
	CREW__COMPLETE_TOPIC,   /* of help: a command, or "settings" */
	CREW__COMPLETE_VERDICT, /* "reader-stalled" */
};
enum crew__completion_kind crew__completion_of_option(const struct crew__option *option);
enum crew__completion_kind crew__completion_of_command(enum crew__command command);
/* The words that there are, with blanks between; none for files and directories. */
void crew__completion_words(
	const struct crew__completion *completion, enum crew__completion_kind kind);

/* All options that take a value, in the forms that are typed, each with `between` behind it but the
 * last. */
void crew__completion_valued(const struct crew__completion *completion, const char *between);
/* Call `fn` for each option of every command, and each one's own: `command` is NONE for the former.
 */
void crew__completion_each_option(const struct crew__completion *completion,
	void (*fn)(const struct crew__completion *completion, enum crew__command command,
		const struct crew__option *option));

#endif
