#include "net/balance.h"

#include "base/check.h"
#include "base/clock.h"
#include "net/listener.h"

#include <poll.h>

enum {
	SLACK = 4,         /* so many more than a sibling are nothing, */
	SLACK_PART = 16,   /* and one in so many of its */
	IN_VAIN = 8,       /* looks in a row at which somebody waits: no sibling takes them, */
	HELP = 4,          /* and so many are taken at each look from then on */
	FIRST_LOOK_MS = 1, /* also while something changes */
	LAST_LOOK_MS = 32  /* while nothing does */
};

static uint64_t slack(uint64_t fewest)
{
	return SLACK + fewest / SLACK_PART;
}

static uint64_t own(const struct crew__balance *balance)
{
	return balance->net->stats.slab->connections;
}

/* One that is full would have to refuse: a sibling that has fewer is to be asked first. */
static uint64_t enough(const struct crew__balance *balance, uint64_t fewest)
{
	uint64_t full = balance->net->limits.max_connections;
	if (fewest == UINT64_MAX)
		return UINT64_MAX;
	uint64_t level = fewest + slack(fewest);
	return level > full && fewest < full ? full : level;
}

/* ---- standing back, and coming back -------------------------------------------------------- */

static void come_back(struct crew__balance *balance)
{
	struct crew__node *head = &balance->listeners;
	if (!balance->stands_back)
		return;
	balance->stands_back = false;
	balance->net->stats.slab->standing_back = 0;
	crew__timer_stop(balance->net->loop, &balance->look);
	for (struct crew__node *n = head->next; n != head; n = n->next)
		crew__listener_watch(crew__container_of(n, struct crew__listener, node));
}

static bool look_in(struct crew__balance *balance, uint64_t wait_ns)
{
	uint64_t due = crew__loop_ns(balance->net->loop) + wait_ns;
	return crew__timer_start(balance->net->loop, &balance->look, due) == 0;
}

static void stand_back(struct crew__balance *balance)
{
	struct crew__node *head = &balance->listeners;
	balance->wait_ns = FIRST_LOOK_MS * CREW__NS_PER_MS;
	if (!look_in(balance, balance->wait_ns))
		return;
	balance->stands_back = true;
	balance->waited = 0;
	balance->last = (struct crew__siblings){ 0, 0 };
	balance->net->stats.slab->standing_back = 1;
	for (struct crew__node *n = head->next; n != head; n = n->next)
		crew__listener_ignore(crew__container_of(n, struct crew__listener, node));
}

/* ---- looking ------------------------------------------------------------------------------- */

/* Half of the slack on the way back, so that one connection more or less does not change it. */
static bool is_level(const struct crew__balance *balance, uint64_t fewest)
{
	return fewest == UINT64_MAX ||
	       (own(balance) <= fewest + slack(fewest) / 2 &&
		       (own(balance) < balance->net->limits.max_connections ||
			       own(balance) <= fewest));
}

static bool is_waited_for(const struct crew__listener *listener)
{
	struct pollfd one = { .fd = listener->fd, .events = POLLIN };
	return poll(&one, 1, 0) == 1;
}

/* Not at once: a sibling may be just about to take them. */
static void help(struct crew__balance *balance)
{
	struct crew__node *head = &balance->listeners;
	bool waits = false;
	for (struct crew__node *n = head->next, *after; n != head; n = after) {
		struct crew__listener *listener = crew__container_of(
			n, struct crew__listener, node);
		after = n->next;
		if (!is_waited_for(listener))
			continue;
		waits = true;
		if (balance->waited >= IN_VAIN &&
			own(balance) < balance->net->limits.max_connections)
			crew__listener_accept(listener, HELP);
		if (listener->fd < 0) /* the worker has stopped meanwhile */
			break;
	}
	balance->waited = waits ? balance->waited + 1 : 0;
}

static void on_look(struct crew__timer *timer)
{
	struct crew__balance *balance = crew__container_of(timer, struct crew__balance, look);
	struct crew__siblings now = balance->siblings(balance->arg);
	if (crew__list_empty(&balance->listeners) || is_level(balance, now.listening)) {
		come_back(balance);
		return;
	}
	help(balance);
	bool calm = now.all == balance->last.all && now.listening == balance->last.listening &&
		    balance->waited == 0;
	balance->last = now;
	balance->wait_ns = calm ? crew__min(balance->wait_ns * 2, LAST_LOOK_MS * CREW__NS_PER_MS)
				: FIRST_LOOK_MS * CREW__NS_PER_MS;
	if (!look_in(balance, balance->wait_ns))
		come_back(balance);
}

/* --------------------------------------------------------------------------------------------- */

void crew__balance_init(struct crew__balance *balance, struct crew__net *net,
	struct crew__siblings (*siblings)(void *arg), void *arg)
{
	*balance = (struct crew__balance){
		.net = net, .siblings = siblings, .arg = arg, .look.fn = on_look
	};
	crew__list_init(&balance->listeners);
}

unsigned crew__balance_share(struct crew__balance *balance, unsigned most)
{
	balance->enough = enough(balance, balance->siblings(balance->arg).all);
	uint64_t has = own(balance);
	uint64_t share = has < balance->enough ? balance->enough - has : 1;
	return share < most ? (unsigned)share : most;
}

void crew__balance_accepted(struct crew__balance *balance)
{
	if (own(balance) >= balance->enough && !balance->stands_back &&
		!crew__list_empty(&balance->listeners))
		stand_back(balance);
}

void crew__balance_fini(struct crew__balance *balance)
{
	crew__must(crew__list_empty(&balance->listeners));
	crew__timer_stop(balance->net->loop, &balance->look);
	balance->stands_back = false;
	balance->net->stats.slab->standing_back = 0;
}
