/* title.h - what `ps` calls this process. */
#ifndef CREW_PROC_TITLE_H
#define CREW_PROC_TITLE_H

#include "base/base.h"

/* Remember main()'s argument area. Before it, copy what is to survive: the strings of `argv` are
 * overwritten by crew__title_set, and `room`, if it follows them (a whole NAME=VALUE of the
 * environment that nobody else reads; NULL: none). Nothing happens the second time. */
void crew__title_init(int argc, char **argv, char *room);

/* Set the title; what is too long is cut. */
void crew__title_set(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
