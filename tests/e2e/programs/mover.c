/* mover.c - services whose connections move to the new workers at a reload, each with numbers of
 * its own that must never be lost, doubled or mixed up.
 *
 *   plain  WebSockets; what is known of a guest are bytes, which move as they are
 *   told   lines; what is known lies on the heap, and moves by on_handover and on_restore
 *   local  the same on a Unix socket
 *   own    a protocol of its own, whose state moves as it is: digits up to a full stop
 *   apart  WebSockets whose windows go on from message to message
 *
 * A guest says:
 *   NUMBER      its next one, from 1: answered "NUMBER GENERATION"; a wrong one ends the program
 *   push        from now on "p NUMBER", counted from 1, every few milliseconds, until
 *   hush
 *   flood N L   N messages "f NUMBER xxx...", counted on, of about L bytes, at once
 *   rate N      at most so many bytes a second
 *   stay, die   on_handover, on_restore refuses it
 *   fate N      the worker that it moves to gets signal N when it comes
 *   who         "ID OLD_ID GENERATION RESTORED" */
#include <crew/crew.h>

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	RESTORED,
	LEFT,
	CLOSED
};

struct guest {
	uint64_t heard, pushed, flooded, old_id, restored;
	int fate;
	bool push, stay, die;
};

/* The services that keep their guests on the heap have a pointer. */
static bool on_heap(const crew_conn *c)
{
	return crew_service_of(c)->on_restore != NULL;
}

static struct guest *guest_of(crew_conn *c)
{
	return on_heap(c) ? *(struct guest **)crew_data(c) : crew_data(c);
}

