/* test_http_client.c - who asked: peers, proxies that are trusted and others, the PROXY header
 * before everything else; and what a request is called. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_ways.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	ROOM = 1 << 16
};

static struct {
	struct world world;
	int peer;
	crew_request *kept;
	char ids[8][17];
	unsigned id_count;
	char room[ROOM];
} t;

static void note_id(const crew_request *r)
{
	const char *id = crew_request_id(r);
	assert_int_equal(strlen(id), 16);
	assert_int_equal(strspn(id, "0123456789abcdef"), 16);
	assert_ptr_equal(crew_request_id(r), id);
	assert_true(t.id_count < crew__lengthof(t.ids));
	memcpy(t.ids[t.id_count++], id, 17);
}

/* Who asked, before the answer and after it. */
static void on_request(crew_conn *c, const crew_request *r)
{
	char client[100], again[100], cut[5];
	size_t len = crew_request_client(r, client, sizeof(client));
	assert_int_equal(len, strlen(client));
	note_id(r);
	if (crew_request_header(r, "Keep").data)
		t.kept = crew_request_keep(r);
	assert_true(crew_reply(c, &(crew_response){ .body = crew_str(client) }) >= 0);
	assert_int_equal(crew_request_client(r, again, sizeof(again)), len);
	assert_string_equal(again, client);
	assert_int_equal(crew_request_client(r, cut, sizeof(cut)), len);
	assert_int_equal(strlen(cut), crew__min(len, 4));
	assert_int_equal(crew_request_client(r, NULL, 0), len);
}

static const crew_service web = {
	.name = "web",
	.listen = "http://127.0.0.1:1",
	.on_request = on_request,
	.on_close = tell_close,
};
static const crew_service stream = {
	.name = "stream",
	.listen = "text://127.0.0.1:1",
	.on_open = tell_open,
	.on_message = tell_message,
	.on_end = tell_end,
	.on_close = tell_close,
};
static const crew_service plain = {
	.name = "plain", .listen = "tcp://127.0.0.1:1", .on_open = tell_open
};
static const crew_service ws = {
	.name = "ws", .listen = "ws://127.0.0.1:1", .on_open = tell_open, .on_close = tell_close
};

static int64_t cut_one(crew_conn *c, crew_bytes in)
{
	(void)c;
	return in.len > 0;
}
static void protocol_open(crew_conn *c)
{
	(void)c;
	tell("begin");
}
static void protocol_close(crew_conn *c)
{
	(void)c;
	tell("over");
}
static const crew_protocol bytes = {
	.name = "bytes", .cut = cut_one, .on_open = protocol_open, .on_close = protocol_close
};
static const crew_service own = { .name = "own",
	.listen = "bytes://127.0.0.1:1",
	.protocol = &bytes,
	.on_open = tell_open,
	.on_message = tell_message,
	.on_close = tell_close };

static void trusting(struct crew__service_settings *s)
{
	s->trusted_proxies = (char *)(uintptr_t) "127.0.0.0/8 10.0.0.0/8";
}
static void wary(struct crew__service_settings *s)
{
	s->trusted_proxies = (char *)(uintptr_t) "192.0.2.0/24";
}
static void proxied(struct crew__service_settings *s)
{
	s->proxy_protocol = true;
	s->linger_ms = 0;
}
static void proxied_by_trusted(struct crew__service_settings *s)
{
	proxied(s);
	trusting(s);
}
static void proxied_by_others(struct crew__service_settings *s)
{
	proxied(s);
	wary(s);
}
static void proxied_by_unix(struct crew__service_settings *s)
{
	proxied(s);
	s->trusted_proxies = (char *)(uintptr_t) "10.0.0.0/8 unix";
}
static void proxied_soon(struct crew__service_settings *s)
{
	proxied(s);
	s->handshake_timeout_ms = 50;
}
static void proxied_few(struct crew__service_settings *s)
{
	proxied(s);
	s->max_connections_per_ip = 1;
}

static void open_with(void **state, const crew_service *service,
	void (*adjust)(struct crew__service_settings *settings))
{
	memset(&t, 0, sizeof(t));
	told_anew();
	assert_true(world_open(&t.world, service, engine_of(state), adjust));
	t.peer = world_connect_tcp(&t.world, NULL);
	assert_true(t.peer >= 0);
	world_settle(&t.world);
}

