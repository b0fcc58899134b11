/* top_rows.c - the rows of workers and of connections on the screen of `top`. */
#include "cli/top_rows.h"

#include "cli/top_table.h"

#include <inttypes.h>
#include <string.h>

enum {
	FULL_ID = 110,  /* columns of a page from which on ids have all their digits */
	SHORT_ID = 8,   /* of life and slot: no two living connections share them */
	IPV4_PEER = 70, /* columns of a page that has room for any address of IPv4 with its port */
	IPV4_WIDTH = 21,
};

/* ---- cells --------------------------------------------------------------------------------- */

/* "1234", "12.3k": rates need no more, and stay narrow. */
const char *crew__top_rate_text(double rate, char *text)
{
	static const char units[] = " kMGT";
	size_t unit = 0;
	while (rate >= 99999.5 && unit + 1 < sizeof(units) - 1) {
		rate /= 1000;
		unit++;
	}
	if (unit)
		snprintf(text, CREW__UNIT_MAX, "%.0f%c", rate, units[unit]);
	else
		snprintf(text, CREW__UNIT_MAX, rate > 0 && rate < 9.95 ? "%.1f" : "%.0f", rate);
	return text;
}

static void set_rate(struct crew__page_text *cell, double rate)
{
	crew__top_rate_text(rate, cell->text);
}

static void set_bytes(struct crew__page_text *cell, uint64_t bytes)
{
	crew__bytes_text(bytes, cell->text);
}

static void set_text(struct crew__page_text *cell, const char *text)
{
	size_t len = crew__min(strlen(text), sizeof(cell->text) - 1);
	memcpy(cell->text, text, len);
	cell->text[len] = '\0';
}

/* ---- workers ------------------------------------------------------------------------------- */

enum {
	WORKER_SERVICE,
	WORKER_ID,
	WORKER_PID,
	WORKER_STATE,
	WORKER_CONNECTIONS,
	WORKER_QPS,
	WORKER_QUEUED,
	WORKER_FAILS,
	WORKER_BUSY,
	WORKER_COLUMNS
};

static const struct crew__page_column worker_columns[WORKER_COLUMNS] = {
	[WORKER_SERVICE] = { "service", false, 7, 7, 0 },
	[WORKER_ID] = { "id", true, 3, 4, 0 },
	[WORKER_PID] = { "pid", true, 7, 7, 2 },
	[WORKER_STATE] = { "state", false, 8, 8, 0 },
	[WORKER_CONNECTIONS] = { "conn", true, 6, 7, 0 },
	[WORKER_QPS] = { "qps", true, 6, 7, 1 },
	[WORKER_QUEUED] = { "queued", true, 7, 7, 0 },
	[WORKER_FAILS] = { "fail/s", true, 6, 7, 0 },
	[WORKER_BUSY] = { "busy in", false, 7, 24, 1 },
};

static bool is_well(const struct crew__status_row *row)
{
	return row->state == CREW__SHOWN_READY && !row->stopped;
}

static void set_state(struct crew__page_text *cell, const struct crew__status_row *row)
{
	static const enum crew__colour colours[CREW__SHOWN_STATES] = {
		[CREW__SHOWN_STARTING] = CREW__YELLOW,
		[CREW__SHOWN_READY] = CREW__GREEN,
		[CREW__SHOWN_BUSY] = CREW__RED,
		[CREW__SHOWN_DRAINING] = CREW__YELLOW,
		[CREW__SHOWN_EXITED] = CREW__RED,
	};
	set_text(cell, row->stopped ? "stopped" : crew__shown_state_name(row->state));
	cell->style = row->stopped ? CREW__RED : colours[row->state];
}

static void set_busy(struct crew__page_text *cell, const struct crew__status_row *row)
{
	char time[CREW__UNIT_MAX];
	if (row->state != CREW__SHOWN_BUSY)
		return;
	snprintf(cell->text, sizeof(cell->text), "%s %s", row->busy_in ? row->busy_in : "?",
		crew__seconds_text((double)row->busy_ms / 1000, time));
	cell->style = CREW__RED;
}

