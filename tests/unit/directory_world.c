/* A directory for each test. */
#include "directory_world.h"

#include <stdlib.h>

static const crew_service feed = { .name = "feed" }, web = { .name = "web" };
const crew_service *const directory_services[] = { &feed, &web, NULL };

int directory_set_up(void **state)
{
	struct directory_fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	f->copy = malloc(sizeof(*f->copy));
	assert_non_null(f->copy);
	assert_int_equal(crew__directory_new("shop", "1.2", "daemon", "epoll", directory_services,
				 &f->directory),
		0);
	*state = f;
	return 0;
}

int directory_tear_down(void **state)
{
	struct directory_fixture *f = *state;
	crew__directory_fini(&f->directory);
	crew__directory_fini(&f->directory);
	free(f->copy);
	free(f);
	return 0;
}

const struct crew__directory_header *directory_look(struct directory_fixture *f)
{
	assert_true(crew__directory_read(&f->directory, 100000, f->copy));
	return f->copy;
}

struct crew__life directory_life(uint32_t life, uint32_t service)
{
	return (struct crew__life){
		.life = life, .service = service, .id = life + 1, .pid = 1234, .fd = 9
	};
}

struct crew__snapshot directory_work(uint64_t n)
{
	return (struct crew__snapshot){
		.counters = {
			.connections = n,
			.connections_total = 3 * n,
			.close_peer = 2 * n,
			.messages_offered = 10 * n,
			.messages_sent = 7 * n,
			.messages_queued = 2 * n,
			.send_fail = n,
			.fail_full = n,
			.bytes_queued = 50 * n,
			.timers = n,
			.slow = n,
			.slow_total = 4 * n,
			.bytes_held = 60 * n,
			.app = { n },
		},
		.measures = { [CREW__MEASURE_CALLBACK] = { .count = { [3] = n }, .sum_us = 5 * n } },
	};
}

void directory_assert_sums(const struct directory_fixture *f, const struct directory_rows *rows)
{
	for (uint32_t service = 0; service < f->copy->services; service++) {
		struct crew__slab all = { 0 };
		for (size_t i = 0; i < rows->count; i++)
			if (rows->row[i].service == service)
				crew__slab_add(&all, &rows->row[i].counters, false);
		assert_memory_equal(&all, &f->copy->retired[service], sizeof(all));
	}
}
