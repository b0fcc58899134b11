/* sight.h - what the admin service sees of its program: one look serves all who ask within a
 * moment.
 *
 * The numbers are read from shared memory as the commands do. The master is asked only when workers
 * came or went since the last look; nobody else is ever asked, so a stuck worker delays nothing. A
 * look at a moment in which workers come and go faster than they can be read keeps what was seen
 * before, if that is not old; counters never run backward from one look to the next. */
#ifndef CREW_ADMIN_SIGHT_H
#define CREW_ADMIN_SIGHT_H

#include "admin/metrics.h"
#include "cli/connections.h"
#include "proc/attach.h"

enum {
	CREW__SIGHT_FRESH_MS = 250,  /* so long a look serves */
	CREW__SIGHT_STALE_MS = 5000, /* so long it may stand in for one that failed */
	CREW__SIGHT_ERROR_MAX = 512,
};

struct crew__sight {
	const struct crew__settings *settings; /* borrowed: where the program runs */
	bool is_attached;
	struct crew__attached attached;
	struct crew__status *status; /* NULL: nothing was seen yet */
	struct crew__metrics metrics;
	bool has_connections;
	struct crew__connections connections;
	uint64_t attached_ns, tried_ns, connections_ns;
	int failure;                       /* of the last look: 0 or a negative errno */
	char error[CREW__SIGHT_ERROR_MAX]; /* why it failed */
};

void crew__sight_init(struct crew__sight *sight, const struct crew__settings *settings);
void crew__sight_fini(struct crew__sight *sight);

/* Have `status`, `metrics` and `attached` no older than a moment. 0, or a negative errno with the
 * line in `error`. */
int crew__sight_look(struct crew__sight *sight);

/* The same, with `connections`, in the order in which they were found. */
int crew__sight_connections(struct crew__sight *sight);

/* A copy of the rows of `connections`, to be sorted and cut. 0 or -ENOMEM; it is given back before
 * the next look. */
int crew__sight_pick(const struct crew__sight *sight, struct crew__connections *ret_some);
void crew__sight_put_back(struct crew__connections *some);

#endif
