/* What crew_connect() is given: judged, and copied so that nothing of the caller's is used later.
 * And how long is waited before the next attempt. */
#include "service/connect_options.h"
#include "service/connect_retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static int64_t cut(crew_conn *c, crew_bytes in)
{
	(void)c;
	return (int64_t)in.len;
}

static void on_retry(crew_conn *c)
{
	(void)c;
}

static const crew_service plain = { .name = "feed" };
static const crew_protocol netstring = { .name = "netstring", .cut = cut };
static const crew_service own = { .name = "own", .protocol = &netstring };

static int judged(const char *url, crew_connect_options options, char error[256])
{
	struct crew__connect_plan plan;
	error[0] = '\0';
	int result = crew__connect_plan_init(&plan, url, &options, error, 256);
	if (result == 0)
		crew__connect_plan_fini(&plan);
	return result;
}

static enum crew__protocol_kind kind_of(const char *url, const crew_service *service)
{
	struct crew__connect_plan plan;
	const crew_connect_options options = { .service = service };
	char error[256];
	assert_int_equal(crew__connect_plan_init(&plan, url, &options, error, sizeof(error)), 0);
	enum crew__protocol_kind kind = plan.kind;
	crew__connect_plan_fini(&plan);
	return kind;
}

static void schemes_say_what_is_spoken(void **state)
{
	(void)state;
	assert_int_equal(kind_of("tcp://a:1", &plain), CREW__RAW);
	assert_int_equal(kind_of("tls://a:1", &plain), CREW__RAW);
	assert_int_equal(kind_of("udp://a:1", &plain), CREW__RAW);
	assert_int_equal(kind_of("unix://@a", &plain), CREW__RAW);
	assert_int_equal(kind_of("text://a:1", &plain), CREW__TEXT);
	assert_int_equal(kind_of("frame+unix://@a", &plain), CREW__FRAME);
	assert_int_equal(kind_of("ws://a", &plain), CREW__WS);
	assert_int_equal(kind_of("wss://a", &plain), CREW__WS);
	assert_int_equal(kind_of("netstring://a:1", &own), CREW__CUSTOM);
	assert_int_equal(kind_of("netstring+tls://a:1", &own), CREW__CUSTOM);
	assert_int_equal(kind_of("tcp://a:1", &own), CREW__CUSTOM);
	assert_int_equal(kind_of("udp://a:1", &own), CREW__CUSTOM);
}

#define SECONDS 1000

