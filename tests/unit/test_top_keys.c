/* Keys of `top`: from the bytes of a terminal, and what they do to the state. */
#include "cli/top_keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <string.h>

/* ---- bytes --------------------------------------------------------------------------------- */

static void expect_key(const char *bytes, size_t len, bool more, int key, size_t used)
{
	size_t taken = 99;
	/* Exactly so many bytes, so that a sanitizer sees one too many read. */
	char copy[32];
	char *end = copy + sizeof(copy) - len;
	memcpy(end, bytes, len);
	int got = crew__top_key(end, len, more, &taken);
	if (got != key)
		fail_msg("'%.*s': key %x, not %x", (int)len, bytes, (unsigned)got, (unsigned)key);
	if (key != CREW__KEY_NONE)
		assert_int_equal(taken, used);
}

#define EXPECT(text, key) expect_key(text, sizeof(text) - 1, true, key, sizeof(text) - 1)

static void keys_of_terminals(void **state)
{
	(void)state;
	EXPECT("q", 'q');
	EXPECT(" ", ' ');
	EXPECT("\r", CREW__KEY_ENTER);
	EXPECT("\n", CREW__KEY_ENTER);
	EXPECT("\177", CREW__KEY_BACKSPACE);
	EXPECT("\b", CREW__KEY_BACKSPACE);
	EXPECT("\001", CREW__KEY_UNKNOWN);
	EXPECT("\033[A", CREW__KEY_UP);
	EXPECT("\033OB", CREW__KEY_DOWN);
	EXPECT("\033[1;5A", CREW__KEY_UP); /* with Control */
	EXPECT("\033[5~", CREW__KEY_PAGE_UP);
	EXPECT("\033[6~", CREW__KEY_PAGE_DOWN);
	EXPECT("\033[H", CREW__KEY_HOME);
	EXPECT("\033[4~", CREW__KEY_END);
	EXPECT("\033[3~", CREW__KEY_UNKNOWN);
	EXPECT("\033[99999999999999999~", CREW__KEY_UNKNOWN);
	EXPECT("\033[<0;1;1M", CREW__KEY_UNKNOWN);
	EXPECT("\xc3\xa4", 0xe4);
	EXPECT("\xe2\x82\xac", 0x20ac);
	EXPECT("\xf0\x9f\x90\xa2", 0x1f422);
	expect_key("jk", 2, true, 'j', 1);
}

static void keys_that_are_not_whole(void **state)
{
	(void)state;
	expect_key("\033", 1, true, CREW__KEY_NONE, 0);
	expect_key("\033", 1, false, CREW__KEY_ESCAPE, 1);
	expect_key("\033[", 2, true, CREW__KEY_NONE, 0);
	expect_key("\033[", 2, false, CREW__KEY_UNKNOWN, 2);
	expect_key("\033q", 2, true, CREW__KEY_ESCAPE, 1);
	expect_key("\033[1;2;3;4;5;6;7;8", 17, true, CREW__KEY_UNKNOWN, 17);
	expect_key("\xe2\x82", 2, true, CREW__KEY_NONE, 0);
	expect_key("\xe2\x82", 2, false, 0xfffd, 1);
}

static void bytes_that_are_no_characters(void **state)
{
	(void)state;
	expect_key("\x80q", 2, true, 0xfffd, 1);
	expect_key("\xc0\x9b", 2, true, 0xfffd, 1);     /* an Escape in disguise */
	expect_key("\xe0\x80\x9b", 3, true, 0xfffd, 1); /* and another */
	expect_key("\xed\xa0\x80", 3, true, 0xfffd, 1); /* half of a pair of UTF-16 */
	expect_key("\xff\xff\xff\xff", 4, true, 0xfffd, 1);
}

/* ---- the state ----------------------------------------------------------------------------- */

enum {
	MANY = 40
};

