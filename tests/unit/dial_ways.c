#include "dial_ways.h"

#include "base/check.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

unsigned dial_count_fds(void)
{
	unsigned count = 0;
	DIR *dir = opendir("/proc/self/fd");
	crew__must(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

int dial_set_up(void **state, enum crew__engine_kind kind, const struct dns_rule *rules)
{
	struct dial_world *world = calloc(1, sizeof(*world));
	assert_non_null(world);
	world->fds_before = dial_count_fds();
	assert_int_equal(crew__loop_new(kind, &world->loop), 0);
	dns_open(&world->dns, world->loop, rules);
	/* No search domains of this machine. */
	assert_int_equal(crew__resolver_new_from(
				 world->loop, world->dns.servers, "/dev/null", &world->resolver),
		0);
	*state = world;
	return 0;
}

int dial_tear_down(void **state)
{
	struct dial_world *world = *state;
	crew__resolver_free(world->resolver);
	dns_close(&world->dns);
	crew__loop_free(world->loop);
	for (unsigned i = 0; i < world->fd_count; i++)
		if (world->fds[i] >= 0)
			close(world->fds[i]);
	unsigned fds = dial_count_fds();
	int leaked = fds != world->fds_before;
	if (leaked)
		print_error("%u descriptors before, %u behind\n", world->fds_before, fds);
	free(world);
	return leaked ? -1 : 0;
}

int dial_keep(struct dial_world *world, int fd)
{
	crew__must(fd >= 0 && world->fd_count < DIAL_FDS);
	world->fds[world->fd_count++] = fd;
	return fd;
}

void dial_forget(struct dial_world *world, int fd)
{
	for (unsigned i = 0; i < world->fd_count; i++)
		if (world->fds[i] == fd)
			world->fds[i] = -1;
	close(fd);
}

/* ---- dialling ------------------------------------------------------------------------------ */

static void on_done(int fd, const char *why, crew_bytes rest, void *arg)
{
	struct dialled *d = arg;
	d->dial = NULL;
	d->count++;
	d->fd = fd >= 0 ? dial_keep(d->world, fd) : fd;
	assert_int_equal(why != NULL, fd < 0);
	snprintf(d->why, sizeof(d->why), "%s", why ? why : "");
	assert_true(rest.len <= sizeof(d->rest));
	if (rest.len > 0)
		memcpy(d->rest, rest.data, rest.len);
	d->rest_len = rest.len;
	d->took_ms = (crew__clock_ns() - d->began_ns) / CREW__NS_PER_MS;
	if (d->then)
		d->then(d);
}

static void start(struct dial_world *world, struct dialled *d, struct crew__dial_plan *plan)
{
	char error[512] = "";
	plan->loop = world->loop;
	plan->resolver = world->resolver;
	plan->preambles = world->preambles;
	plan->timeout_ms = d->timeout_ms > 0 || d->at_once ? d->timeout_ms : 10000;
	plan->type = plan->type ? plan->type : SOCK_STREAM;
	plan->done = on_done;
	plan->arg = d;
	d->world = world;
	d->began_ns = crew__clock_ns();
	d->dial = crew__dial_start(plan, error, sizeof(error));
	if (!d->dial)
		fail_msg("%s", error);
}

void dial(struct dial_world *world, struct dialled *d, const char *host, unsigned port,
	const struct crew__dial_plan *options)
{
	struct crew__dial_plan plan = options ? *options : (struct crew__dial_plan){ 0 };
	plan.host = host;
	plan.port = (uint16_t)port;
	d->port = port;
	start(world, d, &plan);
}

void dial_unix(struct dial_world *world, struct dialled *d, const char *path)
{
	start(world, d, &(struct crew__dial_plan){ .unix_path = path });
}

void dial_until(struct dial_world *world, struct dialled *d)
{
	uint64_t give_up = crew__clock_ns() + 40 * CREW__NS_PER_S;
	while (d->count == 0) {
		assert_true(crew__clock_ns() < give_up);
		assert_int_equal(crew__loop_turn(world->loop, 100), 0);
	}
	assert_int_equal(d->count, 1);
}

void dial_pass(struct dial_world *world, unsigned ms)
{
	uint64_t end = crew__clock_ns() + ms * CREW__NS_PER_MS;
	while (crew__clock_ns() < end)
		assert_int_equal(crew__loop_turn(world->loop, 2), 0);
}

/* ---- peers --------------------------------------------------------------------------------- */

static socklen_t address_of(const char *ip, unsigned port, struct sockaddr_storage *address)
{
	struct sockaddr_in *ipv4 = (void *)address;
	struct sockaddr_in6 *ipv6 = (void *)address;
	memset(address, 0, sizeof(*address));
	if (inet_pton(AF_INET, ip, &ipv4->sin_addr) == 1) {
		ipv4->sin_family = AF_INET;
		ipv4->sin_port = htons((uint16_t)port);
		return sizeof(*ipv4);
	}
	crew__must(inet_pton(AF_INET6, ip, &ipv6->sin6_addr) == 1);
	ipv6->sin6_family = AF_INET6;
	ipv6->sin6_port = htons((uint16_t)port);
	return sizeof(*ipv6);
}

static int bound(struct dial_world *world, const char *ip, unsigned port, unsigned *ret_port)
{
	struct sockaddr_storage address;
	socklen_t size = address_of(ip, port, &address);
	int one = 1;
	int fd = dial_keep(world, socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
	if (port)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (address.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	crew__must(bind(fd, (struct sockaddr *)&address, size) == 0);
	crew__must(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
	*ret_port = ntohs(((struct sockaddr_in *)(void *)&address)->sin_port);
	return fd;
}

unsigned dial_listen(struct dial_world *world, const char *ip, unsigned port)
{
	unsigned own;
	crew__must(listen(bound(world, ip, port, &own), 64) == 0);
	return own;
}

/* The backlog is full with two of ours: a SYN that comes then is dropped. */
unsigned dial_black_hole(struct dial_world *world, const char *ip, unsigned port)
{
	struct sockaddr_storage address;
	unsigned own;
	crew__must(listen(bound(world, ip, port, &own), 0) == 0);
	socklen_t size = address_of(ip, own, &address);
	for (int i = 0; i < 2; i++) {
		int fd = dial_keep(world,
			socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
		(void)!connect(fd, (struct sockaddr *)&address, size);
	}
	return own;
}

unsigned dial_free_port(struct dial_world *world)
{
	unsigned port;
	bound(world, "127.0.0.1", 0, &port); /* bound, so that nobody else gets it; not listening */
	return port;
}

static socklen_t path_of(const char *path, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(address->sun_path, sizeof(address->sun_path), "%s", path);
	if (path[0] == '@')
		address->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) +
			   (path[0] != '@'));
}

int dial_listen_unix(struct dial_world *world, const char *path, int backlog)
{
	struct sockaddr_un address;
	socklen_t size = path_of(path, &address);
	int fd = dial_keep(world, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	crew__must(bind(fd, (struct sockaddr *)&address, size) == 0);
	crew__must(listen(fd, backlog) == 0);
	return fd;
}

int dial_raw_unix(struct dial_world *world, const char *path)
{
	struct sockaddr_un address;
	socklen_t size = path_of(path, &address);
	int fd = dial_keep(world, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	return connect(fd, (struct sockaddr *)&address, size) == 0 ? fd : -1;
}

static const char *text_of(const struct sockaddr_storage *address)
{
	static char text[INET6_ADDRSTRLEN];
	const void *ip = address->ss_family == AF_INET6
				 ? (const void *)&(
					   (const struct sockaddr_in6 *)(const void *)address)
					   ->sin6_addr
				 : &((const struct sockaddr_in *)(const void *)address)->sin_addr;
	inet_ntop(address->ss_family, ip, text, sizeof(text));
	return text;
}

const char *dial_peer(int fd)
{
	struct sockaddr_storage address = { 0 };
	socklen_t size = sizeof(address);
	assert_int_equal(getpeername(fd, (struct sockaddr *)&address, &size), 0);
	return text_of(&address);
}

const char *dial_own(int fd)
{
	struct sockaddr_storage address = { 0 };
	socklen_t size = sizeof(address);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	return text_of(&address);
}

void dial_say_hello(struct dial_world *world, int fd)
{
	char text[16] = "";
	int peer = dial_keep(world, accept(world->fds[0], NULL, NULL));
	assert_int_equal(send(fd, "hello", 5, MSG_NOSIGNAL), 5);
	assert_int_equal(recv(peer, text, sizeof(text), 0), 5);
	assert_string_equal(text, "hello");
}
