/* form.h - `a=1&b=2`: application/x-www-form-urlencoded, which queries are too.
 *
 * Read as the URL standard says (https://url.spec.whatwg.org/#urlencoded-parsing), because that is
 * what browsers write: pairs are cut at `&` (not at `;`), a `+` is a space, `%XX` a byte, and there
 * is no such thing as an error: a `%` without two hex digits stands for itself. Bytes are given as
 * they are, whatever their charset, and may be NUL. */
#ifndef CREW_WEB_FORM_H
#define CREW_WEB_FORM_H

#include "base/arena.h"

enum {
	CREW__FORM_PAIRS_MOST = 16 * 1024, /* more than a head of the usual 16 KiB can hold */
};

/* All pairs, in order; empty ones are left out. What needs no decoding is a view into `text`. 0,
 * -ENOMEM (or the arena's limit), -E2BIG for too many pairs. */
int crew__form_read(crew_bytes text, struct crew__arena *arena, const crew_header **ret_items,
	size_t *ret_count);

#endif
