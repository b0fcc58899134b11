/* test_child.c - a worker process as its master sees it. The program that is executed is this very
 * one: started as a worker it plays the part that its id says. */
#include "proc/child.h"

#include "base/clock.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum part {
	OBEDIENT,   /* ready, stops when told */
	FAILING,    /* says why it cannot start */
	DEAF,       /* ready, and ignores every order */
	GARBLED,    /* ready, then sends what is no message */
	SENSELESS,  /* sends an order instead of an answer */
	HOLDING_ON, /* closes its socket and lives on */
	CRASHING,   /* ready, and dead at once */
	LEAVING,    /* ready, and leaves by itself */
	SLOW,       /* ready, and listens after a while */
	PARTS
};

/* ---- the worker ---------------------------------------------------------------------------- */

static struct crew__message message;

static struct crew__message *await(int fd)
{
	if (crew__wire_await(fd, &message, crew__clock_ns() + 20 * CREW__NS_PER_S) != 1)
		_exit(99);
	return &message;
}

/* Of the user 7, for the ids 5 and 6. */
static int is_right_kick(const struct crew__message *packet)
{
	struct crew__kick_order order;
	size_t length = offsetof(struct crew__kick_order, ids) + 2 * sizeof(order.ids[0]);
	if (packet->length != length)
		return 0;
	memcpy(&order, packet->payload, length);
	return order.by == 7 && order.count == 2 && order.ids[0] == 5 && order.ids[1] == 6;
}

/* Until the order to stop: its window becomes the exit status, so that the test can see it. */
static void obey(int fd)
{
	int lives = 0, settings = 0, kicks = 0;
	bool last_is_right = false;
	for (;;) {
		struct crew__stop_order order;
		await(fd);
		if (message.type == CREW__MSG_LIFE && message.fd_count == 1)
			lives++;
		if (message.type == CREW__MSG_SETTING) {
			settings++;
			last_is_right = strcmp(message.payload, "play.rate_bytes=999") == 0;
		}
		if (message.type == CREW__MSG_KICK_THESE)
			kicks = kicks < 49 ? kicks + is_right_kick(&message) : kicks;
		if (message.type == CREW__MSG_STOP && settings + kicks > 0)
			_exit(settings < 100 && last_is_right ? 100 + kicks : 90);
		if (message.type == CREW__MSG_STOP) {
			memcpy(&order, message.payload, sizeof(order));
			crew__wire_send(fd, CREW__MSG_STOPPED, NULL, 0, NULL, 0);
			_exit((int)order.window_ms + lives);
		}
		crew__message_release(&message);
	}
}

static _Noreturn void play(int fd)
{
	struct crew__hello hello;
	await(fd);
	if (message.type != CREW__MSG_HELLO || message.length != sizeof(hello) ||
		message.fd_count != 4)
		_exit(98);
	memcpy(&hello, message.payload, sizeof(hello));
	if (hello.id == FAILING) {
		crew__wire_send_text(fd, CREW__MSG_FAILED, "no database");
		_exit(3);
	}
	crew__wire_send(fd, CREW__MSG_READY, NULL, 0, NULL, 0);
	if (hello.id == SLOW)
		usleep(300000);
	if (hello.id == OBEDIENT || hello.id == SLOW)
		obey(fd);
	if (hello.id == GARBLED && write(fd, "hello", 5) != 5)
		_exit(97);
	if (hello.id == SENSELESS)
		crew__wire_send(fd, CREW__MSG_STOP, NULL, 0, NULL, 0);
	if (hello.id == HOLDING_ON)
		close(fd);
	if (hello.id == CRASHING)
		kill(getpid(), SIGKILL);
	if (hello.id == LEAVING) {
		crew__wire_send(fd, CREW__MSG_LEAVING, NULL, 0, NULL, 0);
		_exit(0);
	}
	for (;;)
		pause();
}

/* ---- the master ---------------------------------------------------------------------------- */

static const crew_service service = { .name = "play" };
static const crew_app app = { .services = { &service } };
static char name[] = "test";

struct world {
	struct crew__settings settings;
	struct crew__launch launch;
	struct crew__generation generation;
	struct crew__registry *registry;
	struct crew__loop *loop;
	struct crew__family family;
	int log_fd;
	struct crew__child *ready; /* the last that became so */
};

static char **arguments;
static int argument_count;

