/* http_session.c - a request's session: found by its cookie, stored before the answer.
 *
 *            no cookie of ours                     (the first value is set: an id)
 *   begin ─────────────────────▸ THERE, empty ──────────┐
 *      └──▸ UNREAD ── asked for, or fetched before ──▸ THERE ──▸ saved, with the answer
 *                the handler if the store needs time └▸ FAILED
 *
 * Until any function is called that looks at it, a session is not used: it is not read where
 * reading is immediate, its flashes stay, its end does not move. An id that a client brings and no
 * store knows is forgotten; the session that begins then gets a new one. */
#include "service/http_session.h"

#include "base/check.h"
#include "web/session.h"

#include <stdlib.h>
#include <string.h>

enum state {
	UNREAD,
	THERE,
	FAILED
};

struct crew__session {
	unsigned refs;
	struct crew__sessions *all;
	const struct crew__sessions_use *use;
	uint64_t conn; /* with `exchange`: whose request it is, while that is the one in hand */
	struct crew__exchange *exchange;
	enum state state;
	int error; /* FAILED */
	bool used, saved;
	struct crew__values values;
	int64_t left_ms;                   /* when it was read */
	char id[CREW__SESSION_ID + 1];     /* "": it has none */
	char stored[CREW__SESSION_ID + 1]; /* under which the store has it; "": it has not */
};

/* ---- reading ------------------------------------------------------------------------------- */

static void told_nothing(struct crew__session *s, int error)
{
	char left_out[CREW__LEFT_OUT_MAX];
	s->id[0] = '\0';
	if (error == -EPROTO && crew__log_may(&s->all->log, 1, left_out))
		crew__log(CREW_WARN,
			"sessions: what the store has is none of this version's; a new one begins%s",
			left_out);
}

static void take(struct crew__session *s, int status, crew_bytes bytes, int64_t left_ms)
{
	int error = status ? status : crew__values_decode(&s->values, s->use->scope, bytes);
	s->state = THERE;
	s->left_ms = left_ms;
	if (!error) {
		memcpy(s->stored, s->id, sizeof(s->stored));
	} else if (error == -ENOENT || error == -EPROTO || error == -EPERM) {
		told_nothing(s, error);
	} else {
		s->state = FAILED;
		s->error = error;
		s->id[0] = '\0';
	}
}

static void take_now(void *arg, int status, crew_bytes bytes, int64_t left_ms)
{
	take(arg, status, bytes, left_ms);
}

/* The exchange that waits for it, if it still does. */
static struct crew__exchange *waiting(const struct crew__session *s)
{
	crew_conn *c = s->all->ending ? NULL : crew_find(s->conn);
	if (!c || c->record->state > CREW__CONN_OPEN)
		return NULL;
	struct crew__exchange *e = crew__exchange_of(c);
	bool waits = e && e == s->exchange && e->finding_out && e->kept;
	return waits && e->kept->side.session == s ? e : NULL;
}

static void take_later(void *arg, int status, crew_bytes bytes, int64_t left_ms)
{
	struct crew__session *s = arg;
	take(s, status, bytes, left_ms);
	struct crew__exchange *e = waiting(s);
	crew__session_free(s);
	if (e)
		crew__exchange_go_on(e);
}

static int fetch(struct crew__session *s, crew__store_fetched_fn *fetched)
{
	struct crew__store *store = s->use->store;
	int error = store->ops->fetch(store, s->id, fetched, s);
	if (error) {
		s->state = FAILED;
		s->error = error;
	}
	return error;
}

/* ---- for the request ----------------------------------------------------------------------- */

/* The id in `pair` if that is the cookie of that name; data NULL when it is not, or no id of ours.
 */
static crew_bytes id_in(crew_bytes pair, crew_bytes name)
{
	const crew_bytes none = { NULL, 0 };
	pair = crew__http_trim(pair);
	if (pair.len <= name.len || pair.data[name.len] != '=' ||
		memcmp(pair.data, name.data, name.len) != 0)
		return none;
	crew_bytes id = { pair.data + name.len + 1, pair.len - name.len - 1 };
	return crew__session_id_valid(id) ? id : none;
}

/* Looked for in the field itself: what is ours is never encoded, and to take all cookies apart
 * needs memory, without which nobody should find himself logged out. Another one of the name,
 * planted before ours by a neighbour of the domain, is passed over unless it looks the same. */