static void options_are_judged(void **state)
{
	(void)state;
	static const crew_header header[] = { { CREW_BYTES("A"), CREW_BYTES("b") },
		{ { NULL, 0 }, { NULL, 0 } } };
	static const crew_header upgrade[] = { { CREW_BYTES("Upgrade"), CREW_BYTES("b") },
		{ { NULL, 0 }, { NULL, 0 } } };
	char *huge = malloc(20 * 1024);
	memset(huge, 'a', 20 * 1024);
	huge[20 * 1024 - 1] = '\0';
	const crew_header long_one[] = { { CREW_BYTES("A"), { huge, 17 * 1024 } },
		{ { NULL, 0 }, { NULL, 0 } } };
	const struct {
		const char *url;
		crew_connect_options o;
		const char *word; /* of the sentence; NULL: it is good */
	} cases[] = {
		{ "ws://a", { .headers = header, .protocols = "x" }, NULL },
		{ "wss://a", { .tls_ca = "x", .tls_cert = "c", .tls_key = "k" }, NULL },
		{ "tcp://a:1", { .retry_ms = 1, .on_retry = on_retry }, NULL },
		{ "tcp://a:1", { .retry_ms = 60 * SECONDS }, NULL },
		{ "tcp://a:1", { .proxy = "x", .local = "::1" }, NULL },
		{ "tls+unix://@a", { .tls_name = "a" }, NULL },
		{ "tls+unix://@a", { .tls_insecure = true }, NULL },
		{ NULL, { .arg = NULL }, "URL" },
		{ "tcp://a", { .arg = NULL }, "port" },
		{ "http://a:1", { .arg = NULL }, "crew_fetch" },
		{ "https://a:1", { .arg = NULL }, "crew_fetch" },
		{ "gopher://a:1", { .arg = NULL }, "unknown" },
		{ "netstring://a:1", { .arg = NULL }, "unknown" },
		{ "text://a:1", { .service = &own }, "netstring://" },
		{ "ws://a", { .service = &own }, "netstring://" },
		{ "text+udp://a:1", { .arg = NULL }, "streams" },
		{ "ws+udp://a:1", { .arg = NULL }, "streams" },
		{ "udp://a:1", { .proxy = "socks5://b:1" }, "proxy" },
		{ "tcp://a:1", { .timeout_ms = -1 }, "timeout_ms" },
		{ "tcp://a:1", { .timeout_ms = INT64_MAX }, "timeout_ms" },
		{ "tcp://a:1", { .retry_ms = -1 }, "retry_ms" },
		{ "tcp://a:1", { .retry_ms = 2, .retry_most_ms = 1 }, "less than" },
		{ "tcp://a:1", { .on_retry = on_retry }, "on_retry" },
		{ "tcp://a:1", { .headers = header }, "ws and wss" },
		{ "text://a:1", { .protocols = "x" }, "ws and wss" },
		{ "ws://a", { .headers = upgrade }, "Upgrade" },
		{ "ws://a", { .headers = long_one }, "longer" },
		{ "ws://a", { .protocols = "a,b" }, "sub-protocol" },
		{ "ws://a", { .protocols = huge }, "protocols is longer" },
		{ "tcp://a:1", { .proxy = huge }, "proxy is longer" },
		{ "tcp://a:1", { .tls_ca = "x" }, "not encrypted" },
		{ "ws://a", { .tls_insecure = true }, "wss" },
		{ "wss://a", { .tls_cert = "x" }, "tls_key is missing" },
		{ "wss://a", { .tls_key = "x" }, "tls_cert is missing" },
		{ "wss://a", { .tls_name = "" }, "tls_name is empty" },
		{ "tls+unix://@a", { .arg = NULL }, "tls_name" },
		{ "unix://@a", { .proxy = "socks5://a:1" }, "Unix" },
		{ "unix://@a", { .local = "::1" }, "Unix" },
	};
	for (size_t i = 0; i < crew__lengthof(cases); i++) {
		char error[256];
		crew_connect_options o = cases[i].o;
		o.service = o.service ? o.service : &plain;
		int result = judged(cases[i].url, o, error);
		bool good = cases[i].word ? result == -EINVAL && strstr(error, cases[i].word)
					  : result == 0;
		if (!good)
			fail_msg("%s: %d \"%s\"", cases[i].url, result, error);
	}
	char error[256];
	struct crew__connect_plan plan;
	assert_int_equal(crew__connect_plan_init(&plan, "ws://a", NULL, error, 256), -EINVAL);
	assert_int_equal(judged("ws://a", (crew_connect_options){ .arg = NULL }, error), -EINVAL);
	assert_non_null(strstr(error, "service"));
	free(huge);
}

