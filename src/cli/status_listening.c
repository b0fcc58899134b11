#include "cli/status_listening.h"

#include "base/clock.h"
#include "cli/json_parts.h"
#include "cli/screen.h"

#include <string.h>

enum {
	NEWS_S = 600,    /* an overflow that is older is history */
	SHARES_MOST = 8, /* so many workers are listed one by one */
	TEXT_MAX = 1024
};

/* enum crew__accept_choice; the master may be of another version. */
static const char *accept_name(uint32_t accept)
{
	static const char *const names[] = { [CREW__ACCEPT_SHARED] = "shared",
		[CREW__ACCEPT_REUSE_PORT] = "reuse-port",
		[CREW__ACCEPT_LEAST] = "least-connections" };
	return accept < crew__lengthof(names) ? names[accept] : "?";
}

static const char *service_of(const struct crew__status *status, const struct crew__port *port)
{
	return port->service < status->services ? status->service[port->service] : "?";
}

/* ---- how evenly ---------------------------------------------------------------------------- */

static bool counts(const struct crew__status_row *row, const char *service)
{
	return row->state != CREW__SHOWN_EXITED && row->state != CREW__SHOWN_DRAINING &&
	       strcmp(row->service, service) == 0;
}

struct crew__spread crew__status_spread(const struct crew__status *status, const char *service)
{
	struct crew__spread spread = { 0 };
	uint64_t connections = 0, accepted = 0; /* the most that one has */
	for (size_t i = 0; i < status->row_count; i++) {
		const struct crew__slab *has = &status->rows[i].counters;
		if (!counts(&status->rows[i], service))
			continue;
		spread.workers++;
		spread.connections += has->connections;
		spread.accepted += has->accepted;
		connections = crew__max(connections, has->connections);
		accepted = crew__max(accepted, has->accepted);
	}
	double workers = (double)spread.workers;
	if (spread.connections > 0)
		spread.connections_spread = (double)connections * workers /
					    (double)spread.connections;
	if (spread.accepted > 0)
		spread.accepted_spread = (double)accepted * workers / (double)spread.accepted;
	return spread;
}

const char *crew__status_worst_spread(const struct crew__status *status, char *text, size_t size)
{
	double worst = 0;
	for (unsigned i = 0; i < status->services; i++) {
		struct crew__spread spread = crew__status_spread(status, status->service[i]);
		if (spread.workers > 1 && spread.connections_spread > worst)
			worst = spread.connections_spread;
	}
	if (worst > 0)
		snprintf(text, size, "spread %.2f", worst);
	else
		snprintf(text, size, "-");
	return text;
}

static double share_of(uint64_t part, uint64_t whole)
{
	return whole > 0 ? (double)part / (double)whole : 0;
}

/* "feed shares connections 26%, 24%, ..." by worker; of many only how evenly. */
static void print_shares(const struct crew__status *status, const char *service,
	const struct crew__spread *spread, const struct crew__screen *screen)
{
	char text[TEXT_MAX];
	size_t used = (size_t)snprintf(text, sizeof(text),
		"%s: the busiest of %zu workers has %.2f times the mean of connections, and %.2f "
		"times that of accepts",
		service, spread->workers, spread->connections_spread, spread->accepted_spread);
	bool first = true;
	for (size_t i = 0; i < status->row_count && spread->workers <= SHARES_MOST; i++) {
		const struct crew__status_row *row = &status->rows[i];
		if (!counts(row, service) || used >= sizeof(text))
			continue;
		used += (size_t)snprintf(text + used, sizeof(text) - used,
			"%s#%" PRIu32 " %.0f%%/%.0f%%", first ? " (" : ", ", row->id,
			100 * share_of(row->counters.connections, spread->connections),
			100 * share_of(row->counters.accepted, spread->accepted));
		first = false;
	}
	if (!first && used < sizeof(text))
		snprintf(text + used, sizeof(text) - used, ")");
	crew__screen_fold(screen, 2, text);
}

/* ---- for people ---------------------------------------------------------------------------- */

static void add_count(struct crew__table *table, int32_t count)
{
	if (count == CREW__PORT_UNKNOWN)
		crew__table_text(table, "-");
	else
		crew__table_number(table, (uint64_t)count);
}

static bool is_news(const struct crew__status *status, const struct crew__port *port)
{
	return port->overflow_ns != 0 && port->overflow_ns <= status->taken_ns &&
	       status->taken_ns - port->overflow_ns < NEWS_S * CREW__NS_PER_S;
}

