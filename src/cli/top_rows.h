/* top_rows.h - the rows of workers and of connections on the screen of `top`. */
#ifndef CREW_CLI_TOP_ROWS_H
#define CREW_CLI_TOP_ROWS_H

#include "cli/top_model.h"
#include "cli/top_page.h"

/* Titles and at most `room > 0` rows from `row` on; of more workers the last row tells the number,
 * and those that are not ready come first. Returns the row after them. */
unsigned crew__top_workers(
	struct crew__page *page, unsigned row, size_t room, const struct crew__top_look *look);

/* Titles and the rows `first` to `first + count` of the look. */
void crew__top_connections(struct crew__page *page, unsigned row, const struct crew__top_look *look,
	size_t first, size_t count);

/* Columns of a page that cuts none of the first `count` rows, and no worker. */
unsigned crew__top_width(const struct crew__top_look *look, size_t count);

/* "0", "2.5", "1234", "123k": room for CREW__UNIT_MAX; returns `text`. */
const char *crew__top_rate_text(double rate, char *text);

#endif
