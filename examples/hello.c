/* hello.c - a small HTTP server.
 *
 *   build/examples/hello start
 *   curl http://127.0.0.1:8080/
 *   curl --data 'some words' http://127.0.0.1:8080/echo
 *   curl http://127.0.0.1:8080/json
 *   curl http://127.0.0.1:8080/files/README.md
 *   curl --no-buffer http://127.0.0.1:8080/events
 *   curl -F picture=@cat.png http://127.0.0.1:8080/upload
 *
 * The routes at the end say which function answers what. A request reaches it complete and checked;
 * one crew_reply answers it. Keep-alive, pipelining, HEAD, OPTIONS, Content-Length, Date, 404 and
 * 405 are crew's business. */
#include <crew/crew.h>
#include <jansson.h>

#include <stdio.h>
#include <stdlib.h>

static void hello(crew_conn *c, const crew_request *request)
{
	(void)request;
	crew_reply(c, &(crew_response){ .body = CREW_BYTES("Hello, World!") });
}

static void echo(crew_conn *c, const crew_request *request)
{
	crew_response response = { .type = "application/octet-stream", .body = request->body };

	crew_reply(c, &response);
}

static void json(crew_conn *c, const crew_request *request)
{
	(void)request;
	json_t *object = json_pack("{s:s, s:i}", "message", "Hello, World!", "worker",
		(int)crew_worker_id(crew_worker_of(c)));
	char *text = json_dumps(object, JSON_COMPACT);

	crew_reply(c, &(crew_response){ .type = "application/json", .body = crew_str(text) });
	free(text);
	json_decref(object);
}

/* What came in a form with files: `curl -F` sends one. They are gone with the request, unless
 * crew_upload_save() gives them a name. */
static void upload(crew_conn *c, const crew_request *request)
{
	size_t count;
	const crew_upload *files = crew_request_files(request, &count);
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out) {
		crew_reply_error(c, request, 503, NULL);
		return;
	}
	for (size_t i = 0; i < count; i++)
		fprintf(out, "%.*s: %.*s, %llu bytes, %.*s\n", (int)files[i].name.len,
			files[i].name.data, (int)files[i].filename.len, files[i].filename.data,
			(unsigned long long)files[i].size, (int)files[i].type.len,
			files[i].type.data);
	if (fclose(out) == 0 && count > 0)
		crew_reply(c, &(crew_response){ .body = { text, len } });
	else
		crew_reply_error(c, request, 400, "There is no file in this form.");
	free(text);
}

/* A stream of server-sent events: from now on this connection is one that gets the ticks. */
static void events(crew_conn *c, const crew_request *request)
{
	(void)request;
	crew_events_begin(c, NULL);
}

static void tick(crew_worker *w, void *arg)
{
	char seconds[24];
	(void)arg;
	snprintf(seconds, sizeof(seconds), "%llu", (unsigned long long)(crew_now_ms() / 1000));
	crew_shared *s = crew_shared_event(
		&(crew_event){ .name = "tick", .data = crew_str(seconds) });

	crew_broadcast(crew_worker_service(w), s);
	crew_shared_unref(s);
}

static int on_worker_start(crew_worker *w)
{
	int64_t timer = crew_timer_every(w, 1000, tick, NULL);
	return timer < 0 ? (int)timer : 0;
}

int main(int argc, char **argv)
{
	static const crew_files here = { .root = "." }; /* where `start` was called */
	static const crew_route routes[] = {
		{ .method = "GET", .path = "/", .on_request = hello },
		{ .method = "POST", .path = "/echo", .on_request = echo },
		{ .method = "GET", .path = "/json", .on_request = json },
		{ .method = "POST", .path = "/upload", .on_request = upload },
		{ .method = "GET", .path = "/events", .on_request = events },
		{ .path = "/files/*path", .files = &here },
		{ 0 },
	};
	static const crew_service web = {
		.name = "web",
		.listen = "http://127.0.0.1:8080",
		.routes = routes,
		.on_worker_start = on_worker_start,
	};
	return crew_main(argc, argv, &(crew_app){ .name = "hello", .services = { &web } });
}
