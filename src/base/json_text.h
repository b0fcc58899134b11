/* json_text.h - any bytes as they stand inside a JSON string, for those who write a line
 * themselves.
 *
 * What comes out is valid UTF-8 of printable characters: no byte of a stranger's breaks a line,
 * ends the string or commands a terminal. Bytes that are no UTF-8 become U+FFFD. */
#ifndef CREW_BASE_JSON_TEXT_H
#define CREW_BASE_JSON_TEXT_H

#include "base/base.h"

enum {
	CREW__JSON_CHARACTER_MAX = 6
};

/* The character that begins at `text.data[i]` (below text.len): its length in `ret_text`.
 * `*ret_taken` bytes of the text make it. */
size_t crew__json_character(
	crew_bytes text, size_t i, char ret_text[CREW__JSON_CHARACTER_MAX], size_t *ret_taken);

/* The whole text, as far as it fits into `size` bytes; characters are never cut. The length. */
size_t crew__json_text(crew_bytes text, char *to, size_t size);

#endif
