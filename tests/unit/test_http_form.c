/* test_http_form.c - what a handler gets of queries, cookies and forms, and the cookies it sets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "form_ways.h"

#include <stdio.h>
#include <stdlib.h>

static int clean_up(void **state)
{
	return form_clean_up(state);
}

/* ---- pairs ---------------------------------------------------------------------------------- */

static void look_at_queries(crew_conn *c, const crew_request *r)
{
	size_t count;
	(void)c;
	assert_true(is(crew_request_query(r, "a"), "1 2"));
	assert_true(is(crew_request_query(r, "b"), ""));
	assert_true(is(crew_request_query(r, "c d"), "&"));
	assert_null(crew_request_query(r, "A").data);
	assert_null(crew_request_query(r, "e").data);
	const crew_header *all = crew_request_queries(r, &count);
	assert_int_equal(count, 4);
	assert_true(is(all[3].name, "a") && is(all[3].value, "second"));
	assert_ptr_equal(crew_request_queries(r, &count), all); /* worked out once */
	assert_null(crew_request_form(r, "a").data);
	crew_request_forms(r, &count);
	assert_int_equal(count, 0);
	crew_request_files(r, &count);
	assert_int_equal(count, 0);
	assert_null(crew_request_file(r, "a"));
	tell("looked");
}

static void queries_are_decoded(void **state)
{
	form_open(state, look_at_queries);
	assert_int_equal(ask("GET /p?a=1+2&b&c%20d=%26&a=second HTTP/1.1\r\nHost: a\r\n\r\n"), 204);
	assert_string_equal(told(), "looked");
}

static void look_at_none(crew_conn *c, const crew_request *r)
{
	size_t count = 9;
	(void)c;
	crew_request_queries(r, &count);
	assert_int_equal(count, 0);
	assert_null(crew_request_query(r, "").data);
	assert_null(crew_request_cookie(r, "").data);
	assert_null(crew_request_form(r, "").data);
	tell("looked");
}

static void without_any_there_is_none(void **state)
{
	size_t count = 9;
	form_open(state, look_at_none);
	assert_int_equal(ask("GET /p HTTP/1.1\r\nHost: a\r\n\r\n"), 204);
	assert_string_equal(told(), "looked");
	assert_null(crew_request_query(NULL, "a").data);
	assert_null(crew_request_form(NULL, "a").data);
	assert_null(crew_request_cookie(NULL, "a").data);
	assert_null(crew_request_file(NULL, "a"));
	assert_null(crew_request_queries(NULL, &count));
	assert_int_equal(count, 0);
	assert_null(crew_request_files(NULL, &count));
	assert_int_equal(count, 0);
}

static void look_at_form(crew_conn *c, const crew_request *r)
{
	size_t count;
	(void)c;
	assert_true(is(crew_request_form(r, "a"), "1"));
	assert_true(is(crew_request_form(r, "b"), "x y"));
	assert_true(is(crew_request_query(r, "q"), "1"));
	assert_null(crew_request_form(r, "q").data);
	assert_int_equal(crew_request_forms(r, &count)[1].name.len, 1);
	assert_int_equal(count, 2);
	assert_true(is(r->body, "a=1&b=x+y"));
	tell("looked");
}

static void posted_forms_are_decoded(void **state)
{
	form_open(state, look_at_form);
	assert_int_equal(ask(POST("application/x-www-form-urlencoded", "9", "a=1&b=x+y")), 204);
	assert_int_equal(
		ask(POST("Application/X-WWW-Form-Urlencoded; charset=utf-8", "9", "a=1&b=x+y")),
		204);
	assert_string_equal(told(), "looked looked");
}

static void look_at_no_form(crew_conn *c, const crew_request *r)
{
	size_t count;
	(void)c;
	assert_null(crew_request_form(r, "a").data);
	crew_request_forms(r, &count);
	assert_int_equal(count, 0);
	tell("looked");
}

static void other_bodies_are_no_forms(void **state)
{
	form_open(state, look_at_no_form);
	assert_int_equal(ask(POST("text/plain", "3", "a=1")), 204);
	assert_int_equal(ask(POST("application/x-www-form-urlencodedx", "3", "a=1")), 204);
	assert_int_equal(ask(POST("multipart/mixed; boundary=B", "3", "a=1")), 204);
	assert_string_equal(told(), "looked looked looked");
}

/* A form with too many pairs is no form, rather than half of one; the next one is. */
static void a_form_of_too_many_pairs_is_none(void **state)
{
	enum {
		COUNT = 16 * 1024 + 1
	};
	form_open(state, look_at_no_form);
	char *text = malloc(200 + 4 * COUNT);
	int at = sprintf(text, POST("application/x-www-form-urlencoded", "%d", ""), 4 * COUNT);
	for (size_t i = 0; i < COUNT; i++)
		at += sprintf(text + at, "a=1&");
	assert_int_equal(ask_bytes((crew_bytes){ text, (size_t)at }), 204);
	assert_string_equal(told(), "looked");
	free(text);
	t.look = look_at_form;
	assert_int_equal(ask(POST("application/x-www-form-urlencoded", "9", "a=1&b=x+y")), 204);
}

static void look_at_cookies(crew_conn *c, const crew_request *r)
{
	(void)c;
	assert_true(is(crew_request_cookie(r, "a"), "1"));
	assert_true(is(crew_request_cookie(r, "b"), "x;y"));
	assert_true(is(crew_request_cookie(r, "c"), "3"));
	assert_null(crew_request_cookie(r, "A").data);
	assert_null(crew_request_cookie(r, "d").data);
	tell("looked");
}

static void cookies_of_all_fields(void **state)
{
	form_open(state, look_at_cookies);
	assert_int_equal(ask("GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1; b=\"x%3by\"\r\n"
			     "X-Cookie: d=4\r\ncookie: a=2; c=3\r\n\r\n"),
		204);
	assert_string_equal(told(), "looked");
}

static void set_cookies(crew_conn *c, const crew_request *r)
{
	(void)r;
	assert_int_equal(crew_reply_cookie(c, NULL), -EINVAL);
	assert_int_equal(crew_reply_cookie(c, &(crew_cookie){ .name = "a b" }), -EINVAL);
	assert_int_equal(
		crew_reply_cookie(c, &(crew_cookie){ .name = "a", .value = CREW_BYTES("\r\n") }),
		0);
	assert_int_equal(crew_reply_cookie(
				 c, &(crew_cookie){ .name = "b", .max_age_s = -1, .script = true }),
		0);
}

static void cookies_are_set(void **state)
{
	form_open(state, set_cookies);
	assert_int_equal(ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 204);
	assert_non_null(
		strstr(t.room, "\r\nSet-Cookie: a=%0D%0A; Path=/; HttpOnly; SameSite=Lax\r\n"));
	assert_non_null(strstr(t.room, "\r\nSet-Cookie: b=; Path=/; Max-Age=0; SameSite=Lax\r\n"));
	assert_int_equal(crew_reply_cookie(NULL, &(crew_cookie){ .name = "a" }), -ENOTCONN);
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		ON_BOTH(queries_are_decoded),
		ON_BOTH(without_any_there_is_none),
		ON_BOTH(posted_forms_are_decoded),
		ON_BOTH(other_bodies_are_no_forms),
		ON_BOTH(a_form_of_too_many_pairs_is_none),
		ON_BOTH(cookies_of_all_fields),
		ON_BOTH(cookies_are_set),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
