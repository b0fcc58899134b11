/* status.c - one pass over the directory, the lives and /proc. Not here: how it is shown. */
#include "cli/status.h"

#include "base/check.h"
#include "base/clock.h"
#include "cli/look.h"
#include "cli/screen.h"
#include "stats/layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	BUSY_MS = 500,        /* a turn that lasts longer is told of */
	PASSES = 4,           /* how often the numbers are read while workers come and go */
	PATIENCE_US = 2000,   /* for one writer that stands inside an update */
	PATIENCE_ALL_MS = 50, /* for all of them together */
};

static const char *const state_names[CREW__SHOWN_STATES] = {
	[CREW__SHOWN_STARTING] = "starting",
	[CREW__SHOWN_READY] = "ready",
	[CREW__SHOWN_BUSY] = "busy",
	[CREW__SHOWN_DRAINING] = "draining",
	[CREW__SHOWN_EXITED] = "exited",
};

const char *crew__shown_state_name(enum crew__shown_state state)
{
	crew__must((unsigned)state < CREW__SHOWN_STATES);
	return state_names[state];
}

const char *crew__reload_state_name(enum crew__reload_state state)
{
	static const char *const names[CREW__RELOAD_STATES] = {
		[CREW__RELOAD_NONE] = "none",
		[CREW__RELOAD_STARTS] = "starting",
		[CREW__RELOAD_DRAINS] = "draining",
	};
	crew__must((unsigned)state < CREW__RELOAD_STATES);
	return names[state];
}

/* ---- a row --------------------------------------------------------------------------------- */

/* What is known while one pass is made. */
struct pass {
	const struct crew__status_source *source;
	const struct crew__directory_header *directory; /* the copy */
	struct crew__status *status;
	uint64_t began_ns; /* of the pass */
};

static const struct crew__segment *segment_of(const struct pass *pass, uint32_t life)
{
	const struct crew__attached *attached = pass->source->attached;
	for (size_t i = 0; i < attached->segment_count; i++) {
		const struct crew__segment *segment = &attached->segments[i];
		if (segment->header && segment->header->life == life)
			return segment;
	}
	return NULL;
}

/* Which of the program's counters has that name; CREW_MAX_COUNTERS: none. */
static size_t find_app_counter(const crew_app *app, const char *name)
{
	size_t i = 0;
	while (i < CREW_MAX_COUNTERS && app->counters[i].name &&
		strcmp(app->counters[i].name, name) != 0)
		i++;
	return i < CREW_MAX_COUNTERS && app->counters[i].name ? i : CREW_MAX_COUNTERS;
}

/* The program's counters by name: a reload may have brought a program that orders them anew. */
static void take_app_counters(const struct pass *pass, const struct crew__segment *segment,
	const struct crew__slab *from, struct crew__slab *to)
{
	struct crew__layout layout;
	struct crew__counter_entry entry;
	size_t place = 0;
	memset(to->app, 0, sizeof(to->app));
	if (crew__layout_check(segment, &layout))
		return;
	for (uint32_t i = 0; i < layout.counters && place < CREW_MAX_COUNTERS; i++) {
		crew__layout_entry(segment, &layout, i, &entry);
		if (!entry.app)
			continue;
		size_t ours = find_app_counter(pass->source->app, entry.name);
		if (ours < CREW_MAX_COUNTERS)
			to->app[ours] = from->app[place];
		place++;
	}
}

static unsigned patience_us(const struct pass *pass)
{
	uint64_t spent = crew__clock_ns() - pass->began_ns;
	return spent < PATIENCE_ALL_MS * CREW__NS_PER_MS ? PATIENCE_US : 0;
}

static enum crew__shown_state shown_state(uint32_t by_master, uint32_t by_worker)
{
	static const enum crew__shown_state shown[] = {
		[CREW__STARTING] = CREW__SHOWN_STARTING,
		[CREW__READY] = CREW__SHOWN_READY,
		[CREW__DRAINING] = CREW__SHOWN_DRAINING,
		[CREW__EXITED] = CREW__SHOWN_EXITED,
	};
	uint32_t later = by_worker > by_master ? by_worker : by_master; /* states only go on */
	return shown[later < crew__lengthof(shown) ? later : CREW__EXITED];
}

