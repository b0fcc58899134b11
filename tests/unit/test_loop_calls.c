/* test_loop_calls.c - what reaches the loop from outside: posts of other threads, and signals; on
 * both engines. */
#include "base/clock.h"
#include "loop/parts.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

struct world {
	struct crew__loop *loop;
	enum crew__engine_kind kind;
	int calls, drops;
	int signals[NSIG];
	int posts_left; /* posts that post themselves again */
};

static int set_up(void **state, enum crew__engine_kind kind)
{
	struct world *world = calloc(1, sizeof(*world));
	if (!world || crew__loop_new(kind, &world->loop) != 0)
		return -1;
	world->kind = kind;
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
	crew__loop_free(world->loop);
	free(world);
	crew__loop_unblock_signals();
	return 0;
}

static void turn(struct world *world)
{
	assert_int_equal(crew__loop_turn(world->loop, 0), 0);
}

/* ---- posts --------------------------------------------------------------------------------- */

static void count_call(void *arg)
{
	struct world *world = arg;
	world->calls++;
}

static void post_again(void *arg)
{
	struct world *world = arg;
	world->calls++;
	if (world->posts_left-- > 0)
		assert_int_equal(crew__loop_post(world->loop, post_again, world), 0);
}

static void stop_loop(void *arg)
{
	struct world *world = arg;
	crew__loop_stop(world->loop);
}

static void a_post_is_called_once(void **state)
{
	struct world *world = *state;
	assert_int_equal(crew__loop_post(world->loop, count_call, world), 0);
	assert_int_equal(crew__loop_post(world->loop, count_call, world), 0);
	assert_int_equal(world->calls, 0); /* not from inside the call */
	turn(world);
	assert_int_equal(world->calls, 2);
	turn(world);
	assert_int_equal(world->calls, 2);
	assert_int_equal(crew__loop_post(world->loop, count_call, world), 0);
	turn(world);
	assert_int_equal(world->calls, 3);
}

static void a_post_of_a_post_waits_for_the_next_turn(void **state)
{
	struct world *world = *state;
	world->posts_left = 3;
	assert_int_equal(crew__loop_post(world->loop, post_again, world), 0);
	for (int i = 1; i <= 4; i++) {
		turn(world);
		assert_int_equal(world->calls, i);
	}
	turn(world);
	assert_int_equal(world->calls, 4);
}

static void posts_are_refused_when_the_loop_has_ended(void **state)
{
	struct world *world = *state;
	assert_int_equal(crew__loop_post(world->loop, stop_loop, world), 0);
	world->posts_left = 100; /* one of them waits when the loop ends: it is forgotten */
	assert_int_equal(crew__loop_post(world->loop, post_again, world), 0);
	assert_int_equal(crew__loop_run(world->loop), 0);
	int calls = world->calls;
	assert_int_equal(calls, 1);
	assert_int_equal(crew__loop_post(world->loop, count_call, world), -ESHUTDOWN);
	turn(world);
	assert_int_equal(world->calls, calls);
}

static void posts_of_a_freed_loop_are_forgotten(void **state)
{
	struct world *world = *state;
	assert_int_equal(crew__loop_post(world->loop, count_call, world), 0);
	crew__loop_free(world->loop);
	assert_int_equal(world->calls, 0);
	assert_int_equal(crew__loop_new(CREW__ENGINE_AUTO, &world->loop), 0);
}

static void drop_post(void *arg)
{
	struct world *world = arg;
	world->drops++;
}

static void stop_and_post_owned(void *arg)
{
	struct world *world = arg;
	crew__loop_stop(world->loop);
	assert_int_equal(crew__loop_post_owned(world->loop, count_call, drop_post, world), 0);
}

