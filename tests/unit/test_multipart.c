/* test_multipart.c - forms of parts: the same events however the bytes are cut; what could be read
 * in two ways is refused. */
#include "web/multipart.h"

#include "pieces.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* What was told, in words: `<name>` or `<name|filename|type>`, the contents, `/` at a part's end,
 * `.` at the form's, `!400` and the like for a failure. */
static struct {
	char text[1 << 20];
	size_t len;
} heard;

static void hear(crew_bytes bytes)
{
	assert_true(heard.len + bytes.len < sizeof(heard.text));
	if (bytes.len > 0)
		memcpy(heard.text + heard.len, bytes.data, bytes.len);
	heard.len += bytes.len;
	heard.text[heard.len] = '\0';
}

static void hear_head(const struct crew__part_head *part)
{
	hear(CREW_BYTES("<"));
	hear(part->name);
	if (part->is_file) {
		hear(CREW_BYTES("|"));
		hear(part->filename);
		hear(CREW_BYTES("|"));
		hear(part->type);
	}
	hear(CREW_BYTES(">"));
}

static void hear_event(
	const struct crew__multipart *m, enum crew__multipart_event event, crew_bytes data)
{
	switch (event) {
	case CREW__MULTIPART_PART:
		hear_head(&m->part);
		break;
	case CREW__MULTIPART_DATA:
		assert_true(data.len > 0);
		hear(data);
		break;
	case CREW__MULTIPART_PART_END:
		hear(CREW_BYTES("/"));
		break;
	case CREW__MULTIPART_END:
		hear(CREW_BYTES("."));
		break;
	case CREW__MULTIPART_BAD:
		hear(CREW_BYTES("!bad"));
		break;
	case CREW__MULTIPART_TOO_LARGE:
		hear(CREW_BYTES("!large"));
		break;
	default:
		fail();
	}
}

/* Each piece in memory of its own, so that nothing is read beside it. False: it failed. */
static bool feed(struct crew__multipart *m, crew_bytes piece)
{
	char *copy = malloc(piece.len ? piece.len : 1);
	memcpy(copy, piece.data, piece.len);
	crew_bytes bytes = { copy, piece.len }, data = { NULL, 0 };
	enum crew__multipart_event event;
	while ((event = crew__multipart_next(m, &bytes, &data)) != CREW__MULTIPART_MORE) {
		hear_event(m, event, data);
		if (event >= CREW__MULTIPART_BAD)
			break;
	}
	if (event == CREW__MULTIPART_MORE)
		assert_int_equal(bytes.len, 0);
	else
		assert_int_equal(crew__multipart_next(m, &bytes, &data), event);
	free(copy);
	return event == CREW__MULTIPART_MORE;
}

static struct crew__multipart begin(const char *boundary)
{
	struct crew__multipart m;
	crew__multipart_init(&m, crew_str(boundary));
	heard.len = 0;
	heard.text[0] = '\0';
	return m;
}

static const char *finish(struct crew__multipart *m)
{
	bool told = memchr(heard.text, '.', heard.len) != NULL;
	if (crew__multipart_ended(m))
		assert_true(told);
	crew__multipart_fini(m);
	return heard.text;
}

static const char *events_of(crew_bytes body, unsigned way)
{
	struct crew__multipart m = begin("B");
	struct pieces pieces = pieces_of(way);
	for (size_t at = 0, n; at < body.len; at += n) {
		n = pieces_next(&pieces, body.len - at);
		if (!feed(&m, (crew_bytes){ body.data + at, n }))
			break;
	}
	return finish(&m);
}

static const char *events_of_two(crew_bytes body, size_t first)
{
	struct crew__multipart m = begin("B");
	if (feed(&m, (crew_bytes){ body.data, first }))
		feed(&m, (crew_bytes){ body.data + first, body.len - first });
	return finish(&m);
}

/* At every cut, and in all ways of cutting. */
static void expect(crew_bytes body, const char *events)
{
	for (unsigned way = 0; way < PIECES_WAYS; way++)
		assert_string_equal(events_of(body, way), events);
	for (size_t cut = 0; cut <= body.len; cut++)
		assert_string_equal(events_of_two(body, cut), events);
}

#define FIELD(name) "Content-Disposition: form-data; name=\"" name "\"\r\n\r\n"
#define A_FILE(name, filename) \
	"Content-Disposition: form-data; name=\"" name "\"; filename=\"" filename "\"\r\n"

