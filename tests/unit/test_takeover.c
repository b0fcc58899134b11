/* test_takeover.c - asking a master for its sockets: whatever it answers, nothing is believed and
 * no descriptor stays. */
#include "proc/takeover.h"

#include "base/clock.h"
#include "proc/endpoint.h"
#include "proc/wire.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64], name[] = "shop", error[512];
static struct crew__settings settings;
static struct crew__inherited inherited;

static int begin(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/crew-takeover-XXXXXX");
	settings = (struct crew__settings){ .name = name, .run_dir = dir, .control_mode = 0600 };
	crew__inherited_init(&inherited, "a test");
	return mkdtemp(dir) ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	crew__inherited_fini(&inherited, true);
	crew__endpoint_unlink(&settings);
	return rmdir(dir);
}

static unsigned open_fds(void)
{
	unsigned count = 0;
	DIR *all = opendir("/proc/self/fd");
	while (readdir(all))
		count++;
	closedir(all);
	return count;
}

/* A packet of that many notes and descriptors, which says of itself what it likes. */
static void send_note(int fd, uint32_t total, uint32_t count, unsigned notes, unsigned fd_count)
{
	static struct crew__sockets_note note;
	int fds[CREW__WIRE_MAX_FDS];
	memset(&note, 0, sizeof(note));
	note.total = total;
	note.count = count;
	for (unsigned i = 0; i < notes; i++)
		memset(note.socket[i].service, 'x', sizeof(note.socket[i].service)); /* no NUL */
	for (unsigned i = 0; i < fd_count; i++)
		fds[i] = STDIN_FILENO;
	size_t length = offsetof(struct crew__sockets_note, socket) +
			notes * sizeof(note.socket[0]);
	crew__wire_send(fd, CREW__MSG_SOCKETS_ARE, &note, length, fds, fd_count);
}

/* Let `answer` be the master; what comes of asking it. */
static int ask(void (*answer)(int fd))
{
	int door = crew__endpoint_listen(&settings, error, sizeof(error)), talk = -1;
	assert_true(door >= 0);
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		static struct crew__message message;
		int fd = -1;
		while (fd < 0)
			fd = accept4(door, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		crew__wire_await(fd, &message, crew__clock_ns() + 10 * CREW__NS_PER_S);
		if (message.type == CREW__MSG_SOCKETS)
			answer(fd);
		_exit(0);
	}
	close(door);
	unsigned before = open_fds();
	int status = crew__takeover(&settings, &inherited, &talk, error, sizeof(error));
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	if (status == 0)
		close(talk);
	assert_int_equal(open_fds(), before + inherited.count);
	return status;
}

static void give_in_two_packets(int fd)
{
	send_note(fd, 3, 2, 2, 2);
	send_note(fd, 3, 1, 1, 1);
}

static void what_comes_is_taken(void **state)
{
	(void)state;
	assert_int_equal(ask(give_in_two_packets), 0);
	assert_int_equal(inherited.count, 3);
	/* A name without an end is cut. */
	assert_int_equal(strlen(inherited.sockets[0].name), 63);
}

static void give_none(int fd)
{
	send_note(fd, 0, 0, 0, 0);
}

static void none_is_an_answer(void **state)
{
	(void)state;
	assert_int_equal(ask(give_none), 0);
	assert_int_equal(inherited.count, 0);
}

static void refuse(int fd)
{
	crew__wire_send_text(fd, CREW__MSG_REFUSED, "what is that?");
}

static void a_refusal_is_passed_on(void **state)
{
	(void)state;
	assert_int_equal(ask(refuse), -EPROTO);
	assert_string_equal(error, "what is that?");
}

static void lie_about_descriptors(int fd)
{
	send_note(fd, 3, 2, 2, 1);
}
static void lie_about_notes(int fd)
{
	send_note(fd, 3, 2, 1, 2);
}
static void lie_about_total(int fd)
{
	send_note(fd, 1, 2, 2, 2);
}
static void promise_the_world(int fd)
{
	send_note(fd, UINT32_MAX, 1, 1, 1);
}
static void promise_for_ever(int fd)
{
	send_note(fd, 2, 1, 1, 1);
	send_note(fd, 2, 0, 0, 0);
}
static void say_half(int fd)
{
	crew__wire_send(fd, CREW__MSG_SOCKETS_ARE, "ab", 2, NULL, 0);
}
static void speak_of_something_else(int fd)
{
	crew__wire_send(fd, CREW__MSG_ATTACHED, "abcd", 4, NULL, 0);
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	void (*const lies[])(int fd) = { lie_about_descriptors, lie_about_notes, lie_about_total,
		promise_the_world, promise_for_ever, say_half, speak_of_something_else };
	for (size_t i = 0; i < crew__lengthof(lies); i++) {
		assert_int_equal(ask(lies[i]), -EPROTO);
		assert_int_equal(inherited.count, 0);
		assert_true(error[0] != '\0');
		crew__endpoint_unlink(&settings);
	}
}

static void end_in_between(int fd)
{
	send_note(fd, 2, 1, 1, 1);
}

static void a_master_that_ends_in_between(void **state)
{
	(void)state;
	assert_true(ask(end_in_between) < 0);
	assert_int_equal(inherited.count, 0);
}

static void nobody_there(void **state)
{
	(void)state;
	int talk;
	assert_int_equal(
		crew__takeover(&settings, &inherited, &talk, error, sizeof(error)), -ENOENT);
	assert_true(error[0] != '\0');
}

int main(void)
{
#define IN_A_PLACE(test) cmocka_unit_test_setup_teardown(test, begin, end)
	const struct CMUnitTest tests[] = {
		IN_A_PLACE(what_comes_is_taken),
		IN_A_PLACE(none_is_an_answer),
		IN_A_PLACE(a_refusal_is_passed_on),
		IN_A_PLACE(nonsense_is_refused),
		IN_A_PLACE(a_master_that_ends_in_between),
		IN_A_PLACE(nobody_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
