/* test_http_parts.c - forms of parts: fields and files come in, in any cutting; what is wrong with
 * them is told by the status, once, and nothing of them stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "form_ways.h"
#include "pieces.h"
#include "service/http.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static int clean_up(void **state)
{
	return form_clean_up(state);
}

static void fields_and_short_files(void **state)
{
	form_open(state, look_at_parts);
	assert_int_equal(post(mixed), 204);
	assert_int_equal(post(mixed), 204);
	assert_string_equal(told(), "looked looked");
	assert_int_equal(descriptors(), t.descriptors);
}

static void a_form_in_every_cutting(void **state)
{
	char head[300];
	snprintf(head, sizeof(head), POST(MULTIPART, "%zu", ""), strlen(mixed));
	for (unsigned way = 0; way < PIECES_WAYS; way++) {
		struct pieces pieces = pieces_of(way);
		form_open(state, look_at_parts);
		peer_says(t.peer, crew_str(head));
		for (size_t at = 0, n; at < strlen(mixed); at += n) {
			n = pieces_next(&pieces, strlen(mixed) - at);
			peer_says(t.peer, (crew_bytes){ mixed + at, n });
			world_turn(&t.world, 0);
		}
		assert_int_equal(ask(""), 204);
		assert_string_equal(told(), "looked");
		form_clean_up(state);
	}
	form_open(state, NULL);
}

static void forms_follow_each_other(void **state)
{
	char *text = malloc(3 * (strlen(mixed) + 300));
	int at = 0;
	form_open(state, look_at_parts);
	for (size_t i = 0; i < 3; i++)
		at += sprintf(text + at, POST(MULTIPART, "%zu", "%s"), strlen(mixed), mixed);
	assert_int_equal(ask_bytes((crew_bytes){ text, (size_t)at }), 204);
	assert_string_equal(told(), "looked looked looked");
	assert_int_equal(descriptors(), t.descriptors);
	free(text);
}

static void a_form_in_chunks(void **state)
{
	char chunk[64];
	form_open(state, look_at_parts);
	peer_says(t.peer, CREW_BYTES("POST /?q=1 HTTP/1.1\r\nHost: a\r\nContent-Type: " MULTIPART
				     "\r\nTransfer-Encoding: chunked\r\n\r\n"));
	for (size_t at = 0; at < strlen(mixed); at++) {
		snprintf(chunk, sizeof(chunk), "1\r\n%c\r\n", mixed[at]);
		peer_says(t.peer, crew_str(chunk));
		if (at % 16 == 0)
			world_settle(&t.world);
	}
	assert_int_equal(ask("0\r\n\r\n"), 204);
	assert_string_equal(told(), "looked");
}

/* ---- long files ---------------------------------------------------------------------------- */

static void long_files_are_on_disk(void **state)
{
	form_open(state, look_at_long);
	assert_int_equal(post_file(64 * 1024 - 1), 204);
	assert_int_equal(post_file(64 * 1024), 204);
	assert_int_equal(post_file(64 * 1024 + 1), 204);
	assert_int_equal(post_file(FORM_LIMIT - 1000), 204);
	assert_string_equal(told(), "65535 65536 65537 1047576");
	assert_int_equal(descriptors(), t.descriptors);
}

/* Small pieces are gathered, but not for ever. */
static void a_long_file_in_small_pieces(void **state)
{
	enum {
		SIZE = 200000
	};
	char *body = malloc(SIZE + 1000);
	form_open(state, look_at_long);
	int at = sprintf(body, "POST /?q=1 HTTP/1.1\r\nHost: a\r\nContent-Type: " MULTIPART
			       "\r\nTransfer-Encoding: chunked\r\n\r\n");
	peer_says(t.peer, (crew_bytes){ body, (size_t)at });
	at = sprintf(body, "--B\r\nContent-Disposition: form-data; name=f; filename=long\r\n\r\n");
	fill(body + at, SIZE);
	memcpy(body + at + SIZE, "\r\n--B--", 7);
	struct pieces pieces = pieces_of(8);
	for (size_t done = 0, n, whole = (size_t)at + SIZE + 7; done < whole; done += n) {
		char line[20];
		n = crew__min(pieces_next(&pieces, 3000), whole - done);
		snprintf(line, sizeof(line), "%zx\r\n", n);
		peer_says(t.peer, crew_str(line));
		peer_says(t.peer, (crew_bytes){ body + done, n });
		peer_says(t.peer, CREW_BYTES("\r\n"));
		world_settle(&t.world);
	}
	assert_int_equal(ask("0\r\n\r\n"), 204);
	assert_string_equal(told(), "200000");
	free(body);
}

