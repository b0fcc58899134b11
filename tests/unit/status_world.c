/* A directory and segments made by hand. */
#include "status_world.h"

#include "base/clock.h"

#include <stdlib.h>
#include <unistd.h>

static const crew_service feed = { .name = "feed", .listen = "ws://:7010" };
static const crew_service web = { .name = "web", .listen = "http://:8080" };
const crew_app world_app = {
	.name = "shop",
	.version = "1.2",
	.services = { &feed, &web },
	.counters = { { "orders", "orders", "orders taken" },
		{ "refunds", "refunds", "paid back" } },
};

int world_set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	assert_non_null(w);
	assert_int_equal(crew__directory_new("shop", "1.2", "daemon", "epoll", world_app.services,
				 &w->directory),
		0);
	crew__directory_generation(&w->directory, 1, NULL);
	w->attached.copy = calloc(1, sizeof(*w->attached.copy));
	assert_non_null(w->attached.copy);
	w->attached.master = getpid();
	w->attached.master_answers = true;
	w->now_ns = w->directory.header->began_ns + 100 * CREW__NS_PER_S;
	*state = w;
	return 0;
}

int world_tear_down(void **state)
{
	struct world *w = *state;
	for (size_t i = 0; i < w->count; i++)
		crew__segment_fini(&w->segments[i]);
	crew__directory_fini(&w->directory);
	free(w->attached.copy);
	free(w);
	return 0;
}

struct crew__slab *world_add(struct world *w, struct crew__life life, const crew_counter *counters)
{
	struct crew__stats stats;
	struct crew__segment *segment = &w->segments[w->count];
	struct crew__segment_plan plan = {
		.service = world_app.services[life.service]->name,
		.listen = world_app.services[life.service]->listen,
		.life = life.life,
		.id = life.id,
		.generation = life.generation,
		.slots = 16,
		.counters = counters,
	};
	assert_int_equal(crew__segment_new(&plan, segment), 0);
	assert_int_equal(crew__segment_stats(segment, &stats), 0);
	atomic_store(&segment->header->pid, life.pid);
	atomic_store(&stats.slab->state, life.state);
	crew__directory_enter(&w->directory, &life);
	w->slabs[w->count++] = stats.slab;
	return stats.slab;
}

struct crew__life world_life(uint32_t number, uint32_t service, uint32_t id, pid_t pid)
{
	return (struct crew__life){ .life = number,
		.service = service,
		.id = id,
		.generation = 1,
		.pid = pid,
		.fd = -1,
		.state = CREW__READY };
}

struct crew__status *world_take(struct world *w)
{
	struct crew__status *status;
	w->attached.copy_consistent = crew__directory_read(&w->directory, 1000, w->attached.copy);
	w->attached.directory = w->directory;
	w->attached.segments = w->segments;
	w->attached.segment_count = w->count;
	struct crew__status_source source = {
		.attached = &w->attached, .app = &world_app, .now_ns = w->now_ns
	};
	assert_int_equal(crew__status_new(&source, &status), 0);
	return status;
}

void world_work(struct crew__slab *slab, uint64_t n)
{
	crew__slab_begin(slab);
	slab->connections += 2 * n;
	slab->connections_total += 3 * n;
	slab->close_peer += n;
	slab->total_request += 10 * n;
	slab->messages_offered += 20 * n;
	slab->messages_sent += 12 * n;
	slab->messages_queued += 3 * n;
	slab->bytes_queued += 300 * n;
	slab->send_fail += 5 * n;
	slab->fail_full += 4 * n;
	slab->fail_closed += n;
	slab->app[0] += 7 * n;
	crew__slab_end(slab);
}
