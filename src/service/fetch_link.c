/* fetch_link.c - the multi handle of libcurl in the worker's loop: its sockets are sources, its one
 * time is a timer, its messages are taken when it has returned.
 *
 * When no request has been carried for a while the whole handle is ended, and the kept connections
 * with it: idle ones are not watched, so that one which the server has closed would stay for ever.
 */
#include "service/fetch_parts.h"

#include "base/clock.h"
#include "service/settings.h"

#include <stdlib.h>

enum {
	IDLE_S = 90,
	CONNECTIONS = 256, /* unless the settings say otherwise */
	HOST_CONNECTIONS = 8
};

struct crew__fetch_watch {
	struct crew__source source;
	struct crew__node node; /* of watches */
	struct crew__fetch_watch *next_ended;
	struct crew__fetches *owner;
};

/* ---- the timer ----------------------------------------------------------------------------- */

static void arm(struct crew__fetches *f)
{
	uint64_t due = f->curl_due_ns < f->idle_due_ns ? f->curl_due_ns : f->idle_due_ns;
	if (f->work || f->broken)
		due = crew__loop_ns(f->loop);
	crew__timer_start(f->loop, &f->timer, due);
}

void crew__fetch_nudge(struct crew__fetches *f)
{
	arm(f);
}

static void on_timer(struct crew__timer *timer)
{
	struct crew__fetches *f = crew__container_of(timer, struct crew__fetches, timer);
	/* Its place has just become free, so that this cannot fail. */
	crew__timer_start(f->loop, timer, CREW__FETCH_NEVER);
	crew__fetch_settle(f);
	arm(f);
}

static int on_curl_timer(CURLM *multi, long ms, void *arg)
{
	struct crew__fetches *f = arg;
	(void)multi;
	/* By the clock: the turn's time is older than what libcurl has just read. */
	f->curl_due_ns = ms < 0 ? CREW__FETCH_NEVER
				: crew__clock_ns() + (uint64_t)ms * CREW__NS_PER_MS;
	arm(f);
	return 0;
}

/* ---- sockets ------------------------------------------------------------------------------- */

static void act(struct crew__fetches *f, curl_socket_t fd, int events)
{
	int running;
	if (f->multi && curl_multi_socket_action(f->multi, fd, events, &running) != CURLM_OK)
		f->broken = true;
}

static void on_ready(struct crew__source *source, unsigned events)
{
	struct crew__fetch_watch *watch = crew__container_of(
		source, struct crew__fetch_watch, source);
	struct crew__fetches *f = watch->owner;
	int told = 0;
	if (events & (CREW__READ | CREW__ENDED | CREW__HUP))
		told |= CURL_CSELECT_IN;
	if ((events & CREW__WRITE) || ((events & CREW__HUP) && (source->events & CREW__WRITE)))
		told |= CURL_CSELECT_OUT;
	act(f, source->fd, told);
	crew__fetch_settle(f);
}

static void end_watch(struct crew__fetch_watch *watch)
{
	crew__loop_remove(watch->owner->loop, &watch->source);
	crew__list_remove(&watch->node);
	watch->next_ended = watch->owner->ended_watches;
	watch->owner->ended_watches = watch;
}

/* An event may have been fetched for one that has ended in this turn. */
static bool free_ended(struct crew__turn_hook *hook)
{
	struct crew__fetches *f = crew__container_of(hook, struct crew__fetches, hook);
	while (f->ended_watches) {
		struct crew__fetch_watch *watch = f->ended_watches;
		f->ended_watches = watch->next_ended;
		free(watch);
	}
	return false;
}

static int begin_watch(struct crew__fetches *f, curl_socket_t fd, unsigned events)
{
	struct crew__fetch_watch *watch = calloc(1, sizeof(*watch));
	if (!watch)
		return -ENOMEM;
	watch->owner = f;
	watch->source = (struct crew__source){ .fn = on_ready, .fd = fd };
	int error = crew__loop_add(f->loop, &watch->source, events);
	if (error) {
		free(watch);
		return error;
	}
	crew__list_push(&f->watches, &watch->node);
	if (curl_multi_assign(f->multi, fd, watch) != CURLM_OK) {
		end_watch(watch);
		return -ENOMEM;
	}
	return 0;
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *watch_arg)
{
	struct crew__fetches *f = arg;
	struct crew__fetch_watch *watch = watch_arg;
	(void)easy;
	unsigned events = (what & CURL_POLL_IN ? CREW__READ : 0) |
			  (what & CURL_POLL_OUT ? CREW__WRITE : 0);
	int error = 0;
	if (what == CURL_POLL_REMOVE) {
		if (watch)
			end_watch(watch);
		return 0;
	}
	if (watch)
		error = crew__loop_mod(f->loop, &watch->source, events);
	else
		error = begin_watch(f, fd, events);
	if (error == 0)
		return 0;
	/* All that libcurl offers is to give up everything. */
	f->broken = true;
	crew__fetch_nudge(f);
	return -1;
}

