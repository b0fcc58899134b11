/* test_fault_http.c - what HTTP does when a call fails: every one of them in turn, while requests
 * are kept, bodies come in parts, and answers go whole, in parts, by pull, as files and as events.
 * Nothing crashes or leaks, every callback that is due comes exactly once, and the laws hold after
 * each turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fault_scenes.h"
#include "service_world.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	PEERS = 2,
	PULLS = 3
};

static struct {
	struct world world;
	unsigned opens, closes, begun, done;
	crew_request *kept;
	uint64_t kept_id;
	unsigned pulls;
} scene;

static void on_open(crew_conn *c)
{
	(void)c;
	scene.opens++;
}

static void on_close(crew_conn *c)
{
	(void)c;
	scene.closes++;
}

static void whole(crew_conn *c, const crew_request *request)
{
	static char text[3000];
	memset(text, 'a', sizeof(text));
	crew_bytes name = crew_request_query(request, "name");
	crew_bytes cookie = crew_request_cookie(request, "seen");
	crew_reply_header(c, "X-Name", name.data ? name : CREW_BYTES("none"));
	crew_reply_cookie(c, &(crew_cookie){ .name = "seen", .value = cookie });
	crew_reply(c, &(crew_response){ .body = { text, sizeof(text) } });
}

static void keep(crew_conn *c, const crew_request *request)
{
	crew_request_free(scene.kept);
	scene.kept = crew_request_keep(request);
	scene.kept_id = crew_id(c);
	if (!scene.kept)
		crew_reply_error(c, request, 503, "no memory");
}

static void at_head(crew_conn *c, const crew_request *request)
{
	(void)c;
	(void)request;
}

static void on_body(crew_conn *c, crew_bytes part, bool last)
{
	(void)part;
	if (last)
		crew_reply(c, &(crew_response){ .body = CREW_BYTES("got it") });
}

static void in_parts(crew_conn *c, const crew_request *request)
{
	static const crew_header trailer = { CREW_BYTES("X-End"), CREW_BYTES("here") };
	(void)request;
	crew_reply_begin(c, &(crew_response){ .body = CREW_BYTES("first ") }, -1);
	crew_reply_write(c, CREW_BYTES("second "));
	crew_reply_end(c, &trailer, 1);
}

static void pull(crew_conn *c, void *arg)
{
	static char block[70000];
	assert_ptr_equal(arg, &scene);
	crew_reply_write(c, (crew_bytes){ block, sizeof(block) });
	if (++scene.pulls % PULLS == 0)
		crew_reply_end(c, NULL, 0);
}

static void pulled(void *arg)
{
	assert_ptr_equal(arg, &scene);
	scene.done++;
}

static void by_pull(crew_conn *c, const crew_request *request)
{
	(void)request;
	scene.begun++;
	crew_reply_pull(c, &(crew_response){ 0 }, -1, pull, pulled, &scene);
}

static void form(crew_conn *c, const crew_request *request)
{
	const crew_upload *file = crew_request_file(request, "file");
	crew_bytes field = crew_request_form(request, "field");
	crew_reply(c, &(crew_response){ .body = file ? file->filename : field });
}

static void events(crew_conn *c, const crew_request *request)
{
	(void)request;
	if (crew_events_begin(c, NULL) < 0)
		return;
	crew_send_event(c, &(crew_event){ .name = "tick", .id = "1", .data = CREW_BYTES("a\nb") });
	crew_shared *event = crew_shared_event(&(crew_event){ .data = CREW_BYTES("for all") });
	if (event)
		crew_broadcast(crew_service_of(c), event);
	crew_shared_unref(event);
}

static const crew_files files = { .root = "/usr/share/common-licenses" };

static const crew_route routes[] = {
	{ "GET", "/whole", .on_request = whole },
	{ "GET POST", "/keep", .on_request = keep },
	{ "POST", "/body", .on_request = at_head, .on_body = on_body },
	{ "GET", "/parts", .on_request = in_parts },
	{ "GET", "/pull", .on_request = by_pull },
	{ "POST", "/form", .on_request = form, .max_body = 200000 },
	{ "GET", "/events", .on_request = events },
	{ "GET", "/files/*path", .files = &files },
	{ 0 },
};

static const crew_service web = {
	.name = "web",
	.listen = "http://127.0.0.1:1",
	.routes = routes,
	.on_open = on_open,
	.on_close = on_close,
};

static void adjust(struct crew__service_settings *s)
{
	s->max_send_buffer = 100000;
	s->linger_ms = 0;
}

#define GET(path)                                                                     \
	"GET " path " HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\nCookie: seen=1" \
	"\r\n\r\n"
#define FORM                                                                     \
	"--b\r\nContent-Disposition: form-data; name=\"field\"\r\n\r\nvalue\r\n" \
	"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\ncontent\r\n--b--\r\n"

static const char *const scripts[] = {
	GET("/whole?name=x%20y") GET("/missing") "POST /whole HTTP/1.1\r\nHost: a\r\n\r\n",
	"POST /keep HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody" GET("/whole"),
	"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
	GET("/parts") GET("/pull") GET("/whole"),
	"POST /form HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n"
	"Content-Length: 142\r\n\r\n" FORM GET("/whole"),
	GET("/events"),
	GET("/files/GPL-3") GET("/files/") GET("/files/nothing") GET("/whole"),
};

static void settle(void)
{
	for (int i = 0; i < 8; i++)
		world_turn(&scene.world, 0);
}

static void read_all(int fd)
{
	char sink[65536];
	while (read(fd, sink, sizeof(sink)) > 0)
		continue;
}

static void play(const char *script, int peers[PEERS])
{
	for (int i = 0; i < PEERS; i++)
		peers[i] = world_connect(&scene.world);
	settle();
	for (int i = 0; i < PEERS; i++) {
		ssize_t n = peers[i] >= 0 ? write(peers[i], script, strlen(script)) : 0;
		(void)n;
		settle();
	}
	crew_conn *waiting = scene.kept ? crew_find(scene.kept_id) : NULL;
	crew_reply(waiting, &(crew_response){ .body = CREW_BYTES("late") });
	for (int i = 0; i < 4; i++) {
		if (peers[0] >= 0)
			read_all(peers[0]);
		settle();
	}
	if (peers[1] >= 0)
		shutdown(peers[1], SHUT_WR);
	settle();
}

/* False when the scene made fewer than n such calls. */
static bool run(const char *script, enum fault_kind kind, unsigned n, bool lasting)
{
	int peers[PEERS] = { -1, -1 };
	memset(&scene, 0, sizeof(scene));
	fault_set(kind, n, lasting);
	bool opened = world_open(&scene.world, &web, CREW__ENGINE_EPOLL, adjust);
	if (opened)
		play(script, peers);
	bool hit = fault_hit();
	fault_set(FAULT_NONE, 0, false);
	for (int i = 0; i < PEERS; i++)
		if (peers[i] >= 0)
			close(peers[i]);
	if (opened) {
		settle();
		world_close(&scene.world);
	}
	crew_request_free(scene.kept);
	assert_int_equal(scene.opens, scene.closes);
	assert_int_equal(scene.begun, scene.done);
	return hit;
}

static bool run_scene(size_t index, enum fault_kind kind, unsigned n, bool lasting)
{
	return run(scripts[index], kind, n, lasting);
}

int main(void)
{
	const struct fault_scenes scenes = {
		.count = crew__lengthof(scripts),
		.run = run_scene,
		.kinds = { FAULT_MEMORY, FAULT_SHORT, FAULT_SEND_AGAIN, FAULT_SEND_RESET,
			FAULT_RECV_AGAIN, FAULT_RECV_RESET, FAULT_LOOP },
	};
	return fault_scenes_main(&scenes);
}