/* ---- what goes wrong ------------------------------------------------------------------------ */

static void expect_refused(void **state, int status, const char *body)
{
	form_open(state, look_at_parts);
	assert_int_equal(post(body), status);
	assert_string_equal(told(), "");
	assert_int_equal(counter(&t.world, "connections_total"), 1);
	const char *second = strstr(t.room + 1, "HTTP/1.1 ");
	assert_null(second);                                /* refused once */
	assert_int_equal(descriptors() + 1, t.descriptors); /* and closed */
	form_clean_up(state);
}

static void malformed_forms_are_400(void **state)
{
	static const char *const bodies[] = {
		"",
		"x",
		FIELD("a", "1"),
		FIELD("a", "1") "--B-",
		"--Bx\r\n\r\n--B--\r\n",
		"--B\r\nContent-Type: text/plain\r\n\r\n1\r\n--B--\r\n",
		"--B\nContent-Disposition: form-data; name=a\n\n1\n--B--\n",
		FIELD("a", "1") "--B\r\nbroken\r\n\r\n\r\n--B--\r\n",
	};
	for (size_t i = 1; i < crew__lengthof(bodies); i++)
		expect_refused(state, 400, bodies[i]);
	form_open(state, NULL);
}

static void bad_types_are_400(void **state)
{
	static const char *const types[] = {
		"multipart/form-data",
		"multipart/form-data; boundary=",
		"multipart/form-data; boundary=B; boundary=B",
		("multipart/form-data; boundary="
		 "0123456789012345678901234567890123456789012345678901234567890123456789B"),
		"multipart/form-data; boundary=B\r\nContent-Type: text/plain",
	};
	for (size_t i = 0; i < crew__lengthof(types); i++) {
		char text[500];
		form_open(state, look_at_parts);
		snprintf(text, sizeof(text), POST("%s", "7", "--B--\r\n"), types[i]);
		assert_int_equal(ask(text), 400);
		assert_string_equal(told(), "");
		form_clean_up(state);
	}
	form_open(state, NULL);
}

static void too_many_parts_are_413(void **state)
{
	static const char part[] = FIELD("a", "");
	char *body = malloc(1025 * sizeof(part) + 10);
	body[0] = '\0';
	for (size_t i = 0; i < 1025; i++)
		strcpy(body + i * (sizeof(part) - 1), part);
	strcat(body, "--B--\r\n");
	expect_refused(state, 413, body);
	free(body);
	form_open(state, NULL);
}

/* Of a route with a larger max_body; here the limit is set beside it. */
static void allow(uint64_t bytes)
{
	struct crew__exchange *e = crew__exchange_of(world_conn(&t.world, 0));
	assert_non_null(e);
	e->body_max = bytes;
}

static void fields_may_have_max_message(void **state)
{
	static const char begin[] = "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: " MULTIPART
				    "\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n-\r\n";
	static const char head[] = "-B\r\nContent-Disposition: form-data; name=a\r\n\r\n";
	static const char end[] = "\r\n--B--";
	char *body = malloc(FORM_LIMIT + 200);
	for (size_t over = 0; over < 2; over++) {
		size_t len = FORM_LIMIT - 1 + over; /* the name counts too */
		form_open(state, NULL);
		peer_says(t.peer, crew_str(begin));
		world_settle(&t.world);
		allow(4 * FORM_LIMIT);
		int at = sprintf(body, "%zx\r\n%s", strlen(head) + len + strlen(end), head);
		memset(body + at, 'x', len);
		at += (int)len;
		at += sprintf(body + at, "%s\r\n0\r\n\r\n", end);
		assert_int_equal(ask_bytes((crew_bytes){ body, (size_t)at }), over ? 413 : 204);
		form_clean_up(state);
	}
	free(body);
	form_open(state, NULL);
}

