/* test_loop.c - the turn, on both engines: readiness, removal in the middle of a batch, waiting,
 * hooks. Signals and posts are in test_loop_calls.c. */
#include "base/clock.h"
#include "loop/parts.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

enum {
	PEERS = 8
};

/* One end of a socket pair in the loop, the other in the test's hand. */
struct peer {
	struct crew__source source;
	struct world *world;
	int far;
	int calls;
	unsigned told; /* the events of the last call */
	void (*then)(struct peer *peer);
};

struct world {
	enum crew__engine_kind kind;
	struct crew__loop *loop;
	struct peer peers[PEERS];
};

static void on_event(struct crew__source *source, unsigned events)
{
	struct peer *peer = crew__container_of(source, struct peer, source);
	peer->calls++;
	peer->told = events;
	if (peer->then)
		peer->then(peer);
}

static void open_pair(struct peer *peer)
{
	int fds[2];
	int kind = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
	assert_int_equal(socketpair(AF_UNIX, kind, 0, fds), 0);
	peer->source.fd = fds[0];
	peer->far = fds[1];
}

static int set_up(void **state, enum crew__engine_kind kind)
{
	struct world *world = calloc(1, sizeof(*world));
	if (!world || crew__loop_new(kind, &world->loop) != 0)
		return -1;
	world->kind = kind;
	for (int i = 0; i < PEERS; i++) {
		world->peers[i].source.fn = on_event;
		world->peers[i].world = world;
		open_pair(&world->peers[i]);
	}
	*state = world;
	return 0;
}

static int set_up_epoll(void **state)
{
	return set_up(state, CREW__ENGINE_EPOLL);
}

static int set_up_poll(void **state)
{
	return set_up(state, CREW__ENGINE_POLL);
}

static int tear_down(void **state)
{
	struct world *world = *state;
	for (int i = 0; i < PEERS; i++) {
		if (world->peers[i].source.fd >= 0)
			close(world->peers[i].source.fd);
		close(world->peers[i].far);
	}
	crew__loop_free(world->loop);
	free(world);
	return 0;
}

static void add(struct peer *peer, unsigned events)
{
	assert_int_equal(crew__loop_add(peer->world->loop, &peer->source, events), 0);
	assert_int_equal(peer->source.events, events);
}

static void poke(struct peer *peer)
{
	assert_int_equal(write(peer->far, "x", 1), 1);
}

/* Remove and close. */
static void drop(struct peer *peer)
{
	int fd = peer->source.fd;
	crew__loop_remove(peer->world->loop, &peer->source);
	assert_int_equal(peer->source.fd, -1);
	close(fd);
}

static void turn(struct world *world)
{
	assert_int_equal(crew__loop_turn(world->loop, 0), 0);
}

static void engines_have_names(void **state)
{
	struct world *world = *state;
	const char *name = crew__loop_engine(world->loop);
	assert_true(strcmp(name, "epoll") == 0 || strcmp(name, "poll") == 0);
	struct crew__loop *loop;
	assert_int_equal(crew__loop_new(CREW__ENGINE_AUTO, &loop), 0);
	assert_string_equal(crew__loop_engine(loop), "epoll");
	crew__loop_free(loop);
	crew__loop_free(NULL);
}

static void tells_what_is_ready_while_it_is(void **state)
{
	struct world *world = *state;
	struct peer *peer = &world->peers[0];
	char byte;
	add(peer, CREW__READ);
	turn(world);
	assert_int_equal(peer->calls, 0);
	poke(peer);
	turn(world);
	turn(world); /* level-triggered: nobody read it */
	assert_int_equal(peer->calls, 2);
	assert_int_equal(peer->told, CREW__READ);
	assert_int_equal(read(peer->source.fd, &byte, 1), 1);
	turn(world);
	assert_int_equal(peer->calls, 2);
}

