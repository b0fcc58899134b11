/* Tables, units, and what other processes' words become on a terminal. */
#include "cli/screen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A screen in memory. */
struct page {
	struct crew__screen screen;
	char *text;
	size_t size;
};

static void open_page(struct page *page, unsigned width, bool colours)
{
	FILE *out = open_memstream(&page->text, &page->size);
	assert_non_null(out);
	page->screen = (struct crew__screen){
		.out = out, .terminal = width > 0, .colours = colours, .width = width
	};
}

static void expect_page(struct page *page, const char *text)
{
	assert_int_equal(fclose(page->screen.out), 0);
	assert_string_equal(page->text, text);
	free(page->text);
}

static const struct crew__column two[] = { { "name", false, 6 }, { "n", true, 0 } };

static void fill(struct crew__table *table)
{
	crew__table_init(table, two, 2);
	crew__table_text(table, "a");
	crew__table_number(table, 7);
	crew__table_cell(table, CREW__RED, "%s-%d", "longer", 12);
	crew__table_number(table, UINT64_MAX);
}

static void a_table_in_a_file(void **state)
{
	(void)state;
	struct page page;
	struct crew__table table;
	open_page(&page, 0, false);
	fill(&table);
	assert_int_equal(crew__table_print(&table, &page.screen), 0);
	crew__table_fini(&table);
	expect_page(&page, "name                          n\n"
			   "a                             7\n"
			   "longer-12  18446744073709551615\n");
}

static void a_narrow_terminal_cuts_what_may_be_cut(void **state)
{
	(void)state;
	struct page page;
	struct crew__table table;
	open_page(&page, 29, false);
	fill(&table);
	assert_int_equal(crew__table_print(&table, &page.screen), 0);
	crew__table_fini(&table);
	expect_page(&page, "name                        n\n"
			   "a                           7\n"
			   "longe..  18446744073709551615\n");
	/* Never below what its column says, and numbers never. */
	open_page(&page, 10, false);
	fill(&table);
	assert_int_equal(crew__table_print(&table, &page.screen), 0);
	crew__table_fini(&table);
	expect_page(&page, "name                       n\n"
			   "a                          7\n"
			   "long..  18446744073709551615\n");
}

static void characters_are_counted_not_bytes(void **state)
{
	(void)state;
	struct page page;
	struct crew__table table;
	open_page(&page, 12, false);
	crew__table_init(&table, two, 2);
	crew__table_text(&table, "\xc3\xa4\xc3\xb6\xc3\xbc");
	crew__table_number(&table, 1);
	crew__table_text(
		&table, "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6\xc3\xbc");
	crew__table_number(&table, 1234);
	assert_int_equal(crew__table_print(&table, &page.screen), 0);
	crew__table_fini(&table);
	expect_page(&page, "name       n\n"
			   "\xc3\xa4\xc3\xb6\xc3\xbc        1\n"
			   "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4..  1234\n");
}

static void colours_do_not_count_as_width(void **state)
{
	(void)state;
	struct page page;
	struct crew__table table;
	open_page(&page, 0, true);
	crew__table_init(&table, two, 2);
	crew__table_cell(&table, CREW__RED, "x");
	crew__table_number(&table, 1);
	assert_int_equal(crew__table_print(&table, &page.screen), 0);
	crew__table_fini(&table);
	expect_page(&page, "\033[1mname\033[0m  \033[1mn\033[0m\n\033[31mx\033[0m     1\n");
}

static void an_empty_table_is_its_titles(void **state)
{
	(void)state;
	struct page page;
	struct crew__table table;
	open_page(&page, 0, false);
	crew__table_init(&table, two, 2);
	assert_int_equal(crew__table_print(&table, &page.screen), 0);
	crew__table_fini(&table);
	expect_page(&page, "name  n\n");
}

static void a_table_without_columns_prints_nothing(void **state)
{
	(void)state;
	struct page page;
	struct crew__table table;
	open_page(&page, 0, false);
	crew__table_init(&table, two, 0);
	crew__table_text(&table, "x");
	assert_int_equal(crew__table_print(&table, &page.screen), -ENOMEM);
	crew__table_fini(&table);
	expect_page(&page, "");
}

