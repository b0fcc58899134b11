/* fetch_begin.c - the addresses of whom a request goes to, and the times that it has.
 *
 * Asked for in crew's own resolver, whole host by whole host; numeric hosts and those that were
 * asked for not long ago need none. Of two address families the slower one is waited for only a
 * little (RFC 8305 section 3). */
#include "service/fetch_parts.h"

#include "base/clock.h"
#include "service/names.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

enum {
	OTHER_FAMILY_MS = 50
};

static const struct crew__fetch_place *peer_of(const struct crew__fetch *fetch)
{
	return fetch->request.proxy.url ? &fetch->request.proxy : &fetch->request.to;
}

/* ---- time ---------------------------------------------------------------------------------- */

static uint64_t after(uint64_t now, uint64_t ns)
{
	return ns < CREW__FETCH_NEVER - now ? now + ns : CREW__FETCH_NEVER;
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The clock always runs, so that this cannot fail. */
static void arm(struct crew__fetch *fetch)
{
	uint64_t due = fetch->deadline_ns;
	if (fetch->lookup)
		due = sooner(due, sooner(fetch->connect_ns, fetch->enough_ns));
	crew__timer_start(fetch->owner->loop, &fetch->clock, due);
}

/* ---- names --------------------------------------------------------------------------------- */

void crew__fetch_stop_names(struct crew__fetch *fetch)
{
	if (fetch->lookup)
		crew__lookup_stop(fetch->lookup);
	fetch->lookup = NULL;
}

static void be_ready(struct crew__fetch *fetch)
{
	crew__fetch_stop_names(fetch);
	fetch->ready = true;
	arm(fetch);
	crew__fetch_work(fetch);
}

static bool take_text(struct crew__fetch *fetch, const char *text)
{
	free(fetch->addresses);
	fetch->addresses = strdup(text);
	if (!fetch->addresses)
		crew__fetch_over(fetch, -ENOMEM, "no memory for addresses");
	return fetch->addresses;
}

static void say_unknown(struct crew__fetch *fetch, int error, const char *why)
{
	bool told = error == -ENOENT || error == -ETIMEDOUT || error == -ENOMEM;
	crew__fetch_over(fetch, told ? error : -EIO, "cannot resolve %.150s: %s",
		peer_of(fetch)->host, why ? why : strerror(-error));
}

static void on_resolved(const struct crew__resolved *resolved, bool whole, void *arg)
{
	struct crew__fetch *fetch = arg;
	struct crew__fetches *f = fetch->owner;
	uint64_t now = crew__loop_ns(f->loop);
	char text[CREW__FETCH_ADDRESSES];
	if (whole)
		fetch->lookup = NULL;
	if (resolved->error) {
		say_unknown(fetch, resolved->error, resolved->why);
		return;
	}
	if (crew__fetch_addresses(resolved, text) == 0) {
		if (whole)
			say_unknown(fetch, -ENOENT, "it has no address that can be used");
		return;
	}
	if (!take_text(fetch, text))
		return;
	if (whole) {
		crew__fetch_names_keep(&f->names, peer_of(fetch)->host, text, resolved->ttl_s, now);
		be_ready(fetch);
		return;
	}
	fetch->enough_ns = now + OTHER_FAMILY_MS * CREW__NS_PER_MS;
	arm(fetch);
}

static bool is_numeric(const char *host)
{
	struct in_addr address;
	return inet_pton(AF_INET, host, &address) == 1;
}

static void ask(struct crew__fetch *fetch)
{
	const struct crew__fetch_place *peer = peer_of(fetch);
	struct crew__resolver *resolver = crew__worker_resolver(fetch->owner->worker);
	if (resolver)
		fetch->lookup = crew__resolve(resolver, peer->host, peer->port, on_resolved, fetch);
	if (fetch->lookup)
		arm(fetch);
	else
		crew__fetch_over(fetch, -ENOMEM, "no memory to resolve %.150s", peer->host);
}

/* ---- a leg --------------------------------------------------------------------------------- */

/* The first leg's clock must be started where its failure can be told. */
void crew__fetch_begin(struct crew__fetch *fetch)
{
	struct crew__fetches *f = fetch->owner;
	const struct crew__fetch_place *peer = peer_of(fetch);
	uint64_t now = crew__loop_ns(f->loop);
	fetch->state = CREW__FETCH_NAMES_STATE;
	fetch->ready = fetch->paused = false;
	fetch->connect_ns = after(now, fetch->request.connect_timeout_ns);
	fetch->enough_ns = CREW__FETCH_NEVER;
	const char *known = is_numeric(peer->host)
				    ? peer->host
				    : crew__fetch_names_find(&f->names, peer->host, now);
	if (peer->six)
		be_ready(fetch);
	else if (!known)
		ask(fetch);
	else if (take_text(fetch, known))
		be_ready(fetch);
}

void crew__fetch_go(struct crew__fetch *fetch)
{
	fetch->ready = false;
	int error = crew__fetch_easy_init(fetch);
	if (!error)
		error = crew__fetch_carry(fetch);
	if (error) {
		crew__fetch_over(fetch, error, "no memory for a request");
		return;
	}
	fetch->state = CREW__FETCH_CARRIED;
}

static void time_is_up(struct crew__fetch *fetch, uint64_t ns)
{
	crew__fetch_over(fetch, -ETIMEDOUT, "not done within %llu ms",
		(unsigned long long)(ns / CREW__NS_PER_MS));
}

void crew__fetch_on_clock(struct crew__timer *timer)
{
	struct crew__fetch *fetch = crew__container_of(timer, struct crew__fetch, clock);
	struct crew__loop *loop = fetch->owner->loop;
	uint64_t now = crew__loop_ns(loop);
	/* Its place has just become free, so that this cannot fail. */
	crew__timer_start(loop, timer, CREW__FETCH_NEVER);
	if (now >= fetch->deadline_ns)
		time_is_up(fetch, fetch->request.timeout_ns);
	else if (fetch->lookup && now >= fetch->connect_ns)
		say_unknown(fetch, -ETIMEDOUT, "no answer in time");
	else if (fetch->lookup && now >= fetch->enough_ns)
		be_ready(fetch);
	if (fetch->state != CREW__FETCH_OVER)
		arm(fetch);
}
