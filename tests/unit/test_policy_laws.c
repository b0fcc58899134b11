/* test_policy_laws.c - slow readers at random: all policies, keys, times to live, priorities,
 * broadcasts, caps, a budget, kicks. After every step the invariants hold; in the end each client's
 * stream is taken apart, and each number that was offered to it has had exactly one fate.
 *
 * CREW_LAWS_SEEDS says how many plays there are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service_world.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	CLIENTS = 5,
	STEPS = 120,
	NUMBERS = 4000, /* offered to one client */
	ROOM = 4 << 20,
	KEYS = 5,
};

enum fate {
	NOT_OFFERED,
	ACCEPTED, /* waits, or was sent, replaced or lost: found out in the end */
	REFUSED,  /* the send said so */
	RECEIVED,
};

struct client {
	int fd;
	uint64_t id;
	enum {
		READS,
		IS_SLOW,
		HAS_STALLED
	} habit;
	char *stream;
	size_t len;
	uint32_t numbers; /* 1 .. numbers were offered */
	uint8_t fate[NUMBERS + 1], lane[NUMBERS + 1], key[NUMBERS + 1];
	/* What on_error and on_gap have told. */
	uint64_t lost[CREW_LOST_REASONS];
	uint64_t gaps;
	uint64_t pings, pongs; /* asked for, and come */
	bool ended;
};

static struct {
	struct world world;
	struct client clients[CLIENTS];
	uint32_t seed, first;
	bool sending;
	unsigned opens, closes;
	uint64_t left_out; /* were to get a broadcast, and were ended by what it did before */
} play;

static uint32_t roll(uint32_t below)
{
	play.seed = play.seed * 1664525u + 1013904223u;
	return (uint32_t)(((uint64_t)(play.seed >> 8) * below) >> 24);
}

static struct client *client_of(crew_conn *c)
{
	return *(struct client **)crew_data(c);
}

/* ---- the program --------------------------------------------------------------------------- */

/* Clients come in the order of their places. */
static void on_open(crew_conn *c)
{
	struct client *client = &play.clients[play.opens++];
	*(struct client **)crew_data(c) = client;
	client->id = crew_id(c);
}

static void on_error(crew_conn *c, const crew_loss *loss)
{
	assert_false(play.sending);
	client_of(c)->lost[loss->reason] += loss->messages;
}

static void some_sends(crew_conn *c);

static void on_gap(crew_conn *c, const crew_gap *gap)
{
	struct client *client = client_of(c);
	assert_false(play.sending);
	assert_true(gap->messages > 0 && gap->first > 0 && gap->first <= gap->last);
	assert_true(gap->last <= client->numbers);
	client->gaps += gap->messages;
	if (roll(3) == 0)
		some_sends(c);
	if (roll(100) == 0)
		crew_abort(c);
}

static void on_close(crew_conn *c)
{
	play.closes++;
	client_of(c)->ended = true;
}

static const crew_service service = {
	.name = "slow",
	.listen = "ws://127.0.0.1:1",
	.conn_size = sizeof(struct client *),
	.on_open = on_open,
	.on_error = on_error,
	.on_gap = on_gap,
	.on_close = on_close,
};

/* "NUMBER " and filling: every message says which it is. */
static size_t write_message(char *room, uint32_t number)
{
	static const uint32_t most[] = { 30, 30, 200, 900, 4000, 30000 };
	int n = snprintf(room, 20, "%u ", number);
	size_t len = (size_t)n + roll(most[roll(6)]);
	memset(room + n, 'x', len - (size_t)n);
	return len;
}

static crew_send_options random_options(uint32_t number, uint8_t *ret_key)
{
	static const char *const keys[KEYS] = { "", "a", "b", "EURUSD",
		"a key so long that it needs memory of its own" };
	*ret_key = (uint8_t)roll(KEYS);
	return (crew_send_options){
		.sequence = number,
		.policy = (crew_policy)(roll(40) ? roll(4) : CREW_DISCONNECT),
		.priority = roll(4) ? CREW_NORMAL : CREW_HIGH,
		.ttl_ms = roll(3) ? 0 : 1 + roll(40),
		.key = crew_str(keys[*ret_key]),
	};
}

