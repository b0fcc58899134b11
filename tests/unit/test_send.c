/* test_send.c - the program's sends in every protocol: who owns the bytes and until when, what is
 * encoded once for many, and what is refused before it is offered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_ways.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	ROOM = 1 << 20,
	LIMIT = 20000,
	PEERS = 3
};

/* ---- the four protocols -------------------------------------------------------------------- */

static unsigned encodings;

/* <body>, in a message of at most 300 bytes; `?` cannot be sent, `!` finds no memory. */
static int encode(crew_conn *c, crew_kind kind, crew_frame *frame)
{
	assert_non_null(c);
	encodings++;
	if (frame->body.len > 300)
		return -EMSGSIZE;
	if (frame->body.len > 0 && frame->body.data[0] == '?')
		return -EINVAL;
	if (frame->body.len > 0 && frame->body.data[0] == '!')
		return -ENOMEM;
	frame->room[0] = kind == CREW_BINARY ? '[' : '<';
	frame->head = (crew_bytes){ frame->room, 1 };
	frame->tail = kind == CREW_BINARY ? CREW_BYTES("]") : CREW_BYTES(">");
	return 0;
}

static int64_t cut(crew_conn *c, crew_bytes in)
{
	assert_non_null(c);
	return (int64_t)in.len;
}

static const crew_protocol angle = { .name = "angle", .cut = cut, .encode = encode };

#define TELLING .on_error = tell_error
static const crew_service services[] = {
	{ .name = "text", .listen = "text://127.0.0.1:1", TELLING },
	{ .name = "frame", .listen = "frame://127.0.0.1:1", TELLING },
	{ .name = "ws", .listen = "ws://127.0.0.1:1", TELLING },
	{ .name = "angle", .listen = "angle://127.0.0.1:1", .protocol = &angle, TELLING },
};
static const char *const hello_as[] = { "hello\n", "\0\0\0\x9hello", "\x81\x05hello", "<hello>" };
static const char *const binary_as[] = { "hello\n", "\0\0\0\x9hello", "\x82\x05hello", "[hello]" };
static const size_t hello_len[] = { 6, 9, 7, 7 };
enum {
	SERVICES = crew__lengthof(services),
	WS = 2
};

/* A worker for each, all in this process. */
static struct {
	struct world worlds[SERVICES];
	int peers[SERVICES][PEERS];
	char *room;
	unsigned handed, freed;
	void *expected;
} t;

static void adjust(struct crew__service_settings *s)
{
	s->max_send_buffer = LIMIT;
	s->linger_ms = 0;
}

