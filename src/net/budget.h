/* budget.h - what all queues of a worker may hold, and what is done in stages as that is spent.
 *
 *   stage   from    what is done                                       counted
 *   1       70 %    the longest queues may grow no further             budget_tightened
 *   2       80 %    nothing is read                                    budget_paused
 *   3       90 %    new connections are refused (503, close 1013)      refused_budget
 *   4       100 %   the longest queues end, until 90 % are left        budget_cut
 *
 * A stage ends when 10 % less than it needs is held. One that lasts for BUDGET_PATIENCE without
 * less being held cuts the longest queue as stage 4 does, so that peers that never read cannot keep
 * the others from being served. What is held is memory: shared bytes count once. */
#ifndef CREW_NET_BUDGET_H
#define CREW_NET_BUDGET_H

#include "net/net.h"

enum {
	CREW__BUDGET_CALM,
	CREW__BUDGET_TIGHTENS,
	CREW__BUDGET_STOPS_READING,
	CREW__BUDGET_REFUSES,
	CREW__BUDGET_CUTS,
};

/* At the turn's end: does what is held ask for another stage? */
void crew__budget_look(struct crew__net *net);
static inline void crew__budget_turn(struct crew__net *net)
{
	if (crew__unlikely(crew__net_held(net) >= net->budget.alarm || net->budget.stage > 0))
		crew__budget_look(net);
}

/* All is spent: the longest queues are ended. True when that was not enough for one more message.
 */
bool crew__budget_cut(struct crew__net *net);
static inline bool crew__budget_spent(struct crew__net *net)
{
	uint64_t budget = net->limits.budget;
	return crew__unlikely(budget > 0 && crew__net_held(net) >= budget) && crew__budget_cut(net);
}

/* New connections are to be refused. */
static inline bool crew__budget_refuses(const struct crew__net *net)
{
	return crew__unlikely(net->budget.stage >= CREW__BUDGET_REFUSES);
}

/* limits.budget has been set. */
void crew__budget_set(struct crew__net *net);

#endif
