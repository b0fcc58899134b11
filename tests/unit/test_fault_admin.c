/* test_fault_admin.c - the admin service inside the test's own process, before a program of one
 * worker and one connection that is made by hand: what it answers, what it says when nothing can be
 * read, and each allocation failing in turn. Each request is answered or its connection ends;
 * nothing leaks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "admin/admin.h"
#include "base/log.h"
#include "fault.h"
#include "proc/inside.h"
#include "service_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CID 0x0010000000000001

static const crew_service feed = { .name = "feed", .listen = "ws://127.0.0.1:1" };
static const crew_app app = { .name = "shop", .services = { &feed } };
static crew_service admin; /* the real one with an address, which names its protocol */

/* ---- a program ----------------------------------------------------------------------------- */

static struct {
	struct crew__settings settings;
	struct crew__registry *registry;
	struct crew__stats stats;
	unsigned kicks, sets;
	bool deaf; /* a kick does nothing */
} program;

static void kick(void *arg, const uint64_t *ids, size_t count, uid_t by,
	struct crew__handed_on *ret_handed_on)
{
	(void)arg;
	(void)by;
	*ret_handed_on = (struct crew__handed_on){ .told = (uint32_t)count };
	for (size_t i = 0; i < count && !program.deaf; i++)
		if (ids[i] == CID)
			atomic_store(&program.stats.records[0].id, 0);
	program.kicks++;
}

static int set(void *arg, const char *text, uid_t by, struct crew__handed_on *ret_handed_on,
	char *ret_error, size_t error_size)
{
	(void)arg;
	(void)by;
	*ret_handed_on = (struct crew__handed_on){ .told = 1 };
	program.sets++;
	if (strcmp(text, "feed.policy=replace") == 0)
		return 0;
	snprintf(ret_error, error_size, "there is no such setting");
	return -EINVAL;
}

static void connect_one(void)
{
	struct crew__record *record = &program.stats.records[0];
	record->state = CREW__CONN_OPEN;
	record->bytes_queued = 1000;
	record->messages_queued = 2;
	atomic_store(&program.stats.slab->slots_high, 1);
	atomic_store(&record->id, CID);
}

static void open_program(bool inside)
{
	static char token[] = "secret", dir[] = "/nonexistent/run", name[] = "shop";
	struct crew__entry *entry;
	memset(&program, 0, sizeof(program));
	program.settings = (struct crew__settings){
		.app = &app, .services = 1, .run_dir = dir, .admin_token = token, .name = name
	};
	program.settings.service[0] = (struct crew__service_settings){
		.service = &feed, .workers = 1, .max_connections = 16
	};
	assert_int_equal(
		crew__registry_new(&program.settings, "single", "epoll", &program.registry), 0);
	const struct crew__life_plan life = { .settings = &program.settings.service[0],
		.generation = 1 };
	assert_int_equal(crew__registry_begin(program.registry, &life, NULL, &entry), 0);
	crew__registry_note(program.registry, entry, getpid(), CREW__READY);
	assert_int_equal(crew__segment_stats(&entry->segment, &program.stats), 0);
	atomic_store(&program.stats.slab->state, CREW__READY);
	connect_one();
	const struct crew__control_plan plan = { .settings = &program.settings,
		.registry = program.registry,
		.kick = kick,
		.set = set };
	crew__inside_use(inside ? &plan : NULL);
	crew__settings_use(&program.settings);
}

static void close_program(void)
{
	crew__inside_use(NULL);
	crew__settings_use(NULL);
	crew__registry_free(program.registry);
}

/* ---- asking -------------------------------------------------------------------------------- */

static char heard[400000];
static size_t heard_len;

/* All that comes within the next turns. */
static void hear(struct world *world, int peer, int turns)
{
	size_t len = 0;
	for (int i = 0; i < turns; i++) {
		world_turn(world, 0);
		ssize_t got = recv(peer, heard + len, sizeof(heard) - 1 - len, MSG_DONTWAIT);
		if (got == 0)
			break;
		len += got > 0 ? (size_t)got : 0;
	}
	heard[len] = '\0';
	heard_len = len;
}

static void say(int peer, const char *method, const char *path, const char *body)
{
	char text[1024];
	int len = snprintf(text, sizeof(text),
		"%s %s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer secret\r\n"
		"Content-Length: %zu\r\n\r\n%s",
		method, path, strlen(body), body);
	assert_int_equal(send(peer, text, (size_t)len, 0), len);
}

static void open_admin(struct world *world, int *ret_peer)
{
	admin = crew__admin_service;
	admin.listen = "http://127.0.0.1:1";
	assert_true(world_open(world, &admin, CREW__ENGINE_EPOLL, NULL));
	*ret_peer = world_connect(world);
	assert_true(*ret_peer >= 0);
}

