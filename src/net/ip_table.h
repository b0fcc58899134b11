/* ip_table.h - how many connections each address has, for max_connections_per_ip.
 *
 * IPv4 counts by address, IPv6 by /64 (what one subscriber usually has); Unix peers do not count.
 * Open addressing, sized once for the most connections there can be; seeded, so that peers cannot
 * choose addresses that collide. */
#ifndef CREW_NET_IP_TABLE_H
#define CREW_NET_IP_TABLE_H

#include "stats/slab.h"

struct crew__ip_table;

int crew__ip_table_new(size_t most_connections, struct crew__ip_table **ret_table);
void crew__ip_table_free(struct crew__ip_table *table); /* NULL is allowed */

/* One more from there; false when it has `most` already (then it is not counted). */
bool crew__ip_table_enter(
	struct crew__ip_table *table, const struct crew__record_address *from, size_t most);
/* One less. */
void crew__ip_table_leave(struct crew__ip_table *table, const struct crew__record_address *from);

#endif
