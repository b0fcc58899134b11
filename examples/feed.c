/* feed.c - pushes one stream of messages to everybody who listens, and shows what becomes of it.
 *
 *   build/examples/feed start
 *   open http://127.0.0.1:7010/
 *
 * WebSocket clients of the port get every message; a plain GET / gets a page that is such a client,
 * and GET /stats the numbers of all workers. A message is made once for all its receivers: it is
 * shared, not copied, also while it waits for those who are slow. Settings of its own:
 *
 *   [app] rate   messages a second
 *         size   bytes of each message: its number in the worker's sequence, a space, padding */
#include <crew/crew.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "feed_page.h" /* made from feed_page.html */

#define RATE_MOST  10000
#define SIZE_LEAST 16 /* a number of 15 digits and a space */
#define SIZE_MOST  (16 << 20)

/* What this worker pushes. */
static struct {
	uint64_t rate;
	size_t size;
	char *text;        /* size + 1 bytes */
	uint64_t sequence; /* of the last message */
	uint64_t then_ms;  /* when `owed` was last worked out */
	uint64_t owed;     /* thousandths of a message that should have left and did not */
} feed;

static void push(const crew_service *service)
{
	int len = snprintf(feed.text, SIZE_LEAST, "%" PRIu64 " ", ++feed.sequence);
	crew_shared *message;

	feed.text[len] = '.'; /* where snprintf put its NUL */
	message = crew_shared_new((crew_bytes){ feed.text, feed.size });
	if (!message) {
		crew_log(CREW_WARN, "no memory for message %" PRIu64, feed.sequence);
		return;
	}
	crew_broadcast(service, message);
	crew_shared_unref(message);
}

/* Milliseconds do not divide every rate, and a timer may be late: what is owed is worked out from
 * the time that has passed, up to a second's worth after a standstill. */
static void on_tick(crew_worker *w, void *arg)
{
	uint64_t now_ms = crew_now_ms();

	(void)arg;
	feed.owed += (now_ms - feed.then_ms) * feed.rate;
	feed.then_ms = now_ms;
	if (feed.owed > feed.rate * 1000)
		feed.owed = feed.rate * 1000;
	for (; feed.owed >= 1000; feed.owed -= 1000)
		push(crew_worker_service(w));
}

static int on_worker_start(crew_worker *w)
{
	int64_t timer;

	feed.rate = (uint64_t)crew_setting_int("rate", 20);
	feed.size = (size_t)crew_setting_int("size", 4096);
	feed.text = malloc(feed.size + 1);
	if (!feed.text)
		return -ENOMEM;
	memset(feed.text, '.', feed.size + 1);
	feed.then_ms = crew_now_ms();
	feed.owed = 500; /* half a message ahead, so that a tick one millisecond early skips none */
	timer = crew_timer_every(w, feed.rate < 1000 ? 1000 / feed.rate : 1, on_tick, NULL);
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

	fprintf(out, "{\"service\":\"%s\"", service->name);
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

static const char *on_config(void)
{
	int64_t rate = crew_setting_int("rate", 20);
	int64_t size = crew_setting_int("size", 4096);

	if (rate < 1 || rate > RATE_MOST)
		return "app.rate: messages a second, 1 to 10000";
	if (size < SIZE_LEAST || size > SIZE_MOST)
		return "app.size: bytes of a message, 16 to 16m";
	return NULL;
}

int main(int argc, char **argv)
{
	static const crew_service service = {
		.name = "feed",
		.listen = "ws://127.0.0.1:7010",
		.on_worker_start = on_worker_start,
		.on_worker_stop = on_worker_stop,
		.on_request = on_request,
	};
	static const crew_app app = {
		.name = "feed",
		.services = { &service },
		.on_config = on_config,
	};
	return crew_main(argc, argv, &app);
}
