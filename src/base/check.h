/* check.h - assertions that stay on in production.
 *
 * They guard what only a bug in crew (or a stray pointer of the program) can break; nothing that a
 * peer, a file or an operator does may reach one. The panic names the place and the sentence, goes
 * to standard error and to where the master finds the worker's last words, and aborts. */
#ifndef CREW_BASE_CHECK_H
#define CREW_BASE_CHECK_H

#include "base/base.h"

/* Leave the sentence of a panic here as well, in memory that outlives the process. NULL: nowhere. */
void crew__panic_into(char *text, size_t size);

_Noreturn void crew__panic(const char *file, int line, const char *kind, const char *what);

/* The sentence must hold. */
#define crew__must(cond)                                                         \
	do {                                                                     \
		if (crew__unlikely(!(cond)))                                     \
			crew__panic(__FILE__, __LINE__, "must hold", #cond);     \
	} while (0)

/* This place cannot be reached. */
#define crew__cannot(what) crew__panic(__FILE__, __LINE__, "cannot happen", what)

#endif
