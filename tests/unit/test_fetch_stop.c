/* test_fetch_stop.c - requests that are stopped: from everywhere, by themselves and each other, and
 * by the worker's end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fetch_ways.h"

#include "service/fetch_parts.h"

#include <string.h>

static struct {
	int64_t ids[4];
	unsigned calls, rounds;
	int stopped; /* what crew_fetch_stop() answered inside a callback */
} seen;

static int set_up(void **state)
{
	memset(&seen, 0, sizeof(seen));
	return fetch_set_up(state);
}

/* ---- stops ----------------------------------------------------------------------------------- */

static void one_is_stopped(void **state)
{
	(void)state;
	/* Before anything has happened, while it waits for a name, while it is carried. */
	static const unsigned turns[] = { 0, 1, 2, 20 };
	for (size_t i = 0; i < crew__lengthof(turns); i++) {
		const char *url = i == 1 ? "http://localhost:%d/" : "/";
		int64_t id = fetch_start(&stage.told, &stage.web, url, (crew_fetch_options){ 0 });
		assert_true(id > 0);
		for (unsigned j = 0; j < turns[i]; j++)
			world_turn(&stage.world, 1);
		assert_int_equal(crew_fetch_stop(id), 0);
		assert_int_equal(stage.told.calls, 0);
		assert_int_equal(crew_fetch_stop(id), -ENOENT);
		assert_int_equal(crew_fetch_resume(id), -ENOENT);
		assert_true(fetch_wait(&stage.world, &stage.told));
		assert_int_equal(stage.told.error, -ECANCELED);
		fetch_turns(&stage.world, 5);
		assert_int_equal(stage.told.calls, 1);
	}
	assert_int_equal(crew_fetch_stop(0), -ENOENT);
	assert_int_equal(crew_fetch_stop(-1), -ENOENT);
	assert_int_equal(crew_fetch_stop(INT64_MAX), -ENOENT);
}

/* Before there is anything to go on with: nothing happens. */
static void one_is_resumed_too_early(void **state)
{
	(void)state;
	web_answer(&stage.web, OK);
	for (unsigned turns = 0; turns < 4; turns++) {
		int64_t id = fetch_start(&stage.told, &stage.web, "/", (crew_fetch_options){ 0 });
		for (unsigned i = 0; i < turns; i++)
			world_turn(&stage.world, 0);
		while (stage.told.calls == 0) {
			assert_int_equal(crew_fetch_resume(id), 0);
			world_turn(&stage.world, 10);
		}
		assert_int_equal(stage.told.error, 0);
	}
	/* Nine of them, of which the last waits for a connection. */
	web_forget(&stage.web);
	struct told told[9] = { 0 };
	int64_t id = 0;
	for (size_t i = 0; i < 9; i++)
		id = fetch_start(&told[i], &stage.web, "/", (crew_fetch_options){ 0 });
	fetch_turns(&stage.world, 30);
	assert_int_equal(crew_fetch_resume(id), 0);
	fetch_turns(&stage.world, 30);
	assert_int_equal(told[8].calls, 0);
	crew__fetches_cancel(stage.world.worker->fetches);
	fetch_turns(&stage.world, 5);
	for (size_t i = 0; i < 9; i++)
		told_free(&told[i]);
}

static int stop_in_body(int64_t id, int status, crew_bytes part, void *arg)
{
	(void)status;
	(void)part;
	(void)arg;
	seen.calls++;
	seen.stopped = crew_fetch_stop(id);
	if (seen.ids[0])
		crew_fetch_stop(seen.ids[0]); /* another one, which libcurl holds as well */
	return seen.calls & 1 ? 0 : -EAGAIN;
}

static int64_t stop_in_upload(int64_t id, char *room, size_t size, void *arg)
{
	(void)size;
	(void)arg;
	seen.calls++;
	seen.stopped = crew_fetch_stop(id);
	room[0] = 'x';
	return seen.calls & 1 ? 1 : -EAGAIN;
}

static void one_stops_itself(void **state)
{
	(void)state;
	web_answer(&stage.web, OK);
	for (int i = 0; i < 2; i++) {
		seen.stopped = 1;
		assert_int_equal(
			go("/", (crew_fetch_options){ .on_body = stop_in_body }), -ECANCELED);
		assert_int_equal(seen.stopped, 0);
		assert_int_equal(stage.told.status, 200);
	}
	for (int i = 0; i < 2; i++) {
		seen.stopped = 1;
		assert_int_equal(
			go("/", (crew_fetch_options){ .on_upload = stop_in_upload }), -ECANCELED);
		assert_int_equal(seen.stopped, 0);
	}
	assert_int_equal(seen.calls, 4);
}

static void one_stops_another(void **state)
{
	struct told other = { 0 };
	(void)state;
	seen.ids[0] = fetch_start(&other, &stage.web, "/waits", (crew_fetch_options){ 0 });
	fetch_turns(&stage.world, 10);
	assert_int_equal(stage.web.request_count, 1);
	web_answer(&stage.web, OK);
	assert_int_equal(go("/", (crew_fetch_options){ .on_body = stop_in_body }), -ECANCELED);
	assert_true(fetch_wait(&stage.world, &other));
	assert_int_equal(other.error, -ECANCELED);
	told_free(&other);
}

