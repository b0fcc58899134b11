/* test_session_redis.c - sessions in a real Redis that comes, goes, stops; and in false ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "web/session.h"
#include "web/session_redis.h"
#include "web/session_redis_url.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	MINUTE = 60 * 1000
};

static struct {
	char dir[64], socket[80], log_path[80];
	int port, log_fd;
	pid_t redis;
	struct crew__loop *loop;
	struct crew__store *store;
	/* What was fetched. */
	int answers, status;
	char bytes[64];
	size_t len;
	int64_t left_ms;
} t;

#define ID    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghij0123-_x"
#define OTHER "BBCDEFGHIJKLMNOPQRSTUVWXYZabcdefghij0123-_x"

/* ---- the world ----------------------------------------------------------------------------- */

static int free_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t size = sizeof(address);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	close(fd);
	return ntohs(address.sin_port);
}

static const char *logged(void)
{
	static char text[8192];
	ssize_t len = pread(t.log_fd, text, sizeof(text) - 1, 0);
	text[len > 0 ? len : 0] = '\0';
	return text;
}

/* A fresh server without anything on disk; back when it listens. */
static void start_redis(const char *password)
{
	char port[16], probe[256];
	snprintf(port, sizeof(port), "%d", t.port);
	unlink(t.socket);
	t.redis = fork();
	assert_true(t.redis >= 0);
	if (t.redis == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execlp("redis-server", "redis-server", "--port", port, "--bind", "127.0.0.1",
			"--unixsocket", t.socket, "--save", "", "--appendonly", "no", "--dir",
			t.dir, "--logfile", "redis.log", "--requirepass", password, NULL);
		_exit(127);
	}
	snprintf(probe, sizeof(probe), "redis-cli -s '%s' ping 2>&1 | grep -qE 'PONG|NOAUTH'",
		t.socket);
	for (int i = 0; i < 200; i++) {
		if (system(probe) == 0)
			return;
		usleep(50 * 1000);
	}
	fail_msg("redis-server does not start");
}

static void stop_redis(void)
{
	int status;
	if (t.redis <= 0)
		return;
	kill(t.redis, SIGKILL);
	assert_int_equal(waitpid(t.redis, &status, 0), t.redis);
	t.redis = 0;
}

/* What redis-cli prints. */
static const char *cli(const char *command)
{
	static char text[256];
	char line[512];
	snprintf(line, sizeof(line), "redis-cli -s '%s' %s", t.socket, command);
	FILE *out = popen(line, "r");
	assert_non_null(out);
	size_t len = fread(text, 1, sizeof(text) - 1, out);
	pclose(out);
	text[len] = '\0';
	return strtok(text, "\n") ? text : "";
}

static void open_url(const char *text)
{
	char error[256];
	struct crew__redis_url url;
	assert_int_equal(crew__redis_url_parse(text, &url, error, sizeof(error)), 0);
	assert_int_equal(crew__redis_open(t.loop, &url, &t.store), 0);
}

static void open_tcp(const char *before, const char *behind)
{
	char text[128];
	snprintf(text, sizeof(text), "redis://%s127.0.0.1:%d%s", before, t.port, behind);
	open_url(text);
}

static void open_socket(void)
{
	char text[128];
	snprintf(text, sizeof(text), "redis+unix://%s", t.socket);
	open_url(text);
}

static void close_it(void)
{
	if (t.store)
		t.store->ops->close(t.store);
	t.store = NULL;
}

