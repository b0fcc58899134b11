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

/* The only socket of worker `id`; -1 when it has none. */
static int fd_of(const struct crew__listeners *all, unsigned service, unsigned id)
{
	int fds[CREW__ADDRESSES_MAX];
	unsigned count = crew__listeners_fds(all, service, id, false, fds);
	assert_true(count <= 1);
	return count == 1 ? fds[0] : -1;
}

static unsigned fds_of(unsigned id, bool own, int *fds)
{
	return crew__listeners_fds(&listeners, 0, id, own, fds);
}

static int open_other(
	struct crew__listeners *other, const struct crew__settings *others, bool single)
{
	const struct crew__listeners_plan plan = { .settings = others, .single = single };
	return crew__listeners_open(other, &plan, error, sizeof(error));
}

static int open_all(bool single)
{
	return open_other(&listeners, &settings, single);
}

static void one_socket_for_all_workers(void **state)
{
	(void)state;
	assert_int_equal(open_all(false), 0);
	int fd = fd_of(&listeners, 0, 0);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(fd_of(&listeners, 0, 2), fd);
	assert_true(fd_of(&listeners, 1, 0) >= 0);
	assert_int_equal(fd_of(&listeners, 2, 0), -1);
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
	assert_int_equal(listeners.service[0].each, 3);
	assert_int_equal(listeners.service[0].places[0].count, 3);
	assert_int_equal(listeners.service[1].each, 0);
	assert_int_equal(listeners.service[1].places[0].count, 1);
	int first = fd_of(&listeners, 0, 0), last = fd_of(&listeners, 0, 2);
	assert_int_not_equal(first, last);
	assert_int_equal(port_of(first), port_of(last));
	crew__listeners_close(&listeners);
	assert_int_equal(open_all(true), 0);
	assert_int_equal(listeners.service[0].each, 0);
	assert_int_equal(listeners.service[0].places[0].count, 1);
	crew__listeners_close(&listeners);
}

static int widen(unsigned service)
{
	return crew__listeners_widen(&listeners, service,
		(unsigned)settings.service[service].workers, error, sizeof(error));
}

/* More workers: the new ids get sockets, and who is there keeps those that it has. Fewer: nothing
 * is closed. */
static void more_workers_and_fewer(void **state)
{
	(void)state;
	settings.service[0].reuse_port = true;
	assert_int_equal(open_all(false), 0);
	const struct crew__listener *one = &listeners.service[0];
	int first = fd_of(&listeners, 0, 0), last = fd_of(&listeners, 0, 2);
	one->keepers[1] = 77;
	settings.service[0].workers = 5;
	assert_int_equal(widen(0), 0);
	assert_int_equal(one->each, 5);
	assert_int_equal(one->places[0].count, 5);
	assert_int_equal(fd_of(&listeners, 0, 0), first);
	assert_int_equal(fd_of(&listeners, 0, 2), last);
	assert_int_equal(port_of(fd_of(&listeners, 0, 4)), port_of(first));
	assert_int_not_equal(fd_of(&listeners, 0, 4), fd_of(&listeners, 0, 3));
	assert_int_equal(one->keepers[1], 77);
	assert_int_equal(one->keepers[3], 0);
	assert_int_equal(one->keepers[4], 0);
	settings.service[0].workers = 1;
	assert_int_equal(widen(0), 0);
	assert_int_equal(one->each, 5);
	assert_true(fcntl(fd_of(&listeners, 0, 4), F_GETFD) >= 0);
	/* One that all share is the same for any number. */
	settings.service[1].workers = 9;
	assert_int_equal(widen(1), 0);
	assert_int_equal(listeners.service[1].places[0].count, 1);
	crew__listeners_close(&listeners);
}

/* A socket beside those that are there cannot be had: who is there goes on, and what was opened for
 * the new ids stays, as somebody may wait in it. */
