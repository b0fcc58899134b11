/* segment_read.c - copies of a segment's numbers, taken while their writer goes on.
 *
 * The writer is not asked and not waited for beyond the caller's patience. Every pass over the
 * segment begins with a checked layout: its writer may have damaged the header since it was opened.
 */
#include "stats/segment.h"

#include "base/clock.h"
#include "stats/layout.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	SPINS = 16, /* tries before the writer is given the processor */
	PAUSE_NS = 20000,
	RECORD_TRIES = 8,
	RECORDS_FIRST = 64,
};
#define QPS_OLD_NS (2 * CREW__NS_PER_S)

/* ---- numbers ------------------------------------------------------------------------------- */

/* Where the counters that we know stand in this segment; 0: it has none of that name. */
struct places {
	uint32_t builtin[sizeof(struct crew__slab) / sizeof(uint64_t)];
	uint32_t app[CREW_MAX_COUNTERS];
};

static bool stands_in_slab(const struct crew__layout *layout, uint32_t offset)
{
	return offset % sizeof(uint64_t) == 0 && offset >= layout->slab_offset &&
	       offset - layout->slab_offset <= layout->slab_size - sizeof(uint64_t);
}

/* `guess` is where it stands when the writer is of this version. */
static size_t find_builtin(const char *name, size_t guess)
{
	if (guess < crew__builtin_count && strcmp(crew__builtins[guess].name, name) == 0)
		return guess;
	for (size_t i = 0; i < crew__builtin_count; i++)
		if (strcmp(crew__builtins[i].name, name) == 0)
			return i;
	return SIZE_MAX;
}

static void find_places(const struct crew__segment *segment, const struct crew__layout *layout,
	struct places *places)
{
	struct crew__counter_entry entry;
	size_t app = 0;
	memset(places, 0, sizeof(*places));
	for (uint32_t i = 0; i < layout->counters; i++) {
		crew__layout_entry(segment, layout, i, &entry);
		if (!stands_in_slab(layout, entry.offset))
			continue;
		size_t found = entry.app ? SIZE_MAX : find_builtin(entry.name, i);
		if (entry.app && app < CREW_MAX_COUNTERS)
			places->app[app++] = entry.offset;
		else if (found != SIZE_MAX)
			places->builtin[found] = entry.offset;
	}
}

static uint64_t load(const struct crew__segment *segment, uint32_t offset)
{
	const uint64_t *value = crew__layout_at(segment, offset);
	return offset ? __atomic_load_n(value, __ATOMIC_RELAXED) : 0;
}

static void copy_counters(const struct crew__segment *segment, const struct places *places,
	struct crew__slab *counters)
{
	for (size_t i = 0; i < crew__builtin_count; i++) {
		char *field = (char *)counters + crew__builtins[i].offset;
		uint64_t value = load(segment, places->builtin[i]);
		memcpy(field, &value, sizeof(value));
	}
	for (size_t i = 0; i < CREW_MAX_COUNTERS; i++)
		counters->app[i] = load(segment, places->app[i]);
}

/* One try; true when the writer was outside of an update from the beginning to the end. */
static bool try_copy(const struct crew__segment *segment, const struct crew__slab *slab,
	const struct places *places, struct crew__snapshot *snapshot)
{
	struct crew__slab *counters = &snapshot->counters;
	uint32_t before = atomic_load_explicit(&slab->sequence, memory_order_acquire);
	copy_counters(segment, places, counters);
	counters->qps_requests = __atomic_load_n(&slab->qps_requests, __ATOMIC_RELAXED);
	snapshot->qps = __atomic_load_n(&slab->qps, __ATOMIC_RELAXED);
	counters->qps_since_ns = atomic_load_explicit(&slab->qps_since_ns, memory_order_relaxed);
	snapshot->state = (enum crew__worker_state)atomic_load_explicit(
		&slab->state, memory_order_relaxed);
	snapshot->callback = atomic_load_explicit(&slab->callback, memory_order_relaxed);
	snapshot->turn_began_ns = atomic_load_explicit(&slab->turn_began_ns, memory_order_relaxed);
	atomic_thread_fence(memory_order_acquire);
	return before % 2 == 0 &&
	       before == atomic_load_explicit(&slab->sequence, memory_order_relaxed);
}

