/* test_wire.c - messages between processes: what goes in comes out, what has another shape does
 * not. */
#include "proc/wire.h"

#include "base/clock.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct crew__message message;

static int open_pair(void **state)
{
	static int pair[2];
	*state = pair;
	return crew__wire_pair(pair);
}

static int close_pair(void **state)
{
	int *pair = *state;
	for (int i = 0; i < 2; i++)
		if (pair[i] >= 0)
			close(pair[i]);
	return 0;
}

static unsigned count_descriptors(void)
{
	unsigned count = 0;
	DIR *dir = opendir("/proc/self/fd");
	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static void payload_and_type_arrive(void **state)
{
	int *pair = *state;
	struct crew__stop_order order = { .window_ms = 1234567, .graceful = 1, .close_code = 1012 };
	assert_int_equal(
		crew__wire_send(pair[0], CREW__MSG_STOP, &order, sizeof(order), NULL, 0), 0);
	assert_int_equal(crew__wire_send_text(pair[0], CREW__MSG_FAILED, "no reason"), 0);
	assert_int_equal(crew__wire_receive(pair[1], &message), 1);
	assert_int_equal(message.type, CREW__MSG_STOP);
	assert_int_equal(message.length, sizeof(order));
	assert_memory_equal(message.payload, &order, sizeof(order));
	assert_int_equal(crew__wire_receive(pair[1], &message), 1);
	assert_int_equal(message.type, CREW__MSG_FAILED);
	assert_string_equal(message.payload, "no reason");
	assert_int_equal(crew__wire_receive(pair[1], &message), -EAGAIN);
}

static void an_empty_message_is_no_end(void **state)
{
	int *pair = *state;
	assert_int_equal(crew__wire_send(pair[0], CREW__MSG_READY, NULL, 0, NULL, 0), 0);
	close(pair[0]);
	pair[0] = -1;
	assert_int_equal(crew__wire_receive(pair[1], &message), 1);
	assert_int_equal(message.length, 0);
	assert_int_equal(crew__wire_receive(pair[1], &message), 0);
	assert_int_equal(crew__wire_receive(pair[1], &message), 0);
}

/* A worker that fails has not read what its master told it, and its reason must arrive. */
static void last_words_survive_a_reset(void **state)
{
	int *pair = *state;
	assert_int_equal(crew__wire_send(pair[1], CREW__MSG_HELLO, NULL, 0, NULL, 0), 0);
	assert_int_equal(crew__wire_send_text(pair[0], CREW__MSG_FAILED, "the reason"), 0);
	close(pair[0]);
	pair[0] = -1;
	assert_int_equal(crew__wire_receive(pair[1], &message), 1);
	assert_string_equal(message.payload, "the reason");
	assert_int_equal(crew__wire_receive(pair[1], &message), 0);
}

static void descriptors_arrive_close_on_exec(void **state)
{
	int *pair = *state;
	unsigned before = count_descriptors();
	int fds[2] = { open("/dev/null", O_RDONLY), open("/dev/zero", O_RDONLY) };
	assert_int_equal(crew__wire_send(pair[0], CREW__MSG_HELLO, "x", 1, fds, 2), 0);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(crew__wire_receive(pair[1], &message), 1);
	assert_int_equal(message.fd_count, 2);
	int taken = crew__message_take_fd(&message, 1);
	assert_true(taken >= 0);
	assert_true(fcntl(taken, F_GETFD) & FD_CLOEXEC);
	struct stat got, zero;
	assert_int_equal(fstat(taken, &got), 0);
	assert_int_equal(stat("/dev/zero", &zero), 0);
	assert_int_equal(got.st_rdev, zero.st_rdev);
	assert_int_equal(crew__message_take_fd(&message, 1), -1);
	assert_int_equal(crew__message_take_fd(&message, 2), -1);
	crew__message_release(&message);
	crew__message_release(&message);
	close(taken);
	assert_int_equal(count_descriptors(), before);
}

static void as_many_descriptors_as_allowed(void **state)
{
	int *pair = *state;
	static int fds[CREW__WIRE_MAX_FDS + 1];
	unsigned before = count_descriptors();
	for (int i = 0; i <= CREW__WIRE_MAX_FDS; i++)
		fds[i] = pair[0];
	assert_int_equal(
		crew__wire_send(pair[0], CREW__MSG_LIVES, NULL, 0, fds, CREW__WIRE_MAX_FDS + 1),
		-EMSGSIZE);
	assert_int_equal(
		crew__wire_send(pair[0], CREW__MSG_LIVES, NULL, 0, fds, CREW__WIRE_MAX_FDS), 0);
	assert_int_equal(crew__wire_receive(pair[1], &message), 1);
	assert_int_equal(message.fd_count, CREW__WIRE_MAX_FDS);
	crew__message_release(&message);
	assert_int_equal(count_descriptors(), before);
}

static void what_is_too_long_is_not_sent(void **state)
{
	int *pair = *state;
	static char big[CREW__WIRE_MAX + 2];
	memset(big, 'a', sizeof(big) - 1);
	assert_int_equal(crew__wire_send(pair[0], 1, big, CREW__WIRE_MAX + 1, NULL, 0), -EMSGSIZE);
	assert_int_equal(crew__wire_send(pair[0], 0x10000, NULL, 0, NULL, 0), -EMSGSIZE);
	assert_int_equal(crew__wire_receive(pair[1], &message), -EAGAIN);
	/* A sentence is cut instead. */
	assert_int_equal(crew__wire_send_text(pair[0], 1, big), 0);
	assert_int_equal(crew__wire_receive(pair[1], &message), 1);
	assert_int_equal(message.length, CREW__WIRE_MAX);
	assert_int_equal(strlen(message.payload), CREW__WIRE_MAX);
}

/* A header as wire.c writes it. */
struct raw {
	uint32_t magic;
	uint16_t version, type;
	uint32_t length, reserved;
	char payload[8];
};

/* Send `size` bytes of it with a descriptor, and expect that nothing of it stays. */
static void expect_refused(const int *pair, const struct raw *raw, size_t size)
{
	unsigned before = count_descriptors();
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	memset(&control, 0, sizeof(control));
	struct iovec part = { .iov_base = (void *)(uintptr_t)raw, .iov_len = size };
	struct msghdr packet = { .msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&packet);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &pair[0], sizeof(int));
	assert_int_equal(sendmsg(pair[0], &packet, 0), size);
	assert_int_equal(crew__wire_receive(pair[1], &message), -EPROTO);
	assert_int_equal(message.fd_count, 0);
	assert_int_equal(count_descriptors(), before);
}