static void no_room_for_more_workers(void **state)
{
	(void)state;
	static char two[] = "tcp://127.0.0.1:0 tcp://127.0.0.1:0";
	int fds[CREW__ADDRESSES_MAX], before[CREW__ADDRESSES_MAX];
	settings.service[0].listen = two;
	settings.service[0].reuse_port = true;
	assert_int_equal(open_all(false), 0);
	struct crew__listener *one = &listeners.service[0];
	assert_int_equal(fds_of(1, false, before), 2);
	struct crew__address_options *options = &one->places[1].address.options;
	snprintf(options->interface, sizeof(options->interface), "nowhere0");
	options->given |= UINT32_C(1) << CREW__OPTION_interface;
	settings.service[0].workers = 4;
	assert_true(widen(0) < 0);
	assert_non_null(strstr(error, "no sockets for more workers"));
	assert_int_equal(fds_of(1, false, fds), 2);
	assert_int_equal(fds[0], before[0]);
	assert_int_equal(fds[1], before[1]);
	assert_int_equal(one->places[0].count, 4);
	assert_int_equal(one->places[1].count, 4);
	assert_int_equal(one->places[1].fds[3], -1);
	assert_int_equal(one->each, 4);
	assert_int_equal(fds_of(3, true, fds), 1);
	settings.service[0].listen = loopback;
	settings.service[0].workers = 3;
	settings.service[0].reuse_port = false;
	crew__listeners_close(&listeners);
}

/* Two ports and a file: only the ports are one for each worker. */
static void several_addresses_of_one_service(void **state)
{
	(void)state;
	static char several[] = "tcp://127.0.0.1:0 tcp://[::1]:0\tunix://RUNDIR/one.sock";
	char expected[600];
	int fds[CREW__ADDRESSES_MAX], others[CREW__ADDRESSES_MAX];
	settings.service[0].listen = several;
	settings.service[0].reuse_port = true;
	assert_int_equal(open_all(false), 0);
	const struct crew__listener *one = &listeners.service[0];
	assert_int_equal(one->count, 3);
	assert_int_equal(one->each, 3);
	assert_int_equal(fds_of(0, false, fds), 3);
	assert_int_equal(fds_of(2, false, others), 3);
	for (int i = 0; i < 2; i++) {
		assert_int_not_equal(fds[i], others[i]);
		assert_int_equal(port_of(fds[i]), port_of(others[i]));
	}
	assert_int_equal(fds[2], others[2]);
	assert_int_equal(fds_of(1, true, fds), 2);
	assert_int_equal(one->places[0].fds[1], fds[0]);
	assert_int_equal(one->places[1].fds[1], fds[1]);
	/* What is shown has the ports that were chosen. */
	snprintf(expected, sizeof(expected), "tcp://127.0.0.1:%u tcp://[::1]:%u unix://%s/one.sock",
		port_of(fds[0]), port_of(fds[1]), dir);
	assert_string_equal(one->text, expected);
	crew__listeners_close(&listeners);
	settings.service[0].listen = loopback;
	settings.service[0].reuse_port = false;
}

/* The second address cannot be had: the first, and its file, are given back. */
static void all_addresses_or_none(void **state)
{
	(void)state;
	char text[300], path[128];
	assert_int_equal(open_all(false), 0);
	struct crew__listeners other;
	struct crew__settings third = settings;
	snprintf(text, sizeof(text), "unix://RUNDIR/first.sock tcp://127.0.0.1:%u",
		port_of(fd_of(&listeners, 0, 0)));
	third.services = 1;
	third.service[0].listen = text;
	assert_int_equal(open_other(&other, &third, false), -EADDRINUSE);
	snprintf(path, sizeof(path), "%s/first.sock", dir);
	assert_int_equal(access(path, F_OK), -1);
	crew__listeners_close(&listeners);
}

static void all_or_none(void **state)
{
	char taken[64];
	(void)state;
	struct crew__listeners other;
	struct crew__settings first = settings;
	first.services = 1;
	assert_int_equal(open_other(&other, &first, false), 0);
	snprintf(taken, sizeof(taken), "tcp://127.0.0.1:%u", port_of(fd_of(&other, 0, 0)));
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

/* ---- the next generation ------------------------------------------------------------------- */

static char names[CREW_MAX_SERVICES][CREW__NAME_MAX] = { "one", "two", "three" };

/* What `next` says, with the sockets of the present ones. */
static int open_next(
	struct crew__listeners *other, const struct crew__settings *next, const unsigned *places)
{
	struct crew__inherited inherited;
	const struct crew__listeners_plan plan = {
		.settings = next, .places = places, .inherited = &inherited, .quiet = true
	};
	crew__inherited_init(&inherited, "the generation before");
	assert_int_equal(crew__listeners_copy(&listeners, names, &inherited), 0);
	return crew__listeners_open(other, &plan, error, sizeof(error));
}

static bool is_there(const char *file)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", dir, file);
	return access(path, F_OK) == 0;
}

