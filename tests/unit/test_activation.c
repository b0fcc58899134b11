/* test_activation.c - LISTEN_FDS and its names: whose a socket is, and what is none of ours. */
#include "proc/activation.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const crew_service services[] = { { .name = "web" }, { .name = "feed" },
	{ .name = "kept" } };
static char one[] = "http://:80", two[] = " http://:80\thttp://:81 ";
static struct crew__settings settings;

static int make_settings(void **state)
{
	(void)state;
	settings = (struct crew__settings){ .services = 3 };
	for (int i = 0; i < 3; i++)
		settings.service[i] = (struct crew__service_settings){ .service = &services[i] };
	settings.service[0].listen = one;
	settings.service[1].listen = two;
	return 0;
}

static void sockets_for_this_process_only(void **state)
{
	(void)state;
	assert_int_equal(crew__activation_count(NULL, NULL, 77), 0);
	assert_int_equal(crew__activation_count("2", NULL, 77), 0);
	assert_int_equal(crew__activation_count(NULL, "77", 77), 0);
	assert_int_equal(crew__activation_count("2", "77", 77), 2);
	assert_int_equal(crew__activation_count("2", "78", 77), 0);
	assert_int_equal(crew__activation_count("0", "77", 77), 0);
}

static void counts_that_make_no_sense(void **state)
{
	(void)state;
	assert_int_equal(crew__activation_count("", "77", 77), -EINVAL);
	assert_int_equal(crew__activation_count("-1", "77", 77), -EINVAL);
	assert_int_equal(crew__activation_count("2 ", "77", 77), -EINVAL);
	assert_int_equal(crew__activation_count("two", "77", 77), -EINVAL);
	assert_int_equal(crew__activation_count("99999", "77", 77), -EINVAL);
	assert_int_equal(crew__activation_count("99999999999999999999", "77", 77), -EINVAL);
	assert_int_equal(crew__activation_count("2", "77x", 77), -EINVAL);
}

static struct crew__inherited_socket named(const char *name, unsigned nth)
{
	struct crew__inherited_socket socket;
	crew__activation_name(&settings, name, nth, &socket);
	return socket;
}

static void assert_named(
	const char *name, unsigned nth, const char *service, unsigned place, unsigned index)
{
	struct crew__inherited_socket socket = named(name, nth);
	assert_true(socket.by_name);
	assert_string_equal(socket.name, service);
	assert_int_equal(socket.place, place);
	assert_int_equal(socket.index, index);
}

static void a_service_has_its_sockets_by_name(void **state)
{
	(void)state;
	assert_named("web", 0, "web", 0, 0);
	assert_named("web", 2, "web", 0, 2); /* of one address there may be several */
	assert_named("web.3", 0, "web", 0, 3);
	assert_named("feed", 1, "feed", 1, 0); /* of two the second is the other address */
	assert_named("feed.1", 0, "feed", 1, 0);
	assert_named("kept", 0, "kept", 0, 0); /* a service of that name, and no store */
}

/* Which of several at which of several: the address must tell. */
static void several_at_each_of_several(void **state)
{
	(void)state;
	settings.service[1].reuse_port = true;
	assert_false(named("feed", 1).by_name);
	assert_string_equal(named("feed", 1).name, "feed");
}

static void other_names_are_no_service(void **state)
{
	static const char *const others[] = { "", "we", "webs", "web.x", "web.", "web.1x", "web.-1",
		"web.9999999999", "app.socket", "stored", "unknown" };
	(void)state;
	for (size_t i = 0; i < crew__lengthof(others); i++)
		assert_false(named(others[i], 0).by_name);
}

