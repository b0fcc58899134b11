/* http_files.h - what http_files.c, which says what is sent, and http_ranges.c, which sends it,
 * share; nobody else includes it. */
#ifndef CREW_SERVICE_HTTP_FILES_H
#define CREW_SERVICE_HTTP_FILES_H

#include "service/http.h"
#include "web/file.h"
#include "web/range.h"

/* What is to be sent. */
struct crew__file_answer {
	crew_response response;     /* status, type and fields but those of ranges; no body */
	struct crew__file *file;    /* lent: who needs it longer takes a reference */
	struct crew__ranges ranges; /* none: the whole */
};

enum {
	CREW__FILE_FIELDS_MOST = 8 /* room in the array that response.headers points to */
};

/* Answer with it: 200, or 206 for ranges, for which the fields are made here. `fields` is where
 * response.headers points to. As crew_reply. */
int64_t crew__file_send(crew_conn *c, struct crew__file_answer *answer, crew_header *fields);

#endif
