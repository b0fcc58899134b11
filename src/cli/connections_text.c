/* connections_text.c - `connections` for people: a table and a line of totals.
 *
 * A terminal that is too narrow for all columns shows fewer: what says why a connection is slow
 * stays to the last. */
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

typedef void add_fn(struct crew__table *table, const struct crew__connection *row);

static void add_pid(struct crew__table *table, const struct crew__connection *row)
{
	crew__table_number(table, row->pid);
}

static void add_service(struct crew__table *table, const struct crew__connection *row)
{
	crew__table_text(table, row->service);
}

static void add_id(struct crew__table *table, const struct crew__connection *row)
{
	crew__table_cell(table, CREW__PLAIN, "%016" PRIx64, row->id);
}

static void add_transport(struct crew__table *table, const struct crew__connection *row)
{
	crew__table_text(table, row->transport);
}

static void add_protocol(struct crew__table *table, const struct crew__connection *row)
{
	crew__table_text(table, row->protocol);
}

static void add_state(struct crew__table *table, const struct crew__connection *row)
{
	crew__table_text(table, row->state);
}

static void add_age(struct crew__table *table, const struct crew__connection *row)
{
	add_seconds(table, row->age_s);
}

static void add_idle_in(struct crew__table *table, const struct crew__connection *row)
{
	add_seconds(table, row->idle_in_s);
}

static void add_idle_out(struct crew__table *table, const struct crew__connection *row)
{
	add_seconds(table, row->idle_out_s);
}

static void add_recv_queue(struct crew__table *table, const struct crew__connection *row)
{
	add_bytes(table, row->recv_queue);
}

static void add_send_queue(struct crew__table *table, const struct crew__connection *row)
{
	add_bytes(table, row->send_queue);
}

static void add_messages(struct crew__table *table, const struct crew__connection *row)
{
	crew__table_number(table, row->send_queue_messages);
}

static void add_oldest(struct crew__table *table, const struct crew__connection *row)
{
	if (row->send_queue)
		add_seconds(table, row->oldest_queued_s);
	else
		crew__table_text(table, "-");
}

static void add_bytes_in(struct crew__table *table, const struct crew__connection *row)
{
	add_bytes(table, row->bytes_in);
}

static void add_bytes_out(struct crew__table *table, const struct crew__connection *row)
{
	add_bytes(table, row->bytes_out);
}

static void add_send_fail(struct crew__table *table, const struct crew__connection *row)
{
	crew__table_cell(
		table, row->send_fail ? CREW__RED : CREW__PLAIN, "%" PRIu64, row->send_fail);
}

static void add_verdict(struct crew__table *table, const struct crew__connection *row)
{
	crew__table_cell(table, row->verdict ? CREW__YELLOW : CREW__PLAIN, "%s",
		row->verdict ? row->verdict : "-");
}

static void add_local(struct crew__table *table, const struct crew__connection *row)
{
	crew__table_text(table, row->local);
}

static void add_remote(struct crew__table *table, const struct crew__connection *row)
{
	crew__table_text(table, row->remote);
}

/* `room`: what the column takes, as a rule, with the gap before the next; `rank`: who has the
 * highest leaves a narrow screen first, 0 never does. */
static const struct shown {
	struct crew__column column;
	unsigned room, rank;
	add_fn *add;
} all_columns[] = {
	{ { "pid", false, 0 }, 9, 9, add_pid },
	{ { "service", false, 7 }, 10, 2, add_service },
	{ { "id", false, 0 }, 18, 0, add_id },
	{ { "transport", false, 4 }, 11, 12, add_transport },
	{ { "protocol", false, 5 }, 10, 7, add_protocol },
	{ { "state", false, 4 }, 11, 4, add_state },
	{ { "age", true, 0 }, 8, 3, add_age },
	{ { "idle in", true, 0 }, 9, 10, add_idle_in },
	{ { "idle out", true, 0 }, 10, 8, add_idle_out },
	{ { "Recv-Q", true, 0 }, 8, 11, add_recv_queue },
	{ { "Send-Q", true, 0 }, 9, 0, add_send_queue },
	{ { "messages", true, 0 }, 10, 5, add_messages },
	{ { "oldest", true, 0 }, 8, 0, add_oldest },
	{ { "bytes in", true, 0 }, 10, 10, add_bytes_in },
	{ { "bytes out", true, 0 }, 11, 6, add_bytes_out },
	{ { "send_fail", true, 0 }, 11, 1, add_send_fail },
	{ { "verdict", false, 7 }, 16, 0, add_verdict },
	{ { "local", false, 15 }, 23, 13, add_local },
	{ { "remote", false, 15 }, 17, 0, add_remote },
};

enum {
	COLUMNS = crew__lengthof(all_columns),
	RANKS = 14
};

/* The highest rank that fits; everything does where there is no width. */
static unsigned rank_that_fits(unsigned width)
{
	for (unsigned rank = RANKS; rank > 0; rank--) {
		unsigned room = 0;
		for (size_t i = 0; i < COLUMNS; i++)
			room += all_columns[i].rank <= rank ? all_columns[i].room : 0;
		if (width == 0 || room <= width)
			return rank;
	}
	return 0;
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
	struct crew__column columns[COLUMNS];
	const struct shown *shown[COLUMNS] = { NULL };
	size_t count = 0;
	unsigned rank = rank_that_fits(screen->width);
	for (size_t i = 0; i < COLUMNS; i++)
		if (all_columns[i].rank <= rank) {
			columns[count] = all_columns[i].column;
			shown[count++] = &all_columns[i];
		}
	struct crew__table table;
	crew__table_init(&table, columns, count);
	for (size_t i = 0; i < connections->count; i++)
		for (size_t n = 0; n < count; n++)
			shown[n]->add(&table, &connections->rows[i]);
	int error = crew__table_print(&table, screen);
	crew__table_fini(&table);
	if (!error)
		print_totals(connections, screen->out);
	return error;
}
