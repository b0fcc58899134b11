/* push.c - a program that sends what it is told to, to whom it is told to, and keeps its own books:
 * the scenario tests compare them with the counters of crew and with what the clients received.
 *
 * A message is a command; the answer begins with `= `. HEX is a connection's id, `me` the asker's.
 *
 *   id                      the asker's id
 *   echo TEXT               TEXT, without `= `
 *   all N SIZE KIND         N numbered messages to everybody; answers how often one was accepted
 *   to HEX N SIZE KIND      N numbered messages to one; answers how many were accepted
 *   close|abort|finish|pause|resume HEX      the call's return value
 *   closewith HEX CODE TEXT                  the same
 *   pipe HEX HEX            from the first to the second; `-` takes it away
 *   stale HEX               what every call says about that id
 *   remote|local HEX        addresses
 *   dead MS                 stands still for so long
 *
 * [app] stubborn=1: whoever is told of a full queue sends into it once more.
 *
 * A numbered message is SIZE bytes: its number in decimal digits, a space, letters. All numbers of
 * a worker come from one sequence. KIND is how they are sent: shared, copied, static, owned, or
 * mixed (each in turn). */
#include <crew/crew.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum counter {
	OPENS,
	CLOSES,
	MESSAGES,
	ENDS,
	ACCEPTED,
	REFUSED,
	FULLS,
	DRAINS,
	GIVEN,
	FREED,
	TOLD_LATE,
	TOLD
};

struct guest {
	bool open;
};

static unsigned long sequence;
static unsigned long given, freed, freed_told;

/* free_fn must not call crew: what it counts is told later. */
static void give_back(void *data, void *arg)
{
	(void)arg;
	freed++;
	free(data);
}

static void tell_freed(crew_worker *w)
{
	crew_count(w, FREED, (int64_t)(freed - freed_told));
	freed_told = freed;
}

/* ---- sending ---- */

enum kind {
	SHARED,
	COPIED,
	STATIC,
	OWNED,
	KINDS
};

static enum kind kind_of(const char *word, unsigned long number)
{
	static const char *const names[] = { "shared", "copied", "static", "owned" };
	for (int i = 0; i < KINDS; i++)
		if (!strcmp(word, names[i]))
			return (enum kind)i;
	return (enum kind)(number % KINDS);
}

static char *make_body(unsigned long number, size_t size)
{
	char *body = malloc(size + 32);
	int n = snprintf(body, 32, "%lu ", number);
	for (size_t i = (size_t)n; i < size; i++)
		body[i] = (char)('a' + (number + i) % 26);
	return body;
}

/* Bytes that live for ever: kept in a list, so that a leak checker finds them. */
static crew_bytes keep(char *body, size_t size)
{
	static struct kept {
		struct kept *next;
		char *body;
	} * all;
	struct kept *kept = malloc(sizeof(*kept));
	*kept = (struct kept){ all, body };
	all = kept;
	return (crew_bytes){ body, size };
}

static int64_t send_as(crew_conn *c, enum kind kind, unsigned long number, size_t size)
{
	int64_t rc = 0;
	char *body = make_body(number, size);
	crew_bytes bytes = { body, size };
	if (kind == STATIC)
		return crew_send_static(c, keep(body, size));
	if (kind == OWNED) {
		given++;
		return crew_send_owned(c, bytes, give_back, NULL);
	}
	if (kind == COPIED) {
		rc = crew_send(c, bytes);
	} else {
		crew_shared *s = crew_shared_new(bytes);
		rc = crew_send_shared(c, s);
		crew_shared_unref(s);
	}
	free(body);
	return rc;
}

static void note(crew_worker *w, int64_t rc)
{
	crew_count(w, rc >= 0 ? ACCEPTED : REFUSED, 1);
}

struct round {
	enum kind kind;
	unsigned long number;
	size_t size;
	int64_t accepted;
};

static void send_one(crew_conn *c, void *arg)
{
	struct round *round = arg;
	int64_t rc = send_as(c, round->kind, round->number, round->size);
	note(crew_worker_of(c), rc);
	round->accepted += rc >= 0;
}

static int64_t send_all(crew_worker *w, struct round *round)
{
	const crew_service *service = crew_worker_service(w);
	if (round->kind != SHARED) {
		crew_each(service, send_one, round);
		return round->accepted;
	}
	char *body = make_body(round->number, round->size);
	crew_shared *s = crew_shared_new((crew_bytes){ body, round->size });
	int64_t accepted = crew_broadcast(service, s);
	int64_t there = (int64_t)crew_worker_connections(w);
	crew_count(w, ACCEPTED, accepted);
	crew_count(w, REFUSED, there - accepted);
	crew_shared_unref(s);
	free(body);
	return accepted;
}

