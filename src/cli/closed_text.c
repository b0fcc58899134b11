/* closed_text.c - `connections --closed` for people: a table and a line of totals. */
#include "cli/closed.h"
#include "cli/screen.h"
#include "cli/when.h"

#include <inttypes.h>

static void add_bytes(struct crew__table *table, uint64_t bytes)
{
	char text[CREW__UNIT_MAX];
	crew__table_text(table, crew__bytes_text(bytes, text));
}

/* "full 300, evicted 12". */
static void add_losses(struct crew__table *table, const struct crew__connection *conn)
{
	char text[256] = "";
	size_t used = 0;
	for (crew_reason i = 0; i < CREW_LOST_REASONS && used < sizeof(text); i++)
		if (conn->fail[i])
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s %" PRIu32,
				used ? ", " : "", crew_reason_name(i), conn->fail[i]);
	crew__table_cell(table, used ? CREW__RED : CREW__PLAIN, "%s", used ? text : "-");
}

static void add_row(struct crew__table *table, const struct crew__closed_row *row)
{
	const struct crew__connection *conn = &row->conn;
	char text[CREW__WHEN_MAX];
	crew__table_text(table, crew__when_local(row->closed_at, text));
	crew__table_text(table, conn->service);
	crew__table_cell(table, CREW__PLAIN, "%016" PRIx64, conn->id);
	crew__table_text(table, conn->protocol);
	crew__table_text(table, conn->remote);
	crew__table_text(table, crew__seconds_text(conn->age_s, text));
	crew__table_text(table, row->ended_by);
	crew__table_text(table, row->end);
	crew__table_cell(table, row->unsent ? CREW__RED : CREW__PLAIN, "%s",
		crew__bytes_text(row->unsent, text));
	crew__table_number(table, row->unsent_messages);
	crew__table_text(table, conn->verdict ? conn->verdict : "-");
	add_bytes(table, conn->bytes_in);
	add_bytes(table, conn->bytes_out);
	add_losses(table, conn);
}

static void print_totals(const struct crew__closed_list *list, FILE *out)
{
	uint64_t unsent = 0, messages = 0, lost = 0;
	char text[CREW__UNIT_MAX];
	for (size_t i = 0; i < list->count; i++) {
		unsent += list->rows[i].unsent;
		messages += list->rows[i].unsent_messages;
		lost += list->rows[i].conn.send_fail;
	}
	fprintf(out,
		"%zu connection%s that ended: unsent %s in %" PRIu64 " message%s, send_fail "
		"%" PRIu64 "; each worker keeps its last few hundred\n",
		list->count, list->count == 1 ? "" : "s", crew__bytes_text(unsent, text), messages,
		messages == 1 ? "" : "s", lost);
}

int crew__closed_list_text(const struct crew__closed_list *list, const struct crew__screen *screen)
{
	static const struct crew__column columns[] = {
		{ "closed at", false, 19 },
		{ "service", false, 7 },
		{ "id", false, 0 },
		{ "protocol", false, 5 },
		{ "remote", false, 15 },
		{ "lived", true, 0 },
		{ "by", false, 0 },
		{ "why", false, 0 },
		{ "unsent", true, 0 },
		{ "messages", true, 0 },
		{ "verdict", false, 7 },
		{ "bytes in", true, 0 },
		{ "bytes out", true, 0 },
		{ "lost", false, 12 },
	};
	struct crew__table table;
	crew__table_init(&table, columns, crew__lengthof(columns));
	for (size_t i = 0; i < list->count; i++)
		add_row(&table, &list->rows[i]);
	int error = crew__table_print(&table, screen);
	crew__table_fini(&table);
	if (!error)
		print_totals(list, screen->out);
	return error;
}