static int set_up(void **state)
{
	memset(&t, 0, sizeof(t));
	snprintf(t.dir, sizeof(t.dir), "/tmp/crew-redis-%d", (int)getpid());
	snprintf(t.socket, sizeof(t.socket), "%s/s", t.dir);
	snprintf(t.log_path, sizeof(t.log_path), "%s/log", t.dir);
	t.port = free_port();
	char command[128];
	snprintf(command, sizeof(command), "mkdir -p '%s'", t.dir);
	assert_int_equal(system(command), 0);
	t.log_fd = open(t.log_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	crew__log_open(t.log_fd, CREW_WARN, "test");
	signal(SIGPIPE, SIG_IGN);
	return crew__loop_new(*(enum crew__engine_kind *)*state, &t.loop);
}

static int tear_down(void **state)
{
	(void)state;
	close_it();
	stop_redis();
	crew__loop_free(t.loop);
	crew__log_open(2, CREW_WARN, "test");
	close(t.log_fd);
	char command[128];
	snprintf(command, sizeof(command), "rm -rf '%s'", t.dir);
	return system(command);
}

static void fetched(void *arg, int status, crew_bytes bytes, int64_t left_ms)
{
	(void)arg;
	t.answers++;
	t.status = status;
	t.left_ms = left_ms;
	t.len = bytes.len;
	snprintf(t.bytes, sizeof(t.bytes), "%.*s", status ? 0 : (int)crew__min(bytes.len, 60),
		bytes.data ? bytes.data : "");
}

static void turn_for(unsigned ms)
{
	uint64_t until = crew__clock_ns() + ms * CREW__NS_PER_MS;
	while (crew__clock_ns() < until)
		crew__loop_turn(t.loop, 5);
}

/* What the store says, at once or later. */
static int fetch(const char *id)
{
	t.answers = 0;
	t.status = 1;
	int error = t.store->ops->fetch(t.store, id, fetched, NULL);
	assert_int_equal(t.answers, 0); /* never from inside the call */
	if (error)
		return error;
	uint64_t give_up = crew__clock_ns() + 20 * CREW__NS_PER_S;
	while (t.answers == 0 && crew__clock_ns() < give_up)
		crew__loop_turn(t.loop, 20);
	assert_int_equal(t.answers, 1);
	return t.status;
}

static int save(const char *id, const char *bytes, int64_t life_ms, bool existing)
{
	return t.store->ops->save(t.store, id, crew_str(bytes), life_ms, existing);
}

static void until_ready(void)
{
	uint64_t give_up = crew__clock_ns() + 20 * CREW__NS_PER_S;
	while (fetch(OTHER) != -ENOENT) {
		assert_true(crew__clock_ns() < give_up);
		turn_for(20);
	}
}

/* ---- a real one ---------------------------------------------------------------------------- */

static void what_was_saved_is_fetched(void **state)
{
	(void)state;
	start_redis("");
	open_socket();
	assert_false(t.store->ops->immediate);
	assert_int_equal(fetch(ID), -ENOENT); /* it waited for the connection */
	assert_int_equal(save(ID, "one", MINUTE, false), 0);
	assert_int_equal(fetch(ID), 0);
	assert_string_equal(t.bytes, "one");
	assert_true(t.left_ms > MINUTE / 2 && t.left_ms <= MINUTE);
	assert_string_equal(cli("--raw get crew:session:" ID), "one");
	assert_int_equal(t.store->ops->touch(t.store, ID, 2 * MINUTE), 0);
	assert_int_equal(fetch(ID), 0);
	assert_true(t.left_ms > MINUTE);
	assert_int_equal(t.store->ops->remove(t.store, ID), 0);
	assert_int_equal(fetch(ID), -ENOENT);
	assert_string_equal(cli("dbsize"), "0");
	assert_int_equal(crew__redis_waiting(t.store), 0);
	assert_string_equal(logged(), "");
}

static void large_and_odd_bytes(void **state)
{
	(void)state;
	start_redis("");
	open_tcp("", "");
	size_t len = CREW__VALUES_ENCODED;
	char *large = malloc(len + 1);
	for (size_t i = 0; i <= len; i++)
		large[i] = (char)i;
	until_ready();
	crew_bytes bytes = { large, len };
	assert_int_equal(t.store->ops->save(t.store, ID, bytes, MINUTE, false), 0);
	assert_int_equal(fetch(ID), 0);
	assert_int_equal(t.len, len);
	/* Somebody else put more there than any session is long: as it is cut, it is none. */
	bytes.len++;
	assert_int_equal(t.store->ops->save(t.store, ID, bytes, MINUTE, false), 0);
	assert_int_equal(fetch(ID), -EPROTO);
	assert_string_equal(cli("lpush crew:session:" OTHER " x"), "1");
	assert_int_equal(fetch(OTHER), -EREMOTEIO);
	assert_non_null(strstr(logged(), "not read from Redis"));
	free(large);
}

static void one_that_was_ended_does_not_come_back(void **state)
{
	(void)state;
	start_redis("");
	open_tcp("", "");
	assert_int_equal(save(ID, "late", MINUTE, true), 0);
	assert_int_equal(fetch(ID), -ENOENT);
	assert_int_equal(save(ID, "one", MINUTE, false), 0);
	assert_int_equal(save(ID, "two", MINUTE, true), 0);
	assert_int_equal(fetch(ID), 0);
	assert_string_equal(t.bytes, "two");
	assert_string_equal(logged(), "");
}

static void what_is_not_used_ends(void **state)
{
	(void)state;
	start_redis("");
	open_tcp("", "");
	assert_int_equal(save(ID, "short", 100, false), 0);
	assert_int_equal(fetch(ID), 0);
	turn_for(150);
	assert_int_equal(fetch(ID), -ENOENT);
	assert_string_equal(cli("--raw set crew:session:" ID " foreign"), "OK");
	assert_int_equal(fetch(ID), 0); /* without an end */
	assert_true(t.left_ms == INT64_MAX);
}

static void password_and_database(void **state)
{
	(void)state;
	start_redis("s/e@c");
	open_tcp(":s%2Fe%40c@", "/3");
	assert_int_equal(save(ID, "one", MINUTE, false), 0);
	assert_int_equal(fetch(ID), 0);
	assert_string_equal(
		cli("-a s/e@c --no-auth-warning -n 3 --raw get crew:session:" ID), "one");
	assert_string_equal(logged(), "");
}

static void a_wrong_password_is_told(void **state)
{
	(void)state;
	start_redis("right");
	open_tcp(":wrong@", "");
	assert_int_equal(fetch(ID), -ENOTCONN);
	assert_non_null(strstr(logged(), "is away: WRONGPASS"));
	assert_null(strstr(logged(), "wrong@"));
	close_it();
	open_tcp("", "");
	assert_int_equal(fetch(ID), -ENOTCONN);
	assert_non_null(strstr(logged(), "is away: NOAUTH"));
	close_it();
	open_tcp(":right@", "/99999");
	assert_int_equal(fetch(ID), -ENOTCONN);
	assert_non_null(strstr(logged(), "is away: ERR"));
}

/* ---- one that is away ---------------------------------------------------------------------- */

static void one_that_is_not_there_is_refused_at_once(void **state)
{
	(void)state;
	open_tcp("", "");
	assert_int_equal(fetch(ID), -ENOTCONN);
	uint64_t before = crew__clock_ns();
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(t.store->ops->fetch(t.store, ID, fetched, NULL), -ENOTCONN);
		assert_int_equal(save(ID, "x", MINUTE, false), -ENOTCONN);
	}
	assert_true(crew__clock_ns() - before < CREW__NS_PER_S);
	assert_non_null(strstr(logged(), "is away: Connection refused"));
	assert_non_null(strstr(logged(), "a session is not saved in Redis"));
	start_redis("");
	until_ready();
	assert_non_null(strstr(logged(), "is back"));
	assert_int_equal(save(ID, "one", MINUTE, false), 0);
	assert_int_equal(fetch(ID), 0);
}

