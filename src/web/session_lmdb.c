/* session_lmdb.c - whose turn it is: changes that are made at once, that wait, that are given up.
 */
#include "web/session_lmdb.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "web/session_env.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
	MAP_SIZE = 256 * 1024 * 1024,
	TURN_US = 2000, /* what one call may wait for the gate */
	RETRY_MS = 5,
	PATIENCE_MS = 1000,
	WAITING_MOST = 1024,
	WAITING_BYTES = 8 * 1024 * 1024,
	AT_ONCE = 64, /* changes made by one timer */
	COLLECT_AT_ONCE = 256,
	COLLECT_MS = 10 * 1000,
	COLLECT_AGAIN_MS = 50
};

enum kind {
	SAVE,
	TOUCH,
	REMOVE
};

struct change {
	struct crew__node node;
	uint64_t give_up_ns;
	enum kind kind;
	bool existing;
	int64_t end_ms;
	char id[64];
	size_t len;
	char bytes[];
};

struct lmdb {
	struct crew__store store;
	struct lmdb *next; /* all that this process has open */
	unsigned refs;
	struct crew__loop *loop;
	char *dir;
	struct crew__session_env env;
	struct crew__node waiting; /* oldest first */
	size_t waiting_count, waiting_bytes;
	struct crew__timer retry, collect;
	struct crew__log_rate lost_log, full_log, read_log;
};

/* LMDB must not have one path open twice in a process, and --single has many workers. */
static struct lmdb *all_open;

static struct lmdb *lmdb_of(const struct crew__store *store)
{
	return crew__container_of(store, struct lmdb, store);
}

/* ---- the log ------------------------------------------------------------------------------- */

static void tell_full(const struct lmdb *l, struct crew__log_rate *rate)
{
	char left_out[CREW__LEFT_OUT_MAX];
	if (crew__log_may(rate, 1, left_out))
		crew__log(CREW_ERROR,
			"sessions: the database in %s, or its file system, is full, and nothing in "
			"it has ended: a session is not saved; give sessions a "
			"shorter lifetime, or keep them in Redis%s",
			l->dir, left_out);
}

static void tell_lost(struct lmdb *l, int error)
{
	char left_out[CREW__LEFT_OUT_MAX], holder[128] = "nobody";
	if (!crew__log_may(&l->lost_log, 1, left_out))
		return;
	if (error == -ETIMEDOUT && crew__gate_holder(&l->env.gate, holder, sizeof(holder)) != 0)
		crew__log(CREW_ERROR,
			"sessions: a session is not saved: %s has kept the database in %s to "
			"itself for more than %d ms; let it go on, or end it%s",
			holder, l->dir, PATIENCE_MS, left_out);
	else
		crew__log(CREW_ERROR, "sessions: a session is not saved in %s: %s%s", l->dir,
			error == -EUCLEAN
				? "the database is damaged; stop the program and remove it"
				: strerror(-error),
			left_out);
}

/* ---- a change ------------------------------------------------------------------------------ */

static int make_change(struct lmdb *l, const struct change *c, crew_bytes bytes)
{
	switch (c->kind) {
	case SAVE:
		return crew__env_save(&l->env, c->id, bytes, c->end_ms, c->existing);
	case TOUCH:
		return crew__env_touch(&l->env, c->id, c->end_ms);
	default:
		return crew__env_remove(&l->env, c->id);
	}
}

/* Inside the gate. When there is no room, what has ended makes some. */
static int carry_out(struct lmdb *l, const struct change *c, crew_bytes bytes)
{
	int error = make_change(l, c, bytes);
	if (error == -ENOSPC) {
		crew__env_clear_readers(&l->env);
		if (crew__env_collect(&l->env, COLLECT_AT_ONCE) > 0)
			error = make_change(l, c, bytes);
	}
	if (error == -ENOSPC)
		tell_full(l, &l->full_log);
	else if (error && error != -ENOENT)
		tell_lost(l, error);
	return error;
}

static void forget(struct lmdb *l, struct change *c)
{
	crew__list_remove(&c->node);
	l->waiting_count--;
	l->waiting_bytes -= c->len;
	free(c);
}

static void retry_soon(struct lmdb *l)
{
	uint64_t due = crew__loop_ns(l->loop) + RETRY_MS * CREW__NS_PER_MS;
	if (!crew__list_empty(&l->waiting) && l->retry.place == 0)
		crew__timer_start(l->loop, &l->retry, due);
}

