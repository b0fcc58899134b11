/* master.c - the supervisor: stopping, births and deaths. */
#include "proc/master.h"

#include "proc/chronicle.h"
#include "proc/master_parts.h"
#include "proc/obituary.h"
#include "proc/recycle.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	STOP_NOW_GRACE_MS = 500,
	BOUND_SLACK_MS = 3000
};

/* ---- stopping ------------------------------------------------------------------------------ */

static uint64_t stop_window_ms(
	const struct crew__service_settings *settings, enum crew__stop_level level)
{
	if (level == CREW__STOP_NOW)
		return 0;
	return (uint64_t)(level == CREW__STOP_GRACEFUL ? settings->drain_timeout_ms
						       : settings->stop_timeout_ms);
}

uint64_t crew__stop_bound_ms(const struct crew__settings *settings, bool graceful)
{
	enum crew__stop_level level = graceful ? CREW__STOP_GRACEFUL : CREW__STOP_PLAIN;
	uint64_t longest = 0;
	for (unsigned i = 0; i < settings->services; i++)
		longest = crew__max(longest, stop_window_ms(&settings->service[i], level));
	return longest + CREW__KILL_GRACE_MS + BOUND_SLACK_MS;
}

static uint64_t stop_bound_ms(const struct crew__master *master, enum crew__stop_level level)
{
	if (level == CREW__STOP_NOW)
		return STOP_NOW_GRACE_MS + BOUND_SLACK_MS;
	return crew__stop_bound_ms(master->generation->settings, level == CREW__STOP_GRACEFUL);
}

static void stop_child(struct crew__child *child, enum crew__stop_level level)
{
	const struct crew__stop_order order = {
		.graceful = level == CREW__STOP_GRACEFUL,
		.window_ms = stop_window_ms(crew__child_settings(child), level),
		.close_code = CREW__CLOSE_GOING_AWAY,
	};
	crew__child_stop(
		child, &order, level == CREW__STOP_NOW ? STOP_NOW_GRACE_MS : CREW__KILL_GRACE_MS);
}

static void leave_when_alone(struct crew__master *master)
{
	if (master->state == CREW__MASTER_STOPPING && crew__list_empty(&master->family.children))
		crew__loop_stop(master->loop);
}

void crew__master_stop(struct crew__master *master, enum crew__stop_level level)
{
	static const char *const how[] = {
		[CREW__STOP_GRACEFUL] = "stopping; connections may end by themselves",
		[CREW__STOP_PLAIN] = "stopping; queues are flushed",
		[CREW__STOP_NOW] = "stopping at once",
	};
	if (master->state == CREW__MASTER_STOPPING && level <= master->stop_level)
		return;
	crew__log(CREW_INFO, "%s", how[level]);
	crew__chronicle_stop(master->registry, how[level]);
	crew__reload_cancel(master, "the program was stopped before the reload was done");
	master->state = CREW__MASTER_STOPPING;
	master->stop_level = level;
	if (master->exit_status == 0)
		crew__herald_stopping(&master->herald, stop_bound_ms(master, level));
	if (master->fd_store)
		crew__fd_store_leave(master->fd_store, &master->generation->listeners,
			master->registry->directory.header->service);
	for (unsigned i = 0; i < master->slot_count; i++)
		crew__slot_stop_waiting(master->slots[i]);
	/* Nobody will accept any more: who comes now is to be refused, not kept waiting. */
	crew__listeners_close(&master->generation->listeners);
	struct crew__node *head = &master->family.children;
	for (struct crew__node *n = head->next, *after; n != head; n = after) {
		after = n->next;
		stop_child(crew__container_of(n, struct crew__child, node), level);
	}
	leave_when_alone(master);
}

/* ---- births and deaths --------------------------------------------------------------------- */

void crew__master_sync(struct crew__master *master)
{
	struct crew__node *head = &master->family.children;
	for (struct crew__node *n = head->next, *after; n != head; n = after) {
		after = n->next;
		crew__child_sync(crew__container_of(n, struct crew__child, node));
	}
}

void crew__master_store(struct crew__master *master)
{
	if (master->fd_store)
		crew__fd_store_sync(master->fd_store, &master->generation->listeners,
			master->registry->directory.header->service);
}

static bool all_ready(const struct crew__master *master)
{
	for (unsigned i = 0; i < master->slot_count; i++)
		if (!master->slots[i]->was_ready)
			return false;
	return true;
}