static void ask_again(const crew_fetched *f, void *arg)
{
	(void)arg;
	if (++seen.rounds == 5)
		return;
	assert_int_equal(crew_fetch_stop(f->id), -ENOENT);
	const crew_fetch_options options = { .on_done = ask_again, .on_body = stop_in_body };
	seen.ids[1] = crew_fetch(f->url, &options);
	assert_true(seen.ids[1] > 0 && seen.ids[1] != f->id);
	if (seen.rounds & 1)
		assert_int_equal(crew_fetch_stop(seen.ids[1]), 0);
}

static void on_done_asks_again(void **state)
{
	(void)state;
	web_answer(&stage.web, OK);
	assert_true(fetch_start(&stage.told, &stage.web, "/",
			    (crew_fetch_options){ .on_done = ask_again }) > 0);
	for (int i = 0; i < 200 && seen.rounds < 5; i++)
		world_turn(&stage.world, 10);
	assert_int_equal(seen.rounds, 5);
	assert_int_equal(stage.world.worker->net.stats.slab->fetching, 0);
}

/* ---- the worker's end ------------------------------------------------------------------------ */

static void note_done(crew_worker *w, void *arg)
{
	(void)w;
	*(bool *)arg = true;
}

static void stop_worker(bool graceful, uint64_t window_ms)
{
	crew__worker_stop(stage.world.worker, &(struct crew__worker_stop){ .graceful = graceful,
						      .window_ms = window_ms,
						      .done = note_done,
						      .arg = &stage.world.done });
}

static void a_stop_waits_for_the_answer(void **state)
{
	(void)state;
	web_answer(&stage.web, OK);
	assert_true(fetch_start(&stage.told, &stage.web, "/", (crew_fetch_options){ 0 }) > 0);
	stop_worker(false, 5000);
	assert_true(fetch_wait(&stage.world, &stage.told));
	assert_int_equal(stage.told.error, 0);
	fetch_turns(&stage.world, 20);
	assert_true(stage.world.done);
	assert_int_equal(crew_fetch("http://127.0.0.1/", NULL), -ENOTCONN);
}

static void end_within_the_window(bool graceful)
{
	stage.world.settings.stop_timeout_ms = 20;
	assert_true(fetch_start(&stage.told, &stage.web, "/", (crew_fetch_options){ 0 }) > 0);
	fetch_turns(&stage.world, 10);
	stop_worker(graceful, 60);
	fetch_turns(&stage.world, 30);
	assert_int_equal(stage.told.calls, 0);
	assert_false(stage.world.done);
	assert_true(fetch_wait(&stage.world, &stage.told));
	assert_int_equal(stage.told.error, -ECANCELED);
	fetch_turns(&stage.world, 20);
	assert_true(stage.world.done);
}

static void but_not_for_ever(void **state)
{
	(void)state;
	end_within_the_window(false);
}

static void neither_does_a_graceful_one(void **state)
{
	(void)state;
	end_within_the_window(true);
}

static void begin_again(const crew_fetched *f, void *arg)
{
	(void)arg;
	seen.calls++;
	seen.ids[0] = crew_fetch(f->url, &(crew_fetch_options){ .on_done = begin_again });
}

static void nothing_new_once_the_window_is_over(void **state)
{
	(void)state;
	assert_true(fetch_start(&stage.told, &stage.web, "/",
			    (crew_fetch_options){ .on_done = begin_again }) > 0);
	stop_worker(false, 30);
	fetch_turns(&stage.world, 80);
	assert_true(stage.world.done);
	assert_int_equal(seen.calls, 1);
	assert_int_equal(seen.ids[0], -ENOTCONN);
}

static void a_worker_that_goes_at_once_tells_too(void **state)
{
	(void)state;
	unsigned before = open_descriptors();
	fetch_start(&stage.told, &stage.web, "/", (crew_fetch_options){ 0 });
	fetch_turns(&stage.world, 10);
	fetch_start(&stage.told, &stage.web, "http://localhost:%d/", (crew_fetch_options){ 0 });
	web_close(&stage.web);
	fetch_world_close(&stage.world);
	assert_int_equal(stage.told.calls, 2);
	assert_int_equal(stage.told.error, -ECANCELED);
	assert_true(open_descriptors() < before);
	assert_int_equal(crew_fetch("http://127.0.0.1/", NULL), -ENOTCONN);
	told_free(&stage.told);
	set_up(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fetch_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(one_is_stopped),
		TEST(one_is_resumed_too_early),
		TEST(one_stops_itself),
		TEST(one_stops_another),
		TEST(on_done_asks_again),
		TEST(a_stop_waits_for_the_answer),
		TEST(but_not_for_ever),
		TEST(neither_does_a_graceful_one),
		TEST(nothing_new_once_the_window_is_over),
		TEST(a_worker_that_goes_at_once_tells_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
