/* What is printed of the model of `status`: JSON and text. */
#include "status_world.h"

#include "base/clock.h"
#include "cli/screen.h"

#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- JSON ---------------------------------------------------------------------------------- */

static json_t *json_of(const struct crew__status *status, bool compact)
{
	char *text = NULL;
	size_t size = 0;
	json_error_t error;
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	assert_int_equal(crew__status_json(status, compact, out), 0);
	assert_int_equal(fclose(out), 0);
	if (compact)
		assert_ptr_equal(strchr(text, '\n'), text + size - 1);
	json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, &error);
	if (!json)
		fail_msg("%s in %s", error.text, text);
	free(text);
	return json;
}

static json_int_t number_of(const json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);
	if (!json_is_integer(value))
		fail_msg("'%s' is no integer", key);
	return json_integer_value(value);
}

static const char *string_of(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));
	if (!value)
		fail_msg("'%s' is no string", key);
	return value;
}

/* Every key of a counter, and every reason, whatever its value; and no key but those. */
static void assert_counters(const json_t *object, size_t further)
{
	static const char *const plain[] = { "connections", "connections_total", "timers",
		"total_request", "messages_offered", "messages_sent", "messages_queued",
		"messages_replaced", "bytes_in", "bytes_out", "bytes_queued", "send_fail",
		"send_invalid", "accept_failed", "refused_limit", "refused_ip", "accepted",
		"refused_rate", "accept_overflow", "standing_back",
		"tls_handshakes_cut", "refused_budget", "budget_tightened", "budget_paused",
		"budget_cut", "bytes_held", "slow", "slow_total", "gaps", "access_log_lost", "log_lost",
		"recycled",
		"requests_malformed", "requests_too_large", "requests_too_slow",
		"datagrams_dropped", "datagrams_truncated", "fetching", "fetches", "fetch_failed",
		"offload_queued", "offload_running", "offload_offered", "offload_done",
		"offload_refused", "offload_late", "offload_canceled", "offload_left",
		"slow_callbacks", "stuck_killed", "handed_over", "taken_over",
		"messages_handed_over", "messages_taken_over", "handover_kept", "memory_bytes",
		"qps", "orders", "refunds" };
	static const char *const lost[] = { "closed", "reset", "aborted", "full", "handshake",
		"expired", "evicted", "deadline", "memory", "crash" };
	static const char *const ended[] = { "peer", "reset", "app", "idle", "handshake",
		"heartbeat", "protocol", "deadline", "full", "memory", "kicked", "drain", "crash" };
	const json_t *fails = json_object_get(object, "send_fail_by_reason");
	const json_t *closes = json_object_get(object, "closes_by_reason");
	for (size_t i = 0; i < crew__lengthof(plain); i++)
		number_of(object, plain[i]);
	for (size_t i = 0; i < crew__lengthof(lost); i++)
		number_of(fails, lost[i]);
	for (size_t i = 0; i < crew__lengthof(ended); i++)
		number_of(closes, ended[i]);
	assert_int_equal(json_object_size(object), crew__lengthof(plain) + 2 + further);
	assert_int_equal(json_object_size(fails), crew__lengthof(lost));
	assert_int_equal(json_object_size(closes), crew__lengthof(ended));
}

