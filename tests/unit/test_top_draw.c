/* The screen of `top` as text, at several sizes; the page it is drawn into. */
#include "cli/top_draw.h"

#include "cli/top_rows.h"
#include "cli/top_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum {
	WORKERS = 9,
	CONNECTIONS = 30
};

/* Looks made by hand: `workers` rows and `count` connections of which all but the last wait. */
struct scene {
	struct crew__status status;
	struct crew__status_row workers[WORKERS];
	double worker_fails[WORKERS];
	struct crew__connection connections[CONNECTIONS];
	struct crew__top_row rows[CONNECTIONS];
	struct crew__top_look look;
	struct crew__top_state state;
	char *text; /* of the last drawing */
};

static void set_workers(struct scene *s, size_t workers)
{
	for (size_t i = 0; i < workers; i++) {
		s->workers[i] = (struct crew__status_row){ .service = "feed",
			.id = (uint32_t)i,
			.pid = (pid_t)(4000 + i),
			.qps = 123456 * i,
			.state = CREW__SHOWN_READY };
		s->workers[i].counters.connections = 10 + i;
		s->workers[i].counters.bytes_queued = 2048 * i;
	}
	s->look.status->row_count = workers;
}

static void set_connections(struct scene *s, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		s->connections[i] = (struct crew__connection){ .id = (i + 1) << 32 | 1,
			.service = "feed",
			.transport = "tcp",
			.verdict = i + 1 < count ? "reader-stalled" : NULL,
			.oldest_queued_s = 75,
			.send_queue = i + 1 < count ? 1 << 20 : 0,
			.kernel_unsent = 128 << 10,
			.send_fail = i };
		snprintf(s->connections[i].remote, sizeof(s->connections[i].remote),
			"192.168.100.%zu:50000", 100 + i);
		s->rows[i] = (struct crew__top_row){ &s->connections[i], i ? 4096 : -1 };
	}
	s->look.connections.count = s->look.row_count = count;
}

static int set_up(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));
	assert_non_null(s);
	s->status = (struct crew__status){ .app = "shop",
		.version = "1.2",
		.mode = "daemon",
		.engine = "epoll",
		.master = 77,
		.master_answers = true,
		.uptime_s = 190,
		.load = { 0.5, 0.25, 1 },
		.generation = 3,
		.rows = s->workers };
	s->status.totals.connections = 1234;
	s->status.totals.slow = 29;
	s->status.totals.send_fail = 99;
	s->status.totals.bytes_queued = 29 << 20;
	s->look = (struct crew__top_look){ .status = &s->status,
		.worker_fails = s->worker_fails,
		.rows = s->rows,
		.rates = { 1500, 3 << 20, 2.5 } };
	set_workers(s, 2);
	set_connections(s, 3);
	*state = s;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *s = *state;
	crew__top_state_fini(&s->state);
	free(s->text);
	free(s);
	return 0;
}

#define SCENE_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static const char *text_of(struct scene *s, const struct crew__page *page)
{
	size_t size;
	free(s->text);
	FILE *out = open_memstream(&s->text, &size);
	assert_non_null(out);
	crew__page_print(page, out);
	fclose(out);
	return s->text;
}

static const char *drawn(struct scene *s, unsigned rows, unsigned columns)
{
	struct crew__page page;
	assert_int_equal(crew__page_new(&page, rows, columns), 0);
	crew__top_draw(&page, &s->state, &s->look);
	text_of(s, &page);
	crew__page_fini(&page);
	return s->text;
}

static size_t count_of(const char *text, const char *words)
{
	size_t count = 0;
	while ((text = strstr(text, words))) {
		text += strlen(words);
		count++;
	}
	return count;
}

static void expect(const char *text, const char *words)
{
	if (!strstr(text, words))
		fail_msg("'%s' is not in\n%s", words, text);
}

static void expect_not(const char *text, const char *words)
{
	if (strstr(text, words))
		fail_msg("'%s' is in\n%s", words, text);
}