/* A look at so many connections, with ids 1, 2, 3 ... */
struct seen {
	struct crew__top_look look;
	struct crew__connection connections[MANY];
	struct crew__top_row rows[MANY];
	struct crew__top_state state;
};

static void see(struct seen *seen, size_t count)
{
	memset(seen, 0, sizeof(*seen));
	for (size_t i = 0; i < MANY; i++) {
		seen->connections[i].id = i + 1;
		seen->connections[i].service = "feed";
		strcpy(seen->connections[i].remote, "10.0.0.1:5000");
		seen->rows[i].connection = &seen->connections[i];
	}
	seen->look.rows = seen->rows;
	seen->look.row_count = count;
	seen->state.page = 10;
}

static enum crew__top_action press(struct seen *seen, int key)
{
	return crew__top_press(&seen->state, &seen->look, key);
}

static void type(struct seen *seen, const char *text)
{
	for (; *text; text++)
		assert_int_equal(press(seen, *text), CREW__TOP_ARRANGE);
}

static void the_cursor_moves_within_the_rows(void **state)
{
	(void)state;
	struct seen seen;
	static const struct {
		int key;
		size_t cursor;
	} steps[] = { { 'k', 0 }, { 'j', 1 }, { CREW__KEY_DOWN, 2 }, { CREW__KEY_UP, 1 },
		{ CREW__KEY_PAGE_DOWN, 11 }, { CREW__KEY_PAGE_DOWN, 21 }, { CREW__KEY_END, 24 },
		{ 'j', 24 }, { CREW__KEY_PAGE_DOWN, 24 }, { CREW__KEY_PAGE_UP, 14 }, { 'g', 0 },
		{ CREW__KEY_PAGE_UP, 0 }, { 'G', 24 }, { CREW__KEY_HOME, 0 } };
	see(&seen, 25);
	for (size_t i = 0; i < crew__lengthof(steps); i++) {
		assert_int_equal(press(&seen, steps[i].key), CREW__TOP_DRAW);
		assert_int_equal(seen.state.cursor, steps[i].cursor);
		assert_int_equal(seen.state.followed, steps[i].cursor + 1);
	}
	see(&seen, 0);
	for (size_t i = 0; i < crew__lengthof(steps); i++) {
		press(&seen, steps[i].key);
		assert_int_equal(seen.state.cursor, 0);
		assert_int_equal(seen.state.followed, 0);
	}
	assert_int_equal(crew__top_press(&seen.state, NULL, 'j'), CREW__TOP_DRAW);
}

static void the_cursor_follows_whom_it_chose(void **state)
{
	(void)state;
	struct seen seen;
	see(&seen, 5);
	crew__top_rows_changed(&seen.state, &seen.look);
	assert_int_equal(seen.state.cursor, 0); /* nobody was chosen: the first, whoever it is */
	press(&seen, 'j');
	seen.rows[1].connection = &seen.connections[4];
	seen.rows[4].connection = &seen.connections[1];
	crew__top_rows_changed(&seen.state, &seen.look);
	assert_int_equal(seen.state.cursor, 4);
	/* It goes: the cursor stays where it is, as far as there are rows. */
	seen.look.row_count = 4;
	crew__top_rows_changed(&seen.state, &seen.look);
	assert_int_equal(seen.state.cursor, 3);
	assert_int_equal(seen.state.followed, 0);
	seen.look.row_count = 0;
	crew__top_rows_changed(&seen.state, &seen.look);
	assert_int_equal(seen.state.cursor, 0);
}

