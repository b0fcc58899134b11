/* stream.c - an HTTP service whose answers come in parts, and whose events go to all who listen.
 *
 *   GET /pull?N        N bytes, pulled, chunked        GET /length?N  the same, with its length
 *   GET /push?N        N bytes, written as there is room, chunked
 *   GET /trailers      a short body with a trailer      GET /short     less than its length
 *   GET /text?N        N bytes of text, whole
 *   GET /events        a stream of events; `last` is told what it last heard
 *   POST /say          the body as an event to all      POST /event    the same: named, numbered
 *   POST /many?N       N events of 1,000 bytes to all   POST /end      ends all streams
 *
 * Bytes of a body are the letters in order, again and again. */
#include <crew/crew.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PULLS,
	DONES,
	LOST,
	FULLS,
	DRAINS
};

enum {
	PART = 26 * 1000
};

struct source {
	size_t at, size;
	crew_worker *worker;
};

/* What push has still to write; of the connection. */
struct guest {
	struct source push;
	bool pushing;
};

static const crew_service web;

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

static void reply_number(crew_conn *c, int64_t number)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%lld", (long long)number);
	crew_reply(c, &(crew_response){ .body = { text, (size_t)n } });
}

/* ---- bodies in parts ----------------------------------------------------------------------- */

/* The next part; its length is a multiple of the alphabet's, so each begins with `a`. */
static crew_bytes next_part(const struct source *s)
{
	static char letters[PART];
	if (!letters[0])
		for (size_t i = 0; i < sizeof(letters); i++)
			letters[i] = (char)('a' + i % 26);
	size_t left = s->size - s->at;
	return (crew_bytes){ letters, left < PART ? left : PART };
}

static void pull(crew_conn *c, void *arg)
{
	struct source *s = arg;
	crew_bytes part = next_part(s);
	crew_count(s->worker, PULLS, 1);
	if (part.len > 0 && crew_reply_write(c, part) < 0)
		abort(); /* there is room when pull is called */
	s->at += part.len;
	if (s->at == s->size)
		crew_reply_end(c, NULL, 0);
}

static void done(void *arg)
{
	struct source *s = arg;
	crew_count(s->worker, DONES, 1);
	free(s);
}

static void reply_pulled(crew_conn *c, size_t size, int64_t length)
{
	struct source *s = calloc(1, sizeof(*s));
	*s = (struct source){ .size = size, .worker = crew_worker_of(c) };
	crew_reply_pull(
		c, &(crew_response){ .type = "application/octet-stream" }, length, pull, done, s);
}

static void push_on(crew_conn *c)
{
	struct guest *g = crew_data(c);
	while (g->pushing) {
		crew_bytes part = next_part(&g->push);
		if (part.len == 0) {
			g->pushing = false;
			crew_reply_end(c, NULL, 0);
		} else if (crew_reply_write(c, part) < 0) {
			return; /* on_drain comes */
		}
		g->push.at += part.len;
	}
}

static void reply_pushed(crew_conn *c, size_t size)
{
	struct guest *g = crew_data(c);
	g->push = (struct source){ .size = size };
	g->pushing = true;
	crew_reply_begin(c, &(crew_response){ .type = "application/octet-stream" }, -1);
	push_on(c);
}

static void reply_with_trailers(crew_conn *c)
{
	static const crew_header announced = { { "Trailer", 7 }, { "X-Count", 7 } };
	static const crew_header trailer = { { "X-Count", 7 }, { "2", 1 } };
	crew_reply_begin(c,
		&(crew_response){
			.headers = &announced, .header_count = 1, .body = CREW_BYTES("one") },
		-1);
	crew_reply_write(c, CREW_BYTES("two"));
	crew_reply_end(c, &trailer, 1);
}

static void reply_short(crew_conn *c)
{
	crew_reply_begin(c, &(crew_response){ 0 }, 10);
	crew_reply_write(c, CREW_BYTES("five."));
	if (crew_reply_end(c, NULL, 0) != -EMSGSIZE)
		abort();
}

