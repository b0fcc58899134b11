/* chaos.c - calls at random from inside random callbacks, with a seed.
 *
 * Whatever happens to a connection, and on every tick, something is done to it or to another one:
 * sent in each of the five ways, broadcast, closed, aborted, finished, paused, piped, looked up by
 * a stale id. The program keeps its own books of what it offered and what it was told, and the test
 * compares them with the counters of crew.
 *
 * [app] seed; [app] pipes=1 allows crew_pipe (what flows along a pipe is in no book of ours);
 * [app] steps: how much mischief each callback does (default 2). */
#include <crew/crew.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	OFFERED,
	ACCEPTED,
	REFUSED,
	UNTOLD,
	PERHAPS,
	TOLD,
	GIVEN,
	FREED,
	OPENED,
	CLOSED,
	FAULTS
};

static const char *const counter_names[] = { "offered", "taken", "refused", "untold", "perhaps",
	"told", "given", "freed", "opened", "closed", "faults" };

struct guest {
	bool open, dying, asked;
};

enum {
	IDS = 64
};

static uint64_t random_state;
static uint64_t ids[IDS]; /* of connections that live or have lived */
static int64_t freed;     /* give_back must not call crew */
static int depth;         /* crew_each nests only so far */
static int telling;       /* on_error calls under way */

static uint64_t draw(uint64_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 11) % below;
}

static void count(crew_worker *w, unsigned counter, int64_t n)
{
	crew_count(w, counter, n);
}

static void fault(crew_worker *w, const char *what, int64_t got)
{
	count(w, FAULTS, 1);
	crew_log(CREW_ERROR, "chaos fault: %s: %lld", what, (long long)got);
}

static void give_back(void *data, void *arg)
{
	(void)arg;
	freed++;
	free(data);
}

/* ---- sending ---- */

/* What a send said, against what it may say. A refusal in on_close, or to nobody, cannot be told;
 * one inside on_error, to a connection that is closing, perhaps not: its last word has been said.
 */
static void book(crew_worker *w, crew_conn *c, int64_t rc)
{
	const struct guest *guest = crew_data(c);
	count(w, OFFERED, 1);
	if (rc >= 0) {
		count(w, ACCEPTED, 1);
		if (!c || guest->dying)
			fault(w, "accepted for a connection that has gone", rc);
		return;
	}
	count(w, REFUSED, 1);
	if (!c || guest->dying)
		count(w, UNTOLD, 1);
	else if (telling > 0 && rc == -ENOTCONN)
		count(w, PERHAPS, 1);
	if (rc != -ENOTCONN && rc != -ENOBUFS && rc != -ENOMEM)
		fault(w, "a send said", rc);
	if ((!c || guest->dying) && rc != -ENOTCONN)
		fault(w, "a send to nobody said", rc);
}

static size_t draw_size(void)
{
	static const size_t sizes[] = { 1, 20, 125, 126, 1000, 5000, 20000, 70000 };
	return sizes[draw(sizeof(sizes) / sizeof(sizes[0]))];
}

static void send_somehow(crew_worker *w, crew_conn *c)
{
	static const char letters[70000] = { [0 ... 69999] = 'c' };
	size_t size = draw_size();
	crew_bytes bytes = { letters, size };
	int64_t rc;
	switch (draw(5)) {
	case 0:
		rc = crew_send(c, bytes);
		break;
	case 1:
		rc = crew_send_static(c, bytes);
		break;
	case 2: {
		char *data = calloc(1, size);
		count(w, GIVEN, 1);
		rc = crew_send_owned(c, (crew_bytes){ data, size }, give_back, NULL);
		break;
	}
	case 3: {
		crew_shared *s = crew_shared_new(bytes);
		rc = crew_send_shared(c, s);
		crew_shared_unref(s);
		break;
	}
	default: {
		crew_send_options options = { .kind = CREW_BINARY };
		rc = crew_send_with(c, bytes, &options);
		break;
	}
	}
	book(w, c, rc);
}

static void count_one(crew_conn *c, void *arg)
{
	(void)c;
	(void)arg;
}