static int clean_up(void **state)
{
	(void)state;
	crew_request_free(t.kept);
	t.kept = NULL;
	if (t.peer >= 0)
		close(t.peer);
	world_clean_up(&t.world);
	return 0;
}

static void say(const char *words)
{
	peer_says(t.peer, crew_str(words));
	world_settle(&t.world);
}

/* The body of the next answer. */
static const char *ask(const char *fields)
{
	char request[1000];
	snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", fields);
	say(request);
	peer_hears_all(&t.world, t.peer, t.room, ROOM);
	const char *body = strstr(t.room, "\r\n\r\n");
	return body ? body + 4 : t.room;
}

static const char *own_address(void)
{
	static char text[80];
	struct sockaddr_in address;
	socklen_t size = sizeof(address);
	assert_int_equal(getsockname(t.peer, (struct sockaddr *)&address, &size), 0);
	snprintf(text, sizeof(text), "127.0.0.1:%u", ntohs(address.sin_port));
	return text;
}

/* ---- fields of proxies --------------------------------------------------------------------- */

static void nobody_is_trusted_unless_told(void **state)
{
	open_with(state, &web, NULL);
	assert_string_equal(ask("X-Forwarded-For: 192.0.2.9\r\n"), own_address());
	assert_string_equal(ask("Forwarded: for=192.0.2.9\r\n"), own_address());
}

static void who_is_not_trusted_is_not_believed(void **state)
{
	open_with(state, &web, wary);
	assert_string_equal(ask("X-Forwarded-For: 192.0.2.9\r\n"), own_address());
}

static void a_trusted_proxy_names_the_client(void **state)
{
	open_with(state, &web, trusting);
	assert_string_equal(ask(""), own_address());
	assert_string_equal(ask("X-Forwarded-For: 192.0.2.9\r\n"), "192.0.2.9");
	assert_string_equal(
		ask("X-Forwarded-For: 1.1.1.1, 192.0.2.9:80, 10.1.1.1\r\n"), "192.0.2.9:80");
	assert_string_equal(ask("Forwarded: for=\"[2001:db8::1]\"\r\n"), "2001:db8::1");
	assert_string_equal(ask("Forwarded: for=\"[2001:db8::1]:80\"\r\n"), "[2001:db8::1]:80");
	assert_string_equal(ask("Forwarded: for=_hidden\r\n"), "_hidden");
	assert_string_equal(ask("Forwarded: for=\"\r\n"), "unknown");
	assert_string_equal(
		ask("X-Forwarded-For: 192.0.2.9\r\nForwarded: for=192.0.2.8\r\n"), "unknown");
}

static void a_kept_request_still_knows(void **state)
{
	char client[100];
	open_with(state, &web, trusting);
	ask("Keep: it\r\nX-Forwarded-For: 192.0.2.9\r\n");
	close(t.peer);
	t.peer = -1;
	world_until(&t.world, counter(&t.world, "connections") == 0);
	assert_int_equal(crew_request_client(t.kept, client, sizeof(client)), 9);
	assert_string_equal(client, "192.0.2.9");
	assert_string_equal(crew_request_id(t.kept), t.ids[0]);
}

static void without_a_request(void **state)
{
	char client[10] = "x";
	open_with(state, &web, NULL);
	assert_int_equal(crew_request_client(NULL, client, sizeof(client)), 0);
	assert_string_equal(client, "");
	assert_string_equal(crew_request_id(NULL), "");
}

static void each_request_has_an_id_of_its_own(void **state)
{
	open_with(state, &web, NULL);
	for (unsigned i = 0; i < 4; i++)
		ask("");
	world_clean_up(&t.world);
	close(t.peer);
	/* A worker of the same life that comes later. */
	assert_true(world_open(&t.world, &web, engine_of(state), NULL));
	t.peer = world_connect_tcp(&t.world, NULL);
	for (unsigned i = 0; i < 4; i++)
		ask("");
	assert_int_equal(t.id_count, 8);
	for (unsigned i = 1; i < 8; i++)
		assert_true(strcmp(t.ids[i - 1], t.ids[i]) < 0);
	assert_memory_equal(t.ids[0], "007", 3); /* the life */
}

