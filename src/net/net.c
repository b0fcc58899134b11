#include "net/net.h"

#include "base/check.h"
#include "net/budget.h"
#include "net/conn_out.h"
#include "net/conn_slow.h"
#include "net/ip_table.h"
#include "net/rate_table.h"
#include "net/splice.h"
#include "net/tls.h"
#include "net/tls_context.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the turn's end ------------------------------------------------------------------------ */

/* Open, all its bytes with the kernel, nothing to tell: most are so after a flush. */
static inline bool is_calm(const crew_conn *c)
{
	return c->flags == 0 && c->record->state == CREW__CONN_OPEN;
}

static void do_agenda_of(crew_conn *c)
{
	if (c->flags & CREW__C_DIRTY) {
		crew__conn_clear(c, CREW__C_DIRTY);
		if (!(c->flags & CREW__C_WRITING))
			crew__conn_flush(c);
		else
			crew__out_shorter(c); /* some of it may have expired */
		if (crew__likely(is_calm(c)))
			return;
	}
	if (c->flags & CREW__C_FEED) {
		crew__conn_clear(c, CREW__C_FEED);
		crew__conn_feed(c);
	}
	if (c->record->state == CREW__CONN_CLOSED)
		return;
	crew__conn_tell(c);
	crew__conn_advance(c);
	crew__conn_watch(c);
}

/* What gets onto the agenda while it is worked through waits for the next turn, which then comes
 * without waiting. */
static __attribute__((noinline)) bool do_agenda(struct crew__net *net)
{
	crew_conn *list = net->agenda;
	net->agenda = NULL;
	net->agenda_tail = &net->agenda;
	while (list) {
		crew_conn *c = list;
		list = c->next_agenda;
		__builtin_prefetch(list);
		crew__conn_clear(c, CREW__C_ON_AGENDA);
		if (c->flags & CREW__C_DOOMED)
			crew__conn_free(c);
		else
			do_agenda_of(c);
	}
	return net->agenda != NULL;
}

static __attribute__((noinline)) bool end_busy_turn(struct crew__net *net)
{
	bool again = net->agenda && do_agenda(net);
	if (crew__unlikely(net->looked_at))
		crew__slow_turn(net);
	crew__budget_turn(net);
	net->table->held += net->pieces.held - net->held_told;
	net->held_told = net->pieces.held;
	net->stats.slab->bytes_held = crew__net_held(net);
	/* A stage of the budget, and connections that are looked at, concern every turn. */
	net->pieces.changed = net->budget.stage > 0 || net->looked_at;
	return again;
}

/* Most turns leave nothing behind. */
static bool on_turn_end(struct crew__turn_hook *hook)
{
	struct crew__net *net = crew__container_of(hook, struct crew__net, hook);
	net->ended_turn = net->clock->turn;
	if (crew__likely(!net->agenda && !net->pieces.changed))
		return false;
	return end_busy_turn(net);
}

/* ---- making and ending --------------------------------------------------------------------- */

static void release_slots(struct crew__slots *table)
{
	if (!table || --table->nets > 0)
		return;
	free(table->conns);
	free(table->free);
	free(table->uses);
	free(table->rare);
	free(table->transports);
	free(table);
}

/* NULL without memory. What no slot needs costs none. */
static struct crew__slots *make_slots(size_t slots)
{
	struct crew__slots *table = calloc(1, sizeof(*table));
	if (!table)
		return NULL;
	table->nets = 1;
	table->conns = calloc(slots, sizeof(crew_conn *));
	table->free = calloc(slots, sizeof(uint32_t));
	table->uses = calloc(slots, sizeof(uint32_t));
	table->rare = calloc(slots, sizeof(struct crew__rare));
	table->transports = calloc(slots, sizeof(void *));
	bool all = table->conns && table->free && table->uses && table->rare && table->transports;
	if (all)
		return table;
	release_slots(table);
	return NULL;
}

static int take_slots(struct crew__net *net, struct crew__net *shares)
{
	net->table = shares ? shares->table : make_slots(net->stats.slots);
	if (!net->table)
		return -ENOMEM;
	if (shares)
		net->table->nets++;
	net->slots = net->table->conns;
	net->rare = net->table->rare;
	return 0;
}

