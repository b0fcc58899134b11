/* test_log.c - lines in all their forms, places that do not take them, and the thread for files. */
#include "base/clock.h"
#include "base/log.h"
#include "base/log_inner.h"

#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static const struct crew__log_origin worker = {
	.app = "feed",
	.service = "web",
	.worker = 3,
	.pid = 77,
};
static const struct crew__log_origin master = { .app = "feed", .role = "master", .pid = 76 };

static struct crew__log_record record_of(
	const struct crew__log_origin *origin, crew_level level, crew_bytes message)
{
	return (struct crew__log_record){
		.time = { .tv_sec = 1795257720, .tv_nsec = 123456789 },
		.level = level,
		.origin = origin,
		.message = message,
	};
}

static char entry[CREW__LOG_ENTRY_MAX + 1];

static const char *shown(size_t length)
{
	assert_true(length <= CREW__LOG_ENTRY_MAX);
	entry[length] = '\0';
	assert_int_equal(strlen(entry), length);
	return entry;
}

/* ---- forms --------------------------------------------------------------------------------- */

static void the_forms_of_a_line(void **state)
{
	(void)state;
	struct crew__log_record record = record_of(&worker, CREW_WARN, CREW_BYTES("a\nb"));
	assert_string_equal(shown(crew__log_text(&record, entry)),
		"2026-11-21T10:42:00.123Z warn  web#3: a b\n");
	assert_string_equal(shown(crew__log_json(&record, entry)),
		"{\"time\":\"2026-11-21T10:42:00.123456Z\",\"level\":\"warn\",\"app\":\"feed\","
		"\"service\":\"web\",\"worker\":3,\"pid\":77,\"message\":\"a\\u000ab\"}\n");
	assert_string_equal(shown(crew__log_stream(&record, false, entry)), "<4>web#3: a b\n");
	assert_string_equal(shown(crew__log_journal(&record, false, 16, entry)),
		"PRIORITY=4\nSYSLOG_FACILITY=16\nSYSLOG_PID=77\nSYSLOG_IDENTIFIER=feed\n"
		"CREW_APP=feed\nCREW_SERVICE=web\nCREW_WORKER=3\nMESSAGE=web#3: a b\n");
	setenv("TZ", "UTC", 1);
	assert_string_equal(shown(crew__log_syslog(&record, false, 3, entry)),
		"<28>Nov 21 10:42:00 feed[77]: web#3: a b");
	record.origin = &master;
	record.level = CREW_INFO;
	assert_string_equal(shown(crew__log_text(&record, entry)),
		"2026-11-21T10:42:00.123Z info  master: a b\n");
	assert_string_equal(shown(crew__log_json(&record, entry)),
		"{\"time\":\"2026-11-21T10:42:00.123456Z\",\"level\":\"info\",\"app\":\"feed\","
		"\"service\":null,\"worker\":null,\"pid\":76,\"message\":\"a\\u000ab\"}\n");
}

/* Whatever bytes a message is made of, and however long it is: every form is one line of at most
 * its length, and JSON is JSON. */
static void any_bytes_make_one_line(void **state)
{
	(void)state;
	static char message[6000];
	srand(7);
	for (int round = 0; round < 2000; round++) {
		size_t length = (size_t)(rand() % 3 ? rand() % 40 : rand() % (int)sizeof(message));
		int kind = rand() % 3;
		for (size_t i = 0; i < length; i++)
			message[i] = (char)(kind == 0 ? rand() : kind == 1 ? rand() % 32 : 'x');
		struct crew__log_record record = record_of(
			&worker, CREW_ERROR, (crew_bytes){ message, length });
		size_t n = crew__log_text(&record, entry);
		assert_in_range(n, 1, CREW__LOG_LINE_MAX);
		assert_ptr_equal(memchr(entry, '\n', n), entry + n - 1);
		n = crew__log_json(&record, entry);
		assert_in_range(n, 1, CREW__LOG_LINE_MAX);
		assert_ptr_equal(memchr(entry, '\n', n), entry + n - 1);
		json_error_t error;
		json_t *object = json_loadb(entry, n, 0, &error);
		if (!object)
			fail_msg("%s", error.text);
		assert_true(json_is_string(json_object_get(object, "message")));
		json_decref(object);
		n = crew__log_syslog(&record, rand() % 2, 3, entry);
		assert_in_range(n, 1, CREW__LOG_LINE_MAX);
		assert_null(memchr(entry, '\n', n));
		n = crew__log_journal(&record, rand() % 2, 3, entry);
		assert_in_range(n, 1, CREW__LOG_ENTRY_MAX);
		const char *at = memmem(entry, n, "\nMESSAGE=", 9);
		assert_ptr_equal(memchr(at + 1, '\n', (size_t)(entry + n - at - 1)), entry + n - 1);
	}
}