static void reply_text(crew_conn *c, size_t size)
{
	char *text = malloc(size + 1);
	for (size_t i = 0; i < size; i++)
		text[i] = "all work and no play. "[i % 22];
	crew_reply(c, &(crew_response){ .body = { text, size } });
	free(text);
}

/* ---- events -------------------------------------------------------------------------------- */

/* A browser that comes back says which event it had last. */
static void begin_events(crew_conn *c, const crew_request *r)
{
	crew_bytes last = crew_request_header(r, "Last-Event-ID");
	crew_events_begin(c, NULL);
	if (last.len > 0)
		crew_send_event(c, &(crew_event){ .name = "last", .data = last });
}

static int64_t to_all(crew_shared *s)
{
	int64_t accepted = s ? crew_broadcast(&web, s) : -ENOMEM;
	crew_shared_unref(s);
	return accepted;
}

static int64_t say_numbered(crew_bytes body)
{
	static unsigned number;
	char id[16];
	snprintf(id, sizeof(id), "%u", ++number);
	const crew_event event = { .name = "news", .id = id, .data = body, .retry_ms = 100 };
	return to_all(crew_shared_event(&event));
}

static int64_t say_many(uint64_t count)
{
	char text[1000];
	int64_t accepted = 0;
	memset(text, '0', sizeof(text));
	for (uint64_t i = 0; i < count; i++) {
		for (uint64_t at = 6, rest = i; at-- > 0; rest /= 10)
			text[at] = (char)('0' + rest % 10);
		accepted += to_all(crew_shared_new((crew_bytes){ text, sizeof(text) }));
	}
	return accepted;
}

static void end_stream(crew_conn *c, void *arg)
{
	(void)arg;
	crew_close(c);
}

/* ---- requests ------------------------------------------------------------------------------ */

static void on_get(crew_conn *c, const crew_request *r)
{
	size_t number = (size_t)query_number(r);
	if (path_is(r, "/pull"))
		reply_pulled(c, number, -1);
	else if (path_is(r, "/length"))
		reply_pulled(c, number, (int64_t)number);
	else if (path_is(r, "/push"))
		reply_pushed(c, number);
	else if (path_is(r, "/trailers"))
		reply_with_trailers(c);
	else if (path_is(r, "/short"))
		reply_short(c);
	else if (path_is(r, "/text"))
		reply_text(c, number);
	else if (path_is(r, "/events"))
		begin_events(c, r);
	else
		crew_reply(c, &(crew_response){ .status = 404 });
}

static void on_request(crew_conn *c, const crew_request *r)
{
	if (r->method.len != 4 || r->method.data[0] != 'P')
		on_get(c, r);
	else if (path_is(r, "/say"))
		reply_number(c, to_all(crew_shared_new(r->body)));
	else if (path_is(r, "/event"))
		reply_number(c, say_numbered(r->body));
	else if (path_is(r, "/many"))
		reply_number(c, say_many(query_number(r)));
	else if (path_is(r, "/end"))
		reply_number(c, crew_each(&web, end_stream, NULL));
	else
		crew_reply(c, &(crew_response){ .status = 404 });
}

static void on_error(crew_conn *c, const crew_loss *loss)
{
	crew_count(crew_worker_of(c), LOST, (int64_t)loss->messages);
}

static void on_full(crew_conn *c)
{
	crew_count(crew_worker_of(c), FULLS, 1);
}

static void on_drain(crew_conn *c)
{
	crew_count(crew_worker_of(c), DRAINS, 1);
	push_on(c);
}

static const crew_service web = {
	.name = "web",
	.listen = "http://127.0.0.1:7105",
	.conn_size = sizeof(struct guest),
	.stop_timeout_ms = 500,
	.on_request = on_request,
	.on_error = on_error,
	.on_full = on_full,
	.on_drain = on_drain,
};

int main(int argc, char **argv)
{
	return crew_main(argc, argv, &(crew_app){
		.services = { &web },
		.counters = {
			{ "pulls", "calls", "how often a body was pulled" },
			{ "dones", "calls", "how often a body was done with" },
			{ "lost", "messages", "messages that on_error told of" },
			{ "fulls", "calls", "how often a queue was full" },
			{ "drains", "calls", "how often one was empty again" },
		},
	});
}