static crew_bytes find_id(const crew_request *request, const char *name)
{
	crew_bytes id = { NULL, 0 };
	for (size_t i = 0; i < request->header_count && !id.data; i++) {
		crew_bytes left = request->headers[i].value;
		if (!crew__http_same(request->headers[i].name, CREW_BYTES("cookie")))
			continue;
		while (left.len > 0 && !id.data) {
			const char *end = memchr(left.data, ';', left.len);
			size_t len = end ? (size_t)(end - left.data) : left.len;
			id = id_in((crew_bytes){ left.data, len }, crew_str(name));
			left.data += len + (end != NULL);
			left.len -= len + (end != NULL);
		}
	}
	return id;
}

static struct crew__session *new_session(struct crew__exchange *e, const crew_request *request,
	struct crew__sessions *all, const struct crew__sessions_use *use)
{
	struct crew__session *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	crew_bytes id = find_id(request, use->cookie);
	s->refs = 1;
	s->all = all;
	s->use = use;
	s->conn = crew_id(e->conn);
	s->exchange = e;
	s->state = THERE;
	crew__values_init(&s->values);
	if (id.data) {
		memcpy(s->id, id.data, id.len);
		s->state = UNREAD;
	}
	return s;
}

/* The store needs time: the handler waits for it. */
static int fetch_first(
	struct crew__session *s, struct crew__exchange *e, const crew_request *request)
{
	int error = fetch(crew__session_ref(s), take_later);
	if (error) {
		crew__session_free(s);
		return error;
	}
	error = crew__exchange_keep(e, request);
	if (error)
		return error;
	e->finding_out = true;
	return 1;
}

int crew__session_begin(
	struct crew__exchange *e, const crew_request *request, const crew_sessions *sessions)
{
	struct crew__request_side *side = crew__request_side(request);
	struct crew__sessions *all = crew__worker_of(e->conn)->http->sessions;
	const struct crew__sessions_use *use = crew__sessions_find(all, sessions);
	if (side->session)
		return side->session->state == FAILED ? side->session->error : 0;
	if (!use)
		return -EINVAL;
	struct crew__session *s = new_session(e, request, all, use);
	if (!s)
		return -ENOMEM;
	side->session = s;
	if (s->state == THERE || use->store->ops->immediate)
		return 0;
	return fetch_first(s, e, request);
}

struct crew__session *crew__session_ref(struct crew__session *s)
{
	if (s)
		s->refs++;
	return s;
}

/* ---- storing ------------------------------------------------------------------------------- */

static int set_cookie(const struct crew__session *s, crew_conn *c)
{
	const crew_sessions *config = s->use->config;
	const crew_cookie cookie = {
		.name = s->use->cookie,
		.value = crew_str(s->id),
		.path = config->path,
		.domain = config->domain,
		.max_age_s = s->id[0] == '\0'     ? -1
			     : config->persistent ? s->use->life_ms / 1000
						  : 0,
		.same_site = config->same_site,
		.secure = !config->insecure,
		.script = config->script,
	};
	return crew_reply_cookie(c, &cookie);
}

static void tell_no_room(struct crew__session *s, int error)
{
	char left_out[CREW__LEFT_OUT_MAX];
	if (error && crew__log_may(&s->all->log, 1, left_out))
		crew__log(CREW_ERROR, "sessions: the cookie does not fit into the answer: %s%s",
			strerror(-error), left_out);
}

static void drop_stored(struct crew__session *s)
{
	struct crew__store *store = s->use->store;
	if (s->stored[0] != '\0')
		store->ops->remove(store, s->stored);
	s->stored[0] = '\0';
}

static void save_values(struct crew__session *s, crew_conn *c)
{
	struct crew__store *store = s->use->store;
	bool is_new = strcmp(s->id, s->stored) != 0;
	crew_bytes bytes;
	char *data;
	int error = crew__values_encode(&s->values, s->use->scope, &data, &bytes.len);
	bytes.data = data;
	if (!error) {
		error = store->ops->save(store, s->id, bytes, s->use->life_ms, !is_new);
		free(data);
	}
	if (error) /* the store has told why */
		return;
	if (is_new)
		drop_stored(s);
	if (is_new || s->use->config->persistent)
		tell_no_room(s, set_cookie(s, c));
}

static void save_touch(struct crew__session *s, crew_conn *c)
{
	struct crew__store *store = s->use->store;
	if (s->use->life_ms - s->left_ms < s->use->touch_ms)
		return;
	if (store->ops->touch(store, s->id, s->use->life_ms) == 0 && s->use->config->persistent)
		tell_no_room(s, set_cookie(s, c));
}

