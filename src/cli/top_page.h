/* top_page.h - a screen full of characters: what is drawn goes here first.
 *
 * Rows and columns of cells, a character and a style in each. From here it goes to a terminal, only
 * the rows that have changed since the page before, or to a file as plain text. */
#ifndef CREW_CLI_TOP_PAGE_H
#define CREW_CLI_TOP_PAGE_H

#include "base/buf.h"
#include "cli/screen.h"

enum {
	CREW__PAGE_ROWS_MAX = 4096, /* of terminals; larger ones keep the rest blank */
	CREW__PAGE_COLUMNS_MAX = 1024
};

/* A style is one enum crew__colour and any of these. */
enum {
	CREW__STYLE_REVERSE = 0x10, /* marks; not a colour */
	CREW__STYLE_STRONG = 0x20,  /* bold; not a colour */
};

struct crew__page {
	unsigned rows, columns;
	struct crew__page_cell *cells;
};

/* Blank; sizes are brought within their limits. 0 or -ENOMEM. */
int crew__page_new(struct crew__page *page, unsigned rows, unsigned columns);
void crew__page_fini(struct crew__page *page);

/* Put the text into `width` cells from `column` on; what is beyond them or the page is cut, and so
 * marked by "..". Returns the column after the text. Outside the page nothing happens. */
unsigned crew__page_put(struct crew__page *page, unsigned row, unsigned column, unsigned width,
	unsigned style, const char *text);
/* The same, to the right of its `width` cells. */
void crew__page_put_right(struct crew__page *page, unsigned row, unsigned column, unsigned width,
	unsigned style, const char *text);
/* Blanks again. */
void crew__page_clear(struct crew__page *page, unsigned row);
/* A style over all that is in a row, its blanks too. */
void crew__page_mark(struct crew__page *page, unsigned row, unsigned style);

/* As plain text: blanks at the ends of rows and empty rows at the end are left out. */
void crew__page_print(const struct crew__page *page, FILE *out);

/* What turns a terminal that shows `before` (NULL, or of another size: anything) into one that
 * shows `page`. Appended; 0 or a negative errno. */
int crew__page_frame(const struct crew__page *page, const struct crew__page *before, bool colours,
	struct crew__buf *frame);

#endif
