/* top_table.c - which columns, how wide, and where their texts go. */
#include "cli/top_table.h"

enum {
	GAP = 1 /* between columns */
};

/* By rank: each takes its least width, if that is still free. Returns what is taken. */
static unsigned choose(
	const struct crew__page_column *columns, size_t count, unsigned room, unsigned *widths)
{
	unsigned taken = 0, highest = 0;
	for (size_t i = 0; i < count; i++)
		highest = columns[i].rank > highest ? columns[i].rank : highest;
	for (unsigned rank = 0; rank <= highest; rank++)
		for (size_t i = 0; i < count; i++) {
			if (columns[i].rank != rank)
				continue;
			bool fits = rank == 0 || taken + columns[i].least <= room;
			widths[i] = fits ? columns[i].least : 0;
			taken += fits ? columns[i].least + GAP : 0;
		}
	return taken;
}

void crew__page_lay_out(const struct crew__page_column *columns, size_t count, unsigned page_width,
	unsigned *ret_widths)
{
	unsigned room = page_width > CREW__TABLE_INDENT ? page_width - CREW__TABLE_INDENT : 0;
	unsigned taken = choose(columns, count, room, ret_widths);
	for (size_t i = 0; i < count; i++)
		for (; ret_widths[i] && ret_widths[i] < columns[i].most && taken <= room; taken++)
			ret_widths[i]++;
}

static void put(struct crew__page *page, unsigned row, unsigned at, unsigned width,
	const struct crew__page_column *column, unsigned style, const char *text)
{
	if (column->right)
		crew__page_put_right(page, row, at, width, style, text);
	else
		crew__page_put(page, row, at, width, style, text);
}

void crew__page_titles(struct crew__page *page, unsigned row,
	const struct crew__page_column *columns, size_t count, const unsigned *widths)
{
	unsigned at = CREW__TABLE_INDENT;
	for (size_t i = 0; i < count; i++) {
		if (!widths[i])
			continue;
		put(page, row, at, widths[i], &columns[i], CREW__STYLE_STRONG, columns[i].title);
		at += widths[i] + GAP;
	}
}

void crew__page_cells(struct crew__page *page, unsigned row,
	const struct crew__page_column *columns, size_t count, const unsigned *widths,
	const struct crew__page_text *cells)
{
	unsigned at = CREW__TABLE_INDENT;
	for (size_t i = 0; i < count; i++) {
		if (!widths[i])
			continue;
		put(page, row, at, widths[i], &columns[i], cells[i].style, cells[i].text);
		at += widths[i] + GAP;
	}
}
