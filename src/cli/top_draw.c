/* top_draw.c - the screen of `top`. Not here: where the numbers come from (top_model.c), what keys
 * do (top_keys.c), how a page gets to a terminal (top_page.c). */
#include "cli/top_draw.h"

#include "cli/top_rows.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
	GAP = 1,                /* between columns */
	CREW__TABLE_INDENT = 2, /* where the cursor's mark stands */
	WORKERS_LEAST = 2,      /* shown on the smallest screen */
	AROUND = 7,             /* rows that are neither workers nor connections */
	WIDE = 96,              /* from here on the keys are told in full */
	FULL_ID = 110,          /* and ids in all their digits */
	SHORT_ID = 8,           /* of life and slot: no two living connections share them */
};

static const char *plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

/* ---- the head ------------------------------------------------------------------------------ */

/* One word or figure of a line; what there is no room for is left out, and all after it. */
static unsigned draw_figure(
	struct crew__page *page, unsigned row, unsigned at, unsigned style, const char *text)
{
	if (at + strlen(text) > page->columns)
		return page->columns;
	return crew__page_put(page, row, at, page->columns, style, text) + 2;
}

static void draw_program(struct crew__page *page, unsigned row, const struct crew__status *status)
{
	char text[128], uptime[CREW__UNIT_MAX];
	unsigned at = crew__page_put(page, row, 0, page->columns, CREW__STYLE_STRONG, status->app);
	at = draw_figure(page, row, at + 1, CREW__PLAIN, status->version);
	snprintf(text, sizeof(text), "up %s", crew__seconds_text(status->uptime_s, uptime));
	at = draw_figure(page, row, at, CREW__PLAIN, text);
	snprintf(text, sizeof(text), "load %.2f %.2f %.2f", status->load[0], status->load[1],
		status->load[2]);
	at = draw_figure(page, row, at, CREW__PLAIN, text);
	snprintf(text, sizeof(text), "generation %" PRIu32, status->generation);
	at = draw_figure(page, row, at, CREW__PLAIN, text);
	at = draw_figure(page, row, at, CREW__PLAIN, status->mode);
	draw_figure(page, row, at, CREW__PLAIN, status->engine);
}

static void draw_figures(struct crew__page *page, unsigned row, const struct crew__top_look *look)
{
	const struct crew__slab *totals = &look->status->totals;
	char text[128], number[CREW__UNIT_MAX];
	unsigned at = 0;
	snprintf(
		text, sizeof(text), "sent %s/s", crew__top_rate_text(look->rates.messages, number));
	at = draw_figure(page, row, at, CREW__PLAIN, text);
	snprintf(
		text, sizeof(text), "%sB/s", crew__bytes_text((uint64_t)look->rates.bytes, number));
	at = draw_figure(page, row, at, CREW__PLAIN, text);
	snprintf(text, sizeof(text), "fails %s/s", crew__top_rate_text(look->rates.fails, number));
	at = draw_figure(page, row, at, look->rates.fails > 0 ? CREW__RED : CREW__PLAIN, text);
	snprintf(text, sizeof(text), "slow %" PRIu64, totals->slow);
	at = draw_figure(page, row, at, totals->slow ? CREW__YELLOW : CREW__PLAIN, text);
	snprintf(text, sizeof(text), "queued %s", crew__bytes_text(totals->bytes_queued, number));
	at = draw_figure(page, row, at, CREW__PLAIN, text);
	snprintf(text, sizeof(text), "%" PRIu64 " connection%s", totals->connections,
		plural(totals->connections));
	at = draw_figure(page, row, at, CREW__PLAIN, text);
	snprintf(text, sizeof(text), "send_fail %" PRIu64, totals->send_fail);
	draw_figure(page, row, at, CREW__PLAIN, text);
}

/* What keeps the numbers from being those of now. */
static unsigned draw_trouble(struct crew__page *page, unsigned row, const char *trouble,
	const struct crew__top_look *look)
{
	const struct crew__status *status = look ? look->status : NULL;
	char text[CREW__TOP_MESSAGE_MAX] = "";
	if (*trouble)
		snprintf(text, sizeof(text), "%s", trouble);
	else if (status && !status->master_answers)
		snprintf(text, sizeof(text), "the master (pid %d) does not answer%s",
			status->master,
			status->master_stopped ? ": it is stopped by a signal" : "");
	else if (status && status->missing)
		snprintf(text, sizeof(text), "the numbers of %zu worker%s are missing",
			status->missing, plural(status->missing));
	if (!*text)
		return row;
	crew__page_put(page, row, 0, page->columns, CREW__RED | CREW__STYLE_STRONG, text);
	return row + 1;
}

