/* takeover.h - the listening sockets of a running program, for the one that is started in its
 * place.
 *
 * The running one goes on as if nothing had been asked, until it is told to stop in the same
 * conversation: then it leaves the sockets, and the files of Unix sockets, to whoever has them. */
#ifndef CREW_PROC_TAKEOVER_H
#define CREW_PROC_TAKEOVER_H

#include "proc/inherited.h"
#include "service/settings.h"

/* Ask for copies of all. 0, and `ret_talk` is the conversation, the caller's to close; or a
 * negative errno with a sentence that says why there are none. */
int crew__takeover(const struct crew__settings *settings, struct crew__inherited *inherited,
	int *ret_talk, char *ret_error, size_t error_size);

#endif
