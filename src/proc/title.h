/* title.h - what `ps` calls this process. */
#ifndef CREW_PROC_TITLE_H
#define CREW_PROC_TITLE_H

#include "base/base.h"

/* Remember main()'s argument area and move the environment out of it. Before it, copy what is to
 * survive: the strings of `argv` are overwritten by crew__title_set. Without memory titles stay
 * as they are. Nothing happens the second time. */
void crew__title_init(int argc, char **argv);

/* Set the title; what is too long is cut. */
void crew__title_set(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
