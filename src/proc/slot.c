/* slot.c - the places that workers fill, and filling them again.
 *
 * Between two turns a slot of a running master has a child or its respawn timer runs. */
#include "proc/master.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	ADMIN_SLOTS = 1
};

static const char *slot_name(const struct crew__slot *slot)
{
	return slot->master->generation->settings->service[slot->service].service->name;
}

struct crew__slot *crew__slot_of(struct crew__master *master, const struct crew__child *child)
{
	return &master->slots[master->first_slot[child->service] + child->id];
}

static void on_respawn(struct crew__timer *timer)
{
	struct crew__slot *slot = crew__container_of(timer, struct crew__slot, respawn);
	crew__slot_fill(slot);
	crew__master_sync(slot->master);
}

static void add_slot(struct crew__master *master, unsigned service, unsigned id)
{
	master->slots[master->slot_count++] = (struct crew__slot){
		.master = master,
		.service = service,
		.id = id,
		.respawn = { .fn = on_respawn },
	};
}

int crew__slots_init(struct crew__master *master)
{
	const struct crew__settings *settings = master->generation->settings;
	size_t count = 0;
	for (unsigned i = 0; i < settings->services; i++) {
		master->first_slot[i] = (unsigned)count;
		count += (size_t)settings->service[i].workers;
		if (count > CREW__LIVES_MAX / 2)
			return -ENOSPC;
	}
	/* They never move, as timers know where they are. */
	master->slots = calloc(count + ADMIN_SLOTS, sizeof(master->slots[0]));
	if (!master->slots)
		return -ENOMEM;
	for (unsigned service = 0; service < settings->services; service++)
		for (unsigned id = 0; id < settings->service[service].workers; id++)
			add_slot(master, service, id);
	return 0;
}

void crew__slots_add_last(struct crew__master *master, unsigned service)
{
	master->first_slot[service] = master->slot_count;
	add_slot(master, service, 0);
}

/* Its worker, if there is one, is on its way out and not this slot's any more. */
void crew__slots_drop_last(struct crew__master *master)
{
	struct crew__slot *slot = &master->slots[--master->slot_count];
	crew__slot_stop_waiting(slot);
	if (slot->vacancy)
		crew__registry_close(master->registry, slot->vacancy);
	slot->vacancy = NULL;
	slot->child = NULL;
	slot->next = NULL;
}

void crew__slot_stop_waiting(struct crew__slot *slot)
{
	crew__timer_stop(slot->master->loop, &slot->respawn);
}

void crew__slots_fini(struct crew__master *master)
{
	for (unsigned i = 0; i < master->slot_count; i++)
		crew__slot_stop_waiting(&master->slots[i]);
	free(master->slots);
	master->slots = NULL;
	master->slot_count = 0;
}

/* While a slot waits, `status` shows it all the same; without a row for it nothing else changes. */
static void show_vacancy(struct crew__slot *slot)
{
	const struct crew__generation *generation = slot->master->generation;
	const struct crew__life_plan plan = {
		.settings = &generation->settings->service[slot->service],
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
	if (status == 0)
		return;
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