static int put_aside(struct lmdb *l, const struct change *what, crew_bytes bytes)
{
	int error = 0;
	struct change *c = NULL;
	if (l->waiting_count >= WAITING_MOST || l->waiting_bytes + bytes.len > WAITING_BYTES)
		error = -ETIMEDOUT;
	else if (!(c = malloc(sizeof(*c) + bytes.len)))
		error = -ENOMEM;
	if (error) {
		tell_lost(l, error);
		return error;
	}
	*c = *what;
	c->len = bytes.len;
	c->give_up_ns = crew__clock_ns() + PATIENCE_MS * CREW__NS_PER_MS;
	if (bytes.len > 0)
		memcpy(c->bytes, bytes.data, bytes.len);
	crew__list_push(&l->waiting, &c->node);
	l->waiting_count++;
	l->waiting_bytes += bytes.len;
	retry_soon(l);
	return 0;
}

/* While any change waits, all do, so that their order stays. */
static int change(struct crew__store *store, struct change *what, const char *id, crew_bytes bytes)
{
	struct lmdb *l = lmdb_of(store);
	snprintf(what->id, sizeof(what->id), "%s", id);
	if (!crew__list_empty(&l->waiting) || crew__gate_enter(&l->env.gate, TURN_US) != 0)
		return put_aside(l, what, bytes);
	int error = carry_out(l, what, bytes);
	crew__gate_leave(&l->env.gate);
	return error;
}

static int save(
	struct crew__store *store, const char *id, crew_bytes bytes, int64_t life_ms, bool existing)
{
	struct change what = {
		.kind = SAVE,
		.existing = existing,
		.end_ms = crew__env_now() + life_ms,
	};
	return change(store, &what, id, bytes);
}

static int touch(struct crew__store *store, const char *id, int64_t life_ms)
{
	struct change what = { .kind = TOUCH, .end_ms = crew__env_now() + life_ms };
	return change(store, &what, id, (crew_bytes){ NULL, 0 });
}

static int remove_one(struct crew__store *store, const char *id)
{
	struct change what = { .kind = REMOVE };
	return change(store, &what, id, (crew_bytes){ NULL, 0 });
}

/* ---- what waits ---------------------------------------------------------------------------- */

static void make_waiting(struct lmdb *l)
{
	for (int i = 0; i < AT_ONCE && !crew__list_empty(&l->waiting); i++) {
		struct change *c = crew__container_of(l->waiting.next, struct change, node);
		carry_out(l, c, (crew_bytes){ c->bytes, c->len });
		forget(l, c);
	}
}

static void give_up_waiting(struct lmdb *l, uint64_t now)
{
	while (!crew__list_empty(&l->waiting)) {
		struct change *c = crew__container_of(l->waiting.next, struct change, node);
		if (c->give_up_ns > now)
			return;
		tell_lost(l, -ETIMEDOUT);
		forget(l, c);
	}
}

static void on_retry(struct crew__timer *timer)
{
	struct lmdb *l = crew__container_of(timer, struct lmdb, retry);
	if (crew__gate_enter(&l->env.gate, 0) == 0) {
		make_waiting(l);
		crew__gate_leave(&l->env.gate);
	} else {
		give_up_waiting(l, crew__clock_ns());
	}
	retry_soon(l);
}

/* ---- reading ------------------------------------------------------------------------------- */

/* What this process wants stored, but is not yet, is true all the same. */
static const struct change *find_waiting(const struct lmdb *l, const char *id)
{
	for (const struct crew__node *n = l->waiting.prev; n != &l->waiting; n = n->prev) {
		const struct change *c = crew__container_of(n, struct change, node);
		if (c->kind != TOUCH && strcmp(c->id, id) == 0)
			return c;
	}
	return NULL;
}

static int fetch_waiting(const struct change *c, crew__store_fetched_fn *fetched, void *arg)
{
	int64_t left = c->end_ms - crew__env_now();
	bool there = c->kind == SAVE && left > 0;
	fetched(arg, there ? 0 : -ENOENT, (crew_bytes){ c->bytes, c->len }, left);
	return 0;
}