static void broadcast(crew_worker *w)
{
	const crew_service *service = crew_worker_service(w);
	int64_t there = crew_each(service, count_one, NULL);
	crew_shared *s = crew_shared_new(CREW_BYTES("to everybody"));
	int64_t accepted = crew_broadcast(service, s);
	crew_shared_unref(s);
	if (there < 0 || accepted < 0 || accepted > there) {
		fault(w, "a broadcast said", accepted);
		return;
	}
	count(w, OFFERED, there);
	count(w, ACCEPTED, accepted);
	count(w, REFUSED, there - accepted);
}

/* ---- mischief ---- */

static void mischief(crew_worker *w, crew_conn *self);

static void expect(crew_worker *w, const char *what, int rc)
{
	if (rc != 0 && rc != -ENOTCONN)
		fault(w, what, rc);
}

static void tick_once(crew_worker *w, void *arg)
{
	(void)arg;
	mischief(w, NULL);
}

static void each_one(crew_conn *c, void *arg)
{
	(void)arg;
	if (draw(3) == 0)
		mischief(crew_worker_of(c), c);
}

static void for_each(crew_worker *w)
{
	if (depth >= 2)
		return;
	depth++;
	crew_each(crew_worker_service(w), each_one, NULL);
	depth--;
}

static void pipe_somewhere(crew_worker *w, crew_conn *c, crew_conn *other)
{
	if (!crew_setting_int("pipes", 0))
		return;
	int rc = crew_pipe(c, draw(3) ? other : NULL);
	if (rc != -EINVAL && rc != -EBUSY)
		expect(w, "pipe", rc);
}

static void end_somehow(crew_worker *w, crew_conn *c)
{
	switch (draw(4)) {
	case 0:
		expect(w, "close", crew_close(c));
		break;
	case 1:
		expect(w, "close_with", crew_close_with(c, 4000, CREW_BYTES("chaos")));
		break;
	case 2:
		expect(w, "abort", crew_abort(c));
		break;
	default:
		expect(w, "finish", crew_finish(c));
		break;
	}
}

static crew_conn *somebody(void)
{
	return crew_find(ids[draw(IDS)]);
}

static void do_something(crew_worker *w, crew_conn *c)
{
	switch (draw(16)) {
	case 0:
		broadcast(w);
		break;
	case 1:
		for_each(w);
		break;
	case 2:
		expect(w, "pause", crew_pause(c));
		break;
	case 3:
	case 4:
		expect(w, "resume", crew_resume(c));
		break;
	case 5:
		pipe_somewhere(w, c, somebody());
		break;
	case 6:
		if (crew_timer_after(w, draw(20), tick_once, NULL) <= 0)
			fault(w, "timer", 0);
		break;
	case 7:
		if (draw(4) == 0)
			end_somehow(w, c);
		break;
	default:
		send_somehow(w, c);
		break;
	}
}

static void mischief(crew_worker *w, crew_conn *self)
{
	for (int64_t n = crew_setting_int("steps", 2); n > 0; n--) {
		crew_conn *whom = self && draw(3) ? self : somebody();
		/* A shared process: a connection of another service has books of its own worker. */
		if (whom && crew_worker_of(whom) != w)
			whom = self;
		do_something(w, whom);
	}
}

/* ---- callbacks ---- */

static void on_open(crew_conn *c)
{
	struct guest *guest = crew_data(c);
	crew_worker *w = crew_worker_of(c);
	if (guest->open)
		fault(w, "opened twice", 0);
	guest->open = true;
	ids[draw(IDS)] = crew_id(c);
	count(w, OPENED, 1);
	mischief(w, c);
}

static void on_message(crew_conn *c, crew_msg msg)
{
	const struct guest *guest = crew_data(c);
	crew_worker *w = crew_worker_of(c);
	if (!guest->open || guest->dying)
		fault(w, "a message outside of open and close", (int64_t)msg.body.len);
	mischief(w, c);
}

static void on_end(crew_conn *c)
{
	crew_worker *w = crew_worker_of(c);
	mischief(w, c);
	crew_close(c);
}

