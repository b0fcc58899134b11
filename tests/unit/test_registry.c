/* test_registry.c - lives that come and go, and a service's totals as its workers see them. */
#include "proc/registry.h"

#include "base/clock.h"
#include "proc/census.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const crew_service one = { .name = "one" }, two = { .name = "two" },
			  unknown = { .name = "three" };
static const crew_app app = {
	.services = { &one, &two },
	.counters = { { .name = "ticks", .unit = "ticks", .help = "ticks" } },
};

struct world {
	struct crew__settings settings;
	struct crew__registry *registry;
	struct crew__directory directory; /* as a worker has it */
	struct crew__loop *loop;
	struct crew__census *census;
};

static int make_world(void **state)
{
	static char name[] = "test";
	struct world *world = calloc(1, sizeof(*world));
	assert_non_null(world);
	*state = world;
	world->settings = (struct crew__settings){ .app = &app, .services = 2, .name = name };
	for (int i = 0; i < 2; i++)
		world->settings.service[i] = (struct crew__service_settings){
			.service = app.services[i], .max_connections = 4
		};
	if (crew__registry_new(&world->settings, "daemon", "poll", &world->registry) < 0 ||
		crew__loop_new(CREW__ENGINE_AUTO, &world->loop) < 0)
		return -1;
	int fd = crew__directory_readonly_fd(&world->registry->directory);
	if (fd < 0 || crew__directory_open(fd, &world->directory) < 0)
		return -1;
	return crew__census_new(&world->directory, world->loop, app.counters, &world->census);
}

static int end_world(void **state)
{
	struct world *world = *state;
	crew__census_free(world->census);
	crew__directory_fini(&world->directory);
	crew__loop_free(world->loop);
	crew__registry_free(world->registry);
	free(world);
	return 0;
}

static struct crew__entry *begin(struct world *world, unsigned service, unsigned id)
{
	const struct crew__life_plan plan = {
		.counters = app.counters,
		.settings = &world->settings.service[service],
		.service = service,
		.id = id,
		.generation = 1,
	};
	struct crew__entry *entry;
	assert_int_equal(crew__registry_begin(world->registry, &plan, NULL, &entry), 0);
	crew__registry_note(world->registry, entry, 1000 + (pid_t)id, CREW__READY);
	return entry;
}

static struct crew__slab *slab_of(const struct crew__entry *entry)
{
	struct crew__stats stats;
	assert_int_equal(crew__segment_stats(&entry->segment, &stats), 0);
	return stats.slab;
}

static uint64_t ask(struct world *world, const crew_service *service, const char *name)
{
	/* A new turn, so that nothing is remembered. */
	assert_int_equal(crew__loop_turn(world->loop, 0), 0);
	return crew__census_counter(world->census, service, name);
}

/* As the master tells it. */
static void tell(struct world *world, const struct crew__entry *entry)
{
	int fd = crew__segment_readonly_fd(&entry->segment);
	assert_true(fd >= 0);
	assert_int_equal(crew__census_set(world->census, crew__entry_index(world->registry, entry),
				 entry->life.life, fd),
		0);
}

/* ---- siblings ------------------------------------------------------------------------------ */

/* A turn later, as standing still is told by the turn's time. */
static uint64_t fewest(struct world *world)
{
	assert_int_equal(crew__loop_turn(world->loop, 0), 0);
	struct crew__siblings siblings = crew__census_siblings(world->census);
	assert_int_equal(siblings.all, siblings.listening);
	return siblings.all;
}

static struct crew__slab *add_worker(
	struct world *world, unsigned service, unsigned id, uint64_t connections)
{
	struct crew__entry *entry = begin(world, service, id);
	struct crew__slab *slab = slab_of(entry);
	slab->connections = connections;
	atomic_store(&slab->state, CREW__READY);
	tell(world, entry);
	return slab;
}

static void the_sibling_with_fewest(void **state)
{
	struct world *world = *state;
	struct crew__entry *own = begin(world, 0, 0);
	assert_int_equal(fewest(world), UINT64_MAX); /* it does not even know itself */
	crew__census_set_own(world->census, crew__entry_index(world->registry, own), own->life.life,
		&own->segment);
	atomic_store(&slab_of(own)->state, CREW__READY);
	assert_int_equal(fewest(world), UINT64_MAX);
	add_worker(world, 1, 0, 1); /* of another service */
	assert_int_equal(fewest(world), UINT64_MAX);
	struct crew__slab *first = add_worker(world, 0, 1, 30),
			  *second = add_worker(world, 0, 2, 7);
	assert_int_equal(fewest(world), 7);
	second->connections = 31;
	assert_int_equal(fewest(world), 30);
	first->connections = 0;
	assert_int_equal(fewest(world), 0);
}

