/* fetch_request.h - what the program asked for, checked and copied; and what becomes of it when an
 * answer sends it elsewhere. Pure but for the file that is opened: no connection, no loop. */
#ifndef CREW_SERVICE_FETCH_REQUEST_H
#define CREW_SERVICE_FETCH_REQUEST_H

#include "service/fetch_place.h"

#include <curl/curl.h>

enum {
	CREW__FETCH_BODY = 8 * 1024 * 1024, /* of an answer, by default */
	CREW__FETCH_REDIRECTS = 10
};

/* Where the bytes of a body come from. */
enum crew__fetch_source {
	CREW__FROM_NOWHERE, /* there is no body */
	CREW__FROM_MEMORY,
	CREW__FROM_FILE,
	CREW__FROM_PROGRAM, /* on_upload */
};

struct crew__fetch_request {
	struct crew__fetch_place to, proxy; /* proxy.url NULL: none */
	char *method;
	struct curl_slist *headers; /* "Name: value", "Name;" for an empty value */
	enum crew__fetch_source source;
	char *body;
	int file;       /* -1: none */
	int64_t size;   /* of the body; -1: nobody knows yet */
	int64_t sent;   /* of it, so far */
	int64_t max_body; /* INT64_MAX: off */
	uint64_t timeout_ns, connect_timeout_ns; /* UINT64_MAX: off */
	bool follows;                            /* redirects */
	int redirects;                           /* how many more */
	char *tls_ca, *tls_cert, *tls_key;
	bool tls_insecure, compressed_as_is;
};

/* 0; -EINVAL with a sentence in `why`, or what opening body_file says; -ENOMEM. `options` may be NULL.
 * In each case the request is to be ended. */
int crew__fetch_request_init(struct crew__fetch_request *request, const char *url,
	const crew_fetch_options *options, char *why);
void crew__fetch_request_fini(struct crew__fetch_request *request);

/* An answer with that status and Location: is it to be followed? */
bool crew__fetch_is_redirect(int status, bool located);
/* Follow it: the request becomes the next one (RFC 9110 section 15.4). 0; -EPROTO with a sentence in
 * `why`: it must not be followed; -ENOMEM. */
int crew__fetch_redirect(
	struct crew__fetch_request *request, int status, const char *location, char *why);

/* Begin the body anew. False: its bytes are gone. */
bool crew__fetch_rewind(struct crew__fetch_request *request);

#endif
