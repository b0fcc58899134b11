/* herald_look.c - the figures of a STATUS, and workers that stand still: read from shared memory,
 * of which nothing is believed that could do harm. */
#include "proc/herald.h"

#include "base/clock.h"
#include "proc/procfs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- figures ------------------------------------------------------------------------------- */

static bool has_process(const struct crew__entry *entry)
{
	return entry->life.life != 0 && entry->serial != 0 && !entry->is_vacancy &&
	       entry->life.pid > 0;
}

static void count_state(const struct crew__life *life, struct crew__figures *figures)
{
	if (life->state == CREW__STARTING)
		figures->starting++;
	else if (life->state == CREW__DRAINING)
		figures->draining++;
	else if (life->state == CREW__READY)
		figures->ready++;
}

void crew__figures_read(
	const struct crew__registry *registry, uint64_t now_ns, struct crew__figures *ret_figures)
{
	const struct crew__directory_header *header = registry->directory.header;
	struct crew__figures figures = { .generation = header->generation };
	for (unsigned i = 0; i < CREW_MAX_SERVICES; i++)
		figures.send_fail += header->retired[i].send_fail;
	for (unsigned i = 0; i < registry->used; i++) {
		const struct crew__entry *entry = &registry->entries[i];
		struct crew__snapshot snapshot;
		if (!has_process(entry))
			continue;
		count_state(&entry->life, &figures);
		crew__segment_read(&entry->segment, now_ns, 0, &snapshot);
		figures.connections += snapshot.counters.connections;
		figures.requests_per_s += snapshot.qps;
		figures.send_fail += snapshot.counters.send_fail;
	}
	*ret_figures = figures;
}

/* Text that grows at its end, and stops growing when it is full. */
struct growing {
	char *text;
	size_t size, used;
};

static void add(struct growing *g, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct growing *g, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(g->text + g->used, g->size - g->used, format, arguments);
	va_end(arguments);
	if (length > 0)
		g->used = crew__min(g->used + (size_t)length, g->size - 1);
}

static const char *plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

void crew__figures_text(
	const struct crew__figures *figures, enum crew__herald_state state, char *text, size_t size)
{
	struct growing g = { .text = text, .size = size };
	unsigned living = figures->ready + figures->starting + figures->draining;
	if (state == CREW__HERALD_STOPPING) {
		add(&g, "stopping: %u worker%s left, %" PRIu64 " connection%s", living,
			plural(living), figures->connections, plural(figures->connections));
		return;
	}
	if (state == CREW__HERALD_STARTING)
		add(&g, "starting, ");
	if (state == CREW__HERALD_RELOADING)
		add(&g, "reloading, ");
	add(&g, "generation %u: %u worker%s ready", figures->generation, figures->ready,
		plural(figures->ready));
	if (figures->starting > 0)
		add(&g, ", %u starting", figures->starting);
	if (figures->draining > 0)
		add(&g, ", %u draining", figures->draining);
	add(&g, ", %" PRIu64 " connection%s, %" PRIu64 " request%s/s, %" PRIu64 " send%s failed",
		figures->connections, plural(figures->connections), figures->requests_per_s,
		plural(figures->requests_per_s), figures->send_fail, plural(figures->send_fail));
}

/* ---- standing still ------------------------------------------------------------------------ */

static void describe(const struct crew__registry *registry, const struct crew__entry *entry,
	const struct crew__snapshot *snapshot, struct crew__still *still)
{
	const char *service = registry->directory.header->service[entry->life.service];
	bool known = snapshot->callback != CREW__CB_NONE && snapshot->callback < CREW__CALLBACKS;
	const char *callback = known ? crew__callback_name((enum crew__callback)snapshot->callback)
				     : "one turn of its loop";
	if (still->stopped)
		snprintf(still->text, sizeof(still->text), "%s#%u (pid %d) is %s", service,
			entry->life.id, (int)still->pid,
			still->state == 'T' ? "stopped by a signal" : "held by a debugger");
	else
		snprintf(still->text, sizeof(still->text),
			"%s#%u (pid %d) has been in %s for %llu ms", service, entry->life.id,
			(int)still->pid, callback, still->turn_ns / CREW__NS_PER_MS);
}

bool crew__still_find(const struct crew__registry *registry, uint64_t now_ns, uint64_t limit_ns,
	struct crew__still *ret_still)
{
	bool found = false;
	for (unsigned i = 0; i < registry->used; i++) {
		const struct crew__entry *entry = &registry->entries[i];
		struct crew__snapshot snapshot;
		if (!has_process(entry) || entry->life.state != CREW__READY)
			continue;
		crew__segment_read(&entry->segment, now_ns, 0, &snapshot);
		struct crew__still still = { .pid = entry->life.pid };
		still.state = crew__procfs_state(still.pid);
		still.stopped = still.state == 'T' || still.state == 't';
		if (snapshot.turn_began_ns > 0 && snapshot.turn_began_ns < now_ns)
			still.turn_ns = now_ns - snapshot.turn_began_ns;
		if (!still.stopped && still.turn_ns < limit_ns)
			continue;
		if (found && still.turn_ns <= ret_still->turn_ns)
			continue;
		describe(registry, entry, &snapshot, &still);
		*ret_still = still;
		found = true;
	}
	return found;
}