static void take_busy(
	struct crew__status_row *row, const struct crew__snapshot *snapshot, uint64_t now_ns)
{
	if (row->state == CREW__SHOWN_EXITED || !snapshot->turn_began_ns ||
		snapshot->turn_began_ns > now_ns)
		return;
	uint64_t ms = (now_ns - snapshot->turn_began_ns) / CREW__NS_PER_MS;
	if (ms <= BUSY_MS)
		return;
	row->state = CREW__SHOWN_BUSY;
	row->busy_ms = ms;
	if (snapshot->callback != CREW__CB_NONE && snapshot->callback < CREW__CALLBACKS)
		row->busy_in = crew__callback_name((enum crew__callback)snapshot->callback);
}

static void take_job(
	struct crew__status_row *row, const struct crew__snapshot *snapshot, uint64_t now_ns)
{
	row->job_wait_ms = snapshot->longest_wait_ns / CREW__NS_PER_MS;
	if (snapshot->job_began_ns == 0 || snapshot->job_began_ns > now_ns)
		return;
	row->job_ms = (now_ns - snapshot->job_began_ns) / CREW__NS_PER_MS;
	crew__screen_clean(
		row->job, sizeof(row->job), snapshot->job_name, sizeof(snapshot->job_name));
}

/* Of the turn that it is in, and not of an earlier one. */
static void take_stack(struct crew__status_row *row, const struct crew__segment *segment,
	const struct crew__snapshot *snapshot)
{
	struct crew__stack stack;
	const struct crew__words *words = crew__segment_words(segment);
	if (row->state == CREW__SHOWN_BUSY && words && crew__stack_copy(&words->asked, &stack) &&
		stack.time_ns >= snapshot->turn_began_ns)
		crew__stack_text(&stack, row->busy_stack, sizeof(row->busy_stack));
}

/* A process that has ended and that the master has not folded yet. */
static void take_death(struct crew__status_row *row)
{
	row->state = CREW__SHOWN_EXITED;
	row->qps = 0;
	row->busy_ms = 0;
	row->busy_in = NULL;
	row->job[0] = '\0';
	row->job_ms = 0;
	crew__slab_bury(&row->counters);
}

/* A worker may have written anything. */
static int64_t moment_of(int64_t unix_time)
{
	const int64_t most = INT64_C(1) << 40;
	return unix_time > 0 && unix_time < most ? unix_time : 0;
}

static void take_segment(const struct pass *pass, const struct crew__segment *segment,
	const struct crew__life *life, struct crew__status_row *row)
{
	struct crew__snapshot snapshot;
	uint64_t now_ns = pass->source->now_ns, lived_ns;
	crew__segment_read(segment, now_ns, patience_us(pass), &snapshot);
	row->counters = snapshot.counters;
	take_app_counters(pass, segment, &snapshot.counters, &row->counters);
	row->qps = snapshot.qps;
	row->state = shown_state(life->state, (uint32_t)snapshot.state);
	crew__screen_clean(row->service, sizeof(row->service), snapshot.service, CREW__NAME_MAX);
	crew__screen_clean(
		row->listen, sizeof(row->listen), snapshot.listen, sizeof(snapshot.listen));
	row->tls_expires = moment_of(snapshot.tls_expires);
	crew__screen_clean(
		row->tls_ktls, sizeof(row->tls_ktls), snapshot.tls_ktls, sizeof(snapshot.tls_ktls));
	take_busy(row, &snapshot, now_ns);
	take_stack(row, segment, &snapshot);
	lived_ns = now_ns > snapshot.began_ns ? now_ns - snapshot.began_ns : 0;
	crew__status_take_loop(row, life, lived_ns, now_ns);
	take_job(row, &snapshot, now_ns);
	if (!snapshot.consistent)
		pass->status->consistent = false;
}