static int allocate(struct crew__net *net, struct crew__net *shares)
{
	if (take_slots(net, shares) < 0)
		return -ENOMEM;
	net->cork.data = malloc(CREW__CORK_MOST);
	net->cork.ends = malloc(CREW__CORK_ENDS * sizeof(uint32_t));
	net->read_buffer = malloc(CREW__READ_MOST);
	for (size_t i = 0; i < CREW__BURSTS; i++)
		if (crew__burst_init(&net->bursts[i]) < 0)
			return -ENOMEM;
	return net->cork.data && net->cork.ends && net->read_buffer ? 0 : -ENOMEM;
}

static void release(struct crew__net *net)
{
	crew__timer_stop(net->loop, &net->expiry);
	crew__wheel_free(net->wheel);
	crew__ip_table_free(net->ips);
	crew__rate_table_free(net->rates);
	crew__piece_pool_fini(&net->pieces);
	release_slots(net->table);
	crew__tls_context_unref(net->tls);
	crew__tls_shared_free(net->tls_shared);
	crew__pipes_free(net->pipes);
	for (size_t i = 0; i < CREW__BURSTS; i++)
		crew__burst_fini(&net->bursts[i]);
	free(net->cork.data);
	free(net->cork.ends);
	free(net->read_buffer);
}

static const uint64_t nothing;

int crew__net_init(struct crew__net *net, const struct crew__net_plan *plan)
{
	*net = (struct crew__net){
		.loop = plan->loop,
		.ops = plan->ops,
		.owner = plan->owner,
		.limits = plan->limits,
		.ext_size = plan->ext_size,
		.stats = plan->stats,
		.protocol = plan->protocol,
		.transport = plan->transport,
		.proxied = plan->proxied,
		.shared_held = plan->shared_held ? plan->shared_held : &nothing,
		.hook.fn = on_turn_end,
		.expiry.fn = crew__policy_on_expiry,
		.clock = crew__loop_clock(plan->loop),
	};
	net->now_turn = net->clock->turn - 1;
	net->ended_turn = net->clock->turn - 1;
	net->cork.control_turn = net->clock->turn - 1;
	net->budget.cut_turn = net->clock->turn - 1;
	net->agenda_tail = &net->agenda;
	int error = allocate(net, plan->shares);
	if (!error)
		error = crew__wheel_new(
			net->loop, net->stats.began_ns, crew__conn_on_wheel, net, &net->wheel);
	if (!error && net->limits.max_connections_per_ip > 0)
		error = crew__ip_table_new(net->stats.slots, &net->ips);
	if (error) {
		release(net);
		return error;
	}
	crew__budget_set(net);
	crew__loop_add_hook(net->loop, &net->hook);
	return 0;
}

static void apply_to(crew_conn *c, const struct crew__limits *limits)
{
	struct crew__rare *rare = crew__conn_rare(c);
	if (rare->unauthenticated && limits->auth_timeout > 0) {
		rare->limit = crew__conn_unauthenticated_limit(c->net);
		crew__conn_deadline(c, c->record->opened + limits->auth_timeout);
	} else if (rare->unauthenticated) {
		crew__conn_authenticated(c);
	}
	if (!rare->own_rate && ((c->flags & CREW__C_CAPPED) || limits->rate_bytes > 0 ||
				       limits->rate_messages > 0))
		crew__conn_set_rate(c, limits->rate_bytes, limits->rate_messages);
	crew__policy_shrunk(c); /* below another soft_limit, or */
	crew__policy_grown(c);  /* above it */
	crew__slow_note_bounds(c);
	crew__conn_deadline(c, crew__net_now(c->net) + 1); /* whatever deadline is another now */
	crew__conn_agenda(c, CREW__C_DIRTY);
}

void crew__net_set_limits(struct crew__net *net, const struct crew__limits *limits)
{
	net->limits = *limits;
	crew__budget_set(net);
	for (uint32_t slot = 0; slot < crew__net_high(net); slot++) {
		crew_conn *c = crew__net_at(net, slot);
		if (c && c->record->state <= CREW__CONN_OPEN && crew__conn_own_queue(c))
			apply_to(c, limits);
	}
}

void crew__net_fini(struct crew__net *net)
{
	for (uint32_t slot = 0; slot < crew__net_high(net); slot++)
		if (crew__net_at(net, slot))
			crew__conn_abort(net->slots[slot], CREW_END_DRAIN);
	while (net->agenda)
		do_agenda(net);
	crew__loop_remove_hook(net->loop, &net->hook);
	net->table->held -= net->held_told;
	release(net);
}

/* ---- slots --------------------------------------------------------------------------------- */

