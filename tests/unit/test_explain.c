/* Finding a connection by the beginning of its id, and what is said of it, from records made by
 * hand. */
#include "cli/explain.h"

#include "base/clock.h"
#include "cli/screen.h"
#include "view_world.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct crew__explain_request request(struct view_world *w, const char *prefix)
{
	return (struct crew__explain_request){
		.attached = view_attached(w), .settings = w->settings, .prefix = prefix
	};
}

static int find(struct view_world *w, const char *prefix, struct crew__explain *ret_explain)
{
	struct crew__explain_choices choices;
	const struct crew__explain_request asked = request(w, prefix);
	return crew__explain_find(&asked, ret_explain, &choices);
}

static char *text_of(struct view_world *w, const char *prefix, unsigned width)
{
	struct view_text text;
	const struct crew__explain_request asked = request(w, prefix);
	view_print(&text);
	struct crew__screen screen = { .out = text.out, .width = width };
	crew__explain_text(&asked, &screen);
	return view_printed(&text);
}

static json_t *json_of(struct view_world *w, const char *prefix, int wanted)
{
	struct view_text text;
	const struct crew__explain_request asked = request(w, prefix);
	view_print(&text);
	assert_int_equal(crew__explain_json(&asked, text.out), wanted);
	return view_json(&text);
}

/* ---- finding ------------------------------------------------------------------------------- */

static void a_prefix_finds_it(void **state)
{
	struct view_world *w = *state;
	struct crew__explain explain;
	view_open(w, 1, 0);
	view_open(w, 2, 11);
	assert_int_equal(find(w, "0020000b00000001", &explain), 0);
	assert_true(explain.row.conn.id == view_id(2, 11));
	assert_string_equal(explain.row.conn.service, "web");
	assert_int_equal(find(w, "0020000B", &explain), 0);
	assert_true(explain.row.conn.id == view_id(2, 11));
	assert_int_equal(find(w, "001", &explain), 0);
	assert_true(explain.row.conn.id == view_id(1, 0));
	assert_false(explain.closed);
}

static void what_finds_nothing_says_why(void **state)
{
	struct view_world *w = *state;
	struct crew__explain explain;
	static const char *const none[] = { "", "x", "0x1", "00100000000000011", "-1", " 1", "\xff",
		"\033[2J" };
	view_open(w, 1, 0);
	for (size_t i = 0; i < crew__lengthof(none); i++) {
		assert_int_equal(find(w, none[i], &explain), -EINVAL);
		char *text = text_of(w, none[i], 0);
		assert_has(text, "is not the beginning of a connection's id");
		assert_printable(text);
		free(text);
		json_decref(json_of(w, none[i], -EINVAL));
	}
	assert_int_equal(find(w, "0010000000000002", &explain), -ENOENT);
	char *text = text_of(w, "0010000000000002", 0);
	assert_has(text, "no connection's id begins with 0010000000000002");
	assert_has(text, "`connections --closed` list them");
	free(text);
	text = text_of(w, "fff00", 0);
	assert_has(text, "the worker that gave out such ids has gone");
	free(text);
	json_t *json = json_of(w, "0010000000000002", -ENOENT);
	assert_int_equal(json_array_size(json_object_get(json, "candidates")), 0);
	assert_true(json_is_string(json_object_get(json, "error")));
	json_decref(json);
}

static void what_means_many_names_them(void **state)
{
	struct view_world *w = *state;
	struct crew__explain explain;
	struct crew__explain_choices choices;
	for (uint32_t i = 0; i < 16; i++) {
		view_open(w, 1, i);
		view_open(w, 2, i);
	}
	const struct crew__explain_request asked = request(w, "00");
	assert_int_equal(crew__explain_find(&asked, &explain, &choices), -ENOTUNIQ);
	assert_int_equal(choices.count, 32);
	assert_int_equal(choices.named, CREW__EXPLAIN_CHOICES);
	char *text = text_of(w, "00", 0);
	assert_has(text, "32 connections have an id that begins with 00: 0010000000000001 (feed, "
			 "127.0.0.1:40000), 0010000100000001");
	assert_has(text, ", and 16 more");
	free(text);
	json_t *json = json_of(w, "001", -ENOTUNIQ);
	const json_t *candidates = json_object_get(json, "candidates");
	assert_int_equal(json_array_size(candidates), 16);
	assert_string_equal(json_string_value(json_object_get(json_array_get(candidates, 1), "id")),
		"0010000100000001");
	json_decref(json);
}