static void good_forms(void **state)
{
	static const struct {
		const char *body, *events;
	} rows[] = {
		{ "--B\r\n" FIELD("a") "1\r\n--B--\r\n", "<a>1/." },
		{ "--B\r\n" FIELD("a") "1\r\n--B--", "<a>1/." },
		{ "--B\r\n" FIELD("a") "1\r\n--B\r\n" FIELD("b") "2\r\n--B--\r\n", "<a>1/<b>2/." },
		{ "--B--\r\n", "." },
		{ "--B\r\n" FIELD("a") "\r\n--B--\r\n", "<a>/." },
		/* Nothing behind the empty line: its CRLF is the boundary's (RFC 2046). */
		{ "--B\r\n" FIELD("a") "--B--\r\n", "<a>/." },
		{ "--B\r\n" A_FILE(
			  "f", "x.txt") "Content-Type: text/plain\r\n\r\nhello\r\n--B--\r\n",
			"<f|x.txt|text/plain>hello/." },
		/* Preamble and epilogue, and what looks like a boundary in them. */
		{ "preamble\r\n--A\r\n--\r\n--B\r\n" FIELD("a") "1\r\n--B--\r\nepilogue\r\n--B\r\n",
			"<a>1/." },
		{ "\r\n--B\r\n" FIELD("a") "1\r\n--B--x", "<a>1/." },
		{ "-\r\n\r\n--B\r\n" FIELD("a") "1\r\n--B--x", "<a>1/." },
		/* Spaces behind a boundary. */
		{ "--B \t\r\n" FIELD("a") "1\r\n--B  \r\n" FIELD("b") "2\r\n--B-- ",
			"<a>1/<b>2/." },
		/* Contents that look like a boundary, or begin like one. */
		{ "--B\r\n" FIELD("a") "\r\r\n\r\n-\r\n--\r\n--A\n--B\r--B\r\n -B\r\n--B--\r\n",
			"<a>\r\r\n\r\n-\r\n--\r\n--A\n--B\r--B\r\n -B/." },
		{ "--B\r\n" FIELD("a") "-\r\n--B--\r\n", "<a>-/." },
		{ "--B\r\n" FIELD("a") "--A\r\n--B--\r\n", "<a>--A/." },
		{ "--B\r\n" FIELD("a") "\r\n\r\n--B--\r\n", "<a>\r\n/." },
		{ "--B\r\n" FIELD("a") "\r\r\n--B--\r\n", "<a>\r/." },
		{ "--B\r\n" FIELD("a") "x\r\n--\r\n--B--\r\n", "<a>x\r\n--/." },
		{ "--B\r\n" FIELD("a") "--b\r\n--b\r\n--B--\r\n", "<a>--b\r\n--b/." },
	};
	(void)state;
	for (size_t i = 0; i < crew__lengthof(rows); i++)
		expect(crew_str(rows[i].body), rows[i].events);
}

static void bad_forms(void **state)
{
	static const struct {
		const char *body, *events;
	} rows[] = {
		/* A boundary with something behind it. */
		{ "--Bx\r\n", "!bad" },
		{ "--B-x\r\n", "!bad" },
		{ "--B \rx", "!bad" },
		{ "--B -\r\n", "!bad" },
		{ "--B\n" FIELD("a"), "!bad" },
		{ "--B\r\n" FIELD("a") "1\r\n--BB\r\n", "<a>1/!bad" },
		/* Heads without a name, or without sense. */
		{ "--B\r\n\r\n1\r\n--B--\r\n", "!bad" },
		{ "--B\r\nContent-Type: text/plain\r\n\r\n1\r\n--B--\r\n", "!bad" },
		{ "--B\r\nnonsense\r\n\r\n", "!bad" },
		{ "--B\r\n--B\r\n\r\n", "!bad" },
		{ "--B\r\n" FIELD("a") "1\r\n--B\r\n--B--\r\n\r\n", "<a>1/!bad" },
	};
	(void)state;
	for (size_t i = 0; i < crew__lengthof(rows); i++)
		expect(crew_str(rows[i].body), rows[i].events);
}

/* Every beginning of a good form is not an error, and not an end either. */
static void what_is_cut_off_never_ends(void **state)
{
	static const char body[] = "--B\r\n" FIELD("a") "1\r\n--B\r\n" A_FILE(
		"b", "c") "\r\n2\r\n--B--";
	(void)state;
	for (size_t len = 0; len < sizeof(body) - 1; len++) {
		struct crew__multipart m = begin("B");
		assert_true(feed(&m, (crew_bytes){ body, len }));
		assert_false(crew__multipart_ended(&m));
		assert_null(strchr(finish(&m), '.'));
	}
	assert_string_equal(events_of(crew_str(body), PIECES_WHOLE), "<a>1/<b|c|>2/.");
}

