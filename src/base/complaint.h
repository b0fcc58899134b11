/* complaint.h - what is wrong with something that was given: a sentence into the caller's room. */
#ifndef CREW_BASE_COMPLAINT_H
#define CREW_BASE_COMPLAINT_H

#include "base/base.h"

/* Where the sentence goes; borrowed. */
struct crew__complaint {
	char *text;
	size_t size;
};

/* Write it; returns `error`, so that whoever refuses says why in one go. What was given may be
 * repeated in it: control bytes are replaced, it stays one line. */
int crew__complain(const struct crew__complaint *complaint, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
