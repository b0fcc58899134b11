/* multipart_head.h - the head of one part of a form (RFC 7578 section 4): which field, which file.
 *
 * Names are read as browsers write them (https://html.spec.whatwg.org/#multipart-form-data): `%22`,
 * `%0D` and `%0A` stand for the three bytes that could not be there, any other `%` for itself; `\"`
 * and `\\` of other clients are understood too. `filename*` (RFC 8187), which no browser sends in
 * forms but some libraries do, goes before `filename` when it is good UTF-8; `name*` stands for
 * `name`, never beside it. */
#ifndef CREW_WEB_MULTIPART_HEAD_H
#define CREW_WEB_MULTIPART_HEAD_H

#include "base/base.h"

struct crew__part_head {
	crew_bytes name;
	crew_bytes filename; /* behind the last `/` or `\`; `.` and `..`, which are directories:
				empty */
	crew_bytes type;     /* empty when it says none */
	bool is_file;        /* it has a filename, be it empty */
};

/* `data` is the fields, each with its CRLF; it is decoded in place and what is returned are views
 * into it. 0, or -EINVAL: no name, something twice that may come once, a line that is no field, a
 * coding that nobody would undo (base64). */
int crew__part_head_read(char *data, size_t len, struct crew__part_head *ret_head);

#endif
