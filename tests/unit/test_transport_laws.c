/* test_transport_laws.c - every message has one fate under every transport: slow readers, those
 * that leave, and worse, over TLS and plainly in the same service, compressed and not, in all
 * variants of a broadcast, in parts, with random calls in all callbacks. After every turn the
 * invariants hold; in the end what the peers have deciphered, inflated and unwrapped is compared
 * with the counters.
 *
 * CREW_LAWS_SEEDS says how many plays there are, CREW_LAWS_SEED plays one alone,
 * CREW_LAWS_SCENE ("raw*") those scenes alone. */
#include "laws_ways.h"

#include "tls_ways.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/err.h>

enum {
	PEERS = 5,
	STEPS = 120,
	ROOM = 6 << 20,
	OUT_ROOM = 400,
};

enum framing {
	LINES,
	FRAMES
};

struct peer {
	struct laws_stream *stream; /* NULL until its connection is open */
	uint64_t id;
	int fd; /* -1: nobody is here */
	SSL *ssl;
	bool shaken;   /* TLS, if it is spoken, stands */
	bool upgraded; /* WebSocket, if it is spoken, stands */
	bool over;     /* it has seen the end of what comes */
	enum {
		READS,
		IS_SLOW,
		HAS_STALLED
	} habit;
	char *in;
	size_t len, done;
	char out[OUT_ROOM]; /* to be said, and how much */
	size_t out_len;
	struct crew__ws codec;
	unsigned pings, pongs;
};

static struct {
	struct world world;
	struct peer peers[PEERS], *arriving;
	enum framing framing;
	int64_t deflate;
	SSL_CTX *client;
	struct crew__tls_context *server;
	unsigned opens, closes, heard;
	char *rooms[PEERS];
} play;

static uint32_t roll(uint32_t below)
{
	return laws_roll(below);
}

/* ---- the program --------------------------------------------------------------------------- */

static void on_open(crew_conn *c)
{
	play.opens++;
	struct laws_stream *stream = laws_stream_new(c);
	struct peer *p = play.arriving;
	for (int i = 0; !p && i < PEERS; i++)
		if (play.peers[i].fd >= 0 && play.peers[i].id == crew_id(c))
			p = &play.peers[i];
	if (p)
		p->stream = stream;
	else /* whoever it was has gone */
		stream->cut = true;
	laws_some_calls(c);
}

static void on_message(crew_conn *c, crew_msg msg)
{
	assert_true(msg.body.len > 0);
	play.heard++;
	laws_some_calls(c);
}

static void on_close(crew_conn *c)
{
	play.closes++;
	laws_on_close(c);
}

#define PROGRAM                                                                                  \
	.conn_size = sizeof(struct laws_stream *), .on_open = on_open, .on_message = on_message, \
	.on_error = laws_on_loss, .on_gap = laws_on_gap, .on_full = laws_some_calls,             \
	.on_drain = laws_some_calls, .on_end = laws_some_calls, .on_close = on_close

static const crew_service raw = { .name = "raw", .listen = "tcp://127.0.0.1:1", PROGRAM };
static const crew_service text = { .name = "text", .listen = "text://127.0.0.1:1", PROGRAM };
static const crew_service ws = { .name = "ws", .listen = "ws://127.0.0.1:1", PROGRAM };

static void adjust(struct crew__service_settings *s)
{
	s->max_send_buffer = 3000 + roll(60000);
	s->policy = CREW_DROP_NEWEST + roll(3);
	s->linger_ms = laws.calm ? 1000 : roll(3);
	s->heartbeat_ms = 0;
	s->deflate = play.deflate;
	s->deflate_min = 1 + roll(300);
	s->soft_limit = laws.calm || roll(6) ? 0 : 3000 + roll(30000);
	s->soft_limit_ms = 30;
	s->send_timeout_ms = laws.calm || roll(8) ? 0 : 60;
	s->rate_messages = roll(6) ? 0 : 200 + roll(2000);
	s->rate_bytes = roll(6) ? 0 : 20000 + roll(2000000);
}

/* ---- a peer: what it says ------------------------------------------------------------------ */

static const char *const offers[] = { NULL, "permessage-deflate",
	"permessage-deflate; client_no_context_takeover; server_no_context_takeover",
	"permessage-deflate; server_max_window_bits=9" };

static void say(struct peer *p, const char *bytes, size_t len)
{
	if (p->out_len + len > OUT_ROOM)
		return;
	memcpy(p->out + p->out_len, bytes, len);
	p->out_len += len;
}

