/* feed.c - a market: one stream of prices, pushed to everybody who listens, and a page that shows
 * what becomes of it when one of them cannot keep up.
 *
 *   build/examples/feed start
 *   open http://127.0.0.1:7010/
 *
 * WebSocket clients of the port get every message; a plain GET / gets a page that is such a client,
 * and GET /stats the numbers of all workers. A message is made once for all its receivers: it is
 * shared, not copied, also while it waits for those who are slow. It carries its symbol as a key
 * and its number as a sequence, so that a policy may keep the latest price of each symbol, and a
 * gap can be told to the number.
 *
 *   message  NUMBER SYMBOL PRICE TIME, padded with dots; NUMBER counts in its worker, TIME is
 *            milliseconds since 1970
 *   from us  {"you":...} what holds for this connection, {"gap":...} what it has missed
 *   to us    hello, policy NAME, ttl MS, rate SECONDS, pace SECONDS, block MS: see commands[]
 *
 * The commands are here to be played with; no server for strangers would know `block`.
 *
 * Settings of its own:
 *
 *   [app] rate       messages a second
 *         size       bytes of each message
 *         dashboard  where the page finds the dashboard, see `[crew] admin` */
#include <crew/crew.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "feed_page.h" /* made from feed_page.html */

#define RATE_MOST  10000
#define SIZE_LEAST 64 /* number, symbol, price and time, at their longest */
#define SIZE_MOST  (16 << 20)
#define BLOCK_MOST 5000  /* ms */
#define HOLD_MOST  60    /* seconds */
#define HELD_RATE  65536 /* bytes a second */
#define LET_GO_MS  250
#define LARGE      (2 << 20) /* bytes: more than a kernel takes at once */
#define PRICE_MOST 100000000

#define lengthof(array) (sizeof(array) / sizeof((array)[0]))

/* ---- the market ---- */

static const char *const symbols[] = { "AMBER", "BASIL", "CEDAR", "DELTA", "EMBER", "FJORD",
	"GROVE", "HAZEL", "INDIGO", "JUNIPER", "KELP", "LARCH" };

/* Times to live that a visitor may choose, ms. */
static const int64_t ttls[] = { 0, 500, 2000, 10000 };

/* What this worker pushes. */
static struct {
	uint64_t rate;
	size_t size;
	char *text;        /* size + 1 bytes */
	uint64_t sequence; /* of the last message */
	uint64_t then_ms;  /* when `owed` was last worked out */
	uint64_t owed;     /* thousandths of a message that should have left and did not */
	uint64_t random;   /* xorshift: never 0 */
	uint64_t price[lengthof(symbols)]; /* hundredths */
	uint64_t held_until;             /* ms: when the last visitor who is held back is let go */
	bool blocked;                    /* somebody has blocked us since the last message */
	size_t choosers[lengthof(ttls)]; /* connections by time to live; [0] is not counted */
} feed;

/* What holds for one visitor; zero is how it begins. */
struct visitor {
	size_t ttl; /* index in ttls */
	crew_policy policy;
	uint64_t rate_until, pace_until; /* ms; 0: not held back */
};

static uint64_t dice(uint64_t sides)
{
	feed.random ^= feed.random << 13;
	feed.random ^= feed.random >> 7;
	feed.random ^= feed.random << 17;
	return feed.random % sides;
}

/* A step of at most 0.2 %, up or down. */
static uint64_t next_price(uint64_t price)
{
	uint64_t step = price * dice(21) / 10000 + dice(2);

	if (dice(2))
		return price + step < PRICE_MOST ? price + step : price;
	return price > step + 100 ? price - step : price;
}

static uint64_t wall_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The next message; which symbol it is about. */
static size_t write_message(void)
{
	size_t which = dice(lengthof(symbols));
	uint64_t price = next_price(feed.price[which]);
	int len = snprintf(feed.text, SIZE_LEAST, "%" PRIu64 " %s %" PRIu64 ".%02u %" PRIu64 " ",
		++feed.sequence, symbols[which], price / 100, (unsigned)(price % 100), wall_ms());

	feed.price[which] = price;
	memset(feed.text + len, '.',
		SIZE_LEAST - (size_t)len); /* over the NUL, and a longer last one */
	return which;
}

/* The message in hand, once for each time to live that somebody has chosen. */
struct shares {
	crew_send_options options;
	crew_shared *of[lengthof(ttls)];
};

static crew_shared *share(struct shares *shares, size_t ttl)
{
	if (!shares->of[ttl]) {
		shares->options.ttl_ms = ttls[ttl];
		shares->of[ttl] = crew_shared_new_with(
			(crew_bytes){ feed.text, feed.size }, &shares->options);
	}
	return shares->of[ttl];
}

