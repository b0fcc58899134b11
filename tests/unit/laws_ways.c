#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "laws_ways.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct laws laws;

void laws_begin(struct world *world, const crew_service *service, uint32_t seed)
{
	memset(&laws, 0, sizeof(laws));
	laws.world = world;
	laws.service = service;
	laws.tail = "";
	laws.seed = seed * 2654435761u;
	laws.streams = calloc(LAWS_STREAMS, sizeof(*laws.streams));
	assert_non_null(laws.streams);
}

void laws_end(void)
{
	assert_int_equal(laws.handed_over, laws.freed);
	while (laws.kept_count > 0)
		free(laws.kept[--laws.kept_count]);
	free(laws.streams);
	laws.streams = NULL;
}

uint32_t laws_roll(uint32_t below)
{
	laws.seed = laws.seed * 1664525u + 1013904223u;
	return (uint32_t)(((uint64_t)(laws.seed >> 8) * below) >> 24);
}

/* ---- streams ------------------------------------------------------------------------------- */

struct laws_stream *laws_stream_new(crew_conn *c)
{
	assert_true(laws.count < LAWS_STREAMS);
	struct laws_stream *stream = &laws.streams[laws.count++];
	stream->uid = laws.count;
	stream->id = crew_id(c);
	*(struct laws_stream **)crew_data(c) = stream;
	return stream;
}

struct laws_stream *laws_stream_of(crew_conn *c)
{
	return *(struct laws_stream **)crew_data(c);
}

crew_conn *laws_anybody(void)
{
	for (unsigned tries = 0; tries < 8 && laws.count > 0; tries++) {
		crew_conn *c = crew_find(laws.streams[laws_roll(laws.count)].id);
		if (c)
			return c;
	}
	return NULL;
}

/* ---- messages ------------------------------------------------------------------------------ */

/* Half of all are good to compress; each byte follows from the number and its place. */
static char filling(uint32_t number, size_t at)
{
	uint32_t x = (uint32_t)(number % 2 ? at / 50 + number : at * 2654435761u + number);
	return (char)('a' + (x >> (number % 2 ? 0 : 11)) % 26);
}

static size_t head_of(char *room, uint32_t uid, uint32_t number)
{
	return (size_t)snprintf(room, 40, "%u:%u ", uid, number);
}

/* `len` is made long enough for what it must say. */
static size_t write_message(char *room, uint32_t uid, uint32_t number, size_t len)
{
	size_t at = head_of(room, uid, number), tail = strlen(laws.tail);
	for (len = crew__max(len, at + tail); at < len - tail; at++)
		room[at] = filling(number, at);
	memcpy(room + at, laws.tail, tail);
	return len;
}

static size_t random_length(void)
{
	static const uint32_t most[] = { 30, 30, 200, 900, 4000, 30000 };
	return laws_roll(most[laws_roll(6)]);
}

static void take(struct laws_stream *s, uint32_t number)
{
	if (s->fate[number] != LAWS_ACCEPTED)
		fail_msg(
			"%u of stream %u came, whose fate was %u", number, s->uid, s->fate[number]);
	s->fate[number] = LAWS_RECEIVED;
	s->came++;
	/* In order within its priority; one that took an older one's place came to that place. */
	if (s->key[number] != 0)
		return;
	assert_true(number > s->last[s->lane[number]]);
	s->last[s->lane[number]] = number;
}

void laws_take(struct laws_stream *s, crew_bytes body)
{
	char head[40];
	unsigned uid = 0, number = 0;
	size_t n = crew__min(body.len, sizeof(head) - 1);
	memcpy(head, body.data, n);
	head[n] = '\0';
	assert_int_equal(sscanf(head, "%u:%u ", &uid, &number), 2);
	assert_true(uid == 0 || uid == s->uid);
	assert_in_range(number, 1, laws.number);
	for (size_t at = head_of(head, uid, number); at < body.len; at++)
		if (body.data[at] != filling(number, at))
			fail_msg("%u:%u differs at %zu of %zu", uid, number, at, body.len);
	take(s, number);
}

size_t laws_take_lines(struct laws_stream *s, crew_bytes bytes)
{
	size_t at = 0;
	const char *end;
	while (at < bytes.len && (end = memchr(bytes.data + at, '\n', bytes.len - at))) {
		laws_take(s, (crew_bytes){ bytes.data + at, (size_t)(end - bytes.data) - at });
		at = (size_t)(end - bytes.data) + 1;
	}
	return at;
}

/* ---- sending ------------------------------------------------------------------------------- */

