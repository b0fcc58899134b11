/* test_router.c - which pattern takes a path, what stands in its params, what is wrong with
 * patterns and methods. fuzz/fuzz_router.c compares with a matcher that has no tree. */
#include "web/router.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct row {
	const char *methods, *pattern;
};

static struct crew__router *router;

/* The target of each is its own pattern. */
static void build(const struct row *rows, size_t count)
{
	const char *why = NULL;
	router = crew__router_new();
	assert_non_null(router);
	for (size_t i = 0; i < count; i++)
		if (crew__router_add(router, rows[i].methods, crew_str(rows[i].pattern),
			    rows[i].pattern, false, &why) != 0)
			fail_msg("%s: %s", rows[i].pattern, why);
}
#define BUILD(...)                                                 \
	do {                                                       \
		static const struct row rows_[] = { __VA_ARGS__ }; \
		build(rows_, crew__lengthof(rows_));               \
	} while (0)

static int tear_down(void **state)
{
	(void)state;
	crew__router_free(router);
	router = NULL;
	return 0;
}

/* "PATTERN name=value ...", or "none", or "405". */
static const char *ask(const char *method, const char *path)
{
	static char text[4096];
	crew_header params[CREW__ROUTER_PARAMS_MOST];
	size_t len = strlen(path);
	char *exact = malloc(len ? len : 1);
	assert_non_null(exact);
	memcpy(exact, path, len);
	const struct crew__resource *r = crew__router_match(
		router, (crew_bytes){ exact, len }, params);
	const struct crew__action *a = r ? crew__resource_action(r, crew_str(method)) : NULL;
	int n = snprintf(text, sizeof(text), "%s",
		a   ? (const char *)a->target
		: r ? "405"
		    : "none");
	for (unsigned i = 0; a && i < a->name_count; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, " %.*s=%.*s",
			(int)a->names[i].len, a->names[i].data, (int)params[i].value.len,
			params[i].value.data);
	free(exact);
	return text;
}

static const char *get(const char *path)
{
	return ask("GET", path);
}

/* ---- texts --------------------------------------------------------------------------------- */

static void texts_are_told_apart(void **state)
{
	(void)state;
	BUILD({ NULL, "/" }, { NULL, "/static" }, { NULL, "/star" }, { NULL, "/s" },
		{ NULL, "/stop/here" }, { NULL, "/stop" }, { NULL, "/a//b" }, { NULL, "/stop/" });
	static const char *const there[] = { "/", "/static", "/star", "/s", "/stop/here", "/stop",
		"/stop/", "/a//b" };
	static const char *const not_there[] = { "", "*", "//", "/st", "/stat", "/statics",
		"/start", "/stop/h", "/stop/here/", "/stop/heres", "/a/b", "/a///b", "/S", "s",
		"/s/", "a" };
	for (size_t i = 0; i < crew__lengthof(there); i++)
		assert_string_equal(get(there[i]), there[i]);
	for (size_t i = 0; i < crew__lengthof(not_there); i++)
		assert_string_equal(get(not_there[i]), "none");
}

static void an_empty_table_has_nothing(void **state)
{
	(void)state;
	router = crew__router_new();
	assert_string_equal(get("/"), "none");
	assert_string_equal(get("/%2F"), "none");
	crew__router_free(NULL);
}

/* ---- params -------------------------------------------------------------------------------- */

static void params_are_whole_segments(void **state)
{
	(void)state;
	BUILD({ NULL, "/users/:id" }, { NULL, "/users/:id/posts/:post" }, { NULL, "/:any/" },
		{ NULL, "/v1:batch" }, { NULL, "/x/:a-b_9" });
	assert_string_equal(get("/users/7"), "/users/:id id=7");
	assert_string_equal(get("/users/a:b*c"), "/users/:id id=a:b*c");
	assert_string_equal(get("/users/7/posts/9"), "/users/:id/posts/:post id=7 post=9");
	assert_string_equal(get("/users/"), "/:any/ any=users");
	assert_string_equal(get("/users//posts/9"), "none");
	assert_string_equal(get("/users/7/posts"), "none");
	assert_string_equal(get("/users/7/"), "none");
	assert_string_equal(get("//"), "none");
	assert_string_equal(get("/v1:batch"), "/v1:batch");
	assert_string_equal(get("/x/1"), "/x/:a-b_9 a-b_9=1");
}

