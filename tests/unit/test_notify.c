/* test_notify.c - datagrams to a service manager that is this test: what comes of its variables,
 * and what becomes of news when it does not read, is full, or is gone. */
#include "proc/notify.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
	char name[64];
	int manager; /* its end; -1: it has gone */
	struct crew__notify notify;
};

static int open_manager(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t length = strlen(name);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	memcpy(address.sun_path, name, length);
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (struct sockaddr *)&address,
				 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)),
		0);
	return fd;
}

static int make_world(void **state)
{
	static struct world world;
	snprintf(world.name, sizeof(world.name), "@crew-test-notify-%d", (int)getpid());
	world.manager = open_manager(world.name);
	*state = &world;
	return crew__notify_parse(&world.notify, world.name, NULL, NULL, 0);
}

static int end_world(void **state)
{
	struct world *world = *state;
	crew__notify_fini(&world->notify);
	if (world->manager >= 0)
		close(world->manager);
	return 0;
}

/* The next message; "" when there is none. */
static const char *hear(struct world *world)
{
	static char text[2048];
	ssize_t length = recv(world->manager, text, sizeof(text) - 1, 0);
	text[length > 0 ? length : 0] = '\0';
	return text;
}

/* Others talk so much that it has no room. */
static unsigned fill(struct world *world)
{
	unsigned count = 0;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	while (sendto(fd, "X=1", 3, 0, (struct sockaddr *)&world->notify.address,
		       world->notify.address_size) == 3)
		count++;
	close(fd);
	assert_true(count > 0);
	return count;
}

static void empty(struct world *world, unsigned count)
{
	for (; count > 0; count--)
		assert_string_equal(hear(world), "X=1");
}

/* ---- variables ----------------------------------------------------------------------------- */

static int parse(const char *name, const char *usec, const char *pid)
{
	struct crew__notify notify;
	int status = crew__notify_parse(&notify, name, usec, pid, 77);
	assert_int_equal(notify.on, status == 0 && name && name[0]);
	return status;
}

static void sockets_that_can_be_reached(void **state)
{
	char longest[109] = "/";
	(void)state;
	assert_int_equal(parse(NULL, NULL, NULL), 0);
	assert_int_equal(parse("", NULL, NULL), 0);
	assert_int_equal(parse("/run/notify", NULL, NULL), 0);
	assert_int_equal(parse("@name", NULL, NULL), 0);
	assert_int_equal(parse("@", NULL, NULL), -EINVAL);
	assert_int_equal(parse("/", NULL, NULL), -EINVAL);
	assert_int_equal(parse("relative", NULL, NULL), -EINVAL);
	assert_int_equal(parse("vsock:2:9999", NULL, NULL), -EINVAL);
	memset(longest + 1, 'x', 106);
	assert_int_equal(parse(longest, NULL, NULL), 0);
	longest[107] = 'x';
	assert_int_equal(parse(longest, NULL, NULL), -ENAMETOOLONG);
}

static uint64_t watchdog(const char *usec, const char *pid)
{
	struct crew__notify notify;
	crew__notify_parse(&notify, "@name", usec, pid, 77);
	return notify.watchdog_ns;
}

static void who_owes_signs_of_life(void **state)
{
	(void)state;
	assert_int_equal(watchdog("2000000", NULL), 2000000000);
	assert_int_equal(watchdog("2000000", "77"), 2000000000);
	assert_int_equal(watchdog("2000000", "78"), 0);
	assert_int_equal(watchdog("2000000", ""), 0);
	assert_int_equal(watchdog("2000000", "77 "), 0);
	assert_int_equal(watchdog(NULL, "77"), 0);
	assert_int_equal(watchdog("0", NULL), 0);
	assert_int_equal(watchdog("-5", NULL), 0);
	assert_int_equal(watchdog("5s", NULL), 0);
	assert_int_equal(watchdog("99999999999999999999", NULL), 0);
	assert_int_equal(watchdog("18446744073709551615", NULL), 0); /* too many nanoseconds */
}

