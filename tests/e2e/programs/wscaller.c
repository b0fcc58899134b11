/* wscaller.c - WebSocket clients that echo what the server sends, for the table of cases
 * (tests/data/ws_cases.txt): so many connections to each of [app] shared, own and parts that is
 * set, made anew whenever one ends. [app] ca is whom to trust. */
#include <crew/crew.h>

enum {
	LIMIT = 100000, /* that of the table */
	CALLERS = 40,
	AGAIN_MS = 10,
	HANDSHAKE_MS = 600000, /* the server accepts one when its turn has come, other tables later */
};

/* Of a connection of `parts`. */
struct echoing {
	bool begun;
};

static void on_message(crew_conn *c, crew_msg msg)
{
	crew_send(c, msg.body);
}

static void on_part(crew_conn *c, crew_msg part, bool last)
{
	struct echoing *e = crew_data(c);
	if (!e->begun && crew_send_begin(c, part.kind) < 0)
		crew_abort(c);
	e->begun = !last;
	if (crew_send_part(c, part.body) < 0 || (last && crew_send_end(c) < 0))
		crew_abort(c);
}

static const crew_service shared = {
	.name = "shared",
	.deflate = "shared",
	.deflate_min = 1,
	.max_message = LIMIT,
	.handshake_timeout_ms = HANDSHAKE_MS,
	.on_message = on_message,
};

static const crew_service own = {
	.name = "own",
	.deflate = "takeover",
	.deflate_min = 1,
	.max_message = LIMIT,
	.handshake_timeout_ms = HANDSHAKE_MS,
	.on_message = on_message,
};

static const crew_service parts = {
	.name = "parts",
	.conn_size = sizeof(struct echoing),
	.handshake_timeout_ms = HANDSHAKE_MS,
	.on_part = on_part,
};

static int call(const crew_service *service)
{
	const char *url = crew_setting(service->name, NULL);
	for (int i = 0; url && i < CALLERS; i++)
		if (!crew_connect(url, &(crew_connect_options){
					       .service = service,
					       .timeout_ms = HANDSHAKE_MS,
					       .retry_ms = AGAIN_MS,
					       .retry_most_ms = AGAIN_MS,
					       .tls_ca = crew_setting("ca", NULL),
				       }))
			return -1;
	return 0;
}

static int on_worker_start(crew_worker *w)
{
	(void)w;
	return call(&shared) || call(&own) || call(&parts) ? -1 : 0;
}

int main(int argc, char **argv)
{
	static const crew_service door = {
		.name = "door",
		.listen = "text://127.0.0.1:8094",
		.on_message = on_message,
		.on_worker_start = on_worker_start,
	};
	static const crew_app app = { .name = "wscaller", .services = { &door } };
	return crew_main(argc, argv, &app);
}
