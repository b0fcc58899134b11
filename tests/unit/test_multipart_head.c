/* test_multipart_head.c - the heads of parts, as browsers, curl, libraries and liars write them. */
#include "web/field_params.h"
#include "web/multipart_head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* "name", or "name|filename|type" of a file; "bad" when it is refused. */
static const char *read_from(const char *head)
{
	static char out[512];
	struct crew__part_head part;
	size_t len = strlen(head);
	char *copy = malloc(len ? len : 1);
	memcpy(copy, head, len);
	if (crew__part_head_read(copy, len, &part) < 0)
		strcpy(out, "bad");
	else if (part.is_file)
		sprintf(out, "%.*s|%.*s|%.*s", (int)part.name.len, part.name.data,
			(int)part.filename.len, part.filename.len ? part.filename.data : "",
			(int)part.type.len, part.type.data);
	else
		sprintf(out, "%.*s", (int)part.name.len, part.name.data);
	free(copy);
	return out;
}

#define CD "Content-Disposition: form-data; "

static const struct {
	const char *head, *part;
} rows[] = {
	{ CD "name=\"a\"\r\n", "a" },
	{ CD "name=a\r\n", "a" },
	{ "content-disposition:FORM-DATA;NAME=\"a\"\r\n", "a" },
	{ CD "name=\"\"\r\n", "" },
	{ CD "name=\"a[b][]\"\r\n", "a[b][]" },
	{ CD "name=\"a;b=c\"\r\n", "a;b=c" },
	{ CD "name=\"f\"; filename=\"x.txt\"\r\n", "f|x.txt|" },
	/* The other way round. */
	{ CD "filename=\"x.txt\"; name=\"f\"\r\n", "f|x.txt|" },
	{ "Content-Type: text/plain; charset=utf-8\r\n" CD
	  "name=\"f\"; filename=\"x.txt\"\r\nX-Y: z\r\n",
		"f|x.txt|text/plain; charset=utf-8" },
	{ CD "name=\"f\"; filename=\"\"\r\nContent-Type: application/octet-stream\r\n",
		"f||application/octet-stream" },
	{ CD "name=\"f\"; filename=x\r\nContent-Type:  \t\r\n", "f|x|" },
	{ CD "name=\"a\"\r\nContent-Type: application/json\r\n", "a" },

	/* Browsers write three escapes, and no more. */
	{ CD "name=\"a%22b%0D%0ac\"\r\n", "a\"b\r\nc" },
	{ CD "name=\"f\"; filename=\"a%22b.txt\"\r\n", "f|a\"b.txt|" },
	{ CD "name=\"f\"; filename=\"100%25 %41 %.txt\"\r\n", "f|100%25 %41 %.txt|" },
	{ CD "name=\"f\"; filename=\"%2\"\r\n", "f|%2|" },
	{ CD "name=\"f\"; filename=\"\xe4\xb8\xad.txt\"\r\n", "f|\xe4\xb8\xad.txt|" },
	{ CD "name=\"f\"; filename=\"\xff\"\r\n", "f|\xff|" },
	/* Others write backslashes. */
	{ CD "name=\"a\\\"b\\\\c\\d\"\r\n", "a\"b\\c\\d" },
	{ CD "name=\"f\"; filename=\"a\\\"b;c=d.txt\"; x=\"y\"\r\n", "f|a\"b;c=d.txt|" },

	/* The last component. */
	{ CD "name=\"f\"; filename=\"dir/sub/x.txt\"\r\n", "f|x.txt|" },
	{ CD "name=\"f\"; filename=\"../../etc/passwd\"\r\n", "f|passwd|" },
	{ CD "name=\"f\"; filename=\"/etc/passwd\"\r\n", "f|passwd|" },
	{ CD "name=\"f\"; filename=\"C:\\dir\\x.txt\"\r\n", "f|x.txt|" },
	{ CD "name=\"f\"; filename=\"C:\\\\dir\\\\x.txt\"\r\n", "f|x.txt|" },
	{ CD "name=\"f\"; filename=\"a/b\\c/\"\r\n", "f||" },
	{ CD "name=\"f\"; filename=\"..\"\r\n", "f||" },
	{ CD "name=\"f\"; filename=\"a/.\"\r\n", "f||" },
	{ CD "name=\"f\"; filename=\"...\"\r\n", "f|...|" },
	{ CD "name=\"f\"; filename=\".profile\"\r\n", "f|.profile|" },
	/* A name is none of a path. */
	{ CD "name=\"a/b\"\r\n", "a/b" },

	/* filename*. */
	{ CD "name=\"f\"; filename*=utf-8''x.txt\r\n", "f|x.txt|" },
	{ CD "name=\"f\"; filename*=UTF-8'en'%e4%b8%ad%20a.txt\r\n", "f|\xe4\xb8\xad a.txt|" },
	{ CD "name=\"f\"; filename=\"plain\"; filename*=utf-8''better\r\n", "f|better|" },
	{ CD "name=\"f\"; filename*=utf-8''better; filename=\"plain\"\r\n", "f|better|" },
	{ CD "name=\"f\"; filename*=utf-8''..%2f..%5cx\r\n", "f|x|" },
	{ CD "name=\"f\"; filename*=utf-8''\r\n", "f||" },
	/* Not good, so the plain one, or none; but a file. */
	{ CD "name=\"f\"; filename=\"plain\"; filename*=utf-8''%ff\r\n", "f|plain|" },
	{ CD "name=\"f\"; filename=\"plain\"; filename*=utf-8''a%00b\r\n", "f|plain|" },
	{ CD "name=\"f\"; filename=\"plain\"; filename*=utf-8''%4\r\n", "f|plain|" },
	{ CD "name=\"f\"; filename=\"plain\"; filename*=iso-8859-1''x\r\n", "f|plain|" },
	{ CD "name=\"f\"; filename=\"plain\"; filename*=nonsense\r\n", "f|plain|" },
	{ CD "name=\"f\"; filename=\"plain\"; filename*=utf-8'x\r\n", "f|plain|" },
	{ CD "name=\"f\"; filename*=koi8-r''x\r\n", "f||" },

	/* name*, for want of a name. */
	{ CD "name*=utf-8''%c3%a4\r\n", "\xc3\xa4" },
	{ CD "name*=utf-8''%ff\r\n", "bad" },
	{ CD "name*=x\r\n", "bad" },
	{ CD "name=a; name*=utf-8''a\r\n", "bad" },
	{ CD "name*=utf-8''a; name=a\r\n", "bad" },

	/* Fields that change nothing, and those that would. */
	{ CD "name=a\r\nContent-Transfer-Encoding: Binary\r\n", "a" },
	{ CD "name=a\r\nContent-Transfer-Encoding: 8bit\r\n", "a" },
	{ CD "name=a\r\nContent-Transfer-Encoding: 7bit\r\n", "a" },
	{ CD "name=a\r\nContent-Length: 1\r\nX:\r\n", "a" },
	{ CD "name=a\r\nContent-Transfer-Encoding: base64\r\n", "bad" },
	{ CD "name=a\r\nContent-Transfer-Encoding: quoted-printable\r\n", "bad" },
	{ CD "name=a\r\nContent-Transfer-Encoding: 8bit\r\nContent-Transfer-Encoding: 8bit\r\n",
		"bad" },

	/* What could be read in two ways, and what cannot be read. */
	{ "", "bad" },
	{ "Content-Type: text/plain\r\n", "bad" },
	{ "Content-Disposition: form-data\r\n", "bad" },
	{ "Content-Disposition: form-data; filename=x\r\n", "bad" },
	{ "Content-Disposition: attachment; name=a\r\n", "bad" },
	{ "Content-Disposition: form-data name=a\r\n", "bad" },
	{ CD "name=a; name=b\r\n", "bad" },
	{ CD "name=a; filename=b; filename=c\r\n", "bad" },
	{ CD "name=a; filename*=utf-8''b; filename*=utf-8''c\r\n", "bad" },
	{ CD "name=a; filename*=bad; filename*=utf-8''c\r\n", "bad" },
	{ CD "name=a\r\n" CD "name=a\r\n", "bad" },
	{ CD "name=a\r\nContent-Type: a/b\r\nContent-Type: a/b\r\n", "bad" },
	{ CD "name=\"a\r\n", "bad" },
	{ CD "name=\"a\\\"\r\n", "bad" },
	{ CD "name=\"a\"b\r\n", "bad" },
	{ CD "name=a b\r\n", "bad" },
	{ CD "name=\r\n", "bad" },
	{ CD "name\r\n", "bad" },
	{ CD "=a\r\n", "bad" },
	{ CD "name=\"a\x01\"\r\n", "bad" },
	{ CD "name=\"a\rb\"\r\n", "bad" },
	{ CD "name=\"a\nb\"\r\n", "bad" },
	{ CD "name=a\r\n folded\r\n", "bad" },
	{ CD "name=a\r\n\tX: folded\r\n", "bad" },
	{ CD "name=a\r\nX : y\r\n", "bad" },
	{ CD "name=a\r\n: y\r\n", "bad" },
	{ CD "name=a\r\nX\r\n", "bad" },
	{ CD "name=a", "bad" },
};