static void variables_are_taken_away(void **state)
{
	struct world *world = *state;
	struct crew__notify notify;
	char pid[16];
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("NOTIFY_SOCKET", world->name, 1);
	setenv("WATCHDOG_USEC", "1000", 1);
	setenv("WATCHDOG_PID", pid, 1);
	crew__notify_take(&notify);
	assert_true(notify.on);
	assert_int_equal(notify.watchdog_ns, 1000000);
	assert_null(getenv("NOTIFY_SOCKET"));
	assert_null(getenv("WATCHDOG_USEC"));
	assert_null(getenv("WATCHDOG_PID"));
	crew__notify_fini(&notify);
	crew__notify_take(&notify);
	assert_false(notify.on);
	assert_int_equal(crew__notify_news(&notify, "READY=1", -1), -ENOTCONN);
	assert_int_equal(crew__notify_pass(&notify, "READY=1"), -ENOTCONN);
	crew__notify_fini(&notify);
}

/* ---- telling ------------------------------------------------------------------------------- */

static void news_and_what_passes(void **state)
{
	struct world *world = *state;
	assert_int_equal(crew__notify_news(&world->notify, "READY=1\nSTATUS=well", -1), 0);
	assert_int_equal(crew__notify_pass(&world->notify, "WATCHDOG=1"), 0);
	assert_string_equal(hear(world), "READY=1\nSTATUS=well");
	assert_string_equal(hear(world), "WATCHDOG=1");
	assert_string_equal(hear(world), "");
}

static void news_wait_in_their_order(void **state)
{
	struct world *world = *state;
	unsigned others = fill(world);
	assert_int_equal(crew__notify_news(&world->notify, "READY=1", -1), 0);
	assert_int_equal(crew__notify_pass(&world->notify, "WATCHDOG=1"), -EAGAIN);
	assert_int_equal(crew__notify_news(&world->notify, "STOPPING=1", -1), 0);
	assert_int_equal(world->notify.kept_count, 2);
	assert_false(crew__notify_flush(&world->notify));
	empty(world, others);
	assert_true(crew__notify_flush(&world->notify));
	assert_int_equal(world->notify.kept_count, 0);
	assert_int_equal(crew__notify_pass(&world->notify, "WATCHDOG=1"), 0);
	assert_string_equal(hear(world), "READY=1");
	assert_string_equal(hear(world), "STOPPING=1");
	assert_string_equal(hear(world), "WATCHDOG=1");
}

static void there_is_an_end_to_what_waits(void **state)
{
	struct world *world = *state;
	fill(world);
	for (unsigned i = 0; i < CREW__NOTIFY_KEPT; i++)
		assert_int_equal(crew__notify_news(&world->notify, "X=2", -1), 0);
	assert_int_equal(crew__notify_news(&world->notify, "X=3", -1), -ENOSPC);
	assert_int_equal(world->notify.kept_count, CREW__NOTIFY_KEPT);
}

static void it_goes_and_comes_back(void **state)
{
	struct world *world = *state;
	close(world->manager);
	world->manager = -1;
	assert_int_equal(crew__notify_news(&world->notify, "READY=1", -1), -ECONNREFUSED);
	assert_int_equal(world->notify.kept_count, 0);
	assert_true(world->notify.complained);
	assert_int_equal(crew__notify_pass(&world->notify, "WATCHDOG=1"), -ECONNREFUSED);
	world->manager = open_manager(world->name);
	assert_int_equal(crew__notify_pass(&world->notify, "WATCHDOG=1"), 0);
	assert_false(world->notify.complained);
	assert_string_equal(hear(world), "WATCHDOG=1");
}

/* The descriptor that comes with the next message; -1: none. */
static int hear_fd(struct world *world, const char *expected)
{
	char text[256];
	struct iovec bytes = { text, sizeof(text) };
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = { .msg_iov = &bytes,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control) };
	ssize_t length = recvmsg(world->manager, &message, 0);
	assert_int_equal(length, strlen(expected));
	assert_memory_equal(text, expected, strlen(expected));
	int fd = -1;
	if (CMSG_FIRSTHDR(&message))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