static void on_ready(void *arg, struct crew__child *child)
{
	struct crew__master *master = arg;
	struct crew__slot *slot = crew__slot_of(master, child);
	crew__log(CREW_INFO, "%s#%u (pid %d, generation %u) is ready",
		crew__child_settings(child)->service->name, child->id, (int)child->pid,
		child->generation->number);
	crew__chronicle_start(master->registry, &child->entry->life);
	if (!slot)
		return;
	slot->was_ready = true;
	crew__recycle_begin(child);
	crew__recycle_watch(master);
	if (crew__recycle_ready(master, slot, child))
		return;
	if (child == slot->next)
		crew__reload_ready(master);
	else if (master->state == CREW__MASTER_STARTING && all_ready(master)) {
		master->state = CREW__MASTER_RUNNING;
		crew__herald_ready(&master->herald);
		crew__master_store(master);
		master->on_started(master->arg, crew__loop_engine(master->loop));
	}
}

static void on_leaving(void *arg, struct crew__child *child)
{
	crew__recycle_leaving(arg, child);
}

static void on_tls(void *arg, const struct crew__child *child, uint32_t serial, bool taken)
{
	crew__certificates_answered(arg, child, serial, taken);
}

static void on_readers(void *arg)
{
	crew__sockets_lend(arg);
}

static void fail_start(
	struct crew__master *master, const struct crew__child *child, const char *why)
{
	snprintf(master->failure, sizeof(master->failure), "service %s, worker %u %s",
		crew__child_settings(child)->service->name, child->id, why);
	master->exit_status = 1;
	crew__master_stop(master, CREW__STOP_NOW);
}

/* What it said is the reason; without a word, how it ended. */
static void explain(
	const struct crew__child *child, const struct crew__death *death, char *text, size_t size)
{
	char how[96];
	if (child->failure[0]) {
		snprintf(text, size, "failed to start: %s", child->failure);
		return;
	}
	crew__death_text(death, how, sizeof(how));
	snprintf(text, size, "%s before it was %s", how, child->was_ready ? "used" : "ready");
}

static void on_death(struct crew__master *master, struct crew__child *child, int wait_status)
{
	struct crew__slot *slot = crew__slot_of(master, child);
	struct crew__death death;
	char next[160], why[700];
	snprintf(next, sizeof(next), "%s",
		slot ? "its place is taken already" : "its place is gone");
	crew__child_reap(child, wait_status, &death);
	explain(child, &death, why, sizeof(why));
	bool was_current = slot && child == slot->child, was_next = slot && child == slot->next;
	bool first_failed = was_current && !child->was_ready &&
			    master->state == CREW__MASTER_STARTING;
	bool replaced = slot && crew__recycle_buried(slot, child, next, sizeof(next));
	if (was_current && !replaced)
		slot->child = NULL;
	if (was_next)
		slot->next = NULL;
	if (master->state == CREW__MASTER_STOPPING)
		snprintf(next, sizeof(next), "nothing follows, the program stops");
	else if (first_failed)
		snprintf(next, sizeof(next), "the start is given up");
	else if (was_next)
		snprintf(next, sizeof(next), "the reload is given up");
	else if (was_current && !replaced)
		crew__slot_vacate(slot, child, death.lived_ms, next, sizeof(next));
	crew__obituary(child, &death, next);
	crew__chronicle_death(child, &death);
	if (was_current && !slot->child)
		crew__slot_tell_loop(slot, &death);

	if (first_failed)
		fail_start(master, child, why);
	else if (was_next && master->state == CREW__MASTER_RELOADING)
		crew__reload_lost(master, child, why);
	crew__reload_buried(master);
}

/* Signals merge, so all dead are waited for; as pid 1 strangers are among them. A child that is
 * only stopped is told of, and is not dead. */
void crew__master_reap(int signo, void *arg)
{
	struct crew__master *master = arg;
	(void)signo;
	int status;
	pid_t pid;
	bool changed = false;
	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0) {
		struct crew__child *child = crew__family_find(&master->family, pid);
		if (WIFSTOPPED(status) || WIFCONTINUED(status)) {
			if (child)
				crew__watchdog_paused(child, status);
			continue;
		}
		if (!child) {
			crew__reload_planned(master, pid, status);
			crew__succession_ended(master, pid, status);
			continue;
		}
		on_death(master, child, status);
		changed = true;
	}
	if (changed)
		crew__master_sync(master);
	leave_when_alone(master);
}

void crew__master_hear(struct crew__master *master)
{
	master->family.on_ready = on_ready;
	master->family.on_tls = on_tls;
	master->family.on_leaving = on_leaving;
	master->family.on_readers = on_readers;
	master->family.arg = master;
}
