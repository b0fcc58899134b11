#include "fetch_ways.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the server ---------------------------------------------------------------------------- */

static void end_conn(struct web_conn *conn)
{
	crew_watch(conn->fd, 0, NULL, NULL);
	close(conn->fd);
	free(conn->in);
	free(conn->out);
	conn->web->open--;
	*conn = (struct web_conn){ .fd = -1, .web = conn->web };
}

size_t web_request_length(char *in, size_t in_len, bool early)
{
	static const char end[] = "\r\n\r\n", last[] = "0\r\n\r\n";
	char *behind = memmem(in, in_len, end, 4);
	if (!behind)
		return 0;
	size_t head = (size_t)(behind - in) + 4;
	if (early)
		return head;
	*behind = '\0'; /* for the searches */
	const char *length = strcasestr(in, "content-length:");
	const char *chunked = strcasestr(in, "transfer-encoding: chunked");
	size_t body = length ? strtoul(length + 15, NULL, 10) : 0;
	*behind = '\r';
	if (chunked) {
		char *z = memmem(in + head, in_len - head, last, 5);
		return z ? (size_t)(z - in) + 5 : 0;
	}
	return in_len >= head + body ? head + body : 0;
}

static void note_request(struct web *web, const char *bytes, size_t len)
{
	if (web->request_count == WEB_REQUESTS)
		return;
	char *copy = malloc(len + 1);
	assert_non_null(copy);
	memcpy(copy, bytes, len);
	copy[len] = '\0';
	web->requests[web->request_count] = copy;
	web->request_lens[web->request_count++] = len;
}

static void on_conn(int fd, unsigned events, void *arg);

static void write_more(struct web_conn *conn)
{
	ssize_t n = 1;
	while (n > 0 && conn->out_at < conn->out_len) {
		n = write(conn->fd, conn->out + conn->out_at, conn->out_len - conn->out_at);
		conn->out_at += n > 0 ? (size_t)n : 0;
	}
	if (conn->out_at < conn->out_len) {
		if (errno == EAGAIN)
			crew_watch(conn->fd, CREW_READ | CREW_WRITE, on_conn, conn);
		else
			end_conn(conn);
		return;
	}
	crew_watch(conn->fd, CREW_READ, on_conn, conn);
	if (conn->close)
		end_conn(conn);
}

static void answer(struct web_conn *conn)
{
	struct web *web = conn->web;
	if (web->answer_count == 0)
		return;
	unsigned which = web->request_count - 1;
	which = which < web->answer_count ? which : web->answer_count - 1;
	free(conn->out);
	conn->out = malloc(web->answers[which].len + 1);
	memcpy(conn->out, web->answers[which].bytes, web->answers[which].len);
	conn->out_len = web->answers[which].len;
	conn->out_at = 0;
	conn->close = web->answers[which].close;
	conn->answered = web->early;
	write_more(conn);
}

static void on_conn(int fd, unsigned events, void *arg)
{
	struct web_conn *conn = arg;
	char bytes[65536];
	if (events & CREW_WRITE)
		write_more(conn);
	if (conn->fd != fd || !(events & CREW_READ))
		return;
	ssize_t n = read(fd, bytes, sizeof(bytes));
	if (n <= 0) {
		if (n == 0 || errno != EAGAIN)
			end_conn(conn);
		return;
	}
	if (conn->answered)
		return;
	assert_true(conn->in_len + (size_t)n <= WEB_REQUEST_MOST);
	conn->in = realloc(conn->in, WEB_REQUEST_MOST + 1);
	memcpy(conn->in + conn->in_len, bytes, (size_t)n);
	conn->in_len += (size_t)n;
	conn->in[conn->in_len] = '\0';
	size_t len = web_request_length(conn->in, conn->in_len, conn->web->early);
	if (len == 0)
		return;
	note_request(conn->web, conn->in, len);
	conn->in_len = 0; /* nobody asks twice before an answer */
	answer(conn);
}

static void on_accept(int fd, unsigned events, void *arg)
{
	struct web *web = arg;
	(void)events;
	int peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (peer < 0)
		return;
	struct web_conn *conn = web->conns;
	while (conn->fd >= 0)
		assert_true(++conn < web->conns + WEB_CONNS);
	conn->fd = peer;
	web->connections++;
	web->open++;
	crew_watch(peer, CREW_READ, on_conn, conn);
}

void web_open(struct web *web)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t size = sizeof(address);
	memset(web, 0, sizeof(*web));
	for (size_t i = 0; i < WEB_CONNS; i++)
		web->conns[i] = (struct web_conn){ .fd = -1, .web = web };
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	web->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(web->fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(web->fd, 64), 0);
	assert_int_equal(getsockname(web->fd, (struct sockaddr *)&address, &size), 0);
	web->port = ntohs(address.sin_port);
	assert_int_equal(crew_watch(web->fd, CREW_READ, on_accept, web), 0);
}

