/* test_backlog.c - what the kernel says of listening sockets, and what becomes of it in shared
 * memory: queues, their limits, and who was dropped because they were full. */
#include "proc/backlog.h"

#include "base/clock.h"
#include "stats/retired.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	PEERS = 12
};

static const crew_service one = { .name = "one" }, two = { .name = "two" };
static const crew_service *const services[CREW_MAX_SERVICES + 1] = { &one, &two };

static struct {
	struct crew__loop *loop;
	struct crew__directory directory;
	struct crew__listeners listeners;
	struct crew__listening place, file;
	struct crew__backlog backlog;
	int fds[2], file_fd;
	int peers[PEERS];
	unsigned peer_count;
	bool closed;
} t;

static const struct crew__listeners *listeners(void *arg)
{
	assert_ptr_equal(arg, &t);
	return t.closed ? NULL : &t.listeners;
}

static int listen_with(int backlog)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

static int set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	t.fds[0] = listen_with(1);
	t.fds[1] = -1; /* one that could not be opened */
	t.place = (struct crew__listening){ .each = true, .count = 2, .fds = t.fds };
	t.place.address.transport = CREW__TCP;
	snprintf(t.place.address.text, sizeof(t.place.address.text), "tcp://here");
	t.listeners.service[1] = (struct crew__listener){
		.count = 1, .accept = CREW__ACCEPT_REUSE_PORT, .places = &t.place
	};
	assert_int_equal(crew__loop_new(CREW__ENGINE_AUTO, &t.loop), 0);
	return crew__directory_new("app", "1", "daemon", "epoll", services, &t.directory);
}

static int tear_down(void **state)
{
	(void)state;
	crew__backlog_stop(&t.backlog);
	crew__backlog_stop(&t.backlog);
	for (unsigned i = 0; i < t.peer_count; i++)
		close(t.peers[i]);
	for (int i = 0; i < 2; i++)
		if (t.fds[i] >= 0)
			close(t.fds[i]);
	crew__directory_fini(&t.directory);
	crew__loop_free(t.loop);
	return 0;
}

/* They do not wait for an answer, which may never come. */
static void knock(int fd, unsigned count)
{
	struct sockaddr_in address;
	socklen_t size = sizeof(address);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	while (count-- > 0) {
		int peer = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		assert_true(peer >= 0 && t.peer_count < PEERS);
		t.peers[t.peer_count++] = peer;
		(void)connect(peer, (struct sockaddr *)&address, size);
	}
}

static void start(void)
{
	assert_int_equal(crew__backlog_start(&t.backlog, t.loop, &t.directory, listeners, &t), 0);
}

/* The only row. */
static struct crew__port port(void)
{
	size_t count;
	struct crew__port *ports = crew__ports_read(t.directory.ports, &count);
	assert_int_equal(count, 1);
	struct crew__port port = ports[0];
	free(ports);
	return port;
}

static uint64_t counted(unsigned service)
{
	return t.directory.header->retired[service].accept_overflow;
}

static void who_waits_is_told(void **state)
{
	(void)state;
	start();
	assert_int_equal(port().queue, 0);
	assert_int_equal(port().backlog, 1);
	assert_int_equal(port().sockets, 1);
	assert_int_equal(port().service, 1);
	assert_int_equal(port().accept, CREW__ACCEPT_REUSE_PORT);
	assert_string_equal(port().address, "tcp://here");
	knock(t.fds[0], 1);
	crew__backlog_look(&t.backlog);
	assert_int_equal(port().queue, 1);
	t.fds[1] = listen_with(1);
	knock(t.fds[1], 1);
	crew__backlog_look(&t.backlog);
	assert_int_equal(port().queue, 2);
	assert_int_equal(port().sockets, 2);
	assert_int_equal(port().overflow, 0);
	assert_int_equal(port().overflow_ns, 0);
	assert_int_equal(counted(1), 0);
}