static void note(struct client *client, uint32_t number, const crew_send_options *o, uint8_t key,
	bool accepted)
{
	client->fate[number] = accepted ? ACCEPTED : REFUSED;
	client->lane[number] = (uint8_t)o->priority;
	client->key[number] = key;
}

static void send_one(crew_conn *c)
{
	static char room[40000];
	struct client *client = client_of(c);
	uint8_t key;
	if (client->numbers == NUMBERS)
		return;
	uint32_t number = ++client->numbers;
	size_t len = write_message(room, number);
	crew_send_options options = random_options(number, &key);
	play.sending = true;
	int64_t queued;
	if (roll(3) == 0) {
		crew_shared *s = crew_shared_new_with((crew_bytes){ room, len }, &options);
		queued = crew_send_shared(c, s);
		crew_shared_unref(s);
	} else {
		queued = crew_send_with(c, (crew_bytes){ room, len }, &options);
	}
	play.sending = false;
	note(client, number, &options, key, queued >= 0);
}

static void some_sends(crew_conn *c)
{
	for (uint32_t n = 1 + roll(6); n > 0; n--)
		send_one(c);
}

static uint64_t value(const char *name)
{
	uint64_t value = 0;
	assert_true(crew__slab_value(play.world.worker->net.stats.slab, NULL, name, &value));
	return value;
}

/* To all: each client's own numbers go on from the highest of them. */
static void broadcast(void)
{
	static char room[40000];
	uint32_t number = 0;
	uint8_t key;
	for (int i = 0; i < CLIENTS; i++)
		number = play.clients[i].numbers > number ? play.clients[i].numbers : number;
	if (++number > NUMBERS)
		return;
	crew_send_options options = random_options(number, &key);
	size_t len = write_message(room, number);
	crew_shared *s = crew_shared_new_with((crew_bytes){ room, len }, &options);
	uint64_t members = 0, before = value("messages_offered");
	for (int i = 0; i < CLIENTS; i++) {
		crew_conn *c = crew_find(play.clients[i].id);
		if (!c || !crew__conn_is_member(c))
			continue;
		members++;
		play.clients[i].numbers = number;
		/* Refused or accepted: told by on_error like what is lost later. */
		note(&play.clients[i], number, &options, key, true);
	}
	play.sending = true;
	int64_t accepted = crew_broadcast(&service, s);
	play.sending = false;
	crew_shared_unref(s);
	uint64_t offered = value("messages_offered") - before;
	assert_true(accepted >= 0 && (uint64_t)accepted <= offered && offered <= members);
	play.left_out += members - offered;
}

static void adjust(struct crew__service_settings *s)
{
	s->max_send_buffer = 3000 + roll(60000);
	s->policy = CREW_DROP_NEWEST + roll(3);
	s->linger_ms = 0;
	s->heartbeat_ms = 0;
	s->soft_limit = roll(6) ? 0 : 3000 + roll(30000);
	s->soft_limit_ms = 30;
	s->send_timeout_ms = roll(8) ? 0 : 60;
	s->rate_messages = roll(6) ? 0 : 200 + roll(2000);
	s->rate_bytes = roll(6) ? 0 : 20000 + roll(2000000);
}

/* ---- the clients --------------------------------------------------------------------------- */

static const char handshake[] = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
				"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
				"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

static void client_reads(struct client *client, size_t most)
{
	assert_true(client->len + most <= ROOM);
	ssize_t n = recv(client->fd, client->stream + client->len, most, MSG_DONTWAIT);
	client->len += n > 0 ? (size_t)n : 0;
}

static void client_pings(struct client *client)
{
	static const char ping[] = "\x89\x82\0\0\0\0hi";
	if (send(client->fd, ping, sizeof(ping) - 1, MSG_NOSIGNAL) == sizeof(ping) - 1)
		client->pings++;
}

static void read_all(struct client *client)
{
	size_t before;
	int quiet = 0;
	do {
		before = client->len;
		client_reads(client, 1 << 16);
		world_turn(&play.world, 1);
		quiet = client->len > before ? 0 : quiet + 1;
	} while (quiet < 3);
}

