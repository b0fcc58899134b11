/* status_text.c - the model of `status` for people: the whole, each process, why sends failed. */
#include "cli/progress.h"
#include "cli/screen.h"
#include "cli/status_deaths.h"
#include "cli/status_listening.h"
#include "cli/status_offload.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

enum {
	TLS_WARN_DAYS = 14
};

/* What an operator can do about each reason. The sentence that says what it means is in
 * counters.def. */
static const char *const advice[] = {
	[CREW_LOST_CLOSED] =
		"Clients left while messages were on their way to them: harmless at a low, steady rate. "
		"When it grows with every broadcast the program keeps ids of connections that are gone: "
		"forget them in on_close.",
	[CREW_LOST_RESET] =
		"Peers or the network broke connections that still had messages waiting; mobile clients do "
		"that all day. Many at one moment point to a proxy, a firewall or a network in between: "
		"compare the time with their logs and their idle timeouts.",
	[CREW_LOST_ABORTED] =
		"We ended connections that still had messages waiting. Look at closes_by_reason in "
		"'status --json': idle and heartbeat are timeouts, protocol is a client that speaks wrongly, "
		"drain is a stop or reload (raise stop_timeout_ms or drain_timeout_ms), kicked an operator, "
		"app the program.",
	[CREW_LOST_FULL] =
		"These clients read more slowly than we send, or not at all (a frozen tab, a sleeping phone). "
		"'connections --sort send_queue' names them. A few harm nobody else; if it is most of them, "
		"send less or smaller messages, or raise max_send_buffer if the memory is there.",
	[CREW_LOST_HANDSHAKE] =
		"Messages were sent to connections whose handshake never was done. Send from on_open, not "
		"before it, and see whether something that does not speak the protocol (a health check, a "
		"scanner) knocks at this port, or a server that the program connects to is away: the log "
		"says why.",
	[CREW_LOST_EXPIRED] =
		"Messages became too old in the queue, as their time to live asks. If that is too many, give "
		"them more time or send less to slow clients.",
	[CREW_LOST_EVICTED] =
		"Newer messages pushed out older ones, as the policy asks. If every message matters, use "
		"another policy and raise max_send_buffer.",
	[CREW_LOST_DEADLINE] =
		"Peers took nothing for send_timeout_ms and were cut off, as set. Raise it when clients on "
		"slow networks are among them.",
	[CREW_LOST_MEMORY] =
		"There was no memory for send queues. See what the machine or the control group allows; lower "
		"max_send_buffer or max_connections, or give it more.",
	[CREW_LOST_CRASH] =
		"A worker died with messages in its queues. The log has its obituary with its last words; "
		"mend that first.",
};
_Static_assert(crew__lengthof(advice) == CREW_LOST_REASONS, "an advice for each reason");

/* counters.def as rows; those of send_fail_by_reason follow the order of crew_reason (slab.h). */
static const struct counter {
	const char *group, *name, *sentence;
	size_t member;
} counters[] = {
#define X(field, kind, group, name, unit, sentence) \
	{ group, name, sentence, offsetof(struct crew__slab, field) },
	CREW_COUNTER_TABLE(X)
#undef X
};

static uint64_t value_of(const struct crew__slab *slab, const struct counter *counter)
{
	uint64_t value;
	memcpy(&value, (const char *)slab + counter->member, sizeof(value));
	return value;
}

/* ---- the whole ----------------------------------------------------------------------------- */

static void print_master(const struct crew__status *status, const struct crew__screen *screen)
{
	char line[256];
	if (status->master_answers)
		return;
	if (status->master_stopped)
		snprintf(line, sizeof(line),
			"the master (pid %d) does not answer, it is stopped by a signal ('kill -CONT %d' "
			"lets it go on); these numbers were read through /proc\n",
			status->master, status->master);
	else
		snprintf(line, sizeof(line),
			"the master (pid %d) does not answer; workers go on, but a dead one is not "
			"replaced; these numbers were read through /proc\n",
			status->master);
	crew__screen_text(screen, CREW__RED, line);
}

