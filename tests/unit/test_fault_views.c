/* test_fault_views.c - the commands that look at connections, without memory: each allocation fails
 * in turn, jansson's too. What was begun is undone, and -ENOMEM is what is said. */
#include "cli/closed.h"
#include "cli/events.h"
#include "cli/explain.h"
#include "cli/screen.h"
#include "fault.h"
#include "view_world.h"

#include <stdlib.h>

enum {
	MOST = 20000 /* allocations of one look */
};

static int connections(struct view_world *w, const struct crew__screen *screen)
{
	struct crew__connections all;
	int error = crew__connections_new(&w->world->attached, &all);
	if (error)
		return error;
	error = crew__connections_json(&all, screen->out);
	if (!error)
		error = crew__connections_text(&all, screen);
	crew__connections_fini(&all);
	return error;
}

static int closed(struct view_world *w, const struct crew__screen *screen)
{
	struct crew__closed_list list;
	int error = crew__closed_new(&w->world->attached, &list);
	if (error)
		return error;
	error = crew__closed_list_json(&list, screen->out);
	if (!error)
		error = crew__closed_list_text(&list, screen);
	crew__closed_fini(&list);
	return error;
}

static int explain(struct view_world *w, const struct crew__screen *screen, const char *prefix)
{
	const struct crew__explain_request request = {
		.attached = &w->world->attached, .settings = w->settings, .prefix = prefix
	};
	int error = crew__explain_json(&request, screen->out);
	return error ? error : crew__explain_text(&request, screen);
}

static int explain_open(struct view_world *w, const struct crew__screen *screen)
{
	return explain(w, screen, "00100001");
}

static int explain_closed(struct view_world *w, const struct crew__screen *screen)
{
	return explain(w, screen, "00100003");
}

/* Two candidates are told of as such, unless there is no memory. */
static int explain_two(struct view_world *w, const struct crew__screen *screen)
{
	int error = explain(w, screen, "0010000");
	return error == -ENOTUNIQ ? 0 : error;
}

static int events(struct view_world *w, const struct crew__screen *screen)
{
	struct crew__event_reader reader = { 0 };
	struct crew__event_rows rows;
	int error = crew__event_reader_take(&reader, &w->world->attached, &rows);
	if (error)
		return error;
	error = crew__event_rows_json(&rows, false, screen->out);
	crew__event_rows_fini(&rows);
	crew__event_reader_fini(&reader);
	return error;
}

/* Two open connections of which one is judged, one that has ended, more events than a first room
 * holds. */
static void furnish(struct view_world *w)
{
	view_open(w, 1, 0);
	view_open(w, 1, 1);
	view_queue(w, 1, 1, 1000);
	view_slow(w, 1, 1, CREW_VERDICT_NETWORK)->history[0] = (struct crew__slow_change){ .at = 5,
		.verdict = CREW_VERDICT_NETWORK };
	struct crew__closed *ended = view_close(w, 1, 3, CREW_END_PEER);
	ended->episodes = 1;
	crew__closed_done(w->stats[0].closed);
	const struct crew__event event = { .kind = CREW__EVENT_SLOW_END, .conn = view_id(1, 1) };
	for (unsigned i = 0; i < 66; i++)
		crew__events_add(w->stats[0].events, &event);
	view_attached(w);
}

static void each_allocation_fails_in_turn(void **state)
{
	static int (*const looks[])(struct view_world * w, const struct crew__screen *screen) = {
		connections, closed, explain_open, explain_closed, explain_two, events
	};
	struct view_world *w = *state;
	furnish(w);
	for (size_t look = 0; look < crew__lengthof(looks); look++) {
		bool hit = true;
		for (unsigned n = 1; hit; n++) {
			struct view_text text;
			view_print(&text);
			const struct crew__screen screen = { .out = text.out };
			fault_set(FAULT_MEMORY, n, false);
			int error = looks[look](w, &screen);
			hit = fault_hit();
			fault_set(FAULT_NONE, 0, false);
			free(view_printed(&text));
			if (error != (hit ? -ENOMEM : 0))
				fail_msg("look %zu, allocation %u: %d", look, n, error);
			assert_true(n < MOST);
		}
	}
}

int main(void)
{
	json_set_alloc_funcs(malloc, free);
	const struct CMUnitTest tests[] = { VIEW_TEST(each_allocation_fails_in_turn) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
