/* Where outgoing connections go: every form, and everything that is none. */
#include "net/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct good {
	const char *text, *scheme, *host, *path, *target, *authority;
	unsigned port;
	bool tls, unix_socket, udp, six, numeric;
};

static const struct good goods[] = {
	{ .text = "tcp://127.0.0.1:80",
		.scheme = "tcp",
		.host = "127.0.0.1",
		.port = 80,
		.authority = "127.0.0.1:80",
		.numeric = true },
	{ .text = "tcp://127.0.0.1:80/",
		.scheme = "tcp",
		.host = "127.0.0.1",
		.port = 80,
		.numeric = true },
	{ .text = "tls://feed.example:8443",
		.scheme = "tcp",
		.host = "feed.example",
		.port = 8443,
		.tls = true },
	{ .text = "text://feed_1.example.:9",
		.scheme = "text",
		.host = "feed_1.example.",
		.port = 9 },
	{ .text = "text+tls://a:65535", .scheme = "text", .host = "a", .port = 65535, .tls = true },
	{ .text = "frame://a-b:1", .scheme = "frame", .host = "a-b", .port = 1 },
	{ .text = "netstring+tls://a:1",
		.scheme = "netstring",
		.host = "a",
		.port = 1,
		.tls = true },
	{ .text = "netstring+udp://a:1",
		.scheme = "netstring",
		.host = "a",
		.port = 1,
		.udp = true },
	{ .text = "udp://[::1]:53",
		.scheme = "tcp",
		.host = "::1",
		.port = 53,
		.authority = "[::1]:53",
		.udp = true,
		.six = true,
		.numeric = true },
	{ .text = "tcp://[fe80::1%eth0]:7",
		.scheme = "tcp",
		.host = "fe80::1%eth0",
		.port = 7,
		.authority = "[fe80::1]:7",
		.six = true,
		.numeric = true },
	{ .text = "tcp://[fe80::1%25lo]:7",
		.scheme = "tcp",
		.host = "fe80::1%lo",
		.port = 7,
		.six = true,
		.numeric = true },
	{ .text = "tcp://[::ffff:10.0.0.1]:7",
		.scheme = "tcp",
		.host = "::ffff:10.0.0.1",
		.port = 7,
		.six = true,
		.numeric = true },
	{ .text = "ws://feed.example",
		.scheme = "ws",
		.host = "feed.example",
		.port = 80,
		.target = "/",
		.authority = "feed.example" },
	{ .text = "ws://feed.example:80/a",
		.scheme = "ws",
		.host = "feed.example",
		.port = 80,
		.target = "/a",
		.authority = "feed.example" },
	{ .text = "ws://feed.example:443/a",
		.scheme = "ws",
		.host = "feed.example",
		.port = 443,
		.target = "/a",
		.authority = "feed.example:443" },
	{ .text = "wss://feed.example/a/b?c=d:e/f?g@h",
		.scheme = "ws",
		.host = "feed.example",
		.port = 443,
		.target = "/a/b?c=d:e/f?g@h",
		.authority = "feed.example",
		.tls = true },
	{ .text = "wss://[::1]",
		.scheme = "ws",
		.host = "::1",
		.port = 443,
		.target = "/",
		.authority = "[::1]",
		.tls = true,
		.six = true,
		.numeric = true },
	{ .text = "ws+tls://h",
		.scheme = "ws",
		.host = "h",
		.port = 443,
		.target = "/",
		.tls = true },
	{ .text = "unix:///run/x.sock",
		.scheme = "tcp",
		.path = "/run/x.sock",
		.unix_socket = true },
	{ .text = "unix:///run/a:b", .scheme = "tcp", .path = "/run/a:b", .unix_socket = true },
	{ .text = "unix://@name", .scheme = "tcp", .path = "@name", .unix_socket = true },
	{ .text = "frame+unix://@name", .scheme = "frame", .path = "@name", .unix_socket = true },
	{ .text = "text+tls+unix:///s",
		.scheme = "text",
		.path = "/s",
		.tls = true,
		.unix_socket = true },
	{ .text = "ws+unix:///run/x.sock",
		.scheme = "ws",
		.path = "/run/x.sock",
		.target = "/",
		.unix_socket = true,
		.authority = "localhost" },
	{ .text = "ws+unix:///run/x.sock:/chat?a=b:c",
		.scheme = "ws",
		.path = "/run/x.sock",
		.target = "/chat?a=b:c",
		.unix_socket = true,
		.authority = "localhost" },
	{ .text = "wss+unix://@x:/y",
		.scheme = "ws",
		.path = "@x",
		.target = "/y",
		.tls = true,
		.unix_socket = true },
};

