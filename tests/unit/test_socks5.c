/* test_socks5.c - the client's side of SOCKS 5: what is said, every answer, every cut. */
#include "proto/socks5.h"

#include "preamble_ways.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define BYTES(text) (text), sizeof(text) - 1
#define V4_REPLY    "\x05\x00\x00\x01\x7f\x00\x00\x01\x1f\x90"
#define V6_REPLY    "\x05\x00\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x1f\x90"

static void check_said(const struct talked *t, const void *bytes, size_t len)
{
	assert_int_equal(t->out.len, len);
	assert_memory_equal(t->out.data, bytes, len);
}

/* ---- what is said -------------------------------------------------------------------------- */

static void asks_for_a_name(void **state)
{
	struct talked t;
	(void)state;
	assert_int_equal(talk_begin(&t, &crew__socks5, "feed.example", 443, NULL, NULL), 0);
	check_said(&t, BYTES("\x05\x01\x00"));
	t.out.len = 0;
	assert_int_equal(talk_hear(&t, BYTES("\x05\x00"), 10), 0);
	check_said(&t, BYTES("\x05\x01\x00\x03\x0c"
			     "feed.example\x01\xbb"));
	assert_int_equal(talk_hear(&t, BYTES(V4_REPLY), 100), 1);
	talk_end(&t);
}

static void asks_for_addresses(void **state)
{
	struct talked t;
	(void)state;
	talk_begin(&t, &crew__socks5, "10.1.2.3", 80, NULL, NULL);
	t.out.len = 0;
	assert_int_equal(talk_hear(&t, BYTES("\x05\x00"), 1), 0);
	check_said(&t, BYTES("\x05\x01\x00\x01\x0a\x01\x02\x03\x00\x50"));
	talk_end(&t);
	talk_begin(&t, &crew__socks5, "2001:db8::1", 65535, NULL, NULL);
	t.out.len = 0;
	assert_int_equal(talk_hear(&t, BYTES("\x05\x00"), 1), 0);
	check_said(&t, BYTES("\x05\x01\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\xff\xff"));
	talk_end(&t);
}

static void logs_in(void **state)
{
	struct talked t;
	(void)state;
	talk_begin(&t, &crew__socks5, "h", 1, "me", "secret");
	check_said(&t, BYTES("\x05\x02\x00\x02"));
	t.out.len = 0;
	assert_int_equal(talk_hear(&t, BYTES("\x05\x02"), 9), 0);
	check_said(&t, BYTES("\x01\x02me\x06secret"));
	t.out.len = 0;
	assert_int_equal(talk_hear(&t, BYTES("\x01\x00"), 9), 0);
	check_said(&t, BYTES("\x05\x01\x00\x03\x01h\x00\x01"));
	assert_int_equal(talk_hear(&t, BYTES(V6_REPLY), 9), 1);
	talk_end(&t);
}

static void does_not_say_a_password_that_nobody_wants(void **state)
{
	struct talked t;
	(void)state;
	talk_begin(&t, &crew__socks5, "h", 1, "me", "secret");
	assert_int_equal(talk_hear(&t, BYTES("\x05\x00" V4_REPLY), 100), 1);
	assert_null(memmem(t.out.data, t.out.len, "secret", 6));
	talk_end(&t);
}

static void takes_credentials_of_every_length(void **state)
{
	char longest[256];
	struct talked t;
	(void)state;
	memset(longest, 'p', 255);
	longest[255] = '\0';
	assert_int_equal(talk_begin(&t, &crew__socks5, "h", 1, longest, longest), 0);
	t.out.len = 0;
	assert_int_equal(talk_hear(&t, BYTES("\x05\x02"), 9), 0);
	assert_int_equal(t.out.len, 1 + 256 + 256);
	assert_int_equal((unsigned char)t.out.data[1], 255);
	talk_end(&t);
	assert_int_equal(talk_begin(&t, &crew__socks5, "h", 1, "u", ""), 0);
	t.out.len = 0;
	assert_int_equal(talk_hear(&t, BYTES("\x05\x02"), 9), 0);
	check_said(&t, BYTES("\x01\x01u\x00"));
	talk_end(&t);
}