static void one_that_has_ended(void **state)
{
	struct view_world *w = *state;
	struct crew__closed *closed = view_close(w, 1, 3, CREW_END_KICKED);
	closed->unsent_bytes = 2048;
	closed->unsent_messages = 2;
	closed->verdict = CREW_VERDICT_READER_STALLED;
	closed->episodes = 2;
	closed->figures = (struct crew__slow_figures){ .at = w->now - 350, .has_tcp = true };
	crew__closed_done(w->stats[0].closed);
	char *text = text_of(w, "00100003", 0);
	assert_has(text, "It lived for 47s; 11 bytes came in");
	assert_has(text, "by an operator: kicked (an operator ended it)");
	assert_has(text, "2.0K in 2 messages waited for it and were lost.");
	assert_has(text, "reader-stalled, when it ended");
	assert_has(text, "looked at 0.5s before the end");
	assert_has(text, "It was slow 2 times in all.");
	assert_has_not(text, "kick 0010"); /* it is late for that */
	assert_has_not(text, "What happens next");
	free(text);
	json_t *json = json_of(w, "00100003", 0);
	assert_true(json_is_true(json_object_get(json, "closed")));
	const json_t *connection = json_object_get(json, "connection");
	assert_string_equal(json_string_value(json_object_get(connection, "ended_by")), "operator");
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(json, "episode"), "episodes")),
		2);
	json_decref(json);
	/* Who lives is preferred. */
	struct crew__explain explain;
	view_open(w, 1, 4);
	assert_int_equal(find(w, "001", &explain), 0);
	assert_true(explain.row.conn.id == view_id(1, 4));
}

/* ---- verdicts ------------------------------------------------------------------------------ */

static void when_nothing_is_wrong_it_is_short(void **state)
{
	struct view_world *w = *state;
	view_open(w, 1, 0);
	char *text = text_of(w, "0010", 0);
	assert_has(text,
		"0010000000000001\nOf feed, ws over tcp, from 127.0.0.1:40000 to 127.0.0.1:7010, "
		"of worker feed#0 (pid ");
	assert_has(text, "Its state is open, its age 50s; 11 bytes came in, 22 bytes went out.");
	assert_has(text, "Nothing is wrong: nothing waits for it.");
	assert_has_not(text, "What");
	free(text);
	w->stats[0].cold[0].outgoing = 1;
	text = text_of(w, "0010", 0);
	assert_has(text, "ws over tcp, opened by us from 127.0.0.1:7010 to 127.0.0.1:40000, ");
	free(text);
	json_t *json = json_of(w, "0010", 0);
	assert_true(json_is_null(json_object_get(json, "verdict")));
	assert_int_equal(json_array_size(json_object_get(json, "advice")), 0);
	assert_int_equal(json_object_size(json_object_get(json, "evidence")), 0);
	assert_int_equal(json_array_size(json_object_get(json, "history")), 0);
	assert_true(json_is_null(json_object_get(json, "episode")));
	json_decref(json);
}

static void too_early_to_say(void **state)
{
	struct view_world *w = *state;
	view_open(w, 1, 0);
	view_queue(w, 1, 0, 5000);
	char *text = text_of(w, "0010", 0);
	assert_has(text, "4.9K in 40 messages wait, the oldest for 1.0s; it is too early to say");
	assert_has(text, "Policy drop-newest");
	free(text);
	w->stats[0].records[0].queued_since = w->now - 1000;
	text = text_of(w, "0010", 0);
	assert_has(text, "the figures name no cause");
	free(text);
}

