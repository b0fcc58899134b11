/* test_listener.c - accepting: who is turned away, and counted; what accepted sockets are like; and
 * that running out of descriptors is a pause, neither a spin nor an end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_ways.h"

#include "base/clock.h"
#include "net/address.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	PEERS = 70,
	SLOTS = 64 /* of the world's segment */
};

static struct {
	struct world world;
	struct sockaddr_in address;
	int peers[PEERS];
	unsigned peer_count;
	struct rlimit before; /* rlim_max 0: as it was */
} t;

static const crew_service raw = {
	.name = "raw",
	.listen = "tcp://127.0.0.1:1",
	.on_open = tell_open,
	.on_message = tell_message,
	.on_close = tell_close,
};

/* ---- ways ---------------------------------------------------------------------------------- */

static int listen_on(in_addr_t ip, struct sockaddr_in *ret_address)
{
	socklen_t size = sizeof(*ret_address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	*ret_address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(ip) };
	assert_int_equal(bind(fd, (struct sockaddr *)ret_address, size), 0);
	assert_int_equal(listen(fd, PEERS), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)ret_address, &size), 0);
	return fd;
}

static void open_it(void **state, void (*adjust)(struct crew__service_settings *settings))
{
	memset(&t, 0, sizeof(t));
	told_anew();
	assert_true(world_open(&t.world, &raw, engine_of(state), adjust));
	int fd = listen_on(INADDR_LOOPBACK, &t.address);
	assert_int_equal(crew__worker_adopt(t.world.worker, fd), 0);
}

static int clean_up(void **state)
{
	(void)state;
	if (t.before.rlim_max > 0)
		setrlimit(RLIMIT_NOFILE, &t.before);
	for (unsigned i = 0; i < t.peer_count; i++)
		close(t.peers[i]);
	world_clean_up(&t.world);
	return 0;
}

static struct crew__listener *listener(void)
{
	return t.world.worker->listeners[0];
}

/* A peer from 127.0.0.`last`. The kernel takes it before the listener does. */
static int connect_from(unsigned last)
{
	struct sockaddr_in own = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl((INADDR_LOOPBACK & ~UINT32_C(0xff)) | last),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0 && t.peer_count < PEERS);
	t.peers[t.peer_count++] = fd;
	assert_int_equal(bind(fd, (struct sockaddr *)&own, sizeof(own)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&t.address, sizeof(t.address)), 0);
	return fd;
}

static void hang_up(unsigned peer)
{
	close(t.peers[peer]);
	t.peers[peer] = t.peers[--t.peer_count];
}

static bool is_waiting(int fd)
{
	char byte;
	return recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

static uint64_t has(const char *name)
{
	return counter(&t.world, name);
}

/* The lowest descriptor that is free. */
static int next_fd(void)
{
	int fd = dup(STDIN_FILENO);
	assert_true(fd >= 0);
	close(fd);
	return fd;
}

/* valgrind takes a waiting client itself, closes it, and only then says EMFILE; the kernel leaves
 * it where it is. */
static void skip_where_descriptors_are_not_the_kernels(void)
{
	const char *preloaded = getenv("LD_PRELOAD");
	if (preloaded && strstr(preloaded, "vgpreload"))
		skip();
}

/* No descriptor beyond those in use. */
static void use_up_descriptors(void)
{
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &t.before), 0);
	struct rlimit none = { (rlim_t)next_fd(), t.before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
}

static void give_back_descriptors(void)
{
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &t.before), 0);
	t.before.rlim_max = 0;
}

/* ---- limits -------------------------------------------------------------------------------- */

static void two_at_most(struct crew__service_settings *s)
{
	s->max_connections = 2;
}

static void one_too_many_is_refused_and_counted(void **state)
{
	open_it(state, two_at_most);
	connect_from(1);
	connect_from(1);
	world_until(&t.world, has("connections") == 2);
	int fd = next_fd();
	for (unsigned i = 1; i <= 3; i++) {
		int refused = connect_from(1);
		world_until(&t.world, has("refused_limit") == i);
		assert_true(peer_sees_reset(refused));
		hang_up(t.peer_count - 1);
	}
	assert_int_equal(next_fd(), fd); /* a refusal keeps nothing open */
	assert_int_equal(has("connections_total"), 2);
	assert_int_equal(has("accept_failed"), 0);
	assert_string_equal(told(), "open open");

	hang_up(0);
	world_until(&t.world, has("connections") == 1);
	int welcome = connect_from(1);
	world_until(&t.world, has("connections") == 2);
	assert_true(is_waiting(welcome));
	assert_int_equal(has("refused_limit"), 3);
}

static void one_of_each_address(struct crew__service_settings *s)
{
	s->max_connections_per_ip = 1;
}

