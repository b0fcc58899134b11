/* test_control.c - the control socket from both sides: a child process is the command, this one the
 * master that answers it, or does not. */
#include "proc/control.h"

#include "base/clock.h"
#include "proc/attach.h"
#include "proc/endpoint.h"
#include "proc/inside.h"
#include "proc/order.h"
#include "proc/pidfile.h"
#include "proc/takeover.h"
#include "proc/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NAME "test"

static const crew_service service = { .name = "one" };
static const crew_app app = { .name = NAME, .services = { &service } };

static char dir[160], error[512];
static struct crew__message message;

struct world {
	struct crew__settings settings;
	struct crew__service_settings *one;
	struct crew__registry *registry;
	struct crew__loop *loop;
	struct crew__control *control;
	struct crew__pidfile pidfile;
	unsigned stops, reloads, sets, leaves;
	unsigned sockets; /* that it has */
	bool graceful, refuse;
	size_t kicked; /* ids in all packets */
	uint64_t id_sum;
	uid_t by;
};

/* ---- the master ---------------------------------------------------------------------------- */

static int on_stop(void *arg, bool graceful, uint64_t *ret_bound_ms)
{
	struct world *world = arg;
	world->stops++;
	world->graceful = graceful;
	*ret_bound_ms = 1234;
	return 0;
}

static int on_sockets(void *arg, struct crew__inherited *inherited)
{
	struct world *world = arg;
	for (unsigned i = 0; i < world->sockets; i++) {
		const struct crew__inherited_socket socket = {
			.name = "one", .place = 1, .index = i, .file = { 7, 8 }, .fd = dup(0)
		};
		assert_int_equal(crew__inherited_add(inherited, &socket), 0);
	}
	return 0;
}

static void on_leave_sockets(void *arg)
{
	struct world *world = arg;
	assert_int_equal(world->stops, 0); /* first this, so that the stop can heed it */
	world->leaves++;
}

static int on_reload(
	void *arg, bool graceful, uint64_t *ret_bound_ms, char *ret_error, size_t error_size)
{
	struct world *world = arg;
	world->reloads++;
	world->graceful = graceful;
	*ret_bound_ms = 5678;
	if (world->refuse)
		snprintf(ret_error, error_size, "a reload is under way");
	return world->refuse ? -EBUSY : 0;
}

static void on_kick(void *arg, const uint64_t *ids, size_t count, uid_t by,
	struct crew__handed_on *ret_handed_on)
{
	struct world *world = arg;
	assert_true(count <= CREW__KICK_MOST);
	for (size_t i = 0; i < count; i++)
		world->id_sum += ids[i];
	world->kicked += count;
	world->by = by;
	*ret_handed_on = (struct crew__handed_on){ .told = (uint32_t)count, .late = 1 };
}

static int on_set(void *arg, const char *text, uid_t by, struct crew__handed_on *ret_handed_on,
	char *ret_error, size_t error_size)
{
	struct world *world = arg;
	world->sets++;
	world->by = by;
	if (strcmp(text, "one.policy=replace") != 0) {
		snprintf(ret_error, error_size, "what is %s?", text);
		return -EINVAL;
	}
	*ret_handed_on = (struct crew__handed_on){ .told = 3 };
	return 0;
}

static void add_lives(struct world *world, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		const struct crew__life_plan plan = {
			.settings = world->one, .listen = "nowhere", .id = i, .generation = 1
		};
		struct crew__entry *entry;
		assert_int_equal(crew__registry_begin(world->registry, &plan, NULL, &entry), 0);
		crew__registry_note(world->registry, entry, getpid(), CREW__READY);
	}
}

static int open_control(struct world *world)
{
	const struct crew__control_plan plan = {
		.loop = world->loop,
		.settings = &world->settings,
		.registry = world->registry,
		.stop = on_stop,
		.sockets = on_sockets,
		.leave_sockets = on_leave_sockets,
		.reload = on_reload,
		.kick = on_kick,
		.set = on_set,
		.arg = world,
	};
	return crew__control_new(&plan, &world->control, error, sizeof(error));
}