static bool take_slot(struct crew__net *net, uint32_t *ret_slot)
{
	struct crew__slots *table = net->table;
	if (table->free_count > 0) {
		*ret_slot = table->free[--table->free_count];
		return true;
	}
	if (table->high == net->stats.slots)
		return false;
	*ret_slot = table->high++;
	atomic_store_explicit(&net->stats.slab->slots_high, table->high, memory_order_relaxed);
	return true;
}

static uint64_t new_id(struct crew__net *net, uint32_t slot)
{
	uint32_t *uses = &net->table->uses[slot];
	if (++*uses == 0)
		*uses = 1;
	return (uint64_t)(net->stats.life & 0xfff) << 52 | (uint64_t)slot << 32 | *uses;
}

/* A service may listen on ports and on Unix sockets at once. */
static uint8_t transport_of(const struct crew__net *net, const struct crew__record_address *local)
{
	bool stream = net->transport == CREW__TCP || net->transport == CREW__UNIX;
	if (!stream || !local || local->family == AF_UNSPEC)
		return net->transport;
	return local->family == AF_UNIX ? CREW__UNIX : CREW__TCP;
}

static void fill_record(struct crew__net *net, uint32_t slot,
	const struct crew__record_address *remote, const struct crew__record_address *local)
{
	static const struct crew__record_address nowhere;
	struct crew__record *r = &net->stats.records[slot];
	uint32_t now = crew__net_now(net);
	memset(r, 0, sizeof(*r));
	r->last_in = now;
	r->last_out = now;
	r->opened = now;
	r->state = CREW__CONN_HANDSHAKE;
	r->protocol = net->protocol;
	r->transport = transport_of(net, local);
	r->end = CREW_END_REASONS;
	net->stats.cold[slot] = (struct crew__record_cold){
		.remote = remote ? *remote : nowhere,
		.local = local ? *local : nowhere,
	};
}

static void count_opened(struct crew__net *net, uint32_t slot)
{
	struct crew__slab *s = net->stats.slab;
	crew__slab_begin(s);
	s->connections++;
	s->connections_total++;
	atomic_store_explicit(
		&net->stats.records[slot].id, new_id(net, slot), memory_order_relaxed);
	crew__slab_end(s);
}

/* What the service says of every connection from its first moment on. */
static void begin_limited(crew_conn *c)
{
	const struct crew__limits *limits = &c->net->limits;
	if (limits->rate_bytes > 0 || limits->rate_messages > 0)
		crew__conn_set_rate(c, limits->rate_bytes, limits->rate_messages);
	if (crew__unlikely(c->net->budget.stage >= CREW__BUDGET_STOPS_READING))
		c->flags |= CREW__C_OVER_BUDGET;
	if (limits->auth_timeout == 0)
		return;
	struct crew__rare *rare = crew__conn_touch(c);
	rare->unauthenticated = true;
	rare->limit = crew__conn_unauthenticated_limit(c->net);
	c->flags |= CREW__C_TIGHT;
	crew__conn_deadline(c, c->record->opened + limits->auth_timeout);
}

/* In a slot of its own, with its limits, counted; `fd` -1: it has none. NULL with errno. */
static crew_conn *make(struct crew__net *net, int fd, unsigned io,
	const struct crew__record_address *remote, const struct crew__record_address *local)
{
	uint32_t slot;
	if (!take_slot(net, &slot)) {
		errno = EMFILE;
		return NULL;
	}
	fill_record(net, slot, remote, local);
	crew_conn *c = crew__conn_new(net, fd, slot, io);
	if (!c) {
		net->table->free[net->table->free_count++] = slot;
		errno = ENOMEM;
		return NULL;
	}
	net->slots[slot] = c;
	begin_limited(c);
	count_opened(net, slot);
	return c;
}

crew_conn *crew__net_new_conn(struct crew__net *net, unsigned io,
	const struct crew__record_address *remote, const struct crew__record_address *local)
{
	return make(net, -1, io, remote, local);
}

/* ---- from another process (conn_move.c) ---- */

crew_conn *crew__net_prepare(struct crew__net *net, const struct crew__record_address *remote,
	const struct crew__record_address *local)
{
	uint32_t slot;
	if (!take_slot(net, &slot)) {
		errno = EMFILE;
		return NULL;
	}
	fill_record(net, slot, remote, local);
	crew_conn *c = crew__conn_new(net, -1, slot, CREW__IO_SOCKET);
	if (!c) {
		net->table->free[net->table->free_count++] = slot;
		errno = ENOMEM;
	}
	return c;
}