static int fetch(
	struct crew__store *store, const char *id, crew__store_fetched_fn *fetched, void *arg)
{
	struct lmdb *l = lmdb_of(store);
	crew_bytes bytes = { NULL, 0 };
	int64_t left = 0;
	char left_out[CREW__LEFT_OUT_MAX];
	const struct change *waiting = find_waiting(l, id);
	if (waiting)
		return fetch_waiting(waiting, fetched, arg);
	int error = crew__env_read(&l->env, id, &bytes, &left);
	if (error && error != -ENOENT && crew__log_may(&l->read_log, 1, left_out))
		crew__log(CREW_ERROR,
			"sessions: the database in %s cannot be read: %s; stop the "
			"program and remove it%s",
			l->dir, strerror(-error), left_out);
	fetched(arg, error, bytes, left);
	if (!error)
		crew__env_read_done(&l->env);
	return 0;
}

/* ---- collecting ---------------------------------------------------------------------------- */

/* Processes that look at different times are seldom in each other's way. */
static uint64_t jittered_ns(uint64_t ms)
{
	uint32_t random = 0;
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		random = (uint32_t)crew__clock_ns();
	return (ms / 2 + random % (ms + 1)) * CREW__NS_PER_MS;
}

static void on_collect(struct crew__timer *timer)
{
	struct lmdb *l = crew__container_of(timer, struct lmdb, collect);
	uint64_t again = COLLECT_MS;
	if (crew__env_has_ended(&l->env) && crew__gate_enter(&l->env.gate, 0) == 0) {
		int count = crew__env_collect(&l->env, COLLECT_AT_ONCE);
		crew__gate_leave(&l->env.gate);
		if (count == COLLECT_AT_ONCE)
			again = COLLECT_AGAIN_MS;
	}
	crew__timer_start(l->loop, timer, crew__loop_ns(l->loop) + jittered_ns(again));
}

/* ---- opening and closing ------------------------------------------------------------------- */

static void free_lmdb(struct lmdb *l)
{
	free(l->dir);
	free(l);
}

static void close_store(struct crew__store *store)
{
	struct lmdb *l = lmdb_of(store);
	if (--l->refs > 0)
		return;
	struct lmdb **at = &all_open;
	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	crew__timer_stop(l->loop, &l->retry);
	crew__timer_stop(l->loop, &l->collect);
	if (!crew__list_empty(&l->waiting) && crew__gate_enter(&l->env.gate, TURN_US) == 0) {
		while (!crew__list_empty(&l->waiting))
			make_waiting(l);
		crew__gate_leave(&l->env.gate);
	}
	give_up_waiting(l, UINT64_MAX);
	crew__env_close(&l->env);
	free_lmdb(l);
}

size_t crew__lmdb_waiting(const struct crew__store *store)
{
	return lmdb_of(store)->waiting_count;
}

static const struct crew__store_ops lmdb_ops = {
	.immediate = true,
	.fetch = fetch,
	.save = save,
	.touch = touch,
	.remove = remove_one,
	.close = close_store,
};

static int open_new(
	const struct crew__lmdb_plan *plan, struct lmdb *l, char *error_text, size_t error_size)
{
	l->store.ops = &lmdb_ops;
	l->refs = 1;
	l->loop = plan->loop;
	l->retry.fn = on_retry;
	l->collect.fn = on_collect;
	crew__list_init(&l->waiting);
	uint64_t due = crew__loop_ns(l->loop) + jittered_ns(COLLECT_MS);
	l->dir = strdup(plan->dir);
	if (!l->dir || crew__timer_start(l->loop, &l->collect, due) < 0) {
		snprintf(error_text, error_size, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	size_t map_size = plan->map_size ? plan->map_size : MAP_SIZE;
	int error = crew__env_open(&l->env, l->dir, map_size, error_text, error_size);
	if (error)
		crew__timer_stop(l->loop, &l->collect);
	return error;
}

int crew__lmdb_open(const struct crew__lmdb_plan *plan, struct crew__store **ret_store,
	char *ret_error, size_t error_size)
{
	for (struct lmdb *l = all_open; l; l = l->next) {
		if (strcmp(l->dir, plan->dir) != 0 || l->loop != plan->loop)
			continue;
		l->refs++;
		*ret_store = &l->store;
		return 0;
	}
	struct lmdb *l = calloc(1, sizeof(*l));
	if (!l) {
		snprintf(ret_error, error_size, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	int error = open_new(plan, l, ret_error, error_size);
	if (error) {
		free_lmdb(l);
		return error;
	}
	l->next = all_open;
	all_open = l;
	*ret_store = &l->store;
	return 0;
}
