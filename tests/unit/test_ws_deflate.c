/* test_ws_deflate.c - compressed WebSockets: what is agreed on, what is compressed, that each
 * side's window stays right whatever is lost, and that what comes is bounded by what it inflates
 * to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ws_peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PMD "permessage-deflate"

enum {
	PEERS = 6,
	BIG = 3000,
};

static struct {
	struct world world;
	struct ws_peer peers[PEERS];
	crew_conn *conns[PEERS];
	unsigned count;
	char big[BIG];
	enum crew__deflate_choice choice;
	int64_t deflate_min, max_send_buffer, unauthenticated;
	crew_policy policy;
	crew_conn *paused;
	unsigned long long heard; /* bytes of messages that came */
} t;

static void on_message(crew_conn *c, crew_msg msg)
{
	t.heard += msg.body.len;
	switch (msg.body.len > 0 ? msg.body.data[0] : 0) {
	case 'e':
		assert_true(crew_send(c, msg.body) >= 0);
		break;
	case 'c':
		crew_close(c);
		break;
	case 'a':
		crew_abort(c);
		break;
	case 'p':
		crew_pause(c);
		t.paused = c;
		break;
	default:
		tell("%s:%zu", msg.kind == CREW_TEXT ? "text" : "binary", msg.body.len);
	}
}

static const crew_service plain_service = {
	.name = "ws",
	.listen = "ws://127.0.0.1:1",
	.on_open = tell_open,
	.on_message = on_message,
	.on_close = tell_close,
	.on_error = tell_error,
};

static void settings(struct crew__service_settings *s)
{
	s->deflate = t.choice;
	s->deflate_min = t.deflate_min;
	s->max_message = 100000;
	s->max_send_buffer = t.max_send_buffer;
	s->policy = t.policy;
	s->linger_ms = 3600 * 1000;
	if (t.unauthenticated) {
		s->auth_timeout_ms = 3600 * 1000;
		s->unauthenticated_limit = t.unauthenticated;
	}
}

/* Text that compresses to a fraction, and differs by `seed`. */
static void fill(char *text, size_t len, unsigned seed)
{
	static const char *const words[] = { "price ", "volume ", "symbol ", "time ",
		"\xc3\xa9t\xc3\xa9 " };
	size_t at = (size_t)snprintf(text, len, "#%u ", seed);
	while (at < len) {
		seed = seed * 1103515245 + 12345;
		const char *word = words[(seed >> 16) % crew__lengthof(words)];
		size_t n = crew__min(strlen(word), len - at);
		if (n < strlen(word))
			memset(text + at, '.', n);
		else
			memcpy(text + at, word, n);
		at += n;
	}
}

static void open_as(void **state, const crew_service *service, enum crew__deflate_choice choice)
{
	t.choice = choice;
	t.deflate_min = t.deflate_min ? t.deflate_min : 1024;
	t.max_send_buffer = t.max_send_buffer ? t.max_send_buffer : 1 << 20;
	told_anew();
	fill(t.big, BIG, 1);
	assert_true(world_open(&t.world, service, engine_of(state), settings));
}

static int clean_up(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PEERS; i++)
		ws_peer_close(&t.peers[i]);
	world_clean_up(&t.world);
	memset(&t, 0, sizeof(t));
	return 0;
}

static struct ws_peer *join(const char *extensions)
{
	struct ws_peer *peer = &t.peers[t.count];
	ws_peer_open(peer, &t.world, extensions);
	t.conns[t.count] = world_conn(&t.world, t.count);
	t.count++;
	return peer;
}

static crew_bytes big(void)
{
	return (crew_bytes){ t.big, BIG };
}

static bool is_big(const struct ws_peer *peer)
{
	return peer->message_len == BIG && memcmp(peer->message, t.big, BIG) == 0;
}

/* ---- agreeing ------------------------------------------------------------------------------ */

static const char *extensions_for(const char *offer)
{
	static char value[200];
	static const char name[] = "Sec-WebSocket-Extensions: ";
	struct ws_peer peer;
	ws_peer_open(&peer, &t.world, offer);
	const char *at = strstr(peer.answer, name);
	snprintf(value, sizeof(value), "%.*s", at ? (int)strcspn(at, "\r") - (int)strlen(name) : 0,
		at ? at + strlen(name) : "");
	if (!strstr(peer.answer, " 101 "))
		snprintf(value, sizeof(value), "%.3s", strchr(peer.answer, ' ') + 1);
	ws_peer_close(&peer);
	world_settle(&t.world);
	return value;
}

