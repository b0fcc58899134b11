/* Where services listen, as settings: several addresses, options, schemes; from code, file and
 * --set, through the text for workers. */
#include "settings_world.h"

#include <stdlib.h>
#include <string.h>

static const char several[] = "http://127.0.0.1:1?backlog=9  http+unix://RUNDIR/a%20b?mode=0600\t"
			      "http://[::1]:1";

static void several_come_through_the_text(void **state)
{
	(void)state;
	char set[256] = "web.listen=";
	struct crew__settings *settings = settings_good(NULL, strcat(set, several)), *again;
	assert_string_equal(settings_of(settings, "web")->listen, several);
	char *text = crew__settings_write(settings);
	assert_non_null(text);
	assert_int_equal(crew__settings_parse(&settings_app, text, &again, settings_error,
				 sizeof(settings_error)),
		0);
	assert_string_equal(settings_of(again, "web")->listen, several);
	crew__settings_free(again);
	crew__settings_free(settings);
	free(text);
}

/* The marks of options are none of comments; a blank before `;` begins one, as in every value. */
static void several_come_from_a_file(void **state)
{
	(void)state;
	struct crew__settings *settings = settings_good(
		"[web]\nlisten = http://127.0.0.1:1?backlog=9&ttl=3 http://[::1]:1 ; both\n", NULL);
	assert_string_equal(settings_of(settings, "web")->listen,
		"http://127.0.0.1:1?backlog=9&ttl=3 http://[::1]:1");
	crew__settings_free(settings);
}

static void http_in_every_form_has_its_idle_time(void **state)
{
	(void)state;
	static const struct {
		const char *set;
		int64_t idle_ms;
	} rows[] = {
		{ "web.listen=http+unix://@x", 60000 },
		{ "web.listen=  http://:1 http://@:2", -1 },
		{ "web.listen= http://:1 http://:2", 60000 },
		{ "web.listen=ws://:1", 0 },
		{ "web.listen=text+unix://http", 0 },
	};
	for (size_t i = 0; i < crew__lengthof(rows); i++) {
		if (rows[i].idle_ms < 0) {
			settings_bad(NULL, rows[i].set, "web.listen", NULL);
			continue;
		}
		struct crew__settings *settings = settings_good(NULL, rows[i].set);
		assert_int_equal(settings_of(settings, "web")->idle_timeout_ms, rows[i].idle_ms);
		crew__settings_free(settings);
	}
}

static void what_is_refused(void **state)
{
	(void)state;
	static const struct {
		const char *set, *words;
	} rows[] = {
		{ "web.listen=http://:1 http://:1", "stands there twice" },
		{ "web.listen=http://:1 ws://:2", "two schemes" },
		{ "web.listen=http://:1?bcklog=5", "did you mean \"backlog\"?" },
		{ "web.listen=http://:1 http://:2?mode=0600", "means nothing to a TCP address" },
		{ "web.listen=http+udp://:1", "spoken over streams" },
		{ "web.listen=text+udp://:1", "spoken over streams" },
		{ "web.listen=https+udp://:1", "TLS needs a stream" },
		{ "web.listen=htp://:1", "did you mean \"http\"?" },
		{ "web.listen=htps://:1", "did you mean \"https\"?" },
		{ "net.listen=text://:1", "a protocol of its own; write netstring://" },
		{ "net.listen=text+udp://:1", "spoken over streams" },
		/* The second address of one service is the only one of another. */
		{ "web.listen=http://127.0.0.1:1 http://127.0.0.1:7010",
			"service web listens there already" },
	};
	for (size_t i = 0; i < crew__lengthof(rows); i++)
		settings_bad(NULL, rows[i].set, rows[i].words, NULL);
}

static void a_protocol_of_its_own_in_datagrams(void **state)
{
	(void)state;
	static const char *const sets[] = { "net.listen=netstring+udp://:1", "net.listen=udp://:1",
		"net.listen=tcp://:1 unix://@x", "net.listen=netstring+unix://@x netstring://:1" };
	for (size_t i = 0; i < crew__lengthof(sets); i++)
		crew__settings_free(settings_good(NULL, sets[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(several_come_through_the_text),
		cmocka_unit_test(several_come_from_a_file),
		cmocka_unit_test(http_in_every_form_has_its_idle_time),
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(a_protocol_of_its_own_in_datagrams),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
