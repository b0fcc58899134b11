/* echo.c - mode `ws`: WebSocket messages that must come back as they went, in their order; and mode
 * `tcp`: the same with nothing around them. */
#include "gen.h"

static void send_window(struct gen *g, struct conn *c)
{
	unsigned count = run_take(&g->run, &g->o, g->o.depth);

	if (!count)
		return;
	c->waiting = count;
	c->sent_ns = g->now;
	ws_send(g, c, count);
}

static void start(struct gen *g)
{
	g->now = now_ns();
	for (unsigned i = 0; i < g->o.connections; i++)
		send_window(g, &g->conns[i]);
}

static void on_message(struct gen *g, struct conn *c, uint64_t sequence, unsigned sender)
{
	if (!c->waiting || sequence != c->next_in || sender != (c->index & 0xffff))
		fail("connection %u: an echo of something else", c->index);
	c->next_in++;
	c->waiting--;
	run_answered(&g->run, &g->o, c->sent_ns, g->now);
	if (!c->waiting)
		send_window(g, c);
}

static void on_bytes(struct gen *g, struct conn *c, const char *bytes, size_t len)
{
	ws_receive(g, c, bytes, len, on_message);
}

const struct mode mode_tcp = {
	.name = "tcp",
	.raw = true,
	.start = start,
	.on_bytes = on_bytes,
};

const struct mode mode_ws = {
	.name = "ws",
	.websocket = true,
	.start = start,
	.on_bytes = on_bytes,
};