static void what_is_agreed_on_with_a_shared_window(void **state)
{
	open_as(state, &plain_service, CREW__DEFLATE_SHARED);
	assert_string_equal(extensions_for(PMD),
		PMD "; server_no_context_takeover; client_no_context_takeover");
	assert_string_equal(extensions_for(PMD "; client_max_window_bits"),
		PMD "; server_no_context_takeover; client_no_context_takeover");
	assert_string_equal(extensions_for(PMD "; server_max_window_bits=9"),
		PMD "; server_no_context_takeover; client_no_context_takeover; "
		    "server_max_window_bits=9");
	assert_string_equal(extensions_for(NULL), "");
	assert_string_equal(extensions_for("x-other"), "");
	assert_string_equal(extensions_for(PMD "; server_max_window_bits=7"), "");
	assert_string_equal(extensions_for(PMD ";"), "400");
}

static void what_is_agreed_on_with_takeover(void **state)
{
	open_as(state, &plain_service, CREW__DEFLATE_TAKEOVER);
	assert_string_equal(extensions_for(PMD), PMD);
	assert_string_equal(extensions_for(PMD "; client_max_window_bits=10"),
		PMD "; client_max_window_bits=10");
	assert_string_equal(extensions_for(PMD "; server_no_context_takeover"),
		PMD "; server_no_context_takeover");
}

static void switched_off_nothing_is(void **state)
{
	open_as(state, &plain_service, CREW__DEFLATE_OFF);
	assert_string_equal(extensions_for(PMD), "");
	struct ws_peer *peer = join(PMD);
	crew_send(t.conns[0], big());
	ws_peer_hear(peer);
	assert_true(is_big(peer) && peer->packed == 0);
}

/* ---- sending ------------------------------------------------------------------------------- */

/* What is not worth it goes as it is; counted is what left. */
static void who_is_worth_it_is_compressed(void **state)
{
	char noise[2000];
	uint32_t random = 1;
	open_as(state, &plain_service, CREW__DEFLATE_SHARED);
	struct ws_peer *peer = join(PMD);
	size_t handshake = counter(&t.world, "bytes_out");
	crew_send(t.conns[0], (crew_bytes){ t.big, 1023 });
	ws_peer_hear(peer);
	assert_true(peer->messages == 1 && peer->packed == 0 && peer->bytes == 4 + 1023);
	int64_t queued = crew_send(t.conns[0], (crew_bytes){ t.big, 1024 });
	assert_true(queued > 0 && queued < 700);
	assert_int_equal(counter(&t.world, "bytes_queued"), queued);
	ws_peer_hear(peer);
	assert_true(peer->messages == 2 && peer->packed == 1);
	assert_int_equal(peer->bytes, 4 + 1023 + (size_t)queued);
	for (size_t i = 0; i < sizeof(noise); i++) {
		random = random * 1664525 + 1013904223;
		noise[i] = (char)(random >> 24);
	}
	crew_send_with(t.conns[0], (crew_bytes){ noise, sizeof(noise) },
		&(crew_send_options){ .kind = CREW_BINARY });
	ws_peer_hear(peer);
	assert_true(peer->messages == 3 && peer->packed == 1);
	assert_memory_equal(peer->message, noise, sizeof(noise));
	crew_send_with(t.conns[0], big(), &(crew_send_options){ .plain = true });
	ws_peer_hear(peer);
	assert_true(is_big(peer) && peer->packed == 1);
	crew_send_with(t.conns[0], big(), &(crew_send_options){ .priority = CREW_HIGH });
	ws_peer_hear(peer);
	assert_true(is_big(peer) && peer->packed == 2);
	assert_int_equal(counter(&t.world, "bytes_out") - handshake, peer->bytes);
	assert_int_equal(counter(&t.world, "messages_sent"), 5);
}

static unsigned freed;
static void count_freed(void *data, void *arg)
{
	assert_ptr_equal(data, t.big);
	assert_ptr_equal(arg, &freed);
	freed++;
}