static void heads_and_their_parts(void **state)
{
	(void)state;
	for (size_t i = 0; i < crew__lengthof(rows); i++)
		assert_string_equal(read_from(rows[i].head), rows[i].part);
}

static void nul_is_nowhere(void **state)
{
	char head[] = CD "name=\"a?b\"\r\n";
	struct crew__part_head part;
	(void)state;
	*strchr(head, '?') = '\0';
	assert_int_equal(crew__part_head_read(head, sizeof(head) - 1, &part), -EINVAL);
}

/* ---- parameters ----------------------------------------------------------------------------- */

/* "value name=value name=\"quoted\"", then "!" when it ends with an error. */
static const char *params_of(const char *field)
{
	static char out[512];
	struct crew__field_params params;
	struct crew__field_param param;
	size_t len = strlen(field);
	char *copy = malloc(len ? len : 1);
	memcpy(copy, field, len);
	crew_bytes value = crew__field_params_begin(&params, (crew_bytes){ copy, len });
	int at = sprintf(out, "%.*s", (int)value.len, value.data);
	int more;
	while ((more = crew__field_params_next(&params, &param)) > 0) {
		const char *quote = param.quoted ? "\"" : "";
		at += sprintf(out + at, " %.*s=%s%.*s%s", (int)param.name.len, param.name.data,
			quote, (int)param.value.len, param.value.data, quote);
	}
	if (more < 0)
		sprintf(out + at, "!");
	free(copy);
	return out;
}

