/* top_model.c - one look, its rates, its order. Not here: how it is drawn. */
#include "cli/top_model.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A connection as it stood, to be found again by its id. */
struct crew__top_mark {
	uint64_t id;
	uint64_t bytes_out;
};

/* ---- rates --------------------------------------------------------------------------------- */

/* Counters that went backward are of another program. */
static double rate_of(uint64_t now, uint64_t before, double span_s)
{
	return span_s > 0 && now > before ? (double)(now - before) / span_s : 0;
}

static void take_rates(struct crew__top_look *look)
{
	const struct crew__status *status = look->status;
	const struct crew__slab *now = &status->totals, *before = &status->before;
	look->rates = (struct crew__top_rates){
		.messages = rate_of(now->messages_sent, before->messages_sent, status->span_s),
		.bytes = rate_of(now->bytes_out, before->bytes_out, status->span_s),
		.fails = rate_of(now->send_fail, before->send_fail, status->span_s),
	};
}

/* A worker that is new has lost all it lost since. */
static void take_worker_fails(struct crew__top_look *look, const struct crew__top_look *before)
{
	const struct crew__status *status = look->status;
	for (size_t i = 0; i < status->row_count; i++) {
		const struct crew__status_row *row = &status->rows[i];
		const struct crew__status_row *then = before ? crew__status_same_life(
								       before->status, row)
							     : NULL;
		look->worker_fails[i] = rate_of(row->counters.send_fail,
			then ? then->counters.send_fail : 0, status->span_s);
	}
}

static int compare_marks(const void *left, const void *right)
{
	const struct crew__top_mark *a = left, *b = right;
	return a->id < b->id ? -1 : a->id > b->id;
}

static double drained_of(
	const struct crew__connection *row, const struct crew__top_look *before, double span_s)
{
	const struct crew__top_mark key = { .id = row->id };
	const struct crew__top_mark *then = NULL;
	if (before->connections.count > 0)
		then = bsearch(
			&key, before->marks, before->connections.count, sizeof(key), compare_marks);
	return rate_of(row->bytes_out, then ? then->bytes_out : 0, span_s);
}

static void take_connections(struct crew__top_look *look, const struct crew__top_look *before)
{
	const struct crew__connections *all = &look->connections;
	for (size_t i = 0; i < all->count; i++) {
		const struct crew__connection *row = &all->rows[i];
		look->marks[i] = (struct crew__top_mark){ row->id, row->bytes_out };
		look->drained[row->place] = before ? drained_of(row, before, look->status->span_s)
						   : -1;
	}
	if (all->count > 1)
		qsort(look->marks, all->count, sizeof(*look->marks), compare_marks);
}

/* ---- a look -------------------------------------------------------------------------------- */

/* Rates are of one program's numbers: between two that ran one after the other there are none. */
static const struct crew__top_look *comparable(
	const struct crew__top_look *before, const struct crew__status *now)
{
	return before && before->status->master == now->master &&
			       before->status->uptime_s <= now->uptime_s &&
			       before->status->taken_ns < now->taken_ns
		       ? before
		       : NULL;
}

static int allocate(struct crew__top_look *look)
{
	size_t workers = look->status->row_count + 1, count = look->connections.count + 1;
	look->worker_fails = calloc(workers, sizeof(*look->worker_fails));
	look->drained = calloc(count, sizeof(*look->drained));
	look->marks = calloc(count, sizeof(*look->marks));
	look->rows = calloc(count, sizeof(*look->rows));
	return look->worker_fails && look->drained && look->marks && look->rows ? 0 : -ENOMEM;
}

static int fill(struct crew__top_look *look, const struct crew__status_source *source,
	const struct crew__top_look *before)
{
	int error = crew__connections_new(source->attached, &look->connections);
	if (!error)
		error = allocate(look);
	if (error)
		return error;
	before = comparable(before, look->status);
	if (before)
		crew__status_since(look->status, before->status);
	take_rates(look);
	take_worker_fails(look, before);
	take_connections(look, before);
	return 0;
}