static int make_world(void **state)
{
	static char name[] = NAME;
	struct world *world = calloc(1, sizeof(*world));
	assert_non_null(world);
	snprintf(dir, sizeof(dir), "/tmp/crew-control-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	world->settings = (struct crew__settings){
		.app = &app, .services = 1, .name = name, .run_dir = dir, .control_mode = 0600
	};
	world->one = &world->settings.service[0];
	*world->one = (struct crew__service_settings){ .service = &service, .max_connections = 3 };
	*state = world;
	if (crew__registry_new(&world->settings, "foreground", "epoll", &world->registry) < 0 ||
		crew__loop_new(CREW__ENGINE_AUTO, &world->loop) < 0 ||
		crew__pidfile_lock(dir, NAME, &world->pidfile, error, sizeof(error)) < 0 ||
		crew__pidfile_write(&world->pidfile, world->registry->directory.fd) < 0)
		return -1;
	return open_control(world);
}

static int end_world(void **state)
{
	struct world *world = *state;
	char path[256];
	crew__control_free(world->control);
	snprintf(path, sizeof(path), "%s/" NAME ".ctl", dir);
	bool removed = access(path, F_OK) < 0;
	crew__loop_free(world->loop);
	crew__registry_free(world->registry);
	crew__pidfile_remove(&world->pidfile);
	free(world);
	return removed && rmdir(dir) == 0 ? 0 : -1;
}

/* Run `command` in a child while this process answers, and return its exit status. */
static int run_command(struct world *world, int (*command)(void), bool answer)
{
	int status;
	uint64_t deadline = crew__clock_ns() + 20 * CREW__NS_PER_S;
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0)
		_exit(command());
	while (waitpid(pid, &status, WNOHANG) != pid) {
		assert_true(crew__clock_ns() < deadline);
		if (answer)
			assert_int_equal(crew__loop_turn(world->loop, 10), 0);
		else
			usleep(10000);
	}
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* ---- looking ------------------------------------------------------------------------------- */

/* The number of segments, or 200 and more for what went wrong. */
static int look(bool master_answers)
{
	struct crew__attached attached;
	if (crew__attach(dir, NAME, &attached, error, sizeof(error)) < 0) {
		fprintf(stderr, "%s\n", error);
		return 200;
	}
	if (attached.master_answers != master_answers || attached.master != getppid() ||
		!attached.copy_consistent)
		return 201;
	for (size_t i = 0; i < attached.segment_count; i++)
		if (attached.segments[i].writable)
			return 202;
	size_t count = attached.segment_count;
	if (crew__attach_refresh(&attached, dir, NAME, error, sizeof(error)) < 0 ||
		attached.segment_count != count)
		return 203;
	crew__attach_fini(&attached);
	return (int)(count % 200);
}

static int look_with_master(void)
{
	return look(true);
}

static int look_past_master(void)
{
	return look(false);
}

static void the_master_shows_its_lives(void **state)
{
	struct world *world = *state;
	assert_int_equal(run_command(world, look_with_master, true), 0);
	add_lives(world, 3);
	assert_int_equal(run_command(world, look_with_master, true), 3);
}

/* More descriptors than one packet holds. */
static void many_lives_come_in_batches(void **state)
{
	struct world *world = *state;
	add_lives(world, 2 * CREW__WIRE_MAX_FDS + 7);
	assert_int_equal(
		run_command(world, look_with_master, true), (2 * CREW__WIRE_MAX_FDS + 7) % 200);
}

static void a_master_that_hangs_is_looked_past(void **state)
{
	struct world *world = *state;
	add_lives(world, 3);
	assert_int_equal(run_command(world, look_past_master, false), 3);
}

