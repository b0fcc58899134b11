/* test_fetch_request.c - what crew_fetch() refuses, what a redirect makes of a request, and which
 * addresses are remembered: without a connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "service/fetch_names.h"
#include "service/fetch_request.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char why[CREW__FETCH_WHY];

/* ---- URLs ------------------------------------------------------------------------------------ */

static void urls_that_are_taken(void **state)
{
	static const struct {
		const char *text, *host, *url, *user;
		uint16_t port;
		bool tls, six;
	} rows[] = {
		{ "http://a.example", "a.example", "http://a.example/", NULL, 80, false, false },
		{ "HTTPS://A.example/x?y#z", "A.example", "https://A.example/x?y", NULL, 443, true,
			false },
		{ "http://u:p@h_1:81/", "h_1", "http://h_1:81/", "u", 81, false, false },
		{ "http://127.1/", "127.0.0.1", "http://127.0.0.1/", NULL, 80, false, false },
		{ "http://[::1]:8080/a", "::1", "http://[::1]:8080/a", NULL, 8080, false, true },
		{ "http://a/b/../c", "a", "http://a/c", NULL, 80, false, false },
		{ "https://xn--bcher-kva.example/", "xn--bcher-kva.example",
			"https://xn--bcher-kva.example/", NULL, 443, true, false },
	};
	(void)state;
	for (size_t i = 0; i < crew__lengthof(rows); i++) {
		struct crew__fetch_place place;
		assert_int_equal(crew__fetch_place_parse(rows[i].text, NULL, &place, why), 0);
		assert_string_equal(place.host, rows[i].host);
		assert_string_equal(place.url, rows[i].url);
		assert_int_equal(place.port, rows[i].port);
		assert_int_equal(place.tls, rows[i].tls);
		assert_int_equal(place.six, rows[i].six);
		assert_string_equal(place.user ? place.user : "", rows[i].user ? rows[i].user : "");
		crew__fetch_place_fini(&place);
	}
}

static void urls_that_are_refused(void **state)
{
	static const char *const rows[] = { "", "a.example", "ftp://a/", "file:///etc/passwd",
		"http://", "http:///", "http://a:0/", "http://a:65536/", "http://a:x/",
		"http://\xc3\xbc.example/", "http://a b/", "http://a\r\nX: y/", "http://[::1/",
		"http://a%00b/", "//a/b", "/a", "gopher://a:1/", "http://a:80:80/",
		"http://%0d%0a/", "http://a,b/" };
	(void)state;
	for (size_t i = 0; i < crew__lengthof(rows); i++) {
		struct crew__fetch_place place;
		why[0] = '\0';
		assert_int_equal(crew__fetch_place_parse(rows[i], NULL, &place, why), -EINVAL);
		assert_true(strlen(why) > 10);
	}
	struct crew__fetch_place place;
	char *text = malloc(CREW__FETCH_URL_MOST + 100);
	memset(text, 'a', CREW__FETCH_URL_MOST + 99);
	text[CREW__FETCH_URL_MOST + 99] = '\0';
	memcpy(text, "http://a/", 9);
	assert_int_equal(crew__fetch_place_parse(text, NULL, &place, why), -EINVAL);
	assert_int_equal(crew__fetch_place_parse(NULL, NULL, &place, why), -EINVAL);
	free(text);
}

static void proxies(void **state)
{
	static const struct {
		const char *text, *url, *user;
		bool socks;
	} rows[] = {
		{ "http://p.example:3128", "http://p.example:3128", NULL, false },
		{ "socks5://u:p%40@10.0.0.1:1080", "socks5h://10.0.0.1:1080", "u", true },
		{ "socks5://[::1]:1080", "socks5h://[::1]:1080", NULL, true },
	};
	static const char *const bad[] = { "http://p.example", "socks5://p", "socks4://p:1",
		"https://p:1", "p:3128", "socks5h://p:1", "" };
	struct crew__fetch_place place;
	(void)state;
	for (size_t i = 0; i < crew__lengthof(rows); i++) {
		assert_int_equal(crew__fetch_proxy_parse(rows[i].text, &place, why), 0);
		assert_string_equal(place.url, rows[i].url);
		assert_int_equal(place.socks, rows[i].socks);
		assert_string_equal(place.user ? place.user : "", rows[i].user ? rows[i].user : "");
		crew__fetch_place_fini(&place);
	}
	for (size_t i = 0; i < crew__lengthof(bad); i++)
		assert_int_equal(crew__fetch_proxy_parse(bad[i], &place, why), -EINVAL);
}