static int64_t send_many(crew_worker *w, crew_conn *c, long n, size_t size, const char *kind)
{
	int64_t accepted = 0;
	for (long i = 0; i < n; i++) {
		unsigned long number = sequence++;
		struct round round = { kind_of(kind, number), number, size, 0 };
		if (!c) {
			accepted += send_all(w, &round);
			continue;
		}
		send_one(c, &round);
		accepted += round.accepted;
	}
	return accepted;
}

/* ---- commands ---- */

static crew_conn *who(crew_conn *c, const char *hex)
{
	return strcmp(hex, "me") ? crew_find(strtoull(hex, NULL, 16)) : c;
}

/* Every call on a connection that has gone: the first answer that is not as promised, or 0. */
static int64_t stale(crew_conn *gone)
{
	char text[64];
	bool good = crew_send(gone, CREW_BYTES("x")) == -ENOTCONN &&
		    crew_send_static(gone, CREW_BYTES("x")) == -ENOTCONN &&
		    crew_close(gone) == -ENOTCONN && crew_abort(gone) == -ENOTCONN &&
		    crew_finish(gone) == -ENOTCONN && crew_pause(gone) == -ENOTCONN &&
		    crew_resume(gone) == -ENOTCONN && !crew_id(gone) && !crew_queued(gone) &&
		    !crew_data(gone) && !crew_remote(gone, text, sizeof(text));
	given++;
	if (crew_send_owned(gone, (crew_bytes){ malloc(1), 1 }, give_back, NULL) != -ENOTCONN)
		good = false;
	return good && freed ? 0 : 1;
}

/* To its end, though whoever looks where a callback stands interrupts the sleep. */
static int stand_still(long ms)
{
	struct timespec left = { ms / 1000, ms % 1000 * 1000000 };
	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
	return 0;
}

static int64_t act(crew_conn *c, char words[][64], const char *rest)
{
	crew_worker *w = crew_worker_of(c);
	const char *verb = words[0];
	crew_conn *whom = who(c, words[1]);
	if (!strcmp(verb, "all"))
		return send_many(w, NULL, atol(words[1]), (size_t)atol(words[2]), words[3]);
	if (!strcmp(verb, "to"))
		return send_many(w, whom, atol(words[2]), (size_t)atol(words[3]), words[4]);
	if (!strcmp(verb, "close"))
		return crew_close(whom);
	if (!strcmp(verb, "closewith"))
		return crew_close_with(whom, atoi(words[2]), crew_str(rest));
	if (!strcmp(verb, "abort"))
		return crew_abort(whom);
	if (!strcmp(verb, "finish"))
		return crew_finish(whom);
	if (!strcmp(verb, "pause"))
		return crew_pause(whom);
	if (!strcmp(verb, "resume"))
		return crew_resume(whom);
	if (!strcmp(verb, "pipe"))
		return crew_pipe(whom, strcmp(words[2], "-") ? who(c, words[2]) : NULL);
	if (!strcmp(verb, "stale"))
		return stale(whom);
	if (!strcmp(verb, "dead"))
		return stand_still(atol(words[1]));
	return -ENOSYS;
}

static void answer(crew_conn *c, const char *text)
{
	char line[512];
	int n = snprintf(line, sizeof(line), "= %s", text);
	note(crew_worker_of(c), crew_send(c, (crew_bytes){ line, (size_t)n }));
}

static void obey(crew_conn *c, const char *command)
{
	char words[5][64] = { "", "", "", "", "" }, text[256];
	int used = 0;
	sscanf(command, "%63s %63s %63s %63s %63s", words[0], words[1], words[2], words[3],
		words[4]);
	sscanf(command, "%*s %*s %*s %n", &used);
	if (!strcmp(words[0], "id"))
		snprintf(text, sizeof(text), "%016" PRIx64, crew_id(c));
	else if (!strcmp(words[0], "remote"))
		crew_remote(who(c, words[1]), text, sizeof(text));
	else if (!strcmp(words[0], "local"))
		crew_local(who(c, words[1]), text, sizeof(text));
	else
		snprintf(text, sizeof(text), "%" PRId64, act(c, words, command + used));
	answer(c, text);
}

