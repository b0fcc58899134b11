/* line.h - the two simplest protocols: `text` (lines) and `frame` (a length before each body).
 *
 * text   a message ends with LF; one CR before it is taken away; sent with LF appended.
 * frame  4 bytes in network order, the length of the whole frame with themselves, then the body;
 *        a length below 4 is an error. As Workerman's Frame. */
#ifndef CREW_PROTO_LINE_H
#define CREW_PROTO_LINE_H

#include "base/base.h"

/* Both: how many bytes the first message takes in `in` (0: not all there yet), or -EPROTO, or
 * -EMSGSIZE when its body is, or is bound to be, longer than `max_message`. The body is lent in
 * `ret_body`. `scanned` (zero at first, the caller's to keep until a message is out) remembers how
 * far the text was looked through, so that a byte is looked at once. */
int64_t crew__text_cut(crew_bytes in, size_t max_message, uint32_t *scanned, crew_bytes *ret_body);
int64_t crew__frame_cut(crew_bytes in, size_t max_message, crew_bytes *ret_body);

#endif
