/* test_mime.c - media types by extension, from the system's table and our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "web/mime.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct crew__mime *mime;
static char path[64];

static const char *type(const char *name)
{
	return crew__mime_type(mime, crew_str(name));
}

static void write_table(const void *text, size_t len)
{
	strcpy(path, "/tmp/crew-mime-XXXXXX");
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), (ssize_t)len);
	close(fd);
}

static void read_table(const char *text)
{
	write_table(text, strlen(text));
	assert_int_equal(crew__mime_new(&mime, path), 0);
}

static int clean_up(void **state)
{
	(void)state;
	crew__mime_free(mime);
	mime = NULL;
	if (path[0])
		unlink(path);
	path[0] = '\0';
	return 0;
}

static void without_a_table(void **state)
{
	(void)state;
	assert_int_equal(crew__mime_new(&mime, NULL), 0);
	assert_string_equal(type("index.html"), "text/html; charset=utf-8");
	assert_string_equal(type("a/b.c/style.css"), "text/css; charset=utf-8");
	assert_string_equal(type("APP.JS"), "text/javascript; charset=utf-8");
	assert_string_equal(type("x.json"), "application/json");
	assert_string_equal(type("x.wasm"), "application/wasm");
	assert_string_equal(type("x.woff2"), "font/woff2");
	assert_string_equal(type("x.svg"), "image/svg+xml");
	assert_string_equal(type("x.tar.gz"), "application/gzip");
	assert_string_equal(type("x.txt"), "text/plain; charset=utf-8");
}

static void names_without_a_type(void **state)
{
	static const char *const names[] = { "", "README", "a.html/README", ".html", "a/.html",
		"x.", "x.html.", "x.nothingsuch", "html", "x.html/",
		"x.a-very-long-extension-that-is-longer-than-any-in-a-table" };
	(void)state;
	assert_int_equal(crew__mime_new(&mime, NULL), 0);
	for (size_t i = 0; i < crew__lengthof(names); i++)
		assert_string_equal(type(names[i]), "application/octet-stream");
	crew_bytes with_nul = { "x.html\0", 7 };
	assert_string_equal(crew__mime_type(mime, with_nul), "application/octet-stream");
}

static void the_systems_table_comes_first(void **state)
{
	(void)state;
	read_table("# a comment\n\n"
		   "text/x-own\thtml  zzz\n"
		   "application/second zzz yyy # not this\n"
		   "  Application/MiXed  \tMiX\r\n"
		   "text/alone\n"
		   "application/last lll");
	assert_string_equal(type("a.html"), "text/x-own; charset=utf-8");
	assert_string_equal(type("a.zzz"), "text/x-own; charset=utf-8");
	assert_string_equal(type("a.yyy"), "application/second");
	assert_string_equal(type("a.not"), "application/octet-stream");
	assert_string_equal(type("a.#"), "application/octet-stream");
	assert_string_equal(type("a.mix"), "application/mixed");
	assert_string_equal(type("a.lll"), "application/last");
	assert_string_equal(type("a.css"), "text/css; charset=utf-8");
}

/* Nothing gets into a field that could not stand there. */
static void lines_that_are_none(void **state)
{
	(void)state;
	read_table("nothing aaa\n"
		   "text/ bbb\n"
		   "/plain ccc\n"
		   "text/a/b ddd\n"
		   "text/a;b eee\n"
		   "te\xc3\xa9t/a fff\n"
		   "text/\x01 ggg\n"
		   "text/good hhh\n");
	static const char *const names[] = { "x.aaa", "x.bbb", "x.ccc", "x.ddd", "x.eee", "x.fff",
		"x.ggg" };
	for (size_t i = 0; i < crew__lengthof(names); i++)
		assert_string_equal(type(names[i]), "application/octet-stream");
	assert_string_equal(type("x.hhh"), "text/good; charset=utf-8");
}

static void nul_bytes_in_the_table(void **state)
{
	static const char text[] = "text/a\0b aaa\ntext/b b\0b ccc\n";
	(void)state;
	write_table(text, sizeof(text) - 1);
	assert_int_equal(crew__mime_new(&mime, path), 0);
	assert_string_equal(type("x.aaa"), "application/octet-stream");
	assert_string_equal(type("x.ccc"), "text/b; charset=utf-8");
	assert_string_equal(type("x.b"), "application/octet-stream");
}

static void long_words(void **state)
{
	char text[2000] = "text/";
	(void)state;
	memset(text + 5, 'x', 400);
	strcpy(text + 405, " aaa\ntext/ok ");
	size_t at = strlen(text);
	memset(text + at, 'y', 400);
	strcpy(text + at + 400, " bbb\n");
	read_table(text);
	assert_string_equal(type("x.aaa"), "application/octet-stream");
	assert_string_equal(type("x.bbb"), "text/ok; charset=utf-8");
}

/* More than the table has room for at first. */
static void thousands_of_extensions(void **state)
{
	enum {
		COUNT = 5000
	};
	char *text = malloc(COUNT * 40);
	char name[32], wanted[32];
	size_t at = 0;
	(void)state;
	for (int i = 0; i < COUNT; i++)
		at += (size_t)sprintf(text + at, "application/t%d e%d\n", i, i);
	read_table(text);
	free(text);
	for (int i = 0; i < COUNT; i++) {
		sprintf(name, "x.E%d", i);
		sprintf(wanted, "application/t%d", i);
		assert_string_equal(type(name), wanted);
	}
	assert_string_equal(type("x.html"), "text/html; charset=utf-8");
}

static void files_that_are_no_table(void **state)
{
	(void)state;
	assert_int_equal(crew__mime_new(&mime, "/tmp/crew-mime-is-not-there"), 0);
	assert_string_equal(type("x.html"), "text/html; charset=utf-8");
	crew__mime_free(mime);
	mime = NULL;
	assert_int_equal(crew__mime_new(&mime, "/tmp"), -EINVAL);
	assert_null(mime);
	write_table("", 0);
	assert_int_equal(crew__mime_new(&mime, path), 0);
	crew__mime_free(mime);
	mime = NULL;
	assert_int_equal(truncate(path, 1024 * 1024 + 1), 0);
	assert_int_equal(crew__mime_new(&mime, path), -EFBIG);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(crew__mime_new(&mime, path), -EINVAL); /* and it did not wait */
	assert_null(mime);
}

static void a_table_of_rubbish(void **state)
{
	(void)state;
	char *text = malloc(1024 * 1024);
	unsigned seed = 3;
	for (size_t i = 0; i < 1024 * 1024; i++) {
		seed = seed * 1103515245u + 12345u;
		text[i] = "ab/# \t\n\r;\0z"[(seed >> 16) % 11];
	}
	write_table(text, 1024 * 1024);
	free(text);
	assert_int_equal(crew__mime_new(&mime, path), 0);
	assert_string_equal(type("x.html"), "text/html; charset=utf-8");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(without_a_table, clean_up),
		cmocka_unit_test_teardown(names_without_a_type, clean_up),
		cmocka_unit_test_teardown(the_systems_table_comes_first, clean_up),
		cmocka_unit_test_teardown(lines_that_are_none, clean_up),
		cmocka_unit_test_teardown(nul_bytes_in_the_table, clean_up),
		cmocka_unit_test_teardown(long_words, clean_up),
		cmocka_unit_test_teardown(thousands_of_extensions, clean_up),
		cmocka_unit_test_teardown(files_that_are_no_table, clean_up),
		cmocka_unit_test_teardown(a_table_of_rubbish, clean_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
