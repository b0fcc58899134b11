#include "net/ip_table.h"

#include "base/check.h"
#include "net/ip_key.h"

#include <stdlib.h>
#include <sys/random.h>

/* Linear probing; a count of 0 is an empty place. At most half of the places are ever taken, and a
 * removal moves back what had been pushed on, so every probe ends soon. */
struct place {
	uint64_t network;
	uint32_t count;
	uint32_t v6;
};

struct crew__ip_table {
	uint64_t seed;
	size_t mask;
	struct place places[];
};

int crew__ip_table_new(size_t most_connections, struct crew__ip_table **ret_table)
{
	size_t size = 64;
	while (size < most_connections * 2)
		size *= 2;
	struct crew__ip_table *table = calloc(1, sizeof(*table) + size * sizeof(struct place));
	if (!table)
		return -ENOMEM;
	table->mask = size - 1;
	if (getrandom(&table->seed, sizeof(table->seed), 0) != (ssize_t)sizeof(table->seed)) {
		free(table);
		return -EIO;
	}
	*ret_table = table;
	return 0;
}

void crew__ip_table_free(struct crew__ip_table *table)
{
	free(table);
}

static size_t home(const struct crew__ip_table *table, const struct crew__ip_key *key)
{
	return (size_t)crew__ip_hash(key, table->seed) & table->mask;
}

static size_t find(const struct crew__ip_table *table, const struct crew__ip_key *key)
{
	size_t at = home(table, key);
	while (table->places[at].count > 0 &&
		(table->places[at].network != key->network || table->places[at].v6 != key->v6))
		at = (at + 1) & table->mask;
	return at;
}

bool crew__ip_table_enter(
	struct crew__ip_table *table, const struct crew__record_address *from, size_t most)
{
	struct crew__ip_key key;
	if (!crew__ip_key(from, &key))
		return true;
	struct place *place = &table->places[find(table, &key)];
	if (place->count >= most)
		return false;
	place->network = key.network;
	place->v6 = key.v6;
	place->count++;
	return true;
}

/* Close the gap: whatever a probe would no longer reach across it moves into it. */
static void close_gap(struct crew__ip_table *table, size_t gap)
{
	for (size_t at = (gap + 1) & table->mask; table->places[at].count > 0;
		at = (at + 1) & table->mask) {
		const struct place *place = &table->places[at];
		const struct crew__ip_key key = { place->network, place->v6 };
		size_t wanted = home(table, &key);
		if (((at - wanted) & table->mask) < ((at - gap) & table->mask))
			continue;
		table->places[gap] = table->places[at];
		table->places[at].count = 0;
		gap = at;
	}
}

void crew__ip_table_leave(struct crew__ip_table *table, const struct crew__record_address *from)
{
	struct crew__ip_key key;
	if (!crew__ip_key(from, &key))
		return;
	size_t at = find(table, &key);
	crew__must(table->places[at].count > 0);
	if (--table->places[at].count == 0)
		close_gap(table, at);
}
