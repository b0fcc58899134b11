/* answer.h - how the admin service answers: documents written to memory, errors, fields of safety.
 *
 * Nothing that it says is to be stored by a browser or a proxy, shown inside another site's frame,
 * or taken for another type than it is. */
#ifndef CREW_ADMIN_ANSWER_H
#define CREW_ADMIN_ANSWER_H

#include "base/base.h"

#include <stdio.h>

#define CREW__ANSWER_JSON "application/json"

/* A document that is being written. */
struct crew__document {
	FILE *out; /* NULL: no memory */
	char *text;
	size_t len;
};

void crew__document_open(struct crew__document *document);
/* Done: `text` and `len` are it. 0; -ENOMEM when anything of it could not be written, or `error`
 * when it is not 0: then there is no text. */
int crew__document_close(struct crew__document *document, int error);
void crew__document_free(struct crew__document *document); /* idempotent */

/* Fields that every answer has; a route's `before`. */
bool crew__answer_before(crew_conn *c, const crew_request *request);

void crew__answer(crew_conn *c, int status, const char *type, crew_bytes body);
/* Close the document and answer with it; when that fails, `error` of before included, with 503. */
void crew__answer_document(crew_conn *c, int status, const char *type,
	struct crew__document *take_document, int error);
/* {"error": text}; the text is a sentence. */
void crew__answer_problem(crew_conn *c, int status, const char *text);

/* A number of the query: `fallback` when it is not there; false, and a 400 has been answered, when
 * it is not one of 0..most. */
bool crew__answer_number(crew_conn *c, const crew_request *request, const char *name,
	uint64_t fallback, uint64_t most, uint64_t *ret_number);

#endif
