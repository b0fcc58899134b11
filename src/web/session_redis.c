/* session_redis.c - what is asked of Redis, each with its deadline.
 *
 *            link READY                  answered, or lost
 *   waiting ────────────▸ asked ────────────────────────────▸ done ──(told, from the loop)──▸ freed
 *      └──────── the link is lost, or a second has passed ────────┘
 *
 * Answers come from inside hiredis, where nothing may be called that could end the connection; so
 * they are told afterwards. */
#include "web/session_redis.h"

#include "base/clock.h"
#include "base/list.h"
#include "web/session.h"
#include "web/session_redis_link.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "crew:session:"

enum {
	ORDERS_MOST = 1024,
	ORDERS_BYTES = 16 * 1024 * 1024,
	PATIENCE_MS = 1000,
	NOTHING_MS = 3600 * 1000
};

struct order {
	struct crew__node node;
	struct redis *redis;
	uint64_t due_ns;
	bool (*ask)(struct order *o);    /* false: the connection does not take it */
	crew__store_fetched_fn *fetched; /* NULL: a change */
	void *arg;
	unsigned answers; /* still to come */
	int status;
	int64_t ms; /* to live */
	bool existing;
	char key[sizeof(PREFIX) + 64];
	size_t len;
	char *bytes; /* to save, or as they were fetched */
};

struct redis {
	struct crew__store store;
	struct crew__link link;
	struct crew__node waiting, asked, done; /* each oldest first */
	size_t count, bytes;
	struct crew__timer timer; /* always runs */
	struct crew__log_rate log;
};

static struct redis *redis_of(const struct crew__store *store)
{
	return crew__container_of(store, struct redis, store);
}

static struct redis *redis_of_link(struct crew__link *link)
{
	return crew__container_of(link, struct redis, link);
}

static struct order *first(struct crew__node *list)
{
	return crew__list_empty(list) ? NULL : crew__container_of(list->next, struct order, node);
}

static void tell_failed(struct redis *r, const char *what, const char *why)
{
	char left_out[CREW__LEFT_OUT_MAX];
	if (crew__log_may(&r->log, 1, left_out))
		crew__log(CREW_ERROR, "sessions: a session is not %s Redis at %s: %s%s", what,
			r->link.url.name, why, left_out);
}

/* ---- orders -------------------------------------------------------------------------------- */

static void move_to(struct crew__node *list, struct order *o)
{
	crew__list_remove(&o->node);
	crew__list_push(list, &o->node);
}

/* Look at the time again: for what has become due, or to be told, meanwhile. */
static void wake(struct redis *r, uint64_t due_ns)
{
	crew__timer_start(r->link.loop, &r->timer, due_ns);
}

/* It is in no list any more. */
static void tell(struct order *o)
{
	if (o->fetched) {
		crew_bytes bytes = { o->bytes, o->len };
		o->fetched(o->arg, o->status, bytes, o->ms);
	} else if (o->status && o->status != -EREMOTEIO) { /* told when it came */
		tell_failed(o->redis, "saved in", strerror(-o->status));
	}
	o->redis->count--;
	o->redis->bytes -= o->len;
	free(o->bytes);
	free(o);
}

static void tell_all(struct redis *r)
{
	struct order *o;
	while ((o = first(&r->done)) != NULL) {
		r->done.next = o->node.next;
		r->done.next->prev = &r->done;
		tell(o);
	}
}

static void finish(struct order *o, int status)
{
	if (status && !o->status)
		o->status = status;
	if (o->answers == 0)
		move_to(&o->redis->done, o);
}

/* Everything that waits cannot be done. */
static void fail_waiting(struct redis *r, int status)
{
	struct order *o;
	while ((o = first(&r->waiting)) != NULL)
		finish(o, status);
	wake(r, crew__loop_ns(r->link.loop));
}

/* ---- answers, from inside hiredis ---------------------------------------------------------- */

/* One of the answers to an order. NULL when there is none or it is an error. */
static const redisReply *take_answer(struct order *o, const redisReply *reply)
{
	o->answers--;
	if (reply && reply->type != REDIS_REPLY_ERROR)
		return reply;
	if (reply)
		tell_failed(o->redis, o->fetched ? "read from" : "saved in", reply->str);
	finish(o, reply ? -EREMOTEIO : -ENOTCONN);
	return NULL;
}

static void on_changed(redisAsyncContext *redis, void *answer, void *arg)
{
	struct order *o = arg;
	(void)redis;
	if (take_answer(o, answer))
		finish(o, 0);
}