/* ---- the PROXY header ---------------------------------------------------------------------- */

#define HEADER  "PROXY TCP4 192.0.2.7 192.0.2.8 4711 80\r\n"
#define REQUEST "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

static crew_conn *conn(void)
{
	return world_conn(&t.world, 0);
}

static const char *remote(void)
{
	static char text[80];
	crew_remote(conn(), text, sizeof(text));
	return text;
}

static void the_header_comes_first(void **state)
{
	open_with(state, &web, proxied);
	assert_int_equal(conn()->record->state, CREW__CONN_HANDSHAKE);
	say(HEADER);
	assert_int_equal(conn()->record->state, CREW__CONN_OPEN);
	assert_string_equal(remote(), "192.0.2.7:4711");
	assert_string_equal(ask(""), "192.0.2.7:4711");
	assert_string_equal(ask("X-Forwarded-For: 9.9.9.9\r\n"), "192.0.2.7:4711");
	assert_string_equal(told(), "");
}

static void with_all_behind_it_in_one_packet(void **state)
{
	open_with(state, &web, proxied_by_trusted);
	say(HEADER REQUEST REQUEST);
	peer_hears_all(&t.world, t.peer, t.room, ROOM);
	char *second = strstr(t.room + 1, "HTTP/1.1 200");
	assert_non_null(second);
	assert_non_null(strstr(second, "192.0.2.7:4711"));
	assert_int_equal(counter(&t.world, "total_request"), 2);
}

static void byte_by_byte(void **state)
{
	static const char all[] = HEADER "hello\n";
	open_with(state, &stream, proxied);
	for (size_t i = 0; i < sizeof(all) - 1; i++) {
		assert_string_equal(told(), i < sizeof(HEADER) - 1 ? "" : "open");
		peer_says(t.peer, (crew_bytes){ all + i, 1 });
		world_turn(&t.world, 0);
		world_turn(&t.world, 0);
	}
	assert_string_equal(told(), "open message:hello");
	assert_string_equal(remote(), "192.0.2.7:4711");
}

