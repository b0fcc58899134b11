/* http_proxy.c - an HTTP proxy: CONNECT makes a tunnel, other requests go to their host (RFC 9112).
 *
 *   build/examples/http_proxy start --set app.authorization="Basic bWU6c2VjcmV0"
 *   curl -x http://me:secret@127.0.0.1:7082 http://example.com/ https://example.com/
 *
 * A forwarded request is the last of its connection (`Connection: close`): what follows it is its
 * body alone, and what comes back is its answer alone, whoever says how long they are. */
#define _GNU_SOURCE /* strcasestr */
#include <crew/crew.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HEAD_MOST 8192

struct client {
	bool tunnel;
	size_t len;
	char head[HEAD_MOST + 1]; /* as much of it as has come, and a NUL */
};

static void refuse(crew_conn *client, const char *status)
{
	char text[200];
	int len = snprintf(text, sizeof(text),
		"HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status);
	if (client)
		crew_send(client, (crew_bytes){ text, (size_t)len });
	crew_close(client);
}

/* ---- the far side: it keeps its client's id, which may be stale, and no pointer -------------- */

static void far_open(crew_conn *far)
{
	crew_conn *client = crew_find(*(uint64_t *)crew_data(far));
	const struct client *s = crew_data(client);
	if (s && s->tunnel)
		crew_send(client, CREW_BYTES("HTTP/1.1 200 Connection established\r\n\r\n"));
	crew_authenticated(client);
	if (crew_pipe(client, far) < 0 || crew_pipe(far, client) < 0)
		crew_abort(far); /* the client has left meanwhile */
	crew_resume(client);
}

static void far_close(crew_conn *far)
{
	if (crew_connect_error(far))
		refuse(crew_find(*(uint64_t *)crew_data(far)), "502 Bad Gateway");
}

static const crew_service far_side = {
	.name = "far", .conn_size = sizeof(uint64_t), .on_open = far_open, .on_close = far_close
};

static crew_conn *connect_to(crew_conn *client, const char *host, size_t len, const char *port)
{
	char url[512]; /* a host that is longer is refused as one that is cut */
	snprintf(url, sizeof(url), "tcp://%.*s%s", (int)len, host, port);
	crew_conn *far = crew_connect(url, &(crew_connect_options){ .service = &far_side });
	if (far)
		*(uint64_t *)crew_data(far) = crew_id(client);
	else
		refuse(client, errno == EINVAL ? "400 Bad Request" : "503 Service Unavailable");
	crew_pause(client);
	return far;
}

/* ---- the request: `head` ends behind the CR LF of its last line ------------------------------ */

static bool may_pass(const char *head)
{
	const char *due = crew_setting("authorization", "");
	const char *said = strcasestr(head, "\r\nProxy-Authorization:");
	if (!said || !*due)
		return !*due;
	said += strcspn(said, ":") + 1;
	said += strspn(said, " \t");
	return strncmp(said, due, strlen(due)) == 0 && said[strlen(due)] == '\r';
}

static bool is_ours(const char *line)
{
	return strncasecmp(line, "Host:", 5) == 0 || strncasecmp(line, "Connection:", 11) == 0 ||
	       strncasecmp(line, "Keep-Alive:", 11) == 0 || strncasecmp(line, "Proxy-", 6) == 0;
}

/* METHOD http://HOST[:PORT]/PATH HTTP/1.1 becomes METHOD /PATH HTTP/1.1, for that host. */
static crew_conn *forward(crew_conn *client, const char *head)
{
	char text[HEAD_MOST + 600];
	size_t method = strcspn(head, " \r");
	bool good = strncasecmp(head + method, " http://", 8) == 0;
	const char *host = head + method + (good ? 8 : 0), *line = head;
	size_t len = strcspn(host, "/? \r"), path = strcspn(host + len, "\r");
	bool has_port = memchr(host, ':', len) && host[len - 1] != ']';
	crew_conn *far = connect_to(client, host, len, has_port ? "" : ":80");
	if (!far)
		return NULL;
	int n = sprintf(text, "%.*s %s%.*s\r\nHost: %.*s\r\nConnection: close\r\n", (int)method,
		head, host[len] == '/' ? "" : "/", (int)path, host + len, (int)len, host);
	while (*(line = strstr(line, "\r\n") + 2))
		if (!is_ours(line))
			n += sprintf(text + n, "%.*s\r\n", (int)strcspn(line, "\r"), line);
	crew_send(far, (crew_bytes){ text, (size_t)(n + sprintf(text + n, "\r\n")) });
	return far;
}

static void on_message(crew_conn *c, crew_msg msg)
{
	struct client *s = crew_data(c);
	crew_conn *far = NULL;
	size_t room = HEAD_MOST - s->len, more = msg.body.len < room ? msg.body.len : room;
	memcpy(s->head + s->len, msg.body.data, more);
	s->len += more;
	char *end = strstr(s->head, "\r\n\r\n");
	if (!end && more < room)
		return;
	if (end)
		end[2] = '\0';
	s->tunnel = strncmp(s->head, "CONNECT ", 8) == 0;
	if (!end)
		refuse(c, "431 Request Header Fields Too Large");
	else if (strstr(s->head, "\r\n ") || strstr(s->head, "\r\n\t"))
		refuse(c, "400 Bad Request"); /* folded: RFC 9112 section 5.2 */
	else if (!may_pass(s->head))
		refuse(c, "407 Who Asks?\r\nProxy-Authenticate: Basic realm=\"proxy\"");
	else if (s->tunnel)
		far = connect_to(c, s->head + 8, strcspn(s->head + 8, " \r"), "");
	else
		far = forward(c, s->head);
	size_t rest = msg.body.len - more + (end ? s->len - (size_t)(end + 4 - s->head) : 0);
	if (far && rest > 0)
		crew_send(far, (crew_bytes){ msg.body.data + msg.body.len - rest, rest });
}

int main(int argc, char **argv)
{
	static const crew_service http_proxy = {
		.name = "http_proxy",
		.listen = "tcp://127.0.0.1:7082",
		.conn_size = sizeof(struct client),
		.auth_timeout_ms = 20000, /* for the head to come, and for the far side to answer */
		.idle_timeout_ms = 3600000,
		.on_message = on_message,
	};
	return crew_main(argc, argv, &(crew_app){ .services = { &http_proxy } });
}
