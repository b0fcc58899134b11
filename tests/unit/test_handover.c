/* test_handover.c - a connection written down and brought to life again, in the worker that it came
 * from: what it is, what waits, where its streams stand; and parcels that describe none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_ways.h"
#include "service/handover.h"
#include "ws_peer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct world world;

static int clean_up(void **state)
{
	(void)state;
	world_clean_up(&world);
	told_anew();
	return 0;
}

/* ---- a program ----------------------------------------------------------------------------- */

struct guest {
	uint64_t number;
};

static int refuse_handover, refuse_restore;
static bool says_goodbye;

static int on_handover(crew_conn *c, crew_handover *h)
{
	if (says_goodbye)
		crew_send(c, CREW_BYTES("moving"));
	assert_int_equal(crew_handover_put(h, CREW_BYTES("what ")), 0);
	assert_int_equal(crew_handover_put(h, CREW_BYTES("it knew")), 0);
	assert_int_equal(crew_handover_put(h, (crew_bytes){ NULL, 3 }), -EINVAL);
	return refuse_handover;
}

static int on_restore(crew_conn *c, uint64_t old_id, crew_bytes state)
{
	assert_non_null(crew_data(c));
	assert_true(old_id != crew_id(c) && crew_find(old_id) == NULL);
	tell("restore:%.*s", (int)state.len, state.data);
	return refuse_restore;
}

#define TELLS                                                                                \
	.conn_size = sizeof(struct guest), .on_open = tell_open, .on_message = tell_message, \
	.on_close = tell_close, .on_full = tell_full, .on_drain = tell_drain,                \
	.on_error = tell_error, .on_end = tell_end

static const crew_service lines = { .name = "lines",
	.listen = "text://127.0.0.1:1",
	TELLS,
	.on_handover = on_handover,
	.on_restore = on_restore };
static const crew_service plain = { .name = "plain",
	.listen = "ws://127.0.0.1:1",
	TELLS,
	.handover_plain = true,
	.handover_version = 3 };

static void takeover(struct crew__service_settings *s)
{
	s->deflate = CREW__DEFLATE_TAKEOVER;
	s->deflate_min = 1;
}

static void begin(const crew_service *service, enum crew__engine_kind engine)
{
	refuse_handover = refuse_restore = 0;
	says_goodbye = false;
	assert_true(world_open(&world, service, engine, takeover));
}

/* ---- moving -------------------------------------------------------------------------------- */

struct crossing {
	struct crew__parcel parcel;
	int fd;
};

static void go(crew_conn *c, struct crossing *x)
{
	world_settle(&world);
	assert_int_equal(crew__handover_movable(c), CREW__MOVES);
	crew__parcel_init(&x->parcel, crew__handover_most(world.worker));
	assert_int_equal(crew__handover_pack(c, &x->parcel), 0);
	x->fd = crew__conn_give_away(c);
	assert_true(x->fd >= 0);
	crew__net_check(&world.worker->net);
}

static int come(struct crossing *x, uint64_t *ret_id)
{
	return crew__handover_take(world.worker,
		(crew_bytes){ x->parcel.bytes.data, x->parcel.bytes.len }, x->fd, NULL, NULL,
		ret_id);
}

static crew_conn *move(crew_conn *c)
{
	struct crossing x;
	uint64_t id = 0;
	go(c, &x);
	assert_int_equal(counter(&world, "connections"), 0);
	assert_int_equal(come(&x, &id), 0);
	crew__parcel_fini(&x.parcel);
	crew__net_check(&world.worker->net);
	assert_non_null(crew_find(id));
	return crew_find(id);
}

/* ---- tests --------------------------------------------------------------------------------- */

static void queue_and_input_go_along(void **state)
{
	static char room[1 << 20], line[2000];
	begin(&lines, engine_of(state));
	int fd = world_connect(&world);
	peer_says(fd, CREW_BYTES("first\nsec"));
	world_settle(&world);
	crew_conn *c = world_conn(&world, 0);
	memset(line, 'x', sizeof(line));
	for (int i = 0; i < 100; i++) {
		line[0] = (char)('0' + i % 10);
		crew_send_with(c, (crew_bytes){ line, sizeof(line) },
			&(crew_send_options){ .key = CREW_BYTES("k"),
				.sequence = (uint64_t)i + 1,
				.priority = i % 2 ? CREW_HIGH : CREW_NORMAL });
	}
	crew_set_policy(c, CREW_DROP_OLDEST);
	crew_set_rate(c, 1 << 20, 0);
	world_settle(&world);
	uint64_t bytes_in = c->record->bytes_in, out = c->record->bytes_out;
	size_t queued = crew_queued(c);
	uint32_t messages = c->record->messages_queued;
	assert_true(queued > 50000);
	c = move(c);
	assert_int_equal(crew_queued(c), queued);
	assert_int_equal(c->record->messages_queued, messages);
	assert_true(c->record->bytes_in == bytes_in && c->record->bytes_out == out);
	assert_int_equal(crew__conn_rare(c)->policy, CREW_DROP_OLDEST);
	assert_int_equal(crew__conn_rare(c)->rate.bytes_per_s, 1 << 20);
	assert_true(crew__conn_rare(c)->own_rate);
	assert_int_equal(counter(&world, "handed_over"), 1);
	assert_int_equal(counter(&world, "taken_over"), 1);
	assert_int_equal(counter(&world, "messages_handed_over"), messages);
	assert_int_equal(counter(&world, "connections_total"), 1);
	peer_says(fd, CREW_BYTES("ond\n"));
	assert_int_equal(peer_hears_all(&world, fd, room, sizeof(room)), 100 * 2001);
	for (size_t i = 0; i < 100; i++)
		assert_true(room[i * 2001 + 2000] == '\n' && room[i * 2001 + 1999] == 'x');
	assert_int_equal(counter(&world, "messages_sent"), 100);
	assert_string_equal(told(),
		"open message:first close:handed-over restore:what it knew message:second drain");
	close(fd);
}

