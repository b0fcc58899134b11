/* Outgoing connections over streams: they stand, they fail, they are ended in every state. */
#include "connect_ways.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static const crew_service worker_service = { .name = "worker", .listen = "tcp://:1" };
static enum crew__engine_kind engine = CREW__ENGINE_AUTO;

static struct world world;

static int open_it(void **state)
{
	(void)state;
	hear_nothing();
	return world_open(&world, &worker_service, engine, NULL) ? 0 : -1;
}

static int close_it(void **state)
{
	(void)state;
	world_close(&world);
	return 0;
}

static crew_conn *connect_to(const char *url)
{
	static int arg;
	const crew_connect_options options = { .service = &ways_service, .arg = &arg };
	crew_conn *c = crew_connect(url, &options);
	assert_non_null(c);
	assert_ptr_equal(crew_arg(c), &arg);
	return c;
}

static uint64_t counter(const char *name)
{
	return crew_worker_counter(world.worker, name);
}

/* ---- it stands ----------------------------------------------------------------------------- */

static void it_stands_and_speaks(void **state)
{
	(void)state;
	char url[64], text[64];
	int listener = listen_here("tcp", url);
	crew_conn *c = connect_to(url);
	assert_int_equal(c->record->state, CREW__CONN_HANDSHAKE);
	assert_ptr_equal(crew_find(crew_id(c)), c);
	assert_ptr_equal(crew_worker_of(c), world.worker);
	assert_ptr_equal(crew_service_of(c), &ways_service);
	assert_int_equal(crew_fd(c), -ENOTCONN);
	memset(crew_data(c), 7, 32);
	assert_int_equal(crew_send(c, CREW_BYTES("early ")), 6);
	int peer = take_peer(&world, listener);
	wait_heard(&world, "open");
	assert_int_equal(c->record->state, CREW__CONN_OPEN);
	crew_remote(c, text, sizeof(text));
	assert_string_equal(text, url + 6);
	assert_true(crew_local(c, text, sizeof(text)) > 10);
	assert_true(crew_send(c, CREW_BYTES("late")) >= 0);
	expect_bytes(&world, peer, "early late", 10);
	put_bytes(peer, "hello", 5);
	wait_heard(&world, "open msg:hello");
	assert_int_equal(crew_close(c), 0);
	close(peer);
	wait_heard(&world, "open msg:hello close:app");
	assert_string_equal(heard.why, "");
	assert_int_equal(counter("messages_sent"), 2);
	assert_int_equal(counter("connections_total"), 1);
	close(listener);
}

static void what_is_sent_before_leaves_in_order_and_ends(void **state)
{
	(void)state;
	char url[64];
	int listener = listen_here("text", url);
	crew_conn *c = connect_to(url);
	crew_send(c, CREW_BYTES("a"));
	crew_send(c, CREW_BYTES("b"));
	assert_int_equal(crew_finish(c), 0);
	assert_int_equal(crew_send(c, CREW_BYTES("c")), -ENOTCONN);
	int peer = take_peer(&world, listener);
	expect_bytes(&world, peer, "a\nb\n", 4);
	char byte;
	WAIT(&world, recv(peer, &byte, 1, 0) == 0);
	put_bytes(peer, "x\ny\n", 4);
	WAIT(&world, strstr(heard.words, "msg:y"));
	close(peer);
	WAIT(&world, heard.closes == 1);
	assert_string_equal(heard.words, "lost:closed:1 open msg:x msg:y close:peer");
	close(listener);
}

static void finishing_before_it_stands_ends_our_side_then(void **state)
{
	(void)state;
	char url[64], byte;
	int listener = listen_here("tcp", url);
	crew_conn *c = connect_to(url);
	assert_int_equal(crew_finish(c), 0);
	int peer = take_peer(&world, listener);
	WAIT(&world, recv(peer, &byte, 1, 0) == 0);
	put_bytes(peer, "x", 1);
	WAIT(&world, strstr(heard.words, "msg:x"));
	close(peer);
	wait_heard(&world, "open msg:x close:peer");
	close(listener);
}

