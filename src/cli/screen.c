/* screen.c - tables on a terminal or in a file. Not here: what is in them. */
#include "cli/screen.h"

#include "base/utf8.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
	GAP = 2, /* between columns */
	CELL_MAX = 512,
	COLUMNS_MAX = 32,
	WIDTH_MIN = 40,      /* a narrower terminal is treated as one of this width */
	WIDTH_DEFAULT = 100, /* of rules and paragraphs where there is no terminal */
	TEXT_MAX = 1 << 30,
};

struct crew__cell {
	uint32_t at;
	uint16_t width; /* in characters */
	uint8_t colour;
};

static const char *const colour_codes[CREW__COLOURS] = {
	[CREW__PLAIN] = "",
	[CREW__BOLD] = "\033[1m",
	[CREW__GREEN] = "\033[32m",
	[CREW__YELLOW] = "\033[33m",
	[CREW__RED] = "\033[31m",
};

/* ---- the screen ---------------------------------------------------------------------------- */

static bool wants_colours(void)
{
	const char *no_color = getenv("NO_COLOR");
	const char *term = getenv("TERM");
	return (!no_color || !*no_color) && term && strcmp(term, "dumb") != 0;
}

void crew__screen_init(struct crew__screen *screen, FILE *out)
{
	struct winsize window = { 0 };
	int fd = fileno(out); /* negative for a stream in memory: no terminal */
	*screen = (struct crew__screen){ .out = out, .terminal = fd >= 0 && isatty(fd) };
	if (!screen->terminal)
		return;
	screen->colours = wants_colours();
	if (ioctl(fd, TIOCGWINSZ, &window) == 0 && window.ws_col > 0)
		screen->width = window.ws_col < WIDTH_MIN ? WIDTH_MIN : window.ws_col;
}

void crew__screen_clear(const struct crew__screen *screen)
{
	if (screen->terminal)
		fputs("\033[H\033[2J\033[3J", screen->out);
}

void crew__screen_text(
	const struct crew__screen *screen, enum crew__colour colour, const char *text)
{
	bool coloured = screen->colours && colour != CREW__PLAIN;
	if (coloured)
		fputs(colour_codes[colour], screen->out);
	fputs(text, screen->out);
	if (coloured)
		fputs("\033[0m", screen->out);
}

static unsigned page_width(const struct crew__screen *screen)
{
	return screen->width ? screen->width : WIDTH_DEFAULT;
}

static void print_dashes(const struct crew__screen *screen, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		fputc('-', screen->out);
}

void crew__screen_rule(const struct crew__screen *screen, const char *title)
{
	unsigned width = page_width(screen);
	unsigned taken = (unsigned)crew__min(strlen(title) + 2, width);
	unsigned left = (width - taken) / 2;
	print_dashes(screen, left);
	fputc(' ', screen->out);
	crew__screen_text(screen, CREW__BOLD, title);
	fputc(' ', screen->out);
	print_dashes(screen, width - taken - left);
	fputc('\n', screen->out);
}

void crew__screen_fold(const struct crew__screen *screen, unsigned indent, const char *text)
{
	size_t width = screen->width ? screen->width - indent : SIZE_MAX, column = 0;
	while (*text) {
		size_t word = strcspn(text, " ");
		if (column > 0 && column + 1 + word > width) {
			fputc('\n', screen->out);
			column = 0;
		}
		fprintf(screen->out, "%*s%.*s", column ? 1 : (int)indent, "", (int)word, text);
		column += (column ? 1 : 0) + word;
		text += word;
		text += strspn(text, " ");
	}
	fputc('\n', screen->out);
}

/* ---- tables -------------------------------------------------------------------------------- */