static void print_doubts(const struct crew__status *status, const struct crew__screen *screen)
{
	if (status->missing)
		fprintf(screen->out,
			"the numbers of %zu workers could not be read and are missing here; try again\n",
			status->missing);
	else if (!status->consistent)
		fputs("a writer stood still inside an update: numbers may be off by one message\n",
			screen->out);
	if (strcmp(status->mode, "single") == 0)
		fputs("single mode: all services are one process, which also answers this command\n",
			screen->out);
}

static void print_start(const struct crew__status *status, FILE *out)
{
	char began[64] = "?", uptime[CREW__UNIT_MAX];
	time_t wall = (time_t)status->began_wall_s;
	struct tm calendar;
	if (localtime_r(&wall, &calendar))
		strftime(began, sizeof(began), "%Y-%m-%d %H:%M:%S %z", &calendar);
	fprintf(out, "start time: %s   run %s\n", began,
		crew__seconds_text(status->uptime_s, uptime));
}

/* Those that have workers now: the directory also knows services that have gone. */
static size_t count_services(const struct crew__status *status)
{
	size_t count = 0;
	for (size_t i = 0; i < status->row_count; i++) {
		size_t before = 0;
		while (before < i &&
			strcmp(status->rows[before].service, status->rows[i].service) != 0)
			before++;
		count += before == i;
	}
	return count;
}

static size_t count_processes(const struct crew__status *status)
{
	size_t count = 0;
	for (size_t i = 0; i < status->row_count; i++) {
		const struct crew__status_row *row = &status->rows[i];
		bool seen = row->state == CREW__SHOWN_EXITED;
		for (size_t k = 0; k < i && !seen; k++)
			seen = status->rows[k].pid == row->pid;
		count += !seen;
	}
	return count;
}

static void print_global(const struct crew__status *status, const struct crew__screen *screen)
{
	FILE *out = screen->out;
	crew__screen_rule(screen, "GLOBAL STATUS");
	fprintf(out, "%s %s   crew %s   mode: %s   master: pid %d\n", status->app, status->version,
		CREW_VERSION, status->mode, status->master);
	print_start(status, out);
	fprintf(out, "load average: %.2f, %.2f, %.2f   engine: %s   generation: %" PRIu32 "\n",
		status->load[0], status->load[1], status->load[2], status->engine,
		status->generation);
	size_t processes = count_processes(status);
	size_t services = count_services(status);
	fprintf(out, "%zu service%s   %zu process%s\n", services, services == 1 ? "" : "s",
		processes, processes == 1 ? "" : "es");
	print_master(status, screen);
	print_doubts(status, screen);
}

static void add_exit(struct crew__table *table, const struct crew__status_exit *row)
{
	const char *name = row->signal ? sigabbrev_np(row->signal) : NULL;
	crew__table_text(table, row->service);
	if (name)
		crew__table_cell(table, CREW__RED, "signal %d (SIG%s)", row->signal, name);
	else if (row->signal)
		crew__table_cell(table, CREW__RED, "signal %d", row->signal);
	else
		crew__table_cell(table, row->status ? CREW__RED : CREW__PLAIN, "%d", row->status);
	crew__table_number(table, row->count);
}

static int print_exits(const struct crew__status *status, const struct crew__screen *screen)
{
	static const struct crew__column columns[] = {
		{ "service", false, 0 },
		{ "exit_status", false, 0 },
		{ "exit_count", true, 0 },
	};
	static const struct crew__status_exit none = { .service = "-" };
	struct crew__table table;
	crew__table_init(&table, columns, crew__lengthof(columns));
	for (size_t i = 0; i < status->exit_count; i++)
		add_exit(&table, &status->exits[i]);
	if (status->exit_count == 0)
		add_exit(&table, &none);
	int error = crew__table_print(&table, screen);
	crew__table_fini(&table);
	return error;
}

/* ---- each process -------------------------------------------------------------------------- */

