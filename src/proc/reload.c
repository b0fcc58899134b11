/* reload.c - replacing all workers without refusing a connection.
 *
 *   crew__master_reload: the new program and settings are checked; a new worker for every slot
 *        │ each ready: crew__reload_ready          │ one dies or is late: crew__reload_lost
 *        ▼ the last one                            ▼
 *   switch_over: slots get the new workers,     give_up: the new ones are ended, the old ones have
 *   the old ones are told to drain              noticed nothing
 *        ▼ the last old one is gone: crew__reload_buried
 *   over
 *
 * The listening sockets stay open throughout and both generations accept from them. */
#include "proc/master.h"

#include "base/clock.h"
#include "proc/chronicle.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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
	crew__control_reloaded(master->control, exit_status, sentence);
}

/* ---- the admin service comes and goes ------------------------------------------------------ */

static bool brings_admin(const struct crew__master *master, const struct crew__generation *next)
{
	return next->settings->services > master->generation->settings->services;
}

/* Before its first worker: where it listens, its name, its place. */
static int make_place(struct crew__master *master, const struct crew__generation *next,
	char *ret_error, size_t error_size)
{
	unsigned service = master->generation->settings->services;
	const char *name = next->settings->service[service].service->name;
	int status = crew__directory_service(&master->registry->directory, service, name);
	if (status < 0) {
		snprintf(ret_error, error_size, "there is no place for the service %s: %s", name,
			strerror(-status));
		return status;
	}
	status = crew__listeners_add(
		&master->listeners, next->settings, service, ret_error, error_size);
	if (status == 0)
		crew__slots_add_last(master, service);
	return status;
}

static void take_place_away(struct crew__master *master, unsigned service)
{
	crew__slots_drop_last(master);
	crew__listeners_drop(&master->listeners, service);
}

/* ---- one reload ---------------------------------------------------------------------------- */

static void give_up(struct crew__master *master, const char *why)
{
	struct crew__reload *reload = &master->reload;
	for (unsigned i = 0; i < master->slot_count; i++) {
		struct crew__child *child = master->slots[i].next;
		master->slots[i].next = NULL;
		if (!child || child->dead)
			continue;
		uint64_t window = (uint64_t)crew__child_settings(child)->stop_timeout_ms;
		const struct crew__stop_order order = {
			.window_ms = window,
			.close_code = CLOSE_SERVICE_RESTART,
		};
		crew__child_stop(child, &order, CREW__KILL_GRACE_MS);
	}
	if (brings_admin(master, reload->next))
		take_place_away(master, master->generation->settings->services);
	crew__generation_unref(reload->next);
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
	crew__child_reloading(child);
	crew__child_stop(child, &order, CREW__KILL_GRACE_MS);
}

static void switch_over(struct crew__master *master)
{
	struct crew__generation *old = master->generation;
	master->generation = master->reload.next;
	master->reload.next = NULL;
	crew__settings_use(master->generation->settings);
	crew__log_open(master->log.fd, master->generation->settings->log_level, "master");
	crew__directory_generation(&master->registry->directory, master->generation->number);
	if (crew__certificates_watch(master) < 0)
		crew__log(CREW_ERROR, "certificates are not looked at again: no memory");
	for (unsigned i = 0; i < master->slot_count; i++) {
		struct crew__slot *slot = &master->slots[i];
		struct crew__child *leaving = slot->child;
		slot->child = slot->next;
		slot->next = NULL;
		slot->backoff = (struct crew__backoff){ .young = 0 };
		crew__slot_stop_waiting(slot);
		if (leaving)
			drain(leaving, master->reload.graceful);
	}
	if (old->settings->services > master->generation->settings->services)
		take_place_away(master, master->generation->settings->services);
	crew__log(CREW_INFO, "generation %u is ready, generation %u drains",
		master->generation->number, old->number);
	crew__generation_unref(old);
	crew__reload_buried(master);
}

static int start_all(struct crew__master *master, char *ret_error, size_t error_size)
{
	struct crew__generation *next = master->reload.next;
	for (unsigned i = 0; i < master->slot_count; i++) {
		struct crew__slot *slot = &master->slots[i];
		if (slot->service >= next->settings->services)
			continue;
		int status = crew__child_start(&master->family, next, slot->service, slot->id,
			&slot->vacancy, &slot->next);
		if (status < 0) {
			snprintf(ret_error, error_size, "%s#%u cannot be started: %s",
				next->settings->service[slot->service].service->name, slot->id,
				strerror(-status));
			return status;
		}
		master->reload.awaited++;
	}
	crew__master_sync(master);
	return 0;
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
	snprintf(ret_error, error_size, "%s", why[master->state]);
	return -EBUSY;
}

int crew__master_reload(struct crew__master *master, bool graceful, uint64_t *ret_bound_ms,
	char *ret_error, size_t error_size)
{
	int status = check_state(master, ret_error, error_size);
	if (status < 0)
		return status;
	struct crew__generation *next;
	status = crew__generation_next(
		&master->launch, master->generation, &next, ret_error, error_size);
	if (status == 0 && brings_admin(master, next)) {
		status = make_place(master, next, ret_error, error_size);
		if (status < 0)
			crew__generation_unref(next);
	}
	if (status < 0) {
		crew__log(CREW_ERROR, "reload refused, nothing has changed: %s", ret_error);
		crew__chronicle_reload(master->registry, master->generation->number + 1,
			CREW__RELOAD_FAILED, ret_error);
		return status;
	}
	crew__log(
		CREW_INFO, "reload begins: generation %u of %s", next->number, master->launch.path);
	crew__chronicle_reload(master->registry, next->number, CREW__RELOAD_BEGAN, "");
	*ret_bound_ms = CREW__START_DEADLINE_MS + CREW__KILL_GRACE_MS +
			crew__stop_bound_ms(master->generation->settings, graceful);
	master->state = CREW__MASTER_RELOADING;
	master->reload =
		(struct crew__reload){ .next = next, .number = next->number, .graceful = graceful };
	char why[256];
	if (start_all(master, why, sizeof(why)) < 0)
		give_up(master, why);
	return 0;
}

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
	if (master->state != CREW__MASTER_RELOADING || master->reload.next || old_ones_live(master))
		return;
	char text[96];
	snprintf(text, sizeof(text), "reload done: generation %u", master->generation->number);
	finish(master, 0, text);
}

void crew__reload_cancel(struct crew__master *master, const char *why)
{
	if (master->state != CREW__MASTER_RELOADING)
		return;
	if (master->reload.next)
		give_up(master, why);
	else
		finish(master, 1, why);
}