static void every_way_of_sending(void **state)
{
	open_as(state, &plain_service, CREW__DEFLATE_SHARED);
	struct ws_peer *peer = join(PMD);
	freed = 0;
	assert_true(crew_send_owned(t.conns[0], big(), count_freed, &freed) > 0);
	assert_int_equal(freed, 1); /* its compressed form is another's memory */
	assert_true(crew_send_static(t.conns[0], big()) > 0);
	crew_shared *s = crew_shared_new_kind(big(), CREW_BINARY);
	assert_true(crew_send_shared(t.conns[0], s) > 0);
	assert_true(crew_send_shared(t.conns[0], s) > 0);
	assert_int_equal(crew_broadcast(&plain_service, s), 1);
	crew_shared_unref(s);
	assert_non_null(strstr(ws_peer_hear(peer), "text:"));
	assert_true(is_big(peer) && peer->messages == 5 && peer->packed == 5);
	assert_int_equal(peer->raw_len, 0);
	/* In its own event: many in one cork, and an echo. */
	char text[2000];
	fill(text, sizeof(text), 3);
	text[0] = 'e';
	for (int i = 0; i < 3; i++)
		ws_peer_put(peer, WS_TEXT | WS_PACKED, text, sizeof(text));
	ws_peer_hear(peer);
	assert_int_equal(peer->packed, 8);
	assert_memory_equal(peer->message, text, sizeof(text));
}

/* Of the same message the second is nothing but a reference to the first, but only with takeover.
 */
static void a_window_goes_on_where_that_is_agreed(void **state)
{
	size_t sizes[2][2];
	for (unsigned takeover = 0; takeover < 2; takeover++) {
		open_as(state, &plain_service,
			takeover ? CREW__DEFLATE_TAKEOVER : CREW__DEFLATE_SHARED);
		struct ws_peer *peer = join(PMD);
		for (unsigned i = 0; i < 2; i++) {
			size_t before = peer->bytes;
			crew_send(t.conns[0], big());
			ws_peer_hear(peer);
			assert_true(is_big(peer) && peer->packed == i + 1);
			sizes[takeover][i] = peer->bytes - before;
		}
		clean_up(state);
	}
	assert_int_equal(sizes[0][0], sizes[0][1]);
	assert_int_equal(sizes[0][0], sizes[1][0]);
	assert_true(sizes[1][1] * 8 < sizes[1][0]);
}

static void small_windows(void **state)
{
	open_as(state, &plain_service, CREW__DEFLATE_SHARED);
	for (unsigned bits = 8; bits <= 12; bits++) {
		char offer[100];
		snprintf(offer, sizeof(offer), PMD "; server_max_window_bits=%u", bits);
		struct ws_peer *peer = join(offer);
		assert_int_equal(peer->terms.server_bits, bits);
		crew__inflater_free(peer->inflater);
		peer->inflater = crew__inflater_new(bits);
		crew_send(t.conns[t.count - 1], big());
		ws_peer_hear(peer);
		assert_true(is_big(peer) && peer->packed == 1);
	}
	crew_shared *s = crew_shared_new(big());
	assert_int_equal(crew_broadcast(&plain_service, s), 5);
	assert_int_equal(crew_broadcast(&plain_service, s), 5);
	for (unsigned i = 0; i < 5; i++) {
		ws_peer_hear(&t.peers[i]);
		assert_true(is_big(&t.peers[i]) && t.peers[i].packed == 3);
	}
	crew_shared_unref(s);
}

/* ---- what is lost -------------------------------------------------------------------------- */

static uint32_t random_state;
static uint32_t draw(uint32_t below)
{
	random_state = random_state * 1664525 + 1013904223;
	return (random_state >> 8) % below;
}

/* One message of any length, sent in any way; its number is in it. */
static void send_something(crew_conn *c, unsigned number)
{
	static char text[6000];
	char key[8];
	size_t len = 50 + draw(draw(4) ? 1500 : 5900);
	fill(text, len, number);
	snprintf(key, sizeof(key), "k%u", draw(3));
	crew_bytes body = { text, len };
	crew_send_options options = { .plain = draw(8) == 0, .ttl_ms = draw(10) == 0 ? 30 : 0 };
	if (draw(6) == 0)
		options.priority = CREW_HIGH;
	if (draw(5) == 0)
		options.policy = CREW_DROP_NEWEST + draw(3);
	if (draw(5) == 0)
		options.key = crew_str(key);
	if (draw(9) == 0) {
		crew_shared *s = crew_shared_new_with(body, &options);
		crew_broadcast(&plain_service, s);
		crew_shared_unref(s);
	} else if (draw(3) == 0) {
		crew_send(c, body);
	} else {
		crew_send_with(c, body, &options);
	}
}