static void lives_that_end_in_between(void **state)
{
	struct world *world = *state;
	struct crew__snapshot last;
	add_lives(world, 3);
	crew__registry_end(world->registry, &world->registry->entries[1], 0, 9, &last);
	assert_int_equal(run_command(world, look_with_master, true), 2);
	assert_int_equal(run_command(world, look_past_master, false), 2);
}

static void nobody_runs(void **state)
{
	struct world *world = *state;
	struct crew__attached attached;
	crew__pidfile_remove(&world->pidfile);
	assert_int_equal(crew__attach(dir, NAME, &attached, error, sizeof(error)), -ESRCH);
	assert_non_null(strstr(error, dir));
	assert_int_equal(
		crew__attach("/nonexistent", NAME, &attached, error, sizeof(error)), -ESRCH);
}

/* ---- acting -------------------------------------------------------------------------------- */

static int ask(unsigned type, size_t length)
{
	const struct crew__command command = { .graceful = 1 };
	int fd = crew__endpoint_connect(dir, NAME);
	if (fd < 0 || crew__wire_send(fd, type, &command, length, NULL, 0) < 0)
		return -1;
	return crew__wire_await(fd, &message, crew__clock_ns() + 10 * CREW__NS_PER_S) == 1 ? fd
											   : -1;
}

static int order_stop(void)
{
	struct crew__accepted accepted;
	if (ask(CREW__MSG_STOP_ALL, sizeof(struct crew__command)) < 0 ||
		message.type != CREW__MSG_ACCEPTED || message.length != sizeof(accepted))
		return 1;
	memcpy(&accepted, message.payload, sizeof(accepted));
	return accepted.bound_ms == 1234 ? 0 : 2;
}

static int order_reload(void)
{
	if (ask(CREW__MSG_RELOAD, sizeof(struct crew__command)) < 0)
		return 1;
	if (message.type == CREW__MSG_REFUSED)
		return strcmp(message.payload, "a reload is under way") == 0 ? 50 : 2;
	return message.type == CREW__MSG_ACCEPTED ? 0 : 3;
}

static void orders_arrive(void **state)
{
	struct world *world = *state;
	assert_int_equal(run_command(world, order_stop, true), 0);
	assert_int_equal(world->stops, 1);
	assert_true(world->graceful);
	assert_int_equal(run_command(world, order_reload, true), 0);
	world->refuse = true;
	assert_int_equal(run_command(world, order_reload, true), 50);
	assert_int_equal(world->reloads, 2);
}

/* As a restart does it: sockets first, and the stop in the same conversation. */
static int take_sockets(void)
{
	const struct crew__settings settings = { .run_dir = dir, .name = (char[]){ NAME } };
	const struct crew__command command = { .graceful = 0 };
	struct crew__inherited inherited;
	int talk;
	crew__inherited_init(&inherited, "a test");
	if (crew__takeover(&settings, &inherited, &talk, error, sizeof(error)) < 0)
		return 200;
	for (unsigned i = 0; i < inherited.count; i++) {
		const struct crew__inherited_socket *socket = &inherited.sockets[i];
		if (socket->index != i || socket->place != 1 || socket->file.inode != 8 ||
			strcmp(socket->name, "one") != 0 || socket->by_name)
			return 201;
	}
	int count = (int)inherited.count;
	crew__inherited_fini(&inherited, true);
	if (crew__wire_send(talk, CREW__MSG_STOP_ALL, &command, sizeof(command), NULL, 0) < 0 ||
		crew__wire_await(talk, &message, crew__clock_ns() + 10 * CREW__NS_PER_S) != 1)
		return 202;
	return message.type == CREW__MSG_ACCEPTED ? count : 203;
}

static void sockets_go_to_who_stops_it(void **state)
{
	struct world *world = *state;
	world->sockets = 2 * CREW__SOCKETS_MOST + 6;
	assert_int_equal(run_command(world, take_sockets, true), world->sockets);
	assert_int_equal(world->leaves, 1);
	assert_int_equal(world->stops, 1);
	assert_false(world->graceful);
}

