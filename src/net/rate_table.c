#include "net/rate_table.h"

#include "base/clock.h"
#include "net/ip_key.h"

#include <stdlib.h>
#include <sys/random.h>

enum {
	WAYS = 8
};

/* `due_ns`: in the future for an address of which something is known. The lowest bit is taken off
 * and tells IPv6 from IPv4. */
struct place {
	uint64_t network;
	uint64_t due_ns;
};

struct crew__rate_table {
	uint64_t seed;
	struct place places[CREW__RATE_PLACES];
};

int crew__rate_table_new(struct crew__rate_table **ret_table)
{
	struct crew__rate_table *table = calloc(1, sizeof(*table));
	if (!table)
		return -ENOMEM;
	if (getrandom(&table->seed, sizeof(table->seed), 0) != (ssize_t)sizeof(table->seed)) {
		free(table);
		return -EIO;
	}
	*ret_table = table;
	return 0;
}

void crew__rate_table_free(struct crew__rate_table *table)
{
	free(table);
}

static uint64_t tag(const struct crew__ip_key *key)
{
	return key->v6;
}

/* Its place; else the one of its eight that says least. */
static struct place *find(struct crew__rate_table *table, const struct crew__ip_key *key)
{
	uint64_t hash = crew__ip_hash(key, table->seed);
	struct place *places = &table->places[hash % (CREW__RATE_PLACES / WAYS) * WAYS];
	struct place *least = &places[0];
	for (unsigned i = 0; i < WAYS; i++) {
		if (places[i].network == key->network && (places[i].due_ns & 1) == tag(key))
			return &places[i];
		if (places[i].due_ns < least->due_ns)
			least = &places[i];
	}
	*least = (struct place){ .network = key->network, .due_ns = tag(key) };
	return least;
}

bool crew__rate_table_enter(struct crew__rate_table *table, const struct crew__record_address *from,
	uint64_t per_second, uint64_t now_ns)
{
	struct crew__ip_key key;
	if (!crew__ip_key(from, &key))
		return true;
	struct place *place = find(table, &key);
	uint64_t each_ns = CREW__NS_PER_S / per_second;
	uint64_t noted = place->due_ns & ~UINT64_C(1);
	uint64_t due = noted > now_ns ? noted : now_ns;
	/* The last of `per_second` at once is due a second minus one step from now. */
	if (due - now_ns > (per_second - 1) * each_ns)
		return false;
	place->due_ns = ((due + each_ns) & ~UINT64_C(1)) | tag(&key);
	return true;
}
