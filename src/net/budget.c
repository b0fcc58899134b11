#include "net/budget.h"

#include "base/log.h"
#include "net/conn.h"
#include "stats/rings.h"

#include <stdio.h>

enum {
	PATIENCE = 500, /* hundredths: how long a stage may last without relief */
	LOOK_EVERY = 10,
	CUTS_MOST = 64,    /* in a turn */
	LEAST = 64 * 1024, /* no limit is made tighter than that */
	SLACK = 10,        /* percent below its own threshold at which a stage ends */
	TELLS_PER_SECOND = 10,
	RELIEF = 2, /* percent of the budget: less is none */
};

static const unsigned thresholds[] = { 0, 70, 80, 90, 100 }; /* percent of the budget */

/* Rounded up: of the smallest budget too, nothing held is no stage. */
static uint64_t percent(const struct crew__net *net, unsigned share)
{
	return (net->limits.budget * share + 99) / 100;
}

void crew__budget_set(struct crew__net *net)
{
	bool on = net->limits.budget > 0;
	net->budget.alarm = on ? percent(net, thresholds[CREW__BUDGET_TIGHTENS]) : UINT64_MAX;
}

/* ---- what the stages do -------------------------------------------------------------------- */

static void for_each(struct crew__net *net, void (*fn)(crew_conn *c, uint64_t arg), uint64_t arg)
{
	for (uint32_t slot = 0; slot < crew__net_high(net); slot++)
		if (crew__net_at(net, slot) && net->slots[slot]->record->state <= CREW__CONN_OPEN)
			fn(net->slots[slot], arg);
}

/* No queue that is longer than `mean` grows any further. */
static void tighten(crew_conn *c, uint64_t mean)
{
	uint64_t queued = c->record->bytes_queued;
	if (queued <= mean || queued <= LEAST || !crew__conn_own_queue(c))
		return;
	struct crew__rare *rare = crew__conn_touch(c);
	if ((c->flags & CREW__C_TIGHT) && rare->limit <= queued)
		return;
	if (c->net->current == c)
		crew__net_flush_cork(c->net);
	rare->limit = queued;
	c->flags |= CREW__C_TIGHT;
	c->net->stats.slab->budget_tightened++;
	crew_conn *from = crew__conn_pipe_from(c);
	if (from) /* what flows in is to wait there, not to be lost here */
		crew__conn_stop_reading(from, CREW__C_PIPE_FULL);
}

static void tighten_longest(struct crew__net *net)
{
	uint64_t bytes = 0, queues = 0;
	for (uint32_t slot = 0; slot < crew__net_high(net); slot++) {
		const crew_conn *c = crew__net_at(net, slot);
		uint64_t queued = c ? c->record->bytes_queued : 0;
		bytes += queued;
		queues += queued > 0;
	}
	for_each(net, tighten, queues > 1 ? bytes / queues : 0);
}

static void loosen(crew_conn *c, uint64_t unused)
{
	struct crew__rare *rare = crew__conn_rare(c);
	(void)unused;
	if (!(c->flags & CREW__C_TIGHT))
		return;
	if (rare->unauthenticated)
		rare->limit = crew__conn_unauthenticated_limit(c->net);
	else
		crew__conn_clear(c, CREW__C_TIGHT);
}

static void stop_reading(crew_conn *c, uint64_t unused)
{
	(void)unused;
	crew__conn_stop_reading(c, CREW__C_OVER_BUDGET);
}

static void go_on_reading(crew_conn *c, uint64_t unused)
{
	(void)unused;
	crew__conn_go_on_reading(c, CREW__C_OVER_BUDGET);
}

static crew_conn *longest(const struct crew__net *net)
{
	crew_conn *worst = NULL;
	for (uint32_t slot = 0; slot < crew__net_high(net); slot++) {
		crew_conn *c = crew__net_at(net, slot);
		if (c && c->record->state != CREW__CONN_CLOSED &&
			(!worst || c->record->bytes_queued > worst->record->bytes_queued))
			worst = c;
	}
	return worst && worst->record->bytes_queued > 0 ? worst : NULL;
}

static bool cut_one(struct crew__net *net)
{
	crew_conn *worst = longest(net);
	if (!worst)
		return false;
	net->stats.slab->budget_cut++;
	crew__conn_abort(worst, CREW_END_MEMORY);
	return true;
}

