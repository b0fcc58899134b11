/* giving.c - the worker that leaves: which connections go, and what becomes of those under way. */
#include "proc/passing.h"

#include "base/check.h"
#include "base/clock.h"
#include "stats/memfd.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	LOOK_EACH_MS = 20,
	INLINE_MOST = CREW__WIRE_MAX - sizeof(struct crew__pass),
};

/* One that has left and has not been heard of. */
struct passing {
	uint32_t token; /* 0: the place is free */
	int fd;
	struct crew__parcel parcel;
};

/* From READY on connections are looked at slot by slot, round after round, until a round finds none
 * that would move later. Nothing is called of the program's but at a turn's end. */
struct crew__giving {
	struct crew__loop *loop;
	crew_worker *worker;
	struct crew__source wire;
	struct crew__turn_hook hook;
	struct crew__timer look; /* at what cannot move yet, and at the time */
	bool ready, over;
	bool rests; /* until the timer: this round is over and the next one is not due */
	uint32_t slot, next_token;
	bool some_went, some_later; /* in this round */
	uint64_t *decided;          /* by slot: the id of one that stays for good */
	uint32_t slots;
	struct passing under_way[CREW__PASSING_AT_ONCE];
	unsigned count; /* of them */
	uint64_t gone, kept;
	uint64_t deadline_ns, heard_ns;
	uint64_t later_ns; /* since when only later ones are left; 0: not yet */
	void (*done)(void *arg);
	void *arg;
};

/* ---- the end ------------------------------------------------------------------------------- */

static void forget(struct crew__giving *g, struct passing *p)
{
	crew__parcel_fini(&p->parcel);
	close(p->fd);
	p->token = 0;
	g->count--;
}

static void stays(struct crew__giving *g, uint64_t id)
{
	uint32_t slot = (uint32_t)(id >> 32) & 0xfffffu;
	if (slot < g->slots)
		g->decided[slot] = id;
	crew__handover_count_kept(g->worker);
	g->kept++;
}

/* It was not taken: it lives on here. */
static void bring_back(struct crew__giving *g, struct passing *p)
{
	uint64_t id;
	int error = crew__handover_take(g->worker,
		(crew_bytes){ p->parcel.bytes.data, p->parcel.bytes.len }, p->fd, NULL, NULL, &id);
	if (error == 0) {
		p->fd = -1;
		stays(g, id);
	} else {
		crew__log(CREW_ERROR,
			"a connection that was not taken over cannot be brought back: %s; it ends",
			strerror(-error));
	}
	crew__parcel_fini(&p->parcel);
	if (p->fd >= 0)
		close(p->fd);
	p->token = 0;
	g->count--;
}

static void hear(struct crew__giving *g, struct crew__message *message);

/* From here on no answer can be sent to us; those that were are read. */
static void shut(struct crew__giving *g)
{
	static struct crew__message message; /* large; one loop, one thread */
	int fd = g->wire.fd;
	if (fd < 0)
		return;
	shutdown(fd, SHUT_RDWR);
	while (crew__wire_receive(fd, &message) == 1)
		hear(g, &message);
	crew__loop_remove(g->loop, &g->wire);
	close(fd);
}

void crew__giving_end(struct crew__giving *g)
{
	if (g->over)
		return;
	g->over = true;
	shut(g);
	for (unsigned i = 0; i < CREW__PASSING_AT_ONCE; i++)
		if (g->under_way[i].token != 0)
			bring_back(g, &g->under_way[i]);
	crew__timer_stop(g->loop, &g->look);
	crew__loop_remove_hook(g->loop, &g->hook);
	if (g->gone + g->kept == 0)
		return;
	crew__log(CREW_INFO, "%llu connections handed over, %llu stayed",
		(unsigned long long)g->gone, (unsigned long long)g->kept);
	crew__handover_note(g->worker, g->gone, g->kept);
}

static void finish(struct crew__giving *g)
{
	if (g->over)
		return;
	crew__giving_end(g);
	g->done(g->arg);
}

/* ---- what the taker says ------------------------------------------------------------------- */

static struct passing *find(struct crew__giving *g, uint32_t token)
{
	for (unsigned i = 0; i < CREW__PASSING_AT_ONCE; i++)
		if (token != 0 && g->under_way[i].token == token)
			return &g->under_way[i];
	return NULL;
}

static void take_ready(struct crew__giving *g, const struct crew__message *message)
{
	struct crew__pass_ready ready;
	if (message->length < sizeof(ready))
		return;
	memcpy(&ready, message->payload, sizeof(ready));
	g->ready = ready.version == CREW__PASSING_VERSION;
}

