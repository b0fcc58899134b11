/* test_balance.c - least-connections: when a worker stands back, when it comes back, and that
 * nobody waits in vain meanwhile. The siblings are a number here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_ways.h"

#include "base/clock.h"
#include "net/balance.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	PEERS = 60,
	SLACK = 4 /* as in balance.c */
};

static struct {
	struct world world;
	struct sockaddr_in address, other;
	int peers[PEERS];
	unsigned peer_count;
	uint64_t fewest, back; /* connections of who listens, and of who stands back */
	uint64_t asked;
} t;

static const crew_service raw = {
	.name = "raw",
	.listen = "tcp://127.0.0.1:1",
	.on_open = tell_open,
	.on_close = tell_close,
};

static struct crew__siblings siblings(void *arg)
{
	assert_ptr_equal(arg, &t);
	t.asked++;
	return (struct crew__siblings){ t.fewest < t.back ? t.fewest : t.back, t.fewest };
}

static struct crew__balance *balance(void)
{
	return &t.world.worker->balance;
}

static void adopt_listener(struct sockaddr_in *ret_address)
{
	socklen_t size = sizeof(*ret_address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	*ret_address = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	assert_int_equal(bind(fd, (struct sockaddr *)ret_address, size), 0);
	assert_int_equal(listen(fd, PEERS), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)ret_address, &size), 0);
	assert_int_equal(crew__worker_adopt(t.world.worker, fd), 0);
}

static void ten_at_most(struct crew__service_settings *s)
{
	s->max_connections = 10;
}

static void open_it(void **state, void (*adjust)(struct crew__service_settings *settings))
{
	memset(&t, 0, sizeof(t));
	t.back = UINT64_MAX;
	told_anew();
	assert_true(world_open(&t.world, &raw, engine_of(state), adjust));
	crew__balance_init(balance(), &t.world.worker->net, siblings, &t);
	t.world.worker->net.balance = balance();
	adopt_listener(&t.address);
}

static int clean_up(void **state)
{
	(void)state;
	for (unsigned i = 0; i < t.peer_count; i++)
		close(t.peers[i]);
	world_clean_up(&t.world);
	return 0;
}

static void connect_to(const struct sockaddr_in *address, unsigned count)
{
	while (count-- > 0) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_true(fd >= 0 && t.peer_count < PEERS);
		t.peers[t.peer_count++] = fd;
		assert_int_equal(
			connect(fd, (const struct sockaddr *)address, sizeof(*address)), 0);
	}
}

static void hang_up(unsigned count)
{
	while (count-- > 0)
		close(t.peers[--t.peer_count]);
}

static uint64_t has(const char *name)
{
	return counter(&t.world, name);
}

static void alone_it_takes_all(void **state)
{
	open_it(state, NULL);
	t.fewest = UINT64_MAX;
	connect_to(&t.address, 50);
	world_until(&t.world, has("accepted") == 50);
	assert_int_equal(has("standing_back"), 0);
	assert_true(t.asked > 0);
}

static void level_it_goes_on(void **state)
{
	open_it(state, NULL);
	for (unsigned i = 1; i <= 30; i++) {
		t.fewest = i;
		connect_to(&t.address, 1);
		world_until(&t.world, has("accepted") == i);
		assert_int_equal(has("standing_back"), 0);
	}
}

/* It takes its share, not what is there; and takes no part while siblings are so much behind. */
static void with_clearly_more_it_stands_back(void **state)
{
	open_it(state, NULL);
	t.fewest = 0;
	connect_to(&t.address, SLACK);
	world_until(&t.world, has("accepted") == SLACK);
	assert_int_equal(has("standing_back"), 1);
	assert_true(balance()->stands_back);
	assert_int_equal(t.world.worker->listeners[0]->source.fd, -1);
	world_pass(&t.world, 60);
	assert_int_equal(has("standing_back"), 1);
	/* They have caught up by half of what had made the difference. */
	t.fewest = SLACK / 2;
	world_until(&t.world, has("standing_back") == 0);
	connect_to(&t.address, 1);
	world_until(&t.world, has("accepted") == SLACK + 1);
}

/* Its own connections end: that is level too. */
static void with_fewer_again_it_comes_back(void **state)
{
	open_it(state, NULL);
	connect_to(&t.address, SLACK);
	world_until(&t.world, has("standing_back") == 1);
	hang_up(2);
	world_until(&t.world, has("standing_back") == 0);
}

static void without_siblings_it_comes_back(void **state)
{
	open_it(state, NULL);
	connect_to(&t.address, SLACK);
	world_until(&t.world, has("standing_back") == 1);
	t.fewest = UINT64_MAX;
	world_until(&t.world, has("standing_back") == 0);
	connect_to(&t.address, 20);
	world_until(&t.world, has("accepted") == SLACK + 20);
}

/* The siblings listen, as their figures have it, and take nobody. */
static void who_waits_in_vain_is_helped(void **state)
{
	open_it(state, NULL);
	connect_to(&t.address, SLACK + 15);
	world_until(&t.world, has("accepted") == SLACK + 15);
	assert_int_equal(has("standing_back"), 1);
	assert_int_equal(has("refused_limit"), 0);
}

