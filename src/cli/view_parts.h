/* view_parts.h - what all commands that look have in common; for their files alone. */
#ifndef CREW_CLI_VIEW_PARTS_H
#define CREW_CLI_VIEW_PARTS_H

#include "cli/connections.h"
#include "cli/view.h"

#include <signal.h>

enum {
	CREW__VIEW_LINE_MAX = 512
};

/* One line to standard error; returns `exit_status`. */
int crew__view_complain(const struct crew__view *view, const char *text, int exit_status);
/* -ESRCH is CREW__NOT_RUNNING, all else CREW__FAILED. */
int crew__view_exit_status(int error);
/* An exit status that is told of when it is not CREW__DONE. */
int crew__view_attach(const struct crew__view *view, struct crew__attached *ret_attached);
/* What was printed has arrived, or say why not; `error` is that of the printing. */
int crew__view_finish(const struct crew__view *view, int error);
/* Standard output is written screen by screen. */
void crew__view_buffer(void);
/* True when one of the blocked `signals` came before `due_ns`. */
bool crew__view_wait(uint64_t due_ns, const sigset_t *signals);
/* Block SIGINT and SIGTERM, so that crew__view_wait takes them. */
void crew__view_block(sigset_t *ret_signals, sigset_t *ret_old);
/* `view->sort` is no key of `what`. */
int crew__view_unknown_key(const struct crew__view *view, const char *what, const char *nearest);

#endif
