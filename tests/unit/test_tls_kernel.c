/* test_tls_kernel.c - TLS records that the kernel makes, with a kernel that is made up: it takes
 * the keys (or not) and then encrypts nothing, so that the peer reads plainly what it was given to
 * encrypt. Whether a real kernel makes of it what a client understands is tried by tests/ktls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/tls.h"
#include "net_ways.h"
#include "tls_ways.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	MUCH = 700 * 1000,
	SOL_OF_TLS = 282, /* of linux/socket.h */
	TICKET = 4,       /* RFC 8446 section 4: handshake messages begin with their type */
};

/* ---- the kernel -------------------------------------------------------------------------------
 */

static struct {
	bool refuses_keys;
	bool is_full;       /* takes no plain bytes */
	bool is_full_there; /* takes no records of other kinds than data */
	unsigned keys, kinds;
} kernel;

/* OpenSSL is to find these as well. */
#define VISIBLE __attribute__((visibility("default")))

VISIBLE int setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
	if (level == IPPROTO_TCP && name == TCP_ULP)
		return 0;
	if (level == SOL_OF_TLS && kernel.refuses_keys) {
		errno = EINVAL;
		return -1;
	}
	if (level == SOL_OF_TLS) {
		kernel.keys++;
		return 0;
	}
	return (int)syscall(SYS_setsockopt, fd, level, name, value, size);
}

VISIBLE ssize_t send(int fd, const void *data, size_t len, int flags)
{
	if (kernel.is_full) {
		errno = EAGAIN;
		return -1;
	}
	return syscall(SYS_sendto, fd, data, len, flags, NULL, 0);
}

VISIBLE ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	bool other = message->msg_controllen > 0;
	kernel.kinds += other;
	if (other ? kernel.is_full_there : kernel.is_full) {
		errno = EAGAIN;
		return -1;
	}
	return syscall(SYS_sendmsg, fd, message, flags);
}

/* ---- the program ------------------------------------------------------------------------------
 */

static struct {
	struct world world;
	int fd;
	SSL_CTX *client;
	SSL *ssl;
	unsigned echoes;
	char *room;
} t;

static void on_message(crew_conn *c, crew_msg msg)
{
	for (unsigned i = 0; i < t.echoes; i++)
		crew_send(c, msg.body);
}

static const crew_service raw = {
	.name = "raw",
	.listen = "tls://127.0.0.1:1",
	.on_open = tell_open,
	.on_message = on_message,
	.on_error = tell_error,
	.on_drain = tell_drain,
	.on_close = tell_close,
};

static void large_queue(struct crew__service_settings *settings)
{
	settings->max_send_buffer = 8 * MUCH;
}

static void set_tls(bool tickets)
{
	static const char secret[CREW__TLS_SECRET] = "a secret";
	struct tls_made authority = tls_authority("test");
	struct tls_made made = tls_server(&authority, "DNS:a.example");
	const struct crew__tls_pair pair = {
		.name = "a", .cert = made.cert_pem, .key = made.key_pem
	};
	const struct crew__tls_server_plan plan = {
		.pairs = &pair,
		.count = 1,
		.least_version = TLS1_2_VERSION,
		.ticket_secret = { secret, tickets ? sizeof(secret) : 0 },
		.ticket_epoch = crew__tls_epoch(),
		.ktls = true,
	};
	struct crew__tls_context *context;
	char error[256];
	assert_int_equal(crew__tls_server_new(&plan, &context, error, sizeof(error)), 0);
	crew__net_set_tls(&t.world.worker->net, context);
	crew__tls_context_unref(context);
}

static void open_world(void **state, bool tickets)
{
	told_anew();
	memset(&kernel, 0, sizeof(kernel));
	assert_true(world_open(&t.world, &raw, engine_of(state), large_queue));
	set_tls(tickets);
	t.fd = world_connect(&t.world);
	assert_true(t.fd >= 0);
	t.client = SSL_CTX_new(TLS_client_method());
	t.ssl = SSL_new(t.client);
	SSL_set_fd(t.ssl, t.fd);
	SSL_set_connect_state(t.ssl);
	t.room = malloc(2 * MUCH + 64);
	assert_non_null(t.room);
	t.echoes = 1;
}

static int clean_up(void **state)
{
	(void)state;
	memset(&kernel, 0, sizeof(kernel));
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
	world_until(&t.world, shakes());
	world_until(&t.world, strcmp(told(), "open") == 0);
	told_anew();
}

static void says(const char *text)
{
	ERR_clear_error();
	assert_int_equal(SSL_write(t.ssl, text, (int)strlen(text)), (int)strlen(text));
}

/* What the kernel was to encrypt. */
static size_t hears(char *room, size_t size)
{
	return peer_hears_all(&t.world, t.fd, room, size);
}

