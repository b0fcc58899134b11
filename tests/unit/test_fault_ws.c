/* test_fault_ws.c - compressing, masking and parts, while the n-th allocation fails, for every n:
 * what is sent is counted once whatever becomes of it, and nothing leaks (under AddressSanitizer).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fault.h"
#include "net_ways.h"
#include "service/ws.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	BODY = 3000,
	ALLOCATIONS_LEAST = 8, /* that the scene makes: else nothing is tried */
};

static char body[BODY];

static void ignore_message(crew_conn *c, crew_msg msg)
{
	crew_send(c, msg.body);
}

static const crew_service service = {
	.name = "ws", .listen = "ws://127.0.0.1:1", .on_message = ignore_message
};

static void settings(struct crew__service_settings *s)
{
	s->deflate = CREW__DEFLATE_TAKEOVER;
	s->deflate_min = 100;
	s->linger_ms = 0;
}

/* A compressed frame that says "Hello" (RFC 7692 section 7.2.3.1), its mask all zero. */
static const char hello[] = "\xc1\x87\0\0\0\0\xf2\x48\xcd\xc9\xc9\x07";

static const char *const offers[] = { "permessage-deflate",
	"permessage-deflate; server_no_context_takeover; client_no_context_takeover" };

static int join(struct world *world, const char *offer)
{
	char request[400], answer[600];
	int fd = world_connect(world);
	assert_true(fd >= 0);
	snprintf(request, sizeof(request),
		"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
		"Sec-WebSocket-Extensions: %s\r\n\r\n",
		offer);
	peer_says(fd, crew_str(request));
	world_settle(world);
	assert_true(recv(fd, answer, sizeof(answer), 0) > 0);
	return fd;
}

static void send_all_ways(crew_conn *c)
{
	crew_bytes bytes = { body, BODY };
	crew_send(c, bytes);
	crew_send_static(c, bytes);
	crew_send_with(c, bytes, &(crew_send_options){ .key = CREW_BYTES("k"), .ttl_ms = 5 });
	if (crew_send_begin(c, CREW_BINARY) < 0)
		return;
	crew_send_part(c, bytes);
	crew_send_part(c, bytes);
	crew_send_end(c);
}

/* False: there were fewer than n allocations. */
static bool play(unsigned n, bool lasting)
{
	struct world world;
	int fds[3];
	assert_true(world_open(&world, &service, CREW__ENGINE_EPOLL, settings));
	for (unsigned i = 0; i < 2; i++)
		fds[i] = join(&world, offers[i]);
	fds[2] = world_connect(&world);
	static const struct crew__ws_agreed agreed = {
		.terms = { .deflate = true, .server_bits = 15, .client_bits = 15 }
	};
	uint64_t ids[3];
	for (uint32_t i = 0; i < 3; i++)
		ids[i] = crew_id(world_conn(&world, i));
	fault_set(FAULT_MEMORY, n, lasting);
	crew__ws_begin_client(crew_find(ids[2]), &agreed);
	for (unsigned i = 0; i < 3; i++)
		send_all_ways(crew_find(ids[i]));
	crew_shared *s = crew_shared_new((crew_bytes){ body, BODY });
	if (s)
		crew_broadcast(&service, s);
	crew_shared_unref(s);
	for (unsigned i = 0; i < 2; i++)
		(void)!send(fds[i], hello, sizeof(hello) - 1, MSG_NOSIGNAL);
	world_turn(&world, 0);
	bool hit = fault_hit();
	fault_set(FAULT_NONE, 0, false);
	world_settle(&world); /* which looks at all laws */
	for (unsigned i = 0; i < 3; i++)
		close(fds[i]);
	world_settle(&world);
	assert_int_equal(counter(&world, "messages_queued"), 0);
	assert_int_equal(counter(&world, "bytes_queued"), 0);
	assert_int_equal(world.worker->packed, 0);
	world_close(&world);
	return hit;
}

static void every_allocation_may_fail(void **state)
{
	(void)state;
	for (size_t i = 0; i < BODY; i++)
		body[i] = (char)('a' + i % 13);
	for (unsigned lasting = 0; lasting < 2; lasting++) {
		unsigned n = 1;
		while (play(n, lasting))
			n++;
		assert_true(n > ALLOCATIONS_LEAST);
	}
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_allocation_may_fail),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
