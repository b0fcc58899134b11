/* test_fault_offload.c - slow work without memory, and without threads: what is refused is as if it
 * had never been asked for, and what was taken is done. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fault.h"
#include "net_ways.h"

#include <unistd.h>

enum {
	JOBS = 3
};

static struct {
	struct world world;
	_Atomic unsigned ran;
	unsigned told;
} t;

static const crew_service quiet = { .name = "quiet", .listen = "tcp://127.0.0.1:1" };

static void adjust(struct crew__service_settings *s)
{
	s->offload_timeout_ms = 60000; /* with a timer for each */
}

static void work(void *arg)
{
	(void)arg;
	atomic_fetch_add(&t.ran, 1);
}

static void tell_it(crew_worker *w, int error, void *arg)
{
	assert_ptr_equal(w, t.world.worker);
	assert_null(arg);
	assert_int_equal(error, 0);
	t.told++;
}

static void on_done(crew_worker *w, void *arg)
{
	(void)w;
	(void)arg;
	t.world.done = true;
}

static void open_it(void)
{
	t.ran = 0;
	t.told = 0;
	assert_true(world_open(&t.world, &quiet, CREW__ENGINE_EPOLL, adjust));
}

/* Offer JOBS of them while calls of that kind fail from the n-th on, or the n-th alone: how many
 * were taken. Each refusal says `error`. */
static unsigned offer_all(enum fault_kind kind, unsigned n, bool lasting, int error)
{
	unsigned taken = 0;
	fault_set(kind, n, lasting);
	for (unsigned i = 0; i < JOBS; i++) {
		int64_t id = crew_offload(t.world.worker, work, tell_it, NULL);
		taken += id > 0;
		if (id <= 0)
			assert_int_equal(id, error);
	}
	return taken;
}

static void end_it(unsigned taken)
{
	fault_set(FAULT_NONE, 0, false);
	world_until(&t.world, t.told == taken);
	assert_int_equal(t.ran, taken);
	assert_int_equal(counter(&t.world, "offload_offered"), JOBS);
	assert_int_equal(counter(&t.world, "offload_refused"), JOBS - taken);
	assert_int_equal(counter(&t.world, "offload_done"), taken);
	const struct crew__worker_stop stop = { .window_ms = 60000, .done = on_done };
	crew__worker_stop(t.world.worker, &stop);
	world_until(&t.world, t.world.done);
	assert_int_equal(counter(&t.world, "offload_left"), 0);
	world_close(&t.world);
}

static void any_allocation_may_fail(void **state)
{
	bool hit = true;
	(void)state;
	for (unsigned n = 1; hit; n++) {
		open_it();
		unsigned taken = offer_all(FAULT_MEMORY, n, false, -ENOMEM);
		hit = fault_hit();
		assert_in_range(taken, JOBS - hit, JOBS);
		end_it(taken);
	}
}

static void none_at_all_is_refused(void **state)
{
	(void)state;
	open_it();
	assert_int_equal(offer_all(FAULT_MEMORY, 1, true, -ENOMEM), 0);
	end_it(0);
}

static void without_any_thread_it_is_refused(void **state)
{
	(void)state;
	open_it();
	assert_int_equal(offer_all(FAULT_THREAD, 1, true, -EAGAIN), 0);
	end_it(0);
	open_it();
	assert_int_equal(offer_all(FAULT_THREAD, 1, false, -EAGAIN), JOBS - 1);
	end_it(JOBS - 1);
}

static void one_thread_does_for_all(void **state)
{
	(void)state;
	open_it();
	assert_int_equal(offer_all(FAULT_THREAD, 2, true, -EAGAIN), JOBS);
	end_it(JOBS);
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_allocation_may_fail),
		cmocka_unit_test(none_at_all_is_refused),
		cmocka_unit_test(without_any_thread_it_is_refused),
		cmocka_unit_test(one_thread_does_for_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