static void changes_what_is_watched(void **state)
{
	struct world *world = *state;
	struct peer *peer = &world->peers[0];
	add(peer, 0);
	poke(peer);
	turn(world);
	assert_int_equal(peer->calls, 0);
	assert_int_equal(crew__loop_mod(world->loop, &peer->source, CREW__WRITE), 0);
	turn(world);
	assert_int_equal(peer->told, CREW__WRITE);
	assert_int_equal(crew__loop_mod(world->loop, &peer->source, CREW__READ | CREW__WRITE), 0);
	turn(world);
	assert_int_equal(peer->told, CREW__READ | CREW__WRITE);
	assert_int_equal(crew__loop_mod(world->loop, &peer->source, 0), 0);
	turn(world);
	assert_int_equal(peer->calls, 2);
}

static void tells_the_end_of_a_stream(void **state)
{
	struct world *world = *state;
	struct peer *peer = &world->peers[0];
	add(peer, CREW__READ);
	assert_int_equal(shutdown(peer->far, SHUT_WR), 0);
	turn(world);
	assert_int_equal(peer->told, CREW__READ | CREW__ENDED);
	/* Who does not watch for reading is not told of it. */
	assert_int_equal(crew__loop_mod(world->loop, &peer->source, CREW__WRITE), 0);
	turn(world);
	assert_int_equal(peer->told, CREW__WRITE);
}

static void tells_a_hangup_to_who_watches_nothing(void **state)
{
	struct world *world = *state;
	struct peer *peer = &world->peers[0];
	add(peer, 0);
	turn(world);
	assert_int_equal(peer->calls, 0);
	close(peer->far);
	peer->far = -1;
	turn(world);
	assert_int_equal(peer->told, CREW__HUP);
}

static void refuses_what_cannot_be_watched(void **state)
{
	struct world *world = *state;
	char path[] = "/tmp/crew-test-XXXXXX";
	struct crew__source file = { .fn = on_event, .fd = mkstemp(path) };
	assert_true(file.fd >= 0);
	unlink(path);
	assert_int_equal(crew__loop_add(world->loop, &file, CREW__READ), -EPERM);
	int fd = file.fd;
	close(fd);
	assert_int_equal(crew__loop_add(world->loop, &file, CREW__READ), -EBADF);
	file.fd = -1;
	assert_int_equal(crew__loop_add(world->loop, &file, CREW__READ), -EBADF);
	assert_int_equal(crew__loop_mod(world->loop, &file, CREW__READ), -EBADF);
	crew__loop_remove(world->loop, &file);

	struct crew__source directory = { .fn = on_event, .fd = open("/", O_RDONLY | O_CLOEXEC) };
	assert_int_equal(crew__loop_add(world->loop, &directory, CREW__READ), -EPERM);
	close(directory.fd);

	struct peer *peer = &world->peers[0];
	assert_int_equal(crew__loop_mod(world->loop, &peer->source, CREW__READ), -ENOENT);
	add(peer, CREW__READ);
	assert_int_equal(crew__loop_add(world->loop, &peer->source, CREW__READ), -EEXIST);
	struct crew__source twin = { .fn = on_event, .fd = peer->source.fd };
	assert_int_equal(crew__loop_add(world->loop, &twin, CREW__READ), -EEXIST);
	poke(peer);
	turn(world); /* the first registration is as it was */
	assert_int_equal(peer->calls, 1);
}

static void removing_one_that_was_never_added_hurts_no_other(void **state)
{
	struct world *world = *state;
	struct peer *peer = &world->peers[0];
	add(peer, CREW__READ);
	struct crew__source stranger = { .fn = on_event, .fd = world->peers[1].source.fd };
	crew__loop_remove(world->loop, &stranger);
	assert_int_equal(stranger.fd, -1);
	poke(peer);
	turn(world);
	assert_int_equal(peer->calls, 1);
}

/* A descriptor that is closed too early must not keep the loop from going on. */
static void survives_a_descriptor_closed_before_its_removal(void **state)
{
	struct world *world = *state;
	struct peer *a = &world->peers[0], *b = &world->peers[1];
	add(a, CREW__READ);
	add(b, CREW__READ);
	close(a->source.fd);
	poke(b);
	turn(world);
	assert_int_equal(b->calls, 1);
	crew__loop_remove(world->loop, &a->source);
	turn(world);
	assert_int_equal(b->calls, 2);
}

static void drop_all(struct peer *peer)
{
	for (int i = 0; i < PEERS; i++)
		drop(&peer->world->peers[i]);
}

