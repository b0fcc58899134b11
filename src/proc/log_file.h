/* log_file.h - where the log goes: a file that can be opened again, or standard error. */
#ifndef CREW_PROC_LOG_FILE_H
#define CREW_PROC_LOG_FILE_H

#include "service/settings.h"

struct crew__log_file {
	char *path; /* NULL: standard error */
	int fd;     /* owned when there is a path */
};

/* What settings and mode say: `log`, or RUNDIR/NAME.log of a daemon, or standard error. Becomes the
 * log of this process under `tag`. */
int crew__log_file_open(struct crew__log_file *file, const struct crew__settings *settings,
	bool daemon, const char *tag, char *ret_error, size_t error_size);
/* Open the path again after somebody moved the file away; the old one stays in use on failure. */
int crew__log_file_reopen(struct crew__log_file *file, crew_level level, const char *tag);
/* Later lines go to standard error. */
void crew__log_file_close(struct crew__log_file *file);

/* Let standard output and error, where they were the old log, be the new one. */
void crew__log_file_follow(int old_fd, int new_fd);

#endif