/* Also under another name, at another place: one port, one file, whichever of them is closed. */
static void the_next_generation_has_the_same_sockets(void **state)
{
	(void)state;
	static const crew_service renamed = { .name = "deux" };
	static const unsigned places[] = { 0, 7 };
	struct crew__listeners next;
	struct crew__settings other = settings;
	other.services = 2;
	other.service[1].service = &renamed;
	assert_int_equal(open_all(false), 0);
	assert_int_equal(open_next(&next, &other, places), 0);
	int before = fd_of(&listeners, 0, 0), after = fd_of(&next, 0, 0);
	assert_int_not_equal(before, after);
	assert_int_equal(port_of(before), port_of(after));
	assert_string_equal(next.service[0].text, listeners.service[0].text);
	assert_true(fd_of(&next, 7, 0) >= 0);
	assert_int_equal(fd_of(&next, 1, 0), -1);
	/* It is given up: nothing of the present one has gone. */
	crew__listeners_close_but(&next, &listeners);
	assert_true(is_there("two.sock"));
	assert_int_equal(open_next(&next, &other, places), 0);
	crew__listeners_close_but(&listeners, &next);
	assert_true(is_there("two.sock"));
	crew__listeners_close(&next);
	assert_false(is_there("two.sock"));
}

/* What is new is opened, what is not wanted any more is not taken; or nothing happens. */
static void the_next_generation_listens_elsewhere(void **state)
{
	(void)state;
	static char moved[] = "unix://RUNDIR/new.sock", taken[64];
	struct crew__listeners next;
	struct crew__settings other = settings;
	other.service[1].listen = moved;
	assert_int_equal(open_all(false), 0);
	assert_int_equal(open_next(&next, &other, NULL), 0);
	assert_true(is_there("two.sock") && is_there("new.sock"));
	crew__listeners_close_but(&next, &listeners);
	assert_true(is_there("two.sock") && !is_there("new.sock"));

	struct crew__listeners stranger;
	struct crew__settings one = settings;
	one.services = 1;
	assert_int_equal(open_other(&stranger, &one, false), 0);
	snprintf(taken, sizeof(taken), "tcp://127.0.0.1:%u", port_of(fd_of(&stranger, 0, 0)));
	other.service[2].listen = taken;
	assert_int_equal(open_next(&next, &other, NULL), -EADDRINUSE);
	assert_non_null(strstr(error, "service three cannot listen on "));
	assert_true(is_there("two.sock") && !is_there("new.sock"));
	crew__listeners_close(&stranger);

	assert_int_equal(open_next(&next, &other, NULL), 0);
	crew__listeners_close_but(&listeners, &next);
	assert_true(!is_there("two.sock") && is_there("new.sock"));
	crew__listeners_close(&next);
}

/* A socket for each worker: fewer workers give none up, more bring new ones. */
static void other_counts_with_a_socket_for_each(void **state)
{
	(void)state;
	struct crew__listeners fewer, more;
	struct crew__settings other = settings;
	other.services = settings.services = 1;
	other.service[0].reuse_port = settings.service[0].reuse_port = true;
	other.service[0].workers = 2;
	assert_int_equal(open_all(false), 0);
	assert_int_equal(open_next(&fewer, &other, NULL), 0);
	assert_int_equal(fewer.service[0].each, 3);
	other.service[0].workers = 5;
	assert_int_equal(open_next(&more, &other, NULL), 0);
	assert_int_equal(more.service[0].each, 5);
	assert_int_equal(port_of(fd_of(&more, 0, 4)), port_of(fd_of(&listeners, 0, 0)));
	crew__listeners_close(&fewer);
	crew__listeners_close(&more);
	crew__listeners_close(&listeners);
	settings.service[0].reuse_port = false;
}

int main(void)
{
#define IN_A_DIR(test) cmocka_unit_test_setup_teardown(test, make_settings, remove_dir)
	const struct CMUnitTest tests[] = {
		IN_A_DIR(one_socket_for_all_workers),
		IN_A_DIR(one_for_each_worker_on_one_port),
		IN_A_DIR(more_workers_and_fewer),
		IN_A_DIR(no_room_for_more_workers),
		IN_A_DIR(several_addresses_of_one_service),
		IN_A_DIR(all_addresses_or_none),
		IN_A_DIR(all_or_none),
		IN_A_DIR(the_next_generation_has_the_same_sockets),
		IN_A_DIR(the_next_generation_listens_elsewhere),
		IN_A_DIR(other_counts_with_a_socket_for_each),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