static void without_sockets_there_is_an_answer_too(void **state)
{
	struct world *world = *state;
	assert_int_equal(run_command(world, take_sockets, true), 0);
	assert_int_equal(world->stops, 1);
}

static void a_plain_stop_leaves_none(void **state)
{
	struct world *world = *state;
	world->sockets = 3;
	assert_int_equal(run_command(world, order_stop, true), 0);
	assert_int_equal(world->leaves, 0);
}

static struct world *for_child;

/* The end of a reload is told to who waits for it, once. */
static int await_reload(void)
{
	int fd = ask(CREW__MSG_RELOAD, sizeof(struct crew__command));
	int32_t status = 0;
	if (fd < 0 || crew__wire_await(fd, &message, crew__clock_ns() + 10 * CREW__NS_PER_S) != 1 ||
		message.type != CREW__MSG_DONE)
		return 1;
	memcpy(&status, message.payload, sizeof(status));
	if (strcmp(message.payload + sizeof(status), "no database") != 0)
		return 2;
	usleep(50000);
	return crew__wire_receive(fd, &message) == -EAGAIN ? (int)status : 3;
}

static void on_tick(struct crew__timer *timer)
{
	(void)timer;
	crew__control_reloaded(for_child->control, 77, "no database");
	if (for_child->reloads == 0)
		crew__timer_start(for_child->loop, timer, crew__clock_ns() + 20 * CREW__NS_PER_MS);
}

static void the_end_of_a_reload_is_told(void **state)
{
	struct world *world = *state;
	struct crew__timer tick = { .fn = on_tick };
	for_child = world;
	crew__timer_start(world->loop, &tick, crew__clock_ns() + 20 * CREW__NS_PER_MS);
	int status = run_command(world, await_reload, true);
	crew__timer_stop(world->loop, &tick);
	assert_int_equal(status, 77);
	crew__control_reloaded(world->control, 0, "nobody waits");
}

/* ---- kick and set -------------------------------------------------------------------------- */

enum {
	MANY = 3 * CREW__KICK_MOST + 1
};

/* More than one packet holds. */
static int kick_many(void)
{
	static uint64_t ids[MANY];
	struct crew__handed_on handed_on;
	for (size_t i = 0; i < MANY; i++)
		ids[i] = i + 1;
	if (crew__order_kick(dir, NAME, ids, MANY, &handed_on, error, sizeof(error)) < 0)
		return 1;
	return handed_on.told == MANY && handed_on.late == 4 ? 0 : 2;
}

static void kicks_arrive_in_packets(void **state)
{
	struct world *world = *state;
	assert_int_equal(run_command(world, kick_many, true), 0);
	assert_int_equal(world->kicked, MANY);
	assert_int_equal(world->id_sum, (uint64_t)MANY * (MANY + 1) / 2);
	assert_int_equal(world->by, geteuid());
}

static int set_something(void)
{
	struct crew__handed_on handed_on;
	static char long_text[CREW__WIRE_MAX + 2];
	memset(long_text, 'x', sizeof(long_text) - 1);
	if (crew__order_set(dir, NAME, long_text, &handed_on, error, sizeof(error)) != -EINVAL)
		return 1;
	if (crew__order_set(dir, NAME, "nonsense", &handed_on, error, sizeof(error)) != -EACCES ||
		strcmp(error, "what is nonsense?") != 0)
		return 2;
	if (crew__order_set(dir, NAME, "one.policy=replace", &handed_on, error, sizeof(error)) < 0)
		return 3;
	return handed_on.told == 3 && handed_on.late == 0 ? 0 : 4;
}

static void settings_arrive(void **state)
{
	struct world *world = *state;
	assert_int_equal(run_command(world, set_something, true), 0);
	assert_int_equal(world->sets, 2);
}

