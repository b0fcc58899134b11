/* Outgoing WebSockets: the handshake, whole and byte by byte, refused, broken off and late; frames
 * both ways. */
#include "connect_ways.h"

#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static const crew_service worker_service = { .name = "worker", .listen = "tcp://:1" };
static enum crew__engine_kind engine = CREW__ENGINE_AUTO;

static struct world world;
static int listener;
static char url[64];

static int open_it(void **state)
{
	(void)state;
	hear_nothing();
	listener = listen_here("ws", url);
	return world_open(&world, &worker_service, engine, NULL) ? 0 : -1;
}

static int close_it(void **state)
{
	(void)state;
	world_close(&world);
	close(listener);
	return 0;
}

static crew_service plain_service(void)
{
	crew_service service = ways_service;
	service.deflate = "off";
	return service;
}

static crew_conn *connect_with(const crew_connect_options *options)
{
	crew_conn *c = crew_connect(url, options);
	assert_non_null(c);
	return c;
}

/* The request of the next client, NUL behind it. */
static int take_request(char *text, size_t size)
{
	int peer = take_peer(&world, listener);
	size_t len = 0;
	text[0] = '\0';
	for (int turns = 0; !strstr(text, "\r\n\r\n") && turns < 2000; turns++) {
		ssize_t n = recv(peer, text + len, size - 1 - len, 0);
		if (n > 0)
			len += (size_t)n;
		text[len] = '\0';
		if (n < 0)
			world_turn(&world, 2);
	}
	assert_non_null(strstr(text, "\r\n\r\n"));
	return peer;
}

static void answer_to(const char *request, char *answer, size_t size, const char *more)
{
	const char *key = strstr(request, "Sec-WebSocket-Key: ");
	assert_non_null(key);
	char accept[29];
	assert_true(crew__ws_accept((crew_bytes){ key + 19, 24 }, accept));
	snprintf(answer, size,
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Accept: %s\r\n%s\r\n",
		accept, more);
}