static void version_2_and_every_protocol(void **state)
{
	static const char header[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07"
				     "\xc0\x00\x02\x08\x12\x67\x00\x50x";
	open_with(state, &own, proxied);
	assert_string_equal(told(), "");
	peer_says(t.peer, (crew_bytes){ header, sizeof(header) - 1 });
	world_settle(&t.world);
	assert_string_equal(told(), "begin open message:x");
	assert_string_equal(remote(), "192.0.2.7:4711");
	close(t.peer);
	t.peer = -1;
	world_until(&t.world, counter(&t.world, "connections") == 0);
	assert_string_equal(told(), "begin open message:x close:peer over");
}

static void websockets(void **state)
{
	open_with(state, &ws, proxied);
	say(HEADER);
	assert_string_equal(told(), "");
	say("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
	assert_string_equal(told(), "open");
	assert_string_equal(remote(), "192.0.2.7:4711");
}

/* Whom it cannot describe, and itself. */
static void a_proxy_without_a_client(void **state)
{
	open_with(state, &web, proxied);
	say("PROXY UNKNOWN\r\n");
	assert_string_equal(ask(""), own_address());
}

static void who_begins_otherwise_is_closed(void **state)
{
	static const char *const words[] = { REQUEST, "hello\n", "PROXY TCP4 1.2.3.4 nonsense\r\n",
		"\r\n\r\n\r\n" };
	for (size_t i = 0; i < crew__lengthof(words); i++) {
		open_with(state, &own, proxied);
		say(words[i]);
		assert_true(peer_sees_end(t.peer) || peer_sees_reset(t.peer));
		world_until(&t.world, counter(&t.world, "connections") == 0);
		assert_int_equal(counter(&t.world, "close_protocol"), 1);
		assert_int_equal(counter(&t.world, "total_request"), 0);
		assert_string_equal(told(), ""); /* the program never saw it */
		clean_up(state);
	}
	t.peer = -1;
}

static void only_of_those_who_are_trusted(void **state)
{
	open_with(state, &own, proxied_by_others);
	world_until(&t.world, counter(&t.world, "connections") == 0);
	assert_int_equal(counter(&t.world, "close_protocol"), 1);
	assert_string_equal(told(), "");
}

static void peers_of_a_unix_socket_are_trusted_by_name(void **state)
{
	static const struct crew__record_address local = { .family = AF_UNIX };
	int pair[2];
	open_with(state, &stream, proxied_by_unix);
	world_until(&t.world, counter(&t.world, "close_protocol") == 1); /* the one by TCP */
	close(t.peer);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(crew__net_adopt(&t.world.worker->net, pair[0], &local, &local), 0);
	t.peer = pair[1];
	say(HEADER "hello\n");
	assert_string_equal(told(), "open message:hello");
}

static void it_is_not_waited_for_without_end(void **state)
{
	open_with(state, &own, proxied_soon);
	say("PROXY TCP4 192");
	assert_int_equal(counter(&t.world, "connections"), 1);
	world_until(&t.world, counter(&t.world, "connections") == 0);
	assert_int_equal(counter(&t.world, "close_handshake"), 1);
	assert_string_equal(told(), "");
}

static void who_leaves_before_it(void **state)
{
	open_with(state, &stream, proxied);
	say("PROXY TCP4 192");
	shutdown(t.peer, SHUT_WR);
	world_until(&t.world, counter(&t.world, "connections") == 0);
	assert_int_equal(counter(&t.world, "close_handshake"), 1);
	assert_string_equal(told(), "");
}

/* Nothing that is meant for all connections finds it before. */
static void it_is_nobody_before(void **state)
{
	crew_shared *s = crew_shared_new(CREW_BYTES("x"));
	open_with(state, &stream, proxied);
	assert_int_equal(crew_broadcast(&stream, s), 0);
	say(HEADER);
	assert_int_equal(crew_broadcast(&stream, s), 1);
	crew_shared_unref(s);
}

static void connections_count_for_their_clients(void **state)
{
	open_with(state, &plain, proxied_few);
	int first = t.peer;
	say(HEADER);
	assert_string_equal(told(), "open");
	/* Another one of the same proxy, for the same client; and one for another. */
	t.peer = world_connect_tcp(&t.world, NULL);
	say("PROXY TCP4 192.0.2.7 192.0.2.8 4712 80\r\n");
	assert_string_equal(told(), "open");
	assert_int_equal(counter(&t.world, "refused_ip"), 1);
	assert_int_equal(counter(&t.world, "close_handshake"), 1);
	close(t.peer);
	t.peer = world_connect_tcp(&t.world, NULL);
	say("PROXY TCP4 192.0.2.6 192.0.2.8 4712 80\r\n");
	assert_string_equal(told(), "open open");
	close(t.peer);
	/* Its place is free again once it has gone. */
	close(first);
	world_until(&t.world, counter(&t.world, "connections") == 0);
	t.peer = world_connect_tcp(&t.world, NULL);
	told_anew();
	say(HEADER);
	assert_string_equal(told(), "open");
	assert_int_equal(counter(&t.world, "refused_ip"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(nobody_is_trusted_unless_told),
		ON_BOTH(who_is_not_trusted_is_not_believed),
		ON_BOTH(a_trusted_proxy_names_the_client),
		ON_BOTH(a_kept_request_still_knows),
		ON_BOTH(without_a_request),
		ON_BOTH(each_request_has_an_id_of_its_own),
		ON_BOTH(the_header_comes_first),
		ON_BOTH(with_all_behind_it_in_one_packet),
		ON_BOTH(byte_by_byte),
		ON_BOTH(version_2_and_every_protocol),
		ON_BOTH(websockets),
		ON_BOTH(a_proxy_without_a_client),
		ON_BOTH(who_begins_otherwise_is_closed),
		ON_BOTH(only_of_those_who_are_trusted),
		ON_BOTH(peers_of_a_unix_socket_are_trusted_by_name),
		ON_BOTH(it_is_not_waited_for_without_end),
		ON_BOTH(who_leaves_before_it),
		ON_BOTH(it_is_nobody_before),
		ON_BOTH(connections_count_for_their_clients),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