static void who_was_dropped_is_counted(void **state)
{
	(void)state;
	start();
	uint64_t before = crew__clock_ns();
	knock(t.fds[0], 8);
	crew__backlog_look(&t.backlog);
	struct crew__port first = port();
	assert_true(first.overflow > 0);
	assert_true(first.overflow_ns >= before);
	assert_int_equal(first.queue, 2); /* the kernel takes one more than it says */
	assert_int_equal(counted(1), first.overflow);
	assert_int_equal(counted(0), 0);
	/* By worker it is that of none. */
	assert_int_equal(t.directory.retired->rows, 1);
	assert_int_equal(t.directory.retired->row[0].id, CREW__RETIRED_REST);
	assert_int_equal(t.directory.retired->row[0].counters.accept_overflow, first.overflow);
	assert_int_equal(atomic_load(&t.directory.header->sequence) % 2, 0);
	knock(t.fds[0], 3);
	crew__backlog_look(&t.backlog);
	assert_true(port().overflow > first.overflow);
	assert_int_equal(counted(1), port().overflow);
}

/* What a socket went through before it was ours; and another descriptor of it is no other socket.
 */
static void only_what_is_new_counts(void **state)
{
	(void)state;
	knock(t.fds[0], 8);
	start();
	assert_int_equal(port().overflow, 0);
	int copy = dup(t.fds[0]);
	close(t.fds[0]);
	t.fds[0] = copy;
	crew__backlog_look(&t.backlog);
	assert_int_equal(port().overflow, 0);
	knock(t.fds[0], 1);
	crew__backlog_look(&t.backlog);
	assert_true(port().overflow > 0);
	/* Another socket at the place: its own count begins, the place's goes on. */
	uint64_t so_far = port().overflow;
	close(t.fds[0]);
	t.fds[0] = listen_with(1);
	crew__backlog_look(&t.backlog);
	assert_int_equal(port().overflow, so_far);
	assert_int_equal(counted(1), so_far);
}

static void a_unix_socket_tells_nothing(void **state)
{
	(void)state;
	t.place.address.transport = CREW__UNIX;
	start();
	assert_int_equal(port().queue, CREW__PORT_UNKNOWN);
	assert_int_equal(port().backlog, CREW__PORT_UNKNOWN);
	assert_int_equal(port().sockets, 1);
}

static void where_datagrams_come_nobody_listens(void **state)
{
	(void)state;
	size_t count;
	t.place.address.transport = CREW__UDP;
	start();
	assert_null(crew__ports_read(t.directory.ports, &count));
	assert_int_equal(count, 0);
}

static void it_looks_again_by_itself(void **state)
{
	(void)state;
	start();
	knock(t.fds[0], 1);
	uint64_t give_up = crew__clock_ns() + 30 * CREW__NS_PER_S;
	while (port().queue == 0 && crew__clock_ns() < give_up)
		assert_int_equal(crew__loop_turn(t.loop, 100), 0);
	assert_int_equal(port().queue, 1);
	t.closed = true; /* the listeners have been closed: nothing is looked at */
	crew__backlog_look(&t.backlog);
	assert_int_equal(port().queue, 1);
}

static void more_places_than_rows(void **state)
{
	(void)state;
	enum {
		MORE = CREW__PORTS + 7
	};
	size_t count;
	struct crew__port *many = calloc(MORE, sizeof(*many));
	for (unsigned i = 0; i < MORE; i++)
		many[i].service = i;
	memset(many[3].address, 'x', sizeof(many[3].address));
	crew__ports_write(t.directory.ports, many, MORE);
	struct crew__port *read = crew__ports_read(t.directory.ports, &count);
	assert_int_equal(count, CREW__PORTS);
	assert_int_equal(read[CREW__PORTS - 1].service, CREW__PORTS - 1);
	assert_int_equal(strlen(read[3].address), CREW__PORT_TEXT - 1);
	free(read);
	/* A count from another process may be anything. */
	t.directory.ports->rows = UINT32_MAX;
	read = crew__ports_read(t.directory.ports, &count);
	assert_int_equal(count, CREW__PORTS);
	free(read);
	free(many);
}

int main(void)
{
#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		IN_A_WORLD(who_waits_is_told),
		IN_A_WORLD(who_was_dropped_is_counted),
		IN_A_WORLD(only_what_is_new_counts),
		IN_A_WORLD(a_unix_socket_tells_nothing),
		IN_A_WORLD(where_datagrams_come_nobody_listens),
		IN_A_WORLD(it_looks_again_by_itself),
		IN_A_WORLD(more_places_than_rows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