/* ---- the list ------------------------------------------------------------------------------- */

static void draw_section(struct crew__page *page, unsigned row, const char *title)
{
	unsigned at = crew__page_put(page, row, 0, 3, CREW__PLAIN, "-- ");
	at = crew__page_put(page, row, at, page->columns, CREW__STYLE_STRONG, title) + 1;
	for (; at < page->columns; at++)
		crew__page_put(page, row, at, 1, CREW__PLAIN, "-");
}

static void title_of(const struct crew__top_look *look, const struct crew__top_order *order,
	char *text, size_t size)
{
	size_t all = look->connections.count;
	bool filtered = order->filter[0] != '\0';
	int used = snprintf(text, size, "%zu connection%s by %s%s", look->row_count,
		plural(look->row_count), crew__top_order_name(order),
		order->reverse ? ", reversed" : "");
	if (filtered && used > 0 && (size_t)used < size)
		snprintf(text + used, size - (size_t)used, ", of %zu, with '%s'", all,
			order->filter);
}

/* The cursor stays on the screen, and the screen has no blanks while there are rows. */
static void scroll_to_cursor(struct crew__top_state *state, size_t count, size_t room)
{
	state->page = room;
	if (state->cursor < state->offset)
		state->offset = state->cursor;
	if (state->cursor >= state->offset + room)
		state->offset = state->cursor - room + 1;
	if (state->offset + room > count)
		state->offset = count > room ? count - room : 0;
}

static void draw_list(struct crew__page *page, unsigned row, unsigned end,
	struct crew__top_state *state, const struct crew__top_look *look)
{
	char title[256];
	title_of(look, &state->order, title, sizeof(title));
	draw_section(page, row++, title);
	if (row + 1 >= end)
		return;
	size_t room = end - row - 1;
	scroll_to_cursor(state, look->row_count, room);
	size_t count = crew__min(room, look->row_count - state->offset);
	crew__top_connections(page, row++, look, state->offset, count);
	if (count == 0)
		return;
	unsigned marked = row + (unsigned)(state->cursor - state->offset);
	crew__page_put(page, marked, 0, 1, CREW__STYLE_STRONG, ">");
	crew__page_mark(page, marked, CREW__STYLE_REVERSE);
}

/* ---- the explanation ----------------------------------------------------------------------- */

