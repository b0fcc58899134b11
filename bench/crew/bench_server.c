/* bench_server.c - the crew program that ./dev bench measures; what its peers do, done with crew.
 *
 *   http     answers hello at /, a small JSON object at /json, files of its directory at /files/;
 *            that by routes, among the others that such a program has
 *   ws       echoes
 *   tcp      echoes whatever bytes come
 *   fanout   what one client says goes to all: one shared message
 *   copy     the same with a send, and so a copy where it must wait, for each
 *   udp      echoes datagrams
 *   policy   as fanout; a message is the latest of its one key, and has a number
 *
 * It is written as any program would be: nothing here is tuned for the measurement. With BENCH_ONLY
 * in its environment it has that one service alone, so that one is measured. */
#include <crew/crew.h>
#include <jansson.h>

#include <stdlib.h>
#include <string.h>

static void hello(crew_conn *c, const crew_request *request)
{
	(void)request;
	crew_reply(c, &(crew_response){ .body = CREW_BYTES("Hello, World!") });
}

static void json(crew_conn *c, const crew_request *request)
{
	json_t *object = json_pack("{s:s}", "message", "Hello, World!");
	char *text = json_dumps(object, JSON_COMPACT);

	(void)request;
	crew_reply(c, &(crew_response){ .type = "application/json", .body = crew_str(text) });
	free(text);
	json_decref(object);
}

static const crew_files files = { .root = "." };

/* Twenty; all but three are there to be passed by. */
static const crew_route routes[] = {
	{ .method = "GET", .path = "/", .on_request = hello },
	{ .method = "GET", .path = "/json", .on_request = json },
	{ .path = "/files/*path", .files = &files },
	{ .method = "GET", .path = "/about", .on_request = hello },
	{ .method = "GET", .path = "/login", .on_request = hello },
	{ .method = "POST", .path = "/login", .on_request = hello },
	{ .method = "POST", .path = "/logout", .on_request = hello },
	{ .method = "GET", .path = "/articles", .on_request = hello },
	{ .method = "GET", .path = "/articles/:slug", .on_request = hello },
	{ .method = "GET", .path = "/articles/:slug/comments", .on_request = hello },
	{ .method = "POST", .path = "/articles/:slug/comments", .on_request = hello },
	{ .method = "GET", .path = "/api/users", .on_request = hello },
	{ .method = "POST", .path = "/api/users", .on_request = hello },
	{ .method = "GET", .path = "/api/users/:id", .on_request = hello },
	{ .method = "PUT", .path = "/api/users/:id", .on_request = hello },
	{ .method = "DELETE", .path = "/api/users/:id", .on_request = hello },
	{ .method = "GET", .path = "/api/users/:id/orders", .on_request = hello },
	{ .method = "GET", .path = "/api/users/:id/orders/:order", .on_request = hello },
	{ .method = "GET", .path = "/api/search", .on_request = hello },
	{ .method = "GET", .path = "/search", .on_request = hello },
	{ 0 },
};

static void echo(crew_conn *c, crew_msg msg)
{
	crew_send(c, msg.body);
}

static void to_all(crew_conn *c, crew_msg msg)
{
	crew_shared *s = crew_shared_new_kind(msg.body, msg.kind);

	if (!s)
		return;
	crew_broadcast(crew_service_of(c), s);
	crew_shared_unref(s);
}

static void latest_to_all(crew_conn *c, crew_msg msg)
{
	static uint64_t number;
	crew_shared *s = crew_shared_new_with(msg.body,
		&(crew_send_options){
			.kind = msg.kind, .key = CREW_BYTES("latest"), .sequence = ++number });

	if (!s)
		return;
	crew_broadcast(crew_service_of(c), s);
	crew_shared_unref(s);
}

static void send_copy(crew_conn *c, void *arg)
{
	const crew_msg *msg = arg;

	crew_send_with(c, msg->body, &(crew_send_options){ .kind = msg->kind });
}

static void to_each(crew_conn *c, crew_msg msg)
{
	crew_each(crew_service_of(c), send_copy, &msg);
}

int main(int argc, char **argv)
{
	static const crew_service http = {
		.name = "http",
		.listen = "http://127.0.0.1:19000",
		.routes = routes,
	};
	static const crew_service ws = {
		.name = "ws",
		.listen = "ws://127.0.0.1:19001",
		.on_message = echo,
	};
	static const crew_service tcp = {
		.name = "tcp",
		.listen = "tcp://127.0.0.1:19006",
		.on_message = echo,
	};
	static const crew_service fanout = {
		.name = "fanout",
		.listen = "ws://127.0.0.1:19002",
		.on_message = to_all,
	};
	static const crew_service copy = {
		.name = "copy",
		.listen = "ws://127.0.0.1:19003",
		.on_message = to_each,
	};

	static const crew_service policy = {
		.name = "policy",
		.listen = "ws://127.0.0.1:19004",
		.on_message = latest_to_all,
	};

	static const crew_service udp = {
		.name = "udp",
		.listen = "udp://127.0.0.1:19005",
		.on_message = echo,
	};

	const crew_service *const all[] = { &http, &ws, &tcp, &fanout, &copy, &policy, &udp };
	const char *only = getenv("BENCH_ONLY");
	crew_app app = { .name = "crew_bench_server" };
	size_t count = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (!only || strcmp(only, all[i]->name) == 0)
			app.services[count++] = all[i];
	return crew_main(argc, argv, &app);
}
