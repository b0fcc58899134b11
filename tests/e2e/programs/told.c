/* told.c - an HTTP service that answers each request with what it understood of it:
 *
 *   METHOD path?query host version [close] fields [body]{trailer=value}
 *
 * as tests/data/http_requests.txt has it. Of each thing at most 200 bytes. Bodies are gathered on
 * the service `whole`; on `parts` they come to on_body, and the request is kept for its trailers.
 */
#include <crew/crew.h>

#include <stdio.h>
#include <stdlib.h>

enum {
	REQUESTS,
	SHOWN = 200
};

/* Of a connection of `parts`. */
struct upload {
	crew_request *request;
	size_t len;
	char body[SHOWN];
};

static int show(crew_bytes b)
{
	return (int)(b.len < SHOWN ? b.len : SHOWN);
}

static void tell(crew_conn *c, const crew_request *r, crew_bytes body)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	fprintf(out, "%.*s %.*s%s%.*s ", show(r->method), r->method.data, show(r->path),
		r->path.data, r->query.data ? "?" : "", show(r->query),
		r->query.data ? r->query.data : "");
	fprintf(out, "%.*s %d%s %zu [%.*s]", show(r->host), r->host.data ? r->host.data : "",
		r->version, r->keep_alive ? "" : " close", r->header_count, show(body), body.data);
	for (size_t i = 0; i < r->trailer_count; i++) {
		const crew_header *t = &r->trailers[i];
		fprintf(out, "{%.*s=%.*s}", show(t->name), t->name.data, show(t->value),
			t->value.data);
	}
	fclose(out);
	crew_reply(c, &(crew_response){ .body = { text, size } });
	free(text);
}

static void on_request(crew_conn *c, const crew_request *r)
{
	crew_count(crew_worker_of(c), REQUESTS, 1);
	/* What is rare is told from a copy. */
	crew_request *kept = r->trailer_count > 0 ? crew_request_keep(r) : NULL;
	const crew_request *seen = kept ? kept : r;
	tell(c, seen, seen->body);
	crew_request_free(kept);
}

static void on_head(crew_conn *c, const crew_request *r)
{
	struct upload *u = crew_data(c);
	crew_count(crew_worker_of(c), REQUESTS, 1);
	u->request = crew_request_keep(r);
	u->len = 0;
	if (!u->request)
		abort();
}

static void on_body(crew_conn *c, crew_bytes part, bool last)
{
	struct upload *u = crew_data(c);
	for (size_t i = 0; i < part.len && u->len < SHOWN; i++)
		u->body[u->len++] = part.data[i];
	if (!last)
		return;
	/* A copy of the copy has all of it too. */
	crew_request *request = crew_request_keep(u->request);
	if (!request)
		abort();
	crew_request_free(u->request);
	u->request = NULL;
	tell(c, request, (crew_bytes){ u->body, u->len });
	crew_request_free(request);
}

static void on_close(crew_conn *c)
{
	struct upload *u = crew_data(c);
	crew_request_free(u->request);
}

int main(int argc, char **argv)
{
	static const crew_route routes[] = {
		{ .path = "/*path", .on_request = on_head, .on_body = on_body },
		{ 0 },
	};
	static const crew_service whole = {
		.name = "whole",
		.listen = "http://127.0.0.1:7103",
		.max_message = 1000,
		.on_request = on_request,
	};
	static const crew_service parts = {
		.name = "parts",
		.listen = "http://127.0.0.1:7104",
		.max_message = 1000,
		.conn_size = sizeof(struct upload),
		.routes = routes,
		.on_close = on_close,
	};
	return crew_main(argc, argv,
		&(crew_app){ .services = { &whole, &parts },
			.counters = {
				{ "requests", "requests", "how often a handler was called" } } });
}