static void connect_all(void)
{
	for (int i = 0; i < CLIENTS; i++) {
		struct client *client = &play.clients[i];
		client->fd = world_connect(&play.world);
		assert_true(client->fd >= 0);
		assert_true(send(client->fd, handshake, sizeof(handshake) - 1, 0) > 0);
		world_settle(&play.world);
		assert_int_equal(play.opens, i + 1);
		client->habit = roll(3);
	}
}

/* ---- steps --------------------------------------------------------------------------------- */

static void change(crew_conn *c)
{
	switch (roll(6)) {
	case 0:
		crew_set_policy(c, (crew_policy)roll(CREW_DISCONNECT));
		break;
	case 1:
		crew_set_rate(c, roll(2) ? CREW_OFF : 10000 + (int64_t)roll(100000),
			roll(2) ? CREW_OFF : 50 + (int64_t)roll(1000));
		break;
	case 2:
		if (roll(12) == 0)
			crew__conn_abort(c, CREW_END_KICKED);
		break;
	case 3: {
		struct crew__limits limits = c->net->limits;
		limits.budget = roll(3) ? 0 : 60000 + roll(400000);
		limits.policy = CREW_DROP_NEWEST + roll(3);
		crew__net_set_limits(c->net, &limits);
		break;
	}
	default:
		if (roll(30) == 0)
			crew_close(c);
	}
}

static void one_step(void)
{
	struct client *client = &play.clients[roll(CLIENTS)];
	crew_conn *c = crew_find(client->id);
	switch (roll(8)) {
	case 0:
	case 1:
		broadcast();
		break;
	case 2:
		if (c)
			change(c);
		break;
	case 3:
		client_pings(client);
		break;
	case 4:
		if (client->habit == READS)
			client_reads(client, 1 << 16);
		else if (client->habit == IS_SLOW)
			client_reads(client, 1 + roll(3000));
		else if (roll(10) == 0)
			client->habit = READS;
		break;
	default:
		if (c)
			some_sends(c);
	}
}

/* ---- what the clients have got ------------------------------------------------------------- */

static void take_message(struct client *client, crew_bytes body, uint32_t last[2])
{
	char *end;
	uint32_t number = (uint32_t)strtoul(body.data, &end, 10);
	assert_true(end < body.data + body.len && *end == ' ');
	for (const char *at = end + 1; at < body.data + body.len; at++)
		assert_int_equal(*at, 'x');
	assert_true(number >= 1 && number <= client->numbers);
	assert_int_equal(client->fate[number], ACCEPTED); /* and not twice */
	client->fate[number] = RECEIVED;
	/* In order within its priority; one that took an older one's place came to that place. */
	uint32_t *before = &last[client->lane[number]];
	if (client->key[number] == 0) {
		assert_true(number > *before);
		*before = number;
	}
}

/* One frame; the bytes it takes, 0 when the stream ends in its middle. */
static size_t take_frame(struct client *client, const char *at, size_t len, uint32_t last[2])
{
	if (len < 2)
		return 0;
	unsigned char first = (unsigned char)at[0];
	size_t size = (unsigned char)at[1], head = 2;
	assert_true(size <= 126);
	if (size == 126) {
		if (len < 4)
			return 0;
		size = (size_t)(unsigned char)at[2] << 8 | (unsigned char)at[3];
		head = 4;
	}
	assert_true(first == 0x81 || first == 0x8a || first == 0x88);
	if (len < head + size)
		return 0;
	if (first == 0x81)
		take_message(client, (crew_bytes){ at + head, size }, last);
	client->pongs += first == 0x8a;
	return head + size;
}

static void take_apart(struct client *client)
{
	uint32_t last[2] = { 0 };
	client->stream[client->len] = '\0';
	char *body = strstr(client->stream, "\r\n\r\n");
	assert_non_null(body);
	size_t at = (size_t)(body + 4 - client->stream), taken;
	while ((taken = take_frame(client, client->stream + at, client->len - at, last)) > 0)
		at += taken;
	/* Only one that was cut off may have got a part of something. */
	assert_true(at == client->len || client->ended);
}

/* Each number has one fate; what neither came nor was told of as lost was replaced, or was in the
 * kernel's hands when the connection broke. */