void crew__net_unprepare(crew_conn *c)
{
	struct crew__net *net = c->net;
	crew__must(net->slots[c->slot] == NULL && crew__queue_empty(&c->queue));
	net->table->free[net->table->free_count++] = c->slot;
	crew__buf_release(&c->in);
	c->magic = 0;
	free(c);
}

void crew__net_take_over(crew_conn *c, uint64_t bytes, uint32_t messages)
{
	struct crew__net *net = c->net;
	struct crew__slab *s = net->stats.slab;
	net->slots[c->slot] = c;
	crew__slab_begin(s);
	s->connections++;
	s->taken_over++;
	s->messages_taken_over += messages;
	s->messages_queued += messages;
	s->bytes_queued += bytes;
	c->record->messages_queued = messages;
	c->record->bytes_queued = bytes;
	atomic_store_explicit(&c->record->id, new_id(net, c->slot), memory_order_relaxed);
	crew__slab_end(s);
}

/* It speaks TLS first, or is the protocol's at once; a PROXY header comes before both. */
static void accepted(crew_conn *c)
{
	struct crew__net *net = c->net;
	if (!net->tls || net->proxied) {
		net->ops->on_accepted(c);
		return;
	}
	SSL *ssl = crew__tls_accept(net->tls);
	if (!ssl || crew__conn_start_tls(c, ssl, (crew_bytes){ NULL, 0 }) < 0)
		crew__conn_broken(c, CREW_END_MEMORY);
}

int crew__net_adopt(struct crew__net *net, int take_fd, const struct crew__record_address *remote,
	const struct crew__record_address *local)
{
	crew_conn *c = make(net, take_fd, CREW__IO_SOCKET, remote, local);
	if (!c) {
		int error = -errno;
		close(take_fd);
		return error;
	}
	if (net->proxied)
		crew__conn_touch(c)->no_client = true;
	crew__must(!net->current);
	crew__net_now(net);
	net->current = c;
	accepted(c);
	crew__conn_finish_event(c);
	return 0;
}

void crew__net_set_tls(struct crew__net *net, struct crew__tls_context *context)
{
	struct crew__tls_context *before = net->tls;
	net->tls = context ? crew__tls_context_ref(context) : NULL;
	crew__tls_context_unref(before);
}

crew_conn *crew__net_find(const struct crew__net *net, uint64_t id)
{
	uint32_t slot = (uint32_t)(id >> 32) & 0xfffffu;
	if (id >> 52 != (net->stats.life & 0xfff) || slot >= crew__net_high(net) ||
		!net->slots[slot])
		return NULL;
	return net->stats.records[slot].id == id ? net->slots[slot] : NULL;
}

bool crew__conn_comes_from(crew_conn *c, const struct crew__record_address *client)
{
	struct crew__net *net = c->net;
	if (net->ips &&
		!crew__ip_table_enter(net->ips, client, net->limits.max_connections_per_ip)) {
		net->stats.slab->refused_ip++;
		return false;
	}
	crew__conn_rare(c)->no_client = false;
	net->stats.cold[c->slot].remote = *client;
	return true;
}

uint32_t crew__net_read_clock(struct crew__net *net)
{
	net->now_turn = net->clock->turn;
	net->now = crew__wheel_now(net->wheel);
	return net->now;
}

/* ---- for tests ----------------------------------------------------------------------------- */

void crew__net_check(const struct crew__net *net)
{
	const struct crew__slab *s = net->stats.slab;
	uint64_t bytes = 0, messages = 0, connections = 0, failed = 0, closed = 0;
	for (uint32_t slot = 0; slot < crew__net_high(net); slot++) {
		const crew_conn *c = net->slots[slot];
		crew__must((c != NULL) == (net->stats.records[slot].id != 0));
		if (!c)
			continue;
		crew__conn_check(c);
		bytes += c->record->bytes_queued;
		messages += c->record->messages_queued;
		connections++;
	}
	for (unsigned i = 0; i < CREW_LOST_REASONS; i++)
		failed += (&s->fail_closed)[i];
	for (unsigned i = 0; i < CREW_END_REASONS; i++)
		closed += (&s->close_peer)[i];
	crew__must(s->bytes_queued == bytes && s->messages_queued == messages);
	crew__must(s->connections == connections);
	crew__must(s->messages_offered + s->messages_taken_over ==
		   s->messages_sent + s->messages_queued + s->messages_replaced + s->send_fail +
			   s->messages_handed_over);
	crew__must(s->send_fail == failed);
	crew__must(s->connections_total + s->taken_over ==
		   s->connections + closed + s->handed_over);
}
