/* http_sessions.c - which sessions a service has, and the stores that they need. */
#include "service/http_session.h"

#include "web/cookie.h"
#include "web/session.h"
#include "web/session_lmdb.h"
#include "web/session_redis.h"
#include "web/session_redis_url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	LIFE_S = 1440,
	LIFE_MOST_S = 10 * 366 * 24 * 3600,
	TOUCH_MS = 60 * 1000,
	DEPTH_MOST = 32 /* of groups; http_table.c refuses deeper ones */
};

/* ---- all that a service names -------------------------------------------------------------- */

typedef int each_fn(const crew_sessions *config, void *arg);

static int each_route(const crew_route *routes, int depth, each_fn *fn, void *arg)
{
	int error = 0;
	for (const crew_route *r = routes; r && r->path && !error && depth > 0; r++) {
		if (r->sessions)
			error = fn(r->sessions, arg);
		if (!error)
			error = each_route(r->group, depth - 1, fn, arg);
	}
	return error;
}

static int each(const crew_service *service, each_fn *fn, void *arg)
{
	int error = service->sessions ? fn(service->sessions, arg) : 0;
	return error ? error : each_route(service->routes, DEPTH_MOST, fn, arg);
}

const struct crew__sessions_use *crew__sessions_find(
	const struct crew__sessions *sessions, const crew_sessions *config)
{
	for (size_t i = 0; sessions && i < sessions->count; i++)
		if (sessions->uses[i].config == config)
			return &sessions->uses[i];
	return NULL;
}

/* ---- one of them --------------------------------------------------------------------------- */

static int wrong(const crew_worker *w, const char *what, int error)
{
	crew__log(CREW_ERROR, "service \"%s\": sessions: %s", w->service->name, what);
	return error;
}

static crew_cookie example_of(const crew_sessions *config)
{
	return (crew_cookie){
		.name = config->cookie ? config->cookie : "sid",
		.value = CREW_BYTES("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopq"),
		.path = config->path,
		.domain = config->domain,
		.max_age_s = LIFE_MOST_S,
		.same_site = config->same_site,
		.secure = !config->insecure,
		.script = config->script,
	};
}

static int check(const crew_worker *w, const crew_sessions *config)
{
	char room[CREW__COOKIE_TEXT_MOST];
	const crew_cookie example = example_of(config);
	if (config->lifetime_s < 0 || config->lifetime_s > LIFE_MOST_S)
		return wrong(w, "lifetime_s must be from 1 second to 10 years", -EINVAL);
	if (crew__cookie_write(&example, room, sizeof(room)) < 0)
		return wrong(w,
			"cookie, path, domain and same_site make no cookie that a browser takes "
			"(the name is a token, the path begins with /, SameSite=None cannot be "
			"`insecure`)",
			-EINVAL);
	return 0;
}

/* The directory of the default store: each user's workers have their own. */
static int dir_of(const char *run_dir, const char *name, uid_t uid, char **ret_path)
{
	int length = asprintf(ret_path, "%s/%s.sessions-%u", run_dir, name, (unsigned)uid);
	return length < 0 ? -ENOMEM : 0;
}

static int open_lmdb(crew_worker *w, struct crew__store **ret_store)
{
	char *dir, error[512];
	if (!w->plan.run_dir || !w->plan.name)
		return wrong(w, "there is no run directory to keep them in", -EINVAL);
	if (dir_of(w->plan.run_dir, w->plan.name, geteuid(), &dir) < 0)
		return wrong(w, strerror(ENOMEM), -ENOMEM);
	const struct crew__lmdb_plan plan = { .loop = w->plan.loop, .dir = dir };
	int status = crew__lmdb_open(&plan, ret_store, error, sizeof(error));
	free(dir);
	return status ? wrong(w, error, status) : 0;
}