static void json_has_every_key(void **state)
{
	struct world *w = *state;
	struct crew__slab *slab = world_add(w, world_life(1, 0, 0, getpid()), world_app.counters);
	world_work(slab, 1);
	atomic_store(&slab->callback, CREW__CB_TIMER);
	atomic_store(&slab->turn_began_ns, w->now_ns - CREW__NS_PER_S);
	world_add(w, world_life(2, 1, 0, getpid()), world_app.counters);
	struct crew__status *status = world_take(w);
	json_t *json = json_of(status, false);
	assert_int_equal(json_object_size(json), 17);
	assert_string_equal(string_of(json, "app"), "shop");
	assert_string_equal(string_of(json, "version"), "1.2");
	assert_int_equal(number_of(json, "pid"), getpid());
	assert_string_equal(string_of(json, "mode"), "daemon");
	assert_string_equal(string_of(json, "master"), "answers");
	assert_true(json_is_number(json_object_get(json, "uptime_s")));
	assert_string_equal(string_of(json, "engine"), "epoll");
	assert_int_equal(number_of(json, "generation"), 1);
	assert_true(json_is_true(json_object_get(json, "consistent")));
	assert_int_equal(json_array_size(json_object_get(json, "load")), 3);
	const json_t *workers = json_object_get(json, "workers");
	assert_int_equal(json_array_size(workers), 2);
	const json_t *worker = json_array_get(workers, 0);
	assert_counters(worker, 17);
	assert_string_equal(string_of(worker, "service"), "feed");
	assert_int_equal(number_of(worker, "id"), 0);
	assert_int_equal(number_of(worker, "pid"), getpid());
	assert_int_equal(number_of(worker, "generation"), 1);
	assert_string_equal(string_of(worker, "state"), "busy");
	assert_string_equal(string_of(worker, "listen"), "ws://:7010");
	assert_int_equal(number_of(worker, "busy_ms"), 1000);
	assert_non_null(string_of(worker, "busy_in"));
	assert_true(json_is_null(json_object_get(worker, "tls")));
	const json_t *offload = json_object_get(worker, "offload");
	assert_int_equal(json_object_size(offload), 3);
	assert_true(json_is_null(json_object_get(offload, "job")));
	assert_int_equal(number_of(offload, "job_ms"), 0);
	assert_int_equal(number_of(offload, "longest_wait_ms"), 0);
	assert_int_equal(number_of(worker, "orders"), 7);
	assert_int_equal(number_of(json_object_get(worker, "send_fail_by_reason"), "full"), 4);
	assert_int_equal(number_of(json_object_get(worker, "closes_by_reason"), "peer"), 1);
	worker = json_array_get(workers, 1);
	assert_true(json_is_null(json_object_get(worker, "busy_in")));
	assert_int_equal(number_of(worker, "busy_ms"), 0);
	assert_counters(json_object_get(json, "retired"), 0);
	assert_counters(json_object_get(json, "totals"), 1);
	assert_int_equal(number_of(json_object_get(json, "totals"), "workers"), 2);
	assert_int_equal(number_of(json_object_get(json, "totals"), "total_request"), 10);
	assert_int_equal(json_array_size(json_object_get(json, "exits")), 0);
	assert_true(json_is_null(json_object_get(worker, "leaves_in_s")));
	assert_true(json_is_null(json_object_get(worker, "waits_for")));
	const json_t *reload = json_object_get(json, "reload");
	assert_int_equal(json_object_size(reload), 5);
	assert_string_equal(string_of(reload, "state"), "none");
	assert_int_equal(number_of(reload, "generation"), 1);
	assert_true(json_is_null(json_object_get(reload, "began_s_ago")));
	assert_int_equal(number_of(reload, "ready"), 2);
	assert_int_equal(number_of(reload, "workers"), 2);
	assert_int_equal(json_array_size(json_object_get(json, "listening")), 0);
	json_decref(json);
	crew__status_free(status);
}

static void json_of_exits_and_silence(void **state)
{
	struct world *w = *state;
	struct crew__snapshot none = { 0 };
	struct crew__life slot = world_life(3, 1, 0, 0);
	world_add(w, world_life(1, 0, 0, getpid()), world_app.counters);
	world_add(w, world_life(2, 0, 1, getpid()), world_app.counters);
	crew__directory_retire(&w->directory, 1, &none, "feed", 0, SIGSEGV);
	crew__directory_retire(&w->directory, 2, &none, "feed", 3, 0);
	slot.state = CREW__EXITED;
	crew__directory_enter(&w->directory, &slot);
	w->attached.master_answers = false;
	struct crew__status *status = world_take(w);
	json_t *json = json_of(status, true);
	const json_t *exits = json_object_get(json, "exits");
	assert_string_equal(string_of(json, "master"), "silent");
	assert_int_equal(json_array_size(exits), 2);
	const json_t *row = json_array_get(exits, 0);
	assert_int_equal(json_object_size(row), 4);
	assert_string_equal(string_of(row, "service"), "feed");
	assert_int_equal(number_of(row, "signal"), SIGSEGV);
	assert_int_equal(number_of(row, "status"), 0);
	row = json_array_get(exits, 1);
	assert_true(json_is_null(json_object_get(row, "signal")));
	assert_int_equal(number_of(row, "status"), 3);
	assert_int_equal(number_of(row, "count"), 1);
	const json_t *worker = json_array_get(json_object_get(json, "workers"), 0);
	assert_string_equal(string_of(worker, "state"), "exited");
	assert_true(json_is_null(json_object_get(worker, "pid")));
	json_decref(json);
	crew__status_free(status);
}