static void greet(int fd)
{
	peer_says(fd, CREW_BYTES("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
				 "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
				 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"));
	world_settle(&t.worlds[WS]);
	assert_int_equal(peer_hears(fd, t.room, ROOM), 129);
}

static void open_them(void **state)
{
	memset(&t, 0, sizeof(t));
	memset(t.peers, -1, sizeof(t.peers));
	t.room = malloc(ROOM);
	encodings = 0;
	told_anew();
	for (int s = 0; s < SERVICES; s++) {
		assert_true(world_open(&t.worlds[s], &services[s], engine_of(state), adjust));
		for (int i = 0; i < PEERS; i++) {
			t.peers[s][i] = world_connect(&t.worlds[s]);
			assert_true(t.peers[s][i] >= 0);
			if (s == WS)
				greet(t.peers[s][i]);
		}
		world_settle(&t.worlds[s]);
	}
}

static int clean_up(void **state)
{
	(void)state;
	for (int s = 0; s < SERVICES; s++) {
		for (int i = 0; i < PEERS; i++)
			if (t.peers[s][i] >= 0)
				close(t.peers[s][i]);
		world_clean_up(&t.worlds[s]);
	}
	free(t.room);
	return t.handed == t.freed ? 0 : -1;
}

static crew_conn *conn(int s, uint32_t i)
{
	return world_conn(&t.worlds[s], i);
}

static void hears(int s, int i, const char *bytes, size_t len)
{
	assert_int_equal(peer_hears_all(&t.worlds[s], t.peers[s][i], t.room, ROOM), len);
	assert_memory_equal(t.room, bytes, len);
}

/* Until the kernel takes no more for it, and a little waits. */
static void stuff(int s, uint32_t i)
{
	static char body[300];
	while (crew_queued(conn(s, i)) < 1000) {
		assert_true(crew_send(conn(s, i), (crew_bytes){ body, sizeof(body) }) >= 0);
		world_turn(&t.worlds[s], 0);
	}
}

static void fill(int s, uint32_t i)
{
	static char body[300];
	while (crew_queued(conn(s, i)) < LIMIT) {
		assert_true(crew_send(conn(s, i), (crew_bytes){ body, sizeof(body) }) >= 0);
		world_turn(&t.worlds[s], 0);
	}
}

/* Where what was queued last begins. */
static struct iovec last_piece(int s, uint32_t i)
{
	static struct iovec vectors[256];
	size_t bytes;
	size_t count = crew__queue_gather(&conn(s, i)->queue, vectors, 256, &bytes);
	assert_true(count > 0 && count < 256 && bytes == crew_queued(conn(s, i)));
	return vectors[count - 1];
}

static void count_free(void *data, void *arg)
{
	assert_ptr_equal(arg, &t);
	assert_ptr_equal(data, t.expected);
	t.freed++;
}

static int64_t hand_over(crew_conn *c, const char *data, size_t len)
{
	t.handed++;
	t.expected = (void *)(uintptr_t)data;
	return crew_send_owned(c, (crew_bytes){ data, len }, count_free, &t);
}

/* ---- ownership ----------------------------------------------------------------------------- */

static void every_send_frames_for_its_protocol(void **state)
{
	open_them(state);
	const crew_send_options binary = { .kind = CREW_BINARY };
	for (int s = 0; s < SERVICES; s++) {
		int64_t len = (int64_t)hello_len[s];
		crew_conn *c = conn(s, 0);
		assert_int_equal(crew_send(c, CREW_BYTES("hello")), len);
		assert_int_equal(crew_send_static(c, CREW_BYTES("hello")), 2 * len);
		assert_int_equal(hand_over(c, "hello", 5), 3 * len);
		assert_int_equal(crew_send_with(c, CREW_BYTES("hello"), NULL), 4 * len);
		assert_int_equal(crew_queued(c), 4 * len);
		world_settle(&t.worlds[s]);
		size_t whole = peer_hears_all(&t.worlds[s], t.peers[s][0], t.room, ROOM);
		assert_int_equal(whole, 4 * len);
		for (int i = 0; i < 4; i++)
			assert_memory_equal(t.room + i * len, hello_as[s], hello_len[s]);
		crew_send_with(c, CREW_BYTES("hello"), &binary);
		hears(s, 0, binary_as[s], hello_len[s]);
		assert_int_equal(t.freed, t.handed);
	}
}

static void what_must_wait_is_copied(void **state)
{
	char mine[200];
	open_them(state);
	for (int s = 0; s < SERVICES; s++) {
		stuff(s, 0);
		memset(mine, 'm', sizeof(mine));
		crew_send(conn(s, 0), (crew_bytes){ mine, sizeof(mine) });
		memset(mine, '-', sizeof(mine)); /* the program's own again */
		size_t len = peer_hears_all(&t.worlds[s], t.peers[s][0], t.room, ROOM);
		size_t tail = s == 0 || s == 3;
		assert_int_equal(t.room[len - tail - 1], 'm');
		assert_int_equal(t.room[len - tail - 200], 'm');
		assert_null(memchr(t.room, '-', len));
	}
}

static void what_lives_for_ever_is_not_copied(void **state)
{
	static const char bytes[] = "these live for ever";
	open_them(state);
	for (int s = 1; s <= 2; s++) { /* those without a tail: it ends the queue */
		stuff(s, 0);
		crew_send_static(conn(s, 0), (crew_bytes){ bytes, sizeof(bytes) - 1 });
		assert_ptr_equal(last_piece(s, 0).iov_base, bytes);
		hand_over(conn(s, 0), bytes, 5);
		assert_ptr_equal(last_piece(s, 0).iov_base, bytes);
		assert_int_equal(t.freed, t.handed - 1);
		peer_drinks(&t.worlds[s], t.peers[s][0]);
		assert_int_equal(t.freed, t.handed);
	}
}

static void what_is_handed_over_is_freed_once_whatever_happens(void **state)
{
	static char long_one[30000];
	open_them(state);
	for (int s = 0; s < SERVICES; s++) {
		size_t most = s == 3 ? 300 : sizeof(long_one);
		assert_true(hand_over(conn(s, 0), long_one, most) >= 0); /* waits for the turn */
		world_settle(&t.worlds[s]);
		peer_drinks(&t.worlds[s], t.peers[s][0]);
		assert_int_equal(t.freed, t.handed);
		assert_true(hand_over(conn(s, 0), "", 0) >= 0);
		fill(s, 1);
		assert_int_equal(hand_over(conn(s, 1), "x", 1), -ENOBUFS);
		assert_int_equal(t.freed, t.handed);
		assert_int_equal(hand_over(conn(s, 1), long_one, (size_t)2 << 30), -EMSGSIZE);
		assert_int_equal(hand_over(conn(s, 1), NULL, 5), -EINVAL);
		assert_int_equal(hand_over(NULL, "x", 1), -ENOTCONN);
		assert_int_equal(t.freed, t.handed);
		stuff(s, 2);
		assert_true(hand_over(conn(s, 2), "waits", 5) > 0);
		assert_int_equal(t.freed, t.handed - 1);
		crew_abort(conn(s, 2)); /* while it waits */
		assert_int_equal(t.freed, t.handed);
		assert_int_equal(hand_over(conn(s, 2), "x", 1), -ENOTCONN);
		assert_int_equal(t.freed, t.handed);
		assert_true(crew_send_owned(conn(s, 0), CREW_BYTES("x"), NULL, NULL) >= 0);
	}
}

static void what_is_left_when_the_worker_ends_is_freed(void **state)
{
	open_them(state);
	for (int s = 0; s < SERVICES; s++) {
		stuff(s, 0);
		hand_over(conn(s, 0), "one", 3);
		world_close(&t.worlds[s]);
		assert_int_equal(t.freed, t.handed);
	}
}

/* ---- shared -------------------------------------------------------------------------------- */

static void one_shared_message_serves_every_protocol(void **state)
{
	open_them(state);
	crew_shared *s = crew_shared_new(CREW_BYTES("hello"));
	crew_shared *b = crew_shared_new_kind(CREW_BYTES("hello"), CREW_BINARY);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < SERVICES; i++) {
			assert_int_equal(crew_send_shared(conn(i, 0), s), hello_len[i]);
			assert_int_equal(crew_send_shared(conn(i, 0), b), 2 * hello_len[i]);
			world_settle(&t.worlds[i]);
			size_t len = peer_hears_all(&t.worlds[i], t.peers[i][0], t.room, ROOM);
			assert_int_equal(len, 2 * hello_len[i]);
			assert_memory_equal(t.room, hello_as[i], hello_len[i]);
			assert_memory_equal(t.room + hello_len[i], binary_as[i], hello_len[i]);
		}
	}
	assert_int_equal(encodings, 2); /* once for each kind, not for each send */
	assert_int_equal(crew_shared_bytes(s).len, 5);
	assert_memory_equal(crew_shared_bytes(s).data, "hello", 5);
	crew_shared_unref(s);
	crew_shared_unref(b);
}

