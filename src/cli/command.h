/* command.h - what can be typed: commands, their options, and what each of them means.
 *
 * One table in command_table.c says it all; parsing, `help`, `help COMMAND` and every message about
 * a mistyped word are made from it. Nothing is done here: main.c does what a parsed line says. */
#ifndef CREW_CLI_COMMAND_H
#define CREW_CLI_COMMAND_H

#include "base/base.h"

#include <stdio.h>

enum crew__exit_status {
	CREW__DONE = 0,
	CREW__FAILED = 1,
	CREW__USAGE = 2,
	CREW__NOT_RUNNING = 3,
};

enum crew__command {
	CREW__COMMAND_NONE, /* nothing was typed */
	CREW__COMMAND_START,
	CREW__COMMAND_STOP,
	CREW__COMMAND_RESTART,
	CREW__COMMAND_RELOAD,
	CREW__COMMAND_STATUS,
	CREW__COMMAND_CONNECTIONS,
	CREW__COMMAND_TOP,
	CREW__COMMAND_EXPLAIN,
	CREW__COMMAND_KICK,
	CREW__COMMAND_SET,
	CREW__COMMAND_EVENTS,
	CREW__COMMAND_CONFIGTEST,
	CREW__COMMAND_SYSTEMD_UNIT,
	CREW__COMMAND_COMPLETION,
	CREW__COMMAND_VERSION,
	CREW__COMMAND_HELP,
	CREW__COMMANDS
};

/* A command line, parsed. The strings are argv's. */
struct crew__command_line {
	enum crew__command command;
	const char *config;   /* -c; NULL: not given */
	const char *run_dir;  /* --run-dir */
	const char *sort;     /* --sort */
	const char *topic;    /* what `help` was asked about: a command, or "settings"; NULL: all */
	const char *argument; /* what the command is about: a connection, SERVICE.KEY=VALUE; NULL:
				 not given */
	const char *verdict;  /* kick --verdict */
	const char *systemd_version; /* systemd-unit --systemd-version */
	const char **sets;           /* --set, in their order; owned */
	size_t set_count;
	bool quiet;    /* -q */
	bool daemon;   /* start -d, restart -d */
	bool watch;    /* status -d */
	bool closed;   /* connections --closed */
	bool follow;   /* events -f */
	bool graceful; /* -g */
	bool single;   /* --single */
	bool on_change; /* start --watch */
	bool no_wait;  /* --no-wait */
	bool socket;   /* systemd-unit --socket */
	bool json;     /* --json */
	bool help;     /* -h: as `help COMMAND` */
	bool version;  /* --version: as `version` */
};

/* 0, -ENOMEM, or -EINVAL with one line in `ret_error` that says what is wrong and what was meant.
 * crew__command_line_fini is needed only after 0. */
int crew__command_parse(int argc, char **argv, struct crew__command_line *ret_line, char *ret_error,
	size_t error_size);
void crew__command_line_fini(struct crew__command_line *line);

/* "status"; never NULL. */
const char *crew__command_name(enum crew__command command);

/* All commands and the options that every one of them takes. */
void crew__command_help_all(FILE *out, const char *program);
/* One command: its usage, its sentence, its options. */
void crew__command_help_one(FILE *out, const char *program, enum crew__command command);

/* The command of that name; CREW__COMMAND_NONE when there is none. */
enum crew__command crew__command_find(const char *name);

#endif