/* ---- the stages ---------------------------------------------------------------------------- */

static unsigned stage_for(const struct crew__net *net)
{
	uint64_t held = crew__net_held(net);
	unsigned stage = net->budget.stage;
	while (stage < CREW__BUDGET_CUTS && held >= percent(net, thresholds[stage + 1]))
		stage++;
	while (stage > 0 && held < percent(net, thresholds[stage] - SLACK))
		stage--;
	return stage;
}

/* Peers that come again as soon as they were ended may bring about many stages in a second. */
static void tell(struct crew__net *net, unsigned stage)
{
	char left_out[CREW__LEFT_OUT_MAX];
	static const char *const deeds[] = { "all is taken again",
		"the longest queues may grow no further", "nothing is read",
		"new connections are refused", "the longest queues are ended" };
	const struct crew__event event = {
		.kind = CREW__EVENT_BUDGET,
		.values = { stage, crew__net_held(net), net->limits.budget },
	};
	if (!crew__log_may(&net->budget.told, TELLS_PER_SECOND, left_out))
		return;
	crew__events_add(net->stats.events, &event);
	crew__log(stage > net->budget.stage ? CREW_WARN : CREW_INFO,
		"send queues hold %llu of %llu bytes (buffer_budget): %s; `top` and `connections --sort "
		"send_queue` show whose they are%s",
		(unsigned long long)crew__net_held(net), (unsigned long long)net->limits.budget,
		deeds[stage], left_out);
}

static void enter(struct crew__net *net, unsigned stage)
{
	unsigned before = net->budget.stage;
	tell(net, stage);
	net->budget.stage = (uint8_t)stage;
	net->budget.since = crew__net_now(net);
	net->budget.held_then = crew__net_held(net);
	if (stage >= CREW__BUDGET_STOPS_READING && before < CREW__BUDGET_STOPS_READING) {
		net->stats.slab->budget_paused++;
		for_each(net, stop_reading, 0);
	} else if (stage < CREW__BUDGET_STOPS_READING && before >= CREW__BUDGET_STOPS_READING) {
		for_each(net, go_on_reading, 0);
	}
	if (stage == CREW__BUDGET_CALM)
		for_each(net, loosen, 0);
}

/* Shared bytes go with the last queue that waits for them, so that many cuts may free little: not
 * all connections in one turn. */
bool crew__budget_cut(struct crew__net *net)
{
	uint64_t enough = percent(net, thresholds[CREW__BUDGET_REFUSES]);
	bool again = net->budget.cut_turn == net->clock->turn;
	if (net->budget.stage < CREW__BUDGET_CUTS) { /* all was spent within a turn */
		enter(net, CREW__BUDGET_CUTS);
		net->pieces.changed = true; /* the turn's end is to look at it */
	}
	net->budget.cut_turn = net->clock->turn;
	for (int i = 0; i < CUTS_MOST && !again && crew__net_held(net) > enough; i++)
		if (!cut_one(net))
			break;
	return crew__net_held(net) >= net->limits.budget;
}

/* Nobody who holds it lets go of much, and the others are not read from: not for the sake of some
 * who take a little now and then, nor one by one, when there are thousands. */
static void lose_patience(struct crew__net *net, uint32_t now)
{
	uint64_t relief = percent(net, RELIEF), then = net->budget.held_then;
	uint64_t enough = then > relief ? then - relief : 0;
	for (int i = 0; i < CUTS_MOST && crew__net_held(net) > enough; i++)
		if (!cut_one(net))
			break;
	net->budget.held_then = crew__net_held(net);
	net->budget.since = now;
}

void crew__budget_look(struct crew__net *net)
{
	uint32_t now = crew__net_now(net);
	if (net->limits.budget == 0 && net->budget.stage == 0)
		return;
	unsigned stage = net->limits.budget > 0 ? stage_for(net) : CREW__BUDGET_CALM;
	if (stage == net->budget.stage && now - net->budget.looked < LOOK_EVERY)
		return;
	net->budget.looked = now;
	if (stage != net->budget.stage)
		enter(net, stage);
	if (stage >= CREW__BUDGET_TIGHTENS)
		tighten_longest(net);
	if (stage == CREW__BUDGET_CUTS)
		crew__budget_cut(net);
	if (stage >= CREW__BUDGET_STOPS_READING && now - net->budget.since >= PATIENCE)
		lose_patience(net, now);
}
