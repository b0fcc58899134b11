/* rate_table.h - how fast each address opens connections, for connection_rate_per_ip.
 *
 * So many a second, and so many at once after a second of rest; what is refused does not count.
 * IPv4 by address, IPv6 by /64, as in ip_table.h; Unix peers do not count.
 *
 * Of each address one moment is kept: when its next connection would be due if they came evenly. A
 * moment that has passed says nothing and makes room. The table has a fixed size (half a MiB, which
 * costs nothing until it is used); an address has eight places to be in, chosen by a seeded hash,
 * and where all of them are taken, the one gives way that is nearest to being nothing: who comes
 * fastest is remembered longest. */
#ifndef CREW_NET_RATE_TABLE_H
#define CREW_NET_RATE_TABLE_H

#include "stats/slab.h"

enum {
	CREW__RATE_PLACES = 32768
};

struct crew__rate_table;

int crew__rate_table_new(struct crew__rate_table **ret_table); /* 0, -ENOMEM, -EIO */
void crew__rate_table_free(struct crew__rate_table *table);    /* NULL is allowed */

/* One more from there at `now_ns`; false: that is faster than `per_second` (1 to a million). */
bool crew__rate_table_enter(struct crew__rate_table *table, const struct crew__record_address *from,
	uint64_t per_second, uint64_t now_ns);

#endif