static void set_worker(
	const struct crew__top_look *look, size_t index, struct crew__page_text *cells)
{
	const struct crew__status_row *row = &look->status->rows[index];
	double fails = look->worker_fails[index];
	memset(cells, 0, WORKER_COLUMNS * sizeof(*cells));
	set_text(&cells[WORKER_SERVICE], row->service);
	snprintf(cells[WORKER_ID].text, CREW__CELL_MAX, "%" PRIu32, row->id);
	snprintf(cells[WORKER_PID].text, CREW__CELL_MAX, "%d", row->pid);
	set_state(&cells[WORKER_STATE], row);
	snprintf(cells[WORKER_CONNECTIONS].text, CREW__CELL_MAX, "%" PRIu64,
		row->counters.connections);
	set_rate(&cells[WORKER_QPS], (double)row->qps);
	set_bytes(&cells[WORKER_QUEUED], row->counters.bytes_queued);
	set_rate(&cells[WORKER_FAILS], fails);
	cells[WORKER_FAILS].style = fails > 0 ? CREW__RED : CREW__PLAIN;
	set_busy(&cells[WORKER_BUSY], row);
}

static unsigned widest_service(const struct crew__status *status)
{
	size_t widest = 0;
	for (size_t i = 0; i < status->row_count; i++)
		widest = crew__max(widest, strlen(status->rows[i].service));
	return (unsigned)widest;
}

/* Those that are not well, or those that are, as far as there is room. */
static size_t draw_some(struct crew__page *page, unsigned row, size_t room,
	const struct crew__top_look *look, const unsigned *widths, bool well)
{
	struct crew__page_text cells[WORKER_COLUMNS];
	size_t drawn = 0;
	for (size_t i = 0; i < look->status->row_count && drawn < room; i++) {
		if (is_well(&look->status->rows[i]) != well)
			continue;
		set_worker(look, i, cells);
		crew__page_cells(page, row + (unsigned)drawn++, worker_columns, WORKER_COLUMNS,
			widths, cells);
	}
	return drawn;
}

/* At most `room` rows, of which the last says how many there was no room for. */
unsigned crew__top_workers(
	struct crew__page *page, unsigned row, size_t room, const struct crew__top_look *look)
{
	struct crew__page_column columns[WORKER_COLUMNS];
	unsigned widths[WORKER_COLUMNS];
	size_t count = look->status->row_count, shown = count <= room ? count : room - 1;
	memcpy(columns, worker_columns, sizeof(columns));
	columns[WORKER_SERVICE].most = (unsigned)crew__max(7, widest_service(look->status));
	crew__page_lay_out(columns, WORKER_COLUMNS, page->columns, widths);
	crew__page_titles(page, row++, columns, WORKER_COLUMNS, widths);
	size_t drawn = draw_some(page, row, shown, look, widths, false);
	drawn += draw_some(page, row + (unsigned)drawn, shown - drawn, look, widths, true);
	row += (unsigned)drawn;
	if (drawn < count) {
		char text[64];
		snprintf(text, sizeof(text), "... and %zu more", count - drawn);
		crew__page_put(page, row++, CREW__TABLE_INDENT, page->columns, CREW__PLAIN, text);
	}
	return row;
}

/* ---- connections --------------------------------------------------------------------------- */

enum {
	CONNECTION_ID,
	CONNECTION_SERVICE,
	CONNECTION_PEER,
	CONNECTION_VERDICT,
	CONNECTION_QUEUE,
	CONNECTION_OLDEST,
	CONNECTION_UNSENT,
	CONNECTION_DRAINED,
	CONNECTION_FAILS,
	CONNECTION_COLUMNS
};

static const struct crew__page_column connection_columns[CONNECTION_COLUMNS] = {
	[CONNECTION_ID] = { "id", false, SHORT_ID, SHORT_ID, 0 },
	[CONNECTION_SERVICE] = { "service", false, 7, 7, 2 },
	[CONNECTION_PEER] = { "peer", false, 14, 14, 0 },
	[CONNECTION_VERDICT] = { "verdict", false, 14, 14, 0 },
	[CONNECTION_QUEUE] = { "queue", true, 7, 7, 0 },
	[CONNECTION_OLDEST] = { "oldest", true, 6, 6, 0 },
	[CONNECTION_UNSENT] = { "unsent", true, 7, 7, 4 },
	[CONNECTION_DRAINED] = { "drained/s", true, 9, 9, 1 },
	[CONNECTION_FAILS] = { "fails", true, 6, 6, 3 },
};

