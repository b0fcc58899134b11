#include "net/unit.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

enum {
	SPARES_MOST = 4096,
	CHAINS_FIRST = 64,
	CHAINS_MOST = 1 << 22,
	HEAP_FIRST = 64,
};

/* ---- the table ----------------------------------------------------------------------------- */

/* Keys are the program's, but often come from what clients asked for: a client that could choose
 * the chain could make every send slow. FNV-1a, begun with where the queue lies, which no client
 * knows. */
static uint32_t hash_of(const void *owner, crew_bytes key)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ (uintptr_t)owner >> 4;
	for (size_t i = 0; i < key.len; i++)
		hash = (hash ^ (unsigned char)key.data[i]) * UINT64_C(0x100000001b3);
	return (uint32_t)(hash ^ hash >> 32);
}

static struct crew__unit **chain_of(const struct crew__units *units, uint32_t hash)
{
	return &units->chains[hash & (units->chain_count - 1)];
}

/* To the front. One queue may hold many of one key (only the policy `replace` makes them give way),
 * so leaving must not walk the chain. */
static void chain_up(struct crew__units *units, struct crew__unit *unit)
{
	struct crew__unit **chain = chain_of(units, unit->hash);
	unit->next = *chain;
	unit->link = chain;
	if (unit->next)
		unit->next->link = &unit->next;
	*chain = unit;
}

/* Twice the chains. Without memory they grow longer instead: slower, and right. */
static void grow_table(struct crew__units *units)
{
	uint32_t before = units->chain_count;
	uint32_t count = before > 0 ? before * 2 : CHAINS_FIRST;
	struct crew__unit **chains = count <= CHAINS_MOST
					     ? calloc(count, sizeof(struct crew__unit *))
					     : NULL;
	struct crew__unit **old = units->chains;
	if (!chains)
		return;
	units->chains = chains;
	units->chain_count = count;
	for (uint32_t i = 0; i < before; i++) {
		/* From the end of each chain, so that the newest stays first. */
		struct crew__unit *reversed = NULL, *unit = old[i];
		while (unit) {
			struct crew__unit *next = unit->next;
			unit->next = reversed;
			reversed = unit;
			unit = next;
		}
		while (reversed) {
			struct crew__unit *next = reversed->next;
			chain_up(units, reversed);
			reversed = next;
		}
	}
	free(old);
}

static int enter_table(struct crew__units *units, struct crew__unit *unit)
{
	if (units->keyed >= units->chain_count)
		grow_table(units);
	if (units->chain_count == 0)
		return -ENOMEM;
	chain_up(units, unit);
	units->keyed++;
	return 0;
}

static void leave_table(struct crew__units *units, struct crew__unit *unit)
{
	*unit->link = unit->next;
	if (unit->next)
		unit->next->link = unit->link;
	units->keyed--;
}

struct crew__unit *crew__unit_find(
	const struct crew__units *units, const void *owner, crew_bytes key)
{
	if (units->keyed == 0 || key.len == 0)
		return NULL;
	uint32_t hash = hash_of(owner, key);
	struct crew__unit *unit = *chain_of(units, hash);
	for (; unit; unit = unit->next)
		if (unit->hash == hash && unit->owner == owner && unit->key_len == key.len &&
			memcmp(crew__unit_key(unit).data, key.data, key.len) == 0)
			return unit;
	return NULL;
}

/* ---- the heap ------------------------------------------------------------------------------ */

static bool before(const struct crew__unit *a, const struct crew__unit *b)
{
	return (int32_t)(a->expires - b->expires) < 0;
}

static void put(struct crew__units *units, uint32_t at, struct crew__unit *unit)
{
	units->heap[at] = unit;
	unit->place = at + 1;
}