static void everything_is_copied(void **state)
{
	(void)state;
	char url[] = "wss://feed.example/secret?token=1", protocols[] = "b a", name[] = "X-A";
	char value[] = "v", ca[] = "/ca", alpn[] = "http/1.1", proxy[] = "socks5://a:1";
	char host[] = "other.example";
	const crew_header headers[] = { { { name, 3 }, { value, 1 } },
		{ { NULL, 0 }, { NULL, 0 } } };
	crew_connect_options o = { .service = &plain,
		.headers = headers,
		.protocols = protocols,
		.tls_ca = ca,
		.tls_alpn = alpn,
		.proxy = proxy,
		.tls_name = host };
	struct crew__connect_plan plan;
	char error[256];
	assert_int_equal(crew__connect_plan_init(&plan, url, &o, error, sizeof(error)), 0);
	memset(url, 'x', sizeof(url) - 1);
	memset(protocols, 'x', sizeof(protocols) - 1);
	memset(name, 'x', sizeof(name) - 1);
	memset(value, 'x', sizeof(value) - 1);
	memset(ca, 'x', sizeof(ca) - 1);
	memset(alpn, 'x', sizeof(alpn) - 1);
	memset(proxy, 'x', sizeof(proxy) - 1);
	memset(host, 'x', sizeof(host) - 1);
	assert_string_equal(plan.text, "wss://feed.example/secret"); /* no query in logs */
	assert_memory_equal(plan.url.target.data, "/secret?token=1", plan.url.target.len);
	assert_string_equal(plan.options.protocols, "b a");
	assert_memory_equal(plan.options.headers[0].name.data, "X-A", 3);
	assert_memory_equal(plan.options.headers[0].value.data, "v", 1);
	assert_null(plan.options.headers[1].name.data);
	assert_string_equal(plan.options.tls_ca, "/ca");
	assert_string_equal(plan.options.tls_alpn, "http/1.1");
	assert_string_equal(plan.options.proxy, "socks5://a:1");
	assert_string_equal(plan.tls_name, "other.example");
	assert_int_equal(plan.options.timeout_ms, 10 * SECONDS);
	assert_int_equal(plan.options.retry_ms, 0);
	assert_int_equal(plan.options.retry_most_ms, 30 * SECONDS);
	crew__connect_plan_fini(&plan);
}

/* ---- waiting ------------------------------------------------------------------------------- */

static void bounds_double_up_to_the_most(void **state)
{
	(void)state;
	struct crew__retry retry = { .first_ms = 100, .most_ms = 1000 };
	static const uint64_t bounds[] = { 100, 200, 400, 800, 1000, 1000, 1000 };
	for (size_t i = 0; i < crew__lengthof(bounds); i++)
		assert_int_equal(crew__retry_draw(&retry, UINT64_MAX), bounds[i]);
	crew__retry_was_open(&retry, 999);
	assert_int_equal(crew__retry_draw(&retry, UINT64_MAX), 1000);
	crew__retry_was_open(&retry, 1000);
	assert_int_equal(crew__retry_draw(&retry, UINT64_MAX), 100);
	assert_int_equal(crew__retry_draw(&retry, 0), 0); /* full jitter: from nothing on */
	retry = (struct crew__retry){ .first_ms = 5000, .most_ms = 1000 };
	assert_int_equal(crew__retry_draw(&retry, UINT64_MAX), 1000);
	retry = (struct crew__retry){ .first_ms = UINT64_MAX / 2 + 1, .most_ms = UINT64_MAX - 1 };
	crew__retry_draw(&retry, 0);
	assert_int_equal(crew__retry_draw(&retry, UINT64_MAX), UINT64_MAX - 1);
}

static void draws_are_spread_over_the_whole_bound(void **state)
{
	(void)state;
	unsigned counts[10] = { 0 };
	uint64_t random = 88172645463325252u;
	for (int i = 0; i < 10000; i++) {
		struct crew__retry retry = { .first_ms = 9, .most_ms = 9 };
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		uint64_t drawn = crew__retry_draw(&retry, random);
		assert_in_range(drawn, 0, 9);
		counts[drawn]++;
	}
	for (int i = 0; i < 10; i++)
		assert_in_range(counts[i], 800, 1200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(schemes_say_what_is_spoken),
		cmocka_unit_test(options_are_judged),
		cmocka_unit_test(everything_is_copied),
		cmocka_unit_test(bounds_double_up_to_the_most),
		cmocka_unit_test(draws_are_spread_over_the_whole_bound),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