static void account(void)
{
	uint64_t offered = 0, received = 0, told = 0, surviving = 0;
	for (int i = 0; i < CLIENTS; i++) {
		struct client *client = &play.clients[i];
		uint64_t came = 0, lost = 0, all = client->numbers, skipped = 0;
		for (uint32_t n = 1; n <= client->numbers; n++) {
			came += client->fate[n] == RECEIVED;
			skipped += client->fate[n] == NOT_OFFERED;
		}
		for (unsigned r = 0; r < CREW_LOST_REASONS; r++)
			lost += client->lost[r];
		all -= skipped;
		assert_true(came + lost <= all);
		offered += all;
		received += came;
		told += lost;
		if (client->ended || crew_close_reason(crew_find(client->id)) != CREW_END_REASONS)
			continue;
		surviving++;
		assert_int_equal(client->pings, client->pongs);
		uint64_t by_policy = client->lost[CREW_LOST_FULL] + client->lost[CREW_LOST_MEMORY] +
				     client->lost[CREW_LOST_EVICTED] +
				     client->lost[CREW_LOST_EXPIRED];
		assert_int_equal(by_policy, lost);
		const struct crew__gap *left = &crew__conn_rare(crew_find(client->id))->gap;
		assert_int_equal(client->gaps + left->messages, by_policy);
	}
	offered -= play.left_out;
	assert_int_equal(value("messages_offered"), offered);
	assert_int_equal(value("send_fail"), told);
	assert_int_equal(value("messages_queued"), 0);
	uint64_t sent = value("messages_sent");
	assert_int_equal(sent + value("messages_replaced") + told, offered);
	assert_true(received <= sent);
	if (surviving == CLIENTS)
		assert_int_equal(received, sent);
}

/* For one that lives, to the message: all that did not come was replaced or lost. */
static void finish(void)
{
	struct crew__limits limits = play.world.worker->net.limits;
	limits.rate_bytes = limits.rate_messages = limits.budget = 0;
	crew__net_set_limits(&play.world.worker->net, &limits);
	for (int i = 0; i < CLIENTS; i++) {
		crew_conn *c = crew_find(play.clients[i].id);
		if (c)
			crew__conn_set_rate(c, 0, 0); /* one that is closing as well */
	}
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < CLIENTS; i++)
			read_all(&play.clients[i]);
}

static void play_once(uint32_t seed, enum crew__engine_kind engine)
{
	static char *streams[CLIENTS];
	memset(&play, 0, sizeof(play));
	play.seed = seed * 2654435761u;
	play.first = seed;
	assert_true(world_open(&play.world, &service, engine, adjust));
	for (int i = 0; i < CLIENTS; i++) {
		if (!streams[i])
			streams[i] = malloc(ROOM + 1);
		assert_non_null(streams[i]);
		play.clients[i].stream = streams[i];
	}
	connect_all();
	for (int step = 0; step < STEPS; step++) {
		one_step();
		crew__net_check(&play.world.worker->net);
		world_turn(&play.world, roll(12) == 0 ? 2 : 0);
	}
	finish();
	for (int i = 0; i < CLIENTS; i++)
		take_apart(&play.clients[i]);
	account();
	for (int i = 0; i < CLIENTS; i++)
		close(play.clients[i].fd);
	world_settle(&play.world);
	assert_int_equal(crew__here.shared_held, 0);
	assert_int_equal(crew__net_held(&play.world.worker->net), 0);
	world_close(&play.world);
	assert_int_equal(play.opens, play.closes);
}

static void play_all(enum crew__engine_kind engine, uint32_t seeds)
{
	const char *more = getenv("CREW_LAWS_SEEDS");
	const char *only = getenv("CREW_LAWS_SEED");
	if (more)
		seeds = (uint32_t)atoi(more);
	uint32_t first = only ? (uint32_t)atoi(only) : 1;
	for (uint32_t seed = first; seed < first + (only ? 1 : seeds); seed++) {
		print_message("seed %u\r", seed);
		play_once(seed, engine);
	}
}

static void each_message_has_one_fate_epoll(void **state)
{
	(void)state;
	play_all(CREW__ENGINE_EPOLL, 25);
}

static void each_message_has_one_fate_poll(void **state)
{
	(void)state;
	play_all(CREW__ENGINE_POLL, 10);
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_message_has_one_fate_epoll),
		cmocka_unit_test(each_message_has_one_fate_poll),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
