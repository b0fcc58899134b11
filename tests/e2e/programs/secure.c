/* secure.c - services that tell what they know of the TLS that is spoken to them: `web` to each
 * request, `line` to each line. A line `big` is answered by a megabyte. */
#include <crew/crew.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	BIG = 1 << 20
};

static const char *or_none(const char *text)
{
	return text ? text : "-";
}

static int tell(const crew_conn *c, char *text, size_t size)
{
	/* Twice, as a text that is made when it is first asked for stays the same. */
	if (crew_tls_alpn(c) != crew_tls_alpn(c) || crew_tls_peer_name(c) != crew_tls_peer_name(c))
		abort();
	return snprintf(text, size, "version=%s cipher=%s name=%s alpn=%s peer=%s worker=%u",
		or_none(crew_tls_version(c)), or_none(crew_tls_cipher(c)),
		or_none(crew_tls_server_name(c)), or_none(crew_tls_alpn(c)),
		or_none(crew_tls_peer_name(c)), crew_worker_id(crew_worker_of(c)));
}

static void on_request(crew_conn *c, const crew_request *request)
{
	char text[1024];
	(void)request;
	tell(c, text, sizeof(text));
	crew_reply(c, &(crew_response){ .body = crew_str(text) });
}

static void on_message(crew_conn *c, crew_msg msg)
{
	char text[1024];
	if (msg.body.len == 3 && memcmp(msg.body.data, "big", 3) == 0) {
		char *big = malloc(BIG);
		if (!big)
			abort();
		memset(big, 'x', BIG);
		crew_send(c, (crew_bytes){ big, BIG });
		free(big);
		return;
	}
	tell(c, text, sizeof(text));
	crew_send(c, crew_str(text));
}

int main(int argc, char **argv)
{
	static const crew_service web = {
		.name = "web",
		.listen = "http://127.0.0.1:7443",
		.on_request = on_request,
	};
	static const crew_service line = {
		.name = "line",
		.listen = "text://127.0.0.1:7444",
		.on_message = on_message,
		.max_send_buffer = 4 * BIG,
	};
	return crew_main(argc, argv, &(crew_app){ .name = "secure", .services = { &web, &line } });
}
