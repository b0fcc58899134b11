/* web.c - an HTTP service that answers in every way a handler may: at once, late, twice, never,
 * big, with fields that must be refused.
 *
 *   GET /now           "now"            GET /late?MS       "late" after so many milliseconds
 *   GET /big?N         N bytes          GET /status?N      an empty answer with that status
 *   GET /twice         two answers      GET /split         a field that would split the response
 *   GET /never         no answer        GET /close         an answer that ends the connection
 *   ANY /what          what the handler saw of the request, one `name=value` in each line */
#include <crew/crew.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	REQUESTS,
	REFUSED
};

static void reply_text(crew_conn *c, int status, crew_bytes body)
{
	crew_reply(c, &(crew_response){ .status = status, .body = body });
}

static void reply_late(crew_worker *w, void *arg)
{
	(void)w;
	uint64_t *id = arg;
	reply_text(crew_find(*id), 200, CREW_BYTES("late"));
	free(id);
}

static void promise(crew_conn *c, uint64_t ms)
{
	uint64_t *id = malloc(sizeof(*id));
	*id = crew_id(c);
	if (crew_timer_after(crew_worker_of(c), ms, reply_late, id) < 0)
		abort();
}

static void reply_big(crew_conn *c, size_t size)
{
	char *body = malloc(size + 1);
	for (size_t i = 0; i < size; i++)
		body[i] = (char)('a' + i % 26);
	reply_text(c, 200, (crew_bytes){ body, size });
	free(body);
}

/* The second answer has no request to belong to. */
static void reply_twice(crew_conn *c)
{
	reply_text(c, 200, CREW_BYTES("first"));
	if (crew_reply(c, &(crew_response){ .body = CREW_BYTES("second") }) == -EINVAL)
		crew_count(crew_worker_of(c), REFUSED, 1);
}

static void reply_split(crew_conn *c)
{
	static const crew_header bad[] = {
		{ { "X-A", 3 }, { "1\r\nX-B: 2", 9 } },
		{ { "X\r\nB", 4 }, { "1", 1 } },
		{ { "X A", 3 }, { "1", 1 } },
		{ { "X-A", 3 }, { "a\0b", 3 } },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		crew_response response = { .headers = &bad[i], .header_count = 1 };
		if (crew_reply(c, &response) == -EINVAL)
			crew_count(crew_worker_of(c), REFUSED, 1);
	}
	static const crew_header good = { { "X-A", 3 }, { "1", 1 } };
	crew_reply(c, &(crew_response){
			      .headers = &good, .header_count = 1, .body = CREW_BYTES("whole") });
}

static void reply_what(crew_conn *c, const crew_request *r)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	crew_bytes odd = crew_request_header(r, "x-odd");
	fprintf(out, "method=%.*s\ntarget=%.*s\npath=%.*s\nquery=%.*s\nhost=%.*s\n",
		(int)r->method.len, r->method.data, (int)r->target.len, r->target.data,
		(int)r->path.len, r->path.data, (int)r->query.len, r->query.data, (int)r->host.len,
		r->host.data);
	fprintf(out, "version=%d\nkeep_alive=%d\nheaders=%zu\nx-odd=%.*s\nbody=%.*s\n", r->version,
		r->keep_alive, r->header_count, (int)odd.len, odd.data, (int)r->body.len,
		r->body.data);
	fclose(out);
	reply_text(c, 200, crew_str(text));
	free(text);
}

static bool path_is(const crew_request *r, const char *path)
{
	return r->path.len == strlen(path) && !memcmp(r->path.data, path, r->path.len);
}

static uint64_t query_number(const crew_request *r)
{
	char text[24] = "";
	snprintf(text, sizeof(text), "%.*s", (int)r->query.len, r->query.data);
	return strtoull(text, NULL, 10);
}

static void on_request(crew_conn *c, const crew_request *r)
{
	crew_count(crew_worker_of(c), REQUESTS, 1);
	if (path_is(r, "/now"))
		reply_text(c, 200, CREW_BYTES("now"));
	else if (path_is(r, "/late"))
		promise(c, query_number(r));
	else if (path_is(r, "/big"))
		reply_big(c, query_number(r));
	else if (path_is(r, "/status"))
		reply_text(c, (int)query_number(r), (crew_bytes){ 0 });
	else if (path_is(r, "/twice"))
		reply_twice(c);
	else if (path_is(r, "/split"))
		reply_split(c);
	else if (path_is(r, "/close"))
		crew_reply(c, &(crew_response){ .body = CREW_BYTES("bye"), .close = true });
	else if (path_is(r, "/what"))
		reply_what(c, r);
	else if (!path_is(r, "/never"))
		reply_text(c, 404, CREW_BYTES("no such path"));
}

int main(int argc, char **argv)
{
	static const crew_service web = {
		.name = "web",
		.listen = "http://127.0.0.1:7102",
		.stop_timeout_ms = 500,
		.on_request = on_request,
	};
	return crew_main(argc, argv, &(crew_app){
		.services = { &web },
		.counters = {
			{ "requests", "requests", "how often the handler was called" },
			{ "refused", "replies", "replies refused as invalid" },
		},
	});
}
