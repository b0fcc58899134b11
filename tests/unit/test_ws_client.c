/* The WebSocket handshake of a client: what is asked, what the program may add, and which answers
 * are taken. */
#include "web/ws_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* The key and its answer are those of RFC 6455 section 1.3. */
#define KEY    "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
#define UP     "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define OK     "HTTP/1.1 101 Switching Protocols\r\n"

static struct crew__ws_ask an_ask(void)
{
	return (struct crew__ws_ask){
		.key = KEY,
		.authority = CREW_BYTES("feed.example:81"),
		.target = CREW_BYTES("/chat?a=b"),
	};
}

/* ---- the request --------------------------------------------------------------------------- */

static void check_request(const struct crew__ws_ask *ask, const char *wanted)
{
	struct crew__buf out;
	crew__buf_init(&out, CREW__WS_ASK_MOST);
	assert_int_equal(crew__ws_ask_write(ask, &out), 0);
	assert_int_equal(out.len, strlen(wanted));
	assert_memory_equal(out.data, wanted, out.len);
	crew__buf_release(&out);
}

static void the_request_says_what_it_must(void **state)
{
	(void)state;
	struct crew__ws_ask ask = an_ask();
	check_request(&ask, "GET /chat?a=b HTTP/1.1\r\nHost: feed.example:81\r\n" UP
			    "Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 13\r\n\r\n");
	static const crew_header headers[] = { { CREW_BYTES("Authorization"), CREW_BYTES("x y") },
		{ CREW_BYTES("hOST"), CREW_BYTES("other") }, { CREW_BYTES("Empty"), { NULL, 0 } },
		{ { NULL, 0 }, { NULL, 0 } } };
	ask.headers = headers;
	ask.protocols = "  chat.v2   chat.v1 ";
	ask.deflate = true;
	ask.resets = true;
	char wanted[1024];
	snprintf(wanted, sizeof(wanted),
		"GET /chat?a=b HTTP/1.1\r\n" UP "Sec-WebSocket-Key: " KEY "\r\n"
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat.v2, chat.v1\r\n"
		"Sec-WebSocket-Extensions: %s\r\n"
		"Authorization: x y\r\nhOST: other\r\nEmpty: \r\n\r\n",
		crew__ws_extension_offer(true));
	check_request(&ask, wanted);
	ask.headers = NULL;
	ask.protocols = "   ";
	ask.deflate = false;
	check_request(&ask, "GET /chat?a=b HTTP/1.1\r\nHost: feed.example:81\r\n" UP
			    "Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 13\r\n\r\n");
}

static void a_request_is_bounded(void **state)
{
	(void)state;
	struct crew__ws_ask ask = an_ask();
	struct crew__buf out;
	for (size_t most = 0; most < 150; most += 7) {
		crew__buf_init(&out, most);
		assert_int_equal(crew__ws_ask_write(&ask, &out), -ENOBUFS);
		crew__buf_release(&out);
	}
}

static void keys_differ_and_are_16_bytes(void **state)
{
	(void)state;
	struct crew__ws_ask one = an_ask(), other = an_ask();
	assert_int_equal(crew__ws_ask_key(&one), 0);
	assert_int_equal(crew__ws_ask_key(&other), 0);
	assert_int_equal(strlen(one.key), 24);
	assert_string_equal(one.key + 22, "==");
	assert_string_not_equal(one.key, other.key);
}

