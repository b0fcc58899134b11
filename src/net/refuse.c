#include "net/refuse.h"

#include "net/address.h"
#include "net/rate_table.h"
#include "stats/rings.h"

#include <inttypes.h>
#include <stdio.h>

/* Made when it is needed first, as the limit may be set while the worker runs. */
static struct crew__rate_table *get_table(struct crew__net *net, const char *name)
{
	char left_out[CREW__LEFT_OUT_MAX];
	if (crew__likely(net->rates) || crew__rate_table_new(&net->rates) == 0)
		return net->rates;
	if (crew__log_may(&net->refused.log, 1, left_out))
		crew__log(CREW_WARN,
			"%s: no memory to keep connection_rate_per_ip: nobody is refused for it%s",
			name, left_out);
	return NULL;
}

static void tell(struct crew__net *net, const struct crew__record_address *from, const char *name)
{
	uint64_t limit = net->limits.connection_rate_per_ip;
	struct crew__event event = { .kind = CREW__EVENT_RATE };
	char left_out[CREW__LEFT_OUT_MAX];
	net->refused.untold++;
	if (!crew__log_may(&net->refused.log, 1, left_out))
		return;
	event.values[0] = net->refused.untold;
	event.values[1] = limit;
	crew__address_text(from, event.text, sizeof(event.text));
	crew__events_add(net->stats.events, &event);
	crew__log(CREW_WARN,
		"%s: connection from %s refused: it opens more than connection_rate_per_ip (%" PRIu64
		" a second)%s",
		name, event.text, limit, left_out);
	net->refused.untold = 0;
}

bool crew__refuse_fast(
	struct crew__net *net, const struct crew__record_address *from, const char *name)
{
	uint64_t limit = net->limits.connection_rate_per_ip;
	if (crew__likely(limit == 0))
		return false;
	struct crew__rate_table *table = get_table(net, name);
	if (!table || crew__rate_table_enter(table, from, limit, crew__loop_ns(net->loop)))
		return false;
	net->stats.slab->refused_rate++;
	tell(net, from, name);
	return true;
}