static void ask_for_ws(struct peer *p)
{
	char request[OUT_ROOM];
	const char *offer = offers[roll(4)];
	int n = snprintf(request, sizeof(request),
		"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
		"%s%s%s\r\n",
		offer ? "Sec-WebSocket-Extensions: " : "", offer ? offer : "", offer ? "\r\n" : "");
	assert_true(n > 0 && n < OUT_ROOM);
	say(p, request, (size_t)n);
}

static void push_out(struct peer *p)
{
	size_t n = 0;
	if (p->fd < 0 || !p->shaken || p->out_len == 0)
		return;
	if (p->ssl) {
		ERR_clear_error();
		if (SSL_write_ex(p->ssl, p->out, p->out_len, &n) != 1)
			n = 0;
	} else {
		ssize_t sent = send(p->fd, p->out, p->out_len, MSG_NOSIGNAL);
		n = sent > 0 ? (size_t)sent : 0;
	}
	memmove(p->out, p->out + n, p->out_len - n);
	p->out_len -= n;
}

static void peer_speaks(struct peer *p)
{
	static const char hello[] = "\xc1\x87\0\0\0\0\xf2\x48\xcd\xc9\xc9\x07";
	static const char plain[] = "\x81\x83\0\0\0\0hey", ping[] = "\x89\x82\0\0\0\0hi";
	bool packs = p->codec.bits > 0;
	if (p->out_len > 0 || (play.framing == FRAMES && !p->upgraded))
		return;
	if (play.framing == LINES) {
		say(p, "hey\n", 4);
	} else if (roll(3) == 0) {
		say(p, ping, sizeof(ping) - 1);
		p->pings++;
	} else {
		say(p, packs ? hello : plain, packs ? sizeof(hello) - 1 : sizeof(plain) - 1);
	}
	push_out(p);
}

/* ---- a peer: what it hears ----------------------------------------------------------------- */

/* As much as there is, at most `most`: false when there was nothing. */
static bool hear(struct peer *p, size_t most)
{
	size_t n = 0;
	assert_true(p->len + most < ROOM);
	if (p->ssl) {
		ERR_clear_error();
		int ok = SSL_read_ex(p->ssl, p->in + p->len, most, &n);
		p->over |= ok != 1 && (SSL_get_shutdown(p->ssl) & SSL_RECEIVED_SHUTDOWN);
		n = ok == 1 ? n : 0;
	} else {
		ssize_t got = recv(p->fd, p->in + p->len, most, MSG_DONTWAIT);
		p->over |= got == 0;
		n = got > 0 ? (size_t)got : 0;
	}
	p->len += n;
	return n > 0;
}

static void agree(struct peer *p, const char *answer)
{
	struct crew__ws_options options = { .max_message = 1 << 20, .client = true };
	p->upgraded = true;
	if (strstr(answer, "permessage-deflate"))
		options.inflate_bits = 15;
	crew__ws_init(&p->codec, &options);
}

/* The answer to the handshake; false: it is not all there, or is none. */
static bool take_answer(struct peer *p)
{
	if (p->upgraded)
		return true;
	p->in[p->len] = '\0';
	char *end = strstr(p->in, "\r\n\r\n");
	if (!end || !strstr(p->in, " 101 "))
		return false;
	end[2] = '\0';
	agree(p, p->in);
	p->done = (size_t)(end + 4 - p->in);
	return true;
}

static bool take_event(struct peer *p, const struct crew__ws_event *e)
{
	switch (e->kind) {
	case CREW__WS_MESSAGE:
		assert_non_null(p->stream);
		laws_take(p->stream, e->body);
		return true;
	case CREW__WS_BAD:
		fail_msg("frames: %s", e->what);
		return false;
	case CREW__WS_CLOSE:
		p->over = true;
		return false;
	default:
		p->pongs += e->kind == CREW__WS_PONG;
		return true;
	}
}

static void take_frames(struct peer *p)
{
	struct crew__ws_event e;
	while (!p->over) {
		size_t n = crew__ws_feed(&p->codec, p->in + p->done, p->len - p->done, &e);
		p->done += n;
		if (!take_event(p, &e) || (n == 0 && e.kind == CREW__WS_MORE))
			break;
	}
}

static void take_apart(struct peer *p)
{
	if (p->done == p->len)
		return;
	if (play.framing == FRAMES && take_answer(p))
		take_frames(p);
	if (play.framing == LINES && p->stream)
		p->done += laws_take_lines(
			p->stream, (crew_bytes){ p->in + p->done, p->len - p->done });
}