/* ---- the screen ---------------------------------------------------------------------------- */

static void the_least_terminal(void **state)
{
	assert_string_equal(drawn(*state, 15, 60),
		"shop 1.2  up 3m10s  load 0.50 0.25 1.00  generation 3\n"
		"sent 1500/s  3.0MB/s  fails 2.5/s  slow 29  queued 29.0M\n"
		"  service   id state      conn    qps  queued fail/s busy in\n"
		"  feed       0 ready        10      0       0      0\n"
		"  feed       1 ready        11   123k    2.0K      0\n"
		"-- 3 connections by slowest --------------------------------\n"
		"  id       peer                verdict          queue oldest\n"
		"> 00000001 192.168.100.100:5.. reader-stalled    1.0M  1m15s\n"
		"  00000002 192.168.100.101:5.. reader-stalled    1.0M  1m15s\n"
		"  00000003 192.168.100.102:5.. -                    0      -\n"
		"\n"
		"\n"
		"\n"
		"\n"
		"q quit s sort S rev f filter jk sel e explain x kick p pause\n");
}

static void the_usual_terminal(void **state)
{
	const char *text = drawn(*state, 24, 80);
	expect(text, "  queued 29.0M  1234 connections");
	expect(text,
		"  id       service peer                  verdict          queue oldest drained/s\n");
	expect(text,
		"  00000002 feed    192.168.100.101:50000 reader-stalled    1.0M  1m15s      4.0K\n");
	expect(text,
		"> 00000001 feed    192.168.100.100:50000 reader-stalled    1.0M  1m15s         -\n");
}

static void a_wide_terminal(void **state)
{
	const char *text = drawn(*state, 40, 140);
	expect(text,
		"  id               service peer                  verdict          queue oldest  "
		"unsent drained/s  fails\n");
	expect(text,
		"  0000000200000001 feed    192.168.100.101:50000 reader-stalled    1.0M  1m15s  "
		"128.0K      4.0K      1\n");
	expect(text, "  feed       1    4001 ready");
	expect(text, "send_fail 99\n");
	expect(text, "q quit  space now  s sort  S reverse  f filter  j/k or arrows select");
}

/* Nothing is written beyond a page of any size; a sanitizer looks. */
static void every_size(void **state)
{
	struct scene *s = *state;
	set_workers(s, WORKERS);
	set_connections(s, CONNECTIONS);
	s->state.explanation = strdup("one\ntwo\n\nthree");
	strcpy(s->state.trouble, "trouble");
	for (unsigned rows = 1; rows < 40; rows += 3)
		for (unsigned columns = 1; columns < 160; columns += 7)
			for (int mode = CREW__TOP_LIST; mode <= CREW__TOP_CONFIRM; mode++) {
				s->state.mode = (enum crew__top_mode)mode;
				s->state.cursor = CONNECTIONS - 1;
				drawn(s, rows, columns);
				struct crew__page page;
				assert_int_equal(crew__page_new(&page, rows, columns), 0);
				crew__top_draw(&page, &s->state, NULL);
				crew__page_fini(&page);
			}
}

static void more_workers_than_rows(void **state)
{
	struct scene *s = *state;
	set_workers(s, WORKERS);
	s->workers[7].state = CREW__SHOWN_BUSY;
	s->workers[7].busy_ms = 3200;
	s->workers[7].busy_in = "on_message";
	s->workers[8].stopped = true;
	const char *text = drawn(s, 22, 80); /* a third: 5 */
	expect(text,
		"  feed       7    4007 busy          17    864k   14.0K       0 on_message 3.2s\n"
		"  feed       8    4008 stopped");
	expect(text, "  feed       1    4001 ready");
	expect(text, "  ... and 5 more\n");
	expect_not(text, "4002");
}