static void save(struct crew__session *s, crew_conn *c)
{
	if (s->saved || s->state != THERE) {
		s->saved = true;
		return;
	}
	s->saved = true;
	if (!s->used)
		return;
	crew__values_age(&s->values);
	if (s->values.count == 0 && s->stored[0] != '\0') {
		drop_stored(s);
		s->id[0] = '\0';
		tell_no_room(s, set_cookie(s, c));
	} else if (s->values.count > 0) {
		if (s->values.changed || strcmp(s->id, s->stored) != 0)
			save_values(s, c);
		else
			save_touch(s, c);
	}
}

void crew__session_save(struct crew__exchange *e)
{
	if (e->side && e->side->session)
		save(e->side->session, e->conn);
}

/* A kept request that is freed before its answer is given: what it changed goes with that. */
static void save_at_last(struct crew__session *s)
{
	crew_conn *c = s->saved || !s->used ? NULL : crew_find(s->conn);
	struct crew__exchange *e = c ? crew__exchange_of(c) : NULL;
	if (e && e == s->exchange && crew__answer_is_due(e))
		save(s, c);
}

void crew__session_free(struct crew__session *s)
{
	if (!s || s->refs > 1) {
		if (s)
			s->refs--;
		return;
	}
	save_at_last(s);
	crew__values_fini(&s->values);
	free(s);
}

/* ---- for the program ----------------------------------------------------------------------- */

static struct crew__session *session_of(const crew_request *request)
{
	struct crew__request_side *side = crew__request_side(request);
	struct crew__session *s = side ? side->session : NULL;
	if (!s)
		return NULL;
	if (s->state == UNREAD && !s->saved && s->use->store->ops->immediate)
		fetch(s, take_now);
	if (s->state == THERE)
		s->used = true;
	return s;
}

/* One that may be changed; else `ret_error` says why not. */
static struct crew__session *open_session(const crew_request *request, int *ret_error)
{
	struct crew__session *s = session_of(request);
	*ret_error = !s ? -EINVAL : s->saved ? -ENOTCONN : s->state == FAILED ? -EIO : 0;
	return *ret_error ? NULL : s;
}

static int set(const crew_request *request, const char *key, crew_bytes value, bool flash)
{
	int error;
	struct crew__session *s = open_session(request, &error);
	if (!s)
		return error;
	char id[sizeof(s->id)];
	if (s->id[0] == '\0' && (error = crew__session_id_make(id)) != 0)
		return error;
	error = crew__values_set(&s->values, key, value, flash);
	if (!error && s->id[0] == '\0')
		memcpy(s->id, id, sizeof(id));
	return error;
}

crew_bytes crew_session_get(const crew_request *request, const char *key)
{
	struct crew__session *s = session_of(request);
	return s ? crew__values_get(&s->values, key) : (crew_bytes){ NULL, 0 };
}

int crew_session_set(const crew_request *request, const char *key, crew_bytes value)
{
	return set(request, key, value, false);
}

int crew_session_flash(const crew_request *request, const char *key, crew_bytes value)
{
	return set(request, key, value, true);
}

int crew_session_delete(const crew_request *request, const char *key)
{
	int error;
	struct crew__session *s = open_session(request, &error);
	return s ? crew__values_remove(&s->values, key) : error;
}

crew_bytes crew_session_pull(const crew_request *request, const char *key)
{
	int error;
	struct crew__session *s = open_session(request, &error);
	crew_bytes value = s ? crew__values_get(&s->values, key) : (crew_bytes){ NULL, 0 };
	if (value.data)
		crew__values_remove(&s->values, key);
	return value;
}

const crew_header *crew_session_all(const crew_request *request, size_t *ret_count)
{
	struct crew__session *s = session_of(request);
	*ret_count = 0;
	return s ? crew__values_all(&s->values, ret_count) : NULL;
}

int crew_session_end(const crew_request *request)
{
	int error;
	struct crew__session *s = open_session(request, &error);
	if (!s)
		return error;
	crew__values_clear(&s->values);
	s->id[0] = '\0';
	return 0;
}

int crew_session_renew(const crew_request *request)
{
	int error;
	struct crew__session *s = open_session(request, &error);
	if (!s || s->id[0] == '\0')
		return error;
	return crew__session_id_make(s->id);
}

const char *crew_session_id(const crew_request *request)
{
	const struct crew__session *s = session_of(request);
	return s ? s->id : "";
}