static void one_that_dies_and_comes_back(void **state)
{
	(void)state;
	start_redis("");
	open_socket();
	until_ready();
	for (int i = 0; i < 3; i++) {
		stop_redis();
		turn_for(30);
		assert_int_equal(fetch(ID), -ENOTCONN);
		start_redis("");
		until_ready();
		assert_int_equal(save(ID, "again", MINUTE, false), 0);
		assert_int_equal(fetch(ID), 0);
		assert_string_equal(t.bytes, "again");
	}
}

static void one_that_only_closes_the_connection_is_asked_again(void **state)
{
	(void)state;
	start_redis("");
	open_socket();
	assert_int_equal(fetch(ID), -ENOENT);
	turn_for(1100); /* it was steady */
	assert_string_not_equal(cli("client kill type normal"), "0");
	assert_int_equal(save(ID, "one", MINUTE, false), 0);
	turn_for(50);
	assert_int_equal(fetch(ID), -ENOENT); /* lost with the connection */
	assert_int_equal(save(ID, "one", MINUTE, false), 0);
	assert_int_equal(fetch(ID), 0);
	assert_non_null(strstr(logged(), "is lost"));
	assert_null(strstr(logged(), "is away"));
}

static void one_that_hangs_is_given_up_after_a_second(void **state)
{
	(void)state;
	start_redis("");
	open_tcp("", "");
	until_ready();
	kill(t.redis, SIGSTOP);
	t.answers = 0;
	int taken = 0, error = 0;
	uint64_t before = crew__clock_ns();
	crew__loop_turn(t.loop, 0); /* the loop's time is now */
	for (; !error && taken < 3000; taken += !error)
		error = t.store->ops->fetch(t.store, ID, fetched, NULL);
	assert_int_equal(error, -EAGAIN);
	assert_int_equal(taken, 1024);
	while (t.answers < taken) {
		assert_true(crew__clock_ns() - before < 15 * CREW__NS_PER_S);
		crew__loop_turn(t.loop, 20);
	}
	assert_true(crew__clock_ns() - before > 900 * CREW__NS_PER_MS);
	assert_int_equal(t.status, -ENOTCONN);
	assert_int_equal(t.answers, taken); /* each once */
	assert_int_equal(crew__redis_waiting(t.store), 0);
	assert_non_null(strstr(logged(), "did not answer within a second"));
	kill(t.redis, SIGCONT);
	until_ready();
}