/* Either the one or the other, once. */
static void an_owned_post_is_called_or_dropped(void **state)
{
	struct world *world = *state;
	struct crew__loop *loop = world->loop;
	assert_int_equal(crew__loop_post_owned(loop, count_call, drop_post, world), 0);
	turn(world);
	assert_int_equal(world->calls, 1);
	assert_int_equal(world->drops, 0);

	assert_int_equal(crew__loop_post(loop, stop_and_post_owned, world), 0);
	assert_int_equal(crew__loop_run(loop), 0);
	assert_int_equal(world->calls, 1);
	assert_int_equal(world->drops, 1);
	assert_int_equal(crew__loop_post_owned(loop, count_call, drop_post, world), -ESHUTDOWN);
	assert_int_equal(world->drops, 1);

	assert_int_equal(crew__loop_new(world->kind, &loop), 0);
	assert_int_equal(crew__loop_post_owned(loop, count_call, drop_post, world), 0);
	crew__loop_free(loop);
	assert_int_equal(world->calls, 1);
	assert_int_equal(world->drops, 2);
}

enum {
	THREADS = 4,
	POSTS = 2000
};

struct poster {
	pthread_t thread;
	struct world *world;
	struct crowd *crowd;
	int next; /* the number of the next post to arrive */
	struct parcel {
		struct poster *poster;
		int number;
	} parcels[POSTS];
};

struct crowd {
	struct world *world;
	int arrived;
	struct poster posters[THREADS];
};

static void receive(void *arg)
{
	struct parcel *parcel = arg;
	struct poster *poster = parcel->poster;
	assert_int_equal(parcel->number, poster->next);
	poster->next++;
	if (++poster->crowd->arrived == THREADS * POSTS)
		crew__loop_stop(poster->world->loop);
}

static void *post_all(void *arg)
{
	struct poster *poster = arg;
	for (int i = 0; i < POSTS; i++) {
		poster->parcels[i] = (struct parcel){ poster, i };
		if (crew__loop_post(poster->world->loop, receive, &poster->parcels[i]) != 0)
			return poster;
	}
	return NULL;
}

static void all_threads_posts_arrive_each_in_order(void **state)
{
	struct world *world = *state;
	struct crowd *crowd = calloc(1, sizeof(*crowd));
	for (int i = 0; i < THREADS; i++) {
		struct poster *poster = &crowd->posters[i];
		poster->world = world;
		poster->crowd = crowd;
		assert_int_equal(pthread_create(&poster->thread, NULL, post_all, poster), 0);
	}
	assert_int_equal(crew__loop_run(world->loop), 0);
	for (int i = 0; i < THREADS; i++) {
		void *failed;
		assert_int_equal(pthread_join(crowd->posters[i].thread, &failed), 0);
		assert_null(failed);
	}
	assert_int_equal(crowd->arrived, THREADS * POSTS);
	free(crowd);
}

/* ---- signals ------------------------------------------------------------------------------- */

static void on_signal(int signo, void *arg)
{
	struct world *world = arg;
	world->signals[signo]++;
}

static void on_signal_again(int signo, void *arg)
{
	struct world *world = arg;
	world->signals[signo] += 100;
}

static void handle(struct world *world, int signo)
{
	assert_int_equal(crew__loop_signal(world->loop, signo, on_signal, world), 0);
}

static void signals_are_told_in_the_loop(void **state)
{
	struct world *world = *state;
	handle(world, SIGUSR1);
	handle(world, SIGTERM);
	handle(world, SIGRTMIN);
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGTERM);
	assert_int_equal(world->signals[SIGUSR1], 0);
	turn(world);
	assert_int_equal(world->signals[SIGUSR1], 1);
	assert_int_equal(world->signals[SIGTERM], 1);
	assert_int_equal(world->signals[SIGRTMIN], 0);
	turn(world);
	assert_int_equal(world->signals[SIGUSR1], 1);
}

static void a_new_handler_replaces_the_old(void **state)
{
	struct world *world = *state;
	handle(world, SIGUSR1);
	kill(getpid(), SIGUSR1); /* it waits already when the handler changes */
	assert_int_equal(crew__loop_signal(world->loop, SIGUSR1, on_signal_again, world), 0);
	turn(world);
	assert_int_equal(world->signals[SIGUSR1], 100);
}

/* Queued signals, more than one read takes: all come, some turns later. */
static void a_burst_of_signals_loses_none(void **state)
{
	struct world *world = *state;
	union sigval value = { 0 };
	handle(world, SIGRTMIN + 1);
	for (int i = 0; i < 100; i++)
		assert_int_equal(sigqueue(getpid(), SIGRTMIN + 1, value), 0);
	for (int i = 0; i < 100 && world->signals[SIGRTMIN + 1] < 100; i++)
		turn(world);
	assert_int_equal(world->signals[SIGRTMIN + 1], 100);
}