/* Those count that would take a connection now. */
static void siblings_that_do_not_accept(void **state)
{
	struct world *world = *state;
	struct crew__entry *own = begin(world, 0, 0);
	crew__census_set_own(world->census, crew__entry_index(world->registry, own), own->life.life,
		&own->segment);
	struct crew__slab *few = add_worker(world, 0, 1, 2);
	add_worker(world, 0, 2, 9);
	assert_int_equal(fewest(world), 2);
	for (uint32_t other = CREW__STARTING; other <= CREW__EXITED; other++) {
		atomic_store(&few->state, other);
		assert_int_equal(fewest(world), other == CREW__READY ? 2 : 9);
	}
	atomic_store(&few->state, CREW__READY);
	few->standing_back = 1;
	struct crew__siblings siblings = crew__census_siblings(world->census);
	assert_int_equal(siblings.all, 2);
	assert_int_equal(siblings.listening, 9);
	few->standing_back = 0;
	atomic_store(&few->turn_began_ns, crew__clock_ns() - CREW__NS_PER_MS);
	assert_int_equal(fewest(world), 2);
	atomic_store(&few->turn_began_ns, crew__clock_ns() - CREW__NS_PER_S);
	assert_int_equal(fewest(world), 9);
	atomic_store(&few->turn_began_ns, 0);
	assert_int_equal(fewest(world), 2);
}

static void siblings_come_and_go(void **state)
{
	struct world *world = *state;
	struct crew__entry *own = begin(world, 0, 0);
	crew__census_set_own(world->census, crew__entry_index(world->registry, own), own->life.life,
		&own->segment);
	struct crew__entry *gone = begin(world, 0, 1);
	atomic_store(&slab_of(gone)->state, CREW__READY);
	tell(world, gone);
	add_worker(world, 0, 2, 5);
	assert_int_equal(fewest(world), 0);
	crew__census_clear(world->census, crew__entry_index(world->registry, gone));
	assert_int_equal(fewest(world), 5);
	add_worker(world, 0, 3, 4);
	assert_int_equal(fewest(world), 4);
}

/* ---- the registry -------------------------------------------------------------------------- */

static void a_life_is_entered_with_its_process(void **state)
{
	struct world *world = *state;
	const struct crew__life_plan plan = {
		.settings = &world->settings.service[1], .service = 1, .id = 2, .generation = 3
	};
	struct crew__entry *entry;
	const struct crew__directory_header *header = world->directory.header;
	assert_int_equal(crew__registry_begin(world->registry, &plan, NULL, &entry), 0);
	assert_int_equal(header->lives[0].life, 0);
	assert_int_equal(entry->segment.header->slots, 4);
	crew__registry_note(world->registry, entry, 4711, CREW__STARTING);
	assert_int_equal(header->lives[0].life, entry->life.life);
	assert_int_equal(header->lives[0].pid, 4711);
	assert_int_equal(header->lives[0].service, 1);
	assert_int_equal(header->lives[0].id, 2);
	assert_int_equal(header->lives[0].generation, 3);
	assert_int_equal(header->lives[0].fd, entry->segment.fd);
	assert_int_equal(entry->segment.header->pid, 4711);
	assert_string_equal(header->mode, "daemon");
	assert_string_equal(header->engine, "poll");
}

static void a_death_folds_and_makes_room(void **state)
{
	struct world *world = *state;
	struct crew__entry *entry = begin(world, 0, 0);
	struct crew__snapshot last;
	struct crew__slab *slab = slab_of(entry);
	slab->messages_offered = 5;
	slab->messages_sent = 3;
	slab->messages_queued = 2;
	crew__registry_end(world->registry, entry, 0, 11, &last);
	assert_int_equal(last.counters.messages_queued, 2);
	const struct crew__directory_header *header = world->directory.header;
	assert_int_equal(header->lives[0].life, 0);
	assert_int_equal(header->retired[0].messages_offered, 5);
	assert_int_equal(header->retired[0].fail_crash, 2);
	assert_int_equal(header->retired[1].messages_offered, 0);
	assert_int_equal(header->exit_rows, 1);
	assert_int_equal(header->exits[0].signal, 11);
	assert_int_equal(world->registry->used, 0);
}