/* What waits has a copy: the sender may close its own. */
static void descriptors_go_with_them(void **state)
{
	struct world *world = *state;
	int pair[2];
	char byte = 0;
	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	assert_int_equal(crew__notify_news(&world->notify, "FDSTORE=1", pair[1]), 0);
	close(hear_fd(world, "FDSTORE=1"));
	unsigned others = fill(world);
	assert_int_equal(crew__notify_news(&world->notify, "FDSTORE=1", pair[1]), 0);
	close(pair[1]);
	empty(world, others);
	assert_true(crew__notify_flush(&world->notify));
	int fd = hear_fd(world, "FDSTORE=1");
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "!", 1), 1);
	close(fd);
	assert_int_equal(read(pair[0], &byte, 1), 1);
	assert_int_equal(read(pair[0], &byte, 1), 0); /* no copy is left */
	close(pair[0]);
}

/* ---- values, and across a re-exec ---------------------------------------------------------- */

static const char *clean(const char *text)
{
	static char value[24];
	crew__notify_clean(text, value, sizeof(value));
	return value;
}

static void values_are_one_line_of_text(void **state)
{
	(void)state;
	assert_string_equal(clean("well"), "well");
	assert_string_equal(clean("a\nREADY=1\tb\x7f"), "a READY=1 b ");
	assert_string_equal(clean("\xc3\xa4"), "\xc3\xa4");
	assert_string_equal(clean("\xc3("), "?(");
	assert_string_equal(clean("123456789012345678901\xe2\x82\xac"), "123456789012345678901");
	assert_string_equal(clean("1234567890123456789012345"), "12345678901234567890123");
}

static void the_next_image_goes_on(void **state)
{
	struct world *world = *state;
	struct crew__notify next;
	json_t *saved = json_object();
	crew__notify_init(&next);
	world->notify.watchdog_ns = 3;
	unsigned others = fill(world);
	crew__notify_news(&world->notify, "READY=1", -1);
	crew__notify_news(&world->notify, "FDSTORE=1", world->manager);
	assert_int_equal(crew__notify_save(&world->notify, saved), 0);
	empty(world, others);
	crew__notify_restore(&next, saved);
	assert_true(next.on);
	assert_int_equal(next.watchdog_ns, 3);
	assert_string_equal(hear(world), "READY=1");
	assert_string_equal(hear(world), "");
	crew__notify_fini(&next);
	json_decref(saved);
}

static void what_makes_no_sense_is_no_manager(void **state)
{
	static const char *const texts[] = { "{}", "{\"socket\":7}", "{\"socket\":\"x\"}",
		"{\"watchdog_ns\":5}", "[]" };
	(void)state;
	for (size_t i = 0; i < crew__lengthof(texts); i++) {
		struct crew__notify next;
		json_t *saved = json_loads(texts[i], 0, NULL);
		crew__notify_init(&next);
		crew__notify_restore(&next, saved);
		assert_false(next.on);
		json_decref(saved);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sockets_that_can_be_reached),
		cmocka_unit_test(who_owes_signs_of_life),
		cmocka_unit_test_setup_teardown(variables_are_taken_away, make_world, end_world),
		cmocka_unit_test_setup_teardown(news_and_what_passes, make_world, end_world),
		cmocka_unit_test_setup_teardown(news_wait_in_their_order, make_world, end_world),
		cmocka_unit_test_setup_teardown(
			there_is_an_end_to_what_waits, make_world, end_world),
		cmocka_unit_test_setup_teardown(it_goes_and_comes_back, make_world, end_world),
		cmocka_unit_test_setup_teardown(descriptors_go_with_them, make_world, end_world),
		cmocka_unit_test(values_are_one_line_of_text),
		cmocka_unit_test_setup_teardown(the_next_image_goes_on, make_world, end_world),
		cmocka_unit_test(what_makes_no_sense_is_no_manager),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
