/* test_tls_abuse.c - peers of TLS that do harm: they never read, ask for new keys without end, stop
 * in the midst of a handshake, or come by thousands. The peer is OpenSSL over the other end of a
 * socket pair. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/tls.h"
#include "net_ways.h"
#include "tls_ways.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
	struct world world;
	int fd;
	SSL_CTX *client;
	SSL *ssl;
	size_t received;
} t;

static void on_message(crew_conn *c, crew_msg msg)
{
	(void)c;
	t.received += msg.body.len;
}

static const crew_service raw = {
	.name = "raw",
	.listen = "tls://127.0.0.1:1",
	.on_open = tell_open,
	.on_message = on_message,
	.on_error = tell_error,
	.on_close = tell_close,
};

static void make_context(struct world *world)
{
	struct tls_made authority = tls_authority("test");
	struct tls_made made = tls_server(&authority, "DNS:a.example");
	const struct crew__tls_pair pair = {
		.name = "a", .cert = made.cert_pem, .key = made.key_pem
	};
	const struct crew__tls_server_plan plan = {
		.pairs = &pair, .count = 1, .least_version = TLS1_2_VERSION
	};
	struct crew__tls_context *context;
	char error[256];
	assert_int_equal(crew__tls_server_new(&plan, &context, error, sizeof(error)), 0);
	crew__net_set_tls(&world->worker->net, context);
	crew__tls_context_unref(context);
}

static void open_world(void **state, void (*adjust)(struct crew__service_settings *settings))
{
	told_anew();
	assert_true(world_open(&t.world, &raw, engine_of(state), adjust));
	make_context(&t.world);
	t.fd = world_connect(&t.world);
	assert_true(t.fd >= 0);
	t.client = SSL_CTX_new(TLS_client_method());
	t.ssl = SSL_new(t.client);
	SSL_set_mode(t.ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_set_fd(t.ssl, t.fd);
	SSL_set_connect_state(t.ssl);
}

static int clean_up(void **state)
{
	(void)state;
	world_clean_up(&t.world);
	SSL_free(t.ssl);
	SSL_CTX_free(t.client);
	if (t.fd > 0)
		close(t.fd);
	memset(&t, 0, sizeof(t));
	tls_ways_end();
	return 0;
}

static bool shakes(void)
{
	ERR_clear_error();
	return SSL_do_handshake(t.ssl) == 1;
}

/* With a kernel that holds little for the way to the peer. */
static void shake_hands(void)
{
	int little = 4096;
	world_until(&t.world, shakes());
	world_until(&t.world, strcmp(told(), "open") == 0);
	told_anew();
	assert_int_equal(setsockopt(world_conn(&t.world, 0)->fd, SOL_SOCKET, SO_SNDBUF, &little,
				 sizeof(little)),
		0);
}

static bool says(const char *text)
{
	ERR_clear_error();
	return SSL_write(t.ssl, text, (int)strlen(text)) > 0;
}

/* Requests of new keys, with data between, until an answer does not fit into the kernel. */
static void stuff_with_answers(void)
{
	const crew_conn *c = world_conn(&t.world, 0);
	for (unsigned i = 0; i < 5000 && !(c->flags & CREW__C_WRITING); i++) {
		SSL_key_update(t.ssl, SSL_KEY_UPDATE_REQUESTED);
		assert_true(says("x"));
		world_turn(&t.world, 0);
	}
	assert_true(c->flags & CREW__C_WRITING);
	assert_int_equal(c->record->bytes_queued, 0);
}

/* ---- tests ------------------------------------------------------------------------------------
 */

static void short_of_time(struct crew__service_settings *settings)
{
	settings->stop_timeout_ms = 50;
}

/* Nothing of any message waits, but an answer of TLS's own: a closed connection ends all the same,
 * and nobody looks at it a hundred times a second meanwhile. */
static void an_end_that_only_tls_holds_up(void **state)
{
	open_world(state, short_of_time);
	shake_hands();
	stuff_with_answers();
	crew_close(world_conn(&t.world, 0));
	t.world.worker->net.limits.closing_timeout = 30;
	t.world.worker->net.limits.linger = 10;
	world_until(&t.world, counter(&t.world, "connections") == 0);
	assert_int_equal(counter(&t.world, "close_app"), 1);
}

/* Ended by us in the midst of its handshake, which it goes on with: the program is not told of a
 * connection that it cannot have. */
static void a_handshake_behind_the_end(void **state)
{
	open_world(state, NULL);
	SSL_set_num_tickets(t.ssl, 0);
	assert_false(shakes());
	world_turn(&t.world, 0);
	crew__conn_close(world_conn(&t.world, 0), CREW_END_KICKED);
	world_turn(&t.world, 0);
	assert_true(shakes()); /* our flight was there already: this sends Finished */
	assert_true(says("hello"));
	world_turn(&t.world, 0);
	world_turn(&t.world, 0);
	assert_string_equal(told(), "");
	assert_int_equal(t.received, 0);
	shutdown(t.fd, SHUT_WR);
	world_until(&t.world, counter(&t.world, "connections") == 0);
	assert_string_equal(told(), "");
	assert_int_equal(counter(&t.world, "close_kicked"), 1);
}

/* New keys cost us as much as the peer, but a turn with thousands of them is a turn in which nobody
 * else is served: without data between only a few are taken. */
