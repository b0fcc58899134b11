/* mime.h - the media type of a file, by what its name ends with.
 *
 * From the system's table (/etc/mime.types: a type and its extensions in each line, `#` begins a
 * comment), read once; a table of our own has what the web needs where the system's lacks it or is
 * not there. Text says that it is UTF-8. */
#ifndef CREW_WEB_MIME_H
#define CREW_WEB_MIME_H

#include "base/base.h"

struct crew__mime;

/* `path` may be NULL or name no file: then it is our own table alone, and so it is for the lines of
 * a file that are none. 0, -ENOMEM, -EFBIG (the file is larger than any such table; nothing is
 * made), or why an existing file cannot be read. */
int crew__mime_new(struct crew__mime **ret_mime, const char *path);
void crew__mime_free(struct crew__mime *mime); /* NULL is allowed */

/* Never NULL: "application/octet-stream" for what is not known. Lasts as long as `mime`. Case does
 * not matter; only the last extension of the last name in `path` does. */
const char *crew__mime_type(const struct crew__mime *mime, crew_bytes path);

#endif