static void on_ready(void *arg, struct crew__child *child)
{
	struct world *world = arg;
	world->ready = child;
}

static int make_world(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	assert_non_null(world);
	*state = world;
	world->settings = (struct crew__settings){ .app = &app, .services = 1, .name = name };
	world->settings.service[0] = (struct crew__service_settings){
		.service = &service,
		.workers = PARTS,
		.max_connections = 10,
		.stop_timeout_ms = 50,
	};
	world->log_fd = STDERR_FILENO;
	world->generation = (struct crew__generation){
		.references = 1,
		.number = 1,
		.program_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC),
		.settings_fd = open("/dev/null", O_RDONLY | O_CLOEXEC),
		.settings = &world->settings,
	};
	if (crew__launch_init(&world->launch, argument_count, arguments) < 0 ||
		crew__loop_new(CREW__ENGINE_AUTO, &world->loop) < 0 ||
		crew__registry_new(&world->settings, "foreground", "epoll", &world->registry) < 0)
		return -1;
	world->family = (struct crew__family){
		.loop = world->loop,
		.launch = &world->launch,
		.registry = world->registry,
		.log_fd = &world->log_fd,
		.on_ready = on_ready,
		.arg = world,
	};
	crew__family_init(&world->family);
	return 0;
}

static int end_world(void **state)
{
	struct world *world = *state;
	crew__family_fini(&world->family);
	crew__registry_free(world->registry);
	crew__loop_free(world->loop);
	crew__launch_fini(&world->launch);
	int references = (int)world->generation.references;
	close(world->generation.program_fd);
	close(world->generation.settings_fd);
	free(world);
	return references == 1 ? 0 : -1;
}

static struct crew__child *start(struct world *world, enum part part)
{
	struct crew__child *child;
	struct crew__entry *vacancy = NULL;
	assert_int_equal(
		crew__child_start(&world->family, &world->generation, 0, part, &vacancy, &child),
		0);
	assert_int_equal(child->state, CREW__CHILD_STARTING);
	return child;
}

static const struct crew__life *life_of(const struct world *world, const struct crew__child *child)
{
	const struct crew__directory_header *header = world->registry->directory.header;
	for (unsigned i = 0; i < CREW__LIVES_MAX; i++)
		if (header->lives[i].pid == child->pid)
			return &header->lives[i];
	return NULL;
}

/* Turn until the child is in that state. */
static void turn_until(
	struct world *world, const struct crew__child *child, enum crew__child_state state)
{
	uint64_t deadline = crew__clock_ns() + 20 * CREW__NS_PER_S;
	while (child->state != state) {
		assert_true(crew__clock_ns() < deadline);
		assert_int_equal(crew__loop_turn(world->loop, 20), 0);
	}
}

/* Turn until the process is dead, and bury it. */
static struct crew__death turn_until_dead(struct world *world, struct crew__child *child)
{
	static struct crew__death death;
	uint64_t deadline = crew__clock_ns() + 20 * CREW__NS_PER_S;
	int status;
	while (waitpid(child->pid, &status, WNOHANG) != child->pid) {
		assert_true(crew__clock_ns() < deadline);
		assert_int_equal(crew__loop_turn(world->loop, 10), 0);
	}
	crew__child_reap(child, status, &death);
	assert_null(life_of(world, child));
	return death;
}

/* ---- the tests ----------------------------------------------------------------------------- */

static void an_obedient_one(void **state)
{
	struct world *world = *state;
	struct crew__child *child = start(world, OBEDIENT);
	const struct crew__life *life = life_of(world, child);
	assert_non_null(life);
	assert_int_equal(life->state, CREW__STARTING);
	turn_until(world, child, CREW__CHILD_READY);
	assert_ptr_equal(world->ready, child);
	assert_int_equal(life->state, CREW__READY);
	const struct crew__stop_order order = { .window_ms = 40 };
	crew__child_stop(child, &order, 20000);
	assert_int_equal(life->state, CREW__DRAINING);
	struct crew__death death = turn_until_dead(world, child);
	assert_int_equal(death.signal, 0);
	assert_int_equal(death.status, 40);
	assert_true(child->expected);
	assert_false(child->overdue);
	assert_int_equal(world->registry->directory.header->exits[0].status, 40);
}