/* ---- options --------------------------------------------------------------------------------- */

static int64_t on_upload(int64_t id, char *room, size_t size, void *arg)
{
	(void)id;
	(void)room;
	(void)size;
	(void)arg;
	return 0;
}

static int on_body(int64_t id, int status, crew_bytes part, void *arg)
{
	(void)id;
	(void)status;
	(void)part;
	(void)arg;
	return 0;
}

static int try(const crew_fetch_options *options)
{
	struct crew__fetch_request request;
	why[0] = '\0';
	int error = crew__fetch_request_init(&request, "http://a/", options, why);
	crew__fetch_request_fini(&request);
	return error;
}

/* The end of fields. */
#define END                     \
	{                       \
		{ NULL, 0 },    \
		{               \
			NULL, 0 \
		}               \
	}
#define TEXT(text)                     \
	{                              \
		text, sizeof(text) - 1 \
	}

static void options_that_are_refused(void **state)
{
	static const crew_header split[] = { { TEXT("X-A"), TEXT("1\r\nX-B: 2") }, END };
	static const crew_header name[] = { { TEXT("X A"), TEXT("1") }, END };
	static const crew_header colon[] = { { TEXT("X:"), TEXT("1") }, END };
	static const crew_header none[] = { { { "", 0 }, TEXT("1") }, END };
	static const crew_header nul[] = { { TEXT("X"), TEXT("a\0b") }, END };
	static const crew_header length[] = { { TEXT("content-LENGTH"), TEXT("1") }, END };
	static const crew_header coding[] = { { TEXT("Transfer-Encoding"), TEXT("x") }, END };
	static const crew_header hollow[] = { { TEXT("X"), { NULL, 3 } }, END };
	const crew_fetch_options rows[] = {
		{ .headers = split },
		{ .headers = name },
		{ .headers = colon },
		{ .headers = none },
		{ .headers = nul },
		{ .headers = length },
		{ .headers = coding },
		{ .headers = hollow },
		{ .method = "" },
		{ .method = "GE T" },
		{ .method = "GET /\r\n" },
		{ .method = "CONNECT" },
		{ .method = "AVERYVERYVERYVERYVERYVERYLONGMETHOD" },
		{ .method = "HEAD", .body = CREW_BYTES("x") },
		{ .body = CREW_BYTES("x"), .on_upload = on_upload },
		{ .body = CREW_BYTES("x"), .body_file = "/etc/passwd" },
		{ .body = { NULL, 5 } },
		{ .body_file = "/tmp" },
		{ .body_file = "/dev/zero" },
		{ .upload_size = 5 },
		{ .upload_size = -2, .on_upload = on_upload },
		{ .timeout_ms = -2 },
		{ .timeout_ms = INT64_MAX },
		{ .connect_timeout_ms = -5 },
		{ .max_body = CREW_OFF },
		{ .max_body = -2, .on_body = on_body },
		{ .max_body = INT64_C(1) << 40 },
		{ .redirects = -2 },
		{ .redirects = 100000 },
		{ .proxy = "p" },
		{ .tls_cert = "x" },
		{ .tls_key = "x" },
	};
	(void)state;
	for (size_t i = 0; i < crew__lengthof(rows); i++) {
		assert_int_equal(try(&rows[i]), -EINVAL);
		assert_true(strlen(why) > 10);
	}
	assert_int_equal(try(&(crew_fetch_options){ .body_file = "/nonexistent" }), -ENOENT);
	assert_non_null(strstr(why, "/nonexistent"));
}

static void options_that_are_taken(void **state)
{
	static const crew_header odd[] = { { TEXT("x!#$%&'*+-.^_`|~9"), TEXT("\tv\xff ") }, END };
	const crew_fetch_options rows[] = {
		{ .headers = odd },
		{ .timeout_ms = CREW_OFF, .connect_timeout_ms = CREW_OFF },
		{ .max_body = CREW_OFF, .on_body = on_body },
		{ .max_body = INT64_C(1) << 40, .on_body = on_body },
		{ .redirects = CREW_OFF },
		{ .body = { "", 0 } },
		{ .body_file = "/etc/passwd" },
		{ .tls_cert = "a", .tls_key = "b", .tls_ca = "c" },
		{ .proxy = "http://u:p@p:1" },
	};
	(void)state;
	assert_int_equal(try(NULL), 0);
	for (size_t i = 0; i < crew__lengthof(rows); i++)
		assert_int_equal(try(&rows[i]), 0);
}