static void shake(struct peer *p)
{
	ERR_clear_error();
	p->shaken = p->shaken || !p->ssl || SSL_do_handshake(p->ssl) == 1;
}

static bool listen_to(struct peer *p, size_t most)
{
	bool over = p->over;
	if (p->fd < 0)
		return false;
	shake(p);
	push_out(p);
	bool any = p->shaken && !over && hear(p, most);
	take_apart(p);
	return any;
}

/* ---- a peer: that it is there -------------------------------------------------------------- */

/* Which connection is the new one. */
static void ids_of_all(uint64_t ids[LAWS_STREAMS])
{
	for (uint32_t slot = 0; slot < LAWS_STREAMS; slot++) {
		const crew_conn *c = world_conn(&play.world, slot);
		ids[slot] = c ? crew_id(c) : 0;
	}
}

static uint64_t newest(const uint64_t before[LAWS_STREAMS])
{
	uint64_t after[LAWS_STREAMS];
	ids_of_all(after);
	for (uint32_t slot = 0; slot < LAWS_STREAMS; slot++)
		if (after[slot] != before[slot])
			return after[slot];
	return 0;
}

static void speak_tls(struct peer *p)
{
	p->ssl = SSL_new(play.client);
	assert_non_null(p->ssl);
	SSL_set_mode(p->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_set_fd(p->ssl, p->fd);
	SSL_set_connect_state(p->ssl);
}

static void arrive(struct peer *p, char *room)
{
	uint64_t before[LAWS_STREAMS];
	bool tls = roll(2);
	*p = (struct peer){ .fd = -1, .in = room, .habit = roll(3), .shaken = !tls };
	if (laws.count + PEERS > LAWS_STREAMS)
		return;
	crew__net_set_tls(&play.world.worker->net, tls ? play.server : NULL);
	ids_of_all(before);
	play.arriving = p;
	p->fd = world_connect(&play.world);
	play.arriving = NULL;
	if (p->fd < 0)
		return;
	p->id = newest(before);
	if (tls)
		speak_tls(p);
	if (play.framing == FRAMES)
		ask_for_ws(p);
}

/* `whole`: it listened to all of it. */
static void leave(struct peer *p, bool whole)
{
	if (p->fd < 0)
		return;
	if (p->stream)
		p->stream->cut |= !whole;
	if (p->upgraded)
		crew__ws_fini(&p->codec);
	SSL_free(p->ssl);
	close(p->fd);
	p->fd = -1;
}

static void misbehave(struct peer *p)
{
	static const char noise[] = "\x17\x03\x03\x00\x20\xff\xff\xff\xff\xff\xff\xff\xff";
	switch (roll(3)) {
	case 0:
		leave(p, false);
		break;
	case 1:
		if (p->stream)
			p->stream->cut = true;
		shutdown(p->fd, SHUT_WR);
		break;
	default: {
		if (p->stream)
			p->stream->cut = true;
		ssize_t n = send(p->fd, noise, sizeof(noise) - 1, MSG_NOSIGNAL);
		(void)n;
	}
	}
}

/* ---- steps --------------------------------------------------------------------------------- */

static void one_step(void)
{
	unsigned i = roll(PEERS);
	struct peer *p = &play.peers[i];
	if (p->fd < 0) {
		arrive(p, play.rooms[i]);
		return;
	}
	switch (roll(8)) {
	case 0:
		peer_speaks(p);
		break;
	case 1:
		if (!laws.calm && roll(6) == 0)
			misbehave(p);
		break;
	case 2:
	case 3:
		if (p->habit == READS || !p->shaken)
			listen_to(p, 1 << 16);
		else if (p->habit == IS_SLOW)
			listen_to(p, 1 + roll(3000));
		else if (roll(10) == 0)
			p->habit = READS;
		break;
	case 4:
		laws_broadcast();
		break;
	default:
		laws_some_calls(NULL);
	}
}

/* All that will ever come to them: what waits for something else than them does not. */
static void listen_to_all(void)
{
	for (int quiet = 0; quiet < 60; quiet++) {
		bool any = false;
		for (int i = 0; i < PEERS; i++)
			any |= listen_to(&play.peers[i], 1 << 16);
		world_turn(&play.world, any ? 0 : 1);
		if (any)
			quiet = 0;
		else if (quiet > 4 && counter(&play.world, "messages_queued") == 0)
			break;
	}
}

static void check_ends(void)
{
	for (int i = 0; i < PEERS; i++) {
		struct peer *p = &play.peers[i];
		if (p->fd < 0)
			continue;
		bool alive = p->stream && crew_find(p->id) && !p->stream->cut &&
			     crew_close_reason(crew_find(p->id)) == CREW_END_REASONS;
		if (!alive)
			continue;
		/* No part of anything is left over. */
		assert_int_equal(p->done, p->len);
		if (p->out_len == 0)
			assert_int_equal(p->pings, p->pongs);
	}
}

struct scene {
	const crew_service *service;
	enum framing framing;
	int64_t deflate;
	enum crew__engine_kind engine;
};

static void play_once(uint32_t seed, void *arg)
{
	const struct scene *scene = arg;
	laws_begin(&play.world, scene->service, seed);
	laws.calm = seed % 3 == 0;
	laws.parts = scene->framing == FRAMES;
	laws.tail = scene->service == &raw ? "\n" : "";
	play.framing = scene->framing;
	play.deflate = scene->deflate;
	play.opens = play.closes = play.heard = 0;
	assert_true(world_open(&play.world, scene->service, scene->engine, adjust));
	for (int i = 0; i < PEERS; i++)
		arrive(&play.peers[i], play.rooms[i]);
	for (int step = 0; step < STEPS; step++) {
		one_step();
		crew__net_check(&play.world.worker->net);
		world_turn(&play.world, roll(12) == 0 ? 2 : 0);
	}
	for (int round = 0; round < 3; round++) {
		laws_let_go();
		listen_to_all();
	}
	check_ends();
	laws_account();
	for (int i = 0; i < PEERS; i++)
		leave(&play.peers[i], true);
	world_settle(&play.world);
	assert_int_equal(crew__here.shared_held, 0);
	assert_int_equal(crew__net_held(&play.world.worker->net), 0);
	world_close(&play.world);
	assert_int_equal(play.opens, play.closes);
	laws_end();
}

/* ---- scenes -------------------------------------------------------------------------------- */

static int set_up(void **state)
{
	(void)state;
	struct tls_made authority = tls_authority("test");
	struct tls_made made = tls_server(&authority, "DNS:a.example");
	const struct crew__tls_pair pair = {
		.name = "a", .cert = made.cert_pem, .key = made.key_pem
	};
	const struct crew__tls_server_plan plan = {
		.pairs = &pair, .count = 1, .least_version = TLS1_2_VERSION
	};
	char error[256];
	play.client = SSL_CTX_new(TLS_client_method());
	for (int i = 0; i < PEERS; i++)
		if (!(play.rooms[i] = malloc(ROOM)))
			return -1;
	return crew__tls_server_new(&plan, &play.server, error, sizeof(error));
}

static int tear_down(void **state)
{
	(void)state;
	for (int i = 0; i < PEERS; i++)
		free(play.rooms[i]);
	crew__tls_context_unref(play.server);
	SSL_CTX_free(play.client);
	tls_ways_end();
	return 0;
}

/* A play that failed leaves nothing to the next. */
static int clean_up(void **state)
{
	(void)state;
	world_clean_up(&play.world);
	return 0;
}

static void each_message_has_one_fate(void **state)
{
	const struct scene *scene = *state;
	laws_play_all(scene->engine == CREW__ENGINE_POLL ? 8 : 24, play_once,
		(struct scene *)(uintptr_t)scene);
}

#define SCENE(text, service, framing, deflate, engine)                           \
	{                                                                        \
		text, each_message_has_one_fate, NULL, clean_up, &(struct scene) \
		{                                                                \
			&service, framing, deflate, engine                       \
		}                                                                \
	}
#define SCENES(text, service, framing, deflate)                                \
	SCENE(text " (epoll)", service, framing, deflate, CREW__ENGINE_EPOLL), \
		SCENE(text " (poll)", service, framing, deflate, CREW__ENGINE_POLL)

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		SCENES("raw", raw, LINES, CREW__DEFLATE_OFF),
		SCENES("lines", text, LINES, CREW__DEFLATE_OFF),
		SCENES("WebSocket", ws, FRAMES, CREW__DEFLATE_OFF),
		SCENES("WebSocket, one compressor", ws, FRAMES, CREW__DEFLATE_SHARED),
		SCENES("WebSocket, a window each", ws, FRAMES, CREW__DEFLATE_TAKEOVER),
	};
	cmocka_set_test_filter(getenv("CREW_LAWS_SCENE"));
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