static void a_second_from_one_address_is_refused_and_counted(void **state)
{
	open_it(state, one_of_each_address);
	connect_from(2);
	connect_from(3);
	world_until(&t.world, has("connections") == 2);
	int refused = connect_from(2);
	world_until(&t.world, has("refused_ip") == 1);
	assert_true(peer_sees_reset(refused));
	assert_int_equal(has("connections_total"), 2);
	assert_int_equal(has("refused_limit"), 0);

	hang_up(0); /* that of 127.0.0.2 */
	world_until(&t.world, has("connections") == 1);
	int welcome = connect_from(2);
	world_until(&t.world, has("connections") == 2);
	assert_true(is_waiting(welcome));
	assert_int_equal(has("refused_ip"), 1);
}

static void more_than_there_are_slots(struct crew__service_settings *s)
{
	s->max_connections = SLOTS;
	s->max_connections_per_ip = SLOTS + 1;
}

/* What the table of connections cannot hold is an accept that failed, and not one of that address.
 */
static void a_full_table_of_connections(void **state)
{
	open_it(state, more_than_there_are_slots);
	t.world.worker->net.limits.max_connections = 1000;
	for (unsigned i = 0; i < SLOTS; i++)
		connect_from(2);
	world_until(&t.world, has("connections") == SLOTS);
	for (unsigned i = 1; i <= 3; i++) {
		connect_from(2);
		world_until(&t.world, has("accept_failed") == i);
	}
	assert_int_equal(has("refused_ip"), 0);
	hang_up(0);
	world_until(&t.world, has("connections") == SLOTS - 1);
	connect_from(2);
	world_until(&t.world, has("connections") == SLOTS);
}

/* ---- descriptors run out ------------------------------------------------------------------- */

static void without_descriptors_accepting_pauses_and_recovers(void **state)
{
	open_it(state, NULL);
	skip_where_descriptors_are_not_the_kernels();
	connect_from(1);
	world_until(&t.world, has("connections") == 1);
	int first = connect_from(1), second = connect_from(1), third = connect_from(1);
	use_up_descriptors();

	world_until(&t.world, has("accept_failed") == 1);
	assert_true(peer_sees_reset(first)); /* it hears of it; the others wait */
	assert_true(listener()->source.fd < 0);
	world_pass(&t.world, 100);
	assert_int_equal(has("accept_failed"), 1); /* a pause is a pause */
	assert_true(is_waiting(second) && is_waiting(third));

	world_until(&t.world, has("accept_failed") == 2); /* it tries again, and as it is, again */
	assert_true(peer_sees_reset(second));
	give_back_descriptors();
	world_until(&t.world, has("connections") == 2);
	assert_true(is_waiting(third));
	peer_says(third, CREW_BYTES("at last"));
	world_until(&t.world, strstr(told(), "at last"));
	assert_int_equal(has("accept_failed"), 2);
	assert_int_equal(has("connections_total"), 2);
}

/* Nothing to turn anybody away with. */
static void the_reserve_is_taken_back_when_there_is_one(void **state)
{
	open_it(state, NULL);
	skip_where_descriptors_are_not_the_kernels();
	int first = connect_from(1);
	close(listener()->reserve);
	listener()->reserve = -1;
	use_up_descriptors();
	world_until(&t.world, has("accept_failed") == 1);
	assert_true(is_waiting(first));
	assert_true(listener()->reserve < 0);
	give_back_descriptors();
	world_until(&t.world, has("connections") == 1);
	assert_true(is_waiting(first));
	assert_true(listener()->reserve >= 0);
}

static void a_listener_without_a_reserve_is_none(void **state)
{
	struct crew__listener other;
	open_it(state, NULL);
	int fd = dup(STDIN_FILENO);
	use_up_descriptors();
	assert_int_equal(crew__listener_init(&other, &t.world.worker->net, fd, "other"), -EMFILE);
	give_back_descriptors();
	assert_int_equal(next_fd(), fd); /* taken over in every case */
	crew__listener_fini(&other);
	assert_int_equal(next_fd(), fd);
}

/* ---- what accepted sockets are like -------------------------------------------------------- */

static int option_of_newest(int level, int name)
{
	int value = -1;
	socklen_t size = sizeof(value);
	crew_conn *c = world_conn(&t.world, (uint32_t)has("connections_total") - 1);
	assert_int_equal(getsockopt(c->fd, level, name, &value, &size), 0);
	return value;
}

static void little_unsent(struct crew__service_settings *s)
{
	s->kernel_unsent_limit = 54321;
}

static void unsent_as_it_comes(struct crew__service_settings *s)
{
	s->kernel_unsent_limit = 0;
}

static void the_kernel_keeps_little_that_is_unsent(void **state)
{
	open_it(state, little_unsent);
	connect_from(1);
	world_until(&t.world, has("connections") == 1);
	assert_int_equal(option_of_newest(IPPROTO_TCP, TCP_NOTSENT_LOWAT), 54321);
}

static void without_a_limit_the_kernels_own_stays(void **state)
{
	open_it(state, unsent_as_it_comes);
	int fresh = socket(AF_INET, SOCK_STREAM, 0), usual = -1;
	socklen_t size = sizeof(usual);
	assert_int_equal(getsockopt(fresh, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &usual, &size), 0);
	close(fresh);
	connect_from(1);
	world_until(&t.world, has("connections") == 1);
	assert_int_equal(option_of_newest(IPPROTO_TCP, TCP_NOTSENT_LOWAT), usual);
}

