/* The table of raw requests (tests/data/http_requests.txt, where its form is explained), through
 * the parser: each row alone and behind a good request, whole, byte by byte and at random cuts,
 * bodies gathered and in parts. */
#include "http1_ways.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum {
	TEXT_ROOM = 32 * 1024,
	ROWS_LEAST = 220
};

#define GOOD      "GET /first HTTP/1.1\r\nHost: first\r\n\r\n"
#define GOOD_TOLD "GET /first first 11 1 [];"

struct text {
	char bytes[TEXT_ROOM];
	size_t len;
};

static void put(struct text *t, const char *bytes, size_t len)
{
	assert_true(len < TEXT_ROOM - t->len);
	memcpy(t->bytes + t->len, bytes, len);
	t->len += len;
	t->bytes[t->len] = '\0';
}

static unsigned hex_at(const char *at)
{
	char digits[3] = { at[0], at[1], '\0' }, *end;
	unsigned long value = strtoul(digits, &end, 16);
	assert_ptr_equal(end, digits + 2);
	return (unsigned)value;
}

static const char *expand(struct text *t, const char *at, const char *end);

/* Behind `\{`: TEXT*N}. The last asterisk counts, so that TEXT may have some. */
static const char *repeat(struct text *t, const char *at)
{
	const char *close = strchr(at, '}');
	assert_non_null(close);
	const char *star = memrchr(at, '*', (size_t)(close - at));
	assert_non_null(star);
	struct text *once = calloc(1, sizeof(*once));
	assert_non_null(once);
	expand(once, at, star);
	for (long n = atol(star + 1); n > 0; n--)
		put(t, once->bytes, once->len);
	free(once);
	return close + 1;
}

/* Behind a backslash. */
static const char *escape(struct text *t, const char *at)
{
	static const char names[] = "rnt0\\", meant[] = "\r\n\t\0\\";
	if (*at == '{')
		return repeat(t, at + 1);
	if (*at == 'x') {
		char c = (char)hex_at(at + 1);
		put(t, &c, 1);
		return at + 3;
	}
	const char *name = strchr(names, *at);
	assert_true(name && *name);
	put(t, &meant[name - names], 1);
	return at + 1;
}

static const char *expand(struct text *t, const char *at, const char *end)
{
	t->len = 0;
	while (at < end) {
		if (*at == '\\')
			at = escape(t, at + 1);
		else if (*at == '~')
			put(t, "\r\n", 2), at++;
		else
			put(t, at++, 1);
	}
	return at;
}

struct row {
	char *section, *status, *told, *request;
};

/* Up to ` | `, which is cut off. */
static char *column(char **rest)
{
	char *start = *rest, *end = strstr(start, " | ");
	if (!end)
		fail_msg("a row without four columns: %s", start);
	*end = '\0';
	*rest = end + 3;
	return start;
}

static struct row split(char *line)
{
	struct row row;
	line[strcspn(line, "\n")] = '\0';
	row.section = column(&line);
	row.status = column(&line);
	row.told = column(&line);
	row.request = line;
	return row;
}

/* What the parser is to come to, of that row. */
static void expected(const struct row *row, struct text *ret)
{
	if (strcmp(row->told, "-") == 0) {
		assert_true(atoi(row->status) >= 400);
		expand(ret, row->status, row->status + strlen(row->status));
	} else if (strcmp(row->told, "more") == 0) {
		assert_string_equal(row->status, "0");
		static const char more[] = "more";
		expand(ret, more, more + 4);
	} else {
		assert_string_equal(row->status, "200");
		expand(ret, row->told, row->told + strlen(row->told));
		put(ret, ";", 1);
	}
}

static void check(const struct row *row)
{
	static struct text request, told, both, both_told;
	expand(&request, row->request, row->request + strlen(row->request));
	expected(row, &told);
	http1_expect(request.bytes, request.len, told.bytes);
	both.len = both_told.len = 0;
	put(&both, GOOD, sizeof(GOOD) - 1);
	put(&both, request.bytes, request.len);
	put(&both_told, GOOD_TOLD, sizeof(GOOD_TOLD) - 1);
	put(&both_told, told.bytes, told.len);
	http1_expect(both.bytes, both.len, both_told.bytes);
}

static FILE *open_table(void)
{
	static const char name[] = "../data/http_requests.txt";
	char path[4096];
	const char *slash = strrchr(__FILE__, '/');
	assert_non_null(slash);
	int n = snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - __FILE__), __FILE__, name);
	assert_true(n > 0 && (size_t)n < sizeof(path));
	FILE *file = fopen(path, "r");
	if (!file)
		fail_msg("cannot open %s", path);
	return file;
}

static void each_row(void **unused)
{
	(void)unused;
	FILE *file = open_table();
	char line[4096];
	size_t rows = 0;
	while (fgets(line, sizeof(line), file)) {
		assert_non_null(strchr(line, '\n'));
		if (line[0] == '#' || line[0] == '\n')
			continue;
		struct row row = split(line);
		unsigned rfc, major;
		assert_int_equal(sscanf(row.section, "%u %u", &rfc, &major), 2);
		check(&row);
		rows++;
	}
	fclose(file);
	assert_true(rows >= ROWS_LEAST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_row),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