static void on_time_left(redisAsyncContext *redis, void *answer, void *arg)
{
	struct order *o = arg;
	(void)redis;
	const redisReply *reply = take_answer(o, answer);
	bool good = reply && reply->type == REDIS_REPLY_INTEGER;
	if (good)
		o->ms = reply->integer == -1 ? INT64_MAX : reply->integer; /* -1: no end */
	if (reply)
		finish(o, good ? 0 : -EPROTO);
}

static void take_value(struct order *o, const redisReply *reply)
{
	if (reply->type != REDIS_REPLY_STRING || reply->len > CREW__VALUES_ENCODED) {
		finish(o, -EPROTO);
		return;
	}
	if (reply->len == 0 || o->ms <= 0) { /* GETRANGE: as if it were empty */
		finish(o, -ENOENT);
		return;
	}
	o->bytes = malloc(reply->len);
	if (o->bytes) {
		memcpy(o->bytes, reply->str, reply->len);
		o->len = reply->len;
		o->redis->bytes += o->len;
	}
	finish(o, o->bytes ? 0 : -ENOMEM);
}

static void on_value(redisAsyncContext *redis, void *answer, void *arg)
{
	struct order *o = arg;
	(void)redis;
	const redisReply *reply = take_answer(o, answer);
	if (reply && o->status)
		finish(o, o->status);
	else if (reply)
		take_value(o, reply);
}

/* ---- commands ------------------------------------------------------------------------------ */

static bool command(
	struct order *o, redisCallbackFn *fn, int count, const char **words, const size_t *lengths)
{
	if (crew__link_command(&o->redis->link, fn, o, count, words, lengths) < 0)
		return false;
	o->answers++;
	return true;
}

/* Words are texts; for other bytes than those of `o` there is no need. */
static bool command_text(struct order *o, redisCallbackFn *fn, int count, const char **words)
{
	size_t lengths[8];
	for (int i = 0; i < count; i++)
		lengths[i] = words[i] == o->bytes ? o->len : strlen(words[i]);
	return command(o, fn, count, words, lengths);
}

/* The range keeps what Redis sends within bounds. */
static bool ask_value(struct order *o)
{
	char most[16];
	snprintf(most, sizeof(most), "%d", (int)CREW__VALUES_ENCODED);
	const char *left[] = { "PTTL", o->key };
	const char *value[] = { "GETRANGE", o->key, "0", most };
	return command_text(o, on_time_left, 2, left) && command_text(o, on_value, 4, value);
}

static bool ask_save(struct order *o)
{
	char ms[24];
	snprintf(ms, sizeof(ms), "%" PRId64, o->ms);
	const char *words[] = { "SET", o->key, o->bytes, "PX", ms, "XX" };
	return command_text(o, on_changed, o->existing ? 6 : 5, words);
}

static bool ask_touch(struct order *o)
{
	char ms[24];
	snprintf(ms, sizeof(ms), "%" PRId64, o->ms);
	const char *words[] = { "PEXPIRE", o->key, ms };
	return command_text(o, on_changed, 3, words);
}

static bool ask_remove(struct order *o)
{
	const char *words[] = { "DEL", o->key };
	return command_text(o, on_changed, 2, words);
}

static void ask(struct order *o)
{
	move_to(&o->redis->asked, o);
	if (!o->ask(o))
		finish(o, -ENOTCONN);
}

static void on_ready(struct crew__link *link)
{
	struct redis *r = redis_of_link(link);
	struct order *o;
	while ((o = first(&r->waiting)) != NULL)
		ask(o);
	crew__link_write(link);
}

static void on_turn(struct crew__link *link)
{
	tell_all(redis_of_link(link));
}

static void on_lost(struct crew__link *link)
{
	fail_waiting(redis_of_link(link), -ENOTCONN);
}

/* The oldest of what was asked is late: then Redis is, and what it says later is of no use. */
static void on_timer(struct crew__timer *timer)
{
	struct redis *r = crew__container_of(timer, struct redis, timer);
	uint64_t now = crew__loop_ns(r->link.loop);
	struct order *o = first(&r->asked);
	if (o && o->due_ns <= now)
		crew__link_break(&r->link, "it did not answer within a second");
	while ((o = first(&r->waiting)) != NULL && o->due_ns <= now)
		finish(o, -ETIMEDOUT);
	tell_all(r);
	uint64_t next = now + NOTHING_MS * CREW__NS_PER_MS;
	if ((o = first(&r->asked)) != NULL && o->due_ns < next)
		next = o->due_ns;
	if ((o = first(&r->waiting)) != NULL && o->due_ns < next)
		next = o->due_ns;
	wake(r, next);
}

/* ---- the store ----------------------------------------------------------------------------- */