static void a_life_that_never_was(void **state)
{
	struct world *world = *state;
	const struct crew__life_plan plan = { .settings = &world->settings.service[0] };
	struct crew__entry *entry;
	assert_int_equal(crew__registry_begin(world->registry, &plan, NULL, &entry), 0);
	crew__registry_cancel(world->registry, entry);
	assert_int_equal(world->directory.header->exit_rows, 0);
	assert_int_equal(world->registry->used, 0);
	/* A vacancy stays one. */
	assert_int_equal(crew__registry_vacant(world->registry, &plan, &entry), 0);
	struct crew__entry *vacancy = entry;
	assert_int_equal(crew__registry_begin(world->registry, &plan, vacancy, &entry), 0);
	assert_ptr_equal(entry, vacancy);
	crew__registry_cancel(world->registry, entry);
	assert_int_equal(world->directory.header->lives[0].state, CREW__EXITED);
	assert_int_equal(vacancy->serial, 0);
	assert_int_equal(crew__registry_begin(world->registry, &plan, vacancy, &entry), 0);
}

static void there_is_an_end_to_lives(void **state)
{
	struct world *world = *state;
	const struct crew__life_plan plan = { .settings = &world->settings.service[0] };
	struct crew__entry *entry;
	for (unsigned i = 0; i < CREW__LIVES_MAX; i++)
		begin(world, 0, i);
	assert_int_equal(crew__registry_begin(world->registry, &plan, NULL, &entry), -ENOSPC);
	assert_int_equal(crew__registry_vacant(world->registry, &plan, &entry), -ENOSPC);
	assert_int_equal(world->registry->used, CREW__LIVES_MAX);
}

static void no_limit_is_the_largest_table(void **state)
{
	struct world *world = *state;
	world->settings.service[0].max_connections = 0;
	assert_int_equal(begin(world, 0, 0)->segment.header->slots, (1 << 20) - 1);
	world->settings.service[0].max_connections = INT64_MAX;
	assert_int_equal(begin(world, 0, 1)->segment.header->slots, (1 << 20) - 1);
}

/* ---- the census ---------------------------------------------------------------------------- */

static void own_others_and_retired_are_summed(void **state)
{
	struct world *world = *state;
	struct crew__entry *own = begin(world, 0, 0), *other = begin(world, 0, 1);
	struct crew__entry *elsewhere = begin(world, 1, 0);
	struct crew__snapshot last;
	crew__census_set_own(world->census, crew__entry_index(world->registry, own), own->life.life,
		&own->segment);
	tell(world, other);
	tell(world, elsewhere);
	slab_of(own)->total_request = 1;
	slab_of(own)->app[0] = 7;
	slab_of(other)->total_request = 10;
	slab_of(elsewhere)->total_request = 100;
	assert_int_equal(ask(world, &one, "total_request"), 11);
	assert_int_equal(ask(world, &two, "total_request"), 100);
	assert_int_equal(ask(world, &one, "ticks"), 7);
	assert_int_equal(ask(world, &one, "no such"), 0);
	assert_int_equal(ask(world, &unknown, "total_request"), 0);
	/* Its own numbers are never old. */
	slab_of(own)->total_request = 2;
	assert_int_equal(crew__census_counter(world->census, &one, "total_request"), 12);

	/* Dead, and the worker has not heard of it: counted once all the same. */
	unsigned index = crew__entry_index(world->registry, other);
	crew__registry_end(world->registry, other, 1, 0, &last);
	assert_int_equal(ask(world, &one, "total_request"), 12);
	crew__census_clear(world->census, index);
	assert_int_equal(ask(world, &one, "total_request"), 12);
}

static void the_place_of_the_dead_is_taken_by_another(void **state)
{
	struct world *world = *state;
	struct crew__snapshot last;
	struct crew__entry *entry = begin(world, 0, 0);
	tell(world, entry);
	slab_of(entry)->total_request = 5;
	assert_int_equal(ask(world, &one, "total_request"), 5);
	crew__registry_end(world->registry, entry, 0, 9, &last);
	struct crew__entry *next = begin(world, 0, 0);
	assert_ptr_equal(next, entry);
	slab_of(next)->total_request = 1;
	assert_int_equal(ask(world, &one, "total_request"), 5); /* not known yet */
	tell(world, next);
	assert_int_equal(ask(world, &one, "total_request"), 6);
}