static void whoever_is_first_may_remove_all(void **state)
{
	struct world *world = *state;
	int calls = 0;
	for (int i = 0; i < PEERS; i++) {
		world->peers[i].then = drop_all;
		add(&world->peers[i], CREW__READ);
		poke(&world->peers[i]);
	}
	turn(world);
	turn(world);
	for (int i = 0; i < PEERS; i++)
		calls += world->peers[i].calls;
	assert_int_equal(calls, 1);
}

static void drop_self(struct peer *peer)
{
	drop(peer);
}

/* With removals in the middle each of the others is still called, and once. */
static void all_are_called_once_when_some_go(void **state)
{
	struct world *world = *state;
	for (int i = 0; i < PEERS; i++) {
		world->peers[i].then = i % 3 == 0 ? drop_self : NULL;
		add(&world->peers[i], CREW__READ);
		poke(&world->peers[i]);
	}
	turn(world);
	for (int i = 0; i < PEERS; i++)
		assert_int_equal(world->peers[i].calls, 1);
	turn(world);
	for (int i = 0; i < PEERS; i++)
		assert_int_equal(world->peers[i].calls, i % 3 == 0 ? 1 : 2);
}

/* Each takes all others out of the loop and puts them back for a fresh, silent descriptor. */
static void renew_others(struct peer *peer)
{
	for (int i = 0; i < PEERS; i++) {
		struct peer *other = &peer->world->peers[i];
		if (other == peer)
			continue;
		close(other->far);
		drop(other);
		open_pair(other);
		add(other, CREW__READ | CREW__WRITE);
	}
}

/* The new descriptor most likely has the number of the old one, and the source is the same. */
static void a_renewed_source_does_not_get_the_old_event(void **state)
{
	struct world *world = *state;
	int calls = 0;
	for (int i = 0; i < PEERS; i++) {
		world->peers[i].then = renew_others;
		add(&world->peers[i], CREW__READ);
		poke(&world->peers[i]);
	}
	turn(world);
	for (int i = 0; i < PEERS; i++) {
		calls += world->peers[i].calls;
		world->peers[i].then = NULL;
	}
	assert_int_equal(calls, 1);
	/* They are watched nevertheless. */
	turn(world);
	for (int i = 0; i < PEERS; i++)
		assert_true(world->peers[i].calls >= 1);
}

static void ignore_others(struct peer *peer)
{
	for (int i = 0; i < PEERS; i++) {
		struct peer *other = &peer->world->peers[i];
		if (other != peer)
			assert_int_equal(crew__loop_mod(peer->world->loop, &other->source, 0), 0);
	}
}

static void what_is_no_longer_watched_is_not_told(void **state)
{
	struct world *world = *state;
	int calls = 0;
	for (int i = 0; i < PEERS; i++) {
		world->peers[i].then = ignore_others;
		add(&world->peers[i], CREW__READ);
		poke(&world->peers[i]);
	}
	turn(world);
	for (int i = 0; i < PEERS; i++)
		calls += world->peers[i].calls;
	assert_int_equal(calls, 1);
}

static void add_next(struct peer *peer)
{
	struct peer *next = peer + 1;
	if (next < peer->world->peers + PEERS && next->source.events == 0)
		add(next, CREW__READ);
}

static void one_added_in_a_turn_is_called_in_the_next(void **state)
{
	struct world *world = *state;
	for (int i = 0; i < PEERS; i++) {
		world->peers[i].then = add_next;
		poke(&world->peers[i]);
	}
	add(&world->peers[0], CREW__READ);
	for (int i = 0; i < PEERS; i++) {
		turn(world);
		for (int j = 0; j < PEERS; j++)
			assert_int_equal(world->peers[j].calls, j <= i ? i - j + 1 : 0);
	}
}