static void both_addresses_are_noted(void **state)
{
	char remote[80], local[80], expected[80];
	open_it(state, NULL);
	connect_from(9);
	world_until(&t.world, has("connections") == 1);
	crew_conn *c = world_conn(&t.world, 0);
	crew_remote(c, remote, sizeof(remote));
	crew_local(c, local, sizeof(local));
	assert_memory_equal(remote, "127.0.0.9:", 10);
	snprintf(expected, sizeof(expected), "127.0.0.1:%u", ntohs(t.address.sin_port));
	assert_string_equal(local, expected);
}

static void a_peer_by_a_unix_socket(void **state)
{
	char remote[80], local[80], expected[80];
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t size = sizeof(address);
	open_it(state, one_of_each_address);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	/* A name of the kernel's choice in the abstract namespace: unix(7), autobind. */
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(crew__worker_adopt(t.world.worker, fd), 0);
	for (unsigned i = 0; i < 2; i++) { /* no limit of addresses for who has none */
		int peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		t.peers[t.peer_count++] = peer;
		assert_int_equal(connect(peer, (struct sockaddr *)&address, size), 0);
		world_until(&t.world, has("connections") == i + 1);
	}
	crew_remote(world_conn(&t.world, 0), remote, sizeof(remote));
	assert_string_equal(remote, "unix:");
	/* Five digits behind the NUL. */
	snprintf(expected, sizeof(expected), "unix:@%.5s", address.sun_path + 1);
	crew_local(world_conn(&t.world, 0), local, sizeof(local));
	assert_string_equal(local, expected);
	assert_int_equal(t.world.worker->net.stats.records[0].transport, CREW__UNIX);
}

/* Paths and long names are told in full, whatever a record has room for. */
static void ends_with_names_in_full(void **state)
{
	char remote[128], local[128], expected[128], shown[128];
	struct sockaddr_un at = { .sun_family = AF_UNIX }, from = { .sun_family = AF_UNIX };
	open_it(state, NULL);
	snprintf(at.sun_path, sizeof(at.sun_path), "/tmp/crew-listener-%d.sock", (int)getpid());
	int length = snprintf(from.sun_path + 1, sizeof(from.sun_path) - 1,
		"a-name-with-more-than-twenty-bytes-%d", (int)getpid());
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	unlink(at.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(crew__worker_adopt(t.world.worker, fd), 0);
	int peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	t.peers[t.peer_count++] = peer;
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
	assert_int_equal(bind(peer, (struct sockaddr *)&from, size), 0);
	assert_int_equal(connect(peer, (struct sockaddr *)&at, sizeof(at)), 0);
	world_until(&t.world, has("connections") == 1);
	crew_conn *c = world_conn(&t.world, 0);
	crew_local(c, local, sizeof(local));
	snprintf(expected, sizeof(expected), "unix:%s", at.sun_path);
	assert_string_equal(local, expected);
	crew_remote(c, remote, sizeof(remote));
	snprintf(expected, sizeof(expected), "unix:@%s", from.sun_path + 1);
	assert_string_equal(remote, expected);
	crew__address_text(&t.world.worker->net.stats.cold[0].remote, shown, sizeof(shown));
	assert_string_equal(shown, "unix:@a-name-with-more-tha...");
	unlink(at.sun_path);
}

/* ---- the end ------------------------------------------------------------------------------- */

static void after_its_end_nobody_is_accepted(void **state)
{
	open_it(state, NULL);
	int late = connect_from(1);
	crew__listener_fini(listener());
	crew__listener_fini(listener());
	world_settle(&t.world);
	assert_int_equal(has("connections_total"), 0);
	assert_true(peer_sees_reset(late));
}

static void its_end_comes_in_a_pause(void **state)
{
	open_it(state, NULL);
	connect_from(1);
	use_up_descriptors();
	world_until(&t.world, has("accept_failed") == 1);
	crew__listener_fini(listener());
	give_back_descriptors();
	world_pass(&t.world, 300); /* what the pause was to end with does not come */
	assert_int_equal(has("accept_failed"), 1);
	assert_int_equal(has("connections_total"), 0);
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		ON_BOTH(one_too_many_is_refused_and_counted),
		ON_BOTH(a_second_from_one_address_is_refused_and_counted),
		ON_BOTH(a_full_table_of_connections),
		ON_BOTH(without_descriptors_accepting_pauses_and_recovers),
		ON_BOTH(the_reserve_is_taken_back_when_there_is_one),
		ON_BOTH(a_listener_without_a_reserve_is_none),
		ON_BOTH(the_kernel_keeps_little_that_is_unsent),
		ON_BOTH(without_a_limit_the_kernels_own_stays),
		ON_BOTH(both_addresses_are_noted),
		ON_BOTH(a_peer_by_a_unix_socket),
		ON_BOTH(ends_with_names_in_full),
		ON_BOTH(after_its_end_nobody_is_accepted),
		ON_BOTH(its_end_comes_in_a_pause),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
