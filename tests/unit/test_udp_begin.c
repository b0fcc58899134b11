/* test_udp_begin.c - outgoing UDP: a connection with a connected socket of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "udp_ways.h"

#include "net/udp.h"

#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
	struct world world;
	struct sockaddr_in6 address;
	struct sockaddr_in own;
	int peer; /* theirs, bound */
	crew_conn *conn;
} t;

static const crew_service client = {
	.name = "client",
	.listen = "udp://127.0.0.1:1",
	.on_open = tell_open,
	.on_message = tell_message,
	.on_error = tell_error,
	.on_close = tell_close,
};

static void begin(void **state, void (*adjust)(struct crew__service_settings *settings))
{
	memset(&t, 0, sizeof(t));
	told_anew();
	assert_true(world_open(&t.world, &client, engine_of(state), adjust));
	t.peer = udp_bind("127.0.0.1", &t.address);
	t.conn = crew__net_begin(&t.world.worker->net);
	assert_non_null(t.conn);
}

/* It has its socket; the layer above is told, as it is of one that was accepted. */
static void connect_it(void)
{
	socklen_t size = sizeof(t.own);
	int fd = udp_peer(&t.address, NULL);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&t.own, &size), 0);
	assert_int_equal(crew__udp_begin(t.conn, fd), 0);
	t.world.worker->net.ops->on_accepted(t.conn);
	world_turn(&t.world, 0);
}

static void they_say(const char *text, size_t len)
{
	assert_int_equal(sendto(t.peer, text, len, 0, (struct sockaddr *)&t.own, sizeof(t.own)),
		(ssize_t)len);
}

static int clean_up(void **state)
{
	(void)state;
	close(t.peer);
	world_clean_up(&t.world);
	return 0;
}

static void test_there_and_back(void **state)
{
	char text[80];
	begin(state, NULL);
	assert_int_equal(crew_send(t.conn, CREW_BYTES("waits")), 5);
	connect_it();
	assert_string_equal(udp_hears(&t.world, t.peer), "waits");
	assert_int_equal(crew_send(t.conn, CREW_BYTES("now")), 3);
	assert_string_equal(udp_hears(&t.world, t.peer), "now");
	they_say("one", 3);
	they_say("", 0);
	they_say("two", 3);
	world_until(&t.world, counter(&t.world, "total_request") == 3);
	assert_string_equal(told(), "open message:one message: message:two");
	assert_int_equal(counter(&t.world, "messages_sent"), 2);
	assert_int_equal(t.conn->record->transport, CREW__UDP);
	crew_remote(t.conn, text, sizeof(text));
	char expected[80];
	snprintf(expected, sizeof(expected), "127.0.0.1:%u", ntohs(t.address.sin6_port));
	assert_string_equal(text, expected);
	assert_true(crew_fd(t.conn) >= 0);
}

static void test_empty_and_longest(void **state)
{
	static char body[65508];
	begin(state, NULL);
	connect_it();
	assert_int_equal(crew_send(t.conn, (crew_bytes){ NULL, 0 }), 0);
	assert_string_equal(udp_hears(&t.world, t.peer), "");
	memset(body, 'l', sizeof(body));
	assert_int_equal(crew_send(t.conn, (crew_bytes){ body, 65508 }), -EMSGSIZE);
	assert_true(crew_send(t.conn, (crew_bytes){ body, 65507 }) >= 0);
	assert_int_equal(strlen(udp_hears(&t.world, t.peer)), 65507);
	assert_int_equal(counter(&t.world, "send_invalid"), 1);
}

static void test_nobody_listens_there(void **state)
{
	begin(state, NULL);
	connect_it();
	close(t.peer);
	t.peer = -1;
	assert_true(crew_send(t.conn, CREW_BYTES("hello?")) >= 0);
	world_until(&t.world, counter(&t.world, "connections") == 0);
	assert_string_equal(told(), "open close:reset");
}

static void test_nobody_listens_there_while_paused(void **state)
{
	begin(state, NULL);
	connect_it();
	crew_pause(t.conn);
	close(t.peer);
	t.peer = -1;
	assert_true(crew_send(t.conn, CREW_BYTES("hello?")) >= 0);
	world_until(&t.world, counter(&t.world, "connections") == 0);
	assert_string_equal(told(), "open close:reset");
}

static void test_a_pause_leaves_it_to_the_kernel(void **state)
{
	begin(state, NULL);
	connect_it();
	crew_pause(t.conn);
	they_say("later", 5);
	world_pass(&t.world, 20);
	assert_string_equal(told(), "open");
	crew_resume(t.conn);
	world_until(&t.world, counter(&t.world, "total_request") == 1);
	assert_string_equal(told(), "open message:later");
	assert_int_equal(counter(&t.world, "datagrams_dropped"), 0);
}

static void test_joined_ones_come_apart(void **state)
{
	int segment = 3;
	begin(state, NULL);
	connect_it();
	if (setsockopt(t.peer, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment)) < 0)
		skip();
	they_say("aaabbbcc", 8);
	world_until(&t.world, counter(&t.world, "total_request") == 3);
	assert_string_equal(told(), "open message:aaa message:bbb message:cc");
}

static void test_close_is_at_once(void **state)
{
	begin(state, NULL);
	connect_it();
	assert_true(crew_send(t.conn, CREW_BYTES("last words")) >= 0);
	assert_int_equal(crew_close(t.conn), 0);
	world_turn(&t.world, 0);
	world_turn(&t.world, 0);
	assert_int_equal(counter(&t.world, "connections"), 0);
	assert_string_equal(udp_hears(&t.world, t.peer), "last words");
	assert_string_equal(told(), "open close:app");
}

static void test_gives_up_before_it_stands(void **state)
{
	begin(state, NULL);
	assert_int_equal(crew_send(t.conn, CREW_BYTES("never")), 5);
	assert_int_equal(crew_close(t.conn), 0);
	world_settle(&t.world);
	assert_int_equal(counter(&t.world, "send_fail"), 1);
	assert_int_equal(counter(&t.world, "connections"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(test_there_and_back),
		ON_BOTH(test_empty_and_longest),
		ON_BOTH(test_nobody_listens_there),
		ON_BOTH(test_nobody_listens_there_while_paused),
		ON_BOTH(test_a_pause_leaves_it_to_the_kernel),
		ON_BOTH(test_joined_ones_come_apart),
		ON_BOTH(test_close_is_at_once),
		ON_BOTH(test_gives_up_before_it_stands),
	};
	return cmocka_run_group_tests_name("outgoing udp", tests, NULL, NULL);
}
