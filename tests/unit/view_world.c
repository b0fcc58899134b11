/* Connections, verdicts and rings made by hand. */
#include "view_world.h"

#include "base/clock.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int view_set_up(void **state)
{
	struct view_world *w = calloc(1, sizeof(*w));
	char error[512];
	assert_non_null(w);
	world_set_up((void **)&w->world);
	for (uint32_t i = 0; i < 2; i++) {
		world_add(w->world, world_life(i + 1, i, 0, getpid()), NULL);
		struct crew__segment *segment = &w->world->segments[i];
		assert_int_equal(crew__segment_stats(segment, &w->stats[i]), 0);
		segment->header->began_ns = crew__clock_ns() - 100 * CREW__NS_PER_S;
	}
	struct crew__settings_source source = { .app = &world_app, .program = "shop" };
	if (crew__settings_load(&source, &w->settings, error, sizeof(error)))
		fail_msg("%s", error);
	w->now = 10000;
	*state = w;
	return 0;
}

int view_tear_down(void **state)
{
	struct view_world *w = *state;
	crew__settings_free(w->settings);
	world_tear_down((void **)&w->world);
	free(w);
	return 0;
}

const struct crew__attached *view_attached(struct view_world *w)
{
	struct crew__attached *attached = &w->world->attached;
	attached->copy_consistent = crew__directory_read(
		&w->world->directory, 1000, attached->copy);
	attached->directory = w->world->directory;
	attached->segments = w->world->segments;
	attached->segment_count = w->world->count;
	return attached;
}

static struct crew__record_address address_of(uint16_t port)
{
	struct crew__record_address address = { .port = port, .family = AF_INET };
	static const uint8_t mapped[16] = { [10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1 };
	memcpy(address.ip, mapped, sizeof(mapped));
	return address;
}

uint64_t view_id(unsigned life, uint32_t slot)
{
	return (uint64_t)life << 52 | (uint64_t)slot << 32 | 1;
}

struct crew__record *view_open(struct view_world *w, unsigned life, uint32_t slot)
{
	struct crew__stats *stats = &w->stats[life - 1];
	struct crew__record *hot = &stats->records[slot];
	crew__slab_begin(stats->slab);
	if (stats->slab->slots_high <= slot)
		atomic_store(&stats->slab->slots_high, slot + 1);
	hot->state = CREW__CONN_OPEN;
	hot->protocol = CREW__WS;
	hot->transport = CREW__TCP;
	hot->end = CREW_END_REASONS;
	hot->opened = w->now - 5000;
	hot->last_in = w->now - 1000;
	hot->last_out = w->now - 200;
	hot->bytes_in = 11;
	hot->bytes_out = 22;
	stats->cold[slot].local = address_of(7010);
	stats->cold[slot].remote = address_of((uint16_t)(40000 + slot));
	atomic_store(&hot->id, view_id(life, slot));
	crew__slab_end(stats->slab);
	return hot;
}

void view_queue(struct view_world *w, unsigned life, uint32_t slot, uint64_t queued)
{
	struct crew__record *hot = &w->stats[life - 1].records[slot];
	hot->bytes_queued = queued;
	hot->messages_queued = 40;
	hot->queued_since = w->now - 100;
}

struct crew__record_slow *view_slow(
	struct view_world *w, unsigned life, uint32_t slot, crew_verdict verdict)
{
	struct crew__record_slow *slow = &w->stats[life - 1].slow[slot];
	slow->verdict = slow->candidate = (uint8_t)verdict;
	slow->slow = true;
	slow->episodes = 3;
	slow->began = w->now - 500;
	slow->peak_bytes = 262144;
	slow->peak_messages = 77;
	slow->figures = (struct crew__slow_figures){ .at = w->now - 40,
		.window_ms = 1000,
		.segment_size = 1448,
		.peer_window_most = 65536,
		.busy_ms = 900,
		.kernel_memory = 131072,
		.kernel_memory_most = 262144,
		.unsent = 65536,
		.has_tcp = true };
	atomic_store(&slow->id, view_id(life, slot));
	return slow;
}

struct crew__closed *view_close(
	struct view_world *w, unsigned life, uint32_t slot, crew_end_reason end)
{
	struct crew__stats *stats = &w->stats[life - 1];
	struct crew__record *hot = view_open(w, life, slot);
	struct crew__closed *closed = crew__closed_next(stats->closed);
	assert_non_null(closed);
	hot->end = (uint8_t)end;
	closed->at = w->now - 300;
	memcpy(&closed->hot, hot, sizeof(*hot));
	memcpy(&closed->cold, &stats->cold[slot], sizeof(closed->cold));
	atomic_store(&hot->id, 0);
	return closed;
}

/* ---- what is printed ----------------------------------------------------------------------- */

void view_print(struct view_text *text)
{
	*text = (struct view_text){ 0 };
	text->out = open_memstream(&text->text, &text->size);
	assert_non_null(text->out);
}

char *view_printed(struct view_text *text)
{
	assert_int_equal(fclose(text->out), 0);
	return text->text;
}

json_t *view_json(struct view_text *text)
{
	json_error_t error;
	char *printed = view_printed(text);
	json_t *json = json_loads(printed, JSON_REJECT_DUPLICATES, &error);
	if (!json)
		fail_msg("%s in %s", error.text, printed);
	free(printed);
	return json;
}

void assert_has(const char *text, const char *words)
{
	if (!strstr(text, words))
		fail_msg("'%s' is not in:\n%s", words, text);
}

void assert_has_not(const char *text, const char *words)
{
	if (strstr(text, words))
		fail_msg("'%s' is in:\n%s", words, text);
}

void assert_printable(const char *text)
{
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20 && *p != '\n')
			fail_msg("a byte of %d in:\n%s", *p, text);
}