static void the_list_scrolls_with_the_cursor(void **state)
{
	struct scene *s = *state;
	set_connections(s, CONNECTIONS);
	const char *text = drawn(s, 15, 60); /* seven fit */
	assert_int_equal(count_of(text, "192.168.100"), 6);
	expect(text, "> 00000001");
	s->state.cursor = 10;
	text = drawn(s, 15, 60);
	expect(text, "  00000006");
	expect(text, "> 0000000b");
	expect_not(text, "00000005");
	s->state.cursor = 29;
	expect(drawn(s, 15, 60), "> 0000001e");
	/* Fewer of them now: no blanks while there are rows above. */
	set_connections(s, 10);
	s->state.cursor = 9;
	text = drawn(s, 15, 60);
	expect(text, "> 0000000a");
	assert_int_equal(count_of(text, "192.168.100"), 6);
}

static void what_is_wrong_with_the_numbers(void **state)
{
	struct scene *s = *state;
	s->status.master_answers = false;
	expect(drawn(s, 24, 80), "\nthe master (pid 77) does not answer\n");
	s->status.master_stopped = true;
	expect(drawn(s, 24, 80), "does not answer: it is stopped by a signal\n");
	s->status.master_answers = true;
	s->status.missing = 1;
	expect(drawn(s, 24, 80), "\nthe numbers of 1 worker are missing\n");
	strcpy(s->state.trouble, "shop stopped");
	expect(drawn(s, 24, 80), "\nshop stopped\n");
	expect_not(s->text, "missing");
}

static void questions_and_answers(void **state)
{
	struct scene *s = *state;
	crew__top_say(&s->state, true, "not allowed to act");
	expect(drawn(s, 24, 80), "\nnot allowed to act\nq quit");
	s->state.mode = CREW__TOP_CONFIRM;
	strcpy(s->state.subject_name, "0000000100000001 (feed, unix)");
	expect(drawn(s, 24, 80), "\nkick 0000000100000001 (feed, unix)? y: yes, any other key: no\n"
				 "y kick   n leave it\n");
	s->state.mode = CREW__TOP_FILTER;
	strcpy(s->state.order.filter, "st\xc3\xa4lled");
	s->state.order.reverse = true;
	s->look.row_count = 1;
	const char *text = drawn(s, 24, 80);
	expect(text, "\nfilter (service, address, verdict): st\xc3\xa4lled_\nEnter keep");
	expect(text, "-- 1 connection by slowest, reversed, of 3, with 'st\xc3\xa4lled' ---");
	s->state.paused = true;
	expect(drawn(s, 24, 80), " PAUSED\nsent");
}

static void an_explanation(void **state)
{
	struct scene *s = *state;
	s->state.mode = CREW__TOP_EXPLAIN;
	strcpy(s->state.subject_name, "0000000100000001 (feed, unix)");
	expect(drawn(s, 15, 60), "-- explain 0000000100000001 (feed, unix) ------");
	s->state.explanation = strdup("first\n\nthird\033[2J\n4\n5\n6\n7\n8\n9\nlast\n");
	const char *text = drawn(s, 15, 60);
	expect(text, "-- explain 0000000100000001 (feed, unix), lines 1 to 7 of 10\n"
		     " first\n\n third?[2J\n 4\n 5\n 6\n 7\n\nEsc back");
	assert_int_equal(s->state.lines, 10);
	assert_int_equal(s->state.lines_shown, 7);
	s->state.scroll = 99;
	text = drawn(s, 15, 60);
	expect(text, " 4\n 5\n 6\n 7\n 8\n 9\n last\n");
	expect_not(text, "third");
	assert_int_equal(s->state.scroll, 3);
	text = drawn(s, 30, 60); /* all of it fits */
	expect(text, "(feed, unix) ---");
	expect(text, " first\n");
}