static const struct {
	const char *name, *value, *word; /* NULL: it is good */
} fields[] = {
	{ "Authorization", "Basic x", NULL },
	{ "Cookie", "a=b\tc", NULL },
	{ "Host", "x", NULL },
	{ "Origin", "https://a", NULL },
	{ "Sec-WebSocke", "x", NULL },
	{ "", "x", "no name" },
	{ "a b", "x", "no name" },
	{ "a:", "x", "no name" },
	{ "a\r\nb", "x", "no name" },
	{ "a", "x\r\nb: c", "control" },
	{ "a", "x\n", "control" },
	{ "a", "\x7f", "control" },
	{ "Sec-WebSocket-Key", "x", "handshake" },
	{ "sec-websocket-", "x", "handshake" },
	{ "SEC-WEBSOCKET-PROTOCOL", "x", "handshake" },
	{ "Sec-WebSocket-Extensions", "x", "handshake" },
	{ "upgrade", "x", "handshake" },
	{ "Connection", "close", "handshake" },
	{ "content-length", "0", "handshake" },
	{ "Transfer-Encoding", "chunked", "handshake" },
	{ "Expect", "100-continue", "handshake" },
};

static void fields_cannot_change_what_is_asked(void **state)
{
	(void)state;
	for (size_t i = 0; i < crew__lengthof(fields); i++) {
		char error[256] = "";
		const crew_header headers[] = { { crew_str(fields[i].name),
							crew_str(fields[i].value) },
			{ { NULL, 0 }, { NULL, 0 } } };
		int result = crew__ws_ask_check(headers, NULL, error, sizeof(error));
		bool good = fields[i].word ? result == -EINVAL && strstr(error, fields[i].word)
					   : result == 0;
		if (!good)
			fail_msg("%s: %s: %d %s", fields[i].name, fields[i].value, result, error);
	}
	char error[256];
	const crew_header nul[] = { { CREW_BYTES("a"), { "b\0c", 3 } },
		{ { NULL, 0 }, { NULL, 0 } } };
	assert_int_equal(crew__ws_ask_check(nul, NULL, error, sizeof(error)), -EINVAL);
	const crew_header none[] = { { CREW_BYTES("a"), { NULL, 3 } },
		{ { NULL, 0 }, { NULL, 0 } } };
	assert_int_equal(crew__ws_ask_check(none, NULL, error, sizeof(error)), -EINVAL);
	const crew_header hosts[] = { { CREW_BYTES("host"), CREW_BYTES("a") },
		{ CREW_BYTES("Host"), CREW_BYTES("b") }, { { NULL, 0 }, { NULL, 0 } } };
	assert_int_equal(crew__ws_ask_check(hosts, NULL, error, sizeof(error)), -EINVAL);
	crew_header many[66] = { { { NULL, 0 }, { NULL, 0 } } };
	for (size_t i = 0; i < 64; i++)
		many[i] = (crew_header){ CREW_BYTES("a"), CREW_BYTES("b") };
	assert_int_equal(crew__ws_ask_check(many, NULL, error, sizeof(error)), 0);
	many[64] = many[0];
	assert_int_equal(crew__ws_ask_check(many, NULL, error, sizeof(error)), -EINVAL);
}

static void protocols_are_tokens_that_differ(void **state)
{
	(void)state;
	static const char *const good[] = { "", " ", "a", "a b", "  a  b  ", "a A aa" };
	static const char *const bad[] = { "a,b", "a b a", "a\r\nX:", "a\tb", "a;b", "\x80" };
	char error[256];
	for (size_t i = 0; i < crew__lengthof(good); i++)
		assert_int_equal(crew__ws_ask_check(NULL, good[i], error, sizeof(error)), 0);
	for (size_t i = 0; i < crew__lengthof(bad); i++)
		assert_int_equal(crew__ws_ask_check(NULL, bad[i], error, sizeof(error)), -EINVAL);
	char many[256] = "";
	for (int i = 0; i < 33; i++)
		sprintf(many + strlen(many), "p%d ", i);
	assert_int_equal(crew__ws_ask_check(NULL, many, error, sizeof(error)), -EINVAL);
}

/* ---- the answer ---------------------------------------------------------------------------- */

