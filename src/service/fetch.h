/* fetch.h - the worker's side of HTTP requests that the program makes itself (<crew/fetch.h>).
 *
 * libcurl's multi interface in the worker's loop, made when the first request is. The pool of kept
 * connections is libcurl's. Not here: a thread; libcurl would resolve names in one, so it never gets
 * to resolve any (fetch_easy.c). */
#ifndef CREW_SERVICE_FETCH_H
#define CREW_SERVICE_FETCH_H

#include "base/base.h"

struct crew__fetches;

/* Are requests under way, or to be told of? NULL is allowed here and below. */
bool crew__fetches_busy(const struct crew__fetches *f);
/* The worker's time is over: what is under way ends (-ECANCELED), told from the loop; nothing new is
 * begun. */
void crew__fetches_cancel(struct crew__fetches *f);
/* Tell what is left, and free all. Not from a callback of the program's. */
void crew__fetches_free(struct crew__fetches *f);

#endif