/* No ids, too many, a part of one. */
static int kick_nonsense(void)
{
	static const size_t lengths[] = { 0, 7, 8 * CREW__KICK_MOST + 8 };
	static char zeros[8 * CREW__KICK_MOST + 8];
	for (size_t i = 0; i < crew__lengthof(lengths); i++) {
		int fd = crew__endpoint_connect(dir, NAME);
		if (fd < 0 || crew__wire_send(fd, CREW__MSG_KICK, zeros, lengths[i], NULL, 0) < 0 ||
			crew__wire_await(fd, &message, crew__clock_ns() + 10 * CREW__NS_PER_S) != 0)
			return 1 + (int)i;
	}
	return 0;
}

static void kicks_of_nonsense_end_the_conversation(void **state)
{
	struct world *world = *state;
	assert_int_equal(run_command(world, kick_nonsense, true), 0);
	assert_int_equal(world->kicked, 0);
}

/* An order to a master that hangs, and to one that is not there. */
static int order_in_vain(void)
{
	struct crew__handed_on handed_on;
	uint64_t id = 1, began = crew__clock_ns();
	if (crew__order_kick(dir, NAME, &id, 1, &handed_on, error, sizeof(error)) != -ETIMEDOUT ||
		!strstr(error, "does not answer") ||
		crew__clock_ns() - began < CREW__ORDER_MS * CREW__NS_PER_MS)
		return 1;
	if (crew__order_kick("/nonexistent", NAME, &id, 1, &handed_on, error, sizeof(error)) !=
			-ESRCH ||
		!strstr(error, "not running"))
		return 2;
	return crew__order_set("/nonexistent", NAME, "one.policy=replace", &handed_on, error,
		       sizeof(error)) == -ESRCH
		       ? 0
		       : 3;
}

static void orders_in_vain(void **state)
{
	assert_int_equal(run_command(*state, order_in_vain, false), 0);
}

/* A process that keeps all workers itself asks nobody. */
static void orders_and_looks_from_inside(void **state)
{
	struct world *world = *state;
	struct crew__attached attached;
	struct crew__handed_on handed_on;
	static uint64_t ids[MANY];
	assert_int_equal(crew__attach_local(&attached), -ENOTCONN);
	const struct crew__control_plan plan = {
		.registry = world->registry, .kick = on_kick, .set = on_set, .arg = world
	};
	add_lives(world, 3);
	crew__inside_use(&plan);
	assert_int_equal(
		crew__attach_here("/nonexistent", NAME, &attached, error, sizeof(error)), 0);
	assert_int_equal(attached.segment_count, 3);
	assert_int_equal(attached.master, getpid());
	assert_true(attached.master_answers && attached.copy_consistent);
	assert_false(attached.segments[0].writable);
	assert_string_equal(attached.copy->service[0], "one");
	crew__attach_fini(&attached);
	assert_int_equal(
		crew__order_kick(dir, NAME, ids, MANY, &handed_on, error, sizeof(error)), 0);
	assert_int_equal(handed_on.told, MANY);
	assert_int_equal(world->kicked, MANY);
	assert_int_equal(
		crew__order_set(dir, NAME, "one.policy=replace", &handed_on, error, sizeof(error)),
		0);
	assert_int_equal(
		crew__order_set(dir, NAME, "x", &handed_on, error, sizeof(error)), -EINVAL);
	assert_string_equal(error, "what is x?");
	crew__inside_use(NULL);
	assert_int_equal(crew__attach_local(&attached), -ENOTCONN);
	assert_int_equal(
		crew__attach_here("/nonexistent", NAME, &attached, error, sizeof(error)), -ESRCH);
}

/* ---- bad conversations --------------------------------------------------------------------- */

static int talk_nonsense(void)
{
	/* A request that is unknown, one of another size, a packet of another shape. */
	if (ask(99, 0) < 0 || message.type != CREW__MSG_REFUSED)
		return 1;
	if (ask(CREW__MSG_STOP_ALL, 1) >= 0 || ask(CREW__MSG_RELOAD, 0) >= 0)
		return 2;
	int fd = crew__endpoint_connect(dir, NAME);
	if (fd < 0 || send(fd, "GET / HTTP/1.1", 14, 0) != 14 ||
		crew__wire_await(fd, &message, crew__clock_ns() + 10 * CREW__NS_PER_S) != 0)
		return 3;
	return 0;
}