static const struct {
	const char *text;
	const char *word; /* of the sentence that refuses it; NULL: it is good */
	int status;
} replies[] = {
	{ OK UP ACCEPT "\r\n", NULL, 101 },
	{ "HTTP/1.1 101\r\n" UP ACCEPT "\r\n", NULL, 101 },
	{ "HTTP/1.1 101 \r\n" UP ACCEPT "\r\n", NULL, 101 },
	{ OK "upgrade: WebSocket\r\nconnection: keep-alive, UPGRADE\r\n" ACCEPT "\r\n", NULL, 101 },
	{ OK "Upgrade:websocket\t\r\nConnection: x\r\nConnection: Upgrade\r\n" ACCEPT
	     "Server:\r\n\r\n",
		NULL, 101 },
	{ OK UP ACCEPT "Content-Length: 0\r\n\r\n", NULL, 101 },
	{ OK UP ACCEPT "Sec-WebSocket-Protocol: chat.v1\r\n\r\n", NULL, 101 },
	{ "SSH-2.0-x\r\n", "HTTP/1.1", 0 },
	{ "http/1.1 101 x\r\n", "HTTP/1.1", 0 },
	{ "HTTP/2 101\r\n\r\n", "HTTP/1.1", 0 },
	{ "HTTP/1.1 0x1\r\n\r\n", "HTTP/1.1", 0 },
	{ "HTTP/1.1 099 x\r\n\r\n", "HTTP/1.1", 0 },
	{ "HTTP/1.1 1010 x\r\n\r\n", "HTTP/1.1", 0 },
	{ "HTTP/1.1  101 x\r\n\r\n", "HTTP/1.1", 0 },
	{ "HTTP/1.1 10\r\n\r\n", "HTTP/1.1", 0 },
	{ "HTTP/1.1 101 \x01\r\n\r\n", "HTTP/1.1", 0 },
	{ "HTTP/1.0 101 x\r\n" UP ACCEPT "\r\n", "1.0", 101 },
	{ "HTTP/1.1 200 OK\r\n\r\n", "200 (OK)", 200 },
	{ "HTTP/1.0 404 x\r\n\r\n", "404 (Not Found)", 404 },
	{ "HTTP/1.1 401 x\r\n\r\n", "who we are", 401 },
	{ "HTTP/1.1 302 x\r\nLocation: wss://b/\r\n\r\n", "wss://b/", 302 },
	{ "HTTP/1.1 302 x\r\n\r\n", "302 (Found)", 302 },
	{ "HTTP/1.1 100 x\r\n\r\n", NULL, 100 },
	{ "HTTP/1.1 103 Hints\r\nLink: a\r\n\r\n", NULL, 103 },
	{ "HTTP/1.1 103 Hints\r\nno field\r\n\r\n", "no field", 103 },
	{ OK ACCEPT "\r\n", "Upgrade:", 101 },
	{ OK "Upgrade: websocket\r\n" ACCEPT "\r\n", "Connection:", 101 },
	{ OK "Connection: Upgrade\r\n" ACCEPT "\r\n", "Upgrade:", 101 },
	{ OK "Upgrade: websocket, h2c\r\nConnection: Upgrade\r\n" ACCEPT "\r\n", "Upgrade:", 101 },
	{ OK "Upgrade: websocket\r\n" UP ACCEPT "\r\n", "Upgrade:", 101 },
	{ OK "Upgrade: websocket\r\nConnection: Upgrades\r\n" ACCEPT "\r\n", "Connection:", 101 },
	{ OK UP "\r\n", "Accept", 101 },
	{ OK UP ACCEPT ACCEPT "\r\n", "Accept", 101 },
	{ OK UP "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", "Accept", 101 },
	{ OK UP "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xO\r\n\r\n", "Accept", 101 },
	{ OK UP "Sec-WebSocket-Accept:\r\n\r\n", "Accept", 101 },
	{ OK UP ACCEPT "Content-Length: 5\r\n\r\n", "body", 101 },
	{ OK UP ACCEPT "Content-Length: 00\r\n\r\n", "body", 101 },
	{ OK UP ACCEPT "Transfer-Encoding: chunked\r\n\r\n", "body", 101 },
	{ OK UP ACCEPT "Sec-WebSocket-Protocol: chat.v3\r\n\r\n", "sub-protocol", 101 },
	{ OK UP ACCEPT "Sec-WebSocket-Protocol: Chat.v1\r\n\r\n", "sub-protocol", 101 },
	{ OK UP ACCEPT "Sec-WebSocket-Protocol:\r\n\r\n", "sub-protocol", 101 },
	{ OK UP ACCEPT "Sec-WebSocket-Protocol: chat.v1, chat.v2\r\n\r\n", "sub-protocol", 101 },
	{ OK UP ACCEPT "Sec-WebSocket-Protocol: chat.v1\r\nSec-WebSocket-Protocol: chat.v1\r\n\r\n",
		"sub-protocol", 101 },
	{ OK UP ACCEPT "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", "extensions", 101 },
	{ OK UP ACCEPT "no field\r\n\r\n", "no field", 101 },
	{ OK UP ACCEPT ": x\r\n\r\n", "no field", 101 },
	{ OK UP ACCEPT "a : x\r\n\r\n", "no field", 101 },
	{ OK UP ACCEPT " folded: x\r\n\r\n", "no field", 101 },
	{ OK UP ACCEPT "a: b\nc: d\r\n\r\n", "control", 101 },
	{ OK UP ACCEPT "a: b\rc\r\n\r\n", "control", 101 },
};