static void check_text(const char *is, const char *wanted)
{
	assert_string_equal(is, wanted ? wanted : "");
}

static void every_form_is_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < crew__lengthof(goods); i++) {
		const struct good *g = &goods[i];
		struct crew__url url;
		char error[256] = "", authority[CREW__URL_AUTHORITY], target[64];
		if (crew__url_parse(g->text, &url, error, sizeof(error)) != 0)
			fail_msg("%s: %s", g->text, error);
		check_text(url.scheme, g->scheme);
		check_text(url.host, g->host);
		check_text(url.path, g->path);
		snprintf(target, sizeof(target), "%.*s", (int)url.target.len,
			url.target.data ? url.target.data : "");
		check_text(target, g->target);
		assert_int_equal(url.port, g->port);
		assert_int_equal(url.tls, g->tls);
		assert_int_equal(url.unix_socket, g->unix_socket);
		assert_int_equal(url.udp, g->udp);
		assert_int_equal(url.six, g->six);
		assert_int_equal(url.numeric, g->numeric);
		size_t len = crew__url_authority(&url, authority, sizeof(authority));
		assert_int_equal(len, strlen(authority));
		if (g->authority)
			check_text(authority, g->authority);
	}
}

/* What is wrong, and a word of the sentence that says so. */
static const struct {
	const char *text, *word;
} bads[] = {
	{ "", "SCHEME://" },
	{ "127.0.0.1:80", "SCHEME://" },
	{ "tcp:127.0.0.1:80", "SCHEME://" },
	{ "://a:1", "scheme" },
	{ "TCP://a:1", "scheme" },
	{ "a-b://a:1", "scheme" },
	{ "+tls://a:1", "scheme" },
	{ "abcdefghijklmnopq://a:1", "scheme" },
	{ "tcp+://a:1", "unknown" },
	{ "tcp+ssl://a:1", "unknown" },
	{ "tcp+tls+tls://a:1", "twice" },
	{ "tls+tls://a:1", "twice" },
	{ "wss+tls://a:1", "twice" },
	{ "unix+unix:///a", "twice" },
	{ "tcp+tls+://a:1", "unknown" },
	{ "udp+tls://a:1", "neither" },
	{ "udp+unix:///a", "neither" },
	{ "tcp://", "no host" },
	{ "tcp://:80", "no host" },
	{ "tcp://a", "no port" },
	{ "tls://a", "no port" },
	{ "tcp://a:", "port" },
	{ "tcp://a:0", "port" },
	{ "tcp://a:65536", "port" },
	{ "tcp://a:999999", "port" },
	{ "tcp://a:+1", "port" },
	{ "tcp://a:1x", "port" },
	{ "tcp://a:1/x", "nothing may follow" },
	{ "tcp://a:1?x", "nothing may follow" },
	{ "text://a:1//", "nothing may follow" },
	{ "ws://a?x", "path" },
	{ "tcp://u@a:1", "user" },
	{ "ws://u:p@a/x", "user" },
	{ "tcp://::1:80", "brackets" },
	{ "tcp://[::1:80", "close" },
	{ "tcp://[::1]x:80", "bracket" },
	{ "tcp://[::1]x", "bracket" },
	{ "tcp://[127.0.0.1]:80", "IPv6" },
	{ "tcp://[]:80", "IPv6" },
	{ "tcp://[::1%]:80", "IPv6" },
	{ "tcp://[::1%25]:80", "IPv6" },
	{ "tcp://[::1%a/b]:80", "close" },
	{ "tcp://[::1%0123456789abcdef]:80", "IPv6" },
	{ "tcp://[1:2:3:4:5:6:7:8:9]:80", "IPv6" },
	{ "tcp://a*b:80", "neither a name" },
	{ "tcp://a%41:80", "neither a name" },
	{ "tcp://.a:80", "neither a name" },
	{ "tcp://-a:80", "neither a name" },
	{ "tcp://a..b:80", "neither a name" },
	{ "tcp://127.1:80", "in full" },
	{ "tcp://2130706433:80", "in full" },
	{ "tcp://127.0.0.256:80", "in full" },
	{ "tcp://0x7f.0x1:80", "in full" },
	{ "tcp://a b:80", "byte 8" },
	{ "ws://a/\t", "byte 8" },
	{ "ws://a/\r\nX: y", "byte 8" },
	{ "ws://a/\x7f", "byte 8" },
	{ "ws://a/\xc3\xa4", "byte 8" },
	{ "ws://a/b#c", "fragment" },
	{ "unix://", "absolute" },
	{ "unix:///", "absolute" },
	{ "unix://@", "absolute" },
	{ "unix://run/x", "absolute" },
	{ "ws+unix:///s:chat", "colon" },
	{ "ws+unix:///s:", "colon" },
};