static void it_hears_of_other_lives(void **state)
{
	struct world *world = *state;
	struct crew__child *child = start(world, OBEDIENT), *other = start(world, DEAF);
	crew__child_sync(child);
	crew__child_sync(child); /* once only */
	turn_until(world, child, CREW__CHILD_READY);
	crew__child_kill(other);
	turn_until_dead(world, other);
	crew__child_sync(child);
	crew__child_stop(child, &(struct crew__stop_order){ .window_ms = 10 }, 20000);
	assert_int_equal(turn_until_dead(world, child).status, 11);
}

/* Orders go at once or not at all; of a setting that could not be told, the last value comes. */
static void it_hears_of_kicks_and_settings(void **state)
{
	struct world *world = *state;
	struct crew__child *child = start(world, SLOW);
	struct crew__settings_change change;
	struct crew__kick_order order = { .by = 7, .count = 2, .ids = { 5, 6 } };
	char text[64], error[256];
	bool late = false;
	turn_until(world, child, CREW__CHILD_READY);
	assert_int_equal(crew__child_kick(child, &order), 0);
	while (crew__child_kick(child, &order) == 0)
		late = true; /* until its socket is full */
	assert_true(late);
	for (int i = 0; i < 500; i++) {
		snprintf(text, sizeof(text), "play.rate_bytes=%d", 500 + i);
		assert_int_equal(crew__settings_set_live(
					 &world->settings, text, &change, error, sizeof(error)),
			0);
		assert_false(crew__child_set(child, &change));
	}
	assert_true(child->wants_room);
	crew__child_stop(child, &(struct crew__stop_order){ .window_ms = 10 }, 20000);
	child->owes_stop = false; /* what is owed besides comes first here */
	uint64_t deadline = crew__clock_ns() + 20 * CREW__NS_PER_S;
	while (child->owes_service && crew__clock_ns() < deadline)
		assert_int_equal(crew__loop_turn(world->loop, 20), 0);
	assert_int_equal(child->owes_service, 0);
	crew__child_stop(child, &(struct crew__stop_order){ .window_ms = 10 }, 20000);
	struct crew__death death = turn_until_dead(world, child);
	assert_int_equal(death.signal, 0);
	assert_true(death.status > 100);
}

static void one_that_fails_says_why(void **state)
{
	struct world *world = *state;
	struct crew__child *child = start(world, FAILING);
	struct crew__death death = turn_until_dead(world, child);
	assert_int_equal(death.status, 3);
	assert_string_equal(child->failure, "no database");
	assert_false(child->was_ready);
	assert_null(world->ready);
}

/* Also when all of it is read only after its death. */
static void one_that_was_ready_and_died(void **state)
{
	struct world *world = *state;
	struct crew__child *child = start(world, CRASHING);
	int status;
	assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
	struct crew__death death;
	crew__child_reap(child, status, &death);
	assert_true(child->was_ready);
	assert_int_equal(death.signal, SIGKILL);
	assert_false(child->expected);
}

static void a_deaf_one_is_killed_at_its_deadline(void **state)
{
	struct world *world = *state;
	struct crew__child *child = start(world, DEAF);
	turn_until(world, child, CREW__CHILD_READY);
	crew__child_stop(child, &(struct crew__stop_order){ .window_ms = 60000 }, 60000);
	/* A later order only shortens. */
	crew__child_stop(child, &(struct crew__stop_order){ .window_ms = 20 }, 30);
	crew__child_stop(child, &(struct crew__stop_order){ .window_ms = 60000 }, 60000);
	struct crew__death death = turn_until_dead(world, child);
	assert_int_equal(death.signal, SIGKILL);
	assert_true(child->overdue);
	assert_true(child->expected);
}

static void a_stopped_one_meets_its_deadline(void **state)
{
	struct world *world = *state;
	struct crew__child *child = start(world, OBEDIENT);
	turn_until(world, child, CREW__CHILD_READY);
	kill(child->pid, SIGSTOP);
	crew__child_stop(child, &(struct crew__stop_order){ .window_ms = 20 }, 30);
	assert_int_equal(turn_until_dead(world, child).signal, SIGKILL);
}

/* A child that does not read cannot make its master wait or remember. */
static void orders_to_a_stopped_one_arrive_later(void **state)
{
	struct world *world = *state;
	struct crew__child *child = start(world, OBEDIENT);
	turn_until(world, child, CREW__CHILD_READY);
	kill(child->pid, SIGSTOP);
	for (int i = 0; i < 2000; i++)
		crew__child_reopen_log(child);
	assert_true(child->owes_log);
	crew__child_stop(child, &(struct crew__stop_order){ .window_ms = 30 }, 20000);
	assert_true(child->owes_stop);
	kill(child->pid, SIGCONT);
	assert_int_equal(turn_until_dead(world, child).status, 30);
}