static void all_who_wait_refer_to_the_same_bytes(void **state)
{
	open_them(state);
	crew_shared *shared = crew_shared_new(CREW_BYTES("for all"));
	for (int s = 0; s < SERVICES; s++) {
		const void *first = NULL;
		for (uint32_t i = 0; i < PEERS; i++) {
			stuff(s, i);
			assert_true(crew_send_shared(conn(s, i), shared) > 0);
			first = i == 0 ? last_piece(s, i).iov_base : first;
			assert_ptr_equal(last_piece(s, i).iov_base, first);
			assert_int_equal(last_piece(s, i).iov_len, hello_len[s] + 2);
		}
	}
	crew_shared_unref(shared); /* those who wait keep it */
	for (int s = 0; s < SERVICES; s++) {
		for (int i = 0; i < PEERS; i++) {
			size_t len = peer_hears_all(&t.worlds[s], t.peers[s][i], t.room, ROOM);
			assert_non_null(memmem(t.room + len - 9, 9, "for all", 7));
		}
	}
}

static void a_shared_message_can_be_sent_and_let_go_at_once(void **state)
{
	open_them(state);
	for (int i = 0; i < SERVICES; i++) {
		crew_shared *s = crew_shared_new(CREW_BYTES("hello"));
		assert_ptr_equal(crew_shared_ref(s), s);
		crew_shared_unref(s);
		assert_true(crew_send_shared(conn(i, 0), s) > 0);
		assert_true(crew_send_shared(conn(i, 1), s) > 0);
		crew_abort(conn(i, 1));
		crew_shared_unref(s);
		hears(i, 0, hello_as[i], hello_len[i]);
	}
}