static void too_many_fields(void **state)
{
	static crew_header many[258];
	static char long_value[66000];
	(void)state;
	for (size_t i = 0; i < 256; i++)
		many[i] = (crew_header){ TEXT("X"), TEXT("y") };
	assert_int_equal(try(&(crew_fetch_options){ .headers = many }), 0);
	many[256] = many[0];
	assert_int_equal(try(&(crew_fetch_options){ .headers = many }), -EINVAL);
	memset(long_value, 'v', sizeof(long_value));
	const crew_header one[] = { { TEXT("X"), { long_value, sizeof(long_value) } }, END };
	assert_int_equal(try(&(crew_fetch_options){ .headers = one }), -EINVAL);
}

/* ---- redirects ------------------------------------------------------------------------------- */

static void which_answers_are_redirects(void **state)
{
	(void)state;
	for (int status = 200; status < 400; status++) {
		bool is = status == 301 || status == 302 || status == 303 || status == 307 ||
			  status == 308;
		assert_int_equal(crew__fetch_is_redirect(status, true), is);
		assert_false(crew__fetch_is_redirect(status, false));
	}
}

static void where_a_redirect_leads(void **state)
{
	static const struct {
		const char *from, *location, *to;
		int error;
	} rows[] = {
		{ "http://a/b/c?d", "e", "http://a/b/e", 0 },
		{ "http://a/b/c?d", "/e", "http://a/e", 0 },
		{ "http://a/b/c?d", "?e", "http://a/b/c?e", 0 },
		{ "http://a/b/c?d", "//e/f", "http://e/f", 0 },
		{ "http://a/b/c?d", "../../../e", "http://a/e", 0 },
		{ "http://a/", "https://a/", "https://a/", 0 },
		{ "http://a/", "/with blank", "http://a/with%20blank", 0 },
		{ "http://a:81/", "/x", "http://a:81/x", 0 },
		{ "http://a/", "http://user:secret@a/x", "http://a/x", 0 },
		{ "https://a/", "http://a/", NULL, -EPROTO },
		{ "https://a/", "//b/", "https://b/", 0 },
		{ "http://a/", "ftp://a/", NULL, -EPROTO },
		{ "http://a/", "file:///etc/passwd", NULL, -EPROTO },
		{ "http://a/", "javascript:x", NULL, -EPROTO },
		{ "http://a/", "http://a:99999/", NULL, -EPROTO },
		{ "http://a/", "http://[x/", NULL, -EPROTO },
	};
	(void)state;
	for (size_t i = 0; i < crew__lengthof(rows); i++) {
		struct crew__fetch_request request;
		assert_int_equal(crew__fetch_request_init(&request, rows[i].from, NULL, why), 0);
		why[0] = '\0';
		assert_int_equal(
			crew__fetch_redirect(&request, 302, rows[i].location, why), rows[i].error);
		assert_string_equal(request.to.url, rows[i].to ? rows[i].to : rows[i].from);
		assert_int_equal(why[0] != '\0', rows[i].error != 0);
		crew__fetch_request_fini(&request);
	}
}

static void what_becomes_of_the_method(void **state)
{
	static const struct {
		int status;
		const char *before, *behind;
	} rows[] = {
		{ 301, "POST", "GET" },
		{ 302, "POST", "GET" },
		{ 303, "POST", "GET" },
		{ 307, "POST", "POST" },
		{ 308, "POST", "POST" },
		{ 301, "PUT", "PUT" },
		{ 302, "DELETE", "DELETE" },
		{ 303, "PUT", "GET" },
		{ 303, "HEAD", "HEAD" },
		{ 301, "HEAD", "HEAD" },
		{ 303, "GET", "GET" },
	};
	static const crew_header headers[] = { { TEXT("Content-Type"), TEXT("a/b") },
		{ TEXT("content-language"), TEXT("en") }, { TEXT("X-Kept"), TEXT("1") }, END };
	(void)state;
	for (size_t i = 0; i < crew__lengthof(rows); i++) {
		bool body = strcmp(rows[i].before, "HEAD") != 0;
		struct crew__fetch_request request;
		const crew_fetch_options options = { .method = rows[i].before,
			.headers = headers,
			.body = body ? CREW_BYTES("body") : (crew_bytes){ NULL, 0 } };
		assert_int_equal(crew__fetch_request_init(&request, "http://a/", &options, why), 0);
		request.sent = body ? 4 : 0;
		assert_int_equal(crew__fetch_redirect(&request, rows[i].status, "/b", why), 0);
		assert_string_equal(request.method, rows[i].behind);
		bool same = strcmp(rows[i].before, rows[i].behind) == 0;
		assert_int_equal(
			request.source, same && body ? CREW__FROM_MEMORY : CREW__FROM_NOWHERE);
		assert_int_equal(request.sent, 0);
		unsigned fields = 0;
		for (struct curl_slist *at = request.headers; at; at = at->next)
			fields++;
		assert_int_equal(fields, same ? 4 : 2); /* with "Expect:" */
		crew__fetch_request_fini(&request);
	}
}