static crew_send_options random_options(uint32_t number, uint8_t *ret_key)
{
	static const char *const keys[LAWS_KEYS] = { "", "a", "b", "EURUSD",
		"a key so long that it needs memory of its own" };
	*ret_key = (uint8_t)laws_roll(LAWS_KEYS);
	uint32_t policy = laws_roll(4);
	if (!laws.calm && laws_roll(40) == 0)
		policy = CREW_DISCONNECT;
	return (crew_send_options){
		.sequence = number,
		.policy = (crew_policy)policy,
		.priority = laws_roll(4) ? CREW_NORMAL : CREW_HIGH,
		.ttl_ms = laws_roll(3) ? 0 : 1 + laws_roll(40),
		.key = crew_str(keys[*ret_key]),
		.plain = laws_roll(8) == 0,
		.kind = laws_roll(4) ? CREW_KIND_DEFAULT : CREW_BINARY,
	};
}

static void count_free(void *data, void *arg)
{
	(void)arg;
	laws.freed++;
	free(data);
}

static void *copy_of(const char *data, size_t len)
{
	char *copy = malloc(len);
	assert_non_null(copy);
	memcpy(copy, data, len);
	return copy;
}

static int64_t send_somehow(crew_conn *c, crew_bytes bytes, crew_send_options *options)
{
	int64_t queued;
	crew_shared *s;
	switch (laws_roll(6)) {
	case 0:
		s = crew_shared_new_with(bytes, options);
		queued = crew_send_shared(c, s);
		crew_shared_unref(s);
		if (!s) /* without memory, which counts as an argument that cannot be */
			assert_int_equal(queued, -EINVAL);
		return queued;
	case 1:
		*options = (crew_send_options){ 0 };
		laws.handed_over++;
		bytes.data = copy_of(bytes.data, bytes.len);
		return crew_send_owned(c, bytes, count_free, NULL);
	case 2:
		*options = (crew_send_options){ 0 };
		bytes.data = laws.kept[laws.kept_count++] = copy_of(bytes.data, bytes.len);
		return crew_send_static(c, bytes);
	case 3:
		*options = (crew_send_options){ 0 };
		return crew_send(c, bytes);
	default:
		return crew_send_with(c, bytes, options);
	}
}

static void note(struct laws_stream *s, uint32_t number, const crew_send_options *o, bool accepted)
{
	s->fate[number] = accepted ? LAWS_ACCEPTED : LAWS_REFUSED;
	s->lane[number] = (uint8_t)(o->priority == CREW_HIGH);
	s->key[number] = o->key.len > 0;
	s->offered++;
}

static void send_one(crew_conn *c, struct laws_stream *s)
{
	static char room[LAWS_LONGEST];
	uint8_t key;
	if (laws.number == LAWS_NUMBERS)
		return;
	uint32_t number = ++laws.number;
	crew_send_options options = random_options(number, &key);
	size_t len = write_message(room, s->uid, number, random_length());
	laws.sending = true;
	int64_t queued = send_somehow(c, (crew_bytes){ room, len }, &options);
	laws.sending = false;
	if (queued == -EBUSY || queued == -EINVAL) {
		assert_true(s->parts_number > 0 || queued == -EINVAL);
		return;
	}
	note(s, number, &options, queued >= 0);
	laws.nobodys += s->closed;
}

/* One message in parts: begun, gone on with, ended. */
static void send_parts(crew_conn *c, struct laws_stream *s)
{
	static char room[LAWS_LONGEST];
	static const crew_send_options none = { 0 };
	int64_t queued;
	if (s->parts_number == 0) {
		if (laws.number == LAWS_NUMBERS || s->closed)
			return;
		laws.sending = true;
		queued = crew_send_begin(c, laws_roll(2) ? CREW_TEXT : CREW_BINARY);
		laws.sending = false;
		if (queued == -EINVAL)
			return;
		note(s, ++laws.number, &none, queued >= 0);
		if (queued < 0)
			return;
		s->parts_number = laws.number;
		s->parts_len = write_message(room, s->uid, laws.number, random_length());
		s->parts_at = 0;
		return;
	}
	write_message(room, s->uid, s->parts_number, s->parts_len);
	size_t left = s->parts_len - s->parts_at, n = laws_roll((uint32_t)left + 1);
	if (laws_roll(3) == 0)
		n = left;
	laws.sending = true;
	queued = crew_send_part(c, (crew_bytes){ room + s->parts_at, n });
	s->parts_at += queued >= 0 ? n : 0;
	if (queued >= 0 && s->parts_at == s->parts_len && laws_roll(3) > 0) {
		queued = crew_send_end(c);
		assert_true(queued != -ENOBUFS);
		s->parts_number = queued >= 0 ? 0 : s->parts_number;
	}
	laws.sending = false;
}

