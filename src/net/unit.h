/* unit.h - waiting messages of which more is known than their bytes: a key, a time to live, a
 * number.
 *
 * A message gets a unit when it has to wait and something was said of it. All units of a worker are
 * in one place: a table by connection and key finds the one that a newer message replaces, a heap
 * by time the one that expires next. Units come from a pool and hold keys of up to CREW__KEY_INLINE
 * bytes themselves.
 *
 * Invariants: a unit is in the heap exactly when it expires, in the table exactly when it has a
 * key; of one connection and key the table holds any number, the newest first. */
#ifndef CREW_NET_UNIT_H
#define CREW_NET_UNIT_H

#include "base/base.h"

struct crew__piece;

enum {
	CREW__KEY_INLINE = 32
};

/* Which lane of a queue: a higher one leaves first. */
enum crew__lane {
	CREW__LANE_NORMAL,
	CREW__LANE_HIGH,
	CREW__LANE_CONTROL,
};

/* What is said of a message beside its bytes. */
struct crew__about {
	crew_bytes key;
	uint64_t sequence;
	uint32_t ttl;   /* hundredths; 0: none */
	uint8_t lane;   /* enum crew__lane */
	uint8_t policy; /* crew_policy; CREW_POLICY_DEFAULT: the connection's */
};

static inline bool crew__about_needs_unit(const struct crew__about *about)
{
	return about->key.len > 0 || about->ttl > 0 || about->sequence > 0;
}

struct crew__unit {
	struct crew__piece *piece; /* the first of its message, of which nothing has left */
	const void *owner;         /* the queue it waits in */
	uint64_t sequence;
	uint64_t born; /* its number, in the order in which they came */
	struct crew__unit *next;  /* in its chain of the table; in the list of spare ones */
	struct crew__unit **link; /* what points to it in its chain: a chain may be long */
	uint32_t hash;
	uint32_t expires; /* hundredths */
	uint32_t place;   /* in the heap, plus one; 0: it is not there */
	uint8_t lane;     /* enum crew__lane */
	uint8_t key_len;
	union {
		char inside[CREW__KEY_INLINE];
		char *outside; /* of a longer key */
	} key;
};

struct crew__units {
	struct crew__unit *spare;
	uint32_t spares;
	uint32_t keyed; /* in the table */
	struct crew__unit **chains;
	uint32_t chain_count; /* a power of two, or 0 */
	struct crew__unit **heap;
	uint32_t timed, heap_room;
	uint64_t born; /* the number of the last one */
};

/* Zeroed is ready. No unit may be left. */
void crew__units_fini(struct crew__units *units);

/* NULL without memory. `now` and the times of units are hundredths. */
struct crew__unit *crew__unit_new(struct crew__units *units, const void *owner,
	const struct crew__about *about, uint32_t now);
void crew__unit_free(struct crew__units *units, struct crew__unit *unit);

static inline crew_bytes crew__unit_key(const struct crew__unit *unit)
{
	bool inside = unit->key_len <= CREW__KEY_INLINE;
	return (crew_bytes){ inside ? unit->key.inside : unit->key.outside, unit->key_len };
}

/* The newest that waits in that queue with that key; NULL. */
struct crew__unit *crew__unit_find(
	const struct crew__units *units, const void *owner, crew_bytes key);

/* The first to expire, when its time has come by `now`; NULL. */
static inline struct crew__unit *crew__unit_due(const struct crew__units *units, uint32_t now)
{
	struct crew__unit *first = units->timed > 0 ? units->heap[0] : NULL;
	return first && (int32_t)(now - first->expires) >= 0 ? first : NULL;
}

#endif
