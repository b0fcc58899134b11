/* connect_options.h - what crew_connect() is given: judged, and copied, as it is used long after.
 */
#ifndef CREW_SERVICE_CONNECT_OPTIONS_H
#define CREW_SERVICE_CONNECT_OPTIONS_H

#include "base/arena.h"
#include "net/url.h"
#include "stats/slab.h"

struct crew__connect_plan {
	struct crew__url url;         /* its target is a view of `text` */
	const char *text;             /* the URL, as it may be shown: without user and query */
	crew_connect_options options; /* strings and headers are copies; times are in force */
	enum crew__protocol_kind kind;
	const char *tls_name; /* whose certificate it must be; NULL: no TLS, or nobody's */
	struct crew__arena copies;
};

/* 0; or -ENOMEM, or -EINVAL with a sentence that names what is wrong. */
int crew__connect_plan_init(struct crew__connect_plan *plan, const char *url,
	const crew_connect_options *options, char *ret_error, size_t error_size);
void crew__connect_plan_fini(struct crew__connect_plan *plan);

#endif
