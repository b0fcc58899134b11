/* test_fault_top.c - `top` without memory: a look, a page, a frame or a document is there, or is
 * not and says so; nothing is lost on the way. */
#include "status_world.h"

#include "cli/top_draw.h"
#include "cli/top_plain.h"
#include "fault.h"

#include <stdlib.h>
#include <unistd.h>

enum {
	STEPS_MOST = 200
};

static void attach(struct world *w)
{
	struct crew__stats stats;
	world_add(w, world_life(1, 0, 0, getpid()), world_app.counters);
	assert_int_equal(crew__segment_stats(&w->segments[0], &stats), 0);
	atomic_store(&stats.slab->slots_high, 1);
	stats.records[0].state = CREW__CONN_OPEN;
	stats.records[0].end = CREW_END_REASONS;
	atomic_store(&stats.records[0].id, (uint64_t)1 << 52 | 1);
	w->attached.copy_consistent = crew__directory_read(&w->directory, 1000, w->attached.copy);
	w->attached.directory = w->directory;
	w->attached.segments = w->segments;
	w->attached.segment_count = w->count;
}

static int look(struct world *w, struct crew__top_look **ret_look)
{
	char error[256] = "";
	struct crew__status_source source = {
		.attached = &w->attached, .app = &world_app, .now_ns = w->now_ns
	};
	int status = crew__top_look_new(&source, NULL, ret_look, error, sizeof(error));
	assert_true((status == 0) == (error[0] == '\0'));
	return status;
}

static void a_look(void **state)
{
	struct world *w = *state;
	struct crew__top_look *seen;
	unsigned n = 1;
	attach(w);
	for (;; n++) {
		fault_set(FAULT_MEMORY, n, false);
		int status = look(w, &seen);
		bool hit = fault_hit();
		fault_set(FAULT_NONE, 0, false);
		if (status == 0)
			crew__top_look_free(seen);
		if (!hit)
			break;
		assert_int_equal(status, -ENOMEM);
		assert_true(n < STEPS_MOST);
	}
	assert_true(n > 5);
}

static void pages_and_frames(void **state)
{
	struct world *w = *state;
	struct crew__top_order order = { .by = CREW__TOP_BY_SLOWNESS };
	struct crew__top_look *seen;
	struct crew__page page;
	struct crew__buf frame;
	FILE *nowhere = fopen("/dev/null", "w");
	assert_non_null(nowhere);
	attach(w);
	assert_int_equal(look(w, &seen), 0);
	crew__top_look_arrange(seen, &order);
	assert_int_equal(seen->row_count, 1);
	fault_set(FAULT_MEMORY, 1, true);
	assert_int_equal(crew__page_new(&page, 24, 80), -ENOMEM);
	assert_int_equal(crew__top_print(seen, &order, 20, nowhere), -ENOMEM);
	fault_set(FAULT_NONE, 0, false);
	assert_int_equal(crew__page_new(&page, 24, 80), 0);
	crew__buf_init(&frame, 1 << 20);
	fault_set(FAULT_MEMORY, 1, true);
	assert_int_equal(crew__page_frame(&page, NULL, true, &frame), -ENOMEM);
	fault_set(FAULT_NONE, 0, false);
	crew__buf_release(&frame);
	crew__page_fini(&page);
	crew__top_look_free(seen);
	fclose(nowhere);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(a_look),
		WORLD_TEST(pages_and_frames),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