static bool has(const struct crew__fetch_request *request, const char *line)
{
	for (struct curl_slist *at = request->headers; at; at = at->next)
		if (strcmp(at->data, line) == 0)
			return true;
	return false;
}

static void credentials_do_not_go_elsewhere(void **state)
{
	static const struct {
		const char *location;
		bool kept;
	} rows[] = {
		{ "/elsewhere", true },
		{ "http://A.example:80/x", true },
		{ "http://a.example:81/", false },
		{ "http://b.example/", false },
		{ "https://a.example/", false },
		{ "http://a.example.evil/", false },
		{ "http://sub.a.example/", false },
		{ "http://other:one@a.example/", true },
	};
	static const crew_header headers[] = { { TEXT("authorization"), TEXT("Bearer x") },
		{ TEXT("Cookie"), TEXT("s=1") }, { TEXT("Host"), TEXT("h") },
		{ TEXT("X-Kept"), TEXT("1") }, END };
	const crew_fetch_options options = {
		.headers = headers, .tls_cert = "cert", .tls_key = "key"
	};
	(void)state;
	for (size_t i = 0; i < crew__lengthof(rows); i++) {
		struct crew__fetch_request request;
		assert_int_equal(crew__fetch_request_init(
					 &request, "http://me:pw@a.example/", &options, why),
			0);
		assert_int_equal(crew__fetch_redirect(&request, 307, rows[i].location, why), 0);
		assert_int_equal(has(&request, "authorization: Bearer x"), rows[i].kept);
		assert_int_equal(has(&request, "Cookie: s=1"), rows[i].kept);
		assert_int_equal(has(&request, "Host: h"), rows[i].kept);
		assert_true(has(&request, "X-Kept: 1"));
		assert_int_equal(request.tls_key != NULL, rows[i].kept);
		assert_int_equal(request.to.user != NULL, rows[i].kept);
		if (rows[i].kept)
			assert_string_equal(request.to.password, "pw");
		/* Back again, they do not come back. */
		assert_int_equal(crew__fetch_redirect(&request, 307, "https://a.example/", why), 0);
		assert_false(has(&request, "Cookie: s=1"));
		crew__fetch_request_fini(&request);
	}
}

static void what_was_made_once_is_not_sent_twice(void **state)
{
	struct crew__fetch_request request;
	const crew_fetch_options options = { .on_upload = on_upload };
	(void)state;
	assert_int_equal(crew__fetch_request_init(&request, "http://a/", &options, why), 0);
	assert_int_equal(crew__fetch_redirect(&request, 307, "/b", why), 0);
	request.sent = 1;
	assert_int_equal(crew__fetch_redirect(&request, 308, "/c", why), -EPROTO);
	assert_non_null(strstr(why, "again"));
	assert_int_equal(crew__fetch_redirect(&request, 303, "/d", why), 0);
	assert_string_equal(request.method, "GET");
	crew__fetch_request_fini(&request);
}