static int64_t read_reply(const char *text, size_t len, uint32_t *scanned,
	struct crew__ws_reply *ret_reply, char error[256])
{
	struct crew__ws_ask ask = an_ask();
	ask.protocols = "chat.v2 chat.v1";
	char *copy = malloc(len + 1); /* bytes beyond are noticed */
	memcpy(copy, text, len);
	error[0] = '\0';
	int64_t result = crew__ws_reply_read(
		&ask, (crew_bytes){ copy, len }, scanned, ret_reply, error, 256);
	free(copy);
	return result;
}

static void check_reply(size_t i, int64_t result, int status, const char *error)
{
	bool good = replies[i].word ? result == -EPROTO && strstr(error, replies[i].word)
				    : result == (int64_t)strlen(replies[i].text);
	if (!good || status != replies[i].status)
		fail_msg("%s: %lld %d %s", replies[i].text, (long long)result, status, error);
}

static void answers_are_judged(void **state)
{
	(void)state;
	for (size_t i = 0; i < crew__lengthof(replies); i++) {
		struct crew__ws_reply reply;
		char error[256];
		uint32_t scanned = 0;
		int64_t result = read_reply(
			replies[i].text, strlen(replies[i].text), &scanned, &reply, error);
		check_reply(i, result, reply.status, error);
	}
}

static void answers_are_judged_the_same_byte_by_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < crew__lengthof(replies); i++) {
		struct crew__ws_reply reply = { 0 };
		char error[256] = "";
		uint32_t scanned = 0;
		int64_t result = 0;
		for (size_t n = 0; result == 0 && n <= strlen(replies[i].text); n++)
			result = read_reply(replies[i].text, n, &scanned, &reply, error);
		check_reply(i, result, reply.status, error);
	}
}

static void frames_may_follow_at_once(void **state)
{
	(void)state;
	static const char text[] = OK UP ACCEPT "\r\n\x81\x02hi";
	struct crew__ws_reply reply;
	char error[256];
	uint32_t scanned = 0;
	assert_int_equal(
		read_reply(text, sizeof(text) - 1, &scanned, &reply, error), sizeof(text) - 1 - 4);
}

