/* fuzz_handover.c - a connection as another worker describes it: whatever the bytes are, it lives
 * here with all invariants, or nothing of it does. The first byte chooses the service. */
#include "fuzz.h"

#include "service/handover.h"
#include "service/inner.h"
#include "stats/segment.h"

#include <sys/socket.h>
#include <unistd.h>

enum {
	SERVICES = 2
};

static const crew_service services[SERVICES] = {
	{ .name = "plain", .listen = "ws://127.0.0.1:1", .conn_size = 8, .handover_plain = true },
	{ .name = "lines", .listen = "text://127.0.0.1:1" },
};

static struct {
	struct crew__loop *loop;
	struct crew__segment segments[SERVICES];
	struct crew__service_settings settings[SERVICES];
	crew_worker *workers[SERVICES];
} here;

static void make(unsigned i)
{
	here.settings[i] = (struct crew__service_settings){
		.service = &services[i],
		.listen = (char *)(uintptr_t)services[i].listen,
		.workers = 1,
		.max_connections = 4,
		.max_message = 1 << 16,
		.max_send_buffer = 1 << 16,
		.heartbeat_ms = 30000,
		.max_head = 16 << 10,
		.offload_threads = 1,
		.offload_queue = 1,
	};
	const struct crew__segment_plan segment = { .service = services[i].name,
		.listen = "",
		.life = i + 1,
		.generation = 1,
		.slots = 8 };
	struct crew__worker_plan plan = { .loop = here.loop, .settings = &here.settings[i] };
	crew__must(crew__segment_new(&segment, &here.segments[i]) == 0);
	crew__must(crew__segment_stats(&here.segments[i], &plan.stats) == 0);
	crew__must(crew__worker_new(&plan, &here.workers[i]) == 0);
	crew__must(crew__worker_start(here.workers[i]) == 0);
}

static void begin(void)
{
	if (here.loop)
		return;
	crew__must(crew__loop_new(CREW__ENGINE_AUTO, &here.loop) == 0);
	for (unsigned i = 0; i < SERVICES; i++)
		make(i);
}

static void turn(struct crew__net *net)
{
	crew__loop_turn(here.loop, 0);
	crew__net_check(net);
}

/* It works, or ends of what it was said to be amid. */
static void live(crew_worker *w, uint64_t id, int peer)
{
	char room[4096];
	crew__net_check(&w->net);
	crew_send(crew_find(id), CREW_BYTES("one more"));
	turn(&w->net);
	(void)!write(peer, "\x81\x80\0\0\0\0\n", 7);
	turn(&w->net);
	while (recv(peer, room, sizeof(room), MSG_DONTWAIT) > 0)
		turn(&w->net);
	if (crew_find(id))
		crew_abort(crew_find(id));
	turn(&w->net);
	crew__must(w->net.stats.slab->connections == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int pair[2];
	begin();
	crew_worker *w = here.workers[take_byte(&data, &size) % SERVICES];
	char *copy = copy_of(data, size);
	uint64_t id;
	crew__must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
	int error = crew__handover_take(w, (crew_bytes){ copy, size }, pair[0], NULL, NULL, &id);
	free(copy);
	if (error)
		close(pair[0]);
	else
		live(w, id, pair[1]);
	crew__net_check(&w->net);
	close(pair[1]);
	return 0;
}
