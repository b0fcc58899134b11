#include "service_world.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void fill_defaults(struct crew__service_settings *s, const crew_service *service)
{
	*s = (struct crew__service_settings){
		.service = service,
		.listen = (char *)(uintptr_t)service->listen,
		.workers = 1,
		.max_connections = 64,
		.max_message = 1 << 20,
		.max_send_buffer = 1 << 20,
		.kernel_unsent_limit = 128 * 1024,
		.handshake_timeout_ms = 10000,
		.heartbeat_ms = 30000,
		.linger_ms = 50,
		.drain_timeout_ms = 30000,
		.stop_timeout_ms = 2000,
		.min_body_rate = 500,
		.max_head = 16 << 10,
		.gzip = 1 << 10,
		.offload_threads = 2,
		.offload_queue = 8,
	};
}

bool world_open(struct world *world, const crew_service *service, enum crew__engine_kind engine,
	void (*adjust)(struct crew__service_settings *settings))
{
	memset(world, 0, sizeof(*world));
	signal(SIGPIPE, SIG_IGN); /* as in every worker: splice(2) knows no MSG_NOSIGNAL */
	world->segment.fd = -1;
	fill_defaults(&world->settings, service);
	if (adjust)
		adjust(&world->settings);
	const struct crew__segment_plan plan = {
		.service = service->name,
		.listen = "test",
		.life = 7,
		.generation = 1,
		.slots = (uint32_t)crew__max(64, (size_t)world->settings.max_connections),
	};
	struct crew__worker_plan worker = { .settings = &world->settings, .generation = 1 };
	if (crew__loop_new(engine, &world->loop) < 0)
		return false;
	worker.loop = world->loop;
	if (crew__segment_new(&plan, &world->segment) < 0 ||
		crew__segment_stats(&world->segment, &worker.stats) < 0 ||
		crew__worker_new(&worker, &world->worker) < 0 ||
		crew__worker_start(world->worker) < 0) {
		world_close(world);
		return false;
	}
	return true;
}

void world_close(struct world *world)
{
	if (world->worker)
		crew__worker_free(world->worker);
	crew__segment_fini(&world->segment);
	crew__loop_free(world->loop);
	memset(world, 0, sizeof(*world));
}

int world_connect(struct world *world)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	int small = 8 * 1024;
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	if (crew__net_adopt(&world->worker->net, pair[0], NULL, NULL) == 0)
		return pair[1];
	close(pair[1]);
	return -1;
}

void world_turn(struct world *world, int max_wait_ms)
{
	crew__loop_turn(world->loop, max_wait_ms);
	crew__net_check(&world->worker->net);
}

void world_settle(struct world *world)
{
	for (int i = 0; i < 50; i++)
		world_turn(world, 0);
}

crew_conn *world_conn(struct world *world, uint32_t slot)
{
	return world->worker->net.slots[slot];
}
