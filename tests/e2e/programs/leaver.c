/* leaver.c - a program of three kinds of clients that are told to leave.
 *
 *   line   lines of text; on_farewell says "farewell", and closes unless the client said "stay".
 *          `pid` and `gen` tell who answers; `block MS` stands still for so long; `tick` starts a
 * timer and a watch that never end room   WebSockets, which get back what they say web    HTTP: `/`
 * answers at once with pid and generation, `/slow` after 300 ms
 *
 * [app] hold_stop_ms: on_worker_stop takes so long. */
#include <crew/crew.h>
#include <crew/http.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct client {
	bool stays;
};

/* All of it: whoever looks at a slow callback interrupts its sleep. */
static void sleep_ms(long ms)
{
	struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

/* ---- lines ---- */

static void tick(crew_worker *w, void *arg)
{
	(void)w;
	(void)arg;
}

static void nothing_to_do(int fd, unsigned events, void *arg)
{
	(void)fd;
	(void)events;
	(void)arg;
}

static void keep_busy(crew_conn *c)
{
	int fds[2];
	if (pipe(fds) < 0 || crew_timer_every(crew_worker_of(c), 10, tick, NULL) < 0 ||
		crew_watch(fds[0], CREW_READ, nothing_to_do, NULL) < 0)
		crew_send(c, CREW_BYTES("failed"));
	else
		crew_send(c, CREW_BYTES("ticking"));
}

static bool says(crew_bytes body, const char *word)
{
	size_t length = strlen(word);
	return body.len >= length && memcmp(body.data, word, length) == 0;
}

static void on_line(crew_conn *c, crew_msg msg)
{
	struct client *client = crew_data(c);
	char text[64];
	int length = 0;
	if (says(msg.body, "stay")) {
		client->stays = true;
		length = snprintf(text, sizeof(text), "staying");
	} else if (says(msg.body, "pid")) {
		length = snprintf(text, sizeof(text), "%d", (int)getpid());
	} else if (says(msg.body, "gen")) {
		length = snprintf(
			text, sizeof(text), "%u", crew_worker_generation(crew_worker_of(c)));
	} else if (says(msg.body, "block ")) {
		sleep_ms(strtol(msg.body.data + strlen("block "), NULL, 10));
		length = snprintf(text, sizeof(text), "done");
	} else if (says(msg.body, "tick")) {
		keep_busy(c);
	}
	if (length > 0)
		crew_send(c, (crew_bytes){ text, (size_t)length });
}

static void on_farewell(crew_conn *c)
{
	struct client *client = crew_data(c);
	crew_send(c, CREW_BYTES("farewell"));
	if (!client->stays)
		crew_close(c);
}

/* ---- the others ---- */

static void on_said(crew_conn *c, crew_msg msg)
{
	crew_send(c, msg.body);
}

static void answer(crew_conn *c)
{
	char text[64];
	int length = snprintf(text, sizeof(text), "%d %u\n", (int)getpid(),
		crew_worker_generation(crew_worker_of(c)));
	crew_reply(c, &(crew_response){ .body = { text, (size_t)length } });
}

static void answer_late(crew_worker *w, void *arg)
{
	(void)w;
	uint64_t *id = arg;
	crew_conn *c = crew_find(*id);
	if (c)
		answer(c);
	free(id);
}

static void on_request(crew_conn *c, const crew_request *request)
{
	if (request->target.len == 1) {
		answer(c);
		return;
	}
	uint64_t *id = malloc(sizeof(*id));
	*id = crew_id(c);
	crew_timer_after(crew_worker_of(c), 300, answer_late, id);
}

static void on_worker_stop(crew_worker *w)
{
	(void)w;
	const char *ms = crew_setting("hold_stop_ms", NULL);
	if (ms)
		sleep_ms(strtol(ms, NULL, 10));
}

int main(int argc, char **argv)
{
	static const crew_service line = {
		.name = "line",
		.listen = "text://127.0.0.1:1",
		.conn_size = sizeof(struct client),
		.on_message = on_line,
		.on_farewell = on_farewell,
		.on_worker_stop = on_worker_stop,
	};
	static const crew_service room = {
		.name = "room",
		.listen = "ws://127.0.0.1:2",
		.on_message = on_said,
	};
	static const crew_service web = {
		.name = "web",
		.listen = "http://127.0.0.1:3",
		.on_request = on_request,
	};
	return crew_main(
		argc, argv, &(crew_app){ .name = "leaver", .services = { &line, &room, &web } });
}
