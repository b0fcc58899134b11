/* completion.c - what there is to complete, whatever the shell. */
#include "cli/completion.h"

#include "net/verdict.h"
#include "service/settings.h"

#include <ctype.h>
#include <string.h>

/* ---- kinds --------------------------------------------------------------------------------- */

enum crew__completion_kind crew__completion_of_option(const struct crew__option *option)
{
	static const struct {
		const char *value;
		enum crew__completion_kind kind;
	} kinds[] = {
		{ "FILE", CREW__COMPLETE_FILE },
		{ "DIR", CREW__COMPLETE_DIRECTORY },
		{ "SECTION.KEY=VALUE", CREW__COMPLETE_KEY },
		{ "V", CREW__COMPLETE_VERDICT },
	};
	for (size_t i = 0; option->value && i < crew__lengthof(kinds); i++)
		if (strcmp(option->value, kinds[i].value) == 0)
			return kinds[i].kind;
	return CREW__COMPLETE_NOTHING;
}

enum crew__completion_kind crew__completion_of_command(enum crew__command command)
{
	switch (command) {
	case CREW__COMMAND_SET:
		return CREW__COMPLETE_LIVE_KEY;
	case CREW__COMMAND_COMPLETION:
		return CREW__COMPLETE_SHELL;
	case CREW__COMMAND_HELP:
		return CREW__COMPLETE_TOPIC;
	default:
		return CREW__COMPLETE_NOTHING;
	}
}

/* ---- words --------------------------------------------------------------------------------- */

static void print_key(
	FILE *out, const char *section, const struct crew__setting_row *row, const char **between)
{
	fprintf(out, "%s%s.%s=", *between, section, row->key);
	*between = " ";
}

static void print_keys(const struct crew__completion *completion, bool live)
{
	size_t count;
	const struct crew__setting_row *rows = crew__settings_table(&count);
	const crew_service *const *services = completion->app->services;
	const char *between = "";
	for (size_t i = 0; i < count; i++) {
		bool service = strcmp(rows[i].section, "service") == 0;
		if (live && !crew__setting_is_live(service, rows[i].key))
			continue;
		if (!service)
			print_key(completion->out, rows[i].section, &rows[i], &between);
		for (size_t k = 0; service && k < CREW_MAX_SERVICES && services[k]; k++)
			if (services[k]->name)
				print_key(completion->out, services[k]->name, &rows[i], &between);
	}
}

static void print_verdicts(FILE *out)
{
	for (int i = CREW_VERDICT_NONE + 1; i < CREW_VERDICTS; i++)
		fprintf(out, "%s%s", i > CREW_VERDICT_NONE + 1 ? " " : "",
			crew_verdict_name((crew_verdict)i));
}

void crew__completion_words(
	const struct crew__completion *completion, enum crew__completion_kind kind)
{
	switch (kind) {
	case CREW__COMPLETE_KEY:
	case CREW__COMPLETE_LIVE_KEY:
		print_keys(completion, kind == CREW__COMPLETE_LIVE_KEY);
		break;
	case CREW__COMPLETE_SHELL:
		fputs("bash zsh fish", completion->out);
		break;
	case CREW__COMPLETE_TOPIC:
		for (size_t i = CREW__COMMAND_START; i < CREW__COMMANDS; i++)
			fprintf(completion->out, "%s ", crew__command_table[i].name);
		fputs("settings", completion->out);
		break;
	case CREW__COMPLETE_VERDICT:
		print_verdicts(completion->out);
		break;
	default:
		break;
	}
}

/* ---- options ------------------------------------------------------------------------------- */

void crew__completion_each_option(const struct crew__completion *completion,
	void (*fn)(const struct crew__completion *completion, enum crew__command command,
		const struct crew__option *option))
{
	const struct crew__option *option;
	for (size_t i = 0; i < CREW__COMMON_OPTIONS; i++)
		fn(completion, CREW__COMMAND_NONE, &crew__common_options[i]);
	for (enum crew__command c = CREW__COMMAND_START; c < CREW__COMMANDS; c++)
		for (size_t i = 0; (option = crew__command_option(&crew__command_table[c], i)); i++)
			fn(completion, c, option);
}

/* Several commands may have one of that name. */
static bool was_before(enum crew__command command, const struct crew__option *option)
{
	const struct crew__option *other;
	for (enum crew__command c = CREW__COMMAND_START; c < command; c++)
		for (size_t i = 0; (other = crew__command_option(&crew__command_table[c], i)); i++)
			if (other->letter == option->letter && option->name && other->name &&
				strcmp(other->name, option->name) == 0)
				return true;
	return false;
}

static void print_forms(FILE *out, const struct crew__option *option, const char *between)
{
	if (option->letter)
		fprintf(out, "-%c%s", option->letter, option->name ? between : "");
	if (option->name)
		fprintf(out, "--%s", option->name);
}

void crew__completion_valued(const struct crew__completion *completion, const char *between)
{
	const struct crew__option *option;
	const char *before = "";
	for (size_t i = 0; i < CREW__COMMON_OPTIONS; i++) {
		if (!crew__common_options[i].value)
			continue;
		fputs(before, completion->out);
		print_forms(completion->out, &crew__common_options[i], between);
		before = between;
	}
	for (enum crew__command c = CREW__COMMAND_START; c < CREW__COMMANDS; c++)
		for (size_t i = 0; (option = crew__command_option(&crew__command_table[c], i));
			i++) {
			if (!option->value || was_before(c, option))
				continue;
			fputs(before, completion->out);
			print_forms(completion->out, option, between);
		}
}

/* ---- a script ------------------------------------------------------------------------------ */

static void name_function(struct crew__completion *completion)
{
	size_t i = 0;
	for (; i < sizeof(completion->function) - 1 && completion->name[i]; i++) {
		char byte = completion->name[i];
		completion->function[i] = isalnum((unsigned char)byte) ? byte : '_';
	}
	completion->function[i] = '\0';
}

int crew__completion_print(FILE *out, const crew_app *app, const char *program, const char *shell)
{
	static const struct {
		const char *shell;
		void (*print)(const struct crew__completion *completion);
	} shells[] = { { "bash", crew__completion_bash }, { "zsh", crew__completion_zsh },
		{ "fish", crew__completion_fish } };
	const char *slash = strrchr(program, '/');
	struct crew__completion completion = {
		.out = out,
		.app = app,
		.name = slash ? slash + 1 : program,
	};
	name_function(&completion);
	for (size_t i = 0; i < crew__lengthof(shells); i++) {
		if (strcmp(shells[i].shell, shell) != 0)
			continue;
		shells[i].print(&completion);
		return 0;
	}
	return -EINVAL;
}
