/* The connections that ended last: rows, order, JSON and text, from rings made by hand. */
#include "cli/closed.h"

#include "cli/screen.h"
#include "view_world.h"

#include <stdlib.h>
#include <string.h>

static struct crew__closed_list take(struct view_world *w)
{
	struct crew__closed_list list;
	assert_int_equal(crew__closed_new(view_attached(w), &list), 0);
	return list;
}

/* Ended at that millisecond of 1970, whatever the clock said. */
static void done_at(struct view_world *w, unsigned life, struct crew__closed *closed, int64_t ms)
{
	crew__closed_done(w->stats[life - 1].closed);
	closed->wall_ms = ms;
}

static json_t *json_of(struct view_world *w)
{
	struct view_text text;
	struct crew__closed_list list = take(w);
	view_print(&text);
	assert_int_equal(crew__closed_list_json(&list, text.out), 0);
	crew__closed_fini(&list);
	return view_json(&text);
}

static char *text_of(struct view_world *w, unsigned width)
{
	struct view_text text;
	struct crew__closed_list list = take(w);
	view_print(&text);
	struct crew__screen screen = { .out = text.out, .width = width };
	assert_int_equal(crew__closed_list_text(&list, &screen), 0);
	crew__closed_fini(&list);
	return view_printed(&text);
}

static void nobody_has_ended(void **state)
{
	struct view_world *w = *state;
	view_open(w, 1, 0);
	json_t *json = json_of(w);
	assert_int_equal(json_array_size(json), 0);
	json_decref(json);
	char *text = text_of(w, 0);
	assert_has(text, "\n0 connections that ended");
	free(text);
}

static void a_row_tells_how_it_ended(void **state)
{
	struct view_world *w = *state;
	struct crew__closed *closed = view_close(w, 1, 3, CREW_END_DEADLINE);
	closed->unsent_bytes = 4096;
	closed->unsent_messages = 4;
	closed->hot.send_fail = 9;
	closed->cold.fail[CREW_LOST_FULL] = 5;
	closed->cold.fail[CREW_LOST_DEADLINE] = 4;
	closed->verdict = CREW_VERDICT_READER_STALLED;
	done_at(w, 1, closed, 1000);
	struct crew__closed_list list = take(w);
	assert_int_equal(list.count, 1);
	const struct crew__closed_row *row = &list.rows[0];
	assert_true(row->conn.id == view_id(1, 3));
	assert_string_equal(row->conn.service, "feed");
	assert_string_equal(row->conn.remote, "127.0.0.1:40003");
	assert_string_equal(row->conn.protocol, "ws");
	assert_string_equal(row->conn.state, "closed");
	assert_string_equal(row->conn.verdict, "reader-stalled");
	assert_true(row->conn.age_s == 47); /* opened 50 s ago, ended 3 s ago */
	assert_int_equal(row->conn.bytes_in, 11);
	assert_int_equal(row->conn.bytes_out, 22);
	assert_int_equal(row->unsent, 4096);
	assert_int_equal(row->unsent_messages, 4);
	assert_string_equal(row->end, "deadline");
	assert_string_equal(row->ended_by, "us");
	crew__closed_fini(&list);
	char *text = text_of(w, 0);
	assert_has(text, "deadline");
	assert_has(text, "reader-stalled");
	assert_has(text, "full 5, deadline 4");
	assert_has(text, "\n1 connection that ended: unsent 4.0K in 4 messages, send_fail 9;");
	free(text);
}

static void who_ended_it(void **state)
{
	(void)state;
	assert_string_equal(crew__ended_by(CREW_END_PEER), "peer");
	assert_string_equal(crew__ended_by(CREW_END_RESET), "peer");
	assert_string_equal(crew__ended_by(CREW_END_KICKED), "operator");
	for (unsigned end = CREW_END_APP; end < CREW_END_KICKED; end++)
		assert_string_equal(crew__ended_by(end), "us");
	assert_string_equal(crew__ended_by(CREW_END_DRAIN), "us");
	assert_string_equal(crew__ended_by(CREW_END_REASONS), "?");
	assert_string_equal(crew__ended_by(200), "?");
	assert_string_equal(crew__end_sentence(CREW_END_PEER), "the peer closed");
	assert_string_equal(crew__end_sentence(CREW_END_CRASH), "its worker died");
	assert_string_equal(crew__end_sentence(CREW_END_KICKED), "an operator ended it");
	assert_has(crew__end_sentence(CREW_END_REASONS), "does not know");
}

