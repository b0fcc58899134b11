#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "form_ways.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct form_world t;

bool is(crew_bytes bytes, const char *word)
{
	return bytes.data && bytes.len == strlen(word) && memcmp(bytes.data, word, bytes.len) == 0;
}

static void on_request(crew_conn *c, const crew_request *r)
{
	if (t.look)
		t.look(c, r);
	crew_reply(c, &(crew_response){ .status = 204 });
}

static const crew_service web = {
	.name = "web",
	.listen = "http://127.0.0.1:1",
	.on_request = on_request,
};

unsigned descriptors(void)
{
	unsigned count = 0;
	DIR *all = opendir("/proc/self/fd");
	assert_non_null(all);
	while (readdir(all))
		count++;
	closedir(all);
	return count;
}

static void usual(struct crew__service_settings *s)
{
	s->max_message = FORM_LIMIT;
	s->linger_ms = 0;
	s->upload_dir = t.directory;
}

void form_open(void **state, look_fn *look)
{
	memset(&t, 0, sizeof(t));
	t.peer = -1;
	t.look = look;
	t.room = malloc(FORM_ROOM);
	strcpy(t.directory, "/tmp/crew-test-XXXXXX");
	assert_non_null(mkdtemp(t.directory));
	told_anew();
	assert_true(world_open(&t.world, &web, engine_of(state), usual));
	t.peer = world_connect(&t.world);
	assert_true(t.peer >= 0);
	world_settle(&t.world);
	t.descriptors = descriptors();
}

int form_clean_up(void **state)
{
	(void)state;
	if (t.peer >= 0)
		close(t.peer);
	world_clean_up(&t.world);
	free(t.room);
	assert_int_equal(rmdir(t.directory), 0); /* nothing was left there */
	return 0;
}

int ask_bytes(crew_bytes bytes)
{
	while (bytes.len > 0) {
		size_t n = crew__min(bytes.len, 60000);
		peer_says(t.peer, (crew_bytes){ bytes.data, n });
		world_settle(&t.world);
		bytes.data += n;
		bytes.len -= n;
	}
	peer_hears_all(&t.world, t.peer, t.room, FORM_ROOM);
	return strncmp(t.room, "HTTP/1.1 ", 9) == 0 ? atoi(t.room + 9) : 0;
}

int ask(const char *text)
{
	return ask_bytes(crew_str(text));
}

int post(const char *body)
{
	char head[300];
	snprintf(head, sizeof(head), POST(MULTIPART, "%zu", ""), strlen(body));
	peer_says(t.peer, crew_str(head));
	return ask(body);
}

void fill(char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		data[i] = (char)(i * 7 + i / 251);
}

void assert_filled(const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		assert_int_equal(data[i], (char)(i * 7 + i / 251));
}

int post_file(size_t len)
{
	static const char start[] =
		"--B\r\nContent-Disposition: form-data; name=f; filename=long\r\n\r\n";
	static const char end[] = "\r\n--B--\r\n";
	char *body = malloc(len + 1000);
	size_t whole = sizeof(start) - 1 + len + sizeof(end) - 1;
	int at = sprintf(body, POST(MULTIPART, "%zu", "%s"), whole, start);
	fill(body + at, len);
	memcpy(body + at + len, end, sizeof(end) - 1);
	int status = ask_bytes((crew_bytes){ body, (size_t)at + len + sizeof(end) - 1 });
	free(body);
	return status;
}

void assert_file_filled(int fd, size_t len)
{
	char *data = malloc(len + 1);
	size_t at = 0;
	for (ssize_t n; (n = read(fd, data + at, len + 1 - at)) > 0;)
		at += (size_t)n;
	assert_int_equal(at, len);
	assert_filled(data, len);
	free(data);
}

const char mixed[] = FIELD("a", "1") FIELD("empty", "")
	A_FILE("f", "/tmp/x.txt", "Content-Type: text/plain\r\n", "hello") FIELD("b%22", "x+y%20")
		A_FILE("f", "empty", "", "") A_FILE("chosen", "", "", "")
			A_FILE("g", "..", "", "unnamed") FIELD("a", "2") "--B--\r\n";

void look_at_parts(crew_conn *c, const crew_request *r)
{
	size_t count;
	(void)c;
	assert_true(is(r->path, "/") && is(crew_request_query(r, "q"), "1"));
	assert_int_equal(r->body.len, 0);
	assert_true(is(crew_request_form(r, "a"), "1"));
	assert_true(is(crew_request_form(r, "empty"), ""));
	assert_true(is(crew_request_form(r, "b\""), "x+y%20"));
	const crew_header *all = crew_request_forms(r, &count);
	assert_int_equal(count, 4);
	assert_true(is(all[3].name, "a") && is(all[3].value, "2"));

	const crew_upload *files = crew_request_files(r, &count);
	assert_int_equal(count, 3);
	assert_ptr_equal(crew_request_file(r, "f"), &files[0]);
	assert_true(is(files[0].filename, "x.txt") && is(files[0].type, "text/plain"));
	assert_true(is(files[0].body, "hello") && files[0].size == 5 && files[0].fd == -1);
	assert_true(is(files[1].name, "f") && is(files[1].filename, "empty"));
	assert_true(is(files[1].body, "") && files[1].size == 0 && is(files[1].type, ""));
	assert_true(is(files[2].name, "g") && is(files[2].filename, ""));
	assert_true(is(files[2].body, "unnamed"));
	assert_null(crew_request_file(r, "a"));
	assert_null(crew_request_form(r, "f").data);
	tell("looked");
}

void look_at_long(crew_conn *c, const crew_request *r)
{
	(void)c;
	const crew_upload *file = crew_request_file(r, "f");
	assert_non_null(file);
	bool is_short = file->size <= 64 * 1024;
	assert_int_equal(file->body.len, is_short ? file->size : 0);
	assert_int_equal(file->fd >= 0, !is_short);
	if (is_short)
		assert_filled(file->body.data, file->body.len);
	else
		assert_file_filled(file->fd, file->size);
	struct stat about;
	if (!is_short)
		assert_true(fstat(file->fd, &about) == 0 && about.st_nlink == 0);
	if (!is_short)
		assert_true(fcntl(file->fd, F_GETFD) & FD_CLOEXEC);
	tell("%zu", (size_t)file->size);
}

void keep_it(crew_conn *c, const crew_request *r)
{
	(void)c;
	t.kept = crew_request_keep(r);
	assert_non_null(t.kept);
}
