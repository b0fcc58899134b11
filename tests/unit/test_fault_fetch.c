/* test_fault_fetch.c - scenes of requests in which the n-th call fails, for every n, of crew's and
 * of libcurl's own: on_done comes exactly once for each id, and nothing leaks (under
 * AddressSanitizer). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fault_scenes.h"
#include "fetch_ways.h"

#include "service/fetch_parts.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Reached by the linker's --wrap, unlike libcurl's own calls. */
static void *curl_malloc(size_t size)
{
	return malloc(size);
}

static void curl_free_it(void *memory)
{
	free(memory);
}

static void *curl_realloc(void *memory, size_t size)
{
	return realloc(memory, size);
}

static void *curl_calloc(size_t count, size_t size)
{
	return calloc(count, size);
}

static char *curl_strdup(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = malloc(size);
	return copy ? memcpy(copy, text, size) : NULL;
}

static struct {
	struct world world;
	unsigned begun, done;
} scene;

/* ---- a server of its own process, where nothing fails ---------------------------------------- */

enum {
	PEERS = 32
};

static struct {
	int fd, port;
	pid_t pid;
} server;

static const char *answer_to(const char *request)
{
	if (strstr(request, "/a HTTP"))
		return "HTTP/1.1 302 F\r\nLocation: /b\r\nContent-Length: 2\r\n\r\nab";
	return "HTTP/1.1 200 OK\r\nX-Test: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
	       "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
}

/* False: the peer has gone. */
static bool serve(int fd, char *in, size_t *len)
{
	ssize_t n = read(fd, in + *len, 4096 - *len - 1);
	if (n <= 0)
		return false;
	*len += (size_t)n;
	in[*len] = '\0';
	if (web_request_length(in, *len, false) == 0)
		return *len < 4095;
	const char *answer = answer_to(in);
	*len = 0;
	return write(fd, answer, strlen(answer)) > 0;
}

static void run_server(void)
{
	static char in[PEERS][4096];
	static size_t lens[PEERS];
	struct pollfd polled[PEERS + 1] = { { .fd = server.fd, .events = POLLIN } };
	for (size_t i = 1; i <= PEERS; i++)
		polled[i] = (struct pollfd){ .fd = -1, .events = POLLIN };
	while (poll(polled, PEERS + 1, -1) > 0) {
		for (size_t i = 1; i <= PEERS; i++) {
			if (polled[i].fd >= 0 && polled[i].revents &&
				!serve(polled[i].fd, in[i - 1], &lens[i - 1])) {
				close(polled[i].fd);
				polled[i].fd = -1;
			}
		}
		for (size_t i = 1; polled[0].revents && i <= PEERS; i++) {
			if (polled[i].fd >= 0)
				continue;
			lens[i - 1] = 0;
			polled[i].fd = accept(server.fd, NULL, NULL);
			polled[i].revents = 0;
			break;
		}
	}
}

static void start_server(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t size = sizeof(address);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(server.fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(server.fd, 64), 0);
	assert_int_equal(getsockname(server.fd, (struct sockaddr *)&address, &size), 0);
	server.port = ntohs(address.sin_port);
	server.pid = fork();
	assert_true(server.pid >= 0);
	if (server.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		run_server();
		_exit(1);
	}
}

/* ---- the scenes ------------------------------------------------------------------------------ */

static void on_done(const crew_fetched *f, void *arg)
{
	(void)arg;
	scene.done++;
	assert_int_equal(f->error == 0, f->why == NULL);
	assert_true(f->error != 0 || f->status >= 200);
}

static int on_body(int64_t id, int status, crew_bytes part, void *arg)
{
	unsigned *turn = arg;
	(void)status;
	(void)part;
	if (++*turn % 2 == 0)
		return 0;
	crew_fetch_resume(id);
	return -EAGAIN;
}

static int64_t on_upload(int64_t id, char *room, size_t size, void *arg)
{
	unsigned *turn = arg;
	(void)size;
	if (++*turn == 1) {
		crew_fetch_resume(id);
		return -EAGAIN;
	}
	room[0] = 'u';
	return *turn < 4;
}

static const crew_header headers[] = {
	{ { "X-One", 5 }, { "1", 1 } },
	{ { "X-Two", 5 }, { "2", 1 } },
	{ { NULL, 0 }, { NULL, 0 } },
};
static unsigned turn;

static const crew_fetch_options kinds[] = {
	{ .headers = headers, .on_done = on_done },
	{ .body = { "body", 4 }, .on_done = on_done },
	{ .body_file = "/etc/hostname", .on_done = on_done, .redirects = CREW_OFF },
	{ .on_upload = on_upload, .on_body = on_body, .on_done = on_done, .arg = &turn },
	{ .proxy = "here", .on_done = on_done },
};

static void begin(const crew_fetch_options *kind)
{
	char url[64], proxy[64];
	crew_fetch_options options = *kind;
	snprintf(url, sizeof(url), "http://%s:%d/a", kind->proxy ? "far.example" : "localhost",
		server.port);
	snprintf(proxy, sizeof(proxy), "http://u:p@127.0.0.1:%d", server.port);
	options.proxy = kind->proxy ? proxy : NULL;
	scene.begun += crew_fetch(url, &options) > 0;
}

static void play(size_t index)
{
	turn = 0;
	begin(&kinds[index]);
	begin(&kinds[index]);
	for (int i = 0; i < 100 && scene.done < scene.begun; i++)
		crew__loop_turn(scene.world.loop, 10);
	begin(&kinds[index]);
	for (int i = 0; i < 3; i++)
		crew__loop_turn(scene.world.loop, 1);
}

static bool run(size_t index, enum fault_kind kind, unsigned n, bool lasting)
{
	memset(&scene, 0, sizeof(scene));
	fetch_world_open(&scene.world);
	fault_set(kind, n, lasting);
	play(index);
	bool hit = fault_hit();
	fault_set(FAULT_NONE, 0, false);
	fetch_world_close(&scene.world);
	assert_int_equal(scene.done, scene.begun);
	return hit;
}

static int set_up(void **state)
{
	(void)state;
	start_server();
	return curl_global_init_mem(CURL_GLOBAL_DEFAULT, curl_malloc, curl_free_it, curl_realloc,
		       curl_strdup, curl_calloc) != CURLE_OK;
}

static int tear_down(void **state)
{
	(void)state;
	close(server.fd);
	kill(server.pid, SIGKILL);
	return waitpid(server.pid, NULL, 0) != server.pid;
}

int main(void)
{
	static const struct fault_scenes scenes = {
		.count = crew__lengthof(kinds),
		.run = run,
		.kinds = { FAULT_MEMORY, FAULT_LOOP },
		.set_up = set_up,
		.tear_down = tear_down,
	};
	return fault_scenes_main(&scenes);
}