static void a_rest_may_be_empty(void **state)
{
	(void)state;
	BUILD({ NULL, "/files/*path" }, { NULL, "/all/*" }, { NULL, "/d/" }, { NULL, "/d/*r" });
	assert_string_equal(get("/files/a/b//c"), "/files/*path path=a/b//c");
	assert_string_equal(get("/files/"), "/files/*path path=");
	assert_string_equal(get("/files"), "none");
	assert_string_equal(get("/all/x"), "/all/* =x");
	assert_string_equal(get("/d/"), "/d/");
	assert_string_equal(get("/d/d"), "/d/*r r=d");
}

static void the_more_particular_wins(void **state)
{
	(void)state;
	BUILD({ NULL, "/*rest" }, { NULL, "/:a" }, { NULL, "/me" }, { NULL, "/:a/b" },
		{ NULL, "/me/:x" }, { NULL, "/me/*x" });
	assert_string_equal(get("/me"), "/me");
	assert_string_equal(get("/mee"), "/:a a=mee");
	assert_string_equal(get("/m"), "/:a a=m");
	assert_string_equal(get("/"), "/*rest rest=");
	assert_string_equal(get("/x/b"), "/:a/b a=x");
	assert_string_equal(get("/me/b"), "/me/:x x=b");
	assert_string_equal(get("/me/b/c"), "/me/*x x=b/c");
	assert_string_equal(get("/x/c"), "/*rest rest=x/c");
}

static void what_does_not_lead_on_is_tried_again(void **state)
{
	(void)state;
	BUILD({ NULL, "/a/b/c" }, { NULL, "/a/:x/d" }, { NULL, "/:y/b/e" }, { NULL, "/:y/:z/:w/q" },
		{ NULL, "/a/*rest" });
	assert_string_equal(get("/a/b/c"), "/a/b/c");
	assert_string_equal(get("/a/b/d"), "/a/:x/d x=b");
	assert_string_equal(get("/a/b/e"), "/a/*rest rest=b/e");
	assert_string_equal(get("/b/b/e"), "/:y/b/e y=b");
	assert_string_equal(get("/b/b/f/q"), "/:y/:z/:w/q y=b z=b w=f");
	assert_string_equal(get("/b/b/f"), "none");
}

static void names_belong_to_the_route(void **state)
{
	(void)state;
	BUILD({ "GET", "/u/:id" }, { "POST", "/u/:user" }, { "GET", "/u/:u/x" });
	assert_string_equal(ask("GET", "/u/7"), "/u/:id id=7");
	assert_string_equal(ask("POST", "/u/7"), "/u/:user user=7");
	assert_string_equal(ask("GET", "/u/7/x"), "/u/:u/x u=7");
}

/* The table that is worst for trying again: at each level a text and a param lead on, and none to
 * what is asked for. Each node is visited once, which is no more than there are patterns' segments;
 * the ways through are as many as there are patterns, and each could begin anew at every level. */
static void trying_again_has_a_bound(void **state)
{
	enum {
		DEPTH = 12
	};
	const char *why;
	char pattern[128], path[128], *to = path;
	(void)state;
	router = crew__router_new();
	for (unsigned bits = 0; bits < 1u << DEPTH; bits++) {
		to = pattern;
		for (unsigned i = 0; i < DEPTH; i++)
			to += sprintf(to, bits >> i & 1 ? "/a" : "/:p%u", i);
		strcpy(to, "/z");
		assert_int_equal(
			crew__router_add(router, NULL, crew_str(pattern), "z", false, &why), 0);
	}
	to = path;
	for (unsigned i = 0; i < DEPTH; i++)
		to = stpcpy(to, "/a");
	for (unsigned i = 0; i < 20; i++)
		assert_string_equal(get(path), "none");
	strcpy(to, "/z");
	assert_string_equal(get(path), "z");
	path[7] = 'b';
	assert_string_equal(get(path), "z p3=b");
}