/* ---- datagrams ----------------------------------------------------------------------------- */

static struct crew__log_plan plan_for(int fd)
{
	return (struct crew__log_plan){
		.fd = fd,
		.level = CREW_INFO,
		.journal = true,
		.origin = { .app = "feed", .service = "web", .worker = 3, .pid = 77 },
	};
}

static void begin_again(void)
{
	crew__log_open(STDERR_FILENO, CREW_INFO, "crew");
}

/* An entry that is too long for a datagram comes as a sealed file. */
static void a_long_entry_of_the_journal_is_a_file(void **state)
{
	(void)state;
	int ends[2], least = 1;
	static char message[4000], text[8192];
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = { text, sizeof(text) };
	struct msghdr got = { .msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control) };
	memset(message, 'x', sizeof(message) - 1);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least)), 0);
	const struct crew__log_plan plan = plan_for(ends[1]);
	crew__log_use(&plan);
	crew__log(CREW_WARN, "short");
	ssize_t n = recvmsg(ends[0], &got, MSG_DONTWAIT);
	assert_true(n > 0 && got.msg_controllen == 0);
	assert_non_null(memmem(text, (size_t)n, "MESSAGE=web#3: short\n", 21));

	uint64_t lost = crew__log_lost();
	/* The least buffer has room for a line, so the fields are what makes it too long. */
	static char name[64];
	memset(name, 'n', sizeof(name) - 1);
	struct crew__log_plan long_plan = plan;
	long_plan.origin.app = long_plan.origin.service = name;
	crew__log_use(&long_plan);
	crew__log(CREW_WARN, "%s%s", message, message);
	assert_int_equal(crew__log_lost(), lost);
	got.msg_controllen = sizeof(control);
	n = recvmsg(ends[0], &got, MSG_DONTWAIT);
	if (n > 0) { /* this kernel's least buffer takes it as it is */
		assert_true(n > 4096);
	} else {
		int fd;
		assert_int_equal(n, 0);
		memcpy(&fd, CMSG_DATA(&control.head), sizeof(fd));
		assert_int_equal(fcntl(fd, F_GET_SEALS) & F_SEAL_WRITE, F_SEAL_WRITE);
		n = pread(fd, text, sizeof(text), 0);
		assert_true(n > 4096 && memmem(text, (size_t)n, "MESSAGE=", 8));
		close(fd);
	}
	begin_again();
	close(ends[0]);
	close(ends[1]);
}

/* A receiver that is full: entries wait, in order, and none is split or joined. */
static void datagrams_wait(void **state)
{
	(void)state;
	int ends[2];
	char text[4096];
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
	struct crew__log_plan plan = plan_for(ends[1]);
	plan.journal = false;
	crew__log_use(&plan);
	uint64_t lost = crew__log_lost();
	int count = 0;
	while (!crew__log_waits())
		crew__log(CREW_INFO, "entry %d.", count++);
	for (int i = 0; i < 10; i++)
		crew__log(CREW_INFO, "entry %d.", count++);
	for (int i = 0; i < count; i++) {
		char end[32];
		ssize_t n = recv(ends[0], text, sizeof(text) - 1, 0);
		assert_true(n > 0);
		text[n] = '\0';
		snprintf(end, sizeof(end), "web#3: entry %d.", i);
		assert_string_equal(text + strlen(text) - strlen(end), end);
		crew__log_flush(0);
	}
	assert_false(crew__log_waits());
	assert_int_equal(crew__log_lost(), lost);
	begin_again();
	close(ends[0]);
	close(ends[1]);
}

