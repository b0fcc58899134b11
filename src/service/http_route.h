/* http_route.h - what the files about routes share: plans, CORS fields, answers of crew's own.
 *
 * An answer that crew gives itself (404, 405, OPTIONS, a preflight, ...) is no message: it is never
 * refused for fullness, and the laws of the counters do not know it. */
#ifndef CREW_SERVICE_HTTP_ROUTE_H
#define CREW_SERVICE_HTTP_ROUTE_H

#include "service/http.h"
#include "web/router.h"

/* A route with what its groups add. */
struct crew__route_plan {
	const crew_route *route; /* NULL: what no route takes */
	const crew_cors *cors;   /* NULL: none */
	const crew_sessions *sessions;
	crew_before_fn *const *before; /* all that hold for it, in the order of their calls; ends */
	crew_after_fn *const *after;   /* with NULL; NULL when there are none */
	uint64_t limit; /* of a body; 0: max_message, which may change */
	bool stream;
	bool is_plain; /* there is nothing to be done but to call route->on_request */
};

struct crew__routes {
	struct crew__router *router;  /* its targets are plans */
	struct crew__arena arena;     /* the plans, and what they point to */
	struct crew__resource all;    /* what any route does, for OPTIONS of `*` */
	struct crew__route_plan rest; /* for what no route takes */
};

/* http_table.c. Compile a table into `routes`: 0, -ENOMEM, or -EINVAL, having logged what is wrong.
 */
int crew__route_table(struct crew__routes *routes, const crew_worker *w);

/* http_cors.c. The fields that let a script of another site read the answer, into those that are to
 * go with it. */
void crew__cors_note(
	struct crew__exchange *exchange, const crew_request *request, const crew_cors *cors);
/* The method that a browser asks leave for; no bytes when the request is no preflight. */
crew_bytes crew__cors_asked(const crew_request *request);
/* Answer a preflight. `methods` is what the path knows. */
void crew__cors_preflight(struct crew__exchange *exchange, const crew_request *request,
	const crew_cors *cors, crew_bytes methods);

/* http_error.c. An answer of crew's own; the exchange may have ended after it. */
void crew__answer_own(struct crew__exchange *exchange, const crew_response *response);
/* An error page of crew's own. `allow`: for 405, no bytes otherwise. */
void crew__answer_error(struct crew__exchange *exchange, const crew_request *request, int status,
	const char *detail, crew_bytes allow);

#endif