/* What each verdict means and advises. */
static void every_verdict_has_its_words(void **state)
{
	static const struct {
		crew_verdict verdict;
		const char *meaning, *advice;
	} words[] = {
		{ CREW_VERDICT_READER_STALLED, "The peer's program does not read",
			"`shop kick 0010000000000001`" },
		{ CREW_VERDICT_NETWORK, "The way to the peer is slow",
			"connections --sort verdict" },
		{ CREW_VERDICT_KERNEL_BUFFER, "send buffer is too small", "net.ipv4.tcp_wmem" },
		{ CREW_VERDICT_US, "Our own worker is late", "crew_post()" },
		{ CREW_VERDICT_RATE, "Our own rate cap holds it back", "rate_bytes=N" },
		{ CREW_VERDICT_GONE, "The peer answers nothing any more", "`shop kick" },
	};
	struct view_world *w = *state;
	view_open(w, 1, 0);
	view_queue(w, 1, 0, 100000);
	for (size_t i = 0; i < crew__lengthof(words); i++) {
		view_slow(w, 1, 0, words[i].verdict);
		char *text = text_of(w, "0010", 0);
		assert_has(text, crew_verdict_name(words[i].verdict));
		assert_has(text, words[i].meaning);
		assert_has(text, words[i].advice);
		assert_has(text, "97.7K in 40 messages in our queue");
		assert_has(text, "128.0K of memory");
		assert_has(text, "It became slow at");
		assert_has(text, "at most 256.0K in 77 messages waited");
		assert_has(text, "Slow 3 times in all.");
		free(text);
		text = text_of(w, "0010", 70);
		for (const char *line = text; line; line = strchr(line + 1, '\n'))
			if (strcspn(line + 1, "\n") > 110)
				fail_msg("a line is too long:\n%s", text);
		free(text);
		json_t *json = json_of(w, "0010", 0);
		assert_string_equal(json_string_value(json_object_get(json, "verdict")),
			crew_verdict_name(words[i].verdict));
		assert_true(json_array_size(json_object_get(json, "advice")) > 0);
		json_decref(json);
	}
}

static void the_evidence_has_units_and_sense(void **state)
{
	struct view_world *w = *state;
	view_open(w, 1, 0);
	view_queue(w, 1, 0, 100000);
	struct crew__slow_figures *f = &view_slow(w, 1, 0, CREW_VERDICT_READER_STALLED)->figures;
	f->peer_limited_ms = 800;
	char *text = text_of(w, "0010", 0);
	assert_has(text, "looked at 0.4s ago, over 1.0s");
	assert_has(text, "800 of 900 ms");
	assert_has(text, "that window is the limit");
	assert_has(text, "shut: until its program reads");
	assert_has(text, "64.0K unsent");
	assert_has(text, "0 bytes a round trip");
	free(text);
	f->acked = 50000;
	f->rtt_us = 1000000;
	text = text_of(w, "0010", 0);
	assert_has(text, "48.8K a round trip");
	assert_has(text, "nearly all: a full window would be the doing of a long way");
	free(text);
	f->peer_window = 60000;
	f->peer_limited_ms = 10;
	f->segments_out = 100;
	f->retransmits = 7;
	f->timeouts = 4;
	f->last_ack_ms = 5000;
	f->min_rtt_us = 1000;
	f->rtt_us = 90000;
	f->late_ms = 600;
	f->capped_ms = 700;
	text = text_of(w, "0010", 0);
	assert_has(text, "open, and as large as it ever was");
	assert_has(text, "that window is not the limit");
	assert_has(text, "the network loses what is sent");
	assert_has(text, "nobody answers there");
	assert_has(text, "waits somewhere on the way");
	assert_has(text, "this worker is too busy");
	assert_has(text, "the cap is what it waits for");
	free(text);
	f->has_tcp = false;
	text = text_of(w, "0010", 0);
	assert_has(text, "64.0K not read");
	assert_has_not(text, "round trip");
	free(text);
}

