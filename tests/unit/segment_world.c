/* A segment for each test. */
#include "segment_world.h"

#include <stdlib.h>
#include <string.h>

const crew_counter segment_counters[CREW_MAX_COUNTERS] = { { "orders", "orders", "orders taken" },
	{ "refunds", "refunds", "paid back" } };

const struct crew__segment_plan segment_plan = {
	.service = "feed",
	.listen = "ws://127.0.0.1:7010",
	.life = 7,
	.id = 3,
	.generation = 2,
	.slots = 100,
	.counters = segment_counters,
};

int segment_set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	assert_int_equal(crew__segment_new(&segment_plan, &f->segment), 0);
	assert_int_equal(crew__segment_stats(&f->segment, &f->stats), 0);
	*state = f;
	return 0;
}

int segment_tear_down(void **state)
{
	struct fixture *f = *state;
	crew__segment_fini(&f->segment);
	free(f);
	return 0;
}

struct crew__snapshot segment_read_now(const struct crew__segment *segment, unsigned patience_us)
{
	struct crew__snapshot snapshot;
	crew__segment_read(segment, crew__clock_ns(), patience_us, &snapshot);
	return snapshot;
}

void segment_assert_lawful(const struct crew__slab *slab)
{
	const char *law = "?";
	if (!crew__slab_lawful(slab, &law))
		fail_msg("%s", law);
}

void segment_open_record(struct fixture *f, uint32_t slot, uint64_t id)
{
	f->stats.records[slot].bytes_in = id * 2;
	f->stats.cold[slot].kernel_unsent = (uint32_t)id * 3;
	atomic_store(&f->stats.records[slot].id, id);
	if (atomic_load(&f->stats.slab->slots_high) <= slot)
		atomic_store(&f->stats.slab->slots_high, slot + 1);
}
