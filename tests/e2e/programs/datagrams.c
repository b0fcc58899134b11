/* datagrams.c - an echo by UDP, which does a little more on command:
 *
 *   who      our address and the peer's
 *   pid      which process answers
 *   many N   N datagrams of their number
 *   close    "bye", and the connection ends
 *
 * The service `lines` has a protocol of its own in datagrams: each line is a message; an echo too.
 */
#include <crew/crew.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is(crew_bytes body, const char *word)
{
	size_t len = strlen(word);
	return body.len >= len && memcmp(body.data, word, len) == 0;
}

static void tell(crew_conn *c, const char *text)
{
	crew_send(c, crew_str(text));
}

static void tell_who(crew_conn *c)
{
	char text[200], local[80], remote[80];
	crew_local(c, local, sizeof(local));
	crew_remote(c, remote, sizeof(remote));
	snprintf(text, sizeof(text), "%s %s", local, remote);
	tell(c, text);
}

static void tell_many(crew_conn *c, crew_bytes body)
{
	char text[32] = "";
	snprintf(text, sizeof(text), "%.*s", body.len < 25 ? (int)body.len : 25, body.data);
	int count = atoi(text + strlen("many "));
	for (int i = 0; i < count; i++) {
		snprintf(text, sizeof(text), "%d", i);
		tell(c, text);
	}
}

static void on_message(crew_conn *c, crew_msg msg)
{
	char text[32];
	if (is(msg.body, "who")) {
		tell_who(c);
	} else if (is(msg.body, "pid")) {
		snprintf(text, sizeof(text), "%d", (int)getpid());
		tell(c, text);
	} else if (is(msg.body, "many ")) {
		tell_many(c, msg.body);
	} else if (is(msg.body, "close")) {
		tell(c, "bye");
		crew_close(c);
	} else {
		crew_send(c, msg.body);
	}
}

static int64_t cut_line(crew_conn *c, crew_bytes in)
{
	(void)c;
	const char *end = in.len > 0 ? memchr(in.data, '\n', in.len) : NULL;
	return end ? end - in.data + 1 : 0;
}

static void echo_line(crew_conn *c, crew_msg msg)
{
	crew_send(c, msg.body);
}

int main(int argc, char **argv)
{
	static const crew_protocol line = { .name = "line", .cut = cut_line };
	static const crew_service udp = {
		.name = "udp",
		.listen = "udp://127.0.0.1:9001",
		.on_message = on_message,
	};
	static const crew_service lines = {
		.name = "lines",
		.listen = "line+udp://127.0.0.1:9002",
		.protocol = &line,
		.on_message = echo_line,
	};
	return crew_main(argc, argv, &(crew_app){ .services = { &udp, &lines } });
}