static void push_to(crew_conn *c, void *arg)
{
	struct visitor *visitor = crew_data(c);
	crew_shared *message = share(arg, visitor->ttl);

	if (message)
		crew_send_shared(c, message);
}

static bool somebody_chose(void)
{
	for (size_t i = 1; i < lengthof(ttls); i++)
		if (feed.choosers[i])
			return true;
	return false;
}

static void push(const crew_service *service)
{
	size_t which = write_message();
	struct shares shares = { .options = {
					 .key = crew_str(symbols[which]),
					 .sequence = feed.sequence,
				 } };

	if (!share(&shares, 0))
		crew_log(CREW_WARN, "no memory for message %" PRIu64, feed.sequence);
	else if (somebody_chose())
		crew_each(service, push_to, &shares);
	else
		crew_broadcast(service, shares.of[0]);
	for (size_t i = 0; i < lengthof(ttls); i++)
		crew_shared_unref(shares.of[i]);
}

/* Milliseconds do not divide every rate, and a timer may be late: what is owed is worked out from
 * the time that has passed, up to a second's worth after a standstill. */
static void on_tick(crew_worker *w, void *arg)
{
	uint64_t now_ms = crew_now_ms();

	(void)arg;
	if (!feed.blocked)
		feed.owed += (now_ms - feed.then_ms) * feed.rate;
	feed.blocked = false;
	feed.then_ms = now_ms;
	if (feed.owed > feed.rate * 1000)
		feed.owed = feed.rate * 1000;
	for (; feed.owed >= 1000; feed.owed -= 1000)
		push(crew_worker_service(w));
}

/* ---- what a visitor may change of its own connection ---- */

/* What we say of a connection goes before the prices; a newer word takes the place of an older. */
static void tell(crew_conn *c, const char *key, const char *json, int len)
{
	crew_send_options first = { .kind = CREW_TEXT, .priority = CREW_HIGH };

	if (key) {
		first.policy = CREW_REPLACE;
		first.key = crew_str(key);
	}
	crew_send_with(c, (crew_bytes){ json, (size_t)len }, &first);
}

static void tell_state(crew_conn *c, uint64_t unused)
{
	struct visitor *visitor = crew_data(c);
	char json[256];

	(void)unused;
	tell(c, "you", json,
		snprintf(json, sizeof(json),
			"{\"you\":{\"id\":\"%016" PRIx64
			"\",\"worker\":%u,\"pid\":%d,\"policy\":\"%s\","
			"\"ttl_ms\":%" PRId64 ",\"capped\":%s,\"slowed\":%s}}",
			crew_id(c), crew_worker_id(crew_worker_of(c)), (int)getpid(),
			visitor->policy ? crew_policy_name(visitor->policy) : "",
			ttls[visitor->ttl], visitor->rate_until ? "true" : "false",
			visitor->pace_until ? "true" : "false"));
}

static void set_policy(crew_conn *c, uint64_t policy)
{
	struct visitor *visitor = crew_data(c);

	if (crew_set_policy(c, (crew_policy)policy) == 0)
		visitor->policy = (crew_policy)policy;
	tell_state(c, 0);
}

static void leave_ttl(const struct visitor *visitor)
{
	if (visitor->ttl)
		feed.choosers[visitor->ttl]--;
}

static void set_ttl(crew_conn *c, uint64_t ms)
{
	struct visitor *visitor = crew_data(c);

	for (size_t i = 0; i < lengthof(ttls); i++) {
		if ((uint64_t)ttls[i] != ms)
			continue;
		leave_ttl(visitor);
		visitor->ttl = i;
		feed.choosers[i] += i > 0;
	}
	tell_state(c, 0);
}

/* It ends by itself: while more than half of a visitor's queue is full the server does not read
 * from it, so it could not take this back. */
static uint64_t hold(uint64_t seconds)
{
	uint64_t until = crew_now_ms() + 1000 * (seconds < HOLD_MOST ? seconds : HOLD_MOST);

	if (feed.held_until < until)
		feed.held_until = until;
	return until;
}

static void set_rate(crew_conn *c, uint64_t seconds)
{
	struct visitor *visitor = crew_data(c);

	if (seconds && crew_set_rate(c, HELD_RATE, CREW_OFF) == 0)
		visitor->rate_until = hold(seconds);
	tell_state(c, 0);
}

/* The kernel itself sends slower: a slow way to this client, as real as one can have it on one
 * machine (socket(7), SO_MAX_PACING_RATE). */
static bool pace(crew_conn *c, uint32_t bytes_per_s)
{
	return setsockopt(crew_fd(c), SOL_SOCKET, SO_MAX_PACING_RATE, &bytes_per_s,
		       sizeof(bytes_per_s)) == 0;
}

static void set_pace(crew_conn *c, uint64_t seconds)
{
	struct visitor *visitor = crew_data(c);

	if (seconds && pace(c, HELD_RATE))
		visitor->pace_until = hold(seconds);
	tell_state(c, 0);
}