static void a_paused_one_stands_and_hears_nothing(void **state)
{
	(void)state;
	char url[64];
	int listener = listen_here("tcp", url);
	crew_conn *c = connect_to(url);
	assert_int_equal(crew_pause(c), 0);
	int peer = take_peer(&world, listener);
	put_bytes(peer, "hi", 2);
	wait_heard(&world, "open");
	crew_resume(c);
	wait_heard(&world, "open msg:hi");
	close(peer);
	WAIT(&world, heard.closes == 1);
	close(listener);
}

/* What waits for it is the worker's: one sum, one budget. */
static void its_queue_counts_with_the_workers(void **state)
{
	(void)state;
	char url[64];
	static const char much[50000];
	int listener = listen_here("tcp", url);
	crew_conn *c = connect_to(url);
	while (crew_send(c, (crew_bytes){ much, sizeof(much) }) > 0)
		;
	size_t queued = crew_queued(c);
	world_turn(&world, 0);
	assert_true(queued >= sizeof(much));
	assert_true(counter("bytes_held") >= queued);
	assert_true(crew__net_held(&world.worker->net) >= queued);
	assert_int_equal(crew_abort(c), 0);
	WAIT(&world, heard.closes == 1);
	WAIT(&world, counter("bytes_held") == 0);
	close(listener);
}

/* Its idleness counts from when it stands, not from crew_connect(). */
static void it_is_not_idle_before_it_stands(void **state)
{
	(void)state;
	char url[64];
	int listener = listen_here("tcp", url);
	crew_service service = ways_service;
	service.idle_timeout_ms = 60;
	const crew_connect_options options = { .service = &service };
	crew_conn *c = crew_connect(url, &options);
	assert_non_null(c);
	c->record->last_in = (uint32_t)-100; /* as if it had connected for a second */
	c->record->last_out = (uint32_t)-100;
	int peer = take_peer(&world, listener);
	WAIT(&world, heard.opens == 1);
	world_settle(&world);
	assert_int_equal(heard.closes, 0);
	WAIT(&world, strstr(heard.words, "close:idle"));
	close(peer);
	close(listener);
}

static crew_conn *abort_in_watch;
static unsigned abort_in_turn;

static void on_watch(int fd, unsigned events, void *arg)
{
	(void)events;
	unsigned *calls = arg;
	if (++*calls != abort_in_turn)
		return;
	crew_abort(abort_in_watch);
	crew_watch(fd, 0, NULL, NULL);
}

/* The program ends it in each of the first turns: in one of them its socket connects, which is told
 * after the program's own event. */
