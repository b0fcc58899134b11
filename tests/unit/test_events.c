/* The rings of workers and master merged into rows, and what is printed of them. */
#include "cli/events.h"

#include "cli/screen.h"
#include "view_world.h"

#include <stdlib.h>
#include <string.h>

static void add(struct view_world *w, unsigned life, struct crew__event event)
{
	struct crew__events *ring = life ? w->stats[life - 1].events : w->world->directory.events;
	crew__events_add(ring, &event);
}

static struct crew__event drop(uint64_t messages)
{
	return (struct crew__event){ .kind = CREW__EVENT_DROP,
		.conn = view_id(1, 3),
		.reason = CREW_LOST_FULL,
		.protocol = CREW__WS,
		.values = { messages, 1024 } };
}

static struct crew__event_rows take(struct view_world *w, struct crew__event_reader *reader)
{
	struct crew__event_rows rows;
	assert_int_equal(crew__event_reader_take(reader, view_attached(w), &rows), 0);
	return rows;
}

static char *text_of(struct view_world *w)
{
	struct crew__event_reader reader = { 0 };
	struct crew__event_rows rows = take(w, &reader);
	struct view_text text;
	view_print(&text);
	crew__event_rows_text(&rows, text.out);
	crew__event_rows_fini(&rows);
	crew__event_reader_fini(&reader);
	return view_printed(&text);
}

static json_t *json_of(struct view_world *w)
{
	struct crew__event_reader reader = { 0 };
	struct crew__event_rows rows = take(w, &reader);
	struct view_text text;
	view_print(&text);
	assert_int_equal(crew__event_rows_json(&rows, false, text.out), 0);
	crew__event_rows_fini(&rows);
	crew__event_reader_fini(&reader);
	return view_json(&text);
}

static const char *string_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	if (!text)
		fail_msg("no text '%s'", key);
	return text;
}

static json_int_t number_of(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	if (!json_is_integer(value))
		fail_msg("no number '%s'", key);
	return json_integer_value(value);
}

/* ---- reading ------------------------------------------------------------------------------- */

static void nothing_has_happened(void **state)
{
	char *text = text_of(*state);
	assert_string_equal(text, "");
	free(text);
	json_t *json = json_of(*state);
	assert_int_equal(json_array_size(json), 0);
	json_decref(json);
}

static void all_rings_by_time(void **state)
{
	struct view_world *w = *state;
	for (uint64_t i = 0; i < 30; i++)
		add(w, (unsigned)(i % 3), drop(i));
	struct crew__event_reader reader = { 0 };
	struct crew__event_rows rows = take(w, &reader);
	assert_int_equal(rows.count, 30);
	for (size_t i = 0; i < rows.count; i++)
		assert_int_equal(rows.rows[i].event.values[0], i);
	assert_string_equal(rows.rows[1].service, "feed");
	assert_string_equal(rows.rows[2].service, "web");
	assert_string_equal(rows.rows[0].service, "");
	crew__event_rows_fini(&rows);
	/* What was read is not read again. */
	rows = take(w, &reader);
	assert_int_equal(rows.count, 0);
	crew__event_rows_fini(&rows);
	add(w, 2, drop(77));
	rows = take(w, &reader);
	assert_int_equal(rows.count, 1);
	assert_int_equal(rows.rows[0].event.values[0], 77);
	crew__event_rows_fini(&rows);
	crew__event_reader_fini(&reader);
}

static void rings_come_and_go(void **state)
{
	struct view_world *w = *state;
	struct crew__event_reader reader = { 0 };
	add(w, 1, drop(1));
	add(w, 2, drop(2));
	struct crew__event_rows rows = take(w, &reader);
	assert_int_equal(rows.count, 2);
	crew__event_rows_fini(&rows);
	/* The first has gone; of the second only what is new. */
	struct crew__segment all[2] = { w->world->segments[0], w->world->segments[1] };
	w->world->segments[0] = all[1];
	w->world->count = 1;
	add(w, 2, drop(3));
	rows = take(w, &reader);
	assert_int_equal(rows.count, 1);
	assert_int_equal(rows.rows[0].event.values[0], 3);
	crew__event_rows_fini(&rows);
	/* One of the same number that began at another time is another one. */
	w->world->segments[0] = all[0];
	w->world->segments[1] = all[1];
	w->world->count = 2;
	all[1].header->began_ns++;
	rows = take(w, &reader);
	assert_int_equal(rows.count, 3);
	crew__event_rows_fini(&rows);
	crew__event_reader_fini(&reader);
}

