/* test_fault_review.c - a connection that ends for want of memory is counted so, and not as if its
 * peer had done wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fault.h"
#include "service_world.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
	struct world world;
	unsigned closes;
	crew_end_reason end;
} play;

static void on_close(crew_conn *c)
{
	play.closes++;
	play.end = crew_close_reason(c);
}

static const crew_service service = {
	.name = "ws", .listen = "ws://127.0.0.1:1", .on_close = on_close
};
static const char handshake[] = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
				"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
				"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

static void a_message_without_memory_is_not_the_peers_fault(void **state)
{
	char answer[400];
	(void)state;
	assert_true(world_open(&play.world, &service, CREW__ENGINE_EPOLL, NULL));
	int fd = world_connect(&play.world);
	assert_true(send(fd, handshake, sizeof(handshake) - 1, 0) > 0);
	world_settle(&play.world);
	assert_true(recv(fd, answer, sizeof(answer), 0) > 0);
	/* The first of two fragments: it must be kept. */
	assert_int_equal(send(fd, "\x01\x82\0\0\0\0ab", 8, 0), 8);
	fault_set(FAULT_MEMORY, 1, true);
	world_turn(&play.world, 0);
	fault_set(FAULT_NONE, 0, false);
	assert_int_equal(recv(fd, answer, sizeof(answer), 0), 4);
	assert_memory_equal(answer, "\x88\x02\x03\xf3", 4); /* 1011 */
	close(fd);
	world_settle(&play.world);
	assert_int_equal(play.closes, 1);
	assert_int_equal(play.end, CREW_END_MEMORY);
	world_close(&play.world);
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_without_memory_is_not_the_peers_fault),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