/* How many characters: bytes that do not continue another. */
static size_t width_of(const char *text)
{
	size_t width = 0;
	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

/* The bytes of the first `width` characters. */
static size_t bytes_of(const char *text, size_t width)
{
	size_t n = 0;
	while (text[n]) {
		if (((unsigned char)text[n] & 0xc0) != 0x80 && width-- == 0)
			break;
		n++;
	}
	return n;
}

void crew__table_init(struct crew__table *table, const struct crew__column *columns, size_t count)
{
	*table = (struct crew__table){ .columns = columns, .column_count = count };
	table->failed = count == 0 || count > COLUMNS_MAX;
	crew__buf_init(&table->text, TEXT_MAX);
}

static bool reserve_cell(struct crew__table *table)
{
	if (table->cell_count < table->cell_capacity)
		return true;
	size_t capacity = crew__max(table->cell_capacity * 2, 256);
	struct crew__cell *cells = reallocarray(table->cells, capacity, sizeof(*cells));
	if (!cells)
		return false;
	table->cells = cells;
	table->cell_capacity = capacity;
	return true;
}

static void add_cell(struct crew__table *table, enum crew__colour colour, const char *text)
{
	uint32_t at = table->text.len;
	if (table->failed || !reserve_cell(table) ||
		crew__buf_append(&table->text, text, strlen(text) + 1)) {
		table->failed = true;
		return;
	}
	table->cells[table->cell_count++] = (struct crew__cell){
		.at = at,
		.width = (uint16_t)crew__min(width_of(text), UINT16_MAX),
		.colour = (uint8_t)colour,
	};
}

void crew__table_cell(struct crew__table *table, enum crew__colour colour, const char *format, ...)
{
	char text[CELL_MAX];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	add_cell(table, colour, text);
}

void crew__table_text(struct crew__table *table, const char *text)
{
	add_cell(table, CREW__PLAIN, text);
}

void crew__table_number(struct crew__table *table, uint64_t number)
{
	char text[CREW__UNIT_MAX];
	snprintf(text, sizeof(text), "%" PRIu64, number);
	add_cell(table, CREW__PLAIN, text);
}

static size_t next_column(const struct crew__table *table, size_t column)
{
	return column + 1 < table->column_count ? column + 1 : 0;
}

static void measure(const struct crew__table *table, unsigned *widths)
{
	for (size_t i = 0; i < table->column_count; i++)
		widths[i] = (unsigned)width_of(table->columns[i].title);
	for (size_t i = 0, column = 0; i < table->cell_count; i++) {
		if (table->cells[i].width > widths[column])
			widths[column] = table->cells[i].width;
		column = next_column(table, column);
	}
}

/* Cut the widest of the columns that may be cut, one character at a time, until the rows fit or
 * nothing can be cut any more. */
static void squeeze(const struct crew__table *table, unsigned limit, unsigned *widths)
{
	size_t total = GAP * (table->column_count - 1);
	for (size_t i = 0; i < table->column_count; i++)
		total += widths[i];
	for (; total > limit; total--) {
		unsigned *widest = NULL;
		for (size_t i = 0; i < table->column_count; i++) {
			unsigned least = table->columns[i].least;
			if (least && widths[i] > least && (!widest || widths[i] > *widest))
				widest = &widths[i];
		}
		if (!widest)
			return;
		--*widest;
	}
}

static void print_blanks(FILE *out, size_t count)
{
	static const char blanks[] = "                                ";
	for (; count > sizeof(blanks) - 1; count -= sizeof(blanks) - 1)
		fwrite(blanks, 1, sizeof(blanks) - 1, out);
	fwrite(blanks, 1, count, out);
}

/* One cell in its column; what does not fit ends in "..". Nothing follows the last column. */
static void print_cell(const struct crew__screen *screen, const char *text, size_t text_width,
	enum crew__colour colour, const struct crew__column *column, size_t width, bool last)
{
	size_t blanks = text_width < width ? width - text_width : 0;
	if (column->right)
		print_blanks(screen->out, blanks);
	if (text_width > width) {
		fwrite(text, 1, bytes_of(text, width > 2 ? width - 2 : 0), screen->out);
		fputs("..", screen->out);
	} else {
		crew__screen_text(screen, colour, text);
	}
	if (!last)
		print_blanks(screen->out, (column->right ? 0 : blanks) + GAP);
}

static void print_title(
	const struct crew__table *table, const struct crew__screen *screen, const unsigned *widths)
{
	for (size_t i = 0; i < table->column_count; i++) {
		const char *title = table->columns[i].title;
		print_cell(screen, title, width_of(title), CREW__BOLD, &table->columns[i],
			widths[i], i + 1 == table->column_count);
	}
	fputc('\n', screen->out);
}

int crew__table_print(const struct crew__table *table, const struct crew__screen *screen)
{
	unsigned widths[COLUMNS_MAX] = { 0 };
	if (table->failed)
		return -ENOMEM;
	measure(table, widths);
	if (screen->width)
		squeeze(table, screen->width, widths);
	print_title(table, screen, widths);
	for (size_t i = 0, column = 0; i < table->cell_count; i++) {
		const struct crew__cell *cell = &table->cells[i];
		size_t next = next_column(table, column);
		print_cell(screen, table->text.data + cell->at, cell->width,
			(enum crew__colour)cell->colour, &table->columns[column], widths[column],
			next == 0);
		if (next == 0)
			fputc('\n', screen->out);
		column = next;
	}
	return 0;
}

void crew__table_fini(struct crew__table *table)
{
	crew__buf_release(&table->text);
	free(table->cells);
	table->cells = NULL;
	table->cell_count = 0;
	table->cell_capacity = 0;
}

/* ---- units --------------------------------------------------------------------------------- */

const char *crew__bytes_text(uint64_t bytes, char *text)
{
	static const char units[] = "KMGTPE";
	double value = (double)bytes / 1024;
	size_t unit = 0;
	if (bytes < 1024) {
		snprintf(text, CREW__UNIT_MAX, "%" PRIu64, bytes);
		return text;
	}
	while (value >= 1023.95 && unit + 1 < sizeof(units) - 1) {
		value /= 1024;
		unit++;
	}
	snprintf(text, CREW__UNIT_MAX, "%.1f%c", value, units[unit]);
	return text;
}

const char *crew__seconds_text(double seconds, char *text)
{
	uint64_t whole = seconds >= 0 && seconds < 1e15 ? (uint64_t)seconds : 0;
	if (whole < 10)
		snprintf(text, CREW__UNIT_MAX, "%.1fs",
			seconds >= 0 && seconds < 10 ? seconds : 0.0);
	else if (whole < 60)
		snprintf(text, CREW__UNIT_MAX, "%" PRIu64 "s", whole);
	else if (whole < 3600)
		snprintf(text, CREW__UNIT_MAX, "%" PRIu64 "m%02us", whole / 60,
			(unsigned)(whole % 60));
	else if (whole < 86400)
		snprintf(text, CREW__UNIT_MAX, "%" PRIu64 "h%02um", whole / 3600,
			(unsigned)(whole / 60 % 60));
	else
		snprintf(text, CREW__UNIT_MAX, "%" PRIu64 "d%02uh", whole / 86400,
			(unsigned)(whole / 3600 % 24));
	return text;
}

/* The terminal's second set of control characters, U+0080 to U+009F, is two bytes in UTF-8. */
static bool is_control_pair(const char *pair)
{
	return (unsigned char)pair[0] == 0xc2 && ((unsigned char)pair[1] & 0xe0) == 0x80;
}

void crew__screen_clean(char *text, size_t size, const char *source, size_t source_size)
{
	if (size == 0)
		return;
	size_t len = crew__min(strnlen(source, source_size), size - 1);
	bool utf8 = crew__utf8_valid((crew_bytes){ source, len });
	for (size_t i = 0; i < len; i++) {
		unsigned char byte = (unsigned char)source[i];
		bool control = byte < 0x20 || byte == 0x7f;
		text[i] = control || (byte >= 0x80 && !utf8) ? '?' : source[i];
	}
	text[len] = '\0';
	for (size_t i = 0; i + 1 < len; i++)
		if (is_control_pair(text + i))
			text[i] = text[i + 1] = '?';
}
