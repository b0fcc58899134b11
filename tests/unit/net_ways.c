#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_ways.h"

#include "base/clock.h"
#include "loop/parts.h"
#include "net/address.h"

#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- what the program was told ------------------------------------------------------------- */

static struct {
	char text[1 << 16];
	size_t len;
} record;

void tell(const char *format, ...)
{
	va_list arguments;
	char *at = record.text + record.len;
	size_t left = sizeof(record.text) - record.len;
	if (record.len > 0)
		*at++ = ' ';
	va_start(arguments, format);
	int n = vsnprintf(at, left - 1, format, arguments);
	va_end(arguments);
	assert_true(n >= 0 && (size_t)n + 2 < left);
	record.len = (size_t)(at - record.text) + (size_t)n;
}

const char *told(void)
{
	return record.text;
}

void told_anew(void)
{
	record.len = 0;
	record.text[0] = '\0';
}

void tell_open(crew_conn *c)
{
	assert_non_null(c);
	tell("open");
}

void tell_message(crew_conn *c, crew_msg msg)
{
	assert_non_null(c);
	tell("message:%.*s", (int)crew__min(msg.body.len, 100), msg.body.data);
}

void tell_end(crew_conn *c)
{
	assert_non_null(c);
	tell("end");
}

void tell_full(crew_conn *c)
{
	assert_true(crew_queued(c) > 0 || c->record->state == CREW__CONN_OPEN);
	tell("full");
}

void tell_drain(crew_conn *c)
{
	assert_int_equal(crew_queued(c), 0);
	tell("drain");
}

void tell_error(crew_conn *c, const crew_loss *loss)
{
	assert_non_null(c);
	tell("error:%s:%llu", crew_reason_name(loss->reason), (unsigned long long)loss->messages);
}

void tell_close(crew_conn *c)
{
	assert_ptr_equal(crew_find(crew_id(c)), c); /* until this call returns */
	tell("close:%s", crew_end_name(crew_close_reason(c)));
}

/* ---- patience ------------------------------------------------------------------------------ */

uint64_t patience_ends(void)
{
	return crew__clock_ns() + 20 * CREW__NS_PER_S;
}

void world_wait(struct world *world, uint64_t give_up, const char *for_what, int line)
{
	if (crew__clock_ns() >= give_up)
		fail_msg("line %d: never came: %s; told: %s", line, for_what, told());
	world_turn(world, 5);
}

void world_pass(struct world *world, unsigned ms)
{
	uint64_t until = crew__clock_ns() + ms * CREW__NS_PER_MS;
	while (crew__clock_ns() < until)
		world_turn(world, 5);
}

void world_clean_up(struct world *world)
{
	if (!world->loop)
		return;
	if (world->loop->turning) {
		crew__here.count = 0; /* nor is it in the way of the next */
		crew__here.current = NULL;
		memset(world, 0, sizeof(*world));
		return;
	}
	world_settle(world);
	world_close(world);
}

/* ---- peers --------------------------------------------------------------------------------- */

int world_connect_packets(struct world *world)
{
	int pair[2];
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(crew__net_adopt(&world->worker->net, pair[0], NULL, NULL), 0);
	return pair[1];
}

static int listen_anywhere(struct sockaddr_in *ret_address)
{
	socklen_t size = sizeof(*ret_address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	*ret_address = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)ret_address, size), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)ret_address, &size), 0);
	return fd;
}

int world_connect_tcp(struct world *world, struct crew__record_address *ret_own)
{
	struct sockaddr_in address, own;
	socklen_t size = sizeof(own);
	int listener = listen_anywhere(&address);
	int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(peer >= 0);
	assert_int_equal(connect(peer, (struct sockaddr *)&address, sizeof(address)), 0);
	int fd = accept4(listener, (struct sockaddr *)&own, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(fd >= 0);
	close(listener);
	struct crew__record_address remote, local;
	crew__address_record((struct sockaddr *)&own, &remote);
	crew__address_record((struct sockaddr *)&address, &local);
	if (ret_own)
		*ret_own = remote;
	assert_int_equal(crew__net_adopt(&world->worker->net, fd, &remote, &local), 0);
	return peer;
}

void peer_says(int fd, crew_bytes bytes)
{
	assert_int_equal(send(fd, bytes.data, bytes.len, MSG_NOSIGNAL), (ssize_t)bytes.len);
}

ssize_t peer_hears(int fd, char *room, size_t size)
{
	ssize_t n = recv(fd, room, size - 1, MSG_DONTWAIT);
	room[n > 0 ? n : 0] = '\0';
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	return n;
}

size_t peer_hears_all(struct world *world, int fd, char *room, size_t size)
{
	size_t len = 0;
	room[0] = '\0';
	for (int quiet = 0; quiet < 10 && len + 1 < size;) {
		ssize_t n = peer_hears(fd, room + len, size - len);
		quiet = n > 0 ? 0 : quiet + 1;
		len += n > 0 ? (size_t)n : 0;
		world_turn(world, 0);
	}
	return len;
}

size_t peer_drinks(struct world *world, int fd)
{
	static char sink[1 << 16];
	size_t sum = 0, n;
	while ((n = peer_hears_all(world, fd, sink, sizeof(sink))) > 0)
		sum += n;
	return sum;
}

bool peer_sees_end(int fd)
{
	char byte;
	return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

bool peer_sees_reset(int fd)
{
	char sink[4096];
	ssize_t n;
	do /* what had come before it is given first */
		n = recv(fd, sink, sizeof(sink), MSG_DONTWAIT);
	while (n > 0);
	return n < 0 && errno == ECONNRESET;
}

/* ---- counters ------------------------------------------------------------------------------ */

uint64_t counter(const struct world *world, const char *name)
{
	uint64_t value = 0;
	if (!crew__slab_value(world->worker->net.stats.slab, NULL, name, &value))
		fail_msg("no counter is called %s", name);
	return value;
}