/* More sources than the first tables hold and one batch takes. */
static void grows_with_its_sources(void **state)
{
	enum {
		MANY = 600
	};
	struct world *world = *state;
	struct peer *many = calloc(MANY, sizeof(*many));
	struct rlimit limit;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_cur < 2 * MANY + 100) {
		limit.rlim_cur = 2 * MANY + 100;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	}
	for (int i = 0; i < MANY; i++) {
		many[i].source.fn = on_event;
		many[i].world = world;
		open_pair(&many[i]);
		add(&many[i], CREW__READ);
		poke(&many[i]);
	}
	/* One turn need not take all (a batch is bounded), but all have their turn. */
	turn(world);
	turn(world);
	for (int i = 0; i < MANY; i++)
		assert_in_range(many[i].calls, 1, 2);
	for (int i = 0; i < MANY; i++) {
		drop(&many[i]);
		close(many[i].far);
	}
	free(many);
}

/* A shared source can be paused and go on, as a listener without descriptors does. */
static void a_shared_source_can_change(void **state)
{
	struct world *world = *state;
	struct peer *peer = &world->peers[0];
	poke(peer);
	add(peer, CREW__SHARED | CREW__READ);
	turn(world);
	assert_int_equal(peer->told, CREW__READ);
	assert_int_equal(crew__loop_mod(world->loop, &peer->source, CREW__SHARED), 0);
	turn(world);
	assert_int_equal(peer->calls, 1);
	assert_int_equal(crew__loop_mod(world->loop, &peer->source, CREW__SHARED | CREW__READ), 0);
	turn(world);
	assert_int_equal(peer->calls, 2);
	drop(peer);
	turn(world);
	assert_int_equal(peer->calls, 2);
}

/* ---- waiting ------------------------------------------------------------------------------- */

struct alarm {
	struct crew__timer timer;
	struct world *world;
	uint64_t rang_ns;
	int left; /* restarts */
};

static void on_alarm(struct crew__timer *timer)
{
	struct alarm *alarm = crew__container_of(timer, struct alarm, timer);
	alarm->rang_ns = crew__clock_ns();
	if (alarm->left-- > 0)
		assert_int_equal(crew__timer_start(alarm->world->loop, timer, timer->due_ns), 0);
	else
		crew__loop_stop(alarm->world->loop);
}

static void waits_for_a_timer_and_never_less(void **state)
{
	struct world *world = *state;
	for (uint64_t wait_us = 100; wait_us < 20000; wait_us = wait_us * 3 + 77) {
		struct alarm alarm = { .timer.fn = on_alarm, .world = world };
		uint64_t due_ns = crew__clock_ns() + wait_us * 1000;
		assert_int_equal(crew__timer_start(world->loop, &alarm.timer, due_ns), 0);
		assert_int_equal(crew__loop_run(world->loop), 0);
		assert_true(alarm.rang_ns >= due_ns);
		assert_true(crew__loop_ns(world->loop) >= due_ns);
	}
}

struct counting_hook {
	struct crew__turn_hook hook;
	int turns;
};

static bool count_turn(struct crew__turn_hook *hook)
{
	crew__container_of(hook, struct counting_hook, hook)->turns++;
	return false;
}

/* One wait each: a loop that rounds a wait down would turn many times over the last fraction. */
static void does_not_spin_before_a_timer(void **state)
{
	struct world *world = *state;
	struct counting_hook counter = { .hook.fn = count_turn };
	crew__loop_add_hook(world->loop, &counter.hook);
	for (int i = 1; i <= 10; i++) {
		struct alarm alarm = { .timer.fn = on_alarm, .world = world };
		uint64_t due_ns = crew__clock_ns() + 2345678;
		assert_int_equal(crew__timer_start(world->loop, &alarm.timer, due_ns), 0);
		assert_int_equal(crew__loop_run(world->loop), 0);
		assert_int_equal(counter.turns, i);
	}
}

static void a_timer_restarted_for_now_gets_a_turn_each(void **state)
{
	struct world *world = *state;
	struct counting_hook counter = { .hook.fn = count_turn };
	struct alarm alarm = { .timer.fn = on_alarm, .world = world, .left = 9 };
	crew__loop_add_hook(world->loop, &counter.hook);
	assert_int_equal(crew__timer_start(world->loop, &alarm.timer, 1), 0);
	assert_int_equal(crew__loop_run(world->loop), 0);
	assert_int_equal(counter.turns, 10);
}

