/* reload.c - replacing all workers without refusing a connection.
 *
 *   crew__master_reload: the program is opened anew and runs as its own planner
 *        ▼ it has told its plan: crew__reload_planned      │ refused, late, not to be had: refuse
 *   the settings and what they change are checked, what is new is opened, a new worker for every
 * slot │ each ready: crew__reload_ready          │ one dies or is late: crew__reload_lost ▼ the
 * last one                            ▼ switch_over: slots get the new workers,     give_up: the
 * new ones are ended, the old ones have the old ones are told to drain              noticed nothing
 *        ▼ the last old one is gone: crew__reload_buried
 *   over
 *
 * The listening sockets stay open throughout and both generations accept from them. */
#include "proc/master.h"

#include "base/clock.h"
#include "proc/chronicle.h"
#include "proc/handover.h"
#include "proc/recycle.h"
#include "proc/testament.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	CLOSE_SERVICE_RESTART = 1012
};

static void finish(struct crew__master *master, int exit_status, const char *sentence)
{
	crew__log(exit_status == 0 ? CREW_INFO : CREW_ERROR, "%s", sentence);
	if (exit_status == 0)
		crew__chronicle_reload(
			master->registry, master->reload.number, CREW__RELOAD_DONE, "");
	else
		crew__chronicle_reload(
			master->registry, master->reload.number, CREW__RELOAD_FAILED, sentence);
	if (master->state == CREW__MASTER_RELOADING)
		master->state = CREW__MASTER_RUNNING;
	crew__directory_reload(&master->registry->directory, 0);
	crew__master_store(master);
	crew__herald_reloaded(&master->herald, exit_status == 0 ? NULL : sentence);
	crew__control_reloaded(master->control, exit_status, sentence);
}

/* ---- one reload ---------------------------------------------------------------------------- */

static void give_up(struct crew__master *master, const char *why)
{
	struct crew__reload *reload = &master->reload;
	for (unsigned i = 0; i < master->slot_count; i++) {
		struct crew__child *child = master->slots[i]->next;
		master->slots[i]->next = NULL;
		if (!child || child->dead)
			continue;
		uint64_t window = (uint64_t)crew__child_settings(child)->stop_timeout_ms;
		const struct crew__stop_order order = {
			.window_ms = window,
			.close_code = CLOSE_SERVICE_RESTART,
		};
		crew__child_stop(child, &order, CREW__KILL_GRACE_MS);
	}
	crew__listeners_close_but(&reload->next->listeners, &master->generation->listeners);
	crew__generation_unref(reload->next);
	crew__slots_keep(master, master->generation);
	*reload = (struct crew__reload){ .number = reload->number };
	char text[1024];
	snprintf(text, sizeof(text), "reload failed, the old workers go on: %s", why);
	finish(master, 1, text);
}

static void drain(struct crew__child *child, bool graceful)
{
	const struct crew__service_settings *settings = crew__child_settings(child);
	const struct crew__stop_order order = {
		.graceful = graceful,
		.window_ms = (uint64_t)(graceful ? settings->drain_timeout_ms
						 : settings->stop_timeout_ms),
		.close_code = CLOSE_SERVICE_RESTART,
	};
	if (child->state != CREW__CHILD_STOPPING)
		crew__child_reloading(child);
	crew__child_stop(child, &order, CREW__KILL_GRACE_MS);
}

/* Also those that were leaving before: the reload waits for them as well. */
static void drain_old(struct crew__master *master)
{
	struct crew__node *head = &master->family.children;
	for (struct crew__node *n = head->next, *after; n != head; n = after) {
		struct crew__child *child = crew__container_of(n, struct crew__child, node);
		after = n->next;
		if (child->generation != master->generation && !child->dead)
			drain(child, master->reload.graceful);
	}
}

/* The old workers have listeners of their own as long as they accept. */
static void replace_generation(struct crew__master *master)
{
	struct crew__generation *old = master->generation;
	master->generation = master->reload.next;
	master->reload.next = NULL;
	crew__settings_use(master->generation->settings);
	crew__log_file_use(&master->log, master->generation->settings, "master");
	crew__directory_generation(&master->registry->directory, master->generation->number,
		master->generation->settings->app->version);
	crew__listeners_close_but(&old->listeners, &master->generation->listeners);
	if (crew__certificates_watch(master) < 0)
		crew__log(CREW_ERROR, "certificates are not looked at again: no memory");
	crew__log(CREW_INFO, "generation %u is ready, generation %u drains",
		master->generation->number, old->number);
	crew__generation_unref(old);
}

