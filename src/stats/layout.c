/* layout.c - the layout as planned, and as found. */
#include "stats/layout.h"

#include "stats/rings.h"

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

/* Where a part on pages of its own begins, given where the one before it ends. What nobody touches
 * of it costs no memory. */
static uint64_t next_page(uint64_t end)
{
	return round_up(end, PAGE);
}

/* Offsets are small: at most 2^20 slots of a few hundred bytes, two rings and a few pages. */
void crew__layout_plan(uint32_t slots, uint32_t counters, struct crew__layout *ret_layout)
{
	struct crew__layout layout = {
		.counters = counters,
		.counters_offset = sizeof(struct crew__segment_header),
		.slab_size = sizeof(struct crew__slab),
		.measures = CREW__MEASURES,
		.measure_size = sizeof(struct crew__histogram),
		.events_size = sizeof(struct crew__events),
		.closed_size = sizeof(struct crew__closed_ring),
		.slots = slots,
		.record_size = sizeof(struct crew__record),
		.cold_size = sizeof(struct crew__record_cold),
		.slow_size = sizeof(struct crew__record_slow),
		.words_size = sizeof(struct crew__words),
	};
	uint64_t end = layout.counters_offset + counters * sizeof(struct crew__counter_entry);
	layout.slab_offset = (uint32_t)round_up(end, LINE);
	layout.measures_offset = (uint32_t)round_up(layout.slab_offset + layout.slab_size, LINE);
	end = layout.measures_offset + layout.measures * layout.measure_size;
	layout.events_offset = next_page(end);
	layout.closed_offset = next_page(layout.events_offset + layout.events_size);
	layout.records_offset = next_page(layout.closed_offset + layout.closed_size);
	layout.cold_offset = next_page(
		layout.records_offset + (uint64_t)slots * layout.record_size);
	layout.slow_offset = next_page(layout.cold_offset + (uint64_t)slots * layout.cold_size);
	layout.words_offset = next_page(layout.slow_offset + (uint64_t)slots * layout.slow_size);
	layout.size = next_page(layout.words_offset + layout.words_size);
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
		.measures = PEEK(header, measures),
		.measure_size = PEEK(header, measure_size),
		.measures_offset = PEEK(header, measures_offset),
		.events_size = PEEK(header, events_size),
		.closed_size = PEEK(header, closed_size),
		.events_offset = PEEK(header, events_offset),
		.closed_offset = PEEK(header, closed_offset),
		.slots = PEEK(header, slots),
		.record_size = PEEK(header, record_size),
		.cold_size = PEEK(header, cold_size),
		.records_offset = PEEK(header, records_offset),
		.slow_size = PEEK(header, slow_size),
		.cold_offset = PEEK(header, cold_offset),
		.slow_offset = PEEK(header, slow_offset),
	};
	/* A segment of before there were any ends its header here. */
	if (PEEK(header, header_size) >= sizeof(*header)) {
		layout->words_offset = PEEK(header, words_offset);
		layout->words_size = PEEK(header, words_size);
	}
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

static bool measures_fit(const struct crew__layout *layout)
{
	return layout->measures <= CREW__ENTRIES_MAX &&
	       aligned(layout->measures_offset | layout->measure_size,
		       _Alignof(struct crew__histogram)) &&
	       inside(layout->size, layout->measures_offset, layout->measures,
		       layout->measure_size);
}

/* Whatever their sizes are: who reads them asks whether they are those that it knows. */
static bool rings_fit(const struct crew__layout *layout)
{
	return aligned(layout->events_offset, _Alignof(struct crew__events)) &&
	       aligned(layout->closed_offset, _Alignof(struct crew__closed_ring)) &&
	       inside(layout->size, layout->events_offset, 1, layout->events_size) &&
	       inside(layout->size, layout->closed_offset, 1, layout->closed_size);
}

static bool words_fit(const struct crew__layout *layout)
{
	return aligned(layout->words_offset, _Alignof(struct crew__words)) &&
	       inside(layout->size, layout->words_offset, 1, layout->words_size);
}

/* An array with an element for each slot: `each` bytes, `least` of which this version knows. */
static bool array_fits(const struct crew__layout *layout, uint64_t offset, uint32_t each,
	size_t least, size_t alignment)
{
	return each >= least && aligned(offset | each, alignment) &&
	       inside(layout->size, offset, layout->slots, each);
}

#define ARRAY_FITS(layout, offset, each, type) \
	array_fits((layout), (offset), (each), sizeof(type), _Alignof(type))

static bool records_fit(const struct crew__layout *layout)
{
	return layout->slots <= CREW__SLOTS_MAX &&
	       ARRAY_FITS(
		       layout, layout->records_offset, layout->record_size, struct crew__record) &&
	       ARRAY_FITS(
		       layout, layout->cold_offset, layout->cold_size, struct crew__record_cold) &&
	       ARRAY_FITS(layout, layout->slow_offset, layout->slow_size, struct crew__record_slow);
}

int crew__layout_check(const struct crew__segment *segment, struct crew__layout *ret_layout)
{
	const struct crew__segment_header *header = segment->header;
	struct crew__layout layout;
	if (memcmp(header->magic, CREW__SEGMENT_MAGIC, sizeof(CREW__SEGMENT_MAGIC)) != 0 ||
		PEEK(header, version) != CREW__SEGMENT_VERSION ||
		PEEK(header, header_size) < CREW__HEADER_LEAST ||
		PEEK(header, header_size) > segment->size)
		return -EPROTO;
	copy_layout(header, &layout);
	if (layout.size != segment->size || !counters_fit(&layout) || !slab_fits(&layout) ||
		!measures_fit(&layout) || !rings_fit(&layout) || !records_fit(&layout) ||
		!words_fit(&layout))
		return -EPROTO;
	*ret_layout = layout;
	return 0;
}

bool crew__layout_same(const struct crew__layout *a, const struct crew__layout *b)
{
	return a->counters == b->counters && a->slab_size == b->slab_size &&
	       a->measures == b->measures && a->measure_size == b->measure_size &&
	       a->events_size == b->events_size && a->closed_size == b->closed_size &&
	       a->slots == b->slots && a->record_size == b->record_size &&
	       a->cold_size == b->cold_size && a->slow_size == b->slow_size;
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