/* On one processor only a pause lets the writer get out of its update. */
static void pause_after(unsigned tries)
{
	const struct timespec a_while = { .tv_nsec = PAUSE_NS };
	if (tries >= SPINS)
		nanosleep(&a_while, NULL);
}

static bool copy_patiently(const struct crew__segment *segment, const struct crew__layout *layout,
	unsigned patience_us, struct crew__snapshot *snapshot)
{
	struct places places;
	const struct crew__slab *slab = crew__layout_at(segment, layout->slab_offset);
	uint64_t end = crew__clock_ns() + patience_us * UINT64_C(1000);
	find_places(segment, layout, &places);
	for (unsigned tries = 0; !try_copy(segment, slab, &places, snapshot); tries++) {
		if (crew__clock_ns() >= end)
			return false;
		pause_after(tries);
	}
	return true;
}

/* A worker that stands still no longer works its rate out; it sinks all the same. */
static uint64_t present_qps(const struct crew__snapshot *snapshot, uint64_t now_ns)
{
	const struct crew__slab *counters = &snapshot->counters;
	uint64_t since = atomic_load_explicit(&counters->qps_since_ns, memory_order_relaxed);
	if (since == 0)
		since = snapshot->began_ns;
	if (now_ns < since || now_ns - since <= QPS_OLD_NS)
		return snapshot->qps;
	if (counters->total_request < counters->qps_requests)
		return 0;
	double requests = (double)(counters->total_request - counters->qps_requests);
	return (uint64_t)(requests * 1e9 / (double)(now_ns - since));
}

static void copy_text(char *to, const char *from, size_t size)
{
	memcpy(to, from, size);
	to[size - 1] = '\0';
}

static void copy_header(const struct crew__segment_header *header, struct crew__snapshot *snapshot)
{
	copy_text(snapshot->service, header->service, sizeof(snapshot->service));
	copy_text(snapshot->listen, header->listen, sizeof(snapshot->listen));
	snapshot->life = header->life;
	snapshot->id = header->id;
	snapshot->generation = header->generation;
	snapshot->pid = atomic_load_explicit(&header->pid, memory_order_relaxed);
	snapshot->began_ns = header->began_ns;
	snapshot->tls_expires = atomic_load_explicit(&header->tls.expires, memory_order_relaxed);
	copy_text(snapshot->tls_ktls, header->tls.ktls, sizeof(snapshot->tls_ktls));
}

static void copy_measure(const struct crew__histogram *from, struct crew__histogram *to)
{
	for (unsigned i = 0; i < CREW__BUCKETS; i++)
		to->count[i] = __atomic_load_n(&from->count[i], __ATOMIC_RELAXED);
	to->sum_us = __atomic_load_n(&from->sum_us, __ATOMIC_RELAXED);
}

/* A histogram of other buckets than ours cannot be read; one that the segment lacks is zeros. */
static void copy_measures(const struct crew__segment *segment, const struct crew__layout *layout,
	struct crew__histogram *measures)
{
	const struct crew__histogram *from = crew__layout_at(segment, layout->measures_offset);
	if (layout->measure_size != sizeof(*from))
		return;
	for (unsigned i = 0; i < CREW__MEASURES && i < layout->measures; i++)
		copy_measure(&from[i], &measures[i]);
}

