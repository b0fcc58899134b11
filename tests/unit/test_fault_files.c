/* test_fault_files.c - files as answers when a call fails: every allocation, every write and every
 * sendfile in turn, while files go out in memory, by the kernel, in ranges and compressed. Nothing
 * crashes or leaks, no answer is wrong without the connection breaking, and the laws hold after
 * each turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fault_scenes.h"
#include "service_world.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	CALLS = 15, /* the first so many: with one byte taken at a time there are 300,000 */
	LONG = 300000,
	ROOM = 1 << 20
};

static char base[64], long_text[LONG];
static crew_files files;

static void on_request(crew_conn *c, const crew_request *request)
{
	crew_bytes path = { request->path.data + 1, request->path.len - 1 };
	crew_reply_file(c, request, &files, path);
}

static const crew_service web = {
	.name = "web",
	.listen = "http://127.0.0.1:1",
	.on_request = on_request,
};

static void adjust(struct crew__service_settings *s)
{
	s->max_send_buffer = 50000;
	s->linger_ms = 0;
}

static void write_file(const char *name, const char *text, size_t len)
{
	char path[100];
	snprintf(path, sizeof(path), "%s/%s", base, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), (ssize_t)len);
	close(fd);
}

static int make_files(void **state)
{
	(void)state;
	strcpy(base, "/tmp/crew-fault-XXXXXX");
	assert_non_null(mkdtemp(base));
	for (size_t i = 0; i < LONG; i++)
		long_text[i] = (char)('a' + i % 26);
	files = (crew_files){ .root = base };
	write_file("long", long_text, LONG);
	write_file("short", long_text, 20000);
	write_file("x", long_text, 100);
	write_file("x.gz", "GZ", 2);
	return 0;
}

static int remove_files(void **state)
{
	char command[100];
	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", base);
	return system(command);
}

/* A request, and of which bytes of the text its answer must be a beginning; `parts`: they stand
 * among others. */
static const struct script {
	const char *path, *fields;
	size_t first, len;
	bool parts;
} scripts[] = {
	{ "/long", "", 0, LONG, false },
	{ "/long", "Range: bytes=1000-200999\r\n", 1000, 200000, false },
	{ "/long", "Range: bytes=100000-249999,0-9,20-29\r\n", 100000, 150000, true },
	{ "/short", "", 0, 20000, false },
	{ "/short", "Range: bytes=5-19000,19500-\r\n", 5, 18996, true },
	{ "/x", "Accept-Encoding: gzip;q=0, br\r\n", 0, 100, false },
	{ "/x", "If-None-Match: \"a\"\r\n", 0, 100, false },
};

static size_t listen_to(struct world *world, int peer, char *room)
{
	size_t len = 0;
	for (int i = 0; i < 100; i++) {
		world_turn(world, 0);
		ssize_t n = read(peer, room + len, ROOM - 1 - len);
		if (n > 0)
			len += (size_t)n;
	}
	room[len] = '\0';
	return len;
}

/* As much of the body as has come is right; and it is whole unless the connection has gone. */
static void check_answer(const struct script *script, const char *room, size_t len, bool gone)
{
	const char *end = strstr(room, "\r\n\r\n");
	if (strncmp(room, "HTTP/1.1 20", 11) != 0 || !end) {
		assert_true(gone || strncmp(room, "HTTP/1.1 50", 11) == 0);
		return;
	}
	const char *body = end + 4;
	size_t announced = strtoul(strstr(room, "Content-Length: ") + 16, NULL, 10);
	size_t come = len - (size_t)(body - room);
	assert_true(come == announced || (gone && come < announced));
	if (script->parts) {
		body = strstr(body, "\r\n\r\n");
		if (!body)
			return;
		body += 4;
		come = len - (size_t)(body - room);
	} else {
		assert_int_equal(announced, script->len);
	}
	size_t text = come < script->len ? come : script->len;
	assert_memory_equal(body, long_text + script->first, text);
}

/* Twice the same, so that the second finds the file in the cache. False when the scene made fewer
 * than n such calls. */
static bool run(
	const struct script *script, enum fault_kind kind, unsigned n, bool lasting, char *room)
{
	struct world world;
	char request[300];
	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n", script->path,
		script->fields);
	assert_true(world_open(&world, &web, CREW__ENGINE_EPOLL, adjust));
	int peer = world_connect(&world);
	assert_true(peer >= 0);
	world_turn(&world, 0);
	fault_set(kind, n, lasting);
	for (int i = 0; i < 2; i++) {
		ssize_t sent = write(peer, request, strlen(request));
		if (sent < 0)
			break; /* the first has broken the connection */
		size_t len = listen_to(&world, peer, room);
		bool gone = world.worker->net.stats.slab->connections == 0;
		if (!lasting || gone)
			check_answer(script, room, len, gone);
	}
	bool hit = fault_hit();
	fault_set(FAULT_NONE, 0, false);
	close(peer);
	for (int i = 0; i < 8; i++)
		world_turn(&world, 0);
	world_close(&world);
	return hit;
}

static unsigned open_descriptors(void)
{
	unsigned count = 0;
	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static bool run_scene(size_t index, enum fault_kind kind, unsigned n, bool lasting)
{
	char *room = malloc(ROOM);
	unsigned before = open_descriptors();
	bool hit = run(&scripts[index], kind, n, lasting, room);
	assert_int_equal(open_descriptors(), before);
	free(room);
	return hit;
}

int main(void)
{
	const struct fault_scenes scenes = {
		.count = crew__lengthof(scripts),
		.run = run_scene,
		.most = CALLS,
		.kinds = { FAULT_MEMORY, FAULT_SHORT, FAULT_SEND_AGAIN, FAULT_SEND_RESET,
			FAULT_RECV_RESET },
		.set_up = make_files,
		.tear_down = remove_files,
	};
	return fault_scenes_main(&scenes);
}