/* ---- escapes ------------------------------------------------------------------------------- */

static void escapes_mean_their_bytes(void **state)
{
	(void)state;
	BUILD({ NULL, "/abc" }, { NULL, "/a b" }, { NULL, "/%2f" }, { NULL, "/c%2Fd/e" },
		{ NULL, "/%3Aid" }, { NULL, "/100%25" }, { NULL, "/caf\xc3\xa9" },
		{ NULL, "/p/:x" }, { NULL, "/q/%2a" });
	assert_string_equal(get("/a%62c"), "/abc");
	assert_string_equal(get("/%61%62%63"), "/abc");
	assert_string_equal(get("/a%20b"), "/a b");
	assert_string_equal(get("/a+b"), "none");
	assert_string_equal(get("/%2F"), "/%2f");
	assert_string_equal(get("//"), "none");
	assert_string_equal(get("/c%2fd/e"), "/c%2Fd/e");
	assert_string_equal(get("/c/d/e"), "none");
	assert_string_equal(get("/c%2fd%2fe"), "none");
	assert_string_equal(get("%2fabc"), "none");
	assert_string_equal(get("/:id"), "/%3Aid");
	assert_string_equal(get("/100%25"), "/100%25");
	assert_string_equal(get("/caf%C3%A9"), "/caf\xc3\xa9");
	assert_string_equal(get("/caf\xc3\xa9"), "/caf\xc3\xa9");
	assert_string_equal(get("/p/a%2Fb"), "/p/:x x=a%2Fb");
	assert_string_equal(get("/%70/%2e%2e"), "/p/:x x=%2e%2e");
	assert_string_equal(get("/q/*"), "/q/%2a");
}

static void bad_escapes_are_nobodys(void **state)
{
	(void)state;
	BUILD({ NULL, "/*all" }, { NULL, "/:x" });
	static const char *const bad[] = { "/%", "/%4", "/a%", "/%zz", "/%00", "/a%00b", "/ok/%1" };
	for (size_t i = 0; i < crew__lengthof(bad); i++)
		assert_string_equal(get(bad[i]), "none");
	assert_string_equal(get("/%01"), "/:x x=%01");
}

static void dots_are_segments(void **state)
{
	(void)state;
	BUILD({ NULL, "/a" }, { NULL, "/:x/../a" });
	assert_string_equal(get("/b/../a"), "/:x/../a x=b");
	assert_string_equal(get("/./a"), "none");
}

/* ---- methods ------------------------------------------------------------------------------- */

static const char *allow(const char *path)
{
	static char text[256];
	crew_header params[CREW__ROUTER_PARAMS_MOST];
	const struct crew__resource *r = crew__router_match(router, crew_str(path), params);
	assert_non_null(r);
	snprintf(text, sizeof(text), "%.*s", (int)r->allow.len, r->allow.data);
	return text;
}

static void methods_choose_after_the_path(void **state)
{
	(void)state;
	BUILD({ "GET", "/g" }, { "GET POST", "/gp" }, { "POST", "/p" }, { "HEAD GET", "/hg" },
		{ NULL, "/any" }, { "PUT", "/any" }, { "OPTIONS DELETE", "/od" },
		{ "PROPFIND-EXTENDED", "/long" }, { "GET", "/users/me" },
		{ "DELETE", "/users/:id" });
	assert_string_equal(ask("GET", "/g"), "/g");
	assert_string_equal(ask("HEAD", "/g"), "/g");
	assert_string_equal(ask("POST", "/g"), "405");
	assert_string_equal(ask("OPTIONS", "/g"), "405");
	assert_string_equal(ask("get", "/g"), "405");
	assert_string_equal(ask("GE", "/g"), "405");
	assert_string_equal(ask("", "/g"), "405");
	assert_string_equal(ask("POST", "/gp"), "/gp");
	assert_string_equal(ask("HEAD", "/p"), "405");
	assert_string_equal(ask("BREW", "/any"), "/any");
	assert_string_equal(ask("HEAD", "/any"), "/any");
	assert_string_equal(ask("GET", "/any"), "/any");
	assert_string_equal(ask("PROPFIND-EXTENDED", "/long"), "/long");
	assert_string_equal(ask("DELETE", "/users/me"), "405"); /* the path decides first */
	assert_string_equal(allow("/g"), "GET, HEAD, OPTIONS");
	assert_string_equal(allow("/gp"), "GET, HEAD, POST, OPTIONS");
	assert_string_equal(allow("/p"), "POST, OPTIONS");
	assert_string_equal(allow("/hg"), "HEAD, GET, OPTIONS");
	assert_string_equal(allow("/any"), "PUT, OPTIONS");
	assert_string_equal(allow("/od"), "OPTIONS, DELETE");
}

