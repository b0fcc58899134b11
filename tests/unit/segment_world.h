/* What the tests of segments share: one segment, made anew for each test. */
#ifndef CREW_TESTS_SEGMENT_WORLD_H
#define CREW_TESTS_SEGMENT_WORLD_H

#include "base/clock.h"
#include "stats/layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

extern const crew_counter segment_counters[CREW_MAX_COUNTERS];
extern const struct crew__segment_plan segment_plan;

struct fixture {
	struct crew__segment segment;
	struct crew__stats stats;
};

/* cmocka's set-up and tear-down; the state is a struct fixture. */
int segment_set_up(void **state);
int segment_tear_down(void **state);

struct crew__snapshot segment_read_now(const struct crew__segment *segment, unsigned patience_us);

void segment_assert_lawful(const struct crew__slab *slab);

/* Put a connection into a slot: its numbers are made of its id. */
void segment_open_record(struct fixture *f, uint32_t slot, uint64_t id);

#endif