/* Every message that arrives is one that was sent. */
static void check_message(const struct ws_peer *peer)
{
	static char text[6000];
	unsigned number = (unsigned)atoi(peer->message + 1);
	assert_true(peer->message_len >= 50 && peer->message_len < sizeof(text));
	fill(text, peer->message_len, number);
	assert_memory_equal(peer->message, text, peer->message_len);
}

/* Messages are lost, replaced, expire and pass each other; what arrives can always be inflated. */
static void whatever_is_lost_the_window_is_right(void **state)
{
	static const crew_policy policies[] = { CREW_DROP_NEWEST, CREW_DROP_OLDEST, CREW_REPLACE };
	for (unsigned round = 0; round < 12; round++) {
		random_state = round + 1;
		t.max_send_buffer = 9000;
		t.deflate_min = 200;
		t.policy = policies[round % 3];
		open_as(state, &plain_service, CREW__DEFLATE_TAKEOVER);
		struct ws_peer *peer = join(PMD);
		peer->on_message = check_message;
		for (unsigned i = 0; i < 600; i++) {
			send_something(t.conns[0], round * 10000 + i);
			if (draw(3) == 0)
				world_turn(&t.world, draw(20) == 0 ? 40 : 0);
			if (draw(8) == 0)
				ws_peer_read(peer, draw(8) ? 900 : 30000);
		}
		for (int i = 0; i < 200; i++) {
			ws_peer_read(peer, 100000);
			world_turn(&t.world, 0);
		}
		assert_int_equal(counter(&t.world, "messages_queued"), 0);
		assert_int_equal(peer->messages, counter(&t.world, "messages_sent"));
		assert_true(peer->packed > 20 && peer->packed < peer->messages);
		assert_true(counter(&t.world, "send_fail") > 20);
		clean_up(state);
	}
}

/* ---- broadcasts ---------------------------------------------------------------------------- */

/* Some plain, some compressed in three ways, and one that is our own client: each gets it whole. */
static void everybody_gets_it_his_way(void **state)
{
	open_as(state, &plain_service, CREW__DEFLATE_SHARED);
	join(NULL);
	join(PMD);
	join(PMD);
	join(PMD "; server_max_window_bits=10");
	struct crew__ws_agreed agreed = {
		.terms = { .deflate = true, .server_bits = 15, .client_bits = 15 }
	};
	t.conns[t.count] = ws_peer_attach(&t.peers[t.count], &t.world, &agreed);
	t.count++;
	join(NULL);
	static const char *const short_ones[] = { "one", "two", "three" };
	for (int round = 0; round < 3; round++) {
		crew_shared *few = crew_shared_new(crew_str(short_ones[round]));
		crew_shared *many = crew_shared_new(big());
		crew_shared *plain = crew_shared_new_with(
			big(), &(crew_send_options){ .plain = true });
		assert_int_equal(crew_broadcast(&plain_service, few), t.count);
		assert_int_equal(crew_broadcast(&plain_service, many), t.count);
		assert_int_equal(crew_broadcast(&plain_service, few), t.count);
		assert_int_equal(crew_broadcast(&plain_service, plain), t.count);
		crew_shared_unref(few);
		crew_shared_unref(many);
		crew_shared_unref(plain);
	}
	for (unsigned i = 0; i < t.count; i++) {
		struct ws_peer *peer = &t.peers[i];
		char expected[1000] = "";
		for (int round = 0; round < 3; round++)
			sprintf(expected + strlen(expected),
				"text:%s;text:%.40s;text:%s;text:%.40s;", short_ones[round], t.big,
				short_ones[round], t.big);
		assert_string_equal(ws_peer_hear(peer), expected);
		assert_true(is_big(peer));
		bool packs = i != 0 && i != 5;
		assert_int_equal(peer->packed, packs ? 3 : 0);
	}
	assert_int_equal(counter(&t.world, "messages_sent"), 12 * t.count);
}

