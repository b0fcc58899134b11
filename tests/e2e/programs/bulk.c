/* bulk.c - an HTTP service of bodies that fit into no memory, and of a short answer beside them.
 *
 *   GET /             "hello"
 *   POST /count       how many bytes came, and their sum modulo 2^64; the body is looked at in
 * parts GET /pour?bytes=N N bytes of a to z, over and over, as the client takes them GET
 * /pour?bytes=N&known=1   the same with a Content-Length */
#include <crew/crew.h>

#include <stdio.h>
#include <stdlib.h>

enum {
	PERIOD = 26,
	BLOCK = PERIOD * 1000
};

struct peer {
	uint64_t bytes, sum; /* POST /count */
	uint64_t left;       /* GET /pour */
};

static char block[BLOCK];

static void hello(crew_conn *c, const crew_request *request)
{
	(void)request;
	crew_reply(c, &(crew_response){ .body = CREW_BYTES("hello") });
}

static void begin_count(crew_conn *c, const crew_request *request)
{
	struct peer *peer = crew_data(c);
	(void)request;
	*peer = (struct peer){ 0 };
}

static void count(crew_conn *c, crew_bytes part, bool last)
{
	struct peer *peer = crew_data(c);
	char text[64];
	peer->bytes += part.len;
	for (size_t i = 0; i < part.len; i++)
		peer->sum += (unsigned char)part.data[i];
	if (!last)
		return;
	int n = snprintf(text, sizeof(text), "%llu %llu\n", (unsigned long long)peer->bytes,
		(unsigned long long)peer->sum);
	crew_reply(c, &(crew_response){ .body = { text, (size_t)n } });
}

/* All blocks but the last are a number of periods long, so each begins with an a. */
static void pour_more(crew_conn *c, void *arg)
{
	struct peer *peer = crew_data(c);
	(void)arg;
	size_t n = peer->left < BLOCK ? (size_t)peer->left : BLOCK;
	if (crew_reply_write(c, (crew_bytes){ block, n }) < 0)
		return;
	peer->left -= n;
	if (peer->left == 0)
		crew_reply_end(c, NULL, 0);
}

static void pour(crew_conn *c, const crew_request *request)
{
	struct peer *peer = crew_data(c);
	char text[32];
	crew_bytes bytes = crew_request_query(request, "bytes");
	snprintf(text, sizeof(text), "%.*s", (int)bytes.len, bytes.data ? bytes.data : "");
	peer->left = strtoull(text, NULL, 10);
	bool known = crew_request_query(request, "known").data != NULL;
	crew_reply_pull(c, &(crew_response){ .type = "application/octet-stream" },
		known ? (int64_t)peer->left : -1, pour_more, NULL, NULL);
}

static int fill_block(crew_worker *w)
{
	(void)w;
	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (char)('a' + i % PERIOD);
	return 0;
}

int main(int argc, char **argv)
{
	static const crew_route routes[] = {
		{ .method = "GET", .path = "/", .on_request = hello },
		{ .method = "POST",
			.path = "/count",
			.on_request = begin_count,
			.on_body = count,
			.max_body = CREW_OFF },
		{ .method = "GET", .path = "/pour", .on_request = pour },
		{ 0 },
	};
	static const crew_service web = {
		.name = "web",
		.listen = "http://127.0.0.1:8080",
		.conn_size = sizeof(struct peer),
		.routes = routes,
		.on_worker_start = fill_block,
	};
	return crew_main(argc, argv, &(crew_app){ .name = "bulk", .services = { &web } });
}
