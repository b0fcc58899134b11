/* sessions.c - sessions, done to on command; in the run directory (service `local`) and in Redis
 * (service `far`, at the URL in the environment variable SESSIONS_REDIS).
 *
 *   GET /get?K       the value, or "-"        GET /set?K=V     set it
 *   GET /flash?K=V   for the next request     GET /pull?K      get and delete
 *   GET /delete?K    delete                   GET /all         how many there are
 *   GET /end         throw all away           GET /login?K=V   a new id, then set
 *   GET /id          the session's id         GET /large?N     set a value of N bytes
 *   GET /late?K=V    set it, answer 50 ms later
 *   GET /keep?K=V    set it 50 ms later, on the kept request, then answer
 *   GET /freed?K=V   the same, but the request is freed before the answer
 *   GET /after       set one after the answer; GET /last what became of that
 *   GET /pid         who answers, with no look at the session
 *
 * Without that variable both services are in the run directory.
 *
 * Below /short sessions last a second, below /lasting they outlive the browser; below /strict all
 * is as it is by default; below /admin they are others, of the same cookie name. */
#include <crew/crew.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct later {
	uint64_t id;
	crew_request *kept; /* NULL: only answer */
	bool freed;         /* before the answer */
	char key[64], value[64];
};

static int last;

static void say(crew_conn *c, crew_bytes text)
{
	crew_reply(c, &(crew_response){ .body = text.data ? text : CREW_BYTES("-") });
}

static void say_number(crew_conn *c, long number)
{
	char text[32];
	snprintf(text, sizeof(text), "%ld", number);
	say(c, crew_str(text));
}

static void answer_later(crew_worker *w, void *arg)
{
	(void)w;
	struct later *later = arg;
	if (later->kept)
		crew_session_set(later->kept, later->key, crew_str(later->value));
	if (later->freed) {
		crew_request_free(later->kept);
		later->kept = NULL;
	}
	say(crew_find(later->id), CREW_BYTES("later"));
	crew_request_free(later->kept);
	free(later);
}

static void promise(crew_conn *c, const crew_request *r, const char *key, const char *value,
	bool keep, bool freed)
{
	struct later *later = calloc(1, sizeof(*later));
	later->id = crew_id(c);
	later->kept = keep ? crew_request_keep(r) : NULL;
	later->freed = freed;
	snprintf(later->key, sizeof(later->key), "%s", key);
	snprintf(later->value, sizeof(later->value), "%s", value);
	if (crew_timer_after(crew_worker_of(c), 50, answer_later, later) < 0)
		abort();
}

static void set_large(crew_conn *c, const crew_request *r, size_t size)
{
	char *value = calloc(1, size + 1);
	memset(value, 'x', size);
	int status = crew_session_set(r, "large", (crew_bytes){ value, size });
	free(value);
	say_number(c, status);
}

static void set_after(crew_conn *c, const crew_request *r)
{
	say(c, CREW_BYTES("answered"));
	last = crew_session_set(r, "after", CREW_BYTES("1"));
}

static void say_all(crew_conn *c, const crew_request *r)
{
	size_t count;
	crew_session_all(r, &count);
	say_number(c, (long)count);
}

static bool look(crew_conn *c, const crew_request *r, const char *what, const char *key)
{
	if (strcmp(what, "get") == 0)
		say(c, crew_session_get(r, key));
	else if (strcmp(what, "pull") == 0)
		say(c, crew_session_pull(r, key));
	else if (strcmp(what, "all") == 0)
		say_all(c, r);
	else if (strcmp(what, "id") == 0)
		say(c, crew_str(crew_session_id(r)));
	else if (strcmp(what, "last") == 0)
		say_number(c, last);
	else if (strcmp(what, "pid") == 0)
		say_number(c, getpid());
	else
		return false;
	return true;
}

static bool change(
	crew_conn *c, const crew_request *r, const char *what, const char *key, crew_bytes value)
{
	if (strcmp(what, "set") == 0)
		say_number(c, crew_session_set(r, key, value));
	else if (strcmp(what, "flash") == 0)
		say_number(c, crew_session_flash(r, key, value));
	else if (strcmp(what, "delete") == 0)
		say_number(c, crew_session_delete(r, key));
	else if (strcmp(what, "end") == 0)
		say_number(c, crew_session_end(r));
	else if (strcmp(what, "large") == 0)
		set_large(c, r, strtoul(key, NULL, 10));
	else if (strcmp(what, "login") == 0)
		say_number(c, crew_session_renew(r) | crew_session_set(r, key, value));
	else
		return false;
	return true;
}

static bool delay(
	crew_conn *c, const crew_request *r, const char *what, const char *key, const char *value)
{
	if (strcmp(what, "late") == 0) {
		crew_session_set(r, key, crew_str(value));
		promise(c, r, key, value, false, false);
	} else if (strcmp(what, "keep") == 0) {
		promise(c, r, key, value, true, false);
	} else if (strcmp(what, "freed") == 0) {
		promise(c, r, key, value, true, true);
	} else if (strcmp(what, "after") == 0) {
		set_after(c, r);
	} else {
		return false;
	}
	return true;
}

static void on_request(crew_conn *c, const crew_request *r)
{
	char path[64], query[128];
	snprintf(path, sizeof(path), "%.*s", (int)r->path.len, r->path.data);
	const char *what = strrchr(path, '/') + 1;
	snprintf(query, sizeof(query), "%.*s", (int)r->query.len, r->query.data);
	char *value = strchr(query, '=');
	if (value)
		*value++ = '\0';
	else
		value = query + strlen(query);
	if (!look(c, r, what, query) && !change(c, r, what, query, crew_str(value)) &&
		!delay(c, r, what, query, value))
		crew_reply(c, &(crew_response){ .status = 404 });
}

int main(int argc, char **argv)
{
	static crew_sessions far_sessions = { .insecure = true };
	static const crew_sessions plain = { .insecure = true };
	static const crew_sessions brief = { .cookie = "brief", .insecure = true, .lifetime_s = 1 };
	static const crew_sessions lasting = {
		.cookie = "lasting",
		.insecure = true,
		.persistent = true,
		.lifetime_s = 4,
		.path = "/lasting",
	};
	static const crew_sessions strict = { .cookie = "strict" };
	static const crew_sessions admin = { .insecure = true, .path = "/admin" };
	static const crew_route routes[] = {
		{ .path = "/short/*what", .on_request = on_request, .sessions = &brief },
		{ .path = "/lasting/*what", .on_request = on_request, .sessions = &lasting },
		{ .path = "/strict/*what", .on_request = on_request, .sessions = &strict },
		{ .path = "/admin/*what", .on_request = on_request, .sessions = &admin },
		{ .path = "/*what", .on_request = on_request },
		{ 0 },
	};
	static const crew_service local = {
		.name = "local",
		.listen = "http://127.0.0.1:7103",
		.stop_timeout_ms = 500,
		.sessions = &plain,
		.routes = routes,
	};
	static const crew_service far = {
		.name = "far",
		.listen = "http://127.0.0.1:7104",
		.stop_timeout_ms = 500,
		.sessions = &far_sessions,
		.on_request = on_request,
	};
	/* A copy: the environment's own memory becomes the title of the process. */
	if (getenv("SESSIONS_REDIS"))
		far_sessions.store = strdup(getenv("SESSIONS_REDIS"));
	return crew_main(argc, argv, &(crew_app){ .services = { &local, &far } });
}