static void another_shape_is_refused(void **state)
{
	const int *pair = *state;
	const struct raw good = {
		.magic = CREW__WIRE_MAGIC, .version = CREW__WIRE_VERSION, .type = 1, .length = 8
	};
	struct raw bad = good;
	bad.magic ^= 1;
	expect_refused(pair, &bad, sizeof(bad));
	bad = good;
	bad.version++;
	expect_refused(pair, &bad, sizeof(bad));
	bad = good;
	bad.length = 9;
	expect_refused(pair, &bad, sizeof(bad));
	bad.length = UINT32_MAX;
	expect_refused(pair, &bad, sizeof(bad));
	bad = good;
	expect_refused(pair, &bad, sizeof(bad) - 1);
	expect_refused(pair, &bad, 15);
	expect_refused(pair, &bad, 1);
	/* And one that is right after all that. */
	assert_int_equal(send(pair[0], &good, sizeof(good), 0), sizeof(good));
	assert_int_equal(crew__wire_receive(pair[1], &message), 1);
}

static void a_packet_longer_than_any_message_is_refused(void **state)
{
	const int *pair = *state;
	static struct {
		struct raw head;
		char rest[CREW__WIRE_MAX + 1];
	} big = { .head = { .magic = CREW__WIRE_MAGIC, .version = CREW__WIRE_VERSION } };
	big.head.length = sizeof(big) - 16;
	assert_int_equal(send(pair[0], &big, sizeof(big), 0), sizeof(big));
	assert_int_equal(crew__wire_receive(pair[1], &message), -EPROTO);
}

static void a_full_queue_is_told(void **state)
{
	int *pair = *state;
	static char payload[1024];
	int status = 0, sent = 0;
	while (status == 0 && sent < 100000) {
		status = crew__wire_send(pair[0], 1, payload, sizeof(payload), NULL, 0);
		sent++;
	}
	assert_int_equal(status, -EAGAIN);
	assert_int_equal(crew__wire_receive(pair[1], &message), 1);
}

static void nobody_at_the_other_end(void **state)
{
	int *pair = *state;
	close(pair[1]);
	pair[1] = -1;
	int status = crew__wire_send(pair[0], 1, NULL, 0, NULL, 0);
	assert_true(status == -EPIPE || status == -ECONNRESET);
	assert_int_equal(crew__wire_send(-1, 1, NULL, 0, NULL, 0), -EBADF);
	assert_int_equal(crew__wire_receive(-1, &message), -EBADF);
}

static void waiting_ends_at_the_deadline(void **state)
{
	int *pair = *state;
	uint64_t before = crew__clock_ns();
	int got = crew__wire_await(pair[1], &message, before + 20 * CREW__NS_PER_MS);
	assert_int_equal(got, -ETIMEDOUT);
	assert_true(crew__clock_ns() >= before + 20 * CREW__NS_PER_MS);
	assert_int_equal(crew__wire_send(pair[0], 1, NULL, 0, NULL, 0), 0);
	assert_int_equal(crew__wire_await(pair[1], &message, 0), 1);
}

int main(void)
{
#define ON_A_PAIR(test) cmocka_unit_test_setup_teardown(test, open_pair, close_pair)
	const struct CMUnitTest tests[] = {
		ON_A_PAIR(payload_and_type_arrive),
		ON_A_PAIR(an_empty_message_is_no_end),
		ON_A_PAIR(last_words_survive_a_reset),
		ON_A_PAIR(descriptors_arrive_close_on_exec),
		ON_A_PAIR(as_many_descriptors_as_allowed),
		ON_A_PAIR(what_is_too_long_is_not_sent),
		ON_A_PAIR(another_shape_is_refused),
		ON_A_PAIR(a_packet_longer_than_any_message_is_refused),
		ON_A_PAIR(a_full_queue_is_told),
		ON_A_PAIR(nobody_at_the_other_end),
		ON_A_PAIR(waiting_ends_at_the_deadline),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
