/* layout.c - the layout as planned, and as found. */
#include "stats/layout.h"

#include <string.h>

enum {
	PAGE = 4096,
	LINE = 64
};

const struct crew__builtin crew__builtins[] = {
#define GAUGE   true
#define COUNTER false
#define X(field, kind, group, name, unit, sentence) \
	{ #field, offsetof(struct crew__slab, field), kind },
	CREW_COUNTER_TABLE(X)
#undef X
#undef GAUGE
#undef COUNTER
};
const size_t crew__builtin_count = crew__lengthof(crew__builtins);

static uint64_t round_up(uint64_t offset, uint64_t unit)
{
	return (offset + unit - 1) / unit * unit;
}

/* Offsets are small: at most 2^20 slots of 160 bytes and a few pages. */
void crew__layout_plan(uint32_t slots, uint32_t counters, struct crew__layout *ret_layout)
{
	struct crew__layout layout = {
		.counters = counters,
		.counters_offset = sizeof(struct crew__segment_header),
		.slab_size = sizeof(struct crew__slab),
		.slots = slots,
		.record_size = sizeof(struct crew__record),
		.cold_size = sizeof(struct crew__record_cold),
	};
	uint64_t end = layout.counters_offset + counters * sizeof(struct crew__counter_entry);
	layout.slab_offset = (uint32_t)round_up(end, LINE);
	/* On pages of their own, so that making a segment touches none of them. */
	layout.records_offset = round_up(layout.slab_offset + layout.slab_size, PAGE);
	layout.cold_offset = round_up(
		layout.records_offset + (uint64_t)slots * layout.record_size, PAGE);
	layout.size = round_up(layout.cold_offset + (uint64_t)slots * layout.cold_size, PAGE);
	*ret_layout = layout;
}

/* Each field once: what is checked is what is used, whatever the writer does meanwhile. */
#define PEEK(header, field) __atomic_load_n(&(header)->field, __ATOMIC_RELAXED)

static void copy_layout(const struct crew__segment_header *header, struct crew__layout *layout)
{
	*layout = (struct crew__layout){
		.size = PEEK(header, size),
		.counters = PEEK(header, counters),
		.counters_offset = PEEK(header, counters_offset),
		.slab_offset = PEEK(header, slab_offset),
		.slab_size = PEEK(header, slab_size),
		.slots = PEEK(header, slots),
		.record_size = PEEK(header, record_size),
		.cold_size = PEEK(header, cold_size),
		.records_offset = PEEK(header, records_offset),
		.cold_offset = PEEK(header, cold_offset),
	};
}

/* `count` things of `each` bytes at `offset` lie inside `size` bytes. */
static bool inside(uint64_t size, uint64_t offset, uint32_t count, uint64_t each)
{
	uint64_t length, end;
	return !__builtin_mul_overflow((uint64_t)count, each, &length) &&
	       !__builtin_add_overflow(offset, length, &end) && end <= size;
}

static bool aligned(uint64_t offset, uint64_t unit)
{
	return offset % unit == 0;
}

static bool counters_fit(const struct crew__layout *layout)
{
	return layout->counters <= CREW__ENTRIES_MAX &&
	       aligned(layout->counters_offset, _Alignof(struct crew__counter_entry)) &&
	       inside(layout->size, layout->counters_offset, layout->counters,
		       sizeof(struct crew__counter_entry));
}

static bool slab_fits(const struct crew__layout *layout)
{
	return layout->slab_size >= CREW__SLAB_LEAST &&
	       aligned(layout->slab_offset, _Alignof(struct crew__slab)) &&
	       inside(layout->size, layout->slab_offset, 1, layout->slab_size);
}

static bool records_fit(const struct crew__layout *layout)
{
	size_t hot = sizeof(struct crew__record), cold = sizeof(struct crew__record_cold);
	return layout->slots <= CREW__SLOTS_MAX && layout->record_size >= hot &&
	       layout->cold_size >= cold &&
	       aligned(layout->records_offset | layout->record_size,
		       _Alignof(struct crew__record)) &&
	       aligned(layout->cold_offset | layout->cold_size,
		       _Alignof(struct crew__record_cold)) &&
	       inside(layout->size, layout->records_offset, layout->slots, layout->record_size) &&
	       inside(layout->size, layout->cold_offset, layout->slots, layout->cold_size);
}

int crew__layout_check(const struct crew__segment *segment, struct crew__layout *ret_layout)
{
	const struct crew__segment_header *header = segment->header;
	struct crew__layout layout;
	if (memcmp(header->magic, CREW__SEGMENT_MAGIC, sizeof(CREW__SEGMENT_MAGIC)) != 0 ||
		PEEK(header, version) != CREW__SEGMENT_VERSION ||
		PEEK(header, header_size) < sizeof(*header) ||
		PEEK(header, header_size) > segment->size)
		return -EPROTO;
	copy_layout(header, &layout);
	if (layout.size != segment->size || !counters_fit(&layout) || !slab_fits(&layout) ||
		!records_fit(&layout))
		return -EPROTO;
	*ret_layout = layout;
	return 0;
}

bool crew__layout_same(const struct crew__layout *a, const struct crew__layout *b)
{
	return a->size == b->size && a->counters == b->counters &&
	       a->counters_offset == b->counters_offset && a->slab_offset == b->slab_offset &&
	       a->slab_size == b->slab_size && a->slots == b->slots &&
	       a->record_size == b->record_size && a->cold_size == b->cold_size &&
	       a->records_offset == b->records_offset && a->cold_offset == b->cold_offset;
}

void crew__layout_entry(const struct crew__segment *segment, const struct crew__layout *layout,
	uint32_t index, struct crew__counter_entry *ret_entry)
{
	uint64_t offset = layout->counters_offset + (uint64_t)index * sizeof(*ret_entry);
	memcpy(ret_entry, crew__layout_at(segment, offset), sizeof(*ret_entry));
	/* Nothing may look at the mapping again: it may have changed. */
	atomic_signal_fence(memory_order_seq_cst);
	ret_entry->name[CREW__NAME_MAX - 1] = '\0';
}
