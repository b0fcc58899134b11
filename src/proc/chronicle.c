#include "proc/chronicle.h"

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

void crew__chronicle_death(const struct crew__child *child, const struct crew__death *death)
{
	struct crew__event event = {
		.kind = CREW__EVENT_DEATH,
		.service = child->service,
		.values = { child->id, child->generation->number, (uint64_t)child->pid,
			(uint64_t)death->signal, (uint64_t)death->status },
	};
	cut_text(&event, death->last_words[0] ? death->last_words : child->failure);
	crew__events_add(child->family->registry->directory.events, &event);
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
