/* proxy.c - passes connections on to one of several servers, and ends TLS for them if told to.
 *
 *   build/examples/proxy start --set app.upstreams="tcp://127.0.0.1:7001 tcp://127.0.0.1:7101"
 *   build/examples/proxy start --set proxy.tls_cert=cert.pem --set proxy.tls_key=key.pem
 *
 * The client waits, unread, until a server has taken the connection, so that another one can be
 * tried when the first is away: nothing of the client's is lost by that. Then both are joined, and
 * crew lets the bytes flow with back-pressure both ways; between plain sockets they never leave the
 * kernel. Servers may be any stream that crew connects to: tcp://, tls://, unix:///path. */
#include <crew/crew.h>

#include <errno.h>
#include <string.h>

#define UPSTREAMS_MOST 32 /* bits in client.tried */
#define CONNECT_MS     3000
#define REST_MS        5000 /* how long a server that failed is left alone while others are there */
#define IDLE_MS        3600000

static struct upstream {
	char url[256];
	uint64_t rests_until;
} upstreams[UPSTREAMS_MOST];
static unsigned upstream_count, next_upstream;

/* Each side knows the other by its id: a pointer may dangle, an id is only not found. */
struct client {
	uint64_t server;
	uint32_t tried; /* upstreams that were asked for it, one bit each */
};

struct server {
	uint64_t client;
	struct upstream *upstream;
};

static void connect_to_next(crew_conn *client);

/* ---- the server's side ----------------------------------------------------------------------- */

static void server_open(crew_conn *server)
{
	const struct server *state = crew_data(server);
	crew_conn *client = crew_find(state->client);
	state->upstream->rests_until = 0;
	if (crew_pipe(client, server) < 0 || crew_pipe(server, client) < 0)
		crew_abort(server); /* the client has left meanwhile */
	crew_resume(client);
}

static void server_close(crew_conn *server)
{
	const struct server *state = crew_data(server);
	if (!crew_connect_error(server) || crew_close_reason(server) == CREW_END_APP)
		return; /* it stood, and the client ends with it; or the client has left */
	state->upstream->rests_until = crew_now_ms() + REST_MS;
	connect_to_next(crew_find(state->client));
}

static const crew_service server_side = {
	.name = "upstream",
	.conn_size = sizeof(struct server),
	.on_open = server_open,
	.on_close = server_close,
};

/* ---- the client's side ----------------------------------------------------------------------- */

/* One after the other, those that rest only when nobody else is left; NULL: all were asked. */
static struct upstream *choose(struct client *state)
{
	unsigned chosen = UPSTREAMS_MOST;
	for (unsigned i = 0; i < upstream_count; i++) {
		unsigned at = next_upstream++ % upstream_count;
		bool rests = upstreams[at].rests_until > crew_now_ms();
		if ((state->tried & 1u << at) || (rests && chosen < UPSTREAMS_MOST))
			continue;
		chosen = at;
		if (!rests)
			break;
	}
	if (chosen == UPSTREAMS_MOST)
		return NULL;
	state->tried |= 1u << chosen;
	return &upstreams[chosen];
}

static void connect_to_next(crew_conn *client)
{
	const crew_connect_options options = { .service = &server_side, .timeout_ms = CONNECT_MS };
	struct client *state = crew_data(client);
	struct upstream *upstream;
	while (state && (upstream = choose(state))) {
		crew_conn *server = crew_connect(upstream->url, &options);
		if (!server)
			continue; /* the log says why */
		*(struct server *)crew_data(server) = (struct server){ .client = crew_id(client),
			.upstream = upstream };
		state->server = crew_id(server);
		return;
	}
	crew_abort(client);
}

static void client_open(crew_conn *client)
{
	crew_pause(client);
	connect_to_next(client);
}

/* One that is still being connected to is not wanted any more. */
static void client_close(crew_conn *client)
{
	crew_close(crew_find(((struct client *)crew_data(client))->server));
}

static int read_upstreams(crew_worker *w)
{
	const char *at = crew_setting("upstreams", "tcp://127.0.0.1:7001");
	const size_t most = sizeof(upstreams[0].url) - 1;
	(void)w;
	for (at += strspn(at, " "); *at != '\0'; at += strspn(at, " ")) {
		size_t len = strcspn(at, " ");
		if (upstream_count == UPSTREAMS_MOST || len > most)
			break;
		memcpy(upstreams[upstream_count++].url, at, len);
		at += len;
	}
	if (*at == '\0' && upstream_count > 0)
		return 0;
	crew_log(CREW_ERROR, "app.upstreams must be 1 to %d URLs of at most %zu bytes each",
		UPSTREAMS_MOST, most);
	return -EINVAL;
}

int main(int argc, char **argv)
{
	static const crew_service proxy = {
		.name = "proxy",
		.listen = "tcp://127.0.0.1:7080",
		.conn_size = sizeof(struct client),
		.idle_timeout_ms = IDLE_MS,
		.on_worker_start = read_upstreams,
		.on_open = client_open,
		.on_close = client_close,
	};
	return crew_main(argc, argv, &(crew_app){ .services = { &proxy } });
}