static void say(crew_conn *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(crew_conn *c, const char *format, ...)
{
	static char text[1 << 20];
	va_list arguments;
	va_start(arguments, format);
	int n = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	crew_send(c, (crew_bytes){ text, (size_t)n });
}

static void on_open_heap(crew_conn *c)
{
	*(struct guest **)crew_data(c) = calloc(1, sizeof(struct guest));
}

static void on_close(crew_conn *c)
{
	bool left = crew_close_reason(c) == CREW_END_HANDED_OVER;
	crew_count(crew_worker_of(c), left ? LEFT : CLOSED, 1);
	if (on_heap(c))
		free(guest_of(c));
}

static int on_handover(crew_conn *c, crew_handover *h)
{
	struct guest *guest = guest_of(c);
	return guest->stay
		       ? -EPERM
		       : crew_handover_put(h, (crew_bytes){ (const char *)guest, sizeof(*guest) });
}

static int on_restore(crew_conn *c, uint64_t old_id, crew_bytes state)
{
	if (state.len != sizeof(struct guest))
		abort();
	on_open_heap(c);
	struct guest *guest = guest_of(c);
	memcpy(guest, state.data, sizeof(*guest));
	guest->old_id = old_id;
	guest->restored++;
	crew_count(crew_worker_of(c), RESTORED, 1);
	int fate = guest->fate;
	guest->fate = 0;
	if (fate)
		raise(fate);
	return guest->die ? -EPERM : 0;
}

static void push_to(crew_conn *c, void *arg)
{
	(void)arg;
	struct guest *guest = guest_of(c);
	char text[32];
	if (!guest->push || crew_queued(c) > 65536)
		return;
	int n = snprintf(text, sizeof(text), "p %" PRIu64, guest->pushed + 1);
	if (crew_send(c, (crew_bytes){ text, (size_t)n }) >= 0)
		guest->pushed++;
}

static void push_all(crew_worker *w, void *arg)
{
	(void)arg;
	crew_each(crew_worker_service(w), push_to, NULL);
}

static int on_worker_start(crew_worker *w)
{
	return crew_timer_every(w, 5, push_all, NULL) < 0 ? -ENOMEM : 0;
}

static void flood(crew_conn *c, struct guest *guest, unsigned count, unsigned length)
{
	static char filler[65536];
	memset(filler, 'x', sizeof(filler) - 1);
	for (unsigned i = 0; i < count; i++)
		say(c, "f %" PRIu64 " %.*s", ++guest->flooded, (int)length, filler);
}

static void on_message(crew_conn *c, crew_msg msg)
{
	struct guest *guest = guest_of(c);
	unsigned generation = crew_worker_generation(crew_worker_of(c));
	char text[64];
	unsigned a = 0, b = 0;
	snprintf(text, sizeof(text), "%.*s", (int)msg.body.len, msg.body.data);
	if (text[0] >= '0' && text[0] <= '9') {
		uint64_t number = strtoull(text, NULL, 10);
		if (number != ++guest->heard) {
			crew_log(CREW_ERROR, "heard %" PRIu64 " instead of %" PRIu64, number,
				guest->heard);
			abort();
		}
		say(c, "%" PRIu64 " %u", number, generation);
	} else if (strcmp(text, "push") == 0) {
		guest->push = true;
	} else if (strcmp(text, "hush") == 0) {
		guest->push = false;
		say(c, "hushed");
	} else if (sscanf(text, "flood %u %u", &a, &b) == 2) {
		flood(c, guest, a, b);
	} else if (sscanf(text, "rate %u", &a) == 1) {
		crew_set_rate(c, (int64_t)a, 0);
	} else if (strcmp(text, "stay") == 0) {
		guest->stay = true;
	} else if (strcmp(text, "die") == 0) {
		guest->die = true;
	} else if (sscanf(text, "fate %u", &a) == 1) {
		guest->fate = (int)a;
	} else if (strcmp(text, "who") == 0) {
		say(c, "%016" PRIx64 " %016" PRIx64 " %u %" PRIu64, crew_id(c), guest->old_id,
			generation, guest->restored);
	}
}

/* ---- a protocol of its own: what has been looked at is its state ---- */

static int64_t cut(crew_conn *c, crew_bytes in)
{
	uint64_t *looked = crew_protocol_state(c);
	for (size_t i = *looked; i < in.len; i++) {
		if (in.data[i] != '.')
			continue;
		*looked = 0;
		return (int64_t)i + 1;
	}
	*looked = in.len;
	return 0;
}

static int decode(crew_conn *c, crew_bytes in, crew_msg *ret_msg)
{
	(void)c;
	ret_msg->body = (crew_bytes){ in.data, in.len - 1 };
	return 0;
}

static int encode(crew_conn *c, crew_kind kind, crew_frame *frame)
{
	(void)c;
	(void)kind;
	frame->tail = CREW_BYTES(".");
	return 0;
}

static const crew_protocol stops = {
	.name = "stops",
	.state_size = sizeof(uint64_t),
	.cut = cut,
	.decode = decode,
	.encode = encode,
};

#define PLAIN                                                                                \
	.conn_size = sizeof(struct guest), .handover = true, .handover_plain = true,         \
	.handover_version = 7, .on_worker_start = on_worker_start, .on_message = on_message, \
	.on_close = on_close
#define HEAP                                                                                   \
	.conn_size = sizeof(struct guest *), .handover = true, .on_handover = on_handover,     \
	.on_restore = on_restore, .on_worker_start = on_worker_start, .on_open = on_open_heap, \
	.on_message = on_message, .on_close = on_close

static const crew_service plain = { .name = "plain", .listen = "ws://127.0.0.1:8080", PLAIN };
static const crew_service told = { .name = "told", .listen = "text://127.0.0.1:8081", HEAP };
static const crew_service local = { .name = "local", .listen = "text+unix://RUNDIR/local", HEAP };
static const crew_service own = {
	.name = "own", .listen = "stops://127.0.0.1:8082", .protocol = &stops, PLAIN
};
static const crew_service apart = { .name = "apart",
	.listen = "ws://127.0.0.1:8083",
	.deflate = "takeover",
	.deflate_min = 1,
	PLAIN };

int main(int argc, char **argv)
{
	return crew_main(argc, argv,
		&(crew_app){
			.name = "mover",
			.services = { &plain, &told, &local, &own, &apart },
			.counters = { { "restored", "connections", "restored by a callback" },
				{ "left", "connections", "told that they were handed over" },
				{ "closed", "connections", "told that they ended" } },
		});
}
