/* test_loop.c - what is ready is told, on both engines: registering, changing, and removing in the
 * middle of a batch. Waiting and hooks are in test_loop_turn.c, signals and posts in
 * test_loop_calls.c. */
#include "loop/parts.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

/* Growing a table fails while this is 1, and once it has counted down to 1. 0: never. */
static int calls_to_failure;

void *reallocarray(void *ptr, size_t nmemb, size_t size)
{
	size_t bytes;
	if (calls_to_failure == 1 || __builtin_mul_overflow(nmemb, size, &bytes))
		return NULL;
	if (calls_to_failure > 1)
		calls_to_failure--;
	return realloc(ptr, bytes);
}

/* The same for epoll_ctl(). */
static int controls_to_failure;

int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	if (controls_to_failure == 1) {
		errno = ENOMEM;
		return -1;
	}
	if (controls_to_failure > 1)
		controls_to_failure--;
	return (int)syscall(SYS_epoll_ctl, epfd, op, fd, event);
}

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

/* Add more sources than the first tables hold; the nth allocation or epoll_ctl() fails. */
static void add_many(struct peer *peers, int count, int nth)
{
	int failures = 0;
	struct world *world = peers[0].world;
	if (world->kind == CREW__ENGINE_EPOLL)
		controls_to_failure = nth;
	else
		calls_to_failure = nth;
	for (int i = 0; i < count; i++) {
		if (crew__loop_add(world->loop, &peers[i].source, CREW__READ) == 0)
			continue;
		failures++;
		assert_int_equal(peers[i].source.events, 0);
		calls_to_failure = controls_to_failure = 0;
		add(&peers[i], CREW__READ); /* it can be done again */
	}
	assert_int_equal(failures, 1);
}

static void goes_on_after_a_want_of_memory(void **state)
{
	enum {
		MANY = 150
	};
	struct world *world = *state;
	for (int nth = 1; nth <= 6; nth++) {
		struct peer peers[MANY] = { 0 };
		crew__loop_free(world->loop);
		assert_int_equal(crew__loop_new(world->kind, &world->loop), 0);
		for (int i = 0; i < MANY; i++) {
			peers[i].source.fn = on_event;
			peers[i].world = world;
			open_pair(&peers[i]);
			poke(&peers[i]);
		}
		add_many(peers, MANY, nth);
		turn(world);
		for (int i = 0; i < MANY; i++) {
			assert_int_equal(peers[i].calls, 1);
			drop(&peers[i]);
			close(peers[i].far);
		}
	}
}

/* A shared source that cannot be changed watches nothing, until it can. */
static void a_failed_change_of_a_shared_source_can_be_repeated(void **state)
{
	struct world *world = *state;
	struct peer *peer = &world->peers[0];
	poke(peer);
	add(peer, CREW__SHARED | CREW__READ);
	if (world->kind == CREW__ENGINE_POLL)
		return;          /* there it cannot fail */
	controls_to_failure = 2; /* taken out, but not put back */
	assert_int_equal(
		crew__loop_mod(world->loop, &peer->source, CREW__SHARED | CREW__WRITE), -ENOMEM);
	controls_to_failure = 0;
	turn(world);
	assert_int_equal(peer->calls, 0);
	assert_int_equal(crew__loop_mod(world->loop, &peer->source, CREW__SHARED | CREW__READ), 0);
	turn(world);
	assert_int_equal(peer->calls, 1);

	struct peer *other = &world->peers[1];
	add(other, CREW__READ);
	controls_to_failure = 1;
	assert_int_equal(crew__loop_mod(world->loop, &other->source, CREW__WRITE), -ENOMEM);
	controls_to_failure = 0;
	assert_int_equal(other->source.events, CREW__READ); /* as before */
	turn(world);
	assert_int_equal(other->calls, 0);
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
		ON_BOTH(goes_on_after_a_want_of_memory),
		ON_BOTH(a_failed_change_of_a_shared_source_can_be_repeated),
		ON_BOTH(whoever_is_first_may_remove_all),
		ON_BOTH(all_are_called_once_when_some_go),
		ON_BOTH(a_renewed_source_does_not_get_the_old_event),
		ON_BOTH(what_is_no_longer_watched_is_not_told),
		ON_BOTH(one_added_in_a_turn_is_called_in_the_next),
		ON_BOTH(grows_with_its_sources),
		ON_BOTH(a_shared_source_can_change),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