static void what_cannot_be_shared(void **state)
{
	open_them(state);
	assert_null(crew_shared_new((crew_bytes){ NULL, 1 }));
	assert_null(crew_shared_new_kind(CREW_BYTES("x"), (crew_kind)(CREW_BINARY + 1)));
	assert_null(crew_shared_new_kind(CREW_BYTES("x"), (crew_kind)-1));
	assert_null(crew_shared_new((crew_bytes){ "x", (size_t)2 << 30 }));
	assert_null(crew_shared_ref(NULL));
	crew_shared_unref(NULL);
	assert_null(crew_shared_bytes(NULL).data);
	assert_int_equal(crew_send_shared(conn(0, 0), NULL), -EINVAL);
	assert_int_equal(counter(&t.worlds[0], "send_invalid"), 1);
	crew_shared *s = crew_shared_new((crew_bytes){ NULL, 0 });
	assert_int_equal(crew_send_shared(NULL, s), -ENOTCONN);
	assert_int_equal(crew_send_shared(conn(0, 0), s), 1);
	hears(0, 0, "\n", 1);
	crew_shared_unref(s);
	s = crew_shared_new(CREW_BYTES("?"));
	assert_int_equal(crew_send_shared(conn(3, 0), s), -EINVAL);
	assert_int_equal(counter(&t.worlds[3], "send_invalid"), 1);
	crew_shared_unref(s);
	s = crew_shared_new(CREW_BYTES("!"));
	assert_int_equal(crew_send_shared(conn(3, 0), s), -ENOMEM);
	assert_int_equal(counter(&t.worlds[3], "fail_memory"), 1);
	crew_shared_unref(s);
}

/* ---- to all -------------------------------------------------------------------------------- */

static int64_t broadcast(int s, const char *body, size_t len)
{
	crew_shared *shared = crew_shared_new((crew_bytes){ body, len });
	int64_t accepted = crew_broadcast(&services[s], shared);
	crew_shared_unref(shared);
	return accepted;
}

static void a_broadcast_goes_to_all_of_its_service(void **state)
{
	open_them(state);
	for (int s = 0; s < SERVICES; s++) {
		assert_int_equal(broadcast(s, "hello", 5), PEERS);
		assert_int_equal(counter(&t.worlds[s], "messages_offered"), PEERS);
		world_settle(&t.worlds[s]);
		for (int i = 0; i < PEERS; i++)
			hears(s, i, hello_as[s], hello_len[s]);
	}
	assert_int_equal(encodings, 1);
}

static void a_long_broadcast_is_referred_to(void **state)
{
	static char body[9000];
	open_them(state);
	memset(body, 'l', sizeof(body));
	for (int s = 0; s < 3; s++) {
		assert_int_equal(broadcast(s, body, sizeof(body)), PEERS);
		const void *first = last_piece(s, 0).iov_base;
		assert_ptr_equal(last_piece(s, 1).iov_base, first);
		assert_ptr_equal(last_piece(s, 2).iov_base, first);
		for (int i = 0; i < PEERS; i++)
			assert_true(peer_drinks(&t.worlds[s], t.peers[s][i]) > sizeof(body));
		assert_int_equal(counter(&t.worlds[s], "messages_sent"), PEERS);
	}
}

static void each_receiver_is_refused_on_its_own(void **state)
{
	open_them(state);
	for (int s = 0; s < SERVICES; s++) {
		fill(s, 0);
		crew_close(conn(s, 1));
		uint64_t before = counter(&t.worlds[s], "messages_offered");
		told_anew();
		assert_int_equal(broadcast(s, "hello", 5), 1);
		/* One that is closing is no receiver; one that is full is. */
		assert_int_equal(counter(&t.worlds[s], "messages_offered"), before + 2);
		assert_int_equal(counter(&t.worlds[s], "fail_full"), 1);
		assert_int_equal(counter(&t.worlds[s], "fail_closed"), 0);
		assert_string_equal(told(), "");
		hears(s, 2, hello_as[s], hello_len[s]);
		assert_non_null(strstr(told(), "error:full:1"));
	}
}

static void who_shakes_hands_is_no_receiver(void **state)
{
	open_them(state);
	int late = world_connect(&t.worlds[WS]);
	world_settle(&t.worlds[WS]);
	assert_int_equal(broadcast(WS, "hello", 5), PEERS);
	world_settle(&t.worlds[WS]);
	assert_int_equal(peer_hears(late, t.room, ROOM), 0);
	close(late);
}