static void one_that_is_not_ready_in_time(void **state)
{
	struct world *world = *state;
	struct crew__child *child = start(world, OBEDIENT);
	kill(child->pid, SIGSTOP);
	child->deadline.fn(&child->deadline);
	assert_int_equal(turn_until_dead(world, child).signal, SIGKILL);
	assert_non_null(strstr(child->failure, "not ready"));
}

static void ones_that_talk_nonsense(void **state)
{
	struct world *world = *state;
	for (int part = GARBLED; part <= HOLDING_ON; part++) {
		struct crew__child *child = start(world, (enum part)part);
		turn_until(world, child, CREW__CHILD_STOPPING);
		assert_int_equal(child->wire.fd, -1);
		assert_false(child->expected);
		/* Nothing more can be said to it. */
		crew__child_reloading(child);
		assert_int_equal(
			crew__child_adopt(child, 1, (int[]){ STDERR_FILENO }, 1), -ENOTCONN);
		assert_int_equal(crew__child_disown(child, 1), -ENOTCONN);
		child->deadline.fn(&child->deadline);
		assert_int_equal(turn_until_dead(world, child).signal, SIGKILL);
	}
}

static void one_that_leaves_by_itself(void **state)
{
	struct world *world = *state;
	struct crew__child *child = start(world, LEAVING);
	struct crew__death death = turn_until_dead(world, child);
	assert_int_equal(death.status, 0);
	assert_true(child->expected);
	assert_true(child->was_ready);
}

static void a_program_that_cannot_be_executed(void **state)
{
	struct world *world = *state;
	int good = world->generation.program_fd;
	world->generation.program_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct crew__child *child = start(world, OBEDIENT);
	struct crew__death death = turn_until_dead(world, child);
	close(world->generation.program_fd);
	world->generation.program_fd = good;
	assert_int_equal(death.status, 127);
	assert_non_null(strstr(child->failure, "EACCES"));
}

/* A vacancy is filled by the next life, which has its number and its row. */
static void a_vacancy_is_filled(void **state)
{
	struct world *world = *state;
	struct crew__entry *vacancy;
	const struct crew__life_plan plan = {
		.settings = &world->settings.service[0], .id = LEAVING, .generation = 1
	};
	struct crew__child *child;
	assert_int_equal(crew__registry_vacant(world->registry, &plan, &vacancy), 0);
	uint32_t life = vacancy->life.life;
	const struct crew__life *row = world->registry->directory.header->lives;
	assert_int_equal(row->state, CREW__EXITED);
	assert_int_equal(row->pid, 0);
	assert_int_equal(
		crew__child_start(&world->family, &world->generation, 0, LEAVING, &vacancy, &child),
		0);
	assert_null(vacancy);
	assert_int_equal(row->life, life);
	assert_int_equal(row->pid, child->pid);
	turn_until_dead(world, child);
}

int main(int argc, char **argv)
{
	const char *worker = getenv(CREW__WORKER_VARIABLE);
	if (worker)
		play(atoi(worker));
	arguments = argv;
	argument_count = argc;
	signal(SIGPIPE, SIG_IGN);
#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, make_world, end_world)
	const struct CMUnitTest tests[] = {
		IN_A_WORLD(an_obedient_one),
		IN_A_WORLD(it_hears_of_other_lives),
		IN_A_WORLD(it_hears_of_kicks_and_settings),
		IN_A_WORLD(one_that_fails_says_why),
		IN_A_WORLD(one_that_was_ready_and_died),
		IN_A_WORLD(a_deaf_one_is_killed_at_its_deadline),
		IN_A_WORLD(a_stopped_one_meets_its_deadline),
		IN_A_WORLD(orders_to_a_stopped_one_arrive_later),
		IN_A_WORLD(one_that_is_not_ready_in_time),
		IN_A_WORLD(ones_that_talk_nonsense),
		IN_A_WORLD(one_that_leaves_by_itself),
		IN_A_WORLD(a_program_that_cannot_be_executed),
		IN_A_WORLD(a_vacancy_is_filled),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