/* The master alone knows; it writes no other moment while one drains. */
static uint64_t leaves_in_ms(const struct pass *pass, const struct crew__life *life)
{
	uint64_t now_ns = pass->source->now_ns;
	if (life->state != CREW__DRAINING || life->next_ns == 0)
		return CREW__STAYS_ON;
	return life->next_ns > now_ns ? (life->next_ns - now_ns) / CREW__NS_PER_MS : 0;
}

static void take_life(
	const struct pass *pass, const struct crew__life *life, struct crew__status_row *row)
{
	const struct crew__segment *segment = segment_of(pass, life->life);
	*row = (struct crew__status_row){ .leaves_in_ms = leaves_in_ms(pass, life),
		.life = life->life,
		.id = life->id,
		.generation = life->generation,
		.pid = life->pid };
	row->state = shown_state(life->state, 0);
	if (life->service < CREW_MAX_SERVICES)
		crew__screen_clean(row->service, sizeof(row->service),
			pass->directory->service[life->service], CREW__NAME_MAX);
	if (segment)
		take_segment(pass, segment, life, row);
	else
		crew__status_take_loop(row, life, 0, pass->source->now_ns);
	struct crew__process_look process = crew__look_process(life->pid);
	row->stopped = process.stopped;
	row->memory_bytes = crew__look_memory(life->pid);
	if (process.gone)
		take_death(row);
	if (!segment && life->state != CREW__EXITED) {
		pass->status->missing++;
		pass->status->consistent = false;
	}
}

/* ---- the whole ----------------------------------------------------------------------------- */

static int compare_rows(const void *left, const void *right)
{
	const struct crew__status_row *a = left, *b = right;
	int order = strcmp(a->service, b->service);
	if (order)
		return order;
	if (a->generation != b->generation)
		return a->generation < b->generation ? -1 : 1;
	return a->id < b->id ? -1 : a->id > b->id;
}

static int take_rows(const struct pass *pass)
{
	struct crew__status *status = pass->status;
	size_t count = 0;
	for (size_t i = 0; i < CREW__LIVES_MAX; i++)
		count += pass->directory->lives[i].life != 0;
	status->rows = calloc(count + 1, sizeof(*status->rows));
	if (!status->rows)
		return -ENOMEM;
	for (size_t i = 0; i < CREW__LIVES_MAX; i++)
		if (pass->directory->lives[i].life)
			take_life(pass, &pass->directory->lives[i],
				&status->rows[status->row_count++]);
	qsort(status->rows, status->row_count, sizeof(*status->rows), compare_rows);
	return 0;
}

/* Where a worker between two lives will listen: as its service's other workers, or as set. */
static void fill_listen(const struct pass *pass, struct crew__status_row *row)
{
	const struct crew__settings *settings = pass->source->settings;
	for (size_t i = 0; i < pass->status->row_count; i++) {
		const struct crew__status_row *other = &pass->status->rows[i];
		if (other->listen[0] && !strcmp(other->service, row->service)) {
			memmove(row->listen, other->listen, sizeof(row->listen));
			return;
		}
	}
	for (unsigned i = 0; settings && i < settings->services; i++)
		if (settings->service[i].listen &&
			!strcmp(settings->service[i].service->name, row->service))
			snprintf(row->listen, sizeof(row->listen), "%s",
				settings->service[i].listen);
}

static int take_exits(const struct pass *pass)
{
	struct crew__status *status = pass->status;
	size_t count = crew__min(pass->directory->exit_rows, CREW__EXITS_MAX);
	status->exits = calloc(count + 1, sizeof(*status->exits));
	if (!status->exits)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const struct crew__exit_row *from = &pass->directory->exits[i];
		struct crew__status_exit *to = &status->exits[status->exit_count++];
		crew__screen_clean(to->service, sizeof(to->service), from->service, CREW__NAME_MAX);
		to->status = from->status;
		to->signal = from->signal;
		to->count = from->count;
	}
	return 0;
}

