#include "proc/chronicle.h"

#include "proc/obituary.h"
#include "stats/rings.h"

#include <stdio.h>

/* What is of no service. */
#define NO_SERVICE UINT32_MAX

static void cut_text(struct crew__event *event, const char *text)
{
	snprintf(event->text, sizeof(event->text), "%.*s", (int)sizeof(event->text) - 1, text);
}

void crew__chronicle_start(struct crew__registry *registry, const struct crew__life *life)
{
	const struct crew__event event = {
		.kind = CREW__EVENT_START,
		.service = life->service,
		.values = { life->id, life->generation, (uint64_t)life->pid },
	};
	crew__events_add(registry->directory.events, &event);
}

static void keep_death(
	const struct crew__child *child, const struct crew__death *death, const char *words)
{
	struct crew__death_entry entry = {
		.lived_ms = death->lived_ms,
		.service = child->service,
		.id = child->id,
		.generation = child->generation->number,
		.pid = child->pid,
		.status = death->status,
		.signal = death->signal,
		.callback = death->last.callback,
		.dumped_core = death->dumped_core,
		.frames = (uint32_t)crew__min(death->stack.frames, CREW__DEATH_FRAMES),
	};
	snprintf(entry.words, sizeof(entry.words), "%.*s", (int)sizeof(entry.words) - 1, words);
	for (uint32_t i = 0; i < entry.frames; i++)
		crew__frame_text(&death->stack.frame[i], entry.frame[i]);
	crew__deaths_add(child->family->registry->directory.deaths, &entry);
}

void crew__chronicle_death(const struct crew__child *child, const struct crew__death *death)
{
	struct crew__event event = {
		.kind = CREW__EVENT_DEATH,
		.service = child->service,
		.values = { child->id, child->generation->number, (uint64_t)child->pid,
			(uint64_t)death->signal, (uint64_t)death->status },
	};
	char words[1400];
	crew__death_words(child, death, words, sizeof(words));
	cut_text(&event, words);
	crew__events_add(child->family->registry->directory.events, &event);
	if (!child->expected || death->signal != 0 || death->status != 0)
		keep_death(child, death, words);
}

void crew__chronicle_recycle(const struct crew__child *child, const char *why)
{
	struct crew__event event = {
		.kind = CREW__EVENT_RECYCLE,
		.service = child->service,
		.values = { child->id, child->generation->number, (uint64_t)child->pid },
	};
	cut_text(&event, why);
	crew__events_add(child->family->registry->directory.events, &event);
}

void crew__chronicle_stall(const struct crew__child *child, enum crew__event_kind kind,
	uint64_t lasted_ms, const char *where)
{
	struct crew__event event = {
		.kind = (uint8_t)kind,
		.service = child->service,
		.values = { child->id, child->generation->number, (uint64_t)child->pid, lasted_ms,
			child->guarded.stall.callback },
	};
	cut_text(&event, where);
	crew__events_add(child->family->registry->directory.events, &event);
}

void crew__chronicle_crash_loop(struct crew__registry *registry, const struct crew__life *life,
	unsigned young, uint64_t wait_ms, const char *text)
{
	struct crew__event event = {
		.kind = CREW__EVENT_CRASH_LOOP,
		.service = life->service,
		.values = { life->id, life->generation, (uint64_t)life->pid, young, wait_ms },
	};
	cut_text(&event, text);
	crew__events_add(registry->directory.events, &event);
}

void crew__chronicle_reload(struct crew__registry *registry, unsigned generation,
	enum crew__reload_step step, const char *text)
{
	struct crew__event event = {
		.kind = CREW__EVENT_RELOAD,
		.service = NO_SERVICE,
		.values = { generation, (uint64_t)step },
	};
	cut_text(&event, text);
	crew__events_add(registry->directory.events, &event);
}

void crew__chronicle_certificates(
	struct crew__registry *registry, unsigned service, const char *why)
{
	struct crew__event event = { .kind = CREW__EVENT_TLS, .service = service };
	cut_text(&event, why);
	crew__events_add(registry->directory.events, &event);
}

void crew__chronicle_stop(struct crew__registry *registry, const char *text)
{
	struct crew__event event = { .kind = CREW__EVENT_STOP, .service = NO_SERVICE };
	cut_text(&event, text);
	crew__events_add(registry->directory.events, &event);
}