static void ending_it_in_the_turn_in_which_it_connects(void **state)
{
	(void)state;
	bool opened = false;
	for (abort_in_turn = 1; !opened; abort_in_turn++) {
		char url[64];
		int pipes[2], listener = listen_here("tcp", url);
		unsigned calls = 0;
		hear_nothing();
		assert_int_equal(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
		assert_int_equal(write(pipes[1], "x", 1), 1);
		assert_int_equal(crew_watch(pipes[0], CREW_READ, on_watch, &calls), 0);
		abort_in_watch = connect_to(url);
		WAIT(&world, heard.closes == 1);
		opened = heard.opens == 1;
		assert_string_equal(heard.words, opened ? "open close:app" : "close:app");
		assert_int_equal(calls, abort_in_turn);
		close(pipes[0]);
		close(pipes[1]);
		close(listener);
	}
	assert_in_range(abort_in_turn, 3, 20);
}

static void each_and_broadcast_reach_those_that_stand(void **state)
{
	(void)state;
	char url[64], other[96];
	int listener = listen_here("text", url);
	snprintf(other, sizeof(other), "frame%s", url + 4);
	connect_to(url);
	connect_to(other);
	crew_shared *s = crew_shared_new(CREW_BYTES("all"));
	assert_int_equal(crew_broadcast(&ways_service, s), 0);
	int one = take_peer(&world, listener), two = take_peer(&world, listener);
	WAIT(&world, heard.opens == 2);
	int accepted = world_connect(&world); /* of the worker itself: it gets nothing of this */
	assert_int_equal(crew_broadcast(&ways_service, s), 2);
	world_settle(&world);
	char got[2][16] = { "", "" };
	assert_int_equal(recv(one, got[0], 16, 0) + recv(two, got[1], 16, 0), 4 + 7);
	assert_int_equal(recv(accepted, got[0], 16, 0), -1);
	assert_int_equal(crew_broadcast(&worker_service, s), 1);
	crew_shared_unref(s);
	close(one);
	close(two);
	close(accepted);
	close(listener);
	world_settle(&world);
}

/* ---- it does not --------------------------------------------------------------------------- */

static void a_refusal_loses_what_waited(void **state)
{
	(void)state;
	char url[64];
	nobody_listens("tcp", url);
	crew_conn *c = connect_to(url);
	crew_send(c, CREW_BYTES("a"));
	crew_send(c, CREW_BYTES("b"));
	wait_heard(&world, "lost:handshake:2 close:handshake");
	assert_non_null(strstr(heard.why, "127.0.0.1"));
	assert_int_equal(counter("fail_handshake"), 2);
	assert_int_equal(counter("close_handshake"), 1);
}

static void the_queue_has_its_limit_before_it_stands(void **state)
{
	(void)state;
	char url[64];
	int listener = listen_here("tcp", url);
	crew_conn *c = connect_to(url);
	static char big[64 * 1024];
	assert_true(crew_send(c, (crew_bytes){ big, sizeof(big) }) > 0);
	assert_int_equal(crew_send(c, CREW_BYTES("x")), -ENOBUFS);
	int peer = take_peer(&world, listener);
	WAIT(&world, heard.opens == 1);
	assert_int_equal(heard.lost[CREW_LOST_HANDSHAKE], 1);
	close(peer);
	WAIT(&world, heard.closes == 1);
	close(listener);
}

/* Limits of the service hold before it stands as well, and are told as what they are. */
static void limits_hold_before_it_stands(void **state)
{
	(void)state;
	char url[64];
	int listener = listen_here("tcp", url);
	crew_service service = ways_service;
	service.policy = CREW_DISCONNECT;
	const crew_connect_options options = { .service = &service };
	static char big[64 * 1024];
	crew_conn *c = crew_connect(url, &options);
	assert_non_null(c);
	assert_true(crew_send(c, (crew_bytes){ big, sizeof(big) }) > 0);
	assert_true(crew_send(c, CREW_BYTES("x")) < 0);
	WAIT(&world, heard.closes == 1);
	world_settle(&world);
	assert_non_null(strstr(heard.words, "close:full"));
	assert_non_null(strstr(heard.why, "(full)"));
	close(listener);
}

static void mistakes_are_told_at_once(void **state)
{
	(void)state;
	const crew_service listens = { .name = "x", .listen = "tcp://:2" };
	const crew_service nameless = { .conn_size = 1 };
	const crew_service odd = { .name = "x", .max_message = -7 };
	const struct {
		const char *url;
		crew_connect_options options;
	} cases[] = {
		{ NULL, { .service = &ways_service } },
		{ "tcp://127.0.0.1", { .service = &ways_service } },
		{ "tcp://127.0.0.1:1", { .service = NULL } },
		{ "tcp://127.0.0.1:1", { .service = &listens } },
		{ "tcp://127.0.0.1:1", { .service = &nameless } },
		{ "tcp://127.0.0.1:1", { .service = &odd } },
		{ "tcp://127.0.0.1:1", { .service = &ways_service, .proxy = "what://x" } },
		{ "tcp://127.0.0.1:1", { .service = &ways_service, .local = "here" } },
		{ "tls://127.0.0.1:1", { .service = &ways_service, .tls_ca = "/not/there" } },
	};
	for (size_t i = 0; i < crew__lengthof(cases); i++) {
		errno = 0;
		assert_null(crew_connect(cases[i].url, &cases[i].options));
		assert_int_equal(errno, EINVAL);
	}
	errno = 0;
	assert_null(crew_connect("tcp://127.0.0.1:1", NULL));
	assert_int_equal(errno, EINVAL);
	assert_int_equal(counter("connections_total"), 0);
	assert_null(crew_arg(NULL));
	assert_null(crew_connect_error(NULL));
}

static void there_are_no_more_than_max_connections(void **state)
{
	(void)state;
	char url[64];
	int listener = listen_here("tcp", url);
	crew_service one = ways_service;
	one.max_connections = 1;
	const crew_connect_options options = { .service = &one };
	crew_conn *c = crew_connect(url, &options);
	assert_non_null(c);
	errno = 0;
	assert_null(crew_connect(url, &options));
	assert_int_equal(errno, EMFILE);
	crew_abort(c);
	world_settle(&world);
	assert_non_null(crew_connect(url, &options));
	for (int i = 0; i < 63; i++) /* the worker's slots */
		connect_to(url);
	const crew_connect_options more = { .service = &ways_service };
	errno = 0;
	assert_null(crew_connect(url, &more));
	assert_int_equal(errno, EMFILE);
	world_close(&world); /* all of them connecting: a client's service outlives its worker */
	assert_true(world_open(&world, &worker_service, engine, NULL));
	close(listener);
}

/* ---- ended in every state ------------------------------------------------------------------ */

enum moment {
	AT_ONCE,
	DIALLING,
	OPEN
};

static crew_conn *bring_to(enum moment moment, const char *url, int listener, int *ret_peer)
{
	crew_conn *c = connect_to(url);
	*ret_peer = -1;
	crew_send(c, CREW_BYTES("x"));
	if (moment == DIALLING)
		world_turn(&world, 0);
	if (moment == OPEN) {
		*ret_peer = take_peer(&world, listener);
		WAIT(&world, heard.opens == 1);
	}
	return c;
}

static void closing_and_aborting_at_every_moment(void **state)
{
	(void)state;
	for (int moment = AT_ONCE; moment <= OPEN; moment++) {
		for (int abort = 0; abort < 2; abort++) {
			char url[64];
			int peer, listener = listen_here("tcp", url);
			hear_nothing();
			crew_conn *c = bring_to((enum moment)moment, url, listener, &peer);
			uint64_t id = crew_id(c);
			assert_int_equal(abort ? crew_abort(c) : crew_close(c), 0);
			if (peer >= 0)
				close(peer);
			WAIT(&world, heard.closes == 1);
			world_settle(&world);
			const char *words = moment == OPEN ? "open close:app"
							   : "lost:aborted:1 close:app";
			assert_string_equal(heard.words, words);
			assert_true(moment == OPEN ? heard.why[0] == '\0' : heard.why[0] != '\0');
			assert_null(crew_find(id));
			close(listener);
		}
	}
	assert_int_equal(counter("connections"), 0);
}

static void stopping_at_every_moment(void **state)
{
	(void)state;
	for (int moment = AT_ONCE; moment <= OPEN; moment++) {
		for (int graceful = 0; graceful < 2; graceful++) {
			char url[64];
			int peer, listener = listen_here("tcp", url);
			hear_nothing();
			bring_to((enum moment)moment, url, listener, &peer);
			if (peer >= 0)
				close(peer);
			world.done = false;
			stop_world(&world, graceful);
			assert_int_equal(heard.closes, 1);
			assert_null(crew_connect(
				url, &(crew_connect_options){ .service = &ways_service }));
			assert_int_equal(errno, ENOTCONN);
			world_close(&world);
			assert_true(world_open(&world, &worker_service, engine, NULL));
			close(listener);
		}
	}
}

static void a_worker_is_freed_at_every_moment(void **state)
{
	(void)state;
	for (int moment = AT_ONCE; moment <= OPEN; moment++) {
		char url[64];
		int peer, listener = listen_here("tcp", url);
		hear_nothing();
		bring_to((enum moment)moment, url, listener, &peer);
		world_close(&world);
		assert_int_equal(heard.closes, 1);
		if (peer >= 0)
			close(peer);
		assert_true(world_open(&world, &worker_service, engine, NULL));
		close(listener);
	}
}

/* What we opened for those who came does not keep a worker that they have left. */
static void a_drain_does_not_wait_for_outgoing_ones(void **state)
{
	(void)state;
	char url[64];
	int listener = listen_here("tcp", url);
	connect_to(url);
	int peer = take_peer(&world, listener), client = world_connect(&world);
	WAIT(&world, heard.opens == 1);
	const struct crew__worker_stop stop = {
		.graceful = true, .window_ms = 60000, .done = NULL
	};
	crew__worker_stop(world.worker, &stop);
	world_settle(&world);
	assert_int_equal(heard.closes, 0); /* it serves somebody */
	assert_int_equal(counter("connections"), 2);
	close(client);
	char byte;
	WAIT(&world, recv(peer, &byte, 1, 0) == 0);
	assert_int_equal(counter("close_drain") + counter("connections"), 1);
	close(peer);
	world.worker->departure.order.done = NULL;
	close(listener);
}

static const char *end_at;
static bool end_by_abort;

static void end_it(crew_conn *c, const char *word)
{
	if (strncmp(word, end_at, strlen(end_at)) != 0)
		return;
	if (end_by_abort)
		crew_abort(c);
	else
		crew_close(c);
}

static void closing_in_every_callback(void **state)
{
	(void)state;
	static const char *const words[] = { "open", "msg", "lost", "close" };
	for (size_t i = 0; i < crew__lengthof(words) * 2; i++) {
		char url[64];
		int listener = listen_here("tcp", url);
		hear_nothing();
		end_at = words[i / 2];
		end_by_abort = i % 2;
		on_heard = end_it;
		crew_conn *c = connect_to(url);
		int peer = take_peer(&world, listener);
		put_bytes(peer, "hi", 2);
		WAIT(&world, heard.opens == 1);
		if (heard.last) {
			crew_finish(c);
			crew_send(c, CREW_BYTES("x")); /* lost: closed */
		}
		world_settle(&world);
		close(peer);
		WAIT(&world, heard.closes == 1);
		world_settle(&world);
		assert_int_equal(heard.closes, 1);
		close(listener);
	}
}

/* ---- again --------------------------------------------------------------------------------- */

static crew_conn *connect_again(const char *url)
{
	const crew_connect_options options = { .service = &ways_service,
		.retry_ms = 5,
		.retry_most_ms = 20,
		.on_retry = heard_retry };
	crew_conn *c = crew_connect(url, &options);
	assert_non_null(c);
	return c;
}

static void it_comes_back(void **state)
{
	(void)state;
	char url[64];
	int listener = listen_here("tcp", url);
	crew_conn *first = connect_again(url);
	uint64_t id = crew_id(first);
	for (unsigned i = 1; i <= 5; i++) {
		int peer = take_peer(&world, listener);
		WAIT(&world, heard.opens == i);
		close(peer);
		WAIT(&world, heard.retries == i);
		assert_non_null(heard.last); /* in the turn in which the other one ended */
		assert_int_equal(heard.last->record->state, CREW__CONN_HANDSHAKE);
		assert_true(crew_id(heard.last) != id);
		id = crew_id(heard.last);
		assert_true(crew_send(heard.last, CREW_BYTES("x")) > 0);
		assert_int_equal(((const char *)crew_data(heard.last))[0], 0);
	}
	int peer = take_peer(&world, listener);
	expect_bytes(&world, peer, "x", 1);
	assert_int_equal(crew_close(heard.last), 0); /* by the program: no more */
	close(peer);
	WAIT(&world, heard.closes == 6);
	world_settle(&world);
	assert_int_equal(heard.retries, 5);
	assert_int_equal(counter("connections"), 0);
	close(listener);
}

static void it_tries_on_while_nobody_listens(void **state)
{
	(void)state;
	char url[64];
	nobody_listens("tcp", url);
	connect_again(url);
	WAIT(&world, heard.retries == 8);
	assert_int_equal(heard.opens, 0);
	assert_int_equal(heard.closes, 8);
	assert_int_equal(crew_abort(heard.last), 0);
	world_settle(&world);
	assert_int_equal(heard.retries, 8);
	assert_int_equal(heard.closes, 9);
}

static void end_the_retry(crew_conn *c, const char *word)
{
	if (strcmp(word, "retry") == 0 && end_by_abort)
		crew_abort(c);
	else if (strcmp(word, "retry") == 0)
		crew_close(c);
}

static void closing_when_it_is_tried_again(void **state)
{
	(void)state;
	for (int abort = 0; abort < 2; abort++) {
		char url[64];
		hear_nothing();
		nobody_listens("tcp", url);
		on_heard = end_the_retry;
		end_by_abort = abort;
		connect_again(url);
		WAIT(&world, heard.closes == 2);
		for (int i = 0; i < 20; i++)
			world_turn(&world, 2);
		assert_string_equal(heard.words, "close:handshake retry close:app");
	}
}

static void a_stop_ends_what_waits_to_be_tried(void **state)
{
	(void)state;
	for (int graceful = 0; graceful < 2; graceful++) {
		char url[64];
		hear_nothing();
		nobody_listens("tcp", url);
		const crew_connect_options options = { .service = &ways_service,
			.retry_ms = 100000,
			.retry_most_ms = 100000,
			.on_retry = heard_retry };
		assert_non_null(crew_connect(url, &options));
		WAIT(&world, heard.retries == 1);
		world.done = false;
		stop_world(&world, graceful);
		assert_string_equal(heard.words, "close:handshake retry close:drain");
		world_close(&world);
		assert_true(world_open(&world, &worker_service, engine, NULL));
	}
}

/* A full table: the next attempt comes when there is room. */
static void it_waits_for_room(void **state)
{
	(void)state;
	char url[64], quiet[64];
	int listener = listen_here("tcp", url), other = listen_here("tcp", quiet);
	crew_service only = ways_service;
	only.max_connections = 2;
	const crew_connect_options options = {
		.service = &only, .retry_ms = 1, .retry_most_ms = 1, .on_retry = heard_retry
	};
	const crew_connect_options once = { .service = &only };
	crew_conn *c = crew_connect(url, &options);
	assert_non_null(c);
	int peer = take_peer(&world, listener);
	WAIT(&world, heard.opens == 1);
	crew_conn *blocker = crew_connect(quiet, &once);
	assert_non_null(blocker);
	int held = take_peer(&world, other);
	WAIT(&world, heard.opens == 2);
	/* The one that ends still counts in its own on_close: two others would be one too many. */
	close(peer);
	WAIT(&world, heard.closes == 1);
	WAIT(&world, heard.opens == 3);
	assert_int_equal(heard.retries, 1);
	close(held);
	crew_abort(heard.last);
	WAIT(&world, heard.closes == 3);
	close(listener);
	close(other);
}

static int start_nothing(crew_worker *w)
{
	(void)w;
	return 0;
}

/* What the service says and nobody would ever hear of. */
static void a_service_that_listens_is_refused(void **state)
{
	(void)state;
	static const crew_route routes[] = { { .path = NULL } };
	crew_service services[] = { ways_service, ways_service, ways_service, ways_service,
		ways_service };
	services[0].listen = "tcp://127.0.0.1:1";
	services[1].tls_cert = "cert.pem";
	services[2].tls_client_ca = "ca.pem";
	services[3].on_worker_start = start_nothing;
	services[4].routes = routes;
	for (size_t i = 0; i < crew__lengthof(services); i++) {
		const crew_connect_options options = { .service = &services[i] };
		errno = 0;
		assert_null(crew_connect("tcp://127.0.0.1:1", &options));
		assert_int_equal(errno, EINVAL);
	}
	assert_int_equal(counter("connections"), 0);
}

static int on_poll(void **state)
{
	(void)state;
	engine = CREW__ENGINE_POLL;
	return 0;
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, open_it, close_it)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_stands_and_speaks),
		TEST(what_is_sent_before_leaves_in_order_and_ends),
		TEST(finishing_before_it_stands_ends_our_side_then),
		TEST(a_paused_one_stands_and_hears_nothing),
		TEST(its_queue_counts_with_the_workers),
		TEST(it_is_not_idle_before_it_stands),
		TEST(ending_it_in_the_turn_in_which_it_connects),
		TEST(each_and_broadcast_reach_those_that_stand),
		TEST(a_refusal_loses_what_waited),
		TEST(the_queue_has_its_limit_before_it_stands),
		TEST(limits_hold_before_it_stands),
		TEST(mistakes_are_told_at_once),
		TEST(there_are_no_more_than_max_connections),
		TEST(closing_and_aborting_at_every_moment),
		TEST(stopping_at_every_moment),
		TEST(a_worker_is_freed_at_every_moment),
		TEST(a_drain_does_not_wait_for_outgoing_ones),
		TEST(closing_in_every_callback),
		TEST(it_comes_back),
		TEST(it_tries_on_while_nobody_listens),
		TEST(closing_when_it_is_tried_again),
		TEST(a_stop_ends_what_waits_to_be_tried),
		TEST(it_waits_for_room),
		TEST(a_service_that_listens_is_refused),
	};
	int failed = cmocka_run_group_tests_name("epoll", tests, NULL, NULL);
	return failed + cmocka_run_group_tests_name("poll", tests, on_poll, NULL);
}