/* A form of so many files of so many bytes each, in a body that may be as long. Its status. */
static int post_files(size_t count, size_t len)
{
	static const char head[] =
		"--B\r\nContent-Disposition: form-data; name=f; filename=g\r\n\r\n";
	char line[32];
	char *file = malloc(len + sizeof(head) + 2);
	size_t whole = (size_t)sprintf(file, "%s", head) + len + 2;
	fill(file + whole - len - 2, len);
	memcpy(file + whole - 2, "\r\n", 2);
	peer_says(t.peer, CREW_BYTES("POST / HTTP/1.1\r\nHost: a\r\nContent-Type: " MULTIPART
				     "\r\nTransfer-Encoding: chunked\r\n\r\n"));
	world_settle(&t.world);
	allow(UINT32_MAX);
	int status = 0;
	for (size_t i = 0; i < count && status == 0; i++) {
		snprintf(line, sizeof(line), "%zx\r\n", whole);
		status = ask(line);
		if (status == 0)
			status = ask_bytes((crew_bytes){ file, whole });
		if (status == 0)
			status = ask("\r\n");
	}
	free(file);
	return status ? status : ask("7\r\n--B--\r\n\r\n0\r\n\r\n");
}

static void count_files(crew_conn *c, const crew_request *r)
{
	size_t count, short_ones = 0;
	const crew_upload *files = crew_request_files(r, &count);
	(void)c;
	for (size_t i = 0; i < count; i++) {
		short_ones += files[i].fd < 0;
		if (files[i].fd < 0)
			assert_filled(files[i].body.data, files[i].body.len);
		else
			assert_file_filled(files[i].fd, files[i].size);
	}
	tell("%zu+%zu", short_ones, count - short_ones);
}

/* Each is short, but there is no room for all in memory. */
static void short_files_may_have_4_mib(void **state)
{
	form_open(state, count_files);
	assert_int_equal(post_files(16, 60000), 204);
	assert_int_equal(post_files(74, 60000), 204);
	assert_string_equal(told(), "16+0 69+5");
	assert_int_equal(descriptors(), t.descriptors);
}

/* However many descriptors one form could want, others need some too. */
static void files_have_a_share_of_the_descriptors(void **state)
{
	struct rlimit before, few;
	form_open(state, count_files);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = 18 * 16;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	int good = post_files(18, 65537);
	int bad = post_files(19, 65537);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(good, 204);
	assert_int_equal(bad, 503);
	assert_string_equal(told(), "0+18");
	assert_int_equal(descriptors() + 1, t.descriptors);
}

static void no_directory_is_500(void **state)
{
	form_open(state, look_at_long);
	assert_int_equal(rmdir(t.directory), 0);
	assert_int_equal(post_file(64 * 1024), 204); /* it needs none */
	assert_int_equal(post_file(64 * 1024 + 1), 500);
	assert_string_equal(told(), "65536");
	assert_int_equal(mkdir(t.directory, 0700), 0);
}

static void no_descriptor_is_503(void **state)
{
	struct rlimit before, none;
	form_open(state, look_at_long);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	int next = dup(0);
	close(next);
	none.rlim_cur = (rlim_t)next;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	int status = post_file(64 * 1024 + 1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(status, 503);
}

/* The peer leaves in the middle of a file: it goes too. */
static void who_leaves_leaves_nothing(void **state)
{
	form_open(state, look_at_long);
	assert_int_equal(
		ask(POST(MULTIPART, "900000",
			"--B\r\nContent-Disposition: form-data; name=f; filename=g\r\n\r\n")),
		0);
	char *some = calloc(1, 100000);
	assert_int_equal(ask_bytes((crew_bytes){ some, 100000 }), 0);
	free(some);
	assert_int_equal(descriptors(), t.descriptors + 1);
	close(t.peer);
	t.peer = -1;
	world_settle(&t.world);
	assert_int_equal(descriptors() + 2, t.descriptors); /* both ends are closed, and the file */
	assert_string_equal(told(), "");
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		ON_BOTH(fields_and_short_files),
		ON_BOTH(a_form_in_every_cutting),
		ON_BOTH(forms_follow_each_other),
		ON_BOTH(a_form_in_chunks),
		ON_BOTH(long_files_are_on_disk),
		ON_BOTH(a_long_file_in_small_pieces),
		ON_BOTH(malformed_forms_are_400),
		ON_BOTH(bad_types_are_400),
		ON_BOTH(too_many_parts_are_413),
		ON_BOTH(fields_may_have_max_message),
		ON_BOTH(short_files_may_have_4_mib),
		ON_BOTH(files_have_a_share_of_the_descriptors),
		ON_BOTH(no_directory_is_500),
		ON_BOTH(no_descriptor_is_503),
		ON_BOTH(who_leaves_leaves_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