static void without_a_terminal(void **state)
{
	struct scene *s = *state;
	char *text;
	size_t size;
	struct crew__top_order order = { .by = CREW__TOP_BY_SLOWNESS };
	set_workers(s, WORKERS);
	strcpy(s->workers[4].service,
		"a-service-with-quite-a-long-name-that-is-never-cut-in-a-file");
	memset(s->connections[1].remote, 'f', 60);
	FILE *out = open_memstream(&text, &size);
	assert_int_equal(crew__top_print(&s->look, &order, 2, out), 0);
	fclose(out);
	assert_int_equal(count_of(text, " 40"), WORKERS);
	expect(text, s->workers[4].service);
	expect(text, s->connections[1].remote);
	expect(text, "0000000200000001");
	expect_not(text, "0000000300000001");
	expect_not(text, "..");
	expect_not(text, "quit ");
	free(text);
}

static void rates(void **state)
{
	(void)state;
	char text[CREW__UNIT_MAX];
	assert_string_equal(crew__top_rate_text(0, text), "0");
	assert_string_equal(crew__top_rate_text(0.04, text), "0.0");
	assert_string_equal(crew__top_rate_text(9.94, text), "9.9");
	assert_string_equal(crew__top_rate_text(9.96, text), "10");
	assert_string_equal(crew__top_rate_text(99999, text), "99999");
	assert_string_equal(crew__top_rate_text(100000, text), "100k");
	assert_string_equal(crew__top_rate_text(123456789, text), "123M");
}

/* ---- the page ------------------------------------------------------------------------------ */

static void texts_are_cut_at_their_width(void **state)
{
	struct scene *s = *state;
	struct crew__page page;
	assert_int_equal(crew__page_new(&page, 6, 10), 0);
	assert_int_equal(crew__page_put(&page, 0, 2, 4, 0, "abcd"), 6);
	assert_int_equal(crew__page_put(&page, 1, 2, 4, 0, "abcde"), 6);
	assert_int_equal(crew__page_put(&page, 2, 7, 9, 0, "abcde"), 10);
	assert_int_equal(crew__page_put(&page, 3, 0, 9, 0, "\xc3\xa4\xe2\x82\xac!"), 3);
	crew__page_put_right(&page, 4, 1, 6, 0, "xyz");
	crew__page_put_right(&page, 5, 1, 3, 0, "wxyz");
	assert_int_equal(crew__page_put(&page, 6, 0, 9, 0, "beyond"), 0);
	assert_int_equal(crew__page_put(&page, 0, 10, 9, 0, "beyond"), 10);
	assert_string_equal(text_of(s, &page),
		"  abcd\n  ab..\n       a..\n\xc3\xa4\xe2\x82\xac!\n    xyz\n w..\n");
	crew__page_put(&page, 0, 0, 9, 0, "\a\033\177|");
	crew__page_clear(&page, 1);
	expect(text_of(s, &page), "???|cd\n\n");
	crew__page_fini(&page);
}

static void sizes_have_limits(void **state)
{
	(void)state;
	struct crew__page page;
	assert_int_equal(crew__page_new(&page, 0, 0), 0);
	assert_int_equal(page.rows, 1);
	assert_int_equal(page.columns, 1);
	crew__page_fini(&page);
	assert_int_equal(crew__page_new(&page, 65535, 65535), 0);
	assert_int_equal(page.rows, CREW__PAGE_ROWS_MAX);
	assert_int_equal(page.columns, CREW__PAGE_COLUMNS_MAX);
	crew__page_fini(&page);
}

static void expect_frame(const struct crew__page *page, const struct crew__page *before,
	bool colours, const char *wanted)
{
	struct crew__buf frame;
	crew__buf_init(&frame, 4096);
	assert_int_equal(crew__page_frame(page, before, colours, &frame), 0);
	assert_int_equal(crew__buf_append(&frame, "", 1), 0);
	assert_string_equal(frame.data, wanted);
	crew__buf_release(&frame);
}