static int open_redis(crew_worker *w, const char *store, struct crew__store **ret_store)
{
	char text[512], error[256];
	struct crew__redis_url url;
	if (!crew__redis_url_is(store))
		return wrong(
			w, "store must be NULL, or begin with redis:// or redis+unix://", -EINVAL);
	int status = crew__redis_url_parse(store, &url, error, sizeof(error));
	if (status) {
		snprintf(text, sizeof(text), "store: %s", error);
		return wrong(w, text, status);
	}
	status = crew__redis_open(w->plan.loop, &url, ret_store);
	return status ? wrong(w, strerror(-status), status) : 0;
}

static bool same_store(const crew_sessions *a, const crew_sessions *b)
{
	return a->store == b->store || (a->store && b->store && strcmp(a->store, b->store) == 0);
}

static int find_store(crew_worker *w, struct crew__sessions_use *use)
{
	const struct crew__sessions *all = w->http->sessions;
	for (size_t i = 0; i < all->count; i++) {
		if (same_store(all->uses[i].config, use->config)) {
			use->store = all->uses[i].store;
			return 0;
		}
	}
	use->owns_store = true;
	return use->config->store ? open_redis(w, use->config->store, &use->store)
				  : open_lmdb(w, &use->store);
}

/* `config` is checked. */
static int make_use(crew_worker *w, const crew_sessions *config, struct crew__sessions_use *use)
{
	*use = (struct crew__sessions_use){
		.config = config,
		.cookie = config->cookie ? config->cookie : "sid",
		.life_ms = (config->lifetime_s ? config->lifetime_s : LIFE_S) * 1000,
	};
	use->touch_ms = use->life_ms / 4 < TOUCH_MS ? use->life_ms / 4 : TOUCH_MS;
	const char *path = config->path ? config->path : "/";
	if (asprintf(&use->scope, "%s %s", use->cookie, path) < 0)
		return wrong(w, strerror(ENOMEM), -ENOMEM);
	int error = find_store(w, use);
	if (error)
		free(use->scope);
	return error;
}

static int add(const crew_sessions *config, void *arg)
{
	crew_worker *w = arg;
	struct crew__sessions *all = w->http->sessions;
	if (crew__sessions_find(all, config))
		return 0;
	if (all->count == CREW__SESSIONS_MOST)
		return wrong(w, "there are more than 64 different ones", -E2BIG);
	int error = check(w, config);
	if (!error)
		error = make_use(w, config, &all->uses[all->count]);
	if (!error)
		all->count++;
	return error;
}

/* ---- a worker's life ----------------------------------------------------------------------- */

static int found(const crew_sessions *config, void *arg)
{
	(void)config;
	(void)arg;
	return 1;
}

int crew__sessions_start(crew_worker *w)
{
	if (!each(w->service, found, NULL))
		return 0;
	w->http->sessions = calloc(1, sizeof(*w->http->sessions));
	return w->http->sessions ? each(w->service, add, w) : wrong(w, strerror(ENOMEM), -ENOMEM);
}

void crew__sessions_end(crew_worker *w)
{
	struct crew__sessions *all = w->http->sessions;
	if (!all)
		return;
	all->ending = true;
	for (size_t i = 0; i < all->count; i++) {
		if (all->uses[i].owns_store)
			all->uses[i].store->ops->close(all->uses[i].store);
		free(all->uses[i].scope);
	}
	free(all);
	w->http->sessions = NULL;
}

static int wants_dir(const crew_sessions *config, void *arg)
{
	(void)arg;
	return config->store == NULL;
}

int crew__worker_prepare(const crew_service *service, const char *run_dir, const char *name,
	uid_t uid, gid_t gid, char *ret_error, size_t error_size)
{
	char *dir;
	if (!each(service, wants_dir, NULL))
		return 0;
	if (dir_of(run_dir, name, uid, &dir) < 0) {
		snprintf(ret_error, error_size, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	int error = crew__session_dir(dir, uid, gid, ret_error, error_size);
	free(dir);
	return error;
}