static void rules_and_paragraphs(void **state)
{
	(void)state;
	struct page page;
	open_page(&page, 40, false);
	crew__screen_rule(&page.screen, "TITLE");
	crew__screen_fold(&page.screen, 2, "one two three four five six seven eight nine ten");
	crew__screen_clear(&page.screen);
	expect_page(&page, "---------------- TITLE -----------------\n"
			   "  one two three four five six seven\n"
			   "  eight nine ten\n"
			   "\033[H\033[2J\033[3J");
	open_page(&page, 0, false);
	crew__screen_clear(&page.screen); /* no terminal, nothing to clear */
	crew__screen_fold(&page.screen, 1, "one two three four five six seven eight nine ten");
	expect_page(&page, " one two three four five six seven eight nine ten\n");
}

static void a_pipe_is_no_terminal(void **state)
{
	(void)state;
	struct crew__screen screen;
	int fds[2];
	assert_int_equal(pipe(fds), 0);
	FILE *out = fdopen(fds[1], "w");
	assert_non_null(out);
	crew__screen_init(&screen, out);
	assert_false(screen.terminal);
	assert_false(screen.colours);
	assert_int_equal(screen.width, 0);
	fclose(out);
	close(fds[0]);
}

static void expect_bytes(uint64_t bytes, const char *text)
{
	char buffer[CREW__UNIT_MAX];
	assert_string_equal(crew__bytes_text(bytes, buffer), text);
}

static void expect_seconds(double seconds, const char *text)
{
	char buffer[CREW__UNIT_MAX];
	assert_string_equal(crew__seconds_text(seconds, buffer), text);
}

static void units(void **state)
{
	(void)state;
	expect_bytes(0, "0");
	expect_bytes(1023, "1023");
	expect_bytes(1024, "1.0K");
	expect_bytes(1536, "1.5K");
	expect_bytes(1024 * 1024 - 1, "1.0M");
	expect_bytes(1024 * 1024, "1.0M");
	expect_bytes(UINT64_C(5) << 30, "5.0G");
	expect_bytes(UINT64_MAX, "16.0E");
}

static void durations(void **state)
{
	(void)state;
	expect_seconds(0, "0.0s");
	expect_seconds(3.25, "3.2s");
	expect_seconds(10, "10s");
	expect_seconds(59.9, "59s");
	expect_seconds(190, "3m10s");
	expect_seconds(7505, "2h05m");
	expect_seconds(86400 * 3 + 3600 * 4 + 59, "3d04h");
	expect_seconds(-1, "0.0s");
	expect_seconds(1e300, "0.0s");
	expect_seconds(__builtin_nan(""), "0.0s");
}

static void expect_clean(const char *source, size_t source_size, size_t size, const char *text)
{
	char buffer[64];
	memset(buffer, 'Z', sizeof(buffer));
	crew__screen_clean(buffer, size, source, source_size);
	assert_string_equal(buffer, text);
	assert_int_equal(buffer[size], 'Z');
}

static void other_processes_words_are_cleaned(void **state)
{
	(void)state;
	expect_clean("feed", 5, 16, "feed");
	expect_clean("feed", 2, 16, "fe"); /* no NUL within its size */
	expect_clean("feed", 5, 3, "fe");
	expect_clean("feed", 5, 1, "");
	expect_clean("a\033[31mb\n\x7f", 16, 16, "a?[31mb??");
	expect_clean("gr\xc3\xbc\xc3\x9f", 16, 16, "gr\xc3\xbc\xc3\x9f");
	expect_clean("gr\xc3\xbc\xff", 16, 16, "gr???");
	expect_clean("gr\xc3\xbc", 16, 4, "gr?"); /* cut in the middle of a character */
	expect_clean("x\xc2\x9b"
		     "31m",
		16, 16, "x??31m");
	char untouched = 'Z';
	crew__screen_clean(&untouched, 0, "abc", 3);
	assert_int_equal(untouched, 'Z');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_table_in_a_file),
		cmocka_unit_test(a_narrow_terminal_cuts_what_may_be_cut),
		cmocka_unit_test(characters_are_counted_not_bytes),
		cmocka_unit_test(colours_do_not_count_as_width),
		cmocka_unit_test(an_empty_table_is_its_titles),
		cmocka_unit_test(a_table_without_columns_prints_nothing),
		cmocka_unit_test(rules_and_paragraphs),
		cmocka_unit_test(a_pipe_is_no_terminal),
		cmocka_unit_test(units),
		cmocka_unit_test(durations),
		cmocka_unit_test(other_processes_words_are_cleaned),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