static void any_bytes_pass(void **state)
{
	char body[1024], all[256];
	size_t at = (size_t)sprintf(body, "--B\r\n%s", FIELD("a"));
	(void)state;
	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (char)i;
	memcpy(body + at, all, sizeof(all));
	at += sizeof(all);
	at += (size_t)sprintf(body + at, "\r\n--B--\r\n");
	for (size_t cut = 0; cut <= at; cut++) {
		events_of_two((crew_bytes){ body, at }, cut);
		assert_int_equal(heard.len, 3 + sizeof(all) + 2);
		assert_memory_equal(heard.text + 3, all, sizeof(all));
	}
}

static void the_longest_boundary(void **state)
{
	char boundary[CREW__BOUNDARY_MOST + 1], body[1024];
	(void)state;
	memset(boundary, '-', sizeof(boundary) - 1);
	boundary[sizeof(boundary) - 1] = '\0';
	int len = snprintf(body, sizeof(body), "--%s\r\n%s\r\n--%.69s\r\n--%s--\r\n", boundary,
		FIELD("a"), boundary, boundary);
	for (size_t cut = 0; cut <= (size_t)len; cut++) {
		struct crew__multipart m = begin(boundary);
		assert_true(feed(&m, (crew_bytes){ body, cut }));
		assert_true(feed(&m, (crew_bytes){ body + cut, (size_t)len - cut }));
		char events[128];
		snprintf(events, sizeof(events), "<a>\r\n--%.69s/.", boundary);
		assert_string_equal(finish(&m), events);
	}
}

/* ---- bounds --------------------------------------------------------------------------------- */

static void a_head_may_have_8_kib(void **state)
{
	static const char start[] = "--B\r\nContent-Disposition: form-data; name=a\r\nX: ";
	static const char end[] = "\r\n\r\n1\r\n--B--\r\n";
	char *body = malloc(2 * CREW__PART_HEAD_MOST);
	(void)state;
	for (size_t over = 0; over < 2; over++) {
		size_t filler = CREW__PART_HEAD_MOST + over - (sizeof(start) - 1 - 5) - 4;
		memcpy(body, start, sizeof(start) - 1);
		memset(body + sizeof(start) - 1, 'x', filler);
		memcpy(body + sizeof(start) - 1 + filler, end, sizeof(end));
		for (unsigned way = 0; way < PIECES_WAYS; way++)
			assert_string_equal(
				events_of(crew_str(body), way), over ? "!large" : "<a>1/.");
	}
	free(body);
}

/* One without an end, in a line or in many. */
static void a_head_that_never_ends(void **state)
{
	struct crew__multipart m = begin("B");
	size_t fed = 0;
	(void)state;
	assert_true(feed(&m, CREW_BYTES("--B\r\n")));
	while (feed(&m, CREW_BYTES("X: 1\r\n")))
		fed += 6;
	assert_true(fed <= CREW__PART_HEAD_MOST && fed > CREW__PART_HEAD_MOST - 6);
	assert_string_equal(finish(&m), "!large");
}

static void so_many_parts_and_no_more(void **state)
{
	static const char part[] = "--B\r\n" FIELD("a") "1\r\n";
	struct crew__multipart m = begin("B");
	(void)state;
	for (size_t i = 0; i < CREW__PARTS_MOST; i++)
		assert_true(feed(&m, crew_str(part)));
	heard.len = 0;
	assert_false(feed(&m, crew_str(part)));
	assert_string_equal(finish(&m), "/!large");
}

static double seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* What takes a search that begins anew to pieces: near misses without an end. Four times the bytes
 * must not be sixteen times the work; the allowance is wide, as the machine is not ours alone. */
static void time_is_linear(void **state)
{
	static const char *const misses[] = { "\r", "\r\n", "\r\n--", "\r\n--BBBBBBBBBBBBBBBA",
		"\r\n--BBBBBBBBBBBBBBB\r\n--BBBBB", "x" };
	enum {
		LESS = 1 << 20
	};
	char *body = malloc(4 * LESS);
	(void)state;
	for (size_t i = 0; i < crew__lengthof(misses); i++) {
		size_t len = strlen(misses[i]);
		for (size_t at = 0; at < 4 * LESS; at++)
			body[at] = misses[i][at % len];
		double took[2] = { 0, 0 };
		for (size_t more = 0; more < 2; more++) {
			struct crew__multipart m = begin("BBBBBBBBBBBBBBBB");
			crew_bytes head = CREW_BYTES("--BBBBBBBBBBBBBBBB\r\n" FIELD("a"));
			crew_bytes bytes = { body, more ? 4 * LESS : LESS }, data;
			double before = seconds();
			assert_int_equal(
				crew__multipart_next(&m, &head, &data), CREW__MULTIPART_PART);
			size_t told = 0;
			while (crew__multipart_next(&m, &bytes, &data) == CREW__MULTIPART_DATA)
				told += data.len;
			took[more] = seconds() - before;
			assert_true(told + 24 >= (more ? 4 * LESS : LESS));
			crew__multipart_fini(&m);
		}
		assert_true(took[1] < took[0] * 10 + 0.2);
	}
	free(body);
}

