/* log_file.h - where the log goes: a file that can be opened again, standard error, syslog or the
 * journal.
 *
 * The master opens it; workers get its descriptor and know by looking at it what it is
 * (base/log_out.h). Standard error that is a stream to the journal becomes the journal itself, so
 * that lines keep their fields. */
#ifndef CREW_PROC_LOG_FILE_H
#define CREW_PROC_LOG_FILE_H

#include "service/settings.h"

#include <jansson.h>

struct crew__log_file {
	char *path;    /* of a file; NULL: any other place */
	int fd;        /* owned, unless it is standard error itself */
	bool standard; /* it is standard error, or what stands for that */
	bool refused;  /* the last attempt to begin a new file failed, which has been told */
};

/* What settings and mode say: `log`, or RUNDIR/NAME.log of a daemon, or standard error. Becomes the
 * log of this process; `role` is "master" or "single". */
int crew__log_file_open(struct crew__log_file *file, const struct crew__settings *settings,
	bool daemon, const char *role, char *ret_error, size_t error_size);
/* The log of this process, in the form that settings say. */
void crew__log_file_use(
	const struct crew__log_file *file, const struct crew__settings *settings, const char *role);
/* The same for a worker, which has only the descriptor: its place and form, without a name. */
struct crew__log_plan crew__log_plan_of(const struct crew__settings *settings, int fd);
/* Open the path again after somebody moved the file away; the old one stays in use on failure. */
int crew__log_file_reopen(struct crew__log_file *file);
/* A file that has grown to `size` (0: it may) becomes PATH.1, that PATH.2, up to PATH.`keep`; one
 * that is no longer at its path is opened anew. True: there is a new file, in use here. */
bool crew__log_file_look(struct crew__log_file *file, int64_t size, int64_t keep);
/* Later lines go to standard error. */
void crew__log_file_close(struct crew__log_file *file);

/* To append to, as every log is opened: a new file is for its owner and group. A negative errno. */
int crew__log_open_path(const char *path);
/* That is the file from now on; the old one is closed. */
void crew__log_file_take(struct crew__log_file *file, int take_fd);

/* What standard output and error of a daemon become: the log where bytes of any kind may be written
 * to it, else -1: nothing. */
int crew__log_file_for_output(const struct crew__log_file *file);
/* Let standard output and error, where they were the old log, be the new one. */
void crew__log_file_follow(int old_fd, int new_fd);

/* For a successor by exec: members "fd" and "path". What is not there, or is no open descriptor,
 * leaves standard error in use. */
void crew__log_file_save(const struct crew__log_file *file, json_t *into);
void crew__log_file_restore(struct crew__log_file *file, const json_t *from);

#endif