static void frames_hold_what_has_changed(void **state)
{
	(void)state;
	struct crew__page one, two;
	assert_int_equal(crew__page_new(&one, 2, 4), 0);
	assert_int_equal(crew__page_new(&two, 2, 4), 0);
	crew__page_put(&one, 0, 0, 4, CREW__RED, "a");
	crew__page_put(&one, 0, 1, 4, CREW__STYLE_STRONG, "b");
	crew__page_put(&two, 0, 0, 4, CREW__RED, "a");
	crew__page_put(&two, 0, 1, 4, CREW__STYLE_STRONG, "b");
	expect_frame(&one, NULL, true,
		"\033[0m\033[2J\033[1;1H\033[0;31ma\033[0;1mb\033[0m\033[K\033[2;1H\033[K");
	expect_frame(&one, NULL, false,
		"\033[0m\033[2J\033[1;1H\033[0ma\033[0;1mb\033[0m\033[K\033[2;1H\033[K");
	expect_frame(&two, &one, true, "");
	/* A row to its last cell is not erased behind: that would take the cell. */
	crew__page_put(&two, 1, 0, 4, CREW__PLAIN, "wxyz");
	expect_frame(&two, &one, true, "\033[2;1Hwxyz");
	crew__page_mark(&one, 1, CREW__STYLE_REVERSE);
	expect_frame(&one, &two, true, "\033[2;1H\033[0;7m    \033[0m");
	crew__page_mark(&one, 9, CREW__STYLE_REVERSE); /* there is no such row */
	crew__page_fini(&two);
	/* Of another size, or of none: all of it. */
	expect_frame(&one, &two, true,
		"\033[0m\033[2J\033[1;1H\033[0;31ma\033[0;1mb\033[0m\033[K\033[2;1H\033[0;7m    \033[0m");
	crew__page_fini(&one);
}

static void a_frame_has_a_limit(void **state)
{
	(void)state;
	struct crew__page page;
	struct crew__buf frame;
	assert_int_equal(crew__page_new(&page, 2, 4), 0);
	crew__buf_init(&frame, 10);
	assert_int_equal(crew__page_frame(&page, NULL, true, &frame), -ENOBUFS);
	crew__buf_release(&frame);
	crew__page_fini(&page);
}

static void columns_are_left_out_by_rank(void **state)
{
	(void)state;
	static const struct crew__page_column columns[] = {
		{ "a", false, 4, 10, 0 },
		{ "b", false, 5, 5, 2 },
		{ "c", true, 3, 6, 1 },
	};
	static const struct {
		unsigned page, widths[3];
	} cases[] = {
		{ 1, { 4, 0, 0 } },
		{ 6, { 4, 0, 0 } },
		{ 9, { 7, 0, 0 } },
		{ 10, { 4, 0, 3 } },
		{ 15, { 9, 0, 3 } },
		{ 16, { 4, 5, 3 } },
		{ 20, { 8, 5, 3 } },
		{ 24, { 10, 5, 5 } },
		{ 99, { 10, 5, 6 } },
	};
	for (size_t i = 0; i < crew__lengthof(cases); i++) {
		unsigned widths[3];
		crew__page_lay_out(columns, 3, cases[i].page, widths);
		for (int k = 0; k < 3; k++)
			if (widths[k] != cases[i].widths[k])
				fail_msg("page of %u: column %d is %u wide, not %u", cases[i].page,
					k, widths[k], cases[i].widths[k]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(the_least_terminal),
		SCENE_TEST(the_usual_terminal),
		SCENE_TEST(a_wide_terminal),
		SCENE_TEST(every_size),
		SCENE_TEST(more_workers_than_rows),
		SCENE_TEST(the_list_scrolls_with_the_cursor),
		SCENE_TEST(what_is_wrong_with_the_numbers),
		SCENE_TEST(questions_and_answers),
		SCENE_TEST(an_explanation),
		SCENE_TEST(without_a_terminal),
		cmocka_unit_test(rates),
		SCENE_TEST(texts_are_cut_at_their_width),
		cmocka_unit_test(sizes_have_limits),
		cmocka_unit_test(frames_hold_what_has_changed),
		cmocka_unit_test(a_frame_has_a_limit),
		cmocka_unit_test(columns_are_left_out_by_rank),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
