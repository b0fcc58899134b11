/* testament.h - what a master leaves to its next image, when it executes itself anew.
 *
 * The last step of a reload: the process stays (its pid, its children, its descriptors), the
 * program in it becomes that of the new generation. All that it knows goes into a memfd as JSON,
 * descriptors as their numbers. First a rehearsal: a child runs the new program with that very
 * text, makes a master of it and ends without doing anything. Only if that succeeds does the master
 * execute itself; otherwise it goes on as it is, with workers of the new generation.
 *
 *   write ──▸ rehearse ──(status 0)──▸ write again, as it is by then ──▸ exec ──▸ crew__run_resumed
 *                │ refused, died, late: the reason is logged, the old image goes on */
#ifndef CREW_PROC_TESTAMENT_H
#define CREW_PROC_TESTAMENT_H

#include "proc/master.h"

#include <jansson.h>

/* The variable that names the memfd: in a process that is its own master it is to go on, in a child
 * of the master to rehearse. */
#define CREW__MASTER_VARIABLE "CREW_MASTER"

enum {
	CREW__TESTAMENT_VERSION = 1,
	CREW__REHEARSAL_MS = 10000,
	CREW__TESTAMENT_FDS = 16384
};

/* Descriptors that are mentioned, to be left open. */
struct crew__bequest {
	size_t count;
	int fds[CREW__TESTAMENT_FDS];
};

/* Write down everything. A memfd, close-on-exec; or a negative errno with a sentence. */
int crew__testament_write(const struct crew__master *master, struct crew__bequest *ret_bequest,
	char *ret_error, size_t error_size);

/* Run the rehearsal: its pid, or a negative errno. */
pid_t crew__testament_rehearse(
	const struct crew__master *master, int testament_fd, const struct crew__bequest *bequest);
/* A rehearsal that succeeded has emptied its testament: an exit status says nothing of a program
 * that ended before it came that far. */
bool crew__testament_rehearsed(int testament_fd);
/* What one that failed wrote into the testament instead. */
void crew__testament_refusal(int testament_fd, char *text, size_t size);

/* Become the next image. Returns only when it cannot: an errno. */
int crew__testament_execute(
	const struct crew__master *master, int testament_fd, const struct crew__bequest *bequest);

/* Restoring (resume.c). False for whatever is missing or makes no sense; then nothing of the
 * process has been changed but what it holds in memory. */
bool crew__testament_restore(struct crew__master *master, struct crew__settings *settings,
	json_t *testament, char *ret_error, size_t error_size);
/* Read one: NULL with a sentence. */
json_t *crew__testament_read(int fd, char *ret_error, size_t error_size);

#endif
