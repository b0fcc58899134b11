/* nearest.h - which known name did they mean? For messages about commands, options and settings. */
#ifndef CREW_BASE_NEAREST_H
#define CREW_BASE_NEAREST_H

#include "base/base.h"

/* How many letters must be put in, taken out, changed or exchanged with their neighbour to make one
 * word of the other. Words longer than 63 letters are never near: SIZE_MAX. */
size_t crew__edit_distance(const char *a, const char *b);

/* True when `name` is nearer to `word` than `*best` (begin with SIZE_MAX), which it then becomes.
 * What is too far to be meant is never near; a name that begins with `word` always is. */
bool crew__nearer(const char *word, const char *name, size_t *best);

#endif
