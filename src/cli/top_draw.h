/* top_draw.h - the screen of `top`, drawn into a page of any size.
 *
 *   the program, its load, its rates, what is wrong with the numbers
 *   the workers: at most a third of the screen; those that are not ready come first
 *   the connections in their order, or the explanation of one of them
 *   a line for questions and answers, and the keys */
#ifndef CREW_CLI_TOP_DRAW_H
#define CREW_CLI_TOP_DRAW_H

#include "cli/top_keys.h"
#include "cli/top_page.h"

/* The whole screen; `look` may be NULL. Writes down in `state` what it showed of how much. */
void crew__top_draw(
	struct crew__page *page, struct crew__top_state *state, const struct crew__top_look *look);

/* Without keys and cursor: every worker and the first `most` connections, all cells whole. 0 or
 * -ENOMEM. */
int crew__top_print(const struct crew__top_look *look, const struct crew__top_order *order,
	size_t most, FILE *out);

#endif