static bool is_over(uint64_t *until)
{
	if (!*until || *until > crew_now_ms())
		return false;
	*until = 0;
	return true;
}

static void let_go(crew_conn *c, void *arg)
{
	struct visitor *visitor = crew_data(c);
	bool faster = is_over(&visitor->pace_until), uncapped = is_over(&visitor->rate_until);

	(void)arg;
	if (faster)
		pace(c, UINT32_MAX);
	if (uncapped)
		crew_set_rate(c, 0, 0);
	if (faster || uncapped)
		tell_state(c, 0);
}

static void on_let_go(crew_worker *w, void *arg)
{
	(void)arg;
	if (!feed.held_until)
		return;
	crew_each(crew_worker_service(w), let_go, NULL);
	if (feed.held_until <= crew_now_ms())
		feed.held_until = 0;
}

static void give_back(void *data, void *arg)
{
	(void)arg;
	free(data);
}

static void send_large(crew_conn *c)
{
	static const char head[] = "{\"large\":\"", tail[] = "\"}";
	char *text = malloc(LARGE);

	if (!text)
		return;
	memset(text, '.', LARGE);
	memcpy(text, head, sizeof(head) - 1);
	memcpy(text + LARGE - (sizeof(tail) - 1), tail, sizeof(tail) - 1);
	crew_send_owned(c, (crew_bytes){ text, LARGE }, give_back, NULL);
}

/* What no callback should do: begin a large answer, and then work for long. The rest of the answer
 * waits for nobody but us, and nobody on this worker is served meanwhile. Messages that were not
 * made in that time are not made up. */
static void block(crew_conn *c, uint64_t ms)
{
	uint64_t most = ms < BLOCK_MOST ? ms : BLOCK_MOST;
	struct timespec left = { (time_t)(most / 1000), (long)(most % 1000) * 1000000 };

	send_large(c);
	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
	feed.blocked = true;
}

static const struct {
	const char *name;
	void (*run)(crew_conn *c, uint64_t number);
} commands[] = {
	{ "hello", tell_state },
	{ "policy", set_policy }, /* by its number, from its name */
	{ "ttl", set_ttl },
	{ "rate", set_rate },
	{ "pace", set_pace },
	{ "block", block },
};

static uint64_t number_of(const char *text)
{
	char *end;
	uint64_t number;

	for (int policy = 1; policy < CREW_POLICIES; policy++)
		if (strcmp(text, crew_policy_name((crew_policy)policy)) == 0)
			return (uint64_t)policy;
	number = *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;
	return number < UINT32_MAX ? number : 0;
}

static void on_message(crew_conn *c, crew_msg msg)
{
	char text[32] = "";
	char *word;

	if (msg.body.len == 0 || msg.body.len >= sizeof(text))
		return;
	memcpy(text, msg.body.data, msg.body.len);
	word = strchr(text, ' ');
	if (word)
		*word++ = '\0';
	for (size_t i = 0; i < lengthof(commands); i++)
		if (strcmp(text, commands[i].name) == 0)
			commands[i].run(c, word ? number_of(word) : 0);
}

/* The policy has lost something of a connection that lives: it is told how much, and which. */
static void on_gap(crew_conn *c, const crew_gap *gap)
{
	char json[320];

	tell(c, NULL, json,
		snprintf(json, sizeof(json),
			"{\"gap\":{\"messages\":%" PRIu64 ",\"bytes\":%" PRIu64
			",\"first\":%" PRIu64 ",\"last\":%" PRIu64
			",\"first_key\":\"%.*s\",\"last_key\":\"%.*s\"}}",
			gap->messages, gap->bytes, gap->first, gap->last, (int)gap->first_key.len,
			gap->first_key.data, (int)gap->last_key.len, gap->last_key.data));
}

static void on_close(crew_conn *c)
{
	leave_ttl(crew_data(c));
}

/* ---- the worker's life ---- */

static int on_worker_start(crew_worker *w)
{
	int64_t timer;

	feed.rate = (uint64_t)crew_setting_int("rate", 20);
	feed.size = (size_t)crew_setting_int("size", 4096);
	feed.text = malloc(feed.size + 1);
	if (!feed.text)
		return -ENOMEM;
	memset(feed.text, '.', feed.size + 1);
	feed.random = wall_ms() | 1;
	for (size_t i = 0; i < lengthof(symbols); i++)
		feed.price[i] = 1000 + dice(20000);
	feed.then_ms = crew_now_ms();
	feed.owed = 500; /* half a message ahead, so that a tick one millisecond early skips none */
	timer = crew_timer_every(w, feed.rate < 1000 ? 1000 / feed.rate : 1, on_tick, NULL);
	if (timer > 0)
		timer = crew_timer_every(w, LET_GO_MS, on_let_go, NULL);
	return timer < 0 ? (int)timer : 0;
}

