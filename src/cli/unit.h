/* unit.h - the unit files that `systemd-unit` prints: a service that is locked in as far as its
 * settings allow, and the sockets that systemd may open for it.
 *
 * Only what the version asked for knows appears in them, so that `systemd-analyze verify` has
 * nothing to say. Who is root, which ports are low and what is written where are taken from the
 * settings. */
#ifndef CREW_CLI_UNIT_H
#define CREW_CLI_UNIT_H

#include "service/settings.h"

#include <stdio.h>

enum {
	CREW__SYSTEMD_OLDEST = 232,   /* no file that is safe can be made for older ones */
	CREW__SYSTEMD_CAUTIOUS = 239, /* when there is none here to ask */
	CREW__SYSTEMD_NOTIFY_RELOAD = 253
};

struct crew__unit_plan {
	const struct crew__settings *settings;
	const char *program; /* absolute */
	const char *config;  /* absolute; NULL: none */
	const char *run_dir; /* absolute */
	const char *const *sets;
	size_t set_count;
	unsigned version; /* of systemd */
};

/* What `systemd-unit` was asked for. */
struct crew__unit_request {
	const struct crew__settings *settings;
	const struct crew__settings_source *source; /* where they came from */
	const char *version;                        /* --systemd-version; NULL: the installed one */
	bool socket;                                /* --socket */
};
/* Print it; the exit status, with a line on standard error when it is not 0. */
int crew__unit_print(const struct crew__unit_request *request);

/* 0, or -EINVAL with a sentence: the settings say something that no unit file can. */
int crew__unit_service(
	FILE *out, const struct crew__unit_plan *plan, char *ret_error, size_t error_size);
int crew__unit_socket(
	FILE *out, const struct crew__unit_plan *plan, char *ret_error, size_t error_size);

/* The number in what `systemctl --version` prints; 0: there is none. */
unsigned crew__unit_version(const char *text);

/* ---- words of a unit file (unit_words.c) ---- */

/* Can it stand in one: is it UTF-8 without control characters? */
bool crew__unit_sayable(const char *word);
/* A word of a list of words, quoted where needed. `command`: it is an argument in an Exec line,
 * where a dollar sign means something. */
void crew__unit_word(FILE *out, const char *word, bool command);
/* The same where the whole rest of the line is the value. */
void crew__unit_text(FILE *out, const char *text);

/* ---- what the program reaches (unit_reach.c) ---- */

enum {
	CREW__REACH_MOST = 256
};
struct crew__reach {
	bool tmp;  /* something is in /tmp or /var/tmp that others are to see */
	bool home; /* something is where people live */
	size_t writes;
	const char *written[CREW__REACH_MOST]; /* directories, none below another; owned */
};
int crew__reach_find(const struct crew__unit_plan *plan, struct crew__reach *ret_reach);
void crew__reach_free(struct crew__reach *reach);

#endif
