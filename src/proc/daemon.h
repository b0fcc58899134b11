/* daemon.h - going to the background, and telling the foreground how it went.
 *
 * The process that was called waits until the daemon reports: then it prints what it is told and
 * returns the daemon's exit status. In the foreground a report is printed at once. */
#ifndef CREW_PROC_DAEMON_H
#define CREW_PROC_DAEMON_H

#include "proc/inherited.h"
#include "proc/notify.h"

struct crew__report {
	int fd; /* to the waiting process; -1: none, print here */
	bool done;
};

/* See to it that descriptors 0 to 2 are open, so that no file of ours gets their numbers. */
void crew__standard_fds_open(void);

/* Fork. In the daemon: -1, and `ret_report` leads to the waiting process. In the latter: the exit
 * status to return, after the report has come and was printed; `inherited` is closed there, so that
 * the daemon alone has it, and the service manager hears first of all which process is the main one
 * now, because from this one it takes what another says. In the foreground, on a failure to fork:
 * 1, with a line printed. */
int crew__daemon_begin(const char *name, struct crew__inherited *inherited,
	struct crew__notify *notify, struct crew__report *ret_report);
/* Standard input from nowhere, output and errors into the log; -1: nowhere. */
int crew__daemon_detach(int log_fd);

/* A text as it is to be printed: on standard output when the status is 0, else on standard error.
 * Only the first report of a process counts. */
void crew__report(struct crew__report *report, int exit_status, const char *text);

#endif
