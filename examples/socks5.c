/* socks5.c - a SOCKS5 server (RFC 1928), with user and password if it is told some (RFC 1929).
 *
 *   build/examples/socks5 start --set app.user=me --set app.password=secret
 *   curl --socks5-hostname me:secret@127.0.0.1:7081 http://example.com/
 *
 * CONNECT is what it does; BIND and UDP ASSOCIATE are refused. Names are resolved here. */
#include <crew/crew.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define FAILED          1 /* section 6 */
#define UNREACHABLE     4
#define REFUSED         5
#define NO_SUCH_COMMAND 7
#define NO_SUCH_ADDRESS 8

/* Either side knows the other by its id: a pointer may dangle, an id is only not found. */
struct client {
	int (*next)(crew_conn *c, struct client *s); /* what it has to say next */
	uint64_t far;                                /* once it has asked */
	size_t len;
	unsigned char in[600]; /* none of what it has to say is longer than 513 bytes */
};

static void answer(crew_conn *client, int code)
{
	if (client)
		crew_send(client,
			(crew_bytes){ (char[]){ 5, (char)code, 0, 1, 0, 0, 0, 0, 0, 0 }, 10 });
	if (code != 0)
		crew_close(client);
}

static void far_open(crew_conn *far)
{
	crew_conn *client = crew_find(*(uint64_t *)crew_data(far));
	answer(client, 0);
	crew_authenticated(client);
	if (crew_pipe(client, far) < 0 || crew_pipe(far, client) < 0)
		crew_abort(far); /* the client has left meanwhile */
	crew_resume(client);
}

static void far_close(crew_conn *far)
{
	const char *why = crew_connect_error(far);
	if (why)
		answer(crew_find(*(uint64_t *)crew_data(far)),
			strstr(why, "refused") ? REFUSED : UNREACHABLE);
}

static const crew_service far_side = {
	.name = "far",
	.conn_size = sizeof(uint64_t),
	.on_open = far_open,
	.on_close = far_close,
};

/* ---- what a client says: how long that is; 0: more is to come; -1: it has to go -------------- */

static int take_request(crew_conn *c, struct client *s)
{
	char host[256] = "", url[300];
	int kind = s->len < 5 ? 0 : s->in[3]; /* section 5: IPv4, 3: a name, IPv6 */
	size_t len = kind == 1 ? 4 : kind == 3 ? 1u + s->in[4] : kind == 4 ? 16 : 0;
	crew_conn *far = NULL;
	if (s->len < 6 + len)
		return 0;
	if (kind == 3)
		snprintf(host, sizeof(host), "%.*s", s->in[4], (char *)s->in + 5);
	else
		inet_ntop(kind == 1 ? AF_INET : AF_INET6, s->in + 4, host, sizeof(host));
	snprintf(url, sizeof(url), kind == 4 ? "tcp://[%s]:%d" : "tcp://%s:%d", host,
		s->in[4 + len] << 8 | s->in[5 + len]);
	if (s->in[0] == 5 && s->in[1] == 1 && len > 0)
		far = crew_connect(url, &(crew_connect_options){ .service = &far_side });
	if (!far) {
		answer(c, s->in[1] != 1 ? NO_SUCH_COMMAND : len == 0 ? NO_SUCH_ADDRESS : FAILED);
		return -1;
	}
	*(uint64_t *)crew_data(far) = crew_id(c);
	s->far = crew_id(far);
	crew_pause(c);
	return (int)(6 + len);
}

static int take_password(crew_conn *c, struct client *s)
{
	const char *user = crew_setting("user", ""), *password = crew_setting("password", "");
	char due[sizeof(s->in)];
	size_t len = s->len < 2 ? SIZE_MAX : 3u + s->in[1];
	if (s->len < len || s->len < (len += s->in[len - 1]))
		return 0;
	int due_len = snprintf(due, sizeof(due), "%c%c%s%c%s", 1, (int)strlen(user), user,
		(int)strlen(password), password);
	bool good = (int)len == due_len && memcmp(s->in, due, len) == 0;
	crew_send(c, (crew_bytes){ (char[]){ 1, !good }, 2 });
	s->next = take_request;
	return good ? due_len : -1;
}

static int take_greeting(crew_conn *c, struct client *s)
{
	char method = *crew_setting("user", "") ? 2 : 0;
	if (s->in[0] != 5 || s->len < 2 || s->len < 2u + s->in[1])
		return s->in[0] != 5 ? -1 : 0;
	bool good = memchr(s->in + 2, method, s->in[1]);
	crew_send(c, (crew_bytes){ (char[]){ 5, good ? method : (char)0xff }, 2 });
	s->next = method ? take_password : take_request;
	return good ? 2 + s->in[1] : -1;
}

static void on_message(crew_conn *c, crew_msg msg)
{
	struct client *s = crew_data(c);
	size_t left = msg.body.len;
	int taken = 1;
	while (taken > 0 && !s->far && s->len + left > 0) {
		size_t room = sizeof(s->in) - s->len, more = left < room ? left : room;
		memcpy(s->in + s->len, msg.body.data + msg.body.len - left, more);
		left -= more;
		s->len += more;
		taken = (s->next ? s->next : take_greeting)(c, s);
		if (taken > 0)
			memmove(s->in, s->in + taken, s->len -= (size_t)taken);
	}
	left += s->len; /* when it did not wait for our answer: what belongs to the far side */
	if (s->far && left > 0)
		crew_send(crew_find(s->far),
			(crew_bytes){ msg.body.data + msg.body.len - left, left });
	if (taken < 0)
		crew_close(c);
}

int main(int argc, char **argv)
{
	static const crew_service socks5 = {
		.name = "socks5",
		.listen = "tcp://127.0.0.1:7081",
		.conn_size = sizeof(struct client),
		.auth_timeout_ms = 20000, /* for all that, and for the far side to answer */
		.idle_timeout_ms = 3600000,
		.on_message = on_message,
	};
	return crew_main(argc, argv, &(crew_app){ .services = { &socks5 } });
}