static void the_chosen_protocol_is_told(void **state)
{
	(void)state;
	static const char text[] = OK UP ACCEPT "Sec-WebSocket-Protocol: b\r\n\r\n";
	struct crew__ws_ask ask = an_ask();
	ask.protocols = " aa  b ";
	struct crew__ws_reply reply;
	char error[256];
	uint32_t scanned = 0;
	assert_true(crew__ws_reply_read(&ask,
			    CREW_BYTES(OK UP ACCEPT "Sec-WebSocket-Protocol: b"
						    "\r\n\r\n"),
			    &scanned, &reply, error, sizeof(error)) == sizeof(text) - 1);
	assert_ptr_equal(reply.protocol.data, ask.protocols + 5);
	assert_int_equal(reply.protocol.len, 1);
	ask.protocols = NULL; /* none was offered */
	scanned = 0;
	assert_int_equal(
		crew__ws_reply_read(&ask, crew_str(text), &scanned, &reply, error, sizeof(error)),
		-EPROTO);
}

static void compression_is_as_offered(void **state)
{
	(void)state;
	static const char text[] = OK UP ACCEPT
		"Sec-WebSocket-Extensions: permessage-deflate; "
		"server_no_context_takeover; client_no_context_takeover\r\n\r\n";
	struct crew__ws_ask ask = an_ask();
	ask.deflate = true;
	ask.resets = true;
	struct crew__ws_reply reply;
	char error[256];
	uint32_t scanned = 0;
	assert_true(crew__ws_reply_read(
			    &ask, crew_str(text), &scanned, &reply, error, sizeof(error)) > 0);
	assert_true(reply.terms.deflate && reply.terms.server_resets && reply.terms.client_resets);
	scanned = 0;
	assert_true(crew__ws_reply_read(&ask, CREW_BYTES(OK UP ACCEPT "\r\n"), &scanned, &reply,
			    error, sizeof(error)) > 0);
	assert_false(reply.terms.deflate);
	scanned = 0;
	assert_int_equal(
		crew__ws_reply_read(&ask,
			CREW_BYTES(OK UP ACCEPT "Sec-WebSocket-Extensions: x-other\r\n\r\n"),
			&scanned, &reply, error, sizeof(error)),
		-EPROTO);
}

static void an_answer_is_bounded(void **state)
{
	(void)state;
	struct crew__ws_reply reply;
	char error[256], *text = malloc(CREW__WS_REPLY_MOST + 1);
	uint32_t scanned = 0;
	memset(text, 'a', CREW__WS_REPLY_MOST);
	memcpy(text, OK "a: ", sizeof(OK "a: ") - 1);
	assert_int_equal(read_reply(text, CREW__WS_REPLY_MOST - 1, &scanned, &reply, error), 0);
	assert_int_equal(read_reply(text, CREW__WS_REPLY_MOST, &scanned, &reply, error), -EPROTO);
	assert_non_null(strstr(error, "longer"));
	/* One field more than there may be, at the field that matters as well. */
	for (int n = 97; n <= 98; n++) {
		strcpy(text, OK);
		for (int i = 0; i < n; i++)
			strcat(text, "a:\r\n");
		strcat(text, UP ACCEPT "\r\n");
		scanned = 0;
		int64_t result = read_reply(text, strlen(text), &scanned, &reply, error);
		if (n == 97)
			assert_int_equal(result, strlen(text));
		else
			assert_int_equal(result, -EPROTO);
	}
	assert_non_null(strstr(error, "more than 100"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_request_says_what_it_must),
		cmocka_unit_test(a_request_is_bounded),
		cmocka_unit_test(keys_differ_and_are_16_bytes),
		cmocka_unit_test(fields_cannot_change_what_is_asked),
		cmocka_unit_test(protocols_are_tokens_that_differ),
		cmocka_unit_test(answers_are_judged),
		cmocka_unit_test(answers_are_judged_the_same_byte_by_byte),
		cmocka_unit_test(frames_may_follow_at_once),
		cmocka_unit_test(the_chosen_protocol_is_told),
		cmocka_unit_test(compression_is_as_offered),
		cmocka_unit_test(an_answer_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