/* ---- Content-Type --------------------------------------------------------------------------- */

static void types_and_their_boundaries(void **state)
{
	static const struct {
		const char *type, *boundary; /* NULL: refused */
	} rows[] = {
		{ "multipart/form-data; boundary=abc", "abc" },
		{ "multipart/form-data;boundary=abc", "abc" },
		{ "Multipart/Form-Data ; Boundary=\"abc\"", "abc" },
		{ "multipart/form-data; charset=utf-8; boundary=abc; x=y", "abc" },
		{ "multipart/form-data; boundary=\"a b:c?=/,\"", "a b:c?=/," },
		{ "multipart/form-data; boundary=----=_Part_1.2/3", "----=_Part_1.2/3" },
		{ "multipart/form-data; boundary=----WebKitFormBoundaryAbc123 ",
			"----WebKitFormBoundaryAbc123" },
		{ "multipart/form-data;; boundary=abc;", "abc" },
		{ "multipart/form-data", NULL },
		{ "multipart/form-data; boundary", NULL },
		{ "multipart/form-data; boundary=", NULL },
		{ "multipart/form-data; boundary=\"\"", NULL },
		{ "multipart/form-data; boundary=\"abc", NULL },
		{ "multipart/form-data; boundary=\"abc\\\"", NULL },
		{ "multipart/form-data; boundary=\"abc\"d", NULL },
		{ "multipart/form-data; boundary=a b", NULL },
		{ "multipart/form-data; boundary=\"a \"", NULL },
		{ "multipart/form-data; boundary=a; boundary=a", NULL },
		{ "multipart/form-data; boundary=a; BOUNDARY=b", NULL },
		{ "multipart/form-data; boundary=a\"b", NULL },
		{ "multipart/form-data; boundary=\"a\\b\"", NULL },
		{ "multipart/form-data; boundary=a%b", NULL },
		{ "multipart/form-data; boundary=\xc3\xa4", NULL },
		{ "multipart/form-data; boundary=a; =b", NULL },
		{ "multipart/form-data; x y=1; boundary=a", NULL },
	};
	(void)state;
	for (size_t i = 0; i < crew__lengthof(rows); i++) {
		crew_bytes found = { NULL, 0 };
		crew_bytes type = crew_str(rows[i].type);
		assert_true(crew__multipart_is(type));
		int error = crew__multipart_boundary(type, &found);
		assert_int_equal(error, rows[i].boundary ? 0 : -EINVAL);
		if (!rows[i].boundary)
			continue;
		assert_int_equal(found.len, strlen(rows[i].boundary));
		assert_memory_equal(found.data, rows[i].boundary, found.len);
	}
}

static void boundaries_have_a_length(void **state)
{
	char type[200];
	crew_bytes found;
	(void)state;
	for (int len = 69; len <= 72; len++) {
		snprintf(type, sizeof(type), "multipart/form-data; boundary=%0*d", len, 0);
		assert_int_equal(crew__multipart_boundary(crew_str(type), &found),
			len <= CREW__BOUNDARY_MOST ? 0 : -EINVAL);
	}
}

static void other_types_are_none(void **state)
{
	(void)state;
	assert_false(crew__multipart_is(CREW_BYTES("")));
	assert_false(crew__multipart_is((crew_bytes){ NULL, 0 }));
	assert_false(crew__multipart_is(CREW_BYTES("multipart/mixed; boundary=a")));
	assert_false(crew__multipart_is(CREW_BYTES("multipart/form-datax; boundary=a")));
	assert_false(crew__multipart_is(CREW_BYTES("x; multipart/form-data; boundary=a")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_forms),
		cmocka_unit_test(bad_forms),
		cmocka_unit_test(what_is_cut_off_never_ends),
		cmocka_unit_test(any_bytes_pass),
		cmocka_unit_test(the_longest_boundary),
		cmocka_unit_test(a_head_may_have_8_kib),
		cmocka_unit_test(a_head_that_never_ends),
		cmocka_unit_test(so_many_parts_and_no_more),
		cmocka_unit_test(time_is_linear),
		cmocka_unit_test(types_and_their_boundaries),
		cmocka_unit_test(boundaries_have_a_length),
		cmocka_unit_test(other_types_are_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
