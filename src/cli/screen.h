/* screen.h - tables on a terminal or in a file: widths, units, durations, colours.
 *
 * Colours and cutting to the terminal's width are for terminals alone; in a file or a pipe every
 * cell is whole and plain. What is shown may come from other processes, so control bytes and what
 * is not UTF-8 never get this far: crew__screen_clean. */
#ifndef CREW_CLI_SCREEN_H
#define CREW_CLI_SCREEN_H

#include "base/base.h"
#include "base/buf.h"

#include <stdio.h>

struct crew__screen {
	FILE *out;
	bool terminal;
	bool colours;
	unsigned width; /* columns of the terminal; 0: no limit */
};

/* `out` is borrowed. Colours: a terminal, TERM that is not "dumb", and no NO_COLOR. */
void crew__screen_init(struct crew__screen *screen, FILE *out);

enum crew__colour {
	CREW__PLAIN,
	CREW__BOLD,
	CREW__GREEN,
	CREW__YELLOW,
	CREW__RED,
	CREW__COLOURS
};

/* "---- title ----" over the whole width; a clear screen (terminals only); text in a colour. */
void crew__screen_rule(const struct crew__screen *screen, const char *title);
void crew__screen_clear(const struct crew__screen *screen);
void crew__screen_text(
	const struct crew__screen *screen, enum crew__colour colour, const char *text);
/* A paragraph, indented, folded at the terminal's width; one line where there is none. */
void crew__screen_fold(const struct crew__screen *screen, unsigned indent, const char *text);

struct crew__column {
	const char *title;
	bool right;     /* numbers stand to the right */
	unsigned least; /* on a narrow terminal it may be cut down to this width; 0: never */
};

/* Cells are added row by row, each row has one for each column. Memory that is missing is told
 * once, by crew__table_print. */
struct crew__table {
	const struct crew__column *columns;
	size_t column_count;
	struct crew__buf text; /* the cells, NUL after each */
	struct crew__cell *cells;
	size_t cell_count, cell_capacity;
	bool failed;
};

void crew__table_init(struct crew__table *table, const struct crew__column *columns, size_t count);
void crew__table_cell(struct crew__table *table, enum crew__colour colour, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The same without a format, for the many. */
void crew__table_text(struct crew__table *table, const char *text);
void crew__table_number(struct crew__table *table, uint64_t number);
/* 0 or -ENOMEM; nothing is printed then. */
int crew__table_print(const struct crew__table *table, const struct crew__screen *screen);
void crew__table_fini(struct crew__table *table);

/* "0", "512", "1.5K", "4.1M". Room for CREW__UNIT_MAX; returns `text`. */
enum {
	CREW__UNIT_MAX = 32
};
const char *crew__bytes_text(uint64_t bytes, char *text);
/* "0.2s", "45s", "3m10s", "2h05m", "3d04h". */
const char *crew__seconds_text(double seconds, char *text);

/* Copy what another process wrote: control bytes become '?', and when it is not UTF-8 all bytes
 * above 127 do. `source` is read up to a NUL or `source_size`. Always NUL-terminated. */
void crew__screen_clean(char *text, size_t size, const char *source, size_t source_size);

#endif
