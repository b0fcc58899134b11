/* top_table.h - tables in a page: columns that are left out where there is no room for all. */
#ifndef CREW_CLI_TOP_TABLE_H
#define CREW_CLI_TOP_TABLE_H

#include "cli/top_page.h"

enum {
	CREW__CELL_MAX = 160,
	CREW__TABLE_INDENT = 2 /* where a cursor's mark may stand */
};

/* What has the highest `rank` is left out first; 0 never is. Room that is left goes to the columns
 * in their order, up to `most`. */
struct crew__page_column {
	const char *title;
	bool right; /* numbers stand to the right */
	unsigned least, most;
	unsigned rank;
};

struct crew__page_text {
	char text[CREW__CELL_MAX];
	unsigned style;
};

/* Into `ret_widths`, one for each; 0: left out. */
void crew__page_lay_out(const struct crew__page_column *columns, size_t count, unsigned page_width,
	unsigned *ret_widths);
void crew__page_titles(struct crew__page *page, unsigned row,
	const struct crew__page_column *columns, size_t count, const unsigned *widths);
void crew__page_cells(struct crew__page *page, unsigned row,
	const struct crew__page_column *columns, size_t count, const unsigned *widths,
	const struct crew__page_text *cells);

#endif