static void take_answer(struct crew__giving *g, const struct crew__message *message)
{
	struct crew__passed passed;
	if (message->length < sizeof(passed))
		return;
	memcpy(&passed, message->payload, sizeof(passed));
	struct passing *p = find(g, passed.token);
	if (!p)
		return;
	if (message->type == CREW__MSG_PASS_TAKEN) {
		g->gone++;
		forget(g, p);
	} else {
		bring_back(g, p);
	}
}

static void hear(struct crew__giving *g, struct crew__message *message)
{
	crew__message_release(message);
	g->heard_ns = crew__clock_ns();
	if (message->type == CREW__MSG_PASS_READY)
		take_ready(g, message);
	else if (message->type == CREW__MSG_PASS_TAKEN || message->type == CREW__MSG_PASS_REFUSED)
		take_answer(g, message);
}

static void on_wire(struct crew__source *source, unsigned events)
{
	static struct crew__message message; /* large; one loop, one thread */
	struct crew__giving *g = crew__container_of(source, struct crew__giving, wire);
	(void)events;
	for (;;) {
		int got = crew__wire_receive(source->fd, &message);
		if (got == -EAGAIN)
			return;
		if (got <= 0) {
			finish(g);
			return;
		}
		hear(g, &message);
	}
}

/* ---- one connection ------------------------------------------------------------------------ */

/* Descriptors to go with the packet: the connection, and what describes it where that is long. */
static int describe(const struct crew__parcel *parcel, int *ret_memory)
{
	void *memory;
	*ret_memory = -1;
	if (parcel->bytes.len <= INLINE_MOST)
		return 0;
	int error = crew__memfd_new("crew-pass", parcel->bytes.len, ret_memory, &memory);
	if (error)
		return error;
	memcpy(memory, parcel->bytes.data, parcel->bytes.len);
	munmap(memory, parcel->bytes.len);
	return 0;
}

static int send_pass(
	struct crew__giving *g, uint32_t token, int conn_fd, const struct crew__parcel *parcel)
{
	struct crew__pass pass = { .token = token, .length = parcel->bytes.len };
	char payload[CREW__WIRE_MAX];
	size_t length = sizeof(pass);
	int fds[2] = { conn_fd, -1 };
	int error = describe(parcel, &fds[1]);
	if (error)
		return error;
	memcpy(payload, &pass, sizeof(pass));
	if (fds[1] < 0) {
		memcpy(payload + length, parcel->bytes.data, parcel->bytes.len);
		length += parcel->bytes.len;
	}
	error = crew__wire_send(
		g->wire.fd, CREW__MSG_PASS, payload, length, fds, fds[1] < 0 ? 1 : 2);
	if (fds[1] >= 0)
		close(fds[1]);
	return error;
}

static struct passing *free_place(struct crew__giving *g)
{
	for (unsigned i = 0; i < CREW__PASSING_AT_ONCE; i++)
		if (g->under_way[i].token == 0)
			return &g->under_way[i];
	return NULL;
}

/* Once its packet is in the taker's socket it is not here any more. False: nothing more goes by
 * this wire now. */
static bool pass(struct crew__giving *g, crew_conn *c, struct crew__parcel *take_parcel)
{
	struct passing *p = free_place(g);
	uint32_t token = ++g->next_token;
	if (token == 0)
		token = ++g->next_token;
	int error = send_pass(g, token, crew_fd(c), take_parcel);
	if (error == 0) {
		if (g->count++ == 0)
			g->heard_ns = crew__clock_ns(); /* it had nothing to say before */
		*p = (struct passing){ token, crew__conn_give_away(c), *take_parcel };
		g->some_went = true;
		return true;
	}
	crew__conn_stays(c);
	crew__parcel_fini(take_parcel);
	bool again = error == -EAGAIN;
	bool broken = error == -EPIPE || error == -ECONNRESET;
	if (again)
		g->some_later = true;
	else if (!broken)
		stays(g, crew_id(c));
	return !again && !broken;
}

static bool give(struct crew__giving *g, crew_conn *c)
{
	struct crew__parcel parcel;
	uint64_t id = crew_id(c);
	crew__parcel_init(&parcel, crew__handover_most(g->worker));
	int error = crew__handover_pack(c, &parcel);
	if (error == 0)
		return pass(g, c, &parcel);
	crew__parcel_fini(&parcel);
	if (error == -EAGAIN)
		g->some_later = true;
	else
		stays(g, id);
	return true;
}