/* The only one that listens, and those who stand back have become far fewer: it waits for them, for
 * a moment, as they look now and then; and goes on when they do not come. */
static void the_last_one_that_listens(void **state)
{
	open_it(state, NULL);
	t.fewest = UINT64_MAX;
	t.back = 0;
	connect_to(&t.address, 3 * SLACK);
	bool stood_back = false;
	world_until(&t.world, (stood_back = stood_back || has("standing_back") == 1,
				      has("accepted") == 3 * SLACK));
	assert_true(stood_back);
	t.back = 3 * SLACK;
	world_until(&t.world, has("standing_back") == 0);
}

/* Who is woken takes one, whatever the figures say: nobody else was woken for it. */
static void who_is_woken_takes_one(void **state)
{
	open_it(state, NULL);
	t.fewest = 8;
	connect_to(&t.address, 10);
	world_until(&t.world, has("accepted") == 10);
	assert_int_equal(has("standing_back"), 0);
	t.fewest = 0;
	connect_to(&t.address, 1);
	world_until(&t.world, has("accepted") == 11);
	assert_int_equal(has("standing_back"), 1);
}

/* Full, it would have to refuse: while a sibling has room it is not the one to be asked. */
static void full_it_stands_back(void **state)
{
	open_it(state, ten_at_most);
	t.fewest = 9;
	connect_to(&t.address, 10);
	world_until(&t.world, has("accepted") == 10);
	assert_int_equal(has("standing_back"), 1);
	connect_to(&t.address, 1);
	world_pass(&t.world, 60);
	assert_int_equal(has("refused_limit"), 0);
	assert_int_equal(has("accepted"), 10);
	/* All are full: then it refuses as everybody does. */
	t.fewest = 10;
	world_until(&t.world, has("refused_limit") == 1);
}

static void all_its_listeners_stand_back(void **state)
{
	open_it(state, NULL);
	adopt_listener(&t.other);
	connect_to(&t.address, 2);
	connect_to(&t.other, SLACK - 2);
	world_until(&t.world, has("standing_back") == 1);
	assert_int_equal(t.world.worker->listeners[0]->source.fd, -1);
	assert_int_equal(t.world.worker->listeners[1]->source.fd, -1);
	/* One that comes meanwhile is not watched either, until it is level. */
	struct sockaddr_in third;
	adopt_listener(&third);
	assert_int_equal(t.world.worker->listeners[2]->source.fd, -1);
	t.fewest = UINT64_MAX;
	world_until(&t.world, has("standing_back") == 0);
	connect_to(&t.other, 3);
	connect_to(&third, 3);
	world_until(&t.world, has("accepted") == SLACK + 6);
}

/* A listener that pauses for want of descriptors comes back by itself, not by being level. */
static void a_pause_is_not_cut_short(void **state)
{
	open_it(state, NULL);
	connect_to(&t.address, SLACK);
	world_until(&t.world, has("standing_back") == 1);
	struct crew__listener *listener = t.world.worker->listeners[0];
	uint64_t later = crew__loop_ns(t.world.loop) + 300 * CREW__NS_PER_MS;
	assert_int_equal(crew__timer_start(t.world.loop, &listener->resume, later), 0);
	t.fewest = UINT64_MAX;
	world_until(&t.world, has("standing_back") == 0);
	assert_int_equal(listener->source.fd, -1);
	connect_to(&t.address, 1);
	world_until(&t.world, has("accepted") == SLACK + 1);
	assert_true(crew__loop_ns(t.world.loop) >= later);
}

static void note_done(crew_worker *w, void *arg)
{
	(void)w;
	*(bool *)arg = true;
}

static void it_ends_while_it_stands_back(void **state)
{
	bool done = false;
	const struct crew__worker_stop stop = { .graceful = true,
		.window_ms = 60000,
		.close_code = 1001,
		.done = note_done,
		.arg = &done };
	open_it(state, NULL);
	connect_to(&t.address, SLACK);
	world_until(&t.world, has("standing_back") == 1);
	crew__worker_stop(t.world.worker, &stop);
	world_until(&t.world, has("standing_back") == 0);
	assert_int_equal(balance()->look.place, 0);
	hang_up(SLACK);
	world_until(&t.world, done);
	t.world.done = true;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(alone_it_takes_all),
		ON_BOTH(level_it_goes_on),
		ON_BOTH(with_clearly_more_it_stands_back),
		ON_BOTH(with_fewer_again_it_comes_back),
		ON_BOTH(without_siblings_it_comes_back),
		ON_BOTH(who_waits_in_vain_is_helped),
		ON_BOTH(the_last_one_that_listens),
		ON_BOTH(who_is_woken_takes_one),
		ON_BOTH(full_it_stands_back),
		ON_BOTH(all_its_listeners_stand_back),
		ON_BOTH(a_pause_is_not_cut_short),
		ON_BOTH(it_ends_while_it_stands_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