/* The bursts of a turn carry both variants: one write for each receiver, in the right order with
 * what is sent to one of them alone. */
static void bursts_of_both_variants_in_one_turn(void **state)
{
	open_as(state, &plain_service, CREW__DEFLATE_SHARED);
	for (unsigned i = 0; i < 4; i++)
		join(i % 2 ? PMD : NULL);
	crew_shared *a = crew_shared_new((crew_bytes){ t.big, 1500 });
	crew_shared *b = crew_shared_new((crew_bytes){ t.big + 100, 1600 });
	for (int i = 0; i < 20; i++) {
		assert_int_equal(crew_broadcast(&plain_service, i % 3 ? a : b), 4);
		if (i == 10)
			assert_true(crew_send(t.conns[1], CREW_BYTES("between")) > 0);
		crew__net_check(&t.world.worker->net);
	}
	struct crew__net *net = &t.world.worker->net;
	assert_true(net->bursts[CREW__VARIANT_PLAIN].users > 0);
	assert_true(net->bursts[CREW__VARIANT_PACKED].users > 0);
	crew_abort(t.conns[3]);
	for (unsigned i = 0; i < 3; i++) {
		ws_peer_hear(&t.peers[i]);
		assert_int_equal(t.peers[i].messages, i == 1 ? 21 : 20);
		assert_int_equal(t.peers[i].packed, i == 1 ? 20 : 0);
	}
	assert_int_equal(net->bursts[CREW__VARIANT_PACKED].users, 0);
	assert_int_equal(counter(&t.world, "messages_sent"), 61);
	assert_int_equal(counter(&t.world, "fail_aborted"), 20);
	crew_shared_unref(a);
	crew_shared_unref(b);
}

/* ---- receiving ----------------------------------------------------------------------------- */

static void what_comes_compressed(void **state)
{
	open_as(state, &plain_service, CREW__DEFLATE_SHARED);
	struct ws_peer *peer = join(PMD);
	told_anew();
	ws_peer_say(peer, WS_TEXT | WS_PACKED, t.big, BIG);
	ws_peer_say(peer, WS_BINARY | WS_PACKED, t.big, 10);
	ws_peer_say(peer, WS_TEXT | WS_PACKED, "", 0);
	ws_peer_say(peer, WS_TEXT, "short", 5);
	assert_string_equal(told(), "text:3000 binary:10 text:0 text:5");
	assert_int_equal(counter(&t.world, "total_request"), 4);
}

static void a_window_of_the_peer_goes_on(void **state)
{
	open_as(state, &plain_service, CREW__DEFLATE_TAKEOVER);
	struct ws_peer *peer = join(PMD "; client_max_window_bits=9");
	for (int i = 0; i < 20; i++)
		ws_peer_say(peer, WS_BINARY | WS_PACKED, t.big + i, BIG - 100);
	assert_int_equal(t.heard, 20 * (BIG - 100));
	assert_int_equal(crew_close_reason(t.conns[0]), CREW_END_REASONS);
}

/* Small on the way, large in memory: what counts is what it inflates to, and it stops there. */
static void a_bomb_is_stopped_while_it_inflates(void **state)
{
	size_t size = 3 << 20;
	char *zeros = calloc(size, 1);
	open_as(state, &plain_service, CREW__DEFLATE_SHARED);
	struct ws_peer *peer = join(PMD);
	told_anew();
	ws_peer_say(peer, WS_BINARY | WS_PACKED, zeros, 100000);
	ws_peer_say(peer, WS_BINARY | WS_PACKED, zeros, 100001);
	assert_string_equal(ws_peer_hear(peer), "close:1009:;");
	assert_string_equal(told(), "binary:100000");
	peer = join(PMD);
	ws_peer_say(peer, WS_BINARY | WS_PACKED, zeros, size);
	assert_string_equal(ws_peer_hear(peer), "close:1009:;");
	free(zeros);
}

/* A thousand bytes that become a million, and many of them in one read: others have their turn in
 * between, and nothing of it is lost or waits for another event. */
