/* test_tls_conn.c - TLS below a connection: whatever the records, the program sees a stream, and
 * every message has one fate. The peer is OpenSSL over the other end of a socket pair. */
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

enum {
	MUCH = 700 * 1000
};

static struct {
	struct world world;
	int fd;
	SSL_CTX *client;
	SSL *ssl;
	bool pauses;     /* on_message pauses the connection */
	unsigned echoes; /* on_message sends it back so often */
	size_t received;
	char *room;
} t;

/* ---- the program ------------------------------------------------------------------------------
 */

static void on_message(crew_conn *c, crew_msg msg)
{
	t.received += msg.body.len;
	for (unsigned i = 0; i < t.echoes; i++)
		crew_send(c, msg.body);
	if (t.pauses)
		crew_pause(c);
}

static const crew_service raw = {
	.name = "raw",
	.listen = "tls://127.0.0.1:1",
	.on_open = tell_open,
	.on_message = on_message,
	.on_error = tell_error,
	.on_drain = tell_drain,
	.on_full = tell_full,
	.on_close = tell_close,
};

static void short_of_time(struct crew__service_settings *settings)
{
	settings->handshake_timeout_ms = 30;
}

static void small_queue(struct crew__service_settings *settings)
{
	settings->max_send_buffer = 64 * 1024;
}

static void open_world(void **state, void (*adjust)(struct crew__service_settings *settings))
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
	told_anew();
	assert_true(world_open(&t.world, &raw, engine_of(state), adjust));
	assert_int_equal(crew__tls_server_new(&plan, &context, error, sizeof(error)), 0);
	crew__net_set_tls(&t.world.worker->net, context);
	crew__tls_context_unref(context);
	t.fd = world_connect(&t.world);
	assert_true(t.fd >= 0);
	t.client = SSL_CTX_new(TLS_client_method());
	t.ssl = SSL_new(t.client);
	SSL_set_mode(t.ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_set_fd(t.ssl, t.fd);
	t.room = malloc(MUCH * 2);
	assert_non_null(t.room);
	t.echoes = 1;
}

static int clean_up(void **state)
{
	(void)state;
	world_clean_up(&t.world);
	SSL_free(t.ssl);
	SSL_CTX_free(t.client);
	if (t.fd > 0)
		close(t.fd);
	free(t.room);
	memset(&t, 0, sizeof(t));
	tls_ways_end();
	return 0;
}

/* ---- the peer ---------------------------------------------------------------------------------
 */

static bool shakes(void)
{
	ERR_clear_error();
	return SSL_do_handshake(t.ssl) == 1;
}

static void shake_hands(void)
{
	SSL_set_connect_state(t.ssl);
	world_until(&t.world, shakes());
	world_until(&t.world, strcmp(told(), "open") == 0);
	told_anew();
}

/* How much of it can be written now. */
static size_t says(const char *data, size_t len)
{
	size_t n = 0;
	ERR_clear_error();
	return SSL_write_ex(t.ssl, data, len, &n) == 1 ? n : 0;
}

static size_t hears(char *room, size_t size)
{
	size_t n = 0;
	ERR_clear_error();
	return SSL_read_ex(t.ssl, room, size, &n) == 1 ? n : 0;
}

/* Until so much has come, or it stops coming. */
static size_t hears_so_much(char *room, size_t size)
{
	size_t got = 0;
	for (unsigned quiet = 0; got < size && quiet < 100; quiet++) {
		world_turn(&t.world, 1);
		size_t n;
		while (got < size && (n = hears(room + got, size - got)) > 0) {
			got += n;
			quiet = 0;
		}
	}
	return got;
}

static void fill(char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		data[i] = (char)(i * 31 + (i >> 9));
}

static bool is_filled(const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (data[i] != (char)(i * 31 + (i >> 9)))
			return false;
	return true;
}

/* ---- tests ------------------------------------------------------------------------------------
 */