static void what_was_overwritten_is_told(void **state)
{
	struct view_world *w = *state;
	struct crew__event_reader reader = { 0 };
	for (uint64_t i = 0; i < CREW__EVENTS + 100; i++)
		add(w, 1, drop(i));
	struct crew__event_rows rows = take(w, &reader);
	assert_string_equal(crew__event_row_name(&rows.rows[0]), "missed");
	uint64_t missed = rows.rows[0].event.values[0];
	assert_int_equal(missed + rows.count - 1, CREW__EVENTS + 100);
	assert_int_equal(rows.rows[1].event.values[0], missed);
	assert_string_equal(rows.rows[0].service, "feed");
	crew__event_rows_fini(&rows);
	crew__event_reader_fini(&reader);
	char *text = text_of(w);
	assert_has(text, "missed");
	assert_has(text, " events had been overwritten");
	free(text);
	json_t *json = json_of(w);
	const json_t *first = json_array_get(json, 0);
	assert_string_equal(string_of(first, "kind"), "missed");
	assert_int_equal(number_of(json_object_get(first, "figures"), "events"), missed);
	json_decref(json);
}

static void stamps_tell_the_order(void **state)
{
	struct view_world *w = *state;
	for (unsigned i = 0; i < 9; i++)
		add(w, i % 3, drop(i));
	json_t *json = json_of(w);
	json_int_t before = 1;
	for (size_t i = 0; i < 9; i++) {
		json_int_t stamp = number_of(json_array_get(json, i), "stamp");
		assert_true(stamp >= before);
		before = stamp;
	}
	json_decref(json);
}

/* ---- words --------------------------------------------------------------------------------- */

/* Each kind with figures in which every word can be told from the others. */
static void every_kind_in_words(void **state)
{
	static const struct {
		struct crew__event event;
		const char *text;
	} kinds[] = {
		{ { .kind = CREW__EVENT_SLOW_BEGIN,
			  .verdict = CREW_VERDICT_NETWORK,
			  .values = { 2048, 4 } },
			"slow-begin  became slow: network; 2.0K in 4 messages wait\n" },
		{ { .kind = CREW__EVENT_SLOW_BEGIN, .values = { 1, 1 } },
			"became slow: not yet clear why; 1 in 1 message wait\n" },
		{ { .kind = CREW__EVENT_SLOW_END,
			  .verdict = CREW_VERDICT_GONE,
			  .reason = CREW_END_REASONS,
			  .values = { 3200, 2048, 1, 5 } },
			"no longer slow, after 3.2s: gone; at most 2.0K waited, 1 message lost, 5 "
			"replaced\n" },
		{ { .kind = CREW__EVENT_SLOW_END, .reason = CREW_END_KICKED },
			"ended while slow (kicked), after 0.0s" },
		{ { .kind = CREW__EVENT_DROP, .reason = CREW_LOST_EVICTED, .values = { 2, 10 } },
			"drop        lost 2 messages (10): evicted\n" },
		{ { .kind = CREW__EVENT_DROP,
			  .reason = CREW_LOST_FULL,
			  .values = { 3, 10 },
			  .text = "full 2, evicted 1" },
			"drop        lost 3 messages (10): full 2, evicted 1\n" },
		{ { .kind = CREW__EVENT_GAP, .values = { 12, 4096, 5, 16 } },
			"12 messages (4.0K) were lost meanwhile, of numbers 5 to 16\n" },
		{ { .kind = CREW__EVENT_GAP, .values = { 1, 1 } }, "(1) were lost meanwhile\n" },
		{ { .kind = CREW__EVENT_KICK, .values = { 7, 1 }, .text = "by user 0" },
			"ended by an operator; 7 in 1 message waited: by user 0\n" },
		{ { .kind = CREW__EVENT_KICK }, "ended by an operator; nothing waited\n" },
		{ { .kind = CREW__EVENT_BUDGET, .values = { 2, 1024, 4096 } },
			"stage 2 (nothing is read), queues hold 1.0K of 4.0K\n" },
		{ { .kind = CREW__EVENT_SET, .text = "policy=replace" }, "set policy=replace\n" },
		{ { .kind = CREW__EVENT_TLS, .values = { 1, 1924992000 } },
			"tls         new certificates are in force, the first expires "
			"2031-01-01T00:00:00.000Z\n" },
		{ { .kind = CREW__EVENT_TLS, .values = { 1, UINT64_MAX } }, "are in force" },
		{ { .kind = CREW__EVENT_TLS, .text = "no key" },
			"new certificates were not taken: no key\n" },
		{ { .kind = CREW__EVENT_KINDS }, "?           an event that this version" },
		{ { .kind = 255 }, "?           an event that this version" },
	};
	for (size_t i = 0; i < crew__lengthof(kinds); i++) {
		struct view_world *w;
		view_set_up((void **)&w);
		add(w, 1, kinds[i].event);
		char *text = text_of(w);
		assert_has(text, "  feed#0      ");
		assert_has(text, kinds[i].text);
		free(text);
		json_decref(json_of(w));
		view_tear_down((void **)&w);
	}
	(void)state;
}