static void nonsense_is_refused(void **state)
{
	struct world *world = *state;
	assert_int_equal(run_command(world, talk_nonsense, true), 0);
	assert_int_equal(world->stops + world->reloads, 0);
}

/* Conversations that say nothing do not keep others out. */
static int crowd_then_look(void)
{
	for (int i = 0; i < 200; i++) {
		int fd = -EAGAIN;
		while (fd == -EAGAIN) {
			fd = crew__endpoint_connect(dir, NAME);
			if (fd == -EAGAIN)
				usleep(1000);
		}
		if (fd < 0)
			return 1;
	}
	return look(true) == 2 ? 0 : 2;
}

static void a_crowd_keeps_nobody_out(void **state)
{
	struct world *world = *state;
	add_lives(world, 2);
	assert_int_equal(run_command(world, crowd_then_look, true), 0);
}

/* Another user may look if the mode lets him, and not act. */
static int act_as_nobody(void)
{
	if (setgid(65534) < 0 || setuid(65534) < 0)
		return 50;
	if (ask(CREW__MSG_STOP_ALL, sizeof(struct crew__command)) < 0 ||
		message.type != CREW__MSG_REFUSED)
		return 1;
	struct crew__handed_on handed_on;
	uint64_t id = 1;
	if (crew__order_kick(dir, NAME, &id, 1, &handed_on, error, sizeof(error)) != -EACCES ||
		!strstr(error, "user 65534 may look but not act") ||
		crew__order_set(dir, NAME, "one.policy=replace", &handed_on, error,
			sizeof(error)) != -EACCES)
		return 3;
	return look(true) == 1 ? 0 : 2;
}

enum {
	DAEMON_GROUP = 1 /* of every Debian: "daemon" */
};

/* As a user of that group, which is its first or one among others. */
static int act_as_member(bool first)
{
	const gid_t others[] = { 12345, DAEMON_GROUP };
	struct crew__handed_on handed_on;
	uint64_t id = 1;
	if (setgroups(first ? 1 : 2, others) < 0 || setgid(first ? DAEMON_GROUP : 65534) < 0 ||
		setuid(65534) < 0)
		return 50;
	int status = crew__order_kick(dir, NAME, &id, 1, &handed_on, error, sizeof(error));
	return status == 0 ? 0 : status == -EACCES ? 1 : 2;
}

static int act_as_first_member(void)
{
	return act_as_member(true);
}

static int act_as_other_member(void)
{
	return act_as_member(false);
}

static int connect_as_nobody(void)
{
	if (setgid(65534) < 0 || setuid(65534) < 0)
		return 50;
	return crew__endpoint_connect(dir, NAME) == -EACCES ? 0 : 1;
}

static void others_may_look_but_not_act(void **state)
{
	struct world *world = *state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(dir, 0755), 0);
	add_lives(world, 1);
	assert_int_equal(run_command(world, connect_as_nobody, true), 0);
	crew__control_free(world->control);
	world->settings.control_mode = 0666;
	assert_int_equal(open_control(world), 0);
	assert_int_equal(run_command(world, act_as_nobody, true), 0);
	assert_int_equal(world->stops + world->kicked + world->sets, 0);
	assert_int_equal(run_command(world, act_as_first_member, true), 1);
}

