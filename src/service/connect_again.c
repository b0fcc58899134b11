/* connect_again.c - after the end: the next attempt, a while later.
 *
 * The next connection is there in the same turn as the one before it ended, so that who sends on
 * and on has somewhere to send to. Where there is no room for it at present, it comes with the
 * attempt. */
#include "service/connect_parts.h"

#include "base/clock.h"

#include <sys/random.h>

enum {
	MS_PER_HUNDREDTH = 10
};

/* Not after what the program itself has ended, nor when its worker leaves. */
static bool goes_on(const struct crew__link *link, crew_end_reason end)
{
	const crew_worker *w = link->client->worker.parent;
	return link->plan.options.retry_ms > 0 && end != CREW_END_APP && end != CREW_END_DRAIN &&
	       w->leaving == CREW__STAYS;
}

/* The kernel's random numbers never fail once the machine is up; a wait at the bound is a wait too.
 */
static uint64_t draw(struct crew__retry *retry)
{
	uint64_t random;
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != (ssize_t)sizeof(random))
		random = UINT64_MAX;
	return crew__retry_draw(retry, random);
}

static int wait_a_while(struct crew__link *link)
{
	struct crew__loop *loop = link->client->worker.plan.loop;
	uint64_t due = crew__loop_ns(loop) + draw(&link->retry) * CREW__NS_PER_MS;
	return crew__timer_start(loop, &link->timer, due);
}

/* The program may do anything to it, and to others. */
static void tell(struct crew__link *link)
{
	crew_worker *w = &link->client->worker;
	if (!link->plan.options.on_retry)
		return;
	struct crew__entered before = crew__enter(w, CREW__CB_OPEN);
	link->plan.options.on_retry(link->conn);
	crew__leave(w, before);
}

void crew__link_ended(struct crew__link *link, crew_end_reason end)
{
	if (link->step == CREW__LINK_STANDS)
		crew__retry_was_open(&link->retry,
			(uint64_t)(crew__net_now(&link->client->worker.net) - link->since) *
				MS_PER_HUNDREDTH);
	link->step = CREW__LINK_WAITS;
	if (!goes_on(link, end) || wait_a_while(link) < 0)
		crew__link_free(link);
	else if (crew__link_begin(link) == 0)
		tell(link);
}

/* Certificates may have been renewed since; while the files are no good, what was read before is.
 */
static void renew_tls(struct crew__link *link)
{
	struct crew__tls_context *tls;
	char why[CREW__CONNECT_WHY];
	if (!link->tls || crew__client_tls_get(crew__link_outgoing(link), &link->plan, &tls, why,
				  sizeof(why)) < 0)
		return;
	crew__tls_context_unref(link->tls);
	link->tls = tls;
}

void crew__link_on_timer(struct crew__timer *timer)
{
	struct crew__link *link = crew__container_of(timer, struct crew__link, timer);
	bool comes_now = !link->conn;
	if (comes_now && crew__link_begin(link) < 0) {
		if (wait_a_while(link) < 0)
			crew__link_free(link);
		return;
	}
	renew_tls(link);
	if (crew__link_dial(link) < 0) {
		crew__link_fail(link, "there is no memory to connect");
		return;
	}
	if (comes_now)
		tell(link);
}
