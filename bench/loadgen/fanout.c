/* fanout.c - modes `fanout` and `stalled`: what one connection sends comes to all of them.
 *
 * The last connection publishes, and receives like the others. An operation is one delivery.
 * `fanout` is a closed loop: the next window is published when every connection has the present
 * one. `stalled` publishes at a given rate, and the first `stalled` connections never read; the
 * others must miss nothing, which the result says as `missing`. */
#include "gen.h"

#include <inttypes.h>
#include <stdio.h>

/* Publishing times by sequence; a reader further behind than this counts as broken. */
#define TIMES 65536u

static uint64_t published_ns[TIMES];
static uint64_t published;
static uint64_t outstanding; /* deliveries that have not come */
static uint64_t missing;     /* messages that a reader saw skipped */
static uint64_t next_ns;     /* when the next is due */
static uint64_t late;        /* messages published more than one interval late */

static struct conn *publisher(struct gen *g)
{
	return &g->conns[g->o.connections - 1];
}

static unsigned readers(const struct gen *g)
{
	return g->o.connections - g->o.stalled;
}

static void publish(struct gen *g, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		published_ns[(published + i) % TIMES] = g->now;
	published += count;
	outstanding += (uint64_t)count * readers(g);
	ws_send(g, publisher(g), count);
}

static void start(struct gen *g)
{
	g->now = now_ns();
	next_ns = g->now;
	publish(g, g->o.rate > 0 ? 1 : g->o.depth);
}

static void on_message(struct gen *g, struct conn *c, uint64_t sequence, unsigned sender)
{
	if (sender != (publisher(g)->index & 0xffff) || sequence < c->next_in ||
		sequence >= published || published - sequence > TIMES)
		fail("connection %u: a message that was not due", c->index);
	if (sequence > c->next_in && g->o.rate <= 0)
		fail("connection %u: messages are missing", c->index);
	missing += sequence - c->next_in;
	outstanding -= sequence - c->next_in + 1;
	c->next_in = sequence + 1;
	run_answered(&g->run, &g->o, published_ns[sequence % TIMES], g->now);
	if (!outstanding && g->o.rate <= 0 && g->run.phase != PHASE_DONE)
		publish(g, g->o.depth);
}

static void on_bytes(struct gen *g, struct conn *c, const char *bytes, size_t len)
{
	ws_receive(g, c, bytes, len, on_message);
}

static void pace(struct gen *g)
{
	uint64_t interval = (uint64_t)((double)NS_PER_SECOND / g->o.rate);

	if (g->run.phase == PHASE_DONE || g->now < next_ns + interval)
		return;
	next_ns += interval;
	if (g->now > next_ns + interval)
		late++;
	publish(g, 1);
}

static bool settled(struct gen *g)
{
	(void)g;
	return outstanding == 0;
}

static void print(struct gen *g)
{
	printf(",\"published\":%" PRIu64 ",\"readers\":%u,\"stalled\":%u,\"missing\":%" PRIu64
	       ",\"late\":%" PRIu64,
		published, readers(g), g->o.stalled, missing, late);
}

const struct mode mode_fanout = {
	.name = "fanout",
	.websocket = true,
	.start = start,
	.on_bytes = on_bytes,
};

const struct mode mode_stalled = {
	.name = "stalled",
	.websocket = true,
	.start = start,
	.on_bytes = on_bytes,
	.on_turn = pace,
	.settled = settled,
	.print = print,
};
