/* registry.c - the master's side of the statistics: making, naming and folding lives. */
#include "proc/registry.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

enum {
	SLOTS_MAX = (1 << 20) - 1
};

int crew__registry_new(const struct crew__settings *settings, const char *mode, const char *engine,
	struct crew__registry **ret_registry)
{
	struct crew__registry *registry = calloc(1, sizeof(*registry));
	if (!registry)
		return -ENOMEM;
	const crew_app *app = settings->app;
	const crew_service *services[CREW_MAX_SERVICES + 1] = { NULL };
	for (unsigned i = 0; i < settings->services; i++)
		services[i] = settings->service[i].service;
	int status = crew__directory_new(settings->name, app->version ? app->version : "0", mode,
		engine, services, &registry->directory);
	if (status < 0) {
		free(registry);
		return status;
	}
	for (unsigned i = 0; i < CREW__LIVES_MAX; i++)
		registry->entries[i].segment.fd = -1;
	*ret_registry = registry;
	return 0;
}

static void free_entry(struct crew__registry *registry, struct crew__entry *entry)
{
	crew__segment_fini(&entry->segment);
	memset(entry, 0, sizeof(*entry));
	entry->segment.fd = -1;
	while (registry->used > 0 && registry->entries[registry->used - 1].life.life == 0)
		registry->used--;
}

void crew__registry_free(struct crew__registry *registry)
{
	if (!registry)
		return;
	for (unsigned i = registry->used; i-- > 0;)
		if (registry->entries[i].life.life != 0)
			free_entry(registry, &registry->entries[i]);
	crew__directory_fini(&registry->directory);
	free(registry);
}

int crew__registry_find(const struct crew__registry *registry, const char *service)
{
	const struct crew__directory_header *header = registry->directory.header;
	for (unsigned place = 0; place < header->services; place++)
		if (strcmp(header->service[place], service) == 0)
			return (int)place;
	return -ENOENT;
}

int crew__registry_place(struct crew__registry *registry, const char *service)
{
	int found = crew__registry_find(registry, service);
	if (found >= 0)
		return found;
	unsigned place = registry->directory.header->services;
	int status = crew__directory_service(&registry->directory, place, service);
	return status < 0 ? status : (int)place;
}

static struct crew__entry *find_free(struct crew__registry *registry)
{
	for (unsigned i = 0; i < CREW__LIVES_MAX; i++) {
		if (registry->entries[i].life.life != 0)
			continue;
		if (i >= registry->used)
			registry->used = i + 1;
		return &registry->entries[i];
	}
	return NULL;
}

/* Room for as many connections as are allowed; a record that is never used costs no memory. */
static uint32_t slots_for(const struct crew__service_settings *settings)
{
	int64_t most = settings->max_connections;
	return most <= 0 || most > SLOTS_MAX ? SLOTS_MAX : (uint32_t)most;
}

static int make_segment(
	const struct crew__life_plan *plan, uint32_t life, struct crew__segment *ret_segment)
{
	const struct crew__segment_plan segment = {
		.service = plan->settings->service->name,
		.listen = plan->listen ? plan->listen : "",
		.life = life,
		.id = plan->id,
		.generation = plan->generation,
		.slots = slots_for(plan->settings),
		.counters = plan->counters,
	};
	return crew__segment_new(&segment, ret_segment);
}

static int take_entry(struct crew__registry *registry, struct crew__entry **ret_entry)
{
	uint32_t life;
	int status = crew__directory_reserve(&registry->directory, &life);
	if (status < 0)
		return status;
	struct crew__entry *entry = find_free(registry);
	if (!entry)
		return -ENOSPC;
	entry->life.life = life;
	*ret_entry = entry;
	return 0;
}

int crew__registry_vacant(struct crew__registry *registry, const struct crew__life_plan *plan,
	struct crew__entry **ret_entry)
{
	int status = take_entry(registry, ret_entry);
	if (status < 0)
		return status;
	struct crew__entry *entry = *ret_entry;
	entry->is_vacancy = true;
	entry->life = (struct crew__life){
		.life = entry->life.life,
		.service = plan->service,
		.id = plan->id,
		.generation = plan->generation,
		.fd = -1,
		.state = CREW__EXITED,
	};
	crew__directory_enter(&registry->directory, &entry->life);
	return 0;
}

int crew__registry_begin(struct crew__registry *registry, const struct crew__life_plan *plan,
	struct crew__entry *vacancy, struct crew__entry **ret_entry)
{
	struct crew__entry *entry = vacancy;
	int status = vacancy ? 0 : take_entry(registry, &entry);
	if (status < 0)
		return status;
	status = make_segment(plan, entry->life.life, &entry->segment);
	if (status < 0) {
		crew__registry_cancel(registry, entry);
		return status;
	}
	entry->serial = ++registry->serials;
	entry->slots = slots_for(plan->settings);
	entry->life = (struct crew__life){
		.life = entry->life.life,
		.service = plan->service,
		.id = plan->id,
		.generation = plan->generation,
		.fd = entry->segment.fd,
		.state = CREW__STARTING,
	};
	*ret_entry = entry;
	return 0;
}

void crew__registry_note(struct crew__registry *registry, struct crew__entry *entry, pid_t pid,
	enum crew__worker_state state)
{
	entry->is_vacancy = false;
	entry->life.pid = pid;
	entry->life.state = state;
	atomic_store_explicit(&entry->segment.header->pid, pid, memory_order_relaxed);
	crew__directory_enter(&registry->directory, &entry->life);
}

void crew__registry_due(struct crew__registry *registry, struct crew__entry *entry, uint64_t due_ns)
{
	entry->life.next_ns = due_ns;
	crew__directory_enter(&registry->directory, &entry->life);
}

void crew__registry_young(struct crew__registry *registry, struct crew__entry *entry,
	unsigned young, uint64_t next_ns)
{
	if (entry->life.young == young && entry->life.next_ns == next_ns)
		return;
	entry->life.young = young;
	entry->life.next_ns = next_ns;
	crew__directory_enter(&registry->directory, &entry->life);
}

void crew__registry_end(struct crew__registry *registry, struct crew__entry *entry, int status,
	int signal, struct crew__snapshot *ret_last)
{
	/* The writer is dead: what is odd now stays odd, so there is nothing to wait for. */
	crew__segment_read(&entry->segment, crew__clock_ns(), 0, ret_last);
	const char *service = registry->directory.header->service[entry->life.service];
	/* Once buried the laws must hold, whatever update its death cut in two. */
	struct crew__slab buried = ret_last->counters;
	const char *law;
	crew__slab_bury(&buried);
	if (!crew__slab_lawful(&buried, &law))
		crew__log(CREW_WARN,
			"%s#%u left counters that do not add up: %s; they are kept as they are",
			service, entry->life.id, law);
	crew__directory_retire(
		&registry->directory, entry->life.life, ret_last, service, status, signal);
	free_entry(registry, entry);
}

void crew__registry_cancel(struct crew__registry *registry, struct crew__entry *entry)
{
	if (!entry->is_vacancy) {
		free_entry(registry, entry);
		return;
	}
	crew__segment_fini(&entry->segment);
	entry->serial = 0;
	entry->life.fd = -1;
	entry->life.state = CREW__EXITED;
}

void crew__registry_close(struct crew__registry *registry, struct crew__entry *vacancy)
{
	crew__directory_leave(&registry->directory, vacancy->life.life);
	free_entry(registry, vacancy);
}

unsigned crew__entry_index(const struct crew__registry *registry, const struct crew__entry *entry)
{
	return (unsigned)(entry - registry->entries);
}