static void json_has_every_figure(void **state)
{
	static const char *const keys[] = { "looked_ago_s", "has_tcp", "window_ms", "rtt_us",
		"min_rtt_us", "rttvar_us", "rto_us", "peer_window", "peer_window_most",
		"congestion_window", "segment_size", "unacked", "unsent", "kernel_memory",
		"kernel_memory_most", "acked", "segments_out", "retransmits", "lost", "timeouts",
		"last_ack_ms", "busy_ms", "peer_limited_ms", "buffer_limited_ms", "capped_ms",
		"delivery_rate", "drained", "late_ms" };
	static const char *const all[] = { "id", "closed", "verdict", "meaning", "advice",
		"evidence", "figures", "cost", "next", "settings", "history", "episode", "worker",
		"connection" };
	struct view_world *w = *state;
	view_open(w, 1, 0);
	view_queue(w, 1, 0, 100000);
	view_slow(w, 1, 0, CREW_VERDICT_NETWORK)->figures.delivery_rate = 12345;
	json_t *json = json_of(w, "0010", 0);
	assert_int_equal(json_object_size(json), crew__lengthof(all));
	for (size_t i = 0; i < crew__lengthof(all); i++)
		if (!json_object_get(json, all[i]))
			fail_msg("no key '%s'", all[i]);
	const json_t *evidence = json_object_get(json, "evidence");
	assert_int_equal(json_object_size(evidence), crew__lengthof(keys));
	for (size_t i = 0; i < crew__lengthof(keys); i++)
		if (!json_object_get(evidence, keys[i]))
			fail_msg("no figure '%s'", keys[i]);
	assert_int_equal(json_integer_value(json_object_get(evidence, "delivery_rate")), 12345);
	assert_string_equal(json_string_value(json_object_get(json, "id")), "0010000000000001");
	const json_t *connection = json_object_get(json, "connection");
	assert_int_equal(json_object_size(connection), CREW__CONNECTION_FIELDS);
	assert_string_equal(json_string_value(json_object_get(connection, "verdict")), "network");
	const json_t *episode = json_object_get(json, "episode");
	assert_true(json_is_true(json_object_get(episode, "slow")));
	assert_true(json_real_value(json_object_get(episode, "lasted_s")) >= 5);
	json_decref(json);
}

/* ---- a worker that stands still ------------------------------------------------------------ */

static void a_worker_in_a_long_turn(void **state)
{
	struct view_world *w = *state;
	struct crew__slab *slab = w->stats[0].slab;
	view_open(w, 1, 0);
	view_queue(w, 1, 0, 100000);
	w->stats[0].cold[0].kernel_unsent = 0;
	atomic_store(&slab->turn_began_ns, crew__clock_ns() - 7 * CREW__NS_PER_S);
	atomic_store(&slab->callback, CREW__CB_MESSAGE);
	char *text = text_of(w, "0010", 0);
	assert_has(text, "\nus\n");
	assert_has(text, "Our own worker stands still: its loop has been in on_message for 7.");
	assert_has(text, "Look at what on_message does");
	free(text);
	struct crew__connections all;
	assert_int_equal(crew__connections_new(view_attached(w), &all), 0);
	assert_string_equal(all.rows[0].verdict, "us");
	crew__connections_fini(&all);
	/* What the kernel holds unsent is not its doing, as far as is known. */
	w->stats[0].cold[0].kernel_unsent = 1000;
	view_slow(w, 1, 0, CREW_VERDICT_READER_STALLED);
	text = text_of(w, "0010", 0);
	assert_has(text, "\nreader-stalled\n");
	assert_has(text, "Mind that worker feed#0");
	free(text);
	/* A short turn is nothing. */
	atomic_store(&slab->turn_began_ns, crew__clock_ns());
	text = text_of(w, "0010", 0);
	assert_has_not(text, "Mind that");
	free(text);
	/* And one that begins later than now is a damaged number. */
	atomic_store(&slab->turn_began_ns, UINT64_MAX);
	text = text_of(w, "0010", 0);
	assert_has_not(text, "Mind that");
	free(text);
}