static void on_message(crew_conn *c, crew_msg msg)
{
	crew_count(crew_worker_of(c), MESSAGES, 1);
	if (msg.body.len >= 5 && !memcmp(msg.body.data, "echo ", 5)) {
		crew_bytes text = { msg.body.data + 5, msg.body.len - 5 };
		note(crew_worker_of(c), crew_send(c, text));
		return;
	}
	char command[512];
	snprintf(command, sizeof(command), "%.*s", (int)msg.body.len, msg.body.data);
	obey(c, command);
}

/* ---- what else happens ---- */

static void on_open(crew_conn *c)
{
	struct guest *guest = crew_data(c);
	guest->open = true;
	crew_count(crew_worker_of(c), OPENS, 1);
}

static void on_close(crew_conn *c)
{
	struct guest *guest = crew_data(c);
	if (guest->open)
		crew_count(crew_worker_of(c), CLOSES, 1);
	guest->open = false;
}

static void on_end(crew_conn *c)
{
	crew_count(crew_worker_of(c), ENDS, 1);
	crew_close(c);
}

static void on_error(crew_conn *c, const crew_loss *loss)
{
	const struct guest *guest = crew_data(c);
	crew_worker *w = crew_worker_of(c);
	if (!guest->open)
		crew_count(w, TOLD_LATE, (int64_t)loss->messages);
	crew_count(w, TOLD + (unsigned)loss->reason, (int64_t)loss->messages);
	if (loss->reason == CREW_LOST_FULL && crew_setting_int("stubborn", 0))
		note(w, crew_send(c, CREW_BYTES("= again")));
}

static void on_full(crew_conn *c)
{
	crew_count(crew_worker_of(c), FULLS, 1);
}

static void on_drain(crew_conn *c)
{
	crew_count(crew_worker_of(c), DRAINS, 1);
}

static void publish(crew_worker *w, void *arg)
{
	(void)arg;
	tell_freed(w);
	static unsigned long given_told;
	crew_count(w, GIVEN, (int64_t)(given - given_told));
	given_told = given;
}

static int on_worker_start(crew_worker *w)
{
	return crew_timer_every(w, 10, publish, NULL) > 0 ? 0 : -ENOMEM;
}

static void on_worker_stop(crew_worker *w)
{
	(void)w;
	crew_log(CREW_INFO, "owned given %lu freed %lu", given, freed);
}

int main(int argc, char **argv)
{
	static const crew_service push = {
		.name = "push",
		.listen = "ws://127.0.0.1:7104",
		.conn_size = sizeof(struct guest),
		.stop_timeout_ms = 500,
		.on_worker_start = on_worker_start,
		.on_worker_stop = on_worker_stop,
		.on_open = on_open,
		.on_message = on_message,
		.on_end = on_end,
		.on_close = on_close,
		.on_error = on_error,
		.on_full = on_full,
		.on_drain = on_drain,
	};
	return crew_main(argc, argv, &(crew_app){
		.services = { &push },
		.counters = {
			[OPENS] = { "opens", "connections", "how often on_open ran" },
			[CLOSES] = { "closes", "connections", "how often on_close ran after on_open" },
			[MESSAGES] = { "messages", "messages", "how often on_message ran" },
			[ENDS] = { "ends", "connections", "how often on_end ran" },
			[ACCEPTED] = { "taken", "messages", "sends that were accepted" },
			[REFUSED] = { "refused", "messages", "sends that were refused" },
			[FULLS] = { "fulls", "times", "how often on_full ran" },
			[DRAINS] = { "drains", "times", "how often on_drain ran" },
			[GIVEN] = { "given", "messages", "messages handed over" },
			[FREED] = { "freed", "messages", "messages given back" },
			[TOLD_LATE] = { "told_late", "messages", "losses told outside of open and close" },
			[TOLD] = { "told_closed", "messages", "losses on_error told" },
			{ "told_reset", "messages", "losses on_error told" },
			{ "told_aborted", "messages", "losses on_error told" },
			{ "told_full", "messages", "losses on_error told" },
			{ "told_handshake", "messages", "losses on_error told" },
			{ "told_expired", "messages", "losses on_error told" },
			{ "told_evicted", "messages", "losses on_error told" },
			{ "told_deadline", "messages", "losses on_error told" },
			{ "told_memory", "messages", "losses on_error told" },
			{ "told_crash", "messages", "losses on_error told" },
		},
	});
}
