/* top_model.h - what `top` knows: one look at a running program, and what changed since the look
 * before.
 *
 * A look owns its models and is never changed once made; its rows are those connections that match
 * a filter, in an order, and are chosen anew (crew__top_look_arrange) without looking again.
 * Nothing here knows a terminal. */
#ifndef CREW_CLI_TOP_MODEL_H
#define CREW_CLI_TOP_MODEL_H

#include "cli/connections.h"
#include "cli/status.h"

enum {
	CREW__TOP_FILTER_MAX = 64
};

enum crew__top_by {
	CREW__TOP_BY_SLOWNESS, /* as crew__connections_slowest */
	CREW__TOP_BY_DRAINED,  /* the fastest first */
	CREW__TOP_BY_FIELD
};

/* Which connections, and in what order. */
struct crew__top_order {
	enum crew__top_by by;
	const struct crew__connection_field *field; /* with CREW__TOP_BY_FIELD */
	bool reverse;
	char filter[CREW__TOP_FILTER_MAX]; /* "": all */
};

struct crew__top_row {
	const struct crew__connection *connection;
	double drained; /* bytes a second that the kernel took; below 0: not known yet */
};

/* Per second, since the look before or, in the first, since the start. */
struct crew__top_rates {
	double messages, bytes, fails;
};

struct crew__top_look {
	struct crew__status *status;
	struct crew__connections connections;
	struct crew__top_rates rates;
	double *worker_fails; /* a second, for each row of the status */
	double *drained;      /* for each connection by its `place` */
	struct crew__top_mark *marks;
	struct crew__top_row *rows;
	size_t row_count;
};

/* Look at what `source` is attached to, which may be attached anew meanwhile. `before` may be NULL.
 * The rows are empty until they are arranged. 0 or a negative errno with a line in `ret_error`. */
int crew__top_look_new(const struct crew__status_source *source,
	const struct crew__top_look *before, struct crew__top_look **ret_look, char *ret_error,
	size_t error_size);
void crew__top_look_free(struct crew__top_look *look); /* NULL is allowed */

void crew__top_look_arrange(struct crew__top_look *look, const struct crew__top_order *order);

/* Does a connection match? Its service, remote address or verdict holds the words, in any case of
 * letters, or its id begins with them. */
bool crew__top_matches(const struct crew__connection *connection, const char *filter);

/* What an order is called: "slowest", "drained/s", or the field's key. */
const char *crew__top_order_name(const struct crew__top_order *order);
/* The next one that the screen offers; after a field that it does not offer, the first. */
void crew__top_order_next(struct crew__top_order *order);

#endif
