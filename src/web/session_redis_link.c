/* session_redis_link.c - hiredis' hooks, the greeting, and trying again.
 *
 * hiredis frees its context from inside its own calls, and calls back from there. So the hooks only
 * note what happened, and settle() acts on it once the call is over. */
#include "web/session_redis_link.h"

#include "base/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
	CONNECT_MS = 1000,
	AGAIN_MS = 50, /* doubles with each failure */
	AGAIN_MOST_MS = 2000,
	NOTHING_MS = 3600 * 1000,
	STEADY_MS = 1000, /* one that lasted no longer has failed */
	ANSWER_MOST = 256 * 1024
};

static struct crew__link *link_of(void *privdata)
{
	return privdata;
}

static void start_timer(struct crew__link *link, uint64_t ms)
{
	uint64_t due = crew__loop_ns(link->loop) + ms * CREW__NS_PER_MS;
	/* It always runs, so that the loop has room for it. */
	crew__timer_start(link->loop, &link->timer, due);
}

/* ---- hooks of hiredis ---------------------------------------------------------------------- */

static void watch(struct crew__link *link, unsigned events)
{
	if (link->source.fd >= 0 && link->source.events != events &&
		crew__loop_mod(link->loop, &link->source, events) < 0)
		crew__log(CREW_ERROR, "sessions: the connection to Redis cannot be watched");
}

static void add_read(void *privdata)
{
	watch(link_of(privdata), link_of(privdata)->source.events | CREW__READ);
}

static void del_read(void *privdata)
{
	watch(link_of(privdata), link_of(privdata)->source.events & ~CREW__READ);
}

static void add_write(void *privdata)
{
	watch(link_of(privdata), link_of(privdata)->source.events | CREW__WRITE);
}

static void del_write(void *privdata)
{
	watch(link_of(privdata), link_of(privdata)->source.events & ~CREW__WRITE);
}

/* The context goes, whatever the reason; its descriptor is closed next. */
static void clean_up(void *privdata)
{
	struct crew__link *link = link_of(privdata);
	crew__loop_remove(link->loop, &link->source);
	if (link->why[0] == '\0')
		snprintf(link->why, sizeof(link->why), "%s",
			link->redis->errstr && link->redis->errstr[0] ? link->redis->errstr
								      : "it was closed");
	link->redis = NULL;
}

static void on_greeted(redisAsyncContext *redis, void *answer, void *arg)
{
	struct crew__link *link = arg;
	const redisReply *reply = answer;
	if (!reply || link->why[0] != '\0')
		return;
	if (reply->type == REDIS_REPLY_ERROR) {
		snprintf(link->why, sizeof(link->why), "%s", reply->str);
		redisAsyncFree(redis);
		return;
	}
	link->greetings--;
}

static void greet(struct crew__link *link)
{
	link->greetings = 1;
	if (link->url.password[0] != '\0') {
		link->greetings++;
		redisAsyncCommand(link->redis, on_greeted, link, "AUTH %s", link->url.password);
	}
	if (link->url.db != 0) {
		link->greetings++;
		redisAsyncCommand(link->redis, on_greeted, link, "SELECT %d", link->url.db);
	}
	redisAsyncCommand(link->redis, on_greeted, link, "PING");
}

static void on_connect(const redisAsyncContext *redis, int status)
{
	if (status == REDIS_OK)
		greet(redis->data);
}

/* ---- what became of it --------------------------------------------------------------------- */

static uint64_t pause_ms(unsigned failures)
{
	uint32_t random = 0;
	uint64_t ms = AGAIN_MS;
	for (unsigned i = 1; i < failures && ms < AGAIN_MOST_MS; i++)
		ms *= 2;
	ms = ms < AGAIN_MOST_MS ? ms : AGAIN_MOST_MS;
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		random = (uint32_t)crew__clock_ns();
	return ms / 2 + random % (ms + 1);
}

static void tell_away(struct crew__link *link)
{
	if (!link->told)
		crew__log(CREW_WARN,
			"sessions: Redis at %s is away: %s; requests with a session get 503 until "
			"it is back",
			link->url.name, link->why);
	link->told = true;
}

/* One that was READY for a while gets another try at once, and what asks meanwhile waits for it. */
static void lost(struct crew__link *link)
{
	bool steady = link->state == CREW__LINK_READY &&
		      crew__clock_ns() - link->ready_ns > STEADY_MS * CREW__NS_PER_MS;
	link->state = CREW__LINK_AWAY;
	link->hopeful = steady;
	if (steady) {
		crew__log(CREW_WARN, "sessions: the connection to Redis at %s is lost: %s",
			link->url.name, link->why);
	} else {
		link->failures++;
		tell_away(link);
	}
	link->why[0] = '\0';
	if (link->ending)
		return;
	start_timer(link, steady ? 0 : pause_ms(link->failures));
	link->on_lost(link);
}

static void ready(struct crew__link *link)
{
	link->state = CREW__LINK_READY;
	link->ready_ns = crew__clock_ns();
	link->hopeful = true;
	link->failures = 0;
	if (link->told)
		crew__log(CREW_WARN, "sessions: Redis at %s is back", link->url.name);
	link->told = false;
	start_timer(link, NOTHING_MS);
	link->on_ready(link);
}