void laws_broadcast(void)
{
	static char room[LAWS_LONGEST];
	uint8_t key;
	if (laws.number == LAWS_NUMBERS)
		return;
	uint32_t number = ++laws.number;
	crew_send_options options = random_options(number, &key);
	size_t len = write_message(room, 0, number, random_length());
	crew_shared *s = crew_shared_new_with((crew_bytes){ room, len }, &options);
	uint64_t members = 0, before = counter(laws.world, "messages_offered");
	for (unsigned i = 0; s && i < laws.count; i++) {
		crew_conn *c = crew_find(laws.streams[i].id);
		if (!c || !crew__conn_is_member(c) || crew_service_of(c) != laws.service)
			continue;
		members++;
		/* Refused or accepted: told by on_error like what is lost later. */
		note(&laws.streams[i], number, &options, true);
	}
	laws.sending = true;
	int64_t accepted = crew_broadcast(laws.service, s);
	laws.sending = false;
	crew_shared_unref(s);
	uint64_t offered = counter(laws.world, "messages_offered") - before;
	assert_true(!s || (accepted >= 0 && (uint64_t)accepted <= offered));
	assert_true(offered <= members);
	laws.left_out += members - offered;
}

/* ---- what a program may do at any time ------------------------------------------------------- */

static void change(crew_conn *c)
{
	switch (laws_roll(7)) {
	case 0:
		crew_set_policy(c, (crew_policy)laws_roll(CREW_DISCONNECT));
		break;
	case 1:
		crew_set_rate(c, laws_roll(2) ? CREW_OFF : 10000 + (int64_t)laws_roll(100000),
			laws_roll(2) ? CREW_OFF : 50 + (int64_t)laws_roll(1000));
		break;
	case 2: {
		struct crew__limits limits = c->net->limits;
		limits.budget = laws_roll(3) ? 0 : 60000 + laws_roll(400000);
		limits.policy = CREW_DROP_NEWEST + laws_roll(3);
		crew__net_set_limits(c->net, &limits);
		break;
	}
	case 3:
		crew_pause(c);
		break;
	default:
		crew_resume(c);
	}
}

static void end_somehow(crew_conn *c)
{
	switch (laws_roll(8)) {
	case 0:
		crew_abort(c);
		break;
	case 1:
		crew__conn_abort(c, CREW_END_KICKED);
		break;
	case 2:
		crew_close_with(c, 4000, CREW_BYTES("bye"));
		break;
	case 3:
		laws_stream_of(c)->finished |= crew_finish(c) == 0;
		break;
	default:
		crew_close(c);
	}
}

static void random_call(crew_conn *self)
{
	crew_conn *c = laws_roll(3) && self ? self : laws_anybody();
	struct laws_stream *s = c ? laws_stream_of(c) : NULL;
	/* What is offered in the very last on_error could only be told in one more. */
	if (!s || (s->telling && c->record->state > CREW__CONN_OPEN))
		return;
	switch (laws_roll(16)) {
	case 0:
	case 1:
	case 2:
		change(c);
		break;
	case 3:
		if (!laws.calm && laws_roll(8) == 0)
			end_somehow(c);
		break;
	case 4:
		laws_broadcast();
		break;
	case 5:
	case 6:
	case 7:
		if (laws.parts) {
			send_parts(c, s);
			break;
		}
		__attribute__((fallthrough));
	default:
		send_one(c, s);
	}
}

void laws_some_calls(crew_conn *c)
{
	if (laws.depth > 2)
		return;
	laws.depth++;
	for (uint32_t n = laws_roll(7); n > 0; n--)
		random_call(c);
	laws.depth--;
}

void laws_on_loss(crew_conn *c, const crew_loss *loss)
{
	struct laws_stream *s = laws_stream_of(c);
	assert_false(laws.sending);
	assert_non_null(s);
	assert_false(s->closed);
	assert_true(loss->messages > 0);
	s->lost[loss->reason] += loss->messages;
	s->telling = true;
	laws_some_calls(c);
	s->telling = false;
}

void laws_on_gap(crew_conn *c, const crew_gap *gap)
{
	assert_false(laws.sending);
	assert_true(gap->messages > 0 && gap->first <= gap->last);
	assert_true(gap->last <= laws.number);
	laws_stream_of(c)->gaps += gap->messages;
	laws_some_calls(c);
}

