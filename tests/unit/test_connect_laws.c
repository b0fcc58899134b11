/* test_connect_laws.c - every message has one fate in the client's role, too: connections of a
 * worker to a service of its own, over all schemes, which are ended in every state and tried again,
 * with random calls in all callbacks of both sides. What either side was told is compared with what
 * the other offered, and with the counters.
 *
 * CREW_LAWS_SEEDS, CREW_LAWS_SEED and CREW_LAWS_SCENE are as for test_transport_laws. */
#include "laws_ways.h"

#include "tls_ways.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

enum {
	MEMBERS = 5,
	STEPS = 150,
	REST = LAWS_LONGEST * 5,
};

struct scene {
	const char *scheme;
	const crew_service *service;
	enum crew__engine_kind engine;
	bool tls, lines;
};

static struct {
	struct world world;
	const struct scene *scene;
	struct crew__tls_context *server;
	char url[64];
	struct laws_stream *far[LAWS_STREAMS + 1]; /* by uid: who sends to it */
	char *rest[LAWS_STREAMS + 1];              /* by uid: of lines that are not whole */
	size_t rest_len[LAWS_STREAMS + 1];
	unsigned opens, messages;
} play;

/* ---- the program: both sides --------------------------------------------------------------- */

static bool are_ends(const crew_conn *a, const crew_conn *b)
{
	char remote[80], local[80];
	crew_remote(a, remote, sizeof(remote));
	crew_local(b, local, sizeof(local));
	if (strcmp(remote, local) != 0)
		return false;
	crew_local(a, local, sizeof(local));
	crew_remote(b, remote, sizeof(remote));
	return strcmp(remote, local) == 0;
}

/* The later of the two finds the other. */
static void find_far(crew_conn *c)
{
	struct laws_stream *own = laws_stream_of(c);
	for (unsigned i = 0; i < laws.count; i++) {
		struct laws_stream *stream = &laws.streams[i];
		const crew_conn *other = crew_find(stream->id);
		if (!other || other == c || play.far[stream->uid] || !are_ends(c, other))
			continue;
		play.far[own->uid] = stream;
		play.far[stream->uid] = own;
	}
}

static void on_open(crew_conn *c)
{
	play.opens++;
	if (!laws_stream_of(c))
		laws_stream_new(c);
	find_far(c);
	laws_some_calls(c);
}

static void take_stream(struct laws_stream *own, struct laws_stream *far, crew_bytes bytes)
{
	char **rest = &play.rest[own->uid];
	size_t *len = &play.rest_len[own->uid];
	if (!*rest)
		*rest = malloc(REST);
	assert_true(*rest && *len + bytes.len <= REST);
	memcpy(*rest + *len, bytes.data, bytes.len);
	*len += bytes.len;
	size_t taken = laws_take_lines(far, (crew_bytes){ *rest, *len });
	memmove(*rest, *rest + taken, *len - taken);
	*len -= taken;
}

static void on_message(crew_conn *c, crew_msg msg)
{
	struct laws_stream *own = laws_stream_of(c), *far = play.far[own->uid];
	assert_non_null(far);
	play.messages++;
	if (play.scene->lines)
		take_stream(own, far, msg.body);
	else
		laws_take(far, msg.body);
	laws_some_calls(c);
}

#define PROGRAM                                                                                  \
	.conn_size = sizeof(struct laws_stream *), .on_open = on_open, .on_message = on_message, \
	.on_error = laws_on_loss, .on_gap = laws_on_gap, .on_full = laws_some_calls,             \
	.on_drain = laws_some_calls, .on_close = laws_on_close

static const crew_service raw = { .name = "raw", .listen = "tcp://127.0.0.1:1", PROGRAM };
static const crew_service text = { .name = "text", .listen = "text://127.0.0.1:1", PROGRAM };
static const crew_service ws = { .name = "ws", .listen = "ws://127.0.0.1:1", PROGRAM };
static const crew_service client = {
	.name = "client",
	.max_send_buffer = 30000,
	.heartbeat_ms = CREW_OFF,
	.linger_ms = 20,
	.deflate = "takeover",
	.deflate_min = 100,
	PROGRAM,
};

static void adjust(struct crew__service_settings *s)
{
	s->max_send_buffer = 3000 + laws_roll(60000);
	s->policy = CREW_DROP_NEWEST + laws_roll(3);
	s->linger_ms = 20;
	s->heartbeat_ms = 0;
	s->deflate = (int64_t)laws_roll(3);
	s->deflate_min = 1 + laws_roll(300);
	s->rate_messages = laws_roll(6) ? 0 : 200 + laws_roll(2000);
}

/* ---- connecting ---------------------------------------------------------------------------- */

static void on_retry(crew_conn *c)
{
	if (laws.count + MEMBERS * 3 > LAWS_STREAMS) {
		crew_abort(c);
		return;
	}
	laws_stream_new(c);
	laws_some_calls(c);
}

