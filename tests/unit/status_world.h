/* status_world.h - what a master and its workers would have in shared memory, made by hand, for the
 * tests of `status`. */
#ifndef CREW_TESTS_STATUS_WORLD_H
#define CREW_TESTS_STATUS_WORLD_H

#include "cli/status.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

/* Services feed (0) and web (1), counters orders and refunds. */
extern const crew_app world_app;

/* What a master and its workers would have, and a command would be attached to. */
struct world {
	struct crew__directory directory;
	struct crew__segment segments[8];
	struct crew__slab *slabs[8];
	size_t count;
	struct crew__attached attached;
	uint64_t now_ns;
};

/* Set up and tear down for cmocka: `*state` is a struct world. */
int world_set_up(void **state);
int world_tear_down(void **state);
#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, world_set_up, world_tear_down)

/* A ready worker of generation 1, without a descriptor. */
struct crew__life world_life(uint32_t number, uint32_t service, uint32_t id, pid_t pid);
/* Enter it, with a segment and these counters of the program's own. */
struct crew__slab *world_add(struct world *w, struct crew__life life, const crew_counter *counters);
/* Add to all counters numbers in which the laws hold, times `n`. */
void world_work(struct crew__slab *slab, uint64_t n);
/* Look. */
struct crew__status *world_take(struct world *w);

#endif