static void head_goes_to_its_own(void **state)
{
	const char *why;
	static const char get_target[] = "get", head_target[] = "head", any_target[] = "any";
	(void)state;
	router = crew__router_new();
	crew__router_add(router, NULL, CREW_BYTES("/"), any_target, false, &why);
	assert_string_equal(ask("HEAD", "/"), "any");
	crew__router_add(router, "GET", CREW_BYTES("/"), get_target, false, &why);
	assert_string_equal(ask("HEAD", "/"), "get");
	crew__router_add(router, "HEAD", CREW_BYTES("/"), head_target, false, &why);
	assert_string_equal(ask("HEAD", "/"), "head");
	assert_string_equal(ask("GET", "/"), "get");
	assert_string_equal(ask("PUT", "/"), "any");
}

/* ---- what is wrong ------------------------------------------------------------------------- */

static void refuse(const char *methods, const char *pattern, int error, const char *word)
{
	const char *why = NULL;
	tear_down(NULL);
	BUILD({ "GET", "/taken/:id" }, { NULL, "/any" });
	if (crew__router_add(router, methods, crew_str(pattern), "x", false, &why) != error)
		fail_msg("\"%s\" \"%s\"", methods ? methods : "", pattern);
	assert_non_null(why);
	if (!strstr(why, word))
		fail_msg("\"%s\": \"%s\" has no \"%s\"", pattern, why, word);
}

static void bad_patterns_are_refused(void **state)
{
	static char endless[CREW__ROUTER_PATTERN_MOST + 2];
	(void)state;
	memset(endless, 'x', sizeof(endless) - 1);
	endless[0] = '/';
	refuse(NULL, "", -EINVAL, "begin with a slash");
	refuse(NULL, "users", -EINVAL, "begin with a slash");
	refuse(NULL, "*", -EINVAL, "begin with a slash");
	refuse(NULL, endless, -EINVAL, "longer");
	refuse(NULL, "/:", -EINVAL, "%3A");
	refuse(NULL, "/:/x", -EINVAL, "name");
	refuse(NULL, "/:a b", -EINVAL, "letters");
	refuse(NULL, "/:1", -EINVAL, "letters");
	refuse(NULL, "/:a*", -EINVAL, "letters");
	refuse(NULL, "/*a.b", -EINVAL, "letters");
	refuse(NULL, "/a*", -EINVAL, "%2A");
	refuse(NULL, "/*a/", -EINVAL, "follow");
	refuse(NULL, "/*a/b", -EINVAL, "follow");
	refuse(NULL, "/a?b", -EINVAL, "%3F");
	refuse(NULL, "/a#b", -EINVAL, "%23");
	refuse(NULL, "/%", -EINVAL, "hex");
	refuse(NULL, "/%g0", -EINVAL, "hex");
	refuse(NULL, "/%00", -EINVAL, "00");
	refuse(NULL, "/:a/:b/:a", -EINVAL, "same name");
	refuse(NULL, "/:a/*a", -EINVAL, "same name");
	refuse(NULL, "/:a/:b/:c/:d/:e/:f/:g/:h/:i/:j/:k/:l/:m/:n/:o/:p/:q", -EINVAL, "16");
	refuse(NULL, "/:a/:b/:c/:d/:e/:f/:g/:h/:i/:j/:k/:l/:m/:n/:o/:p/*q", -EINVAL, "16");
}