static void small_messages(void **state)
{
	char heard[64];
	open_world(state, NULL);
	shake_hands();
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(says("hello", 5), 5);
		assert_int_equal(hears_so_much(heard, 5), 5);
		assert_memory_equal(heard, "hello", 5);
	}
	assert_int_equal(counter(&t.world, "messages_sent"), 20);
	assert_int_equal(counter(&t.world, "messages_queued"), 0);
	/* What the kernel took is more than what was said: records and the handshake. */
	assert_true(counter(&t.world, "bytes_out") > 20 * 5 + 500);
	assert_true(counter(&t.world, "bytes_in") > 20 * 5 + 100);
	assert_int_equal(world_conn(&t.world, 0)->record->transport, CREW__TLS);
	assert_string_equal(SSL_get_version(crew__conn_tls(world_conn(&t.world, 0))), "TLSv1.3");
}

/* More than any buffer holds, both ways at once. */
static void a_long_stream(void **state)
{
	open_world(state, NULL);
	shake_hands();
	char *data = t.room;
	char *heard = t.room + MUCH;
	fill(data, MUCH);
	size_t said = 0, got = 0;
	for (unsigned i = 0; i < 20000 && got < MUCH; i++) {
		if (said < MUCH)
			said += says(data + said, MUCH - said);
		world_turn(&t.world, 0);
		if (i % 3 == 0) /* it lags behind */
			got += hears(heard + got, MUCH - got);
	}
	assert_int_equal(got, MUCH);
	assert_true(is_filled(heard, MUCH));
	world_settle(&t.world);
	assert_int_equal(counter(&t.world, "bytes_queued"), 0);
	assert_int_equal(counter(&t.world, "send_fail"), 0);
}

/* A reader that stalls: what waits is counted, and leaves whole when it reads on. */
static void a_stalled_reader(void **state)
{
	open_world(state, small_queue);
	shake_hands();
	t.echoes = 40;
	fill(t.room, 4000);
	assert_int_equal(says(t.room, 4000), 4000);
	world_settle(&t.world);
	uint64_t queued = counter(&t.world, "messages_queued");
	uint64_t sent = counter(&t.world, "messages_sent");
	uint64_t full = counter(&t.world, "fail_full");
	assert_true(queued > 0 && full > 0);
	assert_int_equal(queued + sent + full, 40);
	t.echoes = 0;
	size_t due = (size_t)(40 - full) * 4000;
	assert_int_equal(hears_so_much(t.room, MUCH), due);
	for (size_t at = 0; at < due; at += 4000)
		assert_true(is_filled(t.room + at, 4000));
	assert_int_equal(counter(&t.world, "messages_sent"), 40 - full);
	assert_int_equal(counter(&t.world, "messages_queued"), 0);
	assert_non_null(strstr(told(), "full"));
	assert_non_null(strstr(told(), "drain"));
}

/* A rate cap holds back what is queued, not what TLS has made of what it let through. */
static void a_stalled_reader_with_a_cap(void **state)
{
	open_world(state, NULL);
	shake_hands();
	crew_conn *c = world_conn(&t.world, 0);
	fill(t.room, MUCH);
	assert_true(crew_send(c, (crew_bytes){ t.room, 12000 }) >= 0);
	world_settle(&t.world);
	assert_int_equal(crew_queued(c), 0);
	assert_int_equal(crew_set_rate(c, 16000, CREW_OFF), 0);
	assert_true(crew_send(c, (crew_bytes){ t.room + 12000, 30000 }) > 0);
	world_settle(&t.world);
	char *heard = t.room + MUCH;
	size_t got = 0;
	for (unsigned turns = 0; turns < 20; turns++) {
		got += hears(heard + got, MUCH - got);
		world_turn(&t.world, 0);
	}
	assert_true(got >= 12000 + 16000 && got < 12000 + 24000);
	assert_true(is_filled(heard, got));
}

/* The same, but it leaves instead: what waited, in OpenSSL too, is lost once. */
static void one_that_leaves(void **state)
{
	open_world(state, small_queue);
	shake_hands();
	t.echoes = 40;
	fill(t.room, 4000);
	assert_int_equal(says(t.room, 4000), 4000);
	world_settle(&t.world);
	uint64_t sent = counter(&t.world, "messages_sent");
	uint64_t full = counter(&t.world, "fail_full");
	close(t.fd);
	t.fd = -1;
	world_until(&t.world, counter(&t.world, "connections") == 0);
	assert_int_equal(counter(&t.world, "messages_sent"), sent);
	assert_int_equal(counter(&t.world, "fail_reset"), 40 - sent - full);
	assert_int_equal(counter(&t.world, "bytes_queued"), 0);
}