static void switch_over(struct crew__master *master)
{
	replace_generation(master);
	crew__handover_pair_slots(master);
	for (unsigned i = 0; i < master->slot_count; i++) {
		struct crew__slot *slot = master->slots[i];
		slot->child = slot->next;
		slot->next = NULL;
		slot->backoff = (struct crew__backoff){ .young = 0 };
		crew__slot_stop_waiting(slot);
	}
	drain_old(master);
	crew__slots_keep(master, master->generation);
	crew__reload_buried(master);
}

static int start_slot(
	struct crew__master *master, struct crew__slot *slot, char *ret_error, size_t error_size)
{
	struct crew__generation *next = master->reload.next;
	const struct crew__service_settings *settings = crew__generation_service(
		next, slot->service);
	if (!settings || slot->id >= settings->workers)
		return 0;
	int status = crew__child_start(
		&master->family, next, slot->service, slot->id, &slot->vacancy, &slot->next);
	if (status == 0)
		master->reload.awaited++;
	else
		snprintf(ret_error, error_size, "%s#%u cannot be started: %s",
			settings->service->name, slot->id, strerror(-status));
	return status;
}

static int start_all(struct crew__master *master, char *ret_error, size_t error_size)
{
	int status = crew__slots_add(master, master->reload.next);
	if (status < 0)
		snprintf(ret_error, error_size, "there is no room for its workers: %s",
			strerror(-status));
	for (unsigned i = 0; status == 0 && i < master->slot_count; i++)
		status = start_slot(master, master->slots[i], ret_error, error_size);
	if (status == 0)
		crew__master_sync(master);
	return status;
}

static int check_state(const struct crew__master *master, char *ret_error, size_t error_size)
{
	static const char *const why[] = {
		[CREW__MASTER_STARTING] = "the program is still starting",
		[CREW__MASTER_RELOADING] = "a reload is under way; wait for its end",
		[CREW__MASTER_STOPPING] = "the program is stopping",
	};
	if (master->state == CREW__MASTER_RUNNING)
		return 0;
	/* Old workers that did not leave yet are the second generation: a third is not begun. */
	if (master->state == CREW__MASTER_RELOADING && !master->reload.next &&
		master->reload.planner <= 0)
		snprintf(ret_error, error_size,
			"the generation before %u still drains, and at most two live: wait for its "
			"end (`status` shows what holds it)",
			master->generation->number);
	else
		snprintf(ret_error, error_size, "%s", why[master->state]);
	return -EBUSY;
}

/* ---- the plan ------------------------------------------------------------------------------ */

/* Nothing has changed, and nothing will. */
static void refuse(struct crew__master *master, const char *why)
{
	char text[1200];
	snprintf(text, sizeof(text), "reload refused, nothing has changed: %s", why);
	finish(master, 1, text);
}

static void forget_planner(struct crew__master *master)
{
	struct crew__reload *reload = &master->reload;
	crew__timer_stop(master->loop, &reload->deadline);
	close(reload->plan_fd);
	reload->planner = 0;
}

static void on_late_plan(struct crew__timer *timer)
{
	struct crew__reload *reload = crew__container_of(timer, struct crew__reload, deadline);
	/* It is waited for like the others; its end tells the rest. */
	kill(reload->planner, SIGKILL);
}

static int ask_for_plan(struct crew__master *master, char *ret_error, size_t error_size)
{
	struct crew__reload *reload = &master->reload;
	reload->program_fd = crew__launch_open_program(&master->launch, ret_error, error_size);
	if (reload->program_fd < 0)
		return reload->program_fd;
	int status = crew__plan_ask(&master->launch, reload->program_fd, &reload->planner,
		&reload->plan_fd, ret_error, error_size);
	if (status < 0) {
		close(reload->program_fd);
		return status;
	}
	uint64_t due = crew__clock_ns() + CREW__PLAN_DEADLINE_MS * CREW__NS_PER_MS;
	reload->deadline.fn = on_late_plan;
	/* Without memory for the timer it has no time. */
	if (crew__timer_start(master->loop, &reload->deadline, due) < 0)
		kill(reload->planner, SIGKILL);
	return 0;
}

static void begin(struct crew__master *master, struct crew__generation *next)
{
	char why[256];
	crew__log(
		CREW_INFO, "reload begins: generation %u of %s", next->number, master->launch.path);
	crew__chronicle_reload(master->registry, next->number, CREW__RELOAD_BEGAN, "");
	master->reload.next = next;
	crew__sockets_lend(master);
	if (start_all(master, why, sizeof(why)) < 0)
		give_up(master, why);
}