/* False: a thread was about to write another. */
static bool try_job(const struct crew__offload_shown *shown, struct crew__snapshot *snapshot)
{
	uint64_t began_ns = atomic_load_explicit(&shown->began_ns, memory_order_acquire);
	for (size_t i = 0; i < crew__lengthof(shown->name); i++) {
		uint64_t word = atomic_load_explicit(&shown->name[i], memory_order_relaxed);
		memcpy(snapshot->job_name + i * sizeof(word), &word, sizeof(word));
	}
	atomic_thread_fence(memory_order_acquire);
	snapshot->job_began_ns = began_ns;
	return began_ns == atomic_load_explicit(&shown->began_ns, memory_order_relaxed);
}

/* What changes all the time has not run long: then there is nothing worth telling. */
static void copy_job(const struct crew__segment *segment, const struct crew__layout *layout,
	struct crew__snapshot *snapshot)
{
	const struct crew__slab *slab = crew__layout_at(segment, layout->slab_offset);
	if (layout->slab_size < offsetof(struct crew__slab, offload) + sizeof(slab->offload))
		return;
	unsigned tries = 0;
	while (!try_job(&slab->offload, snapshot) && ++tries < RECORD_TRIES)
		;
	if (tries == RECORD_TRIES)
		snapshot->job_began_ns = 0;
	snapshot->job_name[sizeof(snapshot->job_name) - 1] = '\0';
	snapshot->longest_wait_ns = atomic_load_explicit(
		&slab->offload.longest_wait_ns, memory_order_relaxed);
}

void crew__segment_read(const struct crew__segment *segment, uint64_t now_ns, unsigned patience_us,
	struct crew__snapshot *ret_snapshot)
{
	struct crew__layout layout;
	memset(ret_snapshot, 0, sizeof(*ret_snapshot));
	copy_header(segment->header, ret_snapshot);
	if (crew__layout_check(segment, &layout))
		return;
	ret_snapshot->consistent = copy_patiently(segment, &layout, patience_us, ret_snapshot);
	/* What no worker writes: there is nothing to be expected of this one. */
	if (ret_snapshot->state > CREW__EXITED)
		ret_snapshot->state = CREW__EXITED;
	ret_snapshot->qps = present_qps(ret_snapshot, now_ns);
	copy_measures(segment, &layout, ret_snapshot->measures);
	copy_job(segment, &layout, ret_snapshot);
}

/* ---- connections --------------------------------------------------------------------------- */

/* The records found so far. */
struct finds {
	struct crew__conn_snapshot *rows;
	size_t count, room;
};

/* Looking at memory that was never written would give the segment that memory. So where slow
 * records stand is asked of the file, once for each stretch of written pages. */
struct stretch {
	uint64_t begin,
		end; /* offsets: written; nothing is before `begin` that has not been asked */
};

static bool is_written(
	const struct crew__segment *segment, uint64_t offset, struct stretch *stretch)
{
	if (offset < stretch->begin)
		return false;
	if (offset < stretch->end)
		return true;
	off_t data = lseek(segment->fd, (off_t)offset, SEEK_DATA);
	off_t hole = data < 0 ? -1 : lseek(segment->fd, data, SEEK_HOLE);
	/* None beyond (ENXIO). What cannot be asked is looked at, whatever it costs. */
	bool none = data < 0 && errno == ENXIO;
	stretch->begin = data >= 0 ? (uint64_t)data : none ? UINT64_MAX : offset;
	stretch->end = hole >= 0 ? (uint64_t)hole : UINT64_MAX;
	return offset >= stretch->begin;
}

/* The slot's slow record when it is that connection's, and was so from the beginning to the end. */
static bool copy_slow(const struct crew__segment *segment, const struct crew__layout *layout,
	uint32_t slot, struct stretch *stretch, struct crew__conn_snapshot *copy)
{
	uint64_t offset = layout->slow_offset + (uint64_t)slot * layout->slow_size;
	if (!is_written(segment, offset, stretch))
		return false;
	const struct crew__record_slow *slow = crew__layout_at(segment, offset);
	uint64_t id = atomic_load_explicit(&copy->hot.id, memory_order_relaxed);
	if (atomic_load_explicit(&slow->id, memory_order_acquire) != id)
		return false;
	memcpy(&copy->slow, slow, sizeof(copy->slow));
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&slow->id, memory_order_relaxed) == id;
}