static void refuses_what_cannot_be_said(void **state)
{
	char longer[257];
	struct talked t;
	(void)state;
	memset(longer, 'p', 256);
	longer[256] = '\0';
	static const char *const hosts[] = { "", "fe80::1%eth0" };
	for (size_t i = 0; i < crew__lengthof(hosts); i++) {
		assert_int_equal(talk_begin(&t, &crew__socks5, hosts[i], 1, NULL, NULL), -EINVAL);
		assert_true(strlen(t.talk.why) > 10);
		talk_end(&t);
	}
	assert_int_equal(talk_begin(&t, &crew__socks5, longer, 1, NULL, NULL), -EINVAL);
	assert_int_equal(talk_begin(&t, &crew__socks5, "h", 1, longer, "p"), -EINVAL);
	assert_int_equal(talk_begin(&t, &crew__socks5, "h", 1, "u", longer), -EINVAL);
	assert_null(strstr(t.talk.why, "ppp"));
	assert_int_equal(talk_begin(&t, &crew__socks5, "h", 1, "", "p"), -EINVAL);
	assert_int_equal(t.out.len, 0);
	talk_end(&t);
}

/* ---- what the proxy answers ------------------------------------------------------------------ */

struct answer_case {
	const char *name;
	bool login;
	const char *bytes;
	size_t len;
	int result;
	size_t used; /* when it is well */
	const char *why;
};

#define CASE(name, login, bytes, result, used, why)                      \
	{                                                                \
		name, login, bytes, sizeof(bytes) - 1, result, used, why \
	}
#define OK "\x05\x00"

static const struct answer_case answers[] = {
	CASE("IPv4", false, OK V4_REPLY, 1, 12, ""),
	CASE("IPv6", false, OK V6_REPLY, 1, 24, ""),
	CASE("a name", false, OK "\x05\x00\x00\x03\x05proxy\x1f\x90", 1, 14, ""),
	CASE("an empty name", false, OK "\x05\x00\x00\x03\x00\x1f\x90", 1, 9, ""),
	CASE("the peer's bytes behind it", false, OK V4_REPLY "SSH-2.0", 1, 12, ""),
	CASE("bytes that look like more SOCKS", false, OK V4_REPLY V4_REPLY, 1, 12, ""),
	CASE("a reserved byte that is not 0", false,
		OK "\x05\x00\x99\x01"
		   "abcdef",
		1, 12, ""),
	CASE("logged in", true, "\x05\x02\x01\x00" V4_REPLY, 1, 14, ""),
	CASE("logged in, version 5", true, "\x05\x02\x05\x00" V4_REPLY, 1, 14, ""),
	CASE("no login wanted", true, OK V4_REPLY, 1, 12, ""),
	CASE("SOCKS 4", false, "\x00\x5a", -EPROTO, 0, "does not speak SOCKS version 5"),
	CASE("HTTP", false, "HTTP/1.1 400", -EPROTO, 0, "does not speak SOCKS version 5"),
	CASE("wants a login", false, "\x05\xff", -EACCES, 0,
		"wants to know who we are: write USER:PASSWORD@ before its name"),
	CASE("wants another login", true, "\x05\xff", -EACCES, 0,
		"takes neither nobody nor a user with a password"),
	CASE("a method not offered", false, "\x05\x02", -EPROTO, 0,
		"chose a way to log in that was not offered: 2"),
	CASE("GSSAPI", true, "\x05\x01", -EPROTO, 0,
		"chose a way to log in that was not offered: 1"),
	CASE("a wrong password", true, "\x05\x02\x01\x01", -EACCES, 0,
		"does not take this user and password"),
	CASE("a login answer that is none", true, "\x05\x02\x48\x00", -EPROTO, 0,
		"answers the password with bytes that are not SOCKS"),
	CASE("a reply that is none", false, OK "\x04\x00\x00\x01", -EPROTO, 0,
		"answers with bytes that are not SOCKS"),
	CASE("address type 0", false, OK "\x05\x00\x00\x00", -EPROTO, 0,
		"answers with an unknown kind of address, 0"),
	CASE("address type 2", false, OK "\x05\x00\x00\x02", -EPROTO, 0,
		"answers with an unknown kind of address, 2"),
	CASE("address type 255", false, OK "\x05\x00\x00\xff", -EPROTO, 0,
		"answers with an unknown kind of address, 255"),
	CASE("reply 1", false, OK "\x05\x01", -EIO, 0, "had a failure of its own (SOCKS reply 1)"),
	CASE("reply 2", false, OK "\x05\x02\x00\x01\0\0\0\0\0\0", -EACCES, 0,
		"has rules that do not allow this connection (SOCKS reply 2)"),
	CASE("reply 3", false, OK "\x05\x03", -ENETUNREACH, 0,
		"cannot reach the network (SOCKS reply 3)"),
	CASE("reply 4", false, OK "\x05\x04", -EHOSTUNREACH, 0,
		"cannot reach the host (SOCKS reply 4)"),
	CASE("reply 5", false, OK "\x05\x05", -ECONNREFUSED, 0,
		"was refused by the host (SOCKS reply 5)"),
	CASE("reply 6", false, OK "\x05\x06", -ETIMEDOUT, 0,
		"gave up: the time to live expired (SOCKS reply 6)"),
	CASE("reply 7", false, OK "\x05\x07", -EPROTO, 0,
		"does not know how to CONNECT (SOCKS reply 7)"),
	CASE("reply 8", false, OK "\x05\x08", -EAFNOSUPPORT, 0,
		"does not know this kind of address (SOCKS reply 8)"),
	CASE("reply 9", false, OK "\x05\x09", -EPROTO, 0, "answers with an unknown SOCKS reply, 9"),
	CASE("reply 255", false, OK "\x05\xff", -EPROTO, 0,
		"answers with an unknown SOCKS reply, 255"),
};

