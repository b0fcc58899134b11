/* utf8.h - UTF-8 validation in pieces (RFC 3629): fast where the bytes are ASCII. */
#ifndef CREW_BASE_UTF8_H
#define CREW_BASE_UTF8_H

#include "base/base.h"

enum { CREW__UTF8_START = 0 };

/* Go on from `*state` (CREW__UTF8_START at first). False at the first byte with which no valid text
 * can go on; then the state is of no use. At the end of a text the state must be CREW__UTF8_START. */
bool crew__utf8_feed(uint32_t *state, const char *data, size_t len);

/* The whole of `bytes` is valid. */
bool crew__utf8_valid(crew_bytes bytes);

#endif
