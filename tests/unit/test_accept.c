/* test_accept.c - what clients would rather have: real fields, weights, what is not well formed. */
#include "web/accept.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define FIREFOX "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"
#define AXIOS   "application/json, text/plain, */*"

static unsigned type_weight(const char *accept, const char *type)
{
	const crew_header fields[] = { { CREW_BYTES("Host"), CREW_BYTES("a") },
		{ CREW_BYTES("ACCEPT"), crew_str(accept) } };
	return crew__accept_type(fields, accept ? 2 : 1, type);
}

static unsigned coding_weight(const char *accept, const char *coding)
{
	const crew_header field = { CREW_BYTES("accept-encoding"), crew_str(accept) };
	return crew__accept_coding(&field, accept ? 1 : 0, coding);
}

static bool prefers_json(const char *accept)
{
	const crew_header field = { CREW_BYTES("Accept"), crew_str(accept) };
	return crew__accept_prefers(&field, accept ? 1 : 0, "application/json", "text/html");
}

static void types_have_weights(void **state)
{
	static const struct {
		const char *accept, *type;
		unsigned weight;
	} rows[] = {
		{ NULL, "text/html", 1000 },
		{ "", "text/html", 1000 },
		{ " \t", "text/html", 1000 },
		{ "*/*", "text/html", 1000 },
		{ FIREFOX, "text/html", 1000 },
		{ FIREFOX, "application/xml", 900 },
		{ FIREFOX, "application/json", 800 },
		{ "TEXT/Html", "text/html", 1000 },
		{ "text/*;q=0.3", "text/html", 300 },
		{ "text/*;q=0.3", "texts/html", 0 },
		{ "text/*;q=0.3, text/html;q=0.25", "text/html", 250 },
		{ "text/html;q=0.25,text/*;q=0.3", "text/html", 250 },
		{ "*/*;q=0.1,text/*;q=0.3", "text/html", 300 },
		{ "text/html;level=1;q=0.4, text/html;q=0.7", "text/html", 700 },
		{ "text/html;level=1;q=0.4", "text/html", 400 },
		{ "text/html ; Q=0.5", "text/html", 500 },
		{ "text/html;q=0", "text/html", 0 },
		{ "text/html;q=0.000", "text/html", 0 },
		{ "text/html;q=1.000", "text/html", 1000 },
		{ "text/html;q=0.", "text/html", 0 },
		{ "text/html;q=1.", "text/html", 1000 },
		{ "text/html;q=0.001", "text/html", 1 },
		{ "image/png", "text/html", 0 },
		{ "text/html;a=\"b,c;q=0\";q=0.6", "text/html", 600 },
		{ "text/html;a=\"\\\"\";q=0.6", "text/html", 600 },
		{ ",, ,text/html;;q=0.5;,", "text/html", 500 },
	};
	(void)state;
	for (size_t i = 0; i < crew__lengthof(rows); i++)
		if (type_weight(rows[i].accept, rows[i].type) != rows[i].weight)
			fail_msg("row %zu: %s is %u", i, rows[i].accept,
				type_weight(rows[i].accept, rows[i].type));
}

static void bad_elements_are_passed_over(void **state)
{
	static const char *const bad[] = { "text/html;q=2", "text/html;q=1.001",
		"text/html;q=0.1234", "text/html;q=", "text/html;q=.5", "text/html;q=-1",
		"text/html;q=0,5", ";q=1", "text/html;q=0x1", "text/html;q=1 1", "text/html;a=\"",
		"\"", "text/", "/html", "text", "te*t/html", "text/htm*" };
	(void)state;
	for (size_t i = 0; i < crew__lengthof(bad); i++) {
		const crew_header fields[] = { { CREW_BYTES("Accept"), crew_str(bad[i]) },
			{ CREW_BYTES("Accept"), CREW_BYTES("text/*;q=0.3") } };
		unsigned weight = crew__accept_type(fields, 2, "text/html");
		bool zero = strcmp(bad[i], "text/html;q=0,5") == 0;
		bool open = strcmp(bad[i], "text/html;a=\"") == 0;
		if (weight != (zero ? 0u : open ? 1000u : 300u))
			fail_msg("\"%s\": %u", bad[i], weight);
	}
}