static void settle(struct crew__link *link)
{
	if (!link->redis && link->state != CREW__LINK_AWAY)
		lost(link);
	else if (link->redis && link->state == CREW__LINK_CONNECTING && link->greetings == 0)
		ready(link);
}

/* hiredis gathers an answer as long as it says it is. */
static void bound(struct crew__link *link)
{
	const redisReader *reader = link->redis ? link->redis->c.reader : NULL;
	if (reader && reader->len - reader->pos > ANSWER_MOST)
		crew__link_break(link, "an answer is too long");
}

static void on_events(struct crew__source *source, unsigned events)
{
	struct crew__link *link = crew__container_of(source, struct crew__link, source);
	if (events & (CREW__WRITE | CREW__HUP))
		redisAsyncHandleWrite(link->redis);
	if (link->redis && (events & (CREW__READ | CREW__HUP | CREW__ENDED)))
		redisAsyncHandleRead(link->redis);
	settle(link);
	bound(link);
	link->on_turn(link);
}

/* ---- connecting ---------------------------------------------------------------------------- */

/* None of our commands is answered by an array, and an array's length is all that Redis says. */
static void *no_array(const redisReadTask *task, int elements)
{
	(void)task;
	(void)elements;
	return NULL;
}

static int attach(struct crew__link *link)
{
	static redisReplyObjectFunctions functions; /* hiredis' own, the same each time */
	redisAsyncContext *redis = link->redis;
	functions = *redis->c.reader->fn;
	functions.createArray = no_array;
	redis->c.reader->fn = &functions;
	redis->data = link;
	link->source.fd = redis->c.fd;
	if (fcntl(redis->c.fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	int error = crew__loop_add(link->loop, &link->source, CREW__WRITE);
	if (error)
		return error;
	redis->ev.addRead = add_read;
	redis->ev.delRead = del_read;
	redis->ev.addWrite = add_write;
	redis->ev.delWrite = del_write;
	redis->ev.cleanup = clean_up;
	redis->ev.data = link;
	redisAsyncSetConnectCallback(redis, on_connect);
	return 0;
}

static void give_up(struct crew__link *link, const char *why)
{
	if (link->redis) {
		snprintf(link->why, sizeof(link->why), "%s", why);
		redisAsyncContext *redis = link->redis;
		link->redis = NULL;
		redisAsyncFree(redis);
	} else {
		snprintf(link->why, sizeof(link->why), "%s", why);
	}
	link->source.fd = -1;
	settle(link);
}

static void begin(struct crew__link *link)
{
	char why[sizeof(link->why)];
	link->state = CREW__LINK_CONNECTING;
	link->greetings = 1;
	link->redis = link->url.local ? redisAsyncConnectUnix(link->url.host)
				      : redisAsyncConnect(link->url.host, link->url.port);
	if (!link->redis || link->redis->err) {
		snprintf(why, sizeof(why), "%s", link->redis ? link->redis->errstr : "no memory");
		give_up(link, why);
		return;
	}
	int error = attach(link);
	if (error)
		give_up(link, strerror(-error));
	else
		start_timer(link, CONNECT_MS);
}

static void on_timer(struct crew__timer *timer)
{
	struct crew__link *link = crew__container_of(timer, struct crew__link, timer);
	if (link->state == CREW__LINK_AWAY)
		begin(link);
	else if (link->state == CREW__LINK_READY)
		start_timer(link, NOTHING_MS);
	else
		crew__link_break(link, "it did not answer within a second");
}

int crew__link_open(struct crew__link *link)
{
	link->state = CREW__LINK_AWAY;
	link->hopeful = true;
	link->source.fd = -1;
	link->source.fn = on_events;
	link->timer.fn = on_timer;
	return crew__timer_start(link->loop, &link->timer, crew__loop_ns(link->loop));
}

void crew__link_close(struct crew__link *link)
{
	link->ending = true;
	link->told = true;
	crew__timer_stop(link->loop, &link->timer);
	if (link->redis)
		redisAsyncFree(link->redis);
	crew__timer_stop(link->loop, &link->timer);
}

/* ---- using it ------------------------------------------------------------------------------ */

int crew__link_command(struct crew__link *link, redisCallbackFn *fn, void *arg, int count,
	const char **words, const size_t *lengths)
{
	if (link->state != CREW__LINK_READY || !link->redis)
		return -ENOTCONN;
	int status = redisAsyncCommandArgv(link->redis, fn, arg, count, words, lengths);
	return status == REDIS_OK ? 0 : -ENOTCONN;
}

void crew__link_write(struct crew__link *link)
{
	if (link->redis)
		redisAsyncHandleWrite(link->redis);
	settle(link);
}

void crew__link_break(struct crew__link *link, const char *why)
{
	if (!link->redis)
		return;
	snprintf(link->why, sizeof(link->why), "%s", why);
	redisAsyncFree(link->redis);
	settle(link);
}