static void on_close(crew_conn *c)
{
	struct guest *guest = crew_data(c);
	crew_worker *w = crew_worker_of(c);
	if (guest->dying)
		fault(w, "closed twice", 0);
	if (crew_close_reason(c) == CREW_END_REASONS)
		fault(w, "closed without a reason", 0);
	guest->dying = true;
	if (guest->open)
		count(w, CLOSED, 1);
	mischief(w, c);
}

static void book_loss(crew_conn *c, const crew_loss *loss)
{
	const struct guest *guest = crew_data(c);
	crew_worker *w = crew_worker_of(c);
	if (guest->dying || !loss->messages || (int)loss->reason >= CREW_LOST_REASONS)
		fault(w, "a loss told wrongly", (int64_t)loss->messages);
	count(w, TOLD, (int64_t)loss->messages);
}

static void on_error(crew_conn *c, const crew_loss *loss)
{
	book_loss(c, loss);
	telling++;
	if (draw(2) == 0)
		mischief(crew_worker_of(c), c);
	telling--;
}

static void on_full_or_drain(crew_conn *c)
{
	mischief(crew_worker_of(c), c);
}

/* HTTP sends by crew_reply alone: an answer, a second one, one to a connection just aborted. */
static void on_request(crew_conn *c, const crew_request *request)
{
	(void)request;
	crew_worker *w = crew_worker_of(c);
	struct guest *guest = crew_data(c);
	guest->open = true;
	if (draw(8) == 0)
		expect(w, "abort", crew_abort(c));
	int64_t rc = crew_reply(c, &(crew_response){ .body = CREW_BYTES("chaos") });
	book(w, c, rc);
	if (draw(8) == 0 && rc >= 0) {
		rc = crew_reply(c, &(crew_response){ .status = 204 });
		if (rc != -EINVAL && rc != -ENOTCONN)
			fault(w, "a second answer said", rc);
		if (rc == -ENOTCONN)
			book(w, c, rc);
	}
}

static void on_tick(crew_worker *w, void *arg)
{
	static int64_t told;
	(void)arg;
	mischief(w, NULL);
	count(w, FREED, freed - told);
	told = freed;
}

static int seed(crew_worker *w)
{
	(void)w;
	if (!random_state)
		random_state = (uint64_t)crew_setting_int("seed", 1) * 2654435761u +
			       88172645463325252u;
	return 0;
}

static int on_worker_start(crew_worker *w)
{
	seed(w);
	return crew_timer_every(w, 10, on_tick, NULL) > 0 ? 0 : -ENOMEM;
}

#define CALLBACKS                                                                                  \
	.conn_size = sizeof(struct guest), .stop_timeout_ms = 300, .linger_ms = 200,               \
	.max_send_buffer = 32768, .kernel_unsent_limit = 16384,                                    \
	.on_worker_start = on_worker_start, .on_open = on_open, .on_message = on_message,          \
	.on_end = on_end, .on_close = on_close, .on_error = on_error, .on_full = on_full_or_drain, \
	.on_drain = on_full_or_drain

int main(int argc, char **argv)
{
	static const crew_service raw = {
		.name = "raw", .listen = "tcp://127.0.0.1:7105", CALLBACKS
	};
	static const crew_service text = {
		.name = "text", .listen = "text://127.0.0.1:7106", CALLBACKS
	};
	static const crew_service frame = {
		.name = "frame", .listen = "frame://127.0.0.1:7107", CALLBACKS
	};
	static const crew_service ws = { .name = "ws", .listen = "ws://127.0.0.1:7108", CALLBACKS };
	static const crew_service web = {
		.name = "web",
		.listen = "http://127.0.0.1:7109",
		.conn_size = sizeof(struct guest),
		.stop_timeout_ms = 300,
		.linger_ms = 200,
		.on_worker_start = seed,
		.on_request = on_request,
		.on_error = book_loss,
	};
	crew_app app = { .services = { &raw, &text, &frame, &ws, &web } };
	for (unsigned i = 0; i < sizeof(counter_names) / sizeof(counter_names[0]); i++)
		app.counters[i] = (crew_counter){ counter_names[i], "things",
			"a book of the program" };
	return crew_main(argc, argv, &app);
}