static void closing_tells_who_waits(void **state)
{
	(void)state;
	start_redis("");
	open_tcp("", "");
	until_ready();
	kill(t.redis, SIGSTOP);
	t.answers = 0;
	for (int i = 0; i < 3; i++)
		assert_int_equal(t.store->ops->fetch(t.store, ID, fetched, NULL), 0);
	assert_int_equal(save(ID, "x", MINUTE, false), 0);
	close_it();
	assert_int_equal(t.answers, 3);
	assert_true(t.status < 0);
	open_tcp("", ""); /* this one never gets as far as to ask */
	assert_int_equal(t.store->ops->fetch(t.store, ID, fetched, NULL), 0);
	close_it();
	assert_int_equal(t.answers, 4);
	assert_int_equal(t.status, -ESHUTDOWN);
}

/* ---- false ones ---------------------------------------------------------------------------- */

/* A process that accepts once and says that, whatever it is asked; `then` so often behind it. */
static void start_false(const char *says, const char *then, int times)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)t.port) };
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 4), 0);
	t.redis = fork();
	assert_true(t.redis >= 0);
	if (t.redis == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		char room[4096];
		int peer = accept(fd, NULL, NULL);
		close(fd);
		if (peer < 0 || read(peer, room, sizeof(room)) <= 0 ||
			write(peer, "+PONG\r\n", 7) != 7 || read(peer, room, sizeof(room)) <= 0)
			_exit(1);
		ssize_t sent = write(peer, says, strlen(says));
		for (int i = 0; i < times && sent > 0; i++)
			sent = write(peer, then, strlen(then));
		pause();
	}
	close(fd);
}