int crew__top_look_new(const struct crew__status_source *source,
	const struct crew__top_look *before, struct crew__top_look **ret_look, char *ret_error,
	size_t error_size)
{
	struct crew__top_look *look = calloc(1, sizeof(*look));
	int error = look ? crew__status_take(source, &look->status, ret_error, error_size)
			 : -ENOMEM;
	if (!error)
		error = fill(look, source, before);
	if (error == -ENOMEM)
		snprintf(ret_error, error_size, "no memory for the screen");
	if (error)
		crew__top_look_free(look);
	else
		*ret_look = look;
	return error;
}

void crew__top_look_free(struct crew__top_look *look)
{
	if (!look)
		return;
	crew__status_free(look->status);
	crew__connections_fini(&look->connections);
	free(look->worker_fails);
	free(look->drained);
	free(look->marks);
	free(look->rows);
	free(look);
}

/* ---- order --------------------------------------------------------------------------------- */

/* What `s` goes through: slowness, then these, then what drains fastest. */
static const char *const offered[] = { "send_queue", "oldest_queued_s", "kernel_unsent",
	"send_fail", "bytes_out", "age_s", "service", "remote", "verdict" };

const char *crew__top_order_name(const struct crew__top_order *order)
{
	switch (order->by) {
	case CREW__TOP_BY_SLOWNESS:
		return "slowest";
	case CREW__TOP_BY_DRAINED:
		return "drained/s";
	case CREW__TOP_BY_FIELD:
		break;
	}
	return order->field->key;
}

static void offer(struct crew__top_order *order, size_t index)
{
	const char *nearest;
	order->by = index < crew__lengthof(offered) ? CREW__TOP_BY_FIELD : CREW__TOP_BY_DRAINED;
	order->field = index < crew__lengthof(offered)
			       ? crew__connection_field_find(offered[index], &nearest)
			       : NULL;
}

void crew__top_order_next(struct crew__top_order *order)
{
	size_t at = 0;
	if (order->by == CREW__TOP_BY_DRAINED) {
		order->by = CREW__TOP_BY_SLOWNESS;
		return;
	}
	if (order->by == CREW__TOP_BY_FIELD) {
		while (at < crew__lengthof(offered) && strcmp(offered[at], order->field->key) != 0)
			at++;
		at = at < crew__lengthof(offered) ? at + 1 : 0;
	}
	offer(order, at);
}

bool crew__top_matches(const struct crew__connection *connection, const char *filter)
{
	char id[17];
	if (!*filter || strcasestr(connection->service, filter) ||
		strcasestr(connection->remote, filter) ||
		(connection->verdict && strcasestr(connection->verdict, filter)))
		return true;
	snprintf(id, sizeof(id), "%016" PRIx64, connection->id);
	return strncasecmp(id, filter, strlen(filter)) == 0;
}

static int compare_drained(const void *left, const void *right)
{
	const struct crew__top_row *a = left, *b = right;
	if (a->drained != b->drained)
		return a->drained > b->drained ? -1 : 1;
	return a->connection < b->connection ? -1 : a->connection > b->connection;
}

static void turn_round(struct crew__top_row *rows, size_t count)
{
	for (size_t i = 0; i < count / 2; i++) {
		struct crew__top_row row = rows[i];
		rows[i] = rows[count - 1 - i];
		rows[count - 1 - i] = row;
	}
}

void crew__top_look_arrange(struct crew__top_look *look, const struct crew__top_order *order)
{
	struct crew__connections *all = &look->connections;
	if (order->by == CREW__TOP_BY_FIELD)
		crew__connections_sort(all, order->field);
	else if (order->by == CREW__TOP_BY_SLOWNESS)
		crew__connections_slowest(all, all->count);
	look->row_count = 0;
	for (size_t i = 0; i < all->count; i++) {
		const struct crew__connection *row = &all->rows[i];
		if (crew__top_matches(row, order->filter))
			look->rows[look->row_count++] = (struct crew__top_row){ row,
				look->drained[row->place] };
	}
	if (order->by == CREW__TOP_BY_DRAINED && look->row_count > 1)
		qsort(look->rows, look->row_count, sizeof(*look->rows), compare_drained);
	if (order->reverse)
		turn_round(look->rows, look->row_count);
}