/* "[busy on_message 3.2 s]" */
static void add_busy(struct crew__table *table, const struct crew__status_row *row)
{
	char time[CREW__UNIT_MAX];
	if (row->busy_ms < 60000)
		snprintf(time, sizeof(time), "%.1f s", (double)row->busy_ms / 1000);
	else
		crew__seconds_text((double)row->busy_ms / 1000, time);
	crew__table_cell(table, CREW__RED, "[busy%s%s %s]", row->busy_in ? " " : "",
		row->busy_in ? row->busy_in : "", time);
}

static void add_state(struct crew__table *table, const struct crew__status_row *row)
{
	static const enum crew__colour colours[CREW__SHOWN_STATES] = {
		[CREW__SHOWN_READY] = CREW__GREEN,
		[CREW__SHOWN_STARTING] = CREW__YELLOW,
		[CREW__SHOWN_DRAINING] = CREW__YELLOW,
		[CREW__SHOWN_EXITED] = CREW__RED,
	};
	if (row->stopped)
		crew__table_cell(table, CREW__RED, "[stopped]");
	else if (row->state == CREW__SHOWN_BUSY)
		add_busy(table, row);
	else
		crew__table_cell(
			table, colours[row->state], "[%s]", crew__shown_state_name(row->state));
}

static void add_figures(struct crew__table *table, const struct crew__slab *slab, uint64_t qps)
{
	crew__table_number(table, slab->connections);
	crew__table_number(table, slab->send_fail);
	crew__table_number(table, slab->timers);
	crew__table_number(table, slab->total_request);
	crew__table_number(table, qps);
}

static void add_process(struct crew__table *table, const struct crew__status *status,
	const struct crew__status_row *row)
{
	char memory[CREW__UNIT_MAX];
	if (row->pid > 0)
		crew__table_number(table, (uint64_t)row->pid);
	else
		crew__table_text(table, "-");
	crew__table_text(table, crew__bytes_text(row->memory_bytes, memory));
	crew__table_text(table, row->listen[0] ? row->listen : "none");
	if (row->generation == status->generation)
		crew__table_cell(table, CREW__PLAIN, "%s#%" PRIu32, row->service, row->id);
	else
		crew__table_cell(table, CREW__YELLOW, "%s#%" PRIu32 " (generation %" PRIu32 ")",
			row->service, row->id, row->generation);
	add_figures(table, &row->counters, row->qps);
	add_state(table, row);
}

static void add_summary(struct crew__table *table, const struct crew__status *status)
{
	char memory[CREW__UNIT_MAX], spread[32];
	crew__table_cell(table, CREW__BOLD, "Summary");
	crew__table_text(table, crew__bytes_text(status->total_memory_bytes, memory));
	crew__table_text(table, "-");
	crew__table_text(table, crew__status_worst_spread(status, spread, sizeof(spread)));
	add_figures(table, &status->totals, status->total_qps);
	crew__table_text(table, "[Summary]");
}

static int print_processes(const struct crew__status *status, const struct crew__screen *screen)
{
	static const struct crew__column columns[] = {
		{ "pid", false, 0 },
		{ "memory", true, 0 },
		{ "listening", false, 12 },
		{ "name", false, 8 },
		{ "connections", true, 0 },
		{ "send_fail", true, 0 },
		{ "timers", true, 0 },
		{ "total_request", true, 0 },
		{ "qps", true, 0 },
		{ "status", false, 0 },
	};
	struct crew__table table;
	crew__screen_rule(screen, "PROCESS STATUS");
	crew__table_init(&table, columns, crew__lengthof(columns));
	for (size_t i = 0; i < status->row_count; i++)
		add_process(&table, status, &status->rows[i]);
	add_summary(&table, status);
	int error = crew__table_print(&table, screen);
	crew__table_fini(&table);
	return error;
}

/* ---- two generations ----------------------------------------------------------------------- */