static void what_is_none_is_refused_with_a_sentence(void **state)
{
	(void)state;
	for (size_t i = 0; i < crew__lengthof(bads); i++) {
		struct crew__url url = { .port = 12345 };
		char error[256] = "";
		int result = crew__url_parse(bads[i].text, &url, error, sizeof(error));
		if (result != -EINVAL || !strstr(error, bads[i].word))
			fail_msg("%s: %d, \"%s\"", bads[i].text, result, error);
		assert_int_equal(url.port, 12345); /* untouched */
	}
}

static void lengths_are_bounded(void **state)
{
	(void)state;
	struct crew__url url;
	char error[256], text[CREW__URL_MOST + 64];
	memset(text, 'a', sizeof(text));
	memcpy(text, "ws://a/", 7);
	text[CREW__URL_MOST] = '\0';
	assert_int_equal(crew__url_parse(text, &url, error, sizeof(error)), 0);
	assert_int_equal(url.target.len, CREW__URL_MOST - 6);
	text[CREW__URL_MOST] = 'a';
	text[CREW__URL_MOST + 1] = '\0';
	assert_int_equal(crew__url_parse(text, &url, error, sizeof(error)), -EINVAL);
	assert_non_null(strstr(error, "longer"));

	for (size_t n = CREW__URL_HOST; n <= CREW__URL_HOST + 1; n++) {
		memset(text, 'a', sizeof(text));
		memcpy(text, "ws://", 5);
		text[5 + n] = '\0';
		int wanted = n <= CREW__URL_HOST ? 0 : -EINVAL;
		assert_int_equal(crew__url_parse(text, &url, error, sizeof(error)), wanted);
	}
	for (size_t n = CREW__URL_PATH; n <= CREW__URL_PATH + 1; n++) {
		memset(text, 'a', sizeof(text));
		memcpy(text, "unix:///", 8);
		text[7 + n] = '\0';
		int wanted = n <= CREW__URL_PATH ? 0 : -EINVAL;
		assert_int_equal(crew__url_parse(text, &url, error, sizeof(error)), wanted);
	}
	/* A sentence is cut, never written beyond its room. */
	char small[8];
	assert_int_equal(crew__url_parse("tcp://a*b:80", &url, small, sizeof(small)), -EINVAL);
	assert_int_equal(strlen(small), sizeof(small) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_is_read),
		cmocka_unit_test(what_is_none_is_refused_with_a_sentence),
		cmocka_unit_test(lengths_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