static void keys_that_ask_for_more(void **state)
{
	(void)state;
	struct seen seen;
	see(&seen, 5);
	assert_int_equal(press(&seen, ' '), CREW__TOP_LOOK);
	assert_int_equal(press(&seen, 's'), CREW__TOP_ARRANGE);
	assert_string_equal(crew__top_order_name(&seen.state.order), "send_queue");
	assert_int_equal(press(&seen, 'S'), CREW__TOP_ARRANGE);
	assert_true(seen.state.order.reverse);
	assert_int_equal(press(&seen, 'p'), CREW__TOP_DRAW);
	assert_true(seen.state.paused);
	assert_int_equal(press(&seen, 'p'), CREW__TOP_LOOK);
	assert_false(seen.state.paused);
	assert_int_equal(press(&seen, 'z'), CREW__TOP_DRAW);
	assert_int_equal(press(&seen, CREW__KEY_UNKNOWN), CREW__TOP_DRAW);
	assert_int_equal(press(&seen, 'q'), CREW__TOP_QUIT);
}

static void a_filter_is_typed(void **state)
{
	(void)state;
	struct seen seen;
	see(&seen, 5);
	assert_int_equal(press(&seen, 'f'), CREW__TOP_DRAW);
	type(&seen, "q sx"); /* none of them is a command now */
	assert_string_equal(seen.state.order.filter, "q sx");
	press(&seen, 0xe4);
	press(&seen, 0x20ac);
	press(&seen, 0x1f422);
	assert_string_equal(seen.state.order.filter, "q sx\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\xa2");
	for (int i = 0; i < 4; i++)
		press(&seen, CREW__KEY_BACKSPACE); /* by characters */
	assert_string_equal(seen.state.order.filter, "q s");
	press(&seen, CREW__KEY_UP);
	press(&seen, 0x9b); /* would begin a control sequence */
	assert_string_equal(seen.state.order.filter, "q s");
	assert_int_equal(press(&seen, CREW__KEY_ENTER), CREW__TOP_DRAW);
	assert_int_equal(seen.state.mode, CREW__TOP_LIST);

	press(&seen, '/');
	type(&seen, "other");
	assert_int_equal(press(&seen, CREW__KEY_ESCAPE), CREW__TOP_ARRANGE);
	assert_string_equal(seen.state.order.filter, "q s"); /* as before */
	assert_int_equal(press(&seen, CREW__KEY_ESCAPE), CREW__TOP_ARRANGE);
	assert_string_equal(seen.state.order.filter, "");
}

static void a_filter_has_a_limit(void **state)
{
	(void)state;
	struct seen seen;
	see(&seen, 5);
	press(&seen, 'f');
	for (int i = 0; i < 100; i++)
		press(&seen, i == 62 ? 0x20ac : 'a');
	assert_int_equal(strlen(seen.state.order.filter), CREW__TOP_FILTER_MAX - 1);
	assert_null(strchr(seen.state.order.filter, '\xe2'));
	for (int i = 0; i < 100; i++)
		press(&seen, CREW__KEY_BACKSPACE);
	assert_string_equal(seen.state.order.filter, "");
}

static void an_explanation_opens_scrolls_and_closes(void **state)
{
	(void)state;
	struct seen seen;
	see(&seen, 5);
	press(&seen, 'j');
	assert_int_equal(press(&seen, 'e'), CREW__TOP_DESCRIBE);
	assert_int_equal(seen.state.subject, 2);
	assert_string_equal(seen.state.subject_name, "0000000000000002 (feed, 10.0.0.1:5000)");
	seen.state.lines = 30;
	seen.state.lines_shown = 10;
	press(&seen, 'k');
	assert_int_equal(seen.state.scroll, 0);
	press(&seen, 'j');
	press(&seen, CREW__KEY_PAGE_DOWN);
	assert_int_equal(seen.state.scroll, 11);
	press(&seen, 'G');
	assert_int_equal(seen.state.scroll, 20);
	assert_int_equal(press(&seen, ' '), CREW__TOP_LOOK);
	assert_int_equal(press(&seen, 'q'), CREW__TOP_DRAW); /* only the pane */
	assert_int_equal(seen.state.mode, CREW__TOP_LIST);
	assert_int_equal(seen.state.cursor, 1);
	assert_int_equal(press(&seen, CREW__KEY_ENTER), CREW__TOP_DESCRIBE);
	assert_int_equal(seen.state.scroll, 0);
	/* It fits: there is nothing to scroll. */
	seen.state.lines = 3;
	press(&seen, 'j');
	assert_int_equal(seen.state.scroll, 0);
}