static void to_nobody_is_nothing(void **state)
{
	open_them(state);
	static const crew_service elsewhere = { .name = "elsewhere" };
	crew_shared *s = crew_shared_new(CREW_BYTES("x"));
	assert_int_equal(crew_broadcast(&elsewhere, s), -EINVAL);
	assert_int_equal(crew_broadcast(NULL, s), -EINVAL);
	assert_int_equal(crew_broadcast(&services[0], NULL), -EINVAL);
	for (uint32_t i = 0; i < PEERS; i++)
		crew_abort(conn(0, i));
	world_settle(&t.worlds[0]);
	assert_int_equal(crew_broadcast(&services[0], s), 0);
	assert_int_equal(counter(&t.worlds[0], "messages_offered"), 0);
	assert_int_equal(counter(&t.worlds[0], "send_invalid"), 0);
	crew_shared_unref(s);
}

static void visit(crew_conn *c, void *arg)
{
	unsigned *visits = arg;
	tell("%u", c->slot);
	if ((*visits)++ == 0) {
		crew_abort(world_conn(&t.worlds[0], 1)); /* not to come any more */
		crew_close(c);
	}
}

static void each_visits_those_that_are_open(void **state)
{
	unsigned visits = 0;
	open_them(state);
	assert_int_equal(crew_each(&services[0], visit, &visits), 2);
	assert_string_equal(told(), "0 2");
	assert_int_equal(crew_each(&services[0], visit, &visits), 1);
	assert_int_equal(crew_each(&services[0], NULL, NULL), -EINVAL);
	assert_int_equal(crew_each(NULL, visit, &visits), -EINVAL);
	visits = 1;
	assert_int_equal(crew_each(&services[WS], visit, &visits), PEERS);
}

/* ---- what is no message -------------------------------------------------------------------- */

static void what_can_never_be_sent_is_not_offered(void **state)
{
	open_them(state);
	for (int s = 0; s < SERVICES; s++) {
		crew_conn *c = conn(s, 0);
		crew_bytes endless = { "x", (size_t)2 << 30 };
		assert_int_equal(crew_send(c, (crew_bytes){ NULL, 1 }), -EINVAL);
		assert_int_equal(crew_send(c, endless), -EMSGSIZE);
		assert_int_equal(crew_send_static(c, endless), -EMSGSIZE);
		crew_send_options unknown = { .kind = (crew_kind)7 };
		assert_int_equal(crew_send_with(c, CREW_BYTES("x"), &unknown), -EINVAL);
		assert_int_equal(crew_send(NULL, (crew_bytes){ NULL, 1 }), -EINVAL);
		unsigned to_nobody = s == 0 ? 0 : 1; /* the first worker's */
		assert_int_equal(counter(&t.worlds[s], "send_invalid"), 5 - to_nobody);
		assert_int_equal(counter(&t.worlds[s], "messages_offered"), 0);
	}
	assert_int_equal(crew_send(conn(3, 0), CREW_BYTES("?")), -EINVAL);
	assert_int_equal(hand_over(conn(3, 0), "?", 1), -EINVAL);
	assert_int_equal(counter(&t.worlds[3], "messages_offered"), 0);
	assert_int_equal(hand_over(conn(3, 0), "!", 1), -ENOMEM);
	assert_int_equal(counter(&t.worlds[3], "fail_memory"), 1);
	assert_int_equal(counter(&t.worlds[3], "messages_offered"), 1);
	world_settle(&t.worlds[3]);
	assert_string_equal(told(), "error:memory:1");
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		ON_BOTH(every_send_frames_for_its_protocol),
		ON_BOTH(what_must_wait_is_copied),
		ON_BOTH(what_lives_for_ever_is_not_copied),
		ON_BOTH(what_is_handed_over_is_freed_once_whatever_happens),
		ON_BOTH(what_is_left_when_the_worker_ends_is_freed),
		ON_BOTH(one_shared_message_serves_every_protocol),
		ON_BOTH(all_who_wait_refer_to_the_same_bytes),
		ON_BOTH(a_shared_message_can_be_sent_and_let_go_at_once),
		ON_BOTH(what_cannot_be_shared),
		ON_BOTH(a_broadcast_goes_to_all_of_its_service),
		ON_BOTH(a_long_broadcast_is_referred_to),
		ON_BOTH(each_receiver_is_refused_on_its_own),
		ON_BOTH(who_shakes_hands_is_no_receiver),
		ON_BOTH(to_nobody_is_nothing),
		ON_BOTH(each_visits_those_that_are_open),
		ON_BOTH(what_can_never_be_sent_is_not_offered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