static void the_newest_first_whoever_had_it(void **state)
{
	struct view_world *w = *state;
	done_at(w, 1, view_close(w, 1, 1, CREW_END_PEER), 1000);
	done_at(w, 2, view_close(w, 2, 2, CREW_END_PEER), 2000);
	done_at(w, 1, view_close(w, 1, 3, CREW_END_KICKED), 3000);
	struct crew__closed_list list = take(w);
	assert_int_equal(list.count, 3);
	assert_true(list.rows[0].conn.id == view_id(1, 3));
	assert_true(list.rows[1].conn.id == view_id(2, 2));
	assert_true(list.rows[2].conn.id == view_id(1, 1));
	assert_string_equal(list.rows[1].conn.service, "web");
	const char *nearest;
	crew__closed_sort(&list,
		crew__field_find(crew__closed_fields, CREW__CLOSED_FIELDS, "ended_by", &nearest));
	assert_true(list.rows[0].conn.id == view_id(1, 3)); /* operator; ties: the newest first */
	assert_true(list.rows[1].conn.id == view_id(2, 2));
	assert_null(
		crew__field_find(crew__closed_fields, CREW__CLOSED_FIELDS, "closedat", &nearest));
	assert_string_equal(nearest, "closed_at");
	crew__closed_fini(&list);
}

static void json_has_the_keys_of_connections_and_more(void **state)
{
	struct view_world *w = *state;
	struct crew__closed *closed = view_close(w, 2, 0, CREW_END_RESET);
	closed->verdict = CREW_VERDICT_GONE;
	done_at(w, 2, closed, INT64_C(1700000000123));
	done_at(w, 2, view_close(w, 2, 1, CREW_END_PEER), 0);
	json_t *json = json_of(w);
	const json_t *row = json_array_get(json, 0);
	assert_int_equal(json_object_size(row), CREW__CONNECTION_FIELDS + 5);
	for (size_t i = 0; i < CREW__CONNECTION_FIELDS; i++)
		if (!json_object_get(row, crew__connection_fields[i].key))
			fail_msg("no key '%s'", crew__connection_fields[i].key);
	assert_string_equal(
		json_string_value(json_object_get(row, "closed_at")), "2023-11-14T22:13:20.123Z");
	assert_string_equal(json_string_value(json_object_get(row, "end")), "reset");
	assert_string_equal(json_string_value(json_object_get(row, "ended_by")), "peer");
	assert_string_equal(json_string_value(json_object_get(row, "verdict")), "gone");
	assert_int_equal(json_integer_value(json_object_get(row, "unsent")), 0);
	assert_int_equal(json_integer_value(json_object_get(row, "unsent_messages")), 0);
	/* The second row says nothing of the first. */
	row = json_array_get(json, 1);
	assert_true(json_is_null(json_object_get(row, "verdict")));
	assert_string_equal(json_string_value(json_object_get(row, "end")), "peer");
	json_decref(json);
}

/* Every byte of a ring is another process's: any number may stand there. */
static void a_damaged_ring_does_no_harm(void **state)
{
	struct view_world *w = *state;
	for (uint32_t i = 0; i < 8; i++) {
		struct crew__closed *closed = view_close(w, 1, i, CREW_END_PEER);
		memset((char *)closed + sizeof(uint64_t), 0x11 * (int)(i + 8),
			sizeof(*closed) - sizeof(uint64_t));
		done_at(w, 1, closed, i % 2 ? INT64_MAX : INT64_MIN);
	}
	memset(w->world->segments[0].header->service, '\033', CREW__NAME_MAX);
	json_t *json = json_of(w);
	assert_int_equal(json_array_size(json), 8);
	json_decref(json);
	for (unsigned width = 0; width < 120; width += 40) {
		char *text = text_of(w, width);
		assert_printable(text);
		assert_has(text, "????");
		free(text);
	}
}

static void a_full_ring_keeps_the_last(void **state)
{
	struct view_world *w = *state;
	for (uint32_t i = 0; i < CREW__CLOSED + 20; i++) {
		struct crew__closed *closed = view_close(w, 1, 5, CREW_END_PEER);
		closed->unsent_bytes = i;
		done_at(w, 1, closed, 1000 + i);
	}
	struct crew__closed_list list = take(w);
	assert_int_equal(list.count, CREW__CLOSED);
	assert_int_equal(list.rows[0].unsent, CREW__CLOSED + 19);
	assert_int_equal(list.rows[CREW__CLOSED - 1].unsent, 20);
	crew__closed_fini(&list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VIEW_TEST(nobody_has_ended),
		VIEW_TEST(a_row_tells_how_it_ended),
		VIEW_TEST(who_ended_it),
		VIEW_TEST(the_newest_first_whoever_had_it),
		VIEW_TEST(json_has_the_keys_of_connections_and_more),
		VIEW_TEST(a_damaged_ring_does_no_harm),
		VIEW_TEST(a_full_ring_keeps_the_last),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
