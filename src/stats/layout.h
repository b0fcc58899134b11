/* layout.h - where things lie in a segment, and where they must lie to be read without harm.
 *
 *   header │ counter entries │ slab │ measures │ page │ events │ page │ closed │
 *   page │ records ... │ page │ cold records ... │ page │ slow records ... │ page │ words
 *
 * A segment's writer may be wrong or gone mad at any time, so what its header says is copied first,
 * the copy is checked, and only the copy is used. */
#ifndef CREW_STATS_LAYOUT_H
#define CREW_STATS_LAYOUT_H

#include "stats/segment.h"

enum {
	CREW__SLOTS_MAX = 1 << 20,
	CREW__LIFE_MAX = (1 << 12) - 1,
	CREW__ENTRIES_MAX = 1024, /* of any version */
};

/* The part of a slab that every version has. */
#define CREW__SLAB_LEAST (offsetof(struct crew__slab, qps) + sizeof(uint64_t))

struct crew__layout {
	uint64_t size;
	uint32_t counters, counters_offset;
	uint32_t slab_offset, slab_size;
	uint32_t measures, measure_size, measures_offset;
	uint32_t events_size, closed_size;
	uint32_t slots, record_size, cold_size, slow_size;
	uint64_t events_offset, closed_offset;
	uint64_t records_offset, cold_offset, slow_offset;
	uint64_t words_offset;
	uint32_t words_size; /* 0: it has none */
};

/* The layout that this version gives to a segment. */
void crew__layout_plan(uint32_t slots, uint32_t counters, struct crew__layout *ret_layout);

/* A checked copy of what the header says: everything it names lies inside the mapping and is
 * aligned. -EPROTO otherwise. */
int crew__layout_check(const struct crew__segment *segment, struct crew__layout *ret_layout);

/* True when what stands in the two has the same size and number; where it stands may differ. */
bool crew__layout_same(const struct crew__layout *a, const struct crew__layout *b);

/* A copy of entry `index`, which is below `counters`; its name ends. */
void crew__layout_entry(const struct crew__segment *segment, const struct crew__layout *layout,
	uint32_t index, struct crew__counter_entry *ret_entry);

/* The place at an offset that was checked. */
static inline void *crew__layout_at(const struct crew__segment *segment, uint64_t offset)
{
	return (char *)segment->header + offset;
}

/* The built-in counters, in the order of counters.def. */
struct crew__builtin {
	const char *name;
	uint32_t offset; /* in struct crew__slab */
	bool gauge;
};
extern const struct crew__builtin crew__builtins[];
extern const size_t crew__builtin_count;

#endif