static void many_bombs_take_turns(void **state)
{
	enum {
		EACH = 100000,
		COUNT = 60
	};
	char *zeros = calloc(1, EACH);
	open_as(state, &plain_service, CREW__DEFLATE_SHARED);
	struct ws_peer *bomber = join(PMD), *other = join(PMD);
	t.heard = 0;
	for (int i = 0; i < COUNT; i++)
		ws_peer_put(bomber, WS_BINARY | WS_PACKED, zeros, EACH);
	world_turn(&t.world, 0);
	assert_in_range(t.heard, EACH, COUNT / 2 * EACH);
	size_t before = t.heard;
	ws_peer_put(other, WS_BINARY, "x", 1);
	world_turn(&t.world, 0);
	assert_in_range(t.heard, before + 1, (COUNT - 1) * EACH);
	assert_int_equal(t.heard % EACH, 1);
	for (int i = 0; i < COUNT && t.heard < (size_t)COUNT * EACH; i++)
		world_turn(&t.world, 0);
	assert_int_equal(t.heard, (size_t)COUNT * EACH + 1);
	/* One that goes while it waits. */
	for (int i = 0; i < COUNT; i++)
		ws_peer_put(bomber, WS_BINARY | WS_PACKED, zeros, EACH);
	world_turn(&t.world, 0);
	crew_abort(t.conns[0]);
	world_settle(&t.world);
	assert_int_equal(counter(&t.world, "connections"), 1);
	free(zeros);
}

/* Before it has proved who it is, the limit is smaller (NATS, CVE-2026-27571). */
static void a_stranger_may_inflate_less(void **state)
{
	t.unauthenticated = 5000;
	open_as(state, &plain_service, CREW__DEFLATE_SHARED);
	struct ws_peer *peer = join(PMD);
	told_anew();
	char text[20000];
	memset(text, 'x', sizeof(text));
	ws_peer_say(peer, WS_BINARY | WS_PACKED, text, 5000);
	ws_peer_say(peer, WS_BINARY | WS_PACKED, text, 5001);
	assert_string_equal(ws_peer_hear(peer), "close:1009:;");
	peer = join(PMD);
	assert_int_equal(crew_authenticated(t.conns[1]), 0);
	told_anew();
	ws_peer_say(peer, WS_BINARY | WS_PACKED, text, sizeof(text));
	assert_string_equal(told(), "binary:20000");
}

static void bits_that_mean_nothing(void **state)
{
	static const struct {
		const char *offer;
		unsigned byte0;
	} bad[] = { { NULL, 0xC1 }, { NULL, 0xA1 }, { NULL, 0x91 }, { PMD, 0xA1 }, { PMD, 0x91 },
		{ PMD, 0xE1 }, { PMD, 0xC9 }, { PMD, 0xC8 } };
	open_as(state, &plain_service, CREW__DEFLATE_SHARED);
	for (size_t i = 0; i < crew__lengthof(bad); i++) {
		struct ws_peer *peer = &t.peers[0];
		ws_peer_open(peer, &t.world, bad[i].offer);
		told_anew();
		/* Not by WS_PACKED: the payload stays as it is. */
		char frame[] = { (char)bad[i].byte0, (char)0x82, 0, 0, 0, 0, 'h', 'i' };
		peer_says(peer->fd, (crew_bytes){ frame, sizeof(frame) });
		assert_string_equal(ws_peer_hear(peer), "close:1002:;");
		assert_string_equal(told(), "");
		ws_peer_close(peer);
		world_settle(&t.world);
	}
	/* What is no compressed data at all. */
	struct ws_peer *peer = &t.peers[0];
	ws_peer_open(peer, &t.world, PMD);
	char frame[] = { (char)0xC1, (char)0x84, 0, 0, 0, 0, (char)0xff, (char)0xff, (char)0xff,
		1 };
	peer_says(peer->fd, (crew_bytes){ frame, sizeof(frame) });
	assert_string_equal(ws_peer_hear(peer), "close:1007:;");
}