/* ---- all of them --------------------------------------------------------------------------- */

/* The next one that can go now; NULL: the round is over. */
static crew_conn *next(struct crew__giving *g)
{
	uint32_t high = (uint32_t)crew__min(crew__handover_slots(g->worker), g->slots);
	while (g->slot < high) {
		crew_conn *c = crew__handover_at(g->worker, g->slot++);
		if (!c || g->decided[g->slot - 1] == crew_id(c))
			continue;
		if (crew__handover_movable(c) == CREW__MOVES)
			return c;
		g->some_later = true;
	}
	return NULL;
}

/* Is another round to come? While some go, at once: others may have come where it had passed. */
static bool end_round(struct crew__giving *g)
{
	bool later = g->some_later, went = g->some_went;
	uint64_t now = crew__clock_ns();
	g->slot = 0;
	g->some_later = false;
	g->some_went = false;
	g->rests = !went;
	if (went || !later) {
		g->later_ns = 0;
		return went;
	}
	if (g->later_ns == 0)
		g->later_ns = now;
	return now < g->later_ns + CREW__PASSING_LATER_MS * CREW__NS_PER_MS;
}

static int look_again(struct crew__giving *g)
{
	uint64_t due = crew__clock_ns() + LOOK_EACH_MS * CREW__NS_PER_MS;
	return crew__timer_start(g->loop, &g->look, due);
}

/* At the turn's end, when no connection is amid anything of the turn's. */
static bool on_turn_end(struct crew__turn_hook *hook)
{
	struct crew__giving *g = crew__container_of(hook, struct crew__giving, hook);
	while (g->ready && !g->rests && g->count < CREW__PASSING_AT_ONCE) {
		crew_conn *c = next(g);
		if (c && !give(g, c))
			break;
		if (c)
			continue;
		if (g->count > 0)
			break; /* what comes back of them is to be looked at */
		if (end_round(g))
			continue;
		finish(g);
		break;
	}
	return false;
}

/* Time passes: the taker says nothing, or the worker has to leave. */
static void on_look(struct crew__timer *timer)
{
	struct crew__giving *g = crew__container_of(timer, struct crew__giving, look);
	uint64_t now = crew__clock_ns();
	bool waits = !g->ready || g->count > 0;
	bool silent = waits && now >= g->heard_ns + CREW__PASSING_SILENCE_MS * CREW__NS_PER_MS;
	if (silent)
		crew__log(CREW_WARN, "the new worker takes no connections; they drain here");
	g->rests = false; /* and its turn's end is to come */
	if (silent || now >= g->deadline_ns || look_again(g) < 0)
		finish(g);
}

/* ---- making -------------------------------------------------------------------------------- */

int crew__giving_new(struct crew__loop *loop, crew_worker *worker, int take_fd,
	void (*done)(void *arg), void *arg, struct crew__giving **ret_giving)
{
	struct crew__giving *g = calloc(1, sizeof(*g));
	uint32_t slots = crew__handover_slots_most(worker);
	uint64_t *decided = calloc(slots, sizeof(*decided));
	int error = g && decided ? 0 : -ENOMEM;
	if (!error) {
		*g = (struct crew__giving){
			.loop = loop,
			.worker = worker,
			.wire = { .fn = on_wire, .fd = take_fd },
			.hook = { .fn = on_turn_end },
			.look = { .fn = on_look },
			.decided = decided,
			.slots = slots,
			.deadline_ns = UINT64_MAX,
			.heard_ns = crew__clock_ns(),
			.done = done,
			.arg = arg,
		};
		error = look_again(g);
	}
	if (!error) {
		error = crew__loop_add(loop, &g->wire, CREW__READ);
		if (error)
			crew__timer_stop(loop, &g->look);
	}
	if (error) {
		close(take_fd);
		free(decided);
		free(g);
		return error;
	}
	crew__loop_add_hook(loop, &g->hook);
	*ret_giving = g;
	return 0;
}

void crew__giving_until(struct crew__giving *g, uint64_t deadline_ns)
{
	g->deadline_ns = crew__min(g->deadline_ns, deadline_ns);
}

bool crew__giving_is_over(const struct crew__giving *g)
{
	return g->over;
}

void crew__giving_free(struct crew__giving *g)
{
	if (!g)
		return;
	crew__giving_end(g);
	free(g->decided);
	free(g);
}
