/* view_world.h - status_world.h with connections, verdicts and rings: for the tests of the commands
 * that look at connections. */
#ifndef CREW_TESTS_VIEW_WORLD_H
#define CREW_TESTS_VIEW_WORLD_H

#include "cli/connections.h"
#include "service/settings.h"
#include "stats/rings.h"
#include "status_world.h"

#include <jansson.h>
#include <stdio.h>

struct view_world {
	struct world *world;
	struct crew__stats stats[2]; /* feed#0 (life 1, pid ours) and web#0 (life 2, pid ours) */
	struct crew__settings *settings;
	uint32_t now; /* hundredths since the lives began: 100 s */
};

int view_set_up(void **state);
int view_tear_down(void **state);
#define VIEW_TEST(f) cmocka_unit_test_setup_teardown(f, view_set_up, view_tear_down)

/* What a command would be attached to, as it is now. */
const struct crew__attached *view_attached(struct view_world *w);

/* An open WebSocket connection in that slot, from 127.0.0.1:40000 + slot. Its id is
 * (life << 52) | (slot << 32) | 1. */
struct crew__record *view_open(struct view_world *w, unsigned life, uint32_t slot);
uint64_t view_id(unsigned life, uint32_t slot);
/* `queued` bytes wait for it, for a second. */
void view_queue(struct view_world *w, unsigned life, uint32_t slot, uint64_t queued);
/* Its slow record, with that verdict, in an episode of 5 s. */
struct crew__record_slow *view_slow(
	struct view_world *w, unsigned life, uint32_t slot, crew_verdict verdict);
/* It ended for that reason, so many seconds ago: leaves its slot for the ring. Fill what it
 * returns, then view_closed_done. */
struct crew__closed *view_close(
	struct view_world *w, unsigned life, uint32_t slot, crew_end_reason end);

/* What was printed to `out` since; the caller's. */
struct view_text {
	FILE *out;
	char *text;
	size_t size;
};
void view_print(struct view_text *text);
char *view_printed(struct view_text *text);
/* Parsed; fails on what is no JSON, and on a key twice. */
json_t *view_json(struct view_text *text);
void assert_has(const char *text, const char *words);
void assert_has_not(const char *text, const char *words);
/* No byte of it moves a terminal. */
void assert_printable(const char *text);

#endif