static void rise(struct crew__units *units, uint32_t at, struct crew__unit *unit)
{
	while (at > 0 && before(unit, units->heap[(at - 1) / 2])) {
		put(units, at, units->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	put(units, at, unit);
}

static void sink(struct crew__units *units, uint32_t at, struct crew__unit *unit)
{
	for (;;) {
		uint32_t child = 2 * at + 1;
		if (child >= units->timed)
			break;
		if (child + 1 < units->timed && before(units->heap[child + 1], units->heap[child]))
			child++;
		if (!before(units->heap[child], unit))
			break;
		put(units, at, units->heap[child]);
		at = child;
	}
	put(units, at, unit);
}

static int enter_heap(struct crew__units *units, struct crew__unit *unit)
{
	if (units->timed == units->heap_room) {
		uint32_t room = units->heap_room > 0 ? units->heap_room * 2 : HEAP_FIRST;
		struct crew__unit **heap = reallocarray(
			units->heap, room, sizeof(struct crew__unit *));
		if (!heap)
			return -ENOMEM;
		units->heap = heap;
		units->heap_room = room;
	}
	rise(units, units->timed++, unit);
	return 0;
}

static void leave_heap(struct crew__units *units, struct crew__unit *unit)
{
	uint32_t at = unit->place - 1;
	struct crew__unit *last = units->heap[--units->timed];
	crew__must(units->heap[at] == unit || last == unit);
	unit->place = 0;
	if (last == unit)
		return;
	if (at > 0 && before(last, units->heap[(at - 1) / 2]))
		rise(units, at, last);
	else
		sink(units, at, last);
}

/* ---- units --------------------------------------------------------------------------------- */

static int take_key(struct crew__unit *unit, crew_bytes key)
{
	crew__must(key.len <= CREW_KEY_MOST);
	unit->key_len = (uint8_t)key.len;
	char *room = unit->key.inside;
	if (key.len > CREW__KEY_INLINE)
		room = unit->key.outside = malloc(key.len);
	if (!room)
		return -ENOMEM;
	if (key.len > 0)
		memcpy(room, key.data, key.len);
	return 0;
}

static void give_back(struct crew__units *units, struct crew__unit *unit)
{
	if (unit->key_len > CREW__KEY_INLINE)
		free(unit->key.outside);
	if (units->spares >= SPARES_MOST) {
		free(unit);
		return;
	}
	unit->next = units->spare;
	units->spare = unit;
	units->spares++;
}

static struct crew__unit *take_unit(struct crew__units *units)
{
	struct crew__unit *unit = units->spare;
	if (!unit)
		return malloc(sizeof(*unit));
	units->spare = unit->next;
	units->spares--;
	return unit;
}

struct crew__unit *crew__unit_new(
	struct crew__units *units, const void *owner, const struct crew__about *about, uint32_t now)
{
	struct crew__unit *unit = take_unit(units);
	if (!unit)
		return NULL;
	unit->piece = NULL;
	unit->owner = owner;
	unit->sequence = about->sequence;
	unit->expires = now + about->ttl;
	unit->place = 0;
	unit->born = ++units->born;
	unit->lane = about->lane;
	unit->hash = hash_of(owner, about->key);
	int error = take_key(unit, about->key);
	if (error)
		unit->key_len = 0;
	if (!error && about->ttl > 0)
		error = enter_heap(units, unit);
	if (!error && unit->key_len > 0)
		error = enter_table(units, unit);
	if (!error)
		return unit;
	if (unit->place > 0)
		leave_heap(units, unit);
	give_back(units, unit);
	return NULL;
}

void crew__unit_free(struct crew__units *units, struct crew__unit *unit)
{
	if (unit->place > 0)
		leave_heap(units, unit);
	if (unit->key_len > 0)
		leave_table(units, unit);
	give_back(units, unit);
}

void crew__units_fini(struct crew__units *units)
{
	crew__must(units->keyed == 0 && units->timed == 0);
	while (units->spare) {
		struct crew__unit *unit = units->spare;
		units->spare = unit->next;
		free(unit);
	}
	free(units->chains);
	free(units->heap);
	*units = (struct crew__units){ 0 };
}
