#include "connect_ways.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct heard heard;
void (*on_heard)(crew_conn *c, const char *word);

void heard_word(crew_conn *c, const char *word)
{
	size_t len = strlen(heard.words);
	snprintf(heard.words + len, sizeof(heard.words) - len, "%s%s", len ? " " : "", word);
	if (on_heard)
		on_heard(c, word);
}

void hear_nothing(void)
{
	memset(&heard, 0, sizeof(heard));
	on_heard = NULL;
}

static void on_open(crew_conn *c)
{
	heard.opens++;
	heard.last = c;
	heard_word(c, "open");
}

static void on_message(crew_conn *c, crew_msg msg)
{
	char word[64];
	snprintf(word, sizeof(word), "msg:%.*s", (int)crew__min(msg.body.len, 40), msg.body.data);
	heard_word(c, word);
}

static void on_error(crew_conn *c, const crew_loss *loss)
{
	char word[64];
	heard.lost[loss->reason] += loss->messages;
	snprintf(word, sizeof(word), "lost:%s:%llu", crew_reason_name(loss->reason),
		(unsigned long long)loss->messages);
	heard_word(c, word);
}

static void on_close(crew_conn *c)
{
	char word[64];
	const char *why = crew_connect_error(c);
	snprintf(heard.why, sizeof(heard.why), "%s", why ? why : "");
	snprintf(word, sizeof(word), "close:%s", crew_end_name(crew_close_reason(c)));
	heard.closes++;
	heard_word(c, word);
	if (heard.last == c)
		heard.last = NULL;
}

void heard_retry(crew_conn *c)
{
	heard.retries++;
	heard.last = c;
	heard_word(c, "retry");
}

const crew_service ways_service = {
	.name = "out",
	.conn_size = 32,
	.max_send_buffer = 64 * 1024,
	.handshake_timeout_ms = 500,
	.linger_ms = 100,
	.on_open = on_open,
	.on_message = on_message,
	.on_error = on_error,
	.on_close = on_close,
};

void wait_heard(struct world *world, const char *words)
{
	WAIT(world, strlen(heard.words) >= strlen(words));
	world_settle(world);
	assert_string_equal(heard.words, words);
}

static int bind_here(const char *scheme, char ret_url[64])
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t size = sizeof(address);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	snprintf(ret_url, 64, "%s://127.0.0.1:%u", scheme, ntohs(address.sin_port));
	return fd;
}

int listen_here(const char *scheme, char ret_url[64])
{
	int fd = bind_here(scheme, ret_url);
	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

void nobody_listens(const char *scheme, char ret_url[64])
{
	close(bind_here(scheme, ret_url));
}

int take_peer(struct world *world, int listener)
{
	int fd = -1;
	WAIT(world, (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0);
	return fd;
}

void expect_bytes(struct world *world, int fd, const char *text, size_t len)
{
	char got[8192];
	size_t have = 0;
	assert_true(len < sizeof(got));
	for (int turns = 0; have < len && turns < 3000; turns++) {
		ssize_t n = recv(fd, got + have, len - have, 0);
		if (n == 0)
			fail_msg("the end after %zu bytes", have);
		if (n > 0)
			have += (size_t)n;
		else
			world_turn(world, 2);
	}
	assert_int_equal(have, len);
	assert_memory_equal(got, text, len);
}

void put_bytes(int fd, const char *text, size_t len)
{
	assert_int_equal(send(fd, text, len, MSG_NOSIGNAL), len);
}

static void on_done(crew_worker *w, void *arg)
{
	(void)w;
	struct world *world = arg;
	world->done = true;
}

void stop_world(struct world *world, bool graceful)
{
	const struct crew__worker_stop stop = {
		.graceful = graceful,
		.window_ms = graceful ? 30000 : 1000,
		.close_code = 1001,
		.done = on_done,
		.arg = world,
	};
	crew__worker_stop(world->worker, &stop);
	WAIT(world, world->done);
}