static void on_worker_stop(crew_worker *w)
{
	(void)w;
	free(feed.text);
	feed.text = NULL;
}

/* ---- the page and its numbers ---- */

static bool equal(crew_bytes bytes, const char *text)
{
	return bytes.len == strlen(text) && memcmp(bytes.data, text, bytes.len) == 0;
}

static void reply(crew_conn *c, const char *type, crew_bytes body)
{
	crew_header fresh = { CREW_BYTES("Cache-Control"), CREW_BYTES("no-store") };
	crew_response response = {
		.type = type,
		.headers = &fresh,
		.header_count = 1,
		.body = body,
	};

	crew_reply(c, &response);
}

static void refuse(crew_conn *c, int status, crew_bytes body)
{
	crew_header allow = { CREW_BYTES("Allow"), CREW_BYTES("GET, HEAD") };
	crew_response response = {
		.status = status,
		.headers = &allow,
		.header_count = status == 405 ? 1 : 0,
		.body = body,
	};

	crew_reply(c, &response);
}

/* The service's numbers over all of its workers, by the names that `status --json` uses. */
static void write_stats(FILE *out, const crew_service *service)
{
	static const char *const names[] = { "connections", "messages_offered", "messages_sent",
		"messages_queued", "messages_replaced", "bytes_queued", "send_fail" };

	fprintf(out,
		"{\"service\":\"%s\",\"now_ms\":%" PRIu64 ",\"rate\":%" PRIu64
		",\"dashboard\":\"%s\"",
		service->name, wall_ms(), feed.rate, crew_setting("dashboard", ""));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		fprintf(out, ",\"%s\":%" PRIu64, names[i], crew_service_counter(service, names[i]));
	fprintf(out, ",\"send_fail_by_reason\":{");
	for (crew_reason reason = 0; reason < CREW_LOST_REASONS; reason++) {
		char counter[64];
		snprintf(counter, sizeof(counter), "fail_%s", crew_reason_name(reason));
		fprintf(out, "%s\"%s\":%" PRIu64, reason ? "," : "", crew_reason_name(reason),
			crew_service_counter(service, counter));
	}
	fprintf(out, "}}\n");
}

static void reply_stats(crew_conn *c)
{
	char *json = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&json, &len);
	bool written = false;

	if (out) {
		write_stats(out, crew_service_of(c));
		written = fclose(out) == 0;
	}
	if (written)
		reply(c, "application/json", (crew_bytes){ json, len });
	else
		refuse(c, 503, CREW_BYTES("Out of memory.\n"));
	free(json);
}

static void on_request(crew_conn *c, const crew_request *request)
{
	if (!equal(request->method, "GET") && !equal(request->method, "HEAD"))
		refuse(c, 405, CREW_BYTES("Only GET and HEAD.\n"));
	else if (equal(request->path, "/"))
		reply(c, "text/html; charset=utf-8",
			(crew_bytes){ (const char *)feed_page, sizeof(feed_page) });
	else if (equal(request->path, "/stats"))
		reply_stats(c);
	else
		refuse(c, 404, CREW_BYTES("Not found.\n"));
}

/* ---- the program ---- */

/* It goes into JSON, and into a link. */
static bool is_url(const char *text)
{
	if (strncmp(text, "http://", 7) != 0 && strncmp(text, "https://", 8) != 0)
		return !*text;
	for (; *text; text++)
		if (*text <= ' ' || *text > '~' || *text == '"' || *text == '\\')
			return false;
	return true;
}

static const char *on_config(void)
{
	int64_t rate = crew_setting_int("rate", 20);
	int64_t size = crew_setting_int("size", 4096);

	if (rate < 1 || rate > RATE_MOST)
		return "app.rate: messages a second, 1 to 10000";
	if (size < SIZE_LEAST || size > SIZE_MOST)
		return "app.size: bytes of a message, 64 to 16m";
	if (!is_url(crew_setting("dashboard", "")))
		return "app.dashboard: an address such as http://127.0.0.1:9100/";
	return NULL;
}

int main(int argc, char **argv)
{
	static const crew_service service = {
		.name = "feed",
		.listen = "ws://127.0.0.1:7010",
		.conn_size = sizeof(struct visitor),
		.on_worker_start = on_worker_start,
		.on_worker_stop = on_worker_stop,
		.on_message = on_message,
		.on_close = on_close,
		.on_gap = on_gap,
		.on_request = on_request,
		.deflate = "off", /* its padding would be compressed to nothing, and no queue fill */
	};
	static const crew_app app = {
		.name = "feed",
		.services = { &service },
		.on_config = on_config,
	};
	return crew_main(argc, argv, &app);
}