static void a_kick_wants_a_yes(void **state)
{
	(void)state;
	struct seen seen;
	see(&seen, 5);
	press(&seen, 'j');
	press(&seen, 'j');
	assert_int_equal(press(&seen, 'x'), CREW__TOP_DRAW);
	assert_int_equal(seen.state.mode, CREW__TOP_CONFIRM);
	/* The rows turn under the question: it is still about the same one. */
	seen.rows[2].connection = &seen.connections[0];
	crew__top_rows_changed(&seen.state, &seen.look);
	assert_int_equal(press(&seen, 'y'), CREW__TOP_KICK);
	assert_int_equal(seen.state.subject, 3);
	assert_int_equal(seen.state.mode, CREW__TOP_LIST);

	press(&seen, 'x');
	assert_int_equal(press(&seen, CREW__KEY_ENTER), CREW__TOP_DRAW);
	assert_string_equal(seen.state.message, "nobody was kicked");
	press(&seen, 'x');
	assert_int_equal(press(&seen, 'q'), CREW__TOP_DRAW);
	/* From an explanation, of whom is explained. */
	press(&seen, CREW__KEY_HOME);
	press(&seen, 'e');
	press(&seen, 'x');
	assert_int_equal(press(&seen, 'Y'), CREW__TOP_KICK);
	assert_int_equal(seen.state.subject, 1);
}

static void nobody_is_there_to_choose(void **state)
{
	(void)state;
	struct seen seen;
	see(&seen, 0);
	static const int keys[] = { 'e', 'x', CREW__KEY_ENTER };
	for (size_t i = 0; i < crew__lengthof(keys); i++) {
		assert_int_equal(press(&seen, keys[i]), CREW__TOP_DRAW);
		assert_int_equal(seen.state.mode, CREW__TOP_LIST);
		assert_string_equal(seen.state.message, "there is no connection to choose");
		assert_true(seen.state.message_bad);
	}
	press(&seen, 'j');
	assert_string_equal(seen.state.message, "");
	assert_int_equal(crew__top_press(&seen.state, NULL, 'x'), CREW__TOP_DRAW);
}

static void a_unix_peer_has_a_name(void **state)
{
	(void)state;
	struct seen seen;
	see(&seen, 1);
	seen.connections[0].remote[0] = '\0';
	seen.connections[0].transport = "unix";
	press(&seen, 'x');
	assert_string_equal(seen.state.subject_name, "0000000000000001 (feed, unix)");
}

static void what_is_said_is_one_clean_line(void **state)
{
	(void)state;
	struct crew__top_state s = { .message_bad = false };
	crew__top_say(&s, true, "a\033[2Jb\nc");
	assert_string_equal(s.message, "a?[2Jb");
	assert_true(s.message_bad);
	crew__top_say(&s, false, "");
	assert_string_equal(s.message, "");
	crew__top_state_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_of_terminals),
		cmocka_unit_test(keys_that_are_not_whole),
		cmocka_unit_test(bytes_that_are_no_characters),
		cmocka_unit_test(the_cursor_moves_within_the_rows),
		cmocka_unit_test(the_cursor_follows_whom_it_chose),
		cmocka_unit_test(keys_that_ask_for_more),
		cmocka_unit_test(a_filter_is_typed),
		cmocka_unit_test(a_filter_has_a_limit),
		cmocka_unit_test(an_explanation_opens_scrolls_and_closes),
		cmocka_unit_test(a_kick_wants_a_yes),
		cmocka_unit_test(nobody_is_there_to_choose),
		cmocka_unit_test(a_unix_peer_has_a_name),
		cmocka_unit_test(what_is_said_is_one_clean_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