static void check_answer(const struct answer_case *c, size_t piece)
{
	struct talked t;
	talk_begin(&t, &crew__socks5, "host.example", 443, c->login ? "me" : NULL,
		c->login ? "secret" : NULL);
	int result = talk_hear(&t, c->bytes, c->len, piece);
	if (result != c->result || strcmp(t.talk.why, c->why) != 0)
		fail_msg("%s, by %zu: %d, \"%s\"", c->name, piece, result, t.talk.why);
	if (result == 1)
		assert_int_equal(t.used, c->used);
	talk_end(&t);
}

static void takes_every_answer(void **state)
{
	(void)state;
	for (size_t i = 0; i < crew__lengthof(answers); i++)
		for (size_t piece = 1; piece <= answers[i].len; piece++)
			check_answer(&answers[i], piece);
}

/* Of an answer that is well, every beginning asks for more. */
static void waits_for_what_is_missing(void **state)
{
	(void)state;
	for (size_t i = 0; i < crew__lengthof(answers); i++) {
		const struct answer_case *c = &answers[i];
		for (size_t len = 0; c->result == 1 && len < c->used; len++) {
			struct talked t;
			talk_begin(&t, &crew__socks5, "h", 443, c->login ? "me" : NULL, "");
			assert_int_equal(talk_hear(&t, c->bytes, len, 1), 0);
			talk_end(&t);
		}
	}
}

static void takes_names_of_every_length(void **state)
{
	(void)state;
	for (unsigned len = 0; len < 256; len++) {
		unsigned char reply[2 + 5 + 255 + 2 + 1] = { 5, 0, 5, 0, 0, 3, (unsigned char)len };
		size_t size = 2 + 5 + len + 2;
		struct talked t;
		talk_begin(&t, &crew__socks5, "h", 443, NULL, NULL);
		assert_int_equal(talk_hear(&t, reply, size - 1, 300), 0);
		talk_end(&t);
		talk_begin(&t, &crew__socks5, "h", 443, NULL, NULL);
		assert_int_equal(talk_hear(&t, reply, size + 1, 300), 1);
		assert_int_equal(t.used, size);
		talk_end(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(asks_for_a_name),
		cmocka_unit_test(asks_for_addresses),
		cmocka_unit_test(logs_in),
		cmocka_unit_test(does_not_say_a_password_that_nobody_wants),
		cmocka_unit_test(takes_credentials_of_every_length),
		cmocka_unit_test(refuses_what_cannot_be_said),
		cmocka_unit_test(takes_every_answer),
		cmocka_unit_test(waits_for_what_is_missing),
		cmocka_unit_test(takes_names_of_every_length),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