/* A ClientHello in single bytes, and the rest too. */
static void byte_by_byte(void **state)
{
	open_world(state, NULL);
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	SSL_set_bio(t.ssl, in, out);
	SSL_set_connect_state(t.ssl);
	char bytes[4096], heard[8];
	bool done = false;
	size_t got = 0;
	for (unsigned i = 0; i < 300 && got < 5; i++) {
		if (!done && shakes()) {
			done = true;
			assert_int_equal(says("split", 5), 5);
		}
		int n = BIO_read(out, bytes, sizeof(bytes));
		for (int k = 0; k < n; k++) {
			assert_int_equal(write(t.fd, bytes + k, 1), 1);
			world_turn(&t.world, 0);
		}
		world_turn(&t.world, 0);
		ssize_t heard_now = read(t.fd, bytes, sizeof(bytes));
		if (heard_now > 0)
			BIO_write(in, bytes, (int)heard_now);
		if (done)
			got += hears(heard + got, 5 - got);
	}
	assert_int_equal(got, 5);
	assert_memory_equal(heard, "split", 5);
}

static void plain_http_is_answered(void **state)
{
	char answer[512];
	open_world(state, NULL);
	peer_says(t.fd, CREW_BYTES("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
	size_t n = peer_hears_all(&t.world, t.fd, answer, sizeof(answer));
	assert_true(n > 0);
	assert_non_null(strstr(answer, "HTTP/1.1 400 "));
	assert_non_null(strstr(answer, "https"));
	const char *body = strstr(answer, "\r\n\r\n");
	assert_non_null(body);
	assert_int_equal(strlen(body + 4), 41);
	shutdown(t.fd, SHUT_WR);
	world_until(&t.world, counter(&t.world, "connections") == 0);
	assert_int_equal(counter(&t.world, "close_handshake"), 1);
	assert_string_equal(told(), "");
}

static void noise_is_no_handshake(void **state)
{
	open_world(state, NULL);
	peer_says(t.fd, CREW_BYTES("\x16\x03\x01\x00\x05noise and more noise"));
	world_until(&t.world, counter(&t.world, "connections") == 0);
	assert_int_equal(counter(&t.world, "close_handshake"), 1);
	assert_int_equal(counter(&t.world, "total_request"), 0);
	assert_string_equal(told(), "");
}

static void a_handshake_that_does_not_end(void **state)
{
	open_world(state, short_of_time);
	peer_says(t.fd, CREW_BYTES("\x16\x03\x01\x02"));
	world_until(&t.world, counter(&t.world, "connections") == 0);
	assert_int_equal(counter(&t.world, "close_handshake"), 1);
}

static void one_that_leaves_during_it(void **state)
{
	open_world(state, NULL);
	SSL_set_connect_state(t.ssl);
	assert_false(shakes());
	world_turn(&t.world, 0);
	shutdown(t.fd, SHUT_WR);
	world_until(&t.world, counter(&t.world, "connections") == 0);
	assert_int_equal(counter(&t.world, "close_handshake"), 1);
	assert_string_equal(told(), "");
}

/* A broken record in the midst of good ones. */
static void a_broken_record(void **state)
{
	open_world(state, NULL);
	shake_hands();
	assert_int_equal(says("good", 4), 4);
	peer_says(t.fd, CREW_BYTES("\x17\x03\x03\x00\x20"
				   "0123456789abcdef0123456789abcdef"));
	world_until(&t.world, counter(&t.world, "connections") == 0);
	assert_string_equal(
		told(), "error:aborted:1 close:protocol"); /* the answer to what was good */
	assert_int_equal(counter(&t.world, "close_protocol"), 1);
}

/* Nothing more is delivered once it is paused, whatever lies in OpenSSL and in our buffers; and all
 * of it comes afterwards, though the kernel has nothing new to tell. */
static void pauses(void **state)
{
	open_world(state, NULL);
	shake_hands();
	t.pauses = true;
	t.echoes = 0;
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(says("0123456789", 10), 10);
	world_settle(&t.world);
	size_t first = t.received;
	assert_true(first > 0);
	assert_int_equal(says("0123456789", 10), 10);
	world_settle(&t.world);
	assert_int_equal(t.received, first);
	for (unsigned i = 0; i < 20 && t.received < 110; i++) {
		crew_resume(world_conn(&t.world, 0));
		world_settle(&t.world);
	}
	assert_int_equal(t.received, 110);
}

/* close_notify first, and then the end of the stream. */
static void a_good_end(void **state)
{
	char heard[8];
	open_world(state, NULL);
	shake_hands();
	assert_int_equal(says("bye", 3), 3);
	assert_int_equal(hears_so_much(heard, 3), 3);
	crew_close(world_conn(&t.world, 0));
	world_settle(&t.world);
	assert_int_equal(hears(heard, sizeof(heard)), 0);
	assert_int_equal(SSL_get_shutdown(t.ssl) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
	SSL_shutdown(t.ssl);
	shutdown(t.fd, SHUT_WR);
	world_until(&t.world, counter(&t.world, "connections") == 0);
	assert_string_equal(told(), "close:app");
}

/* With much to say before: the goodbye comes behind it. */
static void an_end_behind_much(void **state)
{
	open_world(state, NULL);
	shake_hands();
	t.echoes = 60;
	fill(t.room, 4000);
	assert_int_equal(says(t.room, 4000), 4000);
	world_settle(&t.world);
	crew_close(world_conn(&t.world, 0));
	assert_int_equal(hears_so_much(t.room, 60 * 4000), 60 * 4000);
	char more[8];
	world_settle(&t.world);
	assert_int_equal(hears(more, sizeof(more)), 0);
	assert_int_equal(SSL_get_shutdown(t.ssl) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
	assert_int_equal(counter(&t.world, "messages_sent"), 60);
}

static void the_peer_ends(void **state)
{
	open_world(state, NULL);
	shake_hands();
	assert_int_equal(says("last", 4), 4);
	SSL_shutdown(t.ssl);
	world_until(&t.world, t.received == 4);
	shutdown(t.fd, SHUT_WR);
	world_until(&t.world, counter(&t.world, "connections") == 0);
	assert_string_equal(told(), "close:peer");
}

/* A peer that asks for new keys all the time, and does not read, cannot make us keep much. */
static void keys_without_end(void **state)
{
	open_world(state, NULL);
	shake_hands();
	t.echoes = 0;
	for (unsigned i = 0; i < 3000; i++) {
		SSL_key_update(t.ssl, SSL_KEY_UPDATE_REQUESTED);
		if (says("x", 1) == 0)
			break;
		world_turn(&t.world, 0);
	}
	world_settle(&t.world);
	assert_true(counter(&t.world, "connections") <= 1);
	assert_true(t.received > 10);
}

static void a_broadcast(void **state)
{
	char heard[64];
	open_world(state, NULL);
	shake_hands();
	crew_shared *s = crew_shared_new(CREW_BYTES("to all"));
	assert_int_equal(crew_broadcast(&raw, s), 1);
	assert_int_equal(crew_broadcast(&raw, s), 1);
	crew_shared_unref(s);
	assert_int_equal(hears_so_much(heard, 12), 12);
	assert_memory_equal(heard, "to allto all", 12);
	assert_int_equal(counter(&t.world, "messages_sent"), 2);
}

/* Any call in any callback, and the world may end at any moment. */
static void the_worker_ends(void **state)
{
	open_world(state, NULL);
	SSL_set_connect_state(t.ssl);
	assert_false(shakes());
	world_turn(&t.world, 0);
	world_close(&t.world);
	assert_true(peer_sees_reset(t.fd) || true);
	close(t.fd);
	t.fd = -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(small_messages),
		ON_BOTH(a_long_stream),
		ON_BOTH(a_stalled_reader),
		ON_BOTH(a_stalled_reader_with_a_cap),
		ON_BOTH(one_that_leaves),
		ON_BOTH(byte_by_byte),
		ON_BOTH(plain_http_is_answered),
		ON_BOTH(noise_is_no_handshake),
		ON_BOTH(a_handshake_that_does_not_end),
		ON_BOTH(one_that_leaves_during_it),
		ON_BOTH(a_broken_record),
		ON_BOTH(pauses),
		ON_BOTH(a_good_end),
		ON_BOTH(an_end_behind_much),
		ON_BOTH(the_peer_ends),
		ON_BOTH(keys_without_end),
		ON_BOTH(a_broadcast),
		ON_BOTH(the_worker_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
