/* test_listeners.c - all sockets of a program, or none. */
#include "proc/listeners.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const crew_service services[] = { { .name = "one" }, { .name = "two" },
	{ .name = "three" } };
static char loopback[] = "tcp://127.0.0.1:0", socket_file[] = "unix://RUNDIR/two.sock";
static char dir[64], error[512];
static struct crew__settings settings;
static struct crew__listeners listeners;

static int make_settings(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/crew-listeners-XXXXXX");
	settings = (struct crew__settings){ .services = 3, .run_dir = dir };
	for (int i = 0; i < 3; i++)
		settings.service[i] = (struct crew__service_settings){ .service = &services[i],
			.workers = 3 };
	settings.service[0].listen = loopback;
	settings.service[1].listen = socket_file;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	return rmdir(dir); /* it must be empty by now */
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in address;
	socklen_t size = sizeof(address);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	return ntohs(address.sin_port);
}

static int open_all(bool single)
{
	return crew__listeners_open(&listeners, &settings, single, error, sizeof(error));
}

static void one_socket_for_all_workers(void **state)
{
	(void)state;
	assert_int_equal(open_all(false), 0);
	int fd = crew__listeners_fd(&listeners, 0, 0);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(crew__listeners_fd(&listeners, 0, 2), fd);
	assert_true(crew__listeners_fd(&listeners, 1, 0) >= 0);
	assert_int_equal(crew__listeners_fd(&listeners, 2, 0), -1);
	crew__listeners_close(&listeners);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	crew__listeners_close(&listeners);
}

static void one_for_each_worker_on_one_port(void **state)
{
	(void)state;
	settings.service[0].reuse_port = true;
	settings.service[1].reuse_port = true; /* means nothing to a Unix socket */
	assert_int_equal(open_all(false), 0);
	assert_int_equal(listeners.service[0].count, 3);
	assert_int_equal(listeners.service[1].count, 1);
	int first = crew__listeners_fd(&listeners, 0, 0),
	    last = crew__listeners_fd(&listeners, 0, 2);
	assert_int_not_equal(first, last);
	assert_int_equal(port_of(first), port_of(last));
	crew__listeners_close(&listeners);
	assert_int_equal(open_all(true), 0);
	assert_int_equal(listeners.service[0].count, 1);
	crew__listeners_close(&listeners);
}

static void all_or_none(void **state)
{
	char taken[64];
	(void)state;
	struct crew__listeners other;
	struct crew__settings first = settings;
	first.services = 1;
	assert_int_equal(crew__listeners_open(&other, &first, false, error, sizeof(error)), 0);
	snprintf(taken, sizeof(taken), "tcp://127.0.0.1:%u",
		port_of(crew__listeners_fd(&other, 0, 0)));
	settings.service[2].listen = taken;
	assert_int_equal(open_all(false), -EADDRINUSE);
	assert_non_null(strstr(error, "service three cannot listen on "));
	assert_non_null(strstr(error, taken));
	char path[128];
	snprintf(path, sizeof(path), "%s/two.sock", dir);
	assert_int_equal(access(path, F_OK), -1);
	crew__listeners_close(&other);
	snprintf(taken, sizeof(taken), "no address");
	assert_int_equal(open_all(false), -EINVAL);
	assert_non_null(strstr(error, "service three cannot listen on "));
}

static void one_more_and_without_it_again(void **state)
{
	char path[128], taken[64];
	(void)state;
	unsigned all = settings.services;
	snprintf(path, sizeof(path), "%s/two.sock", dir);
	settings.services = 1;
	assert_int_equal(open_all(false), 0);
	settings.services = all;
	assert_int_equal(crew__listeners_add(&listeners, &settings, 1, error, sizeof(error)), 0);
	assert_int_equal(listeners.services, 2);
	int fd = crew__listeners_fd(&listeners, 1, 0);
	assert_true(fd >= 0);
	assert_int_equal(access(path, F_OK), 0);
	crew__listeners_drop(&listeners, 1);
	assert_int_equal(listeners.services, 1);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	crew__listeners_drop(&listeners, 1);
	/* Where it cannot listen nothing is left of it. */
	snprintf(taken, sizeof(taken), "tcp://127.0.0.1:%u",
		port_of(crew__listeners_fd(&listeners, 0, 0)));
	settings.service[1].listen = taken;
	assert_int_equal(
		crew__listeners_add(&listeners, &settings, 1, error, sizeof(error)), -EADDRINUSE);
	assert_non_null(strstr(error, "service two cannot listen on "));
	assert_int_equal(listeners.services, 1);
	crew__listeners_close(&listeners);
}

int main(void)
{
#define IN_A_DIR(test) cmocka_unit_test_setup_teardown(test, make_settings, remove_dir)
	const struct CMUnitTest tests[] = {
		IN_A_DIR(one_socket_for_all_workers),
		IN_A_DIR(one_for_each_worker_on_one_port),
		IN_A_DIR(all_or_none),
		IN_A_DIR(one_more_and_without_it_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
