/* connect.c - crew_connect(), and what may be asked of a connection that it made. */
#include "service/connect.h"

#include "base/log.h"
#include "service/connect_parts.h"

#include <stdio.h>
#include <stdlib.h>

/* The worker whose callback runs; outside of callbacks the first of the process, as elsewhere. */
static crew_worker *present_worker(void)
{
	crew_worker *w = crew__here.current;
	if (!w && crew__here.count > 0)
		w = crew__here.workers[0];
	w = w ? crew__worker_root(w) : NULL;
	bool stays = w && (w->leaving == CREW__STAYS || w->leaving == CREW__WAITS);
	return stays ? w : NULL;
}

static int prepare(struct crew__link *link, crew_worker *w, char *why, size_t size)
{
	const crew_connect_options *o = &link->plan.options;
	int error = crew__client_get(w, o->service, link->plan.kind, &link->client, why, size);
	if (!error && link->plan.url.tls)
		error = crew__client_tls_get(w->outgoing, &link->plan, &link->tls, why, size);
	return error;
}

/* From here on it belongs to its connection; without one, it goes. */
static int start(struct crew__link *link)
{
	struct crew__outgoing *o = crew__link_outgoing(link);
	const crew_connect_options *options = &link->plan.options;
	link->timer.fn = crew__link_on_timer;
	link->retry = (struct crew__retry){
		.first_ms = (uint64_t)options->retry_ms,
		.most_ms = (uint64_t)options->retry_most_ms,
	};
	crew__list_push(&o->links, &link->node);
	int error = crew__link_dial(link);
	if (error)
		return error;
	error = crew__link_begin(link);
	if (error)
		crew__dial_stop(link->dial);
	else
		link->step = CREW__LINK_DIALS;
	return error;
}

static void give_up(struct crew__link *link)
{
	if (link->client) {
		crew__link_free(link);
		return;
	}
	crew__connect_plan_fini(&link->plan);
	free(link);
}

static int make(crew_worker *w, const char *url, const crew_connect_options *options,
	crew_conn **ret_conn, char *why, size_t size)
{
	struct crew__link *link = calloc(1, sizeof(*link));
	if (!link)
		return -ENOMEM;
	crew__list_init(&link->node);
	int error = crew__connect_plan_init(&link->plan, url, options, why, size);
	if (error) {
		free(link);
		return error;
	}
	error = prepare(link, w, why, size);
	if (!error) {
		error = start(link);
		if (error == -EINVAL)
			snprintf(why, size, "%s", link->why);
	}
	if (error)
		give_up(link);
	else
		*ret_conn = link->conn;
	return error;
}

/* For the log: without what may be a secret. */
enum {
	SHOWN_MOST = 120,
	REFUSALS_PER_SECOND = 5
};
static const char *show(const char *url, char room[SHOWN_MOST])
{
	if (!url)
		return "NULL";
	size_t len = crew__min(strcspn(url, "?"), SHOWN_MOST - 1);
	const char *at = memrchr(url, '@', len), *mark = memmem(url, len, "://", 3);
	bool user = at && mark && at > mark + 3; /* unix://@name has none */
	if (user)
		snprintf(room, SHOWN_MOST, "%.*s...%.*s", (int)(mark + 3 - url), url,
			(int)(url + len - at), at);
	else
		snprintf(room, SHOWN_MOST, "%.*s", (int)len, url);
	return room;
}

/* Whose fault it is nobody knows here: the address may be what a user of the program has typed. */
static void tell_refused(const char *url, const char *why)
{
	static struct crew__log_rate rate; /* one loop, one thread */
	char room[SHOWN_MOST], left_out[CREW__LEFT_OUT_MAX];
	if (crew__log_may(&rate, REFUSALS_PER_SECOND, left_out))
		crew__log(CREW_WARN, "crew_connect(\"%s\"): %s%s", show(url, room), why, left_out);
}

crew_conn *crew_connect(const char *url, const crew_connect_options *options)
{
	crew_conn *c = NULL;
	char why[512] = "";
	crew_worker *w = present_worker();
	int error = w ? make(w, url, options, &c, why, sizeof(why)) : -ENOTCONN;
	if (error == -EINVAL)
		tell_refused(url, why);
	if (error)
		errno = -error;
	return c;
}

void *crew_arg(const crew_conn *c)
{
	if (!c || !crew__conn_is_outgoing(c))
		return NULL;
	const struct crew__link *link = crew__link_of(c);
	return link ? link->plan.options.arg : NULL;
}

const char *crew_connect_error(const crew_conn *c)
{
	if (!c || !crew__conn_is_outgoing(c))
		return NULL;
	const struct crew__link *link = crew__link_of(c);
	bool failed = link && link->step != CREW__LINK_STANDS && link->why[0];
	return failed ? link->why : NULL;
}