static void a_turn_waits_no_longer_than_it_may(void **state)
{
	struct world *world = *state;
	struct alarm alarm = { .timer.fn = on_alarm, .world = world };
	uint64_t began = crew__clock_ns();
	assert_int_equal(crew__loop_turn(world->loop, 5), 0);
	uint64_t waited = crew__clock_ns() - began;
	assert_true(waited >= 5 * CREW__NS_PER_MS);
	/* A timer that is far away, or never, does not lengthen it. */
	assert_int_equal(crew__timer_start(world->loop, &alarm.timer, CREW__NEVER), 0);
	assert_int_equal(crew__loop_turn(world->loop, 1), 0);
	assert_int_equal(crew__timer_start(world->loop, &alarm.timer, CREW__NEVER - 1), 0);
	assert_int_equal(crew__loop_turn(world->loop, 1), 0);
	assert_true(crew__clock_ns() - began < 20 * CREW__NS_PER_S);
	assert_int_equal(alarm.rang_ns, 0);
}

static void stop_before_run_ends_it_at_once(void **state)
{
	struct world *world = *state;
	struct counting_hook counter = { .hook.fn = count_turn };
	crew__loop_add_hook(world->loop, &counter.hook);
	crew__loop_stop(world->loop);
	assert_int_equal(crew__loop_run(world->loop), 0);
	assert_int_equal(counter.turns, 0);
}

/* ---- what is noted ------------------------------------------------------------------------- */

static _Atomic uint64_t noted[2];
static uint64_t noted_inside;

static bool look_at_note(struct crew__turn_hook *hook)
{
	(void)hook;
	noted_inside = noted[0];
	return false;
}

static void notes_when_the_turn_began(void **state)
{
	struct world *world = *state;
	struct crew__turn_hook hook = { .fn = look_at_note };
	crew__loop_add_hook(world->loop, &hook);
	assert_int_equal(crew__loop_note_turns(world->loop, &noted[0]), 0);
	assert_int_equal(crew__loop_note_turns(world->loop, &noted[1]), 0);
	turn(world);
	assert_int_equal(noted_inside, crew__loop_ns(world->loop));
	assert_int_equal(noted[1], noted_inside);

	struct alarm alarm = { .timer.fn = on_alarm, .world = world };
	assert_int_equal(crew__timer_start(world->loop, &alarm.timer, 1), 0);
	assert_int_equal(crew__loop_run(world->loop), 0);
	assert_int_equal(noted[0], 0); /* the loop no longer turns: it is not busy */

	assert_int_equal(crew__loop_note_turns(world->loop, NULL), 0);
	noted[0] = 7;
	turn(world);
	assert_int_equal(noted[0], 7);
	for (int i = 0; i < CREW_MAX_SERVICES; i++)
		assert_int_equal(crew__loop_note_turns(world->loop, &noted[0]), 0);
	assert_int_equal(crew__loop_note_turns(world->loop, &noted[0]), -ENOBUFS);
}

/* ---- hooks --------------------------------------------------------------------------------- */

struct named_hook {
	struct crew__turn_hook hook;
	struct crew__loop *loop;
	char name;
	bool busy;
	struct named_hook *removes, *adds;
};

static char order[32];

static bool on_turn_end(struct crew__turn_hook *hook)
{
	struct named_hook *named = crew__container_of(hook, struct named_hook, hook);
	size_t len = strlen(order);
	assert_true(len + 1 < sizeof(order));
	order[len] = named->name;
	order[len + 1] = '\0';
	if (named->removes)
		crew__loop_remove_hook(named->loop, &named->removes->hook);
	if (named->adds)
		crew__loop_add_hook(named->loop, &named->adds->hook);
	named->adds = NULL;
	return named->busy;
}

static void make_hooks(struct world *world, struct named_hook *hooks, int count)
{
	for (int i = 0; i < count; i++) {
		hooks[i] = (struct named_hook){
			.hook.fn = on_turn_end, .loop = world->loop, .name = (char)('a' + i)
		};
		crew__loop_add_hook(world->loop, &hooks[i].hook);
	}
	order[0] = '\0';
}

static void hooks_run_in_order_each_once(void **state)
{
	struct world *world = *state;
	struct named_hook hooks[3];
	make_hooks(world, hooks, 3);
	turn(world);
	assert_string_equal(order, "abc");
	crew__loop_remove_hook(world->loop, &hooks[1].hook);
	crew__loop_remove_hook(world->loop, &hooks[1].hook);
	turn(world);
	assert_string_equal(order, "abcac");
}

