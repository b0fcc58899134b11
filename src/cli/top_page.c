/* top_page.c - a screen full of characters. Not here: what they mean (top_draw.c), and how a
 * terminal is taken and given back (top_term.c). */
#include "cli/top_page.h"

#include <stdlib.h>
#include <string.h>

/* A character of UTF-8; the unused bytes are 0. A blank is ' '. */
struct crew__page_cell {
	char bytes[4];
	uint8_t style;
};

enum {
	COLOUR_MASK = 0x0f,
	CUT_MARK = 2 /* ".." */
};

int crew__page_new(struct crew__page *page, unsigned rows, unsigned columns)
{
	page->rows = (unsigned)crew__max(1, crew__min(rows, CREW__PAGE_ROWS_MAX));
	page->columns = (unsigned)crew__max(1, crew__min(columns, CREW__PAGE_COLUMNS_MAX));
	page->cells = calloc((size_t)page->rows * page->columns, sizeof(*page->cells));
	if (!page->cells)
		return -ENOMEM;
	for (unsigned row = 0; row < page->rows; row++)
		crew__page_clear(page, row);
	return 0;
}

void crew__page_fini(struct crew__page *page)
{
	free(page->cells);
	*page = (struct crew__page){ 0 };
}

static struct crew__page_cell *row_of(const struct crew__page *page, unsigned row)
{
	return &page->cells[(size_t)row * page->columns];
}

/* ---- putting ------------------------------------------------------------------------------- */

/* The bytes of the first character of a text that is not at its end. */
static size_t character_bytes(const char *text)
{
	size_t n = 1;
	while (n < sizeof(((struct crew__page_cell *)0)->bytes) &&
		((unsigned char)text[n] & 0xc0) == 0x80)
		n++;
	return n;
}

static unsigned characters_of(const char *text)
{
	unsigned count = 0;
	for (; *text; text += character_bytes(text))
		count++;
	return count;
}

/* Whatever a text holds, no control byte reaches a terminal. */
static void set_cell(struct crew__page_cell *cell, const char *text, size_t bytes, unsigned style)
{
	bool control = (unsigned char)text[0] < 0x20 || text[0] == 0x7f;
	memset(cell->bytes, 0, sizeof(cell->bytes));
	memcpy(cell->bytes, control ? "?" : text, control ? 1 : bytes);
	cell->style = (uint8_t)style;
}

unsigned crew__page_put(struct crew__page *page, unsigned row, unsigned column, unsigned width,
	unsigned style, const char *text)
{
	if (row >= page->rows || column >= page->columns)
		return column;
	struct crew__page_cell *cells = row_of(page, row) + column;
	unsigned room = (unsigned)crew__min(width, page->columns - column);
	unsigned count = characters_of(text), at = 0;
	unsigned whole = count <= room ? count : room > CUT_MARK ? room - CUT_MARK : 0;
	for (; at < whole; at++) {
		size_t bytes = character_bytes(text);
		set_cell(&cells[at], text, bytes, style);
		text += bytes;
	}
	for (; count > room && at < room; at++)
		set_cell(&cells[at], ".", 1, style);
	return column + at;
}

void crew__page_put_right(struct crew__page *page, unsigned row, unsigned column, unsigned width,
	unsigned style, const char *text)
{
	unsigned count = characters_of(text);
	unsigned blanks = count < width ? width - count : 0;
	crew__page_put(page, row, column + blanks, width - blanks, style, text);
}

void crew__page_clear(struct crew__page *page, unsigned row)
{
	static const struct crew__page_cell blank = { .bytes = " " };
	for (unsigned i = 0; row < page->rows && i < page->columns; i++)
		row_of(page, row)[i] = blank;
}

void crew__page_mark(struct crew__page *page, unsigned row, unsigned style)
{
	for (unsigned i = 0; row < page->rows && i < page->columns; i++)
		row_of(page, row)[i].style |= (uint8_t)style;
}

/* ---- out ----------------------------------------------------------------------------------- */

/* Cells up to the last that is not blank; with `marks` one in reverse video is seen, too. */
static unsigned length_of(const struct crew__page *page, unsigned row, bool marks)
{
	const struct crew__page_cell *cells = row_of(page, row);
	unsigned seen = marks ? CREW__STYLE_REVERSE : 0, length = page->columns;
	while (length > 0 && cells[length - 1].bytes[0] == ' ' && !(cells[length - 1].style & seen))
		length--;
	return length;
}

static size_t cell_bytes(const struct crew__page_cell *cell)
{
	return strnlen(cell->bytes, sizeof(cell->bytes));
}

void crew__page_print(const struct crew__page *page, FILE *out)
{
	unsigned rows = page->rows;
	while (rows > 0 && length_of(page, rows - 1, false) == 0)
		rows--;
	for (unsigned row = 0; row < rows; row++) {
		const struct crew__page_cell *cells = row_of(page, row);
		for (unsigned i = 0, length = length_of(page, row, false); i < length; i++)
			fwrite(cells[i].bytes, 1, cell_bytes(&cells[i]), out);
		fputc('\n', out);
	}
}

static int add(struct crew__buf *frame, const char *text)
{
	return crew__buf_append(frame, text, strlen(text));
}

/* Select graphic rendition (ECMA-48, 8.3.117): everything off, then what this style has. */
static int add_style(struct crew__buf *frame, unsigned style, bool colours)
{
	static const char *const codes[CREW__COLOURS] = {
		[CREW__PLAIN] = "",
		[CREW__BOLD] = ";1",
		[CREW__GREEN] = ";32",
		[CREW__YELLOW] = ";33",
		[CREW__RED] = ";31",
	};
	unsigned colour = style & COLOUR_MASK;
	char text[32];
	snprintf(text, sizeof(text), "\033[0%s%s%sm", style & CREW__STYLE_STRONG ? ";1" : "",
		style & CREW__STYLE_REVERSE ? ";7" : "",
		colours && colour < CREW__COLOURS ? codes[colour] : "");
	return add(frame, text);
}

static int add_row(
	const struct crew__page *page, unsigned row, bool colours, struct crew__buf *frame)
{
	const struct crew__page_cell *cells = row_of(page, row);
	unsigned style = 0, length = length_of(page, row, true);
	char place[32];
	snprintf(place, sizeof(place), "\033[%u;1H", row + 1);
	int error = add(frame, place);
	for (unsigned i = 0; i < length && !error; i++) {
		if (cells[i].style != style)
			error = add_style(frame, cells[i].style, colours);
		style = cells[i].style;
		if (!error)
			error = crew__buf_append(frame, cells[i].bytes, cell_bytes(&cells[i]));
	}
	if (!error && style)
		error = add_style(frame, 0, false);
	/* A whole row leaves the cursor on its last cell, which an erasure would take away. */
	return error || length == page->columns ? error : add(frame, "\033[K");
}

int crew__page_frame(const struct crew__page *page, const struct crew__page *before, bool colours,
	struct crew__buf *frame)
{
	bool same_size = before && before->cells && before->rows == page->rows &&
			 before->columns == page->columns;
	size_t size = page->columns * sizeof(*page->cells);
	int error = same_size ? 0 : add(frame, "\033[0m\033[2J");
	for (unsigned row = 0; row < page->rows && !error; row++)
		if (!same_size || memcmp(row_of(page, row), row_of(before, row), size) != 0)
			error = add_row(page, row, colours, frame);
	return error;
}