/* An address may hold what a terminal must not get. */
static void take_ports(const struct pass *pass)
{
	struct crew__status *status = pass->status;
	const struct crew__ports *ports = pass->source->attached->directory.ports;
	status->ports = ports ? crew__ports_read(ports, &status->port_count) : NULL;
	for (size_t i = 0; status->ports && i < status->port_count; i++) {
		char clean[CREW__PORT_TEXT];
		char *address = status->ports[i].address;
		crew__screen_clean(clean, sizeof(clean), address, CREW__PORT_TEXT);
		memcpy(address, clean, sizeof(clean));
	}
}

static void take_master(const struct pass *pass)
{
	struct crew__status *status = pass->status;
	const struct crew__directory_header *from = pass->directory;
	uint64_t now_ns = pass->source->now_ns;
	crew__screen_clean(status->app, sizeof(status->app), from->app, sizeof(from->app));
	crew__screen_clean(status->version, sizeof(status->version), from->app_version,
		sizeof(from->app_version));
	crew__screen_clean(status->mode, sizeof(status->mode), from->mode, sizeof(from->mode));
	crew__screen_clean(
		status->engine, sizeof(status->engine), from->engine, sizeof(from->engine));
	status->master = pass->source->attached->master;
	status->master_answers = pass->source->attached->master_answers;
	status->master_stopped = crew__look_process(status->master).stopped;
	if (now_ns > from->began_ns)
		status->uptime_s = (double)(now_ns - from->began_ns) / (double)CREW__NS_PER_S;
	status->span_s = status->uptime_s;
	status->began_wall_s = from->began_wall_s;
	status->generation = from->generation;
	status->services = (unsigned)crew__min(from->services, CREW_MAX_SERVICES);
	for (unsigned i = 0; i < status->services; i++)
		crew__screen_clean(
			status->service[i], CREW__NAME_MAX, from->service[i], CREW__NAME_MAX);
	take_ports(pass);
	if (getloadavg(status->load, 3) < 3)
		memset(status->load, 0, sizeof(status->load));
}

static bool lives(const struct crew__status_row *row)
{
	return row->pid > 0 && row->state != CREW__SHOWN_EXITED;
}

/* What a reload is about can be seen by who lives: between the two generations it has begun, and
 * nobody has come yet. */
static void take_reload(const struct pass *pass)
{
	struct crew__status *status = pass->status;
	const struct crew__directory_header *from = pass->directory;
	struct crew__status_reload *reload = &status->reload;
	uint64_t began_ns = from->began_ns + from->reload_began * (10 * CREW__NS_PER_MS);
	bool old_ones = false;
	reload->generation = status->generation;
	for (size_t i = 0; i < status->row_count; i++) {
		const struct crew__status_row *row = &status->rows[i];
		old_ones = old_ones || (row->generation < status->generation && lives(row));
		reload->generation = (uint32_t)crew__max(reload->generation, row->generation);
	}
	if (from->reload_began && !old_ones && reload->generation == status->generation)
		reload->generation++;
	for (size_t i = 0; i < status->row_count; i++) {
		const struct crew__status_row *row = &status->rows[i];
		if (row->generation != reload->generation || !lives(row))
			continue;
		reload->workers++;
		reload->ready += row->state == CREW__SHOWN_READY || row->state == CREW__SHOWN_BUSY;
	}
	if (reload->generation > status->generation)
		reload->state = CREW__RELOAD_STARTS;
	else if (old_ones)
		reload->state = CREW__RELOAD_DRAINS;
	if (from->reload_began && pass->source->now_ns > began_ns)
		reload->began_s_ago = (double)(pass->source->now_ns - began_ns) /
				      (double)CREW__NS_PER_S;
}

/* In --single all rows are one process: its memory is there once. */
static bool is_counted_already(const struct crew__status *status, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (status->rows[i].pid == status->rows[index].pid)
			return true;
	return false;
}