static void bad_signals_are_refused(void **state)
{
	struct world *world = *state;
	const int bad[] = { -1, 0, SIGKILL, SIGSTOP, NSIG, 1000000 };
	for (size_t i = 0; i < crew__lengthof(bad); i++)
		assert_int_equal(crew__loop_signal(world->loop, bad[i], on_signal, world), -EINVAL);
	assert_int_equal(crew__loop_signal(world->loop, SIGUSR1, NULL, world), -EINVAL);
	assert_int_equal(world->loop->signals.source.fd, -1);
}

/* The child of a fork takes signals as if there had been no loop; what was blocked before stays. */
static void a_child_can_undo_the_mask(void **state)
{
	struct world *world = *state;
	sigset_t before, after;
	sigset_t usr2;
	sigemptyset(&usr2);
	sigaddset(&usr2, SIGUSR2);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, &usr2, NULL), 0);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &before), 0);
	handle(world, SIGTERM);
	handle(world, SIGUSR2);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		crew__loop_unblock_signals();
		pthread_sigmask(SIG_BLOCK, NULL, &after);
		if (!sigismember(&after, SIGUSR2))
			_exit(2);
		raise(SIGTERM);
		_exit(1); /* it should not get here */
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGTERM);

	crew__loop_unblock_signals();
	assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &after), 0);
	assert_int_equal(sigismember(&after, SIGTERM), sigismember(&before, SIGTERM));
	assert_int_equal(sigismember(&after, SIGUSR2), 1);
	assert_int_equal(pthread_sigmask(SIG_UNBLOCK, &usr2, NULL), 0);
}

static void add_handler(int signo, void *arg)
{
	struct world *world = arg;
	world->signals[signo]++;
	handle(world, SIGUSR2); /* a handler may add another */
}

static void a_handler_may_add_a_handler(void **state)
{
	struct world *world = *state;
	assert_int_equal(crew__loop_signal(world->loop, SIGUSR1, add_handler, world), 0);
	kill(getpid(), SIGUSR1);
	turn(world);
	kill(getpid(), SIGUSR2);
	turn(world);
	assert_int_equal(world->signals[SIGUSR2], 1);
}

/* A signal that nobody handles interrupts the wait: the turn ends without an error. */
static void ignore_signal(int signo)
{
	(void)signo;
}

static void an_interrupted_wait_is_no_error(void **state)
{
	struct world *world = *state;
	struct sigaction action = { .sa_handler = ignore_signal }, old;
	assert_int_equal(sigaction(SIGALRM, &action, &old), 0);
	alarm(1);
	uint64_t began = crew__clock_ns();
	assert_int_equal(crew__loop_turn(world->loop, 60000), 0);
	assert_true(crew__clock_ns() - began < 50 * CREW__NS_PER_S);
	assert_int_equal(sigaction(SIGALRM, &old, NULL), 0);
}

#define ON_BOTH(test)                                              \
	{ "epoll: " #test, test, set_up_epoll, tear_down, NULL },  \
	{                                                          \
		"poll: " #test, test, set_up_poll, tear_down, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(a_post_is_called_once),
		ON_BOTH(a_post_of_a_post_waits_for_the_next_turn),
		ON_BOTH(posts_are_refused_when_the_loop_has_ended),
		ON_BOTH(posts_of_a_freed_loop_are_forgotten),
		ON_BOTH(an_owned_post_is_called_or_dropped),
		ON_BOTH(all_threads_posts_arrive_each_in_order),
		ON_BOTH(signals_are_told_in_the_loop),
		ON_BOTH(a_new_handler_replaces_the_old),
		ON_BOTH(a_burst_of_signals_loses_none),
		ON_BOTH(bad_signals_are_refused),
		ON_BOTH(a_child_can_undo_the_mask),
		ON_BOTH(a_handler_may_add_a_handler),
		ON_BOTH(an_interrupted_wait_is_no_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