static void json_numbers_stay_in_their_range(void **state)
{
	struct world *w = *state;
	struct crew__slab *slab = world_add(w, world_life(1, 0, 0, getpid()), world_app.counters);
	slab->bytes_in = UINT64_MAX;
	struct crew__status *status = world_take(w);
	json_t *json = json_of(status, false);
	const json_t *worker = json_array_get(json_object_get(json, "workers"), 0);
	assert_true(number_of(worker, "bytes_in") == INT64_MAX);
	json_decref(json);
	crew__status_free(status);
}

/* ---- text ---------------------------------------------------------------------------------- */

static char *text_of(const struct crew__status *status)
{
	char *text = NULL;
	size_t size = 0;
	struct crew__screen screen = { .out = open_memstream(&text, &size) };
	assert_non_null(screen.out);
	assert_int_equal(crew__status_text(status, &screen), 0);
	assert_int_equal(fclose(screen.out), 0);
	return text;
}

static void assert_says(const char *text, const char *what)
{
	if (!strstr(text, what))
		fail_msg("'%s' is not in:\n%s", what, text);
}

static void assert_silent(const char *text, const char *what)
{
	if (strstr(text, what))
		fail_msg("'%s' is in:\n%s", what, text);
}

static void text_shows_the_blocks(void **state)
{
	struct world *w = *state;
	struct crew__snapshot none = { 0 };
	struct crew__slab *slab = world_add(w, world_life(1, 0, 0, getpid()), world_app.counters);
	atomic_store(&slab->callback, CREW__CB_MESSAGE);
	atomic_store(&slab->turn_began_ns, w->now_ns - 3200 * CREW__NS_PER_MS);
	world_add(w, world_life(2, 1, 0, getpid()), world_app.counters);
	world_add(w, world_life(3, 1, 1, getpid()), world_app.counters);
	crew__directory_retire(&w->directory, 3, &none, "web", 0, SIGKILL);
	struct crew__status *status = world_take(w);
	char *text = text_of(status);
	assert_says(text, " GLOBAL STATUS ");
	assert_says(text, "shop 1.2");
	assert_says(text, "2 services   1 process\n");
	assert_says(text, "run 1m40s");
	assert_says(text, "load average: ");
	assert_says(text, "signal 9 (SIGKILL)");
	assert_says(text, " PROCESS STATUS ");
	assert_says(text, "ws://:7010");
	assert_says(text, "feed#0");
	assert_says(text, "[busy on_message 3.2 s]");
	assert_says(text, "[ready]");
	assert_says(text, "\nSummary ");
	assert_silent(text, "WHY SENDS FAILED");
	assert_silent(text, "does not answer");
	free(text);
	crew__status_free(status);
}

/* A worker says so in its segment. */
static void speak_tls(struct world *w, size_t place, int64_t expires, const char *ktls)
{
	struct crew__tls_shown *shown = &w->segments[place].header->tls;
	atomic_store(&shown->expires, expires);
	snprintf(shown->ktls, sizeof(shown->ktls), "%s", ktls);
}