/* Why each old worker is still there, and how long it may stay. */
static int print_leaving(const struct crew__status *status, const struct crew__screen *screen)
{
	static const struct crew__column columns[] = {
		{ "worker", false, 8 },
		{ "pid", false, 0 },
		{ "generation", true, 0 },
		{ "connections", true, 0 },
		{ "leaves within", true, 0 },
		{ "waits for", false, 20 },
	};
	struct crew__table table;
	char waits[CREW__WAITS_MAX];
	bool any = false;
	crew__table_init(&table, columns, crew__lengthof(columns));
	for (size_t i = 0; i < status->row_count; i++) {
		const struct crew__status_row *row = &status->rows[i];
		if (!crew__waits_for(row, waits)[0])
			continue;
		any = true;
		crew__table_cell(&table, CREW__PLAIN, "%s#%" PRIu32, row->service, row->id);
		crew__table_number(&table, (uint64_t)row->pid);
		crew__table_number(&table, row->generation);
		crew__table_number(&table, row->counters.connections);
		crew__table_cell(
			&table, CREW__PLAIN, "%" PRIu64 " s", (row->leaves_in_ms + 999) / 1000);
		crew__table_text(&table, waits);
	}
	int error = any ? crew__table_print(&table, screen) : 0;
	crew__table_fini(&table);
	return error;
}

static int print_reload(const struct crew__status *status, const struct crew__screen *screen)
{
	char line[CREW__PROGRESS_MAX], text[CREW__PROGRESS_MAX + 64];
	bool leaving = false;
	for (size_t i = 0; i < status->row_count; i++)
		leaving = leaving || status->rows[i].leaves_in_ms != CREW__STAYS_ON;
	crew__reload_line(status, line);
	if (!leaving && !line[0])
		return 0;
	crew__screen_rule(screen, line[0] ? "RELOAD" : "LEAVING");
	if (line[0]) {
		snprintf(text, sizeof(text), "began %.1f s ago; %s", status->reload.began_s_ago,
			line);
		crew__screen_fold(screen, 0, text);
	}
	return print_leaving(status, screen);
}

/* ---- TLS ----------------------------------------------------------------------------------- */

static void add_tls(struct crew__table *table, const struct crew__status_row *row, bool by_kernel)
{
	time_t now = time(NULL);
	struct tm calendar;
	char date[64] = "?";
	time_t expires = (time_t)row->tls_expires;
	int64_t days = (row->tls_expires - now) / (24 * 3600);
	if (gmtime_r(&expires, &calendar))
		strftime(date, sizeof(date), "%Y-%m-%d %H:%M UTC", &calendar);
	crew__table_text(table, row->service);
	if (expires <= now)
		crew__table_cell(table, CREW__RED, "%s (expired)", date);
	else
		crew__table_cell(table, days < TLS_WARN_DAYS ? CREW__YELLOW : CREW__PLAIN,
			"%s (%" PRId64 " day%s)", date, days, days == 1 ? "" : "s");
	if (by_kernel)
		crew__table_text(table, "on");
	else
		crew__table_cell(table, CREW__PLAIN, "off: %s", row->tls_ktls);
}

/* The worker of that service whose certificate ends first; NULL: it speaks none. */
static const struct crew__status_row *first_to_expire(
	const struct crew__status *status, size_t first, size_t end)
{
	const struct crew__status_row *found = NULL;
	for (size_t i = first; i < end; i++) {
		const struct crew__status_row *row = &status->rows[i];
		if (row->tls_expires != 0 && (!found || row->tls_expires < found->tls_expires))
			found = row;
	}
	return found;
}

/* One of its workers has connections whose records the kernel makes. */
static bool is_by_kernel(const struct crew__status *status, size_t first, size_t end)
{
	for (size_t i = first; i < end; i++)
		if (status->rows[i].tls_expires != 0 && !status->rows[i].tls_ktls[0])
			return true;
	return false;
}