void laws_on_close(crew_conn *c)
{
	struct laws_stream *s = laws_stream_of(c);
	if (!s)
		return;
	assert_false(s->closed);
	s->closed = true;
	s->cut |= crew_close_reason(c) != CREW_END_APP;
	laws_some_calls(c);
}

/* ---- the end of a play ----------------------------------------------------------------------- */

enum {
	MUCH = 64 << 20 /* more than any play sends */
};

void laws_let_go(void)
{
	struct crew__net *net = &laws.world->worker->net;
	struct crew__limits limits = net->limits;
	limits.rate_bytes = limits.rate_messages = limits.budget = 0;
	limits.max_send_buffer = MUCH; /* two that are over half full would wait for each other */
	crew__net_set_limits(net, &limits);
	for (unsigned i = 0; i < laws.count; i++) {
		struct laws_stream *s = &laws.streams[i];
		crew_conn *c = crew_find(s->id);
		if (!c)
			continue;
		limits = c->net->limits;
		limits.rate_bytes = limits.rate_messages = limits.budget = 0;
		limits.max_send_buffer = MUCH;
		crew__net_set_limits(c->net, &limits);
		crew__conn_set_rate(c, 0, 0); /* one that is closing as well */
		crew_resume(c);
		for (unsigned k = 0; k < 50 && s->parts_number > 0; k++)
			send_parts(c, s);
	}
}

/* Told, or to be told when its connection is next looked at. */
static void add_untold(struct laws_stream *s, const crew_conn *c)
{
	for (unsigned r = 0; r < CREW_LOST_REASONS; r++)
		s->lost[r] += crew__conn_rare(c)->untold_messages[r];
}

static uint64_t lost_of(const struct laws_stream *s)
{
	uint64_t lost = 0;
	for (unsigned r = 0; r < CREW_LOST_REASONS; r++)
		lost += s->lost[r];
	return lost;
}

/* One that lives, to the message: all that did not come was replaced or lost by its policy. */
static void account_for_living(const struct laws_stream *s, const crew_conn *c)
{
	uint64_t by_policy = s->lost[CREW_LOST_FULL] + s->lost[CREW_LOST_MEMORY] +
			     s->lost[CREW_LOST_EVICTED] + s->lost[CREW_LOST_EXPIRED] +
			     s->lost[CREW_LOST_HANDSHAKE];
	assert_int_equal(by_policy + s->lost[CREW_LOST_CLOSED], lost_of(s));
	assert_true(s->finished || s->lost[CREW_LOST_CLOSED] == 0);
	const struct crew__gap *left = &crew__conn_rare(c)->gap;
	assert_int_equal(s->gaps + left->messages, by_policy);
}

void laws_account(void)
{
	uint64_t offered = 0, came = 0, told = laws.nobodys;
	bool whole = true;
	for (unsigned i = 0; i < laws.count; i++) {
		struct laws_stream *s = &laws.streams[i];
		const crew_conn *c = crew_find(s->id);
		if (c)
			add_untold(s, c);
		assert_true(s->came + lost_of(s) <= s->offered);
		offered += s->offered;
		came += s->came;
		told += lost_of(s);
		whole &= !s->cut;
		if (c && crew_close_reason(c) == CREW_END_REASONS)
			account_for_living(s, c);
	}
	offered -= laws.left_out;
	assert_int_equal(counter(laws.world, "messages_queued"), 0);
	assert_int_equal(counter(laws.world, "bytes_queued"), 0);
	assert_int_equal(counter(laws.world, "messages_offered"), offered);
	assert_int_equal(counter(laws.world, "send_fail"), told);
	uint64_t sent = counter(laws.world, "messages_sent");
	assert_int_equal(sent + counter(laws.world, "messages_replaced") + told, offered);
	assert_true(came <= sent);
	if (whole)
		assert_int_equal(came, sent);
}

void laws_play_all(uint32_t seeds, void (*play)(uint32_t seed, void *arg), void *arg)
{
	const char *more = getenv("CREW_LAWS_SEEDS");
	const char *only = getenv("CREW_LAWS_SEED");
	if (more)
		seeds = (uint32_t)atoi(more);
	uint32_t first = only ? (uint32_t)atoi(only) : 1;
	for (uint32_t seed = first; seed < first + (only ? 1 : seeds); seed++) {
		print_message("seed %u\r", seed);
		play(seed, arg);
	}
}