/* ---- the thread ---------------------------------------------------------------------------- */

static int open_file(void)
{
	char path[] = "/tmp/crew-test-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	unlink(path);
	return fd;
}

static void files_are_written_by_a_thread(void **state)
{
	(void)state;
	static char text[1 << 20];
	int fd = open_file(), next = open_file();
	fcntl(fd, F_SETFL, O_APPEND);
	fcntl(next, F_SETFL, O_APPEND);
	crew__log_open(fd, CREW_INFO, "test");
	crew__log_thread_allow();
	assert_false(crew__log_state.thread_runs);
	crew__log(CREW_ERROR, "an error is there when the call returns");
	assert_true(crew__log_state.thread_runs);
	ssize_t n = pread(fd, text, sizeof(text), 0);
	assert_non_null(memmem(text, (size_t)n, "an error is there", 17));
	for (int i = 0; i < 3000; i++) {
		crew__log(CREW_INFO, "number %d.", i);
		if (i % 500 == 0)
			assert_true(crew__log_flush(10000));
		if (i == 1700) { /* a rotation in the middle */
			crew__log_switch(next);
			close(fd);
			fd = -1;
		}
	}
	assert_true(crew__log_flush(10000));
	/* A child of this process has no thread, and writes itself. */
	pid_t pid = fork();
	if (pid == 0) {
		crew__log(CREW_INFO, "from the child");
		_exit(crew__log_state.thread_runs);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	crew__log_thread_end(10000);
	assert_false(crew__log_state.thread_runs);
	n = pread(next, text, sizeof(text), 0);
	assert_non_null(memmem(text, (size_t)n, "from the child", 14));
	assert_non_null(memmem(text, (size_t)n, "number 2999.", 12));
	begin_again();
	close(next);
}

/* A file that cannot be written at present, which a pipe that is taken for one is: nobody waits
 * twice, what has no room is counted, and all else comes when it can be written again. */
static void a_disk_that_stands_still_holds_nobody_up(void **state)
{
	(void)state;
	int ends[2], count = 0, next = 0, told = 0;
	char line[1024];
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	crew__log_open(ends[1], CREW_INFO, "test");
	crew__log_state.out.kind = CREW__LOG_FILE;
	crew__log_state.kind = CREW__LOG_FILE;
	crew__log_thread_allow();
	uint64_t before = crew__log_lost(), began = crew__clock_ns();
	for (; crew__log_lost() - before < 10; count++)
		crew__log(
			count % 2 ? CREW_WARN : CREW_INFO, "number %d of those %0500d.", count, 0);
	/* One had patience; had each warning, it would be seconds. */
	assert_true(
		crew__clock_ns() - began < (uint64_t)count / 2 * CREW__LOG_PATIENCE_MS * 1000000);
	assert_false(crew__log_flush(1));
	crew__log_before_death(); /* has an end as well */

	FILE *from = fdopen(ends[0], "r");
	while (next < count - 10) {
		assert_non_null(fgets(line, sizeof(line), from));
		const char *at = strstr(line, "number ");
		assert_non_null(at);
		assert_int_equal(atoi(at + 7), next++);
	}
	assert_true(crew__log_flush(10000));
	crew__log(CREW_WARN, "the last");
	while (!told) {
		assert_non_null(fgets(line, sizeof(line), from));
		told = strstr(line, "lines lost before this one: 10 (") != NULL;
	}
	assert_non_null(fgets(line, sizeof(line), from));
	assert_non_null(strstr(line, "the last"));
	crew__log_thread_end(10000);
	begin_again();
	close(ends[1]);
	fclose(from);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_forms_of_a_line),
		cmocka_unit_test(any_bytes_make_one_line),
		cmocka_unit_test(a_long_entry_of_the_journal_is_a_file),
		cmocka_unit_test(datagrams_wait),
		cmocka_unit_test(files_are_written_by_a_thread),
		cmocka_unit_test(a_disk_that_stands_still_holds_nobody_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