static void new_keys_and_no_data(void **state)
{
	open_world(state, NULL);
	shake_hands();
	for (unsigned i = 0; i < 200 && counter(&t.world, "connections") > 0; i++) {
		SSL_key_update(t.ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
		ERR_clear_error();
		SSL_do_handshake(t.ssl);
		if (i % 20 == 0)
			world_turn(&t.world, 0);
	}
	world_until(&t.world, counter(&t.world, "connections") == 0);
	assert_int_equal(counter(&t.world, "close_protocol"), 1);
	assert_string_equal(told(), "close:protocol");
}

/* Who asks for answers and reads none of them is not to fill our memory, data between or not. */
static void answers_that_nobody_reads(void **state)
{
	open_world(state, NULL);
	shake_hands();
	for (unsigned i = 0; i < 20000 && counter(&t.world, "connections") > 0; i++) {
		SSL_key_update(t.ssl, SSL_KEY_UPDATE_REQUESTED);
		if (!says("x"))
			break;
		world_turn(&t.world, 0);
	}
	world_until(&t.world, counter(&t.world, "connections") == 0);
	assert_string_equal(told(), "close:protocol");
}

static void slowly(struct crew__service_settings *settings)
{
	settings->rate_bytes = 20000;
}

/* A rate cap and a kernel that is full, both at once: what OpenSSL has made of the bytes that the
 * cap let through leaves when the kernel takes it, not when the cap lets more through. */
static void a_cap_and_a_full_kernel(void **state)
{
	char body[1000], heard[4096];
	size_t got = 0, n;
	open_world(state, slowly);
	shake_hands();
	memset(body, 'b', sizeof(body));
	for (unsigned i = 0; i < 60; i++) {
		crew_send(world_conn(&t.world, 0), (crew_bytes){ body, sizeof(body) });
		world_turn(&t.world, 0); /* each turn checks all that conn.h promises */
	}
	for (unsigned i = 0; i < 4000 && got < 20000; i++) {
		world_turn(&t.world, 1);
		ERR_clear_error();
		while (SSL_read_ex(t.ssl, heard, sizeof(heard), &n) == 1)
			got += n;
	}
	assert_true(got >= 20000);
}

enum {
	CROWD = 60
};

static bool is_answered(int fd)
{
	char byte;
	return recv(fd, &byte, 1, MSG_PEEK) == 1;
}

static unsigned answered(const int *fds)
{
	unsigned count = 0;
	for (unsigned i = 0; i < CROWD; i++)
		count += is_answered(fds[i]);
	return count;
}

/* Many who begin at once get their turns, but not all in one: others are to be served between. */
static void many_handshakes_at_once(void **state)
{
	char hello[1024];
	int fds[CROWD];
	open_world(state, NULL);
	BIO *out = BIO_new(BIO_s_mem());
	SSL_set_bio(t.ssl, BIO_new(BIO_s_mem()), out);
	assert_false(shakes());
	int len = BIO_read(out, hello, sizeof(hello));
	assert_true(len > 0);
	for (unsigned i = 0; i < CROWD; i++) {
		fds[i] = world_connect(&t.world);
		assert_true(fds[i] >= 0);
		assert_int_equal(write(fds[i], hello, (size_t)len), len);
	}
	world_turn(&t.world, 0);
	unsigned first = answered(fds);
	assert_true(first > 0 && first <= CROWD / 3);
	world_until(&t.world, answered(fds) == CROWD);
	for (unsigned i = 0; i < CROWD; i++)
		close(fds[i]);
	world_until(&t.world, counter(&t.world, "connections") == 1);
}

static void few_at_once(struct crew__service_settings *settings)
{
	settings->tls_handshakes_most = 5;
}

/* Those who begin and do not go on cost memory, so there may be only so many; and they do not keep
 * out who means it. */
static void handshakes_that_only_wait(void **state)
{
	int fds[CROWD];
	open_world(state, few_at_once);
	for (unsigned i = 0; i < CROWD; i++) {
		fds[i] = world_connect(&t.world);
		assert_true(fds[i] >= 0);
		assert_int_equal(write(fds[i], "\x16\x03\x01\x02", 4), 4);
		world_turn(&t.world, 0);
		shakes(); /* the first of all is at it meanwhile, and goes on */
	}
	world_turn(&t.world, 0);
	shake_hands();
	assert_true(says("hello"));
	world_until(&t.world, t.received == 5);
	assert_int_equal(counter(&t.world, "connections"), 1 + 5);
	assert_int_equal(counter(&t.world, "tls_handshakes_cut"), CROWD - 5);
	assert_int_equal(counter(&t.world, "close_handshake"), CROWD - 5);
	for (unsigned i = 0; i < CROWD; i++)
		close(fds[i]);
	world_until(&t.world, counter(&t.world, "connections") == 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(an_end_that_only_tls_holds_up),
		ON_BOTH(a_handshake_behind_the_end),
		ON_BOTH(new_keys_and_no_data),
		ON_BOTH(answers_that_nobody_reads),
		ON_BOTH(a_cap_and_a_full_kernel),
		ON_BOTH(many_handshakes_at_once),
		ON_BOTH(handshakes_that_only_wait),
	};
	return cmocka_run_group_tests_name("tls_abuse", tests, NULL, NULL);
}