static void fields_are_one_list(void **state)
{
	const crew_header fields[] = { { CREW_BYTES("Accept"), CREW_BYTES("text/html;q=0.5") },
		{ CREW_BYTES("Accept-Encoding"), CREW_BYTES("br") },
		{ CREW_BYTES("Accept"), CREW_BYTES("text/css;q=0.4") },
		{ CREW_BYTES("Accept-Encoding"), CREW_BYTES("gzip;q=0.2") } };
	(void)state;
	assert_int_equal(crew__accept_type(fields, 4, "text/html"), 500);
	assert_int_equal(crew__accept_type(fields, 4, "text/css"), 400);
	assert_int_equal(crew__accept_type(fields, 4, "a/b"), 0);
	assert_int_equal(crew__accept_coding(fields, 4, "br"), 1000);
	assert_int_equal(crew__accept_coding(fields, 4, "gzip"), 200);
}

static void who_wants_json(void **state)
{
	static const char *const json[] = { "application/json", AXIOS, "APPLICATION/JSON",
		"application/json;charset=utf-8", "application/*",
		"text/html;q=0.9,application/json", "application/json, text/html;q=0.5",
		"application/json;q=0.1" };
	static const char *const html[] = { NULL, "", "*/*", FIREFOX, "text/html", "text/*, */*",
		"text/html, application/json", "application/json, text/html",
		"application/json;q=0.5, text/html;q=0.6", "image/png", "application/json;q=0",
		"application/json;q=0, */*", "text/plain" };
	(void)state;
	for (size_t i = 0; i < crew__lengthof(json); i++)
		if (!prefers_json(json[i]))
			fail_msg("\"%s\" wants JSON", json[i]);
	for (size_t i = 0; i < crew__lengthof(html); i++)
		if (prefers_json(html[i]))
			fail_msg("\"%s\" does not want JSON", html[i]);
}

static void codings_have_weights(void **state)
{
	static const struct {
		const char *accept, *coding;
		unsigned weight;
	} rows[] = {
		{ NULL, "gzip", 0 },
		{ NULL, "identity", 1000 },
		{ "", "gzip", 0 },
		{ "", "identity", 1000 },
		{ "gzip, deflate, br", "gzip", 1000 },
		{ "gzip, deflate, br", "br", 1000 },
		{ "gzip, deflate, br", "zstd", 0 },
		{ "gzip, deflate, br", "identity", 1000 },
		{ "GZip;q=0.5", "gzip", 500 },
		{ "x-gzip", "gzip", 1000 },
		{ "x-gzip", "br", 0 },
		{ "*", "gzip", 1000 },
		{ "*;q=0.2, gzip;q=0", "gzip", 0 },
		{ "*;q=0.2, gzip;q=0", "br", 200 },
		{ "*;q=0.2", "identity", 1000 },
		{ "*;q=0", "identity", 0 },
		{ "*;q=0, identity;q=0.1", "identity", 100 },
		{ "identity;q=0", "identity", 0 },
		{ "identity;q=0, gzip", "gzip", 1000 },
		{ "gzip;q=0", "gzip", 0 },
		{ "gzipped", "gzip", 0 },
		{ "gzip;q=9", "gzip", 0 },
	};
	(void)state;
	for (size_t i = 0; i < crew__lengthof(rows); i++)
		if (coding_weight(rows[i].accept, rows[i].coding) != rows[i].weight)
			fail_msg("row %zu: %s is %u", i, rows[i].accept,
				coding_weight(rows[i].accept, rows[i].coding));
}

/* Nothing is read beyond the field's end, however it is cut off. */
static void fields_that_are_cut_off(void **state)
{
	static const char whole[] = "text/html;a=\"b\\\"c\" ; q=0.55, */*;q=0.1 ,\"";
	(void)state;
	for (size_t len = 0; len < sizeof(whole); len++) {
		char *copy = malloc(len ? len : 1);
		assert_non_null(copy);
		memcpy(copy, whole, len);
		const crew_header fields[] = { { CREW_BYTES("Accept"), { copy, len } },
			{ CREW_BYTES("Accept-Encoding"), { copy, len } } };
		assert_true(crew__accept_type(fields, 2, "text/html") <= 1000);
		assert_true(crew__accept_coding(fields, 2, "gzip") <= 1000);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(types_have_weights),
		cmocka_unit_test(bad_elements_are_passed_over),
		cmocka_unit_test(fields_are_one_list),
		cmocka_unit_test(who_wants_json),
		cmocka_unit_test(codings_have_weights),
		cmocka_unit_test(fields_that_are_cut_off),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
