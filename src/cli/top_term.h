/* top_term.h - the terminal while `top` has it: taken, given back in every case, written to, read.
 *
 * Taken: the other screen, no cursor, no echo, keys as they are pressed; Ctrl+C and Ctrl+Z still
 * make signals. It is given back by crew__terminal_leave, and by a handler when the process is
 * about to die of a fault of its own. One at a time: the handler must know which. */
#ifndef CREW_CLI_TOP_TERM_H
#define CREW_CLI_TOP_TERM_H

#include "base/buf.h"
#include "cli/top_page.h"

#include <termios.h>

enum {
	CREW__TYPED_MAX = 256
};

struct crew__terminal {
	int in, out;
	bool own_out; /* `out` was opened here */
	bool taken;
	bool colours;
	int signals; /* a signalfd; what makes it readable ends a write that waits */
	struct termios before;
	struct crew__page shown; /* what it shows; no cells: anything */
	struct crew__buf frame;
	char typed[CREW__TYPED_MAX]; /* bytes of keys that were not taken yet */
	size_t typed_len;
};

/* Can a screen be shown, and are there keys? */
bool crew__terminal_there(void);

/* `signals` is borrowed. Then crew__terminal_close. 0 or a negative errno. */
int crew__terminal_open(struct crew__terminal *terminal, int signals);
void crew__terminal_close(struct crew__terminal *terminal);

/* Take it, give it back: for the stop and continuation of the process, too. Idempotent. */
int crew__terminal_take(struct crew__terminal *terminal);
void crew__terminal_leave(struct crew__terminal *terminal);

/* In a child that was forked meanwhile: the terminal is not its own. */
void crew__terminal_forget(void);

/* A blank page of the terminal's present size. 0 or -ENOMEM. */
int crew__terminal_page(const struct crew__terminal *terminal, struct crew__page *ret_page);

/* Show a page, which is taken over in every case. -EINTR: a signal waits, and what is shown is
 * unknown now; another negative errno: the terminal has gone. */
int crew__terminal_show(struct crew__terminal *terminal, struct crew__page *take_page);

/* Read what was typed, without waiting. 0; -EIO when the terminal has gone. */
int crew__terminal_read(struct crew__terminal *terminal);
/* The next key of what was read. CREW__KEY_NONE: no whole one; `more` says whether to wait for the
 * rest of one (see crew__top_key). */
int crew__terminal_key(struct crew__terminal *terminal, bool more);

#endif
