/* wscases.c - WebSockets that echo, for the table of cases (tests/data/ws_cases.txt): `shared` and
 * `own` differ in whose windows compress, `parts` echoes each part as it comes. */
#include <crew/crew.h>

enum {
	LIMIT = 100000, /* that of the table */
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

int main(int argc, char **argv)
{
	static const crew_service shared = {
		.name = "shared",
		.listen = "ws://127.0.0.1:8091",
		.deflate = "shared",
		.deflate_min = 1,
		.max_message = LIMIT,
		.on_message = on_message,
	};
	static const crew_service own = {
		.name = "own",
		.listen = "ws://127.0.0.1:8092",
		.deflate = "takeover",
		.deflate_min = 1,
		.max_message = LIMIT,
		.on_message = on_message,
	};
	static const crew_service parts = {
		.name = "parts",
		.listen = "ws://127.0.0.1:8093",
		.conn_size = sizeof(struct echoing),
		.on_part = on_part,
	};
	static const crew_app app = {
		.name = "wscases",
		.services = { &shared, &own, &parts },
	};
	return crew_main(argc, argv, &app);
}
