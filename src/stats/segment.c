/* segment.c - making, opening and ending segments.
 *
 * Not here: reading numbers out of them (segment_read.c), what must hold of a layout (layout.c). */
#include "stats/segment.h"

#include "base/clock.h"
#include "stats/layout.h"
#include "stats/memfd.h"
#include "stats/rings.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static uint32_t count_counters(const crew_counter *counters)
{
	uint32_t count = 0;
	while (counters && count < CREW_MAX_COUNTERS && counters[count].name)
		count++;
	return count;
}

static void describe(struct crew__segment_header *header, const struct crew__layout *layout,
	const crew_counter *counters)
{
	struct crew__counter_entry *entry = (void *)((char *)header + layout->counters_offset);
	for (size_t i = 0; i < crew__builtin_count; i++, entry++) {
		snprintf(entry->name, sizeof(entry->name), "%s", crew__builtins[i].name);
		entry->offset = layout->slab_offset + crew__builtins[i].offset;
		entry->gauge = crew__builtins[i].gauge;
	}
	uint32_t app = count_counters(counters);
	uint32_t first = layout->slab_offset + (uint32_t)offsetof(struct crew__slab, app);
	for (uint32_t i = 0; i < app; i++, entry++) {
		snprintf(entry->name, sizeof(entry->name), "%s", counters[i].name);
		entry->offset = first + i * (uint32_t)sizeof(uint64_t);
		entry->app = 1;
	}
}

static void fill_header(struct crew__segment_header *header, const struct crew__layout *layout,
	const struct crew__segment_plan *plan)
{
	struct timespec wall;
	clock_gettime(CLOCK_REALTIME, &wall);
	*header = (struct crew__segment_header){
		.magic = CREW__SEGMENT_MAGIC,
		.version = CREW__SEGMENT_VERSION,
		.header_size = sizeof(*header),
		.size = layout->size,
		.began_ns = crew__clock_ns(),
		.began_wall_s = wall.tv_sec,
		.life = plan->life,
		.id = plan->id,
		.generation = plan->generation,
		.counters = layout->counters,
		.counters_offset = layout->counters_offset,
		.slab_offset = layout->slab_offset,
		.slab_size = layout->slab_size,
		.slots = layout->slots,
		.record_size = layout->record_size,
		.cold_size = layout->cold_size,
		.records_offset = layout->records_offset,
		.slow_size = layout->slow_size,
		.cold_offset = layout->cold_offset,
		.slow_offset = layout->slow_offset,
		.measures = layout->measures,
		.measure_size = layout->measure_size,
		.measures_offset = layout->measures_offset,
		.events_size = layout->events_size,
		.closed_size = layout->closed_size,
		.events_offset = layout->events_offset,
		.closed_offset = layout->closed_offset,
		.words_offset = layout->words_offset,
		.words_size = layout->words_size,
	};
	snprintf(header->service, sizeof(header->service), "%s", plan->service);
	snprintf(header->listen, sizeof(header->listen), "%s", plan->listen ? plan->listen : "");
}

int crew__segment_new(const struct crew__segment_plan *plan, struct crew__segment *ret_segment)
{
	struct crew__layout layout;
	int fd;
	void *memory;
	if (plan->life < 1 || plan->life > CREW__LIFE_MAX || plan->slots > CREW__SLOTS_MAX)
		return -EINVAL;
	uint32_t counters = (uint32_t)crew__builtin_count + count_counters(plan->counters);
	crew__layout_plan(plan->slots, counters, &layout);
	int error = crew__memfd_new(CREW__SEGMENT_MAGIC, layout.size, &fd, &memory);
	if (error)
		return error;
	fill_header(memory, &layout, plan);
	describe(memory, &layout, plan->counters);
	*ret_segment = (struct crew__segment){
		.fd = fd, .size = layout.size, .header = memory, .writable = true
	};
	return 0;
}

int crew__segment_open(int take_fd, bool writable, struct crew__segment *ret_segment)
{
	struct crew__segment segment = { .fd = take_fd, .writable = writable };
	struct crew__layout layout;
	void *memory;
	int error = crew__memfd_map(take_fd, CREW__HEADER_LEAST, writable, &segment.size, &memory);
	if (error) {
		close(take_fd);
		return error;
	}
	segment.header = memory;
	error = crew__layout_check(&segment, &layout);
	if (error) {
		crew__segment_fini(&segment);
		return error;
	}
	*ret_segment = segment;
	return 0;
}

void crew__segment_fini(struct crew__segment *segment)
{
	/* Descriptor and mapping come and go together; without a mapping `fd` may be a zero that
	 * nobody meant. */
	if (segment->header) {
		munmap(segment->header, segment->size);
		close(segment->fd);
	}
	*segment = (struct crew__segment){ .fd = -1 };
}

/* A worker writes by the struct, so the struct must be what the segment describes. */
static bool ours(const struct crew__segment *segment, const struct crew__layout *layout)
{
	struct crew__layout plan;
	struct crew__counter_entry entry;
	if (layout->counters < crew__builtin_count ||
		layout->counters > crew__builtin_count + CREW_MAX_COUNTERS)
		return false;
	crew__layout_plan(layout->slots, layout->counters, &plan);
	if (!crew__layout_same(&plan, layout))
		return false;
	for (uint32_t i = 0; i < crew__builtin_count; i++) {
		crew__layout_entry(segment, layout, i, &entry);
		if (strcmp(entry.name, crew__builtins[i].name) != 0 ||
			entry.offset != layout->slab_offset + crew__builtins[i].offset || entry.app)
			return false;
	}
	return true;
}

int crew__segment_stats(const struct crew__segment *segment, struct crew__stats *ret_stats)
{
	struct crew__layout layout;
	const struct crew__segment_header *header = segment->header;
	if (!segment->writable || crew__layout_check(segment, &layout) || !ours(segment, &layout) ||
		header->life < 1 || header->life > CREW__LIFE_MAX)
		return -EPROTO;
	*ret_stats = (struct crew__stats){
		.slab = crew__layout_at(segment, layout.slab_offset),
		.records = crew__layout_at(segment, layout.records_offset),
		.cold = crew__layout_at(segment, layout.cold_offset),
		.slow = crew__layout_at(segment, layout.slow_offset),
		.measures = crew__layout_at(segment, layout.measures_offset),
		.events = crew__layout_at(segment, layout.events_offset),
		.closed = crew__layout_at(segment, layout.closed_offset),
		.tls = &segment->header->tls,
		.slots = layout.slots,
		.life = header->life,
		.began_ns = header->began_ns,
	};
	return 0;
}

const struct crew__events *crew__segment_events(const struct crew__segment *segment)
{
	struct crew__layout layout;
	if (crew__layout_check(segment, &layout) ||
		layout.events_size != sizeof(struct crew__events))
		return NULL;
	return crew__layout_at(segment, layout.events_offset);
}

const struct crew__closed_ring *crew__segment_closed(const struct crew__segment *segment)
{
	struct crew__layout layout;
	if (crew__layout_check(segment, &layout) ||
		layout.closed_size != sizeof(struct crew__closed_ring))
		return NULL;
	return crew__layout_at(segment, layout.closed_offset);
}

struct crew__words *crew__segment_words(const struct crew__segment *segment)
{
	struct crew__layout layout;
	if (crew__layout_check(segment, &layout) || layout.words_size != sizeof(struct crew__words))
		return NULL;
	return crew__layout_at(segment, layout.words_offset);
}

int crew__segment_readonly_fd(const struct crew__segment *segment)
{
	return crew__memfd_readonly(segment->fd);
}