/* ---- the multi handle ---------------------------------------------------------------------- */

static bool set_up(struct crew__fetches *f)
{
	const struct crew__settings *settings = crew__settings_in_use();
	long all = settings ? (long)settings->fetch_connections : CONNECTIONS;
	long host = settings ? (long)settings->fetch_host_connections : HOST_CONNECTIONS;
	CURLM *m = f->multi;
	return curl_multi_setopt(m, CURLMOPT_SOCKETFUNCTION, on_curl_socket) == CURLM_OK &&
	       curl_multi_setopt(m, CURLMOPT_SOCKETDATA, f) == CURLM_OK &&
	       curl_multi_setopt(m, CURLMOPT_TIMERFUNCTION, on_curl_timer) == CURLM_OK &&
	       curl_multi_setopt(m, CURLMOPT_TIMERDATA, f) == CURLM_OK &&
	       curl_multi_setopt(m, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING) == CURLM_OK &&
	       curl_multi_setopt(m, CURLMOPT_MAX_TOTAL_CONNECTIONS, all) == CURLM_OK &&
	       curl_multi_setopt(m, CURLMOPT_MAXCONNECTS, all) == CURLM_OK &&
	       curl_multi_setopt(m, CURLMOPT_MAX_HOST_CONNECTIONS, host) == CURLM_OK;
}

static void end_multi(struct crew__fetches *f)
{
	if (f->multi)
		curl_multi_cleanup(f->multi);
	f->multi = NULL;
	f->broken = false;
	f->curl_due_ns = f->idle_due_ns = CREW__FETCH_NEVER;
	while (!crew__list_empty(&f->watches))
		end_watch(crew__container_of(f->watches.next, struct crew__fetch_watch, node));
}

static int make_multi(struct crew__fetches *f)
{
	f->multi = curl_multi_init();
	if (f->multi && set_up(f))
		return 0;
	end_multi(f);
	return -ENOMEM;
}

int crew__fetch_link_init(struct crew__fetches *f)
{
	/* Once for the process, whose only thread this is; libcurl counts no further calls. */
	static bool initialized;
	if (!initialized && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;
	initialized = true;
	crew__list_init(&f->watches);
	f->curl_due_ns = f->idle_due_ns = CREW__FETCH_NEVER;
	f->timer.fn = on_timer;
	int error = crew__timer_start(f->loop, &f->timer, CREW__FETCH_NEVER);
	if (error)
		return error;
	f->hook.fn = free_ended;
	crew__loop_add_hook(f->loop, &f->hook);
	return 0;
}

void crew__fetch_link_fini(struct crew__fetches *f)
{
	end_multi(f);
	crew__timer_stop(f->loop, &f->timer);
	free_ended(&f->hook);
	crew__loop_remove_hook(f->loop, &f->hook);
}

int crew__fetch_carry(struct crew__fetch *fetch)
{
	struct crew__fetches *f = fetch->owner;
	int error = f->multi ? 0 : make_multi(f);
	if (error)
		return error;
	if (curl_multi_add_handle(f->multi, fetch->easy) != CURLM_OK)
		return -ENOMEM;
	fetch->carried = true;
	f->carried++;
	f->idle_due_ns = CREW__FETCH_NEVER;
	return 0;
}

void crew__fetch_drop(struct crew__fetch *fetch)
{
	struct crew__fetches *f = fetch->owner;
	if (!fetch->carried)
		return;
	curl_multi_remove_handle(f->multi, fetch->easy);
	fetch->carried = false;
	f->carried--;
	if (f->carried == 0)
		f->idle_due_ns = crew__loop_ns(f->loop) + IDLE_S * CREW__NS_PER_S;
}

static void take_messages(struct crew__fetches *f)
{
	CURLMsg *message;
	int left;
	while (f->multi && (message = curl_multi_info_read(f->multi, &left)) != NULL) {
		struct crew__fetch *fetch = NULL;
		CURLcode code = message->data.result;
		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &fetch);
		crew__fetch_easy_done(fetch, code);
	}
}

/* The handle takes no more calls: whatever it carries ends, and the next request gets a new one. */
static void collapse(struct crew__fetches *f)
{
	for (uint32_t i = 0; i < f->room; i++) {
		struct crew__fetch *fetch = f->slots[i];
		if (!fetch || !fetch->carried)
			continue;
		crew__fetch_over(fetch, -ENOMEM, "no memory for sockets of requests");
		crew__fetch_drop(fetch);
	}
	end_multi(f);
}

void crew__fetch_link_tend(struct crew__fetches *f)
{
	uint64_t now = crew__loop_ns(f->loop);
	if (f->curl_due_ns <= now) {
		f->curl_due_ns = CREW__FETCH_NEVER;
		act(f, CURL_SOCKET_TIMEOUT, 0);
	}
	take_messages(f);
	if (f->broken)
		collapse(f);
	if (f->carried == 0 && f->idle_due_ns <= now)
		end_multi(f);
}
