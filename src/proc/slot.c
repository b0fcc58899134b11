/* slot.c - the places that workers fill, and filling them again.
 *
 * Between two turns a slot of a running master has a child or its respawn timer runs. */
#include "proc/master.h"

#include "proc/chronicle.h"
#include "proc/obituary.h"

#include "base/check.h"
#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *slot_name(const struct crew__slot *slot)
{
	return slot->master->registry->directory.header->service[slot->service];
}

struct crew__slot *crew__slot_find(const struct crew__master *master, unsigned service, unsigned id)
{
	for (unsigned i = 0; i < master->slot_count; i++)
		if (master->slots[i]->service == service && master->slots[i]->id == id)
			return master->slots[i];
	return NULL;
}

struct crew__slot *crew__slot_of(const struct crew__master *master, const struct crew__child *child)
{
	return crew__slot_find(master, child->service, child->id);
}

static void on_respawn(struct crew__timer *timer)
{
	struct crew__slot *slot = crew__container_of(timer, struct crew__slot, respawn);
	crew__slot_fill(slot);
	crew__master_sync(slot->master);
}

/* ---- which there are ----------------------------------------------------------------------- */

static int add_slot(struct crew__master *master, unsigned service, unsigned id)
{
	struct crew__slot *slot = calloc(1, sizeof(*slot));
	if (!slot)
		return -ENOMEM;
	slot->master = master;
	slot->service = service;
	slot->id = id;
	slot->respawn.fn = on_respawn;
	unsigned at = master->slot_count++;
	for (; at > 0; at--) {
		const struct crew__slot *before = master->slots[at - 1];
		if (before->service < service || (before->service == service && before->id < id))
			break;
		master->slots[at] = master->slots[at - 1];
	}
	master->slots[at] = slot;
	return 0;
}

static void free_slot(struct crew__slot *slot)
{
	crew__must(!slot->child && !slot->next && !slot->fresh);
	crew__slot_stop_waiting(slot);
	if (slot->vacancy)
		crew__registry_close(slot->master->registry, slot->vacancy);
	free(slot);
}

static size_t workers_of(const struct crew__generation *generation)
{
	size_t count = 0;
	for (unsigned i = 0; i < generation->settings->services; i++)
		count += (size_t)generation->settings->service[i].workers;
	return count;
}

int crew__slots_add(struct crew__master *master, const struct crew__generation *generation)
{
	const struct crew__settings *settings = generation->settings;
	size_t most = master->slot_count + workers_of(generation);
	if (workers_of(generation) > CREW__LIVES_MAX / 2)
		return -ENOSPC;
	struct crew__slot **slots = reallocarray(
		master->slots, crew__max(most, 1), sizeof(struct crew__slot *));
	if (!slots)
		return -ENOMEM;
	master->slots = slots;
	for (unsigned i = 0; i < settings->services; i++) {
		for (unsigned id = 0; id < settings->service[i].workers; id++) {
			unsigned place = generation->place[i];
			if (!crew__slot_find(master, place, id) && add_slot(master, place, id) < 0)
				return -ENOMEM;
		}
	}
	return 0;
}

void crew__slots_keep(struct crew__master *master, const struct crew__generation *generation)
{
	unsigned left = 0;
	for (unsigned i = 0; i < master->slot_count; i++) {
		struct crew__slot *slot = master->slots[i];
		const struct crew__service_settings *settings = crew__generation_service(
			generation, slot->service);
		if (settings && slot->id < settings->workers)
			master->slots[left++] = slot;
		else
			free_slot(slot);
	}
	master->slot_count = left;
}

void crew__slot_stop_waiting(struct crew__slot *slot)
{
	crew__timer_stop(slot->master->loop, &slot->respawn);
}

void crew__slots_fini(struct crew__master *master)
{
	for (unsigned i = 0; i < master->slot_count; i++)
		free_slot(master->slots[i]);
	free(master->slots);
	master->slots = NULL;
	master->slot_count = 0;
}

/* While a slot waits, `status` shows it all the same; without a row for it nothing else changes. */
static void show_vacancy(struct crew__slot *slot)
{
	const struct crew__generation *generation = slot->master->generation;
	const struct crew__life_plan plan = {
		.settings = crew__generation_service(generation, slot->service),
		.service = slot->service,
		.id = slot->id,
		.generation = generation->number,
	};
	if (!slot->vacancy &&
		crew__registry_vacant(slot->master->registry, &plan, &slot->vacancy) < 0)
		slot->vacancy = NULL;
}