static void hooks_may_be_removed_by_hooks(void **state)
{
	struct world *world = *state;
	struct named_hook hooks[4];
	make_hooks(world, hooks, 4);
	hooks[0].removes = &hooks[1]; /* the next */
	hooks[2].removes = &hooks[2]; /* itself */
	hooks[3].removes = &hooks[0]; /* one that has run */
	turn(world);
	assert_string_equal(order, "acd");
	turn(world);
	assert_string_equal(order, "acdd");
}

static void hooks_may_be_added_by_hooks(void **state)
{
	struct world *world = *state;
	struct named_hook hooks[1], late = { .hook.fn = on_turn_end, .name = 'z' };
	make_hooks(world, hooks, 1);
	hooks[0].adds = &late;
	turn(world);
	turn(world);
	assert_string_equal(order, "aaz"); /* from the next turn on */
}

static void a_hook_with_work_keeps_the_loop_awake(void **state)
{
	struct world *world = *state;
	struct named_hook hooks[2];
	make_hooks(world, hooks, 2);
	hooks[0].busy = true;
	turn(world);
	hooks[0].busy = false;
	uint64_t began = crew__clock_ns();
	assert_int_equal(crew__loop_turn(world->loop, 60000), 0);
	assert_true(crew__clock_ns() - began < 30 * CREW__NS_PER_S);
	assert_string_equal(order, "abab");
}

static void cannot_be_made_without_descriptors(void **state)
{
	struct world *world = *state;
	struct rlimit old, none;
	struct crew__loop *loop = NULL;
	rlim_t needs = world->kind == CREW__ENGINE_EPOLL ? 3 : 1;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	int highest = dup(world->peers[0].far);
	close(highest);
	for (rlim_t allowed = 0; allowed <= needs; allowed++) {
		none = (struct rlimit){ (rlim_t)highest + allowed, old.rlim_max };
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
		int error = crew__loop_new(world->kind, &loop);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
		assert_int_equal(error, allowed < needs ? -EMFILE : 0);
	}
	crew__loop_free(loop);
	int again = dup(world->peers[0].far);
	assert_int_equal(again, highest); /* and nothing was left open */
	close(again);
}

#define ON_BOTH(test)                                              \
	{ "epoll: " #test, test, set_up_epoll, tear_down, NULL },  \
	{                                                          \
		"poll: " #test, test, set_up_poll, tear_down, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(engines_have_names),
		ON_BOTH(tells_what_is_ready_while_it_is),
		ON_BOTH(changes_what_is_watched),
		ON_BOTH(tells_the_end_of_a_stream),
		ON_BOTH(tells_a_hangup_to_who_watches_nothing),
		ON_BOTH(refuses_what_cannot_be_watched),
		ON_BOTH(removing_one_that_was_never_added_hurts_no_other),
		ON_BOTH(survives_a_descriptor_closed_before_its_removal),
		ON_BOTH(whoever_is_first_may_remove_all),
		ON_BOTH(all_are_called_once_when_some_go),
		ON_BOTH(a_renewed_source_does_not_get_the_old_event),
		ON_BOTH(what_is_no_longer_watched_is_not_told),
		ON_BOTH(one_added_in_a_turn_is_called_in_the_next),
		ON_BOTH(grows_with_its_sources),
		ON_BOTH(a_shared_source_can_change),
		ON_BOTH(waits_for_a_timer_and_never_less),
		ON_BOTH(does_not_spin_before_a_timer),
		ON_BOTH(a_timer_restarted_for_now_gets_a_turn_each),
		ON_BOTH(a_turn_waits_no_longer_than_it_may),
		ON_BOTH(stop_before_run_ends_it_at_once),
		ON_BOTH(notes_when_the_turn_began),
		ON_BOTH(hooks_run_in_order_each_once),
		ON_BOTH(hooks_may_be_removed_by_hooks),
		ON_BOTH(hooks_may_be_added_by_hooks),
		ON_BOTH(a_hook_with_work_keeps_the_loop_awake),
		ON_BOTH(cannot_be_made_without_descriptors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