static crew_conn *conn(void)
{
	return world_conn(&t.world, 0);
}

/* ---- tests ------------------------------------------------------------------------------------
 */

static void the_kernel_encrypts(void **state)
{
	char heard[64];
	open_world(state, false);
	shake_hands();
	assert_int_equal(kernel.keys, 1);
	assert_int_equal(conn()->io, CREW__IO_KTLS);
	assert_string_equal(SSL_get_version(crew__conn_tls(conn())), "TLSv1.3");
	uint64_t out = counter(&t.world, "bytes_out");
	for (unsigned i = 0; i < 20; i++) {
		says("hello");
		assert_int_equal(hears(heard, sizeof(heard)), 5);
		assert_memory_equal(heard, "hello", 5);
	}
	assert_int_equal(counter(&t.world, "messages_sent"), 20);
	assert_int_equal(counter(&t.world, "bytes_out") - out, 20 * 5);
	assert_string_equal(t.world.worker->net.stats.tls->ktls, "");
	assert_int_equal(t.world.worker->net.table->by_kernel, 1);
}

/* What is said of the service is what is so at present. */
static void shown_while_it_is_so(void **state)
{
	open_world(state, false);
	shake_hands();
	close(t.fd);
	t.fd = -1;
	world_until(&t.world, counter(&t.world, "connections") == 0);
	assert_int_equal(t.world.worker->net.table->by_kernel, 0);
	assert_string_equal(t.world.worker->net.stats.tls->ktls, crew__ktls_unused);
}

/* Without tls 1.3: our last message of the handshake is the kernel's to encrypt. */
static void the_older_version(void **state)
{
	char heard[64];
	open_world(state, false);
	SSL_set_max_proto_version(t.ssl, TLS1_2_VERSION);
	world_until(&t.world, kernel.keys > 0 || (shakes(), false));
	world_settle(&t.world);
	assert_string_equal(told(), "open");
	assert_int_equal(conn()->io, CREW__IO_KTLS);
	crew_send(conn(), CREW_BYTES("plain"));
	size_t n = hears(heard, sizeof(heard));
	assert_true(n >= 5);
	assert_memory_equal(heard + n - 5, "plain", 5);
}

static void a_kernel_that_refuses_keys(void **state)
{
	char heard[64];
	open_world(state, false);
	kernel.refuses_keys = true;
	shake_hands();
	assert_int_equal(conn()->io, CREW__IO_TLS);
	says("hello");
	world_settle(&t.world);
	assert_int_equal(SSL_read(t.ssl, heard, sizeof(heard)), 5);
	assert_memory_equal(heard, "hello", 5);
	assert_int_equal(t.world.worker->net.table->by_kernel, 0);
}

/* Keys come right behind the last record that was encrypted here, or not at all. */
static void a_socket_that_is_full_when_keys_come(void **state)
{
	char heard[64];
	open_world(state, false);
	kernel.is_full = true;
	assert_false(shakes());
	for (unsigned i = 0; i < 5; i++)
		world_turn(&t.world, 1);
	assert_int_equal(kernel.keys, 0);
	kernel.is_full = false;
	shake_hands();
	assert_int_equal(conn()->io, CREW__IO_TLS);
	says("hello");
	world_settle(&t.world);
	assert_int_equal(SSL_read(t.ssl, heard, sizeof(heard)), 5);
}

static void tickets_that_find_no_room(void **state)
{
	char heard[2048];
	open_world(state, true);
	kernel.is_full_there = true;
	world_until(&t.world, shakes());
	world_until(&t.world, kernel.kinds > 3);
	assert_string_equal(told(), "");
	assert_true(conn()->flags & CREW__C_WRITING);
	kernel.is_full_there = false;
	world_until(&t.world, strcmp(told(), "open") == 0);
	assert_int_equal(conn()->io, CREW__IO_KTLS);
	assert_true(hears(heard, sizeof(heard)) > 100);
	assert_int_equal(heard[0], TICKET);
	says("hello");
	assert_int_equal(hears(heard, sizeof(heard)), 5);
	assert_false(conn()->flags & CREW__C_WRITING);
}

/* One who leaves while they wait. */
static void leaving_before_the_tickets(void **state)
{
	open_world(state, true);
	kernel.is_full_there = true;
	world_until(&t.world, shakes());
	world_until(&t.world, kernel.kinds > 3);
	close(t.fd);
	t.fd = -1;
	world_until(&t.world, counter(&t.world, "connections") == 0);
	assert_int_equal(t.world.worker->net.table->by_kernel, 0);
}

static void fill(char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		data[i] = (char)(i * 31 + (i >> 9));
}