/* A masked frame of the client's, of which `text` is the payload. */
static void expect_frame(int peer, unsigned byte0, const char *text)
{
	unsigned char frame[256];
	size_t len = strlen(text), have = 0;
	for (int turns = 0; have < 6 + len && turns < 2000; turns++) {
		ssize_t n = recv(peer, frame + have, 6 + len - have, 0);
		if (n > 0)
			have += (size_t)n;
		else
			world_turn(&world, 2);
	}
	assert_int_equal(have, 6 + len);
	assert_int_equal(frame[0], byte0);
	assert_int_equal(frame[1], 0x80 + len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(frame[6 + i] ^ frame[2 + i % 4], (unsigned char)text[i]);
}

/* ---- it stands ----------------------------------------------------------------------------- */

static void it_stands_and_speaks(void **state)
{
	(void)state;
	crew_service service = plain_service();
	static const crew_header headers[] = { { CREW_BYTES("X-A"), CREW_BYTES("b") },
		{ { NULL, 0 }, { NULL, 0 } } };
	const crew_connect_options options = {
		.service = &service, .headers = headers, .protocols = "b a"
	};
	snprintf(url + strlen(url), 8, "/p?q=1");
	char host[64], request[2048], answer[512];
	snprintf(host, sizeof(host), "\r\nHost: %.*s\r\n", (int)strcspn(url + 5, "/"), url + 5);
	crew_conn *c = connect_with(&options);
	assert_true(crew_send(c, CREW_BYTES("early")) > 0); /* waits for the handshake */
	int peer = take_request(request, sizeof(request));
	assert_memory_equal(request, "GET /p?q=1 HTTP/1.1\r\n", 21);
	assert_non_null(strstr(request, host));
	assert_non_null(strstr(request, "\r\nX-A: b\r\n"));
	assert_non_null(strstr(request, "\r\nSec-WebSocket-Protocol: b, a\r\n"));
	assert_null(strstr(request, "Extensions"));
	assert_int_equal(heard.opens, 0);
	answer_to(request, answer, sizeof(answer), "Sec-WebSocket-Protocol: a\r\n");
	strcat(answer, "\x81\x02hi"); /* a frame in the same packet */
	put_bytes(peer, answer, strlen(answer));
	wait_heard(&world, "open msg:hi");
	assert_string_equal(crew_websocket_protocol(c), "a");
	expect_frame(peer, 0x81, "early");
	crew_send(c, CREW_BYTES("late"));
	expect_frame(peer, 0x81, "late");
	crew_close(c);
	expect_frame(peer, 0x88, "\x03\xe8");
	put_bytes(peer, "\x88\x02\x03\xe8", 4);
	WAIT(&world, c->record->state != CREW__CONN_CLOSING);
	close(peer);
	wait_heard(&world, "open msg:hi close:app");
}

static void the_answer_may_come_byte_by_byte(void **state)
{
	(void)state;
	crew_service service = plain_service();
	const crew_connect_options options = { .service = &service };
	char request[2048], answer[512];
	connect_with(&options);
	int peer = take_request(request, sizeof(request));
	answer_to(request, answer, sizeof(answer), "");
	strcat(answer, "\x81\x02hi");
	for (size_t i = 0; i < strlen(answer); i++) {
		put_bytes(peer, answer + i, 1);
		world_turn(&world, 0);
	}
	wait_heard(&world, "open msg:hi");
	close(peer);
	WAIT(&world, heard.closes == 1);
}

/* A queue that is more than half full, or the program's pause, does not keep the answer from being
 * read. */
static void what_waits_does_not_hold_up_the_handshake(void **state)
{
	(void)state;
	static char big[60 * 1024];
	crew_service service = plain_service();
	const crew_connect_options options = { .service = &service };
	char request[2048], answer[512];
	crew_conn *c = connect_with(&options);
	assert_true(crew_send(c, (crew_bytes){ big, sizeof(big) }) > 0);
	assert_int_equal(crew_pause(c), 0);
	int peer = take_request(request, sizeof(request));
	answer_to(request, answer, sizeof(answer), "");
	strcat(answer, "\x81\x02hi");
	for (size_t i = 0; i < strlen(answer); i++) {
		put_bytes(peer, answer + i, 1);
		world_turn(&world, 0);
	}
	wait_heard(&world, "open");
	size_t got = 0;
	for (ssize_t n; got < sizeof(big) + 8; got += (size_t)n) {
		static char room[sizeof(big)];
		while ((n = recv(peer, room, sizeof(room), 0)) < 0)
			world_turn(&world, 1);
		assert_true(n > 0);
	}
	world_settle(&world);
	assert_string_equal(heard.words, "open");
	crew_resume(c);
	wait_heard(&world, "open msg:hi");
	close(peer);
	WAIT(&world, heard.closes == 1);
}

/* Who is not there yet is not slow: soft_limit_ms begins when it stands. */
static void nobody_is_slow_before_it_stands(void **state)
{
	(void)state;
	static char waits[1000];
	crew_service service = plain_service();
	service.soft_limit = 1;
	service.soft_limit_ms = 60;
	const crew_connect_options options = { .service = &service };
	char request[2048], answer[512];
	crew_conn *c = connect_with(&options);
	assert_int_equal(crew_set_rate(c, 1000, CREW_OFF), 0);
	for (int i = 0; i < 8; i++)
		assert_true(crew_send(c, (crew_bytes){ waits, sizeof(waits) }) > 0);
	int peer = take_request(request, sizeof(request));
	for (uint64_t until = crew_now_ms() + 150; crew_now_ms() < until;)
		world_turn(&world, 2);
	assert_string_equal(heard.words, "");
	answer_to(request, answer, sizeof(answer), "");
	put_bytes(peer, answer, strlen(answer));
	wait_heard(&world, "open");
	uint64_t open_at = crew_now_ms();
	WAIT(&world, heard.closes == 1); /* the cap holds the rest back */
	assert_true(crew_now_ms() - open_at >= 40);
	assert_non_null(strstr(heard.words, "close:full"));
	close(peer);
}

static void compression_is_agreed_on(void **state)
{
	(void)state;
	const crew_connect_options options = { .service = &ways_service };
	char request[2048], answer[512];
	crew_conn *c = connect_with(&options);
	int peer = take_request(request, sizeof(request));
	assert_non_null(strstr(request, "\r\nSec-WebSocket-Extensions: permessage-deflate"));
	answer_to(request, answer, sizeof(answer),
		"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
		"client_no_context_takeover\r\n");
	put_bytes(peer, answer, strlen(answer));
	WAIT(&world, heard.opens == 1);
	/* "Hello", of RFC 7692 section 7.2.3.1 */
	put_bytes(peer, "\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00", 9);
	wait_heard(&world, "open msg:Hello");
	static char long_text[2048];
	memset(long_text, 'a', sizeof(long_text));
	int64_t queued = crew_send(c, (crew_bytes){ long_text, sizeof(long_text) });
	assert_in_range(queued, 1, 100);
	close(peer);
	WAIT(&world, heard.closes == 1);
}

/* A frame that the server masks is a violation: the roles are told apart (row 2 of field-bugs). */
static void a_masked_frame_of_the_server_ends_it(void **state)
{
	(void)state;
	crew_service service = plain_service();
	const crew_connect_options options = { .service = &service };
	char request[2048], answer[512];
	connect_with(&options);
	int peer = take_request(request, sizeof(request));
	answer_to(request, answer, sizeof(answer), "");
	put_bytes(peer, answer, strlen(answer));
	WAIT(&world, heard.opens == 1);
	put_bytes(peer, "\x81\x82\0\0\0\0hi", 8);
	expect_frame(peer, 0x88, "\x03\xea");
	close(peer);
	wait_heard(&world, "open close:protocol");
}

/* ---- it does not --------------------------------------------------------------------------- */

/* What a server does instead of answering, and what is said of it. */
static const struct {
	const char *answer; /* NULL: nothing */
	const char *word;
	bool closes;
} refusals[] = {
	{ "HTTP/1.1 404 Not Found\r\n\r\n", "404", false },
	{ "HTTP/1.1 301 Moved\r\nLocation: ws://b/\r\n\r\n", "ws://b/", false },
	{ "220 mail.example\r\n", "HTTP/1.1", false },
	{ "HTTP/1.1 101 Up\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	  "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
		"key", false },
	{ "HTTP/1.1 101 Up\r\n", "closed the connection", true },
	{ NULL, "closed the connection", true },
	{ NULL, "handshake_timeout_ms", false },
	{ "HTTP/1.1 101 Up\r\n", "handshake_timeout_ms", false },
};

static void refusals_are_failures(void **state)
{
	(void)state;
	for (size_t i = 0; i < crew__lengthof(refusals); i++) {
		const crew_connect_options options = { .service = &ways_service };
		char request[2048];
		hear_nothing();
		crew_conn *c = connect_with(&options);
		crew_send(c, CREW_BYTES("lost"));
		int peer = take_request(request, sizeof(request));
		if (refusals[i].answer)
			put_bytes(peer, refusals[i].answer, strlen(refusals[i].answer));
		if (refusals[i].closes)
			close(peer);
		wait_heard(&world, "lost:handshake:1 close:handshake");
		if (!strstr(heard.why, refusals[i].word))
			fail_msg("%zu: %s", i, heard.why);
		if (!refusals[i].closes)
			close(peer);
	}
}

static void a_reset_is_a_failed_handshake(void **state)
{
	(void)state;
	const crew_connect_options options = { .service = &ways_service };
	char request[2048];
	crew_send(connect_with(&options), CREW_BYTES("lost"));
	int peer = take_request(request, sizeof(request));
	const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(peer);
	wait_heard(&world, "lost:handshake:1 close:handshake");
	assert_true(heard.why[0]);
}

static void closing_while_it_asks(void **state)
{
	(void)state;
	for (int way = 0; way < 4; way++) {
		const crew_connect_options options = { .service = &ways_service };
		char request[2048];
		hear_nothing();
		crew_conn *c = connect_with(&options);
		crew_send(c, CREW_BYTES("lost"));
		int peer = take_request(request, sizeof(request));
		if (way == 0)
			crew_close(c);
		else if (way == 1)
			crew_close_with(c, 4000, CREW_BYTES("bye"));
		else if (way == 2)
			crew_abort(c);
		else
			assert_int_equal(crew_finish(c), 0); /* as crew_close */
		wait_heard(&world, "lost:aborted:1 close:app");
		char rest[64];
		assert_true(recv(peer, rest, sizeof(rest), 0) <= 0); /* no close frame */
		close(peer);
	}
}

static void stopping_while_it_asks(void **state)
{
	(void)state;
	for (int graceful = 0; graceful < 2; graceful++) {
		const crew_connect_options options = {
			.service = &ways_service, .retry_ms = 1, .on_retry = heard_retry
		};
		char request[2048];
		hear_nothing();
		connect_with(&options);
		int peer = take_request(request, sizeof(request));
		world.done = false;
		stop_world(&world, graceful);
		assert_string_equal(heard.words, "close:drain");
		close(peer);
		world_close(&world);
		assert_true(world_open(&world, &worker_service, engine, NULL));
	}
}

static void close_when_open(crew_conn *c, const char *word)
{
	if (strcmp(word, "open") == 0)
		crew_close_with(c, 4001, CREW_BYTES("no"));
	if (strcmp(word, "msg:abort") == 0)
		crew_abort(c);
}

/* Row 13: the program ends it in the callback that tells of it, with frames right behind the
 * answer. */
static void closing_in_on_open(void **state)
{
	(void)state;
	crew_service service = plain_service();
	const crew_connect_options options = { .service = &service };
	char request[2048], answer[512];
	on_heard = close_when_open;
	connect_with(&options);
	int peer = take_request(request, sizeof(request));
	answer_to(request, answer, sizeof(answer), "");
	strcat(answer, "\x81\x02hi\x81\x02ho");
	put_bytes(peer, answer, strlen(answer));
	expect_frame(peer, 0x88, "\x0f\xa1no");
	close(peer);
	wait_heard(&world, "open close:app");
}

static void aborting_in_on_message(void **state)
{
	(void)state;
	crew_service service = plain_service();
	const crew_connect_options options = { .service = &service };
	char request[2048], answer[512];
	connect_with(&options);
	int peer = take_request(request, sizeof(request));
	answer_to(request, answer, sizeof(answer), "");
	on_heard = close_when_open;
	strcat(answer, "\x81\x05"
		       "abort\x81\x02ho");
	on_heard = NULL;
	put_bytes(peer, answer, strlen(answer));
	WAIT(&world, heard.opens == 1);
	world_settle(&world);
	assert_string_equal(heard.words, "open msg:abort msg:ho");
	on_heard = close_when_open;
	put_bytes(peer,
		"\x81\x05"
		"abort\x81\x02ho",
		11);
	wait_heard(&world, "open msg:abort msg:ho msg:abort close:app");
	close(peer);
}

/* Two halves of crew: its own server in the same worker is asked by its own client. */
static void a_broadcast_reaches_clients_masked(void **state)
{
	(void)state;
	crew_service service = plain_service();
	const crew_connect_options options = { .service = &service };
	char request[2048], answer[512];
	int peers[2];
	for (int i = 0; i < 2; i++) {
		connect_with(&options);
		peers[i] = take_request(request, sizeof(request));
		answer_to(request, answer, sizeof(answer), "");
		put_bytes(peers[i], answer, strlen(answer));
	}
	WAIT(&world, heard.opens == 2);
	crew_shared *s = crew_shared_new_kind(CREW_BYTES("all"), CREW_BINARY);
	assert_int_equal(crew_broadcast(&service, s), 2);
	crew_shared_unref(s);
	for (int i = 0; i < 2; i++) {
		expect_frame(peers[i], 0x82, "all");
		close(peers[i]);
	}
	WAIT(&world, heard.closes == 2);
}

/* As of any request: the answer may have others before it (RFC 9110 section 15.2). */
static void interim_answers_come_before(void **state)
{
	(void)state;
	for (int whole = 0; whole < 2; whole++) {
		crew_service service = plain_service();
		const crew_connect_options options = { .service = &service };
		char request[2048], answer[512], all[1024];
		hear_nothing();
		connect_with(&options);
		int peer = take_request(request, sizeof(request));
		answer_to(request, answer, sizeof(answer), "");
		int len = snprintf(all, sizeof(all),
			"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: a\r\n\r\n%s"
			"\x81\x02hi",
			answer);
		for (int i = 0; i < len; i += whole ? len : 1) {
			put_bytes(peer, all + i, whole ? (size_t)len : 1);
			world_turn(&world, 1);
		}
		WAIT(&world, strcmp(heard.words, "open msg:hi") == 0);
		close(peer);
		WAIT(&world, heard.closes == 1);
	}
}

static void no_part(crew_conn *c, crew_msg part, bool last)
{
	(void)part;
	(void)last;
	heard_word(c, "part");
}

static int shake_hands(crew_conn **ret_conn, const crew_service *service)
{
	const crew_connect_options options = { .service = service };
	char request[2048], answer[512];
	unsigned before = heard.opens;
	*ret_conn = connect_with(&options);
	int peer = take_request(request, sizeof(request));
	answer_to(request, answer, sizeof(answer), "");
	put_bytes(peer, answer, strlen(answer));
	WAIT(&world, heard.opens == before + 1);
	return peer;
}

/* Parts cannot be begun on one that does not stand yet: they wait where they come from. */
static void parts_wait_for_what_they_flow_into(void **state)
{
	(void)state;
	for (int stands = 1; stands >= 0; stands--) {
		crew_service service = plain_service(), parted = plain_service();
		char request[2048], answer[512];
		const crew_connect_options options = { .service = &service };
		crew_conn *from;
		hear_nothing();
		parted.on_part = no_part;
		int source = shake_hands(&from, &parted);
		crew_conn *to = connect_with(&options);
		assert_int_equal(crew_pipe(from, to), 0);
		put_bytes(source, "\x02\x03one\x80\x03two\x81\x03six", 15);
		int sink = take_request(request, sizeof(request));
		for (int i = 0; i < 20; i++)
			world_turn(&world, 1);
		assert_int_equal(heard.closes, 0);
		answer_to(request, answer, sizeof(answer), "");
		put_bytes(sink, stands ? answer : "HTTP/1.1 403 No\r\n\r\n",
			stands ? strlen(answer) : 19);
		if (stands) {
			expect_frame(sink, 0x02, "one");
			expect_frame(sink, 0x00, "two");
			expect_frame(sink, 0x80, "");
			expect_frame(sink, 0x01, "six");
			expect_frame(sink, 0x80, "");
		}
		close(source);
		close(sink);
		WAIT(&world, heard.closes == 2); /* both end with either */
		assert_null(strstr(heard.words, "part"));
	}
}

static int on_poll(void **state)
{
	(void)state;
	engine = CREW__ENGINE_POLL;
	return 0;
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, open_it, close_it)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_stands_and_speaks),
		TEST(the_answer_may_come_byte_by_byte),
		TEST(what_waits_does_not_hold_up_the_handshake),
		TEST(nobody_is_slow_before_it_stands),
		TEST(compression_is_agreed_on),
		TEST(a_masked_frame_of_the_server_ends_it),
		TEST(refusals_are_failures),
		TEST(a_reset_is_a_failed_handshake),
		TEST(closing_while_it_asks),
		TEST(stopping_while_it_asks),
		TEST(closing_in_on_open),
		TEST(aborting_in_on_message),
		TEST(a_broadcast_reaches_clients_masked),
		TEST(interim_answers_come_before),
		TEST(parts_wait_for_what_they_flow_into),
	};
	int failed = cmocka_run_group_tests_name("epoll", tests, NULL, NULL);
	return failed + cmocka_run_group_tests_name("poll", tests, on_poll, NULL);
}
