#include "proc/recycle.h"

#include "base/clock.h"
#include "proc/chronicle.h"
#include "proc/master.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	CLOSE_SERVICE_RESTART = 1012,
	WHY_MAX = 104 /* an event's text */
};

/* ---- when ---------------------------------------------------------------------------------- */

/* Spread evenly over all there is (splitmix64). */
static uint64_t scatter(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

uint64_t crew__recycle_limit(uint64_t limit, pid_t pid, uint64_t began_ns)
{
	uint64_t part = limit / 10, spread = 2 * part + 1;
	return limit - part + scatter(began_ns ^ (uint64_t)pid) % spread;
}

static bool is_over(int64_t limit, uint64_t value, const struct crew__recycle_figures *figures)
{
	return limit > 0 &&
	       value >= crew__recycle_limit((uint64_t)limit, figures->pid, figures->began_ns);
}

bool crew__recycle_due(const struct crew__service_settings *settings,
	const struct crew__recycle_figures *figures, char *ret_why, size_t size)
{
	uint64_t age_ms = (figures->now_ns - figures->began_ns) / CREW__NS_PER_MS;
	if (age_ms < CREW__RECYCLE_LEAST_MS)
		return false;
	if (is_over(settings->recycle_requests, figures->requests, figures))
		snprintf(ret_why, size, "%" PRIu64 " requests (recycle_requests = %" PRId64 ")",
			figures->requests, settings->recycle_requests);
	else if (is_over(settings->recycle_age_ms, age_ms, figures))
		snprintf(ret_why, size, "%" PRIu64 " ms old (recycle_age_ms = %" PRId64 ")", age_ms,
			settings->recycle_age_ms);
	else if (figures->memory_counts &&
		 is_over(settings->recycle_memory, figures->memory, figures))
		snprintf(ret_why, size, "%" PRIu64 " bytes resident (recycle_memory = %" PRId64 ")",
			figures->memory, settings->recycle_memory);
	else
		return false;
	return true;
}

static bool has_limit(const struct crew__service_settings *settings)
{
	return settings->recycle_requests > 0 || settings->recycle_age_ms > 0 ||
	       settings->recycle_memory > 0;
}

/* 0: unknown, as when it is dying. */
static uint64_t resident(pid_t pid)
{
	char path[48], text[128];
	uint64_t size, pages, bytes;
	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	if (fd >= 0)
		close(fd);
	if (length <= 0)
		return 0;
	text[length] = '\0';
	if (sscanf(text, "%" SCNu64 " %" SCNu64, &size, &pages) != 2 ||
		__builtin_mul_overflow(pages, (uint64_t)sysconf(_SC_PAGESIZE), &bytes))
		return 0;
	return bytes;
}

/* A limit that a worker is over when it has done nothing yet would replace it for ever. */
static void judge_memory(
	struct crew__child *child, const struct crew__service_settings *settings, uint64_t memory)
{
	if (child->memory_judged || memory == 0)
		return;
	child->memory_judged = true;
	child->memory_counts = memory < (uint64_t)settings->recycle_memory / 10 * 9;
	if (!child->memory_counts)
		crew__log(CREW_WARN,
			"%s#%u (pid %d) has %" PRIu64
			" bytes resident when it begins: recycle_memory = %" PRId64
			" is too little and does nothing for it",
			settings->service->name, child->id, (int)child->pid, memory,
			settings->recycle_memory);
}

void crew__recycle_begin(struct crew__child *child)
{
	const struct crew__service_settings *settings = crew__child_settings(child);
	if (settings->recycle_memory > 0)
		judge_memory(child, settings, resident(child->pid));
}

static bool is_due(struct crew__child *child, uint64_t now_ns, char why[WHY_MAX])
{
	const struct crew__service_settings *settings = crew__child_settings(child);
	const struct crew__segment_header *header = child->entry->segment.header;
	struct crew__stats stats;
	if (!header || !has_limit(settings) ||
		crew__segment_stats(&child->entry->segment, &stats) < 0)
		return false;
	uint64_t memory = settings->recycle_memory > 0 ? resident(child->pid) : 0;
	judge_memory(child, settings, memory);
	const struct crew__recycle_figures figures = {
		.pid = child->pid,
		.began_ns = child->began_ns,
		.now_ns = now_ns,
		.requests = __atomic_load_n(&stats.slab->total_request, __ATOMIC_RELAXED),
		.memory = memory,
		.memory_counts = child->memory_counts,
	};
	return crew__recycle_due(settings, &figures, why, WHY_MAX);
}

/* ---- one after the other ------------------------------------------------------------------- */

/* One of that service comes or goes. */
static bool is_busy(const struct crew__master *master, unsigned service)
{
	const struct crew__node *head = &master->family.children;
	for (const struct crew__node *n = head->next; n != head; n = n->next) {
		const struct crew__child *child = crew__container_of(n, struct crew__child, node);
		if (child->service == service && child->state != CREW__CHILD_READY)
			return true;
	}
	return false;
}

static void replace(struct crew__master *master, struct crew__slot *slot, const char *why)
{
	struct crew__child *old = slot->child;
	struct crew__entry *none = NULL;
	const char *name = crew__child_settings(old)->service->name;
	int status = crew__child_start(
		&master->family, master->generation, slot->service, slot->id, &none, &slot->fresh);
	if (status < 0) {
		slot->fresh = NULL;
		slot->recycle_after_ns = crew__clock_ns() +
					 CREW__RECYCLE_RETRY_MS * CREW__NS_PER_MS;
		crew__log(CREW_ERROR,
			"%s#%u (pid %d) should be recycled, but no other can be started: %s; trying "
			"again in %d s",
			name, slot->id, (int)old->pid, strerror(-status),
			CREW__RECYCLE_RETRY_MS / 1000);
		return;
	}
	crew__log(CREW_INFO, "%s#%u (pid %d) is recycled: %s; pid %d takes its place when ready",
		name, slot->id, (int)old->pid, why, (int)slot->fresh->pid);
	crew__chronicle_recycle(old, why);
	crew__master_sync(master);
}

static void look_at(struct crew__master *master, struct crew__slot *slot, uint64_t now_ns)
{
	char why[WHY_MAX];
	struct crew__child *child = slot->child;
	if (!child || child->state != CREW__CHILD_READY || slot->fresh ||
		now_ns < slot->recycle_after_ns || is_busy(master, slot->service))
		return;
	if (is_due(child, now_ns, why))
		replace(master, slot, why);
}

static bool any_limit(const struct crew__master *master)
{
	const struct crew__settings *settings = master->generation->settings;
	for (unsigned i = 0; i < settings->services; i++)
		if (has_limit(&settings->service[i]))
			return true;
	return false;
}

static void look_later(struct crew__master *master)
{
	uint64_t due = crew__clock_ns() + CREW__RECYCLE_LOOK_MS * CREW__NS_PER_MS;
	if (crew__timer_start(master->loop, &master->recycle_timer, due) < 0)
		crew__log(CREW_ERROR, "workers are not recycled any more: no memory for a timer");
}

static void on_look(struct crew__timer *timer)
{
	struct crew__master *master = crew__container_of(timer, struct crew__master, recycle_timer);
	uint64_t now_ns = crew__clock_ns();
	if (master->state == CREW__MASTER_STOPPING || !any_limit(master))
		return;
	for (unsigned i = 0; master->state == CREW__MASTER_RUNNING && i < master->slot_count; i++)
		look_at(master, master->slots[i], now_ns);
	look_later(master);
}

void crew__recycle_watch(struct crew__master *master)
{
	master->recycle_timer.fn = on_look;
	if (master->recycle_timer.place == 0 && any_limit(master))
		look_later(master);
}

void crew__recycle_unwatch(struct crew__master *master)
{
	crew__timer_stop(master->loop, &master->recycle_timer);
}

/* ---- taking over --------------------------------------------------------------------------- */

/* Nobody waits for its end, so those whom it serves may stay as long as a graceful stop lets them.
 */
static void retire(struct crew__child *child)
{
	const struct crew__stop_order order = {
		.graceful = true,
		.window_ms = (uint64_t)crew__child_settings(child)->drain_timeout_ms,
		.close_code = CLOSE_SERVICE_RESTART,
	};
	crew__child_recycling(child);
	crew__child_stop(child, &order, CREW__KILL_GRACE_MS);
}

bool crew__recycle_ready(
	struct crew__master *master, struct crew__slot *slot, struct crew__child *child)
{
	if (child != slot->fresh || master->state != CREW__MASTER_RUNNING)
		return false;
	struct crew__child *old = slot->child;
	slot->child = child;
	slot->fresh = NULL;
	if (old)
		retire(old);
	return true;
}

bool crew__recycle_buried(
	struct crew__slot *slot, const struct crew__child *child, char *text, size_t size)
{
	if (child == slot->fresh) {
		slot->fresh = NULL;
		slot->recycle_after_ns = crew__clock_ns() +
					 CREW__RECYCLE_RETRY_MS * CREW__NS_PER_MS;
		snprintf(text, size,
			"the worker that it should have replaced goes on; trying again in %d s",
			CREW__RECYCLE_RETRY_MS / 1000);
		return true;
	}
	if (child != slot->child || !slot->fresh)
		return false;
	slot->child = slot->fresh;
	slot->fresh = NULL;
	snprintf(text, size, "pid %d, which was to replace it, has its place",
		(int)slot->child->pid);
	return true;
}

void crew__recycle_leaving(struct crew__master *master, struct crew__child *child)
{
	char next[160];
	struct crew__slot *slot = crew__slot_of(master, child);
	bool runs = master->state == CREW__MASTER_RUNNING ||
		    master->state == CREW__MASTER_RELOADING;
	if (!runs || !slot || slot->child != child || !child->was_ready)
		return;
	uint64_t lived_ms = (crew__clock_ns() - child->began_ns) / CREW__NS_PER_MS;
	if (!crew__recycle_buried(slot, child, next, sizeof(next)))
		crew__slot_vacate(slot, child, lived_ms, next, sizeof(next));
	crew__log(CREW_INFO, "%s#%u (pid %d) leaves by its own wish; %s",
		crew__child_settings(child)->service->name, child->id, (int)child->pid, next);
	crew__chronicle_recycle(child, "by its own wish");
	crew__master_sync(master);
}

void crew__recycle_cancel(struct crew__master *master)
{
	const struct crew__stop_order order = { .close_code = CLOSE_SERVICE_RESTART };
	for (unsigned i = 0; i < master->slot_count; i++) {
		struct crew__child *fresh = master->slots[i]->fresh;
		master->slots[i]->fresh = NULL;
		if (fresh && !fresh->dead)
			crew__child_stop(fresh, &order, CREW__KILL_GRACE_MS);
	}
}
