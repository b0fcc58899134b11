/* http_upload.h - files that came in a form: where they are kept meanwhile.
 *
 * A temporary file has no name, so it goes with its last descriptor, be it that the process dies.
 * It is written with plain write(): into the page cache, which may block the loop for as long as
 * the kernel needs to make room there, and no longer. */
#ifndef CREW_SERVICE_HTTP_UPLOAD_H
#define CREW_SERVICE_HTTP_UPLOAD_H

#include "service/http.h"

/* A new one in the service's upload_dir: its descriptor, or a negative errno, logged now and then.
 * -EMFILE also when uploads have taken their share of this process's descriptors. */
int crew__upload_open(crew_worker *w);
void crew__upload_close(int fd);

/* Behind what was written before. 0 or a negative errno, logged likewise. */
int crew__upload_write(crew_worker *w, int fd, crew_bytes bytes);

/* The status that such an error deserves. */
int crew__upload_status(int error);

/* The forms and files that came in parts, for a copy of the request: the files opened anew, so that
 * each has an offset of its own. 0 or a negative errno; what is there by then is closed with `to`.
 */
int crew__uploads_copy(struct crew__request_side *to, const struct crew__request_side *from);

#endif