void web_hang_up(struct web *web)
{
	for (size_t i = 0; i < WEB_CONNS; i++)
		if (web->conns[i].fd >= 0)
			end_conn(&web->conns[i]);
}

void web_forget(struct web *web)
{
	for (unsigned i = 0; i < web->request_count; i++)
		free(web->requests[i]);
	web->request_count = web->answer_count = 0;
}

void web_close(struct web *web)
{
	web_hang_up(web);
	crew_watch(web->fd, 0, NULL, NULL);
	close(web->fd);
	web_forget(web);
}

void web_answer_bytes(struct web *web, const char *bytes, size_t len)
{
	assert_true(web->answer_count < WEB_ANSWERS);
	web->answers[web->answer_count++] = (struct web_answer){ bytes, len, false };
}

void web_answer(struct web *web, const char *text)
{
	web_answer_bytes(web, text, strlen(text));
}

void web_answer_close(struct web *web, const char *text)
{
	web_answer(web, text);
	web->answers[web->answer_count - 1].close = true;
}

/* ---- the worker that fetches ---------------------------------------------------------------- */

static const crew_service fetcher = { .name = "fetcher" };

void fetch_world_open(struct world *world)
{
	assert_true(world_open(world, &fetcher, CREW__ENGINE_AUTO, NULL));
}

void fetch_world_close(struct world *world)
{
	world_close(world);
}

void told_free(struct told *told)
{
	free(told->body);
	memset(told, 0, sizeof(*told));
}

static void on_done(const crew_fetched *f, void *arg)
{
	struct told *told = arg;
	assert_false(told->inside);
	assert_int_equal(f->error == 0, f->why == NULL);
	told->calls++;
	told->id = f->id;
	told->error = f->error;
	told->status = f->status;
	told->redirects = f->redirects;
	told->len = f->body.len;
	told->header_count = f->header_count;
	told->elapsed_ms = f->elapsed_ms;
	snprintf(told->why, sizeof(told->why), "%s", f->why ? f->why : "");
	snprintf(told->url, sizeof(told->url), "%s", f->url);
	crew_bytes field = crew_fetched_header(f, "x-test");
	snprintf(told->header, sizeof(told->header), "%.*s", (int)field.len,
		field.data ? field.data : "");
	free(told->body);
	told->body = malloc(f->body.len + 1);
	assert_non_null(told->body);
	if (f->body.len > 0)
		memcpy(told->body, f->body.data, f->body.len);
	told->body[f->body.len] = '\0';
}

int64_t fetch_start(
	struct told *told, const struct web *web, const char *path, crew_fetch_options options)
{
	char url[2048];
	int port = web ? web->port : 0;
	if (path[0] == '/')
		snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", port, path);
	else
		snprintf(url, sizeof(url), path, port);
	if (!options.on_done)
		options.on_done = on_done;
	if (!options.arg)
		options.arg = told;
	told->calls = 0;
	told->inside = true;
	int64_t id = crew_fetch(url, &options);
	told->inside = false;
	return id;
}

bool fetch_wait(struct world *world, struct told *told)
{
	uint64_t give_up = crew__clock_ns() + 10 * CREW__NS_PER_S;
	while (told->calls == 0 && crew__clock_ns() < give_up)
		world_turn(world, 20);
	return told->calls > 0;
}

int fetch(struct world *world, struct told *told, const struct web *web, const char *path,
	crew_fetch_options options)
{
	int64_t id = fetch_start(told, web, path, options);
	assert_true(id > 0);
	assert_true(fetch_wait(world, told));
	fetch_turns(world, 2);
	assert_int_equal(told->calls, 1);
	assert_true(told->id == id);
	assert_int_equal(crew_fetch_stop(id), -ENOENT);
	assert_int_equal(crew_fetch_resume(id), -ENOENT);
	return told->error;
}

void fetch_turns(struct world *world, unsigned ms)
{
	uint64_t until = crew__clock_ns() + ms * CREW__NS_PER_MS;
	do
		world_turn(world, 1);
	while (crew__clock_ns() < until);
}

struct fetch_stage stage;

int fetch_set_up(void **state)
{
	(void)state;
	memset(&stage, 0, sizeof(stage));
	fetch_world_open(&stage.world);
	web_open(&stage.web);
	return 0;
}

int fetch_tear_down(void **state)
{
	(void)state;
	web_close(&stage.web);
	fetch_world_close(&stage.world);
	told_free(&stage.told);
	return 0;
}

int go(const char *path, crew_fetch_options options)
{
	return fetch(&stage.world, &stage.told, &stage.web, path, options);
}

bool asked(unsigned i, const char *text)
{
	return i < stage.web.request_count && strstr(stage.web.requests[i], text);
}

static unsigned entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned count = 0;
	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 2;
}

unsigned open_descriptors(void)
{
	return entries("/proc/self/fd") - 1; /* that of opendir itself */
}

unsigned tasks(void)
{
	return entries("/proc/self/task");
}
