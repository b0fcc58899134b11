/* cookie.h - the Cookie field read, the Set-Cookie field written (RFC 6265).
 *
 * Reading takes what browsers send, scripts' cookies and other servers' among it; writing is
 * strict, because a browser drops a bad cookie without a word. */
#ifndef CREW_WEB_COOKIE_H
#define CREW_WEB_COOKIE_H

#include "base/arena.h"

enum {
	CREW__COOKIE_MOST = 4096,           /* of name and value: browsers take no longer ones */
	CREW__COOKIE_ATTRIBUTE_MOST = 1024, /* of each attribute's value, likewise */
	CREW__COOKIE_TEXT_MOST = 8 * 1024,  /* so that this holds any cookie that is written */
};

/* Add the pairs of one Cookie field behind `*count` others in `*items` (of `*capacity`). Names are
 * compared as they are, never decoded or trimmed of more than spaces and tabs, so that no other
 * name passes for one with a prefix like `__Host-`. Values lose a pair of quotes around them and
 * are percent-decoded, which is what crew__cookie_write does to them; one with a bad escape is not
 * ours and stays as it is. What has no `=` or no name is left out. 0 or -ENOMEM (or the arena's
 * limit). */
int crew__cookie_read(crew_bytes field, struct crew__arena *arena, crew_header **items,
	size_t *count, size_t *capacity);

/* The field's value into `room`: its length. -EINVAL: the name is no token, path or domain could
 * not be one, SameSite=None without Secure, or the rules of the name's prefix (`__Secure-`,
 * `__Host-`) are broken. -EMSGSIZE: no browser would take it, or it is longer than `size`. */
int crew__cookie_write(const crew_cookie *cookie, char *room, size_t size);

#endif