static void connect_one(void)
{
	if (laws.count + MEMBERS * 3 > LAWS_STREAMS)
		return;
	bool again = !laws.calm && laws_roll(2);
	const crew_connect_options options = {
		.service = &client,
		.retry_ms = again ? 1 : 0,
		.retry_most_ms = again ? 5 : 0,
		.on_retry = again ? on_retry : NULL,
		.tls_insecure = play.scene->tls,
	};
	crew_conn *c = crew_connect(play.url, &options);
	if (!c)
		fail_msg("crew_connect: %s", strerror(errno));
	laws_stream_new(c);
}

static void listen_here(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t size = sizeof(address);
	int small = 4096;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(fd >= 0);
	/* What is accepted has them, too. */
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 32), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	snprintf(play.url, sizeof(play.url), "%s://127.0.0.1:%u", play.scene->scheme,
		ntohs(address.sin_port));
	assert_int_equal(crew__worker_adopt(play.world.worker, fd), 0);
}

/* ---- a play -------------------------------------------------------------------------------- */

/* Small windows are slow: the kernel may wait for a tenth of a second with the rest. */
static void settle_all(void)
{
	unsigned quiet = 0, before = play.messages;
	for (unsigned turns = 0; quiet < 250 && turns < 20000; turns++) {
		if (turns % 20 == 0)
			laws_let_go();
		world_turn(&play.world, 1);
		bool waits = counter(&play.world, "messages_queued") >
			     0; /* a rate cap takes time */
		quiet = waits || before != play.messages ? 0 : quiet + 1;
		before = play.messages;
	}
}

/* Nobody makes calls any more, and nothing is tried again: then the numbers stand still. */
static void stop_making_calls(void)
{
	laws.depth = 100;
}

static void play_once(uint32_t seed, void *arg)
{
	struct world *world = &play.world;
	struct crew__tls_context *server = play.server;
	memset(&play, 0, sizeof(play));
	play.server = server;
	play.scene = arg;
	laws_begin(world, play.scene->service, seed);
	laws.calm = seed % 3 == 0;
	laws.parts = play.scene->service == &ws;
	laws.tail = play.scene->lines ? "\n" : "";
	assert_true(world_open(world, play.scene->service, play.scene->engine, adjust));
	crew__net_set_tls(&world->worker->net, play.scene->tls ? play.server : NULL);
	listen_here();
	for (unsigned i = 0; i < MEMBERS; i++)
		connect_one();
	for (unsigned step = 0; step < STEPS; step++) {
		if (laws_roll(12) == 0)
			connect_one();
		laws_some_calls(NULL);
		crew__net_check(&world->worker->net);
		world_turn(world, laws_roll(12) == 0 ? 2 : 0);
	}
	stop_making_calls();
	settle_all();
	assert_true(play.opens > 0 && play.messages > 0);
	laws_account();
	world_close(world);
	for (unsigned i = 0; i <= LAWS_STREAMS; i++)
		free(play.rest[i]);
	laws_end();
}

/* ---- scenes -------------------------------------------------------------------------------- */

static int set_up(void **state)
{
	(void)state;
	struct tls_made authority = tls_authority("test");
	struct tls_made made = tls_server(&authority, "IP:127.0.0.1");
	const struct crew__tls_pair pair = {
		.name = "a", .cert = made.cert_pem, .key = made.key_pem
	};
	const struct crew__tls_server_plan plan = {
		.pairs = &pair, .count = 1, .least_version = TLS1_2_VERSION
	};
	char error[256];
	return crew__tls_server_new(&plan, &play.server, error, sizeof(error));
}

static int tear_down(void **state)
{
	(void)state;
	crew__tls_context_unref(play.server);
	tls_ways_end();
	return 0;
}

static int clean_up(void **state)
{
	(void)state;
	world_clean_up(&play.world);
	return 0;
}

static void each_message_has_one_fate(void **state)
{
	struct scene *scene = *state;
	laws_play_all(scene->engine == CREW__ENGINE_POLL ? 4 : 12, play_once, scene);
}

static struct scene scenes[] = {
	{ "tcp", &raw, CREW__ENGINE_EPOLL, false, true },
	{ "tcp", &raw, CREW__ENGINE_POLL, false, true },
	{ "text", &text, CREW__ENGINE_EPOLL, false, false },
	{ "ws", &ws, CREW__ENGINE_EPOLL, false, false },
	{ "ws", &ws, CREW__ENGINE_POLL, false, false },
	{ "tls", &raw, CREW__ENGINE_EPOLL, true, true },
	{ "wss", &ws, CREW__ENGINE_EPOLL, true, false },
	{ "wss", &ws, CREW__ENGINE_POLL, true, false },
};

int main(void)
{
	struct CMUnitTest tests[crew__lengthof(scenes)];
	crew__log_open(-1, CREW_ERROR, "test");
	for (size_t i = 0; i < crew__lengthof(scenes); i++)
		tests[i] = (struct CMUnitTest){ scenes[i].scheme, each_message_has_one_fate, NULL,
			clean_up, &scenes[i] };
	cmocka_set_test_filter(getenv("CREW_LAWS_SCENE"));
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