static void a_worker_that_was_stopped_or_has_gone(void **state)
{
	struct view_world *w = *state;
	view_open(w, 1, 0);
	view_queue(w, 1, 0, 100000);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		raise(SIGSTOP);
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(child, &status, WUNTRACED), child);
	assert_true(WIFSTOPPED(status));
	atomic_store(&w->world->segments[0].header->pid, child);
	char *text = text_of(w, "0010", 0);
	assert_has(text, "stands still: it was stopped by a signal or a debugger");
	assert_has(text, "kill -CONT");
	free(text);
	json_t *json = json_of(w, "0010", 0);
	assert_true(json_is_true(json_object_get(json_object_get(json, "worker"), "stopped")));
	json_decref(json);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	text = text_of(w, "0010", 0);
	assert_has(text, "stands still: its process has ended");
	free(text);
}

/* ---- what happens next --------------------------------------------------------------------- */

static void by_the_settings(void **state)
{
	struct view_world *w = *state;
	struct crew__service_settings *s = &w->settings->service[0];
	view_open(w, 1, 0);
	view_queue(w, 1, 0, 100000);
	view_slow(w, 1, 0, CREW_VERDICT_READER_STALLED);
	s->max_send_buffer = 100000;
	s->policy = CREW_DISCONNECT;
	s->send_timeout_ms = 30000;
	s->soft_limit = 65536;
	s->rate_bytes = 2048;
	s->rate_messages = 7;
	char *text = text_of(w, "0010", 0);
	assert_has(text,
		"Policy disconnect: the queue is full (97.7K of max_send_buffer 97.7K): it "
		"is ended");
	assert_has(text, "takes nothing for 30s (send_timeout_ms)");
	assert_has(text, "stays at or above 64.0K for 10s; it is above now");
	assert_has(text, "2.0K a second");
	assert_has(text, "7 messages a second");
	assert_has(text, "a start with others, a live `set`");
	assert_has_not(text, "policy=drop-oldest");
	assert_has_not(text, "send_timeout_ms=30000");
	free(text);
	w->stats[0].records[0].protocol = CREW__HTTP;
	text = text_of(w, "0010", 0);
	assert_has(text, "Policy drop-newest (answers of HTTP have no other)");
	free(text);
	w->stats[0].records[0].protocol = CREW__WS;
	static const struct {
		int64_t policy;
		const char *words;
	} policies[] = { { CREW_DROP_OLDEST, "the oldest that wait make room" },
		{ CREW_REPLACE, "takes the place of the one with its key" },
		{ CREW_DROP_NEWEST, "new messages are refused" } };
	for (size_t i = 0; i < crew__lengthof(policies); i++) {
		s->policy = policies[i].policy;
		text = text_of(w, "0010", 0);
		assert_has(text, policies[i].words);
		free(text);
	}
}

/* Its worker's word counts more than the settings of who asks. */
static void by_what_its_worker_says(void **state)
{
	struct view_world *w = *state;
	struct crew__explain explain;
	view_open(w, 1, 0);
	view_open(w, 1, 1);
	view_queue(w, 1, 0, 2048);
	view_slow(w, 1, 0, CREW_VERDICT_READER_STALLED);
	struct crew__slow_bounds *bounds = &w->stats[0].slow[0].bounds;
	*bounds = (struct crew__slow_bounds){ .policy = CREW_REPLACE,
		.limit = 2048,
		.send_timeout = 700,
		.soft_limit = 1024,
		.soft_time = 200,
		.rate_messages = 9 };
	char *text = text_of(w, "00100000", 0);
	assert_has(text, "Policy replace: the queue is full (2.0K of max_send_buffer 2.0K): a new");
	assert_has(text, "takes nothing for 7.0s (send_timeout_ms)");
	assert_has(text, "stays at or above 1.0K for 2.0s; it is above now");
	assert_has(text, "9 messages a second");
	assert_has(text, "This is what holds for this connection");
	assert_has_not(text, "settings that this command was given");
	free(text);
	bounds->tight = true;
	text = text_of(w, "00100000", 0);
	assert_has(text, "is full (2.0K of 2.0K)");
	assert_has(text, "That limit is below max_send_buffer");
	free(text);
	json_t *json = json_of(w, "00100000", 0);
	json_t *settings = json_object_get(json, "settings");
	assert_true(json_is_true(json_object_get(settings, "exact")));
	assert_true(json_is_true(json_object_get(settings, "tight")));
	assert_int_equal(json_integer_value(json_object_get(settings, "max_send_buffer")), 2048);
	json_decref(json);
	assert_int_equal(find(w, "00100001", &explain), 0); /* not of its neighbour */
	assert_false(explain.exact);
	assert_int_equal(explain.settings.policy, CREW_DROP_NEWEST);
	bounds->policy = 77; /* another process's memory */
	bounds->limit = UINT64_MAX;
	assert_int_equal(find(w, "00100000", &explain), 0);
	assert_false(explain.exact);
	bounds->policy = CREW_REPLACE;
	assert_int_equal(find(w, "00100000", &explain), 0);
	assert_true(explain.settings.max_send_buffer == INT64_MAX);
}