static void names_from_the_store(void **state)
{
	struct crew__inherited_socket socket;
	(void)state;
	assert_true(crew__fd_store_read_name("kept/web.1.2.ab", &socket));
	assert_string_equal(socket.name, "web");
	assert_false(socket.by_name); /* it goes where its address is asked for */
	assert_int_equal(socket.place, 1);
	assert_int_equal(socket.index, 2);
	assert_int_equal(socket.file.inode, 0);
	assert_true(crew__fd_store_read_name("kept/feed.0.0.ab/1f.20", &socket));
	assert_int_equal(socket.file.device, 0x1f);
	assert_int_equal(socket.file.inode, 0x20);
	static const char *const bad[] = { "", "kept", "kept/", "kept/web", "kept/web.1.2",
		"kept/web.1.2.", "kept/web.1.2.ab/", "kept/web.1.2.ab/1", "kept/web.1.2.abx",
		"kept/web.1.2.ab/1.2x", "kept/.1.2.3", "web.1.2.3" };
	for (size_t i = 0; i < crew__lengthof(bad); i++)
		assert_false(crew__fd_store_read_name(bad[i], &socket));
}

/* ---- descriptors --------------------------------------------------------------------------- */

enum {
	FIRST = 40
};

static void open_some(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(dup2(STDIN_FILENO, FIRST + (int)i), FIRST + (int)i);
}

static void all_are_noted(void **state)
{
	struct crew__inherited inherited;
	struct crew__notify notify = { .on = true, .fd = -1 };
	struct crew__fd_store store;
	(void)state;
	crew__inherited_init(&inherited, "a test");
	crew__fd_store_begin(&store, &notify, true);
	const struct crew__activation activation = { &settings, &inherited, &store };
	open_some(4);
	crew__activation_add(&activation, FIRST, 5, "web:feed:kept/web.0.0.1:web");
	assert_int_equal(inherited.count, 4); /* the fifth is not open */
	assert_int_equal(inherited.sockets[0].fd, FIRST);
	assert_int_equal(inherited.sockets[0].index, 0);
	assert_int_equal(inherited.sockets[3].index, 1);
	assert_int_equal(store.count, 1);
	assert_string_equal(store.names[0], "kept/web.0.0.1");
	for (int i = 0; i < 4; i++)
		assert_true(fcntl(FIRST + i, F_GETFD) & FD_CLOEXEC);
	crew__inherited_fini(&inherited, true);
	crew__fd_store_end(&store);
	assert_int_equal(fcntl(FIRST, F_GETFD), -1);
}

static void names_may_be_lacking(void **state)
{
	struct crew__inherited inherited;
	(void)state;
	crew__inherited_init(&inherited, "a test");
	const struct crew__activation activation = { &settings, &inherited, NULL };
	open_some(3);
	crew__activation_add(&activation, FIRST, 3, "web");
	assert_int_equal(inherited.count, 3);
	assert_true(inherited.sockets[0].by_name);
	assert_false(inherited.sockets[1].by_name);
	crew__inherited_fini(&inherited, true);
	open_some(1);
	crew__activation_add(&activation, FIRST, 1, NULL);
	assert_string_equal(inherited.sockets[0].name, "");
	crew__inherited_fini(&inherited, true);
}

static void variables_are_taken_away(void **state)
{
	struct crew__inherited inherited;
	(void)state;
	crew__inherited_init(&inherited, "a test");
	const struct crew__activation activation = { &settings, &inherited, NULL };
	setenv("LISTEN_FDS", "3", 1);
	setenv("LISTEN_PID", "1", 1);
	setenv("LISTEN_FDNAMES", "web", 1);
	crew__activation_take(&activation);
	assert_int_equal(inherited.count, 0);
	assert_null(getenv("LISTEN_FDS"));
	assert_null(getenv("LISTEN_PID"));
	assert_null(getenv("LISTEN_FDNAMES"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sockets_for_this_process_only),
		cmocka_unit_test(counts_that_make_no_sense),
		cmocka_unit_test_setup(a_service_has_its_sockets_by_name, make_settings),
		cmocka_unit_test_setup(several_at_each_of_several, make_settings),
		cmocka_unit_test_setup(other_names_are_no_service, make_settings),
		cmocka_unit_test(names_from_the_store),
		cmocka_unit_test_setup(all_are_noted, make_settings),
		cmocka_unit_test_setup(names_may_be_lacking, make_settings),
		cmocka_unit_test_setup(variables_are_taken_away, make_settings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
