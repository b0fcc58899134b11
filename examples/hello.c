/* hello.c - a small HTTP server: GET / says hello, POST /echo answers what it was sent.
 *
 *   build/examples/hello start
 *   curl http://127.0.0.1:8080/
 *   curl --data 'some words' http://127.0.0.1:8080/echo
 *
 * A request reaches on_request complete and checked; one crew_reply answers it. Keep-alive,
 * pipelining, HEAD, Content-Length and Date are crew's business. */
#include <crew/crew.h>

#include <string.h>

static bool equal(crew_bytes bytes, const char *text)
{
	return bytes.len == strlen(text) && memcmp(bytes.data, text, bytes.len) == 0;
}

static void hello(crew_conn *c)
{
	crew_response response = { .body = CREW_BYTES("Hello, World!") };

	crew_reply(c, &response);
}

static void echo(crew_conn *c, crew_bytes body)
{
	crew_response response = { .type = "application/octet-stream", .body = body };

	crew_reply(c, &response);
}

static void not_found(crew_conn *c)
{
	crew_response response = { .status = 404, .body = CREW_BYTES("Not found.\n") };

	crew_reply(c, &response);
}

static void wrong_method(crew_conn *c, crew_bytes allowed)
{
	crew_header allow = { CREW_BYTES("Allow"), allowed };
	crew_response response = {
		.status = 405,
		.headers = &allow,
		.header_count = 1,
		.body = CREW_BYTES("This address does not know that method.\n"),
	};

	crew_reply(c, &response);
}

static void on_request(crew_conn *c, const crew_request *request)
{
	if (equal(request->path, "/")) {
		if (equal(request->method, "GET") || equal(request->method, "HEAD"))
			hello(c);
		else
			wrong_method(c, CREW_BYTES("GET, HEAD"));
	} else if (equal(request->path, "/echo")) {
		if (equal(request->method, "POST"))
			echo(c, request->body);
		else
			wrong_method(c, CREW_BYTES("POST"));
	} else {
		not_found(c);
	}
}

int main(int argc, char **argv)
{
	static const crew_service web = {
		.name = "web",
		.listen = "http://127.0.0.1:8080",
		.on_request = on_request,
	};
	return crew_main(argc, argv, &(crew_app){ .name = "hello", .services = { &web } });
}