static int print_tls(const struct crew__status *status, const struct crew__screen *screen)
{
	static const struct crew__column columns[] = {
		{ "service", false, 0 },
		{ "first certificate expires", false, 0 },
		{ "kernel TLS", false, 12 },
	};
	struct crew__table table;
	bool any = false;
	crew__table_init(&table, columns, crew__lengthof(columns));
	for (size_t i = 0, end; i < status->row_count; i = end) {
		for (end = i + 1; end < status->row_count &&
				  strcmp(status->rows[end].service, status->rows[i].service) == 0;)
			end++;
		const struct crew__status_row *row = first_to_expire(status, i, end);
		if (row)
			add_tls(&table, row, is_by_kernel(status, i, end));
		any = any || row;
	}
	int error = 0;
	if (any) {
		crew__screen_rule(screen, "TLS");
		error = crew__table_print(&table, screen);
	}
	crew__table_fini(&table);
	return error;
}

/* ---- why sends failed ---------------------------------------------------------------------- */

struct loss {
	const struct counter *counter;
	const char *advice;
	uint64_t count, before;
	double share; /* of all, in per cent */
	double rate;  /* a second */
};

/* The reasons that have happened, in the order of the table. */
static size_t collect(const struct crew__status *status, struct loss *ret_losses)
{
	size_t count = 0, reason = 0;
	double all = 0;
	for (size_t i = 0; i < crew__lengthof(counters); i++) {
		const struct counter *counter = &counters[i];
		if (strcmp(counter->group, "send_fail_by_reason") != 0)
			continue;
		struct loss loss = { .counter = counter, .advice = advice[reason++] };
		loss.count = value_of(&status->totals, counter);
		loss.before = value_of(&status->before, counter);
		all += (double)loss.count;
		if (loss.count > 0)
			ret_losses[count++] = loss;
	}
	for (size_t i = 0; i < count; i++) {
		struct loss *loss = &ret_losses[i];
		uint64_t more = loss->count > loss->before ? loss->count - loss->before : 0;
		loss->share = 100 * (double)loss->count / all;
		loss->rate = status->span_s > 0 ? (double)more / status->span_s : 0;
	}
	return count;
}

static int print_losses(const struct loss *losses, size_t count, const struct crew__screen *screen)
{
	static const struct crew__column columns[] = {
		{ "reason", false, 0 },
		{ "count", true, 0 },
		{ "share", true, 0 },
		{ "rate", true, 0 },
		{ "a message was lost because", false, 20 },
	};
	struct crew__table table;
	crew__table_init(&table, columns, crew__lengthof(columns));
	for (size_t i = 0; i < count; i++) {
		crew__table_text(&table, losses[i].counter->name);
		crew__table_number(&table, losses[i].count);
		crew__table_cell(&table, CREW__PLAIN, "%.1f%%", losses[i].share);
		crew__table_cell(&table, CREW__PLAIN, "%.1f/s", losses[i].rate);
		crew__table_text(&table, losses[i].counter->sentence);
	}
	int error = crew__table_print(&table, screen);
	crew__table_fini(&table);
	return error;
}

static int print_why(const struct crew__status *status, const struct crew__screen *screen)
{
	struct loss losses[CREW_LOST_REASONS];
	size_t count = collect(status, losses);
	if (count == 0)
		return 0;
	crew__screen_rule(screen, "WHY SENDS FAILED");
	int error = print_losses(losses, count, screen);
	for (size_t i = 0; i < count && !error; i++) {
		char text[1024];
		snprintf(text, sizeof(text), "what to do about %s: %s", losses[i].counter->name,
			losses[i].advice);
		crew__screen_fold(screen, 2, text);
	}
	return error;
}

int crew__status_text(const struct crew__status *status, const struct crew__screen *screen)
{
	print_global(status, screen);
	int error = print_exits(status, screen);
	if (!error)
		error = print_processes(status, screen);
	if (!error)
		error = print_reload(status, screen);
	if (!error)
		crew__status_print_deaths(status, screen);
	if (!error)
		error = crew__status_listening(status, screen);
	if (!error)
		error = print_tls(status, screen);
	if (!error)
		error = crew__status_offload(status, screen);
	if (!error)
		error = print_why(status, screen);
	return error;
}
