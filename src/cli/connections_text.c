/* connections_text.c - `connections` for people: a table and a line of totals. */
#include "cli/connections.h"
#include "cli/screen.h"

#include <inttypes.h>

static void add_bytes(struct crew__table *table, uint64_t bytes)
{
	char text[CREW__UNIT_MAX];
	crew__table_text(table, crew__bytes_text(bytes, text));
}

static void add_seconds(struct crew__table *table, double seconds)
{
	char text[CREW__UNIT_MAX];
	crew__table_text(table, crew__seconds_text(seconds, text));
}

static void add_row(struct crew__table *table, const struct crew__connection *row)
{
	crew__table_number(table, row->pid);
	crew__table_text(table, row->service);
	crew__table_cell(table, CREW__PLAIN, "%016" PRIx64, row->id);
	crew__table_text(table, row->transport);
	crew__table_text(table, row->protocol);
	crew__table_text(table, row->state);
	add_seconds(table, row->age_s);
	add_seconds(table, row->idle_in_s);
	add_seconds(table, row->idle_out_s);
	add_bytes(table, row->recv_queue);
	add_bytes(table, row->send_queue);
	crew__table_number(table, row->send_queue_messages);
	if (row->send_queue)
		add_seconds(table, row->oldest_queued_s);
	else
		crew__table_text(table, "-");
	add_bytes(table, row->bytes_in);
	add_bytes(table, row->bytes_out);
	crew__table_cell(
		table, row->send_fail ? CREW__RED : CREW__PLAIN, "%" PRIu64, row->send_fail);
	crew__table_cell(table, row->verdict ? CREW__YELLOW : CREW__PLAIN, "%s",
		row->verdict ? row->verdict : "-");
	crew__table_text(table, row->local);
	crew__table_text(table, row->remote);
}

static void print_totals(const struct crew__connections *connections, FILE *out)
{
	struct crew__connection sum = { 0 };
	char received[CREW__UNIT_MAX], queued[CREW__UNIT_MAX], in[CREW__UNIT_MAX],
		gone[CREW__UNIT_MAX];
	for (size_t i = 0; i < connections->count; i++) {
		const struct crew__connection *row = &connections->rows[i];
		sum.recv_queue += row->recv_queue;
		sum.send_queue += row->send_queue;
		sum.send_queue_messages += row->send_queue_messages;
		sum.bytes_in += row->bytes_in;
		sum.bytes_out += row->bytes_out;
		sum.send_fail += row->send_fail;
	}
	fprintf(out,
		"%zu connection%s: Recv-Q %s, Send-Q %s in %" PRIu64
		" message%s, bytes in %s, out %s, "
		"send_fail %" PRIu64 "\n",
		connections->count, connections->count == 1 ? "" : "s",
		crew__bytes_text(sum.recv_queue, received),
		crew__bytes_text(sum.send_queue, queued), sum.send_queue_messages,
		sum.send_queue_messages == 1 ? "" : "s", crew__bytes_text(sum.bytes_in, in),
		crew__bytes_text(sum.bytes_out, gone), sum.send_fail);
}

int crew__connections_text(
	const struct crew__connections *connections, const struct crew__screen *screen)
{
	static const struct crew__column columns[] = {
		{ "pid", false, 0 },
		{ "service", false, 7 },
		{ "id", false, 0 },
		{ "transport", false, 4 },
		{ "protocol", false, 5 },
		{ "state", false, 4 },
		{ "age", true, 0 },
		{ "idle in", true, 0 },
		{ "idle out", true, 0 },
		{ "Recv-Q", true, 0 },
		{ "Send-Q", true, 0 },
		{ "messages", true, 0 },
		{ "oldest", true, 0 },
		{ "bytes in", true, 0 },
		{ "bytes out", true, 0 },
		{ "send_fail", true, 0 },
		{ "verdict", false, 7 },
		{ "local", false, 15 },
		{ "remote", false, 15 },
	};
	struct crew__table table;
	crew__table_init(&table, columns, crew__lengthof(columns));
	for (size_t i = 0; i < connections->count; i++)
		add_row(&table, &connections->rows[i]);
	int error = crew__table_print(&table, screen);
	crew__table_fini(&table);
	if (!error)
		print_totals(connections, screen->out);
	return error;
}
