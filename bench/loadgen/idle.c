/* idle.c - mode `idle`: connections that only are there. One that the server ends fails the run; at
 * the end each must still echo a message, so that a server cannot save memory by forgetting. */
#include "gen.h"

static bool checking;

static void start(struct gen *g)
{
	g->now = now_ns();
	checking = true;
	for (unsigned i = 0; i < g->o.connections; i++) {
		struct conn *c = &g->conns[i];

		c->sent_ns = g->now;
		ws_send(g, c, run_take(&g->run, &g->o, 1));
	}
}

static void on_message(struct gen *g, struct conn *c, uint64_t sequence, unsigned sender)
{
	if (!checking || sequence != c->next_in++ || sender != (c->index & 0xffff))
		fail("connection %u: an echo of something else", c->index);
	run_answered(&g->run, &g->o, c->sent_ns, g->now);
}

static void on_bytes(struct gen *g, struct conn *c, const char *bytes, size_t len)
{
	ws_receive(g, c, bytes, len, on_message);
}

const struct mode mode_idle = {
	.name = "idle",
	.websocket = true,
	.start = start,
	.on_bytes = on_bytes,
};