/* The program keeps it, or will not have it again; what it says at the last moment goes along. */
static void the_program_decides(void **state)
{
	char room[100];
	struct crew__parcel parcel;
	begin(&lines, engine_of(state));
	int fd = world_connect(&world);
	world_settle(&world);
	crew_conn *c = world_conn(&world, 0);
	refuse_handover = -EPERM;
	says_goodbye = true;
	crew__parcel_init(&parcel, 1000000);
	assert_int_equal(crew__handover_pack(c, &parcel), -ECANCELED);
	crew__parcel_fini(&parcel);
	world_settle(&world);
	assert_int_equal(peer_hears(fd, room, sizeof(room)), 7);
	refuse_handover = 0;
	c = move(c);
	world_settle(&world);
	assert_int_equal(peer_hears(fd, room, sizeof(room)), 7);
	refuse_restore = -EPERM;
	says_goodbye = false;
	c = move(c);
	assert_true(c->record->state > CREW__CONN_OPEN);
	world_until(&world, counter(&world, "connections") == 0);
	assert_int_equal(counter(&world, "close_drain"), 1);
	close(fd);
}

static void websockets_go_on(void **state)
{
	struct ws_peer peer;
	begin(&plain, engine_of(state));
	ws_peer_open(&peer, &world, "permessage-deflate");
	crew_conn *c = world_conn(&world, 0);
	((struct guest *)crew_data(c))->number = 77;
	ws_peer_say(&peer, WS_TEXT | WS_PACKED, "the same words", 14);
	crew_pause(c);
	c = move(c);
	assert_int_equal(((struct guest *)crew_data(c))->number, 77);
	/* What it says now refers to what it said to the one before. */
	ws_peer_say(&peer, WS_TEXT | WS_PACKED, "the same words", 14);
	assert_null(strstr(told(), "the same words message"));
	crew_resume(c);
	world_settle(&world);
	crew_send(c, CREW_BYTES("an answer, an answer, an answer"));
	world_settle(&world);
	assert_string_equal(ws_peer_hear(&peer), "text:an answer, an answer, an answer;");
	assert_string_equal(
		told(), "open message:the same words close:handed-over message:the same words");
	ws_peer_say(&peer, WS_FIRST_TEXT, "amid ", 5);
	world_settle(&world);
	c = move(c);
	ws_peer_say(&peer, WS_LAST, "a message", 9);
	assert_non_null(strstr(told(), "message:amid a message"));
	ws_peer_close(&peer);
}

/* Whatever is wrong with a parcel: nothing lives of it, nothing is counted, and the descriptor
 * stays the caller's. */
static void damaged_parcels(void **state)
{
	struct crossing x;
	uint64_t id;
	begin(&plain, engine_of(state));
	struct ws_peer peer;
	ws_peer_open(&peer, &world, "permessage-deflate");
	crew_conn *c = world_conn(&world, 0);
	ws_peer_say(&peer, WS_FIRST_TEXT, "amid ", 5);
	go(c, &x);
	uint32_t whole = x.parcel.bytes.len;
	for (x.parcel.bytes.len = 0; x.parcel.bytes.len < whole; x.parcel.bytes.len++) {
		int error = come(&x, &id);
		if (error ==
			0) /* what is cut off at an item may be without what it need not have */
			fail_msg("cut off at %u of %u", x.parcel.bytes.len, whole);
		assert_int_equal(counter(&world, "connections"), 0);
	}
	for (uint32_t i = 0; i < whole; i++) {
		x.parcel.bytes.data[i] ^= 0x55;
		int fd = x.fd;
		x.fd = dup(fd);
		if (come(&x, &id) == 0)
			crew_abort(crew_find(id));
		else
			close(x.fd);
		world_turn(&world, 0);
		x.fd = fd;
		x.parcel.bytes.data[i] ^= 0x55;
		assert_int_equal(counter(&world, "connections"), 0);
	}
	close(x.fd);
	crew__parcel_fini(&x.parcel);
	ws_peer_close(&peer);
}

static bool say_no(void *arg)
{
	(*(int *)arg)++;
	return false;
}

/* Not taken because the other side is not to hear of it; nor what is no stream. */
static void not_agreed(void **state)
{
	struct crossing x;
	uint64_t id;
	int asked = 0;
	begin(&lines, engine_of(state));
	int fd = world_connect(&world);
	world_settle(&world);
	go(world_conn(&world, 0), &x);
	crew_bytes packed = { x.parcel.bytes.data, x.parcel.bytes.len };
	assert_int_equal(
		crew__handover_take(world.worker, packed, x.fd, say_no, &asked, &id), -ECANCELED);
	assert_int_equal(asked, 1);
	int datagrams = socket(AF_UNIX, SOCK_DGRAM, 0);
	assert_int_equal(
		crew__handover_take(world.worker, packed, datagrams, say_no, &asked, &id), -EPROTO);
	assert_int_equal(asked, 1);
	world_settle(&world);
	assert_int_equal(counter(&world, "taken_over"), 0);
	peer_says(fd, CREW_BYTES("still there\n"));
	assert_int_equal(come(&x, &id), 0);
	world_settle(&world);
	assert_non_null(strstr(told(), "message:still there"));
	close(datagrams);
	crew__parcel_fini(&x.parcel);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(queue_and_input_go_along),
		ON_BOTH(the_program_decides),
		ON_BOTH(websockets_go_on),
		ON_BOTH(damaged_parcels),
		ON_BOTH(not_agreed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