static void set_event(struct view_world *w, const char *text)
{
	struct crew__event event = { .kind = CREW__EVENT_SET };
	snprintf(event.text, sizeof(event.text), "%s", text);
	crew__events_add(w->stats[0].events, &event);
}

static void and_what_was_set_since(void **state)
{
	struct view_world *w = *state;
	struct crew__explain explain;
	view_open(w, 1, 0);
	set_event(w, "policy=nonsense");
	set_event(w, "idle_timeout_ms=5"); /* not told of */
	set_event(w, "max_send_buffer=-3");
	set_event(w, "max_send_buffer=99999999999999999999");
	set_event(w, "nothing");
	set_event(w, "");
	set_event(w, "=");
	assert_int_equal(find(w, "0010", &explain), 0);
	assert_false(explain.changed_live);
	set_event(w, "policy=replace");
	set_event(w, "feed.send_timeout_ms=5000");
	set_event(w, "soft_limit=64k");
	assert_int_equal(find(w, "0010", &explain), 0);
	assert_true(explain.changed_live);
	assert_int_equal(explain.settings.policy, CREW_REPLACE);
	assert_int_equal(explain.settings.send_timeout_ms, 5000);
	assert_int_equal(explain.settings.soft_limit, 65536);
	/* Only the copy was changed. */
	assert_int_equal(w->settings->service[0].policy, CREW_DROP_NEWEST);
	view_queue(w, 1, 0, 1);
	char *text = text_of(w, "0010", 0);
	assert_has(text, "with what `set` has changed since");
	free(text);
}

static void of_a_service_that_the_settings_do_not_know(void **state)
{
	struct view_world *w = *state;
	snprintf(w->world->segments[0].header->service, CREW__NAME_MAX, "other");
	view_open(w, 1, 0);
	view_queue(w, 1, 0, 100000);
	view_slow(w, 1, 0, CREW_VERDICT_READER_STALLED);
	char *text = text_of(w, "0010", 0);
	assert_has_not(text, "What happens next");
	assert_has(text, "`shop kick");
	free(text);
	json_t *json = json_of(w, "0010", 0);
	assert_true(json_is_null(json_object_get(json, "settings")));
	json_decref(json);
}

/* ---- history and losses -------------------------------------------------------------------- */