static void on_done(crew_worker *w, void *arg)
{
	(void)w;
	*(bool *)arg = true;
}

/* In good order, on_worker_stop included. */
static void close_admin(struct world *world, int peer)
{
	const struct crew__worker_stop stop = {
		.close_code = 1001, .done = on_done, .arg = &world->done
	};
	close(peer);
	world_settle(world);
	crew__worker_stop(world->worker, &stop);
	for (int i = 0; i < 100 && !world->done; i++)
		world_turn(world, 1);
	assert_true(world->done);
	world_close(world);
}

static void ask(struct world *world, int peer, const char *method, const char *path,
	const char *body, int status)
{
	char line[32];
	snprintf(line, sizeof(line), "HTTP/1.1 %d ", status);
	say(peer, method, path, body);
	hear(world, peer, 20);
	if (strncmp(heard, line, strlen(line)) != 0)
		fail_msg("%s %s: wanted %d, got: %.300s", method, path, status, heard);
}

static void assert_heard(const char *words)
{
	if (!strstr(heard, words))
		fail_msg("\"%s\" is not in: %.2000s", words, heard);
}

/* ---- without faults ------------------------------------------------------------------------ */

static void what_it_answers(void **state)
{
	struct world world;
	int peer;
	(void)state;
	open_program(true);
	open_admin(&world, &peer);
	ask(&world, peer, "GET", "/metrics", "", 200);
	assert_heard("crew_connections_open{service=\"feed\",worker=\"0\"} ");
	ask(&world, peer, "GET", "/health/live", "", 200);
	ask(&world, peer, "GET", "/health/ready", "", 200);
	ask(&world, peer, "GET", "/api/status", "", 200);
	assert_heard("\"mode\":\"single\"");
	ask(&world, peer, "GET", "/api/connections", "", 200);
	assert_heard("\"id\":\"0010000000000001\"");
	ask(&world, peer, "GET", "/api/connections?closed=1", "", 200);
	ask(&world, peer, "GET", "/api/explain?id=001", "", 200);
	ask(&world, peer, "GET", "/api/events", "", 200);
	ask(&world, peer, "POST", "/api/set", "{\"set\":\"feed.policy=replace\"}", 200);
	ask(&world, peer, "POST", "/api/set", "{\"set\":\"feed.police=replace\"}", 400);
	assert_heard("there is no such setting");
	assert_int_equal(program.sets, 2);
	close_admin(&world, peer);
	close_program();
}

static void wait_answer(struct world *world, int peer, int ms)
{
	heard[0] = '\0';
	for (int i = 0; i < ms / 20 && !heard[0]; i++) {
		usleep(20000);
		hear(world, peer, 2);
	}
}

static void a_kick_is_looked_after(void **state)
{
	struct world world;
	int peer;
	(void)state;
	open_program(true);
	open_admin(&world, &peer);
	say(peer, "POST", "/api/kick", "{\"id\":\"001\"}");
	wait_answer(&world, peer, 4000);
	assert_heard("HTTP/1.1 200 ");
	assert_heard("{\"kicked\":1,\"ids\":[\"0010000000000001\"],\"left\":[]}");
	connect_one();
	program.deaf = true;
	usleep(300000); /* until it is looked anew */
	say(peer, "POST", "/api/kick", "{\"id\":\"001\"}");
	wait_answer(&world, peer, 8000);
	assert_heard("HTTP/1.1 504 ");
	assert_heard(
		"{\"kicked\":0,\"ids\":[\"0010000000000001\"],\"left\":[\"0010000000000001\"]}");
	assert_int_equal(program.kicks, 2);
	close_admin(&world, peer);
	close_program();
}

/* Who asked goes, and then the worker: what was looked after ends with them. */
static void a_kick_that_nobody_waits_for(void **state)
{
	struct world world;
	int peer;
	(void)state;
	open_program(true);
	program.deaf = true;
	open_admin(&world, &peer);
	say(peer, "POST", "/api/kick", "{\"id\":\"001\"}");
	hear(&world, peer, 10);
	assert_int_equal(program.kicks, 1);
	close_admin(&world, peer);
	close_program();
}