static int read_plan(const struct crew__reload *reload, int wait_status,
	struct crew__plan **ret_plan, char *ret_error, size_t error_size)
{
	if (!WIFSIGNALED(wait_status))
		return crew__plan_read(reload->plan_fd, ret_plan, ret_error, error_size);
	snprintf(ret_error, error_size,
		"the program ended by SIG%s when it was asked for its plan (it has %d s for that)",
		sigabbrev_np(WTERMSIG(wait_status)), CREW__PLAN_DEADLINE_MS / 1000);
	return -EPROTO;
}

void crew__reload_planned(struct crew__master *master, pid_t pid, int wait_status)
{
	struct crew__reload *reload = &master->reload;
	struct crew__plan *plan;
	struct crew__generation *next;
	char why[1024];
	if (master->state != CREW__MASTER_RELOADING || reload->planner != pid)
		return;
	int status = read_plan(reload, wait_status, &plan, why, sizeof(why));
	forget_planner(master);
	if (status < 0)
		close(reload->program_fd);
	else
		status = crew__generation_next(reload->program_fd, plan, master->generation,
			master->registry, &next, why, sizeof(why));
	if (status < 0)
		refuse(master, why);
	else
		begin(master, next);
}

int crew__master_reload(struct crew__master *master, bool graceful, uint64_t *ret_bound_ms,
	char *ret_error, size_t error_size)
{
	int status = check_state(master, ret_error, error_size);
	if (status < 0)
		return status;
	unsigned number = master->generation->number + 1;
	crew__recycle_cancel(master);
	master->reload = (struct crew__reload){ .number = number, .graceful = graceful };
	*ret_bound_ms = CREW__PLAN_DEADLINE_MS + CREW__START_DEADLINE_MS + CREW__KILL_GRACE_MS +
			crew__stop_bound_ms(master->generation->settings, graceful) +
			CREW__REHEARSAL_MS;
	crew__herald_reloading(&master->herald, *ret_bound_ms);
	status = ask_for_plan(master, ret_error, error_size);
	if (status < 0) {
		crew__log(CREW_ERROR, "reload refused, nothing has changed: %s", ret_error);
		crew__chronicle_reload(master->registry, number, CREW__RELOAD_FAILED, ret_error);
		crew__herald_reloaded(&master->herald, ret_error);
		return status;
	}
	master->state = CREW__MASTER_RELOADING;
	crew__directory_reload(&master->registry->directory, crew__clock_ns());
	return 0;
}

/* ---- what the reload is told --------------------------------------------------------------- */

void crew__reload_ready(struct crew__master *master)
{
	if (--master->reload.awaited == 0)
		switch_over(master);
}

void crew__reload_lost(
	struct crew__master *master, const struct crew__child *child, const char *why)
{
	char text[900];
	snprintf(text, sizeof(text), "%s#%u of generation %u %s",
		crew__child_settings(child)->service->name, child->id, child->generation->number,
		why);
	give_up(master, text);
}

/* Is one of another generation still there? */
static bool old_ones_live(const struct crew__master *master)
{
	const struct crew__node *head = &master->family.children;
	for (const struct crew__node *n = head->next; n != head; n = n->next) {
		const struct crew__child *child = crew__container_of(n, struct crew__child, node);
		if (child->generation != master->generation)
			return true;
	}
	return false;
}

void crew__reload_buried(struct crew__master *master)
{
	const struct crew__reload *reload = &master->reload;
	if (master->state != CREW__MASTER_RELOADING || reload->planner > 0 || reload->next ||
		master->succession.tries > 0 || old_ones_live(master))
		return;
	crew__succession_begin(master);
}

void crew__reload_succeeded(struct crew__master *master, const char *why)
{
	char text[1200];
	if (why)
		crew__log(CREW_WARN, "the master itself stays the program that it was: %s", why);
	snprintf(text, sizeof(text), "reload done: generation %u%s%s", master->reload.number,
		why ? "; the master itself stays the program that it was: " : "", why ? why : "");
	finish(master, 0, text);
}

void crew__reload_resumed(struct crew__master *master)
{
	/* A stop may have been asked for meanwhile. */
	if (master->state == CREW__MASTER_RELOADING)
		crew__reload_succeeded(master, NULL);
}

void crew__reload_cancel(struct crew__master *master, const char *why)
{
	if (master->state != CREW__MASTER_RELOADING)
		return;
	if (master->reload.planner > 0) {
		kill(master->reload.planner, SIGKILL);
		close(master->reload.program_fd);
		forget_planner(master);
		refuse(master, why);
	} else if (master->reload.next) {
		give_up(master, why);
	} else {
		crew__succession_cancel(master);
		finish(master, 1, why);
	}
}
