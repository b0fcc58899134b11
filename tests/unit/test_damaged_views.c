/* test_damaged_views.c - segments and a directory in which anything may stand, at random: whatever
 * a worker has written over, looking at it neither crashes, nor hangs, nor moves a terminal, and
 * prints JSON that can be read.
 *
 * CREW_LAWS_SEEDS says how many plays there are. */
#include "view_world.h"

#include "admin/metrics.h"
#include "cli/closed.h"
#include "cli/events.h"
#include "cli/explain.h"
#include "cli/screen.h"
#include "stats/layout.h"

#include <stdlib.h>
#include <string.h>

static uint32_t seed;

static uint32_t roll(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (uint32_t)(((uint64_t)(seed >> 8) * below) >> 24);
}

/* ---- the scene ----------------------------------------------------------------------------- */

static void add_event(struct crew__events *ring, unsigned kind)
{
	const struct crew__event event = {
		.kind = (uint8_t)kind,
		.conn = view_id(1, 0),
		.values = { 1, 2, 3, 4, 5 },
		.text = "slow.policy=replace",
	};
	crew__events_add(ring, &event);
}

static void fill(struct view_world *w)
{
	for (uint32_t slot = 0; slot < 6; slot++) {
		view_open(w, 1, slot);
		view_queue(w, 1, slot, 100000);
		view_slow(w, 1, slot, CREW_VERDICT_READER_STALLED);
	}
	for (uint32_t slot = 6; slot < 12; slot++) {
		view_close(w, 1, slot, CREW_END_KICKED)->figures.at = 5;
		crew__closed_done(w->stats[0].closed);
	}
	for (unsigned kind = 1; kind < CREW__EVENT_KINDS; kind++) {
		add_event(w->stats[0].events, kind);
		add_event(w->world->directory.events, kind);
	}
}

/* ---- damage -------------------------------------------------------------------------------- */

static void spoil(void *memory, size_t size)
{
	static const uint8_t favourites[] = { 0, 1, 0x7f, 0x80, 0xff, 0x1b, '"', '\n' };
	char *bytes = memory;
	size_t at = roll((uint32_t)size), len = 1u << roll(7);
	uint8_t byte = favourites[roll(sizeof(favourites))];
	for (size_t i = at; i < size && i < at + len; i++)
		bytes[i] = (char)(byte == 1 ? roll(256) : byte);
}

static void spoil_some(struct view_world *w, const struct crew__layout *layout)
{
	struct crew__segment *segment = &w->world->segments[0];
	char *base = (char *)segment->header;
	switch (roll(9)) {
	case 0:
		spoil(base, sizeof(*segment->header));
		break;
	case 1:
		spoil(base + layout->counters_offset,
			layout->counters * sizeof(struct crew__counter_entry));
		break;
	case 2:
		spoil(base + layout->slab_offset, layout->slab_size);
		break;
	case 3:
		spoil(base + layout->events_offset, 20 * sizeof(struct crew__event));
		break;
	case 4:
		spoil(base + layout->closed_offset, 10 * sizeof(struct crew__closed));
		break;
	case 5:
		spoil(base + layout->records_offset, (size_t)8 * layout->record_size);
		break;
	case 6:
		spoil(base + layout->cold_offset, (size_t)8 * layout->cold_size);
		break;
	case 7:
		spoil(base + layout->slow_offset, (size_t)8 * layout->slow_size);
		break;
	default:
		spoil(w->world->directory.events, 20 * sizeof(struct crew__event));
	}
}

/* ---- looking ------------------------------------------------------------------------------- */

static void read_json(struct view_text *text, int error)
{
	assert_int_equal(error, 0);
	json_decref(view_json(text));
}

static void read_text(struct view_text *text, int error)
{
	char *printed = view_printed(text);
	assert_int_equal(error, 0);
	assert_printable(printed);
	free(printed);
}

static struct crew__screen screen_on(FILE *out)
{
	struct crew__screen screen;
	crew__screen_init(&screen, out);
	return screen;
}

