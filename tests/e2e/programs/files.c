/* files.c - files in every way a program may serve them; they lie in ./www.
 *
 *   GET /files/PATH      a route of files              GET /old/PATH     the same, to be kept an
 * hour GET /bare/PATH       no index, no Cache-Control    ANY /reply?path=PATH   crew_reply_file
 *   GET /fixed           crew_reply_file of "docs", which is a directory
 *   GET /after/PATH      with a function after it: ?status=N, ?body=TEXT, ?close, ?field
 *   GET /gone/PATH       from a directory that was not there when the worker started */
#include <crew/crew.h>

#include <stdlib.h>
#include <string.h>

static const crew_files files = { .root = "www" };
static const crew_files old_files = { .root = "www", .max_age_s = 3600 };
static const crew_files bare_files = { .root = "www", .index = "", .max_age_s = -1 };
static const crew_files gone_files = { .root = "later" };

static void reply(crew_conn *c, const crew_request *request)
{
	crew_reply_file(c, request, &files, crew_request_query(request, "path"));
}

static void reply_fixed(crew_conn *c, const crew_request *request)
{
	crew_reply_file(c, request, &files, CREW_BYTES("docs"));
}

static void reply_gone(crew_conn *c, const crew_request *request)
{
	crew_reply_file(c, request, &gone_files, crew_request_param(request, "path"));
}

/* What the query of the request in hand wants of the function after it. */
static struct {
	int status;
	char body[64];
	bool close, field;
} change;

static bool note_change(crew_conn *c, const crew_request *request)
{
	crew_bytes status = crew_request_query(request, "status");
	crew_bytes body = crew_request_query(request, "body");
	(void)c;
	memset(&change, 0, sizeof(change));
	if (status.data)
		change.status = atoi(status.data);
	if (body.data && body.len < sizeof(change.body))
		memcpy(change.body, body.data, body.len);
	change.close = crew_request_query(request, "close").data;
	change.field = crew_request_query(request, "field").data;
	return true;
}

static void make_change(crew_conn *c, crew_response *response)
{
	if (change.status)
		response->status = change.status;
	if (change.body[0])
		response->body = (crew_bytes){ change.body, strlen(change.body) };
	if (change.close)
		response->close = true;
	if (change.field)
		crew_reply_header(c, "X-After", CREW_BYTES("yes"));
}

static const crew_route routes[] = {
	{ "GET", "/files/*path", .files = &files },
	{ "GET", "/old/*path", .files = &old_files },
	{ "GET", "/bare/*path", .files = &bare_files },
	{ NULL, "/reply", .on_request = reply },
	{ NULL, "/fixed", .on_request = reply_fixed },
	{ NULL, "/fixed/", .on_request = reply_fixed },
	{ "GET", "/gone/*path", .on_request = reply_gone },
	{ "GET", "/after/*path", .files = &files, .before = { note_change },
		.after = { make_change } },
	{ 0 },
};

int main(int argc, char **argv)
{
	static const crew_service web = {
		.name = "web",
		.listen = "http://127.0.0.1:8080",
		.routes = routes,
	};
	return crew_main(argc, argv, &(crew_app){ .name = "files", .services = { &web } });
}