static void add_port(
	struct crew__table *table, const struct crew__status *status, const struct crew__port *port)
{
	crew__table_text(table, service_of(status, port));
	crew__table_text(table, port->address);
	crew__table_text(table, accept_name(port->accept));
	add_count(table, port->queue);
	add_count(table, port->backlog);
	if (port->overflow > 0)
		crew__table_cell(table, is_news(status, port) ? CREW__RED : CREW__PLAIN, "%" PRIu64,
			port->overflow);
	else
		crew__table_text(table, "0");
}

static void advise(const struct crew__status *status, const struct crew__port *port,
	const struct crew__screen *screen)
{
	char text[TEXT_MAX], ago[CREW__UNIT_MAX];
	snprintf(text, sizeof(text),
		"the backlog of %s is full: at %s the kernel dropped %" PRIu64
		" requests to connect, the last %s ago, because %d waited already. Raise ?backlog= of "
		"the address or net.core.somaxconn, or add workers.",
		service_of(status, port), port->address, port->overflow,
		crew__seconds_text(
			(double)(status->taken_ns - port->overflow_ns) / (double)CREW__NS_PER_S,
			ago),
		port->backlog);
	crew__screen_fold(screen, 2, text);
}

static int print_ports(const struct crew__status *status, const struct crew__screen *screen)
{
	static const struct crew__column columns[] = {
		{ "service", false, 0 },
		{ "address", false, 12 },
		{ "accept", false, 0 },
		{ "waiting", true, 0 },
		{ "backlog", true, 0 },
		{ "dropped", true, 0 },
	};
	struct crew__table table;
	crew__table_init(&table, columns, crew__lengthof(columns));
	for (size_t i = 0; i < status->port_count; i++)
		add_port(&table, status, &status->ports[i]);
	int error = crew__table_print(&table, screen);
	crew__table_fini(&table);
	return error;
}

int crew__status_listening(const struct crew__status *status, const struct crew__screen *screen)
{
	if (status->port_count == 0)
		return 0;
	crew__screen_rule(screen, "LISTENING");
	int error = print_ports(status, screen);
	for (unsigned i = 0; !error && i < status->services; i++) {
		struct crew__spread spread = crew__status_spread(status, status->service[i]);
		if (spread.workers > 1 && spread.accepted > 0)
			print_shares(status, status->service[i], &spread, screen);
	}
	for (size_t i = 0; !error && i < status->port_count; i++)
		if (is_news(status, &status->ports[i]))
			advise(status, &status->ports[i], screen);
	return error;
}

/* ---- as JSON ------------------------------------------------------------------------------- */

static json_t *count_or_null(int32_t count)
{
	return count == CREW__PORT_UNKNOWN ? json_null() : json_integer(count);
}

static json_t *last_overflow(const struct crew__status *status, const struct crew__port *port)
{
	if (port->overflow_ns == 0 || port->overflow_ns > status->taken_ns)
		return json_null();
	return json_real((double)(status->taken_ns - port->overflow_ns) / (double)CREW__NS_PER_S);
}

static json_t *port_json(const struct crew__status *status, const struct crew__port *port)
{
	json_t *object = json_object();
	const char *service = service_of(status, port);
	struct crew__spread spread = crew__status_spread(status, service);
	int failed = crew__json_put(object, "service", json_string(service)) |
		     crew__json_put(object, "address", json_string(port->address)) |
		     crew__json_put(object, "accept", json_string(accept_name(port->accept))) |
		     crew__json_put(object, "sockets", crew__json_number(port->sockets)) |
		     crew__json_put(object, "waiting", count_or_null(port->queue)) |
		     crew__json_put(object, "backlog", count_or_null(port->backlog)) |
		     crew__json_put(object, "overflow", crew__json_number(port->overflow)) |
		     crew__json_put(object, "last_overflow_s", last_overflow(status, port)) |
		     crew__json_put(
			     object, "connections_spread", json_real(spread.connections_spread)) |
		     crew__json_put(object, "accepted_spread", json_real(spread.accepted_spread));
	if (!failed)
		return object;
	json_decref(object);
	return NULL;
}

json_t *crew__status_listening_json(const struct crew__status *status)
{
	json_t *array = json_array();
	for (size_t i = 0; i < status->port_count; i++)
		if (json_array_append_new(array, port_json(status, &status->ports[i]))) {
			json_decref(array);
			return NULL;
		}
	return array;
}

json_t *crew__status_share_json(
	const struct crew__status *status, const struct crew__status_row *row)
{
	struct crew__spread spread = crew__status_spread(status, row->service);
	bool shares = counts(row, row->service);
	json_t *object = json_object();
	int failed =
		crew__json_put(object, "connections",
			json_real(shares ? share_of(row->counters.connections, spread.connections)
					 : 0)) |
		crew__json_put(object, "accepted",
			json_real(shares ? share_of(row->counters.accepted, spread.accepted) : 0));
	if (!failed)
		return object;
	json_decref(object);
	return NULL;
}