static void set_connection(
	const struct crew__top_row *from, unsigned id_digits, struct crew__page_text *cells)
{
	const struct crew__connection *row = from->connection;
	memset(cells, 0, CONNECTION_COLUMNS * sizeof(*cells));
	snprintf(cells[CONNECTION_ID].text, CREW__CELL_MAX, "%016" PRIx64, row->id);
	cells[CONNECTION_ID].text[id_digits] = '\0';
	set_text(&cells[CONNECTION_SERVICE], row->service);
	set_text(&cells[CONNECTION_PEER], row->remote[0] ? row->remote : row->transport);
	set_text(&cells[CONNECTION_VERDICT], row->verdict ? row->verdict : "-");
	cells[CONNECTION_VERDICT].style = row->verdict ? CREW__YELLOW : CREW__PLAIN;
	set_bytes(&cells[CONNECTION_QUEUE], row->send_queue);
	if (row->send_queue)
		crew__seconds_text(row->oldest_queued_s, cells[CONNECTION_OLDEST].text);
	else
		set_text(&cells[CONNECTION_OLDEST], "-");
	set_bytes(&cells[CONNECTION_UNSENT], row->kernel_unsent);
	if (from->drained < 0)
		set_text(&cells[CONNECTION_DRAINED], "-");
	else
		set_bytes(&cells[CONNECTION_DRAINED], (uint64_t)from->drained);
	snprintf(cells[CONNECTION_FAILS].text, CREW__CELL_MAX, "%" PRIu64, row->send_fail);
	cells[CONNECTION_FAILS].style = row->send_fail ? CREW__RED : CREW__PLAIN;
}

static unsigned digits_of_id(unsigned page_width)
{
	return page_width >= FULL_ID ? 2 * SHORT_ID : SHORT_ID;
}

/* As wide as the rows that are shown make them. */
static void fit_columns(const struct crew__top_look *look, size_t first, size_t count,
	unsigned page_width, struct crew__page_column *columns)
{
	unsigned id_digits = digits_of_id(page_width);
	memcpy(columns, connection_columns, sizeof(connection_columns));
	if (page_width >= IPV4_PEER)
		columns[CONNECTION_PEER].least = columns[CONNECTION_PEER].most = IPV4_WIDTH;
	columns[CONNECTION_ID].least = columns[CONNECTION_ID].most = id_digits;
	for (size_t i = first; i < first + count; i++) {
		const struct crew__connection *row = look->rows[i].connection;
		columns[CONNECTION_SERVICE].most = (unsigned)crew__max(
			columns[CONNECTION_SERVICE].most, strlen(row->service));
		columns[CONNECTION_PEER].most = (unsigned)crew__max(
			columns[CONNECTION_PEER].most, strlen(row->remote));
	}
}

void crew__top_connections(struct crew__page *page, unsigned row, const struct crew__top_look *look,
	size_t first, size_t count)
{
	struct crew__page_column columns[CONNECTION_COLUMNS];
	struct crew__page_text cells[CONNECTION_COLUMNS];
	unsigned widths[CONNECTION_COLUMNS];
	unsigned id_digits = digits_of_id(page->columns);
	fit_columns(look, first, count, page->columns, columns);
	crew__page_lay_out(columns, CONNECTION_COLUMNS, page->columns, widths);
	crew__page_titles(page, row++, columns, CONNECTION_COLUMNS, widths);
	for (size_t i = first; i < first + count; i++) {
		set_connection(&look->rows[i], id_digits, cells);
		crew__page_cells(page, row++, columns, CONNECTION_COLUMNS, widths, cells);
	}
}

/* Wide enough for every cell. */
unsigned crew__top_width(const struct crew__top_look *look, size_t count)
{
	struct crew__page_column columns[CONNECTION_COLUMNS];
	unsigned width = CREW__TABLE_INDENT;
	fit_columns(look, 0, count, FULL_ID, columns);
	for (size_t i = 0; i < CONNECTION_COLUMNS; i++)
		width += columns[i].most + 1;
	return (unsigned)crew__max(width + widest_service(look->status), FULL_ID);
}
