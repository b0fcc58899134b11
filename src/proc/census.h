/* census.h - the numbers of a whole service, asked for inside one of its workers.
 *
 * The living and the retired: the directory says who lives and what the dead have left, the
 * segments of the living are mapped here as they come and go. Nobody is asked and nothing blocks,
 * however many workers are stuck. Totals never run backward: who counts is decided by one
 * consistent copy of the directory, in which a life is either living or folded. */
#ifndef CREW_PROC_CENSUS_H
#define CREW_PROC_CENSUS_H

#include "loop/loop.h"
#include "net/net.h"
#include "stats/directory.h"

struct crew__census;

/* `directory` and `loop` are borrowed; the loop's time tells one turn from the next. -ENOMEM. */
int crew__census_new(const struct crew__directory *directory, const struct crew__loop *loop,
	const crew_counter *counters, struct crew__census **ret_census);
void crew__census_free(struct crew__census *census); /* NULL is allowed */

/* Place `index` holds this life now. Its numbers are read anew for every question: for lives of
 * this very process, whose segment is borrowed. */
void crew__census_set_own(struct crew__census *census, unsigned index, uint32_t life,
	const struct crew__segment *segment);
/* The same for a life elsewhere, by its read-only segment; takes `fd` over in every case. Read once
 * a turn. 0; -EINVAL for an index or life out of range; an errno of mapping it. */
int crew__census_set(struct crew__census *census, unsigned index, uint32_t life, int take_fd);
/* The place is empty. */
void crew__census_clear(struct crew__census *census, unsigned index);

/* The other living workers of this one's service. A few loads for each. Who is not ready, or stands
 * still in a turn, is passed over. */
struct crew__siblings crew__census_siblings(struct crew__census *census);

/* 0 for a name that is unknown. */
uint64_t crew__census_counter(
	struct crew__census *census, const crew_service *service, const char *name);

#endif