static void history_in_its_order(void **state)
{
	struct view_world *w = *state;
	view_open(w, 1, 0);
	struct crew__record_slow *slow = view_slow(w, 1, 0, CREW_VERDICT_NONE);
	slow->slow = false;
	slow->ended = slow->began + 200;
	/* The 11 changes of which the last 8 are there: 3 is the oldest. */
	for (unsigned i = 0; i < 11; i++)
		slow->history[i % CREW__SLOW_HISTORY] =
			(struct crew__slow_change){ .at = w->now - 1100 + i * 100,
				.verdict = i % 2 ? CREW_VERDICT_NETWORK : CREW_VERDICT_NONE };
	slow->changes = 11;
	json_t *json = json_of(w, "0010", 0);
	const json_t *history = json_object_get(json, "history");
	assert_int_equal(json_array_size(history), CREW__SLOW_HISTORY);
	double before = 0;
	for (size_t i = 0; i < CREW__SLOW_HISTORY; i++) {
		const json_t *change = json_array_get(history, i);
		double at = json_real_value(json_object_get(change, "at_s"));
		assert_true(at > before);
		before = at;
		assert_int_equal(json_is_null(json_object_get(change, "verdict")), i % 2 != 0);
	}
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	assert_true(before <= (double)now.tv_sec + 1 && before > (double)now.tv_sec - 20);
	json_decref(json);
	char *text = text_of(w, "0010", 0);
	assert_has(text, "no verdict any more");
	assert_has(text, "It last was slow at");
	assert_has(text, "for 2.0s:");
	free(text);
	/* The count has wrapped: three more than 256 times. */
	slow->changes = 3;
	json = json_of(w, "0010", 0);
	assert_int_equal(json_array_size(json_object_get(json, "history")), CREW__SLOW_HISTORY);
	json_decref(json);
}

static void losses_with_their_sentences(void **state)
{
	struct view_world *w = *state;
	view_open(w, 1, 0)->send_fail = 12;
	w->stats[0].cold[0].fail[CREW_LOST_FULL] = 7;
	w->stats[0].cold[0].fail[CREW_LOST_EVICTED] = 5;
	char *text = text_of(w, "0010", 0);
	assert_has(text, "What it lost: 12 messages");
	assert_has(text, "full 7: the queue was at max_send_buffer");
	assert_has(text, "evicted 5: a newer message pushed it out");
	free(text);
	for (crew_reason i = 0; i < CREW_LOST_REASONS; i++)
		assert_true(strlen(crew__loss_sentence(i)) > 5);
}

/* ---- damage -------------------------------------------------------------------------------- */

static void absurd_records_do_no_harm(void **state)
{
	struct view_world *w = *state;
	for (int byte = 0; byte < 256; byte += 15) {
		uint64_t id = view_id(1, 0);
		view_open(w, 1, 0);
		memset((char *)&w->stats[0].records[0] + sizeof(id), byte,
			sizeof(struct crew__record) - sizeof(id));
		memset(&w->stats[0].cold[0], byte, sizeof(w->stats[0].cold[0]));
		memset((char *)&w->stats[0].slow[0] + sizeof(id), byte,
			sizeof(struct crew__record_slow) - sizeof(id));
		atomic_store(&w->stats[0].slow[0].id, id);
		memset(w->world->segments[0].header->service, byte, CREW__NAME_MAX);
		for (unsigned width = 0; width < 200; width += 60) {
			char *text = text_of(w, "0010", width);
			assert_printable(text);
			free(text);
		}
		json_decref(json_of(w, "0010", 0));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VIEW_TEST(a_prefix_finds_it),
		VIEW_TEST(what_finds_nothing_says_why),
		VIEW_TEST(what_means_many_names_them),
		VIEW_TEST(one_that_has_ended),
		VIEW_TEST(when_nothing_is_wrong_it_is_short),
		VIEW_TEST(too_early_to_say),
		VIEW_TEST(every_verdict_has_its_words),
		VIEW_TEST(the_evidence_has_units_and_sense),
		VIEW_TEST(json_has_every_figure),
		VIEW_TEST(a_worker_in_a_long_turn),
		VIEW_TEST(a_worker_that_was_stopped_or_has_gone),
		VIEW_TEST(by_the_settings),
		VIEW_TEST(by_what_its_worker_says),
		VIEW_TEST(and_what_was_set_since),
		VIEW_TEST(of_a_service_that_the_settings_do_not_know),
		VIEW_TEST(history_in_its_order),
		VIEW_TEST(losses_with_their_sentences),
		VIEW_TEST(absurd_records_do_no_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