static size_t count_lines(const char *text)
{
	size_t count = 0;
	for (; *text; count++) {
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
	return count;
}

/* The screen has no blanks while there are lines. */
static void scroll_within(struct crew__top_state *state, size_t lines, size_t room)
{
	size_t most = lines > room ? lines - room : 0;
	state->lines = lines;
	state->lines_shown = room;
	state->scroll = crew__min(state->scroll, most);
}

static void draw_explanation(
	struct crew__page *page, unsigned row, unsigned end, struct crew__top_state *state)
{
	char title[256], line[1024];
	const char *text = state->explanation ? state->explanation : "";
	scroll_within(state, count_lines(text), end > row + 1 ? end - row - 1 : 0);
	size_t last = crew__min(state->lines, state->scroll + state->lines_shown);
	if (last < state->lines || state->scroll > 0)
		snprintf(title, sizeof(title), "explain %s, lines %zu to %zu of %zu",
			state->subject_name, state->scroll + 1, last, state->lines);
	else
		snprintf(title, sizeof(title), "explain %s", state->subject_name);
	draw_section(page, row++, title);
	for (size_t i = 0; i < last; i++) {
		size_t len = strcspn(text, "\n");
		crew__screen_clean(line, sizeof(line), text, len);
		if (i >= state->scroll)
			crew__page_put(page, row++, 1, page->columns, CREW__PLAIN, line);
		text += len + (text[len] == '\n');
	}
}

/* ---- questions and keys -------------------------------------------------------------------- */

static void draw_line(struct crew__page *page, unsigned row, const struct crew__top_state *state)
{
	char text[CREW__TOP_MESSAGE_MAX + CREW__TOP_FILTER_MAX];
	switch (state->mode) {
	case CREW__TOP_CONFIRM:
		snprintf(text, sizeof(text), "kick %s? y: yes, any other key: no",
			state->subject_name);
		crew__page_put(
			page, row, 0, page->columns, CREW__YELLOW | CREW__STYLE_STRONG, text);
		return;
	case CREW__TOP_FILTER:
		snprintf(text, sizeof(text), "filter (service, address, verdict): %s_",
			state->order.filter);
		crew__page_put(page, row, 0, page->columns, CREW__STYLE_STRONG, text);
		return;
	case CREW__TOP_LIST:
	case CREW__TOP_EXPLAIN:
		break;
	}
	crew__page_put(page, row, 0, page->columns, state->message_bad ? CREW__RED : CREW__GREEN,
		state->message);
}

static const char *keys_of(const struct crew__top_state *state, bool wide)
{
	switch (state->mode) {
	case CREW__TOP_FILTER:
		return "Enter keep   Esc forget   Backspace erase";
	case CREW__TOP_CONFIRM:
		return "y kick   n leave it";
	case CREW__TOP_EXPLAIN:
		return wide ? "Esc back   j/k or arrows scroll   x kick   space now   p pause"
			    : "Esc back  jk scroll  x kick  space now  p pause";
	case CREW__TOP_LIST:
		break;
	}
	return wide ? "q quit  space now  s sort  S reverse  f filter  j/k or arrows select  "
		      "e explain  x kick  p pause"
		    : "q quit s sort S rev f filter jk sel e explain x kick p pause";
}

static void draw_keys(struct crew__page *page, unsigned row, const struct crew__top_state *state)
{
	crew__page_put(
		page, row, 0, page->columns, CREW__PLAIN, keys_of(state, page->columns >= WIDE));
	crew__page_mark(page, row, CREW__STYLE_REVERSE);
}

/* ---- together ------------------------------------------------------------------------------ */

static unsigned draw_head(struct crew__page *page, const struct crew__top_look *look,
	const char *trouble, bool paused)
{
	static const char word[] = " PAUSED";
	unsigned row = 0;
	if (look) {
		draw_program(page, row++, look->status);
		draw_figures(page, row++, look);
	}
	if (paused)
		crew__page_put_right(
			page, 0, 0, page->columns, CREW__YELLOW | CREW__STYLE_STRONG, word);
	return draw_trouble(page, row, trouble, look);
}

static size_t room_for_workers(const struct crew__page *page)
{
	size_t third = page->rows > AROUND ? (page->rows - AROUND) / 3 : 0;
	return crew__max(third, WORKERS_LEAST);
}

void crew__top_draw(
	struct crew__page *page, struct crew__top_state *state, const struct crew__top_look *look)
{
	unsigned end = page->rows > 2 ? page->rows - 2 : page->rows;
	unsigned row = draw_head(page, look, state->trouble, state->paused);
	if (look)
		row = crew__top_workers(page, row, room_for_workers(page), look);
	if (row < end && state->mode == CREW__TOP_EXPLAIN)
		draw_explanation(page, row, end, state);
	else if (row < end && look)
		draw_list(page, row, end, state, look);
	/* On a screen of a few rows the keys win. */
	for (unsigned i = end; i < page->rows; i++)
		crew__page_clear(page, i);
	draw_line(page, end, state);
	if (end + 1 < page->rows)
		draw_keys(page, end + 1, state);
}

int crew__top_print(const struct crew__top_look *look, const struct crew__top_order *order,
	size_t most, FILE *out)
{
	struct crew__page page;
	char title[256];
	size_t count = crew__min(most, look->row_count), workers = look->status->row_count;
	if (crew__page_new(
		    &page, (unsigned)(AROUND + workers + count), crew__top_width(look, count)))
		return -ENOMEM;
	unsigned row = draw_head(&page, look, "", false);
	row = crew__top_workers(&page, row, workers + 1, look);
	title_of(look, order, title, sizeof(title));
	draw_section(&page, row++, title);
	crew__top_connections(&page, row, look, 0, count);
	crew__page_print(&page, out);
	crew__page_fini(&page);
	return 0;
}