static void what_the_master_tells(void **state)
{
	struct view_world *w = *state;
	add(w, 0,
		(struct crew__event){
			.kind = CREW__EVENT_START, .service = 1, .values = { 3, 2, 4711 } });
	add(w, 0,
		(struct crew__event){ .kind = CREW__EVENT_DEATH,
			.service = 0,
			.values = { 1, 2, 4712, 9, 0 },
			.text = "last words" });
	add(w, 0,
		(struct crew__event){
			.kind = CREW__EVENT_DEATH, .service = 0, .values = { 1, 2, 4712, 0, 3 } });
	add(w, 0, (struct crew__event){ .kind = CREW__EVENT_RELOAD, .values = { 2, 0 } });
	add(w, 0, (struct crew__event){ .kind = CREW__EVENT_RELOAD, .values = { 2, 1 } });
	add(w, 0,
		(struct crew__event){
			.kind = CREW__EVENT_RELOAD, .values = { 2, 2 }, .text = "bad file" });
	add(w, 0, (struct crew__event){ .kind = CREW__EVENT_STOP });
	char *text = text_of(w);
	assert_has(text, "web#3       start       is ready, pid 4711 of generation 2\n");
	assert_has(text,
		"feed#1      death       died of signal 9 (Killed), pid 4712 of generation 2: "
		"last words\n");
	assert_has(text, "ended with status 3, pid 4712");
	assert_has(text, "program     reload      reload to generation 2 began\n");
	assert_has(text, "reload to generation 2 is done\n");
	assert_has(text, "reload to generation 2 failed; what ran goes on: bad file\n");
	assert_has(text, "program     stop        was told to stop\n");
	free(text);
	json_t *json = json_of(w);
	const json_t *start = json_array_get(json, 0);
	assert_string_equal(string_of(start, "service"), "web");
	assert_int_equal(number_of(start, "worker"), 3);
	assert_int_equal(number_of(start, "generation"), 2);
	assert_int_equal(number_of(start, "pid"), 4711);
	const json_t *death = json_array_get(json, 1);
	assert_int_equal(number_of(json_object_get(death, "figures"), "signal"), 9);
	assert_string_equal(string_of(death, "detail"), "last words");
	const json_t *reload = json_array_get(json, 5);
	assert_string_equal(string_of(json_object_get(reload, "figures"), "phase"), "failed");
	assert_true(json_is_null(json_object_get(reload, "worker")));
	assert_true(json_is_null(json_object_get(reload, "service")));
	json_decref(json);
}