static void add_totals(const struct pass *pass)
{
	struct crew__status *status = pass->status;
	for (unsigned i = 0; i < status->services; i++)
		crew__slab_add(&status->retired, &pass->directory->retired[i], false);
	crew__slab_add(&status->totals, &status->retired, false);
	for (size_t i = 0; i < status->row_count; i++) {
		const struct crew__status_row *row = &status->rows[i];
		crew__slab_add(&status->totals, &row->counters, true);
		status->workers += row->state != CREW__SHOWN_EXITED;
		status->total_qps += row->qps;
		if (!is_counted_already(status, i))
			status->total_memory_bytes += row->memory_bytes;
	}
}

int crew__status_new(const struct crew__status_source *source, struct crew__status **ret_status)
{
	struct crew__status *status = calloc(1, sizeof(*status));
	struct pass pass = {
		.source = source,
		.directory = source->attached->copy,
		.status = status,
		.began_ns = crew__clock_ns(),
	};
	if (!status)
		return -ENOMEM;
	status->consistent = source->attached->copy_consistent;
	status->counters = source->app->counters;
	status->taken_ns = source->now_ns;
	take_master(&pass);
	int error = take_rows(&pass);
	if (!error)
		error = take_exits(&pass);
	if (!error)
		error = crew__status_take_deaths(
			status, &source->attached->directory, source->attached->copy);
	if (error) {
		crew__status_free(status);
		return error;
	}
	for (size_t i = 0; i < status->row_count; i++)
		if (!status->rows[i].listen[0])
			fill_listen(&pass, &status->rows[i]);
	take_reload(&pass);
	add_totals(&pass);
	*ret_status = status;
	return 0;
}

void crew__status_free(struct crew__status *status)
{
	if (!status)
		return;
	free(status->rows);
	free(status->exits);
	free(status->deaths);
	free(status->ports);
	free(status);
}

/* Nobody was born or died between the copy of the directory and now. Nobody is without a master
 * that turns, and to ask it again would only take long. */
static bool is_settled(const struct crew__attached *attached, const struct crew__status *status)
{
	uint32_t sequence = atomic_load_explicit(
		&attached->directory.header->sequence, memory_order_acquire);
	return !attached->master_answers ||
	       (!status->missing && sequence == attached->copy->sequence);
}

int crew__status_take(const struct crew__status_source *source, struct crew__status **ret_status,
	char *ret_error, size_t error_size)
{
	struct crew__status_source now = *source;
	struct crew__status *status;
	for (int pass = 1;; pass++) {
		int error = crew__status_new(&now, &status);
		if (error) {
			snprintf(ret_error, error_size, "no memory for the status");
			return error;
		}
		if (pass == PASSES || is_settled(source->attached, status))
			break;
		crew__status_free(status);
		error = crew__attach_refresh(
			source->attached, source->run_dir, source->name, ret_error, error_size);
		if (error)
			return error;
		now.now_ns = crew__clock_ns();
	}
	*ret_status = status;
	return 0;
}

/* ---- from screen to screen ----------------------------------------------------------------- */

const struct crew__status_row *crew__status_same_life(
	const struct crew__status *status, const struct crew__status_row *row)
{
	for (size_t i = 0; i < status->row_count; i++) {
		const struct crew__status_row *other = &status->rows[i];
		if (other->life == row->life && other->generation == row->generation &&
			other->pid == row->pid)
			return other;
	}
	return NULL;
}

void crew__status_since(struct crew__status *status, const struct crew__status *before)
{
	if (before->master != status->master || before->taken_ns >= status->taken_ns ||
		before->uptime_s > status->uptime_s)
		return; /* started anew in between */
	status->span_s = (double)(status->taken_ns - before->taken_ns) / (double)CREW__NS_PER_S;
	status->before = before->totals;
	status->total_qps = 0;
	for (size_t i = 0; i < status->row_count; i++) {
		struct crew__status_row *row = &status->rows[i];
		const struct crew__status_row *last = crew__status_same_life(before, row);
		uint64_t had = last ? last->counters.total_request : 0;
		uint64_t has = row->counters.total_request;
		row->qps = has > had ? (uint64_t)((double)(has - had) / status->span_s + 0.5) : 0;
		status->total_qps += row->qps;
	}
}