static void not_for_ever(void **state)
{
	struct crew__fetch_request request;
	const crew_fetch_options options = { .redirects = 3 };
	(void)state;
	assert_int_equal(crew__fetch_request_init(&request, "http://a/", &options, why), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(crew__fetch_redirect(&request, 302, "/", why), 0);
	assert_int_equal(crew__fetch_redirect(&request, 302, "/", why), -EPROTO);
	crew__fetch_request_fini(&request);
}

/* ---- names ----------------------------------------------------------------------------------- */

static void addresses_are_remembered_for_their_time(void **state)
{
	static struct crew__fetch_names names;
	const uint64_t s = CREW__NS_PER_S;
	(void)state;
	assert_null(crew__fetch_names_find(&names, "a", 0));
	crew__fetch_names_keep(&names, "a", "192.0.2.1", 10, 5 * s);
	assert_string_equal(crew__fetch_names_find(&names, "A", 14 * s), "192.0.2.1");
	assert_null(crew__fetch_names_find(&names, "a", 15 * s));
	crew__fetch_names_keep(&names, "a", "192.0.2.1", 100000, 0);
	assert_non_null(crew__fetch_names_find(&names, "a", 299 * s));
	assert_null(crew__fetch_names_find(&names, "a", 300 * s));
	crew__fetch_names_keep(&names, "a", "192.0.2.1", 100, 0);
	crew__fetch_names_keep(&names, "a", "192.0.2.2", 100, 0);
	assert_string_equal(crew__fetch_names_find(&names, "a", 1), "192.0.2.2");
	crew__fetch_names_keep(&names, "a", "192.0.2.3", 0, 0);
	assert_null(crew__fetch_names_find(&names, "a", 1));
	crew__fetch_names_keep(&names, "a", "192.0.2.1", 100, 0);
	crew__fetch_names_forget(&names, "a");
	assert_null(crew__fetch_names_find(&names, "a", 1));
	crew__fetch_names_forget(&names, "a");
	crew__fetch_names_fini(&names);
}

static void not_more_than_there_is_room_for(void **state)
{
	static struct crew__fetch_names names;
	char host[16];
	unsigned kept = 0;
	(void)state;
	for (uint32_t i = 0; i < 10 * CREW__FETCH_NAMES; i++) {
		snprintf(host, sizeof(host), "h%u", i);
		crew__fetch_names_keep(&names, host, "192.0.2.1", 60, i);
		assert_non_null(crew__fetch_names_find(&names, host, i));
	}
	for (uint32_t i = 0; i < 10 * CREW__FETCH_NAMES; i++) {
		snprintf(host, sizeof(host), "h%u", i);
		kept += crew__fetch_names_find(&names, host, 1000) != NULL;
	}
	assert_int_equal(kept, CREW__FETCH_NAMES);
	crew__fetch_names_fini(&names);
}

static void add_address(struct crew__resolved *resolved, const char *text, uint32_t scope)
{
	struct sockaddr_storage *place = &resolved->addresses[resolved->count++];
	struct sockaddr_in *in = (void *)place;
	struct sockaddr_in6 *in6 = (void *)place;
	memset(place, 0, sizeof(*place));
	if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		return;
	}
	assert_int_equal(inet_pton(AF_INET6, text, &in6->sin6_addr), 1);
	in6->sin6_family = AF_INET6;
	in6->sin6_scope_id = scope;
}

static void addresses_as_text(void **state)
{
	struct crew__resolved resolved = { 0 };
	char text[CREW__FETCH_ADDRESSES];
	(void)state;
	assert_int_equal(crew__fetch_addresses(&resolved, text), 0);
	assert_string_equal(text, "");
	add_address(&resolved, "fe80::1", 2);
	assert_int_equal(crew__fetch_addresses(&resolved, text), 0);
	add_address(&resolved, "2001:db8::1", 0);
	add_address(&resolved, "192.0.2.1", 0);
	assert_int_equal(crew__fetch_addresses(&resolved, text), 2);
	assert_string_equal(text, "[2001:db8::1],192.0.2.1");
	while (resolved.count < CREW__RESOLVED_MOST)
		add_address(&resolved, "1111:2222:3333:4444:5555:6666:7777:8888", 0);
	assert_int_equal(crew__fetch_addresses(&resolved, text), CREW__RESOLVED_MOST - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls_that_are_taken),
		cmocka_unit_test(urls_that_are_refused),
		cmocka_unit_test(proxies),
		cmocka_unit_test(options_that_are_refused),
		cmocka_unit_test(options_that_are_taken),
		cmocka_unit_test(too_many_fields),
		cmocka_unit_test(which_answers_are_redirects),
		cmocka_unit_test(where_a_redirect_leads),
		cmocka_unit_test(what_becomes_of_the_method),
		cmocka_unit_test(credentials_do_not_go_elsewhere),
		cmocka_unit_test(what_was_made_once_is_not_sent_twice),
		cmocka_unit_test(not_for_ever),
		cmocka_unit_test(addresses_are_remembered_for_their_time),
		cmocka_unit_test(not_more_than_there_is_room_for),
		cmocka_unit_test(addresses_as_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
