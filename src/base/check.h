/* check.h - assertions that stay on in production.
 *
 * They guard what only a bug in crew (or a stray pointer of the program) can break; nothing that a
 * peer, a file or an operator does may reach one. The panic names the place and the sentence, goes
 * to standard error, which the master keeps as the worker's last words, and aborts. */
#ifndef CREW_BASE_CHECK_H
#define CREW_BASE_CHECK_H

#include "base/base.h"

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