static struct order *new_order(struct redis *r, const char *id, crew_bytes bytes)
{
	struct order *o = calloc(1, sizeof(*o));
	char *copy = bytes.len > 0 ? malloc(bytes.len) : NULL;
	if (!o || (bytes.len > 0 && !copy)) {
		free(copy);
		free(o);
		return NULL;
	}
	if (bytes.len > 0)
		memcpy(copy, bytes.data, bytes.len);
	crew__list_init(&o->node);
	o->redis = r;
	o->bytes = copy;
	o->len = bytes.len;
	o->due_ns = crew__loop_ns(r->link.loop) + PATIENCE_MS * CREW__NS_PER_MS;
	snprintf(o->key, sizeof(o->key), PREFIX "%.64s", id);
	r->count++;
	r->bytes += o->len;
	return o;
}

static int may_order(const struct redis *r, size_t bytes)
{
	const struct crew__link *link = &r->link;
	if (link->state != CREW__LINK_READY && !link->hopeful)
		return -ENOTCONN;
	return r->count >= ORDERS_MOST || r->bytes + bytes > ORDERS_BYTES ? -EAGAIN : 0;
}

static void place(struct redis *r, struct order *o)
{
	crew__list_push(&r->waiting, &o->node);
	if (r->timer.due_ns > o->due_ns)
		wake(r, o->due_ns);
	if (r->link.state != CREW__LINK_READY)
		return;
	ask(o);
	crew__link_write(&r->link);
	if (!crew__list_empty(&r->done)) /* it was lost by that */
		wake(r, crew__loop_ns(r->link.loop));
}

static int fetch(
	struct crew__store *store, const char *id, crew__store_fetched_fn *fetched, void *arg)
{
	struct redis *r = redis_of(store);
	int error = may_order(r, 0);
	if (error)
		return error;
	struct order *o = new_order(r, id, (crew_bytes){ NULL, 0 });
	if (!o)
		return -ENOMEM;
	o->ask = ask_value;
	o->fetched = fetched;
	o->arg = arg;
	place(r, o);
	return 0;
}

static int change(
	struct crew__store *store, const char *id, crew_bytes bytes, const struct order *like)
{
	struct redis *r = redis_of(store);
	int error = may_order(r, bytes.len);
	struct order *o = error ? NULL : new_order(r, id, bytes);
	if (!o) {
		tell_failed(r, "saved in",
			error == -ENOTCONN ? "it is away"
			: error == -EAGAIN ? "too much waits for it"
					   : strerror(ENOMEM));
		return error ? error : -ENOMEM;
	}
	o->ask = like->ask;
	o->ms = like->ms;
	o->existing = like->existing;
	place(r, o);
	return 0;
}

static int save(
	struct crew__store *store, const char *id, crew_bytes bytes, int64_t life_ms, bool existing)
{
	const struct order like = { .ask = ask_save, .ms = life_ms, .existing = existing };
	return change(store, id, bytes, &like);
}

static int touch(struct crew__store *store, const char *id, int64_t life_ms)
{
	const struct order like = { .ask = ask_touch, .ms = life_ms };
	return change(store, id, (crew_bytes){ NULL, 0 }, &like);
}

static int remove_one(struct crew__store *store, const char *id)
{
	const struct order like = { .ask = ask_remove };
	return change(store, id, (crew_bytes){ NULL, 0 }, &like);
}

static void close_store(struct crew__store *store)
{
	struct redis *r = redis_of(store);
	struct order *o;
	crew__link_close(&r->link);
	while ((o = first(&r->waiting)) != NULL)
		finish(o, -ESHUTDOWN);
	tell_all(r);
	crew__timer_stop(r->link.loop, &r->timer);
	free(r);
}

size_t crew__redis_waiting(const struct crew__store *store)
{
	return redis_of(store)->count;
}

static const struct crew__store_ops redis_ops = {
	.fetch = fetch,
	.save = save,
	.touch = touch,
	.remove = remove_one,
	.close = close_store,
};

int crew__redis_open(
	struct crew__loop *loop, const struct crew__redis_url *url, struct crew__store **ret_store)
{
	struct redis *r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->store.ops = &redis_ops;
	r->link = (struct crew__link){
		.loop = loop,
		.url = *url,
		.on_ready = on_ready,
		.on_turn = on_turn,
		.on_lost = on_lost,
	};
	crew__list_init(&r->waiting);
	crew__list_init(&r->asked);
	crew__list_init(&r->done);
	r->timer.fn = on_timer;
	int error = crew__timer_start(
		loop, &r->timer, crew__loop_ns(loop) + NOTHING_MS * CREW__NS_PER_MS);
	if (!error)
		error = crew__link_open(&r->link);
	if (error) {
		crew__timer_stop(loop, &r->timer);
		free(r);
		return error;
	}
	*ret_store = &r->store;
	return 0;
}