static void look_at_closed(const struct crew__attached *attached)
{
	struct crew__closed_list list;
	struct view_text text;
	assert_int_equal(crew__closed_new(attached, &list), 0);
	view_print(&text);
	read_json(&text, crew__closed_list_json(&list, text.out));
	view_print(&text);
	struct crew__screen screen = screen_on(text.out);
	read_text(&text, crew__closed_list_text(&list, &screen));
	crew__closed_fini(&list);
}

static void look_at_connections(const struct crew__attached *attached)
{
	struct crew__connections connections;
	struct view_text text;
	assert_int_equal(crew__connections_new(attached, &connections), 0);
	crew__connections_slowest(&connections, 4);
	view_print(&text);
	read_json(&text, crew__connections_json(&connections, text.out));
	view_print(&text);
	struct crew__screen screen = screen_on(text.out);
	read_text(&text, crew__connections_text(&connections, &screen));
	crew__connections_fini(&connections);
}

static void look_at_events(const struct crew__attached *attached)
{
	struct crew__event_reader reader = { 0 };
	struct crew__event_rows rows;
	struct view_text text;
	assert_int_equal(crew__event_reader_take(&reader, attached, &rows), 0);
	view_print(&text);
	read_json(&text, crew__event_rows_json(&rows, false, text.out));
	view_print(&text);
	crew__event_rows_text(&rows, text.out);
	read_text(&text, 0);
	crew__event_rows_fini(&rows);
	crew__event_reader_fini(&reader);
}

static void look_at_one(struct view_world *w, const struct crew__attached *attached, char *prefix)
{
	const struct crew__explain_request request = {
		.attached = attached, .settings = w->settings, .prefix = prefix
	};
	struct view_text text;
	view_print(&text);
	assert_int_not_equal(crew__explain_json(&request, text.out), -ENOMEM);
	read_json(&text, 0);
	view_print(&text);
	struct crew__screen screen = screen_on(text.out);
	assert_int_not_equal(crew__explain_text(&request, &screen), -ENOMEM);
	read_text(&text, 0);
}

static void look_at_all(struct view_world *w, const struct crew__attached *attached)
{
	struct crew__metrics metrics;
	struct crew__status *status = world_take(w->world);
	struct view_text text;
	view_print(&text);
	read_json(&text, crew__status_json(status, true, text.out));
	view_print(&text);
	struct crew__screen screen = screen_on(text.out);
	read_text(&text, crew__status_text(status, &screen));
	assert_int_equal(crew__metrics_init(&metrics, status, status->row_count), 0);
	for (size_t i = 0; i < status->row_count; i++) {
		struct crew__snapshot snapshot;
		crew__segment_read(&attached->segments[0], 1, 0, &snapshot);
		crew__metrics_add_life(&metrics, &status->rows[i], snapshot.measures, false);
	}
	crew__metrics_finish(&metrics);
	view_print(&text);
	crew__metrics_print(&metrics, CREW__OPENMETRICS, text.out);
	read_text(&text, 0);
	crew__metrics_fini(&metrics);
	crew__status_free(status);
}

static void damage_does_no_harm(void **state)
{
	(void)state;
	const char *more = getenv("CREW_LAWS_SEEDS");
	uint32_t seeds = more ? (uint32_t)atoi(more) : 40;
	for (uint32_t play = 1; play <= seeds; play++) {
		struct view_world *w;
		struct crew__layout layout;
		seed = play * 2654435761u;
		view_set_up((void **)&w);
		fill(w);
		assert_int_equal(crew__layout_check(&w->world->segments[0], &layout), 0);
		for (uint32_t n = 1 + roll(30); n > 0; n--)
			spoil_some(w, &layout);
		const struct crew__attached *attached = view_attached(w);
		look_at_closed(attached);
		look_at_connections(attached);
		look_at_events(attached);
		look_at_one(w, attached, (char[]){ "00100000" });
		look_at_one(w, attached, (char[]){ "00100008" });
		look_at_all(w, attached);
		view_tear_down((void **)&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(damage_does_no_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