/* What waits for a reader that stalls leaves whole; and then, not before, comes close_notify. */
static void a_stalled_reader_and_the_end(void **state)
{
	open_world(state, false);
	shake_hands();
	fill(t.room, MUCH);
	for (unsigned i = 0; i < MUCH / 10000; i++)
		assert_true(crew_send(conn(), (crew_bytes){ t.room + i * 10000, 10000 }) >= 0);
	world_settle(&t.world);
	assert_true(counter(&t.world, "bytes_queued") > 0);
	crew_close(conn());
	char *heard = t.room + MUCH;
	assert_int_equal(hears(heard, MUCH + 1), MUCH);
	assert_memory_equal(heard, t.room, MUCH);
	assert_int_equal(hears(heard, 64), 2);
	assert_int_equal(heard[0], SSL3_AL_WARNING);
	assert_int_equal(heard[1], SSL3_AD_CLOSE_NOTIFY);
	assert_int_equal(counter(&t.world, "messages_sent"), MUCH / 10000);
	assert_int_equal(counter(&t.world, "messages_queued"), 0);
	/* The stream's own end could overtake what the kernel has not encrypted yet. */
	assert_false(peer_sees_end(t.fd));
	close(t.fd);
	t.fd = -1;
	world_until(&t.world, counter(&t.world, "connections") == 0);
	assert_string_equal(told(), "close:app");
}

/* close_notify that finds no room: the connection waits for it. */
static void a_goodbye_that_waits(void **state)
{
	char heard[64];
	open_world(state, false);
	shake_hands();
	kernel.is_full_there = true;
	crew_close(conn());
	for (unsigned i = 0; i < 5; i++)
		world_turn(&t.world, 1);
	assert_true(conn()->flags & CREW__C_WRITING);
	assert_true(crew__conn_holds(conn()));
	kernel.is_full_there = false;
	assert_int_equal(hears(heard, sizeof(heard)), 2);
	assert_int_equal(heard[1], SSL3_AD_CLOSE_NOTIFY);
	assert_false(crew__conn_holds(conn()));
}

/* Files go by sendfile(2), which takes much at once. */
static void a_file(void **state)
{
	open_world(state, false);
	shake_hands();
	fill(t.room, MUCH);
	int fd = memfd_create("file", MFD_CLOEXEC);
	assert_int_equal(write(fd, t.room, MUCH), MUCH);
	const struct crew__file_part part = { .fd = fd, .offset = 1000, .len = MUCH - 1000 };
	assert_true(crew__conn_begin_parts(conn()) >= 0);
	assert_true(crew__conn_part_file(conn(), &part, true) >= 0);
	char *heard = t.room + MUCH;
	assert_int_equal(hears(heard, MUCH), MUCH - 1000);
	assert_memory_equal(heard, t.room + 1000, MUCH - 1000);
	assert_int_equal(counter(&t.world, "messages_sent"), 1);
	close(fd);
}

static void new_keys_of_the_peer(void **state)
{
	char heard[64];
	open_world(state, false);
	shake_hands();
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(SSL_key_update(t.ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
		says("hello");
		assert_int_equal(hears(heard, sizeof(heard)), 5);
	}
}

/* They cannot be given to the kernel: nothing is sent that would need them, and the goodbye can be
 * understood by one who has none yet. */
static void new_keys_that_are_asked_for(void **state)
{
	char heard[64];
	open_world(state, false);
	shake_hands();
	says("first");
	assert_int_equal(SSL_key_update(t.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
	says("second");
	world_until(&t.world, counter(&t.world, "connections") == 0);
	assert_string_equal(told(), "close:protocol");
	assert_int_equal(hears(heard, sizeof(heard)), 13);
	assert_memory_equal(heard, "firstsecond", 11);
	assert_int_equal(heard[11], SSL3_AL_WARNING);
	assert_int_equal(heard[12], SSL3_AD_CLOSE_NOTIFY);
}

static void a_broken_record(void **state)
{
	open_world(state, false);
	shake_hands();
	static const char record[] = { 0x17, 3, 3, 0, 32, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13,
		14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32 };
	peer_says(t.fd, (crew_bytes){ record, sizeof(record) });
	world_until(&t.world, counter(&t.world, "connections") == 0);
	assert_string_equal(told(), "close:protocol");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(the_kernel_encrypts),
		ON_BOTH(shown_while_it_is_so),
		ON_BOTH(the_older_version),
		ON_BOTH(a_kernel_that_refuses_keys),
		ON_BOTH(a_socket_that_is_full_when_keys_come),
		ON_BOTH(tickets_that_find_no_room),
		ON_BOTH(leaving_before_the_tickets),
		ON_BOTH(a_stalled_reader_and_the_end),
		ON_BOTH(a_goodbye_that_waits),
		ON_BOTH(a_file),
		ON_BOTH(new_keys_of_the_peer),
		ON_BOTH(new_keys_that_are_asked_for),
		ON_BOTH(a_broken_record),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