static void json_of_a_connection(void **state)
{
	static const char *const keys[] = { "time", "stamp", "kind", "service", "worker",
		"generation", "pid", "id", "remote", "protocol", "verdict", "reason", "text",
		"detail", "figures" };
	struct view_world *w = *state;
	struct crew__event event = drop(12);
	event.verdict = CREW_VERDICT_READER_STALLED;
	add(w, 1, event);
	json_t *json = json_of(w);
	const json_t *row = json_array_get(json, 0);
	assert_int_equal(json_object_size(row), crew__lengthof(keys));
	for (size_t i = 0; i < crew__lengthof(keys); i++)
		if (!json_object_get(row, keys[i]))
			fail_msg("no key '%s'", keys[i]);
	assert_string_equal(string_of(row, "kind"), "drop");
	assert_string_equal(string_of(row, "id"), "0010000300000001");
	assert_string_equal(string_of(row, "protocol"), "ws");
	assert_string_equal(string_of(row, "verdict"), "reader-stalled");
	assert_string_equal(string_of(row, "reason"), "full");
	assert_int_equal(number_of(json_object_get(row, "figures"), "messages"), 12);
	assert_int_equal(number_of(json_object_get(row, "figures"), "bytes"), 1024);
	json_decref(json);
}

static void a_document_a_line(void **state)
{
	struct view_world *w = *state;
	struct crew__event_reader reader = { 0 };
	struct view_text text;
	add(w, 1, drop(1));
	add(w, 2, drop(2));
	struct crew__event_rows rows = take(w, &reader);
	view_print(&text);
	assert_int_equal(crew__event_rows_json(&rows, true, text.out), 0);
	char *printed = view_printed(&text);
	char *second = strchr(printed, '\n');
	assert_non_null(second);
	*second++ = '\0';
	json_t *json = json_loads(printed, 0, NULL);
	assert_non_null(json);
	json_decref(json);
	json = json_loads(second, 0, NULL);
	assert_non_null(json);
	json_decref(json);
	free(printed);
	crew__event_rows_fini(&rows);
	crew__event_reader_fini(&reader);
}

/* ---- damage -------------------------------------------------------------------------------- */

static void absurd_entries_do_no_harm(void **state)
{
	struct view_world *w = *state;
	for (unsigned life = 0; life < 3; life++) {
		struct crew__events *ring = life ? w->stats[life - 1].events
						 : w->world->directory.events;
		for (int kind = 0; kind < 16; kind++) {
			add(w, life, drop(1));
			struct crew__event *entry =
				&ring->entries[atomic_load(&ring->written) % CREW__EVENTS];
			memset((char *)entry + sizeof(uint64_t), 0x1b + kind * 9,
				sizeof(*entry) - sizeof(uint64_t));
			entry->kind = (uint8_t)kind;
		}
	}
	memset(w->world->segments[0].header->service, '\033', CREW__NAME_MAX);
	char *text = text_of(w);
	assert_printable(text);
	free(text);
	json_t *json = json_of(w);
	assert_true(json_array_size(json) > 40);
	json_decref(json);
	/* A count that nobody has counted to. */
	atomic_store(&w->stats[0].events->written, UINT64_MAX);
	text = text_of(w);
	assert_printable(text);
	free(text);
	json_decref(json_of(w));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VIEW_TEST(nothing_has_happened),
		VIEW_TEST(all_rings_by_time),
		VIEW_TEST(rings_come_and_go),
		VIEW_TEST(what_was_overwritten_is_told),
		VIEW_TEST(stamps_tell_the_order),
		cmocka_unit_test(every_kind_in_words),
		VIEW_TEST(what_the_master_tells),
		VIEW_TEST(json_of_a_connection),
		VIEW_TEST(a_document_a_line),
		VIEW_TEST(absurd_entries_do_no_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