/* The program ends or pauses it in the middle of messages that came together. */
static void ends_and_pauses_in_callbacks(void **state)
{
	static const char *const words[] = { "close", "abort" };
	open_as(state, &plain_service, CREW__DEFLATE_SHARED);
	for (size_t i = 0; i < crew__lengthof(words); i++) {
		struct ws_peer *peer = &t.peers[0];
		ws_peer_open(peer, &t.world, PMD);
		told_anew();
		ws_peer_put(peer, WS_TEXT | WS_PACKED, "before", 6);
		ws_peer_put(peer, WS_TEXT | WS_PACKED, words[i], 5);
		ws_peer_put(peer, WS_TEXT | WS_PACKED, "after", 5);
		ws_peer_say(peer, WS_CLOSING, "\x03\xe8", 2);
		ws_peer_close(peer);
		world_settle(&t.world);
		assert_string_equal(told(), "text:6 close:app");
	}
	struct ws_peer *peer = &t.peers[0];
	ws_peer_open(peer, &t.world, PMD);
	told_anew();
	ws_peer_put(peer, WS_TEXT | WS_PACKED, "pause", 5);
	ws_peer_put(peer, WS_TEXT | WS_PACKED, t.big, BIG);
	ws_peer_say(peer, WS_TEXT, "later", 5);
	assert_string_equal(told(), "");
	assert_int_equal(crew_resume(t.paused), 0);
	world_settle(&t.world);
	assert_string_equal(told(), "text:3000 text:5");
}

/* The worker goes while messages are half inflated, with windows shared and owned, compressed bytes
 * waiting, our own close on its way: nothing is used after it was freed, nothing leaks. */
static void the_worker_goes_in_the_middle(void **state)
{
	for (unsigned choice = CREW__DEFLATE_SHARED; choice <= CREW__DEFLATE_TAKEOVER; choice++) {
		open_as(state, &plain_service, (enum crew__deflate_choice)choice);
		for (unsigned i = 0; i < 4; i++) {
			struct ws_peer *peer = join(PMD);
			crew_send(t.conns[i], big());
			ws_peer_say(peer, WS_FIRST_TEXT | WS_PACKED, t.big, 2000 + i);
		}
		crew_close(t.conns[1]);
		crew_abort(t.conns[2]);
		crew_send_begin(t.conns[3], CREW_TEXT);
		crew_send_part(t.conns[3], big());
		told_anew();
		world_close(&t.world);
		memset(&t.world, 0, sizeof(t.world));
		assert_string_equal(
			told(), "close:app close:app error:aborted:1 close:drain close:drain");
		clean_up(state);
	}
}

/* ---- memory -------------------------------------------------------------------------------- */

/* With a shared window a connection holds nothing of its own, whatever it has sent and got. */
static void nothing_of_a_window_stays_with_a_connection(void **state)
{
	open_as(state, &plain_service, CREW__DEFLATE_SHARED);
	for (unsigned i = 0; i < 3; i++) {
		struct ws_peer *peer = join(PMD);
		ws_peer_say(peer, WS_TEXT | WS_PACKED, t.big, BIG);
		crew_send(t.conns[i], big());
		ws_peer_hear(peer);
		const struct crew__ws_side *ws = &crew__side(t.conns[i])->ws;
		assert_null(ws->deflater);
		assert_null(ws->codec.inflater);
		assert_null(ws->codec.message.data);
	}
	assert_int_equal(t.world.worker->packed, 3);
	crew_abort(t.conns[1]);
	world_settle(&t.world);
	assert_int_equal(t.world.worker->packed, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(what_is_agreed_on_with_a_shared_window),
		ON_BOTH(what_is_agreed_on_with_takeover),
		ON_BOTH(switched_off_nothing_is),
		ON_BOTH(who_is_worth_it_is_compressed),
		ON_BOTH(every_way_of_sending),
		ON_BOTH(a_window_goes_on_where_that_is_agreed),
		ON_BOTH(small_windows),
		ON_BOTH(whatever_is_lost_the_window_is_right),
		ON_BOTH(everybody_gets_it_his_way),
		ON_BOTH(bursts_of_both_variants_in_one_turn),
		ON_BOTH(what_comes_compressed),
		ON_BOTH(a_window_of_the_peer_goes_on),
		ON_BOTH(a_bomb_is_stopped_while_it_inflates),
		ON_BOTH(many_bombs_take_turns),
		ON_BOTH(a_stranger_may_inflate_less),
		ON_BOTH(bits_that_mean_nothing),
		ON_BOTH(ends_and_pauses_in_callbacks),
		ON_BOTH(the_worker_goes_in_the_middle),
		ON_BOTH(nothing_of_a_window_stays_with_a_connection),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