static void wait_before_filling(struct crew__slot *slot, uint64_t wait_ms)
{
	uint64_t due = crew__clock_ns() + wait_ms * CREW__NS_PER_MS;
	show_vacancy(slot);
	if (slot->vacancy)
		crew__registry_young(
			slot->master->registry, slot->vacancy, slot->backoff.young, due);
	if (crew__timer_start(slot->master->loop, &slot->respawn, due) < 0)
		crew__log(CREW_ERROR,
			"%s#%u stays empty: no memory for a timer; restart the program",
			slot_name(slot), slot->id);
}

void crew__slot_fill(struct crew__slot *slot)
{
	struct crew__master *master = slot->master;
	int status = crew__child_start(&master->family, master->generation, slot->service, slot->id,
		&slot->vacancy, &slot->child);
	if (status == 0) {
		crew__registry_young(master->registry, slot->child->entry, slot->backoff.young, 0);
		return;
	}
	uint64_t wait = crew__backoff_next(&slot->backoff, 0, false);
	wait = crew__max(wait, CREW__BACKOFF_FIRST_MS);
	crew__log(CREW_ERROR, "%s#%u cannot be started: %s; trying again in %" PRIu64 " ms",
		slot_name(slot), slot->id, strerror(-status), wait);
	wait_before_filling(slot, wait);
}

void crew__slot_vacate(struct crew__slot *slot, const struct crew__child *child, uint64_t lived_ms,
	char *text, size_t size)
{
	slot->child = NULL;
	uint64_t wait = crew__backoff_next(&slot->backoff, lived_ms, child->expected);
	if (wait == 0) {
		snprintf(text, size, "it is started again at once");
		crew__slot_fill(slot);
		return;
	}
	const char *loop = slot->backoff.young >= CREW__CRASH_LOOP ? "crash loop: " : "";
	snprintf(text, size,
		"%sit has died young %u times in a row and is started again in %" PRIu64 ".%" PRIu64
		" s",
		loop, slot->backoff.young, wait / 1000, wait % 1000 / 100);
	wait_before_filling(slot, wait);
}

/* ---- crash loops --------------------------------------------------------------------------- */

void crew__slot_tell_loop(struct crew__slot *slot, const struct crew__death *death)
{
	char how[96], text[104];
	if (slot->backoff.young != CREW__CRASH_LOOP || !slot->vacancy)
		return;
	const struct crew__life *life = &slot->vacancy->life;
	uint64_t now_ns = crew__clock_ns();
	uint64_t wait_ms = life->next_ns > now_ns ? (life->next_ns - now_ns) / CREW__NS_PER_MS : 0;
	crew__death_text(death, how, sizeof(how));
	crew__log(CREW_ERROR,
		"%s#%u is in a crash loop: it has died within %d s of its start %u times in a row, "
		"the last time it %s; from now on it is started again ever later, up to every %d s; "
		"mend it and use 'reload' or 'restart'",
		slot_name(slot), slot->id, CREW__YOUNG_MS / 1000, slot->backoff.young, how,
		CREW__BACKOFF_MOST_MS / 1000);
	snprintf(text, sizeof(text), "it %s", how);
	crew__chronicle_crash_loop(
		slot->master->registry, life, slot->backoff.young, wait_ms, text);
}

static void forgive(struct crew__slot *slot)
{
	struct crew__child *child = slot->child;
	slot->backoff.young = 0;
	crew__registry_young(slot->master->registry, child->entry, 0, 0);
	crew__log(CREW_INFO, "%s#%u (pid %d) has lived for %d s: its crash loop is over",
		slot_name(slot), slot->id, (int)child->pid, CREW__YOUNG_MS / 1000);
	crew__chronicle_crash_loop(slot->master->registry, &child->entry->life, 0, 0, "");
}

void crew__slots_forgive(struct crew__master *master, uint64_t now_ns)
{
	for (unsigned i = 0; i < master->slot_count; i++) {
		struct crew__slot *slot = master->slots[i];
		struct crew__child *child = slot->child;
		if (slot->backoff.young >= CREW__CRASH_LOOP && child &&
			child->state == CREW__CHILD_READY &&
			now_ns - child->began_ns >= CREW__YOUNG_MS * CREW__NS_PER_MS)
			forgive(slot);
	}
}
