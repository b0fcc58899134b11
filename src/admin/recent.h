/* recent.h - the last events, kept for who looks: read once, told to each viewer for a while.
 *
 * A view replaces the one before it where that still waits, so what is new is in every view of some
 * seconds and not in one of them; events have a stamp by which the page knows them again. */
#ifndef CREW_ADMIN_RECENT_H
#define CREW_ADMIN_RECENT_H

#include "cli/events.h"

enum {
	CREW__RECENT_MOST = 100, /* that are kept and told */
	CREW__RECENT_MS = 5000,  /* so long each is told again */
};

struct crew__recent {
	struct crew__event_reader reader;
	struct crew__event_rows rows; /* the newest, the oldest first */
};

/* One that has read nothing is zeros. */
void crew__recent_fini(struct crew__recent *recent);

/* Read what is new. 0 or -ENOMEM. */
int crew__recent_read(struct crew__recent *recent, const struct crew__attached *attached);

/* Leave away what happened before `after` (a stamp) and all but the newest `most`. */
void crew__events_cut(struct crew__event_rows *rows, uint64_t after, size_t most);

/* All that is kept, or those of the last CREW__RECENT_MS: an array. 0 or -ENOMEM. */
int crew__recent_json(const struct crew__recent *recent, bool all, uint64_t now_ns, FILE *out);

#endif