static void what_makes_no_sense_is_refused(void **state)
{
	struct world *world = *state;
	struct crew__entry *entry = begin(world, 0, 0);
	int null_fd = dup(world->directory.fd);
	assert_int_equal(
		crew__census_set(world->census, CREW__LIVES_MAX, 1, dup(null_fd)), -EINVAL);
	assert_int_equal(crew__census_set(world->census, 0, 0, dup(null_fd)), -EINVAL);
	assert_int_equal(crew__census_set(world->census, 0, 4096, dup(null_fd)), -EINVAL);
	assert_int_equal(crew__census_set(world->census, 0, 1, null_fd), -EPROTO);
	crew__census_clear(world->census, CREW__LIVES_MAX);
	crew__census_clear(world->census, 0);
	tell(world, entry);
	tell(world, entry); /* told twice, mapped once */
	slab_of(entry)->total_request = 3;
	assert_int_equal(ask(world, &one, "total_request"), 3);
}

/* A service that comes with a reload, and a place that nobody fills any more. */
static void a_service_comes_and_a_place_goes(void **state)
{
	struct world *world = *state;
	struct crew__directory *directory = &world->registry->directory;
	const struct crew__directory_header *header = world->directory.header;
	const struct crew__life_plan plan = {
		.settings = &world->settings.service[0], .service = 2, .generation = 2
	};
	struct crew__entry *vacancy;
	assert_int_equal(crew__directory_service(directory, 3, "late"), -ENOSPC);
	assert_int_equal(crew__directory_service(directory, CREW_MAX_SERVICES, "late"), -ENOSPC);
	assert_int_equal(crew__directory_service(directory, 2, "late"), 0);
	assert_int_equal(header->services, 3);
	assert_string_equal(header->service[2], "late");
	assert_int_equal(crew__directory_service(directory, 2, "late"), 0);
	assert_int_equal(header->services, 3);
	assert_int_equal(crew__registry_vacant(world->registry, &plan, &vacancy), 0);
	assert_int_equal(world->registry->used, 1);
	crew__registry_close(world->registry, vacancy);
	assert_int_equal(world->registry->used, 0);
	for (unsigned i = 0; i < CREW__LIVES_MAX; i++)
		assert_int_equal(header->lives[i].life, 0);
	assert_int_equal(header->exit_rows, 0);
	crew__directory_leave(directory, 0);
	crew__directory_leave(directory, 77);
	assert_int_equal(atomic_load(&header->sequence) % 2, 0);
}

/* Its dead are folded under its own name. */
static void the_dead_of_a_late_service(void **state)
{
	struct world *world = *state;
	struct crew__snapshot last;
	const struct crew__life_plan plan = {
		.settings = &world->settings.service[0], .service = 2, .generation = 2
	};
	struct crew__entry *entry;
	assert_int_equal(crew__directory_service(&world->registry->directory, 2, "late"), 0);
	assert_int_equal(crew__registry_begin(world->registry, &plan, NULL, &entry), 0);
	assert_int_equal(entry->slots, 4);
	crew__registry_note(world->registry, entry, getpid(), CREW__READY);
	slab_of(entry)->total_request = 9;
	crew__registry_end(world->registry, entry, 3, 0, &last);
	assert_int_equal(world->directory.header->retired[2].total_request, 9);
	assert_string_equal(world->directory.header->exits[0].service, "late");
}

int main(void)
{
#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, make_world, end_world)
	const struct CMUnitTest tests[] = {
		IN_A_WORLD(a_life_is_entered_with_its_process),
		IN_A_WORLD(a_death_folds_and_makes_room),
		IN_A_WORLD(a_life_that_never_was),
		IN_A_WORLD(there_is_an_end_to_lives),
		IN_A_WORLD(no_limit_is_the_largest_table),
		IN_A_WORLD(own_others_and_retired_are_summed),
		IN_A_WORLD(the_place_of_the_dead_is_taken_by_another),
		IN_A_WORLD(what_makes_no_sense_is_refused),
		IN_A_WORLD(a_service_comes_and_a_place_goes),
		IN_A_WORLD(the_dead_of_a_late_service),
		IN_A_WORLD(the_sibling_with_fewest),
		IN_A_WORLD(siblings_that_do_not_accept),
		IN_A_WORLD(siblings_come_and_go),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