static void nonsense_is_survived(void **state)
{
	(void)state;
	static const struct {
		const char *says;
		int status;
	} table[] = {
		{ ":5000\r\n$1\r\nx\r\n", 0 }, /* as it should be */
		{ ":-2\r\n$1\r\nx\r\n", -ENOENT },
		{ ":0\r\n$1\r\nx\r\n", -ENOENT },
		{ ":5000\r\n$0\r\n\r\n", -ENOENT },
		{ "+what\r\n$1\r\nx\r\n", -EPROTO },
		{ ":5000\r\n:1\r\n", -EPROTO },
		{ ":5000\r\n$-1\r\n", -EPROTO },
		{ "-ERR a\r\n$1\r\nx\r\n", -EREMOTEIO },
		{ "-ERR a\r\n-ERR b\r\n", -EREMOTEIO },
		{ "?\r\n", -ENOTCONN },
		{ "*2\r\n:1\r\n:2\r\n", -ENOTCONN },
		{ "*2000000000\r\n", -ENOTCONN },
		{ ":5000\r\n*-1\r\n", -EPROTO },
		{ ":5000\r\n$99999999999999999999\r\n", -ENOTCONN },
		{ ":\r\n", -ENOTCONN },
	};
	for (size_t i = 0; i < crew__lengthof(table); i++) {
		t.port = free_port();
		start_false(table[i].says, "", 0);
		open_tcp("", "");
		int status = fetch(ID);
		if (status != table[i].status)
			fail_msg("row %zu: %d", i, status);
		close_it();
		stop_redis();
	}
}

static void an_endless_answer_is_cut_off(void **state)
{
	(void)state;
	char then[4001];
	memset(then, 'x', 4000);
	then[4000] = '\0';
	start_false(":5000\r\n$500000000\r\n", then, 100000);
	open_tcp("", "");
	assert_int_equal(fetch(ID), -ENOTCONN);
	assert_non_null(strstr(logged(), "too long"));
}

static void one_that_says_nothing_is_away(void **state)
{
	(void)state;
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)t.port) };
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 4), 0);
	open_tcp("", "");
	uint64_t before = crew__clock_ns();
	int status = fetch(ID); /* its own second ends at about the same time as the connection's */
	assert_true(status == -ETIMEDOUT || status == -ENOTCONN);
	assert_true(crew__clock_ns() - before > 900 * CREW__NS_PER_MS);
	turn_for(100);
	before = crew__clock_ns();
	assert_int_equal(fetch(ID), -ENOTCONN); /* from now on nobody waits */
	assert_true(crew__clock_ns() - before < 500 * CREW__NS_PER_MS);
	assert_non_null(strstr(logged(), "is away: it did not answer"));
	close(fd);
}

#define ON(name, text, kind)                                                            \
	{                                                                               \
#name " (" text ")", name, set_up, tear_down, &(enum crew__engine_kind) \
		{                                                                       \
			kind                                                            \
		}                                                                       \
	}
#define TEST(name) ON(name, "epoll", CREW__ENGINE_EPOLL), ON(name, "poll", CREW__ENGINE_POLL)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_saved_is_fetched),
		TEST(large_and_odd_bytes),
		TEST(one_that_was_ended_does_not_come_back),
		TEST(what_is_not_used_ends),
		TEST(password_and_database),
		TEST(a_wrong_password_is_told),
		TEST(one_that_is_not_there_is_refused_at_once),
		TEST(one_that_dies_and_comes_back),
		TEST(one_that_only_closes_the_connection_is_asked_again),
		TEST(one_that_hangs_is_given_up_after_a_second),
		TEST(closing_tells_who_waits),
		TEST(nonsense_is_survived),
		TEST(an_endless_answer_is_cut_off),
		TEST(one_that_says_nothing_is_away),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