static void add_slow(const struct crew__segment *segment, const struct crew__layout *layout,
	uint32_t slot, struct stretch *stretch, struct crew__conn_snapshot *copy)
{
	copy->has_slow = copy_slow(segment, layout, slot, stretch, copy);
	if (!copy->has_slow)
		memset(&copy->slow, 0, sizeof(copy->slow));
	atomic_store_explicit(
		&copy->slow.id, copy->has_slow ? copy->hot.id : 0, memory_order_relaxed);
}

/* True with a copy when the slot is in use, and by the same connection at both ends of the copy.
 * Its numbers fit together but where the writer stands inside an update all the time. */
static bool copy_record(const struct crew__segment *segment, const struct crew__layout *layout,
	uint32_t slot, struct crew__conn_snapshot *copy)
{
	const struct crew__slab *slab = crew__layout_at(segment, layout->slab_offset);
	const struct crew__record *hot = crew__layout_at(
		segment, layout->records_offset + (uint64_t)slot * layout->record_size);
	const struct crew__record_cold *cold = crew__layout_at(
		segment, layout->cold_offset + (uint64_t)slot * layout->cold_size);
	uint64_t id = 0, again = 0;
	for (unsigned tries = 0; tries < RECORD_TRIES; tries++) {
		uint32_t before = atomic_load_explicit(&slab->sequence, memory_order_acquire);
		id = atomic_load_explicit(&hot->id, memory_order_acquire);
		if (id == 0)
			return false;
		memcpy(&copy->hot, hot, sizeof(copy->hot));
		memcpy(&copy->cold, cold, sizeof(copy->cold));
		atomic_thread_fence(memory_order_acquire);
		again = atomic_load_explicit(&hot->id, memory_order_relaxed);
		if (before % 2 == 0 &&
			before == atomic_load_explicit(&slab->sequence, memory_order_relaxed))
			break;
	}
	atomic_store_explicit(&copy->hot.id, id, memory_order_relaxed);
	return id == again;
}

static bool make_room(struct finds *finds)
{
	if (finds->count < finds->room)
		return true;
	size_t room = finds->room ? finds->room * 2 : RECORDS_FIRST; /* at most twice the slots */
	struct crew__conn_snapshot *rows = reallocarray(finds->rows, room, sizeof(*rows));
	if (!rows)
		return false;
	finds->rows = rows;
	finds->room = room;
	return true;
}

/* Slots that were never used are not looked at: that would give them memory. */
static uint32_t slots_used(const struct crew__segment *segment, const struct crew__layout *layout)
{
	const struct crew__slab *slab = crew__layout_at(segment, layout->slab_offset);
	uint32_t high = atomic_load_explicit(&slab->slots_high, memory_order_relaxed);
	return high < layout->slots ? high : layout->slots;
}

struct crew__conn_snapshot *crew__segment_connections(
	const struct crew__segment *segment, size_t *ret_count)
{
	struct crew__layout layout;
	struct crew__conn_snapshot copy;
	struct finds finds = { 0 };
	struct stretch written = { 0 };
	*ret_count = 0;
	if (crew__layout_check(segment, &layout))
		return NULL;
	uint32_t slots = slots_used(segment, &layout);
	for (uint32_t slot = 0; slot < slots; slot++) {
		if (!copy_record(segment, &layout, slot, &copy))
			continue;
		if (!make_room(&finds)) {
			free(finds.rows);
			*ret_count = finds.count + 1;
			return NULL;
		}
		add_slow(segment, &layout, slot, &written, &copy);
		finds.rows[finds.count++] = copy;
	}
	*ret_count = finds.count;
	return finds.rows;
}
