/* pulse.c - looking at one worker's slab, and counting for it. */
#include "stats/pulse.h"

#include "stats/layout.h"

#include <string.h>

/* Where a counter stands, by its name; 0: it has none such. */
static uint32_t find(
	const struct crew__segment *segment, const struct crew__layout *layout, const char *name)
{
	struct crew__counter_entry entry;
	const uint64_t least = layout->slab_offset;
	const uint64_t most = least + layout->slab_size - sizeof(uint64_t);
	for (uint32_t i = 0; i < layout->counters; i++) {
		crew__layout_entry(segment, layout, i, &entry);
		if (!entry.app && strcmp(entry.name, name) == 0)
			return entry.offset % sizeof(uint64_t) == 0 && entry.offset >= least &&
					       entry.offset <= most
				       ? entry.offset
				       : 0;
	}
	return 0;
}

bool crew__pulse_read(const struct crew__segment *segment, struct crew__pulse *ret_pulse)
{
	struct crew__layout layout;
	if (crew__layout_check(segment, &layout))
		return false;
	const struct crew__slab *slab = crew__layout_at(segment, layout.slab_offset);
	uint32_t requests = find(segment, &layout, "total_request");
	*ret_pulse = (struct crew__pulse){
		.state = atomic_load_explicit(&slab->state, memory_order_relaxed),
		.callback = atomic_load_explicit(&slab->callback, memory_order_relaxed),
		.turn_began_ns = atomic_load_explicit(&slab->turn_began_ns, memory_order_relaxed),
	};
	if (requests) {
		const uint64_t *value = crew__layout_at(segment, requests);
		ret_pulse->requests = __atomic_load_n(value, __ATOMIC_RELAXED);
	}
	return true;
}

void crew__pulse_count(const struct crew__segment *segment, const char *counter)
{
	struct crew__layout layout;
	if (!segment->writable || crew__layout_check(segment, &layout))
		return;
	uint32_t offset = find(segment, &layout, counter);
	if (offset) {
		uint64_t *value = crew__layout_at(segment, offset);
		__atomic_store_n(value, *value + 1, __ATOMIC_RELAXED);
	}
}