static void nothing_can_be_read(void **state)
{
	static const char *const paths[] = { "/metrics", "/health/ready", "/api/status",
		"/api/connections", "/api/connections?closed=1", "/api/explain?id=1",
		"/api/events" };
	struct world world;
	int peer;
	(void)state;
	open_program(false);
	open_admin(&world, &peer);
	for (size_t i = 0; i < crew__lengthof(paths); i++) {
		ask(&world, peer, "GET", paths[i], "", 503);
		assert_heard("not running (run directory /nonexistent/run)");
	}
	ask(&world, peer, "POST", "/api/kick", "{\"verdict\":\"network\"}", 503);
	ask(&world, peer, "POST", "/api/set", "{\"set\":\"feed.policy=replace\"}", 503);
	ask(&world, peer, "GET", "/health/live", "", 200); /* it turns */
	ask(&world, peer, "GET", "/", "", 200);
	close_admin(&world, peer);
	close_program();
}

static void open_viewer(int peer)
{
	static const char shake[] =
		"GET /live HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
	assert_int_equal(send(peer, shake, sizeof(shake) - 1, 0), sizeof(shake) - 1);
}

/* Heads of frames may hold NULs. */
static void assert_seen(const char *words)
{
	assert_non_null(memmem(heard, heard_len, words, strlen(words)));
}

static void a_viewer_sees(void **state)
{
	struct world world;
	int peer;
	(void)state;
	open_program(true);
	open_admin(&world, &peer);
	open_viewer(peer);
	hear(&world, peer, 20);
	assert_heard("HTTP/1.1 101 ");
	assert_seen("\"may_act\":true,\"status\":{\"app\":\"shop\"");
	assert_seen("\"slowest\":[\n{\"id\":\"0010000000000001\"");
	assert_seen("\"stages\":{\"budget\":0,");
	close_admin(&world, peer);
	close_program();
}

/* ---- without memory ------------------------------------------------------------------------ */

static const struct {
	const char *method, *path, *body;
} requests[] = {
	{ "GET", "/metrics", "" },
	{ "GET", "/health/ready", "" },
	{ "GET", "/api/status", "" },
	{ "GET", "/api/connections?slowest=3", "" },
	{ "GET", "/api/connections?closed=1", "" },
	{ "GET", "/api/explain?id=001", "" },
	{ "GET", "/api/events", "" },
	{ "POST", "/api/kick", "{\"id\":\"001\"}" },
	{ "POST", "/api/set", "{\"set\":\"feed.policy=replace\"}" },
};

static bool without_memory(size_t request, unsigned n, bool lasting)
{
	struct world world;
	int peer;
	open_program(true);
	program.deaf = true; /* a kick that goes on being looked after */
	open_admin(&world, &peer);
	say(peer, requests[request].method, requests[request].path, requests[request].body);
	fault_set(FAULT_MEMORY, n, lasting);
	hear(&world, peer, 10);
	bool hit = fault_hit();
	fault_set(FAULT_NONE, 0, false);
	char byte;
	bool ended = recv(peer, &byte, 1, MSG_DONTWAIT) == 0;
	bool waits = program.kicks > 0;
	/* A query for which there is no memory is as one that is not there: 400. */
	bool refused = hit && (heard[9] == '5' || strncmp(heard, "HTTP/1.1 400", 12) == 0);
	bool good = heard[0] ? refused || strncmp(heard, "HTTP/1.1 200", 12) == 0 : ended || waits;
	if (!good)
		fail_msg("%s, allocation %u: %.300s", requests[request].path, n, heard);
	close_admin(&world, peer);
	close_program();
	return hit;
}

static void each_allocation_fails(void **state)
{
	(void)state;
	for (size_t request = 0; request < crew__lengthof(requests); request++) {
		unsigned n = 1;
		for (bool once = true, lasting = true; once || lasting; n++) {
			once = without_memory(request, n, false);
			lasting = without_memory(request, n, true);
			assert_true(n < 1000);
		}
		assert_true(n > 2);
	}
}

static bool views_without_memory(unsigned n, bool lasting)
{
	struct world world;
	int peer;
	open_program(true);
	open_admin(&world, &peer);
	open_viewer(peer);
	fault_set(FAULT_MEMORY, n, lasting);
	hear(&world, peer, 10);
	bool hit = fault_hit();
	fault_set(FAULT_NONE, 0, false);
	close_admin(&world, peer);
	close_program();
	return hit;
}

static void views_are_left_out(void **state)
{
	(void)state;
	unsigned n = 1;
	for (bool once = true, lasting = true; once || lasting; n++) {
		once = views_without_memory(n, false);
		lasting = views_without_memory(n, true);
		assert_true(n < 1000);
	}
	assert_true(n > 2);
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_it_answers),
		cmocka_unit_test(a_kick_is_looked_after),
		cmocka_unit_test(a_kick_that_nobody_waits_for),
		cmocka_unit_test(nothing_can_be_read),
		cmocka_unit_test(a_viewer_sees),
		cmocka_unit_test(each_allocation_fails),
		cmocka_unit_test(views_are_left_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