static void fields_and_their_parameters(void **state)
{
	static const struct {
		const char *field, *params;
	} fields[] = {
		{ "", "" },
		{ " \t", "" },
		{ "a/b", "a/b" },
		{ " a/b ; c=d ", "a/b c=d" },
		{ "a;b=c;d=\"e;f\" ; g = h", "a b=c d=\"e;f\"!" },
		{ "a;b=c;", "a b=c" },
		{ ";b=c", " b=c" },
		{ "a;b=\"\"", "a b=\"\"" },
		{ "a;b=\"\\\"\\\\\"", "a b=\"\\\"\\\\\"" },
		{ "a;b=c=d", "a b=c=d" },
		{ "a;b=\"c", "a!" },
		{ "a;b=\"c\\", "a!" },
		{ "a;b=\"", "a!" },
		{ "a;b=", "a!" },
		{ "a;b", "a!" },
		{ "a;=c", "a!" },
		{ "a;b=c d", "a!" },
		{ "a;b=\"c\" d", "a!" },
	};
	(void)state;
	for (size_t i = 0; i < crew__lengthof(fields); i++)
		assert_string_equal(params_of(fields[i].field), fields[i].params);
	struct crew__field_params params;
	struct crew__field_param param;
	assert_int_equal(crew__field_params_begin(&params, (crew_bytes){ NULL, 0 }).len, 0);
	assert_int_equal(crew__field_params_next(&params, &param), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heads_and_their_parts),
		cmocka_unit_test(nul_is_nowhere),
		cmocka_unit_test(fields_and_their_parameters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
