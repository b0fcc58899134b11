/* test_inherited.c - sockets that are there already: whose they are, and what becomes of the rest.
 */
#include "proc/listeners.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static const crew_service services[] = { { .name = "one" }, { .name = "two" } };
static char dir[64], listen_one[200], listen_two[200], error[512];
static struct crew__settings settings;
static struct crew__listeners listeners;
static struct crew__inherited inherited;

static int begin(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/crew-inherited-XXXXXX");
	settings = (struct crew__settings){ .services = 2, .run_dir = dir };
	for (int i = 0; i < 2; i++)
		settings.service[i] = (struct crew__service_settings){ .service = &services[i],
			.workers = 2 };
	settings.service[0].listen = listen_one;
	settings.service[1].listen = NULL;
	crew__inherited_init(&inherited, "a test");
	return mkdtemp(dir) ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	crew__inherited_fini(&inherited, true);
	return rmdir(dir);
}

static int tcp(bool listens, uint16_t *ret_port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
	address.sin_port = *ret_port;
	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	if (listens)
		assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	*ret_port = address.sin_port;
	return fd;
}

static void add(const struct crew__inherited_socket *socket)
{
	assert_int_equal(crew__inherited_add(&inherited, socket), 0);
}

static int add_tcp(const char *name, unsigned index, bool listens, uint16_t *port)
{
	struct crew__inherited_socket socket = { .index = index, .fd = tcp(listens, port) };
	snprintf(socket.name, sizeof(socket.name), "%s", name);
	add(&socket);
	return socket.fd;
}

static int open_all(void)
{
	const struct crew__listeners_plan plan = { .settings = &settings, .inherited = &inherited };
	return crew__listeners_open(&listeners, &plan, error, sizeof(error));
}

static int fd_of(unsigned service, unsigned id)
{
	int fds[CREW__ADDRESSES_MAX];
	return crew__listeners_fds(&listeners, service, id, false, fds) > 0 ? fds[0] : -1;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void the_same_address_is_taken(void **state)
{
	(void)state;
	uint16_t port = 0, other = 0;
	int fd = add_tcp("one", 0, true, &port);
	int unwanted = add_tcp("gone", 0, true, &other);
	snprintf(listen_one, sizeof(listen_one), "tcp://127.0.0.1:%u", ntohs(port));
	assert_int_equal(open_all(), 0);
	assert_int_equal(fd_of(0, 0), fd);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_false(is_open(unwanted));
	assert_int_equal(inherited.count, 0);
	assert_string_equal(listeners.service[0].text, listen_one);
	crew__listeners_close(&listeners);
	assert_false(is_open(fd));
}

/* Who waits in the backlog when the settings change owners is still there. */
static void who_waits_is_not_lost(void **state)
{
	(void)state;
	uint16_t port = 0;
	int fd = add_tcp("one", 0, true, &port);
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = port
	};
	int peer = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(peer, (struct sockaddr *)&address, sizeof(address)), 0);
	snprintf(listen_one, sizeof(listen_one), "tcp://127.0.0.1:%u?backlog=3", ntohs(port));
	assert_int_equal(open_all(), 0);
	int accepted = accept(fd, NULL, NULL);
	assert_true(accepted >= 0);
	close(accepted);
	close(peer);
	crew__listeners_close(&listeners);
}

static void any_port_is_that_of_the_same_service(void **state)
{
	(void)state;
	uint16_t port = 0, other = 0;
	char text[64];
	int others = add_tcp("two", 0, true, &other);
	int fd = add_tcp("one", 0, true, &port);
	snprintf(listen_one, sizeof(listen_one), "tcp://127.0.0.1:0");
	assert_int_equal(open_all(), 0);
	assert_int_equal(fd_of(0, 0), fd);
	assert_false(is_open(others));
	snprintf(text, sizeof(text), "tcp://127.0.0.1:%u", ntohs(port));
	assert_string_equal(listeners.service[0].text, text);
	crew__listeners_close(&listeners);
}

static void what_does_not_listen_is_not_taken(void **state)
{
	(void)state;
	uint16_t port = 0;
	int fd = add_tcp("one", 0, false, &port);
	snprintf(listen_one, sizeof(listen_one), "tcp://127.0.0.1:%u", ntohs(port));
	/* Closed before ours is opened: else the port were in use. */
	assert_int_equal(open_all(), 0);
	int mine = fd_of(0, 0), listens = 0;
	socklen_t size = sizeof(listens);
	assert_int_equal(getsockopt(mine, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size), 0);
	assert_int_equal(listens, 1);
	(void)fd;
	crew__listeners_close(&listeners);
}

static void each_worker_gets_its_own_again(void **state)
{
	(void)state;
	uint16_t port = 0;
	int second = add_tcp("one", 1, true, &port);
	int first = add_tcp("one", 0, true, &port);
	settings.service[0].reuse_port = true;
	settings.service[0].workers = 3;
	snprintf(listen_one, sizeof(listen_one), "tcp://127.0.0.1:%u", ntohs(port));
	assert_int_equal(open_all(), 0);
	assert_int_equal(fd_of(0, 0), first);
	assert_int_equal(fd_of(0, 1), second);
	assert_true(fd_of(0, 2) >= 0 && fd_of(0, 2) != first && fd_of(0, 2) != second);
	crew__listeners_close(&listeners);
}