static void members_of_the_group_may_act(void **state)
{
	struct world *world = *state;
	static char daemon[] = "daemon", nobodys[] = "nogroup", unknown[] = "no-such-group";
	if (geteuid() != 0)
		skip();
	add_lives(world, 1);
	assert_int_equal(chmod(dir, 0755), 0);
	crew__control_free(world->control);
	world->control = NULL;
	world->settings.control_mode = 0666;
	world->settings.control_act_group = unknown;
	assert_int_equal(open_control(world), -ENOENT);
	assert_non_null(strstr(error, "control_act_group = no-such-group"));
	world->settings.control_act_group = daemon;
	assert_int_equal(open_control(world), 0);
	assert_int_equal(run_command(world, act_as_first_member, true), 0);
	assert_int_equal(run_command(world, act_as_other_member, true), 0);
	assert_int_equal(world->kicked, 2);
	assert_int_equal(run_command(world, act_as_nobody, true), 0);
	crew__control_free(world->control);
	world->settings.control_act_group = nobodys;
	assert_int_equal(open_control(world), 0);
	assert_int_equal(run_command(world, act_as_first_member, true), 1);
	assert_int_equal(world->kicked, 2);
}

/* ---- the place ----------------------------------------------------------------------------- */

static void a_long_run_dir_is_reached(void **state)
{
	struct world *world = *state;
	static char below[200], deep[400];
	crew__control_free(world->control);
	memset(below, 'd', 180);
	snprintf(deep, sizeof(deep), "%s/%s", dir, below);
	assert_int_equal(mkdir(deep, 0755), 0);
	world->settings.run_dir = deep;
	assert_int_equal(open_control(world), 0);
	int fd = crew__endpoint_connect(deep, NAME);
	assert_true(fd >= 0);
	uid_t uid;
	assert_int_equal(crew__endpoint_peer(fd, &uid), 0);
	assert_int_equal(uid, geteuid());
	close(fd);
	crew__control_free(world->control);
	assert_int_equal(rmdir(deep), 0);
	world->settings.run_dir = dir;
	assert_int_equal(open_control(world), 0);
}

static void places_and_groups_that_are_not_there(void **state)
{
	struct world *world = *state;
	static char nowhere[] = "/nonexistent", group[] = "no-such-group";
	struct crew__settings settings = world->settings;
	settings.run_dir = nowhere;
	assert_int_equal(crew__endpoint_listen(&settings, error, sizeof(error)), -ENOENT);
	assert_non_null(strstr(error, "/nonexistent/" NAME ".ctl"));
	assert_int_equal(crew__endpoint_connect(nowhere, NAME), -ENOENT);
	settings = world->settings;
	settings.control_group = group;
	assert_int_equal(crew__endpoint_listen(&settings, error, sizeof(error)), -ENOENT);
	assert_non_null(strstr(error, "no-such-group"));
}

int main(void)
{
#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, make_world, end_world)
	const struct CMUnitTest tests[] = {
		IN_A_WORLD(the_master_shows_its_lives),
		IN_A_WORLD(many_lives_come_in_batches),
		IN_A_WORLD(a_master_that_hangs_is_looked_past),
		IN_A_WORLD(lives_that_end_in_between),
		IN_A_WORLD(nobody_runs),
		IN_A_WORLD(orders_arrive),
		IN_A_WORLD(sockets_go_to_who_stops_it),
		IN_A_WORLD(without_sockets_there_is_an_answer_too),
		IN_A_WORLD(a_plain_stop_leaves_none),
		IN_A_WORLD(the_end_of_a_reload_is_told),
		IN_A_WORLD(nonsense_is_refused),
		IN_A_WORLD(a_crowd_keeps_nobody_out),
		IN_A_WORLD(kicks_arrive_in_packets),
		IN_A_WORLD(settings_arrive),
		IN_A_WORLD(kicks_of_nonsense_end_the_conversation),
		IN_A_WORLD(orders_in_vain),
		IN_A_WORLD(orders_and_looks_from_inside),
		IN_A_WORLD(others_may_look_but_not_act),
		IN_A_WORLD(members_of_the_group_may_act),
		IN_A_WORLD(a_long_run_dir_is_reached),
		IN_A_WORLD(places_and_groups_that_are_not_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