static void bad_methods_are_refused(void **state)
{
	(void)state;
	refuse("", "/", -EINVAL, "one space");
	refuse(" GET", "/", -EINVAL, "one space");
	refuse("GET ", "/", -EINVAL, "one space");
	refuse("GET  POST", "/", -EINVAL, "one space");
	refuse("GET,POST", "/", -EINVAL, "one space");
	refuse("G\xc3\xa9T", "/", -EINVAL, "one space");
	refuse("get", "/", -EINVAL, "capitals");
	refuse("GET Post", "/", -EINVAL, "capitals");
	refuse("GET GET", "/", -EEXIST, "same method");
}

static void what_is_taken_is_taken(void **state)
{
	const char *why;
	(void)state;
	refuse("GET", "/taken/:id", -EEXIST, "same method");
	refuse("POST GET", "/taken/:other", -EEXIST, "same method");
	refuse("GET", "/%74aken/:x", -EEXIST, "same method");
	refuse(NULL, "/any", -EEXIST, "any method");
	assert_int_equal(
		crew__router_add(router, "POST GET", CREW_BYTES("/taken/:x"), "new", true, &why),
		0);
	assert_string_equal(ask("GET", "/taken/1"), "/taken/:id id=1");
	assert_string_equal(ask("POST", "/taken/1"), "new x=1");
	assert_int_equal(crew__router_add(router, NULL, CREW_BYTES("/any"), "new", true, &why), 0);
	assert_string_equal(ask("PUT", "/any"), "/any");
}

static void the_most_of_all(void **state)
{
	static char longest[CREW__ROUTER_PATTERN_MOST + 1];
	(void)state;
	memset(longest, '/', sizeof(longest) - 1);
	BUILD({ NULL, "/:a/:b/:c/:d/:e/:f/:g/:h/:i/:j/:k/:l/:m/:n/:o/*p" }, { NULL, longest });
	assert_string_equal(get("/1/2/3/4/5/6/7/8/9/a/b/c/d/e/f/g/h"),
		"/:a/:b/:c/:d/:e/:f/:g/:h/:i/:j/:k/:l/:m/:n/:o/*p a=1 b=2 c=3 d=4 e=5 f=6 g=7 h=8 "
		"i=9 j=a k=b l=c m=d n=e o=f p=g/h");
	assert_string_equal(get(longest), longest);
	longest[CREW__ROUTER_PATTERN_MOST - 1] = '\0';
	assert_string_equal(get(longest), "none");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(texts_are_told_apart, tear_down),
		cmocka_unit_test_teardown(an_empty_table_has_nothing, tear_down),
		cmocka_unit_test_teardown(params_are_whole_segments, tear_down),
		cmocka_unit_test_teardown(a_rest_may_be_empty, tear_down),
		cmocka_unit_test_teardown(the_more_particular_wins, tear_down),
		cmocka_unit_test_teardown(what_does_not_lead_on_is_tried_again, tear_down),
		cmocka_unit_test_teardown(names_belong_to_the_route, tear_down),
		cmocka_unit_test_teardown(trying_again_has_a_bound, tear_down),
		cmocka_unit_test_teardown(escapes_mean_their_bytes, tear_down),
		cmocka_unit_test_teardown(bad_escapes_are_nobodys, tear_down),
		cmocka_unit_test_teardown(dots_are_segments, tear_down),
		cmocka_unit_test_teardown(methods_choose_after_the_path, tear_down),
		cmocka_unit_test_teardown(head_goes_to_its_own, tear_down),
		cmocka_unit_test_teardown(bad_patterns_are_refused, tear_down),
		cmocka_unit_test_teardown(bad_methods_are_refused, tear_down),
		cmocka_unit_test_teardown(what_is_taken_is_taken, tear_down),
		cmocka_unit_test_teardown(the_most_of_all, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
