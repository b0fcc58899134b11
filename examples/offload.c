/* offload.c - a service that calls something slow: names are looked up by getaddrinfo(3), which
 * blocks for seconds when a name server does not answer. A thread does that, and the loop goes on.
 *
 *   build/examples/offload start
 *   curl 'http://127.0.0.1:8081/?name=localhost'
 *   build/examples/offload status
 *
 * What the thread needs and what it finds is in one struct, which it has to itself until `tell` is
 * called. The struct has the connection's id and not its pointer: whoever asked may have gone by
 * then. */
#include <crew/crew.h>

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct question {
	uint64_t from;
	char name[256];
	char answer[1024];
};

/* In a thread. */
static void look_up(void *arg)
{
	struct question *q = arg;
	struct addrinfo *found = NULL;
	int error = getaddrinfo(
		q->name, NULL, &(struct addrinfo){ .ai_socktype = SOCK_STREAM }, &found);
	size_t used = 0;
	if (error)
		snprintf(q->answer, sizeof(q->answer), "%s\n", gai_strerror(error));
	for (struct addrinfo *one = found; one; one = one->ai_next) {
		char text[64];
		if (getnameinfo(one->ai_addr, one->ai_addrlen, text, sizeof(text), NULL, 0,
			    NI_NUMERICHOST) == 0 &&
			used + sizeof(text) < sizeof(q->answer))
			used += (size_t)snprintf(
				q->answer + used, sizeof(q->answer) - used, "%s\n", text);
	}
	if (found)
		freeaddrinfo(found);
}

/* In the loop. */
static void tell(crew_worker *w, int error, void *arg)
{
	struct question *q = arg;
	crew_conn *c = crew_find(q->from);
	(void)w;
	if (!c) /* nobody waits for it any more */
		crew_log(CREW_DEBUG, "%s was looked up in vain", q->name);
	else if (error) /* it was never looked up: too many waited, or we are about to stop */
		crew_reply(c,
			&(crew_response){ .status = 503, .body = CREW_BYTES("try again later\n") });
	else
		crew_reply(c, &(crew_response){ .body = crew_str(q->answer) });
	free(q);
}

static void on_request(crew_conn *c, const crew_request *request)
{
	crew_bytes name = crew_request_query(request, "name");
	struct question *q = calloc(1, sizeof(*q));
	if (!q || name.len == 0 || name.len >= sizeof(q->name)) {
		crew_reply_error(c, request, q ? 400 : 503, "Ask for /?name=HOST.");
		free(q);
		return;
	}
	memcpy(q->name, name.data, name.len);
	q->from = crew_id(c);
	/* Once the client has gone, it is not worth a thread any more. */
	const crew_offload_options options = { .conn = q->from, .timeout_ms = 5000 };
	if (crew_offload_with(crew_worker_of(c), look_up, tell, q, &options) < 0) {
		crew_reply_error(c, request, 503, "Too many names are being looked up.");
		free(q);
	}
}

int main(int argc, char **argv)
{
	static const crew_service names = {
		.name = "names",
		.listen = "http://127.0.0.1:8081",
		.on_request = on_request,
		.offload_threads = 8,
	};
	return crew_main(argc, argv, &(crew_app){ .name = "offload", .services = { &names } });
}