static void a_name_goes_before_an_address(void **state)
{
	(void)state;
	uint16_t port = 0;
	char text[64];
	struct crew__inherited_socket named = { .name = "one", .by_name = true, .place = 0 };
	named.fd = tcp(true, &port);
	add(&named);
	snprintf(listen_one, sizeof(listen_one), "tcp://127.0.0.1:1");
	assert_int_equal(open_all(), 0);
	assert_int_equal(fd_of(0, 0), named.fd);
	/* It is shown where it really is. */
	snprintf(text, sizeof(text), "tcp://127.0.0.1:%u", ntohs(port));
	assert_string_equal(listeners.service[0].text, text);
	crew__listeners_close(&listeners);
}

static void a_name_on_what_is_no_listener_is_no_help(void **state)
{
	(void)state;
	struct crew__inherited_socket named = { .name = "one", .by_name = true };
	named.fd = socket(AF_INET, SOCK_DGRAM, 0);
	add(&named);
	snprintf(listen_one, sizeof(listen_one), "tcp://127.0.0.1:0");
	assert_int_equal(open_all(), 0);
	assert_int_not_equal(fd_of(0, 0), -1);
	crew__listeners_close(&listeners);
}

/* ---- Unix sockets -------------------------------------------------------------------------- */

static struct crew__inherited_socket unix_socket(const char *path)
{
	struct crew__inherited_socket socket_there = { .name = "one" };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct stat status;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	socket_there.fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(socket_there.fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(socket_there.fd, 5), 0);
	assert_int_equal(stat(path, &status), 0);
	socket_there.file = (struct crew__address_file){ status.st_dev, status.st_ino };
	return socket_there;
}

static void a_file_goes_with_its_socket(void **state)
{
	(void)state;
	char path[80];
	struct stat status;
	snprintf(path, sizeof(path), "%s/one.sock", dir);
	struct crew__inherited_socket there = unix_socket(path);
	add(&there);
	snprintf(listen_one, sizeof(listen_one), "unix://%s?mode=0600", path);
	assert_int_equal(open_all(), 0);
	assert_int_equal(fd_of(0, 0), there.fd);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	/* It is ours to remove. */
	crew__listeners_close(&listeners);
	assert_int_equal(access(path, F_OK), -1);
}

/* A manager that has the socket too goes on with it. */
static void a_file_of_somebody_else_stays(void **state)
{
	(void)state;
	char path[80];
	snprintf(path, sizeof(path), "%s/one.sock", dir);
	struct crew__inherited_socket there = unix_socket(path);
	there.file.inode = 0;
	add(&there);
	snprintf(listen_one, sizeof(listen_one), "unix://%s", path);
	assert_int_equal(open_all(), 0);
	assert_int_equal(fd_of(0, 0), there.fd);
	crew__listeners_close(&listeners);
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
}

/* Nobody can reach that one any more. */
static void a_socket_that_lost_its_path_is_not_taken(void **state)
{
	(void)state;
	char path[80];
	snprintf(path, sizeof(path), "%s/one.sock", dir);
	struct crew__inherited_socket there = unix_socket(path);
	add(&there);
	unlink(path);
	snprintf(listen_one, sizeof(listen_one), "unix://%s", path);
	assert_int_equal(open_all(), 0);
	assert_int_equal(access(path, F_OK), 0);
	crew__listeners_close(&listeners);
	assert_int_equal(access(path, F_OK), -1);
}

static void a_failure_closes_all(void **state)
{
	(void)state;
	uint16_t port = 0, other = 0;
	int fd = add_tcp("one", 0, true, &port);
	int unwanted = add_tcp("gone", 0, true, &other);
	settings.service[1].listen = listen_two;
	snprintf(listen_one, sizeof(listen_one), "tcp://127.0.0.1:%u", ntohs(port));
	snprintf(listen_two, sizeof(listen_two), "unix:///nowhere/at/all");
	assert_true(open_all() < 0);
	assert_non_null(strstr(error, "service two cannot listen on unix:///nowhere/at/all"));
	assert_false(is_open(fd));
	assert_false(is_open(unwanted));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_same_address_is_taken, begin, end),
		cmocka_unit_test_setup_teardown(who_waits_is_not_lost, begin, end),
		cmocka_unit_test_setup_teardown(any_port_is_that_of_the_same_service, begin, end),
		cmocka_unit_test_setup_teardown(what_does_not_listen_is_not_taken, begin, end),
		cmocka_unit_test_setup_teardown(each_worker_gets_its_own_again, begin, end),
		cmocka_unit_test_setup_teardown(a_name_goes_before_an_address, begin, end),
		cmocka_unit_test_setup_teardown(
			a_name_on_what_is_no_listener_is_no_help, begin, end),
		cmocka_unit_test_setup_teardown(a_file_goes_with_its_socket, begin, end),
		cmocka_unit_test_setup_teardown(a_file_of_somebody_else_stays, begin, end),
		cmocka_unit_test_setup_teardown(
			a_socket_that_lost_its_path_is_not_taken, begin, end),
		cmocka_unit_test_setup_teardown(a_failure_closes_all, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
