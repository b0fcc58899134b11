/* retired.h - the rows of what the dead have left, worker by worker. Private to src/stats and its
 * tests; others use directory.h, which says under which sequence they are written and read. */
#ifndef CREW_STATS_RETIRED_H
#define CREW_STATS_RETIRED_H

#include "stats/directory.h"

/* Add to the row of (service, id), which is made when there is none. Ids for which there is no row
 * any more, and CREW__RETIRED_REST, are counted in the rest of their service. `service` is below
 * CREW_MAX_SERVICES. */
void crew__retired_add(struct crew__retired_table *table, uint32_t service, uint32_t id,
	const struct crew__slab *counters, const struct crew__histogram *measures);

/* A copy of the rows of the services below `services`; the caller frees it. 0 or -ENOMEM. */
int crew__retired_copy(const struct crew__retired_table *table, uint32_t services,
	struct crew__retired **ret_rows, size_t *ret_count);

#endif