static void what_is_told_of_tls(void **state)
{
	struct world *w = *state;
	int64_t now = (int64_t)time(NULL), day = 24 * 3600;
	for (uint32_t i = 0; i < 3; i++)
		world_add(w, world_life(i + 1, i % 2, i, getpid()), world_app.counters);
	struct crew__status *status = world_take(w);
	char *text = text_of(status);
	assert_silent(text, "certificate");
	free(text);
	crew__status_free(status);

	speak_tls(w, 0, now + 30 * day + 60, "the kernel has no tls module");
	speak_tls(w, 1, now + 100 * day + 60, "");
	speak_tls(w, 2, now + 20 * day + 60, "no \x1b module");
	status = world_take(w);
	text = text_of(status);
	/* Workers 0 and 2 are of one service: what ends first counts. */
	assert_says(text, " TLS ");
	assert_says(text, "(20 days)   off: no ? module");
	assert_says(text, "(100 days)  on");
	assert_silent(text, "(30 days)");
	free(text);
	json_t *json = json_of(status, false);
	size_t seen = 0;
	for (size_t i = 0; i < 3; i++) {
		const json_t *worker = json_array_get(json_object_get(json, "workers"), i);
		const json_t *tls = json_object_get(worker, "tls");
		bool on = json_is_true(json_object_get(tls, "ktls"));
		assert_int_equal(on, json_is_null(json_object_get(tls, "ktls_why_not")));
		seen += on;
		assert_true(number_of(tls, "expires") > now);
	}
	assert_int_equal(seen, 1);
	json_decref(json);
	crew__status_free(status);

	/* What the kernel does for one of its workers it does for the service. */
	speak_tls(w, 0, now + 30 * day + 60, "");
	status = world_take(w);
	text = text_of(status);
	assert_says(text, "(20 days)   on");
	free(text);
	crew__status_free(status);

	speak_tls(w, 0, now - 60, "");
	status = world_take(w);
	text = text_of(status);
	assert_says(text, "(expired)");
	free(text);
	crew__status_free(status);
	/* What a worker that is not well may write. */
	speak_tls(w, 0, INT64_MAX, "");
	speak_tls(w, 1, INT64_MIN, "");
	speak_tls(w, 2, 0, "");
	status = world_take(w);
	text = text_of(status);
	assert_silent(text, "certificate");
	free(text);
	crew__status_free(status);
}

static void text_says_why_sends_failed(void **state)
{
	struct world *w = *state;
	world_work(world_add(w, world_life(1, 0, 0, getpid()), world_app.counters), 100);
	struct crew__status *status = world_take(w);
	char *text = text_of(status);
	assert_says(text, " WHY SENDS FAILED ");
	assert_says(text, "\nfull      400  80.0%  4.0/s  the queue was at max_send_buffer\n");
	assert_says(text, "\nclosed    100  20.0%  1.0/s  ");
	assert_says(text, "\n  what to do about full: ");
	assert_silent(text, "\ncrash");
	assert_silent(text, "\n  what to do about crash: ");
	free(text);
	/* Since the screen before. */
	struct crew__status *before = world_take(w);
	world_work(w->slabs[0], 10);
	w->now_ns += CREW__NS_PER_S;
	crew__status_free(status);
	status = world_take(w);
	crew__status_since(status, before);
	text = text_of(status);
	assert_says(text, "\nfull      440  80.0%  40.0/s  ");
	free(text);
	crew__status_free(before);
	crew__status_free(status);
}

static void text_tells_of_what_is_wrong(void **state)
{
	struct world *w = *state;
	struct crew__life life = world_life(7, 0, 0, getpid());
	crew__directory_enter(&w->directory, &life);
	w->attached.master_answers = false;
	struct crew__status *status = world_take(w);
	status->rows[0].stopped = true;
	char *text = text_of(status);
	assert_says(text, "does not answer");
	assert_says(text, "read through /proc");
	assert_silent(text, "kill -CONT");
	assert_says(text, "the numbers of 1 workers could not be read");
	assert_says(text, "[stopped]");
	free(text);
	status->master_stopped = true;
	status->missing = 0;
	strcpy(status->mode, "single");
	text = text_of(status);
	assert_says(text, "kill -CONT");
	assert_says(text, "inside an update");
	assert_says(text, "single mode");
	free(text);
	crew__status_free(status);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(json_has_every_key),
		WORLD_TEST(json_of_exits_and_silence),
		WORLD_TEST(json_numbers_stay_in_their_range),
		WORLD_TEST(text_shows_the_blocks),
		WORLD_TEST(what_is_told_of_tls),
		WORLD_TEST(text_says_why_sends_failed),
		WORLD_TEST(text_tells_of_what_is_wrong),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
